//! Bulk ingest: record batches become rows of a table, which may be made for them. The table and all rows are one commit.
//! The rows go the way of a `COPY FROM`, so the writer sets the pace: what it has not taken yet is not read from the
//! client.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::{CommandStatementIngest, TableExistsOption, TableNotExistOption};
use futures::FutureExt;
use futures::stream::{BoxStream, StreamExt};
use tarn_sql::types::sql_name;
use tarn_sql::{CopyIn, Error, Origin, Outcome, Session, SqlState};

use crate::guest::Visit;
use crate::host::Ending;
use crate::parameters::typed;
use crate::query::one;
use crate::status::violation;
use crate::transaction::quoted;

/// Record batches as they come in.
pub type Batches = BoxStream<'static, Result<RecordBatch, Error>>;

/// Where rows go, and what is done before.
struct Ingest {
    /// The table, in quotes.
    table: String,
    temporary: bool,
    exists: TableExistsOption,
    not_exists: TableNotExistOption,
}

/// Writes the rows that come, and gives their count.
pub async fn ingest(
    visit: &Visit,
    command: CommandStatementIngest,
    schema: SchemaRef,
    batches: Batches,
) -> Result<i64, Error> {
    let lane = visit.lane(command.transaction_id.as_ref())?;
    let ingest = Ingest::read(&command)?;
    let mut watch = visit.host().begin("COPY");
    let written = lane.run(move |session| write(session, ingest, schema, batches).boxed()).await;
    watch.end(Ending::of(&written));
    written
}

impl Ingest {
    fn read(command: &CommandStatementIngest) -> Result<Ingest, Error> {
        if command.table.is_empty() {
            return Err(violation("an ingest without the name of a table"));
        }
        let name = |part: &Option<String>| part.clone().filter(|part| !part.is_empty());
        let parts = [name(&command.catalog), name(&command.schema), Some(command.table.clone())];
        if parts[0].is_some() && parts[1].is_none() {
            return Err(
                violation("an ingest with a catalog and without a schema").with_hint("Name the schema, too.")
            );
        }
        if command.temporary && parts[1].is_some() {
            let message = "cannot create a temporary table in a schema";
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message)
                .with_hint("Leave out the schema: a temporary table has one of its own."));
        }
        let parts: Vec<String> = parts.iter().flatten().map(|part| quoted(part)).collect();
        let options = command.table_definition_options.unwrap_or_default();
        Ok(Ingest {
            table: parts.join("."),
            temporary: command.temporary,
            exists: options.if_exists(),
            not_exists: options.if_not_exist(),
        })
    }

    /// What is done before the rows are written.
    fn statements(&self, schema: &Schema) -> Result<Vec<String>, Error> {
        let kind = if self.temporary { "CREATE TEMPORARY TABLE" } else { "CREATE TABLE" };
        let create = |words: &str| -> Result<String, Error> {
            Ok(format!("{words} {} ({})", self.table, definitions(schema)?))
        };
        let create_if_missing = self.not_exists == TableNotExistOption::Create;
        Ok(match (self.exists, create_if_missing) {
            (TableExistsOption::Append, false) => Vec::new(),
            (TableExistsOption::Append, true) => vec![create(&format!("{kind} IF NOT EXISTS"))?],
            (TableExistsOption::Replace, true) => {
                vec![format!("DROP TABLE IF EXISTS {}", self.table), create(kind)?]
            }
            (TableExistsOption::Replace, false) => vec![format!("DROP TABLE {}", self.table), create(kind)?],
            (TableExistsOption::Fail | TableExistsOption::Unspecified, true) => vec![create(kind)?],
            (TableExistsOption::Fail | TableExistsOption::Unspecified, false) => {
                return Err(violation("an ingest that neither creates a table nor adds to one"));
            }
        })
    }
}

async fn write(
    session: &mut Session,
    ingest: Ingest,
    schema: SchemaRef,
    batches: Batches,
) -> Result<i64, Error> {
    let statements = ingest.statements(&schema)?;
    session.begin_implicit(Origin::Message);
    for statement in statements {
        let parsed = one(session.parse(&statement)?)?;
        session.run(parsed).await?;
    }
    let names: Vec<String> = schema.fields().iter().map(|field| quoted(field.name())).collect();
    let copy = format!("COPY {} ({}) FROM STDIN", ingest.table, names.join(", "));
    let parsed = one(session.parse(&copy)?)?;
    let Outcome::CopyIn(mut copy) = session.run(parsed).await? else {
        return Err(Error::internal("a copy takes no rows"));
    };
    let rows = match send(&mut copy, batches).await {
        Ok(()) => copy.finish().await?,
        Err(error) => {
            copy.abandon().await;
            return Err(error);
        }
    };
    session.end_implicit().await?;
    Ok(i64::try_from(rows).unwrap_or(i64::MAX))
}

async fn send(copy: &mut CopyIn, mut batches: Batches) -> Result<(), Error> {
    while let Some(batch) = batches.next().await {
        let rows = fitting(batch?.columns(), copy)?;
        copy.send(rows).await?;
    }
    Ok(())
}

/// Columns as rows of the table that is written.
///
/// # Errors
///
/// 22023 for a value that is none of its column's type, 23502 for NULL where there may be none.
pub fn fitting(columns: &[ArrayRef], copy: &CopyIn) -> Result<RecordBatch, Error> {
    fit(columns, copy.columns(), copy.relation())
}

