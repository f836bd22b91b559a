//! The metadata.json of a table that is created or replaced, and how it is read again.
//! It must never touch storage; `snapshot.rs` writes what this makes.

use std::collections::HashMap;

use iceberg::spec::{
    FormatVersion, MAIN_BRANCH, NestedField, NestedFieldRef, PrimitiveType, Schema, SortField, SortOrder,
    TableMetadata, TableMetadataBuilder, TableProperties, Type, UnboundPartitionSpec,
};
use uuid::Uuid;

use super::declared::{DECLARED_PROPERTIES, Declared};
use super::unreadable::reason;
use crate::error::{Error, ErrorKind, Result};
use crate::object::TablePointer;

/// A table to be made.
#[derive(Debug, Clone)]
pub struct NewTable {
    /// Field ids need not be final: they are assigned anew. The partition spec refers to them.
    pub schema: Schema,
    pub partition: UnboundPartitionSpec,
    /// The order of rows in each file; it refers to the schema too.
    pub order: Vec<SortField>,
    pub properties: HashMap<String, String>,
    /// URL of the table's folder. A replaced table keeps the one it has.
    pub location: String,
    pub format_version: FormatVersion,
}

/// The metadata of a new table: no snapshot, field ids from 1. `now_ms` is when it is made.
pub fn new_table(table: NewTable, uuid: Uuid, now_ms: i64) -> Result<TableMetadata> {
    check_types(&table.schema, table.format_version)?;
    let builder = TableMetadataBuilder::new(
        table.schema,
        table.partition,
        order(table.order),
        table.location,
        table.format_version,
        properties(table.properties, true),
    )
    .map_err(refused)?;
    let built = builder.assign_uuid(uuid).build().map_err(refused)?;
    updated_at(built.metadata, now_ms, None)
}

/// The metadata of a table that takes the place of `base`: its UUID, location, history and old schemas stay, so that
/// time travel to before the replacement works; columns of the same name and kind keep their field ids, as in other
/// engines. It has no current snapshot.
pub fn replace_table(base: &TableMetadata, table: NewTable) -> Result<TableMetadata> {
    let format_version = table.format_version.max(base.format_version());
    check_types(&table.schema, format_version)?;
    let own = table.schema.clone();
    let (schema, partition, fields) = with_ids_of(base, table.schema, &table.partition, table.order)?;
    let properties = declared_anew(properties(table.properties, false), &own, &schema);
    let built = base
        .clone()
        .into_builder(None)
        .upgrade_format_version(format_version)
        .and_then(|builder| builder.remove_ref(MAIN_BRANCH).add_current_schema(schema))
        .and_then(|builder| builder.add_default_partition_spec(partition))
        .and_then(|builder| builder.add_sort_order(order(fields)))
        .and_then(|builder| builder.set_default_sort_order(-1))
        .and_then(|builder| builder.remove_properties(&DECLARED_PROPERTIES.map(str::to_owned)))
        .and_then(|builder| builder.set_properties(properties))
        .and_then(|builder| builder.build())
        .map_err(refused)?;
    // The log of metadata files says when each was current, so the time of the one that is replaced must survive.
    updated_at(built.metadata, base.last_updated_ms(), None)
}

/// Order 0 is no order.
fn order(fields: Vec<SortField>) -> SortOrder {
    SortOrder { order_id: i64::from(!fields.is_empty()), fields }
}

/// Reads a metadata file. What we cannot read in full is not used at all.
pub fn parse_metadata(json: &[u8]) -> Result<TableMetadata> {
    serde_json::from_slice(json).map_err(|_| {
        let message = format!("the table's metadata cannot be read: {}", reason(json));
        Error::new(ErrorKind::Unsupported, message).with_hint(
            "Another engine may know it. DROP TABLE takes the table out of the catalog and leaves its files.",
        )
    })
}

/// The catalog's pointer to a version of a table.
pub fn pointer_to(metadata: &TableMetadata, metadata_location: String) -> TablePointer {
    let figure = |name: &str| {
        let summary = metadata.current_snapshot().map(|snapshot| &snapshot.summary().additional_properties);
        summary.and_then(|summary| summary.get(name)).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0)
    };
    TablePointer {
        metadata_location,
        location: metadata.location().to_string(),
        uuid: metadata.uuid(),
        format_version: metadata.format_version() as u8,
        snapshot_id: metadata.current_snapshot_id(),
        // An estimate: version 2 may name a deleted row twice, and equality deletes name none.
        row_count: figure("total-records").saturating_sub(figure("total-position-deletes")),
        bytes: figure("total-files-size"),
        constrained: !Declared::of(metadata).constraints.is_empty(),
        unsupported: None,
    }
}

/// `format-version` is a property in SQL and a field in the metadata, where the property of that name is reserved.
fn properties(mut properties: HashMap<String, String>, with_defaults: bool) -> HashMap<String, String> {
    properties.remove(TableProperties::PROPERTY_FORMAT_VERSION);
    if with_defaults {
        // What we write anyway, said aloud for other engines' writers.
        properties.entry("write.parquet.compression-codec".to_string()).or_insert_with(|| "zstd".to_string());
    }
    properties
}

/// What the columns of a replacing schema declare, under the ids that they have got.
fn declared_anew(
    mut properties: HashMap<String, String>,
    own: &Schema,
    replaced: &Schema,
) -> HashMap<String, String> {
    let id = |id: i32| own.name_by_field_id(id).and_then(|name| replaced.field_id_by_name(name));
    let declared = Declared::read(&properties).with_ids(&id);
    DECLARED_PROPERTIES.iter().for_each(|name| drop(properties.remove(*name)));
    properties.extend(declared.properties());
    properties
}

