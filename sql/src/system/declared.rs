//! The declared schema of every system table: read once from the text files in `declared/`, which say kind, name,
//! OID and columns. A table that is declared exists: it can be selected from and shows in `pg_class`; what its rows
//! are is `rows.rs`'s business, and one without a row builder is empty.
//! Next: `value.rs` for how rows become Arrow columns.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::types;

/// A schema that holds only system tables. The OIDs of the first two are PostgreSQL's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemSchema {
    pub name: &'static str,
    pub oid: u32,
    pub comment: &'static str,
    declarations: &'static str,
}

/// The system schemas, in the order of their names.
pub const SCHEMAS: [SystemSchema; 3] = [
    SystemSchema {
        name: "information_schema",
        oid: 13207,
        comment: "the catalog as the SQL standard shows it",
        declarations: include_str!("declared/information_schema.txt"),
    },
    SystemSchema {
        name: "pg_catalog",
        oid: 11,
        comment: "the catalog as PostgreSQL shows it",
        declarations: include_str!("declared/pg_catalog.txt"),
    },
    SystemSchema {
        name: "system",
        oid: 12,
        comment: "procedures and system tables",
        declarations: include_str!("declared/system.txt"),
    },
];

/// A system table as declared.
#[derive(Debug)]
pub struct Declared {
    pub schema: &'static SystemSchema,
    pub name: &'static str,
    pub oid: u32,
    /// PostgreSQL has some of them as views.
    pub view: bool,
    pub columns: Vec<DeclaredColumn>,
    pub arrow: SchemaRef,
}

/// A column of a system table.
#[derive(Debug, Clone, Copy)]
pub struct DeclaredColumn {
    pub name: &'static str,
    /// The PostgreSQL type it is declared with; Arrow holds several of them as text or as 64-bit integers.
    pub type_name: &'static str,
    pub not_null: bool,
}

impl DeclaredColumn {
    /// The OID of the declared type.
    pub fn type_oid(&self) -> u32 {
        types::type_oid(self.type_name).unwrap_or(types::oid::TEXT)
    }
}

static TABLES: LazyLock<Vec<Declared>> = LazyLock::new(|| SCHEMAS.iter().flat_map(read).collect());

static BY_NAME: LazyLock<HashMap<(&'static str, &'static str), &'static Declared>> =
    LazyLock::new(|| TABLES.iter().map(|table| ((table.schema.name, table.name), table)).collect());

/// The columns whose values are names of functions.
static FUNCTION_NAMES: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let columns = TABLES.iter().flat_map(|table| &table.columns);
    columns.filter(|column| column.type_name == "regproc").map(|column| column.name).collect()
});

/// Whether a catalog has a column of that name whose values are names of functions.
pub fn is_function_name(column: &str) -> bool {
    FUNCTION_NAMES.contains(column)
}

/// The columns that are vectors.
static VECTORS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let columns = TABLES.iter().flat_map(|table| &table.columns);
    columns.filter(|column| vector_mark(column.type_name).is_some()).map(|column| column.name).collect()
});

/// Whether a catalog has a column of that name whose values are vectors.
pub fn is_vector(column: &str) -> bool {
    VECTORS.contains(column)
}

/// Every system table.
pub fn tables() -> &'static [Declared] {
    &TABLES
}

/// The system table of that exact name.
pub fn table(schema: &str, name: &str) -> Option<&'static Declared> {
    BY_NAME.get(&(schema, name)).copied()
}

/// The system table of that OID.
pub fn table_by_oid(oid: u32) -> Option<&'static Declared> {
    TABLES.iter().find(|table| table.oid == oid)
}

/// The system schema of that exact name.
pub fn schema(name: &str) -> Option<&'static SystemSchema> {
    SCHEMAS.iter().find(|schema| schema.name == name)
}

fn read(schema: &'static SystemSchema) -> Vec<Declared> {
    let mut tables: Vec<Declared> = Vec::new();
    for line in schema.declarations.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        if let Some(columns) = line.strip_prefix("  ") {
            let table = tables.last_mut().expect("a declaration file starts with a table");
            table.columns.extend(columns.split_whitespace().map(read_column));
        } else {
            tables.push(read_head(schema, line));
        }
    }
    for table in &mut tables {
        table.arrow = Arc::new(Schema::new(table.columns.iter().map(field).collect::<Vec<_>>()));
    }
    tables
}

