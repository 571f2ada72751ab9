"""Unknown devices that come back every second, and an address that tries many IMEIs.

Each unknown device has an address of its own and connects as often as in so many days at one connection a second;
rows and log lines are counted. One address tries one IMEI after the other: its refusals come later and later, while
known cameras of the same address send their files.
"""

import json
import random
import socket
import struct
import threading
import time
from collections import Counter

from trials import evidence, fleet
from trials.evidence import Figures, hold
from trials.system import Options, System, pause, system

DEVICES, FIRST = 20, 1000  # and the number of the first of them; those of known cameras are lower
ROUNDS = 200  # connections of each unknown device
CAMERAS, FILES = 10, 5  # known ones, at work meanwhile
GUESSES, FIRST_GUESS = 9, 2000  # IMEIs that one address tries, and the number of the first of them
# of them these are refused at once, the next after so long, each further after twice that
FREE, FIRST_SECONDS = 5, 0.5
LINES_A_MINUTE = 60  # RECEIVER_LINES_PER_MINUTE's default: of one address
CLOSE = b"\x00\x00"
HERE = "127.0.0.1"


def run(options: Options) -> Figures:
    """Refuse unknown devices `rounds` times each (200), cameras at work beside them. Raises BrokenPromise."""
    rounds = options.rounds or ROUNDS
    ended: Counter[str] = Counter()
    ours = f"imei >= '{fleet.imei(FIRST)}' AND imei < '{fleet.imei(FIRST_GUESS)}'"
    refusals = f"SELECT count(*) FROM sessions WHERE {ours}"
    with system(options, "receiver", RECEIVER_METADATA_TIMEOUT="1") as sys:
        sys.database.register([fleet.imei(number) for number in range(CAMERAS)])
        load = fleet.Fleet(sys.stack.receiver_port, options.seed, fleet.Weather(cut=0.1))
        for number in range(CAMERAS):
            rng = random.Random(f"{options.seed}/files/{number}")
            load.add(number, fleet.some_files(rng, FILES, (1, 40_000), began=time.time() - 86_400))
        known = threading.Thread(target=load.run, args=(120,), daemon=True)
        known.start()
        guesses = GuessLimits(sys.stack.receiver_port)
        guesses.start()
        began = time.monotonic()
        connect_all(sys, rounds - rounds // 2, ended)
        known.join(130)
        hold(not load.working, "cameras could not send all their files:", load.tally.count)
        before = sys.usage("receiver")  # with what the work for known cameras keeps open
        connect_all(sys, rounds // 2, ended)
        took = time.monotonic() - began
        hold(set(ended) == {"refused"}, "unknown devices were not refused with CLOSE:", ended)
        guesses.join(180)
        seconds = guesses.judge()
        evidence.wait(lambda: sys.database.count(refusals) > 0, 30, "refusals are not seen")
        stored = evidence.stored_once(sys.database, sys.media, sys.spool, load.tally)
        load.end()
        pause(3)  # for the last report
        rows = sys.database.count(refusals)
        hold(rows <= 2 * DEVICES, "more rows than one a day for each unknown device:", rows)
        lines = log_lines(sys)
        most = LINES_A_MINUTE * (took / 60 + 2)
        hold(max(lines.values()) <= most, "more log lines than one address may cause:", lines, most)
        after = sys.usage("receiver")
        hold(after["descriptors"] <= before["descriptors"] + 5, "descriptors leak:", before, after)
        seen = {
            "connections": sum(ended.values()),
            "seconds": round(took, 1),
            "rows": rows,
            "log_lines": lines.total(),
            "guesses_waited": seconds,
        }
        return stored | seen | {"pss_before": before["pss"], "pss_after": after["pss"]}


def connect_all(sys: System, rounds: int, ended: Counter[str]) -> None:
    """Have each unknown device connect so often, from its own address; count how it ended."""
    for _ in range(rounds):
        for number in range(DEVICES):
            address = f"127.0.1.{1 + number}"
            ended[connect(sys.stack.receiver_port, fleet.imei(FIRST + number), address)] += 1


def connect(port: int, imei: str, address: str = HERE) -> str:
    """Connect as a device, from this address, and give how it ended."""
    with socket.create_connection((HERE, port), timeout=60, source_address=(address, 0)) as line:
        line.sendall(struct.pack(">HHQ4B", 0, 5, int(imei), 0x44, 0, 4, 0))
        answer = line.recv(64)
        return "refused" if answer[:2] == CLOSE else answer.hex() or "cut"


def log_lines(sys: System) -> Counter[str]:
    """Count the log lines about refusals by the address that caused them."""
    lines = [
        json.loads(line) for line in sys.stack.log("receiver").splitlines() if '"unknown_device"' in line
    ]
    return Counter(line["address"].rpartition(":")[0] for line in lines)


class GuessLimits(threading.Thread):
    """One address that tries one IMEI after the other, and the last of them once more: how long each waited."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.waited: list[float] = []
        self.ended: list[str] = []

    def run(self) -> None:
        """Try them all."""
        for number in [*range(GUESSES), GUESSES - 1]:
            began = time.monotonic()
            self.ended.append(connect(self.port, fleet.imei(FIRST_GUESS + number)))
            self.waited.append(time.monotonic() - began)

    def judge(self) -> list[float]:
        """Give the seconds that each refusal took. Raises BrokenPromise."""
        waited = [round(seconds, 1) for seconds in self.waited]
        hold(
            self.ended == ["refused"] * (GUESSES + 1),
            "an address that tries IMEIs was not refused:",
            self.ended,
        )
        for number in range(FREE, GUESSES):
            least = FIRST_SECONDS * 2 ** (number - FREE)
            hold(waited[number] >= least, "an IMEI was tried too soon after the others:", number, waited)
        hold(waited[-1] < waited[-2] / 2, "an unknown device that returned waited as for a new IMEI:", waited)
        return waited
