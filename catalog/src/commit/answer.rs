//! What was answered to requests that carry a key of their own: whoever sends one again, because the first answer was lost
//! on its way, gets that answer and nothing happens twice. The answer is a row of the very commit that it is about. It must
//! never know what the request was.

use serde::{Deserialize, Serialize};

use super::facts::Facts;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{RelationId, RoleId};
use crate::store::{Space, keys, values};

/// The answer to one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What the client calls the request.
    pub key: uuid::Uuid,
    pub principal: RoleId,
    /// A digest of the request: another one under the same key is a mistake of the client.
    pub request: String,
    /// Milliseconds since the Unix epoch.
    pub answered_at_ms: i64,
    pub answered: Answered,
}

/// What to say again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answered {
    Nothing,
    /// The table as it is when it is asked for again.
    Table(RelationId),
    View(RelationId),
    Text {
        status: u16,
        body: String,
    },
}

/// Keeps an answer. That there is one already says that the request has been served, and must not be again.
pub fn keep(answer: &Answer, facts: &mut Facts) -> Result<()> {
    let key = keys::answer(answer.key);
    if facts.get(Space::Upkeep, &key)?.is_some() {
        return Err(Error::new(ErrorKind::Conflict, "this request has been answered already"));
    }
    facts.set(Space::Upkeep, key, Some(values::encode(answer)?));
    Ok(())
}
