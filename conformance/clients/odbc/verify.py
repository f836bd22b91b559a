"""The catalog calls of ODBC, parameters, transactions, errors and types, through psqlODBC."""

import datetime
import decimal
import os
import uuid

import pyodbc

from checks import HOST, PORT, Checks

checks = Checks()

TABLES = [
    "CREATE SCHEMA odbc",
    "CREATE TABLE odbc.orders (id bigint NOT NULL, name text, price numeric(12,2), at timestamp, on_day date, good boolean,"
    " ratio double precision, raw bytea, key uuid, small smallint, number integer)",
    "COMMENT ON TABLE odbc.orders IS 'every order'",
    "COMMENT ON COLUMN odbc.orders.price IS 'in euro'",
    "CREATE VIEW odbc.big AS SELECT id, price FROM odbc.orders WHERE price > 10",
]


def connect(**settings):
    driver = os.environ.get("ODBC_DRIVER", "PostgreSQL Unicode")
    words = {"Driver": f"{{{driver}}}", "Server": HOST, "Port": PORT, "Database": "lake", "UID": "tarn", **settings}
    return pyodbc.connect(";".join(f"{name}={value}" for name, value in words.items()))


def catalog():
    connection = connect()
    cursor = connection.cursor()
    for statement in TABLES:
        cursor.execute(statement)
    connection.commit()
    check = checks.equal
    found = [(row.table_name, row.table_type) for row in cursor.tables(schema="odbc")]
    check("SQLTables", sorted(found), [("big", "VIEW"), ("orders", "TABLE")])
    check("SQLTables of a type", [row.table_name for row in cursor.tables(schema="odbc", tableType="VIEW")], ["big"])
    columns = cursor.columns(table="orders", schema="odbc").fetchall()
    check("SQLColumns", [(row.column_name, row.type_name, row.nullable) for row in columns], [
        ("id", "int8", 0), ("name", "text", 1), ("price", "numeric", 1), ("at", "timestamp", 1), ("on_day", "date", 1),
        ("good", "bool", 1), ("ratio", "float8", 1), ("raw", "bytea", 1), ("key", "uuid", 1), ("small", "int4", 1), ("number", "int4", 1)])
    check("SQLColumns of numeric", (columns[2].column_size, columns[2].decimal_digits), (12, 2))
    check("SQLColumns of one", [row.column_name for row in cursor.columns(table="orders", schema="odbc", column="pri%")], ["price"])
    check("SQLPrimaryKeys", cursor.primaryKeys("orders", schema="odbc").fetchall(), [])
    check("SQLForeignKeys", cursor.foreignKeys("orders", schema="odbc").fetchall(), [])
    check("SQLStatistics", cursor.statistics("orders", schema="odbc").fetchall(), [])
    checks.run(lambda: check("SQLSpecialColumns, row", cursor.rowIdColumns("orders", schema="odbc").fetchall(), []))
    checks.run(lambda: cursor.rowVerColumns("orders", schema="odbc").fetchall())
    types = {row[0] for row in cursor.getTypeInfo().fetchall()}
    checks.true("SQLGetTypeInfo", {"int4", "text", "numeric", "timestamptz", "bool"} <= types)
    check("SQLProcedures", [row[2] for row in cursor.procedures(schema="system", procedure="crawl")], ["crawl"])
    checks.run(lambda: cursor.procedureColumns(procedure="initcap").fetchall())
    connection.close()


