//! Rows as frames of Flight. What is announced is what is sent: columns have the types that the table has, with text and
//! bytes never as views and dictionaries as their values unless the client wants them, because not every client knows
//! those. Frames are made on the statement runtime, a few ahead of the client, and none is much longer than clients take.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, LargeStringArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use arrow_flight::FlightData;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::error::FlightError;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use tarn_sql::types::{characters, numeric_precision, pg_type, sql_name};
use tarn_sql::{Error, Rows, SqlState};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use crate::guest::Visit;
use crate::host::{Ending, Watch};
use crate::lane::Lane;
use crate::status::status;

/// How long a frame may get, bytes. Many clients take no message above 4 MiB.
const FRAME_BYTES: usize = 2 << 20;

/// Frames that are made before they are sent.
const FRAMES_AHEAD: usize = 4;

/// Rows on their way to a client.
pub struct Sending {
    pub visit: Visit,
    /// The lane whose transaction fails with the rows.
    pub fails: Option<Arc<Lane>>,
    pub rows: Rows,
    /// What was announced, as [`wire_schema`] made it.
    pub schema: SchemaRef,
    /// Ends it with 57014.
    pub cancel: CancellationToken,
    pub watch: Option<Box<dyn Watch>>,
}

/// The schema of a result as the client sees it.
pub fn wire_schema(schema: &Schema, keeps_dictionaries: bool) -> SchemaRef {
    let field = |field: &FieldRef| -> FieldRef {
        let plain = plain_field(field, keeps_dictionaries);
        let mut metadata = plain.metadata().clone();
        metadata.extend(type_marks(field));
        // What the engine knows of NULLs is not always what its rows have.
        Arc::new(plain.as_ref().clone().with_nullable(true).with_metadata(metadata))
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Fields>()))
}

fn plain_field(field: &FieldRef, keeps_dictionaries: bool) -> FieldRef {
    let data_type = plain_type(field.data_type(), keeps_dictionaries);
    if data_type == *field.data_type() {
        return Arc::clone(field);
    }
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

/// The type that a client sees.
pub fn plain_type(data_type: &DataType, keeps_dictionaries: bool) -> DataType {
    let plain = |field: &FieldRef| plain_field(field, keeps_dictionaries);
    match data_type {
        // A NULL without a type is a text, as at the other door, and so is a parameter that nothing gives one.
        DataType::Utf8View | DataType::Null => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, value) if !keeps_dictionaries => plain_type(value, keeps_dictionaries),
        DataType::RunEndEncoded(_, value) => plain_type(value.data_type(), keeps_dictionaries),
        DataType::List(item) | DataType::ListView(item) => DataType::List(plain(item)),
        DataType::LargeList(item) | DataType::LargeListView(item) => DataType::LargeList(plain(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(plain(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain).collect()),
        DataType::Map(entries, sorted) => DataType::Map(plain(entries), *sorted),
        other => other.clone(),
    }
}

/// What the specification lets a field say of its SQL type.
pub fn type_marks(field: &Field) -> HashMap<String, String> {
    let mut marks = HashMap::from([
        ("ARROW:FLIGHT:SQL:TYPE_NAME".to_owned(), sql_name(field)),
        ("ARROW:FLIGHT:SQL:IS_SEARCHABLE".to_owned(), "1".to_owned()),
    ]);
    if let Some((precision, scale)) = numeric_precision(pg_type(field).modifier) {
        marks.insert("ARROW:FLIGHT:SQL:PRECISION".to_owned(), precision.to_string());
        marks.insert("ARROW:FLIGHT:SQL:SCALE".to_owned(), scale.to_string());
    }
    marks
}

/// Casts the columns of a batch to an announced schema, where they differ.
pub fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Error> {
    if batch.num_columns() != schema.fields().len() {
        return Err(changed());
    }
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        let column = match column.data_type() == field.data_type() {
            true => Arc::clone(column),
            false => cast(column, field.data_type())?,
        };
        Ok(padded_width(field).map_or(Arc::clone(&column), |width| padded(&column, width)))
    });
    let columns = columns.collect::<Result<Vec<_>, ArrowError>>().map_err(|_| changed())?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| Error::internal(error.to_string()))
}

