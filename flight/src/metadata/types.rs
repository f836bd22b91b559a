//! The types of columns as ODBC and JDBC number them (`GetXdbcTypeInfo`).

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{CommandGetXdbcTypeInfo, Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode};
use tarn_sql::Error;

/// A type: its name, its number, how large a value may be, how a literal is quoted, and what may stand in parentheses.
struct Row {
    name: &'static str,
    data_type: XdbcDataType,
    size: i32,
    quote: Quote,
    parameters: &'static [&'static str],
}

#[derive(Clone, Copy)]
enum Quote {
    None,
    Text,
    /// The word of the type, and a text.
    Typed(&'static str),
}

const fn row(name: &'static str, data_type: XdbcDataType, size: i32, quote: Quote) -> Row {
    Row { name, data_type, size, quote, parameters: &[] }
}

/// The largest text or binary value, bytes.
const LONG: i32 = i32::MAX;

const ROWS: &[Row] = &[
    row("boolean", XdbcDataType::XdbcBit, 1, Quote::None),
    row("smallint", XdbcDataType::XdbcSmallint, 5, Quote::None),
    row("integer", XdbcDataType::XdbcInteger, 10, Quote::None),
    row("bigint", XdbcDataType::XdbcBigint, 19, Quote::None),
    row("real", XdbcDataType::XdbcReal, 7, Quote::None),
    row("double precision", XdbcDataType::XdbcDouble, 15, Quote::None),
    Row {
        name: "numeric",
        data_type: XdbcDataType::XdbcNumeric,
        size: 38,
        quote: Quote::None,
        parameters: &["precision", "scale"],
    },
    row("text", XdbcDataType::XdbcVarchar, LONG, Quote::Text),
    row("bytea", XdbcDataType::XdbcVarbinary, LONG, Quote::Text),
    row("uuid", XdbcDataType::XdbcChar, 36, Quote::Text),
    row("date", XdbcDataType::XdbcDate, 10, Quote::Typed("DATE '")),
    row("time without time zone", XdbcDataType::XdbcTime, 15, Quote::Typed("TIME '")),
    row("timestamp without time zone", XdbcDataType::XdbcTimestamp, 26, Quote::Typed("TIMESTAMP '")),
    row("timestamp with time zone", XdbcDataType::XdbcTimestamp, 32, Quote::Typed("TIMESTAMPTZ '")),
];

impl Row {
    fn info(&self) -> XdbcTypeInfo {
        use XdbcDataType as Type;
        let number = !matches!(self.quote, Quote::Text | Quote::Typed(_)) && self.data_type != Type::XdbcBit;
        let exact = matches!(
            self.data_type,
            Type::XdbcSmallint | Type::XdbcInteger | Type::XdbcBigint | Type::XdbcNumeric
        );
        let scale = match self.data_type {
            Type::XdbcNumeric => Some((0, 38)),
            Type::XdbcTime | Type::XdbcTimestamp => Some((6, 6)),
            _ if exact => Some((0, 0)),
            _ => None,
        };
        let quote = match self.quote {
            Quote::None => None,
            Quote::Text => Some("'"),
            Quote::Typed(word) => Some(word),
        };
        let datetime_subcode = match self.data_type {
            // The code of a date is that of a year, and the library has kept the other name.
            Type::XdbcDate => Some(XdbcDatetimeSubcode::XdbcSubcodeYear),
            Type::XdbcTime => Some(XdbcDatetimeSubcode::XdbcSubcodeTime),
            Type::XdbcTimestamp => Some(XdbcDatetimeSubcode::XdbcSubcodeTimestamp),
            _ => None,
        };
        let parameters = self.parameters.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        XdbcTypeInfo {
            type_name: self.name.to_owned(),
            data_type: self.data_type,
            column_size: Some(self.size),
            literal_prefix: quote.map(str::to_owned),
            literal_suffix: quote.map(|_| "'".to_owned()),
            create_params: (!parameters.is_empty()).then_some(parameters),
            nullable: Nullable::NullabilityNullable,
            case_sensitive: self.data_type == Type::XdbcVarchar,
            searchable: Searchable::Full,
            unsigned_attribute: number.then_some(false),
            fixed_prec_scale: false,
            auto_increment: number.then_some(false),
            local_type_name: Some(self.name.to_owned()),
            minimum_scale: scale.map(|(least, _)| least),
            maximum_scale: scale.map(|(_, most)| most),
            sql_data_type: if datetime_subcode.is_some() { Type::XdbcDatetime } else { self.data_type },
            datetime_subcode,
            num_prec_radix: number.then_some(10),
            interval_precision: None,
        }
    }
}

fn data() -> Result<XdbcTypeInfoData, Error> {
    let mut builder = XdbcTypeInfoDataBuilder::new();
    ROWS.iter().for_each(|row| builder.append(row.info()));
    builder.build().map_err(internal)
}

pub fn schema() -> Result<SchemaRef, Error> {
    Ok(data()?.schema())
}

pub fn rows(command: CommandGetXdbcTypeInfo) -> Result<RecordBatch, Error> {
    data()?.record_batch(command.data_type).map_err(internal)
}

fn internal(error: FlightError) -> Error {
    Error::internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::AsArray;

    #[test]
    fn one_type_can_be_asked_for() {
        let all = rows(CommandGetXdbcTypeInfo { data_type: None }).expect("types");
        assert_eq!(all.num_rows(), ROWS.len());
        let wanted = XdbcDataType::XdbcTimestamp as i32;
        let two = rows(CommandGetXdbcTypeInfo { data_type: Some(wanted) }).expect("types");
        let names: Vec<_> = two.column(0).as_string::<i32>().iter().flatten().collect();
        assert_eq!(names, ["timestamp with time zone", "timestamp without time zone"]);
    }
}
