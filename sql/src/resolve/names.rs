//! Finding objects by name: the search path, and what to say when there is nothing of that name.

use tarn_catalog::access::Principal;
use tarn_catalog::object::{Namespace, Relation, RelationKind, Role};
use tarn_catalog::{LAKE, Reader};

use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::statement::{Name, RelationWord};
use crate::system;
use crate::temporary;

/// The one catalog of this version.
pub(crate) const DATABASE: &str = "lake";

/// Everything a name is looked up in: one catalog version, one user, one search path.
#[derive(Clone)]
pub(crate) struct Scope {
    pub reader: Reader,
    pub principal: Principal,
    /// Schema names in order; the system schema `pg_catalog` is searched before them all.
    pub search_path: Vec<String>,
    /// The schema of the session's temporary tables, which is searched first; None while there are none.
    pub temporary: Option<String>,
}

/// A relation and the namespace it was found in.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub namespace: Namespace,
    pub relation: Relation,
}

impl Found {
    /// `table orders`, for messages.
    pub fn label(&self) -> String {
        format!("{} {}", kind_word(&self.relation), self.relation.name)
    }

    /// `schema.name`, quoted where needed.
    pub fn qualified(&self) -> String {
        Name { catalog: None, schema: Some(self.namespace.name.clone()), name: self.relation.name.clone() }
            .to_string()
    }
}

/// What a name stands for in a query.
#[derive(Debug, Clone)]
pub(crate) enum Named {
    Relation(Box<Found>),
    System { schema: String, name: String },
}

fn kind_word(relation: &Relation) -> &'static str {
    match relation.kind {
        RelationKind::Table => "table",
        RelationKind::External(_) => "external table",
        RelationKind::View(_) => "view",
    }
}

impl Scope {
    /// The schemas of the search path that exist.
    fn path(&self) -> Result<Vec<Namespace>> {
        let mut found = Vec::new();
        for name in self.path_names() {
            found.extend(self.reader.namespace(LAKE, &name)?);
        }
        Ok(found)
    }

    /// The search path with `$user` filled in.
    pub fn path_names(&self) -> Vec<String> {
        let fill = |name: &String| if name == "$user" { self.principal.name.clone() } else { name.clone() };
        self.search_path.iter().map(fill).collect()
    }

    /// `pg_temp` means the session's own.
    fn schema_meant<'a>(&'a self, schema: &'a str) -> &'a str {
        match &self.temporary {
            Some(own) if schema == temporary::ALIAS => own,
            _ => schema,
        }
    }

    /// The schema of what goes with the session.
    pub fn temporary_namespace(&self, name: &Name) -> Result<Namespace> {
        check_catalog(name.catalog.as_deref())?;
        let own = self.temporary.as_deref().unwrap_or_default();
        if name.schema.as_deref().is_some_and(|schema| self.schema_meant(schema) != own) {
            let message = "cannot create a temporary relation in a schema that is not temporary";
            return Err(
                Error::new(SqlState::INVALID_TABLE_DEFINITION, message).with_hint("Leave the schema out.")
            );
        }
        let missing = || Error::internal("the schema of temporary tables is not there");
        self.reader.namespace(LAKE, own)?.ok_or_else(missing)
    }

    /// The schema of a name that has one, or the first of the search path: where something new goes.
    pub fn target_namespace(&self, name: &Name) -> Result<Namespace> {
        check_catalog(name.catalog.as_deref())?;
        match &name.schema {
            Some(schema) => self.namespace(schema),
            None => self.path()?.into_iter().next().ok_or_else(|| {
                Error::new(SqlState::INVALID_SCHEMA_NAME, "no schema has been selected to create in")
                    .with_hint("Set search_path to a schema that exists, or name one.")
            }),
        }
    }

