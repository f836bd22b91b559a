//! Every type a table has, with NULL and the ends of its range, comes back as it went in.

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int32Array, Int64Array, ListArray, MapArray, StringArray, StructArray,
    Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, FieldRef};
use iceberg::spec::{ListType, MapType, StructType};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetObjectReader};
use parquet::basic::LogicalType;

use super::*;

/// A table with a column of every type; nested ones with nested ones inside.
fn all_types() -> Definition {
    let optional =
        |id, name: &str, data_type| NestedFieldRef::new(NestedField::optional(id, name, data_type));
    let point = Type::Struct(StructType::new(vec![
        optional(101, "x", primitive(PrimitiveType::Double)),
        optional(102, "label", primitive(PrimitiveType::String)),
    ]));
    let element = |id, data_type| NestedFieldRef::new(NestedField::list_element(id, data_type, false));
    let list = Type::List(ListType::new(element(103, primitive(PrimitiveType::Long))));
    let lists = Type::List(ListType::new(element(
        104,
        Type::List(ListType::new(element(105, primitive(PrimitiveType::Uuid)))),
    )));
    let value =
        Type::Struct(StructType::new(vec![optional(108, "at", primitive(PrimitiveType::Timestamptz))]));
    let map = Type::Map(MapType::optional(106, primitive(PrimitiveType::String), 107, value));
    Definition::new(vec![
        ("bool", primitive(PrimitiveType::Boolean)),
        ("int", primitive(PrimitiveType::Int)),
        ("long", primitive(PrimitiveType::Long)),
        ("float", primitive(PrimitiveType::Float)),
        ("double", primitive(PrimitiveType::Double)),
        ("small_decimal", primitive(PrimitiveType::Decimal { precision: 9, scale: 2 })),
        ("middle_decimal", primitive(PrimitiveType::Decimal { precision: 18, scale: 0 })),
        ("big_decimal", primitive(PrimitiveType::Decimal { precision: 38, scale: 10 })),
        ("date", primitive(PrimitiveType::Date)),
        ("time", primitive(PrimitiveType::Time)),
        ("timestamp", primitive(PrimitiveType::Timestamp)),
        ("timestamptz", primitive(PrimitiveType::Timestamptz)),
        ("string", primitive(PrimitiveType::String)),
        ("uuid", primitive(PrimitiveType::Uuid)),
        ("fixed", primitive(PrimitiveType::Fixed(3))),
        ("binary", primitive(PrimitiveType::Binary)),
        ("point", point),
        ("list", list),
        ("lists", lists),
        ("map", map),
    ])
}

/// Four rows: the smallest values, the largest, NULL, and something ordinary.
fn extremes(schema: &SchemaRef) -> RecordBatch {
    let big = 10i128.pow(38) - 1;
    let decimal = |low: i128, high: i128, precision, scale| -> ArrayRef {
        let values = Decimal128Array::from(vec![Some(low), Some(high), None, Some(123)]);
        Arc::new(values.with_precision_and_scale(precision, scale).expect("decimal"))
    };
    let bytes = |length: i32, values: [Option<u8>; 4]| -> ArrayRef {
        let values = values.map(|byte| byte.map(|byte| vec![byte; length as usize]));
        Arc::new(
            FixedSizeBinaryArray::try_from_sparse_iter_with_size(values.into_iter(), length).expect("fixed"),
        )
    };
    let long_text = "z".repeat(3000);
    let text = vec![Some(""), Some(long_text.as_str()), None, Some("naïve \u{10FFFF} \"x\"")];
    let micros = vec![Some(i64::MIN), Some(i64::MAX), None, Some(-1)];
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(BooleanArray::from(vec![Some(false), Some(true), None, Some(true)])),
        Arc::new(Int32Array::from(vec![Some(i32::MIN), Some(i32::MAX), None, Some(7)])),
        Arc::new(Int64Array::from(vec![Some(i64::MIN), Some(i64::MAX), None, Some(7)])),
        Arc::new(Float32Array::from(vec![Some(f32::NEG_INFINITY), Some(f32::NAN), None, Some(-0.0)])),
        Arc::new(Float64Array::from(vec![Some(f64::NEG_INFINITY), Some(f64::INFINITY), None, Some(-0.0)])),
        decimal(-999_999_999, 999_999_999, 9, 2),
        decimal(-(10i128.pow(18) - 1), 10i128.pow(18) - 1, 18, 0),
        decimal(-big, big, 38, 10),
        Arc::new(Date32Array::from(vec![Some(-719_162), Some(2_932_896), None, Some(-1)])),
        Arc::new(Time64MicrosecondArray::from(vec![Some(0), Some(86_399_999_999), None, Some(1)])),
        Arc::new(TimestampMicrosecondArray::from(micros.clone())),
        Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC")),
        Arc::new(StringArray::from(text)),
        bytes(16, [Some(0), Some(255), None, Some(7)]),
        bytes(3, [Some(0), Some(255), None, Some(7)]),
        Arc::new(BinaryArray::from(vec![Some(&b""[..]), Some(&[255u8; 400][..]), None, Some(b"\0\x01")])),
    ];
    for nested in &schema.fields()[columns.len()..] {
        columns.push(nested_values(nested));
    }
    RecordBatch::try_new(Arc::clone(schema), columns).expect("batch")
}

