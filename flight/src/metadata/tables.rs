//! Schemas and tables. The listing of tables is streamed, and each table's own schema is looked up on the way, so that it
//! takes the same memory for a hundred thousand tables as for ten.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryBuilder, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetTables};
use futures::{FutureExt, StreamExt};
use tarn_sql::{Error, Rows, Session, Shapes};

use super::{ask, lane};
use crate::encode::{plain_type, type_marks};
use crate::guest::Visit;
use crate::info::schema_bytes;

/// What the specification calls the kinds of tables, in the order of its listing.
const TABLE_TYPES: [&str; 4] = ["LOCAL TEMPORARY", "SYSTEM TABLE", "TABLE", "VIEW"];

/// Every table and its kind. The kinds are PostgreSQL's, but for the tables of the system.
const TABLES: &str = "
    SELECT table_catalog, table_schema, table_name, kind FROM (
        SELECT table_catalog, table_schema, table_name,
               CASE WHEN table_schema IN ('information_schema', 'pg_catalog', 'system') THEN 'SYSTEM TABLE'
                    WHEN table_type = 'BASE TABLE' THEN 'TABLE'
                    ELSE table_type END AS kind
        FROM information_schema.tables) AS listed";

/// Rows of a listing whose schemas are looked up together.
const TABLES_AT_A_TIME: usize = 256;

fn text(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}

pub fn schemas_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![text("catalog_name", true), text("db_schema_name", false)]))
}

pub fn tables_schema(include_schema: bool) -> SchemaRef {
    let mut fields = vec![
        text("catalog_name", true),
        text("db_schema_name", true),
        text("table_name", false),
        text("table_type", false),
    ];
    if include_schema {
        fields.push(Field::new("table_schema", DataType::Binary, false));
    }
    Arc::new(Schema::new(fields))
}

pub fn types_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![text("table_type", false)]))
}

pub fn types() -> Result<RecordBatch, Error> {
    let types: ArrayRef = Arc::new(StringArray::from(TABLE_TYPES.to_vec()));
    RecordBatch::try_new(types_schema(), vec![types]).map_err(internal)
}

/// The conditions of a listing, and the texts that they compare with.
#[derive(Debug, Default)]
struct Filter {
    conditions: Vec<String>,
    texts: Vec<String>,
}

impl Filter {
    fn add(&mut self, column: &str, operator: &str, text: Option<&String>) {
        if let Some(text) = text {
            self.texts.push(text.clone());
            self.conditions.push(format!("{column} {operator} ${}", self.texts.len()));
        }
    }

    /// The column is one of these; of none, it is any.
    fn add_any(&mut self, column: &str, texts: &[String]) {
        if texts.is_empty() {
            return;
        }
        let places = texts.iter().map(|text| {
            self.texts.push(text.clone());
            format!("${}", self.texts.len())
        });
        let places = places.collect::<Vec<_>>().join(", ");
        self.conditions.push(format!("{column} IN ({places})"));
    }

    fn clause(&self) -> String {
        match self.conditions.as_slice() {
            [] => String::new(),
            conditions => format!("WHERE {}", conditions.join(" AND ")),
        }
    }

    async fn ask(self, session: &mut Session, select: &str, order: &str) -> Result<Rows, Error> {
        let query = format!("{select} {} {order}", self.clause());
        let texts: Vec<&str> = self.texts.iter().map(String::as_str).collect();
        ask(session, &query, &texts).await
    }
}

/// The schemas that a command asks for.
pub async fn schemas(visit: &Visit, command: CommandGetDbSchemas) -> Result<Rows, Error> {
    let mut filter = Filter::default();
    filter.add("catalog_name", "=", command.catalog.as_ref());
    filter.add("db_schema_name", "LIKE", command.db_schema_filter_pattern.as_ref());
    let lane = lane(visit).await?;
    let listing = lane.run(move |session| {
        async move {
            let select = "SELECT catalog_name, db_schema_name FROM (
                SELECT current_database() AS catalog_name, nspname AS db_schema_name
                FROM pg_catalog.pg_namespace) AS listed";
            filter.ask(session, select, "ORDER BY 1, 2").await
        }
        .boxed()
    });
    listing.await
}

/// The tables that a command asks for.
pub async fn tables(visit: &Visit, command: CommandGetTables) -> Result<Rows, Error> {
    let mut filter = Filter::default();
    filter.add("table_catalog", "=", command.catalog.as_ref());
    filter.add("table_schema", "LIKE", command.db_schema_filter_pattern.as_ref());
    filter.add("table_name", "LIKE", command.table_name_filter_pattern.as_ref());
    filter.add_any("kind", &command.table_types);
    let lane = lane(visit).await?;
    let listing = lane.run(move |session| {
        async move {
            let rows = filter.ask(session, TABLES, "ORDER BY 4, 1, 2, 3").await?;
            Ok((rows, session.shapes().await?))
        }
        .boxed()
    });
    let (rows, shapes) = listing.await?;
    if !command.include_schema {
        return Ok(rows);
    }
    let shapes = Arc::new(shapes);
    let in_parts = rows.flat_map(|batch| futures::stream::iter(parts(batch)));
    Ok(in_parts.then(move |part| with_schemas(part, Arc::clone(&shapes))).boxed())
}

