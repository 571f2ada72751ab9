"""What holds for any bytes: the protocol's fast path against its exact way, and whole sessions under faults."""

import json
import random
import tempfile
import unicodedata
from dataclasses import replace
from pathlib import Path

import machine
import pytest
from camera_model import BITS, kermit
from conftest import examples
from driver import Line, Machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from receiver.wire import protocol
from receiver.wire.actions import Action, Admit, Again, Close, CrcError, GoBack, OpenFile, Send, Write
from receiver.wire.frame_reader import PATH_DATA_MAX, FrameReader
from receiver.wire.protocol import Metadata, ProtocolError, Run, WireMessage
from receiver.wire.session import SessionMachine
from receiver.wire.session_limits import SessionLimits

pytestmark = pytest.mark.quick

IMEI = 352094082736916
PATH_INIT = b"\0\0\0\6" + IMEI.to_bytes(8, "big") + b"\x02\0\4\0"


def messages(data: bytes, cuts: list[int]) -> tuple[list[WireMessage], str | None]:
    """Read bytes in pieces; runs are split, so that only their meaning counts."""
    reader, found = FrameReader(), []  # type: ignore[var-annotated]

    def take(message: WireMessage) -> None:
        found.extend(message.split() if isinstance(message, Run) else [message])

    try:
        last = 0
        for cut in [*sorted({c % (len(data) + 1) for c in cuts}), len(data)]:
            reader.feed(data[last:cut], take)
            last = cut
    except ProtocolError as error:
        return found, error.code
    return found, None


frames = st.one_of(
    st.builds(
        lambda n: protocol.HEADER.pack(1, 6) + n.to_bytes(4, "big") + b"\0\0", st.integers(0, 2**32 - 1)
    ),
    st.builds(lambda n: protocol.HEADER.pack(3, 4) + n.to_bytes(4, "big"), st.integers(0, 2**32 - 1)),
    st.builds(
        lambda p: protocol.HEADER.pack(4, len(p) + 2) + p + b"\1\2", st.binary(min_size=1, max_size=40)
    ),
    st.builds(lambda b: b"\0\4\4\2" + bytes([b]) * 1026, st.integers(0, 255)),
    st.builds(lambda b: b"\0\x0e\4\6" + bytes([b]) * 1030, st.integers(0, 255)),
    st.just(PATH_INIT),
    st.binary(max_size=8),
)


@given(st.lists(frames, max_size=12).map(b"".join), st.lists(st.integers(0, 20_000), max_size=8))
@settings(max_examples=examples(100))
def test_cuts_never_change_what_is_read(data: bytes, cuts: list[int]) -> None:
    whole, bytewise = messages(data, []), messages(data, list(range(len(data))))
    assert messages(data, cuts) == whole == bytewise


@given(st.binary(max_size=3000))
@settings(max_examples=examples(100))
def test_any_bytes_are_read_or_refused_and_never_kept_beyond_a_frame(data: bytes) -> None:
    reader = FrameReader()
    try:
        reader.feed(data, lambda message: None)
    except ProtocolError:
        return
    assert len(reader._left) < PATH_DATA_MAX + 64


@given(st.binary(min_size=0, max_size=300), st.integers(0, 0xFFFF))
def test_the_crc_is_the_bit_by_bit_one(data: bytes, chain: int) -> None:
    assert protocol.crc(data, chain) == kermit(data, chain)


def words(value: object) -> list[str]:
    """Give every text of a JSON value, names too."""
    if isinstance(value, dict):
        return [*value, *(text for inner in value.values() for text in words(inner))]
    if isinstance(value, list):
        return [text for inner in value for text in words(inner)]
    return [value] if isinstance(value, str) else []


any_text = st.text(st.characters(), max_size=8) | st.sampled_from(
    ["\ud800", "\udfff\ud800", "\0", "\x1b[2J", "\x85"]
)


