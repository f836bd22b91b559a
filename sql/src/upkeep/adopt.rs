//! What a Parquet file that somebody else wrote says about itself, in the terms of a table: its columns found by field id
//! or name, and counts and bounds from its footer. A bound that the footer does not state for every row group is left
//! out, and so are those of floating-point columns, whose footers may hide NaN. It must never commit.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use arrow::record_batch::RecordBatch;
use iceberg::spec::{Datum, MappedField, NameMapping, NestedFieldRef, PrimitiveType, Schema, Type};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::async_reader::{AsyncFileReader, ParquetObjectReader};
use parquet::arrow::parquet_to_arrow_schema;
use parquet::file::metadata::ParquetMetaData;
use tarn_catalog::iceberg::metrics::{Collector, ColumnMetrics};
use tarn_catalog::storage::{Checked, Storage};

use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::table::{arrow_schema, readable};

/// What is known of a file before it is a table's.
pub(super) struct Adopted {
    pub rows: u64,
    pub metrics: HashMap<i32, ColumnMetrics>,
    pub column_bytes: HashMap<i32, u64>,
    pub split_offsets: Vec<i64>,
    /// The ids of the table's columns that the file has.
    pub present: Vec<i32>,
    /// Its columns have field ids.
    pub has_ids: bool,
}

/// Reads the footer of a file and finds the table's columns in it.
pub(super) async fn adopt(storage: &Storage, file: &Checked, bytes: u64, schema: &Schema) -> Result<Adopted> {
    let (store, path) = storage.resolve(file)?;
    let mut reader = ParquetObjectReader::new(store, path).with_file_size(bytes);
    let unreadable = |error: parquet::errors::ParquetError| {
        let message = format!("\"{file}\" cannot be read as a Parquet file: {error}");
        Error::new(SqlState::DATA_CORRUPTED, message)
    };
    let footer = reader.get_metadata(None).await.map_err(unreadable)?;
    let descriptor = footer.file_metadata().schema_descr();
    // Without the Arrow schema that some writers put into the footer: a column is what its Parquet type says.
    let found = parquet_to_arrow_schema(descriptor, None).map_err(unreadable)?;
    let columns = Columns { table: schema, plain: arrow_schema(schema)?, found, url: file.as_str() };
    let places = columns.places()?;
    let mut adopted = Adopted {
        rows: u64::try_from(footer.file_metadata().num_rows()).unwrap_or(0),
        metrics: HashMap::new(),
        column_bytes: HashMap::new(),
        split_offsets: Vec::new(),
        present: places.iter().map(|(field, _)| field.id).collect(),
        has_ids: columns.has_ids(),
    };
    for (field, place) in &places {
        if let Some(metrics) = columns.metrics(field, *place, &footer).map_err(unreadable)? {
            adopted.metrics.insert(field.id, metrics);
        }
    }
    for group in footer.row_groups() {
        let begin = group.columns().iter().map(|column| column.byte_range().0).min();
        adopted.split_offsets.extend(begin.and_then(|begin| i64::try_from(begin).ok()));
        for (field, place) in &places {
            let of_root = |leaf: &usize| descriptor.get_column_root_idx(*leaf) == *place;
            let leaves = (0..descriptor.num_columns()).filter(of_root);
            let sizes = leaves.map(|leaf| u64::try_from(group.column(leaf).compressed_size()).unwrap_or(0));
            *adopted.column_bytes.entry(field.id).or_default() += sizes.sum::<u64>();
        }
    }
    Ok(adopted)
}

/// The columns of a table and of a file.
struct Columns<'a> {
    table: &'a Schema,
    plain: arrow::datatypes::SchemaRef,
    found: ArrowSchema,
    url: &'a str,
}

