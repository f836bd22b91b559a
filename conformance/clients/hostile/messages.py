"""Malformed messages of every type in every state of a session, texts that are deep or wide, broken copies, and messages
of which only a part comes."""

import random
import struct
import time

from wire import COPY_DONE, FLUSH, SYNC, TERMINATE, bind, describe, execute, message, parse, query

FRONTEND = b"QPBDECHSXdcfpF"
# What only a server says, and what nobody does.
UNKNOWN = b"RZTn1\0\xff!"
TABLE = "CREATE TABLE IF NOT EXISTS hostile_rows (id bigint, name text, at timestamp, price numeric(10,2), tags text[])"
COPY_FAIL = message(b"f", b"given up\0")

# How a session is brought into each state; the answer is read up to a message of these kinds.
STATES = {
    "idle": (b"", ""),
    "in a transaction": (query("BEGIN"), "Z"),
    "in a failed transaction": (query("BEGIN; SELECT 1 / 0"), "Z"),
    "after an error before Sync": (parse("SELEKT") + FLUSH, "E"),
    "with a portal half read": (query("BEGIN") + parse("SELECT x FROM generate_series(1, 9) AS g(x)") + bind(portal=b"p") + execute(2, b"p") + FLUSH, "s"),
    "in a copy": (query("COPY hostile_rows FROM STDIN"), "G"),
    "in a binary copy": (parse("COPY hostile_rows FROM STDIN (FORMAT binary)") + bind() + execute() + FLUSH, "G"),
}
BODIES = [
    b"", b"\0", b"\0\0", b"S", b"Sname", b"X\0", b"no end", b"\xff\xfe\0", b"SELECT 1\0", b"SELECT 1\0more",
    b"p\0s\0\xff\xff", b"\0\0\0\1\0\1\x7f\xff\xff\xff", b"\0\0\0\0\xff\xff", b"\0\0\0\0\0\1\xff\xff\xff\xfe",
    b"\0SELECT $1\0\xff\xff\0\0\0\x17", b"\0\xff\xff\xff\xff", bytes(random.Random(7).randbytes(60)),
]
LENGTHS = [0, 3, -1, -(2**31), 2**31 - 1]


def enter(server, state):
    wire = server.session()
    preparation, end = STATES[state]
    if preparation:
        wire.send(preparation)
        told = wire.shape(*end)
        if told[-1] == "gone":
            raise AssertionError(f"{state}: {told}")
    return wire


def every_kind(server, check):
    """Each type with each body in each state: the session goes on as the protocol says, or ends with 08P01."""
    server.witness.ask(TABLE)
    for state in STATES:
        for kind in FRONTEND:
            for body in BODIES:
                with enter(server, state) as wire:
                    wire.send(message(bytes([kind]), body) + COPY_FAIL + SYNC + query("ROLLBACK") + query("SELECT 1") + TERMINATE)
                    try:
                        told = wire.shape("\0")
                    except TimeoutError:
                        told = ["no end"]
                    fatal = told == ["gone"] if kind == ord("X") else told[-2:] == ["E 08P01", "gone"]
                    alive = told[-3:] == ["C", "Z I", "gone"]
                    bad = [one for one in told if one.startswith(("E XX", "E 58"))]
                    check(f"{chr(kind)} {body!r} {state}: {told}", (fatal or alive, bad), (True, []))
        for kind in FRONTEND + UNKNOWN:
            for length in LENGTHS if kind in FRONTEND else [4]:
                with enter(server, state) as wire:
                    wire.send(bytes([kind]) + struct.pack("!i", length) + b"more of it")
                    check(f"{chr(kind)} of length {length} {state}", wire.shape("\0")[-2:], ["E 08P01", "gone"])
    check("nothing was written", server.witness.value("SELECT count(*) FROM hostile_rows"), "0")


