//! Type names: PostgreSQL's spellings, and for nested types those of Trino (`row`, `array(…)`, `map(…)`) and Spark
//! (`struct<…>`, `array<…>`, `map<…>`). The result is always an Iceberg type.

use datafusion::sql::sqlparser::tokenizer::Token;
use iceberg::spec::PrimitiveType;

use super::Cursor;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::statement::{ColumnDefinition, TypeName};

/// The digits of a `numeric` without precision: Iceberg has no unbounded decimal.
const NUMERIC_PRECISION: u32 = 38;
const NUMERIC_SCALE: u32 = 9;

/// Reads a type name with its array suffixes.
pub(super) fn type_name(cursor: &mut Cursor) -> Result<TypeName> {
    let mut brackets = Brackets::default();
    let read = brackets.type_name(cursor)?;
    if brackets.open_half { Err(cursor.expected("an opening <")) } else { Ok(read) }
}

/// `>>` is one token to the tokenizer; after its first half, one more closing bracket has been read already.
#[derive(Default)]
struct Brackets {
    open_half: bool,
}

impl Brackets {
    fn type_name(&mut self, cursor: &mut Cursor) -> Result<TypeName> {
        let mut read = match cursor.peek_word().as_str() {
            "STRUCT" | "ROW" => self.structure(cursor)?,
            "ARRAY" | "LIST" => {
                cursor.next();
                let close = open(cursor)?;
                let element = self.type_name(cursor)?;
                self.close(cursor, close)?;
                TypeName::List(Box::new(element))
            }
            "MAP" => {
                cursor.next();
                let close = open(cursor)?;
                let key = self.type_name(cursor)?;
                cursor.expect(",")?;
                let value = self.type_name(cursor)?;
                self.close(cursor, close)?;
                TypeName::Map(Box::new(key), Box::new(value))
            }
            _ => TypeName::Primitive(primitive(cursor)?),
        };
        while !self.open_half && cursor.eat("[") {
            if !cursor.peek_is("]") {
                cursor.unsigned()?;
            }
            cursor.expect("]")?;
            read = TypeName::List(Box::new(read));
        }
        Ok(read)
    }

    fn structure(&mut self, cursor: &mut Cursor) -> Result<TypeName> {
        cursor.next();
        let close = open(cursor)?;
        let mut fields = Vec::new();
        loop {
            let name = cursor.folded()?;
            let _ = cursor.eat(":");
            let data_type = self.type_name(cursor)?;
            let not_null = !self.open_half && cursor.eat("NOT NULL");
            fields.push(ColumnDefinition { name, data_type, not_null, comment: None, default: None });
            if self.open_half || !cursor.eat(",") {
                break;
            }
        }
        self.close(cursor, close)?;
        Ok(TypeName::Struct(fields))
    }

    fn close(&mut self, cursor: &mut Cursor, close: &str) -> Result<()> {
        if close == ">" && std::mem::take(&mut self.open_half) {
            return Ok(());
        }
        if close == ">" && *cursor.peek() == Token::ShiftRight {
            cursor.next();
            self.open_half = true;
            return Ok(());
        }
        cursor.expect(close)
    }
}

fn open(cursor: &mut Cursor) -> Result<&'static str> {
    if cursor.eat("<") {
        Ok(">")
    } else {
        cursor.expect("(")?;
        Ok(")")
    }
}

