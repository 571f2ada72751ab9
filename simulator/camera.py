"""The camera's side of the wire, for a virtual vehicle: connects, offers its files, sends them, with faults.

Two ways, as `Vehicle.protocol` says: up to 5 by identifier, with packet numbers and binary metadata; from 6 on by
path, with byte offsets and metadata in JSON. Independent of the receiver's code: its own frames and CRC. Source:
vendor's protocol page; for the way by path other servers, so its details are a guess (docs/simulator.md).
"""

import json
import socket
import struct
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from simulator.metadata import RAW_METADATA
from simulator.vehicle import CapturedFile, Vehicle

PATH_PROTOCOL = 6
PATH_BIT = 0x02
FOLDERS = {
    "%photof": ("dualcam_front/picture", "jpg"),
    "%photor": ("dualcam_rear/picture", "jpg"),
    "%videof": ("dualcam_front/video", "h265"),
    "%videor": ("dualcam_rear/video", "h265"),
}
BITS = {"%photof": 0x04, "%photor": 0x08, "%videof": 0x10, "%videor": 0x20}
TABLE = []
for _byte in range(256):
    _value = _byte
    for _ in range(8):
        _value = (_value >> 1) ^ 0x8408 if _value & 1 else _value >> 1
    TABLE.append(_value)
ATTEMPTS = 3
RETRY_SECONDS = 20.0
POSTPONED_SECONDS = 30 * 60.0
ANSWER_SECONDS = 60.0


def kermit(data: bytes, value: int = 0) -> int:
    """Give CRC-16/KERMIT of `data`, continued from `value`."""
    for byte in data:
        value = (value >> 8) ^ TABLE[(value ^ byte) & 0xFF]
    return value


def path_of(file: CapturedFile) -> str:
    """Give the path under which a camera of protocol id 6 offers a file."""
    folder, ending = FOLDERS[file.identifier]
    return f"{folder}/{datetime.fromtimestamp(file.timestamp / 1000, UTC):%y%m%d/%H%M%S}.{ending}"


def json_metadata(vehicle: Vehicle, file: CapturedFile) -> bytes:
    """Give the metadata that a camera of protocol id 6 sends; its time in seconds."""
    stamp = 0 if vehicle.faults.no_time else file.timestamp // 1000
    contents: dict[str, Any] = {
        "version": 1,
        "file": {
            "file_type": BITS[file.identifier],
            "file_timestamp": stamp,
            "duration": file.duration,
            "framerate": file.frame_rate,
        },
        **({} if vehicle.faults.no_trigger else {"fm_trigger": {"type": file.trigger}}),
        "cam_trigger": {"type": 0},
        "location": {"latitude": 54.6872, "longitude": 25.2797},
        "driver_name": vehicle.name,
    }
    return json.dumps(contents, separators=(",", ":")).encode()


class LineLost(Exception):
    """The connection ended before everything was acknowledged."""


