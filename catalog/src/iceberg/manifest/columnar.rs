//! A manifest of data files, one vector for each of their attributes: what a scan of a table of very many files is
//! planned from. It takes a tenth of the memory of as many descriptions, its bounds stay bytes until somebody asks for
//! a column, and only files that a scan keeps become descriptions again, with the figures of the columns it reads.
//! Commits and metadata tables, which need all of a file, use `read.rs`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, ManifestFile, PrimitiveType, Struct,
    TableMetadata,
};

use super::read::{Decoded, LiveFile, decode_uncached, manifest_key};
use crate::error::{Error, Result};
use crate::storage::Storage;

/// The live files of one data manifest.
#[derive(Debug)]
pub struct ColumnarManifest {
    spec_id: i32,
    files: Vec<FileRow>,
    paths: String,
    /// The different partitions of the files.
    partitions: Vec<Struct>,
    columns: BTreeMap<i32, FileColumn>,
    key_metadata: HashMap<usize, Vec<u8>>,
}

/// What every file has.
#[derive(Debug)]
struct FileRow {
    path_end: usize,
    size: u64,
    rows: u64,
    sequence_number: i64,
    file_sequence_number: i64,
    snapshot_id: i64,
    first_row_id: Option<i64>,
    sort_order_id: Option<i32>,
    partition: u32,
    format: DataFileFormat,
}

/// What the files say about one column.
#[derive(Debug, Default)]
pub struct FileColumn {
    pub lower: Values,
    pub upper: Values,
    pub nulls: Counts,
    pub nans: Counts,
    sizes: Counts,
}

/// One value of one type for each file that has it, as Iceberg writes single values.
#[derive(Debug, Default)]
pub struct Values {
    data_type: Option<PrimitiveType>,
    /// Where each file's value ends; one that ends where it begins is not there, unless `empty` says so.
    ends: Vec<u32>,
    empty: Vec<usize>,
    bytes: Vec<u8>,
}

/// A count for each file, unknown in some.
#[derive(Debug, Default)]
pub enum Counts {
    #[default]
    Unknown,
    /// The same in every file.
    Same(u64),
    /// One more than the count; 0 is unknown.
    Each(Vec<u32>),
    Large(Vec<Option<u64>>),
}

impl Counts {
    pub fn get(&self, file: usize) -> Option<u64> {
        match self {
            Counts::Unknown => None,
            Counts::Same(count) => Some(*count),
            Counts::Each(counts) => counts.get(file)?.checked_sub(1).map(u64::from),
            Counts::Large(counts) => counts.get(file).copied().flatten(),
        }
    }

    fn of(counts: Vec<Option<u64>>) -> Counts {
        let first = counts.first().copied().flatten();
        if counts.iter().all(|count| *count == first) {
            return first.map_or(Counts::Unknown, Counts::Same);
        }
        let small = |count: &Option<u64>| match count {
            None => Some(0),
            Some(count) => u32::try_from(*count).ok()?.checked_add(1),
        };
        match counts.iter().map(small).collect() {
            Some(each) => Counts::Each(each),
            None => Counts::Large(counts),
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Counts::Unknown | Counts::Same(_) => 0,
            Counts::Each(counts) => counts.capacity() * 4,
            Counts::Large(counts) => counts.capacity() * 16,
        }
    }
}

impl Values {
    /// The type of all values, which is the column's type when the manifest was written.
    pub fn data_type(&self) -> Option<&PrimitiveType> {
        self.data_type.as_ref()
    }

    /// A file's value as bytes.
    pub fn bytes(&self, file: usize) -> Option<&[u8]> {
        let end = usize::try_from(*self.ends.get(file)?).ok()?;
        let start = match file.checked_sub(1) {
            Some(before) => usize::try_from(self.ends[before]).ok()?,
            None => 0,
        };
        let known = end > start || self.empty.binary_search(&file).is_ok();
        known.then(|| self.bytes.get(start..end)).flatten()
    }

