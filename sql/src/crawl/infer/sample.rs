//! Many files looked at side by side, and one schema made of what was found in them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::runtime::SpawnedTask;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;
use tarn_catalog::object::{CsvFormat, FileFormat};

use super::kinds::{TextColumn, date_order, with_date_order};
use super::{CsvHints, Probe, SampleLimits, finished, merged, probe};
use crate::error::{Error, Result};
use crate::files::listing::{FoundFile, Listing};
use crate::files::name::{self, Format};
use crate::files::problem::Problem;
use crate::sqlstate::SqlState;

/// Files looked at side by side.
const FILES_AT_ONCE: usize = 8;
/// When this much of the files of one location was looked at, only the beginnings of the others are, bytes.
const LOCATION_BYTES: u64 = 1 << 30;
/// What is looked at of a file then, bytes.
const BEGINNING_BYTES: u64 = 1 << 20;
/// Files whose column names have less than this part in common are different tables.
const LIKENESS_MIN: f64 = 0.5;

/// What was found in the files of one table.
#[derive(Debug, Clone)]
pub struct Sampled {
    pub format: FileFormat,
    /// In the types that tables have; the columns of the folders' names last.
    pub schema: Schema,
}

/// Looks at all files of a listing and gives them one schema; a file that cannot be read, or whose columns cannot be
/// brought together with the others', is an error that names it.
pub async fn sample(
    listing: &Listing,
    format: Format,
    hints: &CsvHints,
    limits: &SampleLimits,
) -> Result<Sampled> {
    let probes = probe_all(&listing.store, &listing.files, Some(format), hints, limits).await?;
    let mut found: Option<(FileFormat, Schema)> = None;
    for (file, probe) in listing.files.iter().zip(probes) {
        let probe = probe.map_err(|problem| problem.of_file(file.shown()))?;
        found = Some(match found {
            None => (probe.format, probe.schema),
            Some((format, schema)) => {
                let misfit = |reason: &str| Problem::malformed(reason).of_file(file.shown());
                if !same_reading(&format, &probe.format) {
                    return Err(misfit("it has another delimiter, header or shape than the files before it")
                        .with_hint("Say with options how the files are read, or read them one by one."));
                }
                let text_holds_all = !matches!(format, FileFormat::Parquet);
                let merged = merged(&schema, &probe.schema, text_holds_all).ok_or_else(|| {
                    misfit("its columns have other types than those of the files before it")
                })?;
                (format, merged)
            }
        });
    }
    let (format, schema) = found.ok_or_else(|| Error::new(SqlState::UNDEFINED_FILE, "there are no files"))?;
    let schema = merged_with_folders(&schema, &listing.files);
    Ok(Sampled { format: with_date_orders(format, &schema), schema: finished(&schema) })
}

/// Looks at files side by side, each result in the place of its file. Delimited files that alone would be read in
/// another way than most are looked at again in that way.
pub async fn probe_all(
    store: &Arc<dyn ObjectStore>,
    files: &[FoundFile],
    format: Option<Format>,
    hints: &CsvHints,
    limits: &SampleLimits,
) -> Result<Vec<std::result::Result<Probe, Problem>>> {
    let mut bytes = 0;
    let work = files.iter().map(|file| {
        let left = if bytes > LOCATION_BYTES { BEGINNING_BYTES } else { limits.bytes };
        bytes += file.meta.size.min(limits.bytes);
        (file.clone(), SampleLimits { bytes: limits.bytes.min(left), rows: limits.rows })
    });
    let mut probes: Vec<_> = futures::stream::iter(work.collect::<Vec<_>>())
        .map(|(file, limits)| spawn_probe(Arc::clone(store), file, format, hints.clone(), limits))
        .buffered(FILES_AT_ONCE)
        .try_collect()
        .await?;
    if hints.header.is_none() {
        for series in series(files) {
            agree_on_header(store, files, &series, &mut probes, format, hints, limits).await;
        }
    }
    Ok(probes)
}

/// The places of files that are parts of one whole by their names: they lie in one folder, and differ in numbers only.
fn series(files: &[FoundFile]) -> Vec<Vec<usize>> {
    let mut series: BTreeMap<(&str, String), Vec<usize>> = BTreeMap::new();
    for (place, file) in files.iter().enumerate() {
        let folder = file.relative.rsplit_once('/').map_or("", |(folder, _)| folder);
        series.entry((folder, name::numbers_as_pattern(file.name()))).or_default().push(place);
    }
    series.into_values().filter(|places| places.len() > 1).collect()
}

/// Looks again at the files of a series that by themselves would be read with a header, or without one, unlike the
/// one of which it is known best, if that makes them alike.
async fn agree_on_header(
    store: &Arc<dyn ObjectStore>,
    files: &[FoundFile],
    series: &[usize],
    probes: &mut [std::result::Result<Probe, Problem>],
    format: Option<Format>,
    hints: &CsvHints,
    limits: &SampleLimits,
) {
    let known = series.iter().filter_map(|place| probes[*place].as_ref().ok());
    let Some(best) = known.max_by_key(|probe| (probe.sure, probe.rows)) else { return };
    let (FileFormat::Csv(usual), schema) = (best.format.clone(), best.schema.clone()) else { return };
    for place in series {
        let Ok(Probe { format: FileFormat::Csv(csv), sure: false, .. }) = &probes[*place] else { continue };
        if csv.delimiter == usual.delimiter && csv.header != usual.header {
            let hints = CsvHints { header: Some(usual.header), ..hints.clone() };
            let again = probe(store, &files[*place], format, &hints, limits).await;
            if again.as_ref().is_ok_and(|again| alike(&again.schema, &schema, !usual.header)) {
                probes[*place] = again;
            }
        }
    }
}

