"""Clients of the Iceberg REST door, each put to work on the same server, and every table looked at over the PostgreSQL
protocol as well: PyIceberg (and polars and daft, which read through it), DuckDB's iceberg extension, and bare requests."""

import datetime
import decimal
import importlib
import os
import pathlib
import threading
import uuid

import daft
import duckdb
import polars
import psycopg
import pyarrow
import pyiceberg
import requests
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import (
    BadRequestError,
    CommitFailedException,
    ForbiddenError,
    NamespaceNotEmptyError,
    NoSuchNamespaceError,
    NoSuchTableError,
    NoSuchViewError,
    OAuthError,
    TableAlreadyExistsError,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import BucketTransform, IdentityTransform
from pyiceberg.types import IntegerType, LongType, NestedField, StringType
from pyiceberg.view.metadata import SQLViewRepresentation, ViewRepresentation, ViewVersion

from checks import HOST, PORT, Checks

checks = Checks()
URI = f"http://{os.environ['TARN_HTTP']}"
WRITERS, ROUNDS = 8, 5


def connect(credential="tarn:", **properties):
    return load_catalog("lake", type="rest", uri=URI, credential=credential, **properties)


def psql(statement, user="tarn", password=None):
    with psycopg.connect(host=HOST, port=PORT, user=user, password=password, dbname="lake", autocommit=True) as lake:
        cursor = lake.execute(statement)
        return cursor.fetchall() if cursor.description else None


def rows(table, *columns):
    """The rows of a PyIceberg table, in an order."""
    listed = table.scan(selected_fields=columns or ("*",)).to_arrow().to_pylist()
    return sorted((tuple(row.values()) for row in listed), key=str)


def people(*names):
    return pyarrow.table({"id": pyarrow.array(range(1, len(names) + 1), pyarrow.int64()), "name": list(names)})


# PyIceberg


def namespaces():
    catalog = connect()
    catalog.create_namespace("ns", {"comment": "made by PyIceberg", "team": "a"})
    checks.true("namespace exists", catalog.namespace_exists("ns") and not catalog.namespace_exists("none"))
    checks.equal("comment over psql", psql("SELECT obj_description('ns'::regnamespace)"), [("made by PyIceberg",)])
    catalog.update_namespace_properties("ns", removals={"team"}, updates={"x": "y"})
    properties = catalog.load_namespace_properties("ns")
    checks.equal("properties", properties, {"x": "y", "comment": "made by PyIceberg", "owner": "tarn"})
    checks.true("listed", ("ns",) in catalog.list_namespaces())
    catalog.create_table("ns.t", people("a").schema)
    checks.raises("not empty", NamespaceNotEmptyError, lambda: catalog.drop_namespace("ns"))
    catalog.drop_table("ns.t")
    catalog.drop_namespace("ns")
    checks.raises("gone", NoSuchNamespaceError, lambda: catalog.load_namespace_properties("ns"))


TYPES = """
CREATE TABLE shop.every_type AS SELECT x::bigint AS id, x::integer AS small, x / 4.0::double precision AS ratio,
 x::real AS single, (x * 1.25)::numeric(12,2) AS money, 'n' || x AS name, x % 2 = 0 AS even, date '2026-01-01' + x::int AS on_day,
 timestamp '2026-01-02 03:04:05.678901' AS at, timestamptz '2026-01-02 03:04:05+00' AS at_zone, time '03:04:05' AS clock,
 '\\x00ff'::bytea AS bytes, '00010203-0405-0607-0809-0a0b0c0d0e0f'::uuid AS id_of, ARRAY[x, NULL]::bigint[] AS list,
 NULL::integer AS nothing
FROM generate_series(1, 1000) AS g(x)"""


def made_by_psql():
    psql("CREATE SCHEMA shop")
    psql(TYPES)
    catalog = connect()
    table = catalog.load_table("shop.every_type")
    first = table.scan(row_filter="id = 1").to_arrow().to_pylist()[0]
    utc = datetime.timezone.utc
    expected = {
        "id": 1, "small": 1, "ratio": 0.25, "single": 1.0, "money": decimal.Decimal("1.25"), "name": "n1", "even": False,
        "on_day": datetime.date(2026, 1, 2), "at": datetime.datetime(2026, 1, 2, 3, 4, 5, 678901),
        "at_zone": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=utc), "clock": datetime.time(3, 4, 5), "bytes": b"\x00\xff",
        "id_of": uuid.UUID("00010203-0405-0607-0809-0a0b0c0d0e0f"), "list": [1, None], "nothing": None,
    }
    first["id_of"] = uuid.UUID(bytes=first["id_of"]) if isinstance(first["id_of"], bytes) else first["id_of"]
    checks.equal("every type", first, expected)
    checks.equal("all rows", table.scan().count(), 1000)
    psql("DELETE FROM shop.every_type WHERE id <= 10")
    psql("UPDATE shop.every_type SET name = 'changed' WHERE id = 11")
    psql("ALTER TABLE shop.every_type RENAME COLUMN name TO called")
    table.refresh()
    checks.equal("deleted over psql", table.scan().count(), 990)
    changed = table.scan(row_filter="id = 11", selected_fields=("called",)).to_arrow().to_pylist()
    checks.equal("updated over psql", changed, [{"called": "changed"}])
    checks.equal("time travel", table.scan(snapshot_id=table.history()[0].snapshot_id).count(), 1000)


