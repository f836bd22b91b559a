//! The expectations here were printed by PostgreSQL 15 (`select v::text, encode(<type>send(v), 'hex')`).

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, DictionaryArray,
    DurationMillisecondArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int16Array, Int32Array,
    Int64Array, IntervalMonthDayNanoArray, ListArray, MapBuilder, StringArray, StringBuilder,
    StringViewArray, StructArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    TimestampNanosecondArray, UInt64Array, new_null_array,
};
use arrow::datatypes::{DataType, Field, Int32Type, IntervalMonthDayNano, Schema, i256};

use super::*;

fn zone(name: &str) -> Tz {
    name.parse().expect("a time zone")
}

/// The only cell of the only row, without its length; `None` for null.
fn cell(field: Field, array: ArrayRef, format: Format, zone: Tz) -> Option<Vec<u8>> {
    let schema = Arc::new(Schema::new(vec![field]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![array]).expect("a batch");
    let mut out = Vec::new();
    let rows = RowEncoder::new(&schema, &[format], zone).encode(&batch, 0, usize::MAX, usize::MAX, &mut out);
    assert_eq!(rows.expect("it can be encoded"), 1);
    let length = i32::from_be_bytes(out[7..11].try_into().expect("four bytes"));
    (length >= 0).then(|| out[11..].to_vec())
}

fn field(array: &ArrayRef) -> Field {
    Field::new("c", array.data_type().clone(), true)
}

fn text_in(array: ArrayRef, zone_name: &str) -> String {
    let bytes = cell(field(&array), array, Format::Text, zone(zone_name)).expect("not null");
    String::from_utf8(bytes).expect("text is UTF-8")
}

fn text(array: impl Array + 'static) -> String {
    text_in(Arc::new(array), "UTC")
}

fn binary(array: impl Array + 'static) -> String {
    let array: ArrayRef = Arc::new(array);
    hex(&cell(field(&array), array, Format::Binary, zone("UTC")).expect("not null"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_row_is_a_message() {
    let schema = Schema::new(vec![
        Field::new("a", DataType::Int32, true),
        Field::new("b", DataType::Utf8, true),
        Field::new("c", DataType::Null, true),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![Some(7), None])),
        Arc::new(StringArray::from(vec!["xy", ""])),
        new_null_array(&DataType::Null, 2),
    ];
    let batch = RecordBatch::try_new(Arc::new(schema.clone()), columns).expect("a batch");
    let encoder = RowEncoder::new(&schema, &[Format::Text; 3], zone("UTC"));
    let mut out = Vec::new();
    assert_eq!(encoder.encode(&batch, 0, 1, usize::MAX, &mut out).ok(), Some(1));
    assert_eq!(&out[..], b"D\0\0\0\x15\0\x03\0\0\0\x017\0\0\0\x02xy\xff\xff\xff\xff");
    out.clear();
    assert_eq!(encoder.encode(&batch, 1, usize::MAX, usize::MAX, &mut out).ok(), Some(1));
    assert_eq!(&out[..], b"D\0\0\0\x12\0\x03\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff");
}

#[test]
fn encoding_stops_at_its_limits() {
    let array: ArrayRef = Arc::new(Int32Array::from((0..100).collect::<Vec<_>>()));
    let schema = Schema::new(vec![field(&array)]);
    let batch = RecordBatch::try_new(Arc::new(schema.clone()), vec![array]).expect("a batch");
    let encoder = RowEncoder::new(&schema, &[Format::Binary], zone("UTC"));
    let rows = |first, rows_max, bytes_max| {
        encoder.encode(&batch, first, rows_max, bytes_max, &mut Vec::new()).expect("it can be encoded")
    };
    assert_eq!(rows(0, 10, usize::MAX), 10);
    assert_eq!(rows(95, 10, usize::MAX), 5);
    // A row has 15 bytes; at least one is always written.
    assert_eq!(rows(0, usize::MAX, 30), 2);
    assert_eq!(rows(0, usize::MAX, 1), 1);
    assert_eq!(rows(100, usize::MAX, 1), 0);
}

#[test]
fn floats() {
    let check = |value: f64, expect: &str| assert_eq!(text(Float64Array::from(vec![value])), expect);
    check(0.0, "0");
    check(-0.0, "-0");
    check(1.0, "1");
    check(0.1, "0.1");
    check(-1234.5, "-1234.5");
    check(1e14, "100000000000000");
    check(1e15, "1e+15");
    check(123_456_789_012_345_678.0, "1.2345678901234568e+17");
    check(1e-4, "0.0001");
    check(1e-5, "1e-05");
    check(5e-324, "5e-324");
    check(f64::MAX, "1.7976931348623157e+308");
    check(f64::NAN, "NaN");
    check(f64::INFINITY, "Infinity");
    check(f64::NEG_INFINITY, "-Infinity");
    let check = |value: f32, expect: &str| assert_eq!(text(Float32Array::from(vec![value])), expect);
    check(0.1, "0.1");
    check(1e5, "100000");
    check(123_456.0, "123456");
    check(1_234_567.0, "1.234567e+06");
    check(999_999.5, "999999.5");
    check(f32::MAX, "3.4028235e+38");
    assert_eq!(binary(Float64Array::from(vec![1.5])), "3ff8000000000000");
    assert_eq!(binary(Float32Array::from(vec![1.5])), "3fc00000");
}

#[test]
fn decimals() {
    let decimal = |value: i128, scale: i8| {
        Decimal128Array::from(vec![value]).with_precision_and_scale(38, scale).expect("it fits")
    };
    let check = |value, scale, expect_text: &str, expect_binary: &str| {
        assert_eq!(text(decimal(value, scale)), expect_text);
        assert_eq!(binary(decimal(value, scale)), expect_binary, "{expect_text}");
    };
    check(0, 0, "0", "0000000000000000");
    check(0, 2, "0.00", "0000000000000002");
    check(15, 1, "1.5", "000200000000000100011388");
    check(-1_234_567_890_123, 5, "-12345678.90123", "000400014000000504d2162e23340bb8");
    check(1, 4, "0.0001", "0001ffff000000040001");
    check(1234, 8, "0.00001234", "0001fffe0000000804d2");
    check(10_000, 0, "10000", "00010001000000000001");
    check(100_000_000, 0, "100000000", "00010002000000000001");
    check(110, 2, "1.10", "0002000000000002000103e8");
    check(-50, 2, "-0.50", "0001ffff400000021388");
    check(12, -5, "1200000", "00010001000000000078");
    let widest = "9".repeat(76);
    let wide = i256::from_string(&widest).expect("76 digits fit");
    let wide = Decimal256Array::from(vec![wide]).with_precision_and_scale(76, 38).expect("it fits");
    assert_eq!(text(wide), format!("{}.{}", "9".repeat(38), "9".repeat(38)));
    assert_eq!(text(UInt64Array::from(vec![u64::MAX])), "18446744073709551615");
    assert_eq!(binary(UInt64Array::from(vec![10_000])), "00010001000000000001");
}

#[test]
fn dates_and_times() {
    let check = |days: i32, expect: &str| assert_eq!(text(Date32Array::from(vec![days])), expect);
    check(0, "1970-01-01");
    check(19_782, "2024-02-29");
    check(-719_162, "0001-01-01");
    check(-719_163, "0001-12-31 BC");
    check(-735_160, "0044-03-15 BC");
    check(3_789_755, "12345-12-31");
    assert_eq!(binary(Date32Array::from(vec![10_958])), "00000001");
    let time = |micros: i64| Time64MicrosecondArray::from(vec![micros]);
    assert_eq!(text(time(0)), "00:00:00");
    assert_eq!(text(time(45_296_789_000)), "12:34:56.789");
    assert_eq!(text(time(86_399_999_999)), "23:59:59.999999");
    assert_eq!(binary(time(1)), "0000000000000001");
}

#[test]
fn timestamps() {
    let at = |micros: i64| TimestampMicrosecondArray::from(vec![micros]);
    assert_eq!(text(at(1_704_164_645_500_000)), "2024-01-02 03:04:05.5");
    assert_eq!(text(at(-1)), "1969-12-31 23:59:59.999999");
    assert_eq!(text(TimestampNanosecondArray::from(vec![-1])), "1969-12-31 23:59:59.999999");
    assert_eq!(binary(at(PG_EPOCH_MICROS + 1)), "0000000000000001");
    let check = |micros: i64, zone: &str, expect: &str| {
        assert_eq!(text_in(Arc::new(at(micros).with_timezone("UTC")), zone), expect, "{zone}");
    };
    check(1_719_792_000_100_000, "UTC", "2024-07-01 00:00:00.1+00");
    check(1_719_792_000_100_000, "Europe/Berlin", "2024-07-01 02:00:00.1+02");
    check(1_719_792_000_120_000, "Asia/Kolkata", "2024-07-01 05:30:00.12+05:30");
    check(1_719_792_000_000_000, "America/New_York", "2024-06-30 20:00:00-04");
    check(-5_364_662_400_000_000, "Europe/Berlin", "1800-01-01 00:53:28+00:53:28");
}

#[test]
fn intervals() {
    let interval = |months, days, micros: i64| {
        IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(months, days, micros * 1_000)])
    };
    let check = |months, days, micros, expect: &str| assert_eq!(text(interval(months, days, micros)), expect);
    check(0, 0, 0, "00:00:00");
    check(-10, -3, 14_706_500_000, "-10 mons -3 days +04:05:06.5");
    check(0, 1, -1_000_000, "1 day -00:00:01");
    check(-1, 1, 0, "-1 mons +1 day");
    check(12, -1, 90_000_000_001, "1 year -1 days +25:00:00.000001");
    check(14, 0, 0, "1 year 2 mons");
    assert_eq!(text(DurationMillisecondArray::from(vec![3_723_004])), "01:02:03.004");
    assert_eq!(binary(interval(1, 2, 3)), "00000000000000030000000200000001");
}

#[test]
fn plain_values() {
    assert_eq!(text(BooleanArray::from(vec![true])), "t");
    assert_eq!(binary(BooleanArray::from(vec![true])), "01");
    assert_eq!(text(Int16Array::from(vec![-5])), "-5");
    assert_eq!(binary(Int16Array::from(vec![-5])), "fffb");
    assert_eq!(binary(Int64Array::from(vec![1])), "0000000000000001");
    assert_eq!(text(StringViewArray::from(vec!["a view"])), "a view");
    assert_eq!(text(BinaryArray::from(vec![&[1u8, 0xff][..]])), "\\x01ff");
    assert_eq!(binary(BinaryArray::from(vec![&[1u8, 0xff][..]])), "01ff");
    let dictionary: DictionaryArray<Int32Type> = vec!["red"].into_iter().collect();
    assert_eq!(text(dictionary), "red");
}

#[test]
fn marked_columns() {
    let marked = |data_type, marks: std::collections::HashMap<String, String>| {
        Field::new("c", data_type, true).with_metadata(marks)
    };
    let uuid = marked(DataType::FixedSizeBinary(16), tarn_sql::types::uuid_marks());
    let bytes = FixedSizeBinaryArray::try_from_iter([(0..16).collect::<Vec<u8>>()].iter()).expect("16 bytes");
    let shown = cell(uuid, Arc::new(bytes), Format::Text, zone("UTC")).expect("not null");
    assert_eq!(shown, b"00010203-0405-0607-0809-0a0b0c0d0e0f");
    let oid = marked(DataType::Int64, [("tarn:type".to_owned(), "oid".to_owned())].into());
    let sent = cell(oid, Arc::new(Int64Array::from(vec![4_000_000_000])), Format::Binary, zone("UTC"));
    assert_eq!(hex(&sent.expect("not null")), "ee6b2800");
    let json = marked(DataType::Utf8, tarn_sql::types::json_marks());
    let sent = cell(json, Arc::new(StringArray::from(vec!["{\"a\": 1}"])), Format::Binary, zone("UTC"));
    assert_eq!(sent.expect("not null"), b"{\"a\": 1}");
}

#[test]
fn arrays() {
    let values =
        vec![Some("a"), Some(""), Some("NULL"), Some("b c"), Some("x\"y"), Some("z\\q"), Some("a,b"), None];
    let item = Arc::new(Field::new_list_field(DataType::Utf8, true));
    let offsets = arrow::buffer::OffsetBuffer::from_lengths([values.len()]);
    let list = ListArray::new(item, offsets, Arc::new(StringArray::from(values)), None);
    assert_eq!(text(list), "{a,\"\",\"NULL\",\"b c\",\"x\\\"y\",\"z\\\\q\",\"a,b\",NULL}");
    let numbers =
        |values: Vec<Option<i32>>| ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(values)]);
    assert_eq!(text(numbers(vec![])), "{}");
    assert_eq!(binary(numbers(vec![])), "000000000000000000000017");
    assert_eq!(
        binary(numbers(vec![Some(1), None])),
        "00000001000000010000001700000002000000010000000400000001ffffffff"
    );
}

