//! What the door needs of the process around it: who may come in, sessions, the threads that statements run on, and the
//! ones who count. The process implements it, because it alone knows roles and settings.

use std::any::Any;
use std::net::{IpAddr, SocketAddr};

use tarn_sql::{Error, Session};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// The process, as far as the door may know it.
pub trait Host: Send + Sync + 'static {
    /// Lets a user in, or not. It may compute for some milliseconds.
    ///
    /// # Errors
    ///
    /// 28P01 for a wrong password, 28000 for a role that may not log in.
    fn admit(&self, user: &str, password: &str, from: IpAddr) -> Result<(), Error>;

    /// Opens a session for a user who has been let in.
    ///
    /// # Errors
    ///
    /// 53300 if there are too many; whatever the engine says of the user.
    fn open(&self, user: &str, client: &str, from: SocketAddr) -> Result<Seat, Error>;

    /// Fills `bytes` with random bytes fit for keys.
    fn random(&self, bytes: &mut [u8]);

    /// The wall clock, in milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;

    /// Where statements run: their plans need deep stacks, and heavy ones must not hold up the network.
    fn statements(&self) -> &Handle;

    /// Set when the server is to end.
    fn stopping(&self) -> &CancellationToken;

    /// A statement begins; what is given back counts it when it is told the end, or dropped.
    fn begin(&self, text: &str) -> Box<dyn Watch>;

    /// Rows and bytes have been made for a client.
    fn sent(&self, rows: u64, bytes: u64);
}

/// A session, and its place among those that there may be.
pub struct Seat {
    pub session: Session,
    /// Given back when it is dropped.
    pub place: Box<dyn Any + Send + Sync>,
}

/// Counts one statement.
pub trait Watch: Send {
    fn end(&mut self, ending: Ending);
}

/// How a statement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Done,
    Failed,
    Cancelled,
}

impl Ending {
    /// How an answer counts.
    pub(crate) fn of<T>(answer: &Result<T, Error>) -> Ending {
        match answer {
            Ok(_) => Ending::Done,
            Err(error) if error.sqlstate == tarn_sql::SqlState::QUERY_CANCELED => Ending::Cancelled,
            Err(_) => Ending::Failed,
        }
    }
}
