//! `expire_snapshots`: snapshots, branches and tags that have had their time leave the metadata in one commit, which also
//! writes down what they leave behind. The files go when nobody can be reading them any more.

use std::collections::{BTreeMap, HashSet};

use iceberg::TableUpdate;
use iceberg::spec::TableMetadata;
use tarn_catalog::iceberg::references;
use tarn_catalog::iceberg::upkeep::{ExpireOptions, Expiry, FileKind, expiry, statistics_files, unreached};

use super::commit::{commit_metadata, reap_after};
use super::report::Report;
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::plan::Context;
use crate::procedure::ProcedureCall;
use crate::resolve::TableTarget;
use crate::sqlstate::SqlState;

/// The procedure.
pub(super) async fn run(call: ProcedureCall, context: &Context) -> Result<Outcome> {
    let arguments = &call.arguments;
    let ids = arguments.texts("snapshot_ids").unwrap_or_default();
    let id = |text: &String| {
        text.trim().parse::<i64>().map_err(|_| {
            let message = format!("\"{text}\" is not the id of a snapshot");
            Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
        })
    };
    let mut max_age_ms = arguments.integer("retention_threshold");
    if let Some(older_than) = arguments.time_ms("older_than", context)? {
        max_age_ms = Some(context.catalog().env().now_ms().saturating_sub(older_than));
    }
    let retain_last = arguments.integer("retain_last");
    if retain_last.is_some_and(|count| count < 1) {
        let message = "argument \"retain_last\" of expire_snapshots must be at least 1";
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    let options = ExpireOptions {
        max_age_ms,
        retain_last: retain_last.and_then(|count| usize::try_from(count).ok()),
        snapshot_ids: ids.iter().map(id).collect::<Result<_>>()?,
    };
    let dry_run = arguments.boolean("dry_run").unwrap_or(false);
    expire(call.table()?, &options, dry_run, context).await?.into_outcome(call.tag)
}

/// Expires, or says what would expire.
pub(crate) async fn expire(
    target: &TableTarget,
    options: &ExpireOptions,
    dry_run: bool,
    context: &Context,
) -> Result<Report> {
    let catalog = context.catalog();
    let metadata = &target.version.metadata;
    let goes = expiry(metadata, &references(metadata)?, options, catalog.env().now_ms())?;
    let old_metadata = context.stop.or(async { Ok(catalog.old_metadata(&target.version).await?) }).await?;
    let kept = without(metadata, &goes)?;
    let expired: HashSet<i64> = goes.snapshots.iter().copied().collect();
    let gone = metadata.snapshots().filter(|snapshot| expired.contains(&snapshot.snapshot_id()));
    let lists: Vec<String> = gone.map(|snapshot| snapshot.manifest_list().to_owned()).collect();
    let files =
        context.stop.or(async { Ok(unreached(catalog.storage(), &kept, &lists).await?.files) }).await?;
    let still = statistics_files(&kept);
    let statistics: Vec<String> =
        statistics_files(metadata).into_iter().filter(|url| !still.contains(url)).collect();
    if dry_run {
        return Ok(would_go(&goes, &files, &statistics, &old_metadata));
    }
    let mut counts: BTreeMap<FileKind, usize> = BTreeMap::new();
    for (kind, _) in &files {
        *counts.entry(*kind).or_default() += 1;
    }
    counts.insert(FileKind::Statistics, statistics.len());
    counts.insert(FileKind::Metadata, old_metadata.len());
    if !goes.is_empty() || !old_metadata.is_empty() {
        let others = statistics.into_iter().chain(old_metadata).collect();
        let discard = catalog.to_discard(&target.version, lists, others);
        let commit = commit_metadata(target, updates(&goes), vec![discard], None, context).await?;
        reap_after(commit, catalog);
    }
    Ok(done(&goes, &counts))
}

fn updates(goes: &Expiry) -> Vec<TableUpdate> {
    let references = goes.references.iter().cloned();
    let mut updates: Vec<TableUpdate> =
        references.map(|ref_name| TableUpdate::RemoveSnapshotRef { ref_name }).collect();
    if !goes.snapshots.is_empty() {
        updates.push(TableUpdate::RemoveSnapshots { snapshot_ids: goes.snapshots.clone() });
    }
    updates
}

/// The metadata without what goes; never written, only walked.
fn without(metadata: &TableMetadata, goes: &Expiry) -> Result<TableMetadata> {
    let mut builder = metadata.clone().into_builder(None);
    for name in &goes.references {
        builder = builder.remove_ref(name);
    }
    for id in &goes.snapshots {
        builder = builder.remove_statistics(*id).remove_partition_statistics(*id);
    }
    let built = builder.remove_snapshots(&goes.snapshots).build();
    Ok(built
        .map_err(|error| Error::internal(format!("a table cannot be without snapshots: {error}")))?
        .metadata)
}

fn would_go(
    goes: &Expiry,
    files: &[(FileKind, String)],
    statistics: &[String],
    old_metadata: &[String],
) -> Report {
    let mut report = Report::default();
    goes.snapshots.iter().for_each(|id| report.path("snapshot", Some(*id), id.to_string()));
    goes.references.iter().for_each(|name| report.path("branch or tag", None, name.as_str()));
    files.iter().for_each(|(kind, url)| report.path(kind.name(), None, url.as_str()));
    statistics.iter().for_each(|url| report.path(FileKind::Statistics.name(), None, url.as_str()));
    old_metadata.iter().for_each(|url| report.path(FileKind::Metadata.name(), None, url.as_str()));
    report
}

fn done(goes: &Expiry, counts: &BTreeMap<FileKind, usize>) -> Report {
    let mut report = Report::default();
    report.figure("expired_snapshots", goes.snapshots.len());
    report.figure("removed_references", goes.references.len());
    let names = [
        (FileKind::Data, "deleted_data_files"),
        (FileKind::PositionDeletes, "deleted_position_delete_files"),
        (FileKind::EqualityDeletes, "deleted_equality_delete_files"),
        (FileKind::Manifest, "deleted_manifests"),
        (FileKind::ManifestList, "deleted_manifest_lists"),
        (FileKind::Statistics, "deleted_statistics_files"),
        (FileKind::Metadata, "deleted_metadata_files"),
    ];
    for (kind, name) in names {
        report.figure(name, counts.get(&kind).copied().unwrap_or(0));
    }
    report
}
