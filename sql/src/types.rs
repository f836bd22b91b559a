//! Arrow types as PostgreSQL types: the one place where the two type systems meet. The wire encoder asks it how to
//! announce a column, `format_type` how to spell a type, and views what to store of their columns.
//! It must never know a message format: how a value is encoded is the door's business.
//!
//! Arrow has no JSON, UUID, OID or name type, so a field's metadata says what a plain Arrow type stands for:
//!
//! ```text
//! Utf8                  {"tarn:type": "json"}                     json     text that is valid JSON
//! Int64                 {"tarn:type": "oid"}                      oid      4 bytes in binary format, not 8
//! Utf8                  {"tarn:type": "name" | "char"}            name, "char" of pg_catalog
//! Utf8                  {"tarn:type": "varchar(10)" | "bpchar(3)"} varchar, char: with a length or without
//! List                  {"tarn:type": "int2vector" | "oidvector"} arrays of pg_catalog with a text form of their own
//! FixedSizeBinary(16)   {"ARROW:extension:name": "arrow.uuid"}    uuid
//! ```
//!
//! A computed column loses its field's metadata and falls back to the plain type (int8, text, bytea).

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};

/// The metadata key that says what a plain Arrow type stands for.
pub const TYPE_KEY: &str = "tarn:type";
/// Text that holds a JSON document.
pub const JSON_MARK: &str = "json";
/// A 64-bit integer that holds a PostgreSQL object identifier.
pub const OID_MARK: &str = "oid";
/// Text that is an SQL name in `pg_catalog`.
pub const NAME_MARK: &str = "name";
/// Text of one character in `pg_catalog`, PostgreSQL's `"char"`.
pub const CHAR_MARK: &str = "char";
/// A list of small numbers or OIDs in `pg_catalog`, PostgreSQL's older kind of array.
pub const INT2_VECTOR_MARK: &str = "int2vector";
pub const OID_VECTOR_MARK: &str = "oidvector";

/// The marks of text with a length, which may stand in parentheses behind them.
const VARCHAR_MARK: &str = "varchar";
const BPCHAR_MARK: &str = "bpchar";

const EXTENSION_KEY: &str = "ARROW:extension:name";
const UUID_EXTENSION: &str = "arrow.uuid";

/// What PostgreSQL's RowDescription says about a column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PgType {
    /// Object identifier, fixed by PostgreSQL.
    pub oid: u32,
    /// Type modifier: precision and scale of a numeric; -1 for none.
    pub modifier: i32,
    /// Bytes of a value; -1 when it varies.
    pub len: i16,
}

impl PgType {
    fn plain(oid: u32) -> PgType {
        PgType { oid, modifier: -1, len: scalar(oid).map_or(-1, |scalar| scalar.len) }
    }
}

/// The OIDs of the types that columns can have (PostgreSQL's `pg_type.dat`).
pub mod oid {
    pub const BOOL: u32 = 16;
    pub const BYTEA: u32 = 17;
    pub const CHAR: u32 = 18;
    pub const NAME: u32 = 19;
    pub const INT8: u32 = 20;
    pub const INT2: u32 = 21;
    pub const INT4: u32 = 23;
    pub const INT2VECTOR: u32 = 22;
    pub const REGPROC: u32 = 24;
    pub const TEXT: u32 = 25;
    pub const OID: u32 = 26;
    pub const OIDVECTOR: u32 = 30;
    pub const JSON: u32 = 114;
    pub const FLOAT4: u32 = 700;
    pub const FLOAT8: u32 = 701;
    pub const BPCHAR: u32 = 1042;
    pub const VARCHAR: u32 = 1043;
    pub const DATE: u32 = 1082;
    pub const TIME: u32 = 1083;
    pub const TIMESTAMP: u32 = 1114;
    pub const TIMESTAMPTZ: u32 = 1184;
    pub const INTERVAL: u32 = 1186;
    pub const NUMERIC: u32 = 1700;
    pub const REGCLASS: u32 = 2205;
    pub const REGTYPE: u32 = 2206;
    pub const UUID: u32 = 2950;
    pub const JSONB: u32 = 3802;
}

