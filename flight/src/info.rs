//! What there will be, before it is there: the schema of a result and the ticket to fetch it with.

use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::sql::{ProstMessageExt, TicketStatementQuery};
use arrow_flight::{
    FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, SchemaResult, Ticket,
};
use bytes::Bytes;
use prost::Message;
use prost_types::Timestamp;
use tarn_sql::Error;

use crate::guest::{RESULT_LIFETIME, Visit};

/// A result that can be fetched.
pub struct Planned {
    pub schema: SchemaRef,
    pub ticket: Bytes,
    /// How many rows there are, or were changed; -1 for not known.
    pub records: i64,
    /// It waits for a while only.
    pub expires: bool,
}

/// The ticket of a result that the session keeps under a handle.
pub fn ticket(handle: Bytes) -> Bytes {
    TicketStatementQuery { statement_handle: handle }.as_any().encode_to_vec().into()
}

/// Tells a client of a result. Its one endpoint has no location: it is fetched where it was asked for.
pub fn flight_info(
    visit: &Visit,
    descriptor: FlightDescriptor,
    planned: &Planned,
) -> Result<FlightInfo, Error> {
    let mut endpoint = FlightEndpoint::new().with_ticket(Ticket::new(planned.ticket.clone()));
    if planned.expires {
        endpoint = endpoint.with_expiration_time(expiration(visit));
    }
    let info = FlightInfo::new().try_with_schema(&planned.schema).map_err(unencodable)?;
    Ok(info
        .with_descriptor(descriptor)
        .with_endpoint(endpoint)
        .with_total_records(planned.records)
        .with_total_bytes(-1)
        .with_ordered(true))
}

/// When a result that is kept or renewed now will be gone.
pub fn expiration(visit: &Visit) -> Timestamp {
    let lifetime_ms = i64::try_from(RESULT_LIFETIME.as_millis()).unwrap_or(i64::MAX);
    let millis = visit.host().now_ms().saturating_add(lifetime_ms);
    let nanos = i32::try_from(millis.rem_euclid(1000) * 1_000_000).unwrap_or(0);
    Timestamp { seconds: millis.div_euclid(1000), nanos }
}

pub fn schema_result(schema: &Schema) -> Result<SchemaResult, Error> {
    Ok(SchemaResult { schema: schema_bytes(schema)? })
}

/// A schema as a message of Arrow's.
pub fn schema_bytes(schema: &Schema) -> Result<Bytes, Error> {
    let options = IpcWriteOptions::default();
    let IpcMessage(bytes) = IpcMessage::try_from(SchemaAsIpc::new(schema, &options)).map_err(unencodable)?;
    Ok(bytes)
}

fn unencodable(error: arrow::error::ArrowError) -> Error {
    Error::internal(format!("a schema cannot be encoded: {error}"))
}