class Camera:
    """Sends a vehicle's files to a server, over as many connections as it takes."""

    def __init__(self, vehicle: Vehicle, server: tuple[str, int], scale: float = 1.0) -> None:
        self.vehicle, self.server, self.scale = vehicle, server, scale
        self._last: str | None = None
        self._finished = False
        # the times that it gave to files on this connection, in milliseconds
        self._given_times: dict[str, int] = {}
        self._by_path = vehicle.protocol >= PATH_PROTOCOL

    def run(self, tell: Callable[[str], None] = lambda text: None) -> bool:
        """Connect until all files are acknowledged or the attempts are used up; say whether all are."""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(RETRY_SECONDS * self.scale)
            if self.vehicle.faults.unreachable_server:
                continue
            try:
                self.connect()
            except (OSError, LineLost):
                continue
            if not self.vehicle.files:
                return True
        if self.vehicle.files:
            tell("Error: connect to server")
        return not self.vehicle.files

    def connect(self) -> None:
        """Play one session. Raises LineLost or OSError where it breaks."""
        with socket.create_connection(self.server, timeout=ANSWER_SECONDS) as self.line:
            self.vehicle.connected = True
            self._finished = False
            self._given_times.clear()
            try:
                self._session()
            finally:
                self.vehicle.connected = False
                self._ended()

    def _session(self) -> None:
        self._init()
        while True:
            command = int.from_bytes(self._exactly(2), "big")
            if command == 0x0009:
                self._acknowledged()
                self._init()
                continue
            size = int.from_bytes(self._exactly(2), "big")
            body = self._exactly(size)
            if command == 0x0000:
                return
            if command == 0x0005:
                self._acknowledged()
                return
            name = body.rstrip(b"\0").decode("ascii", "replace")
            if command == 0x000C:
                self._offer_path()
            elif command == 0x000A and self._by_path:
                self._path_metadata()
            elif command == 0x000A:
                self._metadata(name)
            elif command == 0x0008:
                self._start(self._named(name) or "" if self._by_path else name)
            elif command == 0x0002:
                self._send_file(int.from_bytes(body, "big"))

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.line.recv(size - len(data))
            if not piece:
                raise LineLost
            data += piece
        return data

    def _init(self) -> None:
        with self.vehicle.lock:
            files = tuple(self.vehicle.files)
        bits = 0x40 + (PATH_BIT * bool(files) if self._by_path else sum(BITS[name] for name in files))
        self.line.sendall(
            struct.pack(">HHQ4B", 0, self.vehicle.protocol, int(self.vehicle.imei), bits, 0, 4, 0)
        )

    def _offer_path(self) -> None:
        with self.vehicle.lock:
            self._last = next(iter(self.vehicle.files), None)
            file = self._file(self._last or "")
        path = path_of(file).encode() + b"\0" if file else b""
        self.line.sendall(struct.pack(">HH", 0x000D, len(path)) + path)

    def _named(self, path: str) -> str | None:
        with self.vehicle.lock:
            found = [file.identifier for file in self.vehicle.files.values() if path_of(file) == path]
        return found[0] if found else None

    def _acknowledged(self) -> None:
        with self.vehicle.lock:
            if self._finished and self._last in self.vehicle.files:
                file = self.vehicle.files.pop(self._last)
                self.vehicle.sent.append(self._as_sent(file))
                self._given_times.pop(file.identifier, None)
        self._finished = False

    def _ended(self) -> None:
        """Note a file that was sent whole on a connection which ended before the server's answer."""
        with self.vehicle.lock:
            if self._finished and self._last in self.vehicle.files:
                self.vehicle.unheard.append(self._as_sent(self.vehicle.files[self._last]))

    def _as_sent(self, file: CapturedFile) -> dict[str, Any]:
        offered = path_of(file) if self._by_path else file.identifier
        stamp = self._given_times.get(file.identifier, 0)
        return {"identifier": file.identifier, "offered_as": offered, "timestamp": stamp, "data": file.data}

    def _file(self, identifier: str) -> CapturedFile | None:
        with self.vehicle.lock:
            return self.vehicle.files.get(identifier)

    def _metadata(self, identifier: str) -> None:
        version, file = self.vehicle.metadata_version, self._file(identifier)
        if self.vehicle.faults.silent_metadata or not version:
            return
        stamp = file.timestamp if file and not self.vehicle.faults.no_time else 0
        self._given_times[identifier] = stamp
        body = struct.pack(
            ">BBQBH",
            version,
            BITS.get(identifier, 0),
            stamp,
            file.trigger if file else 0,
            file.duration if file else 0,
        )
        if version >= 2:
            body += bytes([file.frame_rate if file else 0])
        if version >= 3:
            body += struct.pack(">hdd", int(self.vehicle.value(66024) or 0), 54.6872, 25.2797)
        if version >= 4:
            body += struct.pack(">Q", stamp)
        size = 13 if self.vehicle.faults.stray_frame_rate and version == 2 else len(body)
        self.line.sendall(struct.pack(">HH", 0x000B, size) + body)

    def _path_metadata(self) -> None:
        file = self._file(self._last or "")
        if file and self.vehicle.metadata_version and not self.vehicle.faults.silent_metadata:
            raw = self.vehicle.faults.raw_metadata
            body = RAW_METADATA if raw else json_metadata(self.vehicle, file)
            timed = not (raw or self.vehicle.faults.no_time)
            self._given_times[file.identifier] = file.timestamp // 1000 * 1000 if timed else 0
            self.line.sendall(struct.pack(">HH", 0x000B, len(body)) + body)

    def _start(self, identifier: str) -> None:
        self._last = identifier
        file = self._file(identifier)
        size = len(file.data) if file else 0
        self.line.sendall(struct.pack(">HHIH", 0x0001, 6, size if self._by_path else -(-size // 1024), 0))

    def _send_file(self, position: int) -> None:
        file = self._file(self._last or "")
        if file is None:
            self.line.sendall(struct.pack(">HHI", 0x0005, 4, 0x11))
            raise LineLost
        self._finished = False
        begin = position if self._by_path else (max(1, position) - 1) * 1024
        faults = self.vehicle.faults
        self.line.sendall(struct.pack(">HHI", 0x0003, 4, position if self._by_path else max(1, position)))
        chain = 0 if self.vehicle.crc_restarts else kermit(file.data[:begin])
        for at in range(begin, len(file.data), 1024):
            number = at // 1024 + 1
            if number == faults.drop_at:
                faults.drop_at = None
                raise LineLost
            payload = file.data[at : at + 1024]
            chain = kermit(payload, chain)
            wire = payload
            if number == faults.corrupt_at:
                faults.corrupt_at = None
                wire = bytes([payload[0] ^ 0xFF]) + payload[1:]
            self.line.sendall(self._data(at, wire, chain))
            if wire is not payload:
                return  # the server asks for it again
            if faults.slow:
                time.sleep(len(wire) / faults.slow)
        self._finished = True

    def _data(self, at: int, payload: bytes, crc: int) -> bytes:
        body = payload + crc.to_bytes(2, "big")
        if self._by_path:
            return struct.pack(">HHI", 0x000E, 4 + len(body), at) + body
        return struct.pack(">HH", 0x0004, len(body)) + body
