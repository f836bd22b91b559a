//! The columns of a JSON file: the union of the members of all objects of the sample, nested objects as structs, lists
//! as lists. Where values disagree, whole numbers become decimal ones and all else becomes text; an object that meets
//! a plain value becomes JSON text, so that no value is lost and no query fails. It must never write anything.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use tarn_catalog::object::{FileFormat, JsonFormat};

use super::kinds::{Evidence, Kinds, shortened};
use super::{Probe, SampleLimits};
use crate::files::feed::Feed;
use crate::files::json::{
    Cursor, Found, KEY_COLUMN, Kind, RecordFinder, Refusal, Shape, VALUE_COLUMN, not_an_object, not_utf8,
    refused,
};
use crate::files::problem::Problem;

/// An object with more members than this over the sample is keyed by data, and stays JSON text.
const MEMBERS_MAX: usize = 1000;
/// Columns a table may have.
const COLUMNS_MAX: usize = 10_000;
/// Deeper values stay JSON text.
const DEPTH_MAX: usize = 24;
/// Evidence kept of one file.
const EVIDENCE_MAX: usize = 100;
/// An object at the top is keyed by data when it has at least this many members ...
const KEYS_MIN: usize = 3;
/// ... whose objects share at least this part of their members.
const LIKENESS_MIN: f64 = 0.5;

/// Looks at a file and says how it is read and what its columns are.
pub async fn probe(mut feed: Feed, limits: &SampleLimits) -> Result<Probe, Problem> {
    let mut sample = Sample::default();
    let mut finder = RecordFinder::new(false);
    let whole = loop {
        if sample.rows >= limits.rows || feed.consumed() >= limits.bytes {
            break false;
        }
        match finder.find(feed.rest(), feed.ended())? {
            Found::Record { start, end } => {
                sample.take(&feed.rest()[start..end], finder.first_line())?;
                feed.consume(end);
            }
            Found::More => feed.more().await?,
            Found::End => break true,
        }
    };
    if sample.columns.columns.is_empty() {
        return Err(Problem::malformed("it is empty: there is no object with a member"));
    }
    if sample.columns.columns.len() > COLUMNS_MAX {
        return Err(Problem::malformed(format!(
            "its objects have more than {COLUMNS_MAX} different members"
        ))
        .with_hint("The objects seem to be keyed by data; write them as a list of objects."));
    }
    let single = whole && sample.rows == 1 && finder.shape() == Some(Shape::Objects);
    if let (true, Some(value)) = (single, sample.keyed_value()) {
        return Ok(sample.keyed_probe(value));
    }
    let array = finder.shape() == Some(Shape::Array);
    Ok(Probe {
        format: FileFormat::Json(JsonFormat { array, keyed: false }),
        schema: Schema::new(sample.columns.fields()),
        rows: sample.rows,
        whole,
        sure: true,
        decisions: Vec::new(),
        evidence: sample.evidence,
    })
}

#[derive(Default)]
struct Sample {
    columns: Members,
    rows: u64,
    /// The first record, which may turn out to be a keyed object.
    first: Option<String>,
    evidence: Vec<Evidence>,
}

impl Sample {
    fn take(&mut self, record: &[u8], line: u64) -> Result<(), Problem> {
        let text = std::str::from_utf8(record).map_err(|_| not_utf8(line))?;
        self.rows += 1;
        self.first = (self.rows == 1).then(|| text.to_owned());
        let mut observer = Observer { line, evidence: &mut self.evidence };
        observe_object(&mut self.columns, text, &mut observer).map_err(|refusal| refused(refusal, text, line))
    }

    /// The type that all values of the only record share, if they are alike enough to be rows.
    fn keyed_value(&self) -> Option<(u64, DataType)> {
        let mut cursor = Cursor::new(self.first.as_deref()?);
        let mut value = Column::Unknown;
        let mut keys = 0;
        let mut evidence = Vec::new();
        let mut observer = Observer { line: 1, evidence: &mut evidence };
        cursor.object().ok()?;
        while cursor.key(keys == 0).ok()?.is_some() {
            keys += 1;
            value.observe(&mut cursor, &Path::top(VALUE_COLUMN), 0, &mut observer).ok()?;
        }
        let likeness = match &value {
            Column::Object(members) => members.likeness(),
            Column::List(element) => match element.as_ref() {
                Column::Object(members) => members.likeness(),
                _ => 0.0,
            },
            _ => 0.0,
        };
        (keys >= KEYS_MIN && likeness >= LIKENESS_MIN).then(|| (keys as u64, value.data_type()))
    }

