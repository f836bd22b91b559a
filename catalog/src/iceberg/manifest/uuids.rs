//! Manifests of tables that are partitioned by a UUID as it is. The specification wants such a value as sixteen bytes in
//! Avro, and the Iceberg crate's Avro library knows UUIDs as texts only. So the crate is handed other types of sixteen
//! bytes, decimals. What the values are is said in the file's
//! header, which is put right after a file is written and before it is read; the entries stay byte for byte.
//!
//! ```text
//! "Obj" 1 | count (key value)* 0 | 16 random bytes | blocks of entries
//!            avro.schema, schema, …
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use iceberg::spec::{
    DataFile, Datum, ListType, Literal, Manifest, ManifestEntryRef, ManifestFile, ManifestMetadata, MapType,
    NestedField, NestedFieldRef, PartitionSpec, PrimitiveLiteral, PrimitiveType, Schema, SchemaRef, Struct,
    StructType, Type,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::iceberg::data_file::{build, builder_of};

const MAGIC: &[u8] = b"Obj\x01";
const AVRO_SCHEMA: &str = "avro.schema";
const TABLE_SCHEMA: &str = "schema";
/// Random bytes that separate the blocks.
const MARKER_BYTES: usize = 16;
/// Decimals of so many digits have sixteen bytes.
const DIGITS: u32 = 38;
/// Keys that a header may have.
const KEYS_MAX: i64 = 1024;

/// The fields of a spec whose values are UUIDs, and how the crate writes them.
#[derive(Debug)]
pub struct UuidFields {
    /// The place of each in the spec, and its id.
    fields: Vec<(usize, i32)>,
    real: SchemaRef,
    stand_in: SchemaRef,
    /// The least and the greatest value of each field, and whether it is NULL somewhere.
    seen: Vec<(Option<[u128; 2]>, bool)>,
}

impl UuidFields {
    /// None for most specs.
    pub fn of(spec: &PartitionSpec, schema: &SchemaRef) -> Result<Option<UuidFields>> {
        let types = spec.partition_type(schema)?;
        let uuid = Type::Primitive(PrimitiveType::Uuid);
        let places = types.fields().iter().enumerate().filter(|(_, field)| *field.field_type == uuid);
        let fields: Vec<(usize, i32)> = places.map(|(place, field)| (place, field.id)).collect();
        if fields.is_empty() {
            return Ok(None);
        }
        let taken = |scale: &u32| {
            let decimal = Type::Primitive(PrimitiveType::Decimal { precision: DIGITS, scale: *scale });
            types.fields().iter().any(|field| *field.field_type == decimal)
        };
        // Avro types have names, so that no two of the fields may have the same.
        let scales = (0..=DIGITS).filter(|scale| !taken(scale));
        let sources = fields.iter().filter_map(|(place, _)| spec.fields().get(*place));
        let stand_ins: BTreeMap<i32, u32> = sources.map(|field| field.source_id).zip(scales).collect();
        let columns = StandIns(&stand_ins).fields(schema.as_struct().fields());
        let stand_in = Schema::builder().with_schema_id(schema.schema_id()).with_fields(columns).build()?;
        let seen = vec![(None, false); fields.len()];
        Ok(Some(UuidFields { fields, real: schema.clone(), stand_in: Arc::new(stand_in), seen }))
    }

    /// The schema that the crate writes with.
    pub fn schema(&self) -> &SchemaRef {
        &self.stand_in
    }

    /// The file with partition values that the crate can write.
    pub fn entry(&mut self, file: &DataFile) -> Result<DataFile> {
        let mut values: Vec<Option<Literal>> = file.partition().fields().to_vec();
        for ((place, _), (ends, null)) in self.fields.iter().zip(&mut self.seen) {
            let Some(value) = values.get_mut(*place) else { continue };
            match value {
                Some(Literal::Primitive(PrimitiveLiteral::UInt128(uuid))) => {
                    let [least, most] = ends.unwrap_or([*uuid; 2]);
                    *ends = Some([least.min(*uuid), most.max(*uuid)]);
                    *value = Some(Literal::Primitive(PrimitiveLiteral::Int128(uuid.cast_signed())));
                }
                Some(_) => return Err(Error::internal("a UUID partition has a value of another type")),
                None => *null = true,
            }
        }
        let mut builder = builder_of(file);
        // Which spec it is of, its manifest says.
        builder.partition(Struct::from_iter(values)).partition_spec_id(0);
        build(&builder)
    }

    /// The file with the values that it really has.
    fn real_entry(&self, file: &DataFile, spec: &PartitionSpec) -> Result<DataFile> {
        let real = |value: &PrimitiveLiteral| match value {
            PrimitiveLiteral::Int128(bits) => Some(Uuid::from_u128(bits.cast_unsigned())),
            _ => None,
        };
        let mut values: Vec<Option<Literal>> = file.partition().fields().to_vec();
        let (mut lower, mut upper) = (file.lower_bounds().clone(), file.upper_bounds().clone());
        for (place, _) in &self.fields {
            if let Some(Some(value)) = values.get_mut(*place) {
                let uuid = value.as_primitive_literal().as_ref().and_then(real);
                *value = Literal::uuid(uuid.ok_or_else(|| broken("has a partition that is no UUID"))?);
            }
            let source = spec.fields().get(*place).map(|field| field.source_id);
            for bounds in [&mut lower, &mut upper] {
                let bound = source.and_then(|source| bounds.get_mut(&source));
                if let Some((bound, uuid)) =
                    bound.and_then(|bound| real(bound.literal()).map(|uuid| (bound, uuid)))
                {
                    *bound = Datum::uuid(uuid);
                }
            }
        }
        let mut builder = builder_of(file);
        builder.partition(Struct::from_iter(values)).partition_spec_id(spec.spec_id());
        builder.lower_bounds(lower).upper_bounds(upper);
        build(&builder)
    }

    /// Gives a manifest's file the header it should have, and its description what is true of that.
    pub fn finish(&self, content: &Bytes, manifest: &mut ManifestFile) -> Result<Bytes> {
        let mut header = Header::read(content).ok_or_else(|| broken("has no header"))?;
        let mut avro = header.json(AVRO_SCHEMA)?;
        for (_, id) in &self.fields {
            let uuid =
                json!({"type": "fixed", "name": format!("uuid_{id}"), "size": 16, "logicalType": "uuid"});
            let field = partition_field(&mut avro, *id).ok_or_else(|| broken("lacks a partition field"))?;
            field["type"] = json!(["null", uuid]);
        }
        let schema = serde_json::to_value(self.real.as_ref());
        let schema = schema.map_err(|error| Error::internal(format!("a schema is no JSON: {error}")))?;
        header.set(AVRO_SCHEMA, &avro);
        header.set(TABLE_SCHEMA, &schema);
        let content = header.with_blocks(content);
        manifest.manifest_length = i64::try_from(content.len()).unwrap_or(i64::MAX);
        for ((place, _), (ends, null)) in self.fields.iter().zip(&self.seen) {
            let Some(summary) = manifest.partitions.as_mut().and_then(|all| all.get_mut(*place)) else {
                continue;
            };
            summary.contains_null = *null;
            summary.contains_nan = Some(false);
            summary.lower_bound = ends.map(|[least, _]| least.to_be_bytes().to_vec().into());
            summary.upper_bound = ends.map(|[_, most]| most.to_be_bytes().to_vec().into());
        }
        Ok(content.into())
    }
}

/// A manifest's entries and what its header says.
pub fn parse_manifest(content: &[u8]) -> iceberg::Result<(Vec<ManifestEntryRef>, ManifestMetadata)> {
    let Some((plain, uuids, metadata)) = with_stand_ins(content) else {
        return Ok(Manifest::parse_avro(content)?.into_parts());
    };
    let (entries, _) = Manifest::parse_avro(&plain)?.into_parts();
    let spec = &metadata.partition_spec;
    let entry = |entry: ManifestEntryRef| -> iceberg::Result<ManifestEntryRef> {
        let mut entry = Arc::unwrap_or_clone(entry);
        let file = uuids.real_entry(&entry.data_file, spec);
        entry.data_file = file.map_err(|error| {
            iceberg::Error::new(iceberg::ErrorKind::DataInvalid, "a manifest has a broken entry")
                .with_source(error)
        })?;
        Ok(Arc::new(entry))
    };
    Ok((entries.into_iter().map(entry).collect::<iceberg::Result<_>>()?, metadata))
}

/// A manifest with UUIDs among its partition values as the crate can read it, and what it really is. None for all others;
/// of what is no manifest the crate says so.
fn with_stand_ins(content: &[u8]) -> Option<(Vec<u8>, UuidFields, ManifestMetadata)> {
    let mut header = Header::read(content)?;
    let mut avro = header.json(AVRO_SCHEMA).ok()?;
    if !forget_uuids(&mut avro) {
        return None;
    }
    let metadata = ManifestMetadata::parse(&header.entries.iter().cloned().collect()).ok()?;
    let uuids = UuidFields::of(&metadata.partition_spec, &metadata.schema).ok()??;
    header.set(AVRO_SCHEMA, &avro);
    header.set(TABLE_SCHEMA, &serde_json::to_value(uuids.stand_in.as_ref()).ok()?);
    Some((header.with_blocks(content), uuids, metadata))
}

/// Makes plain bytes of every UUID; whether there was one.
fn forget_uuids(schema: &mut Value) -> bool {
    match schema {
        Value::Array(all) => all.iter_mut().fold(false, |found, inner| forget_uuids(inner) | found),
        Value::Object(object) => {
            let fixed = object.get("type").is_some_and(|kind| kind == "fixed");
            let uuid = fixed && object.get("logicalType").is_some_and(|kind| kind == "uuid");
            if uuid {
                object.remove("logicalType");
            }
            object.values_mut().fold(uuid, |found, inner| forget_uuids(inner) | found)
        }
        _ => false,
    }
}

/// The field of the record `partition` with this id.
fn partition_field(schema: &mut Value, id: i32) -> Option<&mut Value> {
    let file = schema.get_mut("fields")?.as_array_mut()?;
    let file = file.iter_mut().find(|field| field["name"] == "data_file")?.get_mut("type")?;
    let partition = file.get_mut("fields")?.as_array_mut()?;
    let partition = partition.iter_mut().find(|field| field["name"] == "partition")?.get_mut("type")?;
    let fields = partition.get_mut("fields")?.as_array_mut()?;
    fields.iter_mut().find(|field| field["field-id"] == id)
}

/// Source columns as decimals, by their id and scale.
struct StandIns<'a>(&'a BTreeMap<i32, u32>);

