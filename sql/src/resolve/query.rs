//! The names of a query: tables, views (their own queries too), system tables and files, each found once and
//! pinned to one catalog version, so that self-joins and subqueries see the same thing.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::common::TableReference;
use datafusion::sql::parser::Statement as EngineStatement;
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::ast::{self, ObjectName, Query, TableFactor, VisitMut, VisitorMut};
use futures::future::BoxFuture;
use tarn_catalog::access::Principal;
use tarn_catalog::iceberg::TableState;
use tarn_catalog::name::is_temporary_namespace;
use tarn_catalog::object::{ExternalTable, RelationKind, View};

use super::changes::{ChangesReading, take_calls};
use super::names::{Found, Named, Scope};
use super::reading::{TableReading, look_up, read, read_at, take_travellers};
use super::rows::show_hidden;
use crate::error::{Error, Result};
use crate::files::ReadFunction;
use crate::parse::{arguments_of, fold_name, parse_query};
use crate::sqlstate::SqlState;
use crate::statement::{Argument, Name};
use crate::system;

/// Views may stand on views up to this depth.
const VIEW_DEPTH_MAX: usize = 32;

/// The schema of the names that stand for file functions; no user's schema can have it.
const FILES: &str = "pg_files";

/// A query and what its names stand for.
#[derive(Debug, Clone)]
pub(crate) struct ResolvedQuery {
    pub query: Box<Query>,
    pub relations: HashMap<TableReference, ResolvedRelation>,
}

impl ResolvedQuery {
    /// Whether it reads something that goes with the session.
    pub fn reads_temporary(&self) -> bool {
        self.relations.values().any(|relation| match relation {
            ResolvedRelation::Rows { relation, .. } => relation.is_temporary(),
            relation => relation.is_temporary(),
        })
    }
}

impl ResolvedRelation {
    fn is_temporary(&self) -> bool {
        let namespace = match self {
            ResolvedRelation::Table { found, .. } | ResolvedRelation::View { found, .. } => &found.namespace,
            ResolvedRelation::Reading(reading) => &reading.found.namespace,
            _ => return false,
        };
        is_temporary_namespace(&namespace.name)
    }
}

/// What a name in a query stands for, with all that reading it needs.
#[derive(Debug, Clone)]
pub(crate) enum ResolvedRelation {
    Table {
        found: Box<Found>,
        state: TableState,
    },
    /// A state of a table that planning finds.
    Reading(Box<TableReading>),
    /// One of the two with some of its hidden columns.
    Rows {
        relation: Box<ResolvedRelation>,
        columns: Vec<&'static str>,
    },
    /// What became of a table's rows between two snapshots.
    Changes(Box<ChangesReading>),
    External {
        found: Box<Found>,
        external: Box<ExternalTable>,
    },
    View {
        found: Box<Found>,
        view: Box<View>,
        owner: Box<Principal>,
        query: Box<ResolvedQuery>,
    },
    System {
        schema: String,
        name: String,
    },
    Files {
        function: ReadFunction,
        arguments: Vec<Argument>,
    },
}

/// Finds everything that a query names.
pub(crate) fn resolve_query(
    query: Box<Query>,
    scope: &Scope,
    depth: usize,
) -> BoxFuture<'_, Result<ResolvedQuery>> {
    resolve_rest(query, scope, depth, &[])
}

/// Finds everything that a query names but the stand-ins in `given`, which its planner knows.
pub(crate) async fn resolve_with(
    query: Box<Query>,
    scope: &Scope,
    given: &[TableReference],
) -> Result<ResolvedQuery> {
    resolve_rest(query, scope, 0, given).await
}

fn resolve_rest<'a>(
    mut query: Box<Query>,
    scope: &'a Scope,
    depth: usize,
    given: &'a [TableReference],
) -> BoxFuture<'a, Result<ResolvedQuery>> {
    Box::pin(async move {
        if depth > VIEW_DEPTH_MAX {
            let message = format!("views stand on views more than {VIEW_DEPTH_MAX} deep");
            return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, message));
        }
        system::rewrite(&mut query);
        let mut relations = take_file_functions(&mut query)?;
        for call in take_calls(&mut query)? {
            let reference = call.reference.clone();
            relations.insert(reference, ResolvedRelation::Changes(Box::new(call.resolve(scope).await?)));
        }
        for traveller in take_travellers(&mut query)? {
            let relation = read_at(&traveller, scope).await?;
            relations.insert(traveller.reference, relation);
        }
        for reference in references(&query)? {
            if relations.contains_key(&reference) || given.contains(&reference) {
                continue;
            }
            let named = look_up(&name_of(&reference), scope);
            let named = named.map_err(|error| Error { location: place_of(&query, &reference), ..error })?;
            relations.insert(reference, read(named, scope, depth).await?);
        }
        show_hidden(&mut query, &mut relations)?;
        Ok(ResolvedQuery { query, relations })
    })
}

/// All that reading the relation needs.
pub(crate) async fn resolve_relation(named: Named, scope: &Scope, depth: usize) -> Result<ResolvedRelation> {
    let found = match named {
        Named::System { schema, name } => return Ok(ResolvedRelation::System { schema, name }),
        Named::Relation(found) => found,
    };
    match found.relation.kind.clone() {
        RelationKind::Table => {
            let version = scope.reader.table(found.relation.id).await?;
            Ok(ResolvedRelation::Table { found, state: TableState::current(version) })
        }
        RelationKind::External(external) => {
            Ok(ResolvedRelation::External { found, external: Box::new(external) })
        }
        RelationKind::View(view) => resolve_view(found, view, scope, depth).await,
    }
}

