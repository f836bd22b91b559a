//! One session of a client: its lanes, and what it was given handles of. A session of the engine has one transaction,
//! one of Flight SQL may have several, and statements beside them. So the first transaction goes to the main lane, where
//! settings and temporary tables are, each further one gets a lane of its own, and what runs outside while the main
//! lane is in a transaction gets the side lane.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tarn_sql::{Error, SqlState};

use crate::handle::{GuestId, Kind, Signer, gone};
use crate::host::Host;
use crate::lane::Lane;
use crate::prepared::Statement;
use crate::query::Held;

/// What one session may have at a time.
const STATEMENTS_MAX: usize = 10_000;
const RESULTS_MAX: usize = 1_000;
const TRANSACTIONS_MAX: usize = 16;
const SAVEPOINTS_MAX: usize = 1_000;

/// How long a result waits for the client to fetch it.
pub const RESULT_LIFETIME: Duration = Duration::from_secs(30 * 60);

/// The program at the other end, as it calls itself, and where it is.
pub struct Client {
    pub program: String,
    pub address: SocketAddr,
}

/// A client's session.
pub struct Guest {
    pub id: GuestId,
    pub user: String,
    /// For new lanes.
    client: Client,
    host: Arc<dyn Host>,
    signer: Arc<Signer>,
    main: Arc<Lane>,
    things: Mutex<Things>,
    calls: AtomicUsize,
    last_used: Mutex<Instant>,
}

/// What handles name, by their numbers.
#[derive(Default)]
struct Things {
    last_number: u64,
    statements: HashMap<u64, Arc<Statement>>,
    /// The oldest first.
    results: BTreeMap<u64, Waiting>,
    transactions: HashMap<u64, Arc<Lane>>,
    savepoints: HashMap<u64, Savepoint>,
    /// The transaction that the main lane is in.
    on_main: Option<u64>,
    side: Option<Arc<Lane>>,
    keeps_dictionaries: bool,
}

struct Waiting {
    held: Arc<Held>,
    until: Instant,
}

/// A savepoint by its name in the engine.
#[derive(Debug, Clone)]
pub struct Savepoint {
    pub transaction: u64,
    pub name: String,
}

impl Guest {
    pub fn new(
        id: GuestId,
        user: String,
        client: Client,
        (host, signer): (Arc<dyn Host>, Arc<Signer>),
        main: Arc<Lane>,
    ) -> Arc<Guest> {
        Arc::new(Guest {
            id,
            user,
            client,
            host,
            signer,
            main,
            things: Mutex::default(),
            calls: AtomicUsize::new(0),
            last_used: Mutex::new(Instant::now()),
        })
    }

    pub fn host(&self) -> &Arc<dyn Host> {
        &self.host
    }

    /// Notes that a call is under way, as long as what is given back lives.
    pub fn visit(self: &Arc<Self>) -> Visit {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Visit(Arc::clone(self))
    }

    /// How long nobody has called; None while somebody does.
    pub fn idle_time(&self) -> Option<Duration> {
        (self.calls.load(Ordering::Relaxed) == 0).then(|| self.last_used.lock().elapsed())
    }

    /// How long the client may leave an open transaction alone.
    pub fn idle_limit(&self) -> Option<Duration> {
        let lanes = self.lanes();
        lanes.iter().filter_map(|lane| lane.idle_limit()).min()
    }

    /// Whether another session has ended one of its own.
    pub fn is_told_to_end(&self) -> bool {
        self.lanes().iter().any(|lane| lane.is_told_to_end())
    }

    fn lanes(&self) -> Vec<Arc<Lane>> {
        let things = self.things.lock();
        let others = things.transactions.values().chain(&things.side);
        [&self.main].into_iter().chain(others).map(Arc::clone).collect()
    }

    /// Where its settings and temporary tables are.
    pub fn main(&self) -> &Arc<Lane> {
        &self.main
    }

    /// Where a statement runs that names a transaction, or none.
    ///
    /// # Errors
    ///
    /// 25P01 for a transaction that has ended, 42501 for another session's.
    pub fn lane(&self, transaction: Option<&Bytes>) -> Result<Arc<Lane>, Error> {
        match transaction.filter(|handle| !handle.is_empty()) {
            Some(handle) => Ok(self.transaction(handle)?.1),
            None => self.free_lane(),
        }
    }

    /// A lane for what is outside of transactions.
    pub fn free_lane(&self) -> Result<Arc<Lane>, Error> {
        let mut things = self.things.lock();
        if things.on_main.is_none() {
            return Ok(Arc::clone(&self.main));
        }
        if let Some(side) = &things.side {
            return Ok(Arc::clone(side));
        }
        let side = self.new_lane()?;
        things.side = Some(Arc::clone(&side));
        Ok(side)
    }

    pub fn new_lane(&self) -> Result<Arc<Lane>, Error> {
        Ok(Lane::new(
            Arc::clone(&self.host),
            self.host.open(&self.user, &self.client.program, self.client.address)?,
        ))
    }

    pub fn handle(&self, kind: Kind, number: u64) -> Bytes {
        self.signer.handle(self.id, kind, number)
    }

    fn number(&self, kind: Kind, handle: &[u8]) -> Result<u64, Error> {
        self.signer.read_handle(self.id, kind, handle)
    }

    pub fn keep_statement(&self, statement: Statement) -> Result<Bytes, Error> {
        let mut things = self.things.lock();
        if things.statements.len() >= STATEMENTS_MAX {
            let message = format!("a session has at most {STATEMENTS_MAX} prepared statements");
            return Err(too_many(message).with_hint("Close those that are not needed any more."));
        }
        let number = things.next_number();
        things.statements.insert(number, Arc::new(statement));
        Ok(self.handle(Kind::Statement, number))
    }

