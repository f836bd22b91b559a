//! Which files are read one after the other, and in what order their rows then come. A file says in the table's metadata
//! that it was written in an order; where all files of a scan are, and none overlaps the one before it in its group,
//! the engine is told, and groups, joins and limits without sorting or hashing. It must never open a file.
//! Next: `scan.rs`.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileGroupPartitioner, FileScanConfig};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use iceberg::spec::{NullOrder, SortDirection, SortField, TableMetadata, Transform};

use super::footer::TableFile;

/// The files of a scan by the partition that reads them, and the order of the rows of each.
pub(crate) struct Groups {
    pub groups: Vec<FileGroup>,
    pub order: Option<LexOrdering>,
}

/// Groups files for `count` partitions; files of at least so many bytes may be cut into parts. `ids` are the field ids of the first columns of `schema`; `read` says which of
/// the columns have statistics.
pub(crate) fn group(
    files: Vec<PartitionedFile>,
    metadata: &TableMetadata,
    schema: &SchemaRef,
    ids: &[i32],
    read: &[usize],
    (count, part_bytes_min): (usize, usize),
) -> Groups {
    if let Some(order) = declared(&files, metadata, schema, ids, read) {
        let one = [FileGroup::new(files.clone())];
        let sorted = FileScanConfig::split_groups_by_statistics_with_target_partitions(
            schema,
            &one,
            &order,
            count.max(1),
        );
        // Files that overlap need a group each; with many of them, merging would cost more than it saves.
        if let Ok(groups) = sorted.map_err(|error| tracing::debug!(%error, "sorted files are read unsorted"))
            && groups.len() <= count.max(1)
        {
            let parts = FileGroupPartitioner::new()
                .with_target_partitions(count.max(1))
                .with_repartition_file_min_size(part_bytes_min)
                .with_preserve_order_within_groups(true)
                .repartition_file_groups(&groups);
            return Groups { groups: parts.unwrap_or(groups), order: Some(order) };
        }
    }
    Groups { groups: balance(files, count), order: None }
}

/// The order that all files were written in, as far as the engine knows such orders.
fn declared(
    files: &[PartitionedFile],
    metadata: &TableMetadata,
    schema: &SchemaRef,
    ids: &[i32],
    read: &[usize],
) -> Option<LexOrdering> {
    let about = |file: &PartitionedFile| file.extensions.get_arc::<TableFile>();
    let order_id = about(files.first()?)?.live.file.sort_order_id().filter(|id| *id != 0)?;
    let about: Option<Vec<Arc<TableFile>>> = files.iter().map(about).collect();
    let about =
        about.filter(|files| files.iter().all(|file| file.live.file.sort_order_id() == Some(order_id)))?;
    let order = metadata.sort_order_by_id(order_id.into())?;
    // NULLs lie outside of the bounds that tell whether files overlap.
    let without_nulls = |field: &SortField| {
        about.iter().all(|file| file.live.file.null_value_counts().get(&field.source_id) == Some(&0))
    };
    let keys = order
        .fields
        .iter()
        .take_while(|field| field.transform == Transform::Identity && without_nulls(field))
        .map_while(|field| key(field, schema, ids, read));
    LexOrdering::new(keys)
}

fn key(field: &SortField, schema: &SchemaRef, ids: &[i32], read: &[usize]) -> Option<PhysicalSortExpr> {
    let place = ids.iter().position(|id| *id == field.source_id).filter(|place| read.contains(place))?;
    let column = schema.field(place);
    // Engines do not agree on where NaN and the zeros go, nor on how UUIDs compare.
    let agreed =
        !matches!(column.data_type(), DataType::Float32 | DataType::Float64 | DataType::FixedSizeBinary(_))
            && !column.data_type().is_nested();
    let options = SortOptions {
        descending: field.direction == SortDirection::Descending,
        nulls_first: field.null_order == NullOrder::First,
    };
    let column = Arc::new(Column::new(column.name(), place));
    agreed.then(|| PhysicalSortExpr::new(column, options))
}

/// At most `count` groups of about equal bytes; within a group the files stay in the snapshot's order. DataFusion
/// splits the big ones further, by row groups.
fn balance(files: Vec<PartitionedFile>, count: usize) -> Vec<FileGroup> {
    let count = count.clamp(1, files.len().max(1));
    let mut by_size: Vec<(usize, u64)> = files.iter().map(|file| file.object_meta.size).enumerate().collect();
    by_size.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let mut bytes = vec![0u64; count];
    let mut group_of = vec![0usize; files.len()];
    for (file, size) in by_size {
        let lightest = (0..count).min_by_key(|group| bytes[*group]).unwrap_or(0);
        bytes[lightest] = bytes[lightest].saturating_add(size);
        group_of[file] = lightest;
    }
    let mut groups: Vec<Vec<PartitionedFile>> = (0..count).map(|_| Vec::new()).collect();
    for (file, group) in files.into_iter().zip(group_of) {
        groups[group].push(file);
    }
    groups.into_iter().filter(|group| !group.is_empty()).map(FileGroup::new).collect()
}
