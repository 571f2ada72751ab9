"""Cameras that tell no time or no trigger, many at once: each file is kept, resumed, and found again after a kill.

Nothing but its sidecar knows a file that was acknowledged and not reported yet, and nothing proves of a file without a
time that it is another one. The same pictures come from several cameras.
"""

import random
import time
from collections.abc import Iterator

from simulator.metadata import IN_TEN, MetadataAnswer
from trials import evidence, fleet
from trials.evidence import Figures, hold
from trials.system import Options, System, system

CAMERAS = 200  # of each kind
PACKETS = 20
SETTINGS = {"RECEIVER_METADATA_TIMEOUT": "0.5", "RECEIVER_WORKERS": "2"}
KINDS = (MetadataAnswer.NOTHING, MetadataAnswer.NO_TIME, MetadataAnswer.NO_TRIGGER, MetadataAnswer.RAW)


def run(options: Options) -> Figures:
    """Send the files of `rounds` cameras (200) of each kind, in each way. Raises BrokenPromise."""
    count = options.rounds or CAMERAS
    with system(options, "receiver", **SETTINGS) as sys:
        whole = evidence.Tally()
        for kind in KINDS:
            whole += at_once(sys, options.seed, kind, count)
        figures = evidence.stored_once(sys.database, sys.media, sys.spool, whole)
        whole += broken(sys, options.seed, count)
        whole += killed(sys, options.seed, count)
        figures = evidence.stored_once(sys.database, sys.media, sys.spool, whole)
        hold(not list(sys.spool.rglob("*.part")), "partial files are left of files that are stored")
        hold(
            not sys.tracebacks("receiver"),
            "a mistake of ours ended a session:",
            sys.stack.log("receiver")[-1500:],
        )
    return figures


class Group:
    """Cameras of some kinds, each with one photo; every second one has the picture of the one before it."""

    _used = 0

    def __init__(self, sys: System, seed: int, kinds: tuple[MetadataAnswer, ...], count: int) -> None:
        self.sys, self.size = sys, count * len(kinds)
        self.load = fleet.Fleet(sys.stack.receiver_port, seed, fleet.Weather(more=0, pause=(0.1, 0.5)))
        numbers = [number for kind in kinds for number in _numbers(kind, count, Group._used)]
        Group._used += count
        sys.database.register([fleet.imei(number) for number in numbers])
        began = int((time.time() - 86_400) * 1000)
        for place, number in enumerate(numbers):
            picture = random.Random(f"{seed}/{place // 2}").randbytes(PACKETS * fleet.PACKET - 100)
            self.load.add(number, iter([fleet.File("%photof", picture, began + 1000 * place)]))

    def send(self) -> evidence.Tally:
        """Let all send what they still have. Raises BrokenPromise where some cannot."""
        self.load.go_on()
        hold(self.load.run(120), "cameras could not send their files:", self.load.tally.count)
        self.load.end()
        return self.load.tally

    def send_half(self) -> None:
        """Let all send half of their file, and wait."""
        self.load.halt_after = PACKETS // 2
        self.load.run(60, self._all_wait)
        hold(self._all_wait(), "cameras could not begin:", self.load.tally.count)

    def _all_wait(self) -> bool:
        return all(camera.waits for camera in self.load.cameras)


def _numbers(wanted: MetadataAnswer, count: int, after: int) -> Iterator[int]:
    (digit,) = [digit for digit, kind in IN_TEN.items() if kind is wanted]
    return (digit + 10 * (after + place) for place in range(count))


def at_once(sys: System, seed: int, kind: MetadataAnswer, count: int) -> evidence.Tally:
    """Have all cameras of a kind send their photo at the same time, to be reported together."""
    return Group(sys, seed, (kind,), count).send()


def broken(sys: System, seed: int, count: int) -> evidence.Tally:
    """Break the lines of cameras without a trigger half way: each goes on where its file stood."""
    group = Group(sys, seed, (MetadataAnswer.NO_TRIGGER,), count)
    group.send_half()
    for camera in group.load.cameras:
        camera.leave("cut")
    tally = group.send()
    hold(group.load.tally.count["resumed"] == count, "files were begun again:", group.load.tally.count)
    return tally


def killed(sys: System, seed: int, count: int) -> evidence.Tally:
    """Kill the receiver when all files are acknowledged and none is reported, for the database is held up."""
    group = Group(sys, seed, KINDS, count)
    group.send_half()
    with sys.database.held_up():
        tally = group.send()
        sys.stack.kill("receiver")
    waiting = len(list((sys.spool / "pending").glob("*.json")))
    hold(waiting == group.size, "files were reported although the database was held up:", waiting)
    sys.stack.start("receiver")
    return tally
