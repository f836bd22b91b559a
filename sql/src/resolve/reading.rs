//! What of a table a query reads: its rows now, on a branch, or at a moment of its history. Names with a suffix
//! (`"t@branch"`) and time travel (`t FOR VERSION AS OF …`, which `parse/travel.rs` has turned into an argument) are
//! taken apart here, each into a relation of its own, so that two versions of one table can be joined.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::TableReference;
use datafusion::sql::sqlparser::ast::{
    Ident, ObjectName, Query, TableAlias, TableFactor, VisitMut, VisitorMut,
};
use tarn_catalog::TableVersion;
use tarn_catalog::iceberg::TableState;
use tarn_catalog::object::RelationKind;

use super::names::{Found, Named, Scope};
use super::query::{ResolvedRelation, resolve_relation};
use crate::error::{Error, Result};
use crate::parse::{Moment, fold, fold_name, moment_of};
use crate::sqlstate::SqlState;
use crate::statement::Name;

/// The schema of the names that stand for tables at a moment; no user's schema can have it.
const MOMENTS: &str = "pg_moments";

/// A table, and what of it is read.
#[derive(Debug, Clone)]
pub(crate) struct TableReading {
    pub found: Found,
    pub version: Arc<TableVersion>,
    pub at: At,
}

/// The state of a table that is read.
#[derive(Debug, Clone)]
pub(crate) enum At {
    /// A branch, tag or snapshot, as written after `@`.
    #[expect(dead_code, reason = "metadata tables of a branch come with the next change")]
    Suffix(String),
    /// Found when the query is planned, because it may have to be computed.
    Moment(Moment),
}

/// A table name with time travel after it, which the query now names otherwise.
pub(super) struct Traveller {
    pub reference: TableReference,
    pub name: Name,
    pub moment: Moment,
}

/// What a name stands for, and its suffix: a relation of exactly that name, or else one with a suffix.
pub(super) fn look_up(name: &Name, scope: &Scope) -> Result<(Named, Option<String>)> {
    let missing = match scope.find(name) {
        Ok(named) => return Ok((named, None)),
        Err(error) => error,
    };
    match suffix(name) {
        Some((base, at)) if missing.sqlstate == SqlState::UNDEFINED_TABLE => {
            Ok((scope.find(&base)?, Some(at)))
        }
        _ => Err(missing),
    }
}

/// All that reading what was looked up needs.
pub(super) async fn read(
    (named, at): (Named, Option<String>),
    scope: &Scope,
    depth: usize,
) -> Result<ResolvedRelation> {
    let Some(at) = at else { return resolve_relation(named, scope, depth).await };
    let (found, version) = table(named, scope).await?;
    let state = state_of_suffix(version, &at)?;
    Ok(ResolvedRelation::Table { found: Box::new(found), state })
}

/// What a name with time travel after it stands for.
pub(super) async fn read_at(traveller: &Traveller, scope: &Scope) -> Result<ResolvedRelation> {
    let name = &traveller.name;
    if let (None, Some((base, at))) = (scope.look_up(name)?, suffix(name)) {
        let message = format!("\"{}\" and FOR … AS OF both say which version of {base} to read", name.name);
        return Err(Error::new(SqlState::SYNTAX_ERROR, message).with_hint(format!("Leave out \"@{at}\".")));
    }
    let (found, version) = table(scope.find(name)?, scope).await?;
    let at = At::Moment(traveller.moment.clone());
    Ok(ResolvedRelation::Reading(Box::new(TableReading { found, version, at })))
}

/// The state that a suffix names: a branch or tag, or a snapshot by its id.
pub(crate) fn state_of_suffix(version: Arc<TableVersion>, at: &str) -> Result<TableState> {
    match TableState::of_reference(Arc::clone(&version), at) {
        Ok(state) => Ok(state),
        Err(error) => match at.parse() {
            Ok(snapshot_id) => Ok(TableState::of_snapshot(version, snapshot_id)?),
            Err(_) => Err(error.into()),
        },
    }
}

/// `t@branch` as the table's name and what follows the last `@`.
pub(super) fn suffix(name: &Name) -> Option<(Name, String)> {
    let (base, at) = name.name.rsplit_once('@')?;
    let found = !base.is_empty() && !at.is_empty();
    found.then(|| (Name { name: base.to_owned(), ..name.clone() }, at.to_owned()))
}

/// An Iceberg table: nothing else has a history.
async fn table(named: Named, scope: &Scope) -> Result<(Found, Arc<TableVersion>)> {
    let found = match named {
        Named::Relation(found) => *found,
        Named::System { schema, name } => return Err(no_history(&format!("system table {schema}.{name}"))),
    };
    match found.relation.kind {
        RelationKind::Table => {
            let version = scope.reader.table(found.relation.id).await?;
            Ok((found, version))
        }
        RelationKind::External(_) | RelationKind::View(_) => Err(no_history(&found.label())),
    }
}

fn no_history(label: &str) -> Error {
    Error::new(SqlState::WRONG_OBJECT_TYPE, format!("{label} has no history"))
        .with_hint("Only tables made with CREATE TABLE have snapshots, branches and tags.")
}

/// Gives every table with time travel after it a name of its own.
pub(super) fn take_travellers(query: &mut Query) -> Result<Vec<Traveller>> {
    let mut taker = Taker { taken: Vec::new(), local: HashSet::new() };
    match query.visit(&mut taker) {
        ControlFlow::Break(error) => return Err(*error),
        ControlFlow::Continue(()) => {}
    }
    let shadowed = |traveller: &&Traveller| {
        traveller.name.schema.is_none() && taker.local.contains(&traveller.name.name)
    };
    if let Some(traveller) = taker.taken.iter().find(shadowed) {
        let what = format!("FOR … AS OF after \"{}\", which WITH defines,", traveller.name.name);
        return Err(Error::unsupported(what).with_hint("Write it after the tables that WITH reads."));
    }
    Ok(taker.taken)
}

struct Taker {
    taken: Vec<Traveller>,
    /// The names that WITH defines anywhere in the query.
    local: HashSet<String>,
}

impl VisitorMut for Taker {
    type Break = Box<Error>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Box<Error>> {
        let defined = query.with.iter().flat_map(|with| &with.cte_tables);
        self.local.extend(defined.map(|defined| fold(&defined.alias.name)));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Box<Error>> {
        match self.take(factor) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}

impl Taker {
    fn take(&mut self, factor: &mut TableFactor) -> Result<()> {
        let TableFactor::Table { name, args, alias, .. } = factor else { return Ok(()) };
        let Some(moment) = args.as_ref().and_then(|args| moment_of(&args.args)) else { return Ok(()) };
        let named = fold_name(name)?;
        let stand_in = format!("{}_{}", named.name, self.taken.len() + 1);
        // Its columns may be qualified by the table's name, as without the clause.
        alias.get_or_insert_with(|| TableAlias {
            explicit: true,
            name: Ident::with_quote('"', &named.name),
            columns: Vec::new(),
            at: None,
        });
        *name = ObjectName::from(vec![Ident::new(MOMENTS), Ident::with_quote('"', &stand_in)]);
        *args = None;
        let reference = TableReference::partial(MOMENTS, stand_in);
        self.taken.push(Traveller { reference, name: named, moment });
        Ok(())
    }
}
