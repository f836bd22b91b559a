//! What a system table or a catalog function may know of the session and the statement that asks: one consistent
//! reader, who asks, and a few facts about the server. It is made anew for each statement and never changes.
//! Next: `visible.rs` for what of the catalog it shows.

use std::sync::Arc;

use tarn_catalog::access::Principal;
use tarn_catalog::{CatalogId, Reader};

use crate::activity::Sessions;
use crate::advisory::LockOwner;
use crate::notify::Outbox;
use crate::probes::Probes;
use crate::statement::Set;

/// Settings to be set when a statement is done.
pub type Wanted = Arc<parking_lot::Mutex<Vec<Set>>>;

/// The facts of one statement.
#[derive(Debug, Clone)]
pub struct SystemContext {
    pub reader: Reader,
    pub principal: Principal,
    /// The catalog the session is connected to.
    pub catalog: CatalogId,
    /// Its name: PostgreSQL's `current_database()`.
    pub database: String,
    /// The schemas that unqualified names are looked up in, without the implicit `pg_catalog`.
    pub search_path: Vec<String>,
    /// The schema of the session's temporary tables, which is searched first.
    pub temporary: Option<String>,
    /// What `SHOW` shows.
    pub settings: Arc<Vec<SettingRow>>,
    /// What `set_config` has been told to set, until the session does it.
    pub wanted: Wanted,
    /// What `version()` answers.
    pub version: String,
    /// The number the session was given at startup (BackendKeyData).
    pub backend_pid: i32,
    /// Milliseconds since the Unix epoch.
    pub server_started_at_ms: i64,
    /// What `pg_notify` says goes here.
    pub outbox: Outbox,
    /// The session's hand on advisory locks.
    pub locks: LockOwner,
    /// What clients have asked in vain.
    pub probes: Arc<Probes>,
    /// The sessions of the process.
    pub sessions: Arc<Sessions>,
}

/// One setting as `pg_settings` and `current_setting` show it.
#[derive(Debug, Clone)]
pub struct SettingRow {
    pub name: &'static str,
    pub value: String,
    pub default: Option<String>,
    pub description: &'static str,
    /// Whether a session may change it.
    pub settable: bool,
}

impl SystemContext {
    /// The value of a setting; names are case-insensitive.
    pub fn setting(&self, name: &str) -> Option<&SettingRow> {
        self.settings.iter().find(|setting| setting.name.eq_ignore_ascii_case(name))
    }
}
