//! Branches and tags: names of snapshots in the table's metadata.

use iceberg::spec::{MAIN_BRANCH, SnapshotReference, SnapshotRetention};
use iceberg::{TableRequirement, TableUpdate};
use tarn_catalog::iceberg::references;

use super::super::{Context, moment};
use super::evolution::Evolution;
use crate::error::{Error, Result};
use crate::parse::Moment;
use crate::resolve::At;
use crate::sqlstate::SqlState;
use crate::statement::{CreateReference, Existing, ReferenceAction, ReferenceKind, Retention};

pub(super) fn plan(evolution: &mut Evolution, action: ReferenceAction, context: &Context) -> Result<()> {
    match action {
        ReferenceAction::Create(create) => set(evolution, create, context),
        ReferenceAction::Drop { kind, name, if_exists } => drop_reference(evolution, kind, name, if_exists),
        ReferenceAction::FastForward { branch, to } => fast_forward(evolution, &branch, &to),
    }
}

fn set(evolution: &mut Evolution, create: CreateReference, context: &Context) -> Result<()> {
    let CreateReference { kind, name, existing, version, retention } = create;
    tarn_catalog::name::check_identifier(&name)?;
    if name.contains('@') || name.parse::<i64>().is_ok() {
        let message = format!("{kind} name \"{name}\" would be taken for something else in \"table@name\"");
        return Err(Error::new(SqlState::INVALID_NAME, message)
            .with_hint("Use a name that is no number and has no @."));
    }
    let before = references(&evolution.metadata)?.get(&name).cloned();
    match (&before, existing) {
        (Some(_), Existing::Keep) => {
            evolution.notices.push(format!("{kind} \"{name}\" already exists, skipping"));
            return Ok(());
        }
        (Some(_), Existing::Refuse) => {
            let message = format!("branch or tag \"{name}\" already exists");
            return Err(Error::new(SqlState::DUPLICATE_OBJECT, message)
                .with_hint("Use CREATE OR REPLACE or IF NOT EXISTS."));
        }
        (None, Existing::ReplaceOnly) => return Err(missing(evolution, kind, &name)?),
        (Some(before), _) => check_kind(kind, &name, before)?,
        (None, _) => {}
    }
    let snapshot_id = match (version, &before) {
        (Some(version), _) => snapshot_of(evolution, version, context)?,
        // REPLACE without a version changes what is kept.
        (None, Some(before)) if existing == Existing::ReplaceOnly => before.snapshot_id,
        (None, _) => head(evolution)?,
    };
    let snapshot_before = before.as_ref().map(|before| before.snapshot_id);
    evolution
        .require(TableRequirement::RefSnapshotIdMatch { r#ref: name.clone(), snapshot_id: snapshot_before });
    let reference = SnapshotReference::new(snapshot_id, retained(kind, retention));
    evolution.push(vec![TableUpdate::SetSnapshotRef { ref_name: name, reference }])
}

fn retained(kind: ReferenceKind, retention: Retention) -> SnapshotRetention {
    match kind {
        ReferenceKind::Branch => {
            SnapshotRetention::branch(retention.snapshots, retention.snapshots_ms, retention.reference_ms)
        }
        ReferenceKind::Tag => SnapshotRetention::Tag { max_ref_age_ms: retention.reference_ms },
    }
}

/// The snapshot that an id, or the name of a branch or tag, stands for.
fn snapshot_of(
    evolution: &Evolution,
    version: datafusion::sql::sqlparser::ast::Expr,
    context: &Context,
) -> Result<i64> {
    let state = moment::state_at(&evolution.version, &At::Moment(Moment::Version(version)), context)?;
    state.snapshot_id.map_or_else(|| head(evolution), Ok)
}

fn head(evolution: &Evolution) -> Result<i64> {
    evolution.metadata.current_snapshot_id().ok_or_else(|| {
        let message =
            format!("table \"{}\" has no snapshot that a branch or tag could name", evolution.table);
        Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).with_hint("Insert a row first.")
    })
}

fn drop_reference(
    evolution: &mut Evolution,
    kind: ReferenceKind,
    name: String,
    if_exists: bool,
) -> Result<()> {
    if name == MAIN_BRANCH {
        let message = "the main branch cannot be dropped";
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    let Some(before) = references(&evolution.metadata)?.get(&name).cloned() else {
        let error = missing(evolution, kind, &name)?;
        if !if_exists {
            return Err(error);
        }
        evolution.notices.push(format!("{}, skipping", error.message));
        return Ok(());
    };
    check_kind(kind, &name, &before)?;
    let snapshot_id = Some(before.snapshot_id);
    evolution.require(TableRequirement::RefSnapshotIdMatch { r#ref: name.clone(), snapshot_id });
    evolution.push(vec![TableUpdate::RemoveSnapshotRef { ref_name: name }])
}

/// Moves a branch to where another branch or tag is, which must be a later state of it.
fn fast_forward(evolution: &mut Evolution, branch: &str, to: &str) -> Result<()> {
    let (before, reference) = crate::procedure::forwarded(&evolution.metadata, branch, to)?;
    evolution.require(TableRequirement::RefSnapshotIdMatch { r#ref: branch.to_owned(), snapshot_id: before });
    evolution.push(vec![TableUpdate::SetSnapshotRef { ref_name: branch.to_owned(), reference }])
}

/// No branch may move until this is committed: what was found out about their rows must still be true.
pub(super) fn require_all(evolution: &mut Evolution) -> Result<()> {
    let mut heads: Vec<(String, Option<i64>)> = references(&evolution.metadata)?
        .into_iter()
        .map(|(name, reference)| (name, Some(reference.snapshot_id)))
        .collect();
    if heads.is_empty() {
        heads.push((MAIN_BRANCH.to_owned(), None));
    }
    for (name, snapshot_id) in heads {
        evolution.require(TableRequirement::RefSnapshotIdMatch { r#ref: name, snapshot_id });
    }
    Ok(())
}

fn check_kind(kind: ReferenceKind, name: &str, reference: &SnapshotReference) -> Result<()> {
    let found = match reference.retention {
        SnapshotRetention::Branch { .. } => ReferenceKind::Branch,
        SnapshotRetention::Tag { .. } => ReferenceKind::Tag,
    };
    if found == kind {
        return Ok(());
    }
    let message = format!("\"{name}\" is not a {kind}");
    Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).with_detail(format!("It is a {found}.")))
}

fn missing(evolution: &Evolution, kind: ReferenceKind, name: &str) -> Result<Error> {
    let references = references(&evolution.metadata)?;
    let known: Vec<&str> = references.keys().map(String::as_str).collect();
    let message = format!("{kind} \"{name}\" of table \"{}\" does not exist", evolution.table);
    let error = Error::new(SqlState::UNDEFINED_OBJECT, message);
    Ok(match known.is_empty() {
        true => error,
        false => error.with_hint(format!("There are: {}.", known.join(", "))),
    })
}
