"""Attacks before login: packets that are slow, cut, malformed or in the wrong order, around TLS, and passwords that are
wrong in every way."""

import socket
import ssl
import statistics
import struct
import time

from wire import CANCEL_REQUEST, GSS_REQUEST, SSL_REQUEST, Scram, fields_of, message, packet, query, request, startup

REFUSED = ["E 08P01", "gone"]
# With it, Linux forgets a connection without telling the other side.
TCP_REPAIR = 19


def slow(server, check):
    """A start-up packet that comes byte by byte is as good as any."""
    with server.dial() as wire:
        for byte in startup():
            wire.send(bytes([byte]))
            time.sleep(0.002)
        check("a packet byte by byte", wire.shape()[-1], "Z I")


class NeverFinished:
    """More clients than may be on their way to a session begin a packet and stay silent. They are looked at again when
    the time for a login is over."""

    def __init__(self, server, check):
        self.started = time.monotonic()
        self.wires = [server.dial() for _ in range(300)]
        for number, wire in enumerate(self.wires):
            wire.send(startup()[: number % 20])
        with server.session() as other:
            check("a session beside 300 that never finish", other.value("SELECT 1"), "1")
        check("it does not wait for their end", time.monotonic() - self.started < 20, True)

    def open_still(self):
        """How many the server has not closed."""
        return sum(is_open(wire.socket) for wire in self.wires)

    def end(self, check):
        time.sleep(max(0, self.started + 63 - time.monotonic()))
        check("clients that never finish are closed after a minute", self.open_still(), 0)
        for wire in self.wires:
            wire.socket.close()


class Vanished:
    """Clients that are gone without a word, as when their machine is switched off: nothing tells the server so but that
    they do not answer. Only root can be gone like that; others do not check it."""

    def __init__(self, server):
        self.server, self.started = server, time.monotonic()
        self.possible = True
        for start in (b"", query("BEGIN"), query("LISTEN x")):
            wire = server.session()
            wire.send(start)
            time.sleep(0.2)
            try:
                wire.socket.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
            except PermissionError:
                self.possible = False
            wire.socket.close()

    def end(self, check):
        held = self.server.settled(max(0, self.started + 60 - time.monotonic()))
        check("sessions of clients that have vanished" if self.possible else "sessions of clients that have gone", held, [])


def is_open(connection):
    """Whether the server has not closed the connection; what it says before it does is not looked at."""
    connection.setblocking(False)
    try:
        while connection.recv(1 << 10):
            pass
        return False
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False


def malformed(server, check):
    """Packets that are none; the answers are PostgreSQL's."""
    version = struct.pack("!i", 3 << 16)
    cases = {
        b"\0\0\0\0": REFUSED,
        b"\0\0\0\3\0\0\0\0": REFUSED,
        b"\0\0\0\7\0\3\0": REFUSED,
        b"\x7f\xff\xff\xff\0\3\0\0": REFUSED,
        b"\xff\xff\xff\xff\0\3\0\0": REFUSED,
        b"\x80\0\0\0\0\3\0\0": REFUSED,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n": REFUSED,
        b"SSH-2.0-OpenSSH_9.2\r\n": REFUSED,
        packet(version): REFUSED,
        packet(version + b"\0"): ["E 28000", "gone"],
        packet(version + b"user\0tarn"): REFUSED,
        packet(version + b"user\0tarn\0odd\0"): REFUSED,
        packet(version + b"user\0\0\0"): ["E 28000", "gone"],
        packet(version + b"user\0\xff\xfe\0\0"): ["E 22021", "gone"],
        packet(version + b"user\0tarn\0database\0lake\0replication\0true\0\0"): ["E 0A000", "gone"],
        packet(version + b"user\0tarn\0database\0lake\0options\0-c\0\0"): ["E 42601", "gone"],
        packet(version + b"user\0" + b"x" * 20000 + b"\0\0"): REFUSED,
        packet(struct.pack("!i", 2 << 16) + b"\0"): ["E 0A000", "gone"],
        packet(struct.pack("!i", 0x7fff0000) + b"\0"): ["E 0A000", "gone"],
        request(CANCEL_REQUEST): REFUSED,
        request(CANCEL_REQUEST, 1, 2, 3): REFUSED,
        request(CANCEL_REQUEST, 1, 2): ["gone"],
        b"": ["gone"],
        startup()[:-1]: ["gone"],
    }
    for data, expected in cases.items():
        with server.dial() as wire:
            wire.send(data)
            wire.finish()
            check(f"the packet {data[:40]!r}", wire.shape(), expected)
    for _ in range(200):
        wire = server.dial()
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.send(startup()[:9])
        wire.socket.close()


