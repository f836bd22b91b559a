//! The layout of every key. It must never touch a store.
//!
//! Numbers are big-endian, so that keys sort as numbers do. A name ends with a NUL byte, which no name contains, so
//! that no key is the beginning of another. `[x]` is one tag byte.
//!
//! ```text
//! System    "head"                              last commit: sequence, hash, next id
//!           "format"                            version of this layout
//! Name      [d] name 0                          catalog id
//!           [n] catalog_id name 0               namespace id
//!           [r] namespace_id name 0             relation id
//! Object    [d] catalog_id                      Database
//!           [c] name 0                          Crawler
//!           [m] object                          MaintenancePolicy of a catalog, namespace or relation
//!           [n] namespace_id                    Namespace
//!           [r] relation_id                     Relation
//!           [w] number                          CrawlRun
//! Pointer   relation_id                         TablePointer
//! Metadata  relation_id !sequence               zstd(metadata.json) of that commit, newest first
//! Grant     [o] securable role_id               Grant
//!           [t] role_id securable               nothing: what a role holds, to find the row above
//! Role      [i] role_id                         Role
//!           [n] name 0                          role id
//!           [o] role_id securable               nothing: what a role owns
//! Log       sequence                            LogRow
//! Intent    write_id                            WriteIntent
//! Upkeep    [d] sequence uuid                   Discard: files that go when no reader is older than the commit
//!           [t] relation_id                     UpkeepRecord
//!           [a] uuid                            Answer: what was answered to a request with a key
//!
//! securable = [n] namespace_id | [r] relation_id
//! ```
//!
//! In the versioned spaces (see `Space::is_versioned`) the store appends `!sequence`, the complement of the commit's
//! sequence, so that the newest version of a row comes first:
//!
//! ```text
//!   … relation 7 │ !42   <- a reader at 45 finds this one
//!     relation 7 │ !40   <- a reader at 41 finds this one
//!     relation 8 │ !44
//! ```

use crate::error::{Error, ErrorKind, Result};
use crate::id::{CatalogId, CommitSequence, NamespaceId, RelationId, RoleId, WriteId};
use crate::object::{PolicyTarget, Securable};

pub const HEAD: &[u8] = b"head";
pub const FORMAT: &[u8] = b"format";

pub fn database_name(name: &str) -> Vec<u8> {
    named(b"d", name)
}

pub const DATABASE_NAMES: &[u8] = b"d";

pub fn namespace_name(catalog: CatalogId, name: &str) -> Vec<u8> {
    named(&namespace_names(catalog), name)
}

pub fn namespace_names(catalog: CatalogId) -> Vec<u8> {
    tagged(b'n', catalog.0)
}

pub fn relation_name(namespace: NamespaceId, name: &str) -> Vec<u8> {
    named(&relation_names(namespace, ""), name)
}

/// The beginning of the keys of all relations of a namespace whose name starts with `prefix`.
pub fn relation_names(namespace: NamespaceId, prefix: &str) -> Vec<u8> {
    let mut key = tagged(b'r', namespace.0);
    key.extend_from_slice(prefix.as_bytes());
    key
}

pub fn database(id: CatalogId) -> Vec<u8> {
    tagged(b'd', id.0)
}

pub fn namespace(id: NamespaceId) -> Vec<u8> {
    tagged(b'n', id.0)
}

pub fn relation(id: RelationId) -> Vec<u8> {
    tagged(b'r', id.0)
}

/// The key of the object itself, in the space `Object`.
pub fn securable(securable: Securable) -> Vec<u8> {
    match securable {
        Securable::Namespace(id) => namespace(id),
        Securable::Relation(id) => relation(id),
    }
}

pub fn pointer(relation: RelationId) -> Vec<u8> {
    relation.0.to_be_bytes().to_vec()
}

pub fn metadata_versions(relation: RelationId) -> Vec<u8> {
    relation.0.to_be_bytes().to_vec()
}

pub fn metadata(relation: RelationId, sequence: CommitSequence) -> Vec<u8> {
    versioned(&metadata_versions(relation), sequence)
}

pub fn grants_on(on: Securable) -> Vec<u8> {
    joined(&[b"o", &securable(on)])
}

pub fn grant(on: Securable, to: RoleId) -> Vec<u8> {
    joined(&[b"o", &securable(on), &to.0.to_be_bytes()])
}

pub fn grants_to(to: RoleId) -> Vec<u8> {
    tagged(b't', to.0)
}

pub fn grant_to(to: RoleId, on: Securable) -> Vec<u8> {
    joined(&[&grants_to(to), &securable(on)])
}

pub const ROLES: &[u8] = b"i";

pub fn role(id: RoleId) -> Vec<u8> {
    tagged(b'i', id.0)
}

pub fn role_name(name: &str) -> Vec<u8> {
    named(b"n", name)
}

pub fn owned_by(role: RoleId) -> Vec<u8> {
    tagged(b'o', role.0)
}

