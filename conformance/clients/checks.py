"""What the Python clients share: one check after the other, counted, and at the end a line for each client that says
what was exercised. `table.py` makes the table of docs/clients.md from those lines."""

import os
import traceback

HOST, PORT = os.environ["TARN_HOST"], int(os.environ["TARN_PORT"])


class Checks:
    """The checks of one program, which may drive several clients."""

    def __init__(self):
        self.clients = {}
        self.client = None

    def start(self, client, version, exercised):
        """From here on, checks count for this client."""
        self.client = client
        self.clients[client] = {"version": version, "exercised": exercised, "passed": 0, "failed": 0}

    def count(self, good):
        self.clients[self.client]["passed" if good else "failed"] += 1

    def equal(self, name, got, expected):
        self.count(got == expected)
        if got != expected:
            print(f"  {self.client}: {name}: got {got!r}, expected {expected!r}")

    def true(self, name, got):
        self.equal(name, bool(got), True)

    def run(self, *works):
        """Runs pieces of work, each of which counts as failed when it raises."""
        for work in works:
            try:
                work()
            except Exception as error:
                self.count(False)
                places = traceback.extract_tb(error.__traceback__)
                place = next((p for p in reversed(places) if "conformance" in p.filename), places[-1])
                message = " ".join(str(error).split())[:900]
                name = getattr(work, "__name__", "check")
                print(f"  {self.client}: {name}, line {place.lineno}: {type(error).__name__}: {message}")

    def raises(self, name, kind, work):
        """The error that a piece of work must end with."""
        try:
            work()
        except kind as error:
            self.count(True)
            return error
        self.equal(name, "no error", kind.__name__)
        return None

    def finish(self):
        for name, client in self.clients.items():
            result = f"{client['passed']} passed, {client['failed']} failed"
            print(f"client | {name} | {client['version']} | {client['exercised']} | {result}")
        passed = sum(client["passed"] for client in self.clients.values())
        failed = sum(client["failed"] for client in self.clients.values())
        print(f"{passed} passed, {failed} failed")
        raise SystemExit(0 if passed and not failed else 1)
