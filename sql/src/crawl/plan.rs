//! What a crawl would change, one proposal per table and per thing left out, each with its reason and the values that
//! decided. Pure: the catalog as it is and the tables that were found in, proposals out. Next: `apply.rs`.

use std::collections::{BTreeMap, HashSet};

use arrow::datatypes::Schema;
use tarn_catalog::access::Principal;
use tarn_catalog::crawler::{CrawlOptions, OnDelete, OnUpdate};
use tarn_catalog::name::RelationName;
use tarn_catalog::object::{ExternalTable, Inference, Relation, RelationKind};

use super::group::Candidate;
use super::infer::{finished, merged, with_date_orders, with_known_orders};
use super::inference::inference;
use super::name::table_names;
use super::report::type_text;
use crate::error::Result;
use crate::table::{arrow_schema, iceberg_schema};

/// What the comment of a table begins with whose files are gone.
const DEPRECATED: &str = "deprecated: its files are gone.";

/// What happens to a table, or to files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Created,
    Updated,
    Unchanged,
    /// Files that are no table.
    Skipped,
    /// Files that should be a table and cannot be read, or a table that may not be changed.
    Error,
    /// A table whose files are gone. It is kept.
    Missing,
    /// A table whose files are gone, marked as such.
    Deprecated,
    /// A table that went with its files.
    Dropped,
}

impl Action {
    pub fn name(self) -> &'static str {
        match self {
            Action::Created => "created",
            Action::Updated => "updated",
            Action::Unchanged => "unchanged",
            Action::Skipped => "skipped",
            Action::Error => "error",
            Action::Missing => "missing",
            Action::Deprecated => "deprecated",
            Action::Dropped => "dropped",
        }
    }
}

/// A change of the catalog.
#[derive(Debug, Clone, PartialEq)]
pub enum Proposed {
    Create {
        name: String,
        table: ExternalTable,
    },
    Update {
        before: Box<Relation>,
        after: ExternalTable,
    },
    /// A new comment.
    Deprecate {
        before: Box<Relation>,
        comment: String,
    },
    Drop {
        before: Box<Relation>,
    },
}

/// One line of a plan.
#[derive(Debug, Clone)]
pub struct Proposal {
    pub action: Action,
    /// The table, if there is one.
    pub table: Option<RelationName>,
    pub format: Option<String>,
    pub files: u64,
    pub rows_sampled: u64,
    /// The table's definition as it will be.
    pub definition: Option<ExternalTable>,
    pub location: String,
    pub reason: Option<String>,
    /// Why it is read as it is, and has its types.
    pub inference: Vec<Inference>,
    /// From 0 to 1.
    pub confidence: f64,
    pub change: Option<Proposed>,
}

/// The catalog's side of a plan.
pub struct Known<'a> {
    pub schema: &'a str,
    /// All relations of the schema.
    pub relations: &'a [Relation],
    /// Names that this crawl gives to other tables.
    pub taken: &'a [String],
    /// The URL of the crawled folder or file.
    pub location: &'a str,
    pub principal: &'a Principal,
    pub options: &'a CrawlOptions,
    /// New tables are made.
    pub creates: bool,
}

/// Compares the tables that were found with those that exist.
pub fn plan(known: &Known<'_>, candidates: &[Candidate], external: &[&Relation]) -> Result<Vec<Proposal>> {
    let names = known.relations.iter().map(|relation| &relation.name).chain(known.taken);
    let taken: HashSet<String> = names.cloned().collect();
    let fresh: Vec<&Candidate> = candidates.iter().filter(|candidate| candidate.of_table.is_none()).collect();
    let mut names = table_names(&fresh, &known.options.table_prefix, &taken).into_iter();
    let mut proposals = Vec::with_capacity(candidates.len());
    let mut seen: HashSet<u64> = HashSet::new();
    for candidate in candidates {
        proposals.push(match candidate.of_table.and_then(|index| external.get(index)) {
            Some(relation) => {
                seen.insert(relation.id.0);
                update(known, candidate, relation)?
            }
            None => create(known, candidate, names.next().unwrap_or_default())?,
        });
    }
    for relation in external.iter().filter(|relation| !seen.contains(&relation.id.0)) {
        proposals.extend(missing(known, relation));
    }
    proposals.sort_by(|one, other| one.table.cmp(&other.table));
    Ok(proposals)
}

fn create(known: &Known<'_>, candidate: &Candidate, name: String) -> Result<Proposal> {
    let schema = finished(&candidate.schema);
    let table = ExternalTable {
        inference: inference(candidate, &schema),
        location: candidate.location.clone(),
        pattern: candidate.pattern.clone(),
        format: candidate.format.clone(),
        schema: iceberg_schema(&schema)?,
        properties: figures(candidate),
        date_columns: candidate.date_columns.clone(),
    };
    let mut proposal = proposal(known, candidate, Action::Created, &name);
    proposal.definition = Some(table.clone());
    match known.creates {
        true => proposal.change = Some(Proposed::Create { name, table }),
        false => {
            proposal.action = Action::Skipped;
            proposal.reason = Some("it is no table yet, and this run makes none".to_owned());
        }
    }
    Ok(proposal)
}

