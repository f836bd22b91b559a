//! How a table's files are written, read from the table's properties: Iceberg's names, our defaults. It must never
//! know a row. Next: `data_file.rs`, which writes with it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use iceberg::spec::{PrimitiveType, Schema, Type};
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{Compression, GzipLevel, LogicalType, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::{ColumnPath, SchemaDescriptor, Type as ParquetType, TypePtr};

use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

const CODEC: &str = "write.parquet.compression-codec";
const LEVEL: &str = "write.parquet.compression-level";
const ROW_GROUP_BYTES: &str = "write.parquet.row-group-size-bytes";
const TARGET_FILE_BYTES: &str = "write.target-file-size-bytes";
const DISTRIBUTION: &str = "write.distribution-mode";
const BLOOM_FILTER: &str = "write.parquet.bloom-filter-enabled.column.";

/// Compressed bytes of a row group.
const ROW_GROUP_BYTES_DEFAULT: usize = 128 << 20;
/// Rows of a row group.
const ROW_GROUP_ROWS_MAX: usize = 1 << 20;
/// Bytes of a file.
const TARGET_FILE_BYTES_DEFAULT: usize = 512 << 20;
/// Bytes of a dictionary; beyond it a column chunk goes on without one.
const DICTIONARY_BYTES_MAX: usize = 2 << 20;
/// zstd's fastest ordinary level: on columns, higher ones cost much time for few bytes.
const ZSTD_LEVEL_DEFAULT: i32 = 1;

/// The settings of one table's files.
#[derive(Debug, Clone)]
pub(crate) struct FileProperties {
    pub parquet: WriterProperties,
    pub row_group_rows: usize,
    pub row_group_bytes: usize,
    pub target_file_bytes: usize,
    pub distribution: Distribution,
}

/// How rows are shared out among the writers of a table that declares an order. Those of one table partition always go
/// to one writer, which no mode takes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Distribution {
    /// The files of an unpartitioned table follow each other in the order; the default.
    Range,
    /// Each writer sorts what it gets: faster, and the files overlap.
    Local,
}

impl FileProperties {
    pub fn new(properties: &HashMap<String, String>) -> Result<FileProperties> {
        let mut parquet = WriterProperties::builder()
            .set_created_by(format!("tarn {}", env!("CARGO_PKG_VERSION")))
            .set_compression(compression(properties)?)
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_dictionary_page_size_limit(DICTIONARY_BYTES_MAX);
        for (key, value) in properties {
            if let Some(column) = key.strip_prefix(BLOOM_FILTER) {
                let path = ColumnPath::from(column.split('.').map(str::to_owned).collect::<Vec<_>>());
                parquet = parquet.set_column_bloom_filter_enabled(path, value.eq_ignore_ascii_case("true"));
            }
        }
        Ok(FileProperties {
            parquet: parquet.build(),
            row_group_rows: ROW_GROUP_ROWS_MAX,
            row_group_bytes: size(properties, ROW_GROUP_BYTES, ROW_GROUP_BYTES_DEFAULT)?,
            target_file_bytes: size(properties, TARGET_FILE_BYTES, TARGET_FILE_BYTES_DEFAULT)?,
            distribution: distribution(properties)?,
        })
    }
}

fn invalid(key: &str, value: &str, hint: &str) -> Error {
    Error::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("invalid value \"{value}\" for table property {key}"),
    )
    .with_hint(hint)
}

fn size(properties: &HashMap<String, String>, key: &str, default: usize) -> Result<usize> {
    match properties.get(key) {
        None => Ok(default),
        Some(text) => match text.parse() {
            Ok(bytes) if bytes > 0 => Ok(bytes),
            _ => Err(invalid(key, text, "Give a number of bytes above 0.")),
        },
    }
}

fn distribution(properties: &HashMap<String, String>) -> Result<Distribution> {
    let given = properties.get(DISTRIBUTION).map(|mode| mode.to_ascii_lowercase());
    match given.as_deref() {
        None | Some("range") => Ok(Distribution::Range),
        Some("none" | "hash") => Ok(Distribution::Local),
        Some(other) => Err(invalid(DISTRIBUTION, other, "The modes are none, hash and range.")),
    }
}

