"""Other engines read what Tarn wrote: every Iceberg table of a running server is opened by PyIceberg and by DuckDB with
its Iceberg extension, and both must give the rows that the server gives over the PostgreSQL wire, value by value.

Then Tarn reads what PyIceberg wrote, changes it, and PyIceberg reads it again (see `written.py`), and says what it makes of
metadata that Java engines wrote (`of_java.py`).
"""

import argparse
import collections
import importlib
import pathlib
import sys
import tempfile
import uuid

import duckdb
import psycopg
import of_java
import written
from pyiceberg.table import StaticTable

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "pyiceberg"))
from verify import check_statistics, comparable, quoted  # noqa: E402  one form of values for all readers


def duck():
    """DuckDB with the extensions that its packages carry; nothing is downloaded at run time."""
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    for name in ("httpfs", "avro", "iceberg"):
        folder = pathlib.Path(importlib.import_module(f"duckdb_extension_{name}").__file__).parent
        connection.execute(f"LOAD '{next(folder.rglob(f'{name}.duckdb_extension'))}'")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def counted(rows):
    return collections.Counter(comparable(row) for row in rows)


def differences(ours, theirs, reader):
    for row, count in list((ours - theirs).items())[:3]:
        yield f"only the server gives ({count} times) {row}"
    for row, count in list((theirs - ours).items())[:3]:
        yield f"only {reader} reads ({count} times) {row}"


def by_pyiceberg(location):
    arrow = StaticTable.from_metadata(location).scan().to_arrow()
    columns = [column.to_pylist() for column in arrow.columns]
    return arrow.column_names, list(zip(*columns))


def by_duckdb(connection, location):
    relation = connection.sql(f"SELECT * FROM iceberg_scan('{location.removeprefix('file://')}')")
    types = [str(kind) for kind in relation.types]
    columns = [column.to_pylist() for column in relation.to_arrow_table().columns]
    for at, kind in enumerate(types):
        if kind == "UUID":  # Arrow has it as text
            columns[at] = [value and uuid.UUID(value) for value in columns[at]]
    return relation.columns, list(zip(*columns))


def known(path):
    """Tables that one of the readers cannot read, and why: `schema.table reader reason`."""
    gaps = {}
    for line in path.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            table, reader, reason = line.split(maxsplit=2)
            gaps[table, reader] = reason
    return gaps


class Tally:
    def __init__(self):
        self.passed = self.failed = 0

    def judge(self, what, findings):
        self.passed += not findings
        self.failed += bool(findings)
        for finding in findings[:8]:
            print(f"  {what}: {finding}")


def check_table(server, duckdb_connection, schema, name, location, gaps, tally):
    cursor = server.execute(f"SELECT * FROM {quoted(schema, name)}")
    names = [column.name for column in cursor.description]
    ours = counted(cursor.fetchall())
    readers = {
        "PyIceberg": lambda: by_pyiceberg(location),
        "DuckDB": lambda: by_duckdb(duckdb_connection, location),
    }
    for reader, read in readers.items():
        try:
            their_names, rows = read()
            findings = list(differences(ours, counted(rows), reader))
            if their_names != names:
                findings.insert(0, f"columns are {names}, {reader} reads {their_names}")
        except Exception as error:  # one reader must not hide the other
            findings = [f"{type(error).__name__}: {str(error)[:300]}"]
        if (f"{schema}.{name}", reader) in gaps:
            # A gap that has closed must leave the list.
            findings = [] if findings else [f"{reader} reads it now; take it out of known.txt"]
        tally.judge(f"{schema}.{name}, {reader}", findings)
    try:
        tally.judge(f"{schema}.{name}, statistics", list(check_statistics(StaticTable.from_metadata(location))))
    except Exception as error:
        tally.judge(f"{schema}.{name}, statistics", [f"{type(error).__name__}: {str(error)[:300]}"])


def check_written(server, reader, tally, folder):
    """What PyIceberg wrote, before and after every change that Tarn makes to it."""
    server.execute("CREATE SCHEMA theirs")
    for name, location in written.write(folder):
        try:
            server.execute(f"CALL system.register_table('theirs', '{name}', '{location}')")
        except psycopg.Error as error:
            tally.judge(f"theirs.{name}", [str(error)])
            continue
        check_table(server, reader, "theirs", name, location, {}, tally)
        for change in written.CHANGES:
            try:
                server.execute(change.format(t=f"theirs.{name}"))
            except psycopg.Error as error:
                tally.judge(f"theirs.{name}: {change}", [str(error)])
                continue
            sql = f"SELECT metadata_location FROM system.tables WHERE schema = 'theirs' AND table_name = '{name}'"
            check_table(server, reader, "theirs", name, server.execute(sql).fetchone()[0], {}, tally)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", required=True)
    parser.add_argument("--schema", help="only the tables of this schema")
    arguments = parser.parse_args()
    server = psycopg.connect(
        host=arguments.host, port=arguments.port, user="tarn", dbname="lake", autocommit=True
    )
    server.execute("SET TimeZone = 'UTC'")
    reader = duck()
    gaps = known(HERE / "known.txt")
    tally = Tally()
    listed = server.execute(
        "SELECT schema, table_name, metadata_location FROM system.tables "
        "WHERE metadata_location IS NOT NULL ORDER BY schema, table_name"
    ).fetchall()
    for schema, name, location in listed:
        if arguments.schema in (None, schema):
            check_table(server, reader, schema, name, location, gaps, tally)
    with tempfile.TemporaryDirectory(prefix="theirs") as folder:
        check_written(server, reader, tally, folder)
    with tempfile.TemporaryDirectory(prefix="of_java") as folder:
        of_java.check_java(server, tally, folder)
    print(f"{tally.passed} passed, {tally.failed} failed")
    raise SystemExit(0 if tally.passed and not tally.failed else 1)


if __name__ == "__main__":
    main()
