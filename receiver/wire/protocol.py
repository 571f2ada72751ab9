"""The wire protocol of the cameras, pure: bytes to messages and back, CRC, frame boundaries.

No sockets, files, clock, or state of a session. A reader has three outcomes: messages, an error, or "need more".
Source: vendor's DualCam protocol page; docs/protocol.md marks what comes from captures and other servers.
"""

import json
import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from fastcrc import crc16

from receiver.wire.foreign_protocols import recognize

INIT_SIZE = 16
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
METADATA_MAX = 512  # version 4 has 40 bytes; leaves room for versions to come
PATH_METADATA_MAX = 4096  # JSON
PATH_MAX = 255
PATH_DATA_MAX = 16 * 1024  # the size of a DATA frame in the path flow is not published; this bounds memory
BEGINNING = 64  # bytes by which another protocol is recognized
# in JSON, but in no page and no database: lone surrogates are no UTF-8, and control characters are not to be shown
UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
DETAILS_DEPTH = 8  # of JSON metadata: what is nested deeper is nobody's, and would break whoever walks it
LATEST = 253_402_300_800_000  # year 10000, in milliseconds: no calendar of ours holds it
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


class ProtocolError(Exception):
    """The device broke the protocol: `code` for programs, the text for people; the IMEI if another protocol told it."""

    def __init__(self, code: str, text: str, imei: str | None = None) -> None:
        super().__init__(text)
        self.code, self.imei = code, imei


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
        read, head = (_data_at, FULL_AT_HEADER) if self.at_offsets else (_data, FULL_HEADER)
        bodies = [self.frames[at : at + self.size] for at in range(0, len(self.frames), self.size)]
        return [read(bytes(body[len(head) :])) for body in bodies]


@dataclass(frozen=True, slots=True)
class Status:
    """The device gives up, and says why."""

    code: int


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the camera tells of a file; times in Unix milliseconds UTC, zone in minutes, degrees.

    `details` holds what the path flow tells beyond that.
    """

    version: int
    file_type: int
    timestamp: int
    trigger: int | None  # None: not told, which only the path flow can
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
    """Ask what the camera tells of a file; in the path flow without an identifier."""
    return HEADER.pack(Cmd.METADATA_REQUEST, len(identifier)) + identifier


def resume(position: int) -> bytes:
    """Ask for DATA from this packet (from 1) or, in the path flow, byte (from 0) on."""
    return HEADER.pack(Cmd.RESUME, 4) + position.to_bytes(4, "big")


def _start(body: bytes) -> Start:
    return Start(int.from_bytes(body[:4], "big"))


def _sync(body: bytes) -> Sync:
    return Sync(int.from_bytes(body, "big"))


def _status(body: bytes) -> Status:
    return Status(int.from_bytes(body, "big"))


def _data(body: bytes) -> Data:
    return Data(body[:-CRC_SIZE], int.from_bytes(body[-CRC_SIZE:], "big"))


def _data_at(body: bytes) -> Data:
    return Data(body[4:-CRC_SIZE], int.from_bytes(body[-CRC_SIZE:], "big"), int.from_bytes(body[:4], "big"))


def _path(body: bytes) -> Path:
    name = body.rstrip(b"\0")
    if not all(0x20 < byte < 0x7F for byte in name) or name.startswith(b"%"):
        raise ProtocolError(
            "bad_path", "The device offered a path that is not plain ASCII, or an identifier."
        )
    return Path(body)


def _milliseconds(value: int) -> int:
    value = value * 1000 if 0 < value < MILLISECONDS_FROM else value
    return value if value < LATEST else 0


def _metadata(body: bytes) -> Metadata:
    version, kind, timestamp, trigger, duration = struct.unpack_from(">BBQBH", body)
    more: dict[str, int | float | None] = {}
    if len(body) >= 14:
        more["frame_rate"] = body[13]
    if len(body) >= 32:
        zone, latitude, longitude = struct.unpack_from(">hdd", body, 14)
        more |= {"time_zone": zone, "latitude": _degrees(latitude), "longitude": _degrees(longitude)}
    if len(body) >= 40:
        more["trigger_timestamp"] = _milliseconds(int.from_bytes(body[32:40], "big"))
    return Metadata(version, kind, _milliseconds(timestamp), trigger, duration, **more)  # type: ignore[arg-type]


def _path_metadata(body: bytes) -> Metadata:
    """Read JSON, or ADAS's 15 bytes; what is neither is kept as it is. Source: other servers."""
    if len(body) >= 13 and body[1] in FILE_BITS and 1 <= body[0] <= 4:
        return _metadata(body)  # a camera that offers files both ways
    if len(body) == 15 and body[0] != ord("{"):
        stamp, kind, trigger, latitude, longitude, duration = struct.unpack(">IBBiiB", body)
        return Metadata(
            0,
            kind,
            stamp * 1000,
            trigger,
            duration,
            latitude=_degrees(latitude / 1e6),
            longitude=_degrees(longitude / 1e6),
        )
    try:
        told = _plain(json.loads(body, parse_constant=lambda name: None), DETAILS_DEPTH)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        return Metadata(0, 0, 0, None, 0, details={"raw": body.hex()})

    def part(name: str) -> dict[str, Any]:
        return found if isinstance(found := told.get(name), dict) else {}

    file, place = part("file"), part("location")
    return Metadata(
        version=_whole(told.get("version")),
        file_type=0,
        timestamp=_milliseconds(_whole(file.get("file_timestamp"), 2**53)),
        trigger=_known(part("fm_trigger").get("type"), 0xFF),
        duration=_whole(file.get("duration")),
        frame_rate=_whole(file.get("framerate")) or None,
        latitude=_degrees(place.get("latitude")),
        longitude=_degrees(place.get("longitude")),
        details=told,
    )


