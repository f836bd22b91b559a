//! From what may be done to how: queries become logical plans over the tables of this statement alone, and
//! definitions become changes ready to be made. Nothing is read but metadata, and nothing is written.
//! Next: `query.rs`, then `../execute/mod.rs`.

mod aggregated;
mod agreed;
mod alter;
mod assign;
mod change;
mod changes;
mod characters;
mod constraint;
mod copy;
mod correlation;
mod define;
mod distinct;
mod domain;
mod errors;
mod expanded;
mod lateral;
mod membership;
mod moment;
mod names;
mod nested;
mod normalize;
mod null_aware;
mod overflow;
mod physical;
mod query;
mod schema;
mod seen;
mod spread;
mod truth;
mod values;
mod write;

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use tarn_catalog::{Catalog, LAKE, Reading, RelationId, Transaction};

pub(crate) use alter::{AlterPlan, Proof, sort_fields};
pub(crate) use change::{ChangeKind, ChangePlan, FRONT, RowAction};
pub(crate) use constraint::shown_name;
pub(crate) use copy::{CopyFile, CopyPlan, check_columns};
pub(crate) use define::{TablePlan, ViewPlan};
pub(crate) use errors::engine_error;
pub(crate) use membership::ThreeValuedMembership;
pub(crate) use moment::time_ms;
pub(crate) use null_aware::WholeNotIn;
pub(crate) use overflow::CheckedArithmetic;
pub(crate) use physical::StatementPlanner;
pub(crate) use query::{QueryPlan, plan_query, plan_with, provider};
pub(crate) use seen::{Seen, SeenColumn};
pub(crate) use write::InsertPlan;

use crate::advisory::LockOwner;
use crate::authorize::Authorized;
use crate::copy::CopyOptions;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::functions::StatementFunctions;
use crate::notify::Outbox;
use crate::resolve::{Action, DATABASE, Scope};
use crate::settings::Settings;
use crate::statement::Declare;
use crate::stop::Stop;
use crate::system::{SystemContext, Wanted};
use crate::table::ColumnCache;
use crate::transaction::{self, Isolation, SharedBlock};

/// What one statement works with.
#[derive(Clone)]
pub(crate) struct Context {
    pub engine: Arc<Engine>,
    /// The query engine's state for this statement.
    pub state: SessionState,
    /// What may be called.
    pub functions: StatementFunctions,
    pub scope: Scope,
    pub stop: Stop,
    /// The transaction that the statement is part of; without one it commits by itself.
    pub block: Option<SharedBlock>,
    isolation: Isolation,
    pub read_only: bool,
    /// Whether the statement is done again in the turn of the table that it changes.
    pub in_turn: bool,
    /// The tables whose rows must not have changed when the statement commits.
    pub reads: Vec<(RelationId, Reading)>,
    /// What system tables and catalog functions may know.
    pub system: Arc<SystemContext>,
    /// Whether joins are put into the cheapest order, by the setting `enable_join_reorder`.
    pub reorder_joins: bool,
}

impl Context {
    pub fn new(
        engine: Arc<Engine>,
        scope: Scope,
        settings: &Settings,
        backend_pid: i32,
        outbox: Outbox,
        locks: LockOwner,
    ) -> Result<Context> {
        let system = Arc::new(SystemContext {
            reader: scope.reader.clone(),
            principal: scope.principal.clone(),
            catalog: LAKE,
            database: DATABASE.to_owned(),
            search_path: scope.path_names(),
            temporary: scope.temporary.clone(),
            settings: Arc::new(settings.rows()),
            wanted: Wanted::default(),
            version: format!("PostgreSQL 15.0 (Tarn {})", engine.version()),
            backend_pid,
            server_started_at_ms: engine.started_at_ms(),
            outbox,
            locks,
            probes: Arc::clone(engine.probes()),
            sessions: Arc::clone(engine.sessions()),
        });
        let mut state = engine.state();
        state.config_mut().options_mut().execution.time_zone = Some(settings.time_zone());
        state.execution_props_mut().query_execution_start_time = now(&engine);
        let options = Arc::clone(state.config_options());
        state.execution_props_mut().config_options = Some(options);
        if !settings.is_on("enable_column_cache") {
            state.config_mut().set_extension(ColumnCache::new(0));
        }
        let options = Arc::clone(state.config_options());
        let functions = StatementFunctions::new(Arc::clone(engine.functions()), Arc::clone(&system), options);
        let is = |setting: &str, value: &str| settings.get(setting).is_ok_and(|found| found == value);
        let serializable = is(transaction::ISOLATION, "serializable");
        Ok(Context {
            engine,
            state,
            functions,
            scope,
            stop: Stop::default(),
            block: None,
            isolation: if serializable { Isolation::Serializable } else { Isolation::Snapshot },
            read_only: is(transaction::READ_ONLY, "on"),
            in_turn: false,
            reads: Vec::new(),
            system,
            reorder_joins: settings.is_on("enable_join_reorder"),
        })
    }

