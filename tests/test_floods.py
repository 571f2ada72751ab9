"""A peer that never pauses, in every state and with every message: the others are served, and it is ended.

First without sockets, by a clock that stands still: what a peer repeats must end its session by count. Then over real
sockets, from a thread that sends as fast as it can.
"""

import contextlib
import dataclasses
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from camera_model import CameraModel, kermit
from conftest import wait_until
from driver import Line, Machine
from receiver_under_test import IMEI, QUICK, UNKNOWN, Running, content

from receiver.net.settings import Settings
from receiver.wire import protocol, session
from receiver.wire.session_limits import SessionLimits

PACKETS = 4
FILE = content(PACKETS * 1024)


def init(protocol_id: int = 5, bits: int = 0x44) -> bytes:
    return b"\0\0" + protocol_id.to_bytes(2, "big") + int(IMEI).to_bytes(8, "big") + bytes([bits, 0, 4, 0])


def frame(command: int, body: bytes) -> bytes:
    return protocol.HEADER.pack(command, len(body)) + body


def data(payload: bytes, crc: int | None = None) -> bytes:
    return frame(4, payload + (kermit(payload) if crc is None else crc).to_bytes(2, "big"))


METADATA = frame(0x0B, bytes.fromhex("01040000017a57334640000005"))
OTHERS_METADATA = frame(0x0B, bytes.fromhex("01080000017a57334640000005"))
STRAY = frame(0x0B, bytes.fromhex("02080000017a57334640000005")) + b"\x1e"
START = frame(1, PACKETS.to_bytes(4, "big") + bytes(2))
PATH_START = frame(1, len(FILE).to_bytes(4, "big") + bytes(2))
PATH = frame(0x0D, b"dsm/a.mp4")
SYNC, SYNC_0 = frame(3, b"\0\0\0\1"), frame(3, bytes(4))
FIRST = data(FILE[:1024])

STATES = {
    "before INIT": b"",
    "PATH": init(6),
    "METADATA": init(),
    "path's METADATA": init(6) + PATH,
    "START": init() + METADATA,
    "path's START": init(6) + PATH + frame(0x0B, b"{}"),
    "SYNC": init() + METADATA + START,
    "path's SYNC": init(6) + PATH + frame(0x0B, b"{}") + PATH_START,
    "DATA": init() + METADATA + START + SYNC + FIRST,
    "path's DATA": init(6) + PATH + frame(0x0B, b"{}") + PATH_START + SYNC_0 + FIRST,
    "INIT after a file": init() + METADATA + frame(1, bytes(6)),
}
MESSAGES = {
    "INIT": init(), "INIT by path": init(6), "another INIT": init(bits=0x48), "PATH": PATH,
    "another PATH": frame(0x0D, b"dsm/b.mp4"), "METADATA": METADATA, "METADATA of another file": OTHERS_METADATA,
    "METADATA and a stray byte": STRAY, "START": START, "START by path": PATH_START, "START 0": frame(1, bytes(6)),
    "SYNC": SYNC, "SYNC 0": SYNC_0, "SYNC 2": frame(3, b"\0\0\0\2"), "SYNC 1024": frame(3, b"\0\0\4\0"),
    "DATA": FIRST, "DATA with a wrong CRC": data(FILE[:1024], 1), "DATA of one byte": data(b"x", 1),
    "DATA at": frame(0x0E, bytes(4) + FILE[:1024] + kermit(FILE[:1024]).to_bytes(2, "big")),
    "STATUS": frame(5, bytes(4)), "nonsense": b"\0\x77\0\0",
}  # fmt: skip


@pytest.mark.parametrize("state", STATES)
def test_whatever_is_repeated_ends_the_session_by_its_number(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "IGNORED_PACKETS", 5000)
    for message, piece in MESSAGES.items():
        line = Line(Machine(tmp_path / message), SessionLimits(go_backs=20))
        line.feed(STATES[state])
        for _ in range(100):  # times a hundred messages, without a second passing
            line.feed(piece * 100)
        assert line.closed is not None, message


@pytest.mark.parametrize("state", [name for name in STATES if name != "before INIT"])
def test_what_is_answered_by_nothing_does_not_put_off_a_deadline(state: str, tmp_path: Path) -> None:
    for number, piece in enumerate(MESSAGES.values()):
        machine = Machine(tmp_path / str(number))
        line = Line(machine, SessionLimits(go_backs=20))
        line.feed(STATES[state])
        before = line.session.deadline
        stood = line.session.state, line.session.received
        machine.now += 1
        answer = line.feed(piece)
        moved = (line.session.state, line.session.received) != stood
        assert answer or line.closed or moved or line.session.deadline == before, piece


@dataclasses.dataclass
class Flood:
    """A peer that sends one thing without a pause until it is ended, or told to stop."""

    port: int
    first: bytes
    piece: bytes
    stop: threading.Event = dataclasses.field(default_factory=threading.Event)
    under_way: threading.Event = dataclasses.field(default_factory=threading.Event)
    ended: threading.Event = dataclasses.field(default_factory=threading.Event)

    def start(self) -> threading.Thread:
        thread = threading.Thread(target=self.run, daemon=True)
        thread.start()
        return thread

    def run(self) -> None:
        block = self.piece * (256 * 1024 // len(self.piece))
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=20) as line,
            contextlib.suppress(OSError),
        ):
            line.sendall(self.first)
            while not self.stop.is_set():
                line.sendall(block)
                self.under_way.set()
        if not self.stop.is_set():
            self.ended.set()


@pytest.fixture
def floods(tmp_path: Path) -> Iterator[tuple[Running, list[Flood]]]:
    running, started = Running(tmp_path, Settings(dataclasses.replace(QUICK, init=1.0, answer=1.0))), []
    running.notes.known.add(UNKNOWN)
    yield running, started
    for flood in started:
        flood.stop.set()
    running.stop()


HUGE = frame(1, (1000 * 1024).to_bytes(4, "big") + bytes(2))
ENDLESS = {
    "METADATA before INIT": (b"", METADATA),
    "METADATA of another file": (init(), OTHERS_METADATA),
    "a file": (init() + METADATA + frame(1, (1000).to_bytes(4, "big") + bytes(2)) + SYNC, data(bytes(1024))),
    "tiny packets": (init(6) + PATH + frame(0x0B, b"{}") + HUGE + SYNC_0, data(b"\0")),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_another_device_is_served_while_a_peer_sends_without_a_pause(floods, what: str) -> None:  # type: ignore[no-untyped-def]
    running, started = floods
    started.append(flood := Flood(running.port, *ENDLESS[what]))
    flood.start()
    assert flood.under_way.wait(10)
    camera = CameraModel(imei=UNKNOWN, files={"%photof": content(3000, 2)})
    camera.run(running.port)
    assert camera.acknowledged == ["%photof"]


def test_a_peer_that_never_pauses_is_ended_by_its_deadline(floods, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(session, "IGNORED_PACKETS", 10**12)
    running, started = floods
    started.append(flood := Flood(running.port, *ENDLESS["METADATA of another file"]))
    flood.start()
    assert flood.ended.wait(20)
    wait_until(lambda: running.notes.codes == ["timeout"])
