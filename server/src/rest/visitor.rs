//! The caller, at one version of the catalog: what it may see, and what it may do. What it may not see does not exist; the
//! rules are those of statements, in the catalog. It must never answer a client.

use std::sync::Arc;

use tarn_catalog::access::{Need, Principal, Privilege, Requirement};
use tarn_catalog::name::{check_identifier, check_namespace_name, is_temporary_namespace};
use tarn_catalog::object::{Namespace, Relation, RelationKind, Securable};
use tarn_catalog::{Catalog, LAKE, Reader, RelationId};

use super::error::{Error, Result};
use super::request::Identifier;

/// How often a small change is made again when somebody else's came first.
const ATTEMPTS_MAX: usize = 8;

/// A caller who has proved who they are.
pub struct Visitor {
    pub principal: Principal,
    pub reader: Reader,
    pub catalog: Arc<Catalog>,
}

/// A relation and the namespace it is in.
pub struct Found {
    pub namespace: Namespace,
    pub relation: Relation,
}

impl Visitor {
    /// The same caller, at the newest version.
    pub fn renewed(&self) -> Visitor {
        let (principal, catalog) = (self.principal.clone(), Arc::clone(&self.catalog));
        Visitor { principal, reader: catalog.reader(), catalog }
    }

    /// The only level of a namespace; there are none below others.
    pub fn find_namespace(&self, levels: &[String]) -> Result<Option<Namespace>> {
        let [name] = levels else { return Ok(None) };
        let found = self.reader.namespace(LAKE, name)?;
        match found {
            Some(namespace) if self.sees_namespace(&namespace)? => Ok(Some(namespace)),
            _ => Ok(None),
        }
    }

    pub fn sees_namespace(&self, namespace: &Namespace) -> Result<bool> {
        let on = Securable::Namespace(namespace.id);
        Ok(!is_temporary_namespace(&namespace.name)
            && self.reader.may_see(&self.principal, on, namespace.owner)?)
    }

    pub fn sees(&self, relation: &Relation) -> Result<bool> {
        Ok(self.reader.may_see(&self.principal, Securable::Relation(relation.id), relation.owner)?)
    }

    /// # Errors
    ///
    /// 404 for a namespace that is not there, or not for this caller.
    pub fn namespace(&self, levels: &[String]) -> Result<Namespace> {
        self.find_namespace(levels)?.ok_or_else(|| Error::no_namespace(&levels.join(".")))
    }

    fn find(&self, identifier: &Identifier) -> Result<Option<Found>> {
        let Some(namespace) = self.find_namespace(&identifier.namespace)? else { return Ok(None) };
        match self.reader.relation(namespace.id, &identifier.name)? {
            Some(relation) if self.sees(&relation)? => Ok(Some(Found { namespace, relation })),
            _ => Ok(None),
        }
    }

    /// The table of that name, if there is one for this caller.
    pub fn find_table(&self, identifier: &Identifier) -> Result<Option<Found>> {
        Ok(self.find(identifier)?.filter(|found| found.relation.kind == RelationKind::Table))
    }

    pub fn table(&self, identifier: &Identifier) -> Result<Found> {
        self.find_table(identifier)?
            .ok_or_else(|| Error::no_table(&identifier.namespace.join("."), &identifier.name))
    }

    pub fn find_view(&self, identifier: &Identifier) -> Result<Option<Found>> {
        Ok(self.find(identifier)?.filter(|found| matches!(found.relation.kind, RelationKind::View(_))))
    }

    pub fn view(&self, identifier: &Identifier) -> Result<Found> {
        self.find_view(identifier)?
            .ok_or_else(|| Error::no_view(&identifier.namespace.join("."), &identifier.name))
    }

    /// Fails with 403 when the caller does not hold the privilege on the relation, and USAGE on its namespace.
    pub fn may(&self, found: &Found, privilege: Privilege) -> Result<()> {
        self.may_in(&found.namespace, Privilege::Usage)?;
        self.on_relation(found, Need::Privilege(privilege))
    }

    /// Fails with 403 when the caller does not own the relation.
    pub fn owns(&self, found: &Found) -> Result<()> {
        self.may_in(&found.namespace, Privilege::Usage)?;
        self.on_relation(found, Need::Ownership)
    }

    fn on_relation(&self, found: &Found, need: Need) -> Result<()> {
        let kind = match &found.relation.kind {
            RelationKind::Table => "table",
            RelationKind::External(_) => "external table",
            RelationKind::View(_) => "view",
        };
        let object = format!("{kind} {}", found.relation.name);
        let on = Some(Securable::Relation(found.relation.id));
        let requirement = Requirement { on, owner: Some(found.relation.owner), need, object };
        Ok(self.reader.check(&self.principal, &requirement)?)
    }

    pub fn may_in(&self, namespace: &Namespace, privilege: Privilege) -> Result<()> {
        self.on_namespace(namespace, Need::Privilege(privilege))
    }

    pub fn owns_namespace(&self, namespace: &Namespace) -> Result<()> {
        self.on_namespace(namespace, Need::Ownership)
    }

    fn on_namespace(&self, namespace: &Namespace, need: Need) -> Result<()> {
        let on = Some(Securable::Namespace(namespace.id));
        let object = format!("schema {}", namespace.name);
        let requirement = Requirement { on, owner: Some(namespace.owner), need, object };
        Ok(self.reader.check(&self.principal, &requirement)?)
    }

    /// Fails with 403 when the role may not make schemas.
    pub fn may_create_namespaces(&self) -> Result<()> {
        let requirement = Requirement {
            on: None,
            owner: None,
            need: Need::CreateSchema,
            object: "create schema".to_owned(),
        };
        Ok(self.reader.check(&self.principal, &requirement)?)
    }

    /// The relation of that id, as it is at this version.
    pub fn by_id(&self, id: RelationId) -> Result<Option<Found>> {
        let Some(relation) = self.reader.relation_by_id(id)? else { return Ok(None) };
        let Some(namespace) = self.reader.namespace_by_id(relation.namespace)? else { return Ok(None) };
        let seen = self.sees_namespace(&namespace)? && self.sees(&relation)?;
        Ok(seen.then_some(Found { namespace, relation }))
    }
}

/// A name that a new table or view may have. `.` and `..` could not be asked for again: clients fold them away.
pub fn check_name(name: &str) -> Result<()> {
    check_identifier(name)?;
    match name {
        "." | ".." => Err(Error::bad_request("a name must be more than dots")),
        _ => Ok(()),
    }
}

/// The name of a new namespace.
pub fn check_levels(levels: &[String]) -> Result<&str> {
    let [name] = levels else {
        return Err(Error::bad_request(format!(
            "a namespace has one level here, and this has {}: namespaces below others are not supported",
            levels.len()
        )));
    };
    check_name(name)?;
    check_namespace_name(name)?;
    if is_temporary_namespace(name) {
        return Err(Error::bad_request("the prefix \"pg_\" is reserved for the server's own namespaces"));
    }
    Ok(name)
}

/// Makes a small change, and makes it again on the newest version when another's came first. It reads all that it rests
/// on through the visitor that it is given.
pub async fn retried<T, F: Future<Output = Result<T>>>(
    visitor: Visitor,
    mut change: impl FnMut(Visitor) -> F,
) -> Result<T> {
    for _ in 1..ATTEMPTS_MAX {
        match change(visitor.renewed()).await {
            Err(error) if error.is_conflict() => {}
            other => return other,
        }
    }
    change(visitor.renewed()).await
}
