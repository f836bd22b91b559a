//! Queries: the planner is handed a catalog made only of this statement's relations, all pinned to one version.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::catalog::{TableFunctionArgs, TableProvider};
use datafusion::common::config::ConfigOptions;
use datafusion::common::metadata::{FieldMetadata, ScalarAndMetadata};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{
    DFSchema, ParamValues, Result as EngineResult, ScalarValue, TableReference, plan_datafusion_err,
};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::execution::SessionState;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner, TypePlanner};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprSchemable, HigherOrderUDF, LogicalPlan, LogicalPlanBuilder, ScalarUDF,
    TableSource, WindowUDF, lit,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use datafusion::sql::sqlparser::ast::{Query, Statement};
use futures::future::BoxFuture;
use tarn_catalog::access::Principal;
use tarn_catalog::object::View;

use super::agreed::agreed;
use super::{Context, Described, changes, engine_error, moment, names, normalize};
use crate::error::{Error, Result};
use crate::files;
use crate::functions::StatementFunctions;
use crate::inspect::metadata_table;
use crate::resolve::{ResolvedQuery, ResolvedRelation, TableTarget};
use crate::sqlstate::SqlState;
use crate::system;
use crate::table::{IcebergTable, hidden};
use crate::types;

/// What a table is called inside the plan that adds to its columns.
const TABLE: &str = "rows";

/// A query's plan and the names that its columns are shown under.
pub(crate) struct QueryPlan {
    pub logical: LogicalPlan,
    /// One per column, as PostgreSQL would name them; two may be equal.
    pub names: Vec<String>,
}

impl QueryPlan {
    /// The same plan with the values of its parameters.
    pub fn bind(self, parameters: &[ArrayRef]) -> Result<QueryPlan> {
        Ok(QueryPlan { logical: bind(self.logical, parameters)?, names: self.names })
    }

    /// The types of parameters and result.
    pub fn describe(self, given: &[Option<DataType>]) -> Result<Described> {
        let parameters = parameter_types(&self.logical, given)?;
        Ok(Described { parameters, columns: Some(self.schema()) })
    }

    /// The result's columns under the names they are shown with.
    pub fn schema(&self) -> SchemaRef {
        self.schema_as(&self.names)
    }

    /// The result's columns under other names, in the types that they have when the branches of CASE and UNION have
    /// agreed on one of their kind. Before all parameters are known that may fail, and they have the first branch's.
    pub fn schema_as(&self, names: &[String]) -> SchemaRef {
        let first = self.logical.schema().as_arrow();
        let Ok(agreed) = agreed(&self.logical) else { return renamed(first, names) };
        let field = |(first, agreed): (&FieldRef, &FieldRef)| {
            let types = (first.data_type(), agreed.data_type());
            if is_kin(types) { Arc::clone(agreed) } else { Arc::clone(first) }
        };
        let fields = first.fields().iter().zip(agreed.schema().fields()).map(field);
        renamed(&Schema::new(fields.collect::<Vec<FieldRef>>()), names)
    }
}

/// Whether PostgreSQL has values of the two types meet without a cast: numbers, or days and times.
fn is_kin(types: (&DataType, &DataType)) -> bool {
    match types {
        (DataType::Null, _) => true,
        (DataType::Date32 | DataType::Timestamp(..), DataType::Timestamp(..)) => true,
        (first, agreed) => first.is_numeric() && agreed.is_numeric(),
    }
}