fn parts(batch: Result<RecordBatch, Error>) -> Vec<Result<RecordBatch, Error>> {
    let batch = match batch {
        Ok(batch) => batch,
        Err(error) => return vec![Err(error)],
    };
    let rows = batch.num_rows();
    let part = |first: usize| Ok(batch.slice(first, TABLES_AT_A_TIME.min(rows - first)));
    (0..rows).step_by(TABLES_AT_A_TIME).map(part).collect()
}

/// Adds each table's schema to its row. A table that is gone meanwhile, or cannot be read, has no columns.
async fn with_schemas(part: Result<RecordBatch, Error>, shapes: Arc<Shapes>) -> Result<RecordBatch, Error> {
    let part = part?;
    let text = |place: usize| cast(part.column(place), &DataType::Utf8).map_err(internal);
    let (catalogs, schemas, names) = (text(0)?, text(1)?, text(2)?);
    let (catalogs, schemas, names) =
        (catalogs.as_string::<i32>(), schemas.as_string::<i32>(), names.as_string::<i32>());
    let mut bytes = BinaryBuilder::new();
    for row in 0..part.num_rows() {
        let (catalog, schema, name) = (catalogs.value(row), schemas.value(row), names.value(row));
        let columns = shapes.columns(schema, name).await?;
        let columns =
            columns.map_or_else(Schema::empty, |columns| described(&columns, [catalog, schema, name]));
        bytes.append_value(schema_bytes(&columns)?);
    }
    let mut columns = part.columns().to_vec();
    columns.push(Arc::new(bytes.finish()));
    let mut fields: Vec<FieldRef> = part.schema().fields().iter().map(Arc::clone).collect();
    fields.push(Arc::new(Field::new("table_schema", DataType::Binary, false)));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(internal)
}

/// The schema of a table with what the specification lets fields say.
fn described(columns: &Schema, [catalog, schema, table]: [&str; 3]) -> Schema {
    let field = |field: &FieldRef| -> FieldRef {
        let mut marks = field.metadata().clone();
        marks.extend(type_marks(field));
        for (key, name) in [("CATALOG_NAME", catalog), ("SCHEMA_NAME", schema), ("TABLE_NAME", table)] {
            marks.insert(format!("ARROW:FLIGHT:SQL:{key}"), name.to_owned());
        }
        let data_type = plain_type(field.data_type(), false);
        Arc::new(field.as_ref().clone().with_data_type(data_type).with_metadata(marks))
    };
    Schema::new(columns.fields().iter().map(field).collect::<Vec<_>>())
}

fn internal(error: arrow::error::ArrowError) -> Error {
    Error::internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_become_conditions() {
        let mut filter = Filter::default();
        assert_eq!(filter.clause(), "");
        filter.add("a", "LIKE", Some(&"x%".to_owned()));
        filter.add("b", "=", None);
        filter.add_any("c", &["TABLE".to_owned(), "VIEW".to_owned()]);
        filter.add_any("d", &[]);
        assert_eq!(filter.clause(), "WHERE a LIKE $1 AND c IN ($2, $3)");
        assert_eq!(filter.texts, ["x%", "TABLE", "VIEW"]);
    }

    #[test]
    fn columns_are_as_specified() {
        let names = |schema: SchemaRef| {
            schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(schemas_schema()), "catalog_name db_schema_name");
        let with = "catalog_name db_schema_name table_name table_type table_schema";
        assert_eq!(names(tables_schema(true)), with);
        assert_eq!(tables_schema(false).fields().len(), 4);
        assert!(TABLE_TYPES.is_sorted());
    }

    #[test]
    fn a_table_says_where_its_columns_are_from() {
        let columns = Schema::new(vec![Field::new("n", DataType::Utf8View, false)]);
        let described = described(&columns, ["lake", "public", "t"]);
        let field = described.field(0);
        assert_eq!((field.data_type(), field.is_nullable()), (&DataType::Utf8, false));
        let mark = |key: &str| field.metadata().get(key).map(String::as_str);
        assert_eq!(mark("ARROW:FLIGHT:SQL:TABLE_NAME"), Some("t"));
        assert_eq!(mark("ARROW:FLIGHT:SQL:TYPE_NAME"), Some("text"));
    }
}