def counts_that_lie(server, check):
    """Texts that are deep, wide or expensive to read: an error or an answer, and the session goes on."""
    deep = 60_000
    texts = {
        "parentheses": "SELECT " + "(" * deep + "1" + ")" * deep,
        "open parentheses": "SELECT " + "(" * deep,
        "signs": "SELECT " + "- " * deep + "1",
        "not": "SELECT " + "NOT " * deep + "true",
        "sum": "SELECT 1" + " + 1" * deep,
        "and": "SELECT true" + " AND true" * deep,
        "comparisons": "SELECT 1" + " = 1" * deep,
        "concatenation": "SELECT 'a'" + " || 'a'" * deep,
        "casts": "SELECT 1" + "::int" * deep,
        "subscripts": "SELECT x" + "[1]" * deep,
        "names": "SELECT " + ".".join("a" * 10000),
        "case": "SELECT " + "CASE WHEN true THEN " * deep + "1" + " END" * deep,
        "functions": "SELECT " + "abs(" * deep + "1" + ")" * deep,
        "arrays": "SELECT " + "ARRAY[" * deep + "1" + "]" * deep,
        "subqueries": "SELECT * FROM " + "(SELECT * FROM " * 5000 + "t" + ") AS t" * 5000,
        "exists": "SELECT " + "EXISTS (SELECT " * 5000 + "1" + ")" * 5000,
        "unions": "SELECT 1" + " UNION ALL SELECT 1" * 5000,
        "joins": "SELECT 1 FROM " + "(" * 5000 + "t" + " JOIN t ON true)" * 5000,
        "withs": "WITH a AS (" * 5000 + "SELECT 1" + ") SELECT 1" * 5000,
        "statements": "SELECT 1;" * 300,
        "semicolons": ";" * 200_000,
        "columns": "SELECT " + ", ".join(["1"] * 3000),
        "a list": "SELECT 1 IN (" + ", ".join(["1"] * 20_000) + ")",
        "a name": 'SELECT 1 AS "' + "n" * 1_000_000 + '"',
        "a number": "SELECT " + "9" * 200_000,
        "an exponent": "SELECT 1e999999999, 1e-999999999",
        "a string": "SELECT length('" + "x" * 1_000_000 + "')",
        "an open string": "SELECT '" + "x" * 1_000_000,
        "an open comment": "SELECT 1 " + "/*" * deep,
        "dollars": "SELECT " + "$a$" * 100_001,
        "a parameter": "SELECT $99999999999999999999",
        "nested JSON": "SELECT '" + "[" * deep + "'::json",
        "nested JSON that ends": "SELECT ('" + "[" * deep + "]" * deep + "'::json) -> 0",
        "a nested array": "SELECT '" + "{" * deep + "'::int[]",
        "a pattern": "SELECT repeat('a', 100000) ~ '(a*)*b'",
        "nested groups": "SELECT 'a' ~ '" + "(" * deep + "'",
        "repeated repetition": "SELECT 'a' ~ '((((a{1,100}){1,100}){1,100}){1,100})'",
        "LIKE": "SELECT repeat('a', 10000) LIKE '" + "%a" * 2000 + "b'",
        "explain": "EXPLAIN " * 10_000 + "SELECT 1",
        "a type": "SELECT NULL::" + "int" + "[]" * deep,
        "intervals": "SELECT interval '" + "1 day " * 100_000 + "'",
        "a date": "SELECT '" + "9" * 100_000 + "-01-01'::date",
    }
    wire = server.session()
    wire.ask("SET statement_timeout = '5s'")
    for name, sql in texts.items():
        for messages in (query(sql), parse(sql) + describe(b"S") + SYNC):
            started = time.monotonic()
            wire.socket.settimeout(30)
            wire.send(messages)
            told = wire.shape()
            seconds = time.monotonic() - started
            bad = [one for one in told if one.startswith("E XX") or one == "gone"]
            check(f"{name}: {told[-2:]} in {seconds:.1f} s", (bad, told[-1], seconds < 15), ([], "Z I", True))
            if told[-1] == "gone":
                wire = server.session()
    wire.socket.close()
    wire = server.session()
    many = struct.pack("!H", 65535)
    for name, lie in {
        "65,535 types": message(b"P", b"\0SELECT 1\0" + many + struct.pack("!I", 23) * 65535),
        "65,535 types that are not there": message(b"P", b"\0SELECT 1\0" + many),
        "65,535 parameters": message(b"B", b"\0\0\0\0" + many + b"\xff\xff\xff\xff" * 65535 + b"\0\0"),
        "65,535 parameters that are not there": message(b"B", b"\0\0\0\0" + many),
        "65,535 formats": message(b"B", b"\0\0" + many + b"\0\1" * 65535 + b"\0\0\0\0"),
        "65,535 formats of results": message(b"B", b"\0\0\0\0\0\0" + many + b"\0\1" * 65535),
        "a long name": message(b"D", b"S" + b"n" * 9000 + b"\0"),
        "a portal that is not there": execute(-1, b"none"),
    }.items():
        wire.send(parse("SELECT 1") + lie + SYNC)
        told = wire.shape()
        check(f"{name}: {told}", (told[-1], [one for one in told if one.startswith("E XX")]), ("Z I", []))
    wire.send(parse("SELECT 1") + b"".join(bind(portal=str(number).encode()) for number in range(5000)) + SYNC)
    check("5,000 portals", wire.shape()[-1], "Z I")
    wire.socket.close()


SIGNATURE = b"PGCOPY\n\xff\r\n\0"


