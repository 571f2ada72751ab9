"""The camera's side of the wire, for a virtual vehicle: connects, offers its files, sends them, with faults.

Independent of the receiver's code: its own frames and CRC. Source: vendor's protocol page.
"""

import socket
import struct
import time
from collections.abc import Callable

from simulator.vehicle import CapturedFile, Vehicle

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


class LineLost(Exception):
    """The connection ended before everything was acknowledged."""


class Camera:
    """Sends a vehicle's files to a server, over as many connections as it takes."""

    def __init__(self, vehicle: Vehicle, server: tuple[str, int], scale: float = 1.0) -> None:
        self.vehicle, self.server, self.scale = vehicle, server, scale
        self._last: str | None = None
        self._finished = False

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
            try:
                self._session()
            finally:
                self.vehicle.connected = False

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
            if command == 0x000A:
                self._metadata(body.decode("ascii", "replace"))
            elif command == 0x0008:
                self._start(body.decode("ascii", "replace"))
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
        bits = 0x40 + sum(BITS[name] for name in self.vehicle.files)
        self.line.sendall(struct.pack(">HHQ4B", 0, 5, int(self.vehicle.imei), bits, 0, 4, 0))

    def _acknowledged(self) -> None:
        with self.vehicle.lock:
            if self._finished and self._last in self.vehicle.files:
                file = self.vehicle.files.pop(self._last)
                self.vehicle.sent.append({"identifier": file.identifier, "data": file.data})
        self._finished = False

    def _file(self, identifier: str) -> CapturedFile | None:
        with self.vehicle.lock:
            return self.vehicle.files.get(identifier)

    def _metadata(self, identifier: str) -> None:
        version, file = self.vehicle.metadata_version, self._file(identifier)
        if self.vehicle.faults.silent_metadata or not version:
            return
        stamp = file.timestamp if file else 0
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

    def _start(self, identifier: str) -> None:
        self._last = identifier
        file = self._file(identifier)
        packets = -(-len(file.data) // 1024) if file else 0
        self.line.sendall(struct.pack(">HHIH", 0x0001, 6, packets, 0))

    def _send_file(self, first: int) -> None:
        file = self._file(self._last or "")
        if file is None:
            self.line.sendall(struct.pack(">HHI", 0x0005, 4, 0x11))
            raise LineLost
        first = max(1, first)
        faults = self.vehicle.faults
        self.line.sendall(struct.pack(">HHI", 0x0003, 4, first))
        chain = 0 if self.vehicle.crc_restarts else kermit(file.data[: (first - 1) * 1024])
        for number, at in enumerate(range((first - 1) * 1024, len(file.data), 1024), first):
            if number == faults.drop_at:
                faults.drop_at = None
                raise LineLost
            payload = file.data[at : at + 1024]
            chain = kermit(payload, chain)
            wire = payload
            if number == faults.corrupt_at:
                faults.corrupt_at = None
                wire = bytes([payload[0] ^ 0xFF]) + payload[1:]
            self.line.sendall(struct.pack(">HH", 0x0004, len(wire) + 2) + wire + chain.to_bytes(2, "big"))
            if wire is not payload:
                return  # the server asks for it again
            if faults.slow:
                time.sleep(len(wire) / faults.slow)
        self._finished = True