impl StandIns<'_> {
    fn fields(&self, fields: &[NestedFieldRef]) -> Vec<NestedFieldRef> {
        fields.iter().map(|field| self.field(field)).collect()
    }

    fn field(&self, field: &NestedFieldRef) -> NestedFieldRef {
        let scale = self.0.get(&field.id).copied();
        let field_type = match (field.field_type.as_ref(), scale) {
            (Type::Primitive(_), Some(scale)) => {
                Type::Primitive(PrimitiveType::Decimal { precision: DIGITS, scale })
            }
            (Type::Struct(inner), _) => Type::Struct(StructType::new(self.fields(inner.fields()))),
            (Type::List(list), _) => Type::List(ListType::new(self.field(&list.element_field))),
            (Type::Map(map), _) => {
                Type::Map(MapType::new(self.field(&map.key_field), self.field(&map.value_field)))
            }
            (Type::Primitive(primitive), None) => Type::Primitive(primitive.clone()),
        };
        // A default would not be of the other type, and no manifest needs it.
        Arc::new(NestedField {
            field_type: Box::new(field_type),
            initial_default: None,
            write_default: None,
            ..field.as_ref().clone()
        })
    }
}

/// The header of an Avro file.
struct Header {
    entries: Vec<(String, Vec<u8>)>,
    /// Where the marker begins.
    end: usize,
}

