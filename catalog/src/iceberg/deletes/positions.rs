//! The content of a position-delete file (specification, "Position Delete Files"): a Parquet file of two columns, the
//! data file and the row in it, sorted by both. It must never know where a file lies.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use bytes::Bytes;
use iceberg::metadata_columns::{RESERVED_FIELD_ID_DELETE_FILE_PATH, RESERVED_FIELD_ID_DELETE_FILE_POS};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowWriter, PARQUET_FIELD_ID_META_KEY, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use roaring::RoaringTreemap;

use super::vector;

/// Rows that are encoded at a time.
const BATCH_ROWS: usize = 8192;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The deleted rows of each data file, by its URL as the file spells it.
#[derive(Debug, Default)]
pub struct DeletedRows {
    pub of_file: BTreeMap<String, Arc<RoaringTreemap>>,
    /// Rows of the delete file; it may name a row twice.
    pub rows: u64,
}

impl DeletedRows {
    /// Bytes that this takes in memory.
    pub fn bytes(&self) -> usize {
        let entry = |(file, rows): (&String, &Arc<RoaringTreemap>)| 64 + file.len() + vector::bytes(rows);
        size_of::<DeletedRows>() + self.of_file.iter().map(entry).sum::<usize>()
    }
}

/// Reads a position-delete file.
pub fn decode(parquet: Bytes) -> Result<DeletedRows, Failure> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(parquet)?;
    let schema = builder.parquet_schema();
    let file = column(schema, RESERVED_FIELD_ID_DELETE_FILE_PATH, "file_path")?;
    let position = column(schema, RESERVED_FIELD_ID_DELETE_FILE_POS, "pos")?;
    let mask = ProjectionMask::roots(schema, [file, position]);
    // The reader keeps the order of the file, whatever the order of the mask.
    let (file, position) = if file < position { (0, 1) } else { (1, 0) };
    let mut collected = Collected::default();
    for batch in builder.with_projection(mask).build()? {
        let batch: RecordBatch = batch?;
        collected.rows += batch.num_rows() as u64;
        collected.add(batch.column(file), batch.column(position))?;
    }
    let Collected { of_file, rows } = collected;
    Ok(DeletedRows {
        of_file: of_file.into_iter().map(|(file, rows)| (file, Arc::new(rows))).collect(),
        rows,
    })
}

/// A position-delete file of rows of one data file.
pub fn encode(data_file: &str, rows: &RoaringTreemap) -> Result<Vec<u8>, Failure> {
    let field = |id: i32, name: &str, kind: DataType| {
        let id = (PARQUET_FIELD_ID_META_KEY.to_string(), id.to_string());
        Field::new(name, kind, false).with_metadata(HashMap::from([id]))
    };
    let schema = Arc::new(Schema::new(vec![
        field(RESERVED_FIELD_ID_DELETE_FILE_PATH, "file_path", DataType::Utf8),
        field(RESERVED_FIELD_ID_DELETE_FILE_POS, "pos", DataType::Int64),
    ]));
    // Readers compare the bounds of the path with whole paths, so these must not be cut.
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_truncate_length(None)
        .set_column_index_truncate_length(None)
        .build();
    let mut parquet = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut parquet, schema.clone(), Some(properties))?;
    let mut rest = rows.iter();
    loop {
        let positions: Vec<i64> =
            rest.by_ref().take(BATCH_ROWS).map(i64::try_from).collect::<Result<_, _>>()?;
        if positions.is_empty() {
            break;
        }
        let files = StringArray::from_iter_values(std::iter::repeat_n(data_file, positions.len()));
        let columns: Vec<ArrayRef> = vec![Arc::new(files), Arc::new(Int64Array::from(positions))];
        writer.write(&RecordBatch::try_new(schema.clone(), columns)?)?;
    }
    writer.close()?;
    Ok(parquet)
}

/// The place of a column, by its field id; files of writers that leave the ids out have the names.
fn column(schema: &parquet::schema::types::SchemaDescriptor, id: i32, name: &str) -> Result<usize, Failure> {
    let fields = schema.root_schema().get_fields();
    let is = |field: &parquet::schema::types::TypePtr| {
        let info = field.get_basic_info();
        if info.has_id() { info.id() == id } else { info.name() == name }
    };
    fields.iter().position(is).ok_or_else(|| format!("it has no column {name}").into())
}