/// A scalar type: its names, its array type and its width.
struct Scalar {
    oid: u32,
    array: u32,
    len: i16,
    /// The name in `pg_type`.
    name: &'static str,
    /// The name in SQL, as `format_type` spells it.
    sql: &'static str,
}

const fn row(oid: u32, array: u32, len: i16, name: &'static str, sql: &'static str) -> Scalar {
    Scalar { oid, array, len, name, sql }
}

const SCALARS: &[Scalar] = &[
    row(oid::BOOL, 1000, 1, "bool", "boolean"),
    row(oid::BYTEA, 1001, -1, "bytea", "bytea"),
    row(oid::CHAR, 1002, 1, "char", "\"char\""),
    row(oid::NAME, 1003, 64, "name", "name"),
    row(oid::INT8, 1016, 8, "int8", "bigint"),
    row(oid::INT2, 1005, 2, "int2", "smallint"),
    row(oid::INT4, 1007, 4, "int4", "integer"),
    row(oid::REGPROC, 1008, 4, "regproc", "regproc"),
    row(oid::TEXT, 1009, -1, "text", "text"),
    row(oid::OID, 1028, 4, "oid", "oid"),
    row(oid::JSON, 199, -1, "json", "json"),
    row(oid::FLOAT4, 1021, 4, "float4", "real"),
    row(oid::FLOAT8, 1022, 8, "float8", "double precision"),
    row(oid::BPCHAR, 1014, -1, "bpchar", "character"),
    row(oid::VARCHAR, 1015, -1, "varchar", "character varying"),
    row(oid::DATE, 1182, 4, "date", "date"),
    row(oid::TIME, 1183, 8, "time", "time without time zone"),
    row(oid::TIMESTAMP, 1115, 8, "timestamp", "timestamp without time zone"),
    row(oid::TIMESTAMPTZ, 1185, 8, "timestamptz", "timestamp with time zone"),
    row(oid::INTERVAL, 1187, 16, "interval", "interval"),
    row(oid::NUMERIC, 1231, -1, "numeric", "numeric"),
    row(oid::REGCLASS, 2210, 4, "regclass", "regclass"),
    row(oid::REGTYPE, 2211, 4, "regtype", "regtype"),
    row(oid::UUID, 2951, 16, "uuid", "uuid"),
    row(oid::JSONB, 3807, -1, "jsonb", "jsonb"),
    row(oid::INT2VECTOR, 1006, -1, "int2vector", "int2vector"),
    row(28, 1011, 4, "xid", "xid"),
    row(oid::OIDVECTOR, 1013, -1, "oidvector", "oidvector"),
    row(194, 0, -1, "pg_node_tree", "pg_node_tree"),
    row(705, 0, -2, "unknown", "unknown"),
    row(1033, 1034, 12, "aclitem", "aclitem"),
    row(2249, 2287, -1, "record", "record"),
    row(2277, 0, -1, "anyarray", "anyarray"),
    row(2276, 0, 4, "any", "\"any\""),
    row(2278, 0, 4, "void", "void"),
    row(2279, 0, 4, "trigger", "trigger"),
    row(2283, 0, 4, "anyelement", "anyelement"),
    row(2776, 0, 4, "anynonarray", "anynonarray"),
    row(4089, 4090, 4, "regnamespace", "regnamespace"),
    row(4096, 4097, 4, "regrole", "regrole"),
    row(5077, 0, 4, "anycompatible", "anycompatible"),
    row(5078, 0, -1, "anycompatiblearray", "anycompatiblearray"),
    row(5079, 0, 4, "anycompatiblenonarray", "anycompatiblenonarray"),
];

fn scalar(oid: u32) -> Option<&'static Scalar> {
    SCALARS.iter().find(|scalar| scalar.oid == oid)
}

fn element_of(array: u32) -> Option<&'static Scalar> {
    if let Some(element) = vector_element(array) {
        return scalar(element);
    }
    SCALARS.iter().find(|scalar| array != 0 && scalar.array == array)
}

/// What the elements of a vector are.
fn vector_element(type_oid: u32) -> Option<u32> {
    match type_oid {
        oid::INT2VECTOR => Some(oid::INT2),
        oid::OIDVECTOR => Some(oid::OID),
        _ => None,
    }
}

