//! Functions in the FROM clause. `unnest(x)` in all its spellings, and the JSON functions that give rows, become the
//! engine's UNNEST, which `functions/unnest.rs` then joins to the row that its list is in.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, DataType, Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, Select, SelectItem,
    SelectItemQualifiedWildcardKind, Subscript, TableAlias, TableAliasColumnDef, TableFactor, UnaryOperator,
    Value, VisitMut, VisitorMut,
};

use super::{build, operators};
use crate::functions::{EXPANDED, SUBSCRIPTS, json_edit, regexes};
use crate::parse::fold;
use crate::system::Function;

/// Rewrites one item of a FROM clause.
pub fn rewrite(factor: &mut TableFactor) {
    as_unnest(factor);
    as_subquery(factor);
    match factor {
        // PostgreSQL has it as a view and as a function; here it is a table.
        TableFactor::Table { name, args: args @ Some(_), .. } if is_timezone_names(name) => *args = None,
        TableFactor::Table { name, args: Some(_), alias, .. } | TableFactor::Function { name, alias, .. } => {
            operators::strip(name);
            name_series(name, alias);
        }
        _ => {}
    }
}

fn is_timezone_names(name: &ObjectName) -> bool {
    build::builtin_name(name).is_some_and(|name| name.value == "pg_timezone_names")
}

/// What the rows of a function are called, and the scalar function that gives them as a list.
pub fn row_function(name: &str) -> Option<(&'static str, Option<&'static str>)> {
    Some(match name {
        "unnest" => ("unnest", None),
        "generate_subscripts" => ("generate_subscripts", Some(SUBSCRIPTS)),
        "_pg_expandarray" => ("_pg_expandarray", Some(EXPANDED)),
        "json_array_elements" => ("value", Some(json_edit::ELEMENTS)),
        "jsonb_array_elements" => ("value", Some(json_edit::ELEMENTS_B)),
        "json_array_elements_text" => ("value", Some(json_edit::ELEMENTS_TEXT)),
        "jsonb_array_elements_text" => ("value", Some(json_edit::ELEMENTS_TEXT_B)),
        "json_object_keys" => ("json_object_keys", Some(json_edit::KEYS)),
        "jsonb_object_keys" => ("jsonb_object_keys", Some(json_edit::KEYS_B)),
        "regexp_matches" => ("regexp_matches", Some(regexes::MATCHES)),
        "regexp_split_to_table" => ("regexp_split_to_table", Some("regexp_split_to_array")),
        "string_to_table" => ("string_to_table", Some("string_to_array")),
        // No table is a partition of another.
        "pg_partition_ancestors" => ("pg_partition_ancestors", Some("no_ancestors")),
        _ => return None,
    })
}

/// What the two columns of a function are made of.
fn member_functions(name: &str) -> Option<[&'static str; 2]> {
    Some(match name {
        "json_each" => [json_edit::KEYS, json_edit::VALUES],
        "jsonb_each" => [json_edit::KEYS_B, json_edit::VALUES_B],
        "json_each_text" => [json_edit::KEYS, json_edit::VALUES_TEXT],
        "jsonb_each_text" => [json_edit::KEYS_B, json_edit::VALUES_TEXT_B],
        _ => return None,
    })
}

/// Whether a function in the FROM clause becomes lists, so that its rows can be counted.
pub fn gives_rows(name: &ObjectName) -> bool {
    let name = build::builtin_name(name).map(|name| name.value.to_ascii_lowercase());
    name.is_some_and(|name| {
        name == SERIES || row_function(&name).is_some() || member_functions(&name).is_some()
    })
}

const SERIES: &str = "generate_series";

/// Whether a series is one of whole numbers by the look of it, which the engine makes row by row.
fn is_whole_series(arguments: &[Expr]) -> bool {
    arguments.iter().all(|argument| match argument {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.bytes().all(|digit| digit.is_ascii_digit()),
            Value::Null | Value::Placeholder(_) => true,
            _ => false,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => is_whole_series(std::slice::from_ref(expr)),
        Expr::Cast { data_type, .. } => matches!(
            data_type,
            DataType::Int(_)
                | DataType::Integer(_)
                | DataType::BigInt(_)
                | DataType::Int4(_)
                | DataType::Int8(_)
        ),
        _ => false,
    })
}

/// The lists of a function, and the names of their columns.
fn lists(name: &str, arguments: Vec<Expr>, ordinality: bool) -> Option<(Vec<Expr>, Vec<&'static str>)> {
    if let Some(functions) = member_functions(name) {
        let lists = functions.map(|function| build::call(function, arguments.clone()));
        return Some((lists.to_vec(), vec!["key", "value"]));
    }
    if name == SERIES {
        let listed = ordinality || !is_whole_series(&arguments);
        return listed.then(|| (vec![build::call(SERIES, arguments)], vec![SERIES]));
    }
    let (column, list_function) = row_function(name)?;
    Some(match list_function {
        Some(function) => (vec![build::call(function, arguments)], vec![column]),
        None => {
            let columns = vec![column; arguments.len()];
            (arguments, columns)
        }
    })
}

