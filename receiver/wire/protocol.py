"""The messages of the cameras' protocol and how their bodies are read and written, with the CRC. Pure.

No sockets, files, clock, or state of a session. `frame_reader` cuts a byte stream into these messages.
Source: vendor's DualCam protocol page; docs/protocol.md marks what comes from captures and other servers.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from fastcrc import crc16

from receiver.endings import EndingError, Reason

HEADER = struct.Struct(">HH")
PACKET = 1024  # file bytes in every DATA frame but the last
CRC_SIZE = 2
FULL_HEADER = b"\x00\x04\x04\x02"  # a DATA frame with 1024 file bytes
FULL_FRAME = len(FULL_HEADER) + PACKET + CRC_SIZE
FULL_AT_HEADER = b"\x00\x0e\x04\x06"  # the same with its byte offset, which follows
OFFSET_SIZE = 4
# packets whose CRC may be compared as one: the CRC repeats after 32,767 bits, and two wrong bits at that distance, each
# seen by its own packet's CRC, would not be seen by the last one's
UNDER_ONE_CRC = 3


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
    PATH_REQUEST = 0x000C
    PATH = 0x000D
    DATA_AT = 0x000E


PATH_BIT = 0x02  # a file by path: other cameras, and every camera from protocol id 6 on
FILE_BITS = {0x04: "%photof", 0x08: "%photor", 0x10: "%videof", 0x20: "%videor"}
ANY_FILE = PATH_BIT | 0x04 | 0x08 | 0x10 | 0x20
PATH_PROTOCOL = 6
CLOSE = b"\x00\x00\x00\x00"
REPEAT_INIT = b"\x00\x09"
COMPLETE = b"\x00\x05\x00\x04\x00\x00\x00\x00"
PATH_REQUEST = b"\x00\x0c\x00\x02\x00\x00"


class ProtocolError(EndingError):
    """The device broke the protocol; the IMEI if another protocol sent it."""

    def __init__(self, reason: Reason, imei: str | None = None, **arguments: str | int) -> None:
        super().__init__(reason, **arguments)
        self.imei = imei


@dataclass(frozen=True, slots=True)
class Init:
    """The 16 bytes that open a session, and answer 0x0009. `files` are identifiers by the maker's bit order."""

    protocol: int
    imei: str
    settings: int

    @property
    def files(self) -> tuple[str, ...]:
        """What is asked for by identifier; nothing from protocol 6 on, where all files go by path."""
        if self.protocol >= PATH_PROTOCOL:
            return ()
        return tuple(name for bit, name in FILE_BITS.items() if self.settings & bit)

    @property
    def has_path(self) -> bool:
        """Whether a file is offered by path."""
        wanted = ANY_FILE if self.protocol >= PATH_PROTOCOL else PATH_BIT
        return bool(self.settings & wanted)


@dataclass(frozen=True, slots=True)
class Path:
    """The path of the file that is offered, as sent (it may end in NUL): it goes back unchanged."""

    raw: bytes

    @property
    def text(self) -> str:
        return self.raw.rstrip(b"\0").decode("ascii")


@dataclass(frozen=True, slots=True)
class Start:
    """The size of the requested file: packets, in the path flow bytes; 0: no data left."""

    count: int


@dataclass(frozen=True, slots=True)
class Sync:
    """Where the next DATA begins: a packet number from 1, in the path flow a byte offset from 0."""

    position: int


