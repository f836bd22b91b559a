"""Clients of Arrow Flight SQL, each put to work on the same server: ADBC's DBAPI, polars, DuckDB and pandas on what it reads,
flightsql-dbapi, its SQLAlchemy dialect, and pyarrow's bare Flight client for what no driver shows: tokens, tickets and
sessions."""

import base64
import datetime
import decimal
import importlib.metadata
import os
import pathlib
import threading
import time
import uuid

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi as adbc
import adbc_driver_manager
import duckdb
import flightsql
import flightsql.flightsql_pb2 as messages
import flightsql.sqlalchemy  # registers the dialect
import polars
import pyarrow
import pyarrow.flight
import sqlalchemy
from flightsql.client import flight_action, flight_descriptor
from google.protobuf import any_pb2

from checks import Checks

checks = Checks()
FLIGHT_HOST, FLIGHT_PORT = os.environ["TARN_FLIGHT"].rsplit(":", 1)
URI = f"grpc://{FLIGHT_HOST}:{FLIGHT_PORT}"

TYPES = """
CREATE TABLE every_type AS SELECT x::bigint AS id, x::integer AS small, x / 4.0::double precision AS ratio, x::real AS single,
 (x * 1.25)::numeric(12,2) AS money, 'n' || x AS name, x % 2 = 0 AS even, date '2026-01-01' + x::int AS on_day,
 timestamp '2026-01-02 03:04:05.678901' AS at, timestamptz '2026-01-02 03:04:05+00' AS at_zone, time '03:04:05' AS clock,
 '\\x00ff'::bytea AS bytes, '00010203-0405-0607-0809-0a0b0c0d0e0f'::uuid AS id_of, ARRAY[x, NULL]::bigint[] AS list,
 NULL::integer AS nothing
FROM generate_series(1, 1000) AS g(x)"""


def connect(user="tarn", password="", autocommit=True, **options):
    arguments = {"username": user, "password": password} | options
    return adbc.connect(URI, db_kwargs=arguments, autocommit=autocommit)


def rows(cursor, statement, parameters=None):
    cursor.execute(statement, parameters)
    return cursor.fetchall()


# ADBC


def adbc_types():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute(TYPES)
        cursor.execute("SELECT * FROM every_type ORDER BY id LIMIT 1")
        table = cursor.fetch_arrow_table()
        types = {field.name: str(field.type) for field in table.schema}
        expected = {
            "id": "int64", "small": "int32", "ratio": "double", "single": "float", "money": "decimal128(12, 2)",
            "name": "string", "even": "bool", "on_day": "date32[day]", "at": "timestamp[us]",
            "at_zone": "timestamp[us, tz=UTC]", "clock": "time64[us]", "bytes": "binary", "nothing": "int32",
        }
        for name, kind in expected.items():
            checks.equal(f"type of {name}", types[name], kind)
        row = table.drop_columns(["id_of", "at_zone", "list"]).to_pylist()[0]
        checks.equal("row", row, {
            "id": 1, "small": 1, "ratio": 0.25, "single": 1.0, "money": decimal.Decimal("1.25"), "name": "n1",
            "even": False, "on_day": datetime.date(2026, 1, 2),
            "at": datetime.datetime(2026, 1, 2, 3, 4, 5, 678901), "clock": datetime.time(3, 4, 5),
            "bytes": b"\x00\xff", "nothing": None,
        })
        checks.equal("list", table["list"].to_pylist(), [[1, None]])
        checks.equal("uuid", str(table["id_of"].to_pylist()[0]), "00010203-0405-0607-0809-0a0b0c0d0e0f")
        checks.equal("count", rows(cursor, "SELECT count(*), sum(id) FROM every_type"), [(1000, 500500)])
        many = "SELECT x, repeat('x', 1000) AS text FROM generate_series(1, 20000) AS g(x)"
        cursor.execute(many)
        table = cursor.fetch_arrow_table()
        checks.equal("many rows", (table.num_rows, sum(table["x"].to_pylist())), (20000, 200010000))
        cursor.execute("SELECT repeat('x', 9000000) AS wide")
        checks.equal("one wide row", len(cursor.fetchone()[0]), 9000000)
        cursor.execute("SELECT 1 AS one WHERE false")
        checks.equal("no rows", cursor.fetch_arrow_table().schema.names, ["one"])


