//! Prepared statements of a session, whether a message of the protocol or `PREPARE` made them: both have the same
//! names, as in PostgreSQL. What one holds is parsed and described; names, rights and the plan are found each time.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::sql::sqlparser::ast;
use futures::TryStreamExt;

use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::parse::{Parsed, parse};
use crate::session::Session;
use crate::sqlstate::SqlState;
use crate::statement::{Execute, Prepare, Statement};
use crate::types;

/// Named statements that one session may have at a time.
const STATEMENTS_MAX: usize = 10_000;

/// A statement that has been parsed and described, to be executed any number of times.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub(crate) parsed: Parsed,
    pub(crate) parameters: Vec<DataType>,
    pub(crate) columns: Option<SchemaRef>,
}

impl Prepared {
    /// The types of the parameters `$1`, `$2`, ….
    pub fn parameters(&self) -> &[DataType] {
        &self.parameters
    }

    /// The columns of the result; None when the statement gives no rows.
    pub fn columns(&self) -> Option<&SchemaRef> {
        self.columns.as_ref()
    }

    pub fn text(&self) -> &str {
        self.parsed.text()
    }

    /// It can be run again, or not at all, and nothing has changed but what it told.
    pub fn only_reads(&self) -> bool {
        self.parsed.statement.only_reads()
    }
}

/// A prepared statement under its name.
#[derive(Debug, Clone)]
pub struct Named {
    /// None for the empty statement.
    pub statement: Option<Prepared>,
    /// The type OIDs that the client declared for the first parameters; 0 where it left the type to us.
    pub declared: Vec<u32>,
}

/// The prepared statements of one session.
#[derive(Debug, Default)]
pub(crate) struct Statements(HashMap<String, Arc<Named>>);

impl Statements {
    pub fn get(&self, name: &str) -> Result<Arc<Named>> {
        self.0.get(name).cloned().ok_or_else(|| missing(name))
    }