/// The table with the columns that are new and the types that became wider; columns that are gone stay.
fn update(known: &Known<'_>, candidate: &Candidate, relation: &Relation) -> Result<Proposal> {
    let mut proposal = proposal(known, candidate, Action::Unchanged, &relation.name);
    let RelationKind::External(before) = &relation.kind else { return Ok(proposal) };
    let columns = columns_of(before)?;
    let text_holds_all = candidate.format.name() != "parquet";
    proposal.definition = Some(before.clone());
    let Some(columns) = merged(&columns, &candidate.schema, text_holds_all) else {
        proposal.action = Action::Error;
        proposal.reason =
            Some("the files' columns have other types than the table's; drop it to start anew".into());
        return Ok(proposal);
    };
    let mut properties = before.properties.clone();
    if before.location.starts_with(known.location) {
        properties.extend(figures(candidate));
    } else {
        proposal.reason = Some("only a part of its files lies in the crawled folder".to_owned());
    }
    let format = with_date_orders(before.format.clone(), &columns);
    let schema = finished(&columns);
    let inference = inference(candidate, &schema);
    let schema = iceberg_schema(&schema)?;
    let after = ExternalTable { schema, format, properties, inference, ..before.clone() };
    let Some(reason) = difference(before, &after)? else { return Ok(proposal) };
    if !known.principal.acts_as(relation.owner) {
        proposal.action = Action::Error;
        proposal.reason = Some(format!("must be owner of table {}: {reason}", relation.name));
        return Ok(proposal);
    }
    if known.options.on_update == OnUpdate::Log {
        proposal.reason = Some(format!("left as it is: {reason}"));
        return Ok(proposal);
    }
    proposal.action = Action::Updated;
    proposal.reason = Some(reason);
    proposal.definition = Some(after.clone());
    proposal.change = Some(Proposed::Update { before: Box::new(relation.clone()), after });
    Ok(proposal)
}

/// A table below the crawled location of which no file was seen.
fn missing(known: &Known<'_>, relation: &Relation) -> Option<Proposal> {
    let RelationKind::External(table) = &relation.kind else { return None };
    if !table.location.starts_with(known.location) {
        return None;
    }
    let before = Box::new(relation.clone());
    let deprecated = relation.comment.as_deref().is_some_and(|comment| comment.starts_with(DEPRECATED));
    let (action, reason, change) = match known.options.on_delete {
        _ if !known.principal.acts_as(relation.owner) => {
            (Action::Missing, "it is somebody else's, and kept", None)
        }
        OnDelete::Log => (Action::Missing, "the table is kept", None),
        OnDelete::Deprecate if deprecated => (Action::Missing, "the table is marked so already", None),
        OnDelete::Deprecate => {
            let text = relation.comment.as_deref().unwrap_or_default();
            let comment = format!("{DEPRECATED} {text}").trim_end().to_owned();
            (Action::Deprecated, "its comment says so", Some(Proposed::Deprecate { before, comment }))
        }
        OnDelete::Drop => (Action::Dropped, "the table goes with them", Some(Proposed::Drop { before })),
    };
    Some(Proposal {
        action,
        table: Some(qualified(known, &relation.name)),
        format: Some(table.format.name().to_owned()),
        files: 0,
        rows_sampled: 0,
        definition: Some(table.clone()),
        location: table.location.clone(),
        reason: Some(format!("no file of it can be read any more; {reason}")),
        inference: Vec::new(),
        confidence: 1.0,
        change,
    })
}

/// How sure it is that the files are read as they are meant: less when only beginnings were looked at, and when it is a
/// guess how they are read.
fn confidence(candidate: &Candidate) -> f64 {
    let all = candidate.files.max(1) as f64;
    let partly = 0.2 * candidate.partly as f64 / all;
    let guesses = 0.3 * candidate.guesses as f64 / all;
    ((1.0 - partly - guesses) * 100.0).round() / 100.0
}

fn proposal(known: &Known<'_>, candidate: &Candidate, action: Action, name: &str) -> Proposal {
    Proposal {
        action,
        table: Some(qualified(known, name)),
        format: Some(candidate.format.name().to_owned()),
        files: candidate.files,
        rows_sampled: candidate.rows,
        definition: None,
        location: candidate.location.clone(),
        reason: (candidate.partly > 0)
            .then(|| format!("of {} files only the beginning was looked at", candidate.partly)),
        inference: inference(candidate, &finished(&candidate.schema)),
        confidence: confidence(candidate),
        change: None,
    }
}

/// The columns of a table, without the ids of its fields, with the orders of its days.
fn columns_of(table: &ExternalTable) -> Result<Schema> {
    let schema = arrow_schema(&table.schema)?;
    Ok(with_known_orders(finished(schema.as_ref()), &table.format))
}

fn qualified(known: &Known<'_>, name: &str) -> RelationName {
    RelationName { namespace: known.schema.to_owned(), name: name.to_owned() }
}

fn figures(candidate: &Candidate) -> BTreeMap<String, String> {
    let figure = |name: &str, value: u64| (name.to_owned(), value.to_string());
    BTreeMap::from([
        figure("files", candidate.files),
        figure("bytes", candidate.bytes),
        figure("rows_sampled", candidate.rows),
    ])
}

/// In words, what differs between two definitions; none when nothing does.
fn difference(before: &ExternalTable, after: &ExternalTable) -> Result<Option<String>> {
    let (old, new) = (columns_of(before)?, columns_of(after)?);
    let mut reasons = Vec::new();
    for field in new.fields() {
        match old.field_with_name(field.name()) {
            Err(_) => reasons.push(format!("new column {}", field.name())),
            Ok(same) if same.data_type() != field.data_type() => {
                reasons.push(format!("column {} is now {}", field.name(), type_text(field)));
            }
            Ok(_) => {}
        }
    }
    for figure in ["files", "bytes"] {
        let (old, new) = (before.properties.get(figure), after.properties.get(figure));
        if let (Some(old), Some(new)) = (old, new)
            && old != new
        {
            reasons.push(format!("{new} {figure}, before {old}"));
        }
    }
    Ok((!reasons.is_empty()).then(|| reasons.join("; ")))
}