def encryption(server, check):
    """What is sent in clear around a request for encryption."""
    with server.dial() as wire:
        wire.send(request(SSL_REQUEST) + startup())
        check("a packet in one piece with SSLRequest", wire.shape(), REFUSED)
    with server.dial() as wire:
        wire.send(request(SSL_REQUEST))
        check("the answer to SSLRequest", wire.read(1), b"S")
        wire.send(startup())
        wire.finish()
        check("a packet in clear where TLS was agreed", "Z I" in wire_tail(wire), False)
    with server.dial() as wire:
        wire.send(request(GSS_REQUEST))
        check("the answer to GSSENCRequest", wire.read(1), b"N")
        wire.send(request(GSS_REQUEST))
        wire.finish()
        check("GSSENCRequest again", wire.shape()[-1], "gone")
    with server.dial() as wire:
        wire.send(b"\x16\x03\x01" + b"\xff" * 400)
        wire.finish()
        check("a TLS handshake of garbage", "Z I" in wire_tail(wire), False)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with server.dial() as wire:
        wire.send(request(SSL_REQUEST))
        wire.read(1)
        wire.socket = context.wrap_socket(wire.socket)
        wire.send(request(SSL_REQUEST))
        check("SSLRequest within TLS", wire.shape("Z", "S")[-1], "gone")
    with server.dial() as wire:
        wire.send(request(SSL_REQUEST))
        wire.read(1)
        wire.socket = context.wrap_socket(wire.socket)
        check("a session within TLS", wire.login().value("SELECT 1"), "1")
        # The rest of the stream is no TLS; a client in its right mind never does this.
        plain = socket.socket(fileno=wire.socket.detach())
        plain.sendall(query("SELECT 1"))
        plain.settimeout(20)
        while plain.recv(1 << 16):
            pass
        plain.close()


def wire_tail(wire):
    """What the server says until it closes, when it need not be messages."""
    data = b""
    while (more := wire.read(1)) is not None:
        data += more
    return data.decode(errors="replace")


def login(server, user, password, final=None, initial=None):
    """One login: the messages of the server in short, the text of its error, and its first SCRAM message."""
    with server.dial() as wire:
        wire.send(startup(user=user))
        told = wire.shape("R", "E", "Z")
        scram = Scram(password)
        if told == ["R 10"]:
            wire.send(initial or scram.initial())
            messages = wire.until("R", "E")
            if messages[-1][0] == "R":
                told.append(f"R {struct.unpack('!i', messages[-1][1][:4])[0]}")
                scram.challenged(messages[-1][1])
                wire.send(message(b"p", scram.final().encode() if final is None else final(scram)))
                messages = wire.until("Z", "E")
            for kind, body in messages:
                if kind == "E":
                    fields = fields_of(body)
                    told += [f"E {fields['C']} {fields['M'].replace(user, 'USER')}", *wire.shape()]
                    return told, scram
                told.append(f"{kind} {body[:4].hex()}" if kind == "R" else kind)
        return told, scram