/// The same columns under other names, with the types they are shown as: what the engine counts without a sign,
/// such as `row_number()`, is a bigint in PostgreSQL.
pub(crate) fn renamed(schema: &Schema, names: &[String]) -> SchemaRef {
    let field = |(field, name): (&FieldRef, &String)| {
        let field = field.as_ref().clone().with_name(name);
        Arc::new(match field.data_type() {
            DataType::UInt64 => field.with_data_type(DataType::Int64),
            _ => field,
        })
    };
    let fields: Vec<FieldRef> = schema.fields().iter().zip(names).map(field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// Plans a query for the session's user.
pub(crate) async fn plan_query(
    query: &ResolvedQuery,
    context: &Context,
    types: &[Option<DataType>],
) -> Result<QueryPlan> {
    let tables = tables(query, context, &context.scope.principal).await?;
    let mut planner = planner_context(types);
    plan_with(&query.query, context, tables, &mut planner)
}

/// What is known of the parameters' types.
pub(crate) fn planner_context(types: &[Option<DataType>]) -> PlannerContext {
    let field = |data_type: &Option<DataType>| {
        let data_type = data_type.clone()?;
        Some(Arc::new(Field::new("parameter", data_type, true)))
    };
    PlannerContext::new().with_prepare_param_data_types(types.iter().map(field).collect())
}

/// Plans a query over tables that are there already.
pub(crate) fn plan_with(
    query: &Query,
    context: &Context,
    tables: HashMap<TableReference, Arc<dyn TableSource>>,
    planner: &mut PlannerContext,
) -> Result<QueryPlan> {
    let mut query = query.clone();
    let shown = names::name_outputs(&mut query);
    normalize::normalize(&mut query);
    let provider = StatementTables { state: &context.state, functions: &context.functions, tables };
    let options = ParserOptions::from(&context.state.config_options().sql_parser);
    let to_plan = SqlToRel::new_with_options(&provider, options);
    let statement = Statement::Query(Box::new(query));
    let logical = to_plan.sql_statement_to_plan_with_context(statement, planner).map_err(engine_error)?;
    let names = shown.expand(logical.schema().as_arrow());
    Ok(QueryPlan { logical, names })
}

/// Something to scan for each relation that the query names, read with the rights of `principal`.
pub(crate) fn tables<'a>(
    query: &'a ResolvedQuery,
    context: &'a Context,
    principal: &'a Principal,
) -> BoxFuture<'a, Result<HashMap<TableReference, Arc<dyn TableSource>>>> {
    Box::pin(async move {
        let mut tables = HashMap::new();
        for (reference, relation) in &query.relations {
            let provider = provider(relation, context, principal).await?;
            tables.insert(reference.clone(), provider_as_source(provider));
        }
        Ok(tables)
    })
}

/// The table that a statement changes, each row with its place.
pub(crate) fn changed_table(target: &TableTarget, context: &Context) -> Result<Arc<dyn TableSource>> {
    let table =
        IcebergTable::new(target.state()?, Arc::clone(context.catalog().storage()))?.with_row_columns()?;
    Ok(provider_as_source(Arc::new(table)))
}

/// One relation as the query engine scans it.
pub(crate) async fn provider(
    relation: &ResolvedRelation,
    context: &Context,
    principal: &Principal,
) -> Result<Arc<dyn TableProvider>> {
    let storage = context.catalog().storage();
    match relation {
        ResolvedRelation::Reading(reading) if reading.about.is_some() => {
            let state = moment::state_at(&reading.version, &reading.at, context)?;
            let missing = || Error::internal("a metadata table is about nothing");
            metadata_table(reading.about.ok_or_else(missing)?, state, Arc::clone(storage))
        }
        ResolvedRelation::Table { .. } | ResolvedRelation::Reading(_) => {
            Ok(Arc::new(iceberg_table(relation, context)?))
        }
        ResolvedRelation::Rows { relation, columns } => {
            rows_provider(relation, columns, context, principal).await
        }
        ResolvedRelation::Changes(reading) => changes::provider(reading, context).await,
        ResolvedRelation::External { found: _, external } => {
            files::external_table(external, &[], storage, &context.state).await
        }
        ResolvedRelation::View { found: _, view, owner, query } => {
            view_provider(view, owner, query, context).await
        }
        ResolvedRelation::System { schema, name } => {
            let missing = || Error::internal(format!("system table {schema}.{name} is not there any more"));
            system::system_table(schema, name, &context.system).ok_or_else(missing)
        }
        ResolvedRelation::Files { function, arguments } => {
            files::read_files(*function, arguments, principal, storage, &context.state).await
        }
    }
}