pub fn owned(role: RoleId, object: Securable) -> Vec<u8> {
    joined(&[&owned_by(role), &securable(object)])
}

pub fn log(sequence: CommitSequence) -> Vec<u8> {
    sequence.0.to_be_bytes().to_vec()
}

pub fn intent(write: WriteId) -> Vec<u8> {
    write.0.as_bytes().to_vec()
}

pub const DISCARDS: &[u8] = b"d";

pub fn discard(after: CommitSequence, id: uuid::Uuid) -> Vec<u8> {
    joined(&[DISCARDS, &after.0.to_be_bytes(), id.as_bytes()])
}

pub const ANSWERS: &[u8] = b"a";

pub fn answer(key: uuid::Uuid) -> Vec<u8> {
    joined(&[ANSWERS, key.as_bytes()])
}

pub fn upkeep_record(relation: RelationId) -> Vec<u8> {
    tagged(b't', relation.0)
}

/// The beginning of the keys of all maintenance policies.
pub const POLICIES: &[u8] = b"m";

/// The maintenance policy of a catalog, namespace or relation.
pub fn policy(on: PolicyTarget) -> Vec<u8> {
    let object = match on {
        PolicyTarget::Database(id) => database(id),
        PolicyTarget::Namespace(id) => namespace(id),
        PolicyTarget::Relation(id) => relation(id),
    };
    joined(&[POLICIES, &object])
}

/// The beginning of the keys of all crawlers, and of all their runs.
pub const CRAWLERS: &[u8] = b"c";
pub const CRAWL_RUNS: &[u8] = b"w";

pub fn crawler(name: &str) -> Vec<u8> {
    named(CRAWLERS, name)
}

pub fn crawl_run(number: u64) -> Vec<u8> {
    tagged(b'w', number)
}

/// The object at the end of a key of `grant_to` or `owned`.
pub fn securable_at_end(key: &[u8]) -> Result<Securable> {
    let damaged = || Error::new(ErrorKind::Corrupt, "a key of the catalog does not end with an object");
    let (tag, id) = key.last_chunk::<9>().ok_or_else(damaged)?.split_at(1);
    let id = u64::from_be_bytes(id.try_into().map_err(|_| damaged())?);
    match tag {
        b"n" => Ok(Securable::Namespace(NamespaceId(id))),
        b"r" => Ok(Securable::Relation(RelationId(id))),
        _ => Err(damaged()),
    }
}

/// `key` as the store keeps it in a versioned space.
pub fn versioned(key: &[u8], sequence: CommitSequence) -> Vec<u8> {
    joined(&[key, &(!sequence.0).to_be_bytes()])
}

/// Takes a stored key of a versioned space apart; None when it is too short to be one.
pub fn split_version(stored: &[u8]) -> Option<(&[u8], CommitSequence)> {
    let (key, version) = stored.split_last_chunk::<8>()?;
    Some((key, CommitSequence(!u64::from_be_bytes(*version))))
}

/// The first key that does not start with `prefix`; None when there is none.
pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

fn tagged(tag: u8, id: u64) -> Vec<u8> {
    joined(&[&[tag], &id.to_be_bytes()])
}

fn named(prefix: &[u8], name: &str) -> Vec<u8> {
    joined(&[prefix, name.as_bytes(), &[0]])
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_version_comes_first() {
        let key = relation(RelationId(7));
        let newer = versioned(&key, CommitSequence(42));
        let older = versioned(&key, CommitSequence(40));
        let next = versioned(&relation(RelationId(8)), CommitSequence(44));
        assert!(newer < older && older < next);
        assert_eq!(split_version(&newer), Some((key.as_slice(), CommitSequence(42))));
        assert_eq!(split_version(b"short"), None);
    }

    #[test]
    fn no_name_is_the_beginning_of_another() {
        let (short, long) = (relation_name(NamespaceId(1), "a"), relation_name(NamespaceId(1), "ab"));
        assert!(!long.starts_with(&short));
        assert!(long.starts_with(&relation_names(NamespaceId(1), "a")));
        assert!(!relation_name(NamespaceId(2), "a").starts_with(&relation_names(NamespaceId(1), "")));
    }

    #[test]
    fn objects_are_found_at_the_end_of_reverse_keys() {
        for object in [Securable::Namespace(NamespaceId(3)), Securable::Relation(RelationId(u64::MAX))] {
            assert_eq!(securable_at_end(&owned(RoleId(9), object)).ok(), Some(object));
            assert_eq!(securable_at_end(&grant_to(RoleId(9), object)).ok(), Some(object));
        }
        assert_eq!(securable_at_end(b"short").map_err(|error| error.kind), Err(ErrorKind::Corrupt));
    }

    #[test]
    fn ends_of_prefixes() {
        assert_eq!(after_prefix(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(after_prefix(b"a\xff"), Some(b"b".to_vec()));
        assert_eq!(after_prefix(b"\xff\xff"), None);
        assert_eq!(after_prefix(b""), None);
    }
}
