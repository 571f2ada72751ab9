"""Refused devices that come back every second: what a month of them costs in rows and log lines.

Each stranger connects as often as in so many days at one connection a second; the rows and lines are counted.
"""

import socket
import struct
import time
from collections import Counter

from trials import evidence, fleet
from trials.evidence import Figures, hold
from trials.system import Options, pause, system

STRANGERS = 20
ROUNDS = 200  # connections of each stranger
LINES_A_MINUTE = 60  # RECEIVER_LINES_PER_MINUTE's default: of one address
CLOSE = b"\x00\x00"


def run(options: Options) -> Figures:
    """Have strangers refused `rounds` times each (200), a camera at work beside them. Raises BrokenPromise."""
    rounds = options.rounds or ROUNDS
    ended: Counter[str] = Counter()
    with system(options, "receiver") as sys:
        sys.database.register([fleet.imei(0)])
        before = sys.usage("receiver")
        began = time.monotonic()
        for _ in range(rounds):
            for stranger in range(STRANGERS):
                ended[knock(sys.stack.receiver_port, fleet.imei(1000 + stranger))] += 1
        took = time.monotonic() - began
        hold(set(ended) == {"refused"}, "strangers were not refused with CLOSE:", ended)
        evidence.wait(
            lambda: sys.database.count("SELECT count(*) FROM sessions") > 0, 30, "refusals are not seen"
        )
        pause(3)  # for the last report
        rows = sys.database.count("SELECT count(*) FROM sessions")
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
        return seen | {"pss_before": before["pss"], "pss_after": after["pss"]}


def knock(port: int, imei: str) -> str:
    """Connect as a device and give how it ended."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
        line.sendall(struct.pack(">HHQ4B", 0, 5, int(imei), 0x44, 0, 4, 0))
        answer = line.recv(64)
        return "refused" if answer[:2] == CLOSE else answer.hex() or "cut"