    pub fn statement(&self, handle: &[u8]) -> Result<Arc<Statement>, Error> {
        let number = self.number(Kind::Statement, handle)?;
        self.things.lock().statements.get(&number).cloned().ok_or_else(|| gone(Kind::Statement))
    }

    /// Nothing happens if it is closed already.
    pub fn close_statement(&self, handle: &[u8]) -> Result<(), Error> {
        let number = self.number(Kind::Statement, handle)?;
        self.things.lock().statements.remove(&number);
        Ok(())
    }

    /// Keeps a result until it is fetched for the last time; if there are too many, the oldest go.
    pub fn keep_result(&self, held: Held) -> Bytes {
        let mut things = self.things.lock();
        let now = Instant::now();
        things.results.retain(|_, waiting| now < waiting.until);
        while things.results.len() >= RESULTS_MAX {
            things.results.pop_first();
        }
        let number = things.next_number();
        things.results.insert(number, Waiting { held: Arc::new(held), until: now + RESULT_LIFETIME });
        self.handle(Kind::Result, number)
    }

    pub fn result(&self, handle: &[u8]) -> Result<Arc<Held>, Error> {
        let number = self.number(Kind::Result, handle)?;
        let things = self.things.lock();
        let waiting = things.results.get(&number).filter(|waiting| Instant::now() < waiting.until);
        waiting.map(|waiting| Arc::clone(&waiting.held)).ok_or_else(|| gone(Kind::Result))
    }

    /// Lets a result wait for its whole time again.
    pub fn renew_result(&self, handle: &[u8]) -> Result<(), Error> {
        let number = self.number(Kind::Result, handle)?;
        let mut things = self.things.lock();
        let now = Instant::now();
        let waiting = things.results.get_mut(&number).filter(|waiting| now < waiting.until);
        waiting.ok_or_else(|| gone(Kind::Result))?.until = now + RESULT_LIFETIME;
        Ok(())
    }

    /// Makes room for a transaction: its number, and whether it may have the main lane.
    pub fn reserve_transaction(&self) -> Result<(u64, bool), Error> {
        let mut things = self.things.lock();
        if things.transactions.len() >= TRANSACTIONS_MAX {
            let message = format!("a session has at most {TRANSACTIONS_MAX} transactions at a time");
            return Err(too_many(message).with_hint("Commit or roll back those that are done."));
        }
        let number = things.next_number();
        let main = things.on_main.is_none();
        if main {
            things.on_main = Some(number);
        }
        Ok((number, main))
    }

    pub fn keep_transaction(&self, number: u64, lane: Arc<Lane>) -> Bytes {
        self.things.lock().transactions.insert(number, lane);
        self.handle(Kind::Transaction, number)
    }

    pub fn transaction(&self, handle: &[u8]) -> Result<(u64, Arc<Lane>), Error> {
        let number = self.number(Kind::Transaction, handle)?;
        let lane = self.things.lock().transactions.get(&number).cloned();
        Ok((number, lane.ok_or_else(|| gone(Kind::Transaction))?))
    }

    /// A transaction is over, or has not come to be, and its savepoints with it.
    pub fn forget_transaction(&self, number: u64) {
        let mut things = self.things.lock();
        things.transactions.remove(&number);
        things.savepoints.retain(|_, savepoint| savepoint.transaction != number);
        if things.on_main == Some(number) {
            things.on_main = None;
        }
    }

    /// Makes a savepoint of a transaction known, under a name that no other has.
    pub fn reserve_savepoint(&self, transaction: u64, name: &str) -> Result<(u64, Savepoint), Error> {
        let mut things = self.things.lock();
        if things.savepoints.len() >= SAVEPOINTS_MAX {
            let message = format!("a session has at most {SAVEPOINTS_MAX} savepoints");
            return Err(too_many(message).with_hint("Release those that are not needed any more."));
        }
        let number = things.next_number();
        let savepoint = Savepoint { transaction, name: format!("{name} {number}") };
        things.savepoints.insert(number, savepoint.clone());
        Ok((number, savepoint))
    }

    pub fn savepoint(&self, handle: &[u8]) -> Result<(u64, Savepoint, Arc<Lane>), Error> {
        let number = self.number(Kind::Savepoint, handle)?;
        let things = self.things.lock();
        let savepoint = things.savepoints.get(&number).cloned().ok_or_else(|| gone(Kind::Savepoint))?;
        let lane = things.transactions.get(&savepoint.transaction).cloned();
        Ok((number, savepoint, lane.ok_or_else(|| gone(Kind::Savepoint))?))
    }

    pub fn forget_savepoint(&self, number: u64) {
        self.things.lock().savepoints.remove(&number);
    }

    /// Whether columns of dictionaries are sent as such, and not as their values.
    pub fn keeps_dictionaries(&self) -> bool {
        self.things.lock().keeps_dictionaries
    }

    pub fn set_keeps_dictionaries(&self, keeps: bool) {
        self.things.lock().keeps_dictionaries = keeps;
    }

    /// Ends it: what runs is cancelled, and open transactions are taken back.
    pub async fn close(&self) {
        let lanes = self.lanes();
        for waiting in std::mem::take(&mut self.things.lock().results).into_values() {
            waiting.held.cancel.cancel();
        }
        futures::future::join_all(lanes.iter().map(Lane::close)).await;
    }
}

impl Things {
    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

fn too_many(message: String) -> Error {
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
}

/// A call that is under way in a session.
pub struct Visit(Arc<Guest>);

impl Deref for Visit {
    type Target = Arc<Guest>;

    fn deref(&self) -> &Arc<Guest> {
        &self.0
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        *self.0.last_used.lock() = Instant::now();
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}
