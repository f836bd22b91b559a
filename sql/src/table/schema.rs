//! Iceberg columns as Arrow columns and back. It decides types, field ids and nothing else; it must never see a value
//! or a file. Next: `conform.rs` for how rows are brought into a table's schema.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema as ArrowSchema, SchemaRef, TimeUnit};
use iceberg::spec::{
    ListType, MapType, NestedField, NestedFieldRef, PrimitiveType, Schema, StructType, TableMetadata, Type,
};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use tarn_catalog::iceberg::Declared;

use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use crate::types::TYPE_KEY;

/// The key under which Arrow names an extension type, and the extension's name for UUIDs.
pub(crate) const EXTENSION_NAME_KEY: &str = "ARROW:extension:name";
pub(crate) const UUID_EXTENSION: &str = "arrow.uuid";
/// The time zone of every `timestamptz`: values are instants, so any zone would do, and clients know this one.
const UTC: &str = "UTC";
/// What Parquet calls the repeated group of a map.
const MAP_ENTRIES: &str = "key_value";
/// The most digits an Iceberg decimal has.
const DECIMAL_PRECISION_MAX: u8 = 38;

/// The Arrow schema in which the rows of a table are written: one plain type per Iceberg type, and the field id of
/// every field, nested ones too, where the Parquet writer looks for it.
pub fn arrow_schema(schema: &Schema) -> Result<SchemaRef> {
    let fields =
        schema.as_struct().fields().iter().map(|field| arrow_field(field)).collect::<Result<Fields>>()?;
    Ok(Arc::new(ArrowSchema::new(fields)))
}

/// The Arrow schema in which a scan hands out rows: text and bytes as views, which DataFusion compares, groups and
/// filters without copying them. Inside nested columns they stay plain, as DataFusion's own Parquet tables have it.
pub(crate) fn scan_schema(schema: &Schema) -> Result<SchemaRef> {
    let view = |field: &FieldRef| {
        let data_type = viewed(field.data_type());
        if data_type == *field.data_type() {
            Arc::clone(field)
        } else {
            Arc::new(field.as_ref().clone().with_data_type(data_type))
        }
    };
    let fields: Fields = arrow_schema(schema)?.fields().iter().map(view).collect();
    Ok(without_column_ids(&ArrowSchema::new(fields)))
}

/// [`arrow_schema`] of a table's current columns, with the marks of the types that it declares.
pub(crate) fn table_schema(metadata: &TableMetadata) -> Result<SchemaRef> {
    let schema = metadata.current_schema();
    Ok(with_types(arrow_schema(schema)?, schema, &Declared::of(metadata).types))
}

/// [`scan_schema`] of a table's current columns, with the marks of the types that it declares.
pub(crate) fn table_scan_schema(metadata: &TableMetadata) -> Result<SchemaRef> {
    let schema = metadata.current_schema();
    Ok(with_types(scan_schema(schema)?, schema, &Declared::of(metadata).types))
}

/// The same columns, those of declared types marked so (`../types.rs`).
pub(crate) fn with_types(columns: SchemaRef, schema: &Schema, types: &BTreeMap<i32, String>) -> SchemaRef {
    if types.is_empty() {
        return columns;
    }
    let mark = |(field, column): (&FieldRef, &NestedFieldRef)| match types.get(&column.id) {
        Some(name) => {
            let mut metadata = field.metadata().clone();
            metadata.insert(TYPE_KEY.to_owned(), name.clone());
            Arc::new(field.as_ref().clone().with_metadata(metadata))
        }
        None => Arc::clone(field),
    };
    let fields = columns.fields().iter().zip(schema.as_struct().fields()).map(mark);
    Arc::new(ArrowSchema::new(fields.collect::<Fields>()))
}

