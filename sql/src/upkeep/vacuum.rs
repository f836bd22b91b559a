//! `VACUUM t`: the sum of a table's upkeep, each part with its own defaults. The parts commit one by one, so what was
//! done stays done when a later part fails.

use tarn_catalog::iceberg::upkeep::ExpireOptions;

use super::orphans::ORPHAN_AGE_MS;
use super::report::Report;
use super::{analyze, expire, optimize, orphans};
use crate::error::Result;
use crate::outcome::Outcome;
use crate::plan::Context;
use crate::procedure::ProcedureCall;
use crate::resolve::TableTarget;

/// The procedure.
pub(super) async fn run(call: ProcedureCall, context: &Context) -> Result<Outcome> {
    let target = call.table()?;
    let dry_run = call.arguments.boolean("dry_run").unwrap_or(false);
    let mut report = Report::default();
    let options = optimize::Options { dry_run, ..optimize::Options::standard() };
    report.append(optimize::optimize(target, &options, None, context).await?);
    let target = &newest(target, context).await?;
    report.append(expire::expire(target, &ExpireOptions::default(), dry_run, context).await?);
    report.append(orphans::remove(&newest(target, context).await?, ORPHAN_AGE_MS, dry_run, context).await?);
    if call.arguments.boolean("analyze").unwrap_or(false) && !dry_run {
        report.append(analyze::analyze(&newest(target, context).await?, None, context).await?);
    }
    tracing::info!(table = target.found.qualified(), summary = report.summary(), "vacuum");
    report.into_outcome(call.tag)
}

/// The same table as it is now.
pub(super) async fn newest(target: &TableTarget, context: &Context) -> Result<TableTarget> {
    let version = context.catalog().reader().table(target.found.relation.id).await?;
    Ok(TableTarget { version, ..target.clone() })
}
