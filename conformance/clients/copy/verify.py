"""COPY as psql, psycopg and asyncpg do it: what goes in comes out in every format, a transaction takes it back, bad data
leaves nothing, and neither does a client that is killed halfway. The server is the one named by TARN_HOST and
TARN_PORT."""

import asyncio
import datetime
import decimal
import io
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import uuid

import asyncpg
import psycopg

HOST, PORT = os.environ["TARN_HOST"], int(os.environ["TARN_PORT"])
UTC = datetime.timezone.utc
passed = failed = 0

COLUMNS = {
    "flag": "boolean", "small": "integer", "large": "bigint", "single": "real", "twice": "double precision",
    "price": "numeric(12,2)", "wide": "numeric(38,9)", "day": "date", "clock": "time", "at": "timestamp",
    "instant": "timestamptz", "name": "text", "raw": "bytea", "key": "uuid", "tags": "text[]",
}
# The first and the last day are infinity to asyncpg.
ROWS = [
    (True, -2147483648, 2**63 - 1, 1.5, -2.25e300, decimal.Decimal("-1234567890.12"), decimal.Decimal("0.000000001"),
     datetime.date(1, 1, 2), datetime.time(23, 59, 59, 999999), datetime.datetime(2026, 2, 28, 1, 2, 3, 4),
     datetime.datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), "tab\t, \"quotes\", back\\slash\nand ☃", b"\x00\xff\\'",
     uuid.UUID("123e4567-e89b-12d3-a456-426614174000"), ["a", "b c", None, "d\"e\\,{}"]),
    (None,) * 15,
    (False, 0, 0, 0.0, 0.1, decimal.Decimal("0.00"), decimal.Decimal("99999999999999999999999999999.999999999"),
     datetime.date(9999, 12, 30), datetime.time(0), datetime.datetime(1970, 1, 1),
     datetime.datetime(2026, 7, 1, 12, 0, 0, 500000, tzinfo=UTC), "", b"", uuid.UUID(int=0), []),
]


def check(name, got, expected):
    global passed, failed
    if got == expected:
        passed += 1
    else:
        failed += 1
        print(f"  {name}: got {got!r}, expected {expected!r}")


def attempt(name, work):
    """Runs checks that must not raise."""
    global failed
    try:
        work()
    except Exception as error:
        failed += 1
        print(f"  {name}: {type(error).__name__}: {error}")


def connect():
    return psycopg.connect(host=HOST, port=PORT, user="tarn", dbname="lake", autocommit=True)


def psql(*arguments, stdin=None):
    environment = dict(os.environ, PGHOST=HOST, PGPORT=str(PORT), PGUSER="tarn", PGDATABASE="lake", PSQLRC="/dev/null")
    done = subprocess.run(["psql", "-X", "-At", *arguments], env=environment, input=stdin, capture_output=True)
    return (done.stdout + done.stderr).decode()


def error_of(work):
    """The SQLSTATE and context that a piece of work ends with."""
    try:
        work()
    except psycopg.Error as error:
        return error.sqlstate, error.diag.context
    return None


def make(name):
    columns = ", ".join(f"{column} {kind}" for column, kind in COLUMNS.items())
    connection = connect()
    connection.execute(f"CREATE TABLE {name} (id bigint, {columns})")
    return connection


def everything(connection, name):
    return [row[1:] for row in connection.execute(f"SELECT * FROM {name} ORDER BY id").fetchall()]


