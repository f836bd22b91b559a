//! Arrays from JSON values. Each builder takes one value from the cursor; what does not fit the type is a misfit, but
//! any value fits text: as the JSON it is. It must never choose a type. Next: `rows.rs`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Float32Builder, Float64Builder, Int32Builder, Int64Builder,
    ListArray, NullBufferBuilder, StringBuilder, StructArray, TimestampMicrosecondBuilder,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::compute::CastOptions;
use arrow::datatypes::{DataType, FieldRef, Fields, TimeUnit};
use arrow::error::ArrowError;

use super::cursor::{Cursor, Kind, Malformed};
use crate::files::values;

/// Whole numbers written as decimals (`2.0`, `1e3`) are exact up to here.
const EXACT_DOUBLE_MAX: f64 = 9_007_199_254_740_992.0;
/// The longest part of a bad value that an error shows, characters.
const SHOWN_CHARS_MAX: usize = 60;

/// Why a value was not taken.
#[derive(Debug)]
pub enum Refusal {
    Malformed(Malformed),
    /// Completes "column ...": the path below the column, and what is wrong there.
    Misfit {
        path: String,
        reason: String,
    },
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Refusal {
        Refusal::Malformed(malformed)
    }
}

/// Collects the values of one column or of a part of it.
pub enum Builder {
    Boolean(BooleanBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Float(Float32Builder),
    Double(Float64Builder),
    Date(Date32Builder),
    Timestamp {
        values: TimestampMicrosecondBuilder,
        zoned: bool,
    },
    Text(StringBuilder),
    /// Built as text and cast: types that a crawl does not choose.
    Cast {
        text: StringBuilder,
        data_type: DataType,
    },
    Struct(StructBuilder),
    List {
        element: FieldRef,
        items: Box<Builder>,
        offsets: Vec<i32>,
        valid: NullBufferBuilder,
    },
}

impl Builder {
    pub fn new(data_type: &DataType) -> Builder {
        match data_type {
            DataType::Boolean => Builder::Boolean(BooleanBuilder::new()),
            DataType::Int32 => Builder::Int(Int32Builder::new()),
            DataType::Int64 => Builder::Long(Int64Builder::new()),
            DataType::Float32 => Builder::Float(Float32Builder::new()),
            DataType::Float64 => Builder::Double(Float64Builder::new()),
            DataType::Date32 => Builder::Date(Date32Builder::new()),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => Builder::Timestamp {
                values: TimestampMicrosecondBuilder::new().with_data_type(data_type.clone()),
                zoned: zone.is_some(),
            },
            DataType::Utf8 => Builder::Text(StringBuilder::new()),
            DataType::Struct(fields) => Builder::Struct(StructBuilder::new(fields)),
            DataType::List(element) => Builder::List {
                element: Arc::clone(element),
                items: Box::new(Builder::new(element.data_type())),
                offsets: vec![0],
                valid: NullBufferBuilder::new(0),
            },
            other => Builder::Cast { text: StringBuilder::new(), data_type: other.clone() },
        }
    }

    pub fn null(&mut self) {
        match self {
            Builder::Boolean(values) => values.append_null(),
            Builder::Int(values) => values.append_null(),
            Builder::Long(values) => values.append_null(),
            Builder::Float(values) => values.append_null(),
            Builder::Double(values) => values.append_null(),
            Builder::Date(values) => values.append_null(),
            Builder::Timestamp { values, .. } => values.append_null(),
            Builder::Text(values) | Builder::Cast { text: values, .. } => values.append_null(),
            Builder::Struct(builder) => builder.null(),
            Builder::List { offsets, valid, .. } => {
                offsets.push(offsets.last().copied().unwrap_or(0));
                valid.append_null();
            }
        }
    }

    /// Takes the value at the cursor.
    pub fn value(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
        let kind = cursor.kind()?;
        if kind == Kind::Null {
            cursor.null()?;
            self.null();
            return Ok(());
        }
        match (&mut *self, kind) {
            (Builder::Boolean(values), Kind::Boolean) => values.append_value(cursor.boolean()?),
            (Builder::Int(values), Kind::Number) => values.append_value(number(cursor, "integer", |text| {
                whole(text).and_then(|value| i32::try_from(value).ok())
            })?),
            (Builder::Long(values), Kind::Number) => values.append_value(number(cursor, "bigint", whole)?),
            (Builder::Float(values), Kind::Number) => {
                values.append_value(number(cursor, "real", |text| text.parse().ok())?);
            }
            (Builder::Double(values), Kind::Number) => {
                values.append_value(number(cursor, "double precision", |text| text.parse().ok())?);
            }
            (Builder::Date(values), Kind::Text) => values.append_value(text(cursor, "date", values::date)?),
            (Builder::Timestamp { values, zoned }, Kind::Text) => {
                let zoned = *zoned;
                values.append_value(text(cursor, "timestamp", |text| timestamp(text, zoned))?);
            }
            (Builder::Text(values) | Builder::Cast { text: values, .. }, Kind::Text) => {
                values.append_value(cursor.string()?);
            }
            (Builder::Text(values) | Builder::Cast { text: values, .. }, _) => {
                values.append_value(cursor.skip()?)
            }
            (Builder::Struct(builder), Kind::Object) => builder.value(cursor)?,
            (Builder::List { items, offsets, valid, .. }, Kind::List) => list(cursor, items, offsets, valid)?,
            (expected, _) => return Err(misfit(expected.name(), cursor.skip()?)),
        }
        Ok(())
    }

