//! The values that a plan's rows bring for some columns, remembered as the rows come by: a `MERGE` and its kin
//! look for the rows of their target that have the keys of their source, so no other rows matter to them, and which keys
//! those are is only known when the source has been read.
//!
//! ```text
//! values.rs   what has been seen
//! node.rs     the step of a plan that looks, as the planner sees it
//! exec.rs     the same as an operator
//! ```

mod exec;
mod node;
mod values;

pub(crate) use node::{SeenKeysPlanner, watched};
pub(crate) use values::{Seen, SeenColumn, SeenKeys};