def broken_data():
    """Data of a copy that is none, by format."""
    header = SIGNATURE + struct.pack("!ii", 0, 0)
    row = struct.pack("!h", 5) + b"\xff\xff\xff\xff" * 5
    return {
        "text": [
            b"1\n", b"1\tb\tc\td\te\n", b"1\t\\N\t\\N\t\\N\t\\N\textra\n", b"\xff\xfe\n", b"1\ta\0b\t\\N\t\\N\t\\N\n", b"\\", b"1\t\\",
            b"1\t\\x\\777\t\\N\t\\N\t\\N\n" * 3 + b"x\n", b"\\.more\n", b"\\\\.\n", b"1\t\\N\t\\N\t\\N\t{{{{\n", b"\r1\r\n",
            b"1\t\\N\t\\N\t\\N\t" + b"{" * 100_000 + b"\n", b"9" * 100_000 + b"\t\\N\t\\N\t\\N\t\\N\n", b"x" * (3 << 20),
            b"1\t\\N\t294277-01-01 00:00:00\t\\N\t\\N\n", b"1\t\\N\t\\N\t1e999999999\t\\N\n", b"1\t\\N\t\\N\t" + b"9" * 50_000 + b"\t\\N\n",
        ],
        "csv": [
            b'"', b'1,"a', b'1,"a"b"c,,,\n', b"1\n", b"1,2,3,4,5,6\n", b"\xff,,,,\n", b'"' * 100_001, b"," * 100_000, b'1,"' + b"x" * (3 << 20),
            b"1,a,,,\r2,b,,,\n", b"1,a,0000-00-00,,\n",
        ],
        "binary": [
            b"", b"PGCOPY", SIGNATURE, SIGNATURE + struct.pack("!iI", 0, 0x7fffffff), SIGNATURE + struct.pack("!ii", 0, -1),
            SIGNATURE + struct.pack("!Ii", 0xffffffff, 0), header + b"\xff", header + struct.pack("!h", -2), header + struct.pack("!h", 4),
            header + struct.pack("!h", 0), header + row[:7], header + struct.pack("!hi", 5, 2**31 - 1), header + struct.pack("!hi", 5, -2),
            header + struct.pack("!hi", 5, 3) + b"abc", header + struct.pack("!hi", 5, 0) + b"\xff\xff\xff\xff" * 4,
            header + struct.pack("!hi", 5, 1 << 20) + b"x" * (1 << 20), header + row + b"\xff\xff" + row,
            header + row[:18] + struct.pack("!i", 12) + struct.pack("!iii", 100_000, 0, 25),
            header + row[:18] + struct.pack("!i", 20) + struct.pack("!iiiii", 1, 0, 25, 2**31 - 1, 1),
            header + row[:18] + struct.pack("!i", 20) + struct.pack("!iiiii", 1, 0, 25, -1, 1),
            header + row[:14] + struct.pack("!i", 8) + struct.pack("!hhhh", 32767, 32767, 0, 32767) + b"\xff\xff\xff\xff",
            header + row[:14] + struct.pack("!i", 8) + struct.pack("!HhHH", 0xffff, 0, 1, 0xffff) + b"\xff\xff\xff\xff",
            header + row[:10] + struct.pack("!iq", 8, -(2**63)) + b"\xff\xff\xff\xff" * 2,
        ],
    }


def copies(server, check):
    """A copy of broken data leaves nothing, whole or in pieces, and neither does one that is broken off."""
    server.witness.ask(TABLE)
    wire = server.session()
    for form, datas in broken_data().items():
        for data in datas:
            for size in (len(data) or 1, 7 if len(data) < 200_000 else 70_000):
                pieces = b"".join(message(b"d", data[at:at + size]) for at in range(0, len(data), size))
                wire.send(query(f"BEGIN; COPY hostile_rows FROM STDIN (FORMAT {form}); ROLLBACK") + pieces + COPY_DONE + SYNC)
                told = wire.shape() + wire.shape()
                bad = [one for one in told if one.startswith("E XX") or one == "gone"]
                check(f"{form} {data[:40]!r} in pieces of {size}: {told}", bad, [])
                wire.ask("ROLLBACK")
    for end in (b"", TERMINATE, COPY_FAIL, query("SELECT 1"), message(b"f"), message(b"f", b"\xff"), b"d\0\0", message(b"B"), message(b"p", b"x\0")):
        broken = server.session()
        broken.send(query("COPY hostile_rows FROM STDIN") + message(b"d", b"1\ta\t\\N\t\\N\t\\N\n" * 1000) + end)
        broken.finish()
        broken.shape("\0")
        broken.socket.close()
    check("a copy that is broken off leaves nothing", server.witness.value("SELECT count(*) FROM hostile_rows"), "0")
    wire.send(message(b"d", b"nobody asked") * 1000 + COPY_DONE + COPY_FAIL + query("SELECT 1"))
    check("data that nobody asked for", wire.shape(), ["T", "C", "Z I"])
    wire.socket.close()


def half_sent(server, check):
    """Memory grows with what has come, not with what a length says; and a message that does not come delays nobody."""
    before = server.memory()
    wires = [server.session() for _ in range(40)]
    for number, wire in enumerate(wires):
        wire.send(bytes([b"QPBd"[number % 4]]) + struct.pack("!i", 64 << 20) + b"x" * (256 << 10))
    time.sleep(0.5)
    check("memory for 40 messages of 64 MiB that have begun", server.memory() - before < 100 << 20, True)
    check("others are answered", server.answers()[0], True)
    for wire in wires:
        wire.socket.close()