def made_by_pyiceberg():
    catalog = connect()
    table = catalog.create_table("shop.people", people("a").schema)
    checks.raises("twice", TableAlreadyExistsError, lambda: catalog.create_table("shop.people", people("a").schema))
    table.append(people("ada", "bob", None))
    table.append(people("eve"))
    checks.equal("appended", psql("SELECT count(*), count(name) FROM shop.people"), [(4, 3)])
    table.overwrite(people("one", "two"))
    checks.equal("overwritten", psql("SELECT id, name FROM shop.people ORDER BY id"), [(1, "one"), (2, "two")])
    table.delete("id = 1")
    checks.equal("deleted", psql("SELECT id, name FROM shop.people"), [(2, "two")])
    table.upsert(pyarrow.table({"id": pyarrow.array([2, 3], pyarrow.int64()), "name": ["2", "3"]}), join_cols=["id"])
    checks.equal("upserted", psql("SELECT id, name FROM shop.people ORDER BY id"), [(2, "2"), (3, "3")])
    psql("INSERT INTO shop.people VALUES (4, 'psql')")
    table.refresh()
    checks.equal("inserted over psql", rows(table), [(2, "2"), (3, "3"), (4, "psql")])
    psql("UPDATE shop.people SET name = upper(name) WHERE id = 4")
    table.refresh()
    checks.equal("changed over psql", rows(table), [(2, "2"), (3, "3"), (4, "PSQL")])


def partitioned():
    schema = Schema(
        NestedField(1, "id", LongType(), required=True),
        NestedField(2, "kind", StringType()),
        identifier_field_ids=[1],
    )
    spec = PartitionSpec(PartitionField(1, 1000, BucketTransform(4), "id_bucket"), PartitionField(2, 1001, IdentityTransform(), "kind"))
    order = SortOrder(SortField(source_id=1, transform=IdentityTransform()))
    catalog = connect()
    table = catalog.create_table("shop.parted", schema, partition_spec=spec, sort_order=order, properties={"a": "b", "format-version": "2"})
    checks.equal("spec", [str(field.transform) for field in table.spec().fields], ["bucket[4]", "identity"])
    fields = [pyarrow.field("id", pyarrow.int64(), nullable=False), pyarrow.field("kind", pyarrow.string())]
    data = pyarrow.table({"id": list(range(100)), "kind": ["x", "y"] * 50}, schema=pyarrow.schema(fields))
    table.append(data)
    checks.equal("rows of a partition", psql("SELECT count(*) FROM shop.parted WHERE kind = 'x'"), [(50,)])
    psql("INSERT INTO shop.parted SELECT x, 'z' FROM generate_series(100, 109) AS g(x)")
    table.refresh()
    checks.equal("partition of psql", table.scan(row_filter="kind = 'z'").count(), 10)
    by_kind = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "kind"))
    kinds = catalog.create_table("shop.kinds", schema, partition_spec=by_kind)
    kinds.append(data)
    kinds.dynamic_partition_overwrite(data.slice(0, 1))
    found = psql("SELECT kind, count(*) FROM shop.kinds GROUP BY kind ORDER BY kind")
    checks.equal("one partition overwritten", found, [("x", 1), ("y", 50)])


