//! Listens, and carries each connection from its first byte to its session; then it reads for the session, so that it
//! sees the client go away while a statement runs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::Door;
use super::connection::Connection;
use super::error::Failure;
use super::frame::{Frame, Frames};
use super::inbox::{Inbound, Inbox};
use super::logins::{Login, Logins};
use super::output::Output;
use super::socket::{self, Receiver};
use super::startup::{self, Opening};

/// How long a client may take from its first byte to the end of login.
const LOGIN_TIME: Duration = Duration::from_secs(60);

/// Messages that may wait for their session, and their bytes together. One alone may be larger.
const WAITING_MESSAGES_MAX: usize = 64;
const WAITING_BYTES_MAX: usize = 4 << 20;

/// A client that has said nothing for so long is asked whether it is there, as often as told, and is gone if it does not
/// answer: a machine that was switched off does not say goodbye.
const SILENCE_TIME: Duration = Duration::from_secs(30);
const QUESTION_PAUSE: Duration = Duration::from_secs(10);
const QUESTIONS: u32 = 3;

/// How long to wait when the system has no more sockets for us.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until the server stops.
pub async fn serve(door: Arc<Door>, listener: TcpListener) {
    let mut logins = Logins::new();
    loop {
        let accepted = tokio::select! {
            () = door.stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let login = tokio::select! {
            () = door.stopping.cancelled() => return,
            login = logins.begin() => login,
        };
        door.connected.spawn(connection(Arc::clone(&door), socket, peer, login));
    }
}

async fn connection(door: Arc<Door>, socket: TcpStream, peer: SocketAddr, login: Login) {
    // Small messages must not wait for each other. A socket that cannot do this or that works all the same.
    let _ = socket.set_nodelay(true);
    let keepalive =
        TcpKeepalive::new().with_time(SILENCE_TIME).with_interval(QUESTION_PAUSE).with_retries(QUESTIONS);
    let _ = SockRef::from(&socket).set_tcp_keepalive(&keepalive);
    let (receiver, sender) = socket::split(socket);
    let mut frames = Frames::new(receiver);
    let mut output = Output::new(sender, door.metrics.bytes_sent.clone());
    let opening = tokio::select! {
        opening = tokio::time::timeout(LOGIN_TIME, open(&door, &mut frames, &mut output, peer)) => opening,
        () = door.stopping.cancelled() => Ok(Err(shutting_down())),
        () = login.pressed() => Ok(Err(too_many_logins())),
    };
    drop(login);
    match opening {
        Ok(Ok(Some((connection, place)))) => {
            let connection = *connection;
            run(&door, connection, frames, output).await;
            drop(place);
        }
        Ok(Ok(None)) => {}
        Ok(Err(failure)) => refuse(&door, failure, &mut output, peer).await,
        Err(_) => tracing::info!(%peer, "login took too long: connection closed"),
    }
}

/// Everything before the first statement. `None` when the client wanted no session.
async fn open(
    door: &Arc<Door>,
    frames: &mut Frames<Receiver>,
    output: &mut Output,
    peer: SocketAddr,
) -> Result<Option<(Box<Connection>, OwnedSemaphorePermit)>, Failure> {
    let startup = match startup::open(frames, output, &door.encryption).await? {
        Opening::Session(startup) => startup,
        Opening::Cancel(key) => {
            door.cancels.cancel(key);
            return Ok(None);
        }
        Opening::Nothing => return Ok(None),
    };
    startup::negotiate(&startup, output)?;
    startup::check_encryption(&door.encryption, &startup, peer)?;
    startup::log_in(door, frames, output, &startup, peer).await?;
    // Only now, so that whoever does not know a password takes nobody's place.
    let place = Arc::clone(&door.connections).try_acquire_owned();
    let place = place.map_err(|_| Failure::fatal("53300", "sorry, too many clients already"))?;
    startup::welcome(output)?;
    let process = door.cancels.next_process();
    let session = startup::session(door, &startup, process, peer)?;
    let connection = Connection::new(Arc::clone(door), session, process, startup, peer);
    Ok(Some((Box::new(connection), place)))
}

fn shutting_down() -> Failure {
    Failure::fatal("57P03", "the database system is shutting down")
}

fn too_many_logins() -> Failure {
    Failure::fatal("53300", "too many clients are logging in, and this one took the longest")
}

/// Tells the client why it has no session.
async fn refuse(door: &Door, failure: Failure, output: &mut Output, peer: SocketAddr) {
    door.metrics.logins_refused.increment(1);
    match failure {
        Failure::Fatal(report) | Failure::Error(report) => {
            tracing::info!(%peer, sqlstate = report.sqlstate, message = report.message, "connection refused");
            if output.put(&report.to_message("FATAL")).is_ok() {
                // The client may be gone already, and then there is nobody to tell.
                let _ = tokio::time::timeout(Duration::from_secs(1), output.flush()).await;
            }
        }
        Failure::Gone(error) => tracing::debug!(%peer, %error, "client went away before login"),
    }
}

/// Runs the session on the statement runtime and reads for it.
async fn run(door: &Door, connection: Connection, frames: Frames<Receiver>, mut output: Output) {
    let (sender, inbox) = mpsc::channel(WAITING_MESSAGES_MAX);
    let gone = CancellationToken::new();
    let canceller = connection.canceller();
    let peer = connection.peer();
    door.metrics.connections.increment(1);
    door.metrics.connections_total.increment(1);
    let ended = gone.clone();
    output.end_with(gone.clone());
    let session = door.statements.spawn(connection.run(output, Inbox::new(inbox), gone.clone()));
    let closed = read(frames, sender, || session.is_finished()).await;
    if closed == Closed::WithoutWord {
        ended.cancel();
        canceller.cancel();
    }
    if let Err(error) = session.await {
        tracing::error!(%peer, %error, "a session ended by a panic");
    }
    door.metrics.connections.decrement(1);
}

/// How a client ended its connection.
#[derive(Debug, PartialEq, Eq)]
enum Closed {
    /// It said so, and what it sent before is still to be done.
    Terminate,
    /// It went away; nobody waits for the result of what it sent.
    WithoutWord,
}

/// Reads frames for the session until the client is gone or the session has ended.
async fn read(
    mut frames: Frames<Receiver>,
    sender: mpsc::Sender<Inbound>,
    ended: impl Fn() -> bool,
) -> Closed {
    let room = Arc::new(Semaphore::new(WAITING_BYTES_MAX));
    loop {
        let frame = tokio::select! {
            () = sender.closed() => return Closed::Terminate,
            frame = frames.next() => frame,
        };
        let inbound = match frame {
            Ok(Some(frame)) => Inbound::Frame(waiting(&room, frame).await),
            Ok(None) => return Closed::WithoutWord,
            Err(Failure::Gone(_)) => return Closed::WithoutWord,
            Err(failure) => Inbound::Broken(failure),
        };
        let last = match &inbound {
            Inbound::Frame((frame, _)) => frame.kind == b'X',
            Inbound::Broken(_) => true,
        };
        if sender.send(inbound).await.is_err() || last || ended() {
            return Closed::Terminate;
        }
    }
}

/// Waits until there is room for the frame.
async fn waiting(room: &Arc<Semaphore>, frame: Frame) -> (Frame, Option<OwnedSemaphorePermit>) {
    let bytes = frame.size().clamp(1, WAITING_BYTES_MAX);
    let permits = u32::try_from(bytes).expect("the limit is below 4 GiB");
    // The semaphore is never closed, so there is always a permit in the end.
    let permit = Arc::clone(room).acquire_many_owned(permits).await.ok();
    (frame, permit)
}
