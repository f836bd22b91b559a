"""Tables that PyIceberg made, and changed in every way it can (append, overwrite, delete, upsert, columns and partitions
that change), are registered in Tarn, read there, changed there, and read again by PyIceberg and DuckDB."""

import datetime
import decimal

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.expressions import EqualTo, LessThan
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import BucketTransform, DayTransform, MonthTransform, TruncateTransform
from pyiceberg.types import (
    DateType,
    DecimalType,
    DoubleType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
)

UTC = datetime.timezone.utc


def schema():
    return Schema(
        NestedField(1, "id", LongType(), required=True),
        NestedField(2, "name", StringType()),
        NestedField(3, "price", DecimalType(9, 2)),
        NestedField(4, "on_day", DateType()),
        NestedField(5, "at", TimestamptzType()),
        NestedField(6, "count", IntegerType()),
        NestedField(7, "ratio", DoubleType()),
        NestedField(8, "place", StructType(NestedField(9, "street", StringType()), NestedField(10, "number", IntegerType()))),
        identifier_field_ids=[1],
    )


def rows(table, start, stop):
    """As many rows, in the columns that the table has now."""
    made = {
        "id": lambda n: n,
        "name": lambda n: None if n % 7 == 0 else f"name {n % 11}",
        "price": lambda n: decimal.Decimal(n).scaleb(-2),
        "on_day": lambda n: datetime.date(1969, 12, 20) + datetime.timedelta(days=n),
        "at": lambda n: datetime.datetime(2026, 1, 1, tzinfo=UTC) + datetime.timedelta(hours=7 * n),
        "count": lambda n: n * 3,
        "number_of": lambda n: n * 3,
        "ratio": lambda n: n / 4,
        "place": lambda n: {"street": f"street {n % 3}", "number": n},
        "added": lambda n: f"later {n}",
    }
    target = table.schema().as_arrow()
    columns = [pa.array([made[field.name](n) for n in range(start, stop)], field.type) for field in target]
    return pa.Table.from_arrays(columns, schema=target)


def plain(table):
    table.append(rows(table, 0, 60))
    table.append(rows(table, 60, 90))
    table.delete(LessThan("id", 5))
    table.overwrite(rows(table, 200, 210), overwrite_filter=EqualTo("name", "name 3"))


def evolved(table):
    table.append(rows(table, 0, 40))
    with table.update_schema() as update:
        update.add_column("added", StringType())
        update.update_column("count", LongType())
        update.rename_column("count", "number_of")
        update.delete_column("ratio")
        update.move_first("name")
    table.append(rows(table, 40, 80))
    with table.update_schema() as update:
        update.add_column("ratio", StringType())  # another column of the old one's name
    table.delete(EqualTo("name", "name 5"))


def repartitioned(table):
    table.append(rows(table, 0, 40))
    with table.update_spec() as update:
        update.add_field("name", TruncateTransform(5), "name_start")
    table.append(rows(table, 40, 80))
    with table.update_spec() as update:
        update.remove_field("on_day_month")
        update.add_field("at", DayTransform(), "at_day")
    table.append(rows(table, 80, 100))
    table.delete(LessThan("id", 10))


def upserted(table):
    table.append(rows(table, 0, 30))
    table.upsert(rows(table, 20, 50), join_cols=["id"])


UNPARTITIONED = PartitionSpec()
BY_MONTH = PartitionSpec(PartitionField(4, 1000, MonthTransform(), "on_day_month"))
BY_BUCKET = PartitionSpec(PartitionField(1, 1000, BucketTransform(4), "id_bucket"))
WRITTEN = {
    "plain": (UNPARTITIONED, plain),
    "evolved": (BY_BUCKET, evolved),
    "repartitioned": (BY_MONTH, repartitioned),
    "upserted": (BY_BUCKET, upserted),
}

# What Tarn does to each of them; every statement is read again by the others.
CHANGES = [
    "INSERT INTO {t} (id, name) VALUES (1000, 'of tarn'), (1001, NULL)",
    "DELETE FROM {t} WHERE id % 5 = 2",
    "UPDATE {t} SET name = name || '!' WHERE id % 7 = 1",
    "MERGE INTO {t} AS t USING (VALUES (1000::bigint), (2000)) AS s(id) ON t.id = s.id "
    "WHEN MATCHED THEN UPDATE SET name = 'merged' WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, 'new')",
    "ALTER TABLE {t} EXECUTE optimize",
]


def write(folder):
    """Makes the tables; gives their names and where their metadata lies."""
    catalog = SqlCatalog("theirs", uri=f"sqlite:///{folder}/theirs.db", warehouse=f"file://{folder}/theirs")
    catalog.create_namespace("theirs")
    for name, (spec, change) in WRITTEN.items():
        table = catalog.create_table(f"theirs.{name}", schema(), partition_spec=spec)
        change(table)
        yield name, table.metadata_location
