//! The system tables that list columns and comments: `pg_attribute`, `pg_description`,
//! `information_schema.columns`, `system.columns`. The columns of an Iceberg table are in its metadata, which is read
//! for the tables that the keys admit; of a table that cannot be read, a listing shows no columns and goes on.

use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use datafusion::common::ScalarValue;
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{Literal, PrimitiveType, Type};
use tarn_catalog::object::{Relation, RelationKind, View};

use super::builtin::{self, BuiltinType};
use super::constraints::FIRST_CONSTRAINT_OID;
use super::context::SystemContext;
use super::declared::{Declared, SCHEMAS};
use super::relations::system_relations;
use super::rows::Scan;
use super::value::{Rows, Value};
use super::visible::{Found, RelationKeys};
use crate::error::Result;
use crate::sqlstate::SqlState;
use crate::table::{arrow_schema, scalar_of, table_schema};
use crate::types;

/// At most this many metadata files are read at the same time.
const METADATA_READS_MAX: usize = 16;

/// More columns than this PostgreSQL does not have either.
const COLUMNS_MAX: u32 = 1600;

/// OIDs of the catalogs that comments belong to (`pg_description.classoid`).
const PG_CLASS: u32 = 1259;
const PG_NAMESPACE: u32 = 2615;

/// A column as the listings need it.
#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    /// Counted from 1.
    pub position: i64,
    pub type_oid: u32,
    pub modifier: i32,
    pub not_null: bool,
    pub comment: Option<String>,
    /// What a row gets that is written without a value, as SQL.
    pub default: Option<String>,
}

/// The columns of a relation, in order.
pub async fn columns(context: &SystemContext, relation: &Relation) -> Result<Vec<Column>> {
    match &relation.kind {
        RelationKind::Table => {
            let version = context.reader.table(relation.id).await?;
            iceberg_columns(table_schema(&version.metadata)?.as_ref(), version.metadata.current_schema())
        }
        RelationKind::External(table) => {
            iceberg_columns(arrow_schema(&table.schema)?.as_ref(), &table.schema)
        }
        RelationKind::View(view) => Ok(view_columns(view)),
    }
}

fn iceberg_columns(arrow: &arrow::datatypes::Schema, schema: &iceberg::spec::Schema) -> Result<Vec<Column>> {
    let fields = arrow.fields().iter().zip(schema.as_struct().fields());
    Ok(fields
        .zip(1..)
        .map(|((arrow, iceberg), position)| {
            let pg_type = types::pg_type(arrow);
            Column {
                name: arrow.name().clone(),
                position,
                type_oid: pg_type.oid,
                modifier: pg_type.modifier,
                not_null: iceberg.required,
                comment: iceberg.doc.clone(),
                default: default_text(iceberg),
            }
        })
        .collect())
}

/// A default as PostgreSQL shows it.
fn default_text(field: &iceberg::spec::NestedField) -> Option<String> {
    let (Literal::Primitive(value), Type::Primitive(primitive)) =
        (field.write_default.as_ref()?, field.field_type.as_ref())
    else {
        return None;
    };
    let value = match (primitive, scalar_of(value, primitive)?) {
        (PrimitiveType::Uuid, ScalarValue::FixedSizeBinary(_, Some(bytes))) => {
            return Some(format!("'{}'::uuid", uuid::Uuid::from_slice(&bytes).ok()?));
        }
        (_, ScalarValue::Binary(Some(bytes)) | ScalarValue::FixedSizeBinary(_, Some(bytes))) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            return Some(format!("'\\x{digits}'::bytea"));
        }
        (_, other) => other,
    };
    let plain = value.data_type().is_numeric() || value.data_type() == DataType::Boolean;
    let text = array_value_to_string(&value.to_array().ok()?, 0).ok()?;
    if plain {
        return Some(text);
    }
    Some(format!("'{}'", text.replace('\'', "''")))
}

fn view_columns(view: &View) -> Vec<Column> {
    let columns = view.columns.iter().zip(1..);
    columns
        .map(|(column, position)| Column {
            name: column.name.clone(),
            position,
            type_oid: column.type_oid,
            modifier: column.type_modifier,
            not_null: false,
            comment: column.comment.clone(),
            default: None,
        })
        .collect()
}

fn declared_columns(table: &Declared) -> Vec<Column> {
    let columns = table.columns.iter().zip(1..);
    columns
        .map(|(column, position)| Column {
            name: column.name.to_string(),
            position,
            type_oid: column.type_oid(),
            modifier: -1,
            not_null: column.not_null,
            comment: None,
            default: None,
        })
        .collect()
}

impl SystemContext {
    /// The comment on a column of a visible relation.
    pub async fn column_comment(&self, relation: i64, position: i64) -> Result<Option<String>> {
        let Some(found) = self.relation_by_oid(relation)? else { return Ok(None) };
        let columns = columns(self, &found.relation).await?;
        Ok(columns.into_iter().find(|column| column.position == position).and_then(|column| column.comment))
    }
}

