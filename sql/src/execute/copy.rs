//! `COPY`: the write of a `COPY FROM` begins at once, as a task of its own that waits for the rows; a `COPY TO` is what it
//! copies, with its rows marked to be written as the options say.

use super::write;
use crate::copy::{CopyIn, CopyOptions};
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::plan::{Context, CopyPlan, check_columns};

/// Begins a write whose rows are still to come. It goes on without us: what has been committed is told to whoever
/// waits, and what has not is taken back when nobody sends rows any more.
pub(super) fn copy_from(plan: CopyPlan, context: &Context) -> Outcome {
    let CopyPlan { insert, columns, options, sender } = plan;
    let relation = insert.target.found.relation.name.clone();
    let context = context.clone();
    let write = tokio::spawn(async move { write::insert_rows(insert, &context).await });
    Outcome::CopyIn(Box::new(CopyIn::new(columns, options, relation, sender, write)))
}

/// The rows of a statement, for the client to copy.
pub(super) fn copy_to(copied: Outcome, options: CopyOptions) -> Result<Outcome> {
    match copied {
        Outcome::Rows { schema, rows, tag: _ } => {
            check_columns(&schema, &options)?;
            Ok(Outcome::CopyOut { schema, rows, options })
        }
        _ => Err(Error::internal("a statement that is copied gave no rows")),
    }
}
