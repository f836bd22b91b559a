//! Values as clients send them; the errors' codes are PostgreSQL's.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{IntervalUnit, TimeUnit};
use arrow::util::display::array_value_to_string;
use std::sync::Arc;

use super::*;

fn zone(name: &str) -> Tz {
    name.parse().expect("a time zone")
}

fn decode(data_type: &DataType, value: &[u8], format: i16) -> Result<String> {
    let parameter = Parameter::new(data_type.clone(), 0);
    let array = parameter.decode(Some(value), format, zone("Europe/Berlin"), 1)?;
    assert_eq!(array.len(), 1);
    assert_eq!(array.data_type(), data_type);
    Ok(array_value_to_string(&array, 0).expect("it can be shown"))
}

/// `Ok` is the value as Arrow prints it, `Err` the SQLSTATE.
fn check(data_type: &DataType, value: impl AsRef<[u8]>, format: i16, expect: Result<&str, &str>) {
    let value = value.as_ref();
    let got = decode(data_type, value, format).map_err(|report| report.sqlstate);
    assert_eq!(
        got.as_deref().map_err(|state| *state),
        expect,
        "{data_type} {}",
        String::from_utf8_lossy(value)
    );
}

#[test]
fn booleans() {
    for (text, expect) in [("t", "true"), (" TRUE ", "true"), ("yes", "true"), ("on", "true"), ("1", "true")]
    {
        check(&DataType::Boolean, text, 0, Ok(expect));
    }
    for (text, expect) in [("f", "false"), ("fal", "false"), ("n", "false"), ("of", "false"), ("0", "false")]
    {
        check(&DataType::Boolean, text, 0, Ok(expect));
    }
    for text in ["", "o", "truer", "2", "maybe"] {
        check(&DataType::Boolean, text, 0, Err("22P02"));
    }
    check(&DataType::Boolean, [1], 1, Ok("true"));
    check(&DataType::Boolean, [], 1, Err("22P03"));
}

#[test]
fn integers() {
    check(&DataType::Int32, " -42 ", 0, Ok("-42"));
    check(&DataType::Int32, "+7", 0, Ok("7"));
    check(&DataType::Int32, "2147483648", 0, Err("22003"));
    check(&DataType::Int32, "4e1", 0, Err("22P02"));
    check(&DataType::Int32, "", 0, Err("22P02"));
    check(&DataType::Int64, "99999999999999999999999999999999999999999999", 0, Err("22003"));
    check(&DataType::Int32, [0, 0, 0, 5], 1, Ok("5"));
    // A client that declared int2 sends two bytes for what we keep in eight.
    check(&DataType::Int64, [0xff, 0xfe], 1, Ok("-2"));
    check(&DataType::Int16, [0, 1, 0, 0], 1, Err("22003"));
    check(&DataType::Int32, [1, 2, 3], 1, Err("22P03"));
}

#[test]
fn floats() {
    check(&DataType::Float64, "1.5e3", 0, Ok("1500.0"));
    check(&DataType::Float64, "-Infinity", 0, Ok("-inf"));
    check(&DataType::Float64, "nan", 0, Ok("NaN"));
    check(&DataType::Float64, "1e400", 0, Err("22003"));
    check(&DataType::Float64, "one", 0, Err("22P02"));
    check(&DataType::Float32, "0.1", 0, Ok("0.1"));
    check(&DataType::Float64, 2.5f64.to_be_bytes(), 1, Ok("2.5"));
    check(&DataType::Float64, 2.5f32.to_be_bytes(), 1, Ok("2.5"));
    check(&DataType::Float64, [0], 1, Err("22P03"));
}