def adbc_parameters():
    with connect() as connection, connection.cursor() as cursor:
        checks.equal("integer", rows(cursor, "SELECT name FROM every_type WHERE id = $1", (7,)), [("n7",)])
        checks.equal("text", rows(cursor, "SELECT id FROM every_type WHERE name = $1", ("n8",)), [(8,)])
        day = datetime.date(2026, 1, 10)
        checks.equal("date", rows(cursor, "SELECT id FROM every_type WHERE on_day = $1", (day,)), [(9,)])
        checks.equal("NULL", rows(cursor, "SELECT $1::text IS NULL", (None,)), [(True,)])
        checks.equal("untyped", rows(cursor, "SELECT $1 AS a, $2 AS b", (5, "x")), [(5, "x")])
        identity = uuid.UUID("00010203-0405-0607-0809-0a0b0c0d0e0f")
        checks.equal("uuid", rows(cursor, "SELECT count(*) FROM every_type WHERE id_of = $1", (str(identity),)), [(1000,)])
        cursor.execute("CREATE TABLE bound (id bigint NOT NULL, name text, at date)")
        cursor.execute("INSERT INTO bound VALUES ($1, $2, $3)", (1, "a", day))
        checks.equal("rows changed", cursor.rowcount, 1)
        batch = [(number, f"n{number}", None) for number in range(2, 102)]
        cursor.executemany("INSERT INTO bound VALUES ($1, $2, $3)", batch)
        checks.equal("executemany", cursor.rowcount, 100)
        snapshots = rows(cursor, 'SELECT count(*) FROM "bound$snapshots"')
        checks.equal("executemany is one commit", snapshots, [(2,)])
        cursor.executemany("UPDATE bound SET name = $2 WHERE id = $1", [(1, "b"), (2, "c"), (999, "d")])
        checks.equal("updates", cursor.rowcount, 2)
        checks.equal("updated", rows(cursor, "SELECT name FROM bound WHERE id <= 2 ORDER BY id"), [("b",), ("c",)])
        many = connection.cursor()
        error = checks.raises("a bad row", adbc_driver_manager.Error,
                              lambda: many.executemany("INSERT INTO bound VALUES ($1, $2, NULL)", [(5000, "x"), (None, "y")]))
        checks.true("its SQLSTATE", "23502" in str(error))
        checks.equal("leaves nothing", rows(cursor, "SELECT count(*) FROM bound WHERE id = 5000"), [(0,)])
        returned = rows(cursor, "DELETE FROM bound WHERE id = $1 RETURNING name", (2,))
        checks.equal("RETURNING", returned, [("c",)])
        checks.equal("it happened once", rows(cursor, "SELECT count(*) FROM bound"), [(100,)])


def adbc_schema():
    with connect() as connection, connection.cursor() as cursor:
        schema = cursor.adbc_execute_schema("SELECT id, money FROM every_type")
        checks.equal("ExecuteSchema", [str(field.type) for field in schema], ["int64", "decimal128(12, 2)"])
        schema = cursor.adbc_prepare("SELECT id FROM every_type WHERE name = $1 AND small < $2")
        checks.equal("parameter schema", [str(field.type) for field in schema], ["string", "int32"])
        checks.equal("nothing has run", rows(cursor, "SELECT 1"), [(1,)])
        error = checks.raises("ExecuteSchema of nothing", adbc_driver_manager.Error,
                              lambda: cursor.adbc_execute_schema("SELECT nothing_here"))
        checks.true("SQLSTATE", "42703" in str(error))


def adbc_errors():
    with connect() as connection, connection.cursor() as cursor:
        error = checks.raises("no such table", adbc_driver_manager.ProgrammingError,
                              lambda: cursor.execute("SELECT * FROM every_tipe"))
        text = str(error)
        checks.true("text", 'relation "every_tipe" does not exist' in text)
        checks.true("SQLSTATE", "42P01" in text)
        checks.true("hint", 'HINT:  Did you mean "every_type"?' in text)
        checks.true("details", any("42P01" in str(value) for key, value in error.details))
        checks.raises("not supported", adbc_driver_manager.NotSupportedError,
                      lambda: cursor.execute("CREATE INDEX i ON every_type (id)"))
        # It is met when rows have been sent already.
        error = checks.raises("in the middle of rows", adbc_driver_manager.Error,
                              lambda: rows(cursor, "SELECT 1000 / (900000 - x) FROM generate_series(1, 1000000) AS g(x)"))
        checks.true("its SQLSTATE", "22012" in str(error))
        checks.equal("the session lives", rows(cursor, "SELECT 1"), [(1,)])


