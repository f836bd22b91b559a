//! Rewrites groups of files: each is read as queries read, deletes left out, written under the current partitioning, and
//! put in the place of its input in one commit of its own. A row that somebody deletes in the meantime makes the group
//! start again, never the other one's statement; after some tries the group is left for another day. Files that an open
//! transaction has changed rows of are left alone.

use std::sync::Arc;

use datafusion::common::tree_node::TreeNode;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use iceberg::spec::{DataFile, FormatVersion, TableMetadata};
use tarn_catalog::WriteId;
use tarn_catalog::iceberg::{LiveFile, Operation, Rewrite, SnapshotFiles, TableState, snapshot_files};

use super::choose::{Candidate, Group, choose};
use super::options::{Options, TARGET_BYTES};
use super::order::ordered;
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::plan::{Context, engine_error, plan_query};
use crate::procedure::ProcedureCall;
use crate::resolve::{ResolvedQuery, TableTarget};
use crate::sqlstate::SqlState;
use crate::table::{IcebergTable, RowOrder, WriteProgress, hidden, write_files, write_known_rows};
use crate::upkeep::commit::commit_files;
use crate::upkeep::report::Report;
use crate::upkeep::vacuum::newest;

/// How often a group is tried when others keep changing its files.
const TRIES: usize = 3;

const TARGET_PROPERTY: &str = "write.target-file-size-bytes";

/// What became of a group.
enum Done {
    Rewritten {
        files: u64,
        bytes: u64,
        deletes: u64,
        added: u64,
        added_bytes: u64,
    },
    /// Somebody else took its files away.
    Gone,
    /// Others changed its files again and again.
    Contended,
}

/// The procedure.
pub(crate) async fn run(call: ProcedureCall, context: &Context) -> Result<Outcome> {
    let target = call.table()?;
    let own = target.version.metadata.properties().get(TARGET_PROPERTY).and_then(|text| text.parse().ok());
    let options = Options::new(&call.arguments, own)?;
    optimize(target, &options, call.filter.as_ref(), context).await?.into_outcome(call.tag)
}

/// Rewrites what is worth it, or says which files that would be.
pub(crate) async fn optimize(
    target: &TableTarget,
    options: &Options,
    filter: Option<&ResolvedQuery>,
    context: &Context,
) -> Result<Report> {
    let spec_id = target.version.metadata.default_partition_spec_id();
    let mut files = context.stop.or(candidates(target, filter, context)).await?;
    let all = files.len();
    // A transaction names rows by their places, so they stay where they are until it has ended.
    files.retain(|file| !context.catalog().is_held(&file.url));
    let in_use = all - files.len();
    let mut groups = choose(files, spec_id, &options.thresholds);
    let mut report = Report::default();
    if options.dry_run {
        for file in groups.iter().flat_map(|group| &group.files) {
            report.path("data file", i64::try_from(file.bytes).ok(), file.url.as_str());
        }
        return Ok(report);
    }
    let all = groups.len();
    if let Some(budget) = options.budget_bytes {
        let mut bytes = 0u64;
        groups.retain(|group| {
            let first = bytes == 0;
            bytes = bytes.saturating_add(group.bytes);
            first || bytes <= budget
        });
    }
    let mut totals = [0u64; 5];
    let (mut rewritten, mut contended) = (0, 0);
    let begun = groups.len();
    for group in groups {
        match rewrite(target, &group, options, context).await? {
            Done::Rewritten { files, bytes, deletes, added, added_bytes } => {
                rewritten += 1;
                for (total, value) in totals.iter_mut().zip([files, bytes, deletes, added, added_bytes]) {
                    *total += value;
                }
                tracing::info!(table = target.found.qualified(), files, added, "optimized a group of files");
            }
            Done::Gone => {}
            Done::Contended => contended += 1,
        }
    }
    let names = [
        "rewritten_data_files",
        "rewritten_bytes",
        "removed_delete_files",
        "added_data_files",
        "added_bytes",
    ];
    names.iter().zip(totals).for_each(|(name, total)| report.figure(name, total));
    report.figure("rewritten_groups", rewritten);
    report.figure("contended_groups", contended);
    report.figure("groups_left_for_later", all - begun);
    report.figure("files_in_use", in_use);
    Ok(report)
}

