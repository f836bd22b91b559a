//! Carries connections that the process has accepted into the service, until the server stops. What a connection is made
//! of, in clear or within TLS, is the process's business: here it is bytes and a peer.

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::Server;
use tonic::transport::server::Connected;

use crate::guests::Guests;
use crate::host::Host;
use crate::service::Service;

/// The longest message that a client may send, bytes: a record batch must fit into one.
const MESSAGE_BYTES_MAX: usize = 1 << 30;

/// Calls that one connection may have under way.
const CALLS_MAX: u32 = 256;

/// What a client may send before it must wait for us, bytes.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// All headers of a call together, bytes.
const HEADER_BYTES_MAX: u32 = 64 << 10;

/// A client that does not answer for so long is gone.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// The door: its sessions, and what serves them.
pub struct Door {
    guests: Arc<Guests>,
}

impl Door {
    pub fn new(host: Arc<dyn Host>) -> Door {
        Door { guests: Guests::new(host) }
    }

    /// Serves connections until the server stops; calls under way may end. Then all sessions are closed.
    pub async fn serve<I, S>(self, incoming: I)
    where
        I: Stream<Item = io::Result<Wire<S>>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stopping = self.guests.host().stopping().clone();
        let sweeping = tokio::spawn(Arc::clone(&self.guests).sweep(stopping.clone()));
        let service = FlightServiceServer::new(Service::new(Arc::clone(&self.guests)))
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let served = Server::builder()
            .max_concurrent_streams(CALLS_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .add_service(service)
            .serve_with_incoming_shutdown(incoming, stopping.clone().cancelled_owned());
        tokio::select! {
            served = served => if let Err(error) = served {
                tracing::error!(%error, "the Flight SQL door has closed");
            },
            // A client that is told of the end and does not hear it holds nobody up.
            () = self.guests.all_quiet_after(&stopping) => {}
        }
        sweeping.abort();
        self.guests.close_all().await;
    }
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    pub address: SocketAddr,
    /// A number that no other connection has had.
    pub connection: u64,
}

/// The bytes of a connection, and its peer.
pub struct Wire<S> {
    stream: S,
    peer: Peer,
    /// Its place among the connections that there may be; given back when it is dropped.
    _place: Box<dyn Any + Send>,
}

impl<S> Wire<S> {
    pub fn new(stream: S, peer: Peer, place: Box<dyn Any + Send>) -> Wire<S> {
        Wire { stream, peer, _place: place }
    }
}

impl<S> Connected for Wire<S> {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