def broken_finals():
    """The client's last message, wrong in every way."""
    return {
        "empty": lambda s: b"",
        "not UTF-8": lambda s: b"\xff\xfe",
        "no proof": lambda s: f"c=biws,r={s.full_nonce}".encode(),
        "an empty proof": lambda s: f"c=biws,r={s.full_nonce},p=".encode(),
        "a proof that is not base64": lambda s: f"c=biws,r={s.full_nonce},p=***".encode(),
        "a short proof": lambda s: f"c=biws,r={s.full_nonce},p=AAAA".encode(),
        "a long proof": lambda s: s.final().encode()[:-1] + b"A" * 400,
        "a proof of zeros": lambda s: f"c=biws,r={s.full_nonce},p={'A' * 43}=".encode(),
        "the client's nonce alone": lambda s: s.final().replace(s.full_nonce, s.nonce).encode(),
        "another nonce": lambda s: s.final().replace(s.full_nonce, "x" + s.full_nonce).encode(),
        "another channel binding": lambda s: s.final().replace("c=biws", "c=eSws").encode(),
        "no channel binding": lambda s: s.final().replace("c=biws,", "").encode(),
        "a zero byte at the end": lambda s: s.final().encode() + b"\0",
        "nothing but commas": lambda s: b"," * 500,
        "9,000 bytes": lambda s: b"c=biws,r=" + b"x" * 9000,
    }


def broken_initials():
    """The client's first message, wrong in every way."""
    good = Scram("x", "abcd")
    def raw(text, mechanism=b"SCRAM-SHA-256", length=None):
        return message(b"p", mechanism + b"\0" + struct.pack("!i", len(text) if length is None else length) + text)
    return {
        "no body": message(b"p"),
        "a password in clear": message(b"p", b"secret\0"),
        "a mechanism of MD5": raw(b"n,,n=,r=abcd", b"SCRAM-MD5"),
        "channel binding that was not offered": raw(b"p=tls-server-end-point,,n=,r=abcd", b"SCRAM-SHA-256-PLUS"),
        "a length below": raw(b"n,,n=,r=abcd", length=3),
        "a length beyond": raw(b"n,,n=,r=abcd", length=2**31 - 1),
        "a negative length": raw(b"n,,n=,r=abcd", length=-1),
        "no text": raw(b""),
        "not UTF-8": raw(b"n,,n=\xff,r=abcd"),
        "no nonce": raw(b"n,,n="),
        "an empty nonce": raw(b"n,,n=,r="),
        "a nonce of spaces": raw(b"n,,n=,r=a b"),
        "a mandatory extension": raw(b"n,,m=x,n=,r=abcd"),
        "a header of no kind": good.initial("z,,"),
        "a text of commas": raw(b"," * 9000),
    }


def passwords(server, check):
    """Every broken exchange ends alike for a role with a password, for one that does not exist and for one that may not
    log in, so that nobody learns which there are."""
    for sql in ("CREATE ROLE anna LOGIN PASSWORD 'correct horse'", "CREATE ROLE locked NOLOGIN PASSWORD 'correct horse'"):
        check(sql, server.witness.ask(sql)[-1], "Z I")
    check("the right password", login(server, "anna", "correct horse")[0][-1], "Z")
    for name, final in broken_finals().items():
        answers = [login(server, user, "correct horse", final=final)[0] for user in ("anna", "nobody", "locked")]
        check(f"{name}: nobody comes in", answers[0][:2] + [answers[0][2][:5]] + answers[0][3:] in (
            ["R 10", "R 11", "E 08P", "gone"], ["R 10", "R 11", "E 28P", "gone"]), True)
        check(f"{name}: roles look alike", answers[1:], answers[:1] * 2)
    for name, initial in broken_initials().items():
        answers = [login(server, user, "correct horse", initial=initial)[0] for user in ("anna", "nobody", "locked")]
        check(f"{name}: a protocol violation", (answers[0][1][:7], answers[0][2:]), ("E 08P01", ["gone"]))
        check(f"{name}: roles look alike", answers[1:], answers[:1] * 2)
    wrong = [login(server, user, "wrong horse") for user in ("anna", "nobody", "locked")]
    expected = ["R 10", "R 11", 'E 28P01 password authentication failed for user "USER"', "gone"]
    check("a wrong password", [told for told, _ in wrong], [expected] * 3)
    check("salts are of one length", len({len(scram.salt) for _, scram in wrong}), 1)
    check("rounds are the same", len({scram.rounds for _, scram in wrong}), 1)
    for user in ("anna", "nobody", "locked"):
        again = [login(server, user, "wrong horse")[1] for _ in range(3)]
        check(f"{user}: the salt is the same each time", len({scram.salt for scram in again}), 1)
        check(f"{user}: the nonce is another each time", len({scram.full_nonce for scram in again}), 3)
    check("each name has its own salt", len({login(server, user, "x")[1].salt for user in ("nobody", "nobody2", "anna")}), 3)
    check("the password of another role", login(server, "nobody", "correct horse")[0][2:], expected[2:])
    # Whoever knows the password may know that the role is there.
    check("a role that may not log in", login(server, "locked", "correct horse")[0][-2:], ['E 28000 role "USER" is not permitted to log in', "gone"])