/// A table with some of its hidden columns.
async fn rows_provider(
    relation: &ResolvedRelation,
    columns: &[&'static str],
    context: &Context,
    principal: &Principal,
) -> Result<Arc<dyn TableProvider>> {
    let scanned: Vec<&'static str> =
        columns.iter().copied().filter(|column| *column != hidden::TABLE_OID).collect();
    let table: Arc<dyn TableProvider> = match relation {
        _ if scanned.is_empty() => Box::pin(provider(relation, context, principal)).await?,
        ResolvedRelation::External { found: _, external } => {
            files::external_table(external, &scanned, context.catalog().storage(), &context.state).await?
        }
        _ => Arc::new(iceberg_table(relation, context)?.with_hidden(&scanned)?),
    };
    if scanned.len() == columns.len() {
        return Ok(table);
    }
    let missing = || Error::internal("only a table has an OID");
    let oid = lit(i64::from(relation.table_oid().ok_or_else(missing)?));
    let mark = HashMap::from([(types::TYPE_KEY.to_string(), types::OID_MARK.to_string())]);
    let oid = oid.alias_with_metadata(hidden::TABLE_OID, Some(FieldMetadata::from(mark)));
    let with_oid = LogicalPlanBuilder::scan(TABLE, provider_as_source(table), None).and_then(|scan| {
        let own = scan.schema().columns().into_iter().map(Expr::Column);
        let columns: Vec<Expr> = own.chain([oid]).collect();
        scan.project(columns)?.build()
    });
    Ok(Arc::new(ViewTable::new(with_oid.map_err(engine_error)?, None)))
}

/// A table in the state that the query reads.
fn iceberg_table(relation: &ResolvedRelation, context: &Context) -> Result<IcebergTable> {
    let state = match relation {
        ResolvedRelation::Table { found: _, state } => state.clone(),
        ResolvedRelation::Reading(reading) => moment::state_at(&reading.version, &reading.at, context)?,
        _ => return Err(Error::internal("only a table has hidden columns")),
    };
    IcebergTable::new(state, Arc::clone(context.catalog().storage()))
}

/// A view's query, under the names and with the number of columns it was defined with.
async fn view_provider(
    view: &View,
    owner: &Principal,
    query: &ResolvedQuery,
    context: &Context,
) -> Result<Arc<dyn TableProvider>> {
    let tables = tables(query, context, owner).await?;
    let planned = plan_with(&query.query, context, tables, &mut PlannerContext::new())?;
    let fields = planned.logical.schema().columns();
    if fields.len() < view.columns.len() {
        let message = "a view has lost columns: a table that it reads was changed";
        return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message)
            .with_hint("Define it anew with CREATE OR REPLACE VIEW."));
    }
    let named = view.columns.iter().zip(fields);
    let expressions = named.map(|(column, field)| Expr::Column(field).alias(column.name.clone()));
    let projected = LogicalPlanBuilder::from(planned.logical).project(expressions).and_then(|b| b.build());
    Ok(Arc::new(ViewTable::new(projected.map_err(engine_error)?, Some(view.sql.clone()))))
}

/// Fills in the parameters.
pub(crate) fn bind(plan: LogicalPlan, parameters: &[ArrayRef]) -> Result<LogicalPlan> {
    if parameters.is_empty() {
        return Ok(plan);
    }
    let value = |array: &ArrayRef| ScalarValue::try_from_array(array, 0).map(ScalarAndMetadata::from);
    let values = parameters.iter().map(value).collect::<EngineResult<Vec<_>>>().map_err(engine_error)?;
    plan.replace_params_with_values(&ParamValues::List(values)).map_err(engine_error)
}

/// The types of all parameters: those given, those found by the planner, those that a cast names, and text.
pub(crate) fn parameter_types(plan: &LogicalPlan, given: &[Option<DataType>]) -> Result<Vec<DataType>> {
    let found = plan.get_parameter_types().map_err(engine_error)?;
    let cast = cast_types(plan).map_err(engine_error)?;
    let number = |id: &str| id.trim_start_matches('$').parse::<usize>().ok();
    let count = found.keys().filter_map(|id| number(id)).max().unwrap_or(0).max(given.len());
    let data_type = |place: usize| {
        let id = format!("${}", place + 1);
        let given = given.get(place).cloned().flatten();
        let found = given.or_else(|| found.get(&id).cloned().flatten());
        found.or_else(|| cast.get(&id).cloned()).unwrap_or(DataType::Utf8)
    };
    Ok((0..count).map(data_type).collect())
}

