//! Names and OIDs of schemas and relations, system ones included: what `regclass` and its kin translate between.
//! Unqualified names are looked up as PostgreSQL does: in `pg_catalog` first, unless the search path places it.

use super::constraints::is_key;
use super::context::SystemContext;
use super::declared::{self, SCHEMAS};
use super::keys::Keys;
use super::visible::{Found, RelationKeys};
use crate::error::Result;

const PG_CATALOG: &str = "pg_catalog";

impl SystemContext {
    /// The OID of a visible schema.
    pub fn schema_oid(&self, name: &str) -> Result<Option<i64>> {
        if let Some(schema) = declared::schema(name) {
            return Ok(Some(schema.oid.into()));
        }
        Ok(self.namespace_by_name(name)?.map(|namespace| namespace.id.oid().into()))
    }

    /// The name of a visible schema.
    pub fn schema_name(&self, oid: i64) -> Result<Option<String>> {
        if let Some(schema) = SCHEMAS.iter().find(|schema| i64::from(schema.oid) == oid) {
            return Ok(Some(schema.name.to_string()));
        }
        Ok(self.namespace_by_oid(oid)?.map(|namespace| namespace.name))
    }

    pub fn schema_comment(&self, oid: i64) -> Result<Option<String>> {
        if let Some(schema) = SCHEMAS.iter().find(|schema| i64::from(schema.oid) == oid) {
            return Ok(Some(schema.comment.to_string()));
        }
        Ok(self.namespace_by_oid(oid)?.and_then(|namespace| namespace.comment))
    }

    /// Schema and name of a visible relation.
    pub fn relation_name(&self, oid: i64) -> Result<Option<(String, String)>> {
        let system = u32::try_from(oid).ok().and_then(declared::table_by_oid);
        if let Some(table) = system {
            return Ok(Some((table.schema.name.to_string(), table.name.to_string())));
        }
        if let Some((table, key)) = self.constraint_by_oid(oid)?.filter(|(_, constraint)| is_key(constraint))
        {
            let name = table.name(&key);
            return Ok(Some((table.found.namespace.name, name)));
        }
        Ok(self.relation_by_oid(oid)?.map(|found| (found.namespace.name, found.relation.name)))
    }

    /// Whether the bare name of a relation means it. The index of a key is where its table is, and hidden by nothing.
    pub fn is_reached_by_name(&self, oid: i64, name: &str) -> Result<bool> {
        if self.relation_oid(None, name)? == Some(oid) {
            return Ok(true);
        }
        let Some((table, _)) = self.constraint_by_oid(oid)? else { return Ok(false) };
        let schema = &table.found.namespace.name;
        Ok(self.search_path.contains(schema) || self.temporary.as_ref() == Some(schema))
    }

    /// The OID of the visible relation that a name means, by the search path when it has no schema.
    pub fn relation_oid(&self, schema: Option<&str>, name: &str) -> Result<Option<i64>> {
        if let Some(schema) = schema {
            return self.relation_oid_in(schema, name);
        }
        let placed = self.search_path.iter().any(|schema| schema == PG_CATALOG);
        let implicit = (!placed).then_some(PG_CATALOG);
        let path = self.search_path.iter().map(String::as_str);
        for schema in self.temporary.as_deref().into_iter().chain(implicit).chain(path) {
            if let Some(oid) = self.relation_oid_in(schema, name)? {
                return Ok(Some(oid));
            }
        }
        Ok(None)
    }

    fn relation_oid_in(&self, schema: &str, name: &str) -> Result<Option<i64>> {
        if declared::schema(schema).is_some() {
            return Ok(declared::table(schema, name).map(|table| table.oid.into()));
        }
        let found = self.relation_by_name(schema, name)?;
        Ok(found.map(|found| found.relation.id.oid().into()))
    }

    /// Every visible relation that is not a system table.
    pub fn all_relations(&self) -> Result<Vec<Found>> {
        let none = RelationKeys { oid: "", name: "", namespace_oid: "", namespace: "" };
        self.relations(&Keys::default(), none)
    }
}
