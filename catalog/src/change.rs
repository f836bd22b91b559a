//! Every way in which the catalog can change, one variant each. A change carries what it replaces, so that deciding
//! whether it still fits needs nothing else. It must never touch a store. Next: `transaction.rs` collects changes,
//! `commit/decide.rs` turns them into rows.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::commit::{Answer, Discard};
use crate::crawler::{CrawlRun, Crawler};
use crate::error::Result;
use crate::id::{RelationId, WriteId};
use crate::object::{
    Database, Grant, MaintenancePolicy, Namespace, PolicyTarget, Relation, Role, TablePointer,
};

/// One change. `before` is the object as the writer saw it; a commit in which it is something else is a conflict.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    CreateDatabase(Database),
    CreateNamespace(Namespace),
    /// Rename, comment or owner.
    UpdateNamespace {
        before: Namespace,
        after: Namespace,
    },
    /// Only when it is empty; grants on it go with it.
    DropNamespace(Namespace),
    /// A table needs a `MovePointer` (or a `TableWrite`, which makes one) in the same transaction.
    CreateRelation(Relation),
    /// Rename, move to another namespace, comment, owner, or the definition of a view or external table.
    UpdateRelation {
        before: Relation,
        after: Relation,
    },
    /// Its pointer and the grants on it go with it. Files stay.
    DropRelation(Relation),
    /// A new version of a table. What was read of the table's files to make it must be checked by who makes it.
    MovePointer {
        relation: RelationId,
        before: Option<TablePointer>,
        after: TablePointer,
        /// The new metadata.json, zstd.
        #[serde(skip)]
        metadata_json: Bytes,
    },
    CreateRole(Role),
    /// Rename, attributes, password, membership.
    UpdateRole {
        before: Role,
        after: Role,
    },
    /// Only when it owns nothing and holds no grant.
    DropRole(Role),
    /// What a role holds on an object from now on; no privileges at all takes the grant away.
    SetGrant {
        before: Option<Grant>,
        after: Grant,
    },
    /// Sets or takes away a maintenance policy.
    SetPolicy {
        on: PolicyTarget,
        before: Option<MaintenancePolicy>,
        after: Option<MaintenancePolicy>,
    },
    /// Makes, changes or drops a crawler.
    SetCrawler {
        before: Option<Crawler>,
        after: Option<Crawler>,
    },
    /// Keeps what a crawl did, or what has become of it.
    SetCrawlRun {
        before: Option<CrawlRun>,
        after: CrawlRun,
    },
    /// Files of a table are no longer in use, and go when nobody can be reading them any more.
    Discard {
        relation: RelationId,
        #[serde(skip)]
        discard: Discard,
    },
    /// What was answered to a request, for whoever sends it again.
    Answer(Answer),
    /// The files of a write are now in use: its intent goes away in the same commit.
    FinishWrite(WriteId),
}

impl Change {
    /// The first version of a table whose files are there already.
    pub fn register(relation: RelationId, after: TablePointer, metadata_json: &[u8]) -> Result<Change> {
        let metadata_json = crate::store::values::compress(metadata_json)?;
        Ok(Change::MovePointer { relation, before: None, after, metadata_json })
    }

    /// Another version of a table that is there, whose files are there already.
    pub fn repoint(
        relation: RelationId,
        before: TablePointer,
        after: TablePointer,
        metadata_json: &[u8],
    ) -> Result<Change> {
        let metadata_json = crate::store::values::compress(metadata_json)?;
        Ok(Change::MovePointer { relation, before: Some(before), after, metadata_json })
    }

    /// The change as the commit log keeps it: without what proves a password, and without copies of metadata or answers.
    pub fn logged(&self) -> Result<Value> {
        let mut value = serde_json::to_value(self).map_err(|error| {
            crate::error::Error::internal("a catalog change cannot be written as JSON").with_source(error)
        })?;
        let password_changed = match self {
            Change::UpdateRole { before, after } => before.verifier != after.verifier,
            _ => false,
        };
        hide_verifiers(&mut value);
        if let Some(answer) = value.get_mut("answer").and_then(Value::as_object_mut) {
            answer.remove("answered");
        }
        if password_changed {
            value["update_role"]["password_changed"] = json!(true);
        }
        Ok(value)
    }
}

/// Replaces each verifier by whether there is one.
fn hide_verifiers(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                if name == "verifier" {
                    *field = json!(!field.is_null());
                } else {
                    hide_verifiers(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(hide_verifiers),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::Answered;
    use crate::id::RoleId;
    use crate::object::ScramVerifier;
    use crate::secret::Secret;

    fn role(secret: Option<u8>) -> Role {
        Role {
            id: RoleId(20000),
            name: "alice".into(),
            superuser: false,
            login: true,
            create_role: false,
            create_schema: false,
            verifier: secret.map(|byte| ScramVerifier {
                iterations: 4096,
                salt: vec![byte; 16],
                stored_key: Secret::new(vec![byte; 32]),
                server_key: Secret::new(vec![byte; 32]),
            }),
            member_of: Vec::new(),
            comment: None,
        }
    }

    #[test]
    fn the_log_tells_that_a_password_changed_and_nothing_of_it() -> Result<()> {
        let logged = Change::UpdateRole { before: role(None), after: role(Some(77)) }.logged()?;
        assert!(!logged.to_string().contains("77"), "{logged}");
        assert_eq!(logged["update_role"]["password_changed"], json!(true));
        assert_eq!(logged["update_role"]["before"]["verifier"], json!(false));
        assert_eq!(logged["update_role"]["after"]["verifier"], json!(true));
        let created = Change::CreateRole(role(Some(77))).logged()?;
        assert!(!created.to_string().contains("77"), "{created}");
        Ok(())
    }

    #[test]
    fn the_log_tells_that_a_request_was_answered_and_not_how() -> Result<()> {
        let answered = Answered::Text { status: 200, body: "a long answer".into() };
        let (key, request) = (uuid::Uuid::from_u128(7), "digest".to_owned());
        let answer = Answer { key, principal: RoleId(20000), request, answered_at_ms: 1, answered };
        let logged = Change::Answer(answer).logged()?;
        assert_eq!(logged["answer"]["request"], json!("digest"));
        assert!(!logged.to_string().contains("long answer"), "{logged}");
        Ok(())
    }
}
