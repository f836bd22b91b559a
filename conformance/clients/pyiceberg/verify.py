"""Opens every Iceberg table of a running server with PyIceberg and checks, for each:

* the rows are those that the server gives over the PostgreSQL wire, value by value;
* the statistics of every data file are true: counts as written, and no bound tighter than the values (an engine that
  trusts a bound which is too tight loses rows without a word);
* with --no-orphans, the table's folder holds no data file that no snapshot names.

It uses nothing of the server but SQL and the files.
"""

import argparse
import collections
import datetime
import decimal
import json
import pathlib
import uuid

import psycopg
import pyarrow.compute as compute
import pyarrow.parquet as parquet
from pyiceberg.conversions import from_bytes
from pyiceberg.table import StaticTable
from pyiceberg.types import PrimitiveType


def normal(value):
    """One form for a value, whichever of the two readers gave it."""
    if isinstance(value, float):
        # -0.0 and 0.0 are different values in a file; repr tells them apart, and NaN has a name.
        return repr(value)
    if isinstance(value, uuid.UUID):
        return value.bytes.hex()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, decimal.Decimal):
        return str(value.normalize() + 0)
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.timezone.utc).isoformat()
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: normal(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [normal(item) for item in value]
        # Arrow gives a map as a list of pairs.
        is_map = bool(value) and all(isinstance(item, tuple) and len(item) == 2 for item in value)
        return {str(key): item for key, item in items} if is_map else items
    return value


def comparable(row):
    return json.dumps([normal(cell) for cell in row], sort_keys=True, ensure_ascii=False)


def quoted(*names):
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def check_rows(connection, schema, name, table):
    arrow = table.scan().to_arrow()
    columns = [column.to_pylist() for column in arrow.columns]
    theirs = collections.Counter(comparable(row) for row in zip(*columns)) if columns else collections.Counter()
    # Both formats of the wire must give the same values.
    for binary in (False, True):
        cursor = connection.cursor(binary=binary)
        cursor.execute(f"SELECT * FROM {quoted(schema, name)}")
        names = [column.name for column in cursor.description]
        if names != arrow.column_names:
            yield f"columns are {names}, PyIceberg reads {arrow.column_names}"
            return
        ours = collections.Counter(comparable(row) for row in cursor.fetchall())
        form = "binary" if binary else "text"
        for row, count in list((ours - theirs).items())[:5]:
            yield f"only the server gives ({form}, {count} times) {row}"
        for row, count in list((theirs - ours).items())[:5]:
            yield f"only PyIceberg reads ({count} times, compared with {form}) {row}"


def local(url):
    """The path behind a file URL; Iceberg writes such locations without percent encoding."""
    return pathlib.Path(url.removeprefix("file://"))


def without_nan(column):
    values = column.drop_null()
    if values.type in ("float", "double"):
        values = values.filter(compute.invert(compute.is_nan(values)))
    return values


def check_statistics(table):
    schema = table.schema()
    for task in table.scan().plan_files():
        file = task.file
        path = local(file.file_path)
        if not path.exists():
            continue  # on an object store; PyIceberg has read it above
        if path.stat().st_size != file.file_size_in_bytes:
            yield f"{path.name}: {path.stat().st_size} bytes, the manifest says {file.file_size_in_bytes}"
        content = parquet.read_table(path)
        if content.num_rows != file.record_count:
            yield f"{path.name}: {content.num_rows} rows, the manifest says {file.record_count}"
        for field in schema.fields:
            if isinstance(field.field_type, PrimitiveType) and field.name in content.column_names:
                yield from check_column(path.name, file, field, content.column(field.name))


def check_column(file_name, file, field, column):
    where = f"{file_name}, {field.name}"
    nulls = (file.null_value_counts or {}).get(field.field_id)
    if nulls is not None and nulls != column.null_count:
        yield f"{where}: {column.null_count} nulls, the manifest says {nulls}"
    values = (file.value_counts or {}).get(field.field_id)
    if values is not None and values != len(column):
        yield f"{where}: {len(column)} values, the manifest says {values}"
    present = [bound_form(value) for value in without_nan(column).to_pylist()]
    lower = (file.lower_bounds or {}).get(field.field_id)
    upper = (file.upper_bounds or {}).get(field.field_id)
    if present and lower is not None and bound_form(from_bytes(field.field_type, lower)) > min(present):
        yield f"{where}: the lower bound {from_bytes(field.field_type, lower)!r} is above {min(present)!r}"
    if present and upper is not None and bound_form(from_bytes(field.field_type, upper)) < max(present):
        yield f"{where}: the upper bound {from_bytes(field.field_type, upper)!r} is below {max(present)!r}"


EPOCH = datetime.datetime(1970, 1, 1)


def bound_form(value):
    """Bounds come as the numbers of the format (days, microseconds), values as Python's types."""
    if isinstance(value, datetime.datetime):
        naive = value.astimezone(datetime.timezone.utc).replace(tzinfo=None) if value.tzinfo else value
        return (naive - EPOCH) // datetime.timedelta(microseconds=1)
    if isinstance(value, datetime.date):
        return (value - EPOCH.date()).days
    if isinstance(value, datetime.time):
        return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
    if isinstance(value, uuid.UUID):
        return value.bytes
    return value


def check_orphans(table, location):
    named = set()
    for snapshot in table.metadata.snapshots:
        for manifest in snapshot.manifests(table.io):
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False):
                named.add(str(local(entry.data_file.file_path)))
    folder = local(location)
    present = {str(path) for path in folder.rglob("*.parquet")} if folder.exists() else set()
    for path in sorted(present - named)[:5]:
        yield f"no snapshot names {path}"


def check_table(connection, arguments, schema, name, metadata_location, location):
    table = StaticTable.from_metadata(metadata_location)
    yield from check_rows(connection, schema, name, table)
    if metadata_location.startswith("file:"):
        yield from check_statistics(table)
        if arguments.no_orphans:
            yield from check_orphans(table, location)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", required=True)
    parser.add_argument("--schema", help="only the tables of this schema")
    parser.add_argument("--no-orphans", action="store_true")
    arguments = parser.parse_args()
    connection = psycopg.connect(
        host=arguments.host, port=arguments.port, user="tarn", dbname="lake", autocommit=True
    )
    listed = connection.execute(
        "SELECT schema, table_name, metadata_location, location FROM system.tables "
        "WHERE metadata_location IS NOT NULL ORDER BY schema, table_name"
    ).fetchall()
    listed = [row for row in listed if arguments.schema in (None, row[0])]
    passed = failed = 0
    for schema, name, metadata_location, location in listed:
        try:
            findings = list(check_table(connection, arguments, schema, name, metadata_location, location))
        except Exception as error:  # one broken table must not hide the others
            findings = [f"{type(error).__name__}: {error}"]
        passed += not findings
        failed += bool(findings)
        for finding in findings[:10]:
            print(f"  {schema}.{name}: {finding}")
    print(f"{passed} passed, {failed} failed")
    raise SystemExit(0 if passed and not failed else 1)


if __name__ == "__main__":
    main()