/// As many characters as a value of `char(n)` is shown with.
fn padded_width(field: &Field) -> Option<usize> {
    let characters = characters(field).filter(|characters| characters.fixed)?;
    usize::try_from(characters.length?).ok()
}

fn padded(column: &ArrayRef, width: usize) -> ArrayRef {
    let pad = |value: Option<&str>| value.map(|value| format!("{value:<width$}"));
    match column.data_type() {
        DataType::LargeUtf8 => {
            Arc::new(column.as_string::<i64>().iter().map(pad).collect::<LargeStringArray>())
        }
        DataType::Utf8 => Arc::new(column.as_string::<i32>().iter().map(pad).collect::<StringArray>()),
        _ => Arc::clone(column),
    }
}

/// The client knows the columns already; rows of others would be misread.
pub fn changed() -> Error {
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, "cached plan must not change result type")
        .with_hint("A table has changed since the statement was prepared; prepare it again.")
}

/// Cuts a batch so that its parts make short frames; one row is never cut.
fn cut(batch: RecordBatch) -> Vec<RecordBatch> {
    let bytes = bytes_of(&batch);
    let rows = batch.num_rows();
    if bytes <= FRAME_BYTES || rows <= 1 {
        return vec![batch];
    }
    let step = (rows / bytes.div_ceil(FRAME_BYTES)).max(1);
    (0..rows).step_by(step).map(|first| batch.slice(first, step.min(rows - first))).collect()
}

/// The bytes of the rows alone, though their buffers may hold more.
fn bytes_of(batch: &RecordBatch) -> usize {
    let bytes = |column: &Arc<dyn Array>| column.to_data().get_slice_memory_size().unwrap_or(0);
    batch.columns().iter().map(bytes).sum()
}

impl Sending {
    /// The frames: the schema, and then the rows.
    pub fn frames(self) -> BoxStream<'static, Result<FlightData, Status>> {
        let (sender, receiver) = mpsc::channel(FRAMES_AHEAD);
        let runtime = self.visit.host().statements().clone();
        let making = AbortOnDropHandle::new(runtime.spawn(self.make(sender)));
        // As long as somebody reads, they are made.
        let frames = ReceiverStream::new(receiver);
        futures::stream::unfold((frames, making), |(mut frames, making)| async move {
            frames.next().await.map(|frame| (frame, (frames, making)))
        })
        .boxed()
    }

    async fn make(self, sender: mpsc::Sender<Result<FlightData, Status>>) {
        let Sending { visit, fails, rows, schema, cancel, mut watch } = self;
        let keeps = visit.keeps_dictionaries();
        let mut frames = std::pin::pin!(encoded(rows, schema, keeps, Counted(Arc::clone(visit.host()))));
        loop {
            let frame = tokio::select! {
                biased;
                () = cancel.cancelled() => Some(Err(cancelled())),
                frame = frames.next() => frame,
            };
            let Some(frame) = frame else {
                watch.iter_mut().for_each(|watch| watch.end(Ending::Done));
                return;
            };
            let failed = frame.is_err();
            if failed {
                watch.iter_mut().for_each(|watch| watch.end(Ending::of(&frame)));
                fails.iter().for_each(Lane::fail);
            }
            // If nobody reads any more, nobody wants the rest.
            if sender.send(frame.map_err(|error| status(&error))).await.is_err() || failed {
                return;
            }
        }
    }
}

/// Counts what is made.
struct Counted(Arc<dyn crate::host::Host>);

fn encoded(
    rows: Rows,
    schema: SchemaRef,
    keeps_dictionaries: bool,
    counted: Counted,
) -> impl Stream<Item = Result<FlightData, Error>> + Send {
    let wire = Arc::clone(&schema);
    let batches = rows.map(move |batch| -> Result<Vec<RecordBatch>, Error> {
        let batch = conform(&batch?, &wire)?;
        let parts = cut(batch);
        let rows: usize = parts.iter().map(RecordBatch::num_rows).sum();
        counted.0.sent(rows as u64, parts.iter().map(bytes_of).sum::<usize>() as u64);
        Ok(parts)
    });
    let batches = batches.map_ok(|parts| futures::stream::iter(parts.into_iter().map(Ok))).try_flatten();
    let handling = if keeps_dictionaries { DictionaryHandling::Resend } else { DictionaryHandling::Hydrate };
    FlightDataEncoderBuilder::new()
        .with_schema(schema)
        .with_dictionary_handling(handling)
        // They are cut already, by what they hold and not by what their buffers hold.
        .with_max_flight_data_size(usize::MAX)
        .build(batches.map_err(|error: Error| FlightError::ExternalError(Box::new(error))))
        .map_err(error_of)
}

