//! What a table declares of its columns that Iceberg has no place for: types with a length, and constraints. It is kept as
//! two table properties in which columns are field ids, so that renaming and moving columns, by any engine, leaves them
//! true. Other engines carry the properties along and do not read them. It must never decide whether a row is allowed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use iceberg::spec::{PrimitiveType, Schema, TableMetadata, Type};
use serde::{Deserialize, Serialize};

use crate::id::RelationId;

/// The property of types: `{"3": "varchar(10)"}`.
const TYPES: &str = "tarn.types";
/// The property of constraints, a list of [`Constraint`].
const CONSTRAINTS: &str = "tarn.constraints";

/// Both properties.
pub const DECLARED_PROPERTIES: [&str; 2] = [TYPES, CONSTRAINTS];

/// The most constraints of a table: each has a number below this, from which its OIDs are made.
pub const CONSTRAINTS_MAX: u32 = 64;

/// What one table declares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// The types that Iceberg has no word for, by field id, as `types.rs` of the SQL crate marks them.
    pub types: BTreeMap<i32, String>,
    pub constraints: Vec<Constraint>,
}

/// One constraint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraint {
    /// Empty for identifier fields that another engine has set: they are a primary key without a name.
    pub name: String,
    /// Stays with the constraint; no other one of the table has it.
    pub number: u32,
    #[serde(flatten)]
    pub kind: ConstraintKind,
}

/// What a constraint says of its columns, which are field ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ConstraintKind {
    PrimaryKey {
        columns: Vec<i32>,
    },
    Unique {
        columns: Vec<i32>,
    },
    ForeignKey {
        columns: Vec<i32>,
        /// None for the table itself.
        table: Option<RelationId>,
        references: Vec<i32>,
        /// PostgreSQL's letters for what happens to the referencing rows: `a`, `r`, `c`, `n` or `d`.
        on_update: char,
        on_delete: char,
        /// `MATCH FULL`.
        #[serde(default)]
        full: bool,
        #[serde(default)]
        deferrable: bool,
        #[serde(default)]
        deferred: bool,
    },
    Check {
        /// The columns that it names.
        columns: Vec<i32>,
        /// The condition as SQL, with the names that the columns have.
        expression: String,
        enforced: bool,
        /// Whether the rows that were there when it was added have been looked at.
        validated: bool,
    },
}

impl ConstraintKind {
    /// The table's own columns that it is about.
    pub fn columns(&self) -> &[i32] {
        match self {
            ConstraintKind::PrimaryKey { columns }
            | ConstraintKind::Unique { columns }
            | ConstraintKind::ForeignKey { columns, .. }
            | ConstraintKind::Check { columns, .. } => columns,
        }
    }

    /// All columns under other ids; None when one of them has none.
    fn with_ids(mut self, id: &dyn Fn(i32) -> Option<i32>) -> Option<ConstraintKind> {
        let change = |columns: &mut Vec<i32>| {
            *columns = columns.iter().map(|column| id(*column)).collect::<Option<_>>()?;
            Some(())
        };
        match &mut self {
            ConstraintKind::PrimaryKey { columns }
            | ConstraintKind::Unique { columns }
            | ConstraintKind::Check { columns, .. } => change(columns)?,
            ConstraintKind::ForeignKey { columns, table, references, .. } => {
                change(columns)?;
                if table.is_none() {
                    change(references)?;
                }
            }
        }
        Some(self)
    }
}

impl Declared {
    /// What a table declares, as far as its columns are still there.
    pub fn of(metadata: &TableMetadata) -> Declared {
        let schema = metadata.current_schema();
        let there = |id: i32| schema.field_by_id(id).map(|field| field.id);
        let mut declared = Declared::read(metadata.properties()).with_ids(&there);
        declared.follow_identifier_fields(schema);
        declared
    }

    /// What properties declare. What another engine has made unreadable is not declared.
    pub fn read(properties: &HashMap<String, String>) -> Declared {
        let text = |name: &str| properties.get(name).map(String::as_str);
        Declared {
            types: text(TYPES).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
            constraints: text(CONSTRAINTS)
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default(),
        }
    }

    /// The properties that say so; what is not there is not declared.
    pub fn properties(&self) -> HashMap<String, String> {
        let mut properties = HashMap::new();
        if !self.types.is_empty() {
            properties.insert(TYPES.to_owned(), serde_json::json!(self.types).to_string());
        }
        if !self.constraints.is_empty() {
            properties.insert(CONSTRAINTS.to_owned(), serde_json::json!(self.constraints).to_string());
        }
        properties
    }

    /// The same with columns under other ids; what is about a column without one is left out.
    pub fn with_ids(self, id: &dyn Fn(i32) -> Option<i32>) -> Declared {
        let types = self.types.into_iter().filter_map(|(column, name)| Some((id(column)?, name)));
        let constraints = self.constraints.into_iter().filter_map(|constraint| {
            let Constraint { name, number, kind } = constraint;
            Some(Constraint { name, number, kind: kind.with_ids(id)? })
        });
        Declared { types: types.collect(), constraints: constraints.collect() }
    }

