//! Bounds and counts of batches of every type, and above all that no bound is ever too tight.

use super::*;
use arrow::array::{
    BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int32Array, Int64Array, ListArray, StringArray, StringViewArray, StructArray,
    Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Fields, Int32Type, Schema as ArrowSchema};
use iceberg::spec::{ListType, NestedField, StructType};

fn schema(kinds: &[Type]) -> Schema {
    let fields = kinds.iter().enumerate().map(|(at, kind)| {
        let id = i32::try_from(at).expect("few fields") + 1;
        NestedField::optional(id, format!("c{id}"), kind.clone()).into()
    });
    Schema::builder().with_fields(fields).build().expect("a schema")
}

fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
    let fields: Vec<Field> = columns
        .iter()
        .enumerate()
        .map(|(at, c)| Field::new(format!("c{at}"), c.data_type().clone(), true))
        .collect();
    RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), columns).expect("a batch")
}

/// Collects `batches` of one column and returns what is known of it.
fn collect(kind: PrimitiveType, batches: Vec<ArrayRef>) -> ColumnMetrics {
    let mut collector = Collector::new(&schema(&[Type::Primitive(kind)]));
    for column in batches {
        collector.observe(&batch(vec![column])).expect("the batch fits");
    }
    collector.finish().expect("metrics").remove(&1).expect("metrics of the column")
}

/// Checks a column against `values, nulls, NaNs, lower, upper`, bounds as text.
fn check(
    kind: PrimitiveType,
    array: ArrayRef,
    counts: (u64, u64, Option<u64>),
    bounds: Option<(&str, &str)>,
) {
    let metrics = collect(kind.clone(), vec![array]);
    assert_eq!((metrics.value_count, metrics.null_count, metrics.nan_count), counts, "{kind}");
    let text = metrics.lower.zip(metrics.upper).map(|(lower, upper)| (lower.to_string(), upper.to_string()));
    assert_eq!(text.as_ref().map(|(lower, upper)| (lower.as_str(), upper.as_str())), bounds, "{kind}");
}

#[test]
fn every_type_has_its_bounds() {
    use PrimitiveType as P;
    check(
        P::Boolean,
        Arc::new(BooleanArray::from(vec![Some(true), None])),
        (2, 1, None),
        Some(("true", "true")),
    );
    check(P::Int, Arc::new(Int32Array::from(vec![3, -7])), (2, 0, None), Some(("-7", "3")));
    check(P::Long, Arc::new(Int64Array::from(vec![i64::MAX, i64::MIN])), (2, 0, None), {
        Some(("-9223372036854775808", "9223372036854775807"))
    });
    check(
        P::Date,
        Arc::new(Date32Array::from(vec![-1, 0])),
        (2, 0, None),
        Some(("1969-12-31", "1970-01-01")),
    );
    let times = Time64MicrosecondArray::from(vec![1_000_000, 0]);
    check(P::Time, Arc::new(times), (2, 0, None), Some(("00:00:00", "00:00:01")));
    let moments = TimestampMicrosecondArray::from(vec![-1, 0]);
    check(P::Timestamp, Arc::new(moments.clone()), (2, 0, None), {
        Some(("1969-12-31 23:59:59.999999", "1970-01-01 00:00:00"))
    });
    // The crate's own text of a timestamptz overflows before 1970, so this one compares the values.
    let metrics = collect(P::Timestamptz, vec![Arc::new(moments.with_timezone("UTC"))]);
    assert_eq!(metrics.lower, Some(Datum::timestamptz_micros(-1)));
    assert_eq!(metrics.upper, Some(Datum::timestamptz_micros(0)));
    let decimals = Decimal128Array::from(vec![-12345, 1]).with_precision_and_scale(38, 2).expect("it fits");
    check(
        P::Decimal { precision: 38, scale: 2 },
        Arc::new(decimals),
        (2, 0, None),
        Some(("-123.45", "0.01")),
    );
    let uuids = [[0xFF; 16], [0x01; 16]];
    let uuids = FixedSizeBinaryArray::try_from_iter(uuids.into_iter()).expect("it fits");
    let uuid_bounds = ("01010101-0101-0101-0101-010101010101", "ffffffff-ffff-ffff-ffff-ffffffffffff");
    check(P::Uuid, Arc::new(uuids), (2, 0, None), Some(uuid_bounds));
    check(P::String, Arc::new(StringArray::from(vec!["b", "", "a"])), (3, 0, None), Some(("\"\"", "\"b\"")));
    check(P::String, Arc::new(StringViewArray::from(vec!["é", "z"])), (2, 0, None), Some(("\"z\"", "\"é\"")));
    let bytes = BinaryArray::from(vec![&[1u8, 2][..], &[0xFF]]);
    check(P::Binary, Arc::new(bytes), (2, 0, None), Some(("0102", "FF")));
}

#[test]
fn nothing_but_nulls_has_counts_and_no_bounds() {
    check(PrimitiveType::Int, Arc::new(Int32Array::from(vec![None, None])), (2, 2, None), None);
    check(PrimitiveType::String, Arc::new(StringArray::from(Vec::<String>::new())), (0, 0, None), None);
}

#[test]
fn nan_is_counted_and_bounds_nothing() {
    let array =
        Float64Array::from(vec![Some(f64::NAN), Some(2.0), None, Some(-f64::NAN), Some(f64::INFINITY)]);
    check(PrimitiveType::Double, Arc::new(array), (5, 1, Some(2)), Some(("2", "inf")));
    let only = Float32Array::from(vec![f32::NAN, f32::NAN]);
    check(PrimitiveType::Float, Arc::new(only), (2, 0, Some(2)), None);
}