def _plain(value: Any, depth: int) -> Any:
    """Give JSON that any reader, page and database takes: no infinite numbers (1e999), not too deep. ValueError."""
    if not depth:
        raise ValueError("nested too deep")
    if isinstance(value, dict):
        return {_shown(name): _plain(inner, depth - 1) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner, depth - 1) for inner in value]
    if isinstance(value, str):
        return _shown(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _shown(text: str) -> str:
    return UNSHOWN.sub("\ufffd", text)


def _whole(value: Any, most: int = 0xFFFF) -> int:
    return _known(value, most) or 0


def _known(value: Any, most: int) -> int | None:
    """Give a number of JSON as an integer; None: not told, or beyond what the binary metadata could say."""
    return int(value) if _is_number(value) and 0 <= value <= most else None


def _degrees(value: Any) -> float | None:
    return float(value) if _is_number(value) and -180 <= value <= 180 else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _full_frames(data: bytes, at: int, header: bytes, size: int) -> int:
    """Give how many bytes from `at` on are frames of this header and size, whole and in a row."""
    count = (len(data) - at) // size
    if not count or not data.startswith(header, at):
        return 0
    end = at + count * size
    # each of the header's bytes compared for all frames at once
    if all(data[at + n : end : size] == header[n : n + 1] * count for n in range(len(header))):
        return end - at
    count = 1
    while data.startswith(header, at + count * size):
        count += 1
    return count * size


def _is_stray_zero(data: bytes, at: int) -> bool:
    """Say whether a 0 stands before the next frame: what would be an INIT has no protocol id that there is."""
    return data.startswith(b"\0\0", at) and (data[at + 2] != 0 or data[at + 3] == 0)


# what a device may send: smallest and largest LEN, and the reader of the body
Frames = dict[int, tuple[int, int, Callable[[bytes], WireMessage]]]
FRAMES: Frames = {
    Cmd.START: (4, 6, _start),
    Cmd.SYNC: (4, 4, _sync),
    Cmd.DATA: (1 + CRC_SIZE, PACKET + CRC_SIZE, _data),
    Cmd.STATUS: (4, 4, _status),
    Cmd.METADATA: (13, METADATA_MAX, _metadata),
}
# the path flow: other sizes, metadata in JSON, and two commands more
PATH_FRAMES: Frames = FRAMES | {
    Cmd.DATA: (1 + CRC_SIZE, PATH_DATA_MAX + CRC_SIZE, _data),
    Cmd.METADATA: (0, PATH_METADATA_MAX, _path_metadata),
    Cmd.PATH: (0, PATH_MAX, _path),
    Cmd.DATA_AT: (4 + 1 + CRC_SIZE, 4 + PATH_DATA_MAX + CRC_SIZE, _data_at),
}


class Reader:
    """Cuts a byte stream into messages. Holds less than one unfinished frame between two calls."""

    __slots__ = ("_began", "_frames", "_left", "_stray_possible", "full_frame")

    def __init__(self) -> None:
        self._left = b""
        self._frames = FRAMES
        self._began = False  # with an INIT
        self._stray_possible = False
        self.full_frame = FULL_FRAME  # the bytes of a full DATA frame of the kind that came last

    @property
    def held(self) -> int:
        """The bytes of an unfinished frame that are held."""
        return len(self._left)

    def feed(self, data: bytes, take: Callable[[WireMessage], object]) -> None:
        """Hand every message that is complete now to `take`, in order. Raises ProtocolError at a broken one."""
        if self._left:
            data = self._left + data
            self._left = b""
        view, at, end = memoryview(data), 0, len(data)
        while at < end:
            by_path = self._frames is PATH_FRAMES  # INIT changes it
            if size := _full_frames(data, at, FULL_HEADER, FULL_FRAME):
                at += size
                self.full_frame = FULL_FRAME
                take(Run(view[at - size : at]))
                continue
            if by_path and (size := _full_frames(data, at, FULL_AT_HEADER, FULL_FRAME + OFFSET_SIZE)):
                at += size
                self.full_frame = FULL_FRAME + OFFSET_SIZE
                take(Run(view[at - size : at], at_offsets=True))
                continue
            size, message = self._one(data, at, end - at)
            if not size:
                break
            at += size
            if message is not None:
                take(message)
        self._left = data[at:]

    def _one(self, data: bytes, at: int, left: int) -> tuple[int, WireMessage | None]:
        """Give the next message and how many bytes it took; 0: need more."""
        if self._stray_possible:
            if not data[at] and left < HEADER.size:
                return 0, None
            self._stray_possible = False
            if data[at] or _is_stray_zero(data, at):
                return 1, FrameRate(data[at])
        if data[at]:
            return self._refuse(
                data, at, "not_a_camera", "This is not the camera protocol: a frame begins with 0x00."
            )
        if left < HEADER.size:
            return 0, None
        command, length = HEADER.unpack_from(data, at)
        if command == Cmd.INIT:
            return (INIT_SIZE, self._init(data[at : at + INIT_SIZE])) if left >= INIT_SIZE else (0, None)
        if command not in self._frames:
            return self._refuse(
                data, at, "unknown_command", f"The device sent the unknown command 0x{command:04x}."
            )
        low, high, read = self._frames[command]
        if not low <= length <= high:
            raise ProtocolError(
                "bad_length",
                f"The device sent {Cmd(command).name} with a length of {length} ({low} to {high}).",
            )
        if left < HEADER.size + length:
            return 0, None
        message = read(data[at + HEADER.size : at + HEADER.size + length])
        self._stray_possible = length == 13 and isinstance(message, Metadata) and message.version >= 2
        return HEADER.size + length, message

    def _refuse(self, data: bytes, at: int, code: str, text: str) -> tuple[int, None]:
        """Raise ProtocolError, which says what the line speaks instead; take 0 bytes where more are needed for that."""
        found = recognize(data[at : at + BEGINNING]) if not self._began else False
        if found is True:
            return 0, None
        if found is False:
            raise ProtocolError(code, text)
        raise ProtocolError(found.code, found.text, found.imei)

    def _init(self, frame: bytes) -> Init:
        imei = int.from_bytes(frame[4:12], "big")
        if not 0 < imei < 10**15:
            raise ProtocolError("bad_imei", "The device sent an IMEI of more than 15 digits, or none.")
        init = Init(int.from_bytes(frame[2:4], "big"), f"{imei:015d}", frame[12])
        self._began = True
        self._frames = PATH_FRAMES if init.has_path else FRAMES
        return init
