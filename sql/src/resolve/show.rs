//! `SHOW SCHEMAS`, `SHOW TABLES`, `SHOW COLUMNS`, `SHOW CRAWLERS` and `SHOW INFERENCE`: queries over the system tables.

use tarn_catalog::object::RelationKind;

use super::{Action, Scope, describe, resolve_query};
use crate::error::{Error, Result};
use crate::parse::parse_query;
use crate::sqlstate::SqlState;
use crate::statement::ShowObjects;

pub(super) async fn show_objects(objects: ShowObjects, scope: &Scope) -> Result<Action> {
    match objects {
        ShowObjects::Columns { table } => describe(&table, scope).await,
        ShowObjects::Schemas { like } => show(&schemas_query(like.as_deref()), scope).await,
        ShowObjects::Crawlers { like } => show(&crawlers_query(like.as_deref()), scope).await,
        ShowObjects::Inference { table } => {
            let found = scope.relation(&table)?;
            if !matches!(found.relation.kind, RelationKind::External(_)) {
                let message = format!("\"{table}\" is no external table");
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).with_hint(
                    "Types are inferred for the tables that a crawl makes; DESCRIBE shows others.",
                ));
            }
            show(&inference_query(&found.namespace.name, &found.relation.name), scope).await
        }
        ShowObjects::Tables { schema, like } => {
            let schemas = match schema {
                Some(name) => vec![scope.target_schema(&name)?.name],
                None => scope.path_names(),
            };
            show(&tables_query(&schemas, like.as_deref()), scope).await
        }
    }
}

/// What is shown is a query over the system tables, which show each user what that user may see.
async fn show(query: &str, scope: &Scope) -> Result<Action> {
    Ok(Action::Query(resolve_query(parse_query(query)?, scope, 0).await?))
}

fn schemas_query(like: Option<&str>) -> String {
    let like = like.map_or_else(String::new, |like| format!("WHERE schema_name LIKE {}", literal(like)));
    format!("SELECT schema_name AS \"schema\" FROM information_schema.schemata {like} ORDER BY 1")
}

fn crawlers_query(like: Option<&str>) -> String {
    let like = like.map_or_else(String::new, |like| format!("WHERE crawler LIKE {}", literal(like)));
    format!(
        "SELECT crawler, \"schema\", locations, run_as, last_run_at, last_run_id FROM system.crawlers {like} ORDER BY 1"
    )
}

fn inference_query(schema: &str, table: &str) -> String {
    format!(
        "SELECT column_name AS \"column\", subject, decision, before, reason, file, line, value FROM system.inference \
         WHERE \"schema\" = {} AND table_name = {} ORDER BY ordinal",
        literal(schema),
        literal(table)
    )
}

fn tables_query(schemas: &[String], like: Option<&str>) -> String {
    let schemas: Vec<String> = schemas.iter().map(|schema| literal(schema)).collect();
    let like = like.map_or_else(String::new, |like| format!("AND table_name LIKE {}", literal(like)));
    format!(
        "SELECT \"schema\", table_name AS \"table\", kind FROM system.tables \
         WHERE \"schema\" IN ({}) {like} ORDER BY 1, 2",
        schemas.join(", ")
    )
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