fn compression(properties: &HashMap<String, String>) -> Result<Compression> {
    let level = match properties.get(LEVEL) {
        None => None,
        Some(text) => Some(
            text.parse::<i32>().map_err(|_| invalid(LEVEL, text, "Give a whole number, or leave it out."))?,
        ),
    };
    let codec = properties.get(CODEC).map_or("zstd", String::as_str);
    let bad_level = |_: ParquetError| {
        let text = level.map(|level| level.to_string()).unwrap_or_default();
        invalid(LEVEL, &text, "zstd has the levels 1 to 22, gzip 0 to 9.")
    };
    match codec.to_ascii_lowercase().as_str() {
        "zstd" => {
            Ok(Compression::ZSTD(ZstdLevel::try_new(level.unwrap_or(ZSTD_LEVEL_DEFAULT)).map_err(bad_level)?))
        }
        "gzip" => match level {
            None => Ok(Compression::GZIP(GzipLevel::default())),
            Some(level) => {
                let level = u32::try_from(level).unwrap_or(u32::MAX);
                Ok(Compression::GZIP(GzipLevel::try_new(level).map_err(bad_level)?))
            }
        },
        "snappy" => Ok(Compression::SNAPPY),
        "lz4_raw" | "lz4" => Ok(Compression::LZ4_RAW),
        "uncompressed" => Ok(Compression::UNCOMPRESSED),
        _ => Err(invalid(CODEC, codec, "The codecs are zstd, snappy, gzip, lz4_raw and uncompressed.")),
    }
}

/// The Parquet schema of a table's files: what the Arrow schema gives, with UUID columns marked as such, which the
/// pinned Parquet crate leaves out and other engines rely on.
pub(crate) fn parquet_schema(table: &Schema, arrow: &arrow::datatypes::Schema) -> Result<SchemaDescriptor> {
    let uuids: HashSet<i32> = table
        .field_id_to_fields()
        .values()
        .filter(|field| *field.field_type == Type::Primitive(PrimitiveType::Uuid))
        .map(|field| field.id)
        .collect();
    let internal = |error: ParquetError| Error::internal(format!("no Parquet schema for the table: {error}"));
    let plain = ArrowSchemaConverter::new().schema_root("table").convert(arrow).map_err(internal)?;
    if uuids.is_empty() {
        return Ok(plain);
    }
    let root = mark_uuids(&plain.root_schema_ptr(), &uuids).map_err(internal)?;
    Ok(SchemaDescriptor::new(root))
}

fn mark_uuids(node: &TypePtr, uuids: &HashSet<i32>) -> Result<TypePtr, ParquetError> {
    let info = node.get_basic_info();
    let id = info.has_id().then(|| info.id());
    match node.as_ref() {
        ParquetType::PrimitiveType { physical_type, type_length, .. } => {
            if !id.is_some_and(|id| uuids.contains(&id)) {
                return Ok(Arc::clone(node));
            }
            let marked = ParquetType::primitive_type_builder(info.name(), *physical_type)
                .with_repetition(info.repetition())
                .with_length(*type_length)
                .with_logical_type(Some(LogicalType::Uuid))
                .with_id(id);
            Ok(Arc::new(marked.build()?))
        }
        ParquetType::GroupType { fields, .. } => {
            let fields =
                fields.iter().map(|field| mark_uuids(field, uuids)).collect::<Result<Vec<_>, _>>()?;
            let mut group = ParquetType::group_type_builder(info.name())
                .with_converted_type(info.converted_type())
                .with_logical_type(info.logical_type_ref().cloned())
                .with_fields(fields)
                .with_id(id);
            if info.has_repetition() {
                group = group.with_repetition(info.repetition());
            }
            Ok(Arc::new(group.build()?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn codec(pairs: &[(&str, &str)]) -> Result<Compression> {
        compression(&properties(pairs))
    }

    #[test]
    fn codecs_are_what_the_property_says() {
        let zstd = |level| Compression::ZSTD(ZstdLevel::try_new(level).expect("level"));
        assert_eq!(codec(&[]).expect("default"), zstd(1));
        assert_eq!(codec(&[(CODEC, "ZSTD"), (LEVEL, "9")]).expect("zstd"), zstd(9));
        assert_eq!(codec(&[(CODEC, "snappy")]).expect("snappy"), Compression::SNAPPY);
        assert_eq!(codec(&[(CODEC, "uncompressed")]).expect("none"), Compression::UNCOMPRESSED);
        for bad in [&[(CODEC, "brotlii")][..], &[(LEVEL, "fast")], &[(LEVEL, "99")]] {
            assert_eq!(codec(bad).expect_err("bad").sqlstate, SqlState::INVALID_PARAMETER_VALUE);
        }
    }

    #[test]
    fn sizes_are_bytes_above_zero() {
        let file = FileProperties::new(&properties(&[(TARGET_FILE_BYTES, "1000")])).expect("sizes");
        assert_eq!((file.target_file_bytes, file.row_group_bytes), (1000, ROW_GROUP_BYTES_DEFAULT));
        let modes = |mode| distribution(&properties(&[(DISTRIBUTION, mode)]));
        assert_eq!(modes("none").expect("local"), Distribution::Local);
        assert_eq!(modes("often").expect_err("bad").sqlstate, SqlState::INVALID_PARAMETER_VALUE);
        let error = FileProperties::new(&properties(&[(TARGET_FILE_BYTES, "0")])).expect_err("zero");
        assert_eq!(error.message, "invalid value \"0\" for table property write.target-file-size-bytes");
    }
}
