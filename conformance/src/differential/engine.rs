//! What a program is played on: a live server, or in tests of the checker the model itself with a planted bug.

use super::program::Step;
use crate::Result;
use crate::client::{Answer, Failure};
use std::collections::{BTreeMap, BTreeSet};

/// What a table's metadata says about its snapshots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Branch or tag -> snapshot.
    pub references: BTreeMap<String, i64>,
    /// Snapshot -> milliseconds since 1970.
    pub snapshots: BTreeMap<i64, i64>,
    /// Files that it names and that are not there.
    pub missing: BTreeSet<String>,
}

pub trait Engine {
    /// Makes an empty schema for a program and gives its name.
    async fn prepare(&mut self) -> Result<String>;

    /// Takes it away with everything in it, whatever state the session is in.
    async fn clear(&mut self, schema: &str);

    async fn run(&mut self, step: &Step, sql: &str) -> std::result::Result<Answer, Failure>;

    async fn facts(&mut self, schema: &str, table: &str) -> Result<Facts>;
}