    /// The array of all values taken since the last call.
    pub fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Builder::Boolean(values) => Arc::new(values.finish()),
            Builder::Int(values) => Arc::new(values.finish()),
            Builder::Long(values) => Arc::new(values.finish()),
            Builder::Float(values) => Arc::new(values.finish()),
            Builder::Double(values) => Arc::new(values.finish()),
            Builder::Date(values) => Arc::new(values.finish()),
            Builder::Timestamp { values, .. } => Arc::new(values.finish()),
            Builder::Text(values) => Arc::new(values.finish()),
            Builder::Cast { text, data_type } => {
                let options = CastOptions { safe: false, ..Default::default() };
                arrow::compute::cast_with_options(&text.finish(), data_type, &options)?
            }
            Builder::Struct(builder) => builder.finish()?,
            Builder::List { element, items, offsets, valid } => {
                let ends = ScalarBuffer::from(std::mem::replace(offsets, vec![0]));
                let offsets = OffsetBuffer::new(ends);
                Arc::new(ListArray::try_new(Arc::clone(element), offsets, items.finish()?, valid.finish())?)
            }
        })
    }

    /// The SQL name of the type, for errors.
    fn name(&self) -> &'static str {
        match self {
            Builder::Boolean(_) => "boolean",
            Builder::Int(_) => "integer",
            Builder::Long(_) => "bigint",
            Builder::Float(_) => "real",
            Builder::Double(_) => "double precision",
            Builder::Date(_) => "date",
            Builder::Timestamp { .. } => "timestamp",
            Builder::Text(_) | Builder::Cast { .. } => "text",
            Builder::Struct(_) => "a struct",
            Builder::List { .. } => "a list",
        }
    }
}

/// Collects the values of an object's members.
pub struct StructBuilder {
    fields: Fields,
    positions: HashMap<String, usize>,
    members: Vec<Builder>,
    /// For each member, the object that gave it last, to find those that an object lacks.
    given_by: Vec<u64>,
    object: u64,
    valid: NullBufferBuilder,
}

impl StructBuilder {
    pub fn new(fields: &Fields) -> StructBuilder {
        StructBuilder {
            fields: fields.clone(),
            positions: fields
                .iter()
                .enumerate()
                .map(|(index, field)| (field.name().clone(), index))
                .collect(),
            members: fields.iter().map(|field| Builder::new(field.data_type())).collect(),
            given_by: vec![0; fields.len()],
            object: 0,
            valid: NullBufferBuilder::new(0),
        }
    }

    pub fn null(&mut self) {
        self.members.iter_mut().for_each(Builder::null);
        self.valid.append_null();
    }

    /// Takes the object at the cursor. A key given twice counts the first time; members nobody asked for are passed.
    pub fn value(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
        self.object += 1;
        cursor.object()?;
        let mut first = true;
        while let Some(key) = cursor.key(first)? {
            first = false;
            match self.positions.get(key.as_ref()) {
                Some(index) if self.given_by[*index] != self.object => {
                    self.given_by[*index] = self.object;
                    self.members[*index].value(cursor).map_err(|refusal| below(refusal, &key))?;
                }
                _ => {
                    cursor.skip()?;
                }
            }
        }
        for (member, given_by) in self.members.iter_mut().zip(&self.given_by) {
            if *given_by != self.object {
                member.null();
            }
        }
        self.valid.append_non_null();
        Ok(())
    }

    pub fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let length = self.valid.len();
        let members = self.members.iter_mut().map(Builder::finish).collect::<Result<Vec<_>, _>>()?;
        let valid = self.valid.finish();
        Ok(Arc::new(StructArray::try_new_with_length(self.fields.clone(), members, valid, length)?))
    }
}

fn list(
    cursor: &mut Cursor<'_>,
    items: &mut Builder,
    offsets: &mut Vec<i32>,
    valid: &mut NullBufferBuilder,
) -> Result<(), Refusal> {
    cursor.list()?;
    let mut end = offsets.last().copied().unwrap_or(0);
    let mut first = true;
    while cursor.item(first)? {
        first = false;
        items.value(cursor)?;
        end += 1;
    }
    offsets.push(end);
    valid.append_non_null();
    Ok(())
}

fn number<T>(cursor: &mut Cursor<'_>, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, Refusal> {
    let text = cursor.number()?;
    parse(text).ok_or_else(|| misfit(name, text))
}

fn text<T>(cursor: &mut Cursor<'_>, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, Refusal> {
    let text = cursor.string()?;
    parse(&text).ok_or_else(|| misfit(name, &text))
}

fn whole(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| {
        let value: f64 = text.parse().ok()?;
        (value.fract() == 0.0 && value.abs() <= EXACT_DOUBLE_MAX).then_some(value as i64)
    })
}

fn timestamp(text: &str, zoned: bool) -> Option<i64> {
    match values::moment(text) {
        Some(moment) => (moment.zoned == zoned).then_some(moment.micros),
        None if zoned => None,
        None => values::date(text).map(values::midnight),
    }
}

fn misfit(expected: &str, found: &str) -> Refusal {
    let shown: String = found.chars().take(SHOWN_CHARS_MAX).collect();
    Refusal::Misfit { path: String::new(), reason: format!("is {expected}, and {shown} is not") }
}

/// The refusal as seen from the object around it.
fn below(refusal: Refusal, key: &str) -> Refusal {
    match refusal {
        Refusal::Misfit { path, reason } if path.is_empty() => {
            Refusal::Misfit { path: key.to_owned(), reason }
        }
        Refusal::Misfit { path, reason } => Refusal::Misfit { path: format!("{key}.{path}"), reason },
        malformed => malformed,
    }
}