/// How many columns a relation has; 0 for one whose metadata cannot be read.
pub async fn count(context: &SystemContext, relation: &Relation) -> Result<u64> {
    let columns = columns(context, relation).await.unwrap_or_default();
    Ok(columns.len() as u64)
}

/// A relation with its columns.
struct Described {
    found: Found,
    columns: Vec<Column>,
}

/// The visible relations that the keys admit, with their columns.
async fn described(scan: &Scan, keys: RelationKeys) -> Result<Vec<Described>> {
    let one = scan.keys.ints(keys.oid).is_some_and(|oids| oids.len() == 1);
    let found = scan.context.relations(&scan.keys, keys)?;
    futures::stream::iter(found)
        .map(|found| async move {
            match columns(&scan.context, &found.relation).await {
                Ok(columns) => Ok(Described { found, columns }),
                // A table that this version does not know all of is there, without columns.
                Err(error) if error.sqlstate == SqlState::FEATURE_NOT_SUPPORTED => {
                    tracing::debug!(relation = found.relation.id.0, %error, "columns cannot be listed");
                    Ok(Described { found, columns: Vec::new() })
                }
                Err(error) if one => Err(error),
                Err(error) => {
                    tracing::warn!(relation = found.relation.id.0, %error, "columns cannot be listed");
                    Ok(Described { found, columns: Vec::new() })
                }
            }
        })
        .buffered(METADATA_READS_MAX)
        .try_collect()
        .await
}

pub async fn pg_attribute(scan: &Scan) -> Result<Rows> {
    let keys = RelationKeys { oid: "attrelid", name: "", namespace_oid: "", namespace: "" };
    let mut rows = scan.rows();
    for table in system_relations(scan, keys) {
        for column in declared_columns(table) {
            push_attribute(&mut rows, table.oid, &column)?;
        }
    }
    for described in described(scan, keys).await? {
        for column in &described.columns {
            push_attribute(&mut rows, described.found.relation.id.oid(), column)?;
        }
    }
    push_key_attributes(scan, &mut rows, keys).await?;
    Ok(rows)
}

/// The columns of keys, as the indexes that PostgreSQL would have for them.
async fn push_key_attributes(scan: &Scan, rows: &mut Rows, keys: RelationKeys) -> Result<()> {
    // Those of a table alone are asked for by the table's own OID.
    let of_index = |oid: &i64| *oid >= FIRST_CONSTRAINT_OID;
    if scan.keys.ints(keys.oid).is_some_and(|oids| !oids.iter().any(of_index)) {
        return Ok(());
    }
    for table in scan.context.constrained_tables(&scan.keys, keys, keys.oid)? {
        let columns = columns(&scan.context, &table.found.relation).await?;
        for key in table.keys() {
            let named = table.names(key.kind.columns()).into_iter().zip(1..);
            for (name, position) in named {
                let Some(column) = columns.iter().find(|column| column.name == name) else { continue };
                let shown = Column { position, not_null: false, default: None, ..column.clone() };
                push_attribute(rows, table.oid(key), &shown)?;
            }
        }
    }
    Ok(())
}

fn push_attribute(rows: &mut Rows, relation: u32, column: &Column) -> Result<()> {
    let builtin = BuiltinType::of(column.type_oid);
    let dimensions = i64::from(builtin.is_some_and(|builtin| builtin.category == "A"));
    rows.push([
        ("attrelid", relation.into()),
        ("attname", column.name.as_str().into()),
        ("atttypid", column.type_oid.into()),
        ("attstattarget", (-1).into()),
        ("attlen", builtin.map_or(-1, |builtin| builtin.len).into()),
        ("attnum", column.position.into()),
        ("attndims", dimensions.into()),
        ("attcacheoff", (-1).into()),
        ("atttypmod", column.modifier.into()),
        ("attbyval", builtin.is_some_and(|builtin| builtin.by_value).into()),
        ("attalign", builtin.map_or("i", |builtin| builtin.align).into()),
        ("attstorage", builtin.map_or("x", |builtin| builtin.storage).into()),
        ("attnotnull", column.not_null.into()),
        ("atthasdef", column.default.is_some().into()),
        ("attislocal", true.into()),
        ("attcollation", builtin.map_or(0, |builtin| builtin.collation).into()),
    ])
}

/// The defaults of columns, each under an OID that is made of the column's.
pub async fn pg_attrdef(scan: &Scan) -> Result<Rows> {
    let keys = RelationKeys { oid: "adrelid", name: "", namespace_oid: "", namespace: "" };
    let mut rows = scan.rows();
    for described in described(scan, keys).await? {
        let relation = described.found.relation.id.oid();
        for column in described.columns.iter().filter(|column| column.default.is_some()) {
            let place = u32::try_from(column.position).unwrap_or(u32::MAX);
            rows.push([
                ("oid", relation.wrapping_mul(COLUMNS_MAX).wrapping_add(place).into()),
                ("adrelid", relation.into()),
                ("adnum", column.position.into()),
                ("adbin", column.default.as_deref().into()),
            ])?;
        }
    }
    Ok(rows)
}

