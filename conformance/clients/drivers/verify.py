"""Parameters, prepared statements, pipelines, transactions and errors through three drivers. The server is the one
named by TARN_HOST and TARN_PORT; every check has its own statement and says what it got."""

import asyncio
import datetime
import decimal
import importlib.metadata
import os
import threading
import time
import uuid

import asyncpg
import pg8000.dbapi
import psycopg

HOST, PORT = os.environ["TARN_HOST"], int(os.environ["TARN_PORT"])
UTC = datetime.timezone.utc
passed = failed = 0
# Passed and failed by driver, which is the first word of a check's name.
drivers = {"psycopg": [0, 0], "asyncpg": [0, 0], "pg8000": [0, 0]}
EXERCISED = {
    "psycopg": "every type in text and binary, executemany, prepared statements, pipeline, cancel, stream, SQLSTATEs",
    "asyncpg": "every type in binary, prepared statements, cursors in portions",
    "pg8000": "parameters in text",
}

# Every type once: its name in SQL and a value.
VALUES = {
    "boolean": True,
    "smallint": -7,
    "integer": 2147483647,
    "bigint": -9223372036854775808,
    "real": 1.5,
    "double precision": -2.25e300,
    "numeric(20,4)": decimal.Decimal("1234567890.1234"),
    "text": "zwölf ☃ ' \\",
    "date": datetime.date(2026, 2, 28),
    "time": datetime.time(23, 59, 59, 999999),
    "timestamp": datetime.datetime(2026, 2, 28, 23, 59, 59, 999999),
    "timestamptz": datetime.datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
    "bytea": b"\x00\xff'\\",
    "uuid": uuid.UUID("123e4567-e89b-12d3-a456-426614174000"),
}


def check(name, got, expected):
    global passed, failed
    drivers[name.split()[0]][got != expected] += 1
    if got == expected:
        passed += 1
    else:
        failed += 1
        print(f"  {name}: got {got!r}, expected {expected!r}")


def attempt(name, work):
    """Runs one check that must not raise."""
    global failed
    try:
        work()
    except Exception as error:
        failed += 1
        drivers[name.replace("_", " ").split()[0]][1] += 1
        print(f"  {name}: {type(error).__name__}: {error}")


def state(work):
    """The SQLSTATE that a piece of work ends with."""
    try:
        work()
    except psycopg.Error as error:
        return error.sqlstate
    return None


def connect():
    return psycopg.connect(host=HOST, port=PORT, user="tarn", dbname="lake", autocommit=True)


def psycopg_types():
    connection = connect()
    for binary in (False, True):
        for sql_type, value in VALUES.items():
            name = f"psycopg {'binary' if binary else 'text'} {sql_type}"
            cursor = connection.cursor(binary=binary)
            place = "%b" if binary else "%t"

            def ask():
                cursor.execute(f"SELECT {place}::{sql_type} AS v, NULL::{sql_type}", (value,))
                check(name, cursor.fetchone(), (value, None))

            attempt(name, ask)
        cursor = connection.cursor(binary=binary)
        attempt("psycopg array", lambda: check(
            "psycopg array", cursor.execute("SELECT ARRAY['a', 'b c', NULL], ARRAY[1, 2]::bigint[]").fetchone(),
            (["a", "b c", None], [1, 2])))


def psycopg_tables():
    connection = connect()
    connection.execute("CREATE TABLE drivers (id bigint, name text, price numeric(10,2), on_day date)")
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO drivers VALUES (%s, %s, %s, %s)",
            [(n, f"name {n}", decimal.Decimal(n) / 4, datetime.date(2026, 1, n)) for n in range(1, 9)],
        )
    rows = connection.execute("SELECT id, price FROM drivers WHERE id > %s ORDER BY id LIMIT %s", (6, 5)).fetchall()
    check("psycopg insert and select", rows, [(7, decimal.Decimal("1.75")), (8, decimal.Decimal("2.00"))])
    for n in range(1, 9):  # psycopg names the statement after five runs
        row = connection.execute("SELECT name FROM drivers WHERE id = %s AND on_day < %s", (n, "2026-02-01")).fetchone()
        check(f"psycopg prepared, run {n}", row, (f"name {n}",))
    row = connection.execute("SELECT count(*) FROM drivers WHERE id = ANY(%s)", ([1, 2, 99],)).fetchone()
    check("psycopg = ANY", row, (2,))
    cursor = connection.execute("SELECT id, name FROM drivers WHERE false")
    check("psycopg columns of no rows", [column.name for column in cursor.description], ["id", "name"])


def psycopg_errors():
    connection = connect()
    check("psycopg wrong value", state(lambda: connection.execute("SELECT %s::bigint", ("abc",))), "22P02")
    check("psycopg unknown table", state(lambda: connection.execute("SELECT * FROM nothing WHERE id = %s", (1,))), "42P01")
    check("psycopg goes on", connection.execute("SELECT 1").fetchone(), (1,))
    connection.autocommit = False
    check("psycopg in a transaction", state(lambda: connection.execute("SELECT 1 / 0")), "22012")
    check("psycopg aborted", state(lambda: connection.execute("SELECT 1")), "25P02")
    connection.rollback()
    check("psycopg after rollback", connection.execute("SELECT 2").fetchone(), (2,))
    connection.commit()