#[test]
fn structs_are_json() {
    let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1_704_164_645_500_000]));
    let zoned: ArrayRef =
        Arc::new(TimestampMicrosecondArray::from(vec![1_704_164_645_000_000]).with_timezone("UTC"));
    let nan: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN]));
    let big: ArrayRef = Arc::new(Float64Array::from(vec![1e20]));
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![&[1u8, 0xff][..]]));
    let odd: ArrayRef = Arc::new(StringArray::from(vec!["q\"\\\n\u{1}é/"]));
    let missing: ArrayRef = new_null_array(&DataType::Int32, 1);
    let list: ArrayRef =
        Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None])]));
    let truth: ArrayRef = Arc::new(BooleanArray::from(vec![false]));
    let members = [
        ("a", at),
        ("b", zoned),
        ("c", nan),
        ("i", big),
        ("e", bytes),
        ("h", odd),
        ("n", missing),
        ("k", list),
        ("t", truth),
    ];
    let members = members
        .into_iter()
        .map(|(name, array)| (Arc::new(Field::new(name, array.data_type().clone(), true)), array));
    assert_eq!(
        text(StructArray::from(members.collect::<Vec<_>>())),
        "{\"a\":\"2024-01-02T03:04:05.5\",\"b\":\"2024-01-02T03:04:05+00:00\",\"c\":\"NaN\",\"i\":1e+20,\
         \"e\":\"\\\\x01ff\",\"h\":\"q\\\"\\\\\\n\\u0001é/\",\"n\":null,\"k\":[1,null],\"t\":false}"
    );
}

#[test]
fn maps_are_json_objects() {
    let mut map = MapBuilder::new(None, arrow::array::Int32Builder::new(), StringBuilder::new());
    map.keys().append_value(5);
    map.values().append_value("five");
    map.keys().append_value(6);
    map.values().append_null();
    map.append(true).expect("keys and values are as many");
    assert_eq!(text(map.finish()), "{\"5\":\"five\",\"6\":null}");
}