/// The data files that a filter lets through, with what is wanted to choose among them.
pub(crate) async fn candidates(
    target: &TableTarget,
    filter: Option<&ResolvedQuery>,
    context: &Context,
) -> Result<Vec<Candidate>> {
    let state = target.state()?;
    let Some(snapshot) = state.snapshot_id else { return Ok(Vec::new()) };
    let storage = context.catalog().storage();
    let SnapshotFiles { data, deletes } = snapshot_files(storage, &target.version.metadata, snapshot).await?;
    let matching = match filter {
        Some(filter) => Some(matching(&state, filter, context).await?),
        None => None,
    };
    let wanted =
        |live: &&LiveFile| matching.as_ref().is_none_or(|matching| matching.contains(live.file.file_path()));
    let candidate = |live: &LiveFile| {
        let applied = deletes.of(live);
        let positions = applied.positions.as_ref().map_or(0, |positions| positions.files.len());
        Candidate {
            url: live.file.file_path().to_owned(),
            bytes: live.file.file_size_in_bytes(),
            spec_id: live.spec_id,
            partition: live.file.partition().clone(),
            deletes: positions + applied.equality.len(),
        }
    };
    Ok(data.iter().filter(wanted).map(candidate).collect())
}

/// The URLs of the files that may hold rows of a filter.
async fn matching(
    state: &TableState,
    filter: &ResolvedQuery,
    context: &Context,
) -> Result<std::collections::HashSet<String>> {
    let planned = plan_query(filter, context, &[]).await?.logical;
    refuse_subqueries(&planned)?;
    let optimized = context.state.optimize(&planned).map_err(engine_error)?;
    let (mut filters, mut scanned) = (Vec::new(), false);
    let found = optimized.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            scanned = true;
            filters.extend(scan.filters.iter().cloned().flat_map(split_conjunction_owned));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found.map_err(engine_error)?;
    if !scanned {
        // The filter is never true.
        return Ok(std::collections::HashSet::new());
    }
    let filters: Vec<Expr> =
        filters.into_iter().map(datafusion::logical_expr::expr_rewriter::unnormalize_col).collect();
    let table = IcebergTable::new(state.clone(), Arc::clone(context.catalog().storage()))?;
    Ok(table.files_matching(&context.state, &filters).await?.into_iter().collect())
}