    pub fn datum(&self, file: usize) -> Option<Datum> {
        Datum::try_from_bytes(self.bytes(file)?, self.data_type.clone()?).ok()
    }

    /// A value that does not fit the others is left out, as if it were not known.
    fn push(&mut self, file: usize, value: Option<&Datum>) {
        let data_type = value.map(|value| value.data_type().clone());
        let fits = self.data_type.is_none() || self.data_type == data_type;
        if let (Some(value), true) = (value, fits)
            && let Ok(bytes) = value.to_bytes()
            && u32::try_from(self.bytes.len() + bytes.len()).is_ok()
        {
            self.data_type = data_type;
            if bytes.is_empty() {
                self.empty.push(file);
            }
            self.bytes.extend_from_slice(&bytes);
        }
        self.ends.push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
    }

    /// Nothing is kept of a column of which nothing is known.
    fn finish(&mut self) {
        if self.data_type.is_none() {
            *self = Values::default();
        }
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 4 + self.empty.capacity() * 8
    }
}

impl ColumnarManifest {
    fn rows_of(spec_id: i32, decoded: &Decoded) -> ColumnarManifest {
        let mut numbers: HashMap<&Struct, u32> = HashMap::new();
        let mut columnar = ColumnarManifest {
            spec_id,
            files: Vec::with_capacity(decoded.live.len()),
            paths: String::new(),
            partitions: Vec::new(),
            columns: columns(&decoded.live),
            key_metadata: HashMap::new(),
        };
        for (number, live) in decoded.live.iter().enumerate() {
            let file = live.file.as_ref();
            columnar.paths.push_str(file.file_path());
            let next = u32::try_from(columnar.partitions.len()).unwrap_or(u32::MAX);
            let partition = *numbers.entry(file.partition()).or_insert_with(|| {
                columnar.partitions.push(file.partition().clone());
                next
            });
            columnar.key_metadata.extend(file.key_metadata().map(|key| (number, key.to_vec())));
            columnar.files.push(FileRow {
                path_end: columnar.paths.len(),
                size: file.file_size_in_bytes(),
                rows: file.record_count(),
                sequence_number: live.sequence_number,
                file_sequence_number: live.file_sequence_number,
                snapshot_id: live.snapshot_id,
                first_row_id: live.first_row_id,
                sort_order_id: file.sort_order_id(),
                partition,
                format: file.file_format(),
            });
        }
        columnar.paths.shrink_to_fit();
        columnar
    }