/// `$1::bigint` says what the parameter is, and so does `LIMIT $1`.
fn cast_types(plan: &LogicalPlan) -> EngineResult<HashMap<String, DataType>> {
    let mut types = HashMap::new();
    plan.apply_with_subqueries(|plan| {
        if let LogicalPlan::Limit(limit) = plan {
            for count in [&limit.fetch, &limit.skip].into_iter().flatten() {
                if let Expr::Placeholder(placeholder) = count.as_ref() {
                    types.insert(placeholder.id.clone(), DataType::Int64);
                }
            }
        }
        plan.apply_expressions(|expression| {
            expression.apply(|expression| {
                let found = cast_parameter(expression).or_else(|| member_parameter(expression, plan));
                if let Some((id, data_type)) = found {
                    types.entry(id).or_insert(data_type);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(types)
}

/// `x = ANY($1)` says that the parameter is a list of what `x` is.
fn member_parameter(expression: &Expr, plan: &LogicalPlan) -> Option<(String, DataType)> {
    let Expr::ScalarFunction(function) = expression else { return None };
    let [Expr::Placeholder(list), element] = &function.args[..] else { return None };
    if function.func.name() != "array_has" {
        return None;
    }
    let element = plan.inputs().into_iter().find_map(|input| element.get_type(input.schema()).ok())?;
    Some((list.id.clone(), DataType::new_list(element, true)))
}

/// A cast of a parameter; that to uuid is a function.
fn cast_parameter(expression: &Expr) -> Option<(String, DataType)> {
    let (inner, data_type) = match expression {
        Expr::Cast(cast) => (cast.expr.as_ref(), cast.field.data_type().clone()),
        Expr::ScalarFunction(function) if function.func.name() == "to_uuid" => {
            (function.args.first()?, DataType::FixedSizeBinary(16))
        }
        Expr::ScalarFunction(function) if function.func.name() == "to_oids" => match function.args.first()? {
            Expr::Cast(cast) => (cast.expr.as_ref(), types::oids()),
            _ => return None,
        },
        _ => return None,
    };
    match inner {
        Expr::Placeholder(placeholder) => Some((placeholder.id.clone(), data_type)),
        _ => None,
    }
}

/// Table functions take whole numbers of one width.
fn wide(arg: Expr) -> EngineResult<Expr> {
    match arg {
        Expr::Literal(number, metadata) if number.data_type().is_integer() => {
            Ok(Expr::Literal(number.cast_to(&DataType::Int64)?, metadata))
        }
        other => Ok(other),
    }
}

/// The planner's view of the world: the relations of one statement, and the functions.
struct StatementTables<'a> {
    state: &'a SessionState,
    functions: &'a StatementFunctions,
    tables: HashMap<TableReference, Arc<dyn TableSource>>,
}

impl ContextProvider for StatementTables<'_> {
    fn get_table_source(&self, name: TableReference) -> EngineResult<Arc<dyn TableSource>> {
        self.tables
            .get(&name)
            .cloned()
            .ok_or_else(|| plan_datafusion_err!("relation \"{name}\" does not exist"))
    }

    fn get_table_function_source(&self, name: &str, args: Vec<Expr>) -> EngineResult<Arc<dyn TableSource>> {
        let function = self.functions.table(name);
        let function = function.ok_or_else(|| plan_datafusion_err!("table function '{name}' not found"))?;
        let simplify = SimplifyContext::builder()
            .with_config_options(Arc::clone(self.state.config_options()))
            .with_query_execution_start_time(self.state.execution_props().query_execution_start_time)
            .build();
        let simplifier = ExprSimplifier::new(simplify);
        let schema = DFSchema::empty();
        let simple = |arg| simplifier.coerce(arg, &schema).and_then(|arg| simplifier.simplify(arg));
        let args = args.into_iter().map(|arg| simple(arg).and_then(wide));
        let args = args.collect::<EngineResult<Vec<_>>>()?;
        let provider = function.create_table_provider_with_args(TableFunctionArgs::new(&args, self.state))?;
        Ok(provider_as_source(provider))
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> EngineResult<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        self.state.relation_planners()
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        None
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.functions.scalar(name)
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.functions.higher_order(name)
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.functions.aggregate(name)
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.functions.window(name)
    }

    fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.functions.scalar_names()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.functions.higher_order_names()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.functions.aggregate_names()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.functions.window_names()
    }
}