    /// Keeps what the statement reads, for its own commit or for that of its transaction.
    pub async fn remember_reads(&mut self, reads: Vec<(RelationId, Reading)>) {
        let Some(block) = &self.block else {
            self.reads = reads;
            return;
        };
        if let Some(block) = block.lock().await.as_mut() {
            for (relation, reading) in reads {
                block.assume_rows_unchanged(relation, reading);
            }
        }
    }

    /// What the user asked for. A statement that changes rows may be stricter by itself.
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// A transaction on the version that the statement reads.
    pub fn begin(&self) -> Transaction {
        let mut begun = self.catalog().begin_at(self.scope.reader.clone(), self.scope.principal.role);
        for (relation, reading) in &self.reads {
            begun.assume_rows_unchanged(*relation, *reading);
        }
        if self.in_turn {
            begun.in_turn();
        }
        begun
    }

    pub fn catalog(&self) -> &Arc<Catalog> {
        self.engine.catalog()
    }
}

/// One time for all of a statement, from the one clock.
fn now(engine: &Engine) -> Option<chrono::DateTime<chrono::Utc>> {
    chrono::DateTime::from_timestamp_millis(engine.catalog().env().now_ms())
}

/// How a statement will be done.
pub(crate) struct Plan {
    pub kind: PlanKind,
    /// What the user should be told beside the result.
    pub notices: Vec<String>,
}

impl Plan {
    /// What is asked, if that is all there is.
    pub fn query(&self) -> Option<&LogicalPlan> {
        match &self.kind {
            PlanKind::Query(query) if self.notices.is_empty() => Some(&query.logical),
            _ => None,
        }
    }
}

/// One way of doing for each kind of statement.
pub(crate) enum PlanKind {
    Query(QueryPlan),
    Declare(Declare, QueryPlan),
    Explain {
        analyze: bool,
        verbose: bool,
        /// What is done with the rows, unless they are the answer.
        header: Option<String>,
        plan: LogicalPlan,
        /// The statement, if it changes rows.
        change: Option<Box<ChangePlan>>,
    },
    Insert(Box<InsertPlan>),
    Change(Box<ChangePlan>),
    CopyFrom(Box<CopyPlan>),
    CopyTo {
        copied: Box<PlanKind>,
        options: CopyOptions,
        file: Option<CopyFile>,
    },
    /// Rows of a file, and a tag of their own.
    Load(Box<InsertPlan>),
    CreateTable(Box<TablePlan>),
    CreateView(Box<ViewPlan>),
    AlterTable(Box<AlterPlan>),
    /// Needs no planning: what it does is what it says.
    Direct(Action),
}

/// The types of a statement's parameters and result.
pub(crate) struct Described {
    pub parameters: Vec<DataType>,
    pub columns: Option<SchemaRef>,
}

/// Plans a statement with the values of its parameters.
pub(crate) async fn plan(authorized: Authorized, context: &Context, parameters: &[ArrayRef]) -> Result<Plan> {
    let (action, notices) = authorized.into_parts();
    Ok(Plan { kind: plan_action(action, context, parameters).await?, notices })
}

