//! Temporary tables and views: ordinary ones in a schema of the session's own, `pg_temp_N`, which is searched before all
//! others, is made with the first of them and goes with the session. Everybody else may see that they are there and no more.
//! A session that a crash has ended leaves them behind until a session of the same number needs the schema.

use std::collections::BTreeMap;

use tarn_catalog::name::is_temporary_namespace;
use tarn_catalog::object::Namespace;
use tarn_catalog::{Change, LAKE, Reader};

use crate::error::{Error, Result};
use crate::execute;
use crate::session::Session;
use crate::sqlstate::SqlState;
use crate::statement::{Discard, Statement};

/// What each session calls its own.
pub(crate) const ALIAS: &str = "pg_temp";

/// Refuses what only a session makes for itself.
pub(crate) fn check_not_temporary(schema: &str) -> Result<()> {
    if !is_temporary_namespace(schema) {
        return Ok(());
    }
    let message = format!("unacceptable schema name \"{schema}\"");
    Err(Error::new(SqlState::RESERVED_NAME, message)
        .with_detail("The prefix \"pg_\" is reserved for system schemas."))
}

/// The name of a session's schema.
pub(crate) fn schema_name(backend_pid: i32) -> String {
    format!("pg_temp_{backend_pid}")
}

/// Whether the statement makes something temporary.
fn makes_temporary(statement: &Statement) -> bool {
    match statement {
        Statement::CreateTable(table) => table.temporary,
        Statement::CreateView(view) => view.temporary,
        Statement::Explain(explain) => makes_temporary(&explain.statement),
        _ => false,
    }
}

impl Session {
    /// Makes the session's schema if the statement needs it and it is not there; inside a transaction it comes and
    /// goes with that.
    pub(crate) async fn ensure_temporary(&mut self, statement: &Statement) -> Result<()> {
        if !makes_temporary(statement) {
            return Ok(());
        }
        if !self.temporary {
            // What a session left behind that had this number before a crash.
            self.temporary = true;
            if self.open.is_none() {
                self.drop_temporary().await?;
            }
        }
        let context = self.context(statement).await?;
        let name = self.temporary_schema();
        if context.scope.reader.namespace(LAKE, &name)?.is_some() {
            return Ok(());
        }
        let namespace = Namespace {
            id: context.begin().new_namespace_id()?,
            catalog: LAKE,
            name,
            owner: context.scope.principal.role,
            comment: None,
            properties: BTreeMap::new(),
            created_at_ms: context.catalog().env().now_ms(),
        };
        execute::commit_changes(vec![Change::CreateNamespace(namespace)], &context).await
    }

    /// Drops the session's schema and all that is in it.
    pub(crate) async fn drop_temporary(&mut self) -> Result<()> {
        if !self.temporary {
            return Ok(());
        }
        let context = self.context(&Statement::Discard(Discard::Temporary)).await?;
        let changes = contents(&context.scope.reader, &self.temporary_schema())?;
        if changes.is_empty() { Ok(()) } else { execute::commit_changes(changes, &context).await }
    }
}

/// The changes that take a schema away.
fn contents(reader: &Reader, name: &str) -> Result<Vec<Change>> {
    let Some(namespace) = reader.namespace(LAKE, name)? else { return Ok(Vec::new()) };
    let relations = reader.relations(namespace.id)?.into_iter().map(Change::DropRelation);
    Ok(relations.chain([Change::DropNamespace(namespace)]).collect())
}
