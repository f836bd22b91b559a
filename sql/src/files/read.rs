//! `read_parquet`, `read_csv` and `read_json`: the files of a location as a table, its columns found in the files as
//! the crawl finds them. It must never register anything.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::catalog::TableProvider;
use datafusion::execution::SessionState;
use tarn_catalog::access::Principal;
use tarn_catalog::storage::Storage;

use super::external;
use super::listing::{self, Listing};
use super::name::{self, Promise};
use super::options::{ReadFunction, ReadOptions, read_options};
use super::scan::{FilesTable, FolderColumns, Reading};
use super::source::TextReading;
use crate::crawl::infer::{self, Sampled};
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::statement::Argument;
use crate::table::{arrow_schema, iceberg_schema, without_column_ids};

/// The files that a call of a file function names, to be read.
pub async fn read_files(
    function: ReadFunction,
    arguments: &[Argument],
    principal: &Principal,
    storage: &Arc<Storage>,
    _state: &SessionState,
) -> Result<Arc<dyn TableProvider>> {
    let options = read_options(function, arguments)?;
    let location = storage.guard().user_path(principal, &options.location)?;
    let mut listing = listing::list(storage, &location).await?;
    choose(&mut listing, function, location.pattern().is_none())?;
    let sampled = infer::sample(&listing, function.format(), &options.csv, &options.limits).await?;
    let schema = columns(&sampled, &options)?;
    let reading = match external::reading(&sampled.format)? {
        Reading::Text(TextReading::Csv(mut csv)) => {
            csv.null = options.csv.null.clone();
            csv.ragged = options.csv.ragged.unwrap_or(csv.ragged);
            Reading::Text(TextReading::Csv(csv))
        }
        other => other,
    };
    Ok(Arc::new(FilesTable::new(schema, reading, listing, storage, FolderColumns::default())?))
}

/// Leaves the files to read: of a folder those whose names promise the format, of a pattern all that match.
fn choose(listing: &mut Listing, function: ReadFunction, whole_folder: bool) -> Result<()> {
    if !listing.folder {
        return Ok(());
    }
    let promised = |file: &listing::FoundFile| match name::promise(file.name()) {
        Promise::Format(format) => format == function.format(),
        Promise::Nothing => true,
        Promise::Foreign => false,
    };
    listing.files.retain(|file| {
        let hidden = name::hidden(file.name()) || file.folders().any(name::hidden);
        !hidden && file.meta.size > 0 && (!whole_folder || promised(file))
    });
    if listing.files.is_empty() {
        let text = format!("no file for {} in \"{}\"", function.name(), listing::shown(&listing.location));
        return Err(Error::new(SqlState::UNDEFINED_FILE, text).with_hint(
            "Empty and hidden files do not count, and of a folder only files with the extension of the format. \
             Check the location, or name the files with a pattern such as '/data/*.csv'.",
        ));
    }
    Ok(())
}

/// The columns in the types that tables have.
fn columns(sampled: &Sampled, options: &ReadOptions) -> Result<Arc<Schema>> {
    let fields = sampled.schema.fields().iter().map(|field| -> FieldRef {
        if options.all_text {
            Arc::new(Field::new(field.name(), DataType::Utf8, true))
        } else {
            Arc::clone(field)
        }
    });
    let schema = iceberg_schema(&Schema::new(fields.collect::<Vec<_>>()))?;
    Ok(without_column_ids(arrow_schema(&schema)?.as_ref()))
}