    fn keyed_probe(self, (rows, value): (u64, DataType)) -> Probe {
        let fields =
            vec![Field::new(KEY_COLUMN, DataType::Utf8, true), Field::new(VALUE_COLUMN, value, true)];
        Probe {
            format: FileFormat::Json(JsonFormat { array: false, keyed: true }),
            schema: Schema::new(fields),
            rows,
            whole: true,
            sure: true,
            decisions: Vec::new(),
            evidence: Vec::new(),
        }
    }
}

fn observe_object(columns: &mut Members, text: &str, observer: &mut Observer<'_>) -> Result<(), Refusal> {
    let mut cursor = Cursor::new(text);
    let kind = cursor.kind()?;
    if kind != Kind::Object {
        return Err(Refusal::Misfit { path: String::new(), reason: not_an_object(kind) });
    }
    columns.observe(&mut cursor, None, 0, observer)?;
    Ok(cursor.end()?)
}

/// Keeps the values that widened something.
struct Observer<'a> {
    line: u64,
    evidence: &'a mut Vec<Evidence>,
}

impl Observer<'_> {
    fn widened(&mut self, path: &Path<'_>, value: &str, before: DataType, after: DataType) {
        if self.evidence.len() < EVIDENCE_MAX && before != after && before != DataType::Null {
            let (column, line, value) = (path.to_string(), self.line, shortened(value));
            self.evidence.push(Evidence { column, line, value, before, after });
        }
    }
}

/// Where in a record a value stands, for evidence; made without allocating, for every value.
struct Path<'a> {
    above: Option<&'a Path<'a>>,
    name: &'a str,
}

impl<'a> Path<'a> {
    fn top(name: &'a str) -> Path<'a> {
        Path { above: None, name }
    }
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(above) = self.above {
            write!(f, "{above}.")?;
        }
        f.write_str(self.name)
    }
}

/// What one column, or a part of it, was seen to be.
#[derive(Debug, Clone)]
enum Column {
    Unknown,
    Boolean,
    Long,
    Double,
    Text(Kinds),
    List(Box<Column>),
    Object(Members),
    /// Values that have no type in common: JSON text.
    Mixed,
}

impl Column {
    fn observe(
        &mut self,
        cursor: &mut Cursor<'_>,
        path: &Path<'_>,
        depth: usize,
        observer: &mut Observer<'_>,
    ) -> Result<(), Refusal> {
        let kind = cursor.kind()?;
        if kind == Kind::Null {
            return Ok(cursor.null()?);
        }
        if matches!(self, Column::Unknown) {
            *self = Column::of(kind, depth);
        }
        match (&mut *self, kind) {
            (Column::Boolean, Kind::Boolean) => cursor.boolean().map(drop)?,
            (Column::Double, Kind::Number) => cursor.number().map(drop)?,
            (Column::Long, Kind::Number) => {
                let text = cursor.number()?;
                if text.parse::<i64>().is_err() {
                    let decimal = text.contains(['.', 'e', 'E']);
                    let wider = if decimal { Column::Double } else { Column::Text(Kinds::NONE) };
                    self.becomes(wider, path, text, observer);
                }
            }
            (Column::Text(kinds), Kind::Text) => {
                let text = cursor.string()?;
                let left = Kinds::of(&text, *kinds);
                if left != *kinds {
                    self.becomes(Column::Text(left), path, &text, observer);
                }
            }
            (Column::List(element), Kind::List) => {
                cursor.list()?;
                let mut first = true;
                while cursor.item(first)? {
                    first = false;
                    element.observe(cursor, path, depth + 1, observer)?;
                }
            }
            (Column::Object(members), Kind::Object) => {
                members.observe(cursor, Some(path), depth + 1, observer)?;
                if members.columns.len() > MEMBERS_MAX {
                    *self = Column::Mixed;
                }
            }
            (_, Kind::List | Kind::Object) | (Column::List(_) | Column::Object(_) | Column::Mixed, _) => {
                let text = cursor.skip()?;
                self.becomes(Column::Mixed, path, text, observer);
            }
            (_, Kind::Null | Kind::Boolean | Kind::Number | Kind::Text) => {
                let text = cursor.skip()?;
                self.becomes(Column::Text(Kinds::NONE), path, text, observer);
            }
        }
        Ok(())
    }