    pub fn remove(&mut self, name: &str) -> Result<()> {
        self.0.remove(name).map(drop).ok_or_else(|| missing(name))
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

fn missing(name: &str) -> Error {
    let message = if name.is_empty() {
        "unnamed prepared statement does not exist".to_owned()
    } else {
        format!("prepared statement \"{name}\" does not exist")
    };
    Error::new(SqlState::INVALID_STATEMENT_NAME, message)
}

impl Session {
    /// Keeps a statement under a name; the empty name is for the one that the next replaces.
    ///
    /// # Errors
    ///
    /// 42P05 if the name is taken, 54000 if there are too many.
    pub fn keep_prepared(&mut self, name: String, named: Named) -> Result<()> {
        self.check_new_prepared(&name)?;
        self.statements.0.insert(name, Arc::new(named));
        Ok(())
    }

    /// Fails as [`Session::keep_prepared`] would for the name, before the statement is described for nothing.
    ///
    /// # Errors
    ///
    /// As [`Session::keep_prepared`].
    pub fn check_new_prepared(&self, name: &str) -> Result<()> {
        if !name.is_empty() && self.statements.0.contains_key(name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(Error::new(SqlState::DUPLICATE_PREPARED_STATEMENT, message));
        }
        if self.statements.0.len() >= STATEMENTS_MAX {
            let message = format!("a session has at most {STATEMENTS_MAX} prepared statements");
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
                .with_hint("DEALLOCATE those that are not needed any more."));
        }
        Ok(())
    }

    /// The statement of a name.
    ///
    /// # Errors
    ///
    /// 26000 if there is none.
    pub fn prepared(&self, name: &str) -> Result<Arc<Named>> {
        self.statements.get(name)
    }

    /// Forgets a name; nothing happens if there is none.
    pub fn forget_prepared_statement(&mut self, name: &str) {
        self.statements.0.remove(name);
    }

    /// `PREPARE`.
    pub(crate) async fn prepare_named(&mut self, prepare: Prepare) -> Result<()> {
        self.check_new_prepared(&prepare.name)?;
        let types = self.types_of(&prepare.types).await?;
        let parsed = Parsed {
            statement: *prepare.statement,
            source: Arc::from(prepare.text.as_str()),
            text: prepare.text,
            notes: Vec::new(),
        };
        let statement = Box::pin(self.prepare(parsed, &types)).await?;
        self.keep_prepared(prepare.name, Named { statement: Some(statement), declared: Vec::new() })
    }

    /// What types are as written, found out by casting to them.
    async fn types_of(&mut self, written: &[ast::DataType]) -> Result<Vec<Option<DataType>>> {
        if written.is_empty() {
            return Ok(Vec::new());
        }
        let casts: Vec<String> = written.iter().map(|written| format!("CAST(NULL AS {written})")).collect();
        let query = one(parse(&format!("SELECT {}", casts.join(", ")))?)?;
        let described = Box::pin(self.prepare(query, &[])).await?;
        let columns = described.columns.ok_or_else(|| Error::internal("a query has no columns"))?;
        Ok(columns.fields().iter().map(|field| Some(field.data_type().clone())).collect())
    }

    /// `EXECUTE`.
    pub(crate) async fn execute_named(&mut self, execute: Execute) -> Result<Outcome> {
        let named = self.statements.get(&execute.name)?;
        let statement =
            named.statement.as_ref().ok_or_else(|| Error::internal("an empty statement has a name"))?;
        let (given, wanted) = (execute.values.len(), statement.parameters.len());
        if given != wanted {
            let message = format!("wrong number of parameters for prepared statement \"{}\"", execute.name);
            return Err(Error::new(SqlState::SYNTAX_ERROR, message)
                .with_detail(format!("Expected {wanted} parameters but got {given}.")));
        }
        let values = self.values_of(&execute.values, &statement.parameters).await?;
        Box::pin(self.execute(statement, &values)).await
    }

    /// The values of expressions, each as an array of one value of its type.
    async fn values_of(&mut self, values: &[ast::Expr], types: &[DataType]) -> Result<Vec<ArrayRef>> {
        if values.is_empty() {
            return Ok(Vec::new());
        }
        let typed = |(value, data_type): (&ast::Expr, &DataType)| {
            format!("CAST(({value}) AS {})", type_name(data_type))
        };
        let casts: Vec<String> = values.iter().zip(types).map(typed).collect();
        let query = one(parse(&format!("SELECT {}", casts.join(", ")))?)?;
        let Outcome::Rows { schema, rows, tag: _ } = Box::pin(self.run(query)).await? else {
            return Err(Error::internal("a query gave no rows"));
        };
        let batches: Vec<_> = rows.try_collect().await?;
        let schema = batches.first().map_or(schema, |batch| batch.schema());
        let row = concat_batches(&schema, &batches).map_err(|error| Error::internal(error.to_string()))?;
        let value = |(column, data_type): (&ArrayRef, &DataType)| {
            arrow::compute::cast(column, data_type).map_err(|error| Error::internal(error.to_string()))
        };
        row.columns().iter().zip(types).map(value).collect()
    }

    /// The columns of a statement that only the session can describe.
    pub(crate) fn columns_by_name(&self, statement: &Statement) -> Result<Option<Option<SchemaRef>>> {
        Ok(match statement {
            Statement::Fetch(fetch) if fetch.moves => Some(None),
            Statement::Fetch(fetch) => Some(Some(self.cursors.columns(&fetch.name)?)),
            Statement::Execute(execute) => {
                let named = self.statements.get(&execute.name)?;
                Some(named.statement.as_ref().and_then(|statement| statement.columns.clone()))
            }
            _ => None,
        })
    }
}

fn one(mut statements: Vec<Parsed>) -> Result<Parsed> {
    statements.pop().ok_or_else(|| Error::internal("a query was read as nothing"))
}

/// A type as a cast names it.
fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::FixedSizeBinary(16) => "uuid".to_owned(),
        other => types::sql_name(&Field::new("", other.clone(), true)),
    }
}
