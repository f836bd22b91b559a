//! Prepared statements, the main path: drivers prepare whatever they execute. A statement keeps the values that were last
//! bound to it; a result that is planned takes them along, so that binding again does not change it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::{ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult};
use bytes::Bytes;
use futures::FutureExt;
use futures::stream::{BoxStream, StreamExt};
use parking_lot::Mutex;
use tarn_sql::{Error, Prepared, SqlState};

use crate::encode::{plain_type, wire_schema};
use crate::guest::Visit;
use crate::info::{Planned, schema_bytes};
use crate::lane::Lane;
use crate::parameters::{self, BOUND_ROWS_MAX};
use crate::query::{self, Values};

/// A prepared statement of a session.
pub struct Statement {
    lane: Arc<Lane>,
    text: String,
    /// As it was described first.
    described: Prepared,
    bound: Mutex<Option<Bound>>,
}

/// What was bound last.
#[derive(Clone)]
struct Bound {
    /// Described again, where the values say what the statement leaves open.
    statement: Prepared,
    values: Vec<Values>,
}

impl Statement {
    pub fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }

    /// The statement and the values that it is executed with.
    ///
    /// # Errors
    ///
    /// 08P01 if it has parameters and none were bound.
    pub fn ready(&self) -> Result<(Prepared, Vec<Values>), Error> {
        if let Some(bound) = self.bound.lock().clone() {
            return Ok((bound.statement, bound.values));
        }
        let wanted = self.described.parameters().len();
        if wanted > 0 {
            let message = format!("bind message supplies 0 parameters, but the statement requires {wanted}");
            return Err(Error::new(SqlState::PROTOCOL_VIOLATION, message)
                .with_hint("Bind a record batch with one column for each parameter."));
        }
        Ok((self.described.clone(), vec![Vec::new()]))
    }

    /// The statement for values of these types. A parameter that nothing in the statement gives a type is text, unless the
    /// client sends something else and the statement can be read so.
    pub async fn for_types(&self, schema: &Schema) -> Result<Prepared, Error> {
        let known = self.described.parameters();
        let sent = schema.fields().iter().map(|field| plain_type(field.data_type(), false));
        let open = |(known, sent): (&DataType, DataType)| {
            let is_text = |data_type: &DataType| {
                matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
            };
            let other = is_text(known) && !is_text(&sent) && sent != DataType::Null;
            other.then_some(sent)
        };
        let types: Vec<Option<DataType>> = known.iter().zip(sent).map(open).collect();
        if types.len() != known.len() || types.iter().all(Option::is_none) {
            return Ok(self.described.clone());
        }
        let (text, described) = (self.text.clone(), self.described.clone());
        let again = self.lane.run(move |session| {
            async move {
                let parsed = query::one(session.parse(&text)?)?;
                // If it is text after all, the values are written as text.
                Ok(session.prepare(parsed, &types).await.unwrap_or(described))
            }
            .boxed()
        });
        again.await
    }
}

/// Prepares a statement, and tells its parameters and columns.
pub async fn create(
    visit: &Visit,
    request: ActionCreatePreparedStatementRequest,
) -> Result<ActionCreatePreparedStatementResult, Error> {
    let lane = visit.lane(request.transaction_id.as_ref())?;
    let described = query::describe(&lane, request.query.clone()).await?;
    let columns = described.columns().map(|columns| wire_schema(columns, visit.keeps_dictionaries()));
    let bytes = |schema: &Schema| match schema.fields().is_empty() {
        true => Ok(Bytes::new()),
        false => schema_bytes(schema),
    };
    let dataset_schema = columns.as_deref().map_or_else(|| Ok(Bytes::new()), bytes)?;
    let parameter_schema = bytes(&parameters::schema(described.parameters()))?;
    let statement = Statement { lane, text: request.query, described, bound: Mutex::default() };
    let prepared_statement_handle = visit.keep_statement(statement)?;
    Ok(ActionCreatePreparedStatementResult { prepared_statement_handle, dataset_schema, parameter_schema })
}

/// Binds values to a statement, for the next results that are planned of it.
pub async fn bind(
    visit: &Visit,
    handle: &[u8],
    mut batches: BoxStream<'static, Result<RecordBatch, Error>>,
) -> Result<(), Error> {
    let statement = visit.statement(handle)?;
    let mut bound: Option<Bound> = None;
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        let bound = match &mut bound {
            Some(bound) => bound,
            none => {
                let statement = statement.for_types(&batch.schema()).await?;
                none.insert(Bound { statement, values: Vec::new() })
            }
        };
        bound.values.extend(parameters::rows(&batch, bound.statement.parameters())?);
        if bound.values.len() > BOUND_ROWS_MAX {
            let message = format!("at most {BOUND_ROWS_MAX} rows of parameters can be bound to a query");
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
                .with_hint("Ingest the rows into a table, and join with it."));
        }
    }
    *statement.bound.lock() = bound;
    Ok(())
}

/// The columns of a statement.
pub fn schema(visit: &Visit, handle: &[u8]) -> Result<SchemaRef, Error> {
    let statement = visit.statement(handle)?;
    let bound = statement.bound.lock();
    let described = bound.as_ref().map_or(&statement.described, |bound| &bound.statement);
    Ok(query::announced(visit, described))
}

/// Plans the execution of a statement with what is bound to it.
pub async fn plan(visit: &Visit, handle: &[u8]) -> Result<Planned, Error> {
    let statement = visit.statement(handle)?;
    let (described, values) = statement.ready()?;
    query::hold(visit, Arc::clone(&statement.lane), described, values).await
}
