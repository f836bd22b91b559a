//! A Flight SQL client for the runners: the same answers and failures as the PostgreSQL client gives, so that a script can
//! be run over either protocol. Rows come as Arrow and are written as PostgreSQL writes them (`text.rs`).

mod text;

use crate::Result;
use crate::client::{Answer, Failure, SqlError};
use crate::server::Addresses;
use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    CommandStatementIngest, CommandStatementQuery, CommandStatementUpdate, DoPutUpdateResult, ProstMessageExt,
};
use arrow_flight::{FlightData, FlightDescriptor, FlightInfo, Ticket};
use futures::TryStreamExt;
use prost::Message;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_types::StatusExt;

/// `TABLE_NOT_EXIST_OPTION_CREATE` and `TABLE_EXISTS_OPTION_FAIL` of the Flight SQL specification.
const CREATE_IF_NOT_THERE: i32 = 1;
const FAIL_IF_THERE: i32 = 1;

/// One row may be wide.
const MESSAGE_BYTES_MAX: usize = 1 << 30;

/// What the server says when a text has more statements than one.
const SEVERAL_STATEMENTS: &str = "42601";

/// A session.
#[derive(Debug)]
pub struct Session {
    client: FlightServiceClient<Channel>,
    token: String,
}

/// Logs in.
pub async fn connect(addresses: &Addresses, user: &str, password: Option<&str>) -> Result<Session> {
    let address = addresses.flight.as_ref().ok_or("the ready line names no Flight SQL address")?;
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    let mut client = FlightSqlServiceClient::new(channel.clone());
    if client.handshake(user, password.unwrap_or_default()).await.is_err() {
        // That client keeps no details of a status, so the refusal is asked for once more.
        return Err(Box::new(refusal(channel, user, password).await));
    }
    let token = client.token().cloned().ok_or("the login gave no token")?;
    let client = FlightServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    Ok(Session { client, token })
}

async fn refusal(channel: Channel, user: &str, password: Option<&str>) -> Failure {
    let auth = arrow_flight::BasicAuth {
        username: user.to_string(),
        password: password.unwrap_or_default().to_string(),
    };
    let request =
        arrow_flight::HandshakeRequest { payload: auth.encode_to_vec().into(), protocol_version: 0 };
    let answer =
        FlightServiceClient::new(channel).handshake(futures::stream::iter([request])).await.map(drop);
    answer.map_or_else(|status| failure(&status), |()| Failure::Lost("the second login worked".to_string()))
}

impl Session {
    /// Runs a text; with several statements the answer is the count of all.
    pub async fn run(&mut self, sql: &str) -> std::result::Result<Answer, Failure> {
        match self.query(sql).await {
            Err(Failure::Refused(error))
                if error.sqlstate == SEVERAL_STATEMENTS && error.message.contains("multiple commands") =>
            {
                let count = self.update(sql).await?;
                Ok(Answer { count, ..Answer::default() })
            }
            answer => answer,
        }
    }

    async fn query(&mut self, sql: &str) -> std::result::Result<Answer, Failure> {
        let info = self.info(sql).await?;
        let mut answer =
            Answer { count: u64::try_from(info.total_records).unwrap_or(0), ..Answer::default() };
        let schema = Schema::try_from(info.clone()).map_err(|error| Failure::Lost(error.to_string()))?;
        answer.columns = schema.fields().iter().map(|field| field.name().clone()).collect();
        for endpoint in info.endpoint {
            let ticket = endpoint.ticket.unwrap_or_default();
            let batches = self.fetch(ticket).await?;
            let zone = self.zone(&schema).await?;
            for batch in batches {
                answer.rows.extend(text::rows(&batch, &zone).map_err(Failure::Lost)?);
            }
        }
        if info.total_records < 0 {
            answer.count = answer.rows.len() as u64;
        }
        Ok(answer)
    }

    /// The letters of the types that are announced for a statement, as [`crate::client::described_types`] gives them.
    pub async fn described_types(&mut self, sql: &str) -> std::result::Result<String, Failure> {
        let request = self.request(FlightDescriptor::new_cmd(statement(sql)));
        let answer = self.client.get_schema(request).await.map_err(|status| failure(&status))?;
        let schema =
            Schema::try_from(answer.into_inner()).map_err(|error| Failure::Lost(error.to_string()))?;
        Ok(schema.fields().iter().map(|field| text::type_letter(field)).collect())
    }

    async fn info(&mut self, sql: &str) -> std::result::Result<FlightInfo, Failure> {
        let request = self.request(FlightDescriptor::new_cmd(statement(sql)));
        let answer = self.client.get_flight_info(request).await;
        answer.map(tonic::Response::into_inner).map_err(|status| failure(&status))
    }

