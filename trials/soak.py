"""Mixed traffic for a long time: memory, descriptors and lag of receiver, web and worker must stay flat.

The worker must keep up: every file linked, and every photo looked at for its thumbnail, some seconds after its row, and
its sweep never held up. The videos here are noise, of which nobody could make as many copies: those may wait.

Cameras come, drop, come back and send files of all sizes; unknown devices are refused; photos and videos are asked by
SMS; pages and the API are read.
"""

import itertools
import json
import random
import re
import threading
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import requests

from trials import fleet, kills
from trials.evidence import Figures, hold
from trials.system import Options, System, system
from trials.unknown import connect

CAMERAS = 100
FIRST = 100  # number of the first of them; vehicles have lower ones
VEHICLES = 3
MINUTES = 30.0
WARM = 0.4  # share of the time after which memory is measured first: caches and pools have filled
GROWTH = 24 * 2**20  # bytes per process that may come and go; a leak is found by its slope over the rest
SLOPE = 20 * 2**20  # bytes per hour and process, for runs of 10 minutes and more
LAG = 20.0  # seconds by which every acknowledged file has its row and link, every photo its thumbnail; two when idle
KEPT_UP = {"rows": "acknowledged", "linked": "acknowledged", "copied": "photos"}
SWEPT = 30.0  # seconds since the worker's last sweep; each three on an idle machine
# jobs that do not end every few seconds: "settle" goes on while files keep coming, the others are due more seldom
SELDOM = ("retention", "reconcile", "settle", "working_folders", "storage")
AGE = re.compile(
    rf'^dualcam_(?:worker_age|job_age)_seconds(?:\{{job="(?!{"|".join(SELDOM)})(\w+)"\}})? (\S+)$',
    re.MULTILINE,
)
WEATHER = fleet.Weather(cut=0.1, ghost=0.1, corrupt=0.001, forget=0.02, rate=60_000, pause=(0.5, 5))
NAMES = ("receiver", "web", "worker")


def run(options: Options) -> Figures:
    """Run mixed traffic for `minutes` (30). Raises BrokenPromise."""
    seconds = 60 * (options.minutes or MINUTES)
    settings = kills.SETTINGS | {"SMS_REPLY_TIMEOUT": "600"}
    with system(options, "simulator", "web", "receiver", "worker", **settings) as sys:
        load = fleet.Fleet(sys.stack.receiver_port, options.seed, WEATHER)
        sys.database.register([fleet.imei(FIRST + number) for number in range(CAMERAS)])
        began, ends = time.monotonic(), threading.Event()
        vehicles = [kills.Vehicle(sys, number, options.seed, ends) for number in range(VEHICLES)]
        for vehicle in vehicles:
            vehicle.add()
        others = [
            *vehicles,
            *(
                threading.Thread(target=work, args=(sys, ends), daemon=True)
                for work in (unknown_devices, reader)
            ),
        ]
        for thread in others:
            thread.start()
        for number in range(CAMERAS):
            rng = random.Random(f"{options.seed}/files/{number}")
            load.add(FIRST + number, _files(rng, time.time() - 86_400 * 30), after=number * 0.05)
        samples = _watch(sys, load, began, seconds)
        ends.set()
        load.end_backlog()
        hold(load.run(300), "cameras could not send all their files:", load.tally.count)
        for thread in (*vehicles, *others):
            thread.join(60)
        settled = kills.settle(sys, vehicles, load.tally)
        load.end()
        for name in NAMES:
            hold(not sys.tracebacks(name), f"a mistake of ours in {name}:", sys.stack.log(name)[-1500:])
        settled["deadlocks_done_again"] = {name: sys.deadlocks(name) for name in NAMES}
        # kept with the logs where something does not hold
        (sys.stack.folder / "samples.log").write_text("\n".join(map(json.dumps, samples)))
        judged = judge(samples)
    return {"minutes": seconds / 60, "samples": len(samples)} | judged | settled | {
        "seen": dict(load.tally.count),
        "acknowledged_after_seconds_p99": round(sorted(load.tally.seconds)[int(0.99 * len(load.tally.seconds))], 1),
    }  # fmt: skip


def _files(rng: random.Random, began: float) -> Iterator[fleet.File]:
    """Photos, mostly; a video now and then."""
    while True:
        size = (200_000, 1_000_000) if rng.random() < 0.05 else (5_000, 60_000)
        for file in fleet.some_files(rng, 1, size, began=began):
            began = file.stamp / 1000
            yield file