def evolved():
    catalog = connect()
    table = catalog.create_table("shop.evolving", people("a").schema)
    table.append(people("a", "b"))
    with table.update_schema() as update:
        update.add_column("age", IntegerType(), doc="in years")
        update.rename_column("name", "called")
    with table.update_schema() as update:
        update.update_column("age", LongType())
        update.move_first("age")
    with table.transaction() as transaction:
        transaction.set_properties(purpose="test")
    checks.equal("columns", psql("SELECT * FROM shop.evolving ORDER BY id"), [(None, 1, "a"), (None, 2, "b")])
    psql("ALTER TABLE shop.evolving ADD COLUMN note text")
    psql("INSERT INTO shop.evolving (id, age, note) VALUES (3, 30, 'new')")
    table.refresh()
    checks.equal("column of psql", rows(table, "id", "note"), [(1, None), (2, None), (3, "new")])
    with table.update_spec() as update:
        update.add_field("id", BucketTransform(2), "id_bucket")
    psql("INSERT INTO shop.evolving (id) VALUES (4)")
    table.refresh()
    checks.equal("property", table.properties.get("purpose"), "test")
    with table.manage_snapshots() as snapshots:
        snapshots.create_tag(table.history()[0].snapshot_id, "first").create_branch(table.current_snapshot().snapshot_id, "work")
    checks.equal("tag over psql", psql("SELECT count(*) FROM shop.evolving FOR VERSION AS OF 'first'"), [(2,)])
    table.append(people("branch").rename_columns(["id", "called"]), branch="work")
    checks.equal("branch over psql", psql('SELECT count(*) FROM shop."evolving@work"'), [(5,)])
    checks.equal("main is as it was", psql("SELECT count(*) FROM shop.evolving"), [(4,)])


def created_in_a_transaction():
    catalog = connect()
    with catalog.create_table_transaction("shop.staged", people("a").schema) as transaction:
        transaction.append(people("a", "b"))
        checks.true("not there before", not catalog.table_exists("shop.staged"))
    checks.equal("there at once", psql("SELECT id, name FROM shop.staged ORDER BY id"), [(1, "a"), (2, "b")])

    def again():
        with catalog.create_table_transaction("shop.staged", people("a").schema) as transaction:
            transaction.append(people("c"))

    checks.raises("made twice", TableAlreadyExistsError, again)


def renamed_and_dropped():
    catalog = connect()
    catalog.create_table("shop.old", people("a").schema).append(people("a"))
    catalog.rename_table("shop.old", "shop.new")
    checks.equal("renamed", psql("SELECT name FROM shop.new"), [("a",)])
    checks.raises("old name", NoSuchTableError, lambda: catalog.load_table("shop.old"))
    table = catalog.load_table("shop.new")
    folder = pathlib.Path(table.location().removeprefix("file://"))
    location = table.metadata_location
    catalog.drop_table("shop.new")
    checks.true("files stay", any(folder.rglob("*.parquet")))
    catalog.register_table("shop.back", location)
    checks.equal("registered", psql("SELECT name FROM shop.back"), [("a",)])
    catalog.purge_table("shop.back")
    checks.true("files go", wait_for(lambda: not any(path.is_file() for path in folder.rglob("*"))))


