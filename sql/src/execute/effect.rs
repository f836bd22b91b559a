//! What a statement does beyond its answer, for the rules of transactions: a read-only one refuses writes, and what
//! commits by itself cannot be part of one. The match is exhaustive, so that a new statement cannot be forgotten.

use crate::error::{Error, Result};
use crate::plan::{Context, PlanKind};
use crate::resolve::Action;
use crate::session::Session;
use crate::sqlstate::SqlState;
use crate::statement::Discard;

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing that others could see.
    Reads,
    /// Something about the session or its transaction.
    Session,
    /// Changes the catalog or tables: the statement, as messages call it.
    Writes(&'static str),
    /// Commits by itself, perhaps several times, or throws away what a transaction rests on.
    Alone(&'static str),
}

impl Effect {
    pub fn of(plan: &PlanKind) -> Effect {
        match plan {
            PlanKind::Query(_) | PlanKind::Declare(..) | PlanKind::Explain { .. } => Effect::Reads,
            PlanKind::Insert(_) => Effect::Writes("INSERT"),
            PlanKind::Change(change) => Effect::Writes(change.kind.word()),
            PlanKind::CopyFrom(_) | PlanKind::Load(_) => Effect::Writes("COPY FROM"),
            PlanKind::CopyTo { copied, .. } => Effect::of(copied),
            PlanKind::CreateTable(_) => Effect::Writes("CREATE TABLE"),
            PlanKind::CreateView(_) => Effect::Writes("CREATE VIEW"),
            PlanKind::AlterTable(_) => Effect::Writes("ALTER TABLE"),
            PlanKind::Direct(action) => Effect::of_action(action),
        }
    }

    fn of_action(action: &Action) -> Effect {
        match action {
            Action::Query(_) | Action::Declare { .. } | Action::Explain { .. } | Action::Describe(_) => {
                Effect::Reads
            }
            Action::Insert { .. } => Effect::Writes("INSERT"),
            Action::Change(change) => Effect::Writes(change.word()),
            Action::CopyFrom(_) | Action::Load { .. } => Effect::Writes("COPY FROM"),
            Action::CopyTo { action, .. } => Effect::of_action(action),
            Action::CreateTable { .. } => Effect::Writes("CREATE TABLE"),
            Action::CreateView { .. } => Effect::Writes("CREATE VIEW"),
            Action::Truncate(_) => Effect::Writes("TRUNCATE TABLE"),
            Action::CreateSchema(_) => Effect::Writes("CREATE SCHEMA"),
            Action::Drop(_) => Effect::Writes("DROP TABLE"),
            Action::DropSchema { .. } => Effect::Writes("DROP SCHEMA"),
            Action::DropRole(_) => Effect::Writes("DROP ROLE"),
            Action::AlterRelation { .. } | Action::AlterTable { .. } => Effect::Writes("ALTER TABLE"),
            Action::AlterSchema { .. } => Effect::Writes("ALTER SCHEMA"),
            Action::AlterRole { .. } => Effect::Writes("ALTER ROLE"),
            Action::CommentSchema { .. }
            | Action::CommentRelation { .. }
            | Action::CommentColumn { .. }
            | Action::CommentRole { .. } => Effect::Writes("COMMENT"),
            Action::CreateRole { .. } => Effect::Writes("CREATE ROLE"),
            Action::GrantPrivileges { .. } => Effect::Writes("GRANT"),
            Action::GrantMembership { .. } => Effect::Writes("GRANT ROLE"),
            Action::SetPolicy { on, .. } => Effect::Writes(on.tag()),
            Action::Procedure(call) if call.procedure.in_transaction => Effect::Writes(call.procedure.name),
            Action::Procedure(call) => Effect::Alone(call.procedure.name),
            Action::Discard(Discard::All) => Effect::Alone("DISCARD ALL"),
            Action::Set(_) | Action::Show(_) | Action::Transaction(_) | Action::Discard(_) => Effect::Session,
            Action::Fetch(_) | Action::Close(_) | Action::Prepare(_) | Action::Deallocate(_) => {
                Effect::Session
            }
            // What is executed has its own effect.
            Action::Execute(_) | Action::Intended(_) => Effect::Session,
            Action::Nothing { tag: _ } => Effect::Reads,
        }
    }
}

/// Refuses what the transaction does not allow, and lets a statement that must be alone out of a transaction that the
/// door began only in case more would come.
pub(super) fn check(effect: Effect, context: &mut Context, session: &mut Session) -> Result<()> {
    if let Effect::Writes(statement) | Effect::Alone(statement) = effect
        && context.read_only
        && statement != "DISCARD ALL"
    {
        let message = format!("cannot execute {statement} in a read-only transaction");
        return Err(Error::new(SqlState::READ_ONLY_SQL_TRANSACTION, message)
            .with_hint("Use BEGIN READ WRITE, or SET default_transaction_read_only = off."));
    }
    let Effect::Alone(statement) = effect else { return Ok(()) };
    if session.is_alone() {
        session.forget_prepared();
        context.block = None;
    }
    if context.block.is_none() {
        return Ok(());
    }
    let message = format!("{statement} cannot run inside a transaction block");
    Err(Error::new(SqlState::ACTIVE_SQL_TRANSACTION, message)
        .with_detail("It commits by itself, so that it could not be taken back with the transaction.")
        .with_hint("Run it outside BEGIN … COMMIT, in a message of its own."))
}