def adbc_transactions():
    with connect() as other, other.cursor() as outside, connect(autocommit=False) as connection:
        outside.execute("CREATE TABLE accounts (id bigint, amount bigint)")
        cursor = connection.cursor()
        cursor.execute("INSERT INTO accounts VALUES (1, 100), (2, 100)")
        checks.equal("own rows", rows(cursor, "SELECT count(*) FROM accounts"), [(2,)])
        checks.equal("not seen outside", rows(outside, "SELECT count(*) FROM accounts"), [(0,)])
        connection.commit()
        checks.equal("committed", rows(outside, "SELECT count(*) FROM accounts"), [(2,)])
        cursor.execute("UPDATE accounts SET amount = 0")
        connection.rollback()
        checks.equal("rolled back", rows(cursor, "SELECT sum(amount) FROM accounts"), [(200,)])
        connection.commit()
        cursor.execute("CREATE TABLE made_inside (a bigint)")
        table = connection.adbc_get_table_schema("made_inside")
        checks.equal("metadata in a transaction", table.names, ["a"])
        checks.raises("an error", adbc_driver_manager.Error, lambda: rows(cursor, "SELECT 1 / 0"))
        error = checks.raises("a failed transaction", adbc_driver_manager.Error, lambda: rows(cursor, "SELECT 1"))
        checks.true("25P02", "25P02" in str(error))
        connection.rollback()
        outside.execute("SELECT count(*) FROM information_schema.tables WHERE table_name = 'made_inside'")
        checks.equal("DDL is rolled back", outside.fetchall(), [(0,)])
        cursor.execute("SET search_path TO pg_catalog")
        connection.commit()
        cursor.execute("SHOW search_path")
        checks.equal("a setting outlives its transaction", cursor.fetchall(), [("pg_catalog",)])
        connection.rollback()
    with connect(autocommit=False) as connection, connection.cursor() as cursor:
        # The driver forgets a transaction whose commit was refused, and has no new one.
        checks.raises("an error", adbc_driver_manager.Error, lambda: rows(cursor, "SELECT 1 / 0"))
        error = checks.raises("cannot be committed", adbc_driver_manager.Error, connection.commit)
        checks.true("and says so", "25P02" in str(error))


def adbc_ingest():
    with connect() as connection, connection.cursor() as cursor:
        table = pyarrow.table({
            "id": pyarrow.array([1, 2, 3], pyarrow.int64()),
            "Name": pyarrow.array(["a", None, "c"], pyarrow.large_string()),
            "at": pyarrow.array([datetime.datetime(2026, 1, 2)] * 3, pyarrow.timestamp("ns")),
            "word": pyarrow.array(["x", "y", "x"]).dictionary_encode(),
            "tags": pyarrow.array([["a"], [], None], pyarrow.list_(pyarrow.string())),
            "place": pyarrow.array([{"x": 1, "y": 2.5}, None, {"x": 3, "y": None}]),
            "amount": pyarrow.array([decimal.Decimal("1.50"), None, decimal.Decimal("2.25")], pyarrow.decimal128(10, 2)),
        })
        checks.equal("create", cursor.adbc_ingest("ingested", table, mode="create"), 3)
        checks.equal("append", cursor.adbc_ingest("ingested", table, mode="append"), 3)
        checks.equal("two commits", rows(cursor, 'SELECT count(*) FROM "ingested$snapshots"'), [(2,)])
        cursor.execute('SELECT id, "Name", at, word, tags, (place).x, amount FROM ingested ORDER BY id LIMIT 1')
        at = datetime.datetime(2026, 1, 2)
        checks.equal("row", cursor.fetchall(), [(1, "a", at, "x", ["a"], 1, decimal.Decimal("1.50"))])
        error = checks.raises("create again", adbc_driver_manager.Error,
                              lambda: cursor.adbc_ingest("ingested", table, mode="create"))
        checks.true("42P07", "42P07" in str(error))
        checks.equal("replace", cursor.adbc_ingest("ingested", table, mode="replace"), 3)
        checks.equal("replaced", rows(cursor, "SELECT count(*) FROM ingested"), [(3,)])
        checks.equal("create_append", cursor.adbc_ingest("ingested", table, mode="create_append"), 3)
        error = checks.raises("append to nothing", adbc_driver_manager.Error,
                              lambda: cursor.adbc_ingest("not_there", table, mode="append"))
        checks.true("42P01", "42P01" in str(error))
        cursor.execute("CREATE TABLE strict (id bigint NOT NULL)")
        holes = pyarrow.table({"id": pyarrow.array([1, None], pyarrow.int64())})
        error = checks.raises("NULL where there may be none", adbc_driver_manager.Error,
                              lambda: cursor.adbc_ingest("strict", holes, mode="append"))
        checks.true("23502", "23502" in str(error))
        checks.equal("leaves nothing", rows(cursor, "SELECT count(*) FROM strict"), [(0,)])
        cursor.execute("CREATE SCHEMA landing")
        checks.equal("in a schema", cursor.adbc_ingest("t", table, mode="create", db_schema_name="landing"), 3)
        # A cursor keeps the schema that it was given.
    with connect() as connection, connection.cursor() as cursor:
        checks.equal("temporary", cursor.adbc_ingest("passing", table, mode="create", temporary=True), 3)
        checks.equal("it is there", rows(cursor, "SELECT count(*) FROM passing"), [(3,)])
    with connect() as connection, connection.cursor() as cursor:
        numbers = pyarrow.array(range(100000), pyarrow.int64())
        schema = pyarrow.schema([("n", pyarrow.int64())])
        batches = (pyarrow.record_batch([numbers], schema=schema) for _ in range(20))
        reader = pyarrow.RecordBatchReader.from_batches(schema, batches)
        checks.equal("a stream of batches", cursor.adbc_ingest("streamed", reader, mode="create"), 2000000)
        checks.equal("its rows", rows(cursor, "SELECT count(*), sum(n) FROM streamed"), [(2000000, 20 * 4999950000)])
        checks.equal("one commit", rows(cursor, 'SELECT count(*) FROM "streamed$snapshots"'), [(1,)])
    # The driver does not tell which transaction it ingests in, so the rows are committed at once.
    with connect(autocommit=False) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("beside", table, mode="create")
        connection.rollback()
        checks.equal("beside a transaction", rows(cursor, "SELECT count(*) FROM beside"), [(3,)])