def wait_for(condition, seconds=20):
    event = threading.Event()
    for _ in range(seconds * 20):
        if condition():
            return True
        event.wait(0.05)
    return False


def views():
    catalog = connect()
    psql("CREATE VIEW shop.few AS SELECT id, name FROM shop.people WHERE id < 4")
    view = catalog.load_view("shop.few")
    text = view.current_version().representations[0].root
    checks.equal("text of psql", (text.dialect, "shop.people" in text.sql), ("postgresql", True))
    checks.true("listed", ("shop", "few") in catalog.list_views("shop"))
    made = ViewVersion(
        version_id=1, schema_id=0, timestamp_ms=1_790_000_000_000, summary={"engine": "test"}, default_namespace=["shop"],
        representations=[
            ViewRepresentation(SQLViewRepresentation(type="sql", sql="SELECT id FROM people", dialect="postgresql")),
            ViewRepresentation(SQLViewRepresentation(type="sql", sql="SELECT `id` FROM `people`", dialect="spark")),
        ],
    )
    catalog.create_view("shop.ids", Schema(NestedField(1, "id", LongType())), made)
    checks.equal("read over psql", psql("SELECT count(*) FROM shop.ids"), psql("SELECT count(*) FROM shop.people"))
    checks.equal("both texts", len(catalog.load_view("shop.ids").current_version().representations), 2)
    catalog.drop_view("shop.ids")
    checks.raises("dropped", NoSuchViewError, lambda: catalog.load_view("shop.ids"))
    checks.true("exists", catalog.view_exists("shop.few") and not catalog.view_exists("shop.ids"))


def concurrent():
    """Eight writers append at once, and SQL in between; every row of every commit is there at the end."""
    connect().create_table("shop.crowd", people("a").schema, properties={"commit.retry.num-retries": "100", "commit.retry.max-wait-ms": "300"})
    errors = []

    def write(writer):
        try:
            catalog = connect()
            for turn in range(ROUNDS):
                data = pyarrow.table({"id": pyarrow.array([writer * ROUNDS + turn], pyarrow.int64()), "name": [f"w{writer}"]})
                table = catalog.load_table("shop.crowd")
                table.append(data)
                if writer == 0:
                    psql(f"INSERT INTO shop.crowd VALUES ({1000 + turn}, 'psql')")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            errors.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    checks.equal("errors", errors, [])
    found = psql("SELECT count(*), count(DISTINCT id) FROM shop.crowd")
    expected = WRITERS * ROUNDS + ROUNDS
    checks.equal("no row lost, none doubled", found, [(expected, expected)])
    table = connect().load_table("shop.crowd")
    checks.equal("the same through PyIceberg", table.scan().count(), expected)
    checks.equal("one snapshot each", len(table.snapshots()), expected)


def planned_by_the_server():
    catalog = connect(**{"scan-planning-mode": "server"})
    table = catalog.load_table("shop.every_type")
    checks.true("the server is asked", catalog.supports_server_side_planning())
    checks.equal("all rows", table.scan().to_arrow().num_rows, 990)
    few = table.scan(row_filter="id > 995 and even = true", selected_fields=("id",)).to_arrow().to_pylist()
    checks.equal("some rows", sorted(row["id"] for row in few), [996, 998, 1000])
    parted = catalog.load_table("shop.parted")
    checks.equal("one partition", parted.scan(row_filter="kind = 'z'").to_arrow().num_rows, 10)
    checks.equal("no file", len(list(parted.scan(row_filter="id > 100000").plan_files())), 0)