fn primitive(cursor: &mut Cursor) -> Result<PrimitiveType> {
    let position = cursor.position();
    let word = cursor.word()?;
    Ok(match word.as_str() {
        "BOOLEAN" | "BOOL" => PrimitiveType::Boolean,
        "SMALLINT" | "INT2" | "INTEGER" | "INT" | "INT4" | "TINYINT" => PrimitiveType::Int,
        "BIGINT" | "INT8" | "LONG" => PrimitiveType::Long,
        "REAL" | "FLOAT4" => PrimitiveType::Float,
        "DOUBLE" => {
            let _ = cursor.eat("PRECISION");
            PrimitiveType::Double
        }
        "FLOAT8" => PrimitiveType::Double,
        "FLOAT" => match size(cursor)? {
            Some(bits) if bits <= 24 => PrimitiveType::Float,
            _ => PrimitiveType::Double,
        },
        "NUMERIC" | "DECIMAL" | "DEC" => decimal(cursor, position)?,
        "DATE" => PrimitiveType::Date,
        "TIME" => time(cursor)?,
        "TIMESTAMP" => timestamp(cursor)?,
        "TIMESTAMPTZ" => {
            precision(cursor)?;
            PrimitiveType::Timestamptz
        }
        "TEXT" | "STRING" => PrimitiveType::String,
        "VARCHAR" | "CHAR" | "BPCHAR" => character(cursor, &word)?,
        "CHARACTER" => {
            let varying = cursor.eat("VARYING");
            character(cursor, if varying { "VARCHAR" } else { "CHAR" })?
        }
        "UUID" => PrimitiveType::Uuid,
        "BYTEA" | "VARBINARY" | "BLOB" => PrimitiveType::Binary,
        "BINARY" | "FIXED" => match size(cursor)? {
            Some(length) => PrimitiveType::Fixed(length),
            None => PrimitiveType::Binary,
        },
        // Iceberg has no JSON type; the JSON operators work on text.
        "JSON" | "JSONB" => PrimitiveType::String,
        "MONEY" | "INTERVAL" | "XML" | "INET" | "CIDR" | "POINT" | "TSVECTOR" | "OID" | "NAME" | "BIT"
        | "SERIAL" | "BIGSERIAL" | "TIMETZ" => {
            return Err(Error::unsupported(format!("column type {}", word.to_lowercase()))
                .with_hint("Iceberg has no such type; use text, a number or a timestamp.")
                .with_position(position));
        }
        _ => {
            return Err(Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("type \"{}\" does not exist", word.to_lowercase()),
            )
            .with_position(position));
        }
    })
}

fn size(cursor: &mut Cursor) -> Result<Option<u64>> {
    if !cursor.eat("(") {
        return Ok(None);
    }
    let size = cursor.unsigned()?;
    cursor.expect(")")?;
    Ok(Some(size))
}

/// A fractional-seconds precision: 6 is what Iceberg keeps, fewer digits would need rounding that nobody does.
fn precision(cursor: &mut Cursor) -> Result<()> {
    let position = cursor.position();
    match size(cursor)? {
        None | Some(6) => Ok(()),
        Some(digits) => Err(Error::unsupported(format!("a time precision of {digits}"))
            .with_hint("Leave it out; times are kept in microseconds.")
            .with_position(position)),
    }
}

fn time(cursor: &mut Cursor) -> Result<PrimitiveType> {
    precision(cursor)?;
    if cursor.eat("WITH TIME ZONE") {
        return Err(Error::unsupported("time with time zone").with_hint("Use timestamp with time zone."));
    }
    let _ = cursor.eat("WITHOUT TIME ZONE");
    Ok(PrimitiveType::Time)
}

fn timestamp(cursor: &mut Cursor) -> Result<PrimitiveType> {
    precision(cursor)?;
    if cursor.eat("WITH TIME ZONE") {
        return Ok(PrimitiveType::Timestamptz);
    }
    let _ = cursor.eat("WITHOUT TIME ZONE");
    Ok(PrimitiveType::Timestamp)
}

/// Iceberg's strings have no length, and no engine that writes them would keep to one: it is read, and the user is told.
fn character(cursor: &mut Cursor, word: &str) -> Result<PrimitiveType> {
    let length = size(cursor)?.or((word == "CHAR").then_some(1));
    if let Some(length) = length {
        let word = word.to_lowercase();
        cursor.note(format!("type {word}({length}) is kept as text: its length is not checked"));
    }
    Ok(PrimitiveType::String)
}

fn decimal(cursor: &mut Cursor, position: u32) -> Result<PrimitiveType> {
    if !cursor.eat("(") {
        return Ok(PrimitiveType::Decimal { precision: NUMERIC_PRECISION, scale: NUMERIC_SCALE });
    }
    let precision = cursor.unsigned()?;
    let scale = if cursor.eat(",") { cursor.unsigned()? } else { 0 };
    cursor.expect(")")?;
    let wrong =
        |message: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, message).with_position(position);
    let digits = u32::try_from(precision).ok().filter(|digits| (1..=38).contains(digits));
    let precision =
        digits.ok_or_else(|| wrong(format!("numeric precision {precision} must be between 1 and 38")))?;
    let scale = u32::try_from(scale).ok().filter(|scale| *scale <= precision);
    let scale =
        scale.ok_or_else(|| wrong(format!("numeric scale must be between 0 and precision {precision}")))?;
    Ok(PrimitiveType::Decimal { precision, scale })
}
