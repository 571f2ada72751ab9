"""Restarts under load: HUP and TERM without one broken upload; a worker that hangs is replaced.

Cameras send all the while, each as fast as a slow line allows, so that many files are always half way.
"""

import os
import random
import signal
import time

import psutil

from trials import evidence, fleet
from trials.evidence import Figures, hold
from trials.system import Options, System, system

CAMERAS = 60
WEATHER = fleet.Weather(rate=40_000, more=0.5, pause=(0.1, 1.0))
SETTINGS = {"RECEIVER_WORKERS": "2", "RECEIVER_METADATA_TIMEOUT": "1", "RECEIVER_WORKER_TIMEOUT": "5"}
ROUNDS = 10


def run(options: Options) -> Figures:
    """Restart `rounds` times (10) by HUP, as often by TERM, and hang a worker as often. Raises BrokenPromise."""
    rounds = options.rounds or ROUNDS
    with system(options, "receiver", **SETTINGS) as sys:
        load = fleet.Fleet(sys.stack.receiver_port, options.seed, WEATHER)
        sys.database.register([fleet.imei(number) for number in range(CAMERAS)])
        began = time.time() - 86_400
        for number in range(CAMERAS):
            rng = random.Random(f"{options.seed}/files/{number}")
            load.add(
                number, fleet.some_files(rng, 6 + 10 * rounds, (1, 60_000), began=began), after=number * 0.02
            )
        load.run(2)
        figures = {
            way.__name__: [way(sys, load) for _ in range(rounds)] for way in (reload, stop_and_start, hang)
        }
        load.end_backlog()
        hold(load.run(180), "cameras could not send all their files:", load.tally.count)
        stored = evidence.stored_once(sys.database, sys.media, sys.spool, load.tally)
        load.end()
        sessions = dict(
            sys.database.rows("SELECT coalesce(code, 'open'), count(*) FROM sessions GROUP BY 1 ORDER BY 1")
        )
        hold(
            not sys.tracebacks("receiver"),
            "a mistake of ours ended a session:",
            sys.stack.log("receiver")[-1500:],
        )
    return stored | {name: _spread(found) for name, found in figures.items()} | {
        "seen": dict(load.tally.count), "sessions_by_end": sessions,
    }  # fmt: skip


def _spread(found: list[float]) -> Figures:
    return {"times": len(found), "seconds_median": sorted(found)[len(found) // 2], "seconds_most": max(found)}


def reload(sys: System, load: fleet.Fleet) -> float:
    """HUP: new workers, the old ones end after their present files. No line breaks, nobody is turned away."""
    old, began, before = set(sys.workers("receiver")), time.monotonic(), load.tally.count.copy()
    sys.send("receiver", signal.SIGHUP)
    load.run(60, lambda: not any(psutil.pid_exists(pid) for pid in old))
    hold(not any(psutil.pid_exists(pid) for pid in old), "old workers do not end after HUP")
    took = time.monotonic() - began
    for why in ("broken", "turned away"):
        hold(load.tally.count[why] == before[why], f"{why} by a reload:", load.tally.count - before)
    load.run(1)
    return round(took, 1)


def stop_and_start(sys: System, load: fleet.Fleet) -> float:
    """TERM: the files in hand are taken to their end; nobody is accepted until the next start."""
    process, began, before = sys.stack.processes["receiver"], time.monotonic(), load.tally.count.copy()
    sys.send("receiver", signal.SIGTERM)
    load.run(60, lambda: process.poll() is not None)
    hold(process.poll() == 0, "the receiver did not end well after TERM:", process.poll())
    took = time.monotonic() - began
    hold(load.tally.count["broken"] == before["broken"], "broken by a stop:", load.tally.count - before)
    sys.launch("receiver")
    acknowledged = len(load.tally.acknowledged)
    load.run(30, lambda: len(load.tally.acknowledged) > acknowledged + CAMERAS / 4)
    return round(took, 1)


def hang(sys: System, load: fleet.Fleet) -> float:
    """A worker whose hub does not turn any more: it is replaced, and its cameras go on."""
    (victim, *_), began = sys.workers("receiver"), time.monotonic()
    os.kill(victim, signal.SIGSTOP)
    load.run(60, lambda: not psutil.pid_exists(victim))
    hold(not psutil.pid_exists(victim), "a worker that hangs is not replaced")
    took = time.monotonic() - began
    load.run(30, lambda: len(sys.workers("receiver")) == 2)
    hold(len(sys.workers("receiver")) == 2, "no new worker took its place")
    load.run(2)
    return round(took, 1)
