//! `system.table_changes`: which rows came, went and changed, snapshot by snapshot. Each snapshot is compared with the one
//! before it, by the files that it added and removed and by the rows that it deleted in files which stayed:
//!
//! ```text
//! added    rows of new files                       -> insert
//! removed  rows that files had which are gone      -> delete
//! before   rows of files that got new deletes,     -> delete, unless they are still there ("after")
//! ```
//!
//! A file that was written again holds most of its rows unchanged. In format version 3 a row keeps its number, so what
//! went and came under one number is an update, or nothing; in version 2 equal rows cancel each other out.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::{ScalarValue, TableReference};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, TableSource};
use datafusion::sql::planner::PlannerContext;
use datafusion::sql::sqlparser::ast::Expr;
use iceberg::spec::{Operation, SnapshotRef, TableMetadata, Type};
use tarn_catalog::TableVersion;
use tarn_catalog::iceberg::{LiveFile, SnapshotChanges, TableState, snapshot_changes, snapshot_files};
use tarn_catalog::name::quote;
use tarn_catalog::storage::Storage;

use super::{Context, engine_error, moment, query};
use crate::error::{Error, Result};
use crate::parse::parse_query;
use crate::resolve::{ChangesReading, state_of_suffix};
use crate::sqlstate::SqlState;
use crate::table::IcebergTable;

/// Snapshots that one call compares; more would make a plan that takes longer to make than to run.
const SNAPSHOTS_MAX: usize = 500;

/// The changes as a relation.
pub(super) async fn provider(reading: &ChangesReading, context: &Context) -> Result<Arc<dyn TableProvider>> {
    let version = &reading.version;
    let to = match &reading.to {
        Some(to) => state(version, to, context)?,
        None => Some(TableState::current(Arc::clone(version))),
    };
    let to = to.unwrap_or_else(|| TableState::current(Arc::clone(version)));
    let from = state(version, &reading.from, context)?.and_then(|state| state.snapshot_id);
    let snapshots = between(&version.metadata, from, to.snapshot_id)?;
    let storage = context.catalog().storage();
    let mut union = LogicalPlanBuilder::from(nothing(&to, storage, context)?);
    for (ordinal, snapshot) in snapshots.into_iter().enumerate() {
        let step = Step { to: &to, snapshot: &snapshot, ordinal, storage };
        if let Some(plan) = step.plan(context).await? {
            union = union.union(plan).map_err(engine_error)?;
        }
    }
    let plan = union.build().map_err(engine_error)?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

/// The state that an argument names: a snapshot, a branch or tag, or a time. None for NULL.
fn state(version: &Arc<TableVersion>, argument: &Expr, context: &Context) -> Result<Option<TableState>> {
    let version = Arc::clone(version);
    let of_time = |version| Ok(Some(TableState::as_of(version, moment::time_ms(argument, context)?)?));
    match moment::constant(argument, context)? {
        null if null.is_null() => Ok(None),
        ScalarValue::Utf8(Some(name)) | ScalarValue::Utf8View(Some(name)) => {
            match state_of_suffix(Arc::clone(&version), &name) {
                Ok(state) => Ok(Some(state)),
                Err(error) => of_time(version).map_err(|_: Error| error),
            }
        }
        number if number.data_type().is_integer() => match number.to_string().parse() {
            Ok(snapshot_id) => Ok(Some(TableState::of_snapshot(version, snapshot_id)?)),
            Err(_) => Err(Error::internal(format!("{number} is not a whole number"))),
        },
        _ => of_time(version),
    }
}

/// The snapshots after `from` up to `to`, oldest first, without those that only wrote the same rows anew.
fn between(metadata: &TableMetadata, from: Option<i64>, to: Option<i64>) -> Result<Vec<SnapshotRef>> {
    let mut found = Vec::new();
    let mut next = to;
    while next != from {
        let Some(id) = next else {
            let message = "the snapshot to begin after is not before the one to end with";
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
                .with_hint("Both must be of one branch, the older one first."));
        };
        let Some(snapshot) = metadata.snapshot_by_id(id) else {
            let message = format!("snapshot {id}, which lies between, has expired");
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).with_hint(
                "Begin with a snapshot that is still there; the table named with $snapshots lists them.",
            ));
        };
        next = snapshot.parent_snapshot_id();
        if snapshot.summary().operation != Operation::Replace {
            found.push(Arc::clone(snapshot));
        }
        if found.len() > SNAPSHOTS_MAX {
            let message = format!("more than {SNAPSHOTS_MAX} snapshots lie between");
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
                .with_hint("Ask for the changes in several steps."));
        }
    }
    found.reverse();
    Ok(found)
}

