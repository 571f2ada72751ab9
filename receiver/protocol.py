"""The camera's wire protocol, pure: bytes to messages and back, CRC, frame cutting.

No sockets, files, clock, or state of a session. A reader has three outcomes: a message, an error, or "need
more". Source: vendor's DualCam protocol page; docs/protocol.md marks what comes from captures and servers.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from fastcrc import crc16

INIT_SIZE = 16
HEADER = struct.Struct(">HH")
PACKET = 1024  # file bytes in every DATA frame but the last
CRC_SIZE = 2
METADATA_MAX = 512  # version 4 has 40 bytes; leaves room for versions to come
MILLISECONDS_FROM = 100_000_000_000  # a smaller timestamp is in seconds (as milliseconds: early 1973)


class Cmd(IntEnum):
    """Command ids, in the maker's words."""

    INIT = 0x0000  # CLOSE in the other direction
    START = 0x0001
    RESUME = 0x0002
    SYNC = 0x0003
    DATA = 0x0004
    STATUS = 0x0005
    FILE_REQUEST = 0x0008
    REPEAT_INIT = 0x0009
    METADATA_REQUEST = 0x000A
    METADATA = 0x000B


PATH_BIT = 0x02  # files by path: another flow (protocol id 6 and other cameras)
FILE_BITS = {0x04: "%photof", 0x08: "%photor", 0x10: "%videof", 0x20: "%videor"}
PATH_PROTOCOL = 6

CLOSE = b"\x00\x00\x00\x00"
REPEAT_INIT = b"\x00\x09"
COMPLETE = b"\x00\x05\x00\x04\x00\x00\x00\x00"


class ProtocolError(Exception):
    """The device broke the protocol: `code` for programs, the text for people."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Init:
    """The 16 bytes that open a session, and answer 0x0009. `files` are identifiers by the maker's bit order."""

    protocol: int
    imei: str
    settings: int

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(name for bit, name in FILE_BITS.items() if self.settings & bit)

    @property
    def by_path(self) -> bool:
        return self.protocol >= PATH_PROTOCOL or bool(self.settings & PATH_BIT)


@dataclass(frozen=True, slots=True)
class Start:
    """The number of packets of the requested file; 0: no data left."""

    packets: int


@dataclass(frozen=True, slots=True)
class Sync:
    """The number of the packet that the next DATA holds, from 1."""

    packet: int


@dataclass(frozen=True, slots=True)
class Data:
    """One packet: file bytes and the CRC over them, chained on the one before."""

    payload: bytes
    crc: int


@dataclass(frozen=True, slots=True)
class Status:
    """The device gives up, and says why."""

    code: int


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the camera tells of a file; times in Unix milliseconds UTC, zone in minutes, degrees."""

    version: int
    file_type: int
    timestamp: int
    trigger: int
    duration: int
    frame_rate: int | None = None
    time_zone: int | None = None
    latitude: float | None = None
    longitude: float | None = None
    trigger_timestamp: int | None = None


@dataclass(frozen=True, slots=True)
class FrameRate:
    """The stray byte that some firmware sends after a version 2 answer with LEN 13."""

    value: int


Message = Init | Start | Sync | Data | Status | Metadata | FrameRate


def crc(data: bytes, chain: int = 0) -> int:
    """Give CRC-16/KERMIT of `data`, continued from `chain` (the packet before)."""
    return crc16.kermit(data, chain)


def file_request(identifier: str) -> bytes:
    """Ask for a file by its identifier."""
    return HEADER.pack(Cmd.FILE_REQUEST, len(identifier)) + identifier.encode()


def metadata_request(identifier: str) -> bytes:
    """Ask what the camera tells of a file."""
    return HEADER.pack(Cmd.METADATA_REQUEST, len(identifier)) + identifier.encode()


def resume(packet: int) -> bytes:
    """Ask for DATA from this packet on; 1 is the first."""
    return HEADER.pack(Cmd.RESUME, 4) + packet.to_bytes(4, "big")


def _start(body: bytes) -> Start:
    return Start(int.from_bytes(body[:4], "big"))


def _sync(body: bytes) -> Sync:
    return Sync(int.from_bytes(body, "big"))


def _status(body: bytes) -> Status:
    return Status(int.from_bytes(body, "big"))


def _data(body: bytes) -> Data:
    return Data(body[:-CRC_SIZE], int.from_bytes(body[-CRC_SIZE:], "big"))


def _milliseconds(value: int) -> int:
    return value * 1000 if 0 < value < MILLISECONDS_FROM else value


def _metadata(body: bytes) -> Metadata:
    version, kind, timestamp, trigger, duration = struct.unpack_from(">BBQBH", body)
    more: dict[str, int | float] = {}
    if len(body) >= 14:
        more["frame_rate"] = body[13]
    if len(body) >= 32:
        more["time_zone"], more["latitude"], more["longitude"] = struct.unpack_from(">hdd", body, 14)
    if len(body) >= 40:
        more["trigger_timestamp"] = _milliseconds(int.from_bytes(body[32:40], "big"))
    return Metadata(version, kind, _milliseconds(timestamp), trigger, duration, **more)  # type: ignore[arg-type]


# what a device may send: smallest and largest LEN, and the reader of the body
FRAMES: dict[int, tuple[int, int, Callable[[bytes], Message]]] = {
    Cmd.START: (4, 6, _start),
    Cmd.SYNC: (4, 4, _sync),
    Cmd.DATA: (1 + CRC_SIZE, PACKET + CRC_SIZE, _data),
    Cmd.STATUS: (4, 4, _status),
    Cmd.METADATA: (13, METADATA_MAX, _metadata),
}


class Reader:
    """Cuts a byte stream into messages. Holds at most one unfinished frame beyond what was fed."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0
        self._stray_possible = False

    def feed(self, data: bytes) -> None:
        """Add bytes as they came."""
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += data

    def next(self) -> Message | None:
        """Give the next message, or None when more bytes are needed. Raises ProtocolError."""
        left = len(self._buffer) - self._at
        if self._stray_possible and left:
            # every frame begins with 0x00
            self._stray_possible = False
            if value := self._buffer[self._at]:
                self._at += 1
                return FrameRate(value)
        if left and self._buffer[self._at]:
            raise ProtocolError("not_a_camera", "This is not the camera protocol: a frame begins with 0x00.")
        if left < HEADER.size:
            return None
        command, length = HEADER.unpack_from(self._buffer, self._at)
        if command == Cmd.INIT:
            return self._init(length) if left >= INIT_SIZE else None
        if command not in FRAMES:
            raise ProtocolError("unknown_command", f"The device sent the unknown command 0x{command:04x}.")
        low, high, read = FRAMES[command]
        if not low <= length <= high:
            raise ProtocolError(
                "bad_length",
                f"The device sent {Cmd(command).name} with a length of {length} ({low} to {high}).",
            )
        if left < HEADER.size + length:
            return None
        begin = self._at + HEADER.size
        self._at = begin + length
        message = read(bytes(self._buffer[begin : self._at]))
        self._stray_possible = isinstance(message, Metadata) and message.version >= 2 and length == 13
        return message

    def _init(self, protocol: int) -> Init:
        begin, self._at = self._at, self._at + INIT_SIZE
        imei = int.from_bytes(self._buffer[begin + 4 : begin + 12], "big")
        if not 0 < imei < 10**15:
            raise ProtocolError("bad_imei", "The device sent an IMEI of more than 15 digits, or none.")
        return Init(protocol, f"{imei:015d}", self._buffer[begin + 12])