def stale_commits_fail():
    catalog = connect()
    first = catalog.create_table("shop.stale", people("a").schema, properties={"commit.retry.num-retries": "0"})
    second = catalog.load_table("shop.stale")
    first.append(people("first"))
    checks.raises("stale", CommitFailedException, lambda: second.append(people("second")))
    checks.equal("only the first", psql("SELECT name FROM shop.stale"), [("first",)])


def rights():
    psql("CREATE ROLE reader LOGIN PASSWORD 'r'")
    psql("CREATE ROLE writer LOGIN PASSWORD 'w'")
    psql("GRANT USAGE ON SCHEMA shop TO reader, writer")
    psql("GRANT SELECT ON shop.people TO reader, writer")
    psql("GRANT INSERT ON shop.people TO writer")
    reader, writer = connect("reader:r"), connect("writer:w")
    checks.equal("what is seen", reader.list_tables("shop"), [("shop", "people")])
    checks.raises("unseen", NoSuchTableError, lambda: reader.load_table("shop.parted"))
    checks.raises("no right to append", ForbiddenError, lambda: reader.load_table("shop.people").append(people("x")))
    before = psql("SELECT count(*) FROM shop.people")[0][0]
    table = writer.load_table("shop.people")
    table.append(people("by writer"))
    checks.equal("append with INSERT", psql("SELECT count(*) FROM shop.people"), [(before + 1,)])
    checks.raises("delete without DELETE", ForbiddenError, lambda: table.delete("id = 2"))
    checks.raises("overwrite without DELETE", ForbiddenError, lambda: writer.load_table("shop.people").overwrite(people("x")))

    def alter():
        with writer.load_table("shop.people").update_schema() as update:
            update.add_column("x", LongType())

    checks.raises("alter without owning", ForbiddenError, alter)
    checks.equal("nothing else happened", psql("SELECT count(*) FROM shop.people"), [(before + 1,)])
    psql("GRANT DELETE ON shop.people TO writer")
    writer.load_table("shop.people").delete("name = 'by writer'")
    checks.equal("delete with DELETE", psql("SELECT count(*) FROM shop.people"), [(before,)])
    checks.raises("wrong password", OAuthError, lambda: connect("reader:wrong"))


def files_of_others():
    """A manifest whose data file lies outside of the table does not come in."""
    catalog = connect()
    table = catalog.load_table("shop.staged")
    foreign = catalog.load_table("shop.people").location() + "/data/x.parquet"
    for path, kind in ((foreign, ForbiddenError), ("file:///etc/passwd", ForbiddenError), (table.location() + "/../x", BadRequestError)):
        checks.raises(path, kind, lambda: add_file(catalog.load_table("shop.staged"), path))
    add_file(table, table.location() + "/data/x.parquet")
    checks.raises("a file that is not there is in the table", psycopg.Error, lambda: psql("SELECT * FROM shop.staged"))
    psql("ALTER TABLE shop.staged EXECUTE rollback_to_snapshot(snapshot_id => " + str(table.history()[0].snapshot_id) + ")")
    checks.equal("as it was", psql("SELECT count(*) FROM shop.staged"), [(2,)])


def add_file(table, path):
    data = DataFile.from_args(
        content=DataFileContent.DATA, file_path=path, file_format=FileFormat.PARQUET, partition=pyiceberg.typedef.Record(),
        record_count=1, file_size_in_bytes=100, column_sizes={}, value_counts={}, null_value_counts={}, nan_value_counts={},
        lower_bounds={}, upper_bounds={}, key_metadata=None, split_offsets=None, equality_ids=None, sort_order_id=None,
    )
    with table.transaction() as transaction:
        with transaction.update_snapshot().fast_append() as append:
            append.append_data_file(data)


# polars and daft read through PyIceberg


def polars_reads():
    frame = polars.scan_iceberg(connect().load_table("shop.parted")).filter(polars.col("kind") == "z").collect()
    checks.equal("polars", frame.height, 10)


