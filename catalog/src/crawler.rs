//! Crawlers and what they did, as plain structs: where to look for tables, how, with whose rights, and for each run the
//! changes it made or would make. They are stored as JSON, so a field added later needs a serde default. They must never
//! look at a file.

use serde::{Deserialize, Serialize};

use crate::id::RoleId;
use crate::object::{ExternalTable, Namespace, Relation};

/// Where and how tables are looked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Crawler {
    pub name: String,
    pub owner: RoleId,
    /// Whose rights a run has, checked each time.
    pub run_as: RoleId,
    /// The schema of the tables.
    pub schema: String,
    pub locations: Vec<String>,
    #[serde(default)]
    pub options: CrawlOptions,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
}

/// How a crawl looks for tables and what it may do about them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CrawlOptions {
    /// Files whose path below the location matches one of these globs are left out.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// What the names of new tables begin with.
    #[serde(default)]
    pub table_prefix: String,
    /// Files in folders further down than this are left out.
    #[serde(default)]
    pub max_depth: Option<u64>,
    /// A run that finds more tables fails and changes nothing.
    #[serde(default)]
    pub max_tables: Option<u64>,
    /// Of the files of one series, only so many are looked at.
    #[serde(default)]
    pub sample_files: Option<u64>,
    /// Each file is a table of its own, unless it lies in a partition.
    #[serde(default)]
    pub separate: bool,
    #[serde(default)]
    pub on_update: OnUpdate,
    #[serde(default)]
    pub on_delete: OnDelete,
    #[serde(default)]
    pub recrawl: Recrawl,
}

/// What happens to a table whose files have other columns now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUpdate {
    #[default]
    MergeNewColumns,
    /// Nothing but a line in the report.
    Log,
}

/// What happens to a table whose files are gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDelete {
    /// Nothing but a line in the report.
    #[default]
    Log,
    /// It is marked, in its comment.
    Deprecate,
    Drop,
}

/// What a later run looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recrawl {
    #[default]
    Everything,
    /// Only files that belong to no table yet.
    NewFiles,
}

/// One run of a crawl that changed something, or a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CrawlRun {
    /// From 1.
    pub number: u64,
    /// None for a crawl that names its location itself.
    pub crawler: Option<String>,
    pub locations: Vec<String>,
    pub schema: String,
    pub role: RoleId,
    pub state: RunState,
    /// Milliseconds since the Unix epoch.
    pub started_at_ms: i64,
    pub finished_at_ms: i64,
    /// The schema, if the run made it.
    pub created_schema: Option<Namespace>,
    pub changes: Vec<CrawlChange>,
}

/// What has become of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Nothing was changed yet.
    Planned,
    Applied,
    Undone,
}

impl RunState {
    pub fn name(self) -> &'static str {
        match self {
            RunState::Planned => "planned",
            RunState::Applied => "applied",
            RunState::Undone => "undone",
        }
    }
}

/// One change of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CrawlChange {
    /// `create`, `update`, `deprecate` or `drop`.
    pub action: String,
    /// The table's name in the schema of the run.
    pub name: String,
    /// The table as it was; None when it is new.
    pub before: Option<Relation>,
    /// What it becomes; None when it goes.
    pub definition: Option<ExternalTable>,
    /// Its comment from then on.
    pub comment: Option<String>,
    /// The table as the run has made it; None before it is applied, and when it is gone.
    pub after: Option<Relation>,
    /// What the change would be as a statement.
    pub ddl: String,
    pub reason: String,
    /// Files, lines and values that decided.
    pub evidence: String,
    /// From 0 to 1.
    pub confidence: f64,
}
