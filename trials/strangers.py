"""Refused devices that come back every second: what a month of them costs in rows and log lines.

Each stranger connects as often as in so many days at one connection a second; the rows and lines are counted. Known
cameras send files beside them.
"""

import random
import socket
import struct
import threading
import time
from collections import Counter

from trials import evidence, fleet
from trials.evidence import Figures, hold
from trials.system import Options, System, pause, system

STRANGERS, FIRST = 20, 1000  # and the number of the first of them; those of known cameras are lower
ROUNDS = 200  # connections of each stranger
CAMERAS, FILES = 10, 5  # known ones, at work meanwhile
LINES_A_MINUTE = 60  # RECEIVER_LINES_PER_MINUTE's default: of one address
CLOSE = b"\x00\x00"


def run(options: Options) -> Figures:
    """Have strangers refused `rounds` times each (200), cameras at work beside them. Raises BrokenPromise."""
    rounds = options.rounds or ROUNDS
    ended: Counter[str] = Counter()
    refusals = f"SELECT count(*) FROM sessions WHERE imei >= '{fleet.imei(FIRST)}'"
    with system(options, "receiver", RECEIVER_METADATA_TIMEOUT="1") as sys:
        sys.database.register([fleet.imei(number) for number in range(CAMERAS)])
        load = fleet.Fleet(sys.stack.receiver_port, options.seed, fleet.Weather(cut=0.1))
        for number in range(CAMERAS):
            rng = random.Random(f"{options.seed}/files/{number}")
            load.add(number, fleet.some_files(rng, FILES, (1, 40_000), began=time.time() - 86_400))
        known = threading.Thread(target=load.run, args=(120,), daemon=True)
        known.start()
        began = time.monotonic()
        come(sys, rounds - rounds // 2, ended)
        known.join(130)
        hold(not load.working, "cameras could not send all their files:", load.tally.count)
        before = sys.usage("receiver")  # with what the work for known cameras keeps open
        come(sys, rounds // 2, ended)
        took = time.monotonic() - began
        hold(set(ended) == {"refused"}, "strangers were not refused with CLOSE:", ended)
        evidence.wait(lambda: sys.database.count(refusals) > 0, 30, "refusals are not seen")
        stored = evidence.stored_once(sys.database, sys.media, sys.spool, load.tally)
        load.end()
        pause(3)  # for the last report
        rows = sys.database.count(refusals)
        hold(rows <= 2 * STRANGERS, "more rows than one a day for each stranger:", rows)
        lines = sys.stack.log("receiver").count('"unknown_device"')
        most = LINES_A_MINUTE * (took / 60 + 2)
        hold(lines <= most, "more log lines than one address may cause:", lines, most)
        after = sys.usage("receiver")
        hold(after["descriptors"] <= before["descriptors"] + 5, "descriptors leak:", before, after)
        seen = {
            "connections": sum(ended.values()),
            "seconds": round(took, 1),
            "rows": rows,
            "log_lines": lines,
        }
        return stored | seen | {"pss_before": before["pss"], "pss_after": after["pss"]}


def come(sys: System, rounds: int, ended: Counter[str]) -> None:
    """Have each stranger connect so often; count how it ended."""
    for _ in range(rounds):
        for stranger in range(STRANGERS):
            ended[knock(sys.stack.receiver_port, fleet.imei(FIRST + stranger))] += 1


def knock(port: int, imei: str) -> str:
    """Connect as a device and give how it ended."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
        line.sendall(struct.pack(">HHQ4B", 0, 5, int(imei), 0x44, 0, 4, 0))
        answer = line.recv(64)
        return "refused" if answer[:2] == CLOSE else answer.hex() or "cut"
