"""DuckDB with its postgres extension: what it finds out about the tables, reads of every type by binary COPY, joins with
its own rows, and writes."""

import datetime
import decimal
import pathlib
import uuid

import duckdb
import duckdb_extension_postgres_scanner

from checks import HOST, PORT, Checks

checks = Checks()
DATABASE = f"host={HOST} port={PORT} user=tarn dbname=lake"
TABLE = """
CREATE TABLE ducks AS SELECT x::bigint AS id, 'n' || x AS name, x / 4.0::double precision AS ratio, x % 2 = 0 AS even,
 date '2026-01-01' + x::int AS on_day, timestamp '2026-01-01 00:00:00' AS at, (x / 2.0)::numeric(10,2) AS price,
 ARRAY[x, x + 1] AS tags, '\\x00ff'::bytea AS raw, '123e4567-e89b-12d3-a456-426614174000'::uuid AS key,
 time '23:59:59' AS clock, timestamptz '2026-01-01 00:00:00+00' AS instant, NULL::integer AS nothing
FROM generate_series(1, 10000) AS g(x)"""


def connect():
    extension = next(pathlib.Path(duckdb_extension_postgres_scanner.__path__[0]).rglob("*.duckdb_extension"))
    duck = duckdb.connect()
    duck.execute(f"LOAD '{extension}'")
    duck.execute("SET TimeZone = 'UTC'")
    duck.execute(f"ATTACH '{DATABASE}' AS tarn (TYPE postgres)")
    return duck


def ask(sql):
    return duck.execute(sql).fetchall()


def make():
    duck.execute("CALL postgres_execute('tarn', $sql)", {"sql": TABLE})
    # What is made behind its back it sees after this.
    duck.execute("CALL pg_clear_cache()")


def describe():
    tables = {(row[1], row[2]) for row in ask("SHOW ALL TABLES")}
    checks.true("SHOW ALL TABLES", {("public", "ducks"), ("system", "tables")} <= tables)
    types = {row[0]: row[1] for row in ask("DESCRIBE tarn.ducks")}
    expected = {
        "id": "BIGINT", "name": "VARCHAR", "ratio": "DOUBLE", "even": "BOOLEAN", "on_day": "DATE", "at": "TIMESTAMP",
        "price": "DECIMAL(10,2)", "tags": "BIGINT[]", "raw": "BLOB", "key": "UUID", "clock": "TIME",
        "instant": "TIMESTAMP WITH TIME ZONE", "nothing": "INTEGER",
    }
    checks.equal("DESCRIBE", types, expected)


def read():
    row = (7, "n7", 1.75, False, datetime.date(2026, 1, 8), datetime.datetime(2026, 1, 1), decimal.Decimal("3.50"), [7, 8],
           b"\x00\xff", uuid.UUID("123e4567-e89b-12d3-a456-426614174000"), datetime.time(23, 59, 59))
    checks.equal("a row of every type", ask("SELECT * EXCLUDE (instant, nothing) FROM tarn.ducks WHERE id = 7"), [row])
    checks.equal("an instant", ask("SELECT epoch(instant), nothing FROM tarn.ducks WHERE id = 7"), [(1767225600.0, None)])
    checks.equal("sums", ask("SELECT count(*), sum(id), sum(price) FROM tarn.ducks"), [(10000, 50005000, decimal.Decimal("25002500.00"))])
    checks.equal("a condition that is pushed down", ask("SELECT count(*) FROM tarn.ducks WHERE name IN ('n1', 'n2') AND on_day < DATE '2026-02-01'"), [(2,)])
    checks.equal("a join", ask("SELECT sum(d.id) FROM tarn.ducks AS d JOIN range(1, 4) AS r(x) ON d.id = r.x"), [(6,)])
    checks.equal("limit", len(ask("SELECT id FROM tarn.ducks LIMIT 3")), 3)
    checks.equal("postgres_scan", ask(f"SELECT max(id) FROM postgres_scan('{DATABASE}', 'public', 'ducks')"), [(10000,)])
    checks.equal("postgres_query", ask("SELECT * FROM postgres_query('tarn', 'SELECT id, name FROM ducks WHERE id = 7')"), [(7, "n7")])
    duck.execute("SET pg_use_text_protocol = true")
    checks.equal("the text protocol", ask("SELECT sum(id) FROM tarn.ducks"), [(50005000,)])
    duck.execute("SET pg_use_text_protocol = false")


def write():
    duck.execute("CREATE SCHEMA tarn.pond")
    duck.execute("CREATE TABLE tarn.pond.made AS SELECT i, 'x' || i AS name FROM range(5000) AS t(i)")
    duck.execute("INSERT INTO tarn.pond.made VALUES (-1, 'it''s'), (-2, NULL)")
    # It takes a table that it has made itself for one with pages, and asks for rows by their ctid, until it looks again.
    duck.execute("CALL pg_clear_cache()")
    checks.equal("CREATE TABLE AS and INSERT", ask("SELECT count(*), min(i), count(name) FROM tarn.pond.made"), [(5002, -2, 5001)])
    duck.execute("BEGIN")
    duck.execute("INSERT INTO tarn.pond.made VALUES (-3, 'gone')")
    duck.execute("ROLLBACK")
    checks.equal("ROLLBACK", ask("SELECT count(*) FROM tarn.pond.made"), [(5002,)])
    duck.execute("ALTER TABLE tarn.pond.made ADD COLUMN more INTEGER")
    duck.execute("ALTER TABLE tarn.pond.made RENAME COLUMN name TO title")
    duck.execute("CREATE VIEW tarn.pond.seen AS SELECT 1::bigint AS one")
    checks.equal("a view", ask("SELECT * FROM tarn.pond.seen"), [(1,)])
    # It finds the rows that it changes by their ctid, which Tarn does not have.
    checks.raises("UPDATE", duckdb.Error, lambda: duck.execute("UPDATE tarn.pond.made SET i = 0 WHERE i = 7"))
    duck.execute("CALL postgres_execute('tarn', 'UPDATE pond.made SET i = 0 WHERE i = 7')")
    checks.equal("UPDATE in Tarn's own words", ask("SELECT count(*) FROM tarn.pond.made WHERE i = 0"), [(2,)])
    for sql in ("DROP VIEW tarn.pond.seen", "DROP TABLE tarn.pond.made", "DROP SCHEMA tarn.pond"):
        duck.execute(sql)
    checks.equal("dropped", [row for row in ask("SHOW ALL TABLES") if row[1] == "pond"], [])


duck = connect()
checks.start("DuckDB postgres extension", duckdb.__version__, "ATTACH, types, conditions, joins, CREATE TABLE AS, INSERT, transactions, views, ALTER, DROP")
checks.run(make, describe, read, write)
checks.finish()
