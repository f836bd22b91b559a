//! What the Flight SQL door needs of the process: connections, in clear or within TLS, and its users, sessions and figures.
//! The door itself is the crate `tarn_flight`. It shares the sessions that there may be with the PostgreSQL door, and ends
//! with it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tarn_flight::{Ending, Host, Peer, Seat, Watch, Wire};
use tarn_sql::{Error, Login, SqlState};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::metrics::{self, Metrics};
use crate::postgres::{Door, Encryption};

/// Connections that may be open at a time; more are closed at once. One may carry several sessions, or none.
const CONNECTIONS_MAX: usize = 1024;

/// Connections that have been accepted and not yet taken.
const ACCEPTED_MAX: usize = 64;

/// How long a client may take for the handshake of TLS.
const HANDSHAKE_TIME: Duration = Duration::from_secs(20);

/// How long to wait when the system has no more sockets for us.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The first byte of a client that begins with TLS; HTTP/2 in clear begins with a letter.
const TLS_HANDSHAKE: u8 = 22;

/// Serves the door until the server stops; then its sessions are closed.
pub async fn serve(door: Arc<Door>, listener: TcpListener, encryption: Encryption) {
    let host = Arc::new(Process { door: Arc::clone(&door) });
    let (sender, incoming) = mpsc::channel(ACCEPTED_MAX);
    let accepting = tokio::spawn(accept(Arc::clone(&door), listener, Arc::new(encryption), sender));
    let served = tarn_flight::Door::new(host).serve(ReceiverStream::new(incoming));
    // The server's end waits for whoever is here.
    door.connected().track_future(served).await;
    accepting.abort();
}

type Accepted = io::Result<Wire<Socket>>;

async fn accept(
    door: Arc<Door>,
    listener: TcpListener,
    encryption: Arc<Encryption>,
    sender: mpsc::Sender<Accepted>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connection = 0;
    loop {
        let (socket, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!(peer = %address, "too many connections at a time: connection closed");
            continue;
        };
        connection += 1;
        let peer = Peer { address, connection };
        let (encryption, sender) = (Arc::clone(&encryption), sender.clone());
        let stopping = door.stopping().clone();
        tokio::spawn(async move {
            let opened = tokio::select! {
                opened = tokio::time::timeout(HANDSHAKE_TIME, open(socket, address, &encryption)) => opened,
                () = stopping.cancelled() => return,
            };
            match opened {
                // If nobody takes it, the server has stopped.
                Ok(Ok(socket)) => drop(sender.send(Ok(Wire::new(socket, peer, Box::new(place)))).await),
                Ok(Err(error)) => tracing::info!(peer = %address, %error, "connection refused"),
                Err(_) => tracing::info!(peer = %address, "the handshake took too long: connection closed"),
            }
        });
    }
}

/// A connection that may be used: within TLS, unless it is from this machine and need not be.
async fn open(socket: TcpStream, address: SocketAddr, encryption: &Encryption) -> io::Result<Socket> {
    // Small messages must not wait for each other. A socket that cannot do that works all the same.
    let _ = socket.set_nodelay(true);
    let mut first = [0];
    let begins_with_tls = socket.peek(&mut first).await? == 1 && first[0] == TLS_HANDSHAKE;
    match &encryption.acceptor {
        Some(acceptor) if begins_with_tls => Ok(Socket::Tls(Box::new(acceptor.accept(socket).await?))),
        None if begins_with_tls => Err(io::Error::other("the client wants TLS, and there is no certificate")),
        _ if encryption.required || !address.ip().is_loopback() => {
            Err(io::Error::other("this server accepts encrypted connections only"))
        }
        _ => Ok(Socket::Plain(socket)),
    }
}

/// A client's socket, in clear or within TLS.
enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Socket::Tls(socket) => Pin::new(socket).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Socket::Tls(socket) => Pin::new(socket).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(socket) => Pin::new(socket).poll_flush(context),
            Socket::Tls(socket) => Pin::new(socket).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Socket::Tls(socket) => Pin::new(socket).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Plain(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Socket::Tls(socket) => Pin::new(socket).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Socket::Plain(socket) => socket.is_write_vectored(),
            Socket::Tls(socket) => socket.is_write_vectored(),
        }
    }
}

/// The process, as the door sees it.
struct Process {
    door: Arc<Door>,
}

impl Host for Process {
    fn admit(&self, user: &str, password: &str, from: IpAddr) -> Result<(), Error> {
        let roles = self.door.roles();
        let refused = |sqlstate, message: String| {
            self.door.metrics().logins_refused.increment(1);
            Err(Error::new(sqlstate, message))
        };
        if !roles.passes(user, password, from)? {
            let message = format!("password authentication failed for user \"{user}\"");
            return refused(SqlState::INVALID_PASSWORD, message);
        }
        if !roles.may_log_in(user)? {
            let message = format!("role \"{user}\" is not permitted to log in");
            return refused(SqlState::INVALID_AUTHORIZATION, message);
        }
        Ok(())
    }

    fn open(&self, user: &str, client: &str, from: SocketAddr) -> Result<Seat, Error> {
        let too_many = || Error::new(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already");
        let place = self.door.place().ok_or_else(too_many)?;
        let backend_pid = self.door.next_process();
        let login = Login {
            user: user.to_owned(),
            database: DATABASE.to_owned(),
            application_name: client.to_owned(),
            options: self.door.options(),
            backend_pid,
            peer: Some(from),
        };
        let session = self.door.engine().session(&login)?;
        let registration = self.door.register(backend_pid, session.canceller());
        Ok(Seat { session, place: Box::new((place, registration)) })
    }

    fn random(&self, bytes: &mut [u8]) {
        self.door.roles().random(bytes);
    }

    fn now_ms(&self) -> i64 {
        self.door.roles().now_ms()
    }

    fn statements(&self) -> &Handle {
        self.door.statements()
    }

    fn stopping(&self) -> &CancellationToken {
        self.door.stopping()
    }

    fn begin(&self, text: &str) -> Box<dyn Watch> {
        let metrics = Arc::clone(self.door.metrics());
        let kind = metrics::kind(text);
        Box::new(Counted { metrics, kind, started: Instant::now(), ending: metrics::Ending::Cancelled })
    }

    fn sent(&self, rows: u64, bytes: u64) {
        self.door.metrics().rows_sent.increment(rows);
        self.door.metrics().bytes_sent.increment(bytes);
    }
}

/// The database of all sessions: the protocol has none in its login.
const DATABASE: &str = "lake";

/// Counts a statement when it is dropped; one whose client goes away stays cancelled.
struct Counted {
    metrics: Arc<Metrics>,
    kind: &'static str,
    started: Instant,
    ending: metrics::Ending,
}

impl Watch for Counted {
    fn end(&mut self, ending: Ending) {
        self.ending = match ending {
            Ending::Done => metrics::Ending::Done,
            Ending::Failed => metrics::Ending::Failed,
            Ending::Cancelled => metrics::Ending::Cancelled,
        };
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.metrics.statement(self.kind, self.ending, self.started.elapsed());
    }
}
