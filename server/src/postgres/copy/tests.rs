//! The formats against themselves and against data that is none. The errors are PostgreSQL 15's.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{
    ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray,
    Float32Array, Float64Array, Int32Array, Int64Array, Int64Builder, ListBuilder, RecordBatch, StringArray,
    StructArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Decimal128Type, Field, Fields, Schema, SchemaRef};
use tarn_sql::{CopyColumns, CopyFormat, CopyHeader, CopyOptions};

use super::columns::{Decoded, decode};
use super::fault::{Fault, Place};
use super::fields::Layout;
use super::split::Splitter;
use super::write::{CopyWriter, Outgoing};

fn utc() -> Tz {
    "+00:00".parse().expect("UTC is a time zone")
}

/// The data without its messages.
fn unframed(messages: &[u8]) -> Vec<u8> {
    let (mut data, mut rest) = (Vec::new(), messages);
    while let Some((kind, tail)) = rest.split_first() {
        assert_eq!(*kind, b'd');
        let length = u32::from_be_bytes(tail[..4].try_into().expect("four bytes")) as usize;
        data.extend_from_slice(&tail[4..length]);
        rest = &tail[length..];
    }
    data
}

fn written(batch: &RecordBatch, options: &CopyOptions) -> Vec<u8> {
    let writer = CopyWriter::new(&batch.schema(), options.clone(), utc(), true);
    let mut out = Vec::new();
    writer.begin(&mut out).expect("it is written");
    let mut row = 0;
    while row < batch.num_rows() {
        let rows = Outgoing { batch: batch.clone(), row, first: row == 0 };
        row = writer.write(&rows, &mut out).expect("it is written");
    }
    writer.end(row == 0, &mut out).expect("it is written");
    unframed(&out)
}

/// Reads data that comes in pieces of `piece` bytes.
fn read(schema: &SchemaRef, options: &CopyOptions, data: &[u8], piece: usize) -> Result<RecordBatch, Fault> {
    let layout = Layout::new(schema, "t", options, utc());
    let mut splitter = Splitter::new(options, layout.width());
    let mut batches = Vec::new();
    let mut lines = 0;
    let mut chunks = Vec::new();
    for bytes in data.chunks(piece.max(1)) {
        chunks.extend(splitter.push(bytes).expect("no record is too long"));
    }
    chunks.push(splitter.finish());
    for chunk in chunks {
        let Decoded { rows, lines: more, ended } =
            decode(&chunk, &layout).map_err(|fault| Fault { line: fault.line + lines, ..fault })?;
        lines += more;
        batches.push(rows);
        if ended {
            break;
        }
    }
    Ok(concat_batches(schema, &batches).expect("all have the same columns"))
}

fn options(format: CopyFormat) -> CopyOptions {
    CopyOptions::of_format(format)
}

fn nullable(name: &str, array: &ArrayRef) -> Field {
    Field::new(name, array.data_type().clone(), true)
}

/// Every type that a table's column has, with values at its edges and NULL.
fn all_types() -> RecordBatch {
    let mut lists = ListBuilder::new(Int64Builder::new());
    lists.append_value([Some(1), None, Some(-3)]);
    lists.append_null();
    lists.append_value([]);
    let inner =
        Fields::from(vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Utf8, true)]);
    let structs = StructArray::new(
        inner,
        vec![
            Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])),
            Arc::new(StringArray::from(vec![Some("x\"y\\z"), Some(""), None])),
        ],
        Some(vec![true, false, true].into()),
    );
    let texts = vec![Some("tab\t, quote\", back\\slash\r\nline"), None, Some("")];
    let uuids = vec![Some([7u8; 16].as_slice()), None, Some(&[255; 16])];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        Arc::new(Int32Array::from(vec![Some(i32::MIN), None, Some(i32::MAX)])),
        Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)])),
        Arc::new(Float32Array::from(vec![Some(-1.5e-20), None, Some(f32::INFINITY)])),
        Arc::new(Float64Array::from(vec![Some(1.0e300), None, Some(0.1)])),
        Arc::new(
            Decimal128Array::from(vec![
                Some(-1),
                None,
                Some(99_999_999_999_999_999_999_999_999_999_999_999_999),
            ])
            .with_precision_and_scale(38, 9)
            .expect("a good precision"),
        ),
        Arc::new(
            Decimal128Array::from(vec![Some(123_456), None, Some(-100)])
                .with_precision_and_scale(12, 2)
                .expect("a good precision"),
        ),
        Arc::new(Date32Array::from(vec![Some(-719_162), None, Some(20_000)])),
        Arc::new(Time64MicrosecondArray::from(vec![Some(0), None, Some(86_399_999_999)])),
        Arc::new(TimestampMicrosecondArray::from(vec![Some(-1), None, Some(1_700_000_000_000_001)])),
        Arc::new(TimestampMicrosecondArray::from(vec![Some(-1_000_000), None, Some(0)]).with_timezone("UTC")),
        Arc::new(StringArray::from(texts)),
        Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\0\xff\\n".as_slice()), None, Some(b"")])),
        Arc::new(
            FixedSizeBinaryArray::try_from_sparse_iter_with_size(uuids.into_iter(), 16).expect("16 bytes"),
        ),
        Arc::new(lists.finish()),
        Arc::new(structs),
    ];
    let mut fields: Vec<Field> =
        columns.iter().enumerate().map(|(place, array)| nullable(&format!("c{place}"), array)).collect();
    fields[13] = fields[13].clone().with_metadata(tarn_sql::types::uuid_marks());
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("a batch")
}