pub async fn pg_description(scan: &Scan) -> Result<Rows> {
    let keys = RelationKeys { oid: "objoid", name: "", namespace_oid: "", namespace: "" };
    let mut rows = scan.rows();
    let mut push = |object: u32, class: u32, column: i64, comment: Option<&str>| match comment {
        Some(comment) => rows.push([
            ("objoid", object.into()),
            ("classoid", class.into()),
            ("objsubid", column.into()),
            ("description", comment.into()),
        ]),
        None => Ok(()),
    };
    for schema in &SCHEMAS {
        push(schema.oid, PG_NAMESPACE, 0, Some(schema.comment))?;
    }
    for namespace in scan.context.namespaces(&scan.keys, "objoid", "")? {
        push(namespace.id.oid(), PG_NAMESPACE, 0, namespace.comment.as_deref())?;
    }
    for described in described(scan, keys).await? {
        let relation = &described.found.relation;
        push(relation.id.oid(), PG_CLASS, 0, scan.context.comment(relation)?.as_deref())?;
        for column in &described.columns {
            push(relation.id.oid(), PG_CLASS, column.position, column.comment.as_deref())?;
        }
    }
    Ok(rows)
}

pub async fn information_columns(scan: &Scan) -> Result<Rows> {
    let keys = RelationKeys { oid: "", name: "table_name", namespace_oid: "", namespace: "table_schema" };
    let mut rows = scan.rows();
    for table in system_relations(scan, keys) {
        for column in declared_columns(table) {
            push_information(scan, &mut rows, (table.schema.name, table.name, false), &column)?;
        }
    }
    for described in described(scan, keys).await? {
        let (namespace, relation) = (&described.found.namespace, &described.found.relation);
        let updatable = matches!(relation.kind, RelationKind::Table);
        for column in &described.columns {
            push_information(scan, &mut rows, (&namespace.name, &relation.name, updatable), column)?;
        }
    }
    Ok(rows)
}

fn push_information(
    scan: &Scan,
    rows: &mut Rows,
    (schema, table, updatable): (&str, &str, bool),
    column: &Column,
) -> Result<()> {
    let builtin = BuiltinType::of(column.type_oid);
    let database = scan.context.database.as_str();
    let precision = builtin::precision(column.type_oid, column.modifier);
    rows.push([
        ("table_catalog", database.into()),
        ("table_schema", schema.into()),
        ("table_name", table.into()),
        ("column_name", column.name.as_str().into()),
        ("ordinal_position", column.position.into()),
        ("column_default", column.default.as_deref().into()),
        ("is_nullable", yes_or_no(!column.not_null)),
        ("data_type", standard_type_name(column.type_oid).into()),
        ("character_maximum_length", types::characters_length(column.type_oid, column.modifier).into()),
        ("character_octet_length", builtin::octet_length(column.type_oid, column.modifier).into()),
        ("numeric_precision", precision.digits.into()),
        ("numeric_precision_radix", precision.radix.into()),
        ("numeric_scale", precision.scale.into()),
        ("datetime_precision", precision.fraction_digits.into()),
        ("udt_catalog", database.into()),
        ("udt_schema", "pg_catalog".into()),
        ("udt_name", builtin.map(|builtin| builtin.name).into()),
        ("dtd_identifier", column.position.to_string().into()),
        ("is_self_referencing", "NO".into()),
        ("is_identity", "NO".into()),
        ("identity_cycle", "NO".into()),
        ("is_generated", "NEVER".into()),
        ("is_updatable", yes_or_no(updatable)),
    ])
}

fn yes_or_no(yes: bool) -> Value {
    if yes { "YES" } else { "NO" }.into()
}

/// The SQL standard has one name for all arrays.
fn standard_type_name(type_oid: u32) -> String {
    match types::element_oid(type_oid) {
        Some(_) => "ARRAY".to_string(),
        None => types::format_type(type_oid, -1),
    }
}

/// Only what users made.
pub async fn system_columns(scan: &Scan) -> Result<Rows> {
    let keys = RelationKeys { oid: "", name: "table_name", namespace_oid: "", namespace: "schema" };
    let mut rows = scan.rows();
    for described in described(scan, keys).await? {
        for column in &described.columns {
            rows.push([
                ("catalog", scan.context.database.as_str().into()),
                ("schema", described.found.namespace.name.as_str().into()),
                ("table_name", described.found.relation.name.as_str().into()),
                ("column_name", column.name.as_str().into()),
                ("position", column.position.into()),
                ("type", types::format_type(column.type_oid, column.modifier).into()),
                ("nullable", (!column.not_null).into()),
                ("comment", column.comment.clone().into()),
            ])?;
        }
    }
    Ok(rows)
}
