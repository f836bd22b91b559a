//! Statements about the session itself: settings, transaction control, and what a pool sends between users.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use crate::error::{Error, Result};
use crate::outcome::{Notice, Outcome};
use crate::session::Session;
use crate::sqlstate::SqlState;
use crate::statement::{Discard, Set, Show, Transaction};

pub(super) fn set(set: &Set, session: &mut Session) -> Result<Outcome> {
    if set.all {
        session.settings_mut().reset_all();
        return Ok(Outcome::done("RESET"));
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
    Ok(Outcome::done("SET"))
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

pub(super) fn transaction(transaction: &Transaction, session: &mut Session) -> Outcome {
    match transaction {
        Transaction::Begin => {
            session.begin();
            Outcome::done("BEGIN")
        }
        Transaction::Commit => Outcome::done(session.end(true)),
        Transaction::Rollback => Outcome::done(session.end(false)),
    }
}

pub(super) fn discard(discard: &Discard, session: &mut Session) -> Outcome {
    match discard {
        Discard::All => {
            session.settings_mut().reset_all();
            Outcome::done("DISCARD ALL")
        }
        Discard::Plans => Outcome::done("DEALLOCATE ALL"),
    }
}