impl Header {
    fn read(content: &[u8]) -> Option<Header> {
        let mut rest = content.strip_prefix(MAGIC)?;
        let mut entries = Vec::new();
        loop {
            let mut count = long(&mut rest)?;
            if count < 0 {
                // Then the size of the block follows.
                long(&mut rest)?;
                count = count.checked_neg()?;
            }
            if count == 0 {
                break;
            }
            if count > KEYS_MAX {
                return None;
            }
            for _ in 0..count {
                let key = String::from_utf8(text(&mut rest)?.to_vec()).ok()?;
                entries.push((key, text(&mut rest)?.to_vec()));
            }
        }
        (rest.len() >= MARKER_BYTES).then_some(Header { entries, end: content.len() - rest.len() })
    }

    fn json(&self, key: &str) -> Result<Value> {
        let found = self.entries.iter().find(|(name, _)| name == key);
        let value = found.and_then(|(_, value)| serde_json::from_slice(value).ok());
        value.ok_or_else(|| broken("has no schema"))
    }

    fn set(&mut self, key: &str, value: &Value) {
        if let Some((_, old)) = self.entries.iter_mut().find(|(name, _)| name == key) {
            *old = value.to_string().into_bytes();
        }
    }

    /// This header, and everything after the old one.
    fn with_blocks(&self, content: &[u8]) -> Vec<u8> {
        let mut written = MAGIC.to_vec();
        put_long(&mut written, self.entries.len());
        for (key, value) in &self.entries {
            for part in [key.as_bytes(), value] {
                put_long(&mut written, part.len());
                written.extend_from_slice(part);
            }
        }
        put_long(&mut written, 0);
        written.extend_from_slice(content.get(self.end..).unwrap_or_default());
        written
    }
}

/// Avro's numbers: seven bits a byte, the sign in the lowest bit.
fn long(rest: &mut &[u8]) -> Option<i64> {
    let mut bits = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, after) = rest.split_first()?;
        *rest = after;
        bits |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some((bits >> 1).cast_signed() ^ -((bits & 1).cast_signed()));
        }
    }
    None
}

fn put_long(written: &mut Vec<u8>, number: usize) {
    let mut bits = (number as u64) << 1;
    while bits >= 0x80 {
        written.push((bits & 0x7f) as u8 | 0x80);
        bits >>= 7;
    }
    written.push(bits as u8);
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(long(rest)?).ok()?;
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(text)
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("a manifest that was just written {what}"))
}
