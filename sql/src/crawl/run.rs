//! One crawl from its request to its report: gathers what there is, has it grouped and planned, and commits the plan
//! together with the record of the run.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::execution::SessionState;
use tarn_catalog::access::Principal;
use tarn_catalog::crawler::{CrawlOptions, Recrawl, RunState};
use tarn_catalog::object::{ExternalTable, Relation, RelationKind};
use tarn_catalog::storage::Storage;
use tarn_catalog::{Catalog, LAKE, NamespaceId, Reader};

use super::apply::{Recorded, apply, record};
use super::group::{Found, Looked, Unfit, covers, group};
use super::infer::{self, CsvHints, Probe, SampleLimits};
use super::plan::{Action, Known, Proposal, plan};
use super::report::CrawlReport;
use super::request::{CrawlRequest, Mode};
use crate::error::{Error, Result};
use crate::files::listing::{self, FoundFile, Listing, Matcher};
use crate::files::name::{self, Promise};
use crate::files::problem::Problem;
use crate::sqlstate::SqlState;

/// A plan that somebody else's commit overtook is made again this often.
const ATTEMPTS_MAX: usize = 5;

/// Crawls locations: finds their tables and registers them in one commit. That the principal may create tables in the
/// schema was established before; that it may read the locations is established here.
pub async fn crawl(
    request: CrawlRequest,
    principal: &Principal,
    catalog: &Arc<Catalog>,
    _state: &SessionState,
) -> Result<CrawlReport> {
    tarn_catalog::name::check_namespace_name(&request.schema)?;
    crate::temporary::check_not_temporary(&request.schema)?;
    let started_at_ms = catalog.env().now_ms();
    let (_, relations) = known_relations(&catalog.reader(), &request.schema)?;
    let mut seen = Vec::with_capacity(request.locations.len());
    for location in &request.locations {
        seen.push(look(location, &request.options, &relations, principal, catalog.storage()).await?);
    }
    let mut attempt = 1;
    loop {
        let transaction = catalog.begin(principal.role);
        let (namespace, relations) = known_relations(transaction.reader(), &request.schema)?;
        let mut proposals = propose(&seen, &request, relations, principal)?;
        check_number(&proposals, &request.options)?;
        let changes = proposals.iter().any(|proposal| proposal.change.is_some());
        let notes = seen.iter().flat_map(|seen| seen.notes.iter().cloned());
        if !changes {
            proposals.extend(notes);
            return Ok(CrawlReport { proposals, run: None });
        }
        let recorded = Recorded { request: &request, principal, started_at_ms, namespace };
        let outcome = match request.mode {
            Mode::Plan => record(transaction, &proposals, &recorded, catalog).await,
            Mode::Run | Mode::RefreshOnly => apply(transaction, &proposals, &recorded, catalog).await,
        };
        match outcome {
            Ok(run) => {
                proposals.extend(notes);
                let state = if request.mode == Mode::Plan { RunState::Planned } else { RunState::Applied };
                return Ok(CrawlReport { proposals, run: Some((run, state)) });
            }
            Err(error) if overtaken(&error) && attempt < ATTEMPTS_MAX => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

/// A crawl that finds far more tables than anybody expects is a mistake, and changes nothing.
fn check_number(proposals: &[Proposal], options: &CrawlOptions) -> Result<()> {
    let gone = [Action::Missing, Action::Deprecated, Action::Dropped];
    let tables = proposals.iter().filter(|line| line.table.is_some() && !gone.contains(&line.action)).count();
    match options.max_tables {
        Some(most) if tables as u64 > most => {
            let message = format!("the crawl finds {tables} tables, more than max_tables, which is {most}");
            Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
                .with_detail("Nothing was changed.")
                .with_hint(
                    "See with mode => 'plan' and a higher max_tables what they are; exclude what is none.",
                ))
        }
        _ => Ok(()),
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
    /// The ids of tables whose files were not looked at, because they are known.
    untouched: Vec<u64>,
}

async fn look(
    location: &str,
    options: &CrawlOptions,
    relations: &[Relation],
    principal: &Principal,
    storage: &Arc<Storage>,
) -> Result<Seen> {
    let checked = storage.guard().user_path(principal, location)?;
    if checked.pattern().is_some() {
        let text = format!("location \"{location}\" of a crawl has a pattern");
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, text)
            .with_hint("Name the folder; the crawl finds out which of its files belong together."));
    }
    let mut listing = listing::list(storage, &checked).await?;
    let patterns = options.exclude.iter().map(|pattern| Matcher::new(pattern)).collect::<Result<Vec<_>>>()?;
    listing.files.retain(|file| {
        let deep = options.max_depth.is_some_and(|most| file.folders().count() as u64 > most);
        !deep && !patterns.iter().any(|pattern| pattern.matches(&file.relative))
    });
    let tables = external(relations);
    let of_table = |file: &FoundFile| tables.iter().find(|(_, table)| covers(table, file));
    let (mut files, mut notes) = sorted_out(&listing);
    let mut untouched = Vec::new();
    if options.recrawl == Recrawl::NewFiles {
        files.retain(|file| match of_table(file) {
            Some((relation, _)) => {
                if !untouched.contains(&relation.id.0) {
                    untouched.push(relation.id.0);
                }
                false
            }
            None => true,
        });
    }
    let (files, others) = sampled(files, options.sample_files);
    let probes =
        infer::probe_all(&listing.store, &files, None, &CsvHints::default(), &SampleLimits::default())
            .await?;
    let mut looked = Vec::with_capacity(files.len());
    for (place, (file, probe)) in files.into_iter().zip(probes).enumerate() {
        match probe {
            Ok(probe) => {
                looked.extend(
                    others.iter().filter(|(like, _)| *like == place).map(|(_, other)| unseen(other, &probe)),
                );
                looked.push(Looked { file, probe });
            }
            Err(problem) => notes.push(problem_note(&file, &problem)),
        }
    }
    Ok(Seen { location: listing.location, all: listing.files, looked, notes, untouched })
}

/// The files to look at, and of each other one which of these it is taken to be like: of every series of files in one
/// folder only some are looked at, from its whole length.
fn sampled(files: Vec<FoundFile>, most: Option<u64>) -> (Vec<FoundFile>, Vec<(usize, FoundFile)>) {
    let Some(most) = most.and_then(|most| usize::try_from(most).ok()) else { return (files, Vec::new()) };
    let mut series: BTreeMap<(String, String), Vec<FoundFile>> = BTreeMap::new();
    for file in files {
        let plain = |folder: &str| name::partition(folder).is_none() && !name::date_part(folder);
        let folders: Vec<&str> = file.folders().filter(|folder| plain(folder)).collect();
        let key = (folders.join("/"), name::numbers_as_pattern(file.name()));
        series.entry(key).or_default().push(file);
    }
    let (mut chosen, mut others) = (Vec::new(), Vec::new());
    for files in series.into_values() {
        let step = files.len().div_ceil(most).max(1);
        for (place, file) in files.into_iter().enumerate() {
            if place % step == 0 {
                chosen.push(file);
            } else {
                others.push((chosen.len() - 1, file));
            }
        }
    }
    (chosen, others)
}

/// A file that was not looked at, taken to be like one that was.
fn unseen(file: &FoundFile, like: &Probe) -> Looked {
    let probe = Probe { rows: 0, whole: false, evidence: Vec::new(), decisions: Vec::new(), ..like.clone() };
    Looked { file: file.clone(), probe }
}

fn external(relations: &[Relation]) -> Vec<(&Relation, &ExternalTable)> {
    let external = relations.iter().filter_map(|relation| match &relation.kind {
        RelationKind::External(table) => Some((relation, table)),
        RelationKind::Table | RelationKind::View(_) => None,
    });
    external.collect()
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

/// The tables found, compared with the relations there are. What one location adds, the next one finds taken.
fn propose(
    seen: &[Seen],
    request: &CrawlRequest,
    mut relations: Vec<Relation>,
    principal: &Principal,
) -> Result<Vec<Proposal>> {
    let mut proposals: Vec<Proposal> = Vec::new();
    let mut taken: Vec<String> = Vec::new();
    for seen in seen {
        let untouched = |relation: &&Relation| seen.untouched.contains(&relation.id.0);
        taken.extend(relations.iter().filter(untouched).map(|relation| relation.name.clone()));
        relations.retain(|relation| !untouched(&relation));
        let external = external(&relations);
        let tables: Vec<&ExternalTable> = external.iter().map(|(_, table)| *table).collect();
        let owners: Vec<&Relation> = external.iter().map(|(relation, _)| *relation).collect();
        let separate = request.options.separate;
        let found = Found { location: &seen.location, looked: seen.looked.clone(), all: &seen.all, separate };
        let (candidates, unfit) = group(found, &tables);
        let known = Known {
            schema: &request.schema,
            relations: &relations,
            taken: &taken,
            location: &seen.location,
            principal,
            options: &request.options,
            creates: request.mode != Mode::RefreshOnly,
        };
        let planned = plan(&known, &candidates, &owners)?;
        taken.extend(
            planned.iter().filter_map(|proposal| proposal.table.as_ref()).map(|table| table.name.clone()),
        );
        proposals.extend(planned);
        proposals.extend(unfit.iter().map(unfit_note));
    }
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
        inference: Vec::new(),
        confidence: 1.0,
        change: None,
    }
}
