//! Requests with a key (`Idempotency-Key`) happen once, however often they are sent: the answer is kept in the very commit
//! that it is about, so neither a crash nor a lost answer can part the two. A failure that would be the same again is kept
//! in a commit of its own; one of the server is not, so that it can be tried again. It must never keep what is secret.

use std::sync::atomic::{AtomicI64, Ordering};

use axum::http::StatusCode;
use tarn_catalog::{Answer as Kept, Answered, Change, Transaction};
use uuid::Uuid;

use super::answer::Answer;
use super::error::{Error, Result};
use super::request::Request;
use super::visitor::Visitor;
use super::{Rest, load, view};

/// How long a client may come back with a key, as ISO 8601 says it, and in milliseconds.
pub const LIFETIME: &str = "PT30M";
const LIFETIME_MS: i64 = 30 * 60 * 1000;

/// Answers are kept for longer than clients are told, for clocks that differ.
const KEPT_MS: i64 = 2 * LIFETIME_MS;

/// How often old answers are looked for.
const FORGET_EVERY_MS: i64 = 10 * 60 * 1000;

/// Where the answer to a request is kept, if it has a key.
#[derive(Debug, Clone, Default)]
pub struct Slot(Option<(Uuid, String)>);

impl Slot {
    /// Makes the answer part of the transaction that it is about.
    pub fn keep(&self, transaction: &mut Transaction, visitor: &Visitor, answered: Answered) {
        let Some((key, request)) = &self.0 else { return };
        transaction.push(Change::Answer(Kept {
            key: *key,
            principal: visitor.principal.role,
            request: request.clone(),
            answered_at_ms: visitor.catalog.env().now_ms(),
            answered,
        }));
    }
}

/// When old answers were last looked for, milliseconds since the Unix epoch.
#[derive(Debug, Default)]
pub struct Forgetting(AtomicI64);

/// Does what a request asks for, unless it has been done: then it says the same again.
pub async fn once(rest: &Rest, visitor: Visitor, request: &Request, key: Uuid) -> Result<Answer> {
    forget(rest, &visitor).await;
    let slot = Slot(Some((key, request.digest())));
    if let Some(answer) = said(&visitor, &slot, request).await? {
        return Ok(answer);
    }
    let before = visitor.renewed();
    let error = match rest.act(visitor, request, &slot).await {
        Ok(answer) => return Ok(answer),
        Err(error) => error,
    };
    // The same request may have come twice at a time, and the other was first.
    let now = before.renewed();
    if let Some(answer) = said(&now, &slot, request).await? {
        return Ok(answer);
    }
    if is_final(error.status) {
        let mut transaction = now.catalog.begin_at(now.reader.clone(), now.principal.role);
        let answered = Answered::Text { status: error.status.as_u16(), body: error.body() };
        slot.keep(&mut transaction, &now, answered);
        if let Err(error) = now.catalog.commit(transaction).await {
            tracing::warn!(%error, "the answer to a request with a key is not kept");
        }
    }
    Err(error)
}

/// Failures that are the same however often they are asked for.
fn is_final(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::NOT_FOUND
            | StatusCode::CONFLICT
            | StatusCode::UNPROCESSABLE_ENTITY
    )
}

/// What was answered to this key, if anything was.
async fn said(visitor: &Visitor, slot: &Slot, request: &Request) -> Result<Option<Answer>> {
    let Some((key, digest)) = &slot.0 else { return Ok(None) };
    let Some(kept) = visitor.reader.answer(*key)? else { return Ok(None) };
    if kept.principal != visitor.principal.role || kept.request != *digest {
        return Err(Error::bad_request("this Idempotency-Key was used for another request"));
    }
    let gone = || Error::new(StatusCode::NOT_FOUND, "NoSuchTableException", "it does not exist any more");
    Ok(Some(match kept.answered {
        Answered::Nothing => Answer::nothing(),
        Answered::Text { status, body } => {
            Answer::text(StatusCode::from_u16(status).unwrap_or(StatusCode::OK), body)
        }
        Answered::Table(id) => {
            let found = visitor.by_id(id)?.ok_or_else(gone)?;
            load::table(visitor, &found, load::Snapshots::All, request).await?
        }
        Answered::View(id) => view::answer(visitor, &visitor.by_id(id)?.ok_or_else(gone)?)?,
    }))
}

/// Now and then, answers go that nobody comes back for.
async fn forget(rest: &Rest, visitor: &Visitor) {
    let now = visitor.catalog.env().now_ms();
    let last = rest.forgetting.0.load(Ordering::Relaxed);
    let mine = now - last > FORGET_EVERY_MS
        && rest.forgetting.0.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    if mine && let Err(error) = visitor.catalog.forget_answers(now - KEPT_MS).await {
        tracing::warn!(%error, "old answers stay for now");
    }
}