@given(st.dictionaries(any_text, any_text | st.lists(any_text, max_size=2), min_size=1, max_size=4))
@settings(max_examples=200, deadline=None)
def test_what_a_camera_tells_in_json_can_be_shown_and_stored(report: dict[str, object]) -> None:
    body = json.dumps(report).encode()
    given_back, _ = messages(PATH_INIT + protocol.HEADER.pack(0x0B, len(body)) + body, [])
    metadata = given_back[1]
    assert isinstance(metadata, Metadata)
    for text in words(metadata.details):
        assert text.encode().decode() == text
        assert not any(unicodedata.category(character) == "Cc" for character in text)


class Taker:
    """A session whose file is open: what it takes and answers, without storage."""

    def __init__(self, by_path: bool, packets: int, held: int) -> None:
        self.session = SessionMachine(SessionLimits(), 0.0)
        self.reader = FrameReader()
        self.taken, self.chain, self.answers, self.errors = b"", None, b"", 0  # type: ignore[var-annotated]
        self.by_path, self.packets, self.held = by_path, packets, held
        self.closed: str | None = None
        bits = 0x02 if by_path else 0x10
        self.feed(b"\0\0\0\5" + IMEI.to_bytes(8, "big") + bytes([bits, 0, 4, 0]))
        if by_path:
            self.feed(protocol.HEADER.pack(0x0D, 9) + b"dsm/a.mp4" + bytes.fromhex("000b0000"))
        else:
            self.feed(metadata("%videof", 1_795_500_000_000))
        count = packets * 1024 if by_path else packets
        self.feed(protocol.HEADER.pack(1, 6) + count.to_bytes(4, "big") + b"\0\0")
        position = held * 1024 if by_path else held + 1
        self.feed(protocol.HEADER.pack(3, 4) + position.to_bytes(4, "big"))

    def feed(self, data: bytes) -> None:
        self.reader.feed(data, lambda message: self._perform(self.session.receive(message, 0.0)))

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Admit():
                    self._perform(self.session.admitted(True, 0.0))
                case OpenFile():
                    self._perform(self.session.opened(self.held * 1024, BASE if self.held else 0, 0.0))
                case Write(offset, payload, chain):
                    assert offset == self.held * 1024 + len(self.taken)
                    self.taken, self.chain = self.taken + payload, chain
                    self._perform(self.session.written(True, 0.0))
                case Again(messages):
                    for message in messages:
                        self._perform(self.session.receive(message, 0.0))
                case Send(data):
                    self.answers += data
                case CrcError():
                    self.errors += 1
                case GoBack(offset):  # what is held may be of another file: all of it is compared
                    assert (offset, self.taken) == (0, b"")
                    self.held = 0
                    self._perform(self.session.went_back(0, 0.0))
                case Close(ending):
                    self.closed = ending.code

    @property
    def outcome(self) -> tuple[object, ...]:
        return self.taken, self.chain, self.answers, self.errors, self.closed, self.session.state


BASE = 0x1234  # the CRC of the packets that are held before


@st.composite
def packets(draw: st.DrawFn) -> tuple[bool, int, int, list[bytes]]:
    """Give a file's frames with what may be wrong with each; by path or not, how many, and how many are held."""
    by_path = draw(st.booleans())
    at_offsets = by_path and draw(st.booleans())
    held, count = draw(st.integers(0, 2)), draw(st.integers(1, 10))
    chain, made = BASE if held and draw(st.booleans()) else 0, []
    chained = draw(st.sampled_from(["always", "never", "sometimes"]))
    faults = draw(
        st.lists(st.sampled_from(["", "", "bit", "offset", "begins anew"]), min_size=count, max_size=count)
    )
    for number, fault in enumerate(faults if draw(st.booleans()) else [""] * count):
        payload = random.Random(number).randbytes(1024)
        if fault == "begins anew" or chained == "never" or (chained == "sometimes" and draw(st.booleans())):
            chain = 0
        chain = kermit(payload, chain)
        wire = bytes([payload[0] ^ 4]) + payload[1:] if fault == "bit" else payload
        body = wire + chain.to_bytes(2, "big")
        if at_offsets:
            body = ((held + number + (fault == "offset")) * 1024).to_bytes(4, "big") + body
        made.append(protocol.HEADER.pack(0x0E if at_offsets else 4, len(body)) + body)
    return by_path, held + count + draw(st.integers(-1, 1)), held, made