def adbc_metadata():
    with connect() as connection:
        objects = connection.adbc_get_objects(depth="all", table_name_filter="every_type").read_all().to_pylist()
        checks.equal("catalogs", [catalog["catalog_name"] for catalog in objects], ["lake"])
        found = [(schema["db_schema_name"], table["table_name"], table["table_type"], len(table["table_columns"]))
                 for catalog in objects for schema in catalog["catalog_db_schemas"] for table in schema["db_schema_tables"] or []]
        checks.equal("GetObjects", found, [("public", "every_type", "TABLE", 15)])
        schema = connection.adbc_get_table_schema("every_type")
        checks.equal("GetTableSchema", (schema.names[0], str(schema.field("money").type)), ("id", "decimal128(12, 2)"))
        checks.raises("of no table", adbc_driver_manager.Error, lambda: connection.adbc_get_table_schema("not_there"))
        kinds = connection.adbc_get_table_types()
        checks.equal("GetTableTypes", kinds, ["LOCAL TEMPORARY", "SYSTEM TABLE", "TABLE", "VIEW"])
        info = connection.adbc_get_info()
        checks.equal("GetInfo", info["vendor_name"], "Tarn")
        checks.equal("current catalog", connection.adbc_current_catalog, "lake")
        checks.equal("current schema", connection.adbc_current_db_schema, "public")
        connection.adbc_current_db_schema = "landing"
        with connection.cursor() as cursor:
            checks.equal("another schema", rows(cursor, "SELECT count(*) FROM t"), [(3,)])
        checks.equal("is current", connection.adbc_current_db_schema, "landing")


def adbc_cancel():
    slow = "SELECT count(*) FROM generate_series(1, 100000000) a(x), generate_series(1, 1000) b(y) WHERE x % 7 = y % 5"
    with connect() as connection, connection.cursor() as cursor:
        failed = []

        def work():
            try:
                rows(cursor, slow)
            except adbc_driver_manager.Error as error:
                failed.append(error)

        thread = threading.Thread(target=work)
        started = time.monotonic()
        thread.start()
        time.sleep(1)
        cursor.adbc_cancel()
        thread.join(20)
        checks.true("cancelled", failed and time.monotonic() - started < 15)
        with connect() as other, other.cursor() as watcher:
            checks.equal("the server answers", rows(watcher, "SELECT 1"), [(1,)])


def adbc_roles():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE ROLE reader LOGIN PASSWORD 'correct horse'")
        cursor.execute("GRANT USAGE ON SCHEMA public TO reader")
        cursor.execute("CREATE TABLE for_readers AS SELECT 1 AS a")
        cursor.execute("GRANT SELECT ON for_readers TO reader")
    error = checks.raises("a wrong password", adbc_driver_manager.Error, lambda: connect("reader", "wrong"))
    checks.true("28P01", "28P01" in str(error))
    unknown = checks.raises("no such role", adbc_driver_manager.Error, lambda: connect("nobody", "wrong"))
    same = str(error).replace("reader", "nobody")
    checks.equal("nobody learns which roles there are", str(unknown), same)
    with connect("reader", "correct horse") as connection, connection.cursor() as cursor:
        checks.equal("may read", rows(cursor, "SELECT a FROM for_readers"), [(1,)])
        error = checks.raises("may not read", adbc_driver_manager.Error, lambda: cursor.execute("SELECT * FROM every_type"))
        checks.true("42501", "42501" in str(error))
        objects = connection.adbc_get_objects(depth="tables", db_schema_filter="public").read_all().to_pylist()
        seen = [table["table_name"] for catalog in objects for schema in catalog["catalog_db_schemas"]
                for table in schema["db_schema_tables"] or []]
        checks.equal("sees its tables alone", seen, ["for_readers"])
        checks.raises("schemas of others", adbc_driver_manager.Error, lambda: connection.adbc_get_table_schema("every_type"))


