"""How much memory a peer can make the receiver hold, in every state of a session."""

import dataclasses
import gc
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from camera_model import kermit
from driver import Line, Machine
from receiver_under_test import METADATA, content, init

from receiver.spool.spool import Caps, Spool
from receiver.store.local_folder import LocalFolder
from receiver.store.media_store import MediaError
from receiver.wire import protocol
from receiver.wire.frame_reader import PATH_DATA_MAX
from receiver.wire.session_limits import SessionLimits

INIT = init()
START = bytes.fromhex("0001 0006 0000ffff 0000")
SYNC = bytes.fromhex("0003 0004 00000001")
PATH_INIT = bytes.fromhex("0000 0006 0001403a4abaa314 06000400")


def paths() -> Iterator[bytes]:
    """Offer another path each time, and no data."""
    for number in range(100_000):
        name = b"x" * 240 + f"{number:08d}".encode()
        yield PATH_INIT + protocol.HEADER.pack(0x0D, len(name)) + name
        yield protocol.HEADER.pack(0x0B, 2) + b"{}" + bytes.fromhex("0001 0006 00000000 0000")


def same_start() -> Iterator[bytes]:
    yield INIT
    yield METADATA
    for _ in range(4000):
        yield START * 100


def back_and_forth() -> Iterator[bytes]:
    """Go back to the first packet after each good one."""
    yield INIT
    yield METADATA
    yield START + SYNC
    packet = bytes(1024)
    frame = protocol.FULL_HEADER + packet + kermit(packet).to_bytes(2, "big")
    for _ in range(4000):
        yield frame + SYNC


def many_files() -> Iterator[bytes]:
    """Send one small file after the other, never at an end."""
    for number in range(3000):
        stamp = (1_795_500_000_000 + number).to_bytes(8, "big")
        yield INIT + b"\0\x0b\0\x0d\1\4" + stamp + bytes(3)
        yield bytes.fromhex("0001 0006 00000001 0000") + SYNC
        yield b"\0\4\0\3x" + kermit(b"x").to_bytes(2, "big")


def late_metadata() -> Iterator[bytes]:
    yield INIT
    for _ in range(4000):
        yield METADATA * 100


def unfinished_frames() -> Iterator[bytes]:
    yield PATH_INIT
    yield b"\0\x0e\x40\x06"
    for _ in range(16_000):
        yield b"x"


@pytest.mark.parametrize(
    "stream",
    [paths, same_start, back_and_forth, many_files, late_metadata, unfinished_frames],
    ids=lambda s: s.__name__,
)
def test_whatever_a_peer_sends_it_makes_us_hold_little(stream, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    machine = Machine(tmp_path)
    line = Line(machine, dataclasses.replace(SessionLimits(), offers=200))
    for _ in range(20):  # what is loaded once
        next(iter(stream()))
    gc.collect()  # garbage of other tests may warn while it is cleared, and whole source files are read for that
    tracemalloc.start()
    try:
        for piece in stream():
            line.feed(piece)
            if line.closed is not None:
                break
            assert len(line.reader._left) <= PATH_DATA_MAX + 10
            assert line.transfer is None or len(line.transfer._buffer) <= 4096
        machine.stored.clear()  # the test's own notes
        held, _ = tracemalloc.get_traced_memory()
        by = tracemalloc.take_snapshot().statistics("filename")[:5] if held > 500_000 else []
    finally:
        tracemalloc.stop()
    assert held < 500_000, by
    assert line.closed is not None or stream in (late_metadata, unfinished_frames)


class Away(LocalFolder):
    """A media folder that may be away, and counts what it gives at once."""

    away = False
    most = 0

    def read(self, key: str, offset: int, count: int) -> bytes | None:
        if self.away:
            raise MediaError("the store is away")
        found = super().read(key, offset, count)
        self.most = max(self.most, len(found or b""))
        return found


@pytest.fixture
def offered_again(tmp_path: Path) -> tuple[Line, Away]:
    """A line on which a stored file of 3 MiB is offered again, after its START."""
    machine, packets = Machine(tmp_path), 3072
    machine.store = Spool(tmp_path / "spool", store := Away(tmp_path / "media"), Caps())
    data, chain, frames = content(packets * 1024), 0, b""
    for at in range(0, len(data), 1024):
        chain = protocol.crc(data[at : at + 1024], chain)
        frames += protocol.FULL_HEADER + data[at : at + 1024] + chain.to_bytes(2, "big")
    start = bytes.fromhex("0001 0006") + packets.to_bytes(4, "big") + b"\0\0"
    line = Line(machine)
    for piece in (INIT, METADATA, start, SYNC, frames):
        line.feed(piece)
    assert machine.files() == [data]
    line = Line(machine)
    for piece in (INIT, METADATA, start):
        line.feed(piece)
    assert line.transfer is not None
    assert line.transfer.stored_before
    return line, store


def test_a_stored_file_that_is_offered_again_is_compared_in_pieces(offered_again: tuple[Line, Away]) -> None:
    line, store = offered_again
    line.feed(SYNC)  # it goes back to its first packet
    assert 0 < store.most <= 1024 * 1024


@pytest.mark.parametrize("place", ["back", "forward"])
def test_a_store_that_goes_away_while_a_file_is_compared_ends_the_session_with_its_reason(
    offered_again: tuple[Line, Away], place: str
) -> None:
    line, store = offered_again
    store.away = True
    last = content(3072 * 1024)[-1024:]
    if place == "back":
        line.feed(bytes.fromhex("0003 0004 00000800"))
    else:
        line.feed(bytes.fromhex("0003 0004 00000c00"))
        line.feed(protocol.FULL_HEADER + last + protocol.crc(last).to_bytes(2, "big"))
    assert line.closed is not None
    assert line.closed.code == "store_away"