    pub fn spec_id(&self) -> i32 {
        self.spec_id
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub fn path(&self, file: usize) -> &str {
        let start = file.checked_sub(1).map_or(0, |before| self.files[before].path_end);
        &self.paths[start..self.files[file].path_end]
    }

    pub fn rows(&self, file: usize) -> u64 {
        self.files[file].rows
    }

    /// The different partitions; [`ColumnarManifest::partition_of`] says which one a file is in.
    pub fn partitions(&self) -> &[Struct] {
        &self.partitions
    }

    pub fn partition_of(&self, file: usize) -> usize {
        usize::try_from(self.files[file].partition).unwrap_or(usize::MAX)
    }

    /// What the files say about a column; nothing when none of them says anything.
    pub fn column(&self, id: i32) -> Option<&FileColumn> {
        self.columns.get(&id)
    }

    /// One file's description with the figures of some columns, and which columns hold NaN of all. Split offsets, counts
    /// of values and the rest that no scan asks for are not in it.
    pub fn file(&self, number: usize, columns: &[i32]) -> Result<LiveFile> {
        let row = &self.files[number];
        let counts = |of: fn(&FileColumn) -> &Counts| -> HashMap<i32, u64> {
            let count = |id: &i32| Some((*id, of(self.columns.get(id)?).get(number)?));
            columns.iter().filter_map(count).collect()
        };
        let bounds = |of: fn(&FileColumn) -> &Values| -> HashMap<i32, Datum> {
            let bound = |id: &i32| Some((*id, of(self.columns.get(id)?).datum(number)?));
            columns.iter().filter_map(bound).collect()
        };
        let nans = self.columns.iter().filter_map(|(id, column)| Some((*id, column.nans.get(number)?)));
        let mut file = DataFileBuilder::default();
        file.content(DataContentType::Data)
            .file_path(self.path(number).to_owned())
            .file_format(row.format)
            .partition(self.partitions[self.partition_of(number)].clone())
            .partition_spec_id(self.spec_id)
            .record_count(row.rows)
            .file_size_in_bytes(row.size)
            .column_sizes(counts(|column| &column.sizes))
            .null_value_counts(counts(|column| &column.nulls))
            .nan_value_counts(nans.collect())
            .lower_bounds(bounds(|column| &column.lower))
            .upper_bounds(bounds(|column| &column.upper))
            .key_metadata(self.key_metadata.get(&number).cloned())
            .first_row_id(row.first_row_id);
        if let Some(order) = row.sort_order_id {
            file.sort_order_id(order);
        }
        let file = file.build().map_err(|error| Error::internal(format!("a kept data file: {error}")))?;
        Ok(LiveFile {
            file: Arc::new(file),
            spec_id: self.spec_id,
            sequence_number: row.sequence_number,
            file_sequence_number: row.file_sequence_number,
            snapshot_id: row.snapshot_id,
            first_row_id: row.first_row_id,
        })
    }

    /// Bytes that it takes in memory.
    fn bytes(&self) -> usize {
        let column = |column: &FileColumn| {
            let values = column.lower.heap_bytes() + column.upper.heap_bytes();
            let counts = [&column.nulls, &column.nans, &column.sizes];
            size_of::<FileColumn>() + values + counts.into_iter().map(Counts::heap_bytes).sum::<usize>()
        };
        let partition = |partition: &Struct| 64 + 48 * partition.fields().len();
        size_of::<ColumnarManifest>()
            + self.files.capacity() * size_of::<FileRow>()
            + self.paths.capacity()
            + self.partitions.iter().map(partition).sum::<usize>()
            + self.columns.values().map(column).sum::<usize>()
            + self.key_metadata.values().map(|key| key.len() + 64).sum::<usize>()
    }
}

/// All columns that some file says something about.
fn columns(live: &[LiveFile]) -> BTreeMap<i32, FileColumn> {
    let mut columns: BTreeMap<i32, FileColumn> = BTreeMap::new();
    for file in live.iter().map(|live| &live.file) {
        let counts = [file.column_sizes(), file.null_value_counts(), file.nan_value_counts()];
        let ids = counts.into_iter().flat_map(HashMap::keys);
        let ids = ids.chain(file.lower_bounds().keys()).chain(file.upper_bounds().keys());
        for id in ids {
            columns.entry(*id).or_default();
        }
    }
    let counted = |id: i32, of: fn(&DataFile) -> &HashMap<i32, u64>| {
        Counts::of(live.iter().map(|live| of(&live.file).get(&id).copied()).collect())
    };
    for (id, column) in &mut columns {
        column.sizes = counted(*id, DataFile::column_sizes);
        column.nulls = counted(*id, DataFile::null_value_counts);
        column.nans = counted(*id, DataFile::nan_value_counts);
        for (number, live) in live.iter().enumerate() {
            column.lower.push(number, live.file.lower_bounds().get(id));
            column.upper.push(number, live.file.upper_bounds().get(id));
        }
        column.lower.finish();
        column.upper.finish();
    }
    columns
}

/// Reads one data manifest of a table, or takes it from the cache.
pub async fn columnar(
    storage: &Storage,
    metadata: &TableMetadata,
    manifest: &ManifestFile,
) -> Result<Arc<ColumnarManifest>> {
    let location = metadata.location();
    let key = format!("columns of {}", manifest_key(storage, location, manifest)?);
    if let Some(columnar) = storage.decoded().get::<ColumnarManifest>(&key) {
        return Ok(columnar);
    }
    let decoded = decode_uncached(storage, location, manifest).await?;
    let columnar = Arc::new(ColumnarManifest::rows_of(manifest.partition_spec_id, &decoded));
    storage.decoded().insert(key, Arc::clone(&columnar), columnar.bytes());
    Ok(columnar)
}

#[cfg(test)]
mod tests {
    use iceberg::spec::Literal;