/// The error that a stream of Flight carries.
pub fn error_of(error: FlightError) -> Error {
    match error {
        FlightError::ExternalError(inner) => match inner.downcast::<Error>() {
            Ok(error) => *error,
            Err(other) => Error::internal(other.to_string()),
        },
        other => Error::internal(format!("rows cannot be encoded: {other}")),
    }
}

pub fn cancelled() -> Error {
    Error::new(SqlState::QUERY_CANCELED, "canceling statement due to user request")
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, DictionaryArray, Int64Array, StringArray, StringViewArray};
    use arrow::datatypes::Int32Type;

    fn batch(columns: Vec<(&str, Arc<dyn Array>)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).expect("columns of one length")
    }

    #[test]
    fn clients_see_no_views_and_no_dictionaries() {
        let words: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
        let rows = batch(vec![
            ("view", Arc::new(StringViewArray::from(vec!["x", "y", "z"]))),
            ("word", Arc::new(words)),
        ]);
        let schema = wire_schema(&rows.schema(), false);
        let types: Vec<_> = schema.fields().iter().map(|field| field.data_type().clone()).collect();
        assert_eq!(types, [DataType::Utf8, DataType::Utf8]);
        let sent = conform(&rows, &schema).expect("they are texts");
        assert_eq!(sent.column(1).as_string::<i32>(), &StringArray::from(vec!["a", "b", "a"]));
        let kept = wire_schema(&rows.schema(), true);
        assert!(matches!(kept.field(1).data_type(), DataType::Dictionary(..)));
    }

    #[test]
    fn fields_tell_their_sql_type() {
        let field = Field::new("n", DataType::Decimal128(12, 2), false);
        let schema = wire_schema(&Schema::new(vec![field]), false);
        let mark = |key: &str| schema.field(0).metadata().get(key).map(String::as_str);
        assert_eq!(mark("ARROW:FLIGHT:SQL:TYPE_NAME"), Some("numeric(12,2)"));
        assert_eq!(mark("ARROW:FLIGHT:SQL:PRECISION"), Some("12"));
        assert_eq!(mark("ARROW:FLIGHT:SQL:SCALE"), Some("2"));
        assert!(schema.field(0).is_nullable());
    }

    #[test]
    fn other_columns_are_an_error() {
        let rows = batch(vec![("n", Arc::new(Int64Array::from(vec![1])))]);
        let other = Arc::new(Schema::new(vec![
            Field::new("n", DataType::Int64, true),
            Field::new("m", DataType::Int64, true),
        ]));
        assert_eq!(
            conform(&rows, &other).map_err(|error| error.sqlstate),
            Err(SqlState::FEATURE_NOT_SUPPORTED)
        );
    }

    #[test]
    fn frames_are_short_and_hold_every_row() {
        let check = |rows: i64, width: usize, from: usize| {
            let text = "x".repeat(width);
            let texts = StringArray::from_iter_values((0..rows).map(|_| text.as_str()));
            let numbers = Int64Array::from_iter_values(0..rows);
            let whole = batch(vec![("n", Arc::new(numbers)), ("t", Arc::new(texts))]);
            let whole = whole.slice(from, whole.num_rows() - from);
            let parts = cut(whole.clone());
            assert_eq!(parts.iter().map(RecordBatch::num_rows).sum::<usize>(), whole.num_rows());
            for part in &parts {
                assert!(bytes_of(part) <= 2 * FRAME_BYTES || part.num_rows() == 1);
            }
            parts.len()
        };
        assert_eq!(check(8192, 8, 0), 1);
        assert_eq!(check(3, FRAME_BYTES + 1, 0), 3);
        assert!(check(8192, 4096, 0) >= 16);
        // A small piece of a large batch is one frame.
        assert_eq!(check(8192, 4096, 8000), 1);
    }
}
