//! The filter of a scan as the protocol writes it, and whether a data file may hold rows that pass it, by the bounds and
//! counts of its columns. Whatever is not understood may hold: a file too many costs time, one too few costs rows.

use std::cmp::Ordering;

use iceberg::spec::{
    DataFile, Datum, Literal, NestedFieldRef, PrimitiveLiteral, PrimitiveType, Schema, Type,
};
use serde_json::Value;

use super::error::{Error, Result};

/// How deep a filter may nest.
const DEPTH_MAX: usize = 200;

/// A filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    Constant(bool),
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    /// A column, how it is compared, and with what.
    Compare(i32, Comparison, Vec<Datum>),
    IsNull(i32),
    NotNull(i32),
    /// Something that says nothing of files.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// With any of the values.
    Equal,
}

impl Filter {
    /// Reads a filter over the columns of `schema`.
    ///
    /// # Errors
    ///
    /// 400 for what is no filter, and for a column that is not there.
    pub fn read(filter: &Value, schema: &Schema, case_sensitive: bool) -> Result<Filter> {
        Reader { schema, case_sensitive }.filter(filter, 0)
    }

    /// Whether a file may hold rows that pass.
    pub fn may_match(&self, file: &DataFile) -> bool {
        match self {
            Filter::Constant(value) => *value,
            Filter::And(left, right) => left.may_match(file) && right.may_match(file),
            Filter::Or(left, right) => left.may_match(file) || right.may_match(file),
            Filter::Unknown => true,
            Filter::IsNull(id) => file.null_value_counts().get(id) != Some(&0),
            Filter::NotNull(id) => !only_nulls(file, *id),
            Filter::Compare(id, how, values) => {
                !only_nulls(file, *id) && values.iter().any(|value| may_be(file, *id, *how, value))
            }
        }
    }
}

fn only_nulls(file: &DataFile, id: i32) -> bool {
    match (file.null_value_counts().get(&id), file.value_counts().get(&id)) {
        (Some(nulls), Some(values)) => nulls == values,
        _ => false,
    }
}

/// Bounds that are missing, or of another type than the column has now, say nothing.
fn may_be(file: &DataFile, id: i32, how: Comparison, value: &Datum) -> bool {
    let order = |bound: Option<&Datum>| bound.and_then(|bound| bound.partial_cmp(value));
    let lower = order(file.lower_bounds().get(&id));
    let upper = order(file.upper_bounds().get(&id));
    match how {
        Comparison::Less => !matches!(lower, Some(Ordering::Equal | Ordering::Greater)),
        Comparison::LessOrEqual => lower != Some(Ordering::Greater),
        Comparison::Greater => !matches!(upper, Some(Ordering::Equal | Ordering::Less)),
        Comparison::GreaterOrEqual => upper != Some(Ordering::Less),
        Comparison::Equal => lower != Some(Ordering::Greater) && upper != Some(Ordering::Less),
    }
}

struct Reader<'a> {
    schema: &'a Schema,
    case_sensitive: bool,
}

