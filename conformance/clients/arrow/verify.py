"""connectorx by itself and below polars, ADBC by itself and below polars."""

import datetime
import importlib.metadata

import adbc_driver_postgresql.dbapi
import connectorx
import polars
import pyarrow

from checks import HOST, PORT, Checks

checks = Checks()
URI = f"postgresql://tarn@{HOST}:{PORT}/lake"
TABLE = """
CREATE TABLE arrows AS SELECT x::bigint AS id, 'n' || x AS name, x / 4.0::double precision AS ratio, x % 2 = 0 AS even,
 date '2026-01-01' + x::int AS on_day, timestamp '2026-01-01 00:00:00' AS at, NULL::integer AS nothing
FROM generate_series(1, 1000) AS g(x)"""


def make():
    with adbc_driver_postgresql.dbapi.connect(URI, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(TABLE)


def rows_of(frame):
    checks.equal("shape", frame.shape, (1000, 7))
    first = frame.sort("id").row(0)
    at = datetime.datetime(2026, 1, 1)
    checks.equal("row", first, (1, "n1", 0.25, False, datetime.date(2026, 1, 2), at, None))
    checks.equal("sum", frame["id"].sum(), 500500)


def connectorx_alone():
    """To Arrow in each of its protocols, by parts, and several queries at once."""
    for protocol in ("binary", "csv", "cursor", "simple"):
        table = connectorx.read_sql(URI, "SELECT id, name, ratio, even, on_day, at FROM arrows", return_type="arrow", protocol=protocol)
        checks.equal(f"{protocol}: rows", (table.num_rows, sum(table["id"].to_pylist())), (1000, 500500))
        checks.equal(f"{protocol}: the first", table.slice(0, 1).to_pylist()[0]["name"], f"n{table['id'][0].as_py()}")
    parts = connectorx.read_sql(URI, "SELECT id, name FROM arrows", return_type="arrow", partition_on="id", partition_num=3, partition_range=(1, 1000))
    checks.equal("partitions", sorted(parts["id"].to_pylist()), list(range(1, 1001)))
    several = connectorx.read_sql(URI, ["SELECT id FROM arrows WHERE id < 10", "SELECT id FROM arrows WHERE id > 990"], return_type="arrow")
    checks.equal("several queries", several.num_rows, 19)
    wide = "SELECT '123e4567-e89b-12d3-a456-426614174000'::uuid AS key, 12.50::numeric(10,2) AS price, '\\x00ff'::bytea AS raw, ARRAY[1, 2]::bigint[] AS list, NULL::text AS nothing"
    row = connectorx.read_sql(URI, wide, return_type="arrow").to_pylist()[0]
    checks.equal("more types", (str(row["key"]), float(row["price"]), row["raw"], row["list"], row["nothing"]),
                 ("123e4567-e89b-12d3-a456-426614174000", 12.5, b"\x00\xff", [1, 2], None))


def polars_connectorx():
    rows_of(polars.read_database_uri("SELECT * FROM arrows", URI, engine="connectorx"))
    for protocol in ("csv", "cursor", "simple"):
        frame = polars.read_database_uri("SELECT id, name FROM arrows", URI, engine="connectorx", protocol=protocol)
        checks.equal(protocol, frame["id"].sum(), 500500)
    parts = polars.read_database_uri("SELECT id, name FROM arrows", URI, partition_on="id", partition_num=4, engine="connectorx")
    checks.equal("partitions", parts["id"].sum(), 500500)


def polars_adbc():
    rows_of(polars.read_database_uri("SELECT * FROM arrows", URI, engine="adbc"))
    frame = polars.DataFrame({"id": [1, 2, 3], "name": ["a", "b", None]})
    frame.write_database("polars_written", URI, engine="adbc")
    read = polars.read_database_uri("SELECT * FROM polars_written ORDER BY id", URI, engine="adbc")
    checks.equal("write_database", read.rows(), [(1, "a"), (2, "b"), (3, None)])


def adbc():
    with adbc_driver_postgresql.dbapi.connect(URI) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id, name FROM arrows WHERE id = $1", (7,))
        checks.equal("parameters", cursor.fetchall(), [(7, "n7")])
        cursor.execute("SELECT count(*) AS n FROM arrows")
        checks.equal("fetch_arrow_table", cursor.fetch_arrow_table().to_pydict(), {"n": [1000]})
        table = pyarrow.table({"id": [1, 2], "at": [datetime.datetime(2026, 1, 2), None]})
        cursor.adbc_ingest("adbc_rows", table, mode="create")
        cursor.adbc_ingest("adbc_rows", table, mode="append")
        connection.commit()
        cursor.execute("SELECT count(*), count(at) FROM adbc_rows")
        checks.equal("ingest", cursor.fetchone(), (4, 2))
        connection.rollback()
        objects = connection.adbc_get_objects(depth="tables", table_name_filter="arrows").read_all().to_pylist()
        names = [table["table_name"] for catalog in objects for schema in catalog["catalog_db_schemas"] or []
                 for table in schema["db_schema_tables"] or []]
        checks.equal("GetObjects", names, ["arrows"])
        checks.equal("GetTableSchema", connection.adbc_get_table_schema("arrows").names[:3], ["id", "name", "ratio"])
        checks.true("GetTableTypes", "table" in connection.adbc_get_table_types())


checks.start("ADBC", importlib.metadata.version("adbc-driver-postgresql"), "reads, parameters, ingest, GetObjects, GetTableSchema")
checks.run(make, adbc)
checks.start("connectorx", importlib.metadata.version("connectorx"), "binary, CSV, cursor and simple protocols, partitions, several queries, types")
checks.run(connectorx_alone)
checks.start("polars over connectorx", f"{polars.__version__}, connectorx {importlib.metadata.version('connectorx')}", "binary, CSV, cursor and simple protocols, partitions")
checks.run(polars_connectorx)
checks.start("polars over ADBC", polars.__version__, "read_database_uri, write_database")
checks.run(polars_adbc)
checks.finish()
