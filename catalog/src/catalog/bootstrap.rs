//! What a new catalog contains, as an ordinary first commit. It must never run on a catalog that has one.

use std::collections::BTreeMap;

use crate::access::{Privilege, Privileges};
use crate::change::Change;
use crate::commit::Prepared;
use crate::id::{CommitSequence, LAKE, PUBLIC_NAMESPACE, PUBLIC_ROLE, SUPERUSER};
use crate::object::{Database, Grant, Namespace, Role, Securable};

/// The role `tarn`, the database `lake` and the schema `public`, which all may use and only its owner may create in, as
/// in PostgreSQL 15.
pub fn first_commit(now_ms: i64) -> Prepared {
    let role = Role {
        id: SUPERUSER,
        name: "tarn".into(),
        superuser: true,
        login: true,
        create_role: true,
        create_schema: true,
        verifier: None,
        member_of: Vec::new(),
        comment: None,
    };
    let database =
        Database { id: LAKE, name: "lake".into(), owner: SUPERUSER, comment: None, created_at_ms: now_ms };
    let namespace = Namespace {
        id: PUBLIC_NAMESPACE,
        catalog: LAKE,
        name: "public".into(),
        owner: SUPERUSER,
        comment: Some("standard public schema".into()),
        properties: BTreeMap::new(),
        created_at_ms: now_ms,
    };
    let usage = Grant {
        on: Securable::Namespace(PUBLIC_NAMESPACE),
        to: PUBLIC_ROLE,
        privileges: Privileges::of([Privilege::Usage]),
        grantable: Privileges::NONE,
    };
    Prepared {
        principal: SUPERUSER,
        base: CommitSequence(0),
        changes: vec![
            Change::CreateRole(role),
            Change::CreateDatabase(database),
            Change::CreateNamespace(namespace),
            Change::SetGrant { before: None, after: usage },
        ],
        unchanged: Vec::new(),
    }
}