#[test]
fn every_type_comes_back_in_every_format() {
    let batch = all_types();
    for format in [CopyFormat::Text, CopyFormat::Csv, CopyFormat::Binary] {
        let data = written(&batch, &options(format));
        for piece in [1, 7, data.len()] {
            let back = read(&batch.schema(), &options(format), &data, piece).expect("it is read");
            assert_eq!(back, batch, "{format:?} in pieces of {piece}");
        }
    }
}

#[test]
fn odd_options_come_back_too() {
    let batch = all_types();
    let mut odd = options(CopyFormat::Text);
    (odd.delimiter, odd.null, odd.header) = (b'-', "nothing".to_owned(), CopyHeader::Yes);
    let mut csv = options(CopyFormat::Csv);
    (csv.delimiter, csv.quote, csv.escape) = (b':', b'.', b'0');
    (csv.null, csv.force_quote, csv.header) = ("1".to_owned(), CopyColumns::All, CopyHeader::Yes);
    for options in [odd, csv] {
        let data = written(&batch, &options);
        let matching = CopyOptions { header: CopyHeader::Match, ..options };
        let back = read(&batch.schema(), &matching, &data, 5).expect("it is read");
        assert_eq!(back, batch, "{matching:?}: {}", data.escape_ascii());
    }
}

#[test]
fn no_beginning_of_binary_data_is_taken_for_the_whole() {
    let batch = all_types();
    let data = written(&batch, &options(CopyFormat::Binary));
    let mut rows = Vec::new();
    for end in 0..data.len() {
        match read(&batch.schema(), &options(CopyFormat::Binary), &data[..end], end) {
            // As in PostgreSQL, data may end after any row.
            Ok(back) => rows.push(back.num_rows()),
            Err(fault) => assert_eq!(fault.report.sqlstate, "22P04", "{end}: {fault:?}"),
        }
    }
    assert_eq!(rows, [0, 1, 2, 3]);
    let after = [&data[..], b"x"].concat();
    let fault =
        read(&batch.schema(), &options(CopyFormat::Binary), &after, after.len()).expect_err("too long");
    assert_eq!(fault.report.message, "received copy data after EOF marker");
}

#[test]
fn no_bytes_make_it_panic() {
    let batch = all_types();
    for format in [CopyFormat::Text, CopyFormat::Csv, CopyFormat::Binary] {
        let data = written(&batch, &options(format));
        for place in 0..data.len() {
            for byte in [0, b'"', b'\\', b'\r', b'\n', 0xff] {
                let mut changed = data.clone();
                changed[place] = byte;
                // Whatever it is, it is rows or an error.
                let _ = read(&batch.schema(), &options(format), &changed, 11);
            }
            let _ = read(&batch.schema(), &options(format), &data[place..], 13);
        }
    }
}

fn two_columns() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Utf8, true)]))
}

/// The rows of data for `a bigint, b text`, as text; or the line, the code and the message of what is wrong.
fn outcome(options: &CopyOptions, data: &[u8]) -> Result<Vec<String>, String> {
    let rows = read(&two_columns(), options, data, 3).map_err(|fault| {
        let place = match &fault.place {
            Place::Head | Place::Line(_) => String::new(),
            Place::Column { name, value } => format!(" {name}={value:?}"),
        };
        format!("{}{place} {} {}", fault.line, fault.report.sqlstate, fault.report.message)
    })?;
    let writer = written(&rows, &super::tests::options(CopyFormat::Text));
    let text = String::from_utf8(writer).expect("text is UTF-8");
    Ok(text.lines().map(str::to_owned).collect())
}

#[track_caller]
fn check(options: &CopyOptions, data: &str, expect: &[&str]) {
    assert_eq!(outcome(options, data.as_bytes()), Ok(expect.iter().map(|row| (*row).to_owned()).collect()));
}

