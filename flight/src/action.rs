//! Actions: what is neither asked for nor sent as rows. Those of Flight SQL are wrapped messages, those of Flight itself
//! (results, session options) are plain ones.

use arrow_flight::sql::{
    ActionBeginSavepointRequest, ActionBeginTransactionRequest, ActionCancelQueryRequest,
    ActionCancelQueryResult, ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionEndSavepointRequest, ActionEndTransactionRequest, Command, ProstMessageExt,
};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo,
    RenewFlightEndpointRequest,
};
use bytes::Bytes;
use prost::Message;
use tarn_sql::Error;

use crate::command::{body, plain_body, read};
use crate::guest::Visit;
use crate::guests::Guests;
use crate::status::violation;
use crate::{info, options, prepared, transaction};

/// The actions that there are: name, what it does, and its messages.
const ACTIONS: &[(&str, &str, &str, &str)] = &[
    (
        "CreatePreparedStatement",
        "Prepares a statement.",
        "ActionCreatePreparedStatementRequest",
        "ActionCreatePreparedStatementResult",
    ),
    ("ClosePreparedStatement", "Closes a prepared statement.", "ActionClosePreparedStatementRequest", "none"),
    (
        "BeginTransaction",
        "Begins a transaction.",
        "ActionBeginTransactionRequest",
        "ActionBeginTransactionResult",
    ),
    ("EndTransaction", "Commits or rolls back a transaction.", "ActionEndTransactionRequest", "none"),
    ("BeginSavepoint", "Begins a savepoint.", "ActionBeginSavepointRequest", "ActionBeginSavepointResult"),
    ("EndSavepoint", "Releases a savepoint or goes back to it.", "ActionEndSavepointRequest", "none"),
    ("CancelQuery", "Cancels a query (deprecated).", "ActionCancelQueryRequest", "ActionCancelQueryResult"),
    ("CancelFlightInfo", "Cancels a query.", "CancelFlightInfoRequest", "CancelFlightInfoResult"),
    (
        "RenewFlightEndpoint",
        "Keeps a result for its whole time again.",
        "RenewFlightEndpointRequest",
        "FlightEndpoint",
    ),
    (
        "SetSessionOptions",
        "Sets options of the session.",
        "SetSessionOptionsRequest",
        "SetSessionOptionsResult",
    ),
    (
        "GetSessionOptions",
        "Tells the options of the session.",
        "GetSessionOptionsRequest",
        "GetSessionOptionsResult",
    ),
    ("CloseSession", "Ends the session.", "CloseSessionRequest", "CloseSessionResult"),
];

const CLOSED: i32 = 1;
/// `ActionCancelQueryResult` counts as `CancelFlightInfoResult` does.
const CANCELLED: CancelStatus = CancelStatus::Cancelled;
const NOT_CANCELLABLE: CancelStatus = CancelStatus::NotCancellable;

pub fn list() -> Vec<ActionType> {
    let action = |(name, what, request, response): &(&str, &str, &str, &str)| ActionType {
        r#type: (*name).to_owned(),
        description: format!("{what}\nRequest Message: {request}\nResponse Message: {response}"),
    };
    ACTIONS.iter().map(action).collect()
}

/// Does an action. Gives the message of its answer, if it has one.
pub async fn act(guests: &Guests, visit: &Visit, action: &Action) -> Result<Option<Bytes>, Error> {
    let bytes = &action.body;
    Ok(match action.r#type.as_str() {
        "CreatePreparedStatement" => {
            let request = body::<ActionCreatePreparedStatementRequest>(bytes)?;
            wrapped(&prepared::create(visit, request).await?)
        }
        "ClosePreparedStatement" => {
            let request = body::<ActionClosePreparedStatementRequest>(bytes)?;
            visit.close_statement(&request.prepared_statement_handle)?;
            None
        }
        "BeginTransaction" => {
            body::<ActionBeginTransactionRequest>(bytes)?;
            wrapped(&transaction::begin(visit).await?)
        }
        "EndTransaction" => {
            transaction::end(visit, body::<ActionEndTransactionRequest>(bytes)?).await?;
            None
        }
        "BeginSavepoint" => {
            let request = body::<ActionBeginSavepointRequest>(bytes)?;
            wrapped(&transaction::begin_savepoint(visit, request).await?)
        }
        "EndSavepoint" => {
            transaction::end_savepoint(visit, body::<ActionEndSavepointRequest>(bytes)?).await?;
            None
        }
        "CancelQuery" => {
            let request = body::<ActionCancelQueryRequest>(bytes)?;
            let info = plain_body::<FlightInfo>(&request.info)?;
            wrapped(&ActionCancelQueryResult { result: cancel(visit, &info)? as i32 })
        }
        "CreatePreparedSubstraitPlan" => return Err(Error::unsupported("a Substrait plan")),
        _ => return act_plainly(guests, visit, action).await,
    })
}

/// The actions of Flight itself.
async fn act_plainly(guests: &Guests, visit: &Visit, action: &Action) -> Result<Option<Bytes>, Error> {
    let bytes = &action.body;
    let answer = match action.r#type.as_str() {
        "CancelFlightInfo" => {
            let request = plain_body::<CancelFlightInfoRequest>(bytes)?;
            let status = cancel(visit, &request.info.unwrap_or_default())?;
            CancelFlightInfoResult { status: status as i32 }.encode_to_vec()
        }
        "RenewFlightEndpoint" => renew(visit, plain_body(bytes)?)?,
        "SetSessionOptions" => options::set(visit, plain_body(bytes)?).await?.encode_to_vec(),
        "GetSessionOptions" => options::get(visit).await?.encode_to_vec(),
        "CloseSession" => {
            guests.close(visit).await;
            options::CloseResult { status: CLOSED }.encode_to_vec()
        }
        other => {
            let names: Vec<&str> = ACTIONS.iter().map(|(name, ..)| *name).collect();
            return Err(violation(format!("there is no action \"{other}\""))
                .with_hint(format!("The actions are {}.", names.join(", "))));
        }
    };
    Ok(Some(answer.into()))
}

fn wrapped(message: &impl ProstMessageExt) -> Option<Bytes> {
    Some(message.as_any().encode_to_vec().into())
}

/// Stops the results of an answer, whether they are on their way or not fetched yet.
fn cancel(visit: &Visit, info: &FlightInfo) -> Result<CancelStatus, Error> {
    let mut status = NOT_CANCELLABLE;
    for endpoint in &info.endpoint {
        let ticket = endpoint.ticket.as_ref().map(|ticket| read(&ticket.ticket)).transpose()?;
        if let Some(Command::TicketStatementQuery(ticket)) = ticket {
            visit.result(&ticket.statement_handle)?.cancel.cancel();
            status = CANCELLED;
        }
    }
    Ok(status)
}

fn renew(visit: &Visit, request: RenewFlightEndpointRequest) -> Result<Vec<u8>, Error> {
    let mut endpoint = request.endpoint.ok_or_else(|| violation("an endpoint is missing"))?;
    let ticket = endpoint.ticket.as_ref().ok_or_else(|| violation("an endpoint without a ticket"))?;
    if let Command::TicketStatementQuery(ticket) = read(&ticket.ticket)? {
        visit.renew_result(&ticket.statement_handle)?;
        endpoint.expiration_time = Some(info::expiration(visit));
    }
    Ok(endpoint.encode_to_vec())
}
