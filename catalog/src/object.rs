//! The objects of the catalog as plain structs: what exists and who owns it. They are stored as JSON, so a field
//! added later needs a serde default. They must never hold a key, a transaction or a file handle.
//! Next: `change.rs` for how they change, `reader.rs` for how they are found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{CatalogId, NamespaceId, RelationId, RoleId};
use crate::secret::Secret;

/// A catalog as an object: what PostgreSQL calls a database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Database {
    pub id: CatalogId,
    /// Exact name, case kept.
    pub name: String,
    pub owner: RoleId,
    #[serde(default)]
    pub comment: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
}

/// A namespace: what SQL calls a schema.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Namespace {
    pub id: NamespaceId,
    pub catalog: CatalogId,
    /// Exact name, case kept.
    pub name: String,
    pub owner: RoleId,
    #[serde(default)]
    pub comment: Option<String>,
    /// What other engines say of it; nothing here means anything to the server.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
}

/// A relation: a table, an external table or a view. They share one name space per namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Relation {
    pub id: RelationId,
    pub namespace: NamespaceId,
    /// Exact name, case kept.
    pub name: String,
    pub owner: RoleId,
    #[serde(default)]
    pub comment: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    pub kind: RelationKind,
}

/// What a relation is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelationKind {
    /// An Iceberg table; its [`TablePointer`] says where its metadata is.
    Table,
    /// Files of somebody else's, read in place.
    External(ExternalTable),
    /// A named query.
    View(View),
}

/// Where the current metadata of an Iceberg table is, and a few figures of it that are wanted without reading it.
/// This is the only mutable truth about a table; everything it leads to is immutable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TablePointer {
    /// URL of the metadata.json file.
    pub metadata_location: String,
    /// URL of the table's folder, without a trailing slash.
    pub location: String,
    /// Iceberg's table UUID.
    pub uuid: uuid::Uuid,
    /// 1, 2 or 3, or what a table that cannot be read says.
    pub format_version: u8,
    /// The current snapshot of `main`, if there is one.
    pub snapshot_id: Option<i64>,
    /// `total-records` of that snapshot.
    pub row_count: u64,
    /// `total-files-size` of that snapshot, bytes.
    pub bytes: u64,
    /// Whether it declares constraints, so that listing them opens no other table.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub constrained: bool,
    /// Why the metadata could not be read when the table was registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsupported: Option<String>,
}

/// Files of one shape that are read where they lie.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExternalTable {
    /// URL of one file, or of a folder when it ends with `/`.
    pub location: String,
    /// Of a folder, only files whose name matches this glob (`*.csv`, `orders*.parquet`) are part of the table.
    #[serde(default)]
    pub pattern: Option<String>,
    pub format: FileFormat,
    /// The columns, as an Iceberg schema: one type system for all tables.
    pub schema: iceberg::spec::Schema,
    /// Figures of the last crawl, by name (`files`, `bytes`, `rows_sampled`), for people to read.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// Columns whose values are in the names of folders for dates: `year`, `month`, `day`, `hour`, `date`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub date_columns: Vec<String>,
    /// Why it is read as it is and its columns have their types, as the last crawl that changed it has found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inference: Vec<Inference>,
}

/// One thing that a crawl has decided about a table, and what decided it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inference {
    /// The column, or the path of a member below it; None for a decision about the whole file.
    pub column: Option<String>,
    /// What was decided: `type`, `header`, `delimiter`.
    pub subject: String,
    pub decision: String,
    /// What it would have been without the value below.
    pub before: Option<String>,
    pub reason: String,
    pub file: String,
    /// From 1; None where no single line decided.
    pub line: Option<u64>,
    pub value: Option<String>,
}

/// How an external table's files are read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "snake_case")]
pub enum FileFormat {
    Parquet,
    Csv(CsvFormat),
    Json(JsonFormat),
}

impl FileFormat {
    /// The name users see: `parquet`, `csv` or `json`.
    pub fn name(&self) -> &'static str {
        match self {
            FileFormat::Parquet => "parquet",
            FileFormat::Csv(_) => "csv",
            FileFormat::Json(_) => "json",
        }
    }
}

