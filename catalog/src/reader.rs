//! One consistent view of the catalog. So far only what such a view says of a table.

use std::sync::Arc;

use iceberg::spec::TableMetadata;

use crate::id::RelationId;
use crate::object::TablePointer;

/// A table at one version: everything that is needed to read it.
#[derive(Debug, Clone)]
pub struct TableVersion {
    pub relation: RelationId,
    pub pointer: TablePointer,
    pub metadata: Arc<TableMetadata>,
}
