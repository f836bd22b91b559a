//! The columns of relations in Arrow's types, for doors that tell clients of them before anything is asked of a table.
//! Who may not see a relation is told nothing. Nothing is planned: the columns of a table are in its metadata, those of a
//! view in its definition.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use tarn_catalog::object::{Relation, RelationKind, View};

use super::context::SystemContext;
use super::declared;
use crate::error::Result;
use crate::sqlstate::SqlState;
use crate::table::{arrow_schema, without_column_ids};
use crate::types;

/// Describes relations as one statement sees them.
#[derive(Debug, Clone)]
pub struct Shapes(Arc<SystemContext>);

impl Shapes {
    pub(crate) fn new(context: Arc<SystemContext>) -> Shapes {
        Shapes(context)
    }

    /// The columns of a relation; None if it is not there, or not for this role to see. A table that this version cannot
    /// read has none.
    ///
    /// # Errors
    ///
    /// 58030 and the like if the metadata of the table cannot be read.
    pub async fn columns(&self, schema: &str, name: &str) -> Result<Option<SchemaRef>> {
        if let Some(declared) = declared::table(schema, name) {
            return Ok(Some(declared.arrow.clone()));
        }
        let Some(found) = self.0.relation_by_name(schema, name)? else { return Ok(None) };
        match self.columns_of(&found.relation).await {
            Ok(columns) => Ok(Some(columns)),
            Err(error) if error.sqlstate == SqlState::FEATURE_NOT_SUPPORTED => {
                Ok(Some(Arc::new(Schema::empty())))
            }
            Err(error) => Err(error),
        }
    }

    async fn columns_of(&self, relation: &Relation) -> Result<SchemaRef> {
        match &relation.kind {
            RelationKind::Table => {
                let version = self.0.reader.table(relation.id).await?;
                Ok(without_column_ids(arrow_schema(version.metadata.current_schema())?.as_ref()))
            }
            RelationKind::External(table) => Ok(without_column_ids(arrow_schema(&table.schema)?.as_ref())),
            RelationKind::View(view) => Ok(view_columns(view)),
        }
    }
}

/// A view keeps the types that its columns have for PostgreSQL's clients.
fn view_columns(view: &View) -> SchemaRef {
    let columns = view.columns.iter().map(|column| {
        let data_type = types::arrow_type(column.type_oid, column.type_modifier).unwrap_or(DataType::Utf8);
        let field = Field::new(&column.name, data_type, true);
        match column.type_oid {
            types::oid::UUID => field.with_metadata(types::uuid_marks()),
            types::oid::JSON | types::oid::JSONB => field.with_metadata(types::json_marks()),
            _ => field,
        }
    });
    Arc::new(Schema::new(columns.collect::<Vec<_>>()))
}
