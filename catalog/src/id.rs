//! Newtype ids. One counter in the store issues them all, so an id also serves as the object's PostgreSQL OID:
//! it is stable across restarts and never issued twice. It must never know what the ids stand for.
//! Next: `object.rs`.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The PostgreSQL object identifier, 32 bits.
            ///
            /// The counter refuses to pass `u32::MAX`, so the conversion cannot lose bits.
            pub fn oid(self) -> u32 {
                u32::try_from(self.0).unwrap_or(u32::MAX)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A catalog: what PostgreSQL calls a database.
    CatalogId
);
id!(
    /// A namespace: what SQL calls a schema.
    NamespaceId
);
id!(
    /// A table, external table or view.
    RelationId
);
id!(
    /// A role: a user or a group.
    RoleId
);

/// The position of a commit in the catalog's history; 0 is the empty catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct CommitSequence(pub u64);

impl std::fmt::Display for CommitSequence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// One write to object storage: part of the name of every file that the write makes, so that the files of a write that
/// never committed can be found and deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WriteId(pub uuid::Uuid);

impl std::fmt::Display for WriteId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// The first id issued to a user's object; smaller ones are fixed (PostgreSQL's `FirstNormalObjectId`).
pub const FIRST_NORMAL_ID: u64 = 16384;

/// The default catalog, `lake`.
pub const LAKE: CatalogId = CatalogId(5);
/// The namespace `public`, with PostgreSQL's own OID for it.
pub const PUBLIC_NAMESPACE: NamespaceId = NamespaceId(2200);
/// The first superuser, `tarn`, with PostgreSQL's OID for its bootstrap superuser.
pub const SUPERUSER: RoleId = RoleId(10);
/// The pseudo-role `PUBLIC` that every role is a member of. Only grants name it.
pub const PUBLIC_ROLE: RoleId = RoleId(0);
