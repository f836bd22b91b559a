//! `remove_orphan_files`: files below a table's folder that nothing leads to. None is younger than a day, whatever is
//! asked for, because a write of another engine may still be on its way to its commit.

use tarn_catalog::iceberg::upkeep::ORPHAN_AGE_MIN_MS;

use super::report::Report;
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::plan::Context;
use crate::procedure::ProcedureCall;
use crate::resolve::TableTarget;
use crate::sqlstate::SqlState;

/// What Iceberg's own procedure takes for the age: three days.
pub(crate) const ORPHAN_AGE_MS: i64 = 3 * 24 * 60 * 60 * 1000;

/// The procedure.
pub(super) async fn run(call: ProcedureCall, context: &Context) -> Result<Outcome> {
    let arguments = &call.arguments;
    let mut age_ms = arguments.integer("retention_threshold").unwrap_or(ORPHAN_AGE_MS);
    if let Some(older_than) = arguments.time_ms("older_than", context)? {
        age_ms = context.catalog().env().now_ms().saturating_sub(older_than);
    }
    let dry_run = arguments.boolean("dry_run").unwrap_or(false);
    remove(call.table()?, age_ms, dry_run, context).await?.into_outcome(call.tag)
}

/// Removes orphans of at least this age, or says what they are.
pub(crate) async fn remove(
    target: &TableTarget,
    age_ms: i64,
    dry_run: bool,
    context: &Context,
) -> Result<Report> {
    if age_ms < ORPHAN_AGE_MIN_MS {
        let message = "files younger than 24 hours are never removed as orphans";
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
            .with_detail("Another engine may be writing them and commit them later.")
            .with_hint("Give at least '1d'."));
    }
    let catalog = context.catalog();
    let cutoff_ms = catalog.env().now_ms().saturating_sub(age_ms);
    let search = async { Ok(catalog.orphans(target.found.relation.id, cutoff_ms).await?) };
    let orphans = context.stop.or(search).await?;
    let mut report = Report::default();
    if dry_run {
        for orphan in &orphans.found {
            report.path("orphan file", i64::try_from(orphan.bytes).ok(), orphan.url.as_str());
        }
        return Ok(report);
    }
    let deletion = async { Ok(catalog.delete_orphans(&target.version, &orphans.found).await?) };
    let (files, bytes) = context.stop.or(deletion).await?;
    report.figure("listed_files", orphans.listed);
    report.figure("deleted_orphan_files", files);
    report.figure("deleted_orphan_bytes", bytes);
    report.figure("more_orphans", i64::from(orphans.more));
    Ok(report)
}
