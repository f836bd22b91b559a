//! The procedures of crawls and crawlers. `CREATE CRAWLER` and its kin are calls of them, too. What a call may do depends
//! on what it names, so each asks for rights itself. Next: `run.rs`, `stored.rs`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::FutureExt;
use tarn_catalog::access::Principal;
use tarn_catalog::crawler::{CrawlOptions, CrawlRun, Crawler};
use tarn_catalog::{Change, Reader};

use super::report::report_schema;
use super::request::{
    CrawlRequest, DEPTH, EXCLUDE, GROUPING, Mode, ON_DELETE, ON_UPDATE, PREFIX, RECRAWL, SAMPLE, TABLES,
    options,
};
use super::{crawl, stored};
use crate::error::{Error, Result};
use crate::execute::commit_changes;
use crate::outcome::Outcome;
use crate::plan::Context;
use crate::procedure::{Arguments, On, Parameter, ParameterKind, Procedure, ProcedureCall, Right, Run};
use crate::sqlstate::SqlState;

const NAME: Parameter = Parameter::required("name", ParameterKind::Text);
const LOCATIONS: Parameter = Parameter::optional("locations", ParameterKind::Texts);
const RUN_AS: Parameter = Parameter::optional("run_as", ParameterKind::Text);

pub(crate) const PROCEDURES: &[Procedure] = &[
    Procedure {
        columns: report_schema,
        ..procedure(
            "crawl",
            &["run_crawler"],
            &[
                Parameter::optional("location", ParameterKind::Text).or(&["crawler"]),
                Parameter::optional("schema", ParameterKind::Text),
                Parameter::optional("mode", ParameterKind::Text),
                Parameter::optional("plan_id", ParameterKind::Integer),
                EXCLUDE,
                PREFIX,
                DEPTH,
                TABLES,
                SAMPLE,
                GROUPING,
                ON_UPDATE,
                ON_DELETE,
                RECRAWL,
            ],
            |call, context| run(call, context).boxed(),
        )
    },
    procedure(
        "undo_crawl",
        &[],
        &[Parameter::required("run_id", ParameterKind::Integer)],
        |call, context| undo(call, context).boxed(),
    ),
    Procedure {
        in_transaction: true,
        ..procedure(
            "create_crawler",
            &[],
            &[
                NAME,
                Parameter::required("schema", ParameterKind::Text),
                LOCATIONS,
                RUN_AS,
                Parameter::optional("if_not_exists", ParameterKind::Boolean),
                EXCLUDE,
                PREFIX,
                DEPTH,
                TABLES,
                SAMPLE,
                GROUPING,
                ON_UPDATE,
                ON_DELETE,
                RECRAWL,
            ],
            |call, context| create(call, context).boxed(),
        )
    },
    Procedure {
        in_transaction: true,
        ..procedure(
            "alter_crawler",
            &[],
            &[
                NAME, LOCATIONS, RUN_AS, EXCLUDE, PREFIX, DEPTH, TABLES, SAMPLE, GROUPING, ON_UPDATE,
                ON_DELETE, RECRAWL,
            ],
            |call, context| alter(call, context).boxed(),
        )
    },
    Procedure {
        in_transaction: true,
        ..procedure(
            "drop_crawler",
            &[],
            &[NAME, Parameter::optional("if_exists", ParameterKind::Boolean)],
            |call, context| drop_crawler(call, context).boxed(),
        )
    },
];

const fn procedure(
    name: &'static str,
    aliases: &'static [&'static str],
    parameters: &'static [Parameter],
    run: Run,
) -> Procedure {
    Procedure {
        name,
        aliases,
        on: On::Nothing,
        filter: false,
        parameters,
        right: Right::Asked,
        in_transaction: false,
        columns: run_schema,
        run,
    }
}

/// `CALL system.crawl(…)`: of a location, of a crawler, or of a plan that is applied.
async fn run(call: ProcedureCall, context: &Context) -> Result<Outcome> {
    let arguments = &call.arguments;
    if let (Some("apply"), plan) = (arguments.text("mode"), arguments.integer("plan_id")) {
        let plan = plan.and_then(|plan| u64::try_from(plan).ok());
        let plan = plan.ok_or_else(|| wrong("crawl with mode => 'apply' needs the argument \"plan_id\""))?;
        let applied = stored::apply_plan(plan, &context.scope.principal, context.catalog()).await?;
        return Ok(Outcome::batch(super::report::applied(&applied)?, call.tag));
    }
    let reader = &context.scope.reader;
    let (mut request, principal) = match (arguments.text("location"), arguments.text("schema")) {
        (Some(name), None) => of_crawler(name, &context.scope.principal, reader)?,
        (Some(location), Some(schema)) => {
            let (locations, schema) = (vec![location.to_owned()], schema.to_owned());
            (CrawlRequest { locations, schema, ..CrawlRequest::default() }, context.scope.principal.clone())
        }
        (None, _) => {
            return Err(wrong("crawl needs the option \"location\"")
                .with_hint("Write location => '…', schema => '…', or crawler => '…'."));
        }
    };
    request.options = options(arguments, request.options)?;
    request.mode = arguments.text("mode").map_or(Ok(Mode::Run), Mode::of)?;
    crate::authorize::check_crawl(&request.schema, &principal, reader)?;
    let report = crawl(request, &principal, context.catalog(), &context.state).await?;
    Ok(Outcome::batch(report.to_batch()?, call.tag))
}