impl Reader<'_> {
    fn filter(&self, filter: &Value, depth: usize) -> Result<Filter> {
        if depth > DEPTH_MAX {
            return Err(Error::bad_request(format!("the filter nests deeper than {DEPTH_MAX}")));
        }
        if let Value::Bool(constant) = filter {
            return Ok(Filter::Constant(*constant));
        }
        let wrong = || Error::bad_request("the filter is not a predicate");
        let part = |name: &str| filter.get(name).ok_or_else(wrong);
        let inner = |name: &str| self.filter(part(name)?, depth + 1).map(Box::new);
        let kind = filter.get("type").ok_or_else(wrong)?;
        let word = kind.as_str().ok_or_else(wrong)?;
        Ok(match word {
            "true" => Filter::Constant(true),
            "false" => Filter::Constant(false),
            "and" => Filter::And(inner("left")?, inner("right")?),
            "or" => Filter::Or(inner("left")?, inner("right")?),
            "not" => match *inner("child")? {
                Filter::Constant(value) => Filter::Constant(!value),
                Filter::IsNull(id) => Filter::NotNull(id),
                Filter::NotNull(id) => Filter::IsNull(id),
                // A file that may hold rows that pass may hold others, too.
                _ => Filter::Unknown,
            },
            "is-null" | "not-null" => match (self.column(filter)?, word) {
                (Some(field), "is-null") => Filter::IsNull(field.id),
                (Some(field), _) => Filter::NotNull(field.id),
                (None, _) => Filter::Unknown,
            },
            "lt" => self.compare(filter, Comparison::Less)?,
            "lt-eq" => self.compare(filter, Comparison::LessOrEqual)?,
            "gt" => self.compare(filter, Comparison::Greater)?,
            "gt-eq" => self.compare(filter, Comparison::GreaterOrEqual)?,
            "eq" | "in" => self.compare(filter, Comparison::Equal)?,
            "not-eq" | "not-in" | "starts-with" | "not-starts-with" | "is-nan" | "not-nan" => {
                self.column(filter)?;
                Filter::Unknown
            }
            _ => return Err(Error::bad_request("the filter has a predicate that is not known")),
        })
    }

    /// The column that a predicate is about; none if it is about something else.
    fn column(&self, filter: &Value) -> Result<Option<NestedFieldRef>> {
        let term = ["term", "child", "left"].iter().find_map(|name| filter.get(*name));
        let term = term.ok_or_else(|| Error::bad_request("a predicate of the filter has no term"))?;
        let name = match term {
            Value::String(name) => name.as_str(),
            term => match (term.get("type").and_then(Value::as_str), term.get("name")) {
                (Some("reference"), Some(Value::String(name))) => name.as_str(),
                _ => return Ok(None),
            },
        };
        let field = match self.case_sensitive {
            true => self.schema.field_by_name(name),
            false => self.schema.field_by_name_case_insensitive(name),
        };
        let missing =
            || Error::bad_request(format!("the filter names the column {name:?}, which is not there"));
        field.cloned().map(Some).ok_or_else(missing)
    }

    fn compare(&self, filter: &Value, how: Comparison) -> Result<Filter> {
        let Some(field) = self.column(filter)? else { return Ok(Filter::Unknown) };
        let given = ["value", "values", "right"].iter().find_map(|name| filter.get(*name));
        let given = given.ok_or_else(|| Error::bad_request("a predicate of the filter has no value"))?;
        let given = given.get("values").unwrap_or(given);
        let values = match given {
            Value::Array(values) => values.as_slice(),
            one => std::slice::from_ref(one),
        };
        let values: Option<Vec<Datum>> = values.iter().map(|value| datum(value, &field.field_type)).collect();
        Ok(values.map_or(Filter::Unknown, |values| Filter::Compare(field.id, how, values)))
    }
}