    fn of(kind: Kind, depth: usize) -> Column {
        match kind {
            Kind::Null => Column::Unknown,
            Kind::Boolean => Column::Boolean,
            Kind::Number => Column::Long,
            Kind::Text => Column::Text(Kinds::TEMPORAL),
            Kind::List | Kind::Object if depth >= DEPTH_MAX => Column::Mixed,
            Kind::List => Column::List(Box::new(Column::Unknown)),
            Kind::Object => Column::Object(Members::default()),
        }
    }

    fn becomes(&mut self, wider: Column, path: &Path<'_>, value: &str, observer: &mut Observer<'_>) {
        // The first text of a column takes all dates away; that is no news.
        let first_text = matches!(self, Column::Text(kinds) if *kinds == Kinds::TEMPORAL);
        if !first_text {
            observer.widened(path, value, self.data_type(), wider.data_type());
        }
        *self = wider;
    }

    fn data_type(&self) -> DataType {
        match self {
            Column::Unknown => DataType::Null,
            Column::Boolean => DataType::Boolean,
            Column::Long => DataType::Int64,
            Column::Double => DataType::Float64,
            Column::Text(kinds) => kinds.data_type(),
            Column::List(element) => {
                DataType::List(Arc::new(Field::new("element", element.data_type(), true)))
            }
            Column::Object(members) if members.columns.is_empty() => DataType::Null,
            Column::Object(members) => DataType::Struct(members.fields().into()),
            Column::Mixed => DataType::Utf8,
        }
    }
}

/// The members seen in some objects, in the order they were first seen.
#[derive(Debug, Clone, Default)]
struct Members {
    columns: Vec<(String, Column)>,
    positions: HashMap<String, usize>,
    /// Objects seen, and members in all of them.
    objects: u64,
    present: u64,
}

impl Members {
    fn observe(
        &mut self,
        cursor: &mut Cursor<'_>,
        above: Option<&Path<'_>>,
        depth: usize,
        observer: &mut Observer<'_>,
    ) -> Result<(), Refusal> {
        self.objects += 1;
        cursor.object()?;
        let mut first = true;
        while let Some(key) = cursor.key(first)? {
            first = false;
            self.present += 1;
            let position = match self.positions.get(key.as_ref()) {
                Some(position) => *position,
                None => {
                    self.columns.push((key.to_string(), Column::Unknown));
                    self.positions.insert(key.to_string(), self.columns.len() - 1);
                    self.columns.len() - 1
                }
            };
            let path = Path { above, name: &key };
            self.columns[position].1.observe(cursor, &path, depth, observer)?;
        }
        Ok(())
    }

    /// How much the objects have in common: the part of all members that an average object has.
    fn likeness(&self) -> f64 {
        let possible = self.objects as f64 * self.columns.len() as f64;
        if possible == 0.0 { 0.0 } else { self.present as f64 / possible }
    }

    fn fields(&self) -> Vec<Field> {
        self.columns.iter().map(|(name, column)| Field::new(name, column.data_type(), true)).collect()
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Fields, TimeUnit};

    use super::*;

    async fn probed(text: &str) -> Result<Probe, Problem> {
        probe(Feed::of(text, 5).await?, &SampleLimits::default()).await
    }

    fn object(fields: &[(&str, DataType)]) -> DataType {
        DataType::Struct(
            fields.iter().map(|(name, t)| Field::new(*name, t.clone(), true)).collect::<Fields>(),
        )
    }

    fn list(element: DataType) -> DataType {
        DataType::List(Arc::new(Field::new("element", element, true)))
    }

    async fn check(text: &str, expect: &[(&str, DataType)]) {
        let probe = probed(text).await.unwrap_or_else(|problem| panic!("{text}: {problem:?}"));
        let expect: Vec<Field> = expect.iter().map(|(name, t)| Field::new(*name, t.clone(), true)).collect();
        assert_eq!(probe.schema, Schema::new(expect), "{text}");
    }

