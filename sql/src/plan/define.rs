//! `CREATE TABLE` and `CREATE VIEW`: the schema is settled here, before anything is written.

use std::collections::HashMap;

use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast;
use iceberg::spec::{FormatVersion, Schema, Type, UnboundPartitionSpec};
use tarn_catalog::iceberg::{Declared, identifying};
use tarn_catalog::object::{Namespace, View, ViewColumn};

use super::alter::{check_defaults, default_literal, format_version, property_name, sort_fields};
use super::constraint::Declaring;
use super::{Context, QueryPlan, query, schema};
use crate::error::{Error, Result};
use crate::resolve::{ConstraintObjects, Found, ResolvedQuery, TableTarget};
use crate::sqlstate::SqlState;
use crate::statement::{ConstraintRule, CreateTable, CreateView, SortTerm, TypeName};
use crate::table::iceberg_schema;
use crate::types;

/// Where something new goes.
pub(crate) struct NewRelation {
    pub namespace: Namespace,
    pub name: String,
    pub comment: Option<String>,
}

/// A table to be made.
pub(crate) struct TablePlan {
    pub relation: NewRelation,
    /// What `OR REPLACE` replaces.
    pub replaced: Option<TableTarget>,
    pub schema: iceberg::spec::Schema,
    pub partition: UnboundPartitionSpec,
    pub order: Vec<SortTerm>,
    pub properties: HashMap<String, String>,
    /// As the user gave it.
    pub location: Option<String>,
    pub format_version: FormatVersion,
    /// The query of a `CREATE TABLE AS`.
    pub input: Option<LogicalPlan>,
    /// Whether there was a query, for the command tag.
    pub from_query: bool,
    /// What the user should be told.
    pub notices: Vec<String>,
}

/// A view to be made.
pub(crate) struct ViewPlan {
    pub relation: NewRelation,
    pub replaced: Option<Found>,
    pub view: View,
}

pub(super) async fn plan_table(
    namespace: Namespace,
    replaced: Option<TableTarget>,
    mut table: CreateTable,
    objects: ConstraintObjects,
    query: Option<ResolvedQuery>,
    context: &Context,
) -> Result<TablePlan> {
    tarn_catalog::name::check_identifier(&table.name.name)?;
    let (mut input, mut columns) = (None, None);
    if let (Some(query), Some(text)) = (&query, &table.query) {
        let planned = query::plan_query(query, context, &[]).await?;
        refuse_parameters(&planned)?;
        columns = Some(query_columns(&planned, &text.column_names)?);
        input = text.with_data.then_some(planned.logical);
    }
    let mut options = Options::read(std::mem::take(&mut table.properties))?;
    require_keys(&mut table);
    check_defaults(&table.columns, options.format_version >= FormatVersion::V3)?;
    let default = |value: &ast::Expr, data_type: &Type| default_literal(value, data_type, context);
    let schema = match &columns {
        Some(columns) => iceberg_schema(columns)?,
        None => schema::schema(&table.columns, &default)?,
    };
    let mut notices = Vec::new();
    let marked = columns.as_deref();
    let (schema, declared) = declare(&mut table, schema, marked, objects, &mut notices, context)?;
    options.properties.extend(declared.properties());
    let partition = schema::partition_spec(&table.partitioning, &schema)?;
    // Checked here, where the mistake can be named; the ids of the terms are found when the table has its own.
    sort_fields(&table.order, &schema)?;
    let relation =
        NewRelation { namespace, name: table.name.name, comment: table.comment.or(options.comment) };
    Ok(TablePlan {
        relation,
        replaced,
        schema,
        partition,
        order: table.order,
        properties: options.properties,
        location: options.location,
        format_version: options.format_version,
        input,
        from_query: query.is_some(),
        notices,
    })
}

/// The columns of a primary key are never NULL.
fn require_keys(table: &mut CreateTable) {
    for constraint in &table.constraints {
        let ConstraintRule::PrimaryKey(names) = &constraint.rule else { continue };
        for column in table.columns.iter_mut().filter(|column| names.contains(&column.name)) {
            column.not_null = true;
        }
    }
}

