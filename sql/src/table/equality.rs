//! Equality deletes: files whose rows are keys, and every older row with such a key is deleted. The keys of a scan are
//! loaded once, when the first file that they apply to is opened, and rows are looked up as they come by. NULL matches
//! NULL here, NaN matches NaN, and 0.0 does not match -0.0. It must never decide which deletes apply to which file: the
//! catalog's `DeleteIndex` has. Next: `stage.rs`, which drops the rows.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, make_array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use arrow::row::{RowConverter, SortField};
use bytes::Bytes;
use datafusion::common::DataFusionError;
use iceberg::spec::{DataFileFormat, Schema as TableSchema, TableMetadata};
use parking_lot::Mutex;
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tarn_catalog::iceberg::LiveFile;
use tarn_catalog::storage::Storage;
use tokio::sync::OnceCell;

use super::evolve::{evolve, readable};
use super::footer::TableFile;
use super::naming::name_of_foreign;
use super::schema::{arrow_type, viewed};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;

type EngineResult<T> = datafusion::common::Result<T>;

/// Bytes of the keys of one list of delete files.
const KEYS_BYTES_MAX: usize = 64 << 20;
/// What a key costs beyond its own bytes.
const KEY_BYTES_MORE: usize = 32;

/// The equality deletes of one scan.
#[derive(Debug)]
pub(crate) struct EqualityDeletes {
    storage: Arc<Storage>,
    table: String,
    /// Every column that some key has, by its id.
    columns: BTreeMap<i32, KeyColumn>,
    /// The loaded keys, by the delete files they are of.
    loaded: Mutex<HashMap<Vec<String>, Loaded>>,
}

type Loaded = Arc<OnceCell<Vec<Arc<DeletedKeys>>>>;

/// A column of a key: one of the table's, a field of a struct column, or a column that the table has dropped since.
#[derive(Debug, Clone, PartialEq)]
struct KeyColumn {
    /// The table's column, as the scan calls it.
    root: String,
    /// From there to the field, through structs.
    path: Vec<String>,
    data_type: DataType,
    dropped: bool,
}

impl EqualityDeletes {
    /// The deletes of files that apply to data that is read with `schema`.
    pub fn new<'a>(
        storage: &Arc<Storage>,
        metadata: &TableMetadata,
        schema: &TableSchema,
        files: impl IntoIterator<Item = &'a LiveFile>,
    ) -> Result<EqualityDeletes> {
        let mut columns = BTreeMap::new();
        for file in files {
            for id in ids_of(file)? {
                if let std::collections::btree_map::Entry::Vacant(slot) = columns.entry(id) {
                    slot.insert(key_column(metadata, schema, id, file)?);
                }
            }
        }
        let table = metadata.location().to_owned();
        Ok(EqualityDeletes { storage: Arc::clone(storage), table, columns, loaded: Mutex::default() })
    }

    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The columns that must be read although the table has them no more.
    pub fn dropped(&self) -> impl Iterator<Item = FieldRef> {
        let dropped = self.columns.iter().filter(|(_, column)| column.dropped);
        dropped.map(|(id, column)| {
            let id = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string())]);
            Arc::new(Field::new(&column.root, column.data_type.clone(), true).with_metadata(id))
        })
    }

    /// The places of the keys' columns in a reader's schema.
    pub fn columns(&self, known: &Schema) -> EngineResult<Vec<usize>> {
        self.columns.values().map(|column| Ok(known.index_of(&column.root)?)).collect()
    }

    /// The keys of rows of this file that are deleted.
    pub async fn of(&self, file: &TableFile) -> Result<Vec<Arc<DeletedKeys>>> {
        let deletes = &file.deletes.equality;
        if deletes.is_empty() {
            return Ok(Vec::new());
        }
        let names = deletes.iter().map(|delete| delete.file.file_path().to_owned()).collect();
        let cell = Arc::clone(self.loaded.lock().entry(names).or_default());
        cell.get_or_try_init(|| self.load(deletes)).await.cloned()
    }

    async fn load(&self, deletes: &[LiveFile]) -> Result<Vec<Arc<DeletedKeys>>> {
        let mut by_ids: BTreeMap<Vec<i32>, Vec<&LiveFile>> = BTreeMap::new();
        for delete in deletes {
            by_ids.entry(ids_of(delete)?).or_default().push(delete);
        }
        let mut bytes = 0;
        let mut loaded = Vec::with_capacity(by_ids.len());
        for (ids, files) in by_ids {
            let missing = || Error::internal("a key has a column that was not planned");
            let columns: Vec<KeyColumn> = ids
                .iter()
                .map(|id| self.columns.get(id).cloned())
                .collect::<Option<_>>()
                .ok_or_else(missing)?;
            let mut sets = Vec::with_capacity(files.len());
            for file in files {
                let set = self.keys(file, &ids, &columns).await?;
                bytes += set.bytes;
                if bytes > KEYS_BYTES_MAX {
                    return Err(too_many());
                }
                sets.push(set);
            }
            let keys = merged(sets);
            loaded.push(Arc::new(DeletedKeys { columns, keys }));
        }
        Ok(loaded)
    }

    /// The keys of one delete file, from the cache if they are there.
    async fn keys(&self, delete: &LiveFile, ids: &[i32], columns: &[KeyColumn]) -> Result<Arc<KeySet>> {
        let file = delete.file.as_ref();
        let checked = self.storage.guard().table_file(&self.table, file.file_path())?;
        if file.file_format() != DataFileFormat::Parquet {
            let text = format!("delete file \"{checked}\" is no Parquet file, and only those are read");
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, text));
        }
        let types: Vec<&DataType> = columns.iter().map(|column| &column.data_type).collect();
        let key = format!("equality deletes of {}: {checked} {ids:?} {types:?}", self.table);
        if let Some(keys) = self.storage.decoded().get::<KeySet>(&key) {
            return Ok(keys);
        }
        if file.file_size_in_bytes() > KEYS_BYTES_MAX as u64 {
            return Err(too_many());
        }
        let bytes = self.storage.get(&checked).await?;
        let (ids, columns) = (ids.to_vec(), columns.to_vec());
        let decoded = tokio::task::spawn_blocking(move || decode(bytes, &ids, &columns)).await;
        let damaged = |reason: String| {
            Error::new(
                SqlState::DATA_CORRUPTED,
                format!("delete file \"{checked}\" cannot be read: {reason}"),
            )
            .with_hint("Restore the file, or roll the table back to a snapshot from before it.")
        };
        let (keys, rows) = decoded
            .map_err(|panic| damaged(panic.to_string()))?
            .map_err(|error| damaged(error.strip_backtrace()))?;
        if rows != file.record_count() {
            let text = format!("it has {rows} rows, and its manifest says {}", file.record_count());
            return Err(damaged(text));
        }
        let keys = Arc::new(keys);
        self.storage.decoded().insert(key, Arc::clone(&keys), keys.bytes);
        Ok(keys)
    }
}