def psql_formats():
    connection = make("shelf")
    with connection.cursor().copy("COPY shelf FROM STDIN") as copy:
        for number, row in enumerate(ROWS):
            copy.write_row((number, *row))
    check("psycopg rows in", everything(connection, "shelf"), ROWS)
    with tempfile.TemporaryDirectory() as folder:
        for number, (out, back) in enumerate([
            ("", ""),
            ("CSV HEADER", "WITH CSV HEADER"),
            ("(FORMAT csv, HEADER, DELIMITER ';', NULL 'none', FORCE_QUOTE *)",
             "(FORMAT csv, HEADER match, DELIMITER ';', NULL 'none', FORCE_NULL (flag, small, large, single, twice, price, "
             "wide, day, clock, at, instant, name, raw, key, tags))"),
            ("DELIMITER '|' NULL '-'", "DELIMITERS '|' WITH NULL AS '-'"),
            ("WITH BINARY", "(FORMAT \"binary\")"),
        ]):
            file = pathlib.Path(folder, "rows")
            check(f"\\copy out {out}", psql("-c", f"\\copy shelf TO '{file}' {out}"), "COPY 3\n")
            table = f"shelf_{number}"
            make(table).close()
            check(f"\\copy in {back}", psql("-c", f"\\copy {table} FROM '{file}' {back}"), "COPY 3\n")
            check(f"\\copy there and back {out}", everything(connection, table), ROWS)
    check("psql data in the script", psql("-q", "-f", "-", stdin=b"CREATE TABLE inline (a bigint, b text);\n"
          b"COPY inline FROM stdin;\n1\tone\n2\t\\N\n\\.\nSELECT count(*), count(b) FROM inline;\n"), "2|1\n")
    message = psql("-c", "COPY inline FROM STDIN", stdin=b"3\tthree\nx\tfour\n")
    check("psql context of an error", message,
          "ERROR:  invalid input syntax for type bigint: \"x\"\nCONTEXT:  COPY inline, line 2, column a: \"x\"\n")
    check("psql bad data leaves nothing", psql("-c", "SELECT count(*) FROM inline"), "2\n")


