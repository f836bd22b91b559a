"""Too much of everything: connections at once and beyond the limit, results that nobody reads, messages by the hundred
thousand, and clients that vanish without a word."""

import socket
import struct
import threading
import time

from server import CONNECTIONS_MAX
from wire import CANCEL_REQUEST, SYNC, bind, execute, parse, query, request, startup

# About 4 GB of rows, if anybody read them.
LARGE = "SELECT repeat('x', 1000) AS t FROM generate_series(1, 4000000) AS g(x)"
# What a result may hold that nobody reads: a few batches of 8,192 such rows on their way.
READER_BYTES_MAX = 64 << 20
WAITING_BYTES_MAX = 150 << 20


def storm(server, check):
    """500 clients at once: each is served or told that there are too many."""
    started = time.monotonic()
    wires = [server.dial(patience=30) for _ in range(500)]
    for wire in wires:
        wire.send(startup())
    ends = [wire.shape()[-2:] for wire in wires]
    served = sum(end[-1] == "Z I" for end in ends)
    told = sum(end == ["E 53300", "gone"] for end in ends)
    check("every client is served or told", served + told, 500)
    check("some are served", served >= CONNECTIONS_MAX // 2, True)
    check("it does not take long", time.monotonic() - started < 20, True)
    for wire in wires:
        wire.socket.close()
    check("sessions end with their clients", server.settled(), [])
    answers = []

    def many():
        for _ in range(20):
            with server.session() as wire:
                answers.append(wire.value("SELECT 1"))

    threads = [threading.Thread(target=many) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check("320 sessions, 16 at a time", answers, ["1"] * 320)


def beyond_the_limit(server, check):
    """The limit of sessions is told by its SQLSTATE, and a place that is given back is taken again."""
    wires = [server.session() for _ in range(CONNECTIONS_MAX - server.sessions())]
    for _ in range(20):
        with server.dial() as wire:
            wire.send(startup())
            check("a session too many", wire.shape()[-2:], ["E 53300", "gone"])
    check("the old session", server.witness.value("SELECT 1"), "1")
    wires.pop().socket.close()
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with server.dial() as wire:
            wire.send(startup())
            if (last := wire.shape()[-1]) == "Z I":
                break
    check("a place that was given back", last, "Z I")
    for wire in wires:
        wire.socket.close()


def stop_reading(server, start):
    """A client that has sent `start`, reads a little of the answer, and then no more."""
    wire = server.dial(receive_bytes=4096).login()
    wire.send(start)
    wire.read(2000)
    return wire


def readers_that_stop(server, check):
    """A result that nobody reads costs no memory and delays nobody, and ends when it is cancelled or its client goes."""
    before = server.memory()
    portal = parse(LARGE) + bind() + execute() + SYNC
    copy = query(f"COPY ({LARGE}) TO STDOUT")
    wires = [stop_reading(server, start) for start in (query(LARGE), portal, copy) for _ in range(4)]
    time.sleep(1)
    grown = server.memory() - before
    check(f"memory for {len(wires)} results that nobody reads: {grown >> 20} MiB", grown < len(wires) * READER_BYTES_MAX, True)
    time.sleep(2)
    check("it does not grow", server.memory() - before - grown < READER_BYTES_MAX, True)
    check("others are answered", server.answers()[0], True)
    # Those that only say that they send nothing more, those that vanish, and those that are cancelled by another.
    for number, wire in enumerate(wires):
        if number % 4 == 0:
            wire.finish()
        elif number % 4 == 1:
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.socket.close()
        elif number % 4 == 2:
            wire.socket.close()
        else:
            with server.dial() as other:
                other.send(request(CANCEL_REQUEST, *wire.key))
    end = time.monotonic() + 20
    while server.sessions() > 4 and time.monotonic() < end:
        time.sleep(0.1)
    # The cancelled ones are told so when they read on, and until then keep their session and nothing else.
    check("sessions of clients that do not read, after their end", server.sessions(), 4)
    for wire in wires[3::4]:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        told = wire.tail_shape()
        check("a result that was cancelled", told[-2:], ["E 57014", "Z I"])
    for wire in wires:
        wire.socket.close()


def pipelines(server, check):
    """Messages by the hundred thousand from a client that does not read, and messages to one that does not."""
    before = server.memory()
    wire = server.dial(receive_bytes=4096).login()
    wire.socket.settimeout(3)
    batch = (parse("SELECT repeat('x', 1000)") + bind() + execute()) * 1000 + SYNC
    sent = 0
    try:
        for _ in range(100):
            wire.socket.sendall(batch)
            sent += 1
    except TimeoutError:
        pass
    check("the sender is held up", sent < 100, True)
    listener = server.dial(receive_bytes=4096).login()
    listener.ask("LISTEN flood")
    told = [server.witness.ask("SELECT count(pg_notify('flood', repeat('x', 4000) || x)) FROM generate_series(1, 2000) AS g(x)")[-1] for _ in range(8)]
    check("notifications to one who does not read", set(told), {"Z I"})
    grown = server.memory() - before
    check(f"memory for what waits: {grown >> 20} MiB", grown < WAITING_BYTES_MAX, True)
    check("others are answered", server.answers()[0], True)
    for one in (wire, listener):
        one.socket.close()


def half_open(server, check):
    """Clients that say that they send no more, in every state: their sessions end."""
    wires = []
    for start in (b"", query("BEGIN"), query("BEGIN; CREATE TABLE hostile_open (a int)"), query("SELECT pg_sleep(600)"),
                  query("LISTEN x"), query("SELECT count(*) FROM generate_series(1, 1000000000000) AS g(x) WHERE x % 7 = 8")):
        wire = server.session()
        wire.send(start)
        wires.append(wire)
    time.sleep(0.3)
    for wire in wires:
        wire.finish()
    check("sessions of clients that have said goodbye", server.settled(20), [])
    for wire in wires:
        wire.socket.close()
    for wire in [server.session() for _ in range(50)]:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.send(query("SELECT count(*) FROM generate_series(1, 100000000) AS g(x)"))
        wire.socket.close()