/// Four values of a nested column: full, empty or with NULL inside, NULL, and full again.
fn nested_values(field: &FieldRef) -> ArrayRef {
    let offsets = OffsetBuffer::new(vec![0, 2, 2, 2, 3].into());
    let third_null = || Some(NullBuffer::from(vec![true, true, false, true]));
    match field.data_type() {
        DataType::Struct(fields) => {
            let x: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.5), None, None, Some(f64::NAN)]));
            let label: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, None, Some("")]));
            Arc::new(StructArray::new(fields.clone(), vec![x, label], third_null()))
        }
        DataType::List(element) => {
            let values: ArrayRef = match element.data_type() {
                DataType::List(inner) => {
                    let bytes = [Some([1u8; 16]), None, Some([255u8; 16])].into_iter();
                    let uuids =
                        FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes, 16).expect("uuids");
                    let inner_offsets = OffsetBuffer::new(vec![0, 2, 2, 3].into());
                    let nulls = Some(NullBuffer::from(vec![true, false, true]));
                    Arc::new(ListArray::new(Arc::clone(inner), inner_offsets, Arc::new(uuids), nulls))
                }
                _ => Arc::new(Int64Array::from(vec![Some(1), None, Some(i64::MAX)])),
            };
            Arc::new(ListArray::new(Arc::clone(element), offsets, values, third_null()))
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(pair) = entries.data_type() else { panic!("a map has pairs") };
            let DataType::Struct(value) = pair[1].data_type() else { panic!("the value is a struct") };
            let at = TimestampMicrosecondArray::from(vec![Some(1), None, None]).with_timezone("UTC");
            let nulls = Some(NullBuffer::from(vec![true, false, true]));
            let values = StructArray::new(value.clone(), vec![Arc::new(at)], nulls);
            let keys = StringArray::from(vec!["a", "b", "a"]);
            let pairs = StructArray::new(pair.clone(), vec![Arc::new(keys), Arc::new(values)], None);
            Arc::new(MapArray::new(Arc::clone(entries), offsets, pairs, third_null(), false))
        }
        other => panic!("{other} is not nested"),
    }
}

#[tokio::test]
async fn every_type_comes_back_as_it_went_in() {
    let world = World::new();
    let definition = all_types();
    // Ids are assigned anew when a table is made, so the rows follow the table and not the definition.
    let metadata = world.metadata(&definition);
    let schema = arrow_schema(metadata.current_schema()).expect("schema");
    let rows = extremes(&schema);
    for pushdown in ["false", "true"] {
        world.query(&format!("SET datafusion.execution.parquet.pushdown_filters = {pushdown}")).await;
        let files = world.write(&metadata, &[vec![rows.clone()]]).await.expect("written");
        assert_eq!(files.len(), 1);
        let version = world.commit(&metadata, None, files).await;
        world.register(&format!("t_{pushdown}"), &version);
        let back = world.query(&format!("SELECT * FROM t_{pushdown}")).await;
        for (field, (expect, column)) in schema.fields().iter().zip(rows.columns().iter().zip(back.columns()))
        {
            let column = arrow::compute::cast(column, field.data_type()).expect("plain");
            assert_eq!(expect, &column, "column {}", field.name());
        }
        let one = world.query(&format!("SELECT point FROM t_{pushdown} WHERE long = 7")).await;
        assert_eq!(one.column(0).as_ref(), rows.column(16).slice(3, 1).as_ref());
    }
}

#[tokio::test]
async fn other_engines_find_ids_and_uuids_in_the_file() {
    let world = World::new();
    let metadata = world.metadata(&all_types());
    let schema = arrow_schema(metadata.current_schema()).expect("schema");
    let files = world.write(&metadata, &[vec![extremes(&schema)]]).await.expect("written");
    let checked =
        world.storage.guard().table_file(metadata.location(), files[0].file_path()).expect("own file");
    let (store, path) = world.storage.resolve(&checked).expect("store");
    let footer = ParquetObjectReader::new(store, path).get_metadata(None).await.expect("footer");
    let file = footer.file_metadata().schema_descr();
    let mut ids: Vec<i32> =
        file.columns().iter().map(|leaf| leaf.self_type().get_basic_info().id()).collect();
    ids.sort_unstable();
    let mut expect: Vec<i32> = metadata
        .current_schema()
        .field_id_to_fields()
        .values()
        .filter(|field| field.field_type.is_primitive())
        .map(|field| field.id)
        .collect();
    expect.sort_unstable();
    assert_eq!(ids, expect, "every leaf has the id of its field");
    let marked = |name: &str| {
        let leaf = file.columns().iter().find(|leaf| leaf.path().string() == name).expect("leaf");
        leaf.logical_type_ref() == Some(&LogicalType::Uuid)
    };
    assert!(marked("uuid") && marked("lists.list.element.list.element") && !marked("fixed"));
}

#[tokio::test]
async fn a_table_without_rows_is_empty() {
    let world = World::new();
    let metadata = world.metadata(&all_types());
    let schema = arrow_schema(metadata.current_schema()).expect("schema");
    let files = world.write(&metadata, &[vec![RecordBatch::new_empty(schema)]]).await.expect("written");
    assert!(files.is_empty());
    let version = world.commit(&metadata, None, files).await;
    world.register("t", &version);
    assert_eq!(world.text("SELECT count(*) FROM t").await, "0");
    assert_eq!(world.query("SELECT * FROM t").await.num_columns(), 20);
}