    /// The identifier fields of the schema are the primary key, whoever has set them.
    fn follow_identifier_fields(&mut self, schema: &Schema) {
        let identifiers: BTreeSet<i32> = schema.identifier_field_ids().collect();
        self.constraints.retain(|constraint| match &constraint.kind {
            ConstraintKind::PrimaryKey { columns } => {
                identifying(schema, columns).is_none_or(|columns| columns == identifiers)
            }
            _ => true,
        });
        if identifiers.is_empty() || self.primary_key().is_some() {
            return;
        }
        let columns = identifiers.into_iter().collect();
        let kind = ConstraintKind::PrimaryKey { columns };
        self.constraints.insert(0, Constraint { name: String::new(), number: 0, kind });
    }

    pub fn primary_key(&self) -> Option<&Constraint> {
        self.constraints
            .iter()
            .find(|constraint| matches!(constraint.kind, ConstraintKind::PrimaryKey { .. }))
    }

    /// A number that no constraint has; None when there are as many as may be.
    pub fn free_number(&self) -> Option<u32> {
        (1..CONSTRAINTS_MAX).find(|number| self.constraints.iter().all(|other| other.number != *number))
    }
}

/// The columns as identifier fields; None when the specification does not let them be ("Identifier Field IDs").
pub fn identifying(schema: &Schema, columns: &[i32]) -> Option<BTreeSet<i32>> {
    let allowed = |id: &&i32| {
        schema.field_by_id(**id).is_some_and(|field| match field.field_type.as_ref() {
            Type::Primitive(primitive) => !matches!(primitive, PrimitiveType::Float | PrimitiveType::Double),
            Type::Struct(_) | Type::List(_) | Type::Map(_) => false,
        })
    };
    columns.iter().all(|id| allowed(&id)).then(|| columns.iter().copied().collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use iceberg::spec::NestedField;

    use super::*;

    fn key(name: &str, columns: &[i32]) -> Constraint {
        let kind = ConstraintKind::PrimaryKey { columns: columns.to_vec() };
        Constraint { name: name.to_owned(), number: 1, kind }
    }

    fn schema(identifiers: &[i32]) -> Schema {
        let field =
            |id, name: &str, primitive| Arc::new(NestedField::required(id, name, Type::Primitive(primitive)));
        let fields = [
            field(1, "a", PrimitiveType::Long),
            field(2, "b", PrimitiveType::String),
            field(3, "c", PrimitiveType::Double),
        ];
        let builder = Schema::builder().with_fields(fields);
        builder.with_identifier_field_ids(identifiers.to_vec()).build().expect("a schema")
    }

    #[test]
    fn what_is_written_is_read_again() {
        let foreign = ConstraintKind::ForeignKey {
            columns: vec![2],
            table: Some(RelationId(77)),
            references: vec![9],
            on_update: 'a',
            on_delete: 'c',
            full: false,
            deferrable: true,
            deferred: false,
        };
        let declared = Declared {
            types: BTreeMap::from([(2, "varchar(10)".to_owned())]),
            constraints: vec![
                key("t_pkey", &[2, 1]),
                Constraint { name: "t_b_fkey".to_owned(), number: 2, kind: foreign },
            ],
        };
        assert_eq!(Declared::read(&declared.properties()), declared);
        assert_eq!(Declared::default().properties(), HashMap::new());
        let broken = HashMap::from([(CONSTRAINTS.to_owned(), "[{]".to_owned())]);
        assert_eq!(Declared::read(&broken), Declared::default());
    }

    #[test]
    fn columns_that_are_gone_take_along_what_is_about_them() {
        let declared = Declared {
            types: BTreeMap::from([(1, "varchar".to_owned()), (2, "bpchar(3)".to_owned())]),
            constraints: vec![key("one", &[1]), key("both", &[1, 2])],
        };
        let left = declared.with_ids(&|id| (id == 1).then_some(11));
        assert_eq!(left.types, BTreeMap::from([(11, "varchar".to_owned())]));
        assert_eq!(left.constraints, [key("one", &[11])]);
    }

    #[test]
    fn identifier_fields_are_the_primary_key() {
        let follow = |constraints: Vec<Constraint>, identifiers: &[i32]| {
            let mut declared = Declared { constraints, ..Declared::default() };
            declared.follow_identifier_fields(&schema(identifiers));
            declared.constraints
        };
        assert_eq!(follow(vec![key("k", &[2, 1])], &[1, 2]), [key("k", &[2, 1])], "in its own order");
        assert_eq!(follow(vec![key("k", &[1])], &[]), [], "another engine has taken them away");
        let other = Constraint { number: 0, ..key("", &[2]) };
        assert_eq!(follow(vec![key("k", &[1])], &[2]), [other], "another engine has set others");
        assert_eq!(follow(vec![key("k", &[3])], &[]), [key("k", &[3])], "a float is none");
    }
}
