"""A fuzzer of everything that reads what a client sends, through the socket: FUZZ_SECONDS (60) for each target, from
FUZZ_SEED (1); FUZZ_TARGETS names some of them. No answer may be an internal error, no session may hang or end that
should go on, and the server must live. What fails is printed whole, and is found again by its seed and number.

It mutates good input and does not watch which code is reached. It sees in return what a fuzzer of single functions
cannot: the types and names that a text meets in the catalog, stacks, memory, and what a session does after an error. A
build without optimisation checks every sum for overflow."""

import os
import pathlib
import random
import re
import struct
import sys
import tempfile
import time

import messages
import mutations
from server import Server
from wire import COPY_DONE, SYNC, Scram, describe, execute, fields_of, message, packet, parse, query, startup

SECONDS = float(os.environ.get("FUZZ_SECONDS", "60"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "slt"
# How long one input may take; a build without optimisation and a busy machine are the slowest case.
INPUT_SECONDS = 30
BATCH = 40

TYPES = [
    "bool", "int2", "int4", "int8", "float4", "float8", "numeric", "numeric(10,2)", "text", "date", "time", "timestamp",
    "timestamptz", "bytea", "uuid", "json", "int8[]", "text[]", "float8[]", "timestamp[]", "numeric[]", "bool[]", "interval",
]
VALUES = {
    "bool": b"t", "int2": b"-7", "int4": b"2147483647", "int8": b"-9223372036854775808", "float4": b"1.5e10", "float8": b"-Infinity",
    "text": "zwölf ☃".encode(), "date": b"2026-02-28", "time": b"23:59:59.999999", "timestamp": b"2026-02-28 23:59:59.999999",
    "timestamptz": b"1969-12-31 23:59:59+05:30", "bytea": b"\\x00ff27", "uuid": b"123e4567-e89b-12d3-a456-426614174000",
    "json": b'{"a": [1, 2.5e3, null, "\\u00e4"]}', "interval": b"1 year 2 mons -3 days 04:05:06.5",
}
BINARY = {
    "bool": b"\1", "int2": b"\xff\xf9", "int4": b"\0\0\0\7", "int8": struct.pack("!q", -5), "float4": struct.pack("!f", 1.5), "float8": struct.pack("!d", 2.5),
    "text": b"text", "date": struct.pack("!i", 9000), "time": struct.pack("!q", 86399 * 10**6), "timestamp": struct.pack("!q", 8 * 10**14),
    "timestamptz": struct.pack("!q", -1), "bytea": b"\0\xff", "uuid": bytes(range(16)), "json": b"[1]", "interval": struct.pack("!qii", 1, 2, 3),
}
NUMERIC = struct.pack("!hhhh4h", 4, 1, 0, 4, 1234, 5678, 9000, 1)
COPIES = {
    "text": b"1\tname\t2026-01-02 03:04:05.678\t12.50\t{a,\"b c\",NULL}\n\\N\t\\N\t\\N\t\\N\t\\N\n-7\ttab\\t and \\x41 \\101\t1969-12-31 00:00:00\t-0.5\t{}\n",
    "csv": b'1,name,2026-01-02 03:04:05.678,12.50,"{a,""b c"",NULL}"\n,,,,\n-7,"quotes "" and\nlines",1969-12-31,-0.5,{}\n',
    "binary": messages.SIGNATURE + bytes(8) + (
        struct.pack("!hiq", 5, 8, 1) + struct.pack("!i4s", 4, b"name") + struct.pack("!iq", 8, 8 * 10**14) + struct.pack("!i", len(NUMERIC)) + NUMERIC
        + struct.pack("!iiiiii", 29, 1, 1, 25, 2, 1) + struct.pack("!i1s", 1, b"a") + struct.pack("!i", -1)) * 2 + b"\xff\xff",
}
FORMS = {
    "text": ["text", "text, NULL ''", "text, DELIMITER '|'"],
    "csv": ["csv", "csv, HEADER", "csv, QUOTE '|', ESCAPE '\\'", "csv, FORCE_NULL (name)"],
    "binary": ["binary"],
}


def statements():
    """Every statement of the scripts that are tests of their own."""
    found = []
    for path in sorted(SCRIPTS.rglob("*.slt")):
        for part in re.split(r"\n\s*\n", path.read_text()):
            lines = [line for line in part.splitlines() if not line.startswith("#")]
            if lines and re.match(r"(statement|query)\b", lines[0]):
                sql = "\n".join(lines[1:]).split("\n----")[0].strip()
                if 0 < len(sql) < 2000:
                    found.append(sql)
    return found


def tokens(sql):
    return re.findall(r"'(?:[^']|'')*'|\"[^\"]*\"|[A-Za-z_][A-Za-z_0-9.]*|[0-9]+(?:\.[0-9]+)?|\s+|::|.", sql, re.S)


def changed_sql(chance, all_tokens):
    """One statement with words left out, doubled, exchanged, or taken from another."""
    words = list(chance.choice(all_tokens))
    for _ in range(chance.randint(1, 5)):
        other = chance.choice(all_tokens)
        at, there = chance.randrange(len(words)), chance.randrange(len(other))
        match chance.randrange(7):
            case 0:
                del words[at:at + chance.randint(1, 4)]
            case 1:
                words[at:at] = words[at:at + chance.randint(1, 6)] * chance.choice([1, 1, 2, 20])
            case 2 | 3:
                words[at] = other[there]
            case 4:
                words[at:at] = other[there:there + chance.randint(1, 12)]
            case 5:
                words[at:] = other[there:]
            case 6:
                words[at] = chance.choice(["$1", "$2", "NULL", "''", "(", ")", "-1", "9223372036854775807", "0.1e309", "'\\'", "*", "[1]", "::text", "::int", "::timestamp"])
        words = words or ["SELECT"]
    sql = "".join(words)[:4000].replace("\0", "")
    if chance.randrange(8) == 0:
        sql = mutations.changed_bytes(chance, sql.encode()).replace(b"\0", b"?").decode(errors="ignore")
    return sql


class Fuzzer:
    def __init__(self, server):
        self.server, self.failures = server, []
        self.wire = None

    def session(self):
        if self.wire is None:
            self.wire = self.server.session()
            self.wire.ask("SET statement_timeout = '5s'")
            self.wire.socket.settimeout(INPUT_SECONDS)
        return self.wire

    def fail(self, target, number, given, told):
        self.failures.append((target, number))
        print(f"  {target}, seed {SEED}, number {number}: {told}\n    {given!r}", flush=True)
        self.wire = None

    def converse(self, target, number, inputs, ends):
        """Sends several inputs, each of which ends with as many ReadyForQuery as `ends` tells, and looks at the answers."""
        wire = self.session()
        wire.send(b"".join(data for _, data in inputs))
        for given, _ in inputs:
            told = []
            try:
                for _ in range(ends):
                    for kind, body in wire.until("Z"):
                        if kind == "E" and fields_of(body)["C"].startswith("XX"):
                            told.append(fields_of(body)["M"])
                        if kind == "gone":
                            return self.fail(target, number, given, "the session is gone")
            except TimeoutError:
                return self.fail(target, number, given, f"no answer in {INPUT_SECONDS} s")
            if told:
                self.fail(target, number, given, told)
                return None
        return None

    def alone(self, target, number, data, patience=INPUT_SECONDS):
        """Sends an input on a connection of its own, whose end must come; gives the answers in short."""
        with self.server.dial(patience=patience) as wire:
            wire.send(data)
            try:
                wire.gather(quiet_seconds=0.05)
                told = wire.shape("\0")
            except TimeoutError:
                return self.fail(target, number, data, "no end")
            if any(one.startswith("E XX") for one in told):
                self.fail(target, number, data, told)
            return told


def opening(fuzzer, chance, number):
    """Start-up packets, with settings of every kind."""
    more = {chance.choice(["application_name", "options", "DateStyle", "client_encoding", "TimeZone", "search_path", "_pq_.x", "replication"]):
            chance.choice(["x", "-c statement_timeout=5s", "--search-path=a,\\ b", "ISO", "'utf-8'", "UTC", "true", "\\", "ä"]) for _ in range(3)}
    good = startup(user=chance.choice(["tarn", "anna", "nobody"]), **more)
    broken = mutations.changed_bytes(chance, good)
    data = packet(broken[4:]) if chance.randrange(2) else broken
    fuzzer.alone("opening", number, data + SYNC)


def stream(fuzzer, _chance, number):
    """Whole sessions."""
    fuzzer.alone("stream", number, mutations.session(SEED * 1_000_000 + number))


def scram(fuzzer, chance, number):
    """Exchanges with the right password in which one message is broken: nobody is let in, unless nothing was broken that
    matters."""
    with fuzzer.server.dial(patience=INPUT_SECONDS) as wire:
        wire.send(startup(user="anna"))
        wire.shape("R")
        exchange = Scram("correct horse")
        first = exchange.initial()
        broken_first = number % 2 == 0
        if broken_first:
            first = mutations.changed_body(chance, first)
        wire.send(first)
        told = wire.until("R", "E")
        if told[-1][0] == "R" and not broken_first:
            exchange.challenged(told[-1][1])
            good = exchange.final().encode()
            broken = mutations.changed_bytes(chance, good)
            wire.send(message(b"p", broken))
            told = wire.until("R", "E")
            if told[-1][0] == "R" and broken != good:
                fuzzer.fail("scram", number, broken, "let in")
        for kind, body in told:
            if kind == "E" and fields_of(body)["C"] not in ("08P01", "28P01"):
                fuzzer.fail("scram", number, first, fields_of(body))


def sql(fuzzer, chance, number):
    """Statements, parsed, resolved and planned, and not executed."""
    texts = [changed_sql(chance, fuzzer.all_tokens) for _ in range(BATCH)]
    fuzzer.converse("sql", number, [(text, parse(text) + describe(b"S") + SYNC) for text in texts], 1)


def parameters(fuzzer, chance, number):
    """Values of every type in text and binary, also within lists."""
    inputs = []
    for _ in range(BATCH):
        name = chance.choice(TYPES)
        element = name.removesuffix("[]").split("(")[0]
        binary = chance.randrange(2)
        value = (BINARY if binary else VALUES).get(element, NUMERIC if binary else b"-12345.678900")
        if name.endswith("[]") and binary:
            oid = {"int8": 20, "text": 25, "float8": 701, "timestamp": 1114, "numeric": 1700, "bool": 16}[element]
            value = struct.pack("!iiIii", 1, 1, oid, 2, 1) + struct.pack("!i", len(value)) + value + struct.pack("!i", -1)
        elif name.endswith("[]"):
            value = b"{" + value.replace(b'"', b"") + b",NULL}"
        value = mutations.changed_bytes(chance, value)
        bound = b"\0\0" + struct.pack("!hhhi", 1, binary, 1, len(value)) + value + struct.pack("!hh", 1, chance.randrange(2))
        inputs.append(((name, binary, value), parse(f"SELECT $1::{name}") + message(b"B", bound) + execute() + SYNC))
    fuzzer.converse("parameters", number, inputs, 1)


def copy(fuzzer, chance, number):
    """Data of copies in every format, in pieces of any size; the transaction takes back what was right."""
    inputs = []
    for _ in range(10):
        form = chance.choice(list(COPIES))
        data = mutations.changed_bytes(chance, COPIES[form])
        size = chance.choice([1, 7, 64, len(data)])
        pieces = b"".join(message(b"d", data[at:at + size]) for at in range(0, len(data), size))
        options = chance.choice(FORMS[form])
        sql = f"BEGIN; COPY hostile_rows FROM STDIN ({'FORMAT ' + options}); ROLLBACK"
        inputs.append(((options, size, data), query(sql) + pieces + COPY_DONE + query("ROLLBACK")))
    fuzzer.converse("copy", number, inputs, 2)


TARGETS = [opening, stream, scram, sql, parameters, copy]
TABLES = [
    messages.TABLE,
    "CREATE ROLE anna LOGIN PASSWORD 'correct horse'",
    "CREATE TABLE t (id int, n numeric(5,2), r real, at date, s text, name text, v bigint, a int, b text, tags text[])",
    "CREATE TABLE u (id int, d int, name text)",
]


def main(binary):
    named = os.environ.get("FUZZ_TARGETS", "").split()
    targets = [target for target in TARGETS if not named or target.__name__ in named]
    with tempfile.TemporaryDirectory(prefix="tarn-fuzz") as folder:
        server = Server(binary, folder)
        fuzzer = Fuzzer(server)
        fuzzer.all_tokens = [tokens(text) for text in statements()]
        for table in TABLES:
            server.witness.ask(table)
        passed = failed = 0
        try:
            for target in targets:
                started, number = time.monotonic(), 0
                before, seen = len(fuzzer.failures), len(server.bugs())
                while time.monotonic() - started < SECONDS and len(fuzzer.failures) - before < 20 and server.process.poll() is None:
                    target(fuzzer, random.Random(f"{SEED} {target.__name__} {number}"), number)
                    number += 1
                fuzzer.wire = None
                bugs = server.bugs()[seen:]
                lives = server.process.poll() is None and server.answers()[0] and not server.settled()
                good = lives and not bugs and len(fuzzer.failures) == before and number > 0
                passed, failed = passed + good, failed + (not good)
                print(f"  {target.__name__}: {number} rounds, {len(fuzzer.failures) - before} failures", *bugs[:5], "" if lives else "the server is not well", sep="\n    ".rstrip(" ") if bugs else " ", flush=True)
                if not lives:
                    print(server.log.read_text(errors="replace")[-2000:])
                    break
        finally:
            server.process.kill()
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