/// The same columns without their own field ids, which mean nothing outside of their table: the columns of a UNION are
/// different ones to the query engine when its branches have different ids, once it plans and once it runs them.
pub(crate) fn without_column_ids(schema: &ArrowSchema) -> SchemaRef {
    let plain = |field: &FieldRef| {
        let mut metadata = field.metadata().clone();
        metadata.remove(PARQUET_FIELD_ID_META_KEY);
        Arc::new(field.as_ref().clone().with_metadata(metadata))
    };
    Arc::new(ArrowSchema::new(schema.fields().iter().map(plain).collect::<Fields>()))
}

/// The type in which a scan hands out a column of this type. Fields of structs may be NULL, whatever the table says: they
/// are where the struct is, and who asks for a field by itself does not look at the struct.
pub(crate) fn viewed(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8 => DataType::Utf8View,
        DataType::Binary => DataType::BinaryView,
        other => loosened(other),
    }
}

fn loosened(data_type: &DataType) -> DataType {
    let inside =
        |field: &FieldRef| Arc::new(field.as_ref().clone().with_data_type(loosened(field.data_type())));
    match data_type {
        DataType::Struct(fields) => {
            let loose = |field: &FieldRef| Arc::new(inside(field).as_ref().clone().with_nullable(true));
            DataType::Struct(fields.iter().map(loose).collect())
        }
        DataType::List(element) => DataType::List(inside(element)),
        DataType::Map(entries, sorted) => match entries.data_type() {
            DataType::Struct(sides) => {
                let sides = DataType::Struct(sides.iter().map(inside).collect());
                DataType::Map(Arc::new(entries.as_ref().clone().with_data_type(sides)), *sorted)
            }
            _ => data_type.clone(),
        },
        other => other.clone(),
    }
}

fn arrow_field(field: &NestedField) -> Result<FieldRef> {
    let mut metadata = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), field.id.to_string())]);
    if *field.field_type == Type::Primitive(PrimitiveType::Uuid) {
        metadata.insert(EXTENSION_NAME_KEY.to_owned(), UUID_EXTENSION.to_owned());
    }
    let data_type = arrow_type(&field.field_type)?;
    Ok(Arc::new(Field::new(&field.name, data_type, !field.required).with_metadata(metadata)))
}

/// The Arrow type of an Iceberg type.
pub(crate) fn arrow_type(data_type: &Type) -> Result<DataType> {
    match data_type {
        Type::Primitive(primitive) => arrow_primitive(primitive),
        Type::Struct(fields) => {
            let fields =
                fields.fields().iter().map(|field| arrow_field(field)).collect::<Result<Fields>>()?;
            Ok(DataType::Struct(fields))
        }
        Type::List(list) => Ok(DataType::List(arrow_field(&list.element_field)?)),
        Type::Map(map) => {
            let entries = Fields::from(vec![arrow_field(&map.key_field)?, arrow_field(&map.value_field)?]);
            let entries = Field::new(MAP_ENTRIES, DataType::Struct(entries), false);
            Ok(DataType::Map(Arc::new(entries), false))
        }
    }
}

fn arrow_primitive(primitive: &PrimitiveType) -> Result<DataType> {
    let zone = || Some(Arc::from(UTC));
    Ok(match primitive {
        PrimitiveType::Boolean => DataType::Boolean,
        PrimitiveType::Int => DataType::Int32,
        PrimitiveType::Long => DataType::Int64,
        PrimitiveType::Float => DataType::Float32,
        PrimitiveType::Double => DataType::Float64,
        PrimitiveType::Decimal { precision, scale } => decimal(*precision, *scale)?,
        PrimitiveType::Date => DataType::Date32,
        PrimitiveType::Time => DataType::Time64(TimeUnit::Microsecond),
        PrimitiveType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        PrimitiveType::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, zone()),
        PrimitiveType::TimestampNs => DataType::Timestamp(TimeUnit::Nanosecond, None),
        PrimitiveType::TimestamptzNs => DataType::Timestamp(TimeUnit::Nanosecond, zone()),
        PrimitiveType::String => DataType::Utf8,
        PrimitiveType::Uuid => DataType::FixedSizeBinary(16),
        PrimitiveType::Fixed(length) => DataType::FixedSizeBinary(
            i32::try_from(*length).map_err(|_| Error::unsupported(format!("type fixed[{length}]")))?,
        ),
        PrimitiveType::Binary => DataType::Binary,
    })
}

