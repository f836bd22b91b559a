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

use super::names::{Found, Named, Scope, nearest};
use super::query::{ResolvedRelation, resolve_relation};
use crate::error::{Error, Result};
use crate::inspect::MetadataTable;
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
    /// A table about the table; None for its rows.
    pub about: Option<MetadataTable>,
}

/// The state of a table that is read.
#[derive(Debug, Clone)]
pub(crate) enum At {
    Now,
    /// A branch, tag or snapshot, as written after `@`.
    Suffix(String),
    /// Found when the query is planned, because it may have to be computed.
    Moment(Moment),
}

/// What a name has after the table's own: `"t@branch"`, `"t$files"`, `"t$files@branch"`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Suffix {
    pub at: Option<String>,
    pub about: Option<MetadataTable>,
}

/// A table name with time travel after it, which the query now names otherwise.
pub(super) struct Traveller {
    pub reference: TableReference,
    pub name: Name,
    pub moment: Moment,
}

/// What a name stands for, and its suffix: a relation of exactly that name, or else one with a suffix.
pub(super) fn look_up(name: &Name, scope: &Scope) -> Result<(Named, Option<Suffix>)> {
    let missing = match scope.find(name) {
        Ok(named) => return Ok((named, None)),
        Err(error) => error,
    };
    if missing.sqlstate != SqlState::UNDEFINED_TABLE {
        return Err(missing);
    }
    match split(name) {
        Some((base, suffix)) => Ok((scope.find(&base)?, Some(suffix))),
        None => Err(misspelt(name, missing, scope)),
    }
}

/// `"t$snapshot"` is near a table about a table.
fn misspelt(name: &Name, missing: Error, scope: &Scope) -> Error {
    let Some((base, about)) = name.name.rsplit_once('$') else { return missing };
    if scope.find(&Name { name: base.to_owned(), ..name.clone() }).is_err() {
        return missing;
    }
    missing.with_hint(match nearest(about, MetadataTable::names()) {
        Some(near) => format!("Did you mean \"{base}${near}\"?"),
        None => {
            let names: Vec<&str> = MetadataTable::names().collect();
            format!("The tables about a table are: ${}.", names.join(", $"))
        }
    })
}

/// All that reading what was looked up needs.
pub(super) async fn read(
    (named, suffix): (Named, Option<Suffix>),
    scope: &Scope,
    depth: usize,
) -> Result<ResolvedRelation> {
    let Some(Suffix { at, about }) = suffix else { return resolve_relation(named, scope, depth).await };
    let (found, version) = table(named, scope).await?;
    match (at, about) {
        (Some(at), None) => {
            let state = state_of_suffix(version, &at)?;
            Ok(ResolvedRelation::Table { found: Box::new(found), state })
        }
        (at, about) => {
            let at = at.map_or(At::Now, At::Suffix);
            reading(TableReading { found, version, at, about })
        }
    }
}

/// What a name with time travel after it stands for.
pub(super) async fn read_at(traveller: &Traveller, scope: &Scope) -> Result<ResolvedRelation> {
    let name = &traveller.name;
    let (named, suffix) = look_up(name, scope)?;
    let (at, about) = suffix.map_or((None, None), |suffix| (suffix.at, suffix.about));
    if let Some(at) = at {
        let message = format!("\"{}\" and FOR … AS OF both say which version to read", name.name);
        return Err(Error::new(SqlState::SYNTAX_ERROR, message).with_hint(format!("Leave out \"@{at}\".")));
    }
    let (found, version) = table(named, scope).await?;
    reading(TableReading { found, version, at: At::Moment(traveller.moment.clone()), about })
}

/// Only some tables about a table are about one state of it.
fn reading(reading: TableReading) -> Result<ResolvedRelation> {
    if let Some(about) = reading.about
        && !about.is_of_snapshot()
        && !matches!(reading.at, At::Now)
    {
        let message = format!("reading \"{}${}\" as of a version", reading.found.relation.name, about.name());
        return Err(
            Error::unsupported(message).with_detail("It tells of the whole table, not of one snapshot.")
        );
    }
    Ok(ResolvedRelation::Reading(Box::new(reading)))
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

/// The table's name and what follows it. The suffixes come in either order.
fn split(name: &Name) -> Option<(Name, Suffix)> {
    let mut base = name.name.as_str();
    let mut suffix = Suffix { at: None, about: None };
    loop {
        let at = base.rfind(['@', '$'])?;
        let (rest, after) = (&base[..at], &base[at + 1..]);
        if rest.is_empty() || after.is_empty() {
            return None;
        }
        if base[at..].starts_with('@') && suffix.at.is_none() {
            suffix.at = Some(after.to_owned());
        } else if suffix.about.is_none() {
            suffix.about = Some(MetadataTable::from_name(after)?);
        } else {
            return None;
        }
        base = rest;
        let more = base.rfind(['@', '$']).is_some_and(|at| match base[at..].starts_with('@') {
            true => suffix.at.is_none(),
            false => suffix.about.is_none() && MetadataTable::from_name(&base[at + 1..]).is_some(),
        });
        if !more {
            return Some((Name { name: base.to_owned(), ..name.clone() }, suffix));
        }
    }
}

/// `t@branch` as the table's name and the branch's.
pub(super) fn branch_suffix(name: &Name) -> Option<(Name, String)> {
    match split(name)? {
        (base, Suffix { at: Some(at), about: None }) => Some((base, at)),
        _ => None,
    }
}

/// An Iceberg table: nothing else has a history.
pub(super) async fn table(named: Named, scope: &Scope) -> Result<(Found, Arc<TableVersion>)> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_split_off_a_name() {
        let check = |name: &str, expect: Option<(&str, Option<&str>, Option<&str>)>| {
            let name = Name { catalog: None, schema: None, name: name.to_owned() };
            let got = split(&name);
            let got = got.as_ref().map(|(base, suffix)| {
                (base.name.as_str(), suffix.at.as_deref(), suffix.about.map(MetadataTable::name))
            });
            assert_eq!(got, expect, "{}", name.name);
        };
        check("t", None);
        check("t@b", Some(("t", Some("b"), None)));
        check("t$files", Some(("t", None, Some("files"))));
        check("t$files@b", Some(("t", Some("b"), Some("files"))));
        check("t@b$files", Some(("t", Some("b"), Some("files"))));
        check("a@b@c", Some(("a@b", Some("c"), None)));
        check("a$b@c", Some(("a$b", Some("c"), None)));
        check("t$nothing", None);
        check("@b", None);
        check("t@", None);
    }
}
