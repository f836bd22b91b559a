//! `COPY`: the write of a `COPY FROM` begins at once, as a task of its own that waits for the rows; a `COPY TO` is what it
//! copies, with its rows marked to be written as the options say. A file is opened here; its bytes are the door's, but for
//! Parquet, which is written here.

use std::sync::Arc;

use super::write;
use crate::copy::{CopyIn, CopyOptions, FileBytes, FileSink, write_parquet};
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::plan::{Context, CopyFile, CopyPlan, check_columns};

/// Begins a write whose rows are still to come. It goes on without us: what has been committed is told to whoever
/// waits, and what has not is taken back when nobody sends rows any more.
pub(super) async fn copy_from(plan: CopyPlan, context: &Context) -> Result<Outcome> {
    let CopyPlan { insert, columns, options, sender, file } = plan;
    let relation = insert.target.found.relation.name.clone();
    let source = match file {
        Some(file) => Some(context.stop.or(FileBytes::open(context.catalog().storage(), &file)).await?),
        None => None,
    };
    let context = context.clone();
    let write = tokio::spawn(async move { write::insert_rows(insert, &context).await });
    Ok(Outcome::CopyIn(Box::new(CopyIn::new(columns, options, relation, sender, write, source))))
}

/// The rows of a statement, to be copied to the client or into a file.
pub(super) async fn copy_to(
    copied: Outcome,
    options: CopyOptions,
    file: Option<CopyFile>,
    context: &Context,
) -> Result<Outcome> {
    let Outcome::Rows { schema, rows, tag: _ } = copied else {
        return Err(Error::internal("a statement that is copied gave no rows"));
    };
    let Some(CopyFile { place, parquet }) = file else {
        check_columns(&schema, &options)?;
        return Ok(Outcome::CopyOut { schema, rows, options, file: None });
    };
    if !parquet {
        check_columns(&schema, &options)?;
    }
    let sink = FileSink::create(Arc::clone(context.catalog().storage()), place)?;
    if !parquet {
        return Ok(Outcome::CopyOut { schema, rows, options, file: Some(sink) });
    }
    let rows = context.stop.clone().guard(rows, context.scope.reader.clone());
    let count = write_parquet(&schema, rows, sink).await?;
    Ok(Outcome::done(format!("COPY {count}")))
}
