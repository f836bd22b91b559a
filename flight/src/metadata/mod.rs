//! What there is, in the tables of the Flight SQL specification: their columns have exactly its names and types. Listings
//! are queries of the system tables, so a role sees here what it sees there.

mod keys;
mod sql_info;
mod sql_info_texts;
mod tables;
mod types;

use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::Command;
use futures::{FutureExt, StreamExt};
use tarn_sql::{Error, Rows, Session, TransactionStatus};
use tokio_util::sync::CancellationToken;

use crate::encode::{Sending, conform};
use crate::guest::Visit;
use crate::lane::Lane;
use crate::query::{Taken, one, take};

/// The columns of what a command asks for; None if it is no command of metadata.
pub fn schema(command: &Command) -> Result<Option<SchemaRef>, Error> {
    Ok(Some(match command {
        Command::CommandGetCatalogs(_) => catalogs_schema(),
        Command::CommandGetDbSchemas(_) => tables::schemas_schema(),
        Command::CommandGetTables(command) => tables::tables_schema(command.include_schema),
        Command::CommandGetTableTypes(_) => tables::types_schema(),
        Command::CommandGetPrimaryKeys(_) => keys::primary_keys_schema(),
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => keys::foreign_keys_schema(),
        Command::CommandGetSqlInfo(_) => sql_info::schema(),
        Command::CommandGetXdbcTypeInfo(_) => types::schema()?,
        _ => return Ok(None),
    }))
}

/// Begins to send what a command asks for; None if it is no command of metadata.
pub async fn fetch(visit: Visit, command: Command) -> Result<Option<Sending>, Error> {
    let Some(schema) = schema(&command)? else { return Ok(None) };
    let rows = match command {
        Command::CommandGetCatalogs(_) => catalogs(&visit, &schema).await?,
        Command::CommandGetDbSchemas(command) => tables::schemas(&visit, command).await?,
        Command::CommandGetTables(command) => tables::tables(&visit, command).await?,
        Command::CommandGetTableTypes(_) => ready(tables::types()?),
        Command::CommandGetSqlInfo(command) => ready(sql_info::rows(command)?),
        Command::CommandGetXdbcTypeInfo(command) => ready(types::rows(command)?),
        // Tables have no keys that anybody keeps.
        _ => futures::stream::empty().boxed(),
    };
    let wire = Arc::clone(&schema);
    let rows = rows.map(move |batch| conform(&batch?, &wire)).boxed();
    Ok(Some(Sending { visit, fails: None, rows, schema, cancel: CancellationToken::new(), watch: None }))
}

fn catalogs_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("catalog_name", DataType::Utf8, false)]))
}

/// The database, of which there is one.
async fn catalogs(visit: &Visit, schema: &SchemaRef) -> Result<Rows, Error> {
    let database = visit.main().run(|session| async move { Ok(session.database()) }.boxed()).await?;
    let names: ArrayRef = Arc::new(StringArray::from(vec![database]));
    let batch = RecordBatch::try_new(Arc::clone(schema), vec![names]);
    Ok(ready(batch.map_err(|error| Error::internal(error.to_string()))?))
}

/// Rows that are all there.
fn ready(batch: RecordBatch) -> Rows {
    futures::stream::iter([Ok(batch)]).boxed()
}

/// A lane to look from: it sees what the session's transaction has made. In one that has failed nothing can be looked at.
async fn lane(visit: &Visit) -> Result<Arc<Lane>, Error> {
    let status = visit.main().run(|session| async move { Ok(session.status()) }.boxed()).await?;
    match status {
        TransactionStatus::Failed => visit.free_lane(),
        TransactionStatus::Idle | TransactionStatus::InTransaction => Ok(Arc::clone(visit.main())),
    }
}

/// Asks the system tables. The parameters are texts.
async fn ask(session: &mut Session, query: &str, parameters: &[&str]) -> Result<Rows, Error> {
    let parsed = one(session.parse(query)?)?;
    let types = vec![Some(DataType::Utf8); parameters.len()];
    let statement = session.prepare(parsed, &types).await?;
    let value = |text: &&str| Arc::new(StringArray::from(vec![*text])) as ArrayRef;
    let values: Vec<ArrayRef> = parameters.iter().map(value).collect();
    match take(session.execute(&statement, &values).await?).await? {
        Taken::Rows(_, rows) => Ok(rows),
        Taken::Done(_) => Err(Error::internal("a listing gave no rows")),
    }
}