def psycopg_pipeline():
    connection = connect()
    with connection.pipeline():
        cursors = [connection.execute("SELECT %s::bigint * 2", (n,)) for n in range(20)]
    check("psycopg pipeline", [cursor.fetchone()[0] for cursor in cursors], [n * 2 for n in range(20)])


def psycopg_cancel():
    connection = connect()
    threading.Timer(0.5, connection.cancel).start()
    started = time.monotonic()
    slow = "SELECT count(*) FROM generate_series(1, 100000) a(x), generate_series(1, 10000000) b(y) WHERE x * y % 7 = 3"
    check("psycopg cancel", state(lambda: connection.execute(slow)), "57014")
    check("psycopg cancel is prompt", time.monotonic() - started < 10, True)
    check("psycopg after cancel", connection.execute("SELECT 1").fetchone(), (1,))


def psycopg_sessions():
    """One session sees what another does, stops it, and ends it."""
    watching, other = connect(), connect()
    other.autocommit = False
    slow = "SELECT count(*) FROM generate_series(1, 100000) a(x), generate_series(1, 10000000) b(y) WHERE x * y % 7 = 3"
    pid = other.info.backend_pid
    states = []
    running = threading.Thread(target=lambda: states.append(state(lambda: other.execute(slow))))
    running.start()
    seen = "SELECT state, query FROM pg_stat_activity WHERE pid = %s"
    wait_for(lambda: watching.execute(seen, (pid,)).fetchone() == ("active", slow))
    check("psycopg sees another's statement", watching.execute(seen, (pid,)).fetchone(), ("active", slow))
    check("psycopg cancels another", watching.execute("SELECT pg_cancel_backend(%s)", (pid,)).fetchone(), (True,))
    running.join()
    check("psycopg cancelled by another", states, ["57014"])
    wait_for(lambda: watching.execute(seen, (pid,)).fetchone()[0] != "active")
    after = watching.execute(seen, (pid,)).fetchone()[0]
    check("psycopg sees a failed transaction", after, "idle in transaction (aborted)")
    check("psycopg ends another", watching.execute("SELECT pg_terminate_backend(%s)", (pid,)).fetchone(), (True,))
    wait_for(lambda: watching.execute(seen, (pid,)).fetchone() is None)
    check("psycopg ended", watching.execute(seen, (pid,)).fetchone(), None)
    check("psycopg ended by another", state(lambda: other.execute("SELECT 1")), "57P01")


def wait_for(condition):
    """Until it is so, or ten seconds have passed."""
    until = time.monotonic() + 10
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)


def psycopg_stream():
    connection = connect()
    total = sum(row[0] for row in connection.cursor().stream("SELECT value FROM generate_series(1, 20000) AS g(value)"))
    check("psycopg stream", total, 200010000)


async def asyncpg_all():
    connection = await asyncpg.connect(host=HOST, port=PORT, user="tarn", database="lake")
    for sql_type, value in VALUES.items():
        try:
            check(f"asyncpg {sql_type}", await connection.fetchval(f"SELECT $1::{sql_type}", value), value)
        except Exception as error:
            check(f"asyncpg {sql_type}", f"{type(error).__name__}: {error}", value)
    statement = await connection.prepare("SELECT id, $1::text FROM drivers WHERE id <= $2")
    check("asyncpg prepared", len(await statement.fetch("x", 8)), 8)
    check("asyncpg prepared again", len(await statement.fetch("y", 3)), 3)
    async with connection.transaction():
        count = 0
        async for _ in connection.cursor("SELECT value FROM generate_series(1, 250) AS g(value)", prefetch=100):
            count += 1
        check("asyncpg cursor in portions", count, 250)
    await connection.close()


def pg8000_all():
    connection = pg8000.dbapi.connect(host=HOST, port=PORT, user="tarn", database="lake")
    cursor = connection.cursor()
    cursor.execute("SELECT %s::bigint + 1, %s::text, %s::date", (41, "x", datetime.date(2026, 1, 1)))
    check("pg8000 parameters", list(cursor.fetchone()), [42, "x", datetime.date(2026, 1, 1)])
    cursor.execute("SELECT count(*) FROM drivers")
    check("pg8000 count", list(cursor.fetchone()), [8])
    connection.commit()
    connection.close()


def main():
    psycopg = [psycopg_types, psycopg_tables, psycopg_errors, psycopg_pipeline, psycopg_cancel, psycopg_sessions, psycopg_stream]
    for work in psycopg:
        attempt(work.__name__, work)
    attempt("asyncpg", lambda: asyncio.run(asyncpg_all()))
    attempt("pg8000", pg8000_all)
    for driver, (good, bad) in drivers.items():
        version = importlib.metadata.version(driver)
        print(f"client | {driver} | {version} | {EXERCISED[driver]} | {good} passed, {bad} failed")
    print(f"{passed} passed, {failed} failed")
    raise SystemExit(0 if passed and not failed else 1)


main()
