"""The PostgreSQL protocol by hand over a plain socket, so that a test can say what no driver would."""

import base64
import hashlib
import hmac
import os
import socket
import struct

SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
# Nothing here takes longer unless it hangs.
PATIENCE = 20


def packet(body):
    """What is sent before login: a length and no kind."""
    return struct.pack("!i", len(body) + 4) + body


def message(kind, body=b""):
    return kind + struct.pack("!i", len(body) + 4) + body


def startup(user="tarn", database="lake", **more):
    named = {"user": user, "database": database, **more}
    body = b"".join(name.encode() + b"\0" + value.encode() + b"\0" for name, value in named.items())
    return packet(struct.pack("!i", 3 << 16) + body + b"\0")


def request(code, *numbers):
    return packet(struct.pack(f"!{1 + len(numbers)}i", code, *numbers))


def query(sql):
    return message(b"Q", sql.encode() + b"\0")


def parse(sql, name=b"", oids=()):
    return message(b"P", name + b"\0" + sql.encode() + b"\0" + struct.pack(f"!h{len(oids)}I", len(oids), *oids))


def bind(values=(), portal=b"", name=b"", binary=0):
    fields = b"".join(struct.pack("!i", len(value)) + value for value in values)
    return message(b"B", portal + b"\0" + name + b"\0" + struct.pack("!hh", 0, len(values)) + fields + struct.pack("!hh", 1, binary))


def execute(rows=0, portal=b""):
    return message(b"E", portal + b"\0" + struct.pack("!i", rows))


def describe(kind=b"P", name=b""):
    return message(b"D", kind + name + b"\0")


SYNC, FLUSH, TERMINATE, COPY_DONE = message(b"S"), message(b"H"), message(b"X"), message(b"c")


def fields_of(body):
    """The fields of an error by their letters."""
    return {part[:1].decode(): part[1:].decode() for part in body.split(b"\0") if part}


class Wire:
    """One connection."""

    def __init__(self, address, patience=PATIENCE, receive_bytes=None):
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(patience)
        self.socket.connect(address)
        self.key = None
        self.pending = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """Sends; a server that has closed the connection already is no error, its answer may still be read."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def finish(self):
        """Says that nothing more will be sent."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def read(self, count):
        data, self.pending = self.pending[:count], self.pending[count:]
        while len(data) < count:
            try:
                more = self.socket.recv(min(count - len(data), 1 << 16))
            except ConnectionResetError:
                return None
            if not more:
                return None
            data += more
        return data

    def gather(self, quiet_seconds):
        """Takes in all that the server says until it closes. One that waits for more of a message is told that there is
        none."""
        gathered = []
        self.socket.settimeout(quiet_seconds)
        try:
            while more := self.read(1):
                gathered.append(more + self.socket.recv(1 << 16))
        except TimeoutError:
            self.finish()
            self.socket.settimeout(PATIENCE)
            while more := self.read(1):
                gathered.append(more)
        except ConnectionResetError:
            pass
        self.pending = b"".join(gathered)

    def receive(self):
        """The next message as kind and body; None when the server has closed the connection."""
        head = self.read(5)
        if head is None:
            return None
        body = self.read(struct.unpack("!i", head[1:])[0] - 4)
        return None if body is None else (head[:1].decode(), body)

    def until(self, *kinds):
        """Messages up to one of these kinds, or to the end of the connection."""
        messages = []
        while True:
            one = self.receive()
            if one is None:
                return [*messages, ("gone", b"")]
            messages.append(one)
            if one[0] in kinds:
                return messages

    def shape(self, *kinds):
        """Messages in short, without rows and what is told at any time: `E 08P01`, `Z I`, `gone`."""
        told = []
        for kind, body in self.until(*(kinds or "Z")):
            if kind == "E":
                told.append(f"E {fields_of(body)['C']}")
            elif kind == "Z":
                told.append(f"Z {body.decode()}")
            elif kind == "R":
                told.append(f"R {struct.unpack('!i', body[:4])[0]}")
            elif kind == "K":
                self.key = struct.unpack("!ii", body)
            elif kind not in "SDN":
                told.append(kind)
        return told

    def tail_shape(self):
        """As `shape`, from the middle of a message on whose length is not known any more: the last messages of an answer
        whose rows are all of one letter."""
        data = b""
        while not data.endswith((b"Z\0\0\0\5I", b"Z\0\0\0\5T", b"Z\0\0\0\5E")):
            more = self.socket.recv(1 << 16)
            if not more:
                return ["gone"]
            data = data[-1000:] + more
        state = data.rfind(b"\0C")
        return ["E " + data[state + 2:state + 7].decode(), "Z " + data[-1:].decode()]

    def login(self, **named):
        """Opens a session that needs no password."""
        self.send(startup(**named))
        told = self.shape()
        if told[-1] != "Z I":
            raise AssertionError(f"no session: {told}")
        return self

    def ask(self, sql):
        self.send(query(sql))
        return self.shape()

    def value(self, sql):
        """The first value of the first row, as text."""
        self.send(query(sql))
        for kind, body in self.until("Z"):
            if kind == "D":
                length = struct.unpack("!i", body[2:6])[0]
                return None if length < 0 else body[6:6 + length].decode()
        return None


class Scram:
    """The client's side of SCRAM-SHA-256, with every part open to be made wrong."""

    def __init__(self, password, nonce=None):
        self.password = password
        self.nonce = nonce or base64.b64encode(os.urandom(18)).decode()
        self.first_bare = f"n=,r={self.nonce}"

    def initial(self, header="n,,"):
        text = (header + self.first_bare).encode()
        return message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(text)) + text)

    def challenged(self, body):
        """Takes the server's first message, after the four bytes of its kind."""
        self.server_first = body[4:].decode()
        parts = dict(part.split("=", 1) for part in self.server_first.split(","))
        self.full_nonce, self.salt, self.rounds = parts["r"], parts["s"], int(parts["i"])

    def proof(self, without_proof):
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), base64.b64decode(self.salt), self.rounds)
        key = hmac.digest(salted, b"Client Key", "sha256")
        signed = f"{self.first_bare},{self.server_first},{without_proof}".encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
        return base64.b64encode(bytes(left ^ right for left, right in zip(key, signature))).decode()

    def final(self):
        without_proof = f"c=biws,r={self.full_nonce}"
        return f"{without_proof},p={self.proof(without_proof)}"
