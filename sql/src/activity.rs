//! What the sessions of this process are doing: `pg_stat_activity` shows it, `pg_cancel_backend` and
//! `pg_terminate_backend` put an end to it. A session says what it runs when a statement begins and when its rows have been
//! read; whoever asks takes a copy.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tarn_catalog::RoleId;
use tarn_catalog::env::Env;
use tokio_util::sync::CancellationToken;

use crate::session::{Canceller, TransactionStatus};

/// As much is kept of a statement's text, bytes: PostgreSQL's `track_activity_query_size`.
const QUERY_BYTES_MAX: usize = 1024;

/// The sessions of the process, by the number that each goes by.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<BTreeMap<i32, Arc<Activity>>>);

impl Sessions {
    /// Lists a session until what is given back is dropped.
    pub(crate) fn enter(self: &Arc<Self>, activity: Activity) -> Listed {
        let activity = Arc::new(activity);
        self.0.lock().insert(activity.pid, Arc::clone(&activity));
        Listed { sessions: Arc::clone(self), activity }
    }

    pub fn find(&self, pid: i32) -> Option<Arc<Activity>> {
        self.0.lock().get(&pid).cloned()
    }

    /// All of them, by number.
    pub fn all(&self) -> Vec<Arc<Activity>> {
        self.0.lock().values().cloned().collect()
    }
}

/// One session as others see it.
#[derive(Debug)]
pub struct Activity {
    pub pid: i32,
    pub role: RoleId,
    pub user: String,
    pub peer: Option<SocketAddr>,
    /// Microseconds since the Unix epoch.
    pub started_at: i64,
    pub(crate) canceller: Canceller,
    /// Cancelled when the session is to end.
    pub(crate) ends: CancellationToken,
    pub(crate) doing: Mutex<Doing>,
}

/// What a session does. Times are microseconds since the Unix epoch.
#[derive(Debug, Clone, Default)]
pub struct Doing {
    pub application_name: String,
    pub runs: bool,
    /// Where the session stands between statements.
    status: TransactionStatus,
    /// The statement that is run, or was run last.
    pub query: String,
    pub query_started_at: Option<i64>,
    transaction_started_at: Option<i64>,
    pub changed_at: Option<i64>,
}

impl Doing {
    /// In the words of `pg_stat_activity.state`.
    pub fn state(&self) -> &'static str {
        match self.status {
            _ if self.runs => "active",
            TransactionStatus::Idle => "idle",
            TransactionStatus::InTransaction => "idle in transaction",
            TransactionStatus::Failed => "idle in transaction (aborted)",
        }
    }

    /// When the transaction began that is open; a statement that is run may be one.
    pub fn transaction(&self) -> Option<i64> {
        self.transaction_started_at.filter(|_| self.runs || self.status != TransactionStatus::Idle)
    }

    /// Nothing yet.
    pub fn new(application_name: &str) -> Doing {
        Doing { application_name: application_name.to_owned(), ..Doing::default() }
    }
}

impl Activity {
    pub fn doing(&self) -> Doing {
        self.doing.lock().clone()
    }

    /// Stops the statement that it runs.
    pub fn cancel(&self) {
        self.canceller.cancel();
    }

    /// Ends the session, and the statement that it runs.
    pub fn terminate(&self) {
        self.ends.cancel();
        self.canceller.cancel();
    }
}

/// A session's place among the others.
#[derive(Debug)]
pub(crate) struct Listed {
    sessions: Arc<Sessions>,
    activity: Arc<Activity>,
}

impl Listed {
    /// A statement begins.
    pub fn begin(&self, query: &str, application_name: String, env: &Arc<dyn Env>) -> Running {
        let at = env.now_ms() * 1000;
        let end = (0..=QUERY_BYTES_MAX.min(query.len())).rev().find(|end| query.is_char_boundary(*end));
        let mut doing = self.activity.doing.lock();
        doing.runs = true;
        doing.query.clear();
        doing.query.push_str(&query[..end.unwrap_or_default()]);
        doing.application_name = application_name;
        doing.query_started_at = Some(at);
        if doing.status == TransactionStatus::Idle {
            doing.transaction_started_at = Some(at);
        }
        doing.changed_at = Some(at);
        drop(doing);
        Running { activity: Arc::clone(&self.activity), env: Arc::clone(env) }
    }

    pub fn is_told_to_end(&self) -> bool {
        self.activity.ends.is_cancelled()
    }

    /// A statement has ended so, or its rows have met an error.
    pub fn stands(&self, status: TransactionStatus) {
        self.activity.doing.lock().status = status;
    }

    /// Waits until somebody ends the session.
    pub async fn told_to_end(&self) {
        self.activity.ends.cancelled().await;
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut sessions = self.sessions.0.lock();
        let ours = sessions.get(&self.activity.pid).is_some_and(|there| Arc::ptr_eq(there, &self.activity));
        if ours {
            sessions.remove(&self.activity.pid);
        }
    }
}

/// A statement that is being run; when it is dropped, the session rests.
#[derive(Debug)]
pub(crate) struct Running {
    activity: Arc<Activity>,
    env: Arc<dyn Env>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let at = self.env.now_ms() * 1000;
        let mut doing = self.activity.doing.lock();
        doing.changed_at = Some(at);
        doing.runs = false;
    }
}