fn read_head(schema: &'static SystemSchema, line: &'static str) -> Declared {
    let mut words = line.split_whitespace();
    let mut word = || words.next().expect("a table line has a kind, a name and an OID");
    let (kind, name, oid) = (word(), word(), word());
    let oid = oid.parse().expect("a declared OID is a number");
    Declared {
        schema,
        name,
        oid,
        view: kind == "view",
        columns: Vec::new(),
        arrow: SchemaRef::new(Schema::empty()),
    }
}

fn read_column(text: &'static str) -> DeclaredColumn {
    let (name, type_name) = text.split_once(':').expect("a column is declared as name:type");
    let not_null = type_name.ends_with('!');
    DeclaredColumn { name, type_name: type_name.trim_end_matches('!'), not_null }
}

fn field(column: &DeclaredColumn) -> Field {
    let (data_type, mark) = match element_type(column.type_name) {
        Some(element) => {
            let (data_type, mark) = arrow_type(element);
            let item = marked(Field::new_list_field(data_type, true), mark);
            (DataType::List(Arc::new(item)), vector_mark(column.type_name))
        }
        None => arrow_type(column.type_name),
    };
    marked(Field::new(column.name, data_type, !column.not_null), mark)
}

/// The element type of an array type. The two vector types are arrays that clients subscript.
fn element_type(type_name: &str) -> Option<&str> {
    match type_name {
        "int2vector" => Some("int2"),
        "oidvector" => Some("oid"),
        _ => type_name.strip_suffix("[]"),
    }
}

fn vector_mark(type_name: &str) -> Option<&'static str> {
    match type_name {
        "int2vector" => Some(types::INT2_VECTOR_MARK),
        "oidvector" => Some(types::OID_VECTOR_MARK),
        _ => None,
    }
}

fn marked(field: Field, mark: Option<&'static str>) -> Field {
    match mark {
        Some(mark) => field.with_metadata(HashMap::from([(types::TYPE_KEY.to_string(), mark.to_string())])),
        None => field,
    }
}

/// How Arrow holds a declared type, and the mark that tells clients what it stands for.
fn arrow_type(type_name: &str) -> (DataType, Option<&'static str>) {
    match type_name {
        "bool" => (DataType::Boolean, None),
        "int2" => (DataType::Int16, None),
        "int4" => (DataType::Int32, None),
        "int8" | "xid" => (DataType::Int64, None),
        "oid" => (DataType::Int64, Some(types::OID_MARK)),
        "float4" => (DataType::Float32, None),
        "float8" => (DataType::Float64, None),
        "timestamptz" => (DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), None),
        "name" => (DataType::Utf8, Some(types::NAME_MARK)),
        "char" => (DataType::Utf8, Some(types::CHAR_MARK)),
        "json" => (DataType::Utf8, Some(types::JSON_MARK)),
        // Function names, parse trees and access lists: clients read them as text.
        _ => (DataType::Utf8, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_read_whole() {
        let class = table("pg_catalog", "pg_class").expect("declared");
        assert_eq!((class.oid, class.view, class.columns.len()), (1259, false, 33));
        assert_eq!(class.arrow.field(0).name(), "oid");
        assert!(!class.arrow.field(0).is_nullable());
        assert_eq!(types::pg_type(class.arrow.field(0)).oid, types::oid::OID);
        assert_eq!(types::sql_name(class.arrow.field(31)), "text[]");
    }

    #[test]
    fn oids_are_unique_and_below_those_of_users() {
        let mut oids: Vec<u32> = tables().iter().map(|table| table.oid).collect();
        oids.sort_unstable();
        let all = oids.len();
        oids.dedup();
        assert_eq!(oids.len(), all);
        assert!(oids.iter().all(|oid| u64::from(*oid) < tarn_catalog::FIRST_NORMAL_ID));
    }

    #[test]
    fn every_declared_type_is_a_type() {
        for table in tables() {
            for column in &table.columns {
                assert!(types::type_oid(column.type_name).is_some(), "{}.{}", table.name, column.name);
            }
        }
    }
}
