//! The hidden columns of tables (`_file`, `_pos` and the others, see `table/hidden.rs`) in queries. A table that a query
//! asks for some of them stands under a name of its own, with just those columns after its own ones; `*` leaves them
//! out again. Tables with a column of that name keep it. It must never read a table.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::ControlFlow;

use datafusion::common::TableReference;
use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Expr, Ident, JoinConstraint, JoinOperator, ObjectName, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableAliasColumnDef, TableFactor, Visit, VisitMut,
    Visitor, VisitorMut, WildcardAdditionalOptions,
};

use super::query::ResolvedRelation;
use crate::error::{Error, Result};
use crate::parse::{fold, fold_name};
use crate::system;
use crate::table::hidden;

/// The schema of the names that stand for tables with hidden columns; no user's schema can have it.
const ROWS: &str = "pg_rows";

/// Lets every table of the query that is asked for hidden columns have them.
pub(super) fn show_hidden(
    query: &mut Query,
    relations: &mut HashMap<TableReference, ResolvedRelation>,
) -> Result<()> {
    if mentions(query, false).is_empty() {
        return Ok(());
    }
    let mut shower = Shower { relations, local: HashSet::new(), taken: 0 };
    match query.visit(&mut shower) {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// A hidden column's name as it stands in a query, and what it is qualified by.
type Mention = (Option<String>, &'static str);

/// The hidden columns that a part of a query names; with `own`, those in queries that stand in FROM are left out.
fn mentions(part: &impl Visit, own: bool) -> BTreeSet<Mention> {
    struct Mentions {
        found: BTreeSet<Mention>,
        own: bool,
        depth: usize,
    }
    impl Visitor for Mentions {
        type Break = ();

        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            self.depth += usize::from(is_derived(factor));
            ControlFlow::Continue(())
        }

        fn post_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            self.depth -= usize::from(is_derived(factor));
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
            if self.depth == 0 || !self.own {
                self.found.extend(mention(expression));
            }
            ControlFlow::Continue(())
        }
    }
    let mut mentions = Mentions { found: BTreeSet::new(), own, depth: 0 };
    let _: ControlFlow<()> = part.visit(&mut mentions);
    mentions.found
}

fn is_derived(factor: &TableFactor) -> bool {
    matches!(factor, TableFactor::Derived { lateral: false, .. })
}

fn mention(expression: &Expr) -> Option<Mention> {
    let (qualifier, name) = match expression {
        Expr::Identifier(name) => (None, name),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [.., qualifier, name] => (Some(fold(qualifier)), name),
            _ => return None,
        },
        _ => return None,
    };
    let name = fold(name);
    let mut known = hidden::NAMES.iter().chain([&hidden::TABLE_OID, &hidden::RESCUED]);
    known.find(|hidden| **hidden == name).map(|hidden| (qualifier, *hidden))
}

struct Shower<'a> {
    relations: &'a mut HashMap<TableReference, ResolvedRelation>,
    /// The names that WITH defines anywhere in the query.
    local: HashSet<String>,
    taken: usize,
}

impl VisitorMut for Shower<'_> {
    type Break = Box<Error>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Box<Error>> {
        let defined = query.with.iter().flat_map(|with| &with.cte_tables);
        self.local.extend(defined.map(|defined| fold(&defined.alias.name)));
        let ordered = query.order_by.as_ref().map(|order| mentions(order, true)).unwrap_or_default();
        match self.body(&mut query.body, &ordered) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}

