"""The database away while cameras upload: PostgreSQL killed, then frozen; or SQLite locked by another process.

The receiver is also started while the database is away. Files must be taken all the while; their rows come once.
"""

import random
import signal
import sqlite3
import time

from trials import evidence, fleet
from trials.evidence import Figures, hold
from trials.system import Options, System, pause, system

CAMERAS, FILES = 40, 12
AWAY = 60.0
SETTINGS = {"RECEIVER_ANSWER_TIMEOUT": "15", "RECEIVER_METADATA_TIMEOUT": "1", "RECEIVER_WORKERS": "2"}


class Outage:
    """The database taken away and given back. Ways: "killed", "frozen" (it takes connections and never answers)."""

    def __init__(self, system: System, way: str) -> None:
        self.system, self.way = system, way
        self._lock: sqlite3.Connection | None = None

    def begin(self) -> None:
        """Take it away."""
        if self.way == "killed":
            self.system.kill_database()
        elif self.way == "frozen":
            self.system.signal_database(signal.SIGSTOP)
        else:
            path = self.system.stack.environment["DATABASE_URL"].removeprefix("sqlite:///")
            self._lock = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._lock.execute("BEGIN EXCLUSIVE")

    def end(self) -> None:
        """Give it back."""
        if self.way == "killed" and self.system.server is not None:
            self.system.server.start()
        elif self.way == "frozen":
            self.system.signal_database(signal.SIGCONT)
        elif self._lock is not None:
            self._lock.execute("ROLLBACK")
            self._lock.close()


def run(options: Options) -> Figures:
    """Take the database away for `minutes` (1) in the middle of uploads, each way. Raises BrokenPromise."""
    ways = ("killed", "frozen") if options.database == "postgresql" else ("locked",)
    return {way: one(options, way) for way in ways}


def one(options: Options, way: str) -> Figures:
    """Take the database away in one way. Raises BrokenPromise."""
    away = 60 * options.minutes or AWAY
    with system(options, "receiver", **SETTINGS) as sys:
        outage = Outage(sys, way)
        sys.database.register([fleet.imei(number) for number in range(CAMERAS)])
        load = fleet.Fleet(
            sys.stack.receiver_port, options.seed, fleet.Weather(cut=0.1, more=0.2, pause=(0.1, 0.5))
        )
        _add(load, options.seed, spread=away + 10)
        _play(load, 4)
        before = len(load.tally.acknowledged)
        hold(before > 0, "no file came before the outage")
        hold("database away" not in sys.stack.log("receiver"), "the database was taken to be away too early")

        outage.begin()
        _play(load, away / 2)
        during = len(load.tally.acknowledged) - before
        # a receiver that starts without its database takes files as well
        sys.stack.kill("receiver")
        sys.launch("receiver")
        _play(load, away / 2)
        restarted = len(load.tally.acknowledged) - before - during
        hold(during > 0, "no file was taken while the database was away:", load.tally.count,
             sys.stack.log("receiver")[-1800:])  # fmt: skip
        hold(restarted > 0, "no file was taken by a receiver started without its database:",
             load.tally.count, sys.stack.log("receiver")[-1500:])  # fmt: skip
        hold(way != "killed" or sys.database.count("SELECT 1") == -1, "the database was not away")
        outage.end()

        back = time.monotonic()
        hold(load.run(120), "cameras could not send all their files:", load.tally.count)
        stored = evidence.stored_once(sys.database, sys.media, sys.spool, load.tally)
        rows_after = time.monotonic() - back
        pause(1)
        load.end()
        quarantined = sys.database.count("SELECT count(*) FROM uploads WHERE state = 'quarantined'")
        hold(quarantined == 0, "files of known devices stayed in quarantine:", quarantined)
        hold(
            not sys.tracebacks("receiver"),
            "a mistake of ours ended a session:",
            sys.stack.log("receiver")[-1500:],
        )
    return stored | {
        "away_seconds": away, "acknowledged_before": before, "acknowledged_while_away": during,
        "acknowledged_by_a_receiver_started_without_database": restarted,
        "all_rows_after_seconds": round(rows_after, 1), "seen": dict(load.tally.count),
    }  # fmt: skip


def _play(load: fleet.Fleet, seconds: float) -> None:
    """Let cameras send for a while; on a slow machine until the first file is acknowledged, a minute at most."""
    before = len(load.tally.acknowledged)
    load.run(seconds)
    if len(load.tally.acknowledged) == before:
        load.run(60, lambda: len(load.tally.acknowledged) > before)


def _add(load: fleet.Fleet, seed: int, spread: float) -> None:
    """Put cameras on the road, over the whole time: some always come while the database is away."""
    began = time.time() - 86_400
    for number in range(CAMERAS):
        rng = random.Random(f"{seed}/files/{number}")
        load.add(
            number, fleet.some_files(rng, FILES, (1, 40_000), began=began), after=number * spread / CAMERAS
        )