@dataclass(frozen=True, slots=True)
class Data:
    """File bytes and the CRC over them, chained on those before; `offset` only in 0x000E."""

    payload: bytes
    crc: int
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """Several DATA frames of 1024 file bytes in a row, as they came: the fast way of the same thing."""

    frames: memoryview
    at_offsets: bool = False  # 0x000E: each frame names its byte offset

    @property
    def size(self) -> int:
        """The bytes of each frame."""
        return FULL_FRAME + OFFSET_SIZE * self.at_offsets

    @property
    def count(self) -> int:
        """How many frames these are."""
        return len(self.frames) // self.size

    @property
    def payload(self) -> bytes:
        """The file bytes of all frames."""
        frames, begin = self.frames, self.size - CRC_SIZE - PACKET
        return b"".join([frames[at : at + PACKET] for at in range(begin, len(frames), self.size)])

    @property
    def crc(self) -> int:
        """The CRC of the last frame: chained, it stands for all of them."""
        return int.from_bytes(self.frames[-CRC_SIZE:], "big")

    def stands_at(self, offset: int) -> bool:
        """Say whether the frames follow one another from this byte of the file on, as far as they say."""
        if not self.at_offsets:
            return True
        named = b"".join(
            [
                self.frames[at : at + OFFSET_SIZE]
                for at in range(len(FULL_AT_HEADER), len(self.frames), self.size)
            ]
        )
        return named == struct.pack(f">{self.count}I", *range(offset, offset + self.count * PACKET, PACKET))

    def is_chained(self, payload: bytes, base: int) -> bool:
        """Say whether the CRCs go on from `base`, each from the one before. `payload`: that of these frames.

        Every third and the last are compared: the bytes are right then, though a CRC between might not be.
        """
        bytes_at_once, step = UNDER_ONE_CRC * PACKET, UNDER_ONE_CRC * self.size
        at = 0
        for high, low in zip(
            self.frames[step - 2 :: step].tobytes(), self.frames[step - 1 :: step].tobytes(), strict=True
        ):
            base = crc16.kermit(payload[at : at + bytes_at_once], base)
            if base != high << 8 | low:
                return False
            at += bytes_at_once
        return at == len(payload) or crc(payload[at:], base) == self.crc

    def is_unchained(self, payload: bytes) -> bool:
        """Say whether each frame's CRC is that of its own bytes alone, and is not 0, which would also be a chain."""
        size, at = self.size, 0
        for high, low in zip(
            self.frames[size - 2 :: size].tobytes(), self.frames[size - 1 :: size].tobytes(), strict=True
        ):
            own = crc16.kermit(payload[at : at + PACKET], 0)
            if not own or own != high << 8 | low:
                return False
            at += PACKET
        return True

    def split(self) -> list[Data]:
        """Give the frames one by one: the exact way."""
        read, head = (read_data_at, FULL_AT_HEADER) if self.at_offsets else (read_data, FULL_HEADER)
        bodies = [self.frames[at : at + self.size] for at in range(0, len(self.frames), self.size)]
        return [read(bytes(body[len(head) :])) for body in bodies]


@dataclass(frozen=True, slots=True)
class Status:
    """The device gives up, and says why."""

    code: int


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the camera says of a file; times in Unix milliseconds UTC, zone in minutes, degrees.

    `details` holds what the path flow sends beyond that.
    """

    version: int
    file_type: int
    timestamp: int
    trigger: int | None  # None: not given, which only the path flow can do
    duration: int
    frame_rate: int | None = None
    time_zone: int | None = None
    latitude: float | None = None
    longitude: float | None = None
    trigger_timestamp: int | None = None
    details: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class FrameRate:
    """The stray byte that some firmware sends after a version 2 answer with LEN 13."""

    value: int


WireMessage = Init | Path | Start | Sync | Data | Run | Status | Metadata | FrameRate


def crc(data: bytes, chain: int = 0) -> int:
    """Give CRC-16/KERMIT of `data`, continued from `chain` (the packet before)."""
    return crc16.kermit(data, chain)


def file_request(identifier: bytes) -> bytes:
    """Ask for a file by its identifier or path."""
    return HEADER.pack(Cmd.FILE_REQUEST, len(identifier)) + identifier


def metadata_request(identifier: bytes = b"") -> bytes:
    """Ask for the metadata of a file; in the path flow without an identifier."""
    return HEADER.pack(Cmd.METADATA_REQUEST, len(identifier)) + identifier


def resume(position: int) -> bytes:
    """Ask for DATA from this packet (from 1) or, in the path flow, byte (from 0) on."""
    return HEADER.pack(Cmd.RESUME, 4) + position.to_bytes(4, "big")


def read_start(body: bytes) -> Start:
    return Start(int.from_bytes(body[:4], "big"))


def read_sync(body: bytes) -> Sync:
    return Sync(int.from_bytes(body, "big"))


def read_status(body: bytes) -> Status:
    return Status(int.from_bytes(body, "big"))


def read_data(body: bytes) -> Data:
    return Data(body[:-CRC_SIZE], int.from_bytes(body[-CRC_SIZE:], "big"))


def read_data_at(body: bytes) -> Data:
    return Data(body[4:-CRC_SIZE], int.from_bytes(body[-CRC_SIZE:], "big"), int.from_bytes(body[:4], "big"))


def read_path(body: bytes) -> Path:
    name = body.rstrip(b"\0")
    if not all(0x20 < byte < 0x7F for byte in name) or name.startswith(b"%"):
        raise ProtocolError(Reason.BAD_PATH)
    return Path(body)
