"""Files offered by path: what they are, resumed by byte over real sockets, and tied to the request that made them.

Transcripts are in tests/vectors/camera/path-*.txt and protocol-6*.txt.
"""

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest
from camera_model import kermit
from conftest import wait_until
from flask import Flask
from receiver_under_test import QUICK, Running, content
from sqlalchemy import select
from upload_rows import IMEI, add_van, asked, sidecar, take

from provisioning.media import link_words
from provisioning.models import Device, State, Upload, db
from receiver.net.settings import Settings
from receiver.store.keys import describe
from receiver.wire.actions import Offer
from receiver.wire.frame_reader import FrameReader
from receiver.wire.protocol import Metadata


@pytest.fixture
def van(app: Flask) -> Device:
    return add_van()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("mdas9/picture/231020/231452.jpg", ("photo", "adas", "jpg")),
        ("mdas9/video/231020/231452.mp4", ("video", "adas", "mp4")),
        ("dsm/picture/231020/231452.jpg", ("photo", "dsm", "jpg")),
        ("DSM/VIDEO/231020/231452.MP4", ("video", "dsm", "mp4")),
        ("dualcam_front/picture/1.jpg", ("photo", "front", "jpg")),
        ("dualcam_rear/video/1.h265", ("video", "rear", "h265")),
        ("dashcam/video/1.mp4", ("video", "dashcam", "mp4")),
        ("dashcam/picture/1", ("photo", "dashcam", "jpg")),
        ("sdcard/1.jpg", ("photo", "unknown", "jpg")),
        ("sdcard/1", ("video", "unknown", "bin")),
    ],
)
def test_a_path_says_what_the_file_is(path: str, expected: tuple[str, str, str]) -> None:
    assert describe(Offer(path, True, 1, None)) == expected


@dataclass
class PathCamera:
    """Plays a device of protocol 6 with one file: its own frames, faults on request."""

    data: bytes
    path: bytes = b"dualcam_front/picture/231020/1.jpg\0"
    metadata: dict[str, Any] | None = None
    drop_at: int | None = None  # bytes
    piece: int = 1024
    restart_crc: bool = True
    numbered: bool = True  # 0x000E, else 0x0004
    resumed_at: list[int] = field(default_factory=list)
    acknowledged: bool = False
    hold: threading.Event | None = None  # wait for this before the line is dropped

    def run(self, port: int) -> None:
        """Connect and play until the receiver says CLOSE, or the line is dropped as asked."""
        with socket.create_connection(("127.0.0.1", port), timeout=10) as self.line:
            self._init()
            while (command := self._exactly(2)) != b"\0\0":
                if command == b"\0\x09":
                    self.acknowledged = True
                    self._init()
                    continue
                body = self._exactly(int.from_bytes(self._exactly(2), "big"))
                if command == b"\0\x0c":
                    self._send(0x0D, self.path)
                elif command == b"\0\x0a" and self.metadata is not None:
                    self._send(0x0B, json.dumps(self.metadata).encode())
                elif command == b"\0\x08":
                    assert body == self.path, "the path goes back unchanged"
                    self._send(0x01, struct.pack(">IH", len(self.data), 0))
                elif command == b"\0\x02":
                    at = int.from_bytes(body, "big")
                    self.resumed_at.append(at)
                    self._send(0x03, body)
                    if not self._send_file(at):
                        return

    def _init(self) -> None:
        bits = 0 if self.acknowledged else 0x06
        self.line.sendall(struct.pack(">HHQ4B", 0, 6, int(IMEI), bits, 0, 4, 0))

    def _send(self, command: int, body: bytes) -> None:
        self.line.sendall(struct.pack(">HH", command, len(body)) + body)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.line.recv(size - len(data))
            assert piece, "the receiver closed the line without CLOSE"
            data += piece
        return data

    def _send_file(self, begin: int) -> bool:
        chain = 0 if self.restart_crc else kermit(self.data[:begin])
        for at in range(begin, len(self.data), self.piece):
            if self.drop_at is not None and at >= self.drop_at:
                self.drop_at = None
                if self.hold is not None:
                    self.hold.wait(30)
                return False
            payload = self.data[at : at + self.piece]
            chain = kermit(payload, chain)
            place = at.to_bytes(4, "big") if self.numbered else b""
            self._send(0x0E if self.numbered else 0x04, place + payload + chain.to_bytes(2, "big"))
        return True


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    receiver = Running(tmp_path, Settings(QUICK))
    yield receiver
    receiver.stop()


TIMED = {"version": 1, "file": {"file_timestamp": 1624960616}, "fm_trigger": {"type": 0}}


@pytest.mark.parametrize("numbered", [True, False], ids=["0x000E", "0x0004"])
@pytest.mark.parametrize("restart", [True, False], ids=["crc anew", "crc goes on"])
@pytest.mark.parametrize("piece", [1024, 700, 4000])
def test_a_dropped_file_goes_on_at_its_byte(
    running: Running, piece: int, restart: bool, numbered: bool
) -> None:
    camera = PathCamera(
        content(40_000), metadata=TIMED, drop_at=20_000, piece=piece, restart_crc=restart, numbered=numbered
    )
    camera.run(running.port)
    wait_until(lambda: running.notes.codes == ["lost"])
    camera.run(running.port)
    first, again = camera.resumed_at
    assert first == 0
    assert 20_000 - piece - 1024 <= again <= 20_000 + piece
    assert camera.acknowledged
    assert running.files() == [content(40_000)]