fn decimal(precision: u32, scale: u32) -> Result<DataType> {
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(precision), Ok(scale)) if (1..=DECIMAL_PRECISION_MAX).contains(&precision) => {
            Ok(DataType::Decimal128(precision, scale))
        }
        _ => Err(Error::unsupported(format!("type decimal({precision}, {scale})"))),
    }
}

/// The Iceberg schema of a table made from the rows of a query: ids from 1, top-level columns first, and every column
/// nullable, as PostgreSQL's CREATE TABLE AS does it.
pub fn iceberg_schema(schema: &ArrowSchema) -> Result<Schema> {
    let ids = &mut Ids { last: i32::try_from(schema.fields().len()).unwrap_or(i32::MAX) };
    refuse_duplicates(schema.fields(), None)?;
    let mut fields = Vec::with_capacity(schema.fields().len());
    for (id, field) in (1..).zip(schema.fields()) {
        let data_type = iceberg_type(field, field.name(), ids)?;
        fields.push(NestedFieldRef::new(NestedField::optional(id, field.name(), data_type)));
    }
    Schema::builder().with_fields(fields).build().map_err(|error| {
        Error::new(SqlState::INVALID_TABLE_DEFINITION, "column names are ambiguous")
            .with_detail(error.to_string())
            .with_hint(
                "A column may not have the name that a field of a struct column has when written with a dot.",
            )
    })
}

/// Issues field ids in the order they are asked for.
struct Ids {
    last: i32,
}

impl Ids {
    fn next(&mut self) -> i32 {
        self.last += 1;
        self.last
    }
}

fn refuse_duplicates(fields: &Fields, of: Option<&str>) -> Result<()> {
    let mut seen = HashSet::new();
    for field in fields {
        if !seen.insert(field.name()) {
            let place = of.map(|path| format!(" in struct \"{path}\"")).unwrap_or_default();
            let message = format!("column \"{}\" specified more than once{place}", field.name());
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message)
                .with_hint("Give each column a name of its own with AS."));
        }
    }
    Ok(())
}

/// The Iceberg type of an Arrow field; `path` names the column in errors.
fn iceberg_type(field: &Field, path: &str, ids: &mut Ids) -> Result<Type> {
    match field.data_type() {
        DataType::Dictionary(_, values) => {
            iceberg_type(&field.clone().with_data_type(values.as_ref().clone()), path, ids)
        }
        DataType::RunEndEncoded(_, values) => iceberg_type(values, path, ids),
        DataType::Struct(fields) => struct_type(fields, path, ids),
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::ListView(element)
        | DataType::LargeListView(element)
        | DataType::FixedSizeList(element, _) => {
            let id = ids.next();
            let element = iceberg_type(element, &format!("{path}.element"), ids)?;
            Ok(Type::List(ListType::new(Arc::new(NestedField::list_element(id, element, false)))))
        }
        DataType::Map(entries, _) => map_type(entries, path, ids),
        plain => {
            iceberg_primitive(field, plain).map(Type::Primitive).ok_or_else(|| no_such_type(plain, path))
        }
    }
}

fn struct_type(fields: &Fields, path: &str, ids: &mut Ids) -> Result<Type> {
    if fields.is_empty() {
        let message = format!("column \"{path}\" is a struct without fields, which is not supported");
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    refuse_duplicates(fields, Some(path))?;
    let own: Vec<i32> = fields.iter().map(|_| ids.next()).collect();
    let mut nested = Vec::with_capacity(fields.len());
    for (id, field) in own.into_iter().zip(fields) {
        let data_type = iceberg_type(field, &format!("{path}.{}", field.name()), ids)?;
        nested.push(NestedFieldRef::new(NestedField::optional(id, field.name(), data_type)));
    }
    Ok(Type::Struct(StructType::new(nested)))
}

fn map_type(entries: &Field, path: &str, ids: &mut Ids) -> Result<Type> {
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(no_such_type(entries.data_type(), path));
    };
    let [key, value] = fields.as_ref() else {
        return Err(no_such_type(entries.data_type(), path));
    };
    let (key_id, value_id) = (ids.next(), ids.next());
    let key = iceberg_type(key, &format!("{path}.key"), ids)?;
    let value = iceberg_type(value, &format!("{path}.value"), ids)?;
    Ok(Type::Map(MapType::optional(key_id, key, value_id, value)))
}

