//! Statements about the session itself: settings, transaction control, and what a pool sends between users.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use crate::error::{Error, Result};
use crate::notify::Intended;
use crate::outcome::{Notice, Outcome};
use crate::session::Session;
use crate::sqlstate::SqlState;
use crate::statement::{Discard, Modes, Set, Show, Transaction};
use crate::transaction::{ISOLATION, READ_ONLY};

pub(crate) fn set(set: &Set, session: &mut Session) -> Result<Outcome> {
    if set.all {
        session.settings_mut().reset_all();
        return Ok(Outcome::done("RESET"));
    }
    let tag = if set.reset { "RESET" } else { "SET" };
    if [ISOLATION, READ_ONLY].contains(&set.setting.as_str()) {
        return set_mode(set, session);
    }
    if set.local && !session.in_transaction() {
        let message = "SET LOCAL can only be used in transaction blocks";
        session.notify(Notice::warning(SqlState::NO_ACTIVE_SQL_TRANSACTION, message));
        return Ok(Outcome::done("SET"));
    }
    if set.local {
        session.keep_until_end(&set.setting);
    }
    session.settings_mut().set(&set.setting, set.value.as_deref())?;
    Ok(Outcome::done(tag))
}

pub(super) fn show_schema(show: &Show) -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(match show {
        Show::One(setting) => vec![text(setting)],
        Show::All => vec![text("name"), text("setting"), text("description")],
    }))
}

pub(super) fn show(show: &Show, session: &Session) -> Result<Outcome> {
    let columns: Vec<StringArray> = match show {
        Show::One(setting) => vec![StringArray::from(vec![session.settings().get(setting)?])],
        Show::All => {
            let all = session.settings().all();
            vec![
                StringArray::from_iter_values(all.iter().map(|(name, _, _)| name)),
                StringArray::from_iter_values(all.iter().map(|(_, value, _)| value)),
                StringArray::from_iter_values(all.iter().map(|(_, _, description)| description)),
            ]
        }
    };
    let columns = columns.into_iter().map(|column| Arc::new(column) as _).collect();
    let batch = RecordBatch::try_new(show_schema(show), columns);
    Ok(Outcome::batch(batch.map_err(|error| Error::internal(error.to_string()))?, "SHOW"))
}

pub(super) async fn transaction(transaction: Transaction, session: &mut Session) -> Result<Outcome> {
    let tag = match transaction {
        Transaction::Begin { tag, modes } => {
            session.begin(&modes)?;
            tag
        }
        Transaction::Commit { chain: false } => session.commit().await?,
        Transaction::Rollback { chain: false } => {
            session.roll_back().await;
            "ROLLBACK"
        }
        Transaction::Commit { chain: true } => {
            let modes = session.chained("COMMIT")?;
            let tag = session.commit().await?;
            session.begin(&modes)?;
            tag
        }
        Transaction::Rollback { chain: true } => {
            let modes = session.chained("ROLLBACK")?;
            session.roll_back().await;
            session.begin(&modes)?;
            "ROLLBACK"
        }
        Transaction::Savepoint(name) => {
            session.savepoint(name).await?;
            "SAVEPOINT"
        }
        Transaction::Release(name) => {
            session.release(&name)?;
            "RELEASE"
        }
        Transaction::RollbackTo(name) => {
            session.roll_back_to(&name).await?;
            "ROLLBACK"
        }
        Transaction::Set(modes) => {
            session.set_modes(&modes)?;
            "SET"
        }
        Transaction::SetDefault(modes) => {
            let settings = session.settings_mut();
            if let Some(isolation) = modes.isolation {
                settings.set("default_transaction_isolation", Some(isolation))?;
            }
            if let Some(read_only) = modes.read_only {
                let value = if read_only { "on" } else { "off" };
                settings.set("default_transaction_read_only", Some(value))?;
            }
            "SET"
        }
    };
    Ok(Outcome::done(tag))
}

/// `SET transaction_isolation` and `SET transaction_read_only` are other ways to say `SET TRANSACTION`.
fn set_mode(set: &Set, session: &mut Session) -> Result<Outcome> {
    let isolation = set.setting == ISOLATION;
    let default = if isolation { "default_transaction_isolation" } else { "default_transaction_read_only" };
    // Checks the value as any other, and knows it by its own spelling.
    let mut settings = session.settings().clone();
    settings.set(default, set.value.as_deref())?;
    let value = settings.get(default)?;
    let modes = if isolation {
        let known = crate::settings::ISOLATION.iter().copied();
        Modes { isolation: known.into_iter().find(|known| *known == value), read_only: None }
    } else {
        Modes { isolation: None, read_only: Some(value == "on") }
    };
    session.set_modes(&modes)?;
    Ok(Outcome::done("SET"))
}

/// `LISTEN`, `UNLISTEN` and `NOTIFY`: done when the statement's transaction commits.
pub(super) fn intend(intended: Intended, session: &Session) -> Result<Outcome> {
    let outbox = &session.listener.outbox;
    let tag = match intended {
        Intended::Notify { channel, payload } => {
            outbox.notify(channel, payload)?;
            "NOTIFY"
        }
        Intended::Listen(_) => {
            outbox.intend(intended)?;
            "LISTEN"
        }
        Intended::Unlisten(_) => {
            outbox.intend(intended)?;
            "UNLISTEN"
        }
    };
    Ok(Outcome::done(tag))
}

pub(super) fn discard(discard: &Discard, session: &mut Session) -> Outcome {
    match discard {
        Discard::All => {
            session.settings_mut().reset_all();
            session.cursors.close_all();
            session.listener.unlisten_all();
            session.locks.0.unlock_all();
            session.statements.clear();
            Outcome::done("DISCARD ALL")
        }
        Discard::Temporary => Outcome::done("DISCARD TEMP"),
        Discard::Plans => {
            session.statements.clear();
            Outcome::done("DEALLOCATE ALL")
        }
        Discard::Nothing(tag) => Outcome::done(*tag),
    }
}
