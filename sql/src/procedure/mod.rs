//! Procedures: what `CALL system.name(…)` and `ALTER TABLE t EXECUTE name(…)` run. A table says for each which
//! arguments it takes, what it needs, what it answers with and which function does it; a new one is a new entry.
//!
//! ```text
//! registry.rs   the table of procedures, found by name
//! arguments.rs  what was given -> one checked value per parameter
//! ancestors.rs  where a snapshot came from
//! history.rs    rollback, fast-forward, cherry-pick
//! ```

mod ancestors;
#[allow(dead_code, reason = "some kinds are those of the upkeep procedures, which come next")]
mod arguments;
mod history;
mod registry;

pub(crate) use arguments::{Arguments, Kind, Kind as ParameterKind, Parameter, bytes, duration_ms};
pub(crate) use history::forwarded;
pub(crate) use registry::{On, Procedure, ProcedureCall, Right, Run, TABLE_PARAMETER, find, signatures};
