//! One crawl from its request to its report: gathers what there is, has it grouped and planned, and commits the plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::execution::SessionState;
use tarn_catalog::access::Principal;
use tarn_catalog::object::{ExternalTable, Relation, RelationKind};
use tarn_catalog::storage::Storage;
use tarn_catalog::{Catalog, LAKE, NamespaceId, Reader};

use super::apply::apply;
use super::group::{Found, Looked, Unfit, group};
use super::infer::{self, CsvHints, SampleLimits};
use super::plan::{Action, Known, Proposal, plan};
use super::report::CrawlReport;
use crate::error::{Error, Result};
use crate::files::listing::{self, FoundFile, Listing};
use crate::files::name::{self, Promise};
use crate::files::problem::Problem;
use crate::sqlstate::SqlState;

/// A plan that somebody else's commit overtook is made again this often.
const ATTEMPTS_MAX: usize = 5;

/// What to crawl, and the schema for the tables.
#[derive(Debug, Clone)]
pub struct CrawlRequest {
    pub location: String,
    pub schema: String,
}

/// Crawls a location: finds its tables and registers them in one commit. That the principal may create tables in the
/// schema was established before; that it may read the location is established here.
pub async fn crawl(
    request: CrawlRequest,
    principal: &Principal,
    catalog: &Arc<Catalog>,
    _state: &SessionState,
) -> Result<CrawlReport> {
    tarn_catalog::name::check_namespace_name(&request.schema)?;
    crate::temporary::check_not_temporary(&request.schema)?;
    let seen = look(&request.location, principal, catalog.storage()).await?;
    let mut attempt = 1;
    loop {
        let transaction = catalog.begin(principal.role);
        let (namespace, relations) = known_relations(transaction.reader(), &request.schema)?;
        let mut proposals = propose(&seen, &request.schema, &relations, principal)?;
        let changes = proposals.iter().any(|proposal| proposal.change.is_some());
        if !changes {
            proposals.extend(seen.notes);
            return Ok(CrawlReport { proposals });
        }
        match apply(transaction, namespace, &request.schema, &proposals, principal, catalog).await {
            Ok(_) => {
                proposals.extend(seen.notes);
                return Ok(CrawlReport { proposals });
            }
            Err(error) if overtaken(&error) && attempt < ATTEMPTS_MAX => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Whether somebody else changed what the plan rests on, or took a name first.
fn overtaken(error: &Error) -> bool {
    [SqlState::SERIALIZATION_FAILURE, SqlState::DUPLICATE_TABLE, SqlState::DUPLICATE_SCHEMA]
        .contains(&error.sqlstate)
}

/// All that was seen at a location.
struct Seen {
    /// With a slash at its end when it is a folder.
    location: String,
    all: Vec<FoundFile>,
    looked: Vec<Looked>,
    /// Files that were left out, and why.
    notes: Vec<Proposal>,
}

async fn look(location: &str, principal: &Principal, storage: &Arc<Storage>) -> Result<Seen> {
    let checked = storage.guard().user_path(principal, location)?;
    if checked.pattern().is_some() {
        let text = format!("location \"{location}\" of a crawl has a pattern");
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, text)
            .with_hint("Name the folder; the crawl finds out which of its files belong together."));
    }
    let listing = listing::list(storage, &checked).await?;
    let (files, mut notes) = sorted_out(&listing);
    let probes =
        infer::probe_all(&listing.store, &files, None, &CsvHints::default(), &SampleLimits::default())
            .await?;
    let mut looked = Vec::with_capacity(files.len());
    for (file, probe) in files.into_iter().zip(probes) {
        match probe {
            Ok(probe) => looked.push(Looked { file, probe }),
            Err(problem) => notes.push(problem_note(&file, &problem)),
        }
    }
    Ok(Seen { location: listing.location, all: listing.files, looked, notes })
}

/// The files worth looking at, and notes on those that are not. Hidden files are not mentioned: nobody put them there
/// to be read.
fn sorted_out(listing: &Listing) -> (Vec<FoundFile>, Vec<Proposal>) {
    let mut files = Vec::new();
    let mut notes = Vec::new();
    let mut foreign: BTreeMap<(String, String), u64> = BTreeMap::new();
    for file in &listing.files {
        if name::hidden(file.name()) || file.folders().any(name::hidden) {
            continue;
        }
        if file.meta.size == 0 {
            notes.push(note(Action::Skipped, file.url.clone(), 1, "the file is empty: 0 bytes".to_owned()));
        } else if name::promise(file.name()) == Promise::Foreign && listing.folder {
            let folder = file.url.rsplit_once('/').map_or("", |(folder, _)| folder);
            *foreign.entry((format!("{folder}/"), name::extension(file.name()))).or_default() += 1;
        } else {
            files.push(file.clone());
        }
    }
    for ((folder, extension), count) in foreign {
        let reason = format!("files with the extension .{extension} are not read");
        notes.push(note(Action::Skipped, folder, count, reason));
    }
    (files, notes)
}

/// The tables found, compared with the relations there are.
fn propose(
    seen: &Seen,
    schema: &str,
    relations: &[Relation],
    principal: &Principal,
) -> Result<Vec<Proposal>> {
    let external: Vec<(&Relation, &ExternalTable)> = relations
        .iter()
        .filter_map(|relation| match &relation.kind {
            RelationKind::External(table) => Some((relation, table)),
            RelationKind::Table | RelationKind::View(_) => None,
        })
        .collect();
    let tables: Vec<&ExternalTable> = external.iter().map(|(_, table)| *table).collect();
    let owners: Vec<&Relation> = external.iter().map(|(relation, _)| *relation).collect();
    let found = Found { location: &seen.location, looked: seen.looked.clone(), all: &seen.all };
    let (candidates, unfit) = group(found, &tables);
    let known = Known { schema, relations, location: &seen.location, principal };
    let mut proposals = plan(&known, &candidates, &owners)?;
    proposals.extend(unfit.iter().map(unfit_note));
    Ok(proposals)
}

fn known_relations(reader: &Reader, schema: &str) -> Result<(Option<NamespaceId>, Vec<Relation>)> {
    Ok(match reader.namespace(LAKE, schema)? {
        Some(namespace) => (Some(namespace.id), reader.relations(namespace.id)?),
        None => (None, Vec::new()),
    })
}

fn problem_note(file: &FoundFile, problem: &Problem) -> Proposal {
    let action = if problem.empty { Action::Skipped } else { Action::Error };
    let format = match name::promise(file.name()) {
        Promise::Format(format) => Some(format.name().to_owned()),
        Promise::Nothing | Promise::Foreign => None,
    };
    Proposal { format, ..note(action, file.url.clone(), 1, problem.in_words()) }
}

fn unfit_note(unfit: &Unfit) -> Proposal {
    let format = Some(unfit.format.to_owned());
    Proposal { format, ..note(Action::Error, unfit.file.url.clone(), 1, unfit.reason.clone()) }
}

fn note(action: Action, location: String, files: u64, reason: String) -> Proposal {
    Proposal {
        action,
        table: None,
        format: None,
        files,
        rows_sampled: 0,
        definition: None,
        location,
        reason: Some(reason),
        evidence: Vec::new(),
        change: None,
    }
}
