//! Tests of `types.rs`: every row is an Arrow type and what psql would show for it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, IntervalUnit, TimeUnit};

use super::*;

fn check(data_type: DataType, expect_oid: u32, expect_name: &str) {
    let field = Field::new("c", data_type, true);
    assert_eq!(pg_type(&field).oid, expect_oid, "{field:?}");
    assert_eq!(sql_name(&field), expect_name, "{field:?}");
}

fn list(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

#[test]
fn scalars_have_the_types_psql_shows() {
    check(DataType::Boolean, 16, "boolean");
    check(DataType::Int8, 21, "smallint");
    check(DataType::UInt16, 23, "integer");
    check(DataType::UInt32, 20, "bigint");
    check(DataType::UInt64, 1700, "numeric");
    check(DataType::Float16, 700, "real");
    check(DataType::Utf8View, 25, "text");
    check(DataType::Null, 25, "text");
    check(DataType::Date32, 1082, "date");
    check(DataType::Time64(TimeUnit::Microsecond), 1083, "time without time zone");
    check(DataType::Timestamp(TimeUnit::Microsecond, None), 1114, "timestamp without time zone");
    check(DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())), 1184, "timestamp with time zone");
    check(DataType::Interval(IntervalUnit::MonthDayNano), 1186, "interval");
    check(DataType::Duration(TimeUnit::Second), 1186, "interval");
    check(DataType::FixedSizeBinary(16), 17, "bytea");
    check(DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)), 25, "text");
}

#[test]
fn numeric_carries_precision_and_scale() {
    check(DataType::Decimal128(12, 2), 1700, "numeric(12,2)");
    check(DataType::Decimal256(76, 38), 1700, "numeric(76,38)");
    check(DataType::Decimal128(5, -3), 1700, "numeric(5,-3)");
    // What PostgreSQL 15 stores in pg_attribute.atttypmod for numeric(12,2).
    assert_eq!(pg_type(&Field::new("c", DataType::Decimal128(12, 2), true)).modifier, 786438);
}

#[test]
fn only_lists_of_scalars_are_arrays() {
    check(list(DataType::Int64), 1016, "bigint[]");
    check(list(DataType::Decimal128(9, 1)), 1231, "numeric(9,1)[]");
    check(list(DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8))), 1009, "text[]");
    check(list(list(DataType::Int64)), 114, "json");
    let fields = Fields::from(vec![Field::new("a", DataType::Int64, true)]);
    check(list(DataType::Struct(fields.clone())), 114, "json");
    check(DataType::Struct(fields), 114, "json");
}

#[test]
fn marks_say_what_a_plain_type_stands_for() {
    let json = Field::new("c", DataType::Utf8, true).with_metadata(json_marks());
    assert_eq!((pg_type(&json).oid, is_json(&json)), (114, true));
    let json_list = Field::new("c", DataType::List(Arc::new(json.clone())), true);
    assert_eq!(pg_type(&json_list).oid, 199);
    let uuid = Field::new("c", DataType::FixedSizeBinary(16), true).with_metadata(uuid_marks());
    assert_eq!(pg_type(&uuid), PgType { oid: 2950, modifier: -1, len: 16 });
    // A mark that does not fit the Arrow type is not believed.
    let wrong = Field::new("c", DataType::Int32, true).with_metadata(json_marks());
    assert_eq!(pg_type(&wrong).oid, 23);
}

#[test]
fn names_lead_back_to_oids() {
    for name in ["int4", "integer", "int", "pg_catalog.int4"] {
        assert_eq!(type_oid(name), Some(23), "{name}");
    }
    assert_eq!(type_oid("timestamp with time zone"), Some(1184));
    assert_eq!(type_oid("text[]"), Some(1009));
    assert_eq!(type_oid("_int8"), Some(1016));
    assert_eq!(type_oid("nothing"), None);
    assert_eq!(format_type(0, -1), "-");
    assert_eq!(format_type(99999, -1), "???");
    assert_eq!(format_type(1114, 3), "timestamp(3) without time zone");
}

#[test]
fn every_parameter_type_is_announced_as_itself() {
    for type_oid in [16, 17, 20, 21, 23, 25, 700, 701, 1082, 1083, 1114, 1184, 1186, 1700, 1016, 1009] {
        let data_type = arrow_type(type_oid, -1).expect("a type with values");
        assert_eq!(pg_type(&Field::new("p", data_type, true)).oid, type_oid);
    }
    assert_eq!(arrow_type(1700, 786438), Some(DataType::Decimal128(12, 2)));
    assert_eq!(arrow_type(194, -1), None);
}