fn refuse_subqueries(plan: &LogicalPlan) -> Result<()> {
    let mut has = false;
    let walked = plan.apply(|node| {
        for expression in node.expressions() {
            has |= expression.exists(|part| {
                Ok(matches!(part, Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_)))
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    });
    walked.map_err(engine_error)?;
    match has {
        true => Err(Error::unsupported("a subquery in the WHERE of optimize")
            .with_hint("It chooses files by their statistics; compare columns with constants.")),
        false => Ok(()),
    }
}

async fn rewrite(target: &TableTarget, group: &Group, options: &Options, context: &Context) -> Result<Done> {
    for attempt in 1..=TRIES {
        match rewrite_once(target, group, options, context).await {
            Err(error) if error.sqlstate == SqlState::SERIALIZATION_FAILURE => {
                tracing::info!(table = target.found.qualified(), attempt, %error, "a group starts again");
            }
            answer => return answer,
        }
    }
    Ok(Done::Contended)
}

async fn rewrite_once(
    target: &TableTarget,
    group: &Group,
    options: &Options,
    context: &Context,
) -> Result<Done> {
    let catalog = context.catalog();
    let target = &newest(target, context).await?;
    let state = target.state()?;
    let metadata = Arc::clone(&target.version.metadata);
    let Some(snapshot) = state.snapshot_id.and_then(|id| metadata.snapshot_by_id(id)) else {
        return Ok(Done::Gone);
    };
    let SnapshotFiles { data, deletes } =
        snapshot_files(catalog.storage(), &metadata, snapshot.snapshot_id()).await?;
    let wanted: std::collections::HashSet<&str> = group.files.iter().map(|file| file.url.as_str()).collect();
    if wanted.iter().any(|url| catalog.is_held(url)) {
        return Ok(Done::Contended);
    }
    let live: Vec<&LiveFile> = data.iter().filter(|live| wanted.contains(live.file.file_path())).collect();
    if live.len() < group.files.len() {
        return Ok(Done::Gone);
    }
    let applied = live.iter().map(|live| deletes.of(live));
    let applied: u64 = applied
        .map(|deletes| {
            deletes.positions.map_or(0, |positions| positions.files.len()) + deletes.equality.len()
        })
        .map(|count| count as u64)
        .sum();
    let files: Vec<Arc<DataFile>> = live.iter().map(|live| Arc::clone(&live.file)).collect();
    let rows = rows_of(&state, &metadata, &files, options, context)?;
    let write = catalog.begin_write(metadata.location()).await?;
    let bytes: u64 = files.iter().map(|file| file.file_size_in_bytes()).sum();
    let written = context.stop.or(write_group(&metadata, write, rows, bytes, options, context)).await;
    let added = match written {
        Ok(added) => added,
        Err(error) => {
            catalog.abandon_write(write, &[]).await;
            return Err(error);
        }
    };
    let done = Done::Rewritten {
        files: files.len() as u64,
        bytes,
        deletes: applied,
        added: added.len() as u64,
        added_bytes: added.iter().map(DataFile::file_size_in_bytes).sum(),
    };
    let operation = Operation::Rewrite(Rewrite {
        removed: files.iter().map(|file| file.file_path().to_owned()).collect(),
        data_sequence_number: Some(snapshot.sequence_number()),
        ..Rewrite::default()
    });
    commit_group(target, write, operation, added, context).await?;
    Ok(done)
}

/// The rows of some files, without what is deleted, and in which order the strategy wants them; with their ids where
/// rows have some.
fn rows_of(
    state: &TableState,
    metadata: &TableMetadata,
    files: &[Arc<DataFile>],
    options: &Options,
    context: &Context,
) -> Result<(LogicalPlan, RowOrder)> {
    let urls = files.iter().map(|file| file.file_path().to_owned());
    let mut table =
        IcebergTable::new(state.clone(), Arc::clone(context.catalog().storage()))?.only_files(urls);
    let fields = metadata.current_schema().as_struct().fields();
    let mut names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    if metadata.format_version() == FormatVersion::V3 {
        table = table.with_row_columns()?;
        names.extend([hidden::ROW_ID, hidden::LAST_UPDATED]);
    }
    let columns = names.into_iter().map(|name| Expr::Column(datafusion::common::Column::from_name(name)));
    let plan = LogicalPlanBuilder::scan("optimized", provider_as_source(Arc::new(table)), None)
        .and_then(|plan| plan.project(columns))
        .and_then(LogicalPlanBuilder::build)
        .map_err(engine_error)?;
    ordered(plan, metadata, &options.strategy, files)
}

async fn write_group(
    metadata: &TableMetadata,
    write: WriteId,
    (plan, order): (LogicalPlan, RowOrder),
    bytes: u64,
    options: &Options,
    context: &Context,
) -> Result<Vec<DataFile>> {
    let mut metadata = metadata.clone();
    if let Some(bytes) = options.target_bytes {
        let target = [(TARGET_PROPERTY.to_owned(), bytes.to_string())].into();
        let built = metadata.into_builder(None).set_properties(target).and_then(|builder| builder.build());
        metadata = built.map_err(|error| Error::internal(error.to_string()))?.metadata;
    }
    let mut physical = crate::execute::physical_plan(&plan, context).await?;
    let target_bytes = metadata.properties().get(TARGET_PROPERTY).and_then(|text| text.parse().ok());
    if bytes <= target_bytes.unwrap_or(TARGET_BYTES) {
        // What fits into one file is written by one writer.
        physical = Arc::new(CoalescePartitionsExec::new(physical));
    }
    let (task, progress) = (context.state.task_ctx(), WriteProgress::default());
    let storage = Arc::clone(context.catalog().storage());
    if metadata.format_version() == FormatVersion::V3 {
        write_known_rows(&metadata, write, physical, task, storage, &progress, order).await
    } else {
        write_files(&metadata, write, physical, task, storage, &progress, order).await
    }
}

async fn commit_group(
    target: &TableTarget,
    write: WriteId,
    operation: Operation,
    added: Vec<DataFile>,
    context: &Context,
) -> Result<()> {
    let catalog = Arc::clone(context.catalog());
    let mut transaction = catalog.begin(context.scope.principal.role);
    transaction.write_table(target.write(write, operation, added));
    commit_files(transaction, write, context).await
}