#[test]
fn decimals() {
    let money = DataType::Decimal128(12, 2);
    check(&money, "12.5", 0, Ok("12.50"));
    check(&money, "-.05", 0, Ok("-0.05"));
    check(&money, "1.5e3", 0, Ok("1500.00"));
    check(&money, "12.500", 0, Ok("12.50"));
    check(&money, "0", 0, Ok("0.00"));
    check(&money, "12.345", 0, Err("22003"));
    check(&money, "12345678901", 0, Err("22003"));
    check(&money, "1e999999999", 0, Err("22003"));
    check(&money, "NaN", 0, Err("22P02"));
    check(&money, "", 0, Err("22P02"));
    check(&money, ".", 0, Err("22P02"));
    check(&DataType::Decimal256(60, 0), "9".repeat(60), 0, Ok(&"9".repeat(60)));
    // As PostgreSQL sends -12345678.90123 and 0.0001.
    let sent = [0, 4, 0, 1, 0x40, 0, 0, 5, 0x04, 0xd2, 0x16, 0x2e, 0x23, 0x34, 0x0b, 0xb8];
    check(&DataType::Decimal128(38, 5), sent, 1, Ok("-12345678.90123"));
    check(&DataType::Decimal128(38, 4), [0, 1, 0xff, 0xff, 0, 0, 0, 4, 0, 1], 1, Ok("0.0001"));
    check(&DataType::Decimal128(38, 4), [0, 0, 0, 0, 0, 0, 0, 0], 1, Ok("0.0000"));
    check(&DataType::Decimal128(38, 4), [0, 0, 0, 0, 0xc0, 0, 0, 0], 1, Err("22003"));
    check(&DataType::Decimal128(38, 4), [0, 2, 0, 0, 0, 0, 0, 0, 0, 1], 1, Err("22P03"));
    check(&DataType::UInt64, [0, 1, 0, 0, 0, 0, 0, 0, 0, 9], 1, Ok("9"));
}

#[test]
fn text_and_bytes() {
    check(&DataType::Utf8, "Grüße", 0, Ok("Grüße"));
    check(&DataType::Utf8View, "a", 1, Ok("a"));
    check(&DataType::Utf8, b"\xff", 0, Err("22021"));
    check(&DataType::Utf8, b"a\0b", 1, Err("22021"));
    check(&DataType::Binary, "\\x01fF", 0, Ok("01ff"));
    check(&DataType::Binary, "a\\\\\\001", 0, Ok("615c01"));
    check(&DataType::Binary, "\\x0", 0, Err("22P02"));
    check(&DataType::Binary, "\\q", 0, Err("22P02"));
    let uuid = DataType::FixedSizeBinary(16);
    let shown = "00112233445566778899aabbccddeeff";
    check(&uuid, "00112233-4455-6677-8899-AABBCCDDEEFF", 0, Ok(shown));
    check(&uuid, format!("{{{shown}}}"), 0, Ok(shown));
    check(&uuid, "00112233", 0, Err("22P02"));
    check(&uuid, "0-0112233445566778899aabbccddeeff0", 0, Err("22P02"));
    check(&uuid, [0; 15], 1, Err("22P03"));
    assert_eq!(Parameter::new(uuid, 0).oid, oid::UUID);
}

#[test]
fn versioned_json() {
    let parameter = Parameter::new(DataType::Utf8, oid::JSONB);
    let array = parameter.decode(Some(b"\x01{}"), 1, zone("UTC"), 1).expect("good json");
    assert_eq!(array.as_string::<i32>().value(0), "{}");
    assert!(parameter.decode(Some(b"{}"), 1, zone("UTC"), 1).is_err());
}

#[test]
fn dates_and_times() {
    check(&DataType::Date32, "2024-02-29", 0, Ok("2024-02-29"));
    check(&DataType::Date32, "20240229", 0, Ok("2024-02-29"));
    check(&DataType::Date32, "2024-02-29 12:00:00", 0, Ok("2024-02-29"));
    check(&DataType::Date32, "2023-02-29", 0, Err("22008"));
    check(&DataType::Date32, "yesterday-ish", 0, Err("22007"));
    check(&DataType::Date32, 1i32.to_be_bytes(), 1, Ok("2000-01-02"));
    check(&DataType::Date32, [0], 1, Err("22P03"));
    let time = DataType::Time64(TimeUnit::Microsecond);
    check(&time, "12:34", 0, Ok("12:34:00"));
    check(&time, "12:34:56.789", 0, Ok("12:34:56.789"));
    check(&time, "25:00:00", 0, Err("22008"));
    check(&time, 1_000_000i64.to_be_bytes(), 1, Ok("00:00:01"));
    check(&time, (-1i64).to_be_bytes(), 1, Err("22P03"));
}