impl Columns<'_> {
    fn has_ids(&self) -> bool {
        self.found.fields().iter().any(|field| field.metadata().contains_key(PARQUET_FIELD_ID_META_KEY))
    }

    /// Each column of the table with its place in the file: by id if the file has ids, else by name.
    fn places(&self) -> Result<Vec<(NestedFieldRef, usize)>> {
        let by_id = self.has_ids();
        let id = |field: &Field| field.metadata().get(PARQUET_FIELD_ID_META_KEY)?.parse::<i32>().ok();
        let mut places = Vec::new();
        for (wanted, plain) in self.table.as_struct().fields().iter().zip(self.plain.fields()) {
            let is = |found: &Arc<Field>| match by_id {
                true => id(found) == Some(wanted.id),
                false => found.name() == &wanted.name,
            };
            let Some(place) = self.found.fields().iter().position(is) else { continue };
            let found = self.found.field(place).data_type();
            if matches!(*wanted.field_type, Type::Primitive(_)) && !readable(found, plain.data_type()) {
                let message = format!(
                    "column \"{}\" of \"{}\" is of type {found}, which cannot be read as the table's",
                    wanted.name, self.url
                );
                return Err(Error::new(SqlState::DATATYPE_MISMATCH, message)
                    .with_hint("Load the file with INSERT INTO … SELECT … FROM read_parquet(…) instead."));
            }
            places.push((Arc::clone(wanted), place));
        }
        Ok(places)
    }

    /// Counts and bounds of a plain column; none where the footer does not count nulls.
    fn metrics(
        &self,
        field: &NestedFieldRef,
        place: usize,
        footer: &ParquetMetaData,
    ) -> parquet::errors::Result<Option<ColumnMetrics>> {
        let Type::Primitive(kind) = field.field_type.as_ref() else { return Ok(None) };
        let descriptor = footer.file_metadata().schema_descr();
        let name = self.found.field(place).name();
        let converter = StatisticsConverter::try_new(name, &self.found, descriptor)?;
        let groups = footer.row_groups();
        let nulls = converter.row_group_null_counts(groups.iter())?;
        if nulls.null_count() > 0 {
            return Ok(None);
        }
        let rows: u64 = groups.iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0)).sum();
        let null_count: u64 = nulls.values().iter().sum();
        let bounds = [converter.row_group_mins(groups.iter())?, converter.row_group_maxes(groups.iter())?];
        let wanted = self.plain.field_with_name(&field.name).map(|field| field.data_type().clone()).ok();
        let (lower, upper) = match wanted {
            Some(wanted) if !matches!(kind, PrimitiveType::Float | PrimitiveType::Double) => {
                self.bounds(field, &bounds, &wanted)
            }
            _ => (None, None),
        };
        Ok(Some(ColumnMetrics { value_count: rows, null_count, nan_count: None, lower, upper }))
    }

    /// The least and the greatest of the row groups' bounds, if every row group states both.
    fn bounds(
        &self,
        field: &NestedFieldRef,
        bounds: &[ArrayRef; 2],
        wanted: &DataType,
    ) -> (Option<Datum>, Option<Datum>) {
        if bounds.iter().any(|array| array.null_count() > 0) {
            return (None, None);
        }
        let of = || -> Option<ColumnMetrics> {
            let one = Schema::builder().with_fields([Arc::clone(field)]).build().ok()?;
            let mut collector = Collector::new(&one);
            for array in bounds {
                let array = cast(array, wanted).ok()?;
                let column = Field::new(&field.name, wanted.clone(), true);
                let batch =
                    RecordBatch::try_new(Arc::new(ArrowSchema::new(vec![column])), vec![array]).ok()?;
                collector.observe(&batch).ok()?;
            }
            collector.finish().ok()?.remove(&field.id)
        };
        of().map_or((None, None), |metrics| (metrics.lower, metrics.upper))
    }
}

/// The names of a table's columns today, for files without field ids.
pub(super) fn name_mapping(schema: &Schema) -> NameMapping {
    NameMapping::new(schema.as_struct().fields().iter().map(mapped).collect())
}

fn mapped(field: &NestedFieldRef) -> MappedField {
    let inner = match field.field_type.as_ref() {
        Type::Primitive(_) => Vec::new(),
        Type::Struct(fields) => fields.fields().iter().map(mapped).collect(),
        Type::List(list) => vec![renamed(mapped(&list.element_field), "element")],
        Type::Map(map) => {
            vec![renamed(mapped(&map.key_field), "key"), renamed(mapped(&map.value_field), "value")]
        }
    };
    MappedField::new(Some(field.id), vec![field.name.clone()], inner)
}

fn renamed(field: MappedField, name: &str) -> MappedField {
    let inner = field.fields().iter().map(|field| field.as_ref().clone()).collect();
    MappedField::new(field.field_id(), vec![name.to_owned()], inner)
}
