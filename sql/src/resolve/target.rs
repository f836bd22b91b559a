//! The table that a statement writes, and the branch of it: `t`, or `"t@branch"`.

use std::sync::Arc;

use iceberg::spec::{DataFile, MAIN_BRANCH, SnapshotRetention};
use tarn_catalog::iceberg::{Operation, TableState, TableWrite, Target, references};
use tarn_catalog::object::RelationKind;
use tarn_catalog::{TableVersion, WriteId};

use super::names::{Found, Scope};
use super::reading::branch_suffix;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::statement::Name;

/// An Iceberg table that a statement writes, and the version it was planned on.
#[derive(Debug, Clone)]
pub(crate) struct TableTarget {
    pub found: Found,
    pub version: Arc<TableVersion>,
    /// The branch that moves.
    pub branch: String,
}

impl TableTarget {
    /// What the branch holds now.
    pub fn state(&self) -> Result<TableState> {
        Ok(TableState::of_reference(Arc::clone(&self.version), &self.branch)?)
    }

    /// A write to it that rests on the version that was read.
    pub fn write(&self, write: WriteId, operation: Operation, added: Vec<DataFile>) -> TableWrite {
        TableWrite {
            relation: self.found.relation.id,
            name: self.found.qualified(),
            target: Target::Existing { base: Arc::clone(&self.version) },
            write,
            branch: self.branch.clone(),
            operation,
            added,
        }
    }
}

/// The table of a name at the statement's version; `"t@branch"` unless there is a table of exactly that name.
pub(super) async fn table_target(name: &Name, scope: &Scope) -> Result<TableTarget> {
    let (base, branch) = match branch_suffix(name) {
        Some((base, branch)) if scope.look_up(name)?.is_none() => (base, branch),
        _ => return table_of(scope.relation(name)?, scope).await,
    };
    let target = table_of(scope.relation(&base)?, scope).await?;
    if branch == MAIN_BRANCH {
        return Ok(target);
    }
    match references(&target.version.metadata)?.get(&branch).map(|reference| &reference.retention) {
        Some(SnapshotRetention::Branch { .. }) => Ok(TableTarget { branch, ..target }),
        Some(SnapshotRetention::Tag { .. }) => {
            let message =
                format!("\"{branch}\" is a tag of {}, and a tag cannot be written", target.found.label());
            Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message)
                .with_hint("Make a branch of it and write that."))
        }
        None => {
            let message = format!("branch \"{branch}\" of {} does not exist", target.found.label());
            Err(Error::new(SqlState::UNDEFINED_OBJECT, message)
                .with_hint(format!("Make it with CREATE BRANCH {branch} IN TABLE {base}.")))
        }
    }
}

/// The main branch of an Iceberg table; other relations cannot be written.
pub(super) async fn table_of(found: Found, scope: &Scope) -> Result<TableTarget> {
    let found = entry_of(found)?;
    let version = scope.reader.table(found.relation.id).await?;
    Ok(TableTarget { found, version, branch: MAIN_BRANCH.to_owned() })
}

/// An Iceberg table, whether it can be read or not.
pub(super) fn entry_of(found: Found) -> Result<Found> {
    match found.relation.kind {
        RelationKind::Table => Ok(found),
        RelationKind::External(_) | RelationKind::View(_) => {
            let message = format!("{} cannot be written", found.label());
            Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message)
                .with_hint("Make a table of it with CREATE TABLE … AS SELECT … and write that."))
        }
    }
}