fn ids_of(delete: &LiveFile) -> Result<Vec<i32>> {
    let mut ids = delete.file.equality_ids().unwrap_or_default();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        let text =
            format!("delete file \"{}\" does not say which columns it compares", delete.file.file_path());
        return Err(Error::new(SqlState::DATA_CORRUPTED, text));
    }
    Ok(ids)
}

fn too_many() -> Error {
    let text = format!("the table's equality deletes hold more than {} MB of keys", KEYS_BYTES_MAX >> 20);
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, text)
        .with_hint("Compact the table with ALTER TABLE … EXECUTE optimize in the engine that writes it.")
}

/// Where the column of this id is: in the columns of the scan, or, dropped since, in the newest that had it.
fn key_column(metadata: &TableMetadata, schema: &TableSchema, id: i32, file: &LiveFile) -> Result<KeyColumn> {
    let unknown = || {
        let text = format!(
            "delete file \"{}\" compares field {id}, which no schema of the table has at a place that is read",
            file.file.file_path()
        );
        Error::new(SqlState::DATA_CORRUPTED, text)
    };
    if let Some(name) = schema.name_by_field_id(id) {
        let field = schema.field_by_id(id).ok_or_else(unknown)?;
        let mut path = path_to(schema, id).ok_or_else(|| {
            Error::unsupported(format!("an equality delete by \"{name}\", which is inside a list or map,"))
        })?;
        let root = path.remove(0);
        let plain = arrow_type(&field.field_type)?;
        let data_type = if path.is_empty() { viewed(&plain) } else { plain };
        return Ok(KeyColumn { root, path, data_type, dropped: false });
    }
    let mut newest_first: Vec<_> = metadata.schemas_iter().collect();
    newest_first.sort_by_key(|schema| std::cmp::Reverse(schema.schema_id()));
    let top_level =
        |schema: &&Arc<TableSchema>| schema.as_struct().fields().iter().find(|field| field.id == id).cloned();
    let field = newest_first.iter().find_map(top_level).ok_or_else(unknown)?;
    let data_type = viewed(&arrow_type(&field.field_type)?);
    Ok(KeyColumn { root: name_of_foreign(id), path: Vec::new(), data_type, dropped: true })
}

/// The names from a table's column to the field of this id, through structs alone.
fn path_to(schema: &TableSchema, id: i32) -> Option<Vec<String>> {
    use iceberg::spec::{NestedFieldRef, Type};
    fn find(fields: &[NestedFieldRef], id: i32) -> Option<Vec<String>> {
        fields.iter().find_map(|field| {
            let mut path = vec![field.name.clone()];
            if field.id == id {
                return Some(path);
            }
            let Type::Struct(inner) = field.field_type.as_ref() else { return None };
            path.extend(find(inner.fields(), id)?);
            Some(path)
        })
    }
    find(schema.as_struct().fields(), id)
}

