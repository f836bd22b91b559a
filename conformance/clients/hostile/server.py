"""The server under attack: its process, what it holds, and whether it still answers others."""

import json
import os
import pathlib
import subprocess
import time
import urllib.request

from wire import Wire

# How long the server may take to give back what an attack has taken.
SETTLED_SECONDS = 60
# What may stay: caches, a thread's arena, a file that upkeep has open.
MEMORY_SLACK_BYTES = 200 << 20
FILES_SLACK = 8
CONNECTIONS_MAX = 100


class Server:
    def __init__(self, binary, folder):
        self.log = pathlib.Path(folder) / "log"
        limits = {"TARN_LIMITS_MEMORY": "256MiB", "TARN_LIMITS_CONNECTIONS": str(CONNECTIONS_MAX), "TARN_TLS_SELF_SIGNED": "true"}
        command = [binary, "serve", "--data-dir", f"{folder}/data", "--postgres", "127.0.0.1:0", "--flight", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env={**os.environ, **limits})
        ready = json.loads(self.process.stdout.readline())
        host, port = ready["postgres"].rsplit(":", 1)
        self.address = (host, int(port))
        self.metrics_address = f"http://{ready['http']}/metrics"
        # Sockets that an attack keeps open on purpose; a function that counts them.
        self.kept_open = lambda: 0
        # It was there before the attacks, and is to stay.
        self.witness = self.session()
        self.rest()

    def dial(self, **options):
        return Wire(self.address, **options)

    def session(self, **named):
        return self.dial().login(**named)

    def sessions(self):
        """Sessions that are open, the witness among them."""
        with urllib.request.urlopen(self.metrics_address, timeout=20) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith("tarn_connections "):
                    return int(float(line.split()[1]))
        raise AssertionError("the metrics do not tell tarn_connections")

    def memory(self):
        """Resident bytes."""
        pages = pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def files(self):
        """Open file descriptors, sockets among them."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def rest(self):
        """Remembers what the server holds while nobody attacks it."""
        for _ in range(20):
            self.witness.value("SELECT count(*) FROM pg_class")
            with self.session() as other:
                other.value("SELECT 1")
        time.sleep(0.5)
        self.at_rest = (self.files(), self.memory())

    def answers(self):
        """Whether the old session and a new one are served, and how long the slower took, in seconds."""
        started = time.monotonic()
        old = self.witness.value("SELECT 1")
        with self.session() as fresh:
            new = fresh.value("SELECT 1")
        return old == "1" and new == "1", time.monotonic() - started

    def held(self):
        """What the server holds beyond what it held at rest, in words; empty when it holds nothing."""
        files, memory = self.files() - self.at_rest[0] - self.kept_open(), self.memory() - self.at_rest[1]
        sessions = self.sessions() - 1
        held = [f"{sessions} sessions"] if sessions > 0 else []
        held += [f"{files} files"] if files > FILES_SLACK else []
        return held + ([f"{memory >> 20} MiB"] if memory > MEMORY_SLACK_BYTES else [])

    def settled(self, seconds=SETTLED_SECONDS):
        """Waits until the server holds nothing of an attack; what it still holds after that time."""
        end = time.monotonic() + seconds
        while (held := self.held()) and time.monotonic() < end:
            time.sleep(0.1)
        return held

    def bugs(self):
        """Lines of the log that no client may be able to make."""
        marks = ("panicked", "ended by a panic", "XX000", "internal error")
        return [line for line in self.log.read_text(errors="replace").splitlines() if any(mark in line for mark in marks)]

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=60)
