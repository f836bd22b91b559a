//! What a principal may see and do, asked of a reader: the grants that the pure rules of `access.rs` need are looked up
//! here, for every door alike. It must never decide by itself. It also knows whose folder a location is.

use crate::access::{self, Principal, Requirement};
use crate::error::Result;
use crate::id::{LAKE, RoleId};
use crate::object::{Namespace, Relation, Securable};
use crate::reader::Reader;

impl Reader {
    /// Fails when `principal` does not meet the requirement.
    pub fn check(&self, principal: &Principal, requirement: &Requirement) -> Result<()> {
        let grants = match requirement.on {
            Some(on) if !principal.superuser => self.grants_on(on)?,
            _ => Vec::new(),
        };
        access::decide(principal, requirement, &grants)
    }

    /// Whether the role owns the object or holds any privilege on it. What a role may not see is not there for it: not in
    /// a listing, not by name.
    pub fn may_see(&self, principal: &Principal, object: Securable, owner: RoleId) -> Result<bool> {
        if principal.superuser || principal.roles.contains(&owner) {
            return Ok(true);
        }
        let grants = self.grants_on(object)?;
        Ok(grants.iter().any(|grant| principal.roles.contains(&grant.to) && !grant.privileges.is_empty()))
    }

    /// The table whose folder holds `location` or lies in it, or that has this UUID. Two tables must never overlap:
    /// expiring snapshots of one would delete files of the other.
    pub fn table_at(
        &self,
        location: &str,
        uuid: Option<uuid::Uuid>,
    ) -> Result<Option<(Namespace, Relation)>> {
        let guard = self.storage().guard();
        for namespace in self.namespaces(LAKE)? {
            for relation in self.relations(namespace.id)? {
                let Some(pointer) = self.pointer(relation.id)? else { continue };
                if Some(pointer.uuid) == uuid || guard.overlaps(&pointer.location, location)? {
                    return Ok(Some((namespace, relation)));
                }
            }
        }
        Ok(None)
    }
}