/// A view reads with the rights of its owner, and its names mean what they meant when it was made.
async fn resolve_view(
    found: Box<Found>,
    view: View,
    scope: &Scope,
    depth: usize,
) -> Result<ResolvedRelation> {
    let label = found.label();
    if view.sql.is_empty() {
        let message = format!("{label} has no text in PostgreSQL's dialect");
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
            .with_detail("Another engine made it, with texts in dialects of its own only.")
            .with_hint(
                "Make it again with a representation in the dialect \"postgresql\", or with CREATE VIEW.",
            ));
    }
    let owner = scope.reader.principal(found.relation.owner)?;
    let owner = owner.ok_or_else(|| Error::internal(format!("the owner of {label} is missing")))?;
    let inner = Scope {
        reader: scope.reader.clone(),
        principal: owner.clone(),
        search_path: view.search_path.clone(),
        temporary: None,
    };
    let query = resolve_query(parse_query(&view.sql)?, &inner, depth + 1).await.map_err(|error| {
        let detail = format!("This was found while reading the definition of {label}.");
        Error { position: None, ..error }.with_detail(detail)
    })?;
    let (view, owner, query) = (Box::new(view), Box::new(owner), Box::new(query));
    Ok(ResolvedRelation::View { found, view, owner, query })
}

fn references(query: &Query) -> Result<Vec<TableReference>> {
    let statement = ast::Statement::Query(Box::new(query.clone()));
    let (references, _) = resolve_table_references(&EngineStatement::Statement(Box::new(statement)), true)
        .map_err(|error| Error::new(SqlState::SYNTAX_ERROR, error.strip_backtrace()))?;
    let functions = table_function_names(query);
    Ok(references.into_iter().filter(|reference| !functions.contains(&reference.to_string())).collect())
}

/// Where the query names a relation, as line and column.
fn place_of(query: &Query, reference: &TableReference) -> Option<(u64, u64)> {
    let wanted = name_of(reference);
    let mut place = None;
    let _: ControlFlow<()> = visit_factors(query, &mut |factor| {
        let TableFactor::Table { name, .. } = factor else { return };
        let first = name.0.first().and_then(|part| part.as_ident());
        if place.is_none() && fold_name(name).ok().as_ref() == Some(&wanted) {
            place = first.map(|first| (first.span.start.line, first.span.start.column));
        }
    });
    place.filter(|(line, _)| *line > 0)
}

fn name_of(reference: &TableReference) -> Name {
    Name {
        catalog: reference.catalog().map(str::to_owned),
        schema: reference.schema().map(str::to_owned),
        name: reference.table().to_owned(),
    }
}

/// Names that are called with arguments, `generate_series(1, 10)`; the engine plans these itself.
fn table_function_names(query: &Query) -> Vec<String> {
    let mut names = Vec::new();
    let _: ControlFlow<()> = visit_factors(query, &mut |factor| {
        if let TableFactor::Table { name, args: Some(_), .. } = factor {
            names.extend(fold_name(name).ok().map(|name| name.name));
        }
    });
    names
}

fn visit_factors(query: &Query, each: &mut dyn FnMut(&TableFactor)) -> ControlFlow<()> {
    struct Factors<'a>(&'a mut dyn FnMut(&TableFactor));
    impl ast::Visitor for Factors<'_> {
        type Break = ();
        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            (self.0)(factor);
            ControlFlow::Continue(())
        }
    }
    ast::Visit::visit(query, &mut Factors(each))
}

/// Replaces `read_csv('…')` and its kin by names of their own: their files are found before planning.
fn take_file_functions(query: &mut Query) -> Result<HashMap<TableReference, ResolvedRelation>> {
    let mut taker = FileFunctions { taken: HashMap::new() };
    match query.visit(&mut taker) {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(taker.taken),
    }
}

struct FileFunctions {
    taken: HashMap<TableReference, ResolvedRelation>,
}

impl VisitorMut for FileFunctions {
    type Break = Box<Error>;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Box<Error>> {
        match self.take(factor) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}

impl FileFunctions {
    fn take(&mut self, factor: &mut TableFactor) -> Result<()> {
        let TableFactor::Table { name, args, alias, .. } = factor else { return Ok(()) };
        let Some(arguments) = args else { return Ok(()) };
        let Some(function) = fold_name(name).ok().and_then(|name| ReadFunction::from_name(&name.name)) else {
            return Ok(());
        };
        let arguments = arguments_of(&arguments.args)?;
        let stand_in = format!("{}_{}", function.name(), self.taken.len() + 1);
        let reference = TableReference::partial(FILES, stand_in.clone());
        self.taken.insert(reference, ResolvedRelation::Files { function, arguments });
        // Without an alias the columns may be qualified by the function's name, as in PostgreSQL.
        alias.get_or_insert_with(|| ast::TableAlias {
            explicit: true,
            name: ast::Ident::new(function.name()),
            columns: Vec::new(),
            at: None,
        });
        *name = ObjectName::from(vec![ast::Ident::new(FILES), ast::Ident::new(stand_in)]);
        *args = None;
        Ok(())
    }
}