def daft_reads():
    frame = daft.read_iceberg(connect().load_table("shop.every_type")).where(daft.col("id") > 990).to_pydict()
    checks.equal("daft", sorted(frame["id"]), list(range(991, 1001)))


# DuckDB


def duck():
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    for name in ("avro", "httpfs", "iceberg"):
        package = importlib.import_module(f"duckdb_extension_{name}")
        connection.execute(f"LOAD '{next(pathlib.Path(package.__path__[0]).rglob('*.duckdb_extension'))}'")
    connection.execute(
        f"CREATE SECRET tarn (TYPE iceberg, CLIENT_ID 'tarn', CLIENT_SECRET '', OAUTH2_SERVER_URI '{URI}/v1/oauth/tokens')"
    )
    connection.execute(f"ATTACH 'lake' AS tarn (TYPE iceberg, ENDPOINT '{URI}', SECRET tarn)")
    return connection


def duckdb_reads():
    connection = duck()
    checks.equal("rows of psql", connection.execute("SELECT count(*), min(id) FROM tarn.shop.every_type").fetchall(), [(990, 11)])
    row = connection.execute("SELECT called, money, on_day, list FROM tarn.shop.every_type WHERE id = 11").fetchone()
    checks.equal("types", row, ("changed", decimal.Decimal("13.75"), datetime.date(2026, 1, 12), [11, None]))
    checks.equal("rows of PyIceberg", connection.execute("SELECT count(*) FROM tarn.shop.crowd").fetchone(), (WRITERS * ROUNDS + ROUNDS,))


def duckdb_writes():
    connection = duck()
    connection.execute("CREATE SCHEMA tarn.pond")
    connection.execute("CREATE TABLE tarn.pond.ducks (id BIGINT, name VARCHAR)")
    connection.execute("INSERT INTO tarn.pond.ducks VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')")
    checks.equal("inserted", psql("SELECT count(*) FROM pond.ducks"), [(4,)])
    connection.execute("UPDATE tarn.pond.ducks SET name = 'z' WHERE id = 2")
    connection.execute("DELETE FROM tarn.pond.ducks WHERE id = 3")
    checks.equal("updated and deleted", psql("SELECT * FROM pond.ducks ORDER BY id"), [(1, "a"), (2, "z"), (4, "d")])
    merge = "MERGE INTO tarn.pond.ducks t USING (SELECT 1 AS id, 'm' AS name) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET name = s.name"
    connection.execute(merge)
    checks.equal("merged", psql("SELECT name FROM pond.ducks WHERE id = 1"), [("m",)])
    psql("DELETE FROM pond.ducks WHERE id = 4")
    connection.execute("ALTER TABLE tarn.pond.ducks ADD COLUMN age INTEGER")
    checks.equal("altered", psql("SELECT * FROM pond.ducks ORDER BY id"), [(1, "m", None), (2, "z", None)])
    checks.equal("read again", duck().execute("SELECT * FROM tarn.pond.ducks ORDER BY id").fetchall(), [(1, "m", None), (2, "z", None)])
    connection.execute("CREATE TABLE tarn.pond.many AS SELECT range AS id FROM range(1000)")
    checks.equal("created as select", psql("SELECT count(*), sum(id) FROM pond.many"), [(1000, 499500)])
    connection.execute("BEGIN")
    connection.execute("INSERT INTO tarn.pond.many VALUES (5000)")
    connection.execute("DELETE FROM tarn.pond.ducks WHERE id = 2")
    connection.execute("COMMIT")
    checks.equal("two tables in one transaction", psql("SELECT count(*) FROM pond.many UNION ALL SELECT count(*) FROM pond.ducks ORDER BY 1"), [(1,), (1001,)])
    connection.execute("DROP TABLE tarn.pond.many")
    connection.execute("DROP TABLE tarn.pond.ducks")
    connection.execute("DROP SCHEMA tarn.pond")
    checks.equal("dropped", psql("SELECT count(*) FROM information_schema.schemata WHERE schema_name = 'pond'"), [(0,)])