impl Shower<'_> {
    fn body(&mut self, body: &mut SetExpr, ordered: &BTreeSet<Mention>) -> Result<()> {
        match body {
            SetExpr::Select(select) => self.select(select, ordered),
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left, &BTreeSet::new())?;
                self.body(right, &BTreeSet::new())
            }
            // A query in parentheses is visited by itself, and the others read no table.
            _ => Ok(()),
        }
    }

    fn select(&mut self, select: &mut Select, ordered: &BTreeSet<Mention>) -> Result<()> {
        let mut wanted = mentions(select, true);
        wanted.extend(ordered.iter().cloned());
        if wanted.is_empty() {
            return Ok(());
        }
        let mut shown = Vec::new();
        for table in &mut select.from {
            self.factor(&mut table.relation, &wanted, &mut shown)?;
            for join in &mut table.joins {
                self.factor(&mut join.relation, &wanted, &mut shown)?;
            }
        }
        if shown.is_empty() { Ok(()) } else { hide_from_wildcards(select, &shown) }
    }

    fn factor(
        &mut self,
        factor: &mut TableFactor,
        wanted: &BTreeSet<Mention>,
        shown: &mut Vec<Shown>,
    ) -> Result<()> {
        match factor {
            TableFactor::NestedJoin { table_with_joins, .. } => {
                self.factor(&mut table_with_joins.relation, wanted, shown)?;
                for join in &mut table_with_joins.joins {
                    self.factor(&mut join.relation, wanted, shown)?;
                }
                Ok(())
            }
            TableFactor::Table { name, args: None, alias, .. } => {
                shown.extend(self.table(name, alias, wanted)?);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Gives the table its hidden columns, if it is one and has any that are wanted.
    fn table(
        &mut self,
        name: &mut ObjectName,
        alias: &mut Option<TableAlias>,
        wanted: &BTreeSet<Mention>,
    ) -> Result<Option<Shown>> {
        let named = fold_name(name)?;
        if named.schema.is_none() && self.local.contains(&named.name) {
            return Ok(None);
        }
        let reference = match (named.catalog, named.schema) {
            (Some(catalog), Some(schema)) => TableReference::full(catalog, schema, named.name.clone()),
            (_, Some(schema)) => TableReference::partial(schema, named.name.clone()),
            (_, None) => TableReference::bare(named.name.clone()),
        };
        let Some(relation) = self.relations.get(&reference).cloned() else { return Ok(None) };
        if !relation.has_rows_of_its_own() {
            return Ok(None);
        }
        let called = alias.as_ref().map_or_else(|| named.name.clone(), |alias| fold(&alias.name));
        let of_this = |(qualifier, _): &&Mention| qualifier.as_ref().is_none_or(|word| *word == called);
        let columns: BTreeSet<&'static str> =
            wanted.iter().filter(of_this).map(|(_, column)| *column).collect();
        let columns: Vec<&'static str> =
            columns.into_iter().filter(|column| relation.hides(column)).collect();
        if columns.is_empty() {
            return Ok(None);
        }
        self.taken += 1;
        let stand_in = format!("{}_{}", named.name, self.taken);
        let alias = alias.get_or_insert_with(|| TableAlias {
            explicit: true,
            name: Ident::with_quote('"', &named.name),
            columns: Vec::new(),
            at: None,
        });
        if !alias.columns.is_empty() {
            let more = columns.iter().map(|column| Ident::with_quote('"', *column));
            alias.columns.extend(more.map(|name| TableAliasColumnDef { name, data_type: None }));
        }
        *name = ObjectName::from(vec![Ident::new(ROWS), Ident::with_quote('"', &stand_in)]);
        let shown = Shown { table: alias.name.clone(), columns: columns.clone() };
        let relation = ResolvedRelation::Rows { relation: Box::new(relation), columns };
        self.relations.insert(TableReference::partial(ROWS, stand_in), relation);
        Ok(Some(shown))
    }
}

impl ResolvedRelation {
    /// Whether it is a table, so that its rows have hidden columns.
    fn has_rows_of_its_own(&self) -> bool {
        match self {
            ResolvedRelation::Reading(reading) => reading.about.is_none(),
            ResolvedRelation::System { schema, name } => system::is_table(schema, name),
            ResolvedRelation::Table { .. } | ResolvedRelation::External { .. } => true,
            _ => false,
        }
    }

    /// Whether it has a hidden column of that name, and no column of its own.
    fn hides(&self, column: &str) -> bool {
        match self {
            ResolvedRelation::Table { state, .. } => {
                column != hidden::RESCUED && state.schema.field_by_name(column).is_none()
            }
            ResolvedRelation::Reading(reading) => {
                let schema = reading.version.metadata.current_schema();
                column != hidden::RESCUED && schema.field_by_name(column).is_none()
            }
            ResolvedRelation::External { external, .. } => {
                let of_files = [hidden::TABLE_OID, hidden::FILE, hidden::RESCUED].contains(&column);
                of_files && external.schema.field_by_name(column).is_none()
            }
            _ => column == hidden::TABLE_OID,
        }
    }

    /// The OID of a table.
    pub fn table_oid(&self) -> Option<u32> {
        match self {
            ResolvedRelation::Table { found, .. } | ResolvedRelation::External { found, .. } => {
                Some(found.relation.id.oid())
            }
            ResolvedRelation::Reading(reading) => Some(reading.found.relation.id.oid()),
            ResolvedRelation::System { schema, name } => system::table_oid(schema, name),
            _ => None,
        }
    }
}

/// A table of a select, by the name it goes by there, and its hidden columns that can be seen.
struct Shown {
    table: Ident,
    columns: Vec<&'static str>,
}

impl Shown {
    fn excluded(&self) -> Option<ExcludeSelectItem> {
        let name = |column: &&'static str| ObjectName::from(vec![Ident::with_quote('"', *column)]);
        Some(ExcludeSelectItem::Multiple(self.columns.iter().map(name).collect()))
    }
}

/// `*` and `t.*` stand for the columns that tables declare.
fn hide_from_wildcards(select: &mut Select, shown: &[Shown]) -> Result<()> {
    if merges_columns(select) && shown.len() > 1 {
        return Err(Error::unsupported("the hidden columns of two tables joined with USING or NATURAL")
            .with_hint("Write the join with ON."));
    }
    let mut items = Vec::with_capacity(select.projection.len());
    for item in std::mem::take(&mut select.projection) {
        match item {
            SelectItem::Wildcard(options) => items.extend(wildcards(select, shown, options)?),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), mut options) => {
                let last = name.0.last().and_then(|part| part.as_ident()).map(fold);
                if let Some(table) = shown.iter().find(|table| Some(fold(&table.table)) == last) {
                    options.opt_exclude = table.excluded();
                }
                items.push(SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(name),
                    options,
                ));
            }
            item => items.push(item),
        }
    }
    select.projection = items;
    Ok(())
}