#[derive(Default)]
struct Collected {
    of_file: BTreeMap<String, RoaringTreemap>,
    rows: u64,
}

impl Collected {
    fn add(&mut self, files: &ArrayRef, positions: &ArrayRef) -> Result<(), Failure> {
        let files = cast(files, &DataType::Utf8)?;
        let positions = cast(positions, &DataType::Int64)?;
        if files.null_count() > 0 || positions.null_count() > 0 {
            return Err("it has a row without a file or position".into());
        }
        let (files, positions) = (files.as_string::<i32>(), positions.as_primitive::<Int64Type>());
        let mut from = 0;
        // The rows of one data file follow each other, so the file is looked up once.
        while from < files.len() {
            let file = files.value(from);
            let to = (from..files.len()).find(|at| files.value(*at) != file).unwrap_or(files.len());
            if !self.of_file.contains_key(file) {
                self.of_file.insert(file.to_string(), RoaringTreemap::new());
            }
            let rows = self.of_file.get_mut(file).ok_or("a file that was just added is gone")?;
            for position in &positions.values()[from..to] {
                rows.insert(u64::try_from(*position).map_err(|_| "it has a position below zero")?);
            }
            from = to;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let check = |rows: RoaringTreemap| {
            let parquet = encode("s3://b/t/data/a.parquet", &rows).expect("a file");
            let decoded = decode(parquet.into()).expect("its rows");
            assert_eq!(decoded.rows, rows.len());
            let expected = BTreeMap::from([("s3://b/t/data/a.parquet".to_string(), Arc::new(rows))]);
            assert_eq!(decoded.of_file, expected);
        };
        check([7].into_iter().collect());
        check((0..100_000).step_by(3).chain([1 << 40]).collect());
    }

    /// A file as another engine may write it: more columns, other order, other string type, several data files.
    #[test]
    fn columns_are_found_by_id() {
        let field = |id: i32, name: &str, kind: DataType| {
            let id = (PARQUET_FIELD_ID_META_KEY.to_string(), id.to_string());
            Field::new(name, kind, true).with_metadata(HashMap::from([id]))
        };
        let file = |positions: Vec<Option<i64>>| {
            let schema = Arc::new(Schema::new(vec![
                field(RESERVED_FIELD_ID_DELETE_FILE_POS, "p", DataType::Int64),
                field(7, "file_path", DataType::Utf8),
                field(RESERVED_FIELD_ID_DELETE_FILE_PATH, "f", DataType::LargeUtf8),
            ]));
            let rows = positions.len();
            let columns: Vec<ArrayRef> = vec![
                Arc::new(Int64Array::from(positions)),
                Arc::new(StringArray::from_iter_values(std::iter::repeat_n("no", rows))),
                Arc::new(arrow::array::LargeStringArray::from_iter_values(
                    ["a", "a", "b", "a"].into_iter().cycle().take(rows),
                )),
            ];
            let mut parquet = Vec::new();
            let mut writer = ArrowWriter::try_new(&mut parquet, schema.clone(), None).expect("a writer");
            writer.write(&RecordBatch::try_new(schema, columns).expect("a batch")).expect("rows");
            writer.close().expect("a file");
            Bytes::from(parquet)
        };
        let decoded = decode(file(vec![Some(1), Some(5), Some(2), Some(1)])).expect("rows");
        assert_eq!(decoded.rows, 4);
        let rows = |rows: &[u64]| Arc::new(rows.iter().copied().collect::<RoaringTreemap>());
        let expected = [("a".to_string(), rows(&[1, 5])), ("b".to_string(), rows(&[2]))];
        assert_eq!(decoded.of_file, BTreeMap::from(expected));
        let refused = |file: Bytes, expected: &str| {
            assert_eq!(decode(file).expect_err("it is refused").to_string(), expected);
        };
        refused(file(vec![None]), "it has a row without a file or position");
        refused(file(vec![Some(-1)]), "it has a position below zero");
        assert!(decode(Bytes::from_static(b"PAR1")).is_err());
    }
}
