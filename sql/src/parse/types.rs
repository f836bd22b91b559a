//! Type names: PostgreSQL's spellings, and for nested types those of Trino (`row`, `array(…)`, `map(…)`) and Spark
//! (`struct<…>`, `array<…>`, `map<…>`). The result is always an Iceberg type.

use datafusion::sql::sqlparser::tokenizer::Token;
use iceberg::spec::PrimitiveType;

use super::Cursor;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::statement::{ColumnDefinition, TypeName};
use crate::types::Characters;

/// The digits of a `numeric` without precision: Iceberg has no unbounded decimal.
const NUMERIC_PRECISION: u32 = 38;
const NUMERIC_SCALE: u32 = 9;
/// The longest text that a type may say, characters.
const CHARACTERS_MAX: u32 = 10_485_760;

/// Reads the type of a column with its array suffixes.
pub(super) fn column_type(cursor: &mut Cursor) -> Result<TypeName> {
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
                let element = self.inner_type(cursor)?;
                self.close(cursor, close)?;
                TypeName::List(Box::new(element))
            }
            "MAP" => {
                cursor.next();
                let close = open(cursor)?;
                let key = self.inner_type(cursor)?;
                cursor.expect(",")?;
                let value = self.inner_type(cursor)?;
                self.close(cursor, close)?;
                TypeName::Map(Box::new(key), Box::new(value))
            }
            _ => scalar(cursor)?,
        };
        while !self.open_half && cursor.eat("[") {
            if !cursor.peek_is("]") {
                cursor.unsigned()?;
            }
            cursor.expect("]")?;
            read = TypeName::List(Box::new(without_length(cursor, read)));
        }
        Ok(read)
    }

    /// The type of something inside a column.
    fn inner_type(&mut self, cursor: &mut Cursor) -> Result<TypeName> {
        let read = self.type_name(cursor)?;
        Ok(without_length(cursor, read))
    }

    fn structure(&mut self, cursor: &mut Cursor) -> Result<TypeName> {
        cursor.next();
        let close = open(cursor)?;
        let mut fields = Vec::new();
        loop {
            let name = cursor.folded()?;
            let _ = cursor.eat(":");
            let data_type = self.inner_type(cursor)?;
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

/// Lengths are kept for columns, not for what is inside of them.
fn without_length(cursor: &mut Cursor, read: TypeName) -> TypeName {
    let TypeName::Characters(characters) = read else { return read };
    if characters.length.is_some() {
        let name = characters.sql_name();
        cursor.note(format!("type {name} inside a column is kept as text: its length is not checked"));
    }
    TypeName::Primitive(PrimitiveType::String)
}

fn scalar(cursor: &mut Cursor) -> Result<TypeName> {
    let varying = ["VARCHAR", "CHARACTER VARYING", "CHAR VARYING", "NCHAR VARYING"];
    let fixed = ["CHAR", "CHARACTER", "BPCHAR", "NCHAR"];
    let position = cursor.position();
    if varying.into_iter().any(|words| cursor.eat(words)) {
        let length = length(cursor, "varchar", position)?;
        return Ok(TypeName::Characters(Characters { fixed: false, length }));
    }
    let blank_padded = cursor.peek_is("BPCHAR");
    if fixed.into_iter().any(|words| cursor.eat(words)) {
        let length = length(cursor, "char", position)?.or((!blank_padded).then_some(1));
        return Ok(TypeName::Characters(Characters { fixed: true, length }));
    }
    primitive(cursor).map(TypeName::Primitive)
}

/// The length of a text, within PostgreSQL's limits.
fn length(cursor: &mut Cursor, word: &str, position: u32) -> Result<Option<u32>> {
    let Some(given) = size(cursor)? else { return Ok(None) };
    let problem = match u32::try_from(given) {
        Ok(0) => "must be at least 1".to_owned(),
        Ok(length) if length <= CHARACTERS_MAX => return Ok(Some(length)),
        _ => format!("cannot exceed {CHARACTERS_MAX}"),
    };
    let message = format!("length for type {word} {problem}");
    Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).with_position(position))
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