/// What `*` means, table by table where each has a name; joins that merge columns only work as a whole.
fn wildcards(
    select: &Select,
    shown: &[Shown],
    options: WildcardAdditionalOptions,
) -> Result<Vec<SelectItem>> {
    let tables: Option<Vec<Ident>> = select
        .from
        .iter()
        .flat_map(|table| {
            std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation))
        })
        .map(called)
        .collect();
    let Some(tables) = tables.filter(|_| !merges_columns(select)) else {
        let [only] = shown else {
            return Err(Error::unsupported("* over tables without names, two of them with hidden columns,")
                .with_hint("Give every table in FROM an alias."));
        };
        return Ok(vec![SelectItem::Wildcard(WildcardAdditionalOptions {
            opt_exclude: only.excluded(),
            ..options
        })]);
    };
    let item = |table: Ident| {
        let hides = shown.iter().find(|shown| fold(&shown.table) == fold(&table));
        let opt_exclude = hides.and_then(Shown::excluded);
        let kind = SelectItemQualifiedWildcardKind::ObjectName(ObjectName::from(vec![table]));
        SelectItem::QualifiedWildcard(kind, WildcardAdditionalOptions { opt_exclude, ..options.clone() })
    };
    Ok(tables.into_iter().map(item).collect())
}

/// What a table in FROM goes by.
fn called(factor: &TableFactor) -> Option<Ident> {
    match factor {
        TableFactor::Table { name, alias, .. } => match alias {
            Some(alias) => Some(alias.name.clone()),
            None => name.0.last().and_then(|part| part.as_ident()).cloned(),
        },
        TableFactor::Derived { alias, .. } | TableFactor::UNNEST { alias, .. } => {
            alias.as_ref().map(|alias| alias.name.clone())
        }
        _ => None,
    }
}

fn merges_columns(select: &Select) -> bool {
    let merges = |constraint: &JoinConstraint| {
        matches!(constraint, JoinConstraint::Using(_) | JoinConstraint::Natural)
    };
    let joins = select.from.iter().flat_map(|table| &table.joins);
    joins.map(|join| &join.join_operator).any(|operator| match operator {
        JoinOperator::Join(on)
        | JoinOperator::Inner(on)
        | JoinOperator::Left(on)
        | JoinOperator::LeftOuter(on)
        | JoinOperator::Right(on)
        | JoinOperator::RightOuter(on)
        | JoinOperator::FullOuter(on) => merges(on),
        _ => false,
    })
}