#[track_caller]
fn refuse(options: &CopyOptions, data: &[u8], expect: &str) {
    assert_eq!(outcome(options, data), Err(expect.to_owned()));
}

#[test]
fn text_as_postgresql_reads_it() {
    let text = options(CopyFormat::Text);
    check(&text, "", &[]);
    check(&text, "1\tone\n2\t\\N\n", &["1\tone", "2\t\\N"]);
    check(&text, "1\tone", &["1\tone"]);
    check(&text, "1\t\n", &["1\t"]);
    check(&text, "1\ta\\\nb\n2\tc\n", &["1\ta\\nb", "2\tc"]);
    check(&text, "1\t\\x41\\102\\q\\\\.\n", &["1\tABq\\\\."]);
    check(&text, "1\t\\xe2\\x98\\x83\n", &["1\t☃"]);
    check(&text, "1\tone\\", &["1\tone"]);
    check(&text, "1\tone\r\n2\ttwo\r\n", &["1\tone", "2\ttwo"]);
    check(&text, "1\tone\r2\ttwo\r", &["1\tone", "2\ttwo"]);
    check(&text, "1\tone\n\\.\n2\ttwo\n", &["1\tone"]);
    check(&text, "1\tone\\.\nwhatever", &["1\tone"]);
    refuse(&text, b"1\tone\n\\.", "2 22P04 end-of-copy marker corrupt");
    refuse(&text, b"1\tone\r\n\\.\n", "2 22P04 end-of-copy marker does not match previous newline style");
    refuse(&text, b"1\tone\n2\ttwo\r\n", "2 22P04 literal carriage return found in data");
    refuse(&text, b"1\tone\r\n2\ttwo\n", "2 22P04 literal newline found in data");
    refuse(&text, b"1\tone\n2\n", "2 22P04 missing data for column \"b\"");
    refuse(&text, b"\n", "1 a=Some(\"\") 22P02 invalid input syntax for type bigint: \"\"");
    refuse(&text, b"1\tone\tmore\n", "1 22P04 extra data after last expected column");
    refuse(&text, b"1\t\\xff\n", "1 22021 invalid byte sequence for encoding \"UTF8\": 0xff");
    refuse(&text, b"1\t\\0\n", "1 22021 invalid byte sequence for encoding \"UTF8\": 0x00");
    refuse(&text, b"1\tone\n2\t\xc3\x28\n", "2 22021 invalid byte sequence for encoding \"UTF8\": 0xc3 0x28");
    let first = "2 a=Some(\"x\") 22P02 invalid input syntax for type bigint: \"x\"";
    refuse(&text, b"1\tone\nx\ttwo\ny\n", first);
}

#[test]
fn the_first_row_that_lacks_a_value_is_named() {
    let schema: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("a", DataType::Int64, false),
        Field::new("b", DataType::Int64, true),
    ]));
    let wrong = |data: &str| {
        let fault = read(&schema, &options(CopyFormat::Csv), data.as_bytes(), 64).expect_err("it is wrong");
        format!("{} {} {}", fault.line, fault.report.sqlstate, fault.report.message)
    };
    let missing = "23502 null value in column \"a\" of relation \"t\" violates not-null constraint";
    assert_eq!(wrong("1,\n,2\n,3\nx,4\n"), format!("2 {missing}"));
    assert_eq!(wrong("1,\n,2\n3\n"), format!("2 {missing}"));
    // What is wrong with the same row in itself is said first.
    assert_eq!(wrong("1,\n,x\n"), "2 22P02 invalid input syntax for type bigint: \"x\"");
    assert_eq!(wrong("1,\n\n"), "2 22P04 missing data for column \"b\"");
}