def statements():
    connection = connect()
    cursor = connection.cursor()
    check = checks.equal
    moment = datetime.datetime(2026, 2, 3, 4, 5, 6, 789000)
    row = (1, "zwölf ☃", decimal.Decimal("12.50"), moment, moment.date(), True, 2.5, b"\x00\xff", uuid.UUID(int=7), -3, 7)
    places = ", ".join("?" for _ in row)
    cursor.execute(f"INSERT INTO odbc.orders VALUES ({places})", row)
    check("rowcount", cursor.rowcount, 1)
    found = list(cursor.execute("SELECT * FROM odbc.orders WHERE id = ?", 1).fetchone())
    found[5], found[8] = found[5] in (True, "1"), uuid.UUID(str(found[8]))
    check("types", found, list(row))
    cursor.executemany("INSERT INTO odbc.orders (id, name) VALUES (?, ?)", [(n, f"n{n}") for n in range(2, 102)])
    check("executemany", cursor.execute("SELECT count(*) FROM odbc.orders").fetchval(), 101)
    connection.commit()
    cursor.execute("DELETE FROM odbc.orders WHERE id > ?", 50)
    check("deleted", cursor.rowcount, 51)
    connection.rollback()
    check("rollback", cursor.execute("SELECT count(*) FROM odbc.orders").fetchval(), 101)
    for run in range(7):
        check("prepared", cursor.execute("SELECT name FROM odbc.orders WHERE id = ?", 10 + run).fetchval(), f"n{10 + run}")
    check("description", [column[0] for column in cursor.execute("SELECT id, name AS n FROM odbc.orders").description], ["id", "n"])
    check("portions", len(cursor.fetchmany(10)), 10)
    cursor.execute("SELECT 1 AS a; SELECT 2 AS b")
    check("several results", (cursor.fetchval(), cursor.nextset(), cursor.fetchval()), (1, True, 2))
    failed = checks.raises("unknown table", pyodbc.Error, lambda: cursor.execute("SELECT * FROM nothing"))
    check("SQLSTATE", failed.args[0], "42P01")
    connection.rollback()
    check("after an error", cursor.execute("SELECT 1").fetchval(), 1)
    check("ODBC escape", cursor.execute("SELECT {fn ucase('a')}, {d '2026-01-02'}").fetchone()[0], "A")
    connection.close()


def settings():
    connection = connect(Protocol="7.4-1")
    cursor = connection.cursor()
    cursor.execute("INSERT INTO odbc.orders (id) VALUES (500)")
    checks.raises("error in a transaction", pyodbc.Error, lambda: cursor.execute("SELECT nothing"))
    checks.equal("rollback of one statement", cursor.execute("SELECT count(*) FROM odbc.orders WHERE id = 500").fetchval() in (0, 1), True)
    connection.rollback()
    connection.autocommit = True
    checks.equal("autocommit", connection.cursor().execute("SELECT 1").fetchval(), 1)
    checks.equal("server", connection.getinfo(pyodbc.SQL_DBMS_NAME), "PostgreSQL")
    checks.true("server version", connection.getinfo(pyodbc.SQL_DBMS_VER).startswith("15"))
    connection.close()
    connection = connect(UseDeclareFetch=1, Fetch=10)
    rows = connection.cursor().execute("SELECT id FROM odbc.orders WHERE id BETWEEN 2 AND 51 ORDER BY id").fetchall()
    checks.equal("UseDeclareFetch=1", [row[0] for row in rows], list(range(2, 52)))
    connection.rollback()
    connection.close()
    for server_side in ("0", "1"):
        connection = connect(UseServerSidePrepare=server_side)
        row = connection.cursor().execute("SELECT id, name FROM odbc.orders WHERE id = ?", 5).fetchone()
        checks.equal(f"UseServerSidePrepare={server_side}", tuple(row), (5, "n5"))
        connection.close()


def main():
    exercised = "SQLTables, SQLColumns, SQLPrimaryKeys, SQLForeignKeys, SQLStatistics, SQLSpecialColumns, SQLGetTypeInfo,"
    exercised += " SQLProcedures, parameters, cursors by UseDeclareFetch, transactions, several results, types"
    version = os.environ["ODBC_VERSION"].split("-")[0].split(":")[-1]
    checks.start("psqlODBC", f"{version}, pyodbc {pyodbc.version}", exercised)
    checks.run(catalog, statements, settings)
    checks.finish()


main()
