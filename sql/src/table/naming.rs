//! A data file's footer as if the file had been written with the table's columns of today. Iceberg knows columns by
//! their field ids and DataFusion's Parquet reader by their names, in a dozen places: type coercion, pruning by
//! statistics, pages and bloom filters, row filters. So the names in the footer are corrected once, right after it is
//! read, and every one of those places is right: after a column is renamed, two are swapped, or one is dropped and
//! another made under its name. It must never touch a value. Next: `footer.rs`, which calls it, and `evolve.rs`, for
//! the types.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use iceberg::spec::{DEFAULT_SCHEMA_NAME_MAPPING, MappedField, NameMapping, Schema, TableMetadata};
use parquet::basic::{ConvertedType, LogicalType, Repetition};
use parquet::errors::ParquetError;
use parquet::file::metadata::{FileMetaData, KeyValue, ParquetMetaData, ParquetMetaDataBuilder};
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

/// Under this key a footer says which file it is of; it ends up in the file's Arrow schema.
pub(crate) const FILE_KEY: &str = "tarn.file";

/// What the fields of a table are called today.
#[derive(Debug)]
pub(crate) struct FieldNames {
    of_id: HashMap<i32, String>,
    /// The ids of files that were written without any.
    mapping: Option<Vec<Arc<MappedField>>>,
    /// Tells these names from others of the same table.
    pub key: String,
}

/// A schema's id would not do: a transaction that is rolled back leaves the one it gave to the next.
fn key_of(of_id: &HashMap<i32, String>) -> String {
    let sorted: BTreeMap<&i32, &String> = of_id.iter().collect();
    let mut hasher = DefaultHasher::new();
    sorted.hash(&mut hasher);
    format!("{:x}", hasher.finish())
}

/// The name, within a scan, of a field that the table does not have, or has under a reserved id. No column can be
/// called so: names have no control characters.
pub(crate) fn name_of_foreign(id: i32) -> String {
    format!("\u{1}{id}")
}

impl FieldNames {
    pub fn new(metadata: &TableMetadata, schema: &Schema) -> Result<FieldNames> {
        let fields = schema.field_id_to_fields().iter();
        let of_id: HashMap<i32, String> = fields.map(|(id, field)| (*id, field.name.clone())).collect();
        let text = metadata.properties().get(DEFAULT_SCHEMA_NAME_MAPPING);
        let mut key = key_of(&of_id);
        let mut mapping = None;
        if let Some(text) = text {
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            key = format!("{key} {:x}", hasher.finish());
            let read: NameMapping = serde_json::from_str(text).map_err(unreadable_mapping)?;
            mapping = Some(read.fields().iter().cloned().map(Arc::new).collect());
        }
        Ok(FieldNames { of_id, mapping, key })
    }

    /// The footer under the names of today. Arrow's own schema in it is left out: what a column is, is decided by its
    /// Parquet type alone.
    pub fn apply(&self, footer: Arc<ParquetMetaData>, url: &str) -> Result<Arc<ParquetMetaData>> {
        let file = footer.file_metadata();
        let schema = self.rename(file.schema_descr().root_schema_ptr(), url)?;
        let about = KeyValue::new(FILE_KEY.to_owned(), Some(url.to_owned()));
        let renamed = FileMetaData::new(
            file.version(),
            file.num_rows(),
            file.created_by().map(str::to_owned),
            Some(vec![about]),
            Arc::new(SchemaDescriptor::new(schema)),
            file.column_orders().cloned(),
        );
        let mut parts = Arc::unwrap_or_clone(footer).into_builder();
        let footer = ParquetMetaDataBuilder::new(renamed)
            .set_row_groups(parts.take_row_groups())
            .set_column_index(parts.take_column_index())
            .set_offset_index(parts.take_offset_index());
        Ok(Arc::new(footer.build()))
    }

    fn rename(&self, root: TypePtr, url: &str) -> Result<TypePtr> {
        let renamed = if root.get_fields().iter().any(|field| has_ids(field)) {
            self.members(&root, None)
        } else {
            let mapping = self.mapping.as_ref().ok_or_else(|| without_ids(url))?;
            self.members(&root, Some(mapping))
        };
        let built = renamed.and_then(|fields| group(&root, root.name(), None, fields));
        built.map_err(|error| {
            Error::new(SqlState::DATA_CORRUPTED, format!("a data file's schema is broken: {error}"))
                .with_detail(format!("The data file is {url}."))
        })
    }

