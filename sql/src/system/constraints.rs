//! Constraints as the catalogs show them: `pg_constraint`, the indexes that PostgreSQL would keep for keys (in `pg_index`,
//! `pg_class` and `pg_indexes`), and the views of `information_schema`. There are no indexes: their access method is called
//! `declared`, and the definition of every key ends with NOT ENFORCED. Only tables that have constraints are opened.

use std::sync::Arc;

use iceberg::spec::Schema;
use tarn_catalog::iceberg::{CONSTRAINTS_MAX, Constraint, ConstraintKind, Declared};
use tarn_catalog::name::quote;
use tarn_catalog::{RelationId, TableVersion};

use super::context::SystemContext;
use super::keys::Keys;
use super::visible::{Found, RelationKeys};
use crate::error::Result;
use crate::plan::shown_name;

/// Constraints have OIDs from here on, above those of everything else: the table's, times the most that it may have,
/// and the constraint's number. An index has that of its constraint.
pub const FIRST_CONSTRAINT_OID: i64 = 1 << 31;
/// Tables beyond this one have none.
const RELATIONS_MAX: u64 = 1 << 25;

/// A table with its constraints.
#[derive(Debug)]
pub struct Constrained {
    pub found: Found,
    pub constraints: Vec<Constraint>,
    version: Arc<TableVersion>,
}

/// The OID of a constraint, and of the index of a key.
fn oid_of(relation: RelationId, number: u32) -> u32 {
    let place = relation.0.min(RELATIONS_MAX - 1) * u64::from(CONSTRAINTS_MAX) + u64::from(number);
    let place = i64::try_from(place).unwrap_or(i64::MAX);
    u32::try_from(FIRST_CONSTRAINT_OID.saturating_add(place)).unwrap_or(u32::MAX)
}

/// The table and the number of the constraint with an OID.
fn split_oid(oid: i64) -> Option<(RelationId, u32)> {
    let place = u64::try_from(oid.checked_sub(FIRST_CONSTRAINT_OID)?).ok()?;
    let number = u32::try_from(place % u64::from(CONSTRAINTS_MAX)).ok()?;
    Some((RelationId(place / u64::from(CONSTRAINTS_MAX)), number))
}

impl Constrained {
    pub fn name(&self, constraint: &Constraint) -> String {
        shown_name(constraint, &self.found.relation.name)
    }

    pub fn oid(&self, constraint: &Constraint) -> u32 {
        oid_of(self.found.relation.id, constraint.number)
    }

    pub fn schema(&self) -> &Schema {
        self.version.metadata.current_schema()
    }

    /// Keys, for which PostgreSQL has an index each.
    pub fn keys(&self) -> impl Iterator<Item = &Constraint> {
        self.constraints.iter().filter(|constraint| is_key(constraint))
    }

    /// The names of the columns with these ids.
    pub fn names(&self, ids: &[i32]) -> Vec<String> {
        ids.iter().filter_map(|id| self.schema().name_by_field_id(*id)).map(str::to_owned).collect()
    }

    /// The numbers of the columns with these ids, which are their places.
    pub fn numbers(&self, ids: &[i32]) -> Vec<i64> {
        let fields = self.schema().as_struct().fields();
        let place = |id: &i32| fields.iter().position(|field| field.id == *id);
        ids.iter().filter_map(place).map(|place| i64::try_from(place + 1).unwrap_or(i64::MAX)).collect()
    }
}

/// Whether it is a primary key or unique.
pub fn is_key(constraint: &Constraint) -> bool {
    matches!(constraint.kind, ConstraintKind::PrimaryKey { .. } | ConstraintKind::Unique { .. })
}

impl SystemContext {
    /// A visible table's constraints; None when it has none.
    pub fn constrained(&self, found: Found) -> Result<Option<Constrained>> {
        let pointer = self.reader.pointer(found.relation.id)?;
        if !pointer.is_some_and(|pointer| pointer.constrained) {
            return Ok(None);
        }
        let Some(version) = self.reader.table_at_hand(found.relation.id)? else { return Ok(None) };
        let constraints = Declared::of(&version.metadata).constraints;
        Ok((!constraints.is_empty()).then_some(Constrained { found, constraints, version }))
    }

    /// The visible tables with constraints that the keys admit; `oid` names the column with OIDs of constraints.
    pub fn constrained_tables(
        &self,
        keys: &Keys,
        columns: RelationKeys,
        oid: &str,
    ) -> Result<Vec<Constrained>> {
        let found = match keys.ints(oid) {
            Some(oids) => {
                let mut relations: Vec<RelationId> =
                    oids.iter().filter_map(|oid| split_oid(*oid)).map(|(relation, _)| relation).collect();
                relations.sort();
                relations.dedup();
                let find = |id: RelationId| self.relation_by_oid(id.oid().into()).transpose();
                relations.into_iter().filter_map(find).collect::<Result<Vec<_>>>()?
            }
            None => self.relations(keys, columns)?,
        };
        found.into_iter().filter_map(|found| self.constrained(found).transpose()).collect()
    }

    /// The visible table of a constraint's OID, with the constraint.
    pub fn constraint_by_oid(&self, oid: i64) -> Result<Option<(Constrained, Constraint)>> {
        let Some((relation, number)) = split_oid(oid) else { return Ok(None) };
        let Some(found) = self.relation_by_oid(relation.oid().into())? else { return Ok(None) };
        let Some(table) = self.constrained(found)? else { return Ok(None) };
        let constraint = table.constraints.iter().find(|constraint| constraint.number == number).cloned();
        Ok(constraint.map(|constraint| (table, constraint)))
    }

