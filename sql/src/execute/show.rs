//! `DESCRIBE` and `SHOW SCHEMAS/TABLES/COLUMNS`: what the user may see, with Trino's column names.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use tarn_catalog::LAKE;
use tarn_catalog::object::Namespace;

use super::define;
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::plan::{Context, provider};
use crate::resolve::{ResolvedRelation, kind_word};
use crate::system::visible;
use crate::types;

fn texts(columns: &[(&str, bool)]) -> SchemaRef {
    let field = |(name, nullable): &(&str, bool)| Field::new(*name, DataType::Utf8, *nullable);
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

fn rows(schema: SchemaRef, rows: Vec<Vec<Option<String>>>) -> Result<Outcome> {
    let column = |place: usize| -> ArrayRef {
        Arc::new(rows.iter().map(|row| row[place].clone()).collect::<StringArray>())
    };
    let columns = (0..schema.fields().len()).map(column).collect();
    let batch = RecordBatch::try_new(schema, columns).map_err(|error| Error::internal(error.to_string()))?;
    Ok(Outcome::batch(batch, "SHOW"))
}

pub(super) fn describe_schema() -> SchemaRef {
    texts(&[("column", false), ("type", false), ("nullable", false), ("comment", true)])
}

/// The columns of a relation.
pub(super) async fn describe(relation: &ResolvedRelation, context: &Context) -> Result<Outcome> {
    let schema = provider(relation, context, &context.scope.principal).await?.schema();
    let comments = match relation {
        ResolvedRelation::Table { version, .. } => define::docs(version.metadata.current_schema()),
        ResolvedRelation::External { external, .. } => define::docs(&external.schema),
        ResolvedRelation::View { view, .. } => {
            let comment = |column: &tarn_catalog::object::ViewColumn| {
                Some((column.name.clone(), column.comment.clone()?))
            };
            view.columns.iter().filter_map(comment).collect()
        }
        ResolvedRelation::System { .. } | ResolvedRelation::Files { .. } => HashMap::new(),
    };
    let row = |field: &Arc<Field>| {
        let nullable = if field.is_nullable() { "yes" } else { "no" };
        let name = field.name().clone();
        let comment = comments.get(&name).cloned();
        vec![Some(name), Some(types::sql_name(field)), Some(nullable.to_owned()), comment]
    };
    rows(describe_schema(), schema.fields().iter().map(row).collect())
}

pub(super) fn schemas_schema() -> SchemaRef {
    texts(&[("schema", false)])
}

pub(super) fn schemas(like: Option<&str>, context: &Context) -> Result<Outcome> {
    let pattern = Pattern::new(like);
    let scope = &context.scope;
    let mut names: Vec<String> = crate::system::SYSTEM_SCHEMAS.iter().map(|name| (*name).to_owned()).collect();
    for namespace in scope.reader.namespaces(LAKE)? {
        if visible::namespace(&scope.reader, &scope.principal, &namespace)? {
            names.push(namespace.name);
        }
    }
    names.retain(|name| pattern.matches(name));
    names.sort_unstable();
    rows(schemas_schema(), names.into_iter().map(|name| vec![Some(name)]).collect())
}

pub(super) fn tables_schema() -> SchemaRef {
    texts(&[("schema", false), ("table", false), ("kind", false)])
}

pub(super) fn tables(namespace: Option<Namespace>, like: Option<&str>, context: &Context) -> Result<Outcome> {
    let pattern = Pattern::new(like);
    let scope = &context.scope;
    let namespaces = match namespace {
        Some(namespace) => vec![namespace],
        None => {
            let path = scope.path_names();
            let all = scope.reader.namespaces(LAKE)?;
            all.into_iter().filter(|namespace| path.contains(&namespace.name)).collect()
        }
    };
    let mut found = Vec::new();
    for namespace in &namespaces {
        for relation in scope.reader.relations(namespace.id)? {
            if pattern.matches(&relation.name)
                && visible::relation(&scope.reader, &scope.principal, namespace, &relation)?
            {
                let kind = kind_word(&relation).to_owned();
                found.push(vec![Some(namespace.name.clone()), Some(relation.name.clone()), Some(kind)]);
            }
        }
    }
    rows(tables_schema(), found)
}

/// A LIKE pattern: `%` is any text, `_` any one character, a backslash takes the next character as it is.
struct Pattern(Option<Vec<char>>);

impl Pattern {
    fn new(like: Option<&str>) -> Pattern {
        Pattern(like.map(|like| like.chars().collect()))
    }

    fn matches(&self, text: &str) -> bool {
        match &self.0 {
            Some(pattern) => like(pattern, &text.chars().collect::<Vec<_>>()),
            None => true,
        }
    }
}

fn like(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['%', rest @ ..] => (0..=text.len()).any(|skip| like(rest, &text[skip..])),
        ['\\', exact, rest @ ..] => text.first() == Some(exact) && like(rest, &text[1..]),
        ['_', rest @ ..] => !text.is_empty() && like(rest, &text[1..]),
        [exact, rest @ ..] => text.first() == Some(exact) && like(rest, &text[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn patterns() {
        let check = |like: &str, text: &str, expect: bool| {
            assert_eq!(Pattern::new(Some(like)).matches(text), expect, "{text} LIKE {like}");
        };
        check("l%", "lineitem", true);
        check("%item", "lineitem", true);
        check("l_n%m", "lineitem", true);
        check("l\\_n%", "lineitem", false);
        check("", "x", false);
        check("%", "", true);
    }
}