/// On a task of its own, so that several processors take part; it stops when nobody waits for it any more.
async fn spawn_probe(
    store: Arc<dyn ObjectStore>,
    file: FoundFile,
    format: Option<Format>,
    hints: CsvHints,
    limits: SampleLimits,
) -> Result<std::result::Result<Probe, Problem>> {
    let task = SpawnedTask::spawn(async move { probe(&store, &file, format, &hints, &limits).await });
    task.join().await.map_err(|error| Error::internal(format!("looking at a file failed: {error}")))
}

/// Whether files can be read in the same way. An array and objects on lines can, and so can delimited files whose days
/// are written in different orders: such columns are text.
pub fn same_reading(one: &FileFormat, other: &FileFormat) -> bool {
    match (one, other) {
        (FileFormat::Json(one), FileFormat::Json(other)) => one.keyed == other.keyed,
        (FileFormat::Csv(one), FileFormat::Csv(other)) => {
            CsvFormat { dates: BTreeMap::new(), ..one.clone() }
                == CsvFormat { dates: BTreeMap::new(), ..other.clone() }
        }
        (one, other) => one == other,
    }
}

/// The format of a table with the orders in which the days of its columns are written.
pub fn with_date_orders(format: FileFormat, schema: &Schema) -> FileFormat {
    let FileFormat::Csv(csv) = format else { return format };
    let fields = schema.fields().iter();
    let dates = fields.filter_map(|field| Some((field.name().clone(), date_order(field)?))).collect();
    FileFormat::Csv(CsvFormat { dates, ..csv })
}

/// The columns of a table with the orders in which its format says that their days are written.
pub fn with_known_orders(schema: Schema, format: &FileFormat) -> Schema {
    let FileFormat::Csv(csv) = format else { return schema };
    let field = |field: &Arc<Field>| match csv.dates.get(field.name()) {
        Some(order) => Arc::new(with_date_order(field.as_ref().clone(), *order)),
        None => Arc::clone(field),
    };
    Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>())
}

/// Whether files with these columns may be one table: they share most of their names, and no nested column of one
/// is a plain one of the other. Columns without names of their own must be as many and of the same types.
pub fn alike(one: &Schema, other: &Schema, positional: bool) -> bool {
    if positional {
        let same = |(one, other): (&Arc<Field>, &Arc<Field>)| {
            one.data_type() == other.data_type()
                || matches!((one.data_type(), other.data_type()), (DataType::Null, _) | (_, DataType::Null))
        };
        return one.fields().len() == other.fields().len()
            && one.fields().iter().zip(other.fields()).all(same);
    }
    let names =
        |schema: &Schema| -> HashSet<String> { schema.fields().iter().map(|f| f.name().clone()).collect() };
    let (one_names, other_names) = (names(one), names(other));
    let shared = one_names.intersection(&other_names).count() as f64;
    let all = one_names.union(&other_names).count() as f64;
    all == 0.0 || (shared / all >= LIKENESS_MIN && merged(one, other, false).is_some())
}

/// The columns that `key=value` folders above the files make, with the types their values have.
fn folder_fields(files: &[FoundFile]) -> Vec<Field> {
    let mut columns: Vec<TextColumn> = Vec::new();
    for file in files {
        for (key, value) in file.folders().filter_map(name::partition) {
            let column = match columns.iter_mut().position(|column| column.name == key) {
                Some(position) => &mut columns[position],
                None => {
                    columns.push(TextColumn::new(key.to_owned()));
                    let last = columns.len() - 1;
                    &mut columns[last]
                }
            };
            column.observe(value.as_deref().unwrap_or_default(), 1);
        }
    }
    let field = |column: &TextColumn| {
        let data_type = match column.exact_type() {
            // Only what a folder's name is compared with in queries; a fraction or a time in a name stays text.
            kept @ (DataType::Int64 | DataType::Date32) => kept,
            _ => DataType::Utf8,
        };
        Field::new(&column.name, data_type, true)
    };
    columns.iter().map(field).collect()
}

/// The columns that folders named for dates make, where every file lies in folders for the same parts of a date and no
/// file has a column of such a name.
pub fn date_fields(schema: &Schema, files: &[FoundFile]) -> Vec<Field> {
    let parts = |file: &FoundFile| name::date_values(file.folders());
    let Some(names) =
        files.first().map(|file| parts(file).into_iter().map(|(name, _)| name).collect::<Vec<_>>())
    else {
        return Vec::new();
    };
    let has = |file: &FoundFile| {
        let values = parts(file);
        let fits =
            |(name, value): &(&str, String)| *name != "date" || crate::files::values::date(value).is_some();
        values.iter().all(fits) && values.iter().map(|(name, _)| *name).eq(names.iter().copied())
    };
    let taken = names.iter().any(|name| schema.field_with_name(name).is_ok());
    if taken || !files.iter().all(has) {
        return Vec::new();
    }
    let data_type = |name: &str| if name == "date" { DataType::Date32 } else { DataType::Int64 };
    names.iter().map(|name| Field::new(*name, data_type(name), true)).collect()
}

/// The columns of the files and of their folders; a folder's value counts where both have a column.
pub fn merged_with_folders(schema: &Schema, files: &[FoundFile]) -> Schema {
    let folders = folder_fields(files);
    let of_files = schema.fields().iter().filter(|field| folders.iter().all(|f| f.name() != field.name()));
    let fields = of_files.cloned().chain(folders.iter().cloned().map(Arc::new));
    Schema::new(fields.collect::<Vec<_>>())
}