/// Whether values are written as `1 2 3`, and counted from 0.
pub fn is_vector(type_oid: u32) -> bool {
    vector_element(type_oid).is_some()
}

/// The PostgreSQL type of a column.
pub fn pg_type(field: &Field) -> PgType {
    if let Some(vector) = vector_oid(field) {
        return PgType::plain(vector);
    }
    match field.data_type() {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => array_type(item),
        DataType::Dictionary(_, value) => pg_type(&same_marks(field, value.as_ref())),
        DataType::RunEndEncoded(_, value) => pg_type(&same_marks(field, value.data_type())),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            PgType { oid: oid::NUMERIC, modifier: numeric_modifier(*precision, *scale), len: -1 }
        }
        data_type => match characters(field) {
            Some(characters) => pg_characters(characters),
            None => PgType::plain(marked_oid(field).unwrap_or_else(|| plain_oid(data_type))),
        },
    }
}

/// Text with a length: `varchar(n)`, `char(n)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Characters {
    /// `char`, whose values are shown padded with spaces and kept without.
    pub fixed: bool,
    pub length: Option<u32>,
}

impl Characters {
    /// What a mark or a table's property says.
    pub fn read(mark: &str) -> Option<Characters> {
        let (word, rest) = mark.split_once('(').map_or((mark, None), |(word, rest)| (word, Some(rest)));
        let fixed = match word {
            VARCHAR_MARK => false,
            BPCHAR_MARK => true,
            _ => return None,
        };
        let length = match rest {
            Some(rest) => Some(rest.strip_suffix(')')?.parse().ok()?),
            None => None,
        };
        Some(Characters { fixed, length })
    }

    /// Whether a text may have to be changed or refused.
    pub fn changes_values(self) -> bool {
        self.fixed || self.length.is_some()
    }

    /// `character varying(10)`.
    pub fn sql_name(self) -> String {
        let shown = pg_characters(self);
        format_type(shown.oid, shown.modifier)
    }
}

impl std::fmt::Display for Characters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.fixed { BPCHAR_MARK } else { VARCHAR_MARK })?;
        self.length.map_or(Ok(()), |length| write!(f, "({length})"))
    }
}

/// What a text column's mark says of its length.
pub fn characters(field: &Field) -> Option<Characters> {
    let is_text = matches!(field.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    field.metadata().get(TYPE_KEY).filter(|_| is_text).and_then(|mark| Characters::read(mark))
}

fn pg_characters(characters: Characters) -> PgType {
    let type_oid = if characters.fixed { oid::BPCHAR } else { oid::VARCHAR };
    // PostgreSQL counts the four bytes of a header.
    let modifier = characters.length.and_then(|length| i32::try_from(length).ok()?.checked_add(4));
    PgType { modifier: modifier.unwrap_or(-1), ..PgType::plain(type_oid) }
}

/// The length of the text that a type modifier says.
pub fn characters_length(type_oid: u32, modifier: i32) -> Option<i32> {
    (matches!(type_oid, oid::VARCHAR | oid::BPCHAR) && modifier > 4).then_some(modifier - 4)
}

fn vector_oid(field: &Field) -> Option<u32> {
    match field.metadata().get(TYPE_KEY).map(String::as_str) {
        Some(INT2_VECTOR_MARK) => Some(oid::INT2VECTOR),
        Some(OID_VECTOR_MARK) => Some(oid::OIDVECTOR),
        _ => None,
    }
}

/// A PostgreSQL array has one element type and no ragged rows, so only lists of scalars can be arrays.
fn array_type(item: &Field) -> PgType {
    let element = pg_type(item);
    let nested = matches!(plain_oid(item.data_type()), oid::JSON);
    match scalar(element.oid) {
        Some(scalar) if !nested => PgType { oid: scalar.array, modifier: element.modifier, len: -1 },
        _ => PgType::plain(oid::JSON),
    }
}

fn same_marks(field: &Field, data_type: &DataType) -> Field {
    Field::new(field.name(), data_type.clone(), field.is_nullable()).with_metadata(field.metadata().clone())
}

/// What the field's metadata says, where it fits the Arrow type.
fn marked_oid(field: &Field) -> Option<u32> {
    let mark = field.metadata().get(TYPE_KEY).map(String::as_str);
    match (field.data_type(), mark) {
        (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, Some(JSON_MARK)) => Some(oid::JSON),
        (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, Some(NAME_MARK)) => Some(oid::NAME),
        (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, Some(CHAR_MARK)) => Some(oid::CHAR),
        (DataType::Int64, Some(OID_MARK)) => Some(oid::OID),
        (DataType::FixedSizeBinary(16), _) if is_uuid(field) => Some(oid::UUID),
        _ => None,
    }
}

fn plain_oid(data_type: &DataType) -> u32 {
    match data_type {
        DataType::Boolean => oid::BOOL,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => oid::INT2,
        DataType::Int32 | DataType::UInt16 => oid::INT4,
        DataType::Int64 | DataType::UInt32 => oid::INT8,
        DataType::UInt64 => oid::NUMERIC,
        DataType::Float16 | DataType::Float32 => oid::FLOAT4,
        DataType::Float64 => oid::FLOAT8,
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => oid::NUMERIC,
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => oid::TEXT,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            oid::BYTEA
        }
        DataType::Date32 | DataType::Date64 => oid::DATE,
        DataType::Time32(_) | DataType::Time64(_) => oid::TIME,
        DataType::Timestamp(_, None) => oid::TIMESTAMP,
        DataType::Timestamp(_, Some(_)) => oid::TIMESTAMPTZ,
        DataType::Interval(_) | DataType::Duration(_) => oid::INTERVAL,
        DataType::Dictionary(_, value) => plain_oid(value),
        DataType::RunEndEncoded(_, value) => plain_oid(value.data_type()),
        DataType::Struct(_)
        | DataType::Map(..)
        | DataType::Union(..)
        | DataType::List(_)
        | DataType::LargeList(_)
        | DataType::ListView(_)
        | DataType::LargeListView(_)
        | DataType::FixedSizeList(..) => oid::JSON,
    }
}