fn fit(columns: &[ArrayRef], schema: &SchemaRef, relation: &str) -> Result<RecordBatch, Error> {
    let mut fitted: Vec<ArrayRef> = Vec::with_capacity(columns.len());
    for (array, field) in columns.iter().zip(schema.fields()) {
        let what = format!("column \"{}\"", field.name());
        let array = typed(array, field.data_type(), &what)?;
        if !field.is_nullable() && array.null_count() > 0 {
            let message =
                format!("null value in {what} of relation \"{relation}\" violates not-null constraint");
            return Err(Error::new(SqlState::NOT_NULL_VIOLATION, message)
                .with_hint("Give a value for the column, or ALTER COLUMN … DROP NOT NULL."));
        }
        fitted.push(array);
    }
    RecordBatch::try_new(Arc::clone(schema), fitted).map_err(|error| Error::internal(error.to_string()))
}

/// The columns of a new table.
fn definitions(schema: &Schema) -> Result<String, Error> {
    if schema.fields().is_empty() {
        return Err(violation("an ingest without columns").with_hint("Send the schema of the rows first."));
    }
    let definitions = schema.fields().iter().map(|field| {
        let not_null = if field.is_nullable() { "" } else { " NOT NULL" };
        format!("{} {}{not_null}", quoted(field.name()), type_name(field))
    });
    Ok(definitions.collect::<Vec<_>>().join(", "))
}

/// The SQL type of a column; nested ones as `CREATE TABLE` spells them.
fn type_name(field: &Field) -> String {
    match field.data_type() {
        DataType::Struct(fields) => struct_name(fields),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => format!("array({})", type_name(item)),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) if pair.len() == 2 => {
                format!("map({}, {})", type_name(&pair[0]), type_name(&pair[1]))
            }
            _ => "text".to_owned(),
        },
        DataType::Dictionary(_, value) => type_name(&Field::new("", value.as_ref().clone(), true)),
        DataType::RunEndEncoded(_, value) => type_name(value),
        // All of its values fit, as they do not into a numeric without precision.
        DataType::UInt64 => "numeric(20, 0)".to_owned(),
        _ => sql_name(field),
    }
}

fn struct_name(fields: &Fields) -> String {
    let fields = fields.iter().map(|field| format!("{} {}", quoted(field.name()), type_name(field)));
    format!("struct({})", fields.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::TimeUnit;
    use arrow_flight::sql::TableDefinitionOptions;

    fn command(exists: TableExistsOption, not_exists: TableNotExistOption) -> CommandStatementIngest {
        CommandStatementIngest {
            table: "t\"1".to_owned(),
            schema: Some("s".to_owned()),
            table_definition_options: Some(TableDefinitionOptions {
                if_not_exist: not_exists as i32,
                if_exists: exists as i32,
            }),
            ..CommandStatementIngest::default()
        }
    }

    #[test]
    fn the_options_are_statements() {
        use TableExistsOption::{Append, Fail, Replace};
        use TableNotExistOption::{Create, Fail as Missing};
        let schema = Schema::new(vec![Field::new("a", DataType::Int64, false)]);
        let check = |exists, not_exists, expect: Option<&[&str]>| {
            let ingest = Ingest::read(&command(exists, not_exists)).expect("a good command");
            let statements = ingest.statements(&schema).ok();
            assert_eq!(statements.map(|all| all.join("; ")), expect.map(|all| all.join("; ")));
        };
        let create = "CREATE TABLE \"s\".\"t\"\"1\" (\"a\" bigint NOT NULL)";
        check(Fail, Create, Some(&[create]));
        check(Append, Missing, Some(&[]));
        check(Append, Create, Some(&["CREATE TABLE IF NOT EXISTS \"s\".\"t\"\"1\" (\"a\" bigint NOT NULL)"]));
        check(Replace, Create, Some(&["DROP TABLE IF EXISTS \"s\".\"t\"\"1\"", create]));
        check(Replace, Missing, Some(&["DROP TABLE \"s\".\"t\"\"1\"", create]));
        check(Fail, Missing, None);
    }

    #[test]
    fn arrow_types_have_names() {
        let check = |data_type: DataType, expect: &str| {
            assert_eq!(type_name(&Field::new("c", data_type, true)), expect);
        };
        check(DataType::Int8, "smallint");
        check(DataType::UInt64, "numeric(20, 0)");
        check(DataType::LargeUtf8, "text");
        check(DataType::Timestamp(TimeUnit::Nanosecond, None), "timestamp without time zone");
        let words = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
        check(words, "text");
        let item = Arc::new(Field::new_list_field(DataType::Int32, true));
        check(DataType::List(item), "array(integer)");
        let fields = Fields::from(vec![Field::new("x y", DataType::Float64, true)]);
        check(DataType::Struct(fields), "struct(\"x y\" double precision)");
    }

    #[test]
    fn rows_are_made_to_fit() {
        let columns = Arc::new(Schema::new(vec![
            Field::new("a", DataType::Int32, false),
            Field::new("b", DataType::Date32, true),
        ]));
        let fit = |numbers: Int64Array, texts: StringArray| {
            fit(&[Arc::new(numbers), Arc::new(texts)], &columns, "t")
        };
        let good = fit(vec![1].into(), vec!["2026-01-02"].into());
        assert_eq!(good.expect("they fit").schema(), columns);
        let error = fit(vec![None].into(), vec!["2026-01-02"].into()).expect_err("NULL");
        let message = "null value in column \"a\" of relation \"t\" violates not-null constraint";
        assert_eq!((error.sqlstate, error.message.as_str()), (SqlState::NOT_NULL_VIOLATION, message));
        let error = fit(vec![1].into(), vec!["soon"].into()).expect_err("no date");
        assert_eq!(error.message, "column \"b\" is text, and cannot be date");
    }
}
