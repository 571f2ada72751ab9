"""A mutation fuzzer over a live port: real transcripts, broken in every way a line can break them.

`python tests/fuzz/live.py [SECONDS [SEED]]`, or called with a number of sessions by the tests. Meanwhile an honest
camera sends files. What must hold: the receiver lives, no session ends by a mistake of ours, honest files arrive,
memory is bounded, and what is stored was held by some camera, or was sent whole with a right CRC by the fuzzer.
"""

import contextlib
import itertools
import random
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent.parent)]

import psutil
from camera_model import CameraModel, kermit
from camera_vectors import PATHS, Transcript, read

Frames = list[bytes]
ANSWER_SECONDS = 0.05  # wait for the receiver between a mutated session's blocks
HONEST = "356307042441013"
SHARED = (352094082736916).to_bytes(8, "big")  # the transcripts' device


def flip(random: random.Random, frames: Frames) -> Frames:
    """Turn one bit."""
    at = random.randrange(len(frames))
    broken = bytearray(frames[at])
    broken[random.randrange(len(broken))] ^= 1 << random.randrange(8)
    return [*frames[:at], bytes(broken), *frames[at + 1 :]]


def truncate(random: random.Random, frames: Frames) -> Frames:
    """Leave out the end of one frame."""
    at = random.randrange(len(frames))
    return [*frames[:at], frames[at][: random.randrange(len(frames[at]))], *frames[at + 1 :]]


def cut(random: random.Random, frames: Frames) -> Frames:
    """End the line early."""
    return frames[: random.randrange(len(frames) + 1)]


def duplicate(random: random.Random, frames: Frames) -> Frames:
    """Send one frame several times."""
    at = random.randrange(len(frames))
    return [*frames[:at], *[frames[at]] * random.randint(2, 40), *frames[at + 1 :]]


def reorder(random: random.Random, frames: Frames) -> Frames:
    """Change two frames' places."""
    one, other = random.randrange(len(frames)), random.randrange(len(frames))
    frames = list(frames)
    frames[one], frames[other] = frames[other], frames[one]
    return frames


def lie(random: random.Random, frames: Frames) -> Frames:
    """Name another length than the frame has, or another number in its first field."""
    at = random.randrange(len(frames))
    frame, place = frames[at], random.choice((2, 4))
    value = random.choice((0, 1, 3, 0x401, 0x402, 0x403, 0x7FFF, 0xFFFF, random.randrange(0x10000)))
    return [*frames[:at], frame[:place] + value.to_bytes(2, "big") + frame[place + 2 :], *frames[at + 1 :]]


def insert(random: random.Random, frames: Frames) -> Frames:
    """Put random bytes, or a frame of another transcript, in between."""
    at = random.randrange(len(frames) + 1)
    more = random.choice((random.randbytes(random.randint(1, 40)), random.choice(EVERY_FRAME)))
    return [*frames[:at], more, *frames[at:]]


MUTATIONS: tuple[Callable[[random.Random, Frames], Frames], ...] = (
    flip, truncate, cut, duplicate, reorder, lie, insert,
)  # fmt: skip
TRANSCRIPTS: list[Transcript] = [read(path) for path in PATHS]
EVERY_FRAME = [f for t in TRANSCRIPTS for s in t.steps if s.mark == ">" for f in s.frames if f]
STREAMS = [
    frames
    for t in TRANSCRIPTS
    if (frames := [f for s in t.steps if s.mark == ">" for f in s.frames if f])
]  # fmt: skip


@dataclass
class Fuzzer:
    """Mutated sessions against one port, several at a time."""

    port: int
    seed: int
    sessions: int = 0
    failures: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, seconds: float, most: int = sys.maxsize, threads: int = 4) -> None:
        """Play sessions for so long, or so many."""
        deadline, numbers = time.monotonic() + seconds, itertools.count(self.seed)

        def work() -> None:
            while not self.stop.is_set() and time.monotonic() < deadline and self.sessions < most:
                self.sessions += 1
                self.play(random.Random(next(numbers)))

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def play(self, random: random.Random) -> None:
        """Play one transcript, mutated once or a few times, in pieces with pauses."""
        frames = list(random.choice(STREAMS))
        if random.random() < 0.5:  # a device of its own; else all fight for one
            own = random.randrange(10**14, 10**15).to_bytes(8, "big")
            frames = [frame.replace(SHARED, own) for frame in frames]
        for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
            if frames := [frame for frame in frames if frame]:
                frames = random.choice(MUTATIONS)(random, frames)
        patient = random.random() < 0.5  # waits for answers; else it sends all at once
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), timeout=5) as line,
        ):
            line.settimeout(ANSWER_SECONDS)
            for frame in frames:
                if random.random() < 0.1:
                    middle = random.randint(0, len(frame))
                    line.sendall(frame[:middle])
                    time.sleep(random.random() * 0.02)
                    frame = frame[middle:]
                line.settimeout(5)
                line.sendall(frame)
                line.settimeout(ANSWER_SECONDS)
                if patient and not frame.startswith(b"\0\4"):
                    with contextlib.suppress(TimeoutError):
                        if not line.recv(4096):
                            return
            if random.random() < 0.2:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset


def honest(port: int, number: int) -> bytes:
    """Send one photo as a camera of its own would; give its bytes."""
    data = random.Random(number).randbytes(3000 + number % 5000)
    camera = CameraModel(
        imei=HONEST, files={"%photof": data}, timestamps={"%photof": 1_795_500_000_000 + number}
    )
    camera.run(port, timeout=30)
    assert camera.acknowledged == ["%photof"], f"honest file {number} was not acknowledged"
    return data


def campaign(folder: Path, seconds: float, most: int, seed: int) -> dict[str, object]:
    """Fuzz a receiver of this process's own; give what was seen. Raises AssertionError at a broken promise."""
    from receiver_under_test import QUICK, Running

    from receiver.backend.port import Admission
    from receiver.net.settings import Settings

    running = Running(folder, Settings(QUICK, lines_per_minute=0, max_per_device=8))
    running.notes.admit = lambda imei: Admission.KNOWN  # type: ignore[method-assign]
    codes: dict[str, int] = {}
    running.server.tell = lambda facts: note(codes, facts)  # type: ignore[method-assign]
    fuzzer, sent = Fuzzer(running.port, seed), []
    process = psutil.Process()
    before = process.memory_info().rss
    thread = threading.Thread(target=fuzzer.run, args=(seconds, most))
    thread.start()
    try:
        for number in itertools.count():
            sent.append(honest(running.port, number))
            if not thread.is_alive():
                break
            time.sleep(0.2)
    finally:
        fuzzer.stop.set()
        thread.join()
        deadline = time.monotonic() + 60
        while running.server.connections and time.monotonic() < deadline:
            time.sleep(0.05)
        left = len(running.server.connections)
        grown = process.memory_info().rss - before
        running.stop()
    assert not left, "sessions that do not end"
    assert "internal" not in codes, "a session ended by a mistake of ours; see the log"
    stored = [p.read_bytes() for p in (folder / "media").rglob("*") if p.is_file() and p.suffix != ".json"]
    held = {content for t in TRANSCRIPTS if (content := t.content)} | set(sent)
    strange = [data for data in stored if not plausible(data, held)]
    assert not strange, (
        f"{len(strange)} stored files that no camera held, of {[len(s) for s in strange]} bytes"
    )
    assert all(stored.count(data) == 1 for data in sent), "an honest file is missing or doubled"
    assert grown < 150 * 2**20, f"memory grew by {grown >> 20} MiB"
    return {"sessions": fuzzer.sessions, "honest": len(sent), "stored": len(stored), "grown_mib": grown >> 20,
            "codes": dict(sorted(codes.items()))}  # fmt: skip


def note(codes: dict[str, int], facts: object) -> None:
    code = getattr(facts, "code", None)
    if code:
        codes[code] = codes.get(code, 0) + 1


def plausible(data: bytes, held: set[bytes]) -> bool:
    """Say whether a stored file is a camera's, or made of packets that the fuzzer sent with their right CRC.

    A lie about the count, or a packet sent first of all, makes a shorter file that passes every check there is.
    """
    if data in held:
        return True
    packets = [data[at : at + 1024] for at in range(0, len(data), 1024)]
    return all(any(packet in whole for whole in held) or packet in SMALL for packet in packets)


SMALL = {
    f[4:-2] for f in EVERY_FRAME if f[:2] == b"\0\4" and kermit(f[4:-2]) == int.from_bytes(f[-2:], "big")
}

if __name__ == "__main__":
    how_long = float(sys.argv[1]) if len(sys.argv) > 1 else 600.0
    first_seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory() as place:
        sys.stdout.write(f"{campaign(Path(place), how_long, sys.maxsize, first_seed)}\n")
