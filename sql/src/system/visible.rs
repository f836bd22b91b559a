//! What the asking role may see: a schema it owns or holds a privilege on, and in such a schema the relations it owns
//! or holds a privilege on. What it may not see is not there: not in a listing, not by OID, not by name.
//! Look-ups by key are point or prefix reads of the catalog; only a scan without keys lists everything.

use std::collections::BTreeMap;

use tarn_catalog::object::{Namespace, Relation, Securable};
use tarn_catalog::{NamespaceId, RelationId, RoleId};

use super::context::SystemContext;
use super::keys::Keys;
use crate::error::Result;

/// Which columns of a system table are keys of a relation; an empty name where there is no such column.
#[derive(Debug, Clone, Copy)]
pub struct RelationKeys {
    pub oid: &'static str,
    pub name: &'static str,
    /// The OID of the relation's schema.
    pub namespace_oid: &'static str,
    /// The name of the relation's schema.
    pub namespace: &'static str,
}

/// A relation and the schema it is in.
#[derive(Debug, Clone)]
pub struct Found {
    pub namespace: Namespace,
    pub relation: Relation,
}

impl SystemContext {
    /// Whether the role owns the object or holds any privilege on it.
    fn may_see(&self, object: Securable, owner: RoleId) -> Result<bool> {
        Ok(self.reader.may_see(&self.principal, object, owner)?)
    }

    /// The schema, if the role may see it.
    fn shown_namespace(&self, namespace: Option<Namespace>) -> Result<Option<Namespace>> {
        let Some(namespace) = namespace.filter(|namespace| namespace.catalog == self.catalog) else {
            return Ok(None);
        };
        let shown = self.may_see(Securable::Namespace(namespace.id), namespace.owner)?;
        Ok(shown.then_some(namespace))
    }

    pub fn namespace_by_oid(&self, oid: i64) -> Result<Option<Namespace>> {
        let Ok(id) = u64::try_from(oid) else { return Ok(None) };
        self.shown_namespace(self.reader.namespace_by_id(NamespaceId(id))?)
    }

    pub fn namespace_by_name(&self, name: &str) -> Result<Option<Namespace>> {
        self.shown_namespace(self.reader.namespace(self.catalog, name)?)
    }

    /// The visible schemas that the keys admit.
    pub fn namespaces(&self, keys: &Keys, oid: &str, name: &str) -> Result<Vec<Namespace>> {
        if let Some(oids) = keys.ints(oid) {
            return each_once(oids, |oid| self.namespace_by_oid(*oid));
        }
        if let Some(names) = keys.texts(name) {
            return each_once(names, |name| self.namespace_by_name(name));
        }
        let all = self.reader.namespaces(self.catalog)?;
        let shown = all.into_iter().map(|namespace| self.shown_namespace(Some(namespace)));
        shown.filter_map(Result::transpose).collect()
    }

    /// The relation, if the role may see it and its schema.
    pub fn relation_by_oid(&self, oid: i64) -> Result<Option<Found>> {
        let Ok(id) = u64::try_from(oid) else { return Ok(None) };
        let Some(relation) = self.reader.relation_by_id(RelationId(id))? else { return Ok(None) };
        let Some(namespace) = self.shown_namespace(self.reader.namespace_by_id(relation.namespace)?)? else {
            return Ok(None);
        };
        self.shown_relation(&namespace, relation)
    }

    /// The relation of that name in that schema, if the role may see both.
    pub fn relation_by_name(&self, namespace: &str, name: &str) -> Result<Option<Found>> {
        let Some(namespace) = self.namespace_by_name(namespace)? else { return Ok(None) };
        match self.reader.relation(namespace.id, name)? {
            Some(relation) => self.shown_relation(&namespace, relation),
            None => Ok(None),
        }
    }

    fn shown_relation(&self, namespace: &Namespace, relation: Relation) -> Result<Option<Found>> {
        let shown = self.may_see(Securable::Relation(relation.id), relation.owner)?;
        Ok(shown.then(|| Found { namespace: namespace.clone(), relation }))
    }

    /// The visible relations that the keys admit.
    pub fn relations(&self, keys: &Keys, columns: RelationKeys) -> Result<Vec<Found>> {
        if let Some(oids) = keys.ints(columns.oid) {
            return each_once(oids, |oid| self.relation_by_oid(*oid));
        }
        let mut found = Vec::new();
        for namespace in self.namespaces(keys, columns.namespace_oid, columns.namespace)? {
            let relations = match keys.texts(columns.name) {
                Some(names) => each_once(names, |name| Ok(self.reader.relation(namespace.id, name)?))?,
                None if keys.prefix(columns.name).is_empty() => self.reader.relations(namespace.id)?,
                None => self.reader.relations_with_prefix(namespace.id, keys.prefix(columns.name))?,
            };
            for relation in relations {
                found.extend(self.shown_relation(&namespace, relation)?);
            }
        }
        Ok(found)
    }

    /// The comment on a relation as clients show it: of a table that cannot be read it says why, for there is no other
    /// place where PostgreSQL's clients look.
    pub fn comment(&self, relation: &Relation) -> Result<Option<String>> {
        let Some(reason) = self.reader.unsupported(relation.id)? else { return Ok(relation.comment.clone()) };
        Ok(Some(match &relation.comment {
            Some(comment) => format!("{comment} (unsupported: {reason})"),
            None => format!("unsupported: {reason}"),
        }))
    }

    /// The names of all roles; every role may see them, as in PostgreSQL.
    pub fn role_names(&self) -> Result<BTreeMap<RoleId, String>> {
        Ok(self.reader.roles()?.into_iter().map(|role| (role.id, role.name)).collect())
    }
}

/// Looks each key up once, though a query may name it twice.
fn each_once<K: Ord, T>(keys: &[K], find: impl Fn(&K) -> Result<Option<T>>) -> Result<Vec<T>> {
    let keys: std::collections::BTreeSet<&K> = keys.iter().collect();
    keys.into_iter().filter_map(|key| find(key).transpose()).collect()
}