/// The numbers of the rows, from 1 to the length of the longest list.
fn ordinals(lists: &[Expr]) -> Expr {
    let lengths = lists.iter().map(|list| build::call("cardinality", vec![list.clone()]));
    build::call(SERIES, vec![build::number("1"), build::call("greatest", lengths.collect())])
}

fn as_unnest(factor: &mut TableFactor) {
    if let TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } = factor {
        let columns = vec!["unnest"; array_exprs.len()];
        if std::mem::take(with_ordinality) {
            array_exprs.push(ordinals(array_exprs));
            name_columns(alias, "unnest", &columns, true);
        } else if array_exprs.len() == 1 {
            name_element(alias, "unnest");
        }
        return;
    }
    let (name, args, alias, ordinality) = match factor {
        TableFactor::Table { name, args: Some(args), alias, with_ordinality, .. } => {
            (name, &args.args, alias, *with_ordinality)
        }
        TableFactor::Function { name, args, alias, with_ordinality, .. } => {
            (name, &*args, alias, *with_ordinality)
        }
        _ => return,
    };
    let Some(name) = build::builtin_name(name).map(|name| name.value.to_ascii_lowercase()) else { return };
    let plain = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    let Some(arguments) = args.iter().map(plain).collect::<Option<Vec<_>>>() else { return };
    let Some((mut array_exprs, columns)) = lists(&name, arguments, ordinality) else { return };
    if ordinality {
        array_exprs.push(ordinals(&array_exprs));
    }
    let mut alias = alias.take();
    match columns.as_slice() {
        [column] if !ordinality => name_element(&mut alias, column),
        [_, _, ..] if !ordinality && name == "unnest" => {}
        columns => name_columns(&mut alias, &name, columns, ordinality),
    }
    *factor = TableFactor::UNNEST {
        alias,
        array_exprs,
        with_offset: false,
        with_offset_alias: None,
        with_ordinality: false,
    };
}

/// Names the columns that the query has not named, the last `ordinality` where rows are counted.
fn name_columns(alias: &mut Option<TableAlias>, function: &str, columns: &[&str], ordinality: bool) {
    let single = columns.len() == 1;
    let alias = alias.get_or_insert_with(|| TableAlias {
        explicit: true,
        name: Ident::new(function),
        columns: Vec::new(),
        at: None,
    });
    let relation = alias.name.clone();
    let names = columns.iter().map(|column| if single { relation.clone() } else { Ident::new(*column) });
    let names = names.chain(ordinality.then(|| Ident::new("ordinality")));
    let given = alias.columns.len();
    alias.columns.extend(names.skip(given).map(|name| TableAliasColumnDef { name, data_type: None }));
}

/// A function that gives one value stands for a row of it: `FROM current_schema()` for `(SELECT current_schema() AS
/// current_schema)`.
fn as_subquery(factor: &mut TableFactor) {
    let (name, args, alias) = match factor {
        TableFactor::Table { name, args: Some(args), alias, with_ordinality: false, .. } => {
            (name, &args.args, alias)
        }
        TableFactor::Function { name, args, alias, with_ordinality: false, .. } => (name, &*args, alias),
        _ => return,
    };
    let Some(function) = build::builtin_name(name).map(|name| name.value.to_ascii_lowercase()) else {
        return;
    };
    if !Function::named(&function).any(Function::is_scalar)
        || Function::named(&function).any(Function::is_set)
    {
        return;
    }
    let plain = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    let Some(arguments) = args.iter().map(plain).collect::<Option<Vec<_>>>() else { return };
    let mut alias = alias.take();
    name_element(&mut alias, &function);
    let subquery = Box::new(build::query_of(build::call(&function, arguments), Ident::new(&function)));
    *factor = TableFactor::Derived { lateral: false, subquery, alias, sample: None };
}

/// The column has the name that the relation is given; without one, both have the function's.
fn name_element(alias: &mut Option<TableAlias>, column: &str) {
    let alias = alias.get_or_insert_with(|| TableAlias {
        explicit: true,
        name: Ident::new(column),
        columns: Vec::new(),
        at: None,
    });
    if alias.columns.is_empty() {
        alias.columns.push(TableAliasColumnDef { name: alias.name.clone(), data_type: None });
    }
}

/// As for a list, the column of a series has the name that the relation is given. The engine knows the function in lower
/// case only.
fn name_series(name: &mut ObjectName, alias: &mut Option<TableAlias>) {
    let is_series =
        build::builtin_name(name).is_some_and(|name| name.value.eq_ignore_ascii_case("generate_series"));
    if is_series {
        *name = ObjectName::from(vec![Ident::new("generate_series")]);
        name_element(alias, "generate_series");
    }
}

