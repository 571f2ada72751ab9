"""Cuts a byte stream of a camera into messages: a call gives messages, an error, or nothing until more comes. Pure."""

from collections.abc import Callable

from receiver.endings import Reason
from receiver.wire.foreign_protocols import recognize
from receiver.wire.metadata import read_metadata, read_path_metadata
from receiver.wire.protocol import (
    CRC_SIZE,
    FULL_AT_HEADER,
    FULL_FRAME,
    FULL_HEADER,
    HEADER,
    OFFSET_SIZE,
    PACKET,
    Cmd,
    FrameRate,
    Init,
    Metadata,
    ProtocolError,
    Run,
    WireMessage,
    read_data,
    read_data_at,
    read_path,
    read_start,
    read_status,
    read_sync,
)

INIT_SIZE = 16
METADATA_MAX = 512  # version 4 has 40 bytes; allows for versions to come
PATH_METADATA_MAX = 4096  # JSON
PATH_MAX = 255
PATH_DATA_MAX = 16 * 1024  # the size of a DATA frame in the path flow is not published; this bounds memory
BEGINNING = 64  # bytes by which another protocol is recognized


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
    Cmd.START: (4, 6, read_start),
    Cmd.SYNC: (4, 4, read_sync),
    Cmd.DATA: (1 + CRC_SIZE, PACKET + CRC_SIZE, read_data),
    Cmd.STATUS: (4, 4, read_status),
    Cmd.METADATA: (13, METADATA_MAX, read_metadata),
}
# the path flow: other sizes, metadata in JSON, and two commands more
PATH_FRAMES: Frames = FRAMES | {
    Cmd.DATA: (1 + CRC_SIZE, PATH_DATA_MAX + CRC_SIZE, read_data),
    Cmd.METADATA: (0, PATH_METADATA_MAX, read_path_metadata),
    Cmd.PATH: (0, PATH_MAX, read_path),
    Cmd.DATA_AT: (4 + 1 + CRC_SIZE, 4 + PATH_DATA_MAX + CRC_SIZE, read_data_at),
}


class FrameReader:
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
            return self._refuse(data, at, Reason.NO_CAMERA)
        if left < HEADER.size:
            return 0, None
        command, length = HEADER.unpack_from(data, at)
        if command == Cmd.INIT:
            return (INIT_SIZE, self._init(data[at : at + INIT_SIZE])) if left >= INIT_SIZE else (0, None)
        if command not in self._frames:
            return self._refuse(data, at, Reason.UNKNOWN_COMMAND, command=f"0x{command:04x}")
        low, high, read = self._frames[command]
        if not low <= length <= high:
            raise ProtocolError(
                Reason.BAD_LENGTH, message=Cmd(command).name, length=length, low=low, high=high
            )
        if left < HEADER.size + length:
            return 0, None
        message = read(data[at + HEADER.size : at + HEADER.size + length])
        self._stray_possible = length == 13 and isinstance(message, Metadata) and message.version >= 2
        return HEADER.size + length, message

    def _refuse(self, data: bytes, at: int, reason: Reason, **arguments: str) -> tuple[int, None]:
        """Raise ProtocolError, which names the other protocol; take 0 bytes where more are needed to recognize it."""
        found = recognize(data[at : at + BEGINNING]) if not self._began else False
        if found is True:
            return 0, None
        if found is False:
            raise ProtocolError(reason, **arguments)
        raise ProtocolError(found.reason, found.imei)

    def _init(self, frame: bytes) -> Init:
        imei = int.from_bytes(frame[4:12], "big")
        if not 0 < imei < 10**15:
            raise ProtocolError(Reason.BAD_IMEI)
        init = Init(int.from_bytes(frame[2:4], "big"), f"{imei:015d}", frame[12])
        self._began = True
        self._frames = PATH_FRAMES if init.has_path else FRAMES
        return init