def times(server, check):
    """A wrong password takes as long as an unknown user."""
    spans = {"anna": [], "nobody": []}
    for _ in range(60):
        for user, taken in spans.items():
            started = time.monotonic()
            login(server, user, "wrong horse", final=lambda s: f"c=biws,r={s.full_nonce},p={'A' * 43}=".encode())
            taken.append(time.monotonic() - started)
    known, unknown = (statistics.median(taken) for taken in spans.values())
    check(f"a login takes {known * 1e3:.1f} ms with a role and {unknown * 1e3:.1f} ms without", abs(known - unknown) < max(0.002, known / 2), True)


def before_password(server, check):
    """What is sent instead of a password. A long message is refused by its head; its body is not waited for."""
    for kind in b"QPBDECHSXdcfF":
        with server.dial() as wire:
            wire.send(startup(user="nobody"))
            check("asked for a password", wire.shape("R"), ["R 10"])
            wire.send(message(bytes([kind]), b"SELECT 1\0"))
            check(f"{chr(kind)} instead of a password", wire.shape(), REFUSED)
    for kind in b"QPBdp":
        with server.dial(patience=5) as wire:
            wire.send(startup(user="nobody"))
            wire.shape("R")
            wire.send(bytes([kind]) + struct.pack("!i", 60 << 20))
            check(f"{chr(kind)} of 60 MiB instead of a password", wire.shape(), REFUSED)


def places(server, check):
    """Clients that have not shown their password take nobody's place among the sessions."""
    wires = [server.dial() for _ in range(150)]
    for wire in wires:
        wire.send(startup(user="nobody"))
    check("all are asked for a password", {wire.shape("R", "E")[-1] for wire in wires}, {"R 10"})
    with server.session() as other:
        check("a session beside 150 without a password", other.value("SELECT 1"), "1")
    for wire in wires:
        wire.socket.close()


def cancels(server, check):
    """Requests to cancel with wrong keys stop nothing, the right one does."""
    running = server.session()
    process, secret = running.key
    running.send(query("SELECT count(*) FROM generate_series(1, 1000000000000) AS g(x) WHERE x % 7 = 8"))
    time.sleep(0.2)
    for number in range(1500):
        with server.dial() as wire:
            wire.send(request(CANCEL_REQUEST, process + (number % 3) * (number % 2), (secret + 1 + number) % (1 << 31)))
    running.socket.settimeout(0.2)
    try:
        check("a statement after 1,500 wrong requests", running.socket.recv(1), "nothing")
    except TimeoutError:
        check("a statement after 1,500 wrong requests goes on", True, True)
    running.socket.settimeout(20)
    started = time.monotonic()
    with server.dial() as wire:
        wire.send(request(CANCEL_REQUEST, process, secret))
    check("the right request", running.shape(), ["T", "E 57014", "Z I"])
    check("it takes a second at most", time.monotonic() - started < 2, True)
    running.socket.close()
