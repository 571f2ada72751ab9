"""How sessions end when the receiver stops: no file that began is broken, and no device is turned away untaken."""

import struct
from pathlib import Path

import pytest
from camera_model import kermit
from driver import Line, Machine

pytestmark = pytest.mark.quick

IMEI = 352094082736916
COMPLETE, REPEAT_INIT, CLOSE = b"\x00\x05\x00\x04\x00\x00\x00\x00", b"\x00\x09", b"\x00\x00\x00\x00"
BOTH_PHOTOS, REAR_PHOTO = 0x4C, 0x48


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return Line(Machine(tmp_path))


def init(bits: int) -> bytes:
    return struct.pack(">HHQ4B", 0, 5, IMEI, bits, 0, 4, 0)


def begin(line: Line, bit: int, stamp: int) -> None:
    """From the metadata to the answer to START, for a file of one packet."""
    line.feed(struct.pack(">HHBBQBH", 0x000B, 13, 1, bit, stamp, 0, 0))
    assert line.feed(struct.pack(">HHIH", 1, 6, 1, 0)) == b"\x00\x02\x00\x04\x00\x00\x00\x01"


def send(line: Line, payload: bytes) -> bytes:
    """The one packet; give the receiver's answer."""
    head = struct.pack(">HHIHH", 3, 4, 1, 4, len(payload) + 2)
    return line.feed(head + payload + kermit(payload).to_bytes(2, "big"))


def test_the_first_file_of_a_session_is_acknowledged_with_complete(line: Line) -> None:
    line.feed(init(BOTH_PHOTOS))
    begin(line, 0x04, 1624960616000)
    line.session.stopping = True
    assert send(line, b"front") == COMPLETE
    assert line.closed is not None
    assert line.machine.files() == [b"front"]


def test_a_later_file_is_acknowledged_with_0009_since_complete_does_not_work_after_it(line: Line) -> None:
    line.feed(init(BOTH_PHOTOS))
    begin(line, 0x04, 1624960616000)
    assert send(line, b"front") == REPEAT_INIT
    line.feed(init(REAR_PHOTO))
    begin(line, 0x08, 1624960617000)
    line.session.stopping = True
    assert send(line, b"rear") == REPEAT_INIT
    assert line.feed(init(BOTH_PHOTOS)) == CLOSE
    assert sorted(line.machine.files()) == [b"front", b"rear"]


def test_a_device_that_has_sent_nothing_yet_may_send_one_file(line: Line) -> None:
    line.session.stopping = True
    assert line.feed(init(BOTH_PHOTOS)).startswith(b"\x00\x0a")
    begin(line, 0x04, 1624960616000)
    assert send(line, b"front") == COMPLETE
    assert line.closed is not None
