"""One attack after the other on one server. After each: the session that was there before and a new one are answered,
nothing in the log is a bug of ours, and within a minute sessions, file descriptors and memory are back."""

import sys
import tempfile
import time
import traceback

import floods
import messages
import mutations
import starts
from server import Server

# How long others may wait for `SELECT 1` while an attack has just ended, seconds. A build without optimisation on two
# busy processors is the slowest case.
ANSWER_SECONDS = 10
ATTACKS = [
    starts.slow, starts.malformed, starts.encryption, starts.passwords, starts.times, starts.before_password,
    starts.places, starts.cancels, messages.every_kind, messages.counts_that_lie, messages.copies, messages.half_sent,
    floods.storm, floods.beyond_the_limit, floods.readers_that_stop, floods.pipelines, floods.half_open,
    mutations.sessions,
]


class Tally:
    def __init__(self):
        self.passed = self.failed = 0
        self.attack = ""

    def check(self, name, got, expected):
        if got == expected:
            self.passed += 1
        else:
            self.failed += 1
            print(f"  {self.attack}: {name}: got {got!r}, expected {expected!r}", flush=True)

    def run(self, server, attack):
        """One attack and what must be true after it."""
        self.attack, started = attack.__name__, time.monotonic()
        seen = len(server.bugs())
        try:
            attack(server, self.check)
            ended = time.monotonic()
            answered, seconds = server.answers()
            self.check("others are answered", answered and seconds < ANSWER_SECONDS, True)
            self.check("everything is given back", server.settled(), [])
        except Exception as error:
            self.failed += 1
            ended = time.monotonic()
            place = traceback.extract_tb(error.__traceback__)[-1]
            print(f"  {self.attack}: {place.filename.rsplit('/', 1)[-1]}, line {place.lineno}: {type(error).__name__}: {error}")
        self.check("no bug of the server", server.bugs()[seen:], [])
        print(f"  {self.attack}: {ended - started:.1f} s, given back after {time.monotonic() - ended:.1f} s", flush=True)


def main(binary, *names):
    """Runs all attacks, or those named."""
    tally = Tally()
    attacks = [attack for attack in ATTACKS if not names or attack.__name__ in names]
    with tempfile.TemporaryDirectory(prefix="tarn-hostile") as folder, tempfile.TemporaryDirectory(prefix="tarn-vanished") as other:
        server, quiet = Server(binary, folder), Server(binary, other)
        try:
            tally.attack = "never finished"
            silent = None
            vanished = starts.Vanished(quiet)
            if not names:
                silent = starts.NeverFinished(server, tally.check)
                server.kept_open = silent.open_still
            for attack in attacks:
                tally.run(server, attack)
            tally.attack = "never finished"
            if silent:
                silent.end(tally.check)
            tally.attack = "vanished"
            vanished.end(tally.check)
            tally.check("the server lives", server.process.poll(), None)
            tally.check("it ends as it should", server.stop(), 0)
        finally:
            server.process.kill()
            quiet.process.kill()
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 0 if tally.passed and not tally.failed else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