def adbc_encrypted():
    authority = (pathlib.Path(os.environ["TARN_DATA"]) / "tls.crt").read_text()
    option = adbc_driver_flightsql.DatabaseOptions.TLS_ROOT_CERTS.value
    encrypted = f"grpc+tls://127.0.0.1:{FLIGHT_PORT}"
    arguments = {"username": "tarn", option: authority}
    with adbc.connect(encrypted, db_kwargs=arguments, autocommit=True) as connection, connection.cursor() as cursor:
        checks.equal("within TLS", rows(cursor, "SELECT count(*) FROM every_type"), [(1000,)])
    checks.raises("a certificate that nobody vouches for", adbc_driver_manager.Error,
                  lambda: adbc.connect(encrypted, db_kwargs={"username": "tarn"}))


# Data frames


def polars_frames():
    with connect() as connection:
        frame = polars.read_database("SELECT * FROM every_type", connection)
        checks.equal("read_database", (frame.shape, frame["id"].sum()), ((1000, 15), 500500))
        written = polars.DataFrame({"id": [1, 2, 3], "name": ["a", "b", None], "at": [datetime.date(2026, 1, 2)] * 3})
        written.write_database("polars_flight", connection, engine="adbc")
        read = polars.read_database("SELECT * FROM polars_flight ORDER BY id", connection)
        checks.equal("write_database", read.rows(), written.rows())


def duckdb_frames():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id, money, even FROM every_type")
        fetched = cursor.fetch_record_batch()
        found = duckdb.sql("SELECT even, count(*), sum(money) FROM fetched GROUP BY even ORDER BY even").fetchall()
        expected = [(False, 500, decimal.Decimal("312500.00")), (True, 500, decimal.Decimal("313125.00"))]
        checks.equal("DuckDB on a stream of batches", found, expected)


def pandas_frames():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id, name, money FROM every_type")
        frame = cursor.fetch_df()
        checks.equal("fetch_df", (frame.shape, int(frame["id"].sum())), ((1000, 3), 500500))
        checks.equal("ingest a frame", cursor.adbc_ingest("pandas_flight", pyarrow.Table.from_pandas(frame, preserve_index=False)), 1000)


# flightsql-dbapi


def dbapi():
    connection = flightsql.connect(flightsql.FlightSQLClient(host=FLIGHT_HOST, port=int(FLIGHT_PORT), user="tarn", password="", insecure=True))
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE dbapi_rows (id bigint, name text)")
    cursor.execute("INSERT INTO dbapi_rows VALUES (1, 'a'), (2, 'b')")
    cursor.execute("SELECT * FROM dbapi_rows ORDER BY id")
    checks.equal("rows", cursor.fetchall(), [[1, "a"], [2, "b"]])
    checks.equal("description", [column[0] for column in cursor.description], ["id", "name"])
    cursor.execute("SELECT name FROM dbapi_rows WHERE id = $1", (2,))
    checks.equal("parameters", cursor.fetchall(), [["b"]])
    cursor.executemany("INSERT INTO dbapi_rows VALUES ($1, $2)", [(3, "c"), (4, "d")])
    client = connection.client
    checks.equal("execute_update", client.execute_update("DELETE FROM dbapi_rows WHERE id > 2"), 2)
    columns = connection.flightsql_get_columns("dbapi_rows")
    checks.equal("columns", [column["name"] for column in columns], ["id", "name"])
    checks.true("table names", "dbapi_rows" in connection.flightsql_get_table_names("public"))
    checks.true("schema names", "public" in connection.flightsql_get_schema_names())
    info = connection.flightsql_get_sql_info([messages.FLIGHT_SQL_SERVER_NAME, messages.FLIGHT_SQL_SERVER_READ_ONLY])
    checks.equal("SqlInfo", info, {0: "Tarn", 3: False})
    checks.equal("primary keys", connection.flightsql_get_primary_keys("dbapi_rows"), [])


def dialect():
    # It takes no empty password.
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE ROLE dialect LOGIN SUPERUSER PASSWORD 'dialect'")
    engine = sqlalchemy.create_engine(f"datafusion+flightsql://dialect:dialect@{FLIGHT_HOST}:{FLIGHT_PORT}?insecure=True")
    with engine.connect() as connection:
        found = connection.execute(sqlalchemy.text("SELECT count(*) FROM dbapi_rows")).scalar()
        checks.equal("text", found, 2)
        inspector = sqlalchemy.inspect(connection)
        checks.true("table names", "dbapi_rows" in inspector.get_table_names("public"))
        columns = inspector.get_columns("dbapi_rows", "public")
        checks.equal("columns", [column["name"] for column in columns], ["id", "name"])
        table = sqlalchemy.Table("dbapi_rows", sqlalchemy.MetaData(), sqlalchemy.Column("id", sqlalchemy.BigInteger),
                                 sqlalchemy.Column("name", sqlalchemy.String))
        query = sqlalchemy.select(table.c.name).where(table.c.id == 2)
        checks.equal("Core", connection.execute(query).fetchall(), [("b",)])


