//! Procedures that move a branch to another snapshot of the table: back, forward, or to one with the changes of another.
//! They work on the main branch, or on the branch of a table named `"t@branch"`.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use futures::FutureExt;
use futures::future::BoxFuture;
use iceberg::spec::{SnapshotReference, SnapshotRetention, TableMetadata};
use iceberg::{TableRequirement, TableUpdate};
use tarn_catalog::iceberg::{Operation, references, snapshot_changes, snapshot_files};

use super::arguments::{Kind, Parameter};
use super::registry::{On, Procedure, ProcedureCall, Right};
use crate::error::{Error, Result};
use crate::execute::{add_files, update_table};
use crate::outcome::Outcome;
use crate::plan::Context;
use crate::resolve::TableTarget;
use crate::sqlstate::SqlState;

pub(super) const PROCEDURES: &[Procedure] = &[
    procedure(
        "rollback_to_snapshot",
        &[Parameter::required("snapshot_id", Kind::Integer)],
        |call, context| rollback_to_snapshot(call, context).boxed(),
    ),
    procedure("rollback_to_timestamp", &[Parameter::required("timestamp", Kind::Time)], |call, context| {
        rollback_to_timestamp(call, context).boxed()
    }),
    procedure(
        "set_current_snapshot",
        &[Parameter::optional("snapshot_id", Kind::Integer), Parameter::optional("ref", Kind::Text)],
        |call, context| set_current_snapshot(call, context).boxed(),
    ),
    procedure(
        "fast_forward",
        &[Parameter::required("branch", Kind::Text).or(&["from"]), Parameter::required("to", Kind::Text)],
        |call, context| fast_forward(call, context).boxed(),
    ),
    procedure(
        "cherrypick_snapshot",
        &[Parameter::required("snapshot_id", Kind::Integer)],
        |call, context| cherrypick_call(call, context).boxed(),
    ),
    procedure("publish_changes", &[Parameter::required("wap_id", Kind::Text)], |call, context| {
        publish_changes(call, context).boxed()
    }),
];

const fn procedure(
    name: &'static str,
    parameters: &'static [Parameter],
    run: for<'a> fn(ProcedureCall, &'a Context) -> BoxFuture<'a, Result<Outcome>>,
) -> Procedure {
    Procedure {
        name,
        aliases: &[],
        on: On::Table,
        filter: false,
        parameters,
        right: Right::Owner,
        in_transaction: true,
        columns: moved_schema,
        run,
    }
}

/// What every one of these answers with: the branch, and its snapshots before and after.
fn moved_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("branch", DataType::Utf8, false),
        Field::new("previous_snapshot_id", DataType::Int64, true),
        Field::new("current_snapshot_id", DataType::Int64, true),
    ]))
}

fn moved(branch: &str, before: Option<i64>, after: Option<i64>, tag: &'static str) -> Result<Outcome> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![branch])),
        Arc::new(Int64Array::from(vec![before])),
        Arc::new(Int64Array::from(vec![after])),
    ];
    let batch = RecordBatch::try_new(moved_schema(), columns);
    Ok(Outcome::batch(batch.map_err(|error| Error::internal(error.to_string()))?, tag))
}

async fn rollback_to_snapshot(call: ProcedureCall, context: &Context) -> Result<Outcome> {
    let target = call.table()?;
    let wanted = integer(&call, "snapshot_id")?;
    let metadata = &target.version.metadata;
    let head = target.state()?.snapshot_id;
    known(metadata, wanted)?;
    if !ancestors(metadata, head).any(|ancestor| ancestor == wanted) {
        let message = format!("snapshot {wanted} is not an ancestor of branch \"{}\"", target.branch);
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).with_hint(
            "set_current_snapshot(snapshot_id => …) moves a branch to any snapshot of the table.",
        ));
    }
    move_to(target, head, wanted, call.tag, context).await
}

async fn rollback_to_timestamp(call: ProcedureCall, context: &Context) -> Result<Outcome> {
    let target = call.table()?;
    let metadata = &target.version.metadata;
    let missing = || Error::internal("the argument timestamp was not checked");
    let time = call.arguments.time_ms("timestamp", context)?.ok_or_else(missing)?;
    let head = target.state()?.snapshot_id;
    let older =
        |id: &i64| metadata.snapshot_by_id(*id).is_some_and(|snapshot| snapshot.timestamp_ms() < time);
    match ancestors(metadata, head).find(older) {
        Some(wanted) => move_to(target, head, wanted, call.tag, context).await,
        None => {
            let message = format!("branch \"{}\" has no snapshot from before that time", target.branch);
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
        }
    }
}

