//! A Flight server that does nothing but send batches that it holds in memory: what sending costs at the least.

use crate::Result;
use arrow::record_batch::RecordBatch;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

/// The server; it ends when this is dropped.
pub struct Bare {
    pub address: SocketAddr,
    task: JoinHandle<std::result::Result<(), tonic::transport::Error>>,
}

impl Bare {
    /// Sends all batches, as often as `times` says, for any ticket.
    pub async fn start(batches: Vec<RecordBatch>, times: usize) -> Result<Bare> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let service = FlightServiceServer::new(Held { batches: Arc::new(batches), times });
        let incoming = TcpListenerStream::new(listener);
        let task = tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        Ok(Bare { address, task })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Held {
    batches: Arc<Vec<RecordBatch>>,
    times: usize,
}

type Answer<T> = std::result::Result<Response<T>, Status>;
type Frames<T> = BoxStream<'static, std::result::Result<T, Status>>;

fn only_sends<T>() -> Answer<T> {
    Err(Status::unimplemented("this server only sends"))
}

#[tonic::async_trait]
impl FlightService for Held {
    type HandshakeStream = Frames<HandshakeResponse>;
    type ListFlightsStream = Frames<FlightInfo>;
    type DoGetStream = Frames<FlightData>;
    type DoPutStream = Frames<PutResult>;
    type DoActionStream = Frames<arrow_flight::Result>;
    type ListActionsStream = Frames<ActionType>;
    type DoExchangeStream = Frames<FlightData>;

    async fn do_get(&self, _: Request<Ticket>) -> Answer<Self::DoGetStream> {
        let (batches, count) = (Arc::clone(&self.batches), self.batches.len());
        let numbers = stream::iter(0..count * self.times);
        let sent = numbers.map(move |number| Ok::<_, FlightError>(batches[number % count].clone()));
        Ok(Response::new(FlightDataEncoderBuilder::new().build(sent).map_err(Status::from).boxed()))
    }

    async fn handshake(&self, _: Request<Streaming<HandshakeRequest>>) -> Answer<Self::HandshakeStream> {
        only_sends()
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Answer<Self::ListFlightsStream> {
        only_sends()
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Answer<FlightInfo> {
        only_sends()
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Answer<PollInfo> {
        only_sends()
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Answer<SchemaResult> {
        only_sends()
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Answer<Self::DoPutStream> {
        only_sends()
    }

    async fn do_action(&self, _: Request<Action>) -> Answer<Self::DoActionStream> {
        only_sends()
    }

    async fn list_actions(&self, _: Request<Empty>) -> Answer<Self::ListActionsStream> {
        only_sends()
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Answer<Self::DoExchangeStream> {
        only_sends()
    }
}
