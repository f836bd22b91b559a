//! The calls of Flight, one method each: who calls, what is asked, and where the answer comes from. A call without a
//! session gets no further than its first line.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::{Command, DoPutPreparedStatementResult, DoPutUpdateResult};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use tarn_sql::{Error, SqlState};
use tonic::{Request, Response, Status, Streaming};

use crate::command::{of_descriptor, read, unsupported};
use crate::encode::error_of;
use crate::guest::Visit;
use crate::guests::Guests;
use crate::info::{Planned, expiration, flight_info, schema_result};
use crate::ingest::{Batches, ingest};
use crate::login::{Entry, enter, shake_hands};
use crate::status::{status, violation};
use crate::{action, metadata, prepared, query, update};

/// What a call gives back one after the other.
type Answers<T> = BoxStream<'static, Result<T, Status>>;

/// The service of one door.
pub struct Service {
    guests: Arc<Guests>,
}

impl Service {
    pub fn new(guests: Arc<Guests>) -> Service {
        Service { guests }
    }

    async fn enter<T>(&self, request: &Request<T>) -> Result<Entry, Status> {
        let entered = enter(&self.guests, request.metadata(), request.extensions()).await;
        entered.map_err(|error| status(&error))
    }
}

#[tonic::async_trait]
impl FlightService for Service {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;
    type DoExchangeStream = Answers<FlightData>;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let (metadata, extensions, mut messages) = request.into_parts();
        // With credentials in the header there may be no message.
        let first = messages.message().await?.unwrap_or_default();
        let shaken = shake_hands(&self.guests, &metadata, &extensions, &first.payload).await;
        let (entry, token) = shaken.map_err(|error| status(&error))?;
        let protocol_version = first.protocol_version;
        let answer = HandshakeResponse { protocol_version, payload: token.into() };
        Ok(entry.respond(one_answer(answer)))
    }

    async fn list_flights(
        &self,
        request: Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        self.enter(&request).await?;
        let error = Error::unsupported("ListFlights").with_hint("Ask for the tables (CommandGetTables).");
        Err(status(&error))
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let entry = self.enter(&request).await?;
        let info = plan(&entry.visit, request.into_inner()).await.map_err(|error| status(&error))?;
        Ok(entry.respond(info))
    }

    /// A plan is made at once, so there is nothing to poll for again.
    async fn poll_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        let entry = self.enter(&request).await?;
        let info = plan(&entry.visit, request.into_inner()).await.map_err(|error| status(&error))?;
        let expiration_time = Some(expiration(&entry.visit));
        let answer =
            PollInfo { info: Some(info), flight_descriptor: None, progress: Some(1.0), expiration_time };
        Ok(entry.respond(answer))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let entry = self.enter(&request).await?;
        let described = describe(&entry.visit, request.get_ref()).await;
        let schema = described.and_then(|schema| schema_result(&schema)).map_err(|error| status(&error))?;
        Ok(entry.respond(schema))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let entry = self.enter(&request).await?;
        let fetched = fetch(entry.visit.visit(), &request.get_ref().ticket).await;
        let sending = fetched.map_err(|error| status(&error))?;
        Ok(entry.respond(sending.frames()))
    }

    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        let entry = self.enter(&request).await?;
        let put = put(&entry.visit, request.into_inner()).await.map_err(|error| status(&error))?;
        Ok(entry.respond(one_answer(PutResult { app_metadata: put.into() })))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let entry = self.enter(&request).await?;
        let acted = action::act(&self.guests, &entry.visit, request.get_ref()).await;
        let body = acted.map_err(|error| status(&error))?;
        let answers = body.map(|body| Ok(arrow_flight::Result { body }));
        Ok(entry.respond(futures::stream::iter(answers).boxed()))
    }

    async fn list_actions(
        &self,
        request: Request<Empty>,
    ) -> Result<Response<Self::ListActionsStream>, Status> {
        let entry = self.enter(&request).await?;
        Ok(entry.respond(futures::stream::iter(action::list().into_iter().map(Ok)).boxed()))
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        self.enter(&request).await?;
        Err(status(&Error::unsupported("DoExchange")))
    }
}

fn one_answer<T: Send + 'static>(answer: T) -> Answers<T> {
    futures::stream::iter([Ok(answer)]).boxed()
}

/// Plans what a descriptor asks for.
async fn plan(visit: &Visit, descriptor: FlightDescriptor) -> Result<FlightInfo, Error> {
    let command = of_descriptor(&descriptor)?;
    let planned = match command {
        Command::CommandStatementQuery(command) => query::plan(visit, command).await?,
        Command::CommandPreparedStatementQuery(command) => {
            prepared::plan(visit, &command.prepared_statement_handle).await?
        }
        other => {
            let schema = metadata::schema(&other)?.ok_or_else(|| unsupported(&other))?;
            // The command is its own ticket: whoever may ask may fetch.
            Planned { schema, ticket: descriptor.cmd.clone(), records: -1, expires: false }
        }
    };
    flight_info(visit, descriptor, &planned)
}