/// Precision and scale as PostgreSQL packs them (`make_numeric_typmod`): 11 bits of signed scale, then a header.
fn numeric_modifier(precision: u8, scale: i8) -> i32 {
    ((i32::from(precision) << 16) | (i32::from(scale) & 0x7ff)) + 4
}

fn unpack_numeric(modifier: i32) -> (i32, i32) {
    let packed = modifier - 4;
    ((packed >> 16) & 0xffff, ((packed & 0x7ff) ^ 1024) - 1024)
}

/// Precision and scale of a numeric; None when the modifier does not say.
pub fn numeric_precision(modifier: i32) -> Option<(i32, i32)> {
    (modifier >= 4).then(|| unpack_numeric(modifier))
}

/// The SQL name of a column's type: `timestamp with time zone`, `numeric(12,2)`, `bigint[]`.
pub fn sql_name(field: &Field) -> String {
    let pg_type = pg_type(field);
    format_type(pg_type.oid, pg_type.modifier)
}

/// The SQL name of a type, as PostgreSQL's `format_type` spells it; `???` for an OID that is no type.
pub fn format_type(type_oid: u32, modifier: i32) -> String {
    match (scalar(type_oid), element_of(type_oid)) {
        (Some(scalar), _) => with_modifier(scalar, modifier),
        (None, Some(element)) => format!("{}[]", with_modifier(element, modifier)),
        (None, None) if type_oid == 0 => "-".to_string(),
        (None, None) => "???".to_string(),
    }
}

fn with_modifier(scalar: &Scalar, modifier: i32) -> String {
    match scalar.oid {
        oid::NUMERIC => match numeric_precision(modifier) {
            Some((precision, scale)) => format!("numeric({precision},{scale})"),
            None => scalar.sql.to_string(),
        },
        oid::VARCHAR | oid::BPCHAR if modifier >= 4 => format!("{}({})", scalar.sql, modifier - 4),
        oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::TIME if modifier >= 0 => {
            let (head, tail) = scalar.sql.split_once(' ').unwrap_or((scalar.sql, ""));
            format!("{head}({modifier}) {tail}")
        }
        _ => scalar.sql.to_string(),
    }
}