/// No changes, with the columns of changes.
fn nothing(to: &TableState, storage: &Arc<Storage>, context: &Context) -> Result<LogicalPlan> {
    let empty = TableState { snapshot_id: None, ..to.clone() };
    let table = IcebergTable::new(empty, Arc::clone(storage))?;
    let tables = HashMap::from([source("added", table)]);
    let text = format!("SELECT {}, {} FROM added", columns(to, ""), marks("insert", 0, 0, 0));
    planned(&text, tables, context)
}

fn source(name: &'static str, table: IcebergTable) -> (TableReference, Arc<dyn TableSource>) {
    (TableReference::bare(name), provider_as_source(Arc::new(table)))
}

fn planned(
    text: &str,
    tables: HashMap<TableReference, Arc<dyn TableSource>>,
    context: &Context,
) -> Result<LogicalPlan> {
    Ok(query::plan_with(&*parse_query(text)?, context, tables, &mut PlannerContext::new())?.logical)
}

/// The table's columns, each after `prefix`.
fn columns(to: &TableState, prefix: &str) -> String {
    let fields = to.schema.as_struct().fields().iter();
    fields.map(|field| format!("{prefix}{0} AS {0}", quoted(&field.name))).collect::<Vec<_>>().join(", ")
}

/// Always in quotes: a column may be called like a keyword.
fn quoted(name: &str) -> String {
    match quote(name) {
        plain if plain == name => format!("\"{name}\""),
        quoted => quoted,
    }
}

fn marks(change: &str, ordinal: usize, snapshot_id: i64, at_ms: i64) -> String {
    let micros = at_ms.saturating_mul(1000);
    format!(
        "'{change}' AS _change_type, CAST({ordinal} AS bigint) AS _change_ordinal, \
         CAST({snapshot_id} AS bigint) AS _commit_snapshot_id, \
         arrow_cast(CAST({micros} AS bigint), 'Timestamp(Microsecond, Some(\"UTC\"))') AS _commit_timestamp"
    )
}

/// One snapshot against the one before it.
struct Step<'a> {
    to: &'a TableState,
    snapshot: &'a SnapshotRef,
    ordinal: usize,
    storage: &'a Arc<Storage>,
}

