"""One camera's session, pure: a table of (state, message) → handler; actions come out, the driver performs them.

No sockets, files or clock: `now` (seconds of any steady clock) comes in, and so do the answers to actions
(`admitted`, `opened`, `written`, `committed`). Called by `server`. Source: vendor's protocol page, file data
transfer.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from receiver import protocol
from receiver.protocol import Data, FrameRate, Init, Message, Metadata, Start, Status, Sync

DEFAULT_ORDER = ("%photof", "%photor", "%videof", "%videor")
STATUS_TEXTS = {
    0x01: "the device gave up after its reconnections",
    0x02: "the device failed to close its GPRS link",
    0x03: "the device failed to close its socket",
    0x05: "the device took our answer to its INIT for invalid",
    0x11: "the camera is not configured, or the file is not available",
}


class State(Enum):
    """What the session waits for."""

    INIT = "INIT"
    ADMISSION = "admission"
    METADATA = "METADATA"
    START = "START"
    STORAGE = "storage"
    SYNC = "SYNC"
    DATA = "DATA"
    COMMIT = "commit"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits with their reasons; times in seconds."""

    order: tuple[str, ...] = DEFAULT_ORDER
    max_packets: int = 65_536  # 64 MiB; a 30 s video has about 9 MB
    bad_packets: int = 30  # CRC errors in one session: a line this bad is better tried again later
    bad_seconds: float = 60.0  # without one good packet since the first bad one
    init: float = 30.0
    metadata: float = 10.0
    answer: float = 20.0
    progress: float = 60.0  # for one packet; the driver also watches bytes over time


@dataclass(frozen=True, slots=True)
class Send:
    data: bytes


@dataclass(frozen=True, slots=True)
class Admit:
    """Find out whether this device is known; answer by `admitted`."""

    imei: str


@dataclass(frozen=True, slots=True)
class OpenFile:
    """Find or make the partial file; answer by `opened`."""

    identifier: str
    packets: int
    metadata: Metadata | None


@dataclass(frozen=True, slots=True)
class Write:
    """Take one checked packet, numbered from 1; answer by `written`."""

    packet: int
    payload: bytes
    crc: int


@dataclass(frozen=True, slots=True)
class Commit:
    """Make the file safe; answer by `committed`. Only then is it acknowledged."""


@dataclass(frozen=True, slots=True)
class CrcError:
    """For the counters: a packet that did not match."""

    packet: int


@dataclass(frozen=True, slots=True)
class Close:
    """End the connection; `code` for programs, `reason` a sentence."""

    code: str
    reason: str


Action = Send | Admit | OpenFile | Write | Commit | CrcError | Close


