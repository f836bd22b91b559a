//! `rewrite_position_deletes`: the position-delete files that one data file has collected become one, or in format
//! version 3 one deletion vector. The data files stay as they are.

use std::sync::Arc;

use iceberg::spec::FormatVersion;
use tarn_catalog::iceberg::{Operation, Rewrite, SnapshotFiles, snapshot_files};

use super::report::Report;
use crate::error::{Error, Result};
use crate::execute::add_files;
use crate::outcome::Outcome;
use crate::plan::Context;
use crate::procedure::ProcedureCall;
use crate::resolve::TableTarget;
use crate::sqlstate::SqlState;

/// How often it is tried when others keep changing the table.
const TRIES: usize = 3;

/// The procedure.
pub(super) async fn run(call: ProcedureCall, context: &Context) -> Result<Outcome> {
    let target = call.table()?;
    let least = call.arguments.integer("min_input_files").unwrap_or(2);
    let least = usize::try_from(least).ok().filter(|least| *least > 0).ok_or_else(|| {
        let message = "argument \"min_input_files\" of rewrite_position_deletes must be at least 1";
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
    })?;
    let dry_run = call.arguments.boolean("dry_run").unwrap_or(false);
    merge(target, least, dry_run, context).await?.into_outcome(call.tag)
}

/// Merges the position deletes of every data file that has at least this many files of them.
async fn merge(target: &TableTarget, least: usize, dry_run: bool, context: &Context) -> Result<Report> {
    let mut target = target.clone();
    for attempt in 1.. {
        let chosen = context.stop.or(chosen(&target, least, context)).await?;
        let mut report = Report::default();
        if dry_run {
            for (url, deletes) in chosen {
                report.path("data file", i64::try_from(deletes).ok(), url);
            }
            return Ok(report);
        }
        let deletes: usize = chosen.iter().map(|(_, deletes)| deletes).sum();
        report.figure("data_files", chosen.len());
        report.figure("rewritten_delete_files", deletes);
        if chosen.is_empty() {
            return Ok(report);
        }
        let merged_deletes = chosen.into_iter().map(|(url, _)| url).collect();
        let operation = Operation::Rewrite(Rewrite { merged_deletes, ..Rewrite::default() });
        match add_files(&target, operation, Vec::new(), context).await {
            Ok(()) => return Ok(report),
            Err(error) if error.sqlstate == SqlState::SERIALIZATION_FAILURE && attempt < TRIES => {
                target = super::vacuum::newest(&target, context).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Report::default())
}

/// Data files and the number of their position-delete files.
async fn chosen(target: &TableTarget, least: usize, context: &Context) -> Result<Vec<(String, usize)>> {
    let Some(snapshot) = target.state()?.snapshot_id else { return Ok(Vec::new()) };
    let metadata = Arc::clone(&target.version.metadata);
    let storage = context.catalog().storage();
    let SnapshotFiles { data, deletes } = snapshot_files(storage, &metadata, snapshot).await?;
    let vectors = metadata.format_version() == FormatVersion::V3;
    let mut chosen = Vec::new();
    for live in &data {
        let Some(positions) = deletes.of(live).positions else { continue };
        let count = positions.files.len();
        let old_form = vectors && positions.vector().is_none();
        if old_form || (positions.vector().is_none() && count >= least) {
            chosen.push((live.file.file_path().to_owned(), count));
        }
    }
    Ok(chosen)
}