def psycopg_blocks():
    connection = make("blocks")
    names = ["int8", "bool", "int4", "int8", "float4", "float8", "numeric", "numeric", "date", "time", "timestamp",
             "timestamptz", "text", "bytea", "uuid", "text[]"]
    with connection.cursor().copy("COPY blocks FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(names)
        for number, row in enumerate(ROWS):
            copy.write_row((number, *row))
    check("psycopg binary rows in", everything(connection, "blocks"), ROWS)
    for format in ("text", "binary"):
        with connection.cursor().copy(f"COPY (SELECT * FROM blocks ORDER BY id) TO STDOUT (FORMAT {format})") as copy:
            copy.set_types(names)
            check(f"psycopg {format} rows out", [row[1:] for row in copy.rows()], ROWS)
    with connection.cursor().copy("COPY blocks TO STDOUT (FORMAT csv)") as copy:
        blocks = [bytes(block) for block in copy]
    check("one message for each row", len(blocks), 3)
    cursor = connection.cursor()
    with cursor.copy("COPY blocks (id, name) FROM STDIN (FORMAT csv) WHERE id > 10") as copy:
        copy.write(b"10,ten\n11,eleven\n12,")
        copy.write(b"twelve")
    check("psycopg count of rows", (cursor.rowcount, cursor.statusmessage), (2, "COPY 2"))
    check("columns that do not come", connection.execute(
        "SELECT name, flag, tags FROM blocks WHERE id > 10 ORDER BY id").fetchall(),
        [("eleven", None, None), ("twelve", None, None)])


def psycopg_transactions():
    connection = connect()
    connection.execute("CREATE TABLE held (a bigint NOT NULL, b text)")
    count = lambda: connection.execute("SELECT count(*) FROM held").fetchone()[0]

    def copy(data, options=""):
        with connection.cursor().copy(f"COPY held FROM STDIN {options}") as into:
            into.write(data)

    class Undone(Exception):
        pass

    try:
        with connection.transaction():
            copy("1\tone\n2\ttwo\n")
            check("a transaction sees its own copy", count(), 2)
            raise Undone
    except Undone:
        pass
    check("a rollback takes a copy back", count(), 0)
    with connection.transaction():
        connection.execute("INSERT INTO held VALUES (1, 'one')")
        copy("2\ttwo\n", "(FREEZE)")
    check("a commit keeps it", count(), 2)

    def fails_itself():
        with connection.cursor().copy("COPY held FROM STDIN") as into:
            into.write("3\tthree\n")
            raise Undone

    try:
        fails_itself()
    except Undone:
        pass
    check("a client that gives up leaves nothing", count(), 2)
    for data, options, expected in [
        ("3\n", "", ("22P04", 'COPY held, line 1: "3"')),
        ("3\tc\td\n", "", ("22P04", 'COPY held, line 1: "3\tc\td"')),
        ("3\tc\nx\td\n", "", ("22P02", 'COPY held, line 2, column a: "x"')),
        ("a,c\n", "(FORMAT csv, HEADER match)", ("22P04", 'COPY held, line 1: "a,c"')),
        ('3,"c\n', "CSV", ("22P04", 'COPY held, line 1: "3,"c\n"')),
        (b"nonsense", "BINARY", ("22P04", None)),
    ]:
        got = error_of(lambda: copy(data, options))
        check(f"bad data {data!r} {options}", got if expected[1] else (got[0], None), expected)
    check("an error of the table", error_of(lambda: copy("\\N\tc\n"))[0], "23502")
    check("bad data leaves nothing", count(), 2)


def killed_halfway():
    """A client that copies without end is killed; nothing of it may be left, in the table or as a file."""
    connection = connect()
    connection.execute("CREATE TABLE halfway (a bigint, b text)")
    endless = "while true; do seq -f '%.0f,row' 1 100000; done"
    environment = dict(os.environ, PGHOST=HOST, PGPORT=str(PORT), PGUSER="tarn", PGDATABASE="lake")
    client = subprocess.Popen(
        ["bash", "-c", f"({endless}) | psql -X -c 'COPY halfway FROM STDIN CSV'"], env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    time.sleep(2)
    os.killpg(client.pid, signal.SIGKILL)
    client.wait()
    folder = pathlib.Path(os.environ["TARN_DATA"], "warehouse")
    files = lambda: [str(path) for path in folder.glob("public/halfway*/**/*.parquet")]
    for _ in range(200):
        if not files():
            break
        time.sleep(0.05)
    check("files of a copy that was killed", files(), [])
    check("rows of a copy that was killed", connection.execute("SELECT count(*) FROM halfway").fetchone(), (0,))


async def asyncpg_records():
    connection = await asyncpg.connect(host=HOST, port=PORT, user="tarn", database="lake")
    columns = ", ".join(f"{column} {kind}" for column, kind in COLUMNS.items())
    await connection.execute(f"CREATE TABLE records (id bigint, {columns})")
    rows = [(number, *row) for number, row in enumerate(ROWS)]
    check("asyncpg records in", await connection.copy_records_to_table("records", records=rows), "COPY 3")
    got = [tuple(row) for row in await connection.fetch("SELECT * FROM records ORDER BY id")]
    check("asyncpg rows", got, rows)
    out = io.BytesIO()
    tag = await connection.copy_from_query("SELECT id, name FROM records WHERE id < $1 ORDER BY id", 2,
                                           output=out, format="csv", header=True)
    check("asyncpg query out", (tag, out.getvalue().decode().splitlines()[0]), ("COPY 2", "id,name"))
    whole = io.BytesIO()
    check("asyncpg table out", await connection.copy_from_table("records", output=whole, format="binary"), "COPY 3")
    whole.seek(0)
    check("asyncpg table in", await connection.copy_to_table("records", source=whole, format="binary"), "COPY 3")
    many = ((number, f"name {number}") for number in range(200_000))
    await connection.execute("CREATE TABLE many (id bigint, name text)")
    check("asyncpg many", await connection.copy_records_to_table("many", records=many), "COPY 200000")
    totals = await connection.fetchrow("SELECT count(*), sum(id)::bigint, max(name) FROM many")
    check("asyncpg totals", tuple(totals), (200000, 199999 * 100000, "name 99999"))
    try:
        async with connection.transaction():
            await connection.copy_records_to_table("many", records=[(1, "x")])
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    check("asyncpg rollback", await connection.fetchval("SELECT count(*) FROM many"), 200000)
    await connection.close()


def main():
    for work in (psql_formats, psycopg_blocks, psycopg_transactions, killed_halfway):
        attempt(work.__name__, work)
    attempt("asyncpg", lambda: asyncio.run(asyncpg_records()))
    print(f"{passed} passed, {failed} failed")
    raise SystemExit(0 if passed and not failed else 1)


main()