/// The builder takes its time from the machine; ours comes from `env.rs`. `last_moved_ms` is when the main branch moved
/// to where it is, if the builder moved it.
pub(super) fn updated_at(
    metadata: TableMetadata,
    now_ms: i64,
    last_moved_ms: Option<i64>,
) -> Result<TableMetadata> {
    let broken =
        |source| Error::internal("table metadata does not survive being written").with_source(source);
    let mut json = serde_json::to_value(&metadata).map_err(broken)?;
    json["last-updated-ms"] = now_ms.into();
    let last = json["snapshot-log"].as_array_mut().and_then(|log| log.last_mut());
    if let (Some(entry), Some(moved_ms)) = (last, last_moved_ms) {
        entry["timestamp-ms"] = moved_ms.into();
    }
    serde_json::from_value(json).map_err(broken)
}

fn check_types(schema: &Schema, format_version: FormatVersion) -> Result<()> {
    let needs_v3 = schema.field_id_to_fields().values().find(|field| {
        matches!(
            *field.field_type,
            Type::Primitive(PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs)
        )
    });
    match needs_v3 {
        Some(field) if format_version < FormatVersion::V3 => Err(Error::new(
            ErrorKind::Unsupported,
            format!("column \"{}\" has nanoseconds, which format version 3 brought", field.name),
        )
        .with_hint("Use WITH (format_version = 3), or timestamp(6).")),
        _ => Ok(()),
    }
}

/// Gives the fields of a replacing schema the ids of the fields of the same full name in `base`, and new ids otherwise;
/// then points the partition spec and the sort order at them.
fn with_ids_of(
    base: &TableMetadata,
    schema: Schema,
    partition: &UnboundPartitionSpec,
    mut order: Vec<SortField>,
) -> Result<(Schema, UnboundPartitionSpec, Vec<SortField>)> {
    let mut ids = Ids { base: base.current_schema(), next: base.last_column_id() };
    let fields = ids.fields(schema.as_struct().fields(), "");
    let replaced = Schema::builder().with_fields(fields).build().map_err(refused)?;
    let names = schema.identifier_field_ids().filter_map(|id| schema.name_by_field_id(id));
    let identifiers: Vec<i32> = names.filter_map(|name| replaced.field_id_by_name(name)).collect();
    let replaced = replaced.into_builder().with_identifier_field_ids(identifiers).build().map_err(refused)?;
    let mut spec = UnboundPartitionSpec::builder();
    for field in partition.fields() {
        let source =
            schema.name_by_field_id(field.source_id).and_then(|name| replaced.field_id_by_name(name));
        let Some(source) = source else {
            return Err(Error::invalid(format!("partition field \"{}\" has no source column", field.name)));
        };
        spec = spec.add_partition_field(source, &field.name, field.transform).map_err(refused)?;
    }
    for field in &mut order {
        let name = schema.name_by_field_id(field.source_id);
        field.source_id = name
            .and_then(|name| replaced.field_id_by_name(name))
            .ok_or_else(|| Error::invalid("a term of the sort order has no source column"))?;
    }
    Ok((replaced, spec.build(), order))
}

struct Ids<'a> {
    base: &'a Schema,
    /// The last id in use.
    next: i32,
}

impl Ids<'_> {
    fn fields(&mut self, fields: &[NestedFieldRef], above: &str) -> Vec<NestedFieldRef> {
        fields.iter().map(|field| self.field(field, above).into()).collect()
    }

    fn field(&mut self, field: &NestedField, above: &str) -> NestedField {
        let name = if above.is_empty() { field.name.clone() } else { format!("{above}.{}", field.name) };
        let same = self.base.field_by_name(&name).filter(|old| same_kind(&old.field_type, &field.field_type));
        let id = same.map(|old| old.id).unwrap_or_else(|| {
            self.next += 1;
            self.next
        });
        let mut field = field.clone();
        field.id = id;
        field.field_type = Box::new(match *field.field_type {
            Type::Primitive(primitive) => Type::Primitive(primitive),
            Type::Struct(inner) => {
                Type::Struct(iceberg::spec::StructType::new(self.fields(inner.fields(), &name)))
            }
            Type::List(mut list) => {
                list.element_field = self.field(&list.element_field, &name).into();
                Type::List(list)
            }
            Type::Map(mut map) => {
                map.key_field = self.field(&map.key_field, &name).into();
                map.value_field = self.field(&map.value_field, &name).into();
                Type::Map(map)
            }
        });
        field
    }
}

/// An id must mean one type through all of a table's history, else bounds in old manifests would be misread.
fn same_kind(one: &Type, other: &Type) -> bool {
    match (one, other) {
        (Type::Primitive(one), Type::Primitive(other)) => one == other,
        (Type::Struct(_), Type::Struct(_))
        | (Type::List(_), Type::List(_))
        | (Type::Map(_), Type::Map(_)) => true,
        _ => false,
    }
}

/// The builder refuses what the user asked for: its text is about that.
pub(super) fn refused(error: iceberg::Error) -> Error {
    let kind = match error.kind() {
        iceberg::ErrorKind::FeatureUnsupported => ErrorKind::Unsupported,
        iceberg::ErrorKind::Unexpected => ErrorKind::Internal,
        _ => ErrorKind::InvalidArgument,
    };
    let mut message = error.message().trim_end_matches('.').to_string();
    if let Some(first) = message.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    Error::new(kind, message)
}