# The protocol itself


class Calls:
    """pyarrow's Flight client, with the session of its own token."""

    def __init__(self, user="tarn", password=""):
        self.client = pyarrow.flight.FlightClient(URI)
        self.header = self.client.authenticate_basic_token(user, password)
        self.options = pyarrow.flight.FlightCallOptions(headers=[self.header])

    def info(self, query):
        return self.client.get_flight_info(flight_descriptor(messages.CommandStatementQuery(query=query)), self.options)

    def rows(self, ticket, options=None):
        return self.client.do_get(ticket, options or self.options).read_all().to_pylist()

    def act(self, name, body):
        return [result.body.to_pybytes() for result in self.client.do_action(pyarrow.flight.Action(name, body), self.options)]


def unwrapped(message, body):
    wrapper = any_pb2.Any()
    wrapper.ParseFromString(body)
    wrapper.Unpack(message)
    return message


def tokens():
    calls = Calls()
    checks.true("a bearer token", calls.header[1].startswith(b"Bearer "))
    checks.equal("a query", calls.rows(calls.info("SELECT 1 AS one").endpoints[0].ticket), [{"one": 1}])
    bare = pyarrow.flight.FlightClient(URI)
    ask = flight_descriptor(messages.CommandGetCatalogs())
    error = checks.raises("no token", pyarrow.flight.FlightUnauthenticatedError, lambda: bare.get_flight_info(ask))
    checks.true("28000", "28000" in str(error))

    def with_header(value):
        options = pyarrow.flight.FlightCallOptions(headers=[(b"authorization", value)])
        return bare.get_flight_info(ask, options)

    token = calls.header[1].split()[1]
    changed = bytes([token[0] ^ 1]) + token[1:]
    none = base64.urlsafe_b64encode(b'{"alg":"none"}') + b"." + base64.urlsafe_b64encode(b'{"sub":"tarn"}') + b"."
    for name, header in [("changed", b"Bearer " + changed), ("cut", b"Bearer " + token[:-4]), ("empty", b"Bearer "),
                         ("of another kind", b"Bearer " + none), ("a wrong scheme", b"Negotiate abc"),
                         ("a broken Basic", b"Basic ????")]:
        checks.raises(name, pyarrow.flight.FlightUnauthenticatedError, lambda header=header: with_header(header))
    basic = b"Basic " + base64.b64encode(b"tarn:")
    checks.equal("Basic on any call", with_header(basic).endpoints[0].ticket.ticket != b"", True)
    wrong = b"Basic " + base64.b64encode(b"reader:wrong")
    checks.raises("a wrong password on any call", pyarrow.flight.FlightUnauthenticatedError, lambda: with_header(wrong))


def tickets():
    calls, other = Calls(), Calls("reader", "correct horse")
    info = calls.info("SELECT count(*) AS n FROM every_type")
    ticket = info.endpoints[0].ticket
    checks.equal("schema before", info.schema.names, ["n"])
    checks.equal("fetched", calls.rows(ticket), [{"n": 1000}])
    checks.equal("fetched again", calls.rows(ticket), [{"n": 1000}])
    refused = checks.raises("of another session", pyarrow.flight.FlightUnauthorizedError, lambda: other.rows(ticket))
    checks.true("42501", "42501" in str(refused))
    same = Calls()
    checks.raises("of another session of the same role", pyarrow.flight.FlightUnauthorizedError, lambda: same.rows(ticket))
    forged = bytearray(ticket.ticket)
    forged[-1] ^= 1
    checks.raises("forged", pyarrow.flight.FlightUnauthorizedError, lambda: calls.rows(pyarrow.flight.Ticket(bytes(forged))))
    for name, content in [("empty", b""), ("garbage", b"\xff\xfe\x00"), ("text", b"SELECT 1")]:
        checks.raises(name, pyarrow.lib.ArrowInvalid, lambda content=content: calls.rows(pyarrow.flight.Ticket(content)))
    inserted = calls.info("INSERT INTO for_readers VALUES (2)")
    checks.equal("a change tells its count", inserted.total_records, 1)
    checks.equal("and has no rows", calls.rows(inserted.endpoints[0].ticket), [])
    checks.equal("it happened once", calls.rows(calls.info("SELECT count(*) AS n FROM for_readers").endpoints[0].ticket), [{"n": 2}])
    checks.raises("a path", pyarrow.lib.ArrowInvalid,
                  lambda: calls.client.get_flight_info(pyarrow.flight.FlightDescriptor.for_path("a"), calls.options))