#[test]
fn csv_as_postgresql_reads_it() {
    let csv = options(CopyFormat::Csv);
    check(&csv, "1,one\n2,\n3,\"\"\n", &["1\tone", "2\t\\N", "3\t"]);
    check(&csv, "1,\"a \"\"b\"\", c\nd\"\n2,x", &["1\ta \"b\", c\\nd", "2\tx"]);
    check(&csv, "1,a\"b,c\"d\n", &["1\tab,cd"]);
    check(&csv, "1,\"one\"\r\n2,\"two\r\n\"\r\n", &["1\tone", "2\ttwo\\r\\n"]);
    check(&csv, "1,\\.\n2,\\N\n\\.\n3,three\n", &["1\t\\\\.", "2\t\\\\N"]);
    refuse(&csv, b"1,\"one\n2,two\n", "1 22P04 unterminated CSV quoted field");
    refuse(&csv, b"1,one\n2,two\r\n", "2 22P04 unquoted carriage return found in data");
    refuse(&csv, b"1,one\r\n2,two\n", "2 22P04 unquoted newline found in data");
    refuse(
        &csv,
        b"0,z\n1,\"a\nb\"\nx,c\n",
        "4 a=Some(\"x\") 22P02 invalid input syntax for type bigint: \"x\"",
    );
    let escaped = CopyOptions { escape: b'\\', ..csv.clone() };
    check(&escaped, "1,\"a\\\"b\\\\c\\d\"\n2,\"\n\"\n", &["1\ta\"b\\\\c\\\\d", "2\t\\n"]);
    let named = |name: &str| CopyColumns::Named(vec![name.to_owned()]);
    let forced = CopyOptions { force_not_null: named("b"), ..csv.clone() };
    check(&forced, "1,\n", &["1\t"]);
    let forced = CopyOptions { force_null: named("b"), ..csv.clone() };
    check(&forced, "1,\"\"\n", &["1\t\\N"]);
    let header = CopyOptions { header: CopyHeader::Yes, ..csv.clone() };
    check(&header, "anything\n1,one\n", &["1\tone"]);
    let matching = CopyOptions { header: CopyHeader::Match, ..csv };
    check(&matching, "a,b\n1,one\n", &["1\tone"]);
    let mismatch = "1 22P04 column name mismatch in header line field 2: got \"c\", expected \"b\"";
    refuse(&matching, b"a,c\n1,one\n", mismatch);
    refuse(&matching, b"", "1 22P04 wrong number of fields in header line: got 1, expected 2");
    refuse(&matching, b"a\n1,one\n", "1 22P04 wrong number of fields in header line: got 1, expected 2");
}

/// Binary numerics as PostgreSQL sends them, for a column of another scale.
#[test]
fn binary_numbers_are_rounded_too() {
    let sent = |scale: i8, value: i128| {
        let array = Decimal128Array::from(vec![value]).with_precision_and_scale(38, scale).expect("a scale");
        let array: ArrayRef = Arc::new(array);
        let schema: SchemaRef = Arc::new(Schema::new(vec![nullable("n", &array)]));
        written(&RecordBatch::try_new(schema, vec![array]).expect("a batch"), &options(CopyFormat::Binary))
    };
    let read_as = |precision: u8, scale: i8, data: &[u8]| {
        let field = Field::new("n", DataType::Decimal128(precision, scale), true);
        let schema: SchemaRef = Arc::new(Schema::new(vec![field]));
        let rows = read(&schema, &options(CopyFormat::Binary), data, 64);
        rows.map(|rows| rows.column(0).as_primitive::<Decimal128Type>().value(0))
            .map_err(|fault| fault.report.sqlstate)
    };
    for (scale, value, as_scale, expect) in [
        (2, 12_345, 2, 12_345),
        (2, -12_345, 4, -1_234_500),
        (3, 1_005, 2, 101),
        (3, -1_005, 2, -101),
        (3, 1_004, 2, 100),
        (9, 1, 2, 0),
        (5, 99_999, 0, 1),
        (0, 0, 3, 0),
        (0, 1_000_000_000_000_000_000_000_000_000_000, 2, 100_000_000_000_000_000_000_000_000_000_000),
        (18, 123_456_789_012_345_678_901_234_567_890, 6, 123_456_789_012_345_679),
    ] {
        assert_eq!(read_as(38, as_scale, &sent(scale, value)), Ok(expect), "{value} {scale} as {as_scale}");
    }
    assert_eq!(read_as(6, 2, &sent(3, 9_999_995)), Err("22003"));
    assert_eq!(read_as(6, 2, &sent(3, 9_999_994)), Ok(999_999));
}

#[test]
fn numbers_are_rounded_as_for_a_column() {
    let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("n", DataType::Decimal128(6, 2), true)]));
    let value = |text: &str| {
        let data = format!("{text}\n");
        let read = read(&schema, &options(CopyFormat::Text), data.as_bytes(), 64);
        read.map(|rows| String::from_utf8(written(&rows, &options(CopyFormat::Text))).expect("text"))
            .map_err(|fault| fault.report.sqlstate)
    };
    for (text, expect) in [
        ("1", "1.00"),
        ("-1.005", "-1.01"),
        ("1.004999", "1.00"),
        ("0.005", "0.01"),
        ("1e3", "1000.00"),
        ("12.5E-1", "1.25"),
        ("9e-3", "0.01"),
        (" +.5 ", "0.50"),
        ("00000000000000000000000012.34", "12.34"),
        ("9999.994", "9999.99"),
    ] {
        assert_eq!(value(text), Ok(format!("{expect}\n")), "{text}");
    }
    for (text, expect) in
        [("9999.995", "22003"), ("10000", "22003"), ("1e400", "22003"), ("x", "22P02"), (".", "22P02")]
    {
        assert_eq!(value(text), Err(expect), "{text}");
    }
}