async fn plan_action(action: Action, context: &Context, parameters: &[ArrayRef]) -> Result<PlanKind> {
    let types = parameters.iter().map(|value| Some(value.data_type().clone())).collect::<Vec<_>>();
    Ok(match action {
        Action::Query(query) => {
            PlanKind::Query(query::plan_query(&query, context, &types).await?.bind(parameters)?)
        }
        Action::Declare { declare, query } => {
            let plan = query::plan_query(&query, context, &types).await?.bind(parameters)?;
            PlanKind::Declare(declare, plan)
        }
        Action::Explain { analyze, verbose, action } => {
            let planned = Box::pin(plan_action(*action, context, parameters)).await?;
            let (header, plan, change) = explained(planned)?;
            PlanKind::Explain { analyze, verbose, header, plan, change }
        }
        Action::Insert { target, columns, source, overwrite } => {
            let insert =
                write::plan_insert(target, &columns, source.as_ref(), overwrite, context, &types).await?;
            PlanKind::Insert(Box::new(insert.bind(parameters)?))
        }
        Action::Change(change) => {
            let plan = change::plan_change(*change, context, &types).await?;
            PlanKind::Change(Box::new(plan.bind(parameters)?))
        }
        Action::CopyFrom(copy) => PlanKind::CopyFrom(Box::new(copy::plan_copy_from(*copy, context).await?)),
        Action::CopyTo { action, options, file } => {
            let copied = Box::pin(plan_action(*action, context, parameters)).await?;
            let file = file.map(|file| copy::plan_file(&file, context)).transpose()?;
            PlanKind::CopyTo { copied: Box::new(copied), options, file }
        }
        Action::Load { target, columns, source } => {
            let insert = write::plan_insert(target, &columns, Some(&source), false, context, &types).await?;
            PlanKind::Load(Box::new(insert))
        }
        Action::CreateTable { namespace, existing, table, objects, query } => {
            let plan = define::plan_table(namespace, existing, *table, objects, query, context).await?;
            PlanKind::CreateTable(Box::new(plan))
        }
        Action::CreateView { namespace, existing, view, search_path, query } => {
            let plan = define::plan_view(namespace, existing, *view, search_path, query, context).await?;
            PlanKind::CreateView(Box::new(plan))
        }
        Action::AlterTable { target, actions, objects } => {
            PlanKind::AlterTable(Box::new(alter::plan_alter(target, actions, objects, context)?))
        }
        direct => PlanKind::Direct(direct),
    })
}

/// What an explained statement does with the rows of its plan, the plan, and the statement if it changes rows.
fn explained(planned: PlanKind) -> Result<(Option<String>, LogicalPlan, Option<Box<ChangePlan>>)> {
    match planned {
        PlanKind::Query(query) => Ok((None, query.logical, None)),
        PlanKind::Insert(insert) => {
            let word = if insert.overwrite { "Overwrite" } else { "Insert on" };
            Ok((Some(format!("{word} {}", insert.target.found.qualified())), insert.input, None))
        }
        PlanKind::Change(change) => {
            let word = match change.kind {
                ChangeKind::Delete => "Delete on",
                ChangeKind::Update => "Update on",
                ChangeKind::Merge => "Merge on",
                ChangeKind::Insert => "Insert on",
                ChangeKind::Overwrite => "Overwrite",
            };
            let header = format!("{word} {}", change.target.found.qualified());
            Ok((Some(header), change.input.clone(), Some(change)))
        }
        PlanKind::CreateTable(table) => {
            let header = format!("Create table {}", table.relation.name);
            let input = table.input.ok_or_else(|| Error::unsupported("EXPLAIN of a table WITH NO DATA"))?;
            Ok((Some(header), input, None))
        }
        PlanKind::Explain { .. }
        | PlanKind::CopyFrom(_)
        | PlanKind::Load(_)
        | PlanKind::CopyTo { .. }
        | PlanKind::Declare(..)
        | PlanKind::CreateView(_)
        | PlanKind::AlterTable(_)
        | PlanKind::Direct(_) => Err(Error::unsupported("EXPLAIN of this statement")),
    }
}

/// Finds the types of a statement's parameters and result.
pub(crate) async fn describe(
    authorized: Authorized,
    context: &Context,
    types: &[Option<DataType>],
) -> Result<Described> {
    let (action, _) = authorized.into_parts();
    match action {
        Action::Query(query) => query::plan_query(&query, context, types).await?.describe(types),
        Action::Declare { declare: _, query } => {
            let described = query::plan_query(&query, context, types).await?.describe(types)?;
            Ok(Described { columns: None, ..described })
        }
        Action::Insert { target, columns, source, overwrite } => {
            let insert = write::plan_insert(target, &columns, source.as_ref(), overwrite, context, types);
            insert.await?.describe(types)
        }
        Action::Change(change) => change::plan_change(*change, context, types).await?.describe(types),
        other => {
            let columns = crate::execute::result_columns(&other);
            Ok(Described { parameters: Vec::new(), columns })
        }
    }
}