    use super::*;

    #[test]
    fn counts_are_kept_small() {
        assert!(matches!(Counts::of(vec![Some(0), Some(0)]), Counts::Same(0)));
        assert!(matches!(Counts::of(vec![None, None]), Counts::Unknown));
        let each = Counts::of(vec![Some(0), None, Some(7)]);
        assert!(matches!(each, Counts::Each(_)));
        assert_eq!([each.get(0), each.get(1), each.get(2)], [Some(0), None, Some(7)]);
        let large = Counts::of(vec![Some(u64::from(u32::MAX)), None]);
        assert_eq!([large.get(0), large.get(1)], [Some(u64::from(u32::MAX)), None]);
    }

    fn live(number: i64, text: Option<&str>) -> LiveFile {
        let mut file = DataFileBuilder::default();
        file.content(DataContentType::Data)
            .file_path(format!("file:///t/{number}.parquet"))
            .file_format(DataFileFormat::Parquet)
            .partition(Struct::from_iter([Some(Literal::long(number % 2))]))
            .partition_spec_id(3)
            .record_count(10 + u64::try_from(number).expect("a small number"))
            .file_size_in_bytes(100)
            .column_sizes(HashMap::from([(1, 5), (2, 6)]))
            .null_value_counts(HashMap::from([(1, 0)]))
            .nan_value_counts(HashMap::from([(7, 1)]))
            .lower_bounds(
                [(1, Datum::long(number))]
                    .into_iter()
                    .chain(text.map(|text| (2, Datum::string(text))))
                    .collect(),
            )
            .sort_order_id(1);
        let file = Arc::new(file.build().expect("a description"));
        LiveFile {
            file,
            spec_id: 3,
            sequence_number: number,
            file_sequence_number: number,
            snapshot_id: 9,
            first_row_id: Some(number * 100),
        }
    }

    #[test]
    fn a_file_is_described_as_before_in_the_columns_asked_for() {
        let files = [live(0, Some("")), live(1, None), live(2, Some("long text")), live(3, Some("x"))];
        let columns = columns(&files);
        assert_eq!(columns[&2].lower.datum(0), Some(Datum::string("")), "an empty text is a value");
        assert_eq!(columns[&2].lower.datum(1), None);
        assert_eq!(columns[&2].lower.datum(3), Some(Datum::string("x")));
        let schema = Arc::new(iceberg::spec::Schema::builder().build().expect("no columns"));
        let decoded = Decoded {
            spec: iceberg::spec::PartitionSpec::unpartition_spec(),
            schema,
            live: files.to_vec(),
            gone: Vec::new(),
        };
        let columnar = ColumnarManifest::rows_of(3, &decoded);
        assert_eq!(columnar.partitions().len(), 2);
        for (number, expect) in files.iter().enumerate() {
            let got = columnar.file(number, &[1, 2]).expect("a description");
            assert_eq!(got.file.file_path(), expect.file.file_path());
            assert_eq!(got.file.partition(), expect.file.partition());
            assert_eq!(got.file.lower_bounds(), expect.file.lower_bounds());
            assert_eq!(got.file.column_sizes(), expect.file.column_sizes());
            assert_eq!(got.file.nan_value_counts(), expect.file.nan_value_counts());
            assert_eq!(got.file.record_count(), expect.file.record_count());
            assert_eq!(got.sequence_number, expect.sequence_number);
            assert_eq!(got.first_row_id, expect.first_row_id);
            let narrow = columnar.file(number, &[1]).expect("a description");
            assert!(!narrow.file.lower_bounds().contains_key(&2));
        }
    }
}