async fn set_current_snapshot(call: ProcedureCall, context: &Context) -> Result<Outcome> {
    let target = call.table()?;
    let wanted = match (call.arguments.integer("snapshot_id"), call.arguments.text("ref")) {
        (Some(snapshot_id), None) => snapshot_id,
        (None, Some(name)) => reference(&target.version.metadata, name)?.snapshot_id,
        _ => {
            let message = "set_current_snapshot needs either snapshot_id or ref";
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
    };
    known(&target.version.metadata, wanted)?;
    move_to(target, target.state()?.snapshot_id, wanted, call.tag, context).await
}

async fn fast_forward(call: ProcedureCall, context: &Context) -> Result<Outcome> {
    let text = |name: &str| {
        let missing = || Error::internal(format!("the argument {name} was not checked"));
        call.arguments.text(name).map(str::to_owned).ok_or_else(missing)
    };
    let target = call.table()?;
    let (branch, to) = (text("branch")?, text("to")?);
    let (before, reference) = forwarded(&target.version.metadata, &branch, &to)?;
    let after = reference.snapshot_id;
    let target = TableTarget { branch, ..target.clone() };
    move_to(&target, before, after, call.tag, context).await
}

/// A branch as it is when it has moved to where another branch or tag is, which must be a later state of it, and the
/// snapshot it moves from.
pub(crate) fn forwarded(
    metadata: &TableMetadata,
    branch: &str,
    to: &str,
) -> Result<(Option<i64>, SnapshotReference)> {
    let wanted = reference(metadata, to)?.snapshot_id;
    let before = match references(metadata)?.remove(branch) {
        Some(SnapshotReference { retention: SnapshotRetention::Tag { .. }, .. }) => {
            let message = format!("\"{branch}\" is a tag, and tags stay where they are");
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        // A main branch without rows is before everything.
        None if branch == iceberg::spec::MAIN_BRANCH => None,
        None => Some(reference(metadata, branch)?),
        found => found,
    };
    let head = before.as_ref().map(|before| before.snapshot_id);
    let ahead = head.is_none_or(|head| ancestors(metadata, Some(wanted)).any(|ancestor| ancestor == head));
    if !ahead {
        let message = format!("branch \"{branch}\" cannot be fast-forwarded to \"{to}\"");
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
            .with_detail(format!("It has changes that \"{to}\" does not have.")));
    }
    let plain = SnapshotRetention::branch(None, None, None);
    let retention = before.map_or(plain, |before| before.retention);
    Ok((head, SnapshotReference::new(wanted, retention)))
}

async fn cherrypick_call(call: ProcedureCall, context: &Context) -> Result<Outcome> {
    let picked = integer(&call, "snapshot_id")?;
    cherrypick(&call, picked, context).await
}

async fn publish_changes(call: ProcedureCall, context: &Context) -> Result<Outcome> {
    let wanted = call.arguments.text("wap_id").unwrap_or_default();
    let metadata = &call.table()?.version.metadata;
    let staged = |property: &str| {
        let is = |snapshot: &&iceberg::spec::SnapshotRef| {
            snapshot.summary().additional_properties.get(property).is_some_and(|id| id == wanted)
        };
        metadata.snapshots().find(is).map(|snapshot| snapshot.snapshot_id())
    };
    match staged("wap.id") {
        Some(picked) => cherrypick(&call, picked, context).await,
        None => {
            let message =
                format!("no snapshot of {} has the wap.id \"{wanted}\"", call.table()?.found.label());
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
        }
    }
}

/// Does to the branch what a snapshot did to its parent: an append is appended again, an overwrite of partitions
/// overwrites them. A snapshot that follows the branch becomes its head.
async fn cherrypick(call: &ProcedureCall, picked: i64, context: &Context) -> Result<Outcome> {
    let target = call.table()?;
    let metadata = &target.version.metadata;
    let snapshot = known(metadata, picked)?;
    let head = target.state()?.snapshot_id;
    if ancestors(metadata, head).any(|ancestor| ancestor == picked) {
        let message = format!("snapshot {picked} is part of branch \"{}\" already", target.branch);
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    if snapshot.parent_snapshot_id() == head {
        return move_to(target, head, picked, call.tag, context).await;
    }
    let summary = snapshot.summary();
    let replaces =
        summary.additional_properties.get("replace-partitions").is_some_and(|truth| truth == "true");
    let operation = match summary.operation {
        iceberg::spec::Operation::Append => Operation::Append,
        iceberg::spec::Operation::Overwrite if replaces => Operation::OverwritePartitions,
        _ => {
            let message = format!("snapshot {picked} cannot be picked");
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).with_detail(format!(
                "It is of operation {}; only appends and dynamic overwrites can be repeated elsewhere.",
                summary.operation.as_str()
            )));
        }
    };
    let storage = context.catalog().storage();
    let changes = snapshot_changes(storage, metadata, picked).await?;
    if !changes.added_deletes.is_empty() {
        let message = format!("snapshot {picked} deletes single rows, so it cannot be picked");
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    let added = changes.added;
    if let Some(head) = head {
        let there = snapshot_files(storage, metadata, head).await?.data;
        let there: HashSet<&str> = there.iter().map(|file| file.file.file_path()).collect();
        if added.iter().any(|file| there.contains(file.file.file_path())) {
            let message =
                format!("the changes of snapshot {picked} are in branch \"{}\" already", target.branch);
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
    }
    let spec = metadata.default_partition_spec_id();
    if added.iter().any(|file| file.spec_id != spec) {
        let message = format!("snapshot {picked} was written with another partitioning");
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    let added = added.into_iter().map(|live| live.file.as_ref().clone()).collect();
    add_files(target, operation, added, context).await?;
    // The new snapshot has its id when the transaction is committed.
    let mut after = None;
    if context.block.is_none() {
        let now = context.catalog().reader().table(target.found.relation.id).await?;
        after = references(&now.metadata)?.get(&target.branch).map(|reference| reference.snapshot_id);
    }
    moved(&target.branch, head, after, call.tag)
}

/// Snapshots from a head back to the first, as far as they are still there.
fn ancestors(metadata: &TableMetadata, head: Option<i64>) -> impl Iterator<Item = i64> + '_ {
    std::iter::successors(head, |id| metadata.snapshot_by_id(*id)?.parent_snapshot_id())
}

fn known(metadata: &TableMetadata, snapshot_id: i64) -> Result<&iceberg::spec::SnapshotRef> {
    metadata.snapshot_by_id(snapshot_id).ok_or_else(|| {
        let message = format!("there is no snapshot {snapshot_id}");
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
            .with_hint("It may have expired; the table named with $snapshots lists those that there are.")
    })
}

/// A branch or tag that must be there.
fn reference(metadata: &TableMetadata, name: &str) -> Result<SnapshotReference> {
    let references = references(metadata)?;
    references.get(name).cloned().ok_or_else(|| {
        let known: Vec<&str> = references.keys().map(String::as_str).collect();
        let message = format!("branch or tag \"{name}\" does not exist");
        Error::new(SqlState::UNDEFINED_OBJECT, message).with_hint(format!("There are: {}.", known.join(", ")))
    })
}

fn integer(call: &ProcedureCall, name: &str) -> Result<i64> {
    let missing = || Error::internal(format!("the argument {name} was not checked"));
    call.arguments.integer(name).ok_or_else(missing)
}

async fn move_to(
    target: &TableTarget,
    before: Option<i64>,
    after: i64,
    tag: &'static str,
    context: &Context,
) -> Result<Outcome> {
    point(target, before, after, context).await?;
    moved(&target.branch, before, Some(after), tag)
}

/// Points the target's branch to a snapshot; it keeps its retention.
async fn point(target: &TableTarget, before: Option<i64>, after: i64, context: &Context) -> Result<()> {
    if before == Some(after) {
        return Ok(());
    }
    let plain = SnapshotRetention::branch(None, None, None);
    let known = references(&target.version.metadata)?.remove(&target.branch);
    let retention = known.map_or(plain, |reference| reference.retention);
    let requirement =
        TableRequirement::RefSnapshotIdMatch { r#ref: target.branch.clone(), snapshot_id: before };
    let update = TableUpdate::SetSnapshotRef {
        ref_name: target.branch.clone(),
        reference: SnapshotReference::new(after, retention),
    };
    update_table(target, vec![requirement], vec![update], context).await
}