def _watch(sys: System, load: fleet.Fleet, began: float, seconds: float) -> list[Figures]:
    """Play the fleet and take a sample twenty times a run."""
    samples: list[Figures] = []
    while (elapsed := time.monotonic() - began) < seconds:
        load.run(min(seconds / 20, seconds - elapsed))
        stored = f"SELECT count(*) FROM uploads WHERE state = 'stored' AND imei >= '{fleet.imei(FIRST)}'"
        rows, linked = sys.database.count(stored), sys.database.count(f"{stored} AND NOT settle_due")
        now = {"at": time.monotonic() - began, "acknowledged": len(load.tally.acknowledged), "rows": rows}
        photos = f"{stored} AND file_type = 'photo'"
        copied = sys.database.count(f"{photos} AND thumbnail_state IS NOT NULL")
        now |= {"linked": linked, "photos": sys.database.count(photos), "copied": copied} | _sweep_age(sys)
        samples.append(now | {name: sys.usage(name) for name in NAMES})
    return samples


def _sweep_age(sys: System) -> Figures:
    """Give the job of the worker's sweep that ended longest ago, and how many seconds ago, as the product tells it.

    An empty name: the worker's own sign of life.
    """
    answer = requests.get(
        sys.stack.environment["PUBLIC_URL"] + "/metrics", timeout=30,
        headers={"Authorization": f"Bearer {sys.stack.token}"},
    )  # fmt: skip
    found = AGE.findall(answer.text)
    hold(found, "GET /metrics tells no age of the worker's sweep:", answer.status_code)
    name, age = max(found, key=lambda one: float(one[1]))
    return {"sweep_age": float(age), "oldest_job": name}


def judge(samples: list[Figures]) -> Figures:
    """Hold that nothing grows once all is warm; give what was seen. Raises BrokenPromise."""
    warm = [one for one in samples if one["at"] >= WARM * samples[-1]["at"]]
    seen: Figures = {
        f"{what}_behind_most": max(one[of] - one[what] for one in samples) for what, of in KEPT_UP.items()
    }
    seen["sweep_age_most"] = round(max(one["sweep_age"] for one in samples), 1)
    hold(
        seen["sweep_age_most"] < SWEPT,
        "the worker's sweep is held up:",
        [(one["sweep_age"], one.get("oldest_job")) for one in samples],
    )
    hours = (warm[-1]["at"] - warm[0]["at"]) / 3600
    for name in NAMES:
        memory = [one[name]["pss"] for one in warm]
        files = [one[name]["descriptors"] for one in warm]
        slope = _slope([one["at"] / 3600 for one in warm], memory)
        part = -(-len(memory) // 3)
        first, at_last = median(memory[:part]), median(memory[-part:])
        seen[name] = {
            "pss_mib_first": round(first / 2**20, 1), "pss_mib_last": round(at_last / 2**20, 1),
            "pss_mib_per_hour": round(slope / 2**20, 1), "descriptors_most": max(files),
            "descriptors_last": files[-1], "rss_mib_last": round(warm[-1][name]["rss"] / 2**20, 1),
        }  # fmt: skip
        hold(at_last - first < GROWTH, f"the memory of {name} grows:", memory)
        hold(hours < 1 / 8 or slope < SLOPE, f"the memory of {name} grows for ever:", memory)
        hold(files[-1] < 2 * CAMERAS + 150, f"descriptors of {name} leak:", files)
    last = samples[-1]
    for what, of in KEPT_UP.items():
        due = max((one[of] for one in samples if one["at"] <= last["at"] - LAG), default=0)
        hold(last[what] >= due, f"{what} fall behind:", [(one[of], one[what]) for one in samples])
    return seen


def _slope(x: list[float], y: list[float]) -> float:
    """Give the growth per unit: the median over all pairs (Theil-Sen), which one odd sample does not turn."""
    pairs = itertools.combinations(zip(x, y, strict=True), 2)
    return median([(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs] or [0.0])


def unknown_devices(sys: System, ends: threading.Event) -> None:
    """Come back every second, and be refused."""
    while not ends.wait(1):
        for number in range(5):
            connect(sys.stack.receiver_port, fleet.imei(900_000 + number))


def reader(sys: System, ends: threading.Event) -> None:
    """Read what people and programs read."""
    session, base = requests.Session(), sys.stack.environment["PUBLIC_URL"]
    session.headers["Authorization"] = f"Bearer {sys.stack.token}"
    while not ends.wait(0.5):
        for path in (
            "/api/v1/devices",
            "/api/v1/uploads",
            "/api/v1/sessions",
            "/readyz",
            "/metrics",
            "/login",
        ):
            answer: Any = session.get(base + path, timeout=30)
            hold(answer.status_code == 200, f"GET {path}:", answer.status_code)
