//! Changes of a table's metadata alone: columns, partitioning, properties, branches. They are said as Iceberg's own
//! updates and requirements, which the commit applies to the table as it then is.

use iceberg::{TableRequirement, TableUpdate};
use tarn_catalog::iceberg::Operation;

use super::write::Write;
use crate::error::Result;
use crate::plan::Context;
use crate::resolve::TableTarget;

/// Commits the updates, if the requirements hold by then. Nothing to update is nothing to commit.
pub(crate) async fn update_table(
    target: &TableTarget,
    requirements: Vec<TableRequirement>,
    updates: Vec<TableUpdate>,
    context: &Context,
) -> Result<()> {
    if updates.is_empty() {
        return Ok(());
    }
    let write = Write::begin(target.version.metadata.location(), context).await?;
    let mut transaction = context.begin();
    transaction.write_table(target.write(write.id, Operation::Update { requirements, updates }, Vec::new()));
    write.commit(transaction, context).await
}

/// Commits data files that are there already, as one snapshot of the target's branch.
pub(crate) async fn add_files(
    target: &TableTarget,
    operation: Operation,
    added: Vec<iceberg::spec::DataFile>,
    context: &Context,
) -> Result<()> {
    let write = Write::begin(target.version.metadata.location(), context).await?;
    let mut transaction = context.begin();
    transaction.write_table(target.write(write.id, operation, added));
    write.commit(transaction, context).await
}
