"""What is fuzzed, and what must hold: called by the coverage-guided fuzzer and, with its corpus, by the tests.

`reader`: any bytes at any cuts. `session`: a device's life over several lines, as small operations, since no
fuzzer guesses a CRC. Every exception but those that a line may end with is a mistake of ours.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from camera_model import kermit
from driver import Line, Machine

from receiver.wire.frame_reader import PATH_DATA_MAX, FrameReader
from receiver.wire.protocol import HEADER, ProtocolError, Run, WireMessage
from receiver.wire.session_limits import SessionLimits
from receiver.wire.session_state import SessionState

LIMITS = SessionLimits(max_size=32 * 1024, bad_packets=3, go_backs=3, offers=12)
WITHOUT_DEADLINE = (SessionState.ADMISSION, SessionState.STORAGE, SessionState.COMMIT, SessionState.CLOSED)
FEED, WAIT, DROP, RESTART, STRANGER, DATA, DATA_AT, SYNC, PAUSE = range(9)


def reader(data: bytes) -> None:
    """Read a stream whole, byte by byte and at cuts that its own bytes name: always the same."""
    cuts = [int.from_bytes(data[at : at + 2], "big") for at in range(0, min(len(data), 16), 2)]
    whole = _read(data, [])
    assert _read(data, list(range(len(data)))) == whole
    assert _read(data, cuts) == whole


def _read(data: bytes, cuts: list[int]) -> tuple[list[WireMessage], str | None]:
    found: list[WireMessage] = []
    machine = FrameReader()

    def take(message: WireMessage) -> None:
        found.extend(message.split() if isinstance(message, Run) else [message])

    last = 0
    try:
        for cut in [*sorted({c for c in cuts if c < len(data)}), len(data)]:
            machine.feed(data[last:cut], take)
            last = cut
            assert len(machine._left) < PATH_DATA_MAX + 10
    except ProtocolError as error:
        return found, error.code
    return found, None


def operations(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Cut fuzzer's bytes into operations: one byte what, two bytes how long, then its bytes."""
    at = 0
    while at + 3 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 3], "big")
        yield data[at] % 9, data[at + 3 : at + 3 + size]
        at += 3 + size


def encode(what: int, more: bytes = b"") -> bytes:
    """Make one operation."""
    return bytes([what]) + len(more).to_bytes(2, "big") + more


def session(data: bytes) -> None:
    """Play operations of a device against protocol, session and storage."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        _play(Machine(folder), data)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _play(machine: Machine, data: bytes) -> None:
    line = Line(machine, LIMITS)
    for what, more in operations(data):
        size = int.from_bytes(more[:2], "big")
        match what:
            case 0:
                line.feed(more)
            case 1 if line.session.deadline is not None and line.closed is None:
                line.wait()
            case 2 | 3 | 4:
                line.drop()
                if what == RESTART:
                    machine.restart()
                machine.known = what != STRANGER
                line = Line(machine, LIMITS)
            case 5 | 6:
                _send_data(
                    line, min(size, 1024 if what == DATA else 4000), at=what == DATA_AT, flip=more[2:3]
                )
            case 7:
                place = line.session.received
                place = place if line.session.offer.by_path else place // 1024 + 1
                line.feed(b"\0\3\0\4" + max(0, place - size).to_bytes(4, "big"))
            case 8:
                machine.now += size
        check(machine, line)
    line.drop()
    check(machine, line)


def _send_data(line: Line, size: int, *, at: bool, flip: bytes) -> None:
    """Send a DATA frame that fits what the session has, with its right CRC; or wrong by one bit."""
    place = line.session.received
    payload = bytes((place + n) * 7 & 0xFF for n in range(size)) if not flip else bytes([flip[0]]) * size
    crc = kermit(payload, line.session._chain) ^ (flip[0] & 1 if flip else 0)
    body = (place.to_bytes(4, "big") if at else b"") + payload + crc.to_bytes(2, "big")
    line.feed(HEADER.pack(0x0E if at else 0x04, len(body)) + body)


def check(machine: Machine, line: Line) -> None:
    """Hold what must hold after every step."""
    now = line.session
    assert (now.deadline is None) == (now.state in WITHOUT_DEADLINE)
    assert len(line.reader._left) <= PATH_DATA_MAX + 10
    assert now.received <= now.offer.size or not now.offer.count
    if line.transfer is not None:
        assert line.transfer.received == now.received
    files = machine.files()
    assert len(files) == len(machine.stored)
    for record in machine.stored:
        kept = (machine.folder / "media" / record["path"]).read_bytes()
        assert len(kept) == record["size"] <= LIMITS.max_size
        assert hashlib.sha256(kept).hexdigest() == record["sha256"]


TARGETS: dict[str, Callable[[bytes], None]] = {"reader": reader, "session": session}