def renew_and_cancel():
    calls = Calls()
    info = calls.info("SELECT x FROM generate_series(1, 10) AS g(x)")
    checks.true("an expiration time", info.endpoints[0].expiration_time is not None)
    request = pyarrow.flight.RenewFlightEndpointRequest if hasattr(pyarrow.flight, "RenewFlightEndpointRequest") else None
    if request is None:
        # The messages by hand: field 1 is the endpoint, or the info.
        def field(body):
            size, head = len(body), b"\x0a"
            while size > 127:
                head, size = head + bytes([size & 127 | 128]), size >> 7
            return head + bytes([size]) + body
        renewed = calls.act("RenewFlightEndpoint", field(info.endpoints[0].serialize()))
        checks.true("renewed", len(renewed) == 1 and len(renewed[0]) > 0)
        cancelled = calls.act("CancelFlightInfo", field(info.serialize()))
        checks.equal("cancelled", cancelled, [b"\x08\x01"])
        checks.raises("nothing to fetch", pyarrow.lib.ArrowCancelled, lambda: calls.rows(info.endpoints[0].ticket))


def prepared_statements():
    calls = Calls()
    request = messages.ActionCreatePreparedStatementRequest(query="SELECT $1::bigint + 1 AS n")
    [body] = calls.act("CreatePreparedStatement", flight_action("", request).body.to_pybytes())
    statement = unwrapped(messages.ActionCreatePreparedStatementResult(), body)
    descriptor = flight_descriptor(messages.CommandPreparedStatementQuery(prepared_statement_handle=statement.prepared_statement_handle))
    checks.raises("nothing bound", pyarrow.lib.ArrowInvalid, lambda: calls.client.get_flight_info(descriptor, calls.options))
    batch = pyarrow.record_batch([pyarrow.array([1, 2, 3], pyarrow.int64())], names=["$1"])
    writer, reader = calls.client.do_put(descriptor, batch.schema, calls.options)
    writer.write(batch)
    writer.done_writing()
    reader.read()
    writer.close()
    info = calls.client.get_flight_info(descriptor, calls.options)
    checks.equal("once for each row", calls.rows(info.endpoints[0].ticket), [{"n": 2}, {"n": 3}, {"n": 4}])
    schema = calls.client.get_schema(descriptor, calls.options).schema
    checks.equal("GetSchema", schema.names, ["n"])
    close = messages.ActionClosePreparedStatementRequest(prepared_statement_handle=statement.prepared_statement_handle)
    calls.act("ClosePreparedStatement", flight_action("", close).body.to_pybytes())
    checks.raises("closed", pyarrow.lib.ArrowKeyError, lambda: calls.client.get_flight_info(descriptor, calls.options))


def transactions_and_savepoints():
    calls = Calls()

    def act(name, message, answer=None):
        bodies = calls.act(name, flight_action("", message).body.to_pybytes())
        return unwrapped(answer, bodies[0]) if answer is not None else bodies

    def update(query, transaction=b""):
        descriptor = flight_descriptor(messages.CommandStatementUpdate(query=query, transaction_id=transaction))
        writer, reader = calls.client.do_put(descriptor, pyarrow.schema([]), calls.options)
        writer.done_writing()
        answer = reader.read()
        # What the server says against it is raised here.
        writer.close()
        result = messages.DoPutUpdateResult()
        result.ParseFromString(answer.to_pybytes())
        return result.record_count

    def count(transaction=b""):
        command = messages.CommandStatementQuery(query="SELECT count(*) AS n FROM pieces", transaction_id=transaction)
        info = calls.client.get_flight_info(flight_descriptor(command), calls.options)
        return calls.rows(info.endpoints[0].ticket)[0]["n"]

    update("CREATE TABLE pieces (a bigint)")
    begin = lambda: act("BeginTransaction", messages.ActionBeginTransactionRequest(), messages.ActionBeginTransactionResult()).transaction_id
    first, second = begin(), begin()
    checks.equal("in the first", update("INSERT INTO pieces VALUES (1), (2)", first), 2)
    checks.equal("in the second", update("INSERT INTO pieces VALUES (3)", second), 1)
    checks.equal("each sees its own", (count(first), count(second), count()), (2, 1, 0))
    savepoint = act("BeginSavepoint", messages.ActionBeginSavepointRequest(transaction_id=first, name="half"),
                    messages.ActionBeginSavepointResult()).savepoint_id
    update("DELETE FROM pieces", first)
    checks.equal("after the savepoint", count(first), 0)
    act("EndSavepoint", messages.ActionEndSavepointRequest(savepoint_id=savepoint, action=2))
    checks.equal("back at the savepoint", count(first), 2)
    act("EndSavepoint", messages.ActionEndSavepointRequest(savepoint_id=savepoint, action=1))
    checks.raises("a savepoint that is released", pyarrow.lib.ArrowException,
                  lambda: act("EndSavepoint", messages.ActionEndSavepointRequest(savepoint_id=savepoint, action=2)))
    act("EndTransaction", messages.ActionEndTransactionRequest(transaction_id=first, action=1))
    act("EndTransaction", messages.ActionEndTransactionRequest(transaction_id=second, action=2))
    checks.equal("one committed, one rolled back", count(), 2)
    checks.raises("a transaction that has ended", pyarrow.lib.ArrowException, lambda: count(first))
    checks.equal("several statements are one", update("INSERT INTO pieces VALUES (7); INSERT INTO pieces VALUES (8)"), 2)
    checks.raises("all or none", pyarrow.lib.ArrowException, lambda: update("INSERT INTO pieces VALUES (9); SELECT 1 / 0"))
    checks.equal("none", count(), 4)