/// The one column of `json_array_elements` is called `value`, also where the relation has another name.
pub fn name_values(select: &mut Select) {
    let factors = select.from.iter().flat_map(|table| {
        std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation))
    });
    let named: Vec<Ident> = factors.filter_map(value_alias).collect();
    if named.is_empty() {
        return;
    }
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) = item
            && let Expr::CompoundIdentifier(parts) = &*expr
            && let [_, column] = &parts[..]
            && column.value == "value"
        {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: column.clone() };
        }
    }
    let _: ControlFlow<()> = select.visit(&mut Values(&named));
}

fn value_alias(factor: &TableFactor) -> Option<Ident> {
    let (name, alias) = match factor {
        TableFactor::Table { name, args: Some(_), alias: Some(alias), .. }
        | TableFactor::Function { name, alias: Some(alias), .. } => (name, alias),
        _ => return None,
    };
    let function = build::builtin_name(name)?.value.to_ascii_lowercase();
    let (column, _) = row_function(&function)?;
    (column == "value" && alias.columns.is_empty()).then(|| alias.name.clone())
}

struct Values<'a>(&'a [Ident]);

impl VisitorMut for Values<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(parts) = expr
            && let [relation, column] = &mut parts[..]
            && column.value == "value"
            && self.0.iter().any(|named| fold(named) == fold(relation))
        {
            *column = relation.clone();
        }
        ControlFlow::Continue(())
    }
}

/// `columns.*` of `FROM information_schema.columns`: the engine wants the relation's whole name.
pub fn name_wildcards(select: &mut Select) {
    let factors = select.from.iter().flat_map(|table| {
        std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation))
    });
    let whole: Vec<ObjectName> = factors
        .filter_map(|factor| match factor {
            TableFactor::Table { name, alias: None, args: None, .. } if name.0.len() > 1 => {
                Some(name.clone())
            }
            _ => None,
        })
        .collect();
    for item in &mut select.projection {
        let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(given), _) = item
        else {
            continue;
        };
        let last = |name: &ObjectName| name.0.last().and_then(|part| part.as_ident()).map(fold);
        let named = whole.iter().find(|name| given.0.len() == 1 && last(name) == last(given));
        if let Some(name) = named {
            *given = name.clone();
        }
    }
}

/// `FROM t, UNNEST(t.address.lines) AS line, UNNEST(line.words)`: the engine reaches from one relation into another
/// for columns, not for fields of them, so fields are spelled as subscripts: `t.address['lines']`.
pub fn spell_fields(select: &mut Select) {
    let mut relations: Vec<Relation> = Vec::new();
    for table in &mut select.from {
        let factors =
            std::iter::once(&mut table.relation).chain(table.joins.iter_mut().map(|join| &mut join.relation));
        for factor in factors {
            if let TableFactor::UNNEST { array_exprs, .. } = factor {
                let _: ControlFlow<()> = array_exprs.visit(&mut Fields(&relations));
            }
            relations.extend(relation(factor));
        }
    }
}

/// A relation before the list in the FROM clause.
struct Relation {
    name: String,
    /// Of an unnested list, its one column has the relation's name.
    is_element: bool,
}

fn relation(factor: &TableFactor) -> Option<Relation> {
    match factor {
        TableFactor::UNNEST { alias: Some(alias), .. } => {
            let column = alias.columns.first().map_or(&alias.name, |column| &column.name);
            Some(Relation { name: alias.name.value.clone(), is_element: *column == alias.name })
        }
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
            Some(Relation { name: alias.name.value.clone(), is_element: false })
        }
        TableFactor::Table { name, .. } => {
            Some(Relation { name: name.0.last()?.as_ident()?.value.clone(), is_element: false })
        }
        _ => None,
    }
}

struct Fields<'a>(&'a [Relation]);

impl VisitorMut for Fields<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::CompoundIdentifier(parts) = expr else { return ControlFlow::Continue(()) };
        let found = self.0.iter().find(|relation| relation.name == parts[0].value);
        let columns = match found {
            Some(relation) if relation.is_element && parts[1].value != relation.name => 1,
            Some(_) => 2,
            None => parts.len(),
        };
        if columns < parts.len() {
            let field =
                |name: &Ident| AccessExpr::Subscript(Subscript::Index { index: build::string(&name.value) });
            let column = if columns == 1 { &parts[0] } else { &parts[1] };
            *expr = Expr::CompoundFieldAccess {
                root: Box::new(Expr::CompoundIdentifier(vec![parts[0].clone(), column.clone()])),
                access_chain: parts[columns..].iter().map(field).collect(),
            };
        }
        ControlFlow::Continue(())
    }
}