    /// The table that a foreign key leads to, if it is there, may be seen, and has the columns.
    pub fn referenced(&self, table: &Constrained, kind: &ConstraintKind) -> Result<Option<Referenced>> {
        let ConstraintKind::ForeignKey { table: other, references, .. } = kind else { return Ok(None) };
        let other = other.unwrap_or(table.found.relation.id);
        let Some(found) = self.relation_by_oid(other.oid().into())? else { return Ok(None) };
        let Some(other) = self.constrained(found)? else { return Ok(None) };
        let (names, numbers) = (other.names(references), other.numbers(references));
        if names.len() != references.len() || numbers.len() != references.len() {
            return Ok(None);
        }
        let key = other.keys().find(|key| {
            let columns = key.kind.columns();
            columns.len() == references.len() && references.iter().all(|id| columns.contains(id))
        });
        let key = key.map(|key| (other.name(key), other.oid(key), key.kind.columns().to_vec()));
        Ok(Some(Referenced { names, numbers, ids: references.clone(), key, found: other.found }))
    }

    /// What `pg_get_constraintdef` says.
    pub fn constraint_definition(&self, oid: i64) -> Result<Option<String>> {
        let Some((table, constraint)) = self.constraint_by_oid(oid)? else { return Ok(None) };
        let columns = |ids: &[i32]| list(&table.names(ids));
        Ok(match &constraint.kind {
            ConstraintKind::PrimaryKey { columns: ids } => {
                Some(format!("PRIMARY KEY ({}) NOT ENFORCED", columns(ids)))
            }
            ConstraintKind::Unique { columns: ids } => {
                Some(format!("UNIQUE ({}) NOT ENFORCED", columns(ids)))
            }
            ConstraintKind::Check { expression, enforced, validated, .. } => {
                let enforced = if *enforced { "" } else { " NOT ENFORCED" };
                let valid = if *validated { "" } else { " NOT VALID" };
                Some(format!("CHECK (({expression})){valid}{enforced}"))
            }
            ConstraintKind::ForeignKey { columns: ids, .. } => {
                let Some(other) = self.referenced(&table, &constraint.kind)? else { return Ok(None) };
                let own = columns(ids);
                let there = self.shown_relation_name(&other.found)?;
                let rules = rules(&constraint.kind);
                let names = list(&other.names);
                Some(format!("FOREIGN KEY ({own}) REFERENCES {there}({names}){rules} NOT ENFORCED"))
            }
        })
    }

    /// The bare name where that means the relation, else with its schema.
    fn shown_relation_name(&self, found: &Found) -> Result<String> {
        let name = &found.relation.name;
        let bare = self.relation_oid(None, name)? == Some(found.relation.id.oid().into());
        let qualified = || format!("{}.{}", quote(&found.namespace.name), quote(name));
        Ok(if bare { quote(name) } else { qualified() })
    }

    /// What `pg_get_indexdef` says: of the whole index, or the name of one of its columns.
    pub fn index_definition(&self, oid: i64, column: i64) -> Result<Option<String>> {
        let Some((table, constraint)) = self.constraint_by_oid(oid)? else { return Ok(None) };
        if !is_key(&constraint) {
            return Ok(None);
        }
        let names = table.names(constraint.kind.columns());
        if let Some(place) = usize::try_from(column).ok().and_then(|column| column.checked_sub(1)) {
            return Ok(names.get(place).map(|name| quote(name)));
        }
        let (schema, name) = (&table.found.namespace.name, &table.found.relation.name);
        Ok(Some(format!(
            "CREATE UNIQUE INDEX {} ON {}.{} USING declared ({}) NOT ENFORCED",
            quote(&table.name(&constraint)),
            quote(schema),
            quote(name),
            list(&names)
        )))
    }
}

/// The columns that a foreign key leads to.
pub struct Referenced {
    pub found: Found,
    pub names: Vec<String>,
    pub numbers: Vec<i64>,
    pub ids: Vec<i32>,
    /// The key that they are: its name, the OID of its index, its columns.
    pub key: Option<(String, u32, Vec<i32>)>,
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ")
}

/// What a foreign key says beyond its columns, as far as it is not what holds anyway.
fn rules(kind: &ConstraintKind) -> String {
    let ConstraintKind::ForeignKey { on_update, on_delete, full, deferrable, deferred, .. } = kind else {
        return String::new();
    };
    let mut text = String::new();
    if *full {
        text.push_str(" MATCH FULL");
    }
    for (event, letter) in [("UPDATE", on_update), ("DELETE", on_delete)] {
        if *letter != 'a' {
            text.push_str(&format!(" ON {event} {}", action(*letter)));
        }
    }
    if *deferrable {
        text.push_str(" DEFERRABLE");
    }
    if *deferred {
        text.push_str(" INITIALLY DEFERRED");
    }
    text
}

/// The words of a letter.
pub fn action(letter: char) -> &'static str {
    match letter {
        'r' => "RESTRICT",
        'c' => "CASCADE",
        'n' => "SET NULL",
        'd' => "SET DEFAULT",
        _ => "NO ACTION",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oids_lead_back_to_their_constraints() {
        for (relation, number) in [(0, 0), (16_384, 1), (16_385, 63), (RELATIONS_MAX - 1, 63)] {
            let oid = oid_of(RelationId(relation), number);
            assert_eq!(split_oid(oid.into()), Some((RelationId(relation), number)));
        }
        assert_eq!(split_oid(16_384), None);
        assert_eq!(split_oid(-1), None);
    }
}
