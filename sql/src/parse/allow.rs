//! An allow-list over a query's syntax tree: every clause that the planner would read past without a word
//! (trap T13) is an error with its name. Structs are taken apart without `..`, so that a clause which a new parser
//! version adds does not compile until somebody decides about it.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, LimitClause,
    ObjectName, OrderBy, Query, Select, SelectFlavor, SetExpr, TableFactor, Visit, Visitor,
};

use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::system::gives_rows;

/// Checks a whole query, subqueries and expressions included.
///
/// # Errors
///
/// 0A000 naming the first clause that nobody consumes.
pub(crate) fn check_query(query: &Query) -> Result<()> {
    check_clauses(query)
}

/// Checks an expression or a list of tables in the same way.
pub(super) fn check_clauses(node: &impl Visit) -> Result<()> {
    match node.visit(&mut Walker) {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Walker;

impl Visitor for Walker {
    type Break = Box<Error>;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Box<Error>> {
        answer(query_clause(query))
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Box<Error>> {
        answer(select_clause(select))
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Box<Error>> {
        answer(factor_clause(factor))
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Box<Error>> {
        reserved(relation)
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<Box<Error>> {
        match expression {
            Expr::Function(function) => {
                if !is_all_of(function) {
                    reserved(&function.name)?;
                }
                answer(function_clause(function))
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Words that PostgreSQL lets name nothing unless they are quoted, as far as the parser takes them for names.
const RESERVED: [&str; 28] = [
    "all",
    "and",
    "as",
    "case",
    "create",
    "desc",
    "distinct",
    "else",
    "end",
    "except",
    "fetch",
    "for",
    "from",
    "grant",
    "group",
    "having",
    "in",
    "intersect",
    "into",
    "limit",
    "not",
    "on",
    "or",
    "order",
    "select",
    "union",
    "where",
    "with",
];

fn reserved(name: &ObjectName) -> ControlFlow<Box<Error>> {
    let word = name.0.first().and_then(|part| part.as_ident()).filter(|word| word.quote_style.is_none());
    let Some(word) = word.filter(|word| RESERVED.contains(&word.value.to_lowercase().as_str())) else {
        return ControlFlow::Continue(());
    };
    let error = Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{word}\""))
        .with_hint("A reserved word is a name only in double quotes.");
    ControlFlow::Break(Box::new(error))
}

/// `LIKE ALL (ARRAY[…])` is read as the call of a function.
fn is_all_of(function: &Function) -> bool {
    let FunctionArguments::List(list) = &function.args else { return false };
    let name = function.name.0.last().and_then(|part| part.as_ident());
    name.is_some_and(|name| name.value.eq_ignore_ascii_case("all"))
        && matches!(
            &list.args[..],
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Array(_) | Expr::Cast { .. }))]
        )
}

fn answer(clause: Option<String>) -> ControlFlow<Box<Error>> {
    match clause {
        Some(clause) => ControlFlow::Break(Box::new(Error::unsupported(clause))),
        None => ControlFlow::Continue(()),
    }
}

/// The first of the clauses that is there.
fn first(clauses: &[(bool, &str)]) -> Option<String> {
    clauses.iter().find(|(there, _)| *there).map(|(_, name)| (*name).to_owned())
}

fn query_clause(query: &Query) -> Option<String> {
    let Query {
        with,
        body,
        order_by,
        limit_clause,
        fetch,
        locks,
        for_clause,
        settings,
        format_clause,
        pipe_operators,
    } = query;
    let limit_by =
        matches!(limit_clause, Some(LimitClause::LimitOffset { limit_by, .. }) if !limit_by.is_empty());
    let interpolate = matches!(order_by, Some(OrderBy { interpolate: Some(_), .. }));
    let cte_from = with.iter().flat_map(|with| &with.cte_tables).any(|cte| cte.from.is_some());
    first(&[
        (!locks.is_empty(), "FOR UPDATE or FOR SHARE"),
        (fetch.as_ref().is_some_and(|fetch| fetch.with_ties), "FETCH … WITH TIES"),
        (fetch.as_ref().is_some_and(|fetch| fetch.percent), "FETCH … PERCENT"),
        (for_clause.is_some(), "FOR XML or FOR JSON"),
        (settings.is_some(), "SETTINGS"),
        (format_clause.is_some(), "FORMAT"),
        (!pipe_operators.is_empty(), "the pipe operator"),
        (limit_by, "LIMIT … BY"),
        (interpolate, "INTERPOLATE"),
        (cte_from, "FROM after a common table expression"),
    ])
    .or_else(|| body_clause(body))
}

fn body_clause(body: &SetExpr) -> Option<String> {
    match body {
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => None,
        SetExpr::SetOperation { left, right, .. } => body_clause(left).or_else(|| body_clause(right)),
        SetExpr::Insert(_) => Some("INSERT inside a query".to_owned()),
        SetExpr::Update(_) => Some("UPDATE inside a query".to_owned()),
        SetExpr::Delete(_) => Some("DELETE inside a query".to_owned()),
        SetExpr::Merge(_) => Some("MERGE inside a query".to_owned()),
        SetExpr::Table(_) => Some("TABLE as a query".to_owned()),
    }
}

fn select_clause(select: &Select) -> Option<String> {
    let Select {
        select_token: _,
        optimizer_hints,
        distinct: _,
        select_modifiers,
        top,
        top_before_distinct: _,
        projection: _,
        exclude,
        into,
        from: _,
        lateral_views,
        prewhere,
        selection: _,
        connect_by,
        group_by: _,
        cluster_by,
        distribute_by,
        sort_by,
        having: _,
        named_window: _,
        qualify: _,
        window_before_qualify: _,
        value_table_mode,
        flavor,
    } = select;
    first(&[
        (!optimizer_hints.is_empty(), "an optimizer hint"),
        (select_modifiers.is_some(), "a SELECT modifier"),
        (top.is_some(), "TOP"),
        (exclude.is_some(), "EXCLUDE"),
        (into.is_some(), "SELECT INTO (use CREATE TABLE … AS)"),
        (!lateral_views.is_empty(), "LATERAL VIEW"),
        (prewhere.is_some(), "PREWHERE"),
        (!connect_by.is_empty(), "CONNECT BY"),
        (!cluster_by.is_empty(), "CLUSTER BY"),
        (!distribute_by.is_empty(), "DISTRIBUTE BY"),
        (!sort_by.is_empty(), "SORT BY"),
        (value_table_mode.is_some(), "AS STRUCT or AS VALUE"),
        (!matches!(flavor, SelectFlavor::Standard), "FROM before SELECT"),
    ])
}

fn factor_clause(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table {
            name,
            alias: _,
            args,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } => first(&[
            (args.as_ref().is_some_and(|args| args.settings.is_some()), "SETTINGS of a table function"),
            (!with_hints.is_empty(), "WITH after a table"),
            (version.is_some(), "FOR … AS OF"),
            (*with_ordinality && !(args.is_some() && gives_rows(name)), "WITH ORDINALITY"),
            (!partitions.is_empty(), "PARTITION after a table"),
            (json_path.is_some(), "a JSON path after a table"),
            (sample.is_some(), "TABLESAMPLE"),
            (!index_hints.is_empty(), "an index hint"),
        ]),
        TableFactor::Derived { lateral: _, subquery: _, alias: _, sample } => {
            first(&[(sample.is_some(), "TABLESAMPLE")])
        }
        TableFactor::Function { lateral: _, name, args: _, with_ordinality, alias: _ } => {
            first(&[(*with_ordinality && !gives_rows(name), "WITH ORDINALITY")])
        }
        TableFactor::UNNEST {
            alias: _,
            array_exprs: _,
            with_offset,
            with_offset_alias,
            with_ordinality: _,
        } => first(&[(*with_offset || with_offset_alias.is_some(), "WITH OFFSET")]),
        TableFactor::NestedJoin { .. } | TableFactor::TableFunction { .. } => None,
        TableFactor::Pivot { .. } | TableFactor::Unpivot { .. } => Some("PIVOT".to_owned()),
        TableFactor::MatchRecognize { .. } => Some("MATCH_RECOGNIZE".to_owned()),
        TableFactor::JsonTable { .. } | TableFactor::OpenJsonTable { .. } => Some("JSON_TABLE".to_owned()),
        TableFactor::XmlTable { .. } => Some("XMLTABLE".to_owned()),
        TableFactor::SemanticView { .. } => Some("SEMANTIC_VIEW".to_owned()),
    }
}

fn function_clause(function: &Function) -> Option<String> {
    let Function {
        name: _,
        uses_odbc_syntax: _,
        parameters,
        args,
        filter: _,
        null_treatment: _,
        over: _,
        within_group: _,
    } = function;
    let clauses = match args {
        FunctionArguments::List(list) => list.clauses.as_slice(),
        FunctionArguments::None | FunctionArguments::Subquery(_) => &[],
    };
    let unknown = clauses.iter().find(|clause| {
        !matches!(
            clause,
            FunctionArgumentClause::OrderBy(_) | FunctionArgumentClause::IgnoreOrRespectNulls(_)
        )
    });
    first(&[(!matches!(parameters, FunctionArguments::None), "a second list of function arguments")])
        .or_else(|| unknown.map(|clause| format!("{clause} inside a function")))
}