    /// The columns of a file or the fields of a struct, by their ids; `mapped` gives ids to those of a file without.
    fn members(&self, parent: &Type, mapped: Option<&[Arc<MappedField>]>) -> Built<Vec<TypePtr>> {
        let mut fields = Vec::with_capacity(parent.get_fields().len());
        for (place, field) in parent.get_fields().iter().enumerate() {
            let (id, below) = identify(field, mapped);
            let name = match id {
                Some(id) => self.of_id.get(&id).cloned().unwrap_or_else(|| name_of_foreign(id)),
                None => format!("\u{1}?{place}"),
            };
            fields.push(self.named(field, &name, id, below)?);
        }
        Ok(fields)
    }

    /// A field under another name and id, with everything below it.
    fn named(
        &self,
        field: &TypePtr,
        name: &str,
        id: Option<i32>,
        mapped: Option<&[Arc<MappedField>]>,
    ) -> Built<TypePtr> {
        if field.is_primitive() {
            return primitive(field, name, id);
        }
        let fields = if is_collection(field) {
            field.get_fields().iter().map(|inner| self.repeated(inner, mapped)).collect::<Built<_>>()?
        } else {
            self.members(field, mapped)?
        };
        group(field, name, id, fields)
    }

    /// The repeated level of a list or map. It and its elements keep their names: Parquet's old list formats are told
    /// apart by them, and nobody asks for elements by name.
    fn repeated(&self, level: &TypePtr, mapped: Option<&[Arc<MappedField>]>) -> Built<TypePtr> {
        let id = own_id(level);
        if level.is_primitive() || level.get_basic_info().repetition() != Repetition::REPEATED {
            return self.named(level, level.name(), id, mapped);
        }
        let mut elements = Vec::with_capacity(level.get_fields().len());
        for element in level.get_fields() {
            let (id, below) = identify(element, mapped);
            elements.push(self.named(element, element.name(), id, below)?);
        }
        group(level, level.name(), id, elements)
    }
}

type Built<T> = std::result::Result<T, ParquetError>;

fn identify<'a>(
    field: &Type,
    mapped: Option<&'a [Arc<MappedField>]>,
) -> (Option<i32>, Option<&'a [Arc<MappedField>]>) {
    let Some(mapped) = mapped else { return (own_id(field), None) };
    let of_name = |candidate: &&Arc<MappedField>| candidate.names().iter().any(|name| name == field.name());
    match mapped.iter().find(of_name) {
        Some(found) => (found.field_id(), Some(found.fields())),
        None => (None, Some(&[])),
    }
}

fn own_id(field: &Type) -> Option<i32> {
    let info = field.get_basic_info();
    info.has_id().then(|| info.id())
}

fn has_ids(field: &Type) -> bool {
    own_id(field).is_some() || (field.is_group() && field.get_fields().iter().any(|inner| has_ids(inner)))
}

fn is_collection(field: &Type) -> bool {
    let info = field.get_basic_info();
    matches!(info.logical_type_ref(), Some(LogicalType::List | LogicalType::Map))
        || matches!(
            info.converted_type(),
            ConvertedType::LIST | ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE
        )
}

fn primitive(field: &TypePtr, name: &str, id: Option<i32>) -> Built<TypePtr> {
    let info = field.get_basic_info();
    if field.name() == name && own_id(field) == id {
        return Ok(Arc::clone(field));
    }
    let Type::PrimitiveType { physical_type, type_length, precision, scale, .. } = field.as_ref() else {
        return Err(ParquetError::General("a column is no column".to_owned()));
    };
    let built = Type::primitive_type_builder(name, *physical_type)
        .with_repetition(info.repetition())
        .with_converted_type(info.converted_type())
        .with_logical_type(info.logical_type_ref().cloned())
        .with_length(*type_length)
        .with_precision(*precision)
        .with_scale(*scale)
        .with_id(id)
        .build()?;
    Ok(Arc::new(built))
}

fn group(field: &Type, name: &str, id: Option<i32>, fields: Vec<TypePtr>) -> Built<TypePtr> {
    let info = field.get_basic_info();
    let mut builder = Type::group_type_builder(name)
        .with_converted_type(info.converted_type())
        .with_logical_type(info.logical_type_ref().cloned())
        .with_fields(fields)
        .with_id(id);
    if info.has_repetition() {
        builder = builder.with_repetition(info.repetition());
    }
    Ok(Arc::new(builder.build()?))
}

fn without_ids(url: &str) -> Error {
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, "a data file has no field ids, so its columns cannot be told")
        .with_detail(format!("The data file is {url}."))
        .with_hint(format!(
            "Set the table property {DEFAULT_SCHEMA_NAME_MAPPING}, which maps the names in such files to field ids."
        ))
}

fn unreadable_mapping(error: serde_json::Error) -> Error {
    let text = format!("table property {DEFAULT_SCHEMA_NAME_MAPPING} is not a name mapping: {error}");
    Error::new(SqlState::INVALID_PARAMETER_VALUE, text)
        .with_hint("Correct or remove the property with ALTER TABLE … SET PROPERTIES.")
}
