//! A table about a table as DataFusion scans it: a stream of batches, one per manifest where manifests are read.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream::{self, StreamExt, TryStreamExt};
use iceberg::spec::ManifestFile;
use tarn_catalog::iceberg::{TableState, manifest_rows, manifests_of};
use tarn_catalog::storage::Storage;

use super::kind::MetadataTable;
use super::partition::PartitionColumn;
use super::{files, history, manifests, partitions};
use crate::error::{Error, Result};

/// Manifests that are read ahead of the one whose rows are wanted.
const MANIFESTS_AHEAD: usize = 4;

/// A table about one state of a table.
///
/// # Errors
///
/// Types of partition values that Arrow does not have.
pub fn metadata_table(
    kind: MetadataTable,
    state: TableState,
    storage: Arc<Storage>,
) -> Result<Arc<dyn TableProvider>> {
    let partition = PartitionColumn::of(&state.version.metadata)?;
    let schema = schema(kind, &partition);
    let rows = Arc::new(Rows { kind, state, storage, partition, schema: Arc::clone(&schema) });
    let table = StreamingTable::try_new(schema, vec![rows as Arc<dyn PartitionStream>]);
    Ok(Arc::new(table.map_err(|error| Error::internal(error.to_string()))?))
}

fn schema(kind: MetadataTable, partition: &PartitionColumn) -> SchemaRef {
    match kind {
        MetadataTable::Snapshots
        | MetadataTable::History
        | MetadataTable::Refs
        | MetadataTable::MetadataLogEntries
        | MetadataTable::Properties => history::schema(kind),
        MetadataTable::Manifests | MetadataTable::AllManifests => manifests::schema(kind),
        MetadataTable::Files
        | MetadataTable::DataFiles
        | MetadataTable::DeleteFiles
        | MetadataTable::AllFiles
        | MetadataTable::AllDataFiles
        | MetadataTable::AllDeleteFiles => files::files_schema(partition),
        MetadataTable::Entries | MetadataTable::AllEntries => files::entries_schema(partition),
        MetadataTable::Partitions => partitions::schema(partition),
    }
}

/// What reading one of them needs.
#[derive(Debug)]
struct Rows {
    kind: MetadataTable,
    state: TableState,
    storage: Arc<Storage>,
    partition: PartitionColumn,
    schema: SchemaRef,
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = Arc::new(Rows {
            kind: self.kind,
            state: self.state.clone(),
            storage: Arc::clone(&self.storage),
            partition: self.partition.clone(),
            schema: Arc::clone(&self.schema),
        });
        let batches = stream::once(Arc::clone(&rows).batches()).try_flatten();
        let batches = batches.map_err(|error: Error| DataFusionError::External(Box::new(error)));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

type Batches = stream::BoxStream<'static, Result<RecordBatch>>;

impl Rows {
    async fn batches(self: Arc<Rows>) -> Result<Batches> {
        let one = |batch: Result<RecordBatch>| stream::iter([batch]).boxed();
        Ok(match self.kind {
            MetadataTable::Snapshots
            | MetadataTable::History
            | MetadataTable::Refs
            | MetadataTable::MetadataLogEntries
            | MetadataTable::Properties => one(history::batch(self.kind, &self.state.version)),
            MetadataTable::Manifests | MetadataTable::AllManifests => {
                let mut lists = Vec::new();
                for snapshot_id in self.snapshots() {
                    let list = manifests_of(&self.storage, &self.state.version.metadata, snapshot_id).await?;
                    lists.push((snapshot_id, list));
                }
                one(manifests::batch(self.kind, &lists, &self.state.version.metadata))
            }
            MetadataTable::Partitions => {
                let mut sums = partitions::Sums::default();
                for manifest in self.manifests().await? {
                    let location = self.state.version.metadata.location();
                    let rows = manifest_rows(&self.storage, location, &manifest).await?;
                    rows.iter().filter(|row| row.is_live()).for_each(|row| sums.add(row));
                }
                one(sums.batch(&self.schema, &self.partition, &self.state.version.metadata))
            }
            _ => {
                let manifests = self.manifests().await?;
                let read = move |manifest| {
                    let rows = Arc::clone(&self);
                    async move { rows.of_manifest(&manifest).await }
                };
                stream::iter(manifests).map(read).buffered(MANIFESTS_AHEAD).boxed()
            }
        })
    }

    /// The snapshots that are told of.
    fn snapshots(&self) -> Vec<i64> {
        if self.kind.is_of_all() {
            self.state.version.metadata.snapshots().map(|snapshot| snapshot.snapshot_id()).collect()
        } else {
            self.state.snapshot_id.into_iter().collect()
        }
    }

    /// Their manifests, each once.
    async fn manifests(&self) -> Result<Vec<ManifestFile>> {
        let mut seen = HashSet::new();
        let mut manifests = Vec::new();
        for snapshot_id in self.snapshots() {
            let list = manifests_of(&self.storage, &self.state.version.metadata, snapshot_id).await?;
            let new = list.iter().filter(|manifest| seen.insert(manifest.manifest_path.clone()));
            manifests.extend(new.cloned());
        }
        Ok(manifests)
    }

    async fn of_manifest(&self, manifest: &ManifestFile) -> Result<RecordBatch> {
        let metadata = &self.state.version.metadata;
        let mut rows = manifest_rows(&self.storage, metadata.location(), manifest).await?;
        let entries = matches!(self.kind, MetadataTable::Entries | MetadataTable::AllEntries);
        rows.retain(|row| (entries || row.is_live()) && files::is_of(self.kind, row));
        if entries {
            files::entries_batch(&self.schema, &rows, &self.partition, metadata)
        } else {
            files::files_batch(&self.schema, &rows, &self.partition, metadata)
        }
    }
}