def test_another_file_at_the_same_path_is_never_spliced(running: Running) -> None:
    PathCamera(content(40_000), metadata=TIMED, drop_at=20_000).run(running.port)
    wait_until(lambda: running.notes.codes == ["lost"])
    later = TIMED | {"file": {"file_timestamp": 1624960999}}
    camera = PathCamera(content(40_000, 2), metadata=later)
    camera.run(running.port)
    assert camera.resumed_at == [0]
    assert running.files() == [content(40_000, 2)]


def test_a_stored_file_offered_again_by_path_is_compared_and_not_stored_twice(running: Running) -> None:
    for _ in range(2):
        camera = PathCamera(content(5000), metadata=TIMED)
        camera.run(running.port)
        assert camera.acknowledged
        wait_until(lambda: running.notes.stored_files)
    assert camera.resumed_at == [4096]
    assert running.files() == [content(5000)]


def test_a_newer_connection_with_another_path_takes_over(running: Running) -> None:
    """One claim stands for all paths of a device: the older session must not write on under the newer one's."""
    older = PathCamera(content(40_000), metadata=TIMED, drop_at=20_000)
    older.hold = threading.Event()

    def play() -> None:
        with contextlib.suppress(OSError):  # its line may break while it sends
            older.run(running.port)

    thread = threading.Thread(target=play)
    thread.start()
    wait_until(lambda: running.server.holders)
    newer = PathCamera(content(5000), b"dualcam_rear/picture/2.jpg", metadata=TIMED)
    newer.run(running.port)
    wait_until(lambda: sorted(running.notes.codes, key=str) == ["done", "taken_over"])
    older.hold.set()
    thread.join()
    assert newer.acknowledged
    assert running.server.holders == {}


def parsed(body: bytes) -> dict[str, Any]:
    """Read JSON metadata as the receiver does; give it as its sidecar has it."""
    found: list[Any] = []
    reader = FrameReader()
    reader.feed(bytes.fromhex("0000 0006 0001403a4abaa314 06000400"), found.append)
    reader.feed(b"\0\x0b" + len(body).to_bytes(2, "big") + body, found.append)
    assert isinstance(found[1], Metadata)
    answer: dict[str, Any] = json.loads(json.dumps(asdict(found[1])))
    return answer


def by_path(path: str, upload: str = "a" * 32, **changes: Any) -> dict[str, Any]:
    kind, source, extension = describe(Offer(path, True, 2500, None))
    return sidecar(
        upload, identifier=path, by_path=True, count=2500, file_type=kind, source=source, extension=extension,
        path=f"{IMEI}/2026/11/24/{upload}.{extension}", sha256=upload * 2, **changes,
    )  # fmt: skip


def test_a_dualcams_photo_by_path_finds_its_request(van: Device) -> None:
    row = asked(van)
    take(by_path("dualcam_rear/picture/1.jpg", "b" * 32))
    take(by_path("dualcam_front/picture/1.jpg"))
    db.session.expire_all()
    links = {u.source: u.command_id for u in db.session.scalars(select(Upload))}
    assert links == {"front": row.id, "rear": None}
    assert row.state == State.DONE


def test_a_dualcams_video_by_path_finds_its_request_by_time(van: Device) -> None:
    moment = 1_795_500_000
    row = asked(van, "rear", file_type="video", timestamp=moment, duration=5)
    body = {"file": {"file_timestamp": moment, "duration": 5}, "fm_trigger": {"type": 0}}
    take(by_path("dualcam_rear/video/1.mp4", metadata=parsed(json.dumps(body).encode())))
    upload = db.session.scalars(select(Upload)).one()
    assert (upload.command_id, upload.link_certainty) == (row.id, "certain")


@pytest.mark.parametrize("path", ["dashcam/picture/1.jpg", "dsm/picture/1.jpg", "mdas9/picture/1.jpg"])
def test_another_cameras_photo_is_not_taken_for_the_dualcams(van: Device, path: str) -> None:
    row = asked(van, "both")
    take(by_path(path))
    upload = db.session.scalars(select(Upload)).one()
    assert (upload.command_id, link_words.reason(upload.link_reason)) == (None, "no request fits")
    assert row.state == State.ANSWERED


def test_a_trigger_told_in_json_never_links_to_a_request(van: Device) -> None:
    asked(van)
    body = json.dumps(TIMED | {"fm_trigger": {"type": 3}}).encode()
    take(by_path("dualcam_front/picture/1.jpg", metadata=parsed(body)))
    upload = db.session.scalars(select(Upload)).one()
    assert (upload.command_id, link_words.reason(upload.link_reason)) == (
        None,
        "taken by itself: trigger crash",
    )


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"version":1e999,"file":{"file_timestamp":9007199254740991,"duration":4294967296,"framerate":1e99}}',
        b'{"fm_trigger":{"type":4294967296},"location":{"latitude":1e308,"longitude":NaN},"x":[-Infinity]}',
        b'{"driver_name":"\\u0000\\ud800 \xc4\x85"}',
        b'{"a":' * 600 + b"1" + b"}" * 600,
        b"\xff" * 26,
    ],
    ids=["empty", "infinite", "large", "text", "deep", "no json"],
)
def test_whatever_a_camera_tells_its_file_gets_a_row(van: Device, body: bytes) -> None:
    asked(van)
    take(by_path("dualcam_front/picture/1.jpg", metadata=parsed(body)))
    upload = db.session.scalars(select(Upload)).one()
    assert (upload.state, upload.trigger) == ("stored", None)