fn iceberg_primitive(field: &Field, data_type: &DataType) -> Option<PrimitiveType> {
    Some(match data_type {
        DataType::Boolean => PrimitiveType::Boolean,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => {
            PrimitiveType::Int
        }
        DataType::Int64 | DataType::UInt32 => PrimitiveType::Long,
        DataType::UInt64 => PrimitiveType::Decimal { precision: 20, scale: 0 },
        DataType::Float16 | DataType::Float32 => PrimitiveType::Float,
        DataType::Float64 => PrimitiveType::Double,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => iceberg_decimal(*precision, *scale)?,
        DataType::Date32 | DataType::Date64 => PrimitiveType::Date,
        DataType::Time32(_) | DataType::Time64(_) => PrimitiveType::Time,
        DataType::Timestamp(_, None) => PrimitiveType::Timestamp,
        DataType::Timestamp(_, Some(_)) => PrimitiveType::Timestamptz,
        // PostgreSQL makes an unknown literal text, and so do we.
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => PrimitiveType::String,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => PrimitiveType::Binary,
        DataType::FixedSizeBinary(16) if is_uuid(field) => PrimitiveType::Uuid,
        DataType::FixedSizeBinary(length) => PrimitiveType::Fixed(u64::try_from(*length).ok()?),
        _ => return None,
    })
}

/// A negative scale means whole numbers with zeros at their end; Iceberg has none, so the zeros become digits.
fn iceberg_decimal(precision: u8, scale: i8) -> Option<PrimitiveType> {
    let (precision, scale) = if scale < 0 {
        (precision.checked_add(scale.unsigned_abs())?, 0)
    } else {
        (precision, scale.unsigned_abs())
    };
    (precision <= DECIMAL_PRECISION_MAX)
        .then_some(PrimitiveType::Decimal { precision: precision.into(), scale: scale.into() })
}

/// Whether the field is marked as a UUID.
pub(crate) fn is_uuid(field: &Field) -> bool {
    field.metadata().get(EXTENSION_NAME_KEY).is_some_and(|name| name == UUID_EXTENSION)
}