#[test]
fn timestamps() {
    let plain = DataType::Timestamp(TimeUnit::Microsecond, None);
    check(&plain, "2024-01-02 03:04:05.5", 0, Ok("2024-01-02T03:04:05.500"));
    check(&plain, "2024-01-02T03:04:05+07", 0, Ok("2024-01-02T03:04:05"));
    check(&plain, "2024-01-02", 0, Ok("2024-01-02T00:00:00"));
    check(&plain, "2024-13-02", 0, Err("22008"));
    check(&plain, 0i64.to_be_bytes(), 1, Ok("2000-01-01T00:00:00"));
    check(&plain, i64::MAX.to_be_bytes(), 1, Err("22P03"));
    let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    // The session's zone, Berlin, is an hour ahead in winter and two in summer.
    check(&zoned, "2024-01-02 03:04:05", 0, Ok("2024-01-02T02:04:05Z"));
    check(&zoned, "2024-07-02 03:04:05", 0, Ok("2024-07-02T01:04:05Z"));
    check(&zoned, "2024-01-02 03:04:05Z", 0, Ok("2024-01-02T03:04:05Z"));
    check(&zoned, "2024-01-02 03:04:05+05:30", 0, Ok("2024-01-01T21:34:05Z"));
    check(&zoned, "2024-01-02 03:04:05-0330", 0, Ok("2024-01-02T06:34:05Z"));
    check(&zoned, "2024-01-02 03:04:05 America/New_York", 0, Ok("2024-01-02T08:04:05Z"));
    check(&zoned, "2024-01-02 03:04:05 Middle/Earth", 0, Err("22008"));
    // The hour that the clock shows twice, and the one it skips.
    check(&zoned, "2024-10-27 02:30:00", 0, Ok("2024-10-27T00:30:00Z"));
    check(&zoned, "2024-03-31 02:30:00", 0, Ok("2024-03-31T01:30:00Z"));
}

#[test]
fn intervals() {
    let interval = DataType::Interval(IntervalUnit::MonthDayNano);
    check(&interval, "1 year 2 days", 0, Ok("12 mons 2 days"));
    check(&interval, "nonsense", 0, Err("22P02"));
    let sent = [0, 0, 0, 0, 0, 0x0f, 0x42, 0x40, 0, 0, 0, 2, 0, 0, 0, 1];
    check(&interval, sent, 1, Ok("1 mons 2 days 1.000000000 secs"));
    check(&interval, [0; 15], 1, Err("22P03"));
}

#[test]
fn arrays() {
    let numbers = DataType::List(Arc::new(Field::new_list_field(DataType::Int32, true)));
    check(&numbers, "{1, NULL,3}", 0, Ok("[1, , 3]"));
    check(&numbers, "{}", 0, Ok("[]"));
    check(&numbers, "{1,x}", 0, Err("22P02"));
    for broken in ["", "1,2", "{1,2", "{1,,2}", "{1}}", "{{1},{2}}", "{\"1}"] {
        check(&numbers, broken, 0, Err("22P02"));
    }
    let words = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    check(&words, "{\"a b\",\"x\\\"y\", c ,\"NULL\"}", 0, Ok("[a b, x\"y, c, NULL]"));
    let sent = b"\0\0\0\x01\0\0\0\x01\0\0\0\x17\0\0\0\x02\0\0\0\x01\0\0\0\x04\0\0\0\x01\xff\xff\xff\xff";
    check(&numbers, sent, 1, Ok("[1, ]"));
    check(&numbers, &sent[..sent.len() - 1], 1, Err("22P03"));
    check(&numbers, b"\0\0\0\0\0\0\0\0\0\0\0\x17", 1, Ok("[]"));
}

#[test]
fn nulls_and_formats() {
    let parameter = Parameter::new(DataType::Int64, 0);
    let array = parameter.decode(None, 0, zone("UTC"), 1).expect("null is a value of every type");
    assert_eq!((array.len(), array.null_count()), (1, 1));
    let report = parameter.decode(Some(b"1"), 2, zone("UTC"), 3).expect_err("there are two formats");
    assert_eq!(report.sqlstate, "22023");
    let report = parameter.decode(Some(b"x"), 0, zone("UTC"), 3).expect_err("it is no number");
    assert_eq!(report.detail.as_deref(), Some("It is the value of parameter $3."));
}