    pub fn namespace(&self, name: &str) -> Result<Namespace> {
        if system::is_system_schema(name) {
            return Err(Error::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("schema \"{name}\" belongs to the system and cannot be changed"),
            ));
        }
        self.reader.namespace(LAKE, name)?.ok_or_else(|| self.no_namespace(name))
    }

    fn no_namespace(&self, name: &str) -> Error {
        let error = Error::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{name}\" does not exist"));
        let known = self.reader.namespaces(LAKE).unwrap_or_default();
        match nearest(name, known.iter().map(|namespace| namespace.name.as_str())) {
            Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
            None => error,
        }
    }

    /// What a name in a query stands for.
    pub fn find(&self, name: &Name) -> Result<Named> {
        if let Some(schema) = name.schema.as_deref().filter(|schema| system::is_system_schema(schema)) {
            check_catalog(name.catalog.as_deref())?;
            if system::exists(schema, &name.name) {
                return Ok(Named::System { schema: schema.to_owned(), name: name.name.clone() });
            }
            let missing = format!("relation \"{schema}.{}\" does not exist", name.name);
            return Err(Error::new(SqlState::UNDEFINED_TABLE, missing));
        }
        if name.schema.is_none() && system::exists("pg_catalog", &name.name) {
            return Ok(Named::System { schema: "pg_catalog".to_owned(), name: name.name.clone() });
        }
        match self.look_up(name)? {
            Some(found) => Ok(Named::Relation(Box::new(found))),
            None => Err(self.no_relation(name)),
        }
    }

    /// The relation of a name, if there is one.
    pub fn look_up(&self, name: &Name) -> Result<Option<Found>> {
        check_catalog(name.catalog.as_deref())?;
        let namespaces = match &name.schema {
            Some(schema) => self.reader.namespace(LAKE, self.schema_meant(schema))?.into_iter().collect(),
            None => {
                let temporary = match &self.temporary {
                    Some(temporary) => self.reader.namespace(LAKE, temporary)?,
                    None => None,
                };
                temporary.into_iter().chain(self.path()?).collect::<Vec<_>>()
            }
        };
        for namespace in namespaces {
            if let Some(relation) = self.reader.relation(namespace.id, &name.name)? {
                return Ok(Some(Found { namespace, relation }));
            }
        }
        Ok(None)
    }

    /// The relation of a name, or the error that says there is none.
    pub fn relation(&self, name: &Name) -> Result<Found> {
        if name.schema.as_deref().is_some_and(system::is_system_schema) {
            let message = format!("relation \"{name}\" belongs to the system and cannot be changed");
            return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
        }
        self.look_up(name)?.ok_or_else(|| self.no_relation(name))
    }

    /// A relation of the kind that the statement names; 42809 for another kind.
    pub fn relation_of_kind(&self, word: RelationWord, name: &Name) -> Result<Found> {
        let found = self.relation(name)?;
        check_kind(word, &found)?;
        Ok(found)
    }

    pub fn role(&self, name: &str) -> Result<Role> {
        let found = match name {
            "current_user" | "current_role" | "session_user" => {
                self.reader.role_by_id(self.principal.role)?
            }
            _ => self.reader.role(name)?,
        };
        found.ok_or_else(|| Error::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist")))
    }

    /// Names only what the user may see: relations of schemas on the search path or of the schema named.
    fn no_relation(&self, name: &Name) -> Error {
        let error = Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"));
        let namespaces = match &name.schema {
            Some(schema) => match self.reader.namespace(LAKE, schema).ok().flatten() {
                Some(namespace) => vec![namespace],
                None => return self.no_schema_of(error, schema),
            },
            None => self.path().unwrap_or_default(),
        };
        let mut known = Vec::new();
        for namespace in &namespaces {
            let relations = self.reader.relations(namespace.id).unwrap_or_default();
            known.extend(relations.into_iter().map(|relation| relation.name));
        }
        if let Some(near) = nearest(&name.name, known.iter().map(String::as_str)) {
            return error.with_hint(format!("Did you mean \"{near}\"?"));
        }
        match self.elsewhere(&name.name) {
            Some(schema) if name.schema.is_none() => {
                error.with_hint(format!("There is one in schema \"{schema}\": write {schema}.{}.", name.name))
            }
            _ => error,
        }
    }

    fn no_schema_of(&self, error: Error, schema: &str) -> Error {
        let missing = self.no_namespace(schema);
        let hint = missing.hint.unwrap_or_else(|| "SHOW SCHEMAS lists the schemas.".to_owned());
        error.with_detail(format!("The schema \"{schema}\" does not exist.")).with_hint(hint)
    }

    /// A schema off the search path that has a relation of this name.
    fn elsewhere(&self, name: &str) -> Option<String> {
        let namespaces = self.reader.namespaces(LAKE).ok()?;
        let mut having = namespaces
            .into_iter()
            .filter(|namespace| matches!(self.reader.relation(namespace.id, name), Ok(Some(_))));
        having.next().map(|namespace| namespace.name)
    }
}

/// `DROP TABLE` of a view, and the like.
pub(crate) fn check_kind(word: RelationWord, found: &Found) -> Result<()> {
    let right = match found.relation.kind {
        RelationKind::Table | RelationKind::External(_) => RelationWord::Table,
        RelationKind::View(_) => RelationWord::View,
    };
    if right == word {
        return Ok(());
    }
    let message = format!("\"{}\" is not a {word}", found.relation.name);
    let hint = format!("Use the {} form of the statement.", right.to_string().to_uppercase());
    Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).with_hint(hint))
}

pub(crate) fn check_catalog(catalog: Option<&str>) -> Result<()> {
    match catalog {
        Some(catalog) if catalog != DATABASE => {
            Err(Error::new(SqlState::INVALID_CATALOG_NAME, format!("database \"{catalog}\" does not exist"))
                .with_hint(format!("The database is \"{DATABASE}\".")))
        }
        _ => Ok(()),
    }
}

/// The known name that differs in the fewest letters, if these are few.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).clamp(1, 3);
    let lower = name.to_lowercase();
    known
        .map(|candidate| (edit_distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance in characters.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, left_char) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, right_char) in right.iter().enumerate() {
            let substitute = diagonal + usize::from(left_char != *right_char);
            diagonal = row[column + 1];
            row[column + 1] = substitute.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let known = ["orders", "lineitem", "customer"];
        let check = |name: &str, expect: Option<&str>| {
            assert_eq!(nearest(name, known.iter().copied()), expect, "{name}");
        };
        check("order", Some("orders"));
        check("Orders", Some("orders"));
        check("lineitme", Some("lineitem"));
        check("x", None);
        check("nation", None);
    }
}
