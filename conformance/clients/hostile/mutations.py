"""Sessions that went well, with bytes, messages and lengths changed at random from a seed. HOSTILE_SEED and
HOSTILE_SESSIONS choose others and more; a session that fails is printed with its number, and is the same again."""

import os
import random
import struct

from wire import COPY_DONE, FLUSH, SYNC, TERMINATE, bind, describe, execute, message, parse, query, startup

SEED = int(os.environ.get("HOSTILE_SEED", "1"))
SESSIONS = int(os.environ.get("HOSTILE_SESSIONS", "300"))
NUMBERS = [0, 1, 3, 4, 5, 255, 65535, 2**31 - 1, -1, -2, -(2**31)]

# What a session may do, piece by piece; each is a list of messages.
PIECES = [
    [query("SELECT 1; SELECT 'x', NULL")],
    [query("SELECT * FROM pg_type LIMIT 3")],
    [parse("SELECT $1::int + 1, $2::text", b"s", [23, 25]), describe(b"S", b"s"), bind([b"\0\0\0\7", b"abc"], name=b"s", binary=1), execute(), SYNC],
    [parse("SELECT $1::numeric, $2::timestamp, $3::text[]"), bind([b"12.50", b"2026-01-02 03:04:05", b"{a,b}"]), describe(), execute(), SYNC],
    [query("BEGIN"), parse("SELECT x FROM generate_series(1, 100) AS g(x)"), bind(portal=b"p"), execute(7, b"p"), FLUSH, execute(7, b"p"), message(b"C", b"Pp\0"), SYNC, query("ROLLBACK")],
    [query("BEGIN; COPY hostile_rows FROM STDIN"), message(b"d", b"1\ta\t2026-01-01\t1.5\t{a,b}\n"), message(b"d", b"2\t\\N\t\\N\t\\N\t\\N\n"), COPY_DONE, query("ROLLBACK")],
    [query("BEGIN; COPY hostile_rows FROM STDIN (FORMAT csv)"), message(b"d", b'1,"a ""b""",2026-01-01,1.5,"{a,b}"\n'), COPY_DONE, query("ROLLBACK")],
    [query("BEGIN; COPY hostile_rows FROM STDIN (FORMAT binary)"), message(b"d", b"PGCOPY\n\xff\r\n\0" + bytes(8)), message(b"d", struct.pack("!hiq", 5, 8, 7) + b"\0\0\0\1a" + b"\xff\xff\xff\xff" * 3), message(b"d", b"\xff\xff"), COPY_DONE, query("ROLLBACK")],
    [query("COPY (SELECT x, 'n' || x FROM generate_series(1, 50) AS g(x)) TO STDOUT (FORMAT binary)")],
    [query("SET application_name = 'hostile'; SHOW application_name"), query("SELECT 1 / 0")],
    [query("DECLARE c CURSOR WITH HOLD FOR SELECT 1"), query("FETCH c"), query("CLOSE c")],
    [query("LISTEN a; NOTIFY a, 'b'; UNLISTEN *"), query("DISCARD ALL")],
]


def changed_bytes(chance, data):
    """Bytes with some of them changed, left out, put in or doubled."""
    data = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data))
        match chance.randrange(6):
            case 0:
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                data[at] = chance.choice([0, 0xff, 0x7f, 0x80, 0x27, 0x5c])
            case 2:
                del data[at:at + chance.randint(1, 8)]
            case 3:
                data[at:at] = chance.randbytes(chance.randint(1, 8))
            case 4:
                data[at:at + 4] = struct.pack("!i", chance.choice(NUMBERS))
            case 5:
                data[at:at] = data[at:at + chance.randint(1, 64)]
        if not data:
            data = bytearray(b"\0")
    return bytes(data)


def changed_body(chance, one):
    """A message whose length is right and whose body is not."""
    return message(one[:1], changed_bytes(chance, one[5:] or b"\0"))


def session(number):
    """The bytes of one session."""
    chance = random.Random(f"{SEED} {number}")
    messages = [one for piece in chance.choices(PIECES, k=8) for one in piece]
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(messages))
        match chance.randrange(6):
            case 0 | 1 | 2:
                messages[at] = changed_body(chance, messages[at])
            case 3:
                messages[at:at + 1] = []
            case 4:
                messages.insert(chance.randrange(len(messages)), messages[at])
            case 5:
                messages[at] = messages[at] + messages[at]
        messages = messages or [SYNC]
    data = b"".join(messages)
    # One in four loses the limits of its messages, too, and one in ten begins badly.
    if number % 4 == 0:
        data = changed_bytes(chance, data)
    opening = startup() if number % 10 else changed_bytes(chance, startup())
    return opening + data + SYNC + TERMINATE


def sessions(server, check):
    """Every session ends, and whatever it was told was no bug of the server."""
    for number in range(SESSIONS):
        with server.dial(patience=30) as wire:
            wire.send(session(number))
            try:
                wire.gather(quiet_seconds=0.5)
                told = wire.shape("\0")
                bad = [one for one in told if one.startswith("E XX")]
            except TimeoutError:
                bad = "no end"
            check(f"session {number} of seed {SEED}", bad, [])
    check("nothing was written", server.witness.value("SELECT count(*) FROM hostile_rows"), "0")