/// The OID of a type by either of its names (`int4`, `integer`, `integer[]`), in lower case.
pub fn type_oid(name: &str) -> Option<u32> {
    let name = name.trim();
    let name = name.strip_prefix("pg_catalog.").unwrap_or(name);
    if let Some(element) = name.strip_suffix("[]") {
        return type_oid(element).and_then(scalar).map(|scalar| scalar.array).filter(|array| *array != 0);
    }
    if let Some(element) = name.strip_prefix('_') {
        return type_oid(element).and_then(scalar).map(|scalar| scalar.array).filter(|array| *array != 0);
    }
    let short = match name {
        "int" => "int4",
        "decimal" => "numeric",
        "float" => "float8",
        "string" => "text",
        other => other,
    };
    SCALARS.iter().find(|scalar| scalar.name == short || scalar.sql == short).map(|scalar| scalar.oid)
}

/// The type of one element, for an array type.
pub fn element_oid(array: u32) -> Option<u32> {
    element_of(array).map(|scalar| scalar.oid)
}

/// The Arrow type that values of a PostgreSQL type are held in, for parameters; None for a type we have no values of.
pub fn arrow_type(type_oid: u32, modifier: i32) -> Option<DataType> {
    if let Some(element) = element_of(type_oid) {
        let item = arrow_type(element.oid, modifier)?;
        return Some(DataType::List(std::sync::Arc::new(Field::new_list_field(item, true))));
    }
    Some(match type_oid {
        oid::BOOL => DataType::Boolean,
        oid::BYTEA => DataType::Binary,
        oid::INT2 => DataType::Int16,
        oid::INT4 => DataType::Int32,
        oid::INT8 | oid::OID | oid::REGCLASS | oid::REGTYPE => DataType::Int64,
        oid::FLOAT4 => DataType::Float32,
        oid::FLOAT8 => DataType::Float64,
        oid::NUMERIC if modifier >= 4 => numeric_arrow_type(modifier),
        // Without a modifier PostgreSQL's numeric has no fixed scale; half of the digits on each side loses least.
        oid::NUMERIC => DataType::Decimal128(38, 10),
        oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME | oid::CHAR | oid::JSON | oid::JSONB => {
            DataType::Utf8
        }
        oid::DATE => DataType::Date32,
        oid::TIME => DataType::Time64(TimeUnit::Microsecond),
        oid::TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        oid::TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        oid::INTERVAL => DataType::Interval(IntervalUnit::MonthDayNano),
        oid::UUID => DataType::FixedSizeBinary(16),
        _ => return None,
    })
}

fn numeric_arrow_type(modifier: i32) -> DataType {
    let (precision, scale) = unpack_numeric(modifier);
    let precision = u8::try_from(precision.clamp(1, 76)).unwrap_or(76);
    let scale = i8::try_from(scale).unwrap_or(0);
    if precision <= 38 {
        DataType::Decimal128(precision, scale)
    } else {
        DataType::Decimal256(precision, scale)
    }
}

/// Whether a column holds JSON text.
pub fn is_json(field: &Field) -> bool {
    field.metadata().get(TYPE_KEY).is_some_and(|mark| mark == JSON_MARK)
}

/// Whether a column holds UUIDs.
pub fn is_uuid(field: &Field) -> bool {
    field.metadata().get(EXTENSION_KEY).is_some_and(|name| name == UUID_EXTENSION)
}

/// A list of object identifiers.
pub fn oids() -> DataType {
    let mark = HashMap::from([(TYPE_KEY.to_string(), OID_MARK.to_string())]);
    DataType::List(std::sync::Arc::new(Field::new_list_field(DataType::Int64, true).with_metadata(mark)))
}

/// The metadata that makes a text column a JSON column.
pub fn json_marks() -> HashMap<String, String> {
    HashMap::from([(TYPE_KEY.to_string(), JSON_MARK.to_string())])
}

/// The metadata that makes a `FixedSizeBinary(16)` column a UUID column.
pub fn uuid_marks() -> HashMap<String, String> {
    HashMap::from([(EXTENSION_KEY.to_string(), UUID_EXTENSION.to_string())])
}

#[cfg(test)]
#[path = "types_tests.rs"]
mod tests;