/// What a crawler does, and with whose rights. Its owner may have it run, whoever's rights that takes.
fn of_crawler(name: &str, asks: &Principal, reader: &Reader) -> Result<(CrawlRequest, Principal)> {
    let crawler = owned(name, asks, reader)?;
    let principal = reader.principal(crawler.run_as)?.ok_or_else(|| {
        let message = format!("the role that crawler \"{name}\" runs as does not exist any more");
        Error::new(SqlState::UNDEFINED_OBJECT, message).with_hint("ALTER CRAWLER … RUN AS another one.")
    })?;
    let Crawler { locations, schema, options, .. } = crawler;
    let crawler = Some(name.to_owned());
    Ok((CrawlRequest { crawler, locations, schema, options, mode: Mode::Run }, principal))
}

async fn undo(call: ProcedureCall, context: &Context) -> Result<Outcome> {
    let number = call.arguments.integer("run_id").and_then(|number| u64::try_from(number).ok());
    let number = number.ok_or_else(|| wrong("run_id must be the number of a run"))?;
    let undone = stored::undo(number, &context.scope.principal, context.catalog()).await?;
    Ok(Outcome::batch(run_rows(&undone)?, call.tag))
}

async fn create(call: ProcedureCall, context: &Context) -> Result<Outcome> {
    let (arguments, principal, reader) = (&call.arguments, &context.scope.principal, &context.scope.reader);
    let name = arguments.text("name").unwrap_or_default().to_owned();
    tarn_catalog::name::check_identifier(&name)?;
    if reader.crawler(&name)?.is_some() {
        if arguments.boolean("if_not_exists") == Some(true) {
            return Ok(Outcome::done(call.tag));
        }
        let message = format!("crawler \"{name}\" already exists");
        return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
    }
    let schema = arguments.text("schema").unwrap_or_default().to_owned();
    tarn_catalog::name::check_namespace_name(&schema)?;
    let locations = arguments.texts("locations").unwrap_or_default().to_vec();
    if locations.is_empty() {
        return Err(wrong("a crawler needs a location").with_hint("Write FROM LOCATION '…'."));
    }
    let crawler = Crawler {
        name,
        owner: principal.role,
        run_as: run_as(arguments, context)?.unwrap_or(principal.role),
        schema,
        locations,
        options: options(arguments, CrawlOptions::default())?,
        created_at_ms: context.catalog().env().now_ms(),
    };
    commit_changes(vec![Change::SetCrawler { before: None, after: Some(crawler) }], context).await?;
    Ok(Outcome::done(call.tag))
}

async fn alter(call: ProcedureCall, context: &Context) -> Result<Outcome> {
    let arguments = &call.arguments;
    let name = arguments.text("name").unwrap_or_default();
    let before = owned(name, &context.scope.principal, &context.scope.reader)?;
    let mut after = before.clone();
    after.options = options(arguments, after.options)?;
    if let Some(locations) = arguments.texts("locations") {
        after.locations = locations.to_vec();
    }
    if let Some(role) = run_as(arguments, context)? {
        after.run_as = role;
    }
    let change = Change::SetCrawler { before: Some(before), after: Some(after) };
    commit_changes(vec![change], context).await?;
    Ok(Outcome::done(call.tag))
}

async fn drop_crawler(call: ProcedureCall, context: &Context) -> Result<Outcome> {
    let name = call.arguments.text("name").unwrap_or_default();
    if call.arguments.boolean("if_exists") == Some(true) && context.scope.reader.crawler(name)?.is_none() {
        return Ok(Outcome::done(call.tag));
    }
    let before = owned(name, &context.scope.principal, &context.scope.reader)?;
    commit_changes(vec![Change::SetCrawler { before: Some(before), after: None }], context).await?;
    Ok(Outcome::done(call.tag))
}

/// The role that a crawler is to run as; who says so must be able to act as it.
fn run_as(arguments: &Arguments, context: &Context) -> Result<Option<tarn_catalog::RoleId>> {
    let Some(name) = arguments.text("run_as") else { return Ok(None) };
    let role = context.scope.role(name)?;
    if !context.scope.principal.acts_as(role.id) {
        let message = format!("must be able to act as role {name}");
        return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
    }
    Ok(Some(role.id))
}

/// The crawler of a name, which the principal must own.
fn owned(name: &str, principal: &Principal, reader: &Reader) -> Result<Crawler> {
    let crawler = reader.crawler(name)?.ok_or_else(|| {
        let message = format!("crawler \"{name}\" does not exist");
        Error::new(SqlState::UNDEFINED_OBJECT, message)
            .with_hint("SHOW CRAWLERS lists them; to crawl a location, name the schema, too.")
    })?;
    if principal.acts_as(crawler.owner) {
        return Ok(crawler);
    }
    let message = format!("must be owner of crawler {name}");
    Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message))
}

fn run_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("run_id", DataType::Int64, false),
        Field::new("table", DataType::Utf8, false),
        Field::new("action", DataType::Utf8, false),
        Field::new("state", DataType::Utf8, false),
    ]))
}

/// One row per change of a run.
fn run_rows(run: &CrawlRun) -> Result<RecordBatch> {
    let number = i64::try_from(run.number).unwrap_or(i64::MAX);
    let changes = || run.changes.iter();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(changes().map(|_| Some(number)).collect::<Int64Array>()),
        Arc::new(StringArray::from_iter_values(changes().map(|change| super::report::table_of(run, change)))),
        Arc::new(StringArray::from_iter_values(changes().map(|change| change.action.as_str()))),
        Arc::new(StringArray::from_iter_values(changes().map(|_| run.state.name()))),
    ];
    RecordBatch::try_new(run_schema(), columns).map_err(|error| Error::internal(error.to_string()))
}

fn wrong(message: &str) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}