class Session:
    """The state of one connection. Every verb returns the actions to perform, in order."""

    def __init__(self, limits: Limits, now: float) -> None:
        self.limits = limits
        self.state = State.INIT
        self.imei: str | None = None
        self.identifier: str | None = None
        self.metadata: Metadata | None = None
        self.packets = 0
        self.next_packet = 1
        self.deadline: float | None = now + limits.init
        self.stopping = False  # acknowledge the present file with COMPLETE and take no other
        self._offered: tuple[str, ...] = ()
        self._skip: set[str] = set()
        self._taken: set[tuple[str, int]] = set()  # identifier and timestamp of what this session stored
        self._metadata_silent = False
        self._chain = 0  # CRC of the packet before next_packet
        self._bases: tuple[int, ...] = (0,)
        self._bad = 0
        self._bad_since: float | None = None

    def receive(self, message: Message, now: float) -> list[Action]:
        """Take a message of the device."""
        handler = TRANSITIONS.get((self.state, type(message)))
        if handler is None:
            if self.state is State.CLOSED:
                return []
            return self._close(
                "out_of_order",
                f"The device sent {type(message).__name__} while we waited for {self.state.value}.",
            )
        return handler(self, message, now)

    def expired(self, now: float) -> list[Action]:
        """Take the end of the present wait."""
        if self.state is State.METADATA:
            self._metadata_silent = True
            return self._request_file(now)
        if self._bad_since is not None and now - self._bad_since >= self.limits.bad_seconds:
            return self._close("bad_crc", f"No packet with a right CRC for {self.limits.bad_seconds:.0f} s.")
        if self.state is State.INIT and self.imei is not None:
            return self._close("done", "The device did not go on after its file was acknowledged.")
        return self._close("timeout", f"The device was silent while we waited for {self.state.value}.")

    # answers to actions

    def admitted(self, known: bool, now: float) -> list[Action]:
        """Take whether the device may send files."""
        if not known:
            return [
                Send(protocol.CLOSE),
                *self._close("unknown_device", "No device has this IMEI; add it first."),
            ]
        return self._choose(now)

    def opened(self, next_packet: int, chain: int, now: float) -> list[Action]:
        """Take where the file goes on: the first packet wanted, and the CRC of all before it."""
        self.next_packet, self._chain = next_packet, chain
        return self._resume(now)

    def written(self, same: bool, now: float) -> list[Action]:
        """Take whether a packet that was already held is the same; a difference means another file."""
        if not same:
            self.next_packet, self._chain = 1, 0
            return self._resume(now)
        if self.next_packet <= self.packets:
            return []
        self.state, self.deadline = State.COMMIT, None
        return [Commit()]

    def committed(self, now: float) -> list[Action]:
        """Take that the file is safe: acknowledge it and go on."""
        assert self.identifier is not None
        self._taken.add((self.identifier, self.metadata.timestamp if self.metadata else 0))
        if self.stopping:
            return [
                Send(protocol.COMPLETE),
                *self._close("stopped", "The receiver restarts; the file is safe."),
            ]
        return self._repeat_init(now)

    def failed(self, code: str, reason: str) -> list[Action]:
        """Take that the driver could not do what was asked: end without acknowledgement."""
        return self._close(code, reason)

    # messages

    def _on_init(self, init: Init, now: float) -> list[Action]:
        if self.imei not in (None, init.imei):
            return self._close("imei_changed", "The device changed its IMEI within a session.")
        if init.by_path:
            self.imei = init.imei
            return [
                Send(protocol.CLOSE),
                *self._close(
                    "path_flow", "The device offers files by path (protocol 6), which is not served yet."
                ),
            ]
        first, self.imei, self._offered = self.imei is None, init.imei, init.files
        if first:
            self.state, self.deadline = State.ADMISSION, None
            return [Admit(init.imei)]
        return self._choose(now)

    def _on_metadata(self, metadata: Metadata, now: float) -> list[Action]:
        if not self._about_this(metadata):
            return []
        if (self.identifier, metadata.timestamp) in self._taken:
            assert self.identifier is not None
            self._skip.add(self.identifier)
            return self._choose(now)
        self.metadata = metadata
        return self._request_file(now)

    def _on_late_metadata(self, metadata: Metadata, now: float) -> list[Action]:
        if self.state is State.START and self._about_this(metadata):
            self.metadata = metadata
        return []

    def _on_frame_rate(self, rate: FrameRate, now: float) -> list[Action]:
        if self.metadata is not None and self.metadata.frame_rate is None:
            self.metadata = replace(self.metadata, frame_rate=rate.value)
        return []

    def _about_this(self, metadata: Metadata) -> bool:
        named = protocol.FILE_BITS.get(metadata.file_type)
        return named is None or named == self.identifier

    def _on_start(self, start: Start, now: float) -> list[Action]:
        assert self.identifier is not None
        if start.packets == 0:
            self._skip.add(self.identifier)
            return self._repeat_init(now)
        if start.packets > self.limits.max_packets:
            return [
                Send(protocol.CLOSE),
                *self._close("too_large", f"The device announced {start.packets} packets; the limit is "
                             f"{self.limits.max_packets}."),
            ]  # fmt: skip
        timestamp = self.metadata.timestamp if self.metadata else 0
        if not timestamp and (self.identifier, 0) in self._taken:
            self._skip.add(self.identifier)
            return self._repeat_init(now)
        self.packets = start.packets
        self.state, self.deadline = State.STORAGE, None
        return [OpenFile(self.identifier, start.packets, self.metadata)]

    def _on_start_again(self, start: Start, now: float) -> list[Action]:
        if start.packets != self.packets:
            return self._close("file_changed", "The device announced another size for the same file.")
        return self._resume(now)

    def _on_sync(self, sync: Sync, now: float) -> list[Action]:
        packet = max(sync.packet, 1)  # 0 and 1 both mean the beginning
        if packet != self.next_packet:
            if packet > self.next_packet:
                return self._bad_packet(now)
            self.next_packet, self._chain = packet, 0
            self._bases = ()
            return self._close("sync", "The device went back to an earlier packet than we asked for.")
        self._bases = (self._chain, 0) if self._chain else (0,)
        self.state, self.deadline = State.DATA, now + self.limits.progress
        return []

    def _on_data(self, data: Data, now: float) -> list[Action]:
        full = len(data.payload) == protocol.PACKET
        if self.next_packet > self.packets or not (full or self.next_packet == self.packets):
            return self._close("short_packet", f"Packet {self.next_packet} of {self.packets} is too short.")
        if not any(protocol.crc(data.payload, base) == data.crc for base in self._bases):
            return self._bad_packet(now)
        packet, self.next_packet = self.next_packet, self.next_packet + 1
        self._chain, self._bases, self._bad_since = data.crc, (data.crc,), None
        self.deadline = now + self.limits.progress
        return [Write(packet, data.payload, data.crc)]

    def _on_status(self, status: Status, now: float) -> list[Action]:
        text = STATUS_TEXTS.get(status.code, "the device ended the transfer")
        return self._close("device_status", f"Status 0x{status.code:02x}: {text}.")

    def _ignore(self, message: Message, now: float) -> list[Action]:
        return []

    # steps

    def _choose(self, now: float) -> list[Action]:
        left = [name for name in self.limits.order if name in self._offered and name not in self._skip]
        if not left or self.stopping:
            return [Send(protocol.CLOSE), *self._close("done", "Nothing is left to send.")]
        self.identifier, self.metadata = left[0], None
        if self._metadata_silent:
            return self._request_file(now)
        self.state, self.deadline = State.METADATA, now + self.limits.metadata
        return [Send(protocol.metadata_request(left[0]))]

    def _request_file(self, now: float) -> list[Action]:
        assert self.identifier is not None
        self.state, self.deadline = State.START, now + self.limits.answer
        return [Send(protocol.file_request(self.identifier))]

    def _resume(self, now: float) -> list[Action]:
        self.state, self.deadline = State.SYNC, now + self.limits.answer
        if self._bad_since is not None:
            self.deadline = min(self.deadline, self._bad_since + self.limits.bad_seconds)
        return [Send(protocol.resume(self.next_packet))]

    def _bad_packet(self, now: float) -> list[Action]:
        self._bad += 1
        self._bad_since = now if self._bad_since is None else self._bad_since
        error = CrcError(self.next_packet)
        if self._bad > self.limits.bad_packets or now - self._bad_since >= self.limits.bad_seconds:
            return [error, *self._close("bad_crc", f"{self._bad} packets with a wrong CRC in one session.")]
        return [error, *self._resume(now)]

    def _repeat_init(self, now: float) -> list[Action]:
        self.identifier = self.metadata = None
        self.state, self.deadline = State.INIT, now + self.limits.answer
        return [Send(protocol.REPEAT_INIT)]

    def _close(self, code: str, reason: str) -> list[Action]:
        self.state, self.deadline = State.CLOSED, None
        return [Close(code, reason)]


Handler = Callable[[Session, Any, float], list[Action]]

# Every pair that may occur; any other pair ends the session in `receive`.
TRANSITIONS: dict[tuple[State, type], Handler] = {
    (State.INIT, Init): Session._on_init,
    (State.METADATA, Metadata): Session._on_metadata,
    (State.START, Start): Session._on_start,
    (State.SYNC, Start): Session._on_start_again,
    (State.DATA, Start): Session._on_start_again,
    (State.SYNC, Sync): Session._on_sync,
    (State.DATA, Sync): Session._on_sync,
    (State.DATA, Data): Session._on_data,
    # DATA that was under way before the device read our RESUME
    (State.SYNC, Data): Session._ignore,
    (State.INIT, Data): Session._ignore,
    # an answer to 0x000A that comes after we went on without it
    (State.START, Metadata): Session._on_late_metadata,
    (State.SYNC, Metadata): Session._on_late_metadata,
    (State.DATA, Metadata): Session._on_late_metadata,
    (State.INIT, Metadata): Session._on_late_metadata,
    **{(state, FrameRate): Session._on_frame_rate for state in State},
    **{(state, Status): Session._on_status for state in State if state is not State.CLOSED},
}
