//! What the Flight SQL door needs of the process: its connections, users, sessions and figures. The door itself is the crate
//! `tarn_flight`. It shares the sessions that there may be with the PostgreSQL door, and ends with it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use tarn_flight::{Ending, Host, Peer, Seat, Watch, Wire};
use tarn_sql::{Error, Login, SqlState};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::connections;
use crate::metrics::{self, Metrics};
use crate::postgres::{Door, Encryption};

/// Serves the door until the server stops; then its sessions are closed.
pub async fn serve(door: Arc<Door>, listener: TcpListener, encryption: Encryption) {
    let host = Arc::new(Process { door: Arc::clone(&door) });
    let (accepting, incoming) = connections::accept(listener, encryption, door.stopping().clone());
    let incoming = ReceiverStream::new(incoming).map(|opened| {
        let peer = Peer { address: opened.peer, connection: opened.number };
        Ok(Wire::new(opened.socket, peer, Box::new(())))
    });
    let served = tarn_flight::Door::new(host).serve(incoming);
    // The server's end waits for whoever is here.
    door.connected().track_future(served).await;
    accepting.abort();
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