impl Step<'_> {
    async fn plan(&self, context: &Context) -> Result<Option<LogicalPlan>> {
        let metadata = &self.to.version.metadata;
        let id = self.snapshot.snapshot_id();
        let changes = snapshot_changes(self.storage, metadata, id).await?;
        let urls = |files: &[LiveFile]| -> Vec<String> {
            files.iter().map(|live| live.file.file_path().to_owned()).collect()
        };
        let (added, removed) = (urls(&changes.added), urls(&changes.removed));
        let touched = self.touched(&changes).await?;
        if added.is_empty() && removed.is_empty() && touched.is_empty() {
            return Ok(None);
        }
        let parent = self.snapshot.parent_snapshot_id();
        let mut tables = HashMap::new();
        tables.extend([source("added", self.files(Some(id), added.clone())?)]);
        if removed.is_empty() && touched.is_empty() {
            let text = format!("SELECT {}, {} FROM added", columns(self.to, ""), self.marks("insert"));
            return planned(&text, tables, context).map(Some);
        }
        tables.extend([
            source("removed", self.files(parent, removed)?),
            source("before", self.files(parent, touched.clone())?),
            source("after", self.files(Some(id), touched)?),
        ]);
        let text = match added.is_empty() {
            true => format!(
                "WITH d AS ({}) SELECT {}, {} FROM d",
                self.gone(),
                columns(self.to, ""),
                self.marks("delete")
            ),
            false if self.snapshot.first_row_id().is_some() => self.by_row_id(),
            false => self.by_value(),
        };
        planned(&text, tables, context).map(Some)
    }

    /// Data files that stayed and may have lost rows.
    async fn touched(&self, changes: &SnapshotChanges) -> Result<Vec<String>> {
        if changes.added_deletes.is_empty() {
            return Ok(Vec::new());
        }
        let Some(parent) = self.snapshot.parent_snapshot_id() else { return Ok(Vec::new()) };
        let removed: HashSet<&str> = changes.removed.iter().map(|live| live.file.file_path()).collect();
        let of_one_file: Option<HashSet<String>> =
            changes.added_deletes.iter().map(|delete| delete.file.referenced_data_file()).collect();
        let metadata = &self.to.version.metadata;
        let before = snapshot_files(self.storage, metadata, parent).await?.data;
        let stayed = before.iter().map(|live| live.file.file_path()).filter(|url| !removed.contains(url));
        let touched = stayed.filter(|url| of_one_file.as_ref().is_none_or(|files| files.contains(*url)));
        Ok(touched.map(str::to_owned).collect())
    }

    /// Some files as a snapshot has them, in the columns of the end.
    fn files(&self, snapshot_id: Option<i64>, urls: Vec<String>) -> Result<IcebergTable> {
        let state = TableState { snapshot_id, ..self.to.clone() };
        Ok(IcebergTable::new(state, Arc::clone(self.storage))?.with_row_columns()?.only_files(urls))
    }

    fn marks(&self, change: &str) -> String {
        marks(change, self.ordinal, self.snapshot.snapshot_id(), self.snapshot.timestamp_ms())
    }

    /// Rows that went, under the names of the table's columns and of the hidden ones.
    fn gone(&self) -> String {
        let hidden = "_row_id, _last_updated_sequence_number";
        format!(
            "SELECT {0}, {hidden} FROM removed UNION ALL SELECT {1}, b._row_id, b._last_updated_sequence_number \
             FROM before AS b WHERE NOT EXISTS (SELECT 1 FROM after AS a WHERE a._file = b._file AND a._pos = b._pos)",
            columns(self.to, ""),
            columns(self.to, "b."),
        )
    }

    /// What went and came under one row number is an update if the row was written by this snapshot, and nothing if it
    /// was only moved.
    fn by_row_id(&self) -> String {
        let (d, i) = (columns(self.to, "d."), columns(self.to, "i."));
        let changed = "i._row_id = d._row_id AND \
                       (i._last_updated_sequence_number IS DISTINCT FROM d._last_updated_sequence_number)";
        format!(
            "WITH d AS ({gone}), i AS (SELECT {all}, _row_id, _last_updated_sequence_number FROM added) \
             SELECT {d}, {delete} FROM d WHERE NOT EXISTS (SELECT 1 FROM i WHERE i._row_id = d._row_id) UNION ALL \
             SELECT {d}, {pre} FROM d JOIN i ON {changed} UNION ALL \
             SELECT {i}, {post} FROM i JOIN d ON {changed} UNION ALL \
             SELECT {i}, {insert} FROM i WHERE NOT EXISTS (SELECT 1 FROM d WHERE i._row_id = d._row_id)",
            gone = self.gone(),
            all = columns(self.to, ""),
            delete = self.marks("delete"),
            pre = self.marks("update_preimage"),
            post = self.marks("update_postimage"),
            insert = self.marks("insert"),
        )
    }

    /// A row that went and one just like it that came are one row that was moved. Maps cannot be compared, so rows with
    /// maps are shown going and coming.
    fn by_value(&self) -> String {
        let fields = self.to.schema.as_struct().fields();
        let comparable = !fields.iter().any(|field| has_map(&field.field_type));
        let names: Vec<String> = fields.iter().map(|field| quoted(&field.name)).collect();
        let number = match comparable {
            true => format!("row_number() OVER (PARTITION BY {})", names.join(", ")),
            false => "CAST(0 AS bigint)".to_owned(),
        };
        let same: Vec<String> =
            names.iter().map(|name| format!("(i.{name} IS NOT DISTINCT FROM d.{name})")).collect();
        let same = match comparable {
            true => format!("{} AND i.__n = d.__n", same.join(" AND ")),
            false => "false".to_owned(),
        };
        let all = columns(self.to, "");
        format!(
            "WITH d AS (SELECT {all}, {number} AS __n FROM ({gone}) AS g), \
             i AS (SELECT {all}, {number} AS __n FROM added) \
             SELECT {d}, {delete} FROM d WHERE NOT EXISTS (SELECT 1 FROM i WHERE {same}) UNION ALL \
             SELECT {i}, {insert} FROM i WHERE NOT EXISTS (SELECT 1 FROM d WHERE {same})",
            gone = self.gone(),
            d = columns(self.to, "d."),
            i = columns(self.to, "i."),
            delete = self.marks("delete"),
            insert = self.marks("insert"),
        )
    }
}

fn has_map(data_type: &Type) -> bool {
    match data_type {
        Type::Primitive(_) => false,
        Type::Struct(fields) => fields.fields().iter().any(|field| has_map(&field.field_type)),
        Type::List(list) => has_map(&list.element_field.field_type),
        Type::Map(_) => true,
    }
}