/// How a delimited text file is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CsvFormat {
    /// One ASCII character.
    pub delimiter: char,
    /// One ASCII character; NUL where no character quotes.
    pub quote: char,
    /// What stands before a quote inside of quotes, besides another quote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escape: Option<char>,
    /// The first line names the columns.
    pub header: bool,
    /// The columns of days and moments that are not written as ISO 8601 says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dates: BTreeMap<String, DateOrder>,
}

/// In which order the parts of a written day come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateOrder {
    /// `31/12/2024`, `31.12.2024`
    DayFirst,
    /// `12/31/2024`
    MonthFirst,
    /// `2024/12/31`, and days whose month is a word.
    YearFirst,
}

impl Default for CsvFormat {
    fn default() -> Self {
        CsvFormat { delimiter: ',', quote: '"', escape: None, header: true, dates: BTreeMap::new() }
    }
}

/// How a JSON file is read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct JsonFormat {
    /// The file is one array of objects; otherwise one object per line.
    pub array: bool,
    /// The file is one object keyed by data: each of its members is a row with the columns `key` and `value`.
    #[serde(default)]
    pub keyed: bool,
}

/// A named query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// The query's text, as the user wrote it.
    pub sql: String,
    /// The search path at definition; unqualified names in the query mean what they meant then.
    pub search_path: Vec<String>,
    pub columns: Vec<ViewColumn>,
    /// The view as another engine has made it: Iceberg's view metadata, as JSON. `sql` is empty when none of its texts is
    /// in our dialect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iceberg: Option<String>,
}

/// One output column of a view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ViewColumn {
    pub name: String,
    /// PostgreSQL type OID.
    pub type_oid: u32,
    /// PostgreSQL type modifier, -1 for none.
    pub type_modifier: i32,
    #[serde(default)]
    pub comment: Option<String>,
}

/// A role: a user when it may log in, a group when others are members of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Role {
    pub id: RoleId,
    pub name: String,
    pub superuser: bool,
    pub login: bool,
    /// May create, alter and drop roles that are not superusers.
    pub create_role: bool,
    /// May create schemas.
    pub create_schema: bool,
    /// None: no password; such a role may come in over loopback only.
    #[serde(default)]
    pub verifier: Option<ScramVerifier>,
    /// The roles this one is directly a member of.
    #[serde(default)]
    pub member_of: Vec<RoleId>,
    #[serde(default)]
    pub comment: Option<String>,
}

/// What a server keeps of a SCRAM-SHA-256 password (RFC 5802 §3); the password itself is never kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScramVerifier {
    pub iterations: u32,
    /// 16 random bytes.
    pub salt: Vec<u8>,
    /// `H(ClientKey)`, 32 bytes.
    pub stored_key: Secret<Vec<u8>>,
    /// `HMAC(SaltedPassword, "Server Key")`, 32 bytes.
    pub server_key: Secret<Vec<u8>>,
}

/// What a maintenance policy is set on; a table follows its own, then its namespace's, then its catalog's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyTarget {
    Database(CatalogId),
    Namespace(NamespaceId),
    Relation(RelationId),
}

/// How tables are kept in order by the server itself. What is not said is inherited; without any policy nothing is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenancePolicy {
    /// Small files are joined and deletes are worked in.
    #[serde(default)]
    pub compact: Option<bool>,
    #[serde(default)]
    pub expire: Option<Age>,
    #[serde(default)]
    pub orphans: Option<Age>,
    /// Bytes that one round of compaction of a table may read.
    #[serde(default)]
    pub budget_bytes: Option<u64>,
}

impl MaintenancePolicy {
    /// This policy, with what it does not say taken from another.
    pub fn or(self, above: &MaintenancePolicy) -> MaintenancePolicy {
        MaintenancePolicy {
            compact: self.compact.or(above.compact),
            expire: self.expire.or(above.expire),
            orphans: self.orphans.or(above.orphans),
            budget_bytes: self.budget_bytes.or(above.budget_bytes),
        }
    }
}

/// From which age on something goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Age {
    Never,
    OlderThanMs(i64),
}

/// The object a grant is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Securable {
    Namespace(NamespaceId),
    Relation(RelationId),
}

/// What one role holds on one object. The store keeps one row per pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    pub on: Securable,
    pub to: RoleId,
    pub privileges: crate::access::Privileges,
    /// Of `privileges`, those that `to` may pass on.
    #[serde(default)]
    pub grantable: crate::access::Privileges,
}