/// A value of a column's type; none where that is not clear.
fn datum(value: &Value, kind: &Type) -> Option<Datum> {
    let value = value.get("value").unwrap_or(value);
    let Type::Primitive(primitive) = kind else { return None };
    let Literal::Primitive(literal) = Literal::try_from_json(value.clone(), kind).ok()?? else { return None };
    // Bounds of floating-point columns do not tell of NaN; the rest is too seldom to be told apart here.
    Some(match (primitive, literal) {
        (PrimitiveType::Boolean, PrimitiveLiteral::Boolean(value)) => Datum::bool(value),
        (PrimitiveType::Int, PrimitiveLiteral::Int(value)) => Datum::int(value),
        (PrimitiveType::Long, PrimitiveLiteral::Long(value)) => Datum::long(value),
        (PrimitiveType::Date, PrimitiveLiteral::Int(value)) => Datum::date(value),
        (PrimitiveType::Timestamp, PrimitiveLiteral::Long(value)) => Datum::timestamp_micros(value),
        (PrimitiveType::Timestamptz, PrimitiveLiteral::Long(value)) => Datum::timestamptz_micros(value),
        (PrimitiveType::String, PrimitiveLiteral::String(value)) => Datum::string(value),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, NestedField, Struct};
    use serde_json::json;
    use std::collections::HashMap;

    fn schema() -> Schema {
        let field = |id, name, kind| NestedField::optional(id, name, Type::Primitive(kind)).into();
        let fields = vec![field(1, "id", PrimitiveType::Long), field(2, "name", PrimitiveType::String)];
        Schema::builder().with_fields(fields).build().expect("a schema")
    }

    /// A file with ids from 10 to 20, and no names.
    fn file() -> DataFile {
        DataFileBuilder::default()
            .content(DataContentType::Data)
            .file_path("file:///t/data/x.parquet".to_owned())
            .file_format(DataFileFormat::Parquet)
            .partition(Struct::empty())
            .partition_spec_id(0)
            .record_count(5)
            .file_size_in_bytes(100)
            .value_counts(HashMap::from([(1, 5), (2, 5)]))
            .null_value_counts(HashMap::from([(1, 0), (2, 5)]))
            .lower_bounds(HashMap::from([(1, Datum::long(10))]))
            .upper_bounds(HashMap::from([(1, Datum::long(20))]))
            .build()
            .expect("a file")
    }

    fn may(filter: Value) -> bool {
        Filter::read(&filter, &schema(), true).expect("a filter").may_match(&file())
    }

    #[test]
    fn files_that_cannot_hold_a_row_are_left_out() {
        let compare = |kind: &str, value: i64| may(json!({ "type": kind, "term": "id", "value": value }));
        assert_eq!([9, 10, 20, 21].map(|value| compare("eq", value)), [false, true, true, false]);
        assert_eq!([10, 11].map(|value| compare("lt", value)), [false, true]);
        assert_eq!([9, 10].map(|value| compare("lt-eq", value)), [false, true]);
        assert_eq!([20, 19].map(|value| compare("gt", value)), [false, true]);
        assert_eq!([21, 20].map(|value| compare("gt-eq", value)), [false, true]);
        assert!(compare("not-eq", 10));
        assert!(!may(json!({ "type": "in", "term": "id", "values": [1, 2, 30] })));
        assert!(may(json!({ "type": "in", "term": "id", "values": [1, 15] })));
        assert!(!may(json!({ "type": "is-null", "term": "id" })));
        assert!(!may(json!({ "type": "not-null", "term": "name" })));
        assert!(!may(json!({ "type": "eq", "term": "name", "value": "a" })));
        assert!(may(json!({ "type": "not", "child": { "type": "eq", "term": "id", "value": 15 } })));
    }

    #[test]
    fn both_spellings_of_a_predicate_are_read() {
        let reference = json!({ "type": "reference", "name": "id" });
        let literal = json!({ "type": "literal", "value": 9, "data-type": "long" });
        assert!(!may(json!({ "type": "eq", "left": reference, "right": literal })));
        let left = json!({ "type": "eq", "term": "id", "value": 9 });
        let right = json!({ "type": "eq", "term": "id", "value": 15 });
        assert!(!may(json!({ "type": "and", "left": left, "right": right })));
        assert!(may(json!({ "type": "or", "left": left, "right": right })));
        assert!(!may(json!(false)));
        let transformed = json!({ "type": "transform", "transform": "bucket[4]", "term": "id" });
        assert!(may(json!({ "type": "eq", "term": transformed, "value": 1 })));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for wrong in [
            json!({}),
            json!("x"),
            json!({ "type": "paint", "term": "id" }),
            json!({ "type": "eq", "term": "none", "value": 1 }),
            json!({ "type": "eq", "term": "id" }),
            json!({ "type": "eq", "value": 1 }),
            json!({ "type": "and", "left": true }),
        ] {
            assert!(Filter::read(&wrong, &schema(), true).is_err(), "{wrong}");
        }
        let mut deep = json!(true);
        for _ in 0..1000 {
            deep = json!({ "type": "not", "child": deep });
        }
        assert!(Filter::read(&deep, &schema(), true).is_err());
        let insensitive = Filter::read(&json!({ "type": "is-null", "term": "ID" }), &schema(), false);
        assert_eq!(insensitive.ok(), Some(Filter::IsNull(1)));
    }
}