    /// A session at a server that asks nobody who he is.
    pub async fn without_login(address: std::net::SocketAddr) -> Result<Session> {
        let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
        let client = FlightServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        Ok(Session { client, token: String::new() })
    }

    /// The rows of a query as they come.
    pub async fn stream(&mut self, sql: &str) -> std::result::Result<FlightRecordBatchStream, Failure> {
        let info = self.info(sql).await?;
        let ticket = info.endpoint.into_iter().next().and_then(|endpoint| endpoint.ticket);
        self.fetched(ticket.unwrap_or_default()).await
    }

    /// Sends rows into a new table, and gives their number.
    pub async fn ingest<S>(&mut self, schema: &str, table: &str, rows: S) -> Result<i64>
    where
        S: futures::Stream<Item = arrow_flight::error::Result<RecordBatch>> + Send + 'static,
    {
        let mut client = FlightSqlServiceClient::new_from_inner(self.client.clone());
        client.set_token(self.token.clone());
        let mut command = CommandStatementIngest {
            table: table.to_string(),
            schema: Some(schema.to_string()),
            ..CommandStatementIngest::default()
        };
        // The crate has no name for this type.
        let options = command.table_definition_options.get_or_insert_default();
        (options.if_not_exist, options.if_exists) = (CREATE_IF_NOT_THERE, FAIL_IF_THERE);
        Ok(client.execute_ingest(command, rows).await?)
    }

    async fn fetch(&mut self, ticket: Ticket) -> std::result::Result<Vec<RecordBatch>, Failure> {
        self.fetched(ticket).await?.try_collect().await.map_err(|error| match error {
            FlightError::Tonic(status) => failure(&status),
            other => Failure::Lost(other.to_string()),
        })
    }

    /// What a ticket stands for, as it comes.
    pub async fn fetched(&mut self, ticket: Ticket) -> std::result::Result<FlightRecordBatchStream, Failure> {
        let request = self.request(ticket);
        let frames = self.client.do_get(request).await.map_err(|status| failure(&status))?.into_inner();
        let frames = frames.map_err(|status| FlightError::Tonic(Box::new(status)));
        Ok(FlightRecordBatchStream::new_from_flight_data(frames))
    }

    /// Runs a statement that gives no rows.
    pub async fn update(&mut self, sql: &str) -> std::result::Result<u64, Failure> {
        let command = CommandStatementUpdate { query: sql.to_string(), transaction_id: None };
        let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
        let put = FlightData::new().with_descriptor(descriptor);
        let request = self.request(futures::stream::iter([put]));
        let mut answers = self.client.do_put(request).await.map_err(|status| failure(&status))?.into_inner();
        let answer = answers.message().await.map_err(|status| failure(&status))?.unwrap_or_default();
        let result = DoPutUpdateResult::decode(answer.app_metadata);
        let count = result.map_err(|error| Failure::Lost(error.to_string()))?.record_count;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// The session's time zone, if there is anything to write in it.
    async fn zone(&mut self, schema: &Schema) -> std::result::Result<String, Failure> {
        let utc = "+00:00".to_string();
        if !schema.fields().iter().any(|field| text::has_zone(field.data_type())) {
            return Ok(utc);
        }
        let info = self.info("SHOW timezone").await?;
        let ticket = info.endpoint.into_iter().next().and_then(|endpoint| endpoint.ticket);
        let batches = self.fetch(ticket.unwrap_or_default()).await?;
        let rows = batches.first().map(|batch| text::rows(batch, &utc).map_err(Failure::Lost)).transpose()?;
        let name = rows.and_then(|rows| rows.first().and_then(|row| row.first().cloned())).flatten();
        Ok(name.unwrap_or(utc))
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Ok(token) = format!("Bearer {}", self.token).parse() {
            request.metadata_mut().insert("authorization", token);
        }
        request
    }
}

fn statement(sql: &str) -> Vec<u8> {
    CommandStatementQuery { query: sql.to_string(), transaction_id: None }.as_any().encode_to_vec()
}

fn failure(status: &Status) -> Failure {
    let Some(info) = status.get_details_error_info().filter(|info| info.domain == "sqlstate") else {
        return Failure::Lost(format!("{:?}: {}", status.code(), status.message()));
    };
    let detail = |key: &str| info.metadata.get(key).cloned();
    Failure::Refused(SqlError {
        sqlstate: info.reason,
        message: detail("message").unwrap_or_default(),
        detail: detail("detail"),
        hint: detail("hint"),
        position: detail("position").and_then(|position| position.parse().ok()),
    })
}
