//! Connections of the doors that speak HTTP, Flight SQL and Iceberg REST: accepted, in clear or within TLS, and bounded in
//! number. It must never know what is said on them.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::postgres::Encryption;

/// Connections of one door that may be open at a time; more are closed at once.
const CONNECTIONS_MAX: usize = 1024;

/// Connections that have been accepted and not yet taken.
const ACCEPTED_MAX: usize = 64;

/// How long a client may take for the handshake of TLS.
const HANDSHAKE_TIME: Duration = Duration::from_secs(20);

/// How long to wait when the system has no more sockets for us.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The first byte of a client that begins with TLS; HTTP in clear begins with a letter.
const TLS_HANDSHAKE: u8 = 22;

/// A connection that may be used.
pub struct Opened {
    pub socket: Socket,
    pub peer: SocketAddr,
    /// No other connection of the door has had it.
    pub number: u64,
}

/// Accepts connections until the task is aborted.
pub fn accept(
    listener: TcpListener,
    encryption: Encryption,
    stopping: CancellationToken,
) -> (JoinHandle<()>, mpsc::Receiver<Opened>) {
    let (sender, incoming) = mpsc::channel(ACCEPTED_MAX);
    (tokio::spawn(accept_all(listener, Arc::new(encryption), stopping, sender)), incoming)
}

async fn accept_all(
    listener: TcpListener,
    encryption: Arc<Encryption>,
    stopping: CancellationToken,
    sender: mpsc::Sender<Opened>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut number = 0;
    loop {
        let (socket, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!(%peer, "too many connections at a time: connection closed");
            continue;
        };
        number += 1;
        let (encryption, sender, stopping) = (Arc::clone(&encryption), sender.clone(), stopping.clone());
        tokio::spawn(async move {
            let opened = tokio::select! {
                opened = tokio::time::timeout(HANDSHAKE_TIME, open(socket, peer, &encryption)) => opened,
                () = stopping.cancelled() => return,
            };
            match opened {
                Ok(Ok(stream)) => {
                    let socket = Socket { stream, _place: place };
                    // If nobody takes it, the server has stopped.
                    drop(sender.send(Opened { socket, peer, number }).await);
                }
                Ok(Err(error)) => tracing::info!(%peer, %error, "connection refused"),
                Err(_) => tracing::info!(%peer, "the handshake took too long: connection closed"),
            }
        });
    }
}

/// A connection within TLS, unless it is from this machine and need not be.
async fn open(socket: TcpStream, peer: SocketAddr, encryption: &Encryption) -> io::Result<Stream> {
    // Small messages must not wait for each other. A socket that cannot do that works all the same.
    let _ = socket.set_nodelay(true);
    let mut first = [0];
    let begins_with_tls = socket.peek(&mut first).await? == 1 && first[0] == TLS_HANDSHAKE;
    match &encryption.acceptor {
        Some(acceptor) if begins_with_tls => Ok(Stream::Tls(Box::new(acceptor.accept(socket).await?))),
        None if begins_with_tls => Err(io::Error::other("the client wants TLS, and there is no certificate")),
        _ if encryption.required || !peer.ip().is_loopback() => {
            Err(io::Error::other("this server accepts encrypted connections only"))
        }
        _ => Ok(Stream::Plain(socket)),
    }
}

/// A client's socket, and its place among the connections that there may be.
pub struct Socket {
    stream: Stream,
    _place: OwnedSemaphorePermit,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    pub fn is_encrypted(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Stream::Tls(socket) => Pin::new(socket).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Stream::Tls(socket) => Pin::new(socket).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(socket) => Pin::new(socket).poll_flush(context),
            Stream::Tls(socket) => Pin::new(socket).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Stream::Tls(socket) => Pin::new(socket).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Stream::Tls(socket) => Pin::new(socket).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(socket) => socket.is_write_vectored(),
            Stream::Tls(socket) => socket.is_write_vectored(),
        }
    }
}
