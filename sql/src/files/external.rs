//! An external table as a table to read: what the catalog says of it, and the files that are there now. It was checked
//! when it was registered that its location may be read; the guard looks at every file again. Next: `scan.rs`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::catalog::TableProvider;
use datafusion::execution::SessionState;
use tarn_catalog::object::{ExternalTable, FileFormat};
use tarn_catalog::storage::Storage;

use super::csv::{CsvReading, Dialect, Ragged};
use super::listing::{self, Listing, Matcher};
use super::scan::{FilesTable, FolderColumns, Reading};
use super::source::TextReading;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::table::{arrow_schema, hidden, without_column_ids};

/// The files of an external table at this moment, to be read; `shown` are the hidden columns that follow its own.
pub async fn external_table(
    table: &ExternalTable,
    shown: &[&'static str],
    storage: &Arc<Storage>,
    _state: &SessionState,
) -> Result<Arc<dyn TableProvider>> {
    let schema = without_column_ids(arrow_schema(&table.schema)?.as_ref());
    let hidden = shown.iter().map(|name| Arc::new(Field::new(*name, DataType::Utf8, true)));
    let fields: Vec<FieldRef> = schema.fields().iter().cloned().chain(hidden).collect();
    let schema = Arc::new(Schema::new(fields));
    let listing = files_of(table, storage).await?;
    let of_folders = FolderColumns { dates: &table.date_columns, file: shown.contains(&hidden::FILE) };
    Ok(Arc::new(FilesTable::new(schema, reading(&table.format)?, listing, storage, of_folders)?))
}

/// The files of an external table: never empty ones, which hold no rows in any format.
pub async fn files_of(table: &ExternalTable, storage: &Arc<Storage>) -> Result<Listing> {
    let location = storage.guard().external_location(&table.location)?;
    let mut listing = match location.pattern() {
        None => listing::list(storage, &location).await?,
        // The guard takes a bracket in a name for a pattern; a stored location means what it says.
        Some(_) => listing::list_literally(storage, &location, &table.location).await?,
    };
    if listing.folder {
        let matcher = table.pattern.as_deref().map(Matcher::new).transpose()?;
        let matches = |name: &str| matcher.as_ref().is_none_or(|matcher| matcher.matches(name));
        listing.files.retain(|file| listing::belongs(file) && matches(file.name()) && file.meta.size > 0);
        if listing.files.is_empty() {
            let pattern = table.pattern.as_deref().unwrap_or("*");
            let folder = listing::shown(&listing.location);
            return Err(Error::new(
                SqlState::UNDEFINED_FILE,
                format!("folder \"{folder}\" has no file that matches \"{pattern}\" any more"),
            )
            .with_hint("Put the files back, or drop the table."));
        }
    }
    Ok(listing)
}

/// How the files of a format are read.
pub fn reading(format: &FileFormat) -> Result<Reading> {
    let ascii = |char: char| {
        u8::try_from(char).ok().filter(u8::is_ascii).ok_or_else(|| {
            Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("'{char}' is not an ASCII character"))
        })
    };
    Ok(match format {
        FileFormat::Parquet => Reading::Parquet,
        FileFormat::Csv(csv) => Reading::Text(TextReading::Csv(CsvReading {
            dialect: Dialect {
                delimiter: ascii(csv.delimiter)?,
                quote: if csv.quote == '\0' { None } else { Some(ascii(csv.quote)?) },
                escape: csv.escape.map(ascii).transpose()?,
            },
            header: csv.header,
            null: None,
            ragged: Ragged::Rescue,
            dates: csv.dates.clone(),
        })),
        FileFormat::Json(json) => Reading::Text(TextReading::Json { keyed: json.keyed }),
    })
}
