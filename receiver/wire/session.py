"""The session machine, pure: a table of (state, message) to handler. It returns actions, which the connection performs.

No sockets, files or clock: `now` (seconds of any steady clock) comes in, and so do the answers to actions
(`admitted`, `opened`, `written`, `went_back`, `committed`). Called by `connection`. Source: vendor's protocol page,
file data transfer; for the path flow other servers, see docs/protocol.md.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from receiver.endings import Ending, Reason
from receiver.wire import protocol
from receiver.wire.actions import (
    Action,
    Admit,
    Again,
    Close,
    Commit,
    CrcError,
    GoBack,
    Offer,
    OpenFile,
    Send,
    Write,
)
from receiver.wire.file_order import BY_PATH, FileOrder
from receiver.wire.protocol import (
    PACKET,
    Data,
    FrameRate,
    Init,
    Metadata,
    Path,
    Run,
    Start,
    Status,
    Sync,
    WireMessage,
)
from receiver.wire.session_limits import SessionLimits
from receiver.wire.session_state import ASKED, FAILED, STATUSES, SessionState

# messages of a device that need no answer, for one file: packets that were under way when other ones were
# requested, or a whole file a second time (65,536 packets at the default limit of size)
IGNORED_PACKETS = 100_000
MESSAGE_WEIGHT = 100  # packets: a device has no reason to repeat another message a thousand times


class SessionMachine:
    """The state of one connection. Every verb returns the actions to perform, in order."""

    __slots__ = (
        "_asked",
        "_bad",
        "_bad_since",
        "_bases",
        "_begins_again",
        "_chain",
        "_doubtful",
        "_ignored",
        "_init",
        "_metadata_silent",
        "_moved",
        "_offers",
        "_order",
        "_path",
        "_repeated",
        "_too_large",
        "_went_back",
        "_whole",
        "deadline",
        "failed_file",
        "imei",
        "limits",
        "metadata",
        "offer",
        "received",
        "state",
        "stopping",
    )

    def __init__(self, limits: SessionLimits, now: float) -> None:
        self.limits = limits
        self.state = SessionState.INIT
        self.imei: str | None = None
        self.offer = Offer("", False, 0, None)  # the file being received; count 0 until its START
        self.metadata: Metadata | None = None
        self.received = 0  # checked bytes of the present file
        self.deadline: float | None = now + limits.init
        self.failed_file: str | None = (
            None  # the one whose failure ended the session, as the order of files names it
        )
        self.stopping = False  # take the present file, or one if there was none yet, and no other
        self._init: Init | None = None  # the last one
        self._order = FileOrder(limits.order)
        self._asked = ""  # the present file, as the order of files names it
        self._moved = False  # packets of it were taken in this session
        self._too_large = 0  # bytes of a file that was passed over
        self._path: bytes | None = None  # of the present file, as the device wrote it
        self._repeated = False  # 0x0009 was sent: COMPLETE does not work after it
        self._metadata_silent = False
        self._chain = 0  # CRC that the device goes on with
        self._whole = True  # it is that of all bytes held, not only of those since a RESUME
        self._bases: tuple[int, ...] = (0,)
        self._doubtful = (
            False  # no time says that what is held is of this file, and no packet has shown it yet
        )
        self._begins_again = False  # asked for from the first byte, as soon as storage stands there
        self._bad = 0
        self._bad_since: float | None = None
        self._went_back = 0
        self._offers = 0
        self._ignored = 0  # weight of the messages without an answer, since a file was chosen

    def receive(self, message: WireMessage, now: float) -> list[Action]:
        """Take a message of the device."""
        handler = TRANSITIONS.get((self.state, type(message)))
        if handler is None:
            if self.state is SessionState.CLOSED:
                return []
            return self._out_of_order(message)
        return handler(self, message, now) or self._unanswered(message)

    def _out_of_order(self, message: WireMessage) -> list[Action]:
        return self._close(Reason.WRONG_MESSAGE, message=_name(message), state=self.state.value)

    def _unanswered(self, message: WireMessage) -> list[Action]:
        """Count a message that was answered by nothing; too many of them end the session."""
        self._ignored += _weight(message)
        if self._ignored <= IGNORED_PACKETS:
            return []
        return self._close(Reason.UNASKED)

    @property
    def missing(self) -> int:
        """Give how many bytes of the present file are still to come; 0 while none is sent."""
        return self.offer.size - self.received if self.state is SessionState.DATA else 0

    def expired(self, now: float) -> list[Action]:
        """Take the end of the present wait."""
        if self.state is SessionState.METADATA:
            self._metadata_silent = True
            return self._request_file(now)
        if self._bad_since is not None and now - self._bad_since >= self.limits.bad_seconds:
            return self._close(Reason.NO_GOOD_PACKET, seconds=round(self.limits.bad_seconds))
        if self.state is SessionState.INIT and self.imei is not None:
            return self._close(Reason.NOT_CONTINUED)
        return self._close(Reason.SILENT, state=self.state.value)

    # answers to actions

    def admitted(self, known: bool, now: float, last: frozenset[str] = frozenset()) -> list[Action]:
        """Take whether the device may send files, and which of them are asked for after all others."""
        self._order.put_last(last)
        if not known:
            return self._refuse(Reason.UNKNOWN_DEVICE)
        return self._choose(now)

    def opened(self, received: int, chain: int, now: float) -> list[Action]:
        """Take where the file goes on: how many bytes are held, and their CRC."""
        self.received, self._chain, self._whole = received, chain, True
        self._doubtful = bool(received) and not (self.offer.metadata and self.offer.metadata.timestamp)
        return self._resume(now)

    def written(self, same: bool, now: float) -> list[Action]:
        """Take whether bytes that were already held are the same; a difference means another file."""
        if not same:
            self.received, self._chain, self._whole = 0, 0, True
            return self._resume(now)
        if not self._complete():
            return []
        self.state, self.deadline = SessionState.COMMIT, None
        return [Commit()]

    def went_back(self, chain: int, now: float) -> list[Action]:
        """Take the CRC of what stands before the earlier place."""
        self._chain, self._whole = chain, True
        if self._begins_again:
            self._begins_again = False
            return self._resume(now)
        return self._expect_data(now)

    def committed(self, now: float) -> list[Action]:
        """Take that the file is safe: acknowledge it and go on."""
        stamp = self.metadata.timestamp if self.metadata else 0
        self._order.note_stored(self.offer.identifier, stamp)
        if self.stopping and not self._repeated:
            return [Send(protocol.COMPLETE), *self._close(Reason.RESTARTED_SAFELY)]
        return self._repeat_init(now)

    def refused(self, reason: Reason) -> list[Action]:
        """Take that the device may not go on: it gets CLOSE, and keeps its files."""
        return self._refuse(reason)

    def blame_file(self) -> None:
        """Take that the present file, if there is one, ended the session."""
        if self.state in ASKED:
            self.failed_file = self._asked

    def failed(self, ending: Ending) -> list[Action]:
        """Take that the driver could not do what was asked: end without acknowledgement."""
        return self._end(ending)

    # messages

    def _on_init(self, init: Init, now: float) -> list[Action]:
        if self.imei not in (None, init.imei):
            return self._close(Reason.IMEI_CHANGED)
        first, self.imei, self._init = self.imei is None, init.imei, init
        self._order.offer((*init.files, BY_PATH) if init.has_path else init.files)
        if first:
            self.state, self.deadline = SessionState.ADMISSION, None
            return [Admit(init.imei)]
        return self._choose(now)

    def _on_init_again(self, init: Init, now: float) -> list[Action]:
        """Answer an INIT that the device repeats while it waits for us: the same question, by the same deadline."""
        if init != self._init:
            return self._out_of_order(init)
        if self.state is SessionState.PATH:
            question = protocol.PATH_REQUEST
        else:
            question = (
                self._metadata_request() if self.state is SessionState.METADATA else self._file_request()
            )
        return self._unanswered(init) or [Send(question)]

    def _on_path_again(self, path: Path, now: float) -> list[Action]:
        """Ignore the second answer to a question that was repeated."""
        return [] if path.raw == self._path else self._out_of_order(path)

    def _on_path(self, path: Path, now: float) -> list[Action]:
        name = path.text
        if not name or self._order.is_skipped(name):
            self._order.skip(BY_PATH)
            return self._choose(now)
        self.offer, self._path = Offer(name, True, 0, None), path.raw
        return self._request_metadata(now)

    def _on_metadata(self, metadata: Metadata, now: float) -> list[Action]:
        if not self._about_this(metadata):
            return []
        if self._order.is_stored(self.offer.identifier, metadata.timestamp):
            self._order.skip(BY_PATH if self.offer.by_path else self.offer.identifier)
            return self._choose(now)
        self.metadata = metadata
        return self._request_file(now)

    def _on_late_metadata(self, metadata: Metadata, now: float) -> list[Action]:
        """An answer to 0x000A after we went on without it: of use until storage was asked for this file."""
        if self.imei is None:
            return self._ignore(metadata, now)
        if self.state is SessionState.START and self._about_this(metadata):
            self.metadata = metadata
        return []

    def _on_frame_rate(self, rate: FrameRate, now: float) -> list[Action]:
        if self.metadata is not None and self.metadata.frame_rate is None:
            self.metadata = replace(self.metadata, frame_rate=rate.value)
        return []

    def _about_this(self, metadata: Metadata) -> bool:
        named = protocol.FILE_BITS.get(metadata.file_type)
        return named is None or self.offer.by_path or named == self.offer.identifier

    def _on_start(self, start: Start, now: float) -> list[Action]:
        self.offer = offer = replace(self.offer, count=start.count, metadata=self.metadata)
        # those of the file before, until storage says what is held of this one
        self.received, self._chain = 0, 0
        untimed = not (self.metadata and self.metadata.timestamp)
        if not start.count or (untimed and self._order.is_stored(offer.identifier, 0)):
            self._order.skip(offer.identifier)
            return self._repeat_init(now)
        if offer.size > self.limits.max_size:
            self._too_large = offer.size
            self._order.skip(offer.identifier)
            return self._repeat_init(now)
        self._moved = False
        self._bad, self._bad_since, self._went_back = 0, None, 0
        self.state, self.deadline = SessionState.STORAGE, None
        return [OpenFile(offer)]

    def _on_start_again(self, start: Start, now: float) -> list[Action]:
        if start.count != self.offer.count:
            return self._close(Reason.FILE_CHANGED)
        self._bad += 1
        if self._bad > self.limits.bad_packets:
            return self._close(Reason.START_REPEATED)
        # before its SYNC it repeats what we answered already: a second RESUME would bring the file twice
        return self._resume(now) if self.state is SessionState.DATA else []

    def _on_sync(self, sync: Sync, now: float) -> list[Action]:
        # packets count from 1, and 0 and 1 both mean the beginning
        offset = sync.position if self.offer.by_path else max(sync.position - 1, 0) * PACKET
        if offset > self.received:
            return self._bad_packet(now)
        if offset == self.received:
            return self._expect_data(now)
        self._went_back += 1
        if self._went_back > self.limits.go_backs:
            return self._close(Reason.WENT_BACK)
        self.received = offset
        return [GoBack(offset)]

    def _expect_data(self, now: float) -> list[Action]:
        self._bases = (self._chain, 0) if self._chain else (0,)
        if self.state is not SessionState.DATA:  # a SYNC that is repeated puts nothing off
            self.state, self.deadline = SessionState.DATA, now + self.limits.progress
        return []

    def _on_run(self, run: Run, now: float) -> list[Action]:
        size = run.count * PACKET
        if self.received + size > self.offer.size or not run.stands_at(self.received):
            return [Again(tuple(run.split()))]
        payload = run.payload
        for base in self._bases:
            if run.is_chained(payload, base):
                return self._take(payload, base, run.crc, now)
        if self.offer.by_path and run.is_unchained(payload):
            self._whole = self._whole and run.count == 1
            return self._take(payload, 0, run.crc, now)
        return [Again(tuple(run.split()))]

    def _on_data(self, data: Data, now: float) -> list[Action]:
        size = len(data.payload)
        if self.received + size > self.offer.size:
            return self._close(Reason.TOO_MUCH)
        last = self.offer.by_path or self.received + PACKET >= self.offer.size
        if size != PACKET and not last:
            return self._close(Reason.SHORT_PACKET, offset=self.received)
        if data.offset not in (None, self.received):
            return self._bad_packet(now)
        for base in self._bases:
            if protocol.crc(data.payload, base) == data.crc:
                return self._take(data.payload, base, data.crc, now)
        if self._doubtful:
            # its CRC may go on from another file than the one that is held: all of that is compared
            self._doubtful, self._begins_again, self.received = False, True, 0
            return [CrcError(0), GoBack(0)]
        return self._bad_packet(now)

    def _take(self, payload: bytes, base: int, crc: int, now: float) -> list[Action]:
        offset, self.received = self.received, self.received + len(payload)
        self._whole, self._doubtful = self._whole and base == self._chain, False
        # whether the path flow chains its CRC is not known
        self._chain, self._bases = crc, (crc, 0) if self.offer.by_path and crc else (crc,)
        self._bad, self._bad_since = 0, None
        self._moved = True
        self.deadline = now + self.limits.progress
        return [Write(offset, payload, crc if self._whole else None)]

    def _complete(self) -> bool:
        # the last packet may be short: one byte of it is enough to be there
        return self.received > self.offer.size - (1 if self.offer.by_path else PACKET)

    def _on_status(self, status: Status, now: float) -> list[Action]:
        if reason := STATUSES.get(status.code):
            return self._close(reason)
        return self._close(Reason.OTHER_STATUS, status=f"0x{status.code:02x}")

    def _ignore(self, message: WireMessage, now: float) -> list[Action]:
        if self.imei is None:
            return self._close(Reason.BEFORE_INIT, message=_name(message))
        return []

    # steps

    def _choose(self, now: float) -> list[Action]:
        wanted = self._order.next()
        if wanted is None or (self.stopping and self._order.has_stored):
            if self._too_large:
                return self._refuse(Reason.TOO_LARGE, size=self._too_large, limit=self.limits.max_size)
            return self._refuse(Reason.NOTHING_LEFT)
        self._offers += 1
        self._ignored = 0
        if self._offers > self.limits.offers:
            return self._refuse(Reason.ENOUGH)
        self.metadata, self._asked = None, wanted
        if wanted == BY_PATH:
            self.state, self.deadline = SessionState.PATH, now + self.limits.answer
            return [Send(protocol.PATH_REQUEST)]
        self.offer, self._path = Offer(wanted, False, 0, None), None
        return self._request_metadata(now)

    def _request_metadata(self, now: float) -> list[Action]:
        if self._metadata_silent:
            return self._request_file(now)
        self.state, self.deadline = SessionState.METADATA, now + self.limits.metadata
        return [Send(self._metadata_request())]

    def _metadata_request(self) -> bytes:
        return protocol.metadata_request(b"" if self.offer.by_path else self.offer.identifier.encode())

    def _request_file(self, now: float) -> list[Action]:
        self.state, self.deadline = SessionState.START, now + self.limits.answer
        return [Send(self._file_request())]

    def _file_request(self) -> bytes:
        return protocol.file_request(self._path or self.offer.identifier.encode())

    def _resume(self, now: float) -> list[Action]:
        self.state, self.deadline = SessionState.SYNC, now + self.limits.answer
        if self._bad_since is not None:
            self.deadline = min(self.deadline, self._bad_since + self.limits.bad_seconds)
        position = self.received if self.offer.by_path else self.received // PACKET + 1
        return [Send(protocol.resume(position))]

    def _bad_packet(self, now: float) -> list[Action]:
        self._bad += 1
        self._bad_since = now if self._bad_since is None else self._bad_since
        error = CrcError(self.received)
        if self._bad > self.limits.bad_packets or now - self._bad_since >= self.limits.bad_seconds:
            return [error, *self._close(Reason.BAD_PACKETS, packets=self._bad)]
        return [error, *self._resume(now)]

    def _repeat_init(self, now: float) -> list[Action]:
        self._repeated = True
        self.state, self.deadline = SessionState.INIT, now + self.limits.answer
        return [Send(protocol.REPEAT_INIT)]

    def _refuse(self, reason: Reason, **arguments: str | int) -> list[Action]:
        return [Send(protocol.CLOSE), *self._close(reason, **arguments)]

    def _close(self, reason: Reason, **arguments: str | int) -> list[Action]:
        return self._end(Ending(reason, arguments))

    def _end(self, ending: Ending) -> list[Action]:
        silent = ending.code == "timeout" and not self._moved  # else the connection died
        if silent or ending.code in FAILED:
            self.blame_file()
        self.state, self.deadline = SessionState.CLOSED, None
        return [Close(ending)]


def _name(message: WireMessage) -> str:
    return "DATA" if isinstance(message, Run) else type(message).__name__.upper()


def _weight(message: WireMessage) -> int:
    """Give what a message that gets no answer counts, in packets: the same however TCP cut them."""
    if isinstance(message, Run):
        return message.count
    return 1 if isinstance(message, Data) else MESSAGE_WEIGHT


Handler = Callable[[SessionMachine, Any, float], list[Action]]
# Every pair that may occur; any other pair ends the session in `receive`. docs/protocol.md draws it.
TRANSITIONS: dict[tuple[SessionState, type], Handler] = {
    (SessionState.INIT, Init): SessionMachine._on_init,
    (SessionState.PATH, Path): SessionMachine._on_path,
    (SessionState.METADATA, Metadata): SessionMachine._on_metadata,
    (SessionState.START, Start): SessionMachine._on_start,
    (SessionState.SYNC, Start): SessionMachine._on_start_again,
    (SessionState.DATA, Start): SessionMachine._on_start_again,
    (SessionState.SYNC, Sync): SessionMachine._on_sync,
    (SessionState.DATA, Sync): SessionMachine._on_sync,
    (SessionState.DATA, Data): SessionMachine._on_data,
    (SessionState.DATA, Run): SessionMachine._on_run,
    # what a device repeats while it waits for us
    **{
        (state, Init): SessionMachine._on_init_again
        for state in (SessionState.PATH, SessionState.METADATA, SessionState.START)
    },
    **{(state, Path): SessionMachine._on_path_again for state in (SessionState.METADATA, SessionState.START)},
    # what was under way before the device read our RESUME, or our 0x0009
    **{(SessionState.SYNC, kind): SessionMachine._ignore for kind in (Data, Run)},
    **{(SessionState.INIT, kind): SessionMachine._ignore for kind in (Start, Sync, Data, Run)},
    # an answer to 0x000A that comes after we went on without it
    **{
        (state, Metadata): SessionMachine._on_late_metadata
        for state in (
            SessionState.INIT,
            SessionState.PATH,
            SessionState.START,
            SessionState.SYNC,
            SessionState.DATA,
        )
    },
    **{(state, FrameRate): SessionMachine._on_frame_rate for state in SessionState},
    **{
        (state, Status): SessionMachine._on_status
        for state in SessionState
        if state is not SessionState.CLOSED
    },
}