async fn describe(visit: &Visit, descriptor: &FlightDescriptor) -> Result<SchemaRef, Error> {
    match of_descriptor(descriptor)? {
        Command::CommandStatementQuery(command) => query::schema(visit, command).await,
        Command::CommandPreparedStatementQuery(command) => {
            prepared::schema(visit, &command.prepared_statement_handle)
        }
        other => metadata::schema(&other)?.ok_or_else(|| unsupported(&other)),
    }
}

async fn fetch(visit: Visit, ticket: &[u8]) -> Result<crate::encode::Sending, Error> {
    match read(ticket)? {
        Command::TicketStatementQuery(ticket) => query::fetch(visit, &ticket.statement_handle).await,
        other => {
            let problem = unsupported(&other);
            metadata::fetch(visit, other).await?.ok_or(problem)
        }
    }
}

/// Takes what a client puts, and gives the message of the answer.
async fn put(visit: &Visit, mut messages: Streaming<FlightData>) -> Result<Vec<u8>, Error> {
    let first = messages.message().await.map_err(|status| broken_off(&status))?;
    let first = first.ok_or_else(|| violation("nothing was put"))?;
    let descriptor = first.flight_descriptor.as_ref();
    let command = of_descriptor(descriptor.ok_or_else(|| violation("the first message has no descriptor"))?)?;
    let count = match command {
        Command::CommandStatementUpdate(command) => update::run(visit, command).await?,
        Command::CommandPreparedStatementUpdate(command) => {
            let batches = batches(first, messages);
            update::run_prepared(visit, &command.prepared_statement_handle, batches.boxed()).await?
        }
        Command::CommandStatementIngest(command) => {
            let (schema, batches) = with_schema(batches(first, messages)).await?;
            ingest(visit, command, schema, batches).await?
        }
        Command::CommandPreparedStatementQuery(command) => {
            let handle = command.prepared_statement_handle;
            prepared::bind(visit, &handle, batches(first, messages).boxed()).await?;
            let result = DoPutPreparedStatementResult { prepared_statement_handle: Some(handle) };
            return Ok(result.encode_to_vec());
        }
        other => return Err(unsupported(&other)),
    };
    Ok(update_result(count))
}

/// The message about an update. What is zero may be left out of a message, which would then be empty, and clients of Arrow
/// C++ get no empty one; so it is written out (protocol buffers, "Field presence").
fn update_result(count: i64) -> Vec<u8> {
    match count {
        0 => vec![8, 0],
        count => DoPutUpdateResult { record_count: count }.encode_to_vec(),
    }
}

/// The record batches of a call. A message may hold nothing but the descriptor.
fn batches(first: FlightData, messages: Streaming<FlightData>) -> RecordBatches {
    let messages = futures::stream::iter([Ok(first)]).chain(messages);
    let messages = messages.map_err(|status| FlightError::ExternalError(Box::new(broken_off(&status))));
    let messages = messages.try_filter(|message| {
        let holds_something = !message.data_header.is_empty();
        async move { holds_something }
    });
    RecordBatches(FlightRecordBatchStream::new_from_flight_data(messages))
}

/// Record batches of a client, with our errors.
struct RecordBatches(FlightRecordBatchStream);

impl RecordBatches {
    fn boxed(self) -> Batches {
        self.0.map_err(unreadable).boxed()
    }
}

/// Reads as far as the schema is known.
async fn with_schema(mut batches: RecordBatches) -> Result<(SchemaRef, Batches), Error> {
    let first = batches.0.try_next().await.map_err(unreadable)?;
    let schema = batches.0.schema().cloned();
    let schema = schema.ok_or_else(|| violation("rows without a schema"))?;
    let first = futures::stream::iter(first.map(Ok));
    Ok((schema, first.chain(batches.boxed()).boxed()))
}

fn unreadable(error: FlightError) -> Error {
    match error {
        FlightError::ExternalError(_) => error_of(error),
        other => violation(format!("a record batch cannot be read: {other}")),
    }
}

/// The client's stream ended before its end.
fn broken_off(status: &Status) -> Error {
    match status.code() {
        tonic::Code::OutOfRange | tonic::Code::ResourceExhausted => {
            Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, status.message())
                .with_hint("Send the rows in smaller record batches.")
        }
        _ => Error::new(SqlState::QUERY_CANCELED, "the client's stream broke off")
            .with_detail(format!("{}.", status.message())),
    }
}