/// Keys in Arrow's row format, in which equal means equal.
#[derive(Debug, Default)]
struct KeySet {
    keys: HashSet<Box<[u8]>>,
    bytes: usize,
}

impl KeySet {
    fn insert(&mut self, key: &[u8]) {
        if !self.keys.contains(key) {
            self.bytes += key.len() + KEY_BYTES_MORE;
            self.keys.insert(key.into());
        }
    }
}

fn merged(mut sets: Vec<Arc<KeySet>>) -> Arc<KeySet> {
    if sets.len() == 1
        && let Some(only) = sets.pop()
    {
        return only;
    }
    let mut all = KeySet::default();
    sets.iter().flat_map(|set| &set.keys).for_each(|key| all.insert(key));
    Arc::new(all)
}

/// Keys whose rows are deleted, all over the same columns.
#[derive(Debug)]
pub(crate) struct DeletedKeys {
    columns: Vec<KeyColumn>,
    keys: Arc<KeySet>,
}

impl DeletedKeys {
    /// For each row, whether its key is none of these.
    pub fn live(&self, batch: &RecordBatch) -> EngineResult<BooleanArray> {
        let column = |column: &KeyColumn| {
            let missing = || DataFusionError::Internal("a key's column was not read".to_owned());
            let root = batch.column_by_name(&column.root).ok_or_else(missing)?;
            descend(root, &column.path)
        };
        let columns = self.columns.iter().map(column).collect::<EngineResult<Vec<_>>>()?;
        let rows = converter(&self.columns)?.convert_columns(&columns)?;
        Ok(rows.iter().map(|row| Some(!self.keys.keys.contains(row.as_ref()))).collect())
    }
}

fn converter(columns: &[KeyColumn]) -> EngineResult<RowConverter> {
    let fields = columns.iter().map(|column| SortField::new(column.data_type.clone())).collect();
    Ok(RowConverter::new(fields)?)
}

/// A field of a struct column; NULL where the struct is.
fn descend(column: &ArrayRef, path: &[String]) -> EngineResult<ArrayRef> {
    let Some((first, rest)) = path.split_first() else { return Ok(Arc::clone(column)) };
    let missing = || DataFusionError::Internal("a key's field was not read".to_owned());
    let outer = column.as_struct_opt().ok_or_else(missing)?;
    let inner = outer.column_by_name(first).ok_or_else(missing)?;
    descend(&nulled(outer.nulls(), inner)?, rest)
}

fn nulled(outer: Option<&NullBuffer>, inner: &ArrayRef) -> EngineResult<ArrayRef> {
    let nulls = NullBuffer::union(outer, inner.nulls());
    Ok(make_array(inner.to_data().into_builder().nulls(nulls).build()?))
}

/// The keys of a delete file, and its number of rows.
fn decode(bytes: Bytes, ids: &[i32], columns: &[KeyColumn]) -> EngineResult<(KeySet, u64)> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let paths = ids.iter().map(|id| path_in(builder.schema().fields(), *id)).collect::<Option<Vec<_>>>();
    let without = || DataFusionError::Execution(format!("it lacks one of the fields {ids:?}"));
    let paths = paths.ok_or_else(without)?;
    let converter = converter(columns)?;
    let mut keys = KeySet::default();
    let mut rows = 0u64;
    for batch in builder.build()? {
        let batch = batch?;
        rows += batch.num_rows() as u64;
        let mut key = Vec::with_capacity(columns.len());
        for (path, column) in paths.iter().zip(columns) {
            let found = path.split_first().and_then(|(root, rest)| Some((batch.column_by_name(root)?, rest)));
            let (root, rest) = found.ok_or_else(without)?;
            let values = descend(root, rest)?;
            if !readable(values.data_type(), &column.data_type) {
                let text = format!("it has {} where the table has {}", values.data_type(), column.data_type);
                return Err(DataFusionError::Execution(text));
            }
            key.push(evolve(&values, &column.data_type, &HashMap::new())?);
        }
        converter.convert_columns(&key)?.iter().for_each(|row| keys.insert(row.as_ref()));
    }
    Ok((keys, rows))
}

/// The names from a file's column to the field of this id.
fn path_in(fields: &Fields, id: i32) -> Option<Vec<String>> {
    let text = id.to_string();
    fields.iter().find_map(|field| {
        let mut path = vec![field.name().clone()];
        if field.metadata().get(PARQUET_FIELD_ID_META_KEY) == Some(&text) {
            return Some(path);
        }
        let DataType::Struct(inner) = field.data_type() else { return None };
        path.extend(path_in(inner, id)?);
        Some(path)
    })
}