/// What the table declares beyond Iceberg's schema, and the schema with its identifier fields.
fn declare(
    table: &mut CreateTable,
    schema: Schema,
    marked: Option<&arrow::datatypes::Schema>,
    mut objects: ConstraintObjects,
    notices: &mut Vec<String>,
    context: &Context,
) -> Result<(Schema, Declared)> {
    let mut declared = Declared::default();
    let fields = schema.as_struct().fields();
    for (field, column) in fields.iter().zip(&table.columns) {
        if let TypeName::Characters(characters) = &column.data_type {
            declared.types.insert(field.id, characters.to_string());
        }
    }
    // Columns of a query keep the lengths that they have where they come from.
    for (field, column) in fields.iter().zip(marked.iter().flat_map(|marked| marked.fields())) {
        declared.types.extend(types::characters(column).map(|characters| (field.id, characters.to_string())));
    }
    let mut constraints = std::mem::take(&mut table.constraints);
    // A foreign key may lead to a key of the same table. The order of the others, of which objects come, stays.
    constraints.sort_by_key(|constraint| matches!(constraint.rule, ConstraintRule::ForeignKey(_)));
    let (name, objects) = (&table.name.name, &mut objects);
    for constraint in constraints {
        let declared = &mut declared;
        Declaring { table: name, schema: &schema, declared, objects, notices }.add(constraint, context)?;
    }
    let key = declared.primary_key().map(|key| key.kind.columns());
    let Some(identifiers) = key.and_then(|columns| identifying(&schema, columns)) else {
        return Ok((schema, declared));
    };
    let schema = schema.into_builder().with_identifier_field_ids(identifiers).build();
    Ok((schema.map_err(tarn_catalog::Error::from)?, declared))
}

fn refuse_parameters(planned: &QueryPlan) -> Result<()> {
    if query::parameter_types(&planned.logical, &[])?.is_empty() {
        return Ok(());
    }
    let message = "a query that defines a table or view cannot have parameters";
    Err(Error::new(SqlState::UNDEFINED_PARAMETER, message))
}

/// The query's columns under the names the table shall have.
fn query_columns(planned: &QueryPlan, given: &[String]) -> Result<SchemaRef> {
    let mut names = planned.names.clone();
    if given.len() > names.len() {
        let message = format!("{} column names are given for {} columns", given.len(), names.len());
        return Err(Error::new(SqlState::SYNTAX_ERROR, message));
    }
    names[..given.len()].clone_from_slice(given);
    Ok(planned.schema_as(&names))
}

/// The options of `WITH`.
struct Options {
    properties: HashMap<String, String>,
    location: Option<String>,
    comment: Option<String>,
    format_version: FormatVersion,
}

impl Options {
    fn read(given: Vec<(String, String)>) -> Result<Options> {
        let mut options = Options {
            properties: HashMap::new(),
            location: None,
            comment: None,
            format_version: FormatVersion::V2,
        };
        for (name, value) in given {
            match name.to_lowercase().as_str() {
                "format_version" | "format-version" => options.format_version = format_version(&value)?,
                "location" => options.location = Some(value),
                "comment" => options.comment = Some(value),
                _ => drop(options.properties.insert(property_name(&name)?, value)),
            }
        }
        Ok(options)
    }
}

pub(super) async fn plan_view(
    namespace: Namespace,
    replaced: Option<Found>,
    view: CreateView,
    search_path: Vec<String>,
    query: ResolvedQuery,
    context: &Context,
) -> Result<ViewPlan> {
    tarn_catalog::name::check_identifier(&view.name.name)?;
    let planned = query::plan_query(&query, context, &[]).await?;
    refuse_parameters(&planned)?;
    let schema = query_columns(&planned, &view.columns)?;
    let mut columns = Vec::new();
    for (place, field) in schema.fields().iter().enumerate() {
        tarn_catalog::name::check_identifier(field.name())?;
        if schema.fields()[..place].iter().any(|earlier| earlier.name() == field.name()) {
            let message = format!("column \"{}\" specified more than once", field.name());
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        let shown = types::pg_type(field);
        let name = field.name().clone();
        columns.push(ViewColumn { name, type_oid: shown.oid, type_modifier: shown.modifier, comment: None });
    }
    let relation = NewRelation { namespace, name: view.name.name, comment: None };
    let view = View { sql: view.text, search_path, columns, iceberg: None };
    Ok(ViewPlan { relation, replaced, view })
}