    #[tokio::test]
    async fn values_widen_to_what_holds_them() {
        use DataType::{Boolean, Date32, Float64, Int64, Null, Utf8};
        check("{\"a\":1}\n{\"a\":2}", &[("a", Int64)]).await;
        check("[{\"a\":1},{\"a\":2.5}]", &[("a", Float64)]).await;
        check("{\"a\":1}{\"a\":\"x\"}", &[("a", Utf8)]).await;
        check("{\"a\":\"02222\"}", &[("a", Utf8)]).await;
        check("{\"a\":99999999999999999999}", &[("a", Utf8)]).await;
        check("{\"a\":null}{}", &[("a", Null)]).await;
        check("{\"a\":true,\"b\":false}", &[("a", Boolean), ("b", Boolean)]).await;
        check("{\"a\":\"2024-01-01\"}{\"a\":null}", &[("a", Date32)]).await;
        check("{\"a\":\"2024-01-01\"}{\"a\":\"soon\"}", &[("a", Utf8)]).await;
        let timestamp = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        check("{\"a\":\"2024-01-01T00:00:00Z\"}", &[("a", timestamp)]).await;
        check("{\"Name\":1,\"name\":2}", &[("Name", Int64), ("name", Int64)]).await;
    }

    #[tokio::test]
    async fn nested_values_become_structs_and_lists() {
        use DataType::{Int64, Utf8};
        check("{\"o\":{\"x\":1}}{\"o\":{\"y\":\"z\"}}", &[("o", object(&[("x", Int64), ("y", Utf8)]))]).await;
        check("{\"l\":[]}{\"l\":[1,null]}", &[("l", list(Int64))]).await;
        check("{\"l\":[{\"a\":1},{\"b\":2}]}", &[("l", list(object(&[("a", Int64), ("b", Int64)])))]).await;
        check("{\"m\":1}{\"m\":{\"x\":1}}{\"m\":[2]}", &[("m", Utf8)]).await;
        check("{\"m\":{\"x\":1}}{\"m\":1}", &[("m", Utf8)]).await;
    }

    #[tokio::test]
    async fn an_object_keyed_by_data_is_rows() {
        let text = "{\"SSAF\":[{\"n\":1}],\"HSAG\":[{\"n\":2},{\"n\":3}],\"X\":[]}";
        let value = list(object(&[("n", DataType::Int64)]));
        check(text, &[("key", DataType::Utf8), ("value", value)]).await;
        assert_eq!(probed(text).await.expect("the text is JSON").rows, 3);
        check(
            "{\"a\":{\"x\":1},\"b\":{\"y\":1},\"c\":{\"z\":1}}",
            &[
                ("a", object(&[("x", DataType::Int64)])),
                ("b", object(&[("y", DataType::Int64)])),
                ("c", object(&[("z", DataType::Int64)])),
            ],
        )
        .await;
    }

    #[tokio::test]
    async fn what_is_wrong_is_named_with_its_line() {
        for (text, line, part) in [
            ("", None, "empty"),
            ("[]", None, "empty"),
            ("{}", None, "empty"),
            ("[{\"a\":1},\n{\"a\":", Some(2), "ends in the middle"),
            ("{\"a\":1}\n{\"a\":x}\n", Some(2), "not JSON"),
            ("[1,2]", Some(1), "a record is a number"),
            ("{\"a\":1}\n[2]", Some(2), "a record is a list"),
        ] {
            let problem = probed(text).await.expect_err(text);
            assert_eq!(problem.line, line, "{text:?}");
            assert!(problem.reason.contains(part), "{text:?}: {}", problem.reason);
        }
    }

    #[tokio::test]
    async fn evidence_names_the_path() {
        let probe = probed("{\"o\":{\"x\":1}}\n{\"o\":{\"x\":\"one\"}}").await.expect("the text is JSON");
        let found: Vec<(String, u64, String)> =
            probe.evidence.into_iter().map(|e| (e.column, e.line, e.value)).collect();
        assert_eq!(found, [("o.x".to_owned(), 2, "\"one\"".to_owned())]);
    }
}
