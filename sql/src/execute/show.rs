//! `DESCRIBE` and `SHOW COLUMNS`: the columns of a relation, with Trino's column names.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use tarn_catalog::object::ViewColumn;

use super::define;
use crate::error::{Error, Result};
use crate::outcome::Outcome;
use crate::plan::{Context, provider};
use crate::resolve::ResolvedRelation;
use crate::types;

pub(super) fn describe_schema() -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let columns =
        vec![text("column", false), text("type", false), text("nullable", false), text("comment", true)];
    Arc::new(Schema::new(columns))
}

/// The columns of a relation.
pub(super) async fn describe(relation: &ResolvedRelation, context: &Context) -> Result<Outcome> {
    let schema = provider(relation, context, &context.scope.principal).await?.schema();
    let comments = comments(relation);
    let text = |value: &dyn Fn(&Field) -> Option<String>| -> ArrayRef {
        Arc::new(schema.fields().iter().map(|field| value(field)).collect::<StringArray>())
    };
    let columns = vec![
        text(&|field| Some(field.name().clone())),
        text(&|field| Some(types::sql_name(field))),
        text(&|field| Some(if field.is_nullable() { "yes" } else { "no" }.to_owned())),
        text(&|field| comments.get(field.name()).cloned()),
    ];
    let batch = RecordBatch::try_new(describe_schema(), columns);
    Ok(Outcome::batch(batch.map_err(|error| Error::internal(error.to_string()))?, "SHOW"))
}

/// Column comments by column name.
fn comments(relation: &ResolvedRelation) -> HashMap<String, String> {
    let of_view = |column: &ViewColumn| Some((column.name.clone(), column.comment.clone()?));
    match relation {
        ResolvedRelation::Table { found: _, state } => define::docs(&state.schema),
        ResolvedRelation::External { found: _, external } => define::docs(&external.schema),
        ResolvedRelation::View { view, .. } => view.columns.iter().filter_map(of_view).collect(),
        ResolvedRelation::Reading(_)
        | ResolvedRelation::Rows { .. }
        | ResolvedRelation::Changes(_)
        | ResolvedRelation::System { .. }
        | ResolvedRelation::Files { .. } => HashMap::new(),
    }
}