fn no_such_type(data_type: &DataType, path: &str) -> Error {
    let name = match data_type {
        DataType::Interval(_) | DataType::Duration(_) => "interval".to_owned(),
        DataType::Decimal256(precision, scale) => format!("numeric({precision},{scale})"),
        other => other.to_string(),
    };
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("column \"{path}\" has type {name}, which a table cannot store"),
    )
    .with_hint("Cast the column to a type that tables have, for example text.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_column(data_type: DataType) -> Result<Schema> {
        iceberg_schema(&ArrowSchema::new(vec![Field::new("a", data_type, true)]))
    }

    fn check(data_type: DataType, expect: PrimitiveType) {
        let schema = one_column(data_type.clone()).expect("storable");
        assert_eq!(*schema.as_struct().fields()[0].field_type, Type::Primitive(expect), "{data_type}");
    }

    #[test]
    fn query_types_become_table_types() {
        let zone = Some(Arc::from("Europe/Paris"));
        check(DataType::Boolean, PrimitiveType::Boolean);
        check(DataType::Int8, PrimitiveType::Int);
        check(DataType::UInt16, PrimitiveType::Int);
        check(DataType::UInt32, PrimitiveType::Long);
        check(DataType::UInt64, PrimitiveType::Decimal { precision: 20, scale: 0 });
        check(DataType::Float16, PrimitiveType::Float);
        check(DataType::Decimal128(12, 2), PrimitiveType::Decimal { precision: 12, scale: 2 });
        check(DataType::Decimal128(5, -3), PrimitiveType::Decimal { precision: 8, scale: 0 });
        check(DataType::Decimal256(38, 10), PrimitiveType::Decimal { precision: 38, scale: 10 });
        check(DataType::Date64, PrimitiveType::Date);
        check(DataType::Time32(TimeUnit::Second), PrimitiveType::Time);
        check(DataType::Timestamp(TimeUnit::Nanosecond, None), PrimitiveType::Timestamp);
        check(DataType::Timestamp(TimeUnit::Second, zone), PrimitiveType::Timestamptz);
        check(DataType::Utf8View, PrimitiveType::String);
        check(DataType::Null, PrimitiveType::String);
        check(DataType::BinaryView, PrimitiveType::Binary);
        check(DataType::FixedSizeBinary(16), PrimitiveType::Fixed(16));
        check(
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            PrimitiveType::String,
        );
    }

    #[test]
    fn a_type_no_table_has_names_the_column() {
        let interval = DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano);
        let nested = DataType::Struct(Fields::from(vec![Field::new("b", interval, true)]));
        let error = one_column(nested).expect_err("no intervals");
        assert_eq!(error.sqlstate, SqlState::FEATURE_NOT_SUPPORTED);
        assert_eq!(error.message, "column \"a.b\" has type interval, which a table cannot store");
        assert!(one_column(DataType::Decimal256(50, 2)).is_err());
        assert!(one_column(DataType::Struct(Fields::empty())).is_err());
    }

    #[test]
    fn a_column_twice_is_refused() {
        let field = Field::new("a", DataType::Int32, true);
        let error = iceberg_schema(&ArrowSchema::new(vec![field.clone(), field])).expect_err("twice");
        assert_eq!(error.sqlstate, SqlState::DUPLICATE_COLUMN);
        assert_eq!(error.message, "column \"a\" specified more than once");
    }

    #[test]
    fn ids_are_fresh_and_on_every_level() {
        let element = Field::new("item", DataType::Int64, true);
        let fields = Fields::from(vec![
            Field::new("x", DataType::Int32, false),
            Field::new("y", DataType::List(Arc::new(element)), true),
        ]);
        let arrow = ArrowSchema::new(vec![
            Field::new("s", DataType::Struct(fields), false),
            Field::new("t", DataType::Utf8, false),
        ]);
        let schema = iceberg_schema(&arrow).expect("storable");
        assert_eq!(schema.field_id_by_name("s"), Some(1));
        assert_eq!(schema.field_id_by_name("t"), Some(2));
        assert_eq!(schema.field_id_by_name("s.x"), Some(3));
        assert_eq!(schema.field_id_by_name("s.y"), Some(4));
        assert_eq!(schema.field_id_by_name("s.y.element"), Some(5));
        assert!(schema.as_struct().fields().iter().all(|field| !field.required));

        let back = arrow_schema(&schema).expect("readable");
        let DataType::Struct(fields) = back.field(0).data_type() else { panic!("not a struct") };
        let DataType::List(element) = fields[1].data_type() else { panic!("not a list") };
        assert_eq!(element.metadata().get(PARQUET_FIELD_ID_META_KEY).map(String::as_str), Some("5"));
    }

    #[test]
    fn a_uuid_stays_a_uuid() {
        let field = NestedField::required(1, "u", Type::Primitive(PrimitiveType::Uuid));
        let schema = Schema::builder().with_fields([NestedFieldRef::new(field)]).build().expect("schema");
        let arrow = arrow_schema(&schema).expect("readable");
        assert!(is_uuid(arrow.field(0)));
        assert!(!arrow.field(0).is_nullable());
        let again = iceberg_schema(&arrow).expect("storable");
        assert_eq!(*again.as_struct().fields()[0].field_type, Type::Primitive(PrimitiveType::Uuid));
    }
}
