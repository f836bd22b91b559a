//! Statements that change rows, run: the plan's rows tell which rows of which files go and what rows come; what comes
//! is written, what goes is collected as positions, and one commit makes both true.
//!
//! ```text
//! plan             -> whole.rs:   files that go without being read, and the plan for the others
//! rows of the plan -> collect.rs: positions by file, returned rows
//!                  -> arrive.rs:  new rows, kept while they are few and written as they come when they are many
//! positions        -> mode.rs:    per file: marked as deleted, written anew without them, or gone as a whole
//! run.rs           the order of it all, and the commit
//! ```

mod arrive;
mod collect;
mod mode;
mod run;
mod whole;

pub(super) use run::change;
pub(super) use whole::whole_files;