#[test]
fn zeros_of_both_signs_are_between_the_bounds() {
    for zero in [0.0, -0.0] {
        let metrics = collect(PrimitiveType::Double, vec![Arc::new(Float64Array::from(vec![zero]))]);
        assert_eq!(
            metrics.lower,
            Datum::try_from_bytes(&(-0.0f64).to_le_bytes(), PrimitiveType::Double).ok()
        );
        assert_eq!(metrics.upper, Datum::try_from_bytes(&0.0f64.to_le_bytes(), PrimitiveType::Double).ok());
        let bits = metrics.lower.expect("a bound").to_bytes().expect("bytes");
        assert_eq!(bits.as_slice(), (-0.0f64).to_le_bytes());
    }
}

/// Trap T3: the Iceberg crate's writer skips a row group whose maximum Parquet truncated, and goes on with the others,
/// so that the bound is below values of the file. Here a very long value comes in one batch and short ones in others.
#[test]
fn trap_t3_bounds_cover_the_long_values_of_every_batch() {
    let long = format!("z{}", "y".repeat(100));
    for order in [[0usize, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let parts: [ArrayRef; 3] = [
            Arc::new(StringArray::from(vec![long.clone()])),
            Arc::new(StringArray::from(vec!["b"])),
            Arc::new(StringArray::from(vec![Some("a"), None])),
        ];
        let metrics = collect(PrimitiveType::String, order.iter().map(|at| parts[*at].clone()).collect());
        assert_eq!(metrics.lower, Some(Datum::string("a")));
        assert_eq!(metrics.upper, Some(Datum::string("zyyyyyyyyyyyyyyz")));
        assert!(Datum::string(&long) < metrics.upper.clone().expect("a bound"));
        assert_eq!((metrics.value_count, metrics.null_count), (4, 1));
    }
}

#[test]
fn a_truncated_value_that_cannot_be_counted_up_has_no_upper_bound() {
    let text: String = std::iter::repeat_n(char::MAX, 17).collect();
    let metrics = collect(PrimitiveType::String, vec![Arc::new(StringArray::from(vec![text.clone()]))]);
    assert_eq!(metrics.lower, Some(Datum::string(&text[..64])));
    assert_eq!(metrics.upper, None);
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![&[0xFFu8; 17][..], &[1]]));
    assert_eq!(collect(PrimitiveType::Binary, vec![bytes]).upper, None);
    let exact: ArrayRef = Arc::new(BinaryArray::from(vec![&[0xFFu8; 16][..]]));
    assert!(collect(PrimitiveType::Binary, vec![exact]).upper.is_some(), "16 bytes are not truncated");
}

#[test]
fn values_inside_a_null_struct_are_null() {
    let inner =
        StructType::new(vec![NestedField::optional(2, "x", Type::Primitive(PrimitiveType::Int)).into()]);
    let field = NestedField::optional(1, "s", Type::Struct(inner)).into();
    let schema = Schema::builder().with_fields([field]).build().expect("a schema");
    let fields = Fields::from(vec![Field::new("x", DataType::Int32, true)]);
    let inside: ArrayRef = Arc::new(Int32Array::from(vec![Some(5), Some(-100), None, Some(7)]));
    let nulls = NullBuffer::from(vec![true, false, true, true]);
    let column = StructArray::new(fields, vec![inside], Some(nulls));
    let mut collector = Collector::new(&schema);
    collector.observe(&batch(vec![Arc::new(column)])).expect("the batch fits");
    let metrics = collector.finish().expect("metrics").remove(&2).expect("metrics of s.x");
    assert_eq!((metrics.value_count, metrics.null_count), (4, 2));
    assert_eq!((metrics.lower, metrics.upper), (Some(Datum::int(5)), Some(Datum::int(7))));
}

#[test]
fn lists_have_no_metrics() {
    let element = NestedField::optional(2, "element", Type::Primitive(PrimitiveType::Int)).into();
    let schema = schema(&[Type::List(ListType { element_field: element })]);
    let column = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]);
    let mut collector = Collector::new(&schema);
    collector.observe(&batch(vec![Arc::new(column)])).expect("the batch fits");
    assert!(collector.finish().expect("metrics").is_empty());
}

#[test]
fn an_array_of_a_foreign_type_leaves_the_bounds_out() {
    let arrays: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from(vec![1])), Arc::new(Int32Array::from(vec![2]))];
    let metrics = collect(PrimitiveType::Long, arrays);
    assert_eq!((metrics.value_count, metrics.lower, metrics.upper), (2, None, None));
}

#[test]
fn merging_keeps_bounds_only_where_both_sides_know_them() {
    let part = |values: u64, nulls: u64, bounds: Option<(i32, i32)>| ColumnMetrics {
        value_count: values,
        null_count: nulls,
        nan_count: None,
        lower: bounds.map(|(lower, _)| Datum::int(lower)),
        upper: bounds.map(|(_, upper)| Datum::int(upper)),
    };
    assert_eq!(part(2, 0, Some((1, 5))).merge(part(3, 1, Some((-1, 4)))), part(5, 1, Some((-1, 5))));
    assert_eq!(part(2, 0, Some((1, 5))).merge(part(3, 3, None)), part(5, 3, Some((1, 5))));
    assert_eq!(part(2, 2, None).merge(part(1, 0, Some((1, 1)))), part(3, 2, Some((1, 1))));
    assert_eq!(part(2, 0, Some((1, 5))).merge(part(3, 1, None)), part(5, 1, None));
}