def duckdb_and_psql_delete_rows_of_each_other():
    """Format version 3, where both mark deleted rows in deletion vectors."""
    psql("CREATE TABLE shop.vectors (id bigint, name text) WITH (format_version = 3)")
    psql("INSERT INTO shop.vectors SELECT x, 'n' || x FROM generate_series(1, 100) AS g(x)")
    psql("DELETE FROM shop.vectors WHERE id <= 10")
    connection = duck()
    checks.equal("deleted over psql", connection.execute("SELECT count(*) FROM tarn.shop.vectors").fetchone(), (90,))
    connection.execute("DELETE FROM tarn.shop.vectors WHERE id > 90")
    connection.execute("INSERT INTO tarn.shop.vectors VALUES (200, 'duck')")
    connection.execute("UPDATE tarn.shop.vectors SET name = 'changed' WHERE id = 50")
    found = psql("SELECT count(*), max(id), count(*) FILTER (WHERE name = 'changed'), count(DISTINCT _row_id) FROM shop.vectors")
    checks.equal("deleted by DuckDB", found, [(81, 200, 1, 81)])
    psql("DELETE FROM shop.vectors WHERE id = 200")
    checks.equal("a row of DuckDB deleted", duck().execute("SELECT count(*), max(id) FROM tarn.shop.vectors").fetchone(), (80, 90))
    checks.equal("read by PyIceberg", connect().load_table("shop.vectors").scan().count(), 80)


# Bare requests


def refused():
    for header in (None, "Bearer x", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ0YXJuIn0.", "Basic dGFybjp3cm9uZzp4", "Negotiate x"):
        headers = {"Authorization": header} if header else {}
        answer = requests.get(f"{URI}/v1/config", headers=headers)
        expected = 200 if header == "Basic dGFybjp3cm9uZzp4" else 401
        checks.equal(f"status with {header}", answer.status_code, expected)
    form = {"grant_type": "client_credentials", "client_id": "tarn", "client_secret": ""}
    token = requests.post(f"{URI}/v1/oauth/tokens", data=form).json()["access_token"]
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token}"
    for path in ("..%2f..%2fetc", "%2e%2e", "a%00b", "%ff", "a*b", "'", "%22", "a%0ab"):
        status = session.get(f"{URI}/v1/lake/namespaces/shop/tables/{path}").status_code
        checks.true(f"{path} is no table", status in (400, 404))
    body = session.get(f"{URI}/v1/lake/namespaces/shop/tables/none").json()
    checks.equal("the body of an error", body["error"]["type"], "NoSuchTableException")
    checks.true("described", "openapi: 3.1" in requests.get(f"{URI}/openapi.yaml").text)


def main():
    checks.start("PyIceberg", pyiceberg.__version__, "namespaces, create, stage, append, overwrite, delete, upsert, evolve, branches, views, register, purge, 8 writers, plans, rights")
    checks.run(namespaces, made_by_psql, made_by_pyiceberg, partitioned, evolved, created_in_a_transaction, renamed_and_dropped)
    checks.run(views, concurrent, planned_by_the_server, stale_commits_fail, rights, files_of_others)
    checks.start("polars over PyIceberg", polars.__version__, "scan_iceberg")
    checks.run(polars_reads)
    checks.start("daft over PyIceberg", daft.__version__, "read_iceberg")
    checks.run(daft_reads)
    checks.start("DuckDB iceberg extension", duckdb.__version__, "ATTACH, types, INSERT, UPDATE, DELETE, MERGE, CREATE TABLE AS, ALTER, deletion vectors, transactions, DROP")
    checks.run(duckdb_reads, duckdb_writes, duckdb_and_psql_delete_rows_of_each_other)
    checks.start("bare requests over REST", requests.__version__, "logins, tokens, names, errors")
    checks.run(refused)
    checks.finish()


if __name__ == "__main__":
    main()