def sessions():
    calls = Calls()
    calls.rows(calls.info("SET application_name TO 'a name'").endpoints[0].ticket)
    shown = calls.rows(calls.info("SHOW application_name").endpoints[0].ticket)
    checks.equal("a setting stays", list(shown[0].values()), ["a name"])
    [closed] = calls.act("CloseSession", b"")
    checks.equal("closed", closed, b"\x08\x01")
    checks.raises("the token is worth nothing", pyarrow.flight.FlightUnauthenticatedError, lambda: calls.info("SELECT 1"))
    names = {action.type for action in Calls().client.list_actions(calls_options())}
    for name in ("CreatePreparedStatement", "BeginTransaction", "CancelFlightInfo", "SetSessionOptions", "CloseSession"):
        checks.true(name, name in names)


def calls_options():
    return Calls().options


def metadata():
    calls = Calls()

    def rows_of(message):
        info = calls.client.get_flight_info(flight_descriptor(message), calls.options)
        table = calls.client.do_get(info.endpoints[0].ticket, calls.options).read_all()
        checks.equal(f"schema of {type(message).__name__}", table.schema, info.schema)
        return table.to_pylist()

    checks.equal("catalogs", rows_of(messages.CommandGetCatalogs()), [{"catalog_name": "lake"}])
    schemas = rows_of(messages.CommandGetDbSchemas(db_schema_filter_pattern="pub%"))
    checks.equal("schemas", schemas, [{"catalog_name": "lake", "db_schema_name": "public"}])
    tables = rows_of(messages.CommandGetTables(table_name_filter_pattern="every\\_%", table_types=["TABLE"], include_schema=True))
    checks.equal("tables", [row["table_name"] for row in tables], ["every_type"])
    schema = pyarrow.ipc.read_schema(pyarrow.py_buffer(tables[0]["table_schema"]))
    checks.equal("its columns", (len(schema), schema.field("money").metadata[b"ARROW:FLIGHT:SQL:TYPE_NAME"]), (15, b"numeric(12,2)"))
    checks.equal("system tables", {row["db_schema_name"] for row in rows_of(messages.CommandGetTables(table_types=["SYSTEM TABLE"]))},
                 {"information_schema", "pg_catalog", "system"})
    checks.equal("no keys", rows_of(messages.CommandGetPrimaryKeys(table="every_type")), [])
    for message in (messages.CommandGetExportedKeys(table="t"), messages.CommandGetImportedKeys(table="t"), messages.CommandGetCrossReference(pk_table="a", fk_table="b")):
        checks.equal(type(message).__name__, rows_of(message), [])
    codes = [row["info_name"] for row in rows_of(messages.CommandGetSqlInfo())]
    wanted = [number for number in messages.SqlInfo.values()]
    checks.equal("every SqlInfo code", [code for code in wanted if code not in codes], [])
    checks.equal("types", len(rows_of(messages.CommandGetXdbcTypeInfo())) > 10, True)


versions = f"{importlib.metadata.version('adbc-driver-flightsql')}"
checks.start("ADBC over Flight SQL", versions, "every type, parameters, executemany, ExecuteSchema, transactions, ingest in every mode, GetObjects, GetTableSchema, cancel, errors, roles, TLS")
checks.run(adbc_types, adbc_parameters, adbc_schema, adbc_errors, adbc_transactions, adbc_ingest, adbc_metadata, adbc_cancel, adbc_roles, adbc_encrypted)
checks.start("data frames over Flight SQL", f"polars {polars.__version__}, DuckDB {duckdb.__version__}", "read_database, write_database, record batches, fetch_df")
checks.run(polars_frames, duckdb_frames, pandas_frames)
checks.start("flightsql-dbapi", importlib.metadata.version("flightsql-dbapi"), "cursors, parameters, updates, metadata, its SQLAlchemy dialect with reflection")
checks.run(dbapi, dialect)
checks.start("pyarrow.flight", pyarrow.__version__, "handshake, tokens and tickets of others, forged ones, prepared statements, transactions, savepoints, renew, cancel, sessions, all metadata")
checks.run(tokens, tickets, renew_and_cancel, prepared_statements, transactions_and_savepoints, sessions, metadata)
checks.finish()