@given(packets())
@settings(max_examples=150, deadline=None)
def test_frames_in_one_piece_are_taken_as_frames_one_by_one(
    given: tuple[bool, int, int, list[bytes]],
) -> None:
    by_path, announced, held, made = given
    if announced <= held:
        return
    together, alone = Taker(by_path, announced, held), Taker(by_path, announced, held)
    together.feed(b"".join(made))
    for frame in made:
        alone.feed(frame)
    assert together.outcome == alone.outcome


@pytest.mark.parametrize("kind", ["by identifier", "by path", "at offsets"])
@pytest.mark.parametrize("distance", [1, 8191, 32767, 32768, 65534])
def test_two_wrong_bits_are_seen_however_the_packets_are_cut(kind: str, distance: int) -> None:
    """The CRC repeats after 32,767 bits: two wrong bits at that distance do not show in the last packet's CRC."""
    payloads = [bytearray(random.Random(n).randbytes(1024)) for n in range(12)]
    chain, crcs = 0, []
    for payload in payloads:
        crcs.append(chain := kermit(payload, chain))
    for bit in (4000, 4000 + distance):
        payloads[bit // 8192][bit // 8 % 1024] ^= 1 << bit % 8  # the CRC takes the lowest bit first
    head = {"by identifier": "00040402", "by path": "00040402", "at offsets": "000e0406"}[kind]
    data = b"".join(
        bytes.fromhex(head)
        + ((1024 * n).to_bytes(4, "big") if kind == "at offsets" else b"")
        + p
        + c.to_bytes(2, "big")
        for n, (p, c) in enumerate(zip(payloads, crcs, strict=True))
    )
    taker = Taker(kind != "by identifier", 12, 0)
    taker.feed(data)
    assert (taker.taken, taker.errors) == (b"", 1)


def metadata(identifier: str, stamp: int) -> bytes:
    return b"\0\x0b\0\x0d\1" + bytes([BITS[identifier]]) + stamp.to_bytes(8, "big") + b"\0\0\5"


class Cameras(RuleBasedStateMachine):
    """A virtual camera with faults against protocol, session and storage: what is stored is what the camera held.

    The camera forgets a file when it was acknowledged, and offers it again when the acknowledgement was lost.
    """

    @initialize(chain_restarts=st.booleans(), timed=st.booleans())
    def begin(self, chain_restarts: bool, timed: bool) -> None:
        self.folder = tempfile.TemporaryDirectory(dir=machine.place())
        self.machine = Machine(Path(self.folder.name))
        self.chain_restarts, self.timed = chain_restarts, timed
        self.files: dict[str, tuple[bytes, int]] = {}  # what the camera holds: bytes, timestamp
        self.captured: list[bytes] = []  # all that was ever captured
        self.acknowledged: list[bytes] = []
        self.line: Line | None = None
        self.inbox = b""
        self.serial = 0

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()

    @rule(identifier=st.sampled_from(sorted(BITS)), size=st.integers(1, 6000))
    def capture(self, identifier: str, size: int) -> None:
        if identifier not in self.files and (self.line is None or self.line.closed):
            self.serial += 1
            data = random.Random(self.serial).randbytes(size)
            self.files[identifier] = (data, 1_795_500_000_000 + self.serial if self.timed else 0)
            self.captured.append(data)

    @precondition(lambda self: self.files and (self.line is None or self.line.closed is not None))
    @rule(choice=st.integers(0, 3))
    def capture_another_of_the_same_size(self, choice: int) -> None:
        """The camera let go of a file that nobody fetched to its end, and holds another in its place."""
        identifier = sorted(self.files)[choice % len(self.files)]
        size = len(self.files.pop(identifier)[0])
        self.capture(identifier, size)

    @precondition(lambda self: self.line is None or self.line.closed is not None)
    @rule(restart=st.booleans(), pause=st.sampled_from([1, 60, 7200]))
    def connect(self, restart: bool, pause: int) -> None:
        self.machine.now += pause
        if restart:
            self.machine.restart()
        self.line = Line(self.machine, replace(SessionLimits(), bad_packets=5))
        self.asked: str | None = None
        self.outbox: list[bytes] = []
        self.finished = False
        self.answer(self.line.feed(self.init()))

    def init(self) -> bytes:
        bits = 0x40 + sum(BITS[name] for name in self.files)
        return b"\0\0\0\5" + IMEI.to_bytes(8, "big") + bytes([bits, 0, 4, 0])

    def answer(self, data: bytes) -> None:
        """Play the device until it has nothing to say but DATA."""
        while data:
            command, size = int.from_bytes(data[:2], "big"), 0
            if command != 9:
                size = 2 + int.from_bytes(data[2:4], "big")
            body, data = data[4 : 2 + size], data[2 + size :]
            assert self.line is not None
            match command:
                case 0:
                    return
                case 9:
                    if self.finished and self.asked in self.files:
                        self.acknowledged.append(self.files.pop(self.asked)[0])
                    self.finished = False
                    data += self.line.feed(self.init())
                case 10:
                    name = body.decode()
                    if self.serial % 3 or self.timed:
                        data += self.line.feed(metadata(name, self.files[name][1]))
                    else:
                        data += self.line.wait()
                case 8:
                    self.asked = body.decode()
                    count = -(-len(self.files[self.asked][0]) // 1024)
                    data += self.line.feed(b"\0\1\0\6" + count.to_bytes(4, "big") + b"\0\0")
                case 2:
                    assert self.asked is not None
                    data += self.line.feed(self._sync(int.from_bytes(body, "big")))

    def _sync(self, first: int) -> bytes:
        assert self.asked is not None
        whole = self.files[self.asked][0]
        chain = 0 if self.chain_restarts else kermit(whole[: (first - 1) * 1024])
        self.outbox = []
        for at in range((first - 1) * 1024, len(whole), 1024):
            payload = whole[at : at + 1024]
            chain = kermit(payload, chain)
            self.outbox.append((len(payload) + 2).to_bytes(2, "big") + payload + chain.to_bytes(2, "big"))
        return b"\0\3\0\4" + first.to_bytes(4, "big")

    @precondition(lambda self: self.line is not None and self.line.closed is None and self.outbox)
    @rule(count=st.integers(1, 4))
    def send(self, count: int) -> None:
        assert self.line is not None
        batch, self.outbox = self.outbox[:count], self.outbox[count:]
        self.finished = not self.outbox
        self.answer(self.line.feed(b"".join(b"\0\4" + frame for frame in batch)))

    @precondition(lambda self: self.line is not None and self.line.closed is None and self.outbox)
    @rule(bit=st.integers(0, 7))
    def send_corrupt(self, bit: int) -> None:
        assert self.line is not None
        frame = bytearray(b"\0\4" + self.outbox[0])
        frame[4] ^= 1 << bit
        self.finished = False
        self.answer(self.line.feed(bytes(frame)))

    @precondition(lambda self: self.line is not None and self.line.closed is None)
    @rule()
    def drop(self) -> None:
        assert self.line is not None
        self.line.drop()

    @precondition(lambda self: self.line is not None and self.line.closed is None and self.outbox)
    @rule()
    def lose_the_acknowledgement(self) -> None:
        assert self.line is not None
        self.line.feed(b"".join(b"\0\4" + frame for frame in self.outbox))
        self.line.drop()

    @invariant()
    def stored_is_what_was_captured_each_once(self) -> None:
        if not hasattr(self, "machine"):
            return
        stored = self.machine.files()
        assert all(file in self.captured for file in stored)
        assert all(data in stored for data in self.acknowledged)
        if self.timed:
            assert len(stored) == len(set(stored))


Cameras.TestCase.settings = settings(
    max_examples=examples(40), stateful_step_count=40, suppress_health_check=list(HealthCheck)
)
TestCameras = Cameras.TestCase
