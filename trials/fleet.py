"""Many cameras in one thread, over an epoll loop: the device's side of the wire, with the faults of real lines.

Frames are its own, nothing of the receiver's code is used. Cameras hold at most one file of a kind, as devices do;
what is not acknowledged is offered again at the next connection. Of each ten cameras some tell no time or no trigger
(`simulator.metadata`).
"""

import hashlib
import heapq
import itertools
import json
import random
import select
import socket
import struct
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fastcrc import crc16

from simulator.metadata import RAW_METADATA, MetadataAnswer, metadata_answer_of
from trials import evidence
from trials.evidence import Sent

PACKET = 1024
FRAME = PACKET + 6
PATH_FRAME = PACKET + 10
BITS = {"%photof": 0x04, "%photor": 0x08, "%videof": 0x10, "%videor": 0x20}
FOLDERS = {
    "%photof": ("dualcam_front/picture", "jpg"), "%photor": ("dualcam_rear/picture", "jpg"),
    "%videof": ("dualcam_front/video", "h265"), "%videor": ("dualcam_rear/video", "h265"),
}  # fmt: skip
DSM_FOLDERS = {
    "%photof": ("dsm/picture", "jpg"), "%photor": ("dsm/picture", "jpg"),
    "%videof": ("dsm/video", "mp4"), "%videor": ("dsm/video", "mp4"),
}  # fmt: skip
PATH_BIT = 0x02
TRIGGER = 2  # none of the server's requests: nothing is linked to commands
SILENCE = 90.0  # seconds without a byte from the server: the camera gives the line up
FIRST_IMEI = 20_000_000_000_000


def imei(number: int) -> str:
    """Give the number-th camera's IMEI, with its check digit."""
    digits = [int(digit) for digit in f"{FIRST_IMEI + number:014d}"]
    total = sum(digits[0::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return f"{FIRST_IMEI + number}{-total % 10}"


@dataclass(frozen=True, slots=True)
class Weather:
    """How bad the lines are; shares from 0 to 1."""

    cut: float = 0.0  # connections that end at a random packet
    reset: float = 0.5  # cuts by a reset, in the middle of a packet; the others close
    ghost: float = 0.0  # cuts after which the old line still looks open to the server
    corrupt: float = 0.0  # packets with a wrong bit
    more: float = (
        0.3  # acknowledgements after which the camera has another file ready, for the same connection
    )
    forget: float = 0.0  # acknowledgements that are lost: the file is offered again
    rate: float = 0.0  # bytes per second and camera; 0: no limit
    pause: tuple[float, float] = (0.02, 0.3)  # seconds before a camera comes back


@dataclass(slots=True)
class File:
    """A file in a camera. `version`: of its binary metadata."""

    identifier: str
    data: bytes
    stamp: int
    version: int = 4

    @property
    def packets(self) -> int:
        """How many packets it has."""
        return -(-len(self.data) // PACKET)

    def path(self, metadata_answer: MetadataAnswer) -> str:
        """Give the path under which a camera offers it."""
        folder, ending = (DSM_FOLDERS if metadata_answer is MetadataAnswer.RAW else FOLDERS)[self.identifier]
        return f"{folder}/{datetime.fromtimestamp(self.stamp / 1000, UTC):%y%m%d/%H%M%S}.{ending}"


@dataclass(slots=True)
class Tally(evidence.Tally):
    """What the cameras saw."""

    count: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)  # from INIT or START to the acknowledgement, per file


class Camera:
    """One device. `tells`: what it tells of its files."""

    def __init__(self, fleet: "Fleet", number: int, files: Iterator[File]) -> None:
        self.fleet, self.imei, self.rng = fleet, imei(number), random.Random(f"{fleet.seed}/{number}")
        self.metadata_answer = metadata_answer_of(number)
        self.stamps: dict[str, int] = {}  # given on this connection, in milliseconds, by a file's kind
        self.backlog, self.held = files, dict[str, File]()
        self.next: File | None = next(files, None)
        self.chain_restarts = bool(self.rng.getrandbits(1))
        self.line: socket.socket | None = None
        self.inbox, self.chunk, self.sent = b"", b"", 0
        self.replies: deque[bytes] = deque()
        self.frames: Iterator[bytes] = iter(())
        self.file: File | None = None
        self.finished = self.writing = self.cutting = self.paced = False
        self.cut_after: int | None = None
        self.packets = 0  # made for this connection
        self.heard = self.began = 0.0

    # connections

    def connect(self) -> None:
        """Take new files and connect, if there is something to send."""
        self._fill()
        if not self.held:
            self.fleet.idle(self)
            return
        self.line = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.line.setblocking(False)
        self.line.connect_ex(("127.0.0.1", self.fleet.port))
        self.inbox, self.chunk, self.sent, self.frames, self.file = b"", b"", 0, iter(()), None
        self.replies.clear()
        self.stamps.clear()
        self.packets = 0
        self.finished = self.cutting = self.paced = False
        weather = self.fleet.weather
        self.cut_after = None
        if self.rng.random() < weather.cut:
            self.cut_after = self.rng.randint(1, sum(file.packets for file in self.held.values()))
        self.heard = time.monotonic()
        self.fleet.tally.count["connections"] += 1
        self.writing = True
        self.fleet.open(self)
        self._init()

    def _fill(self) -> None:
        while self.next is not None and self.next.identifier not in self.held:
            self.held[self.next.identifier] = self.next
            self.next = next(self.backlog, None)

    def leave(self, why: str, *, ghost: bool = False, reset: bool = False) -> None:
        """End this connection and come back after a pause."""
        self.fleet.tally.count[why] += 1
        if self.file is not None and self.finished and self.sent == len(self.chunk):
            self.fleet.tally.unheard.append(self._as_sent(self.file))
        line, self.line = self.line, None
        assert line is not None
        self.fleet.close(self, line)
        if ghost:
            self.fleet.ghosts.append(line)
        else:
            if reset:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            line.close()
        self.fleet.later(self.rng.uniform(*self.fleet.weather.pause), self.connect)

    # writing

    def say(self, *messages: bytes) -> None:
        """Send control messages, before further packets."""
        self.replies.extend(messages)
        self.fleet.want(self, True)

    def write(self) -> None:
        """Send what the line takes."""
        while self.line is not None:
            if self.sent == len(self.chunk) and not self._next_chunk():
                self.fleet.want(self, False)
                return
            try:
                self.sent += self.line.send(memoryview(self.chunk)[self.sent :])
            except BlockingIOError:
                return
            except OSError:
                self.lost()
                return
            if self.cutting and self.sent == len(self.chunk):
                weather = self.fleet.weather
                self.leave("cut", ghost=self.rng.random() < weather.ghost,
                           reset=self.rng.random() < weather.reset)  # fmt: skip

    def _next_chunk(self) -> bool:
        self.chunk, self.sent = b"", 0
        if self.replies:
            self.chunk = self.replies.popleft()
        elif not self.paced and not self.waits:
            rate, one_by_one = self.fleet.weather.rate, self.fleet.weather.rate or self.fleet.halt_after
            self.chunk = b"".join(itertools.islice(self.frames, 1 if one_by_one else 16))
            if self.chunk and rate:
                self.paced = True
                self.fleet.later(len(self.chunk) / rate, self._go_on)
        return bool(self.chunk)

    @property
    def waits(self) -> bool:
        """Whether the camera keeps the rest of its file until `Fleet.go_on`."""
        return bool(self.fleet.halt_after and self.packets >= self.fleet.halt_after)

    def _go_on(self) -> None:
        self.paced = False
        if self.line is not None:
            self.fleet.want(self, True)

    def _packets(self, file: File, first: int) -> Iterator[bytes]:
        weather = self.fleet.weather
        chain = 0 if self.chain_restarts else crc16.kermit(file.data[: (first - 1) * PACKET])
        for at in range((first - 1) * PACKET, len(file.data), PACKET):
            payload = file.data[at : at + PACKET]
            self.packets += 1
            chain = crc16.kermit(payload, chain)
            frame = self._data(at, payload, chain)
            whole = at + PACKET >= len(file.data)
            if self.rng.random() < weather.corrupt:
                frame, whole = self._spoil(frame), False
            if self.cut_after is not None:
                self.cut_after -= 1
                if self.cut_after <= 0:
                    self.cut_after, self.cutting = None, True
                    # whole (its acknowledgement is lost) or in its middle
                    uncut = self.rng.random() < 0.5
                    self.finished = whole and uncut
                    yield frame if uncut else frame[: self.rng.randrange(1, len(frame))]
                    return
            # said before it is sent: no acknowledgement can come earlier
            self.finished = whole
            yield frame

    def _data(self, at: int, payload: bytes, chain: int) -> bytes:
        body = payload + struct.pack(">H", chain)
        if self.metadata_answer.by_path:
            return struct.pack(">HHI", 0x0E, 4 + len(body), at) + body
        return struct.pack(">HH", 4, len(body)) + body

    def _spoil(self, frame: bytes) -> bytes:
        self.fleet.tally.count["corrupt"] += 1
        spoilt = bytearray(frame)
        # mostly the payload or its CRC; sometimes the header, after which nothing of the line can be read
        place = 2 if self.rng.random() < 0.02 else self.rng.randrange(4, len(frame))
        spoilt[place] ^= 1 << self.rng.randrange(8)
        return bytes(spoilt)

    # reading

    def read(self) -> None:
        """Take what the server says."""
        assert self.line is not None
        try:
            data = self.line.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.lost()
            return
        self.heard = time.monotonic()
        self.inbox += data
        while self.line is not None and len(self.inbox) >= 2:
            command = int.from_bytes(self.inbox[:2], "big")
            if command == 0x0009:
                self.inbox = self.inbox[2:]
                if self._acknowledged():
                    if self.rng.random() < self.fleet.weather.more:
                        self._fill()
                    self._init()
                continue
            size = int.from_bytes(self.inbox[2:4], "big")
            if len(self.inbox) < 4 + size:
                return
            body, self.inbox = self.inbox[4 : 4 + size], self.inbox[4 + size :]
            self._take(command, body)

    def lost(self) -> None:
        """The server ended the line, or it broke."""
        if self.line is None:
            return
        self.leave("turned away" if self.file is None else "broken")

    def _take(self, command: int, body: bytes) -> None:
        if command == 0x0000:
            self.leave("closed" if self.file is None else "broken")
        elif command == 0x0005:
            if self._acknowledged():
                self.leave("complete")
        elif command == 0x000C:
            self.say(self._path_offered())
        elif command == 0x000A:
            self._metadata(self._first() if self.metadata_answer.by_path else self.held.get(body.decode()))
        elif command == 0x0008:
            self.file, self.finished = self._named(body.rstrip(b"\0").decode()), False
            self.began = time.monotonic()
            count = (
                len(self.file.data)
                if self.file and self.metadata_answer.by_path
                else self.file.packets
                if self.file
                else 0
            )
            self.say(struct.pack(">HHIH", 1, 6, count, 0))
        elif command == 0x0002:
            self._resume(int.from_bytes(body, "big"))

    def _first(self) -> File | None:
        return next(iter(self.held.values()), None)

    def _path_offered(self) -> bytes:
        file = self._first()
        path = file.path(self.metadata_answer).encode() + b"\0" if file else b""
        return struct.pack(">HH", 0x0D, len(path)) + path

    def _named(self, name: str) -> File | None:
        if not self.metadata_answer.by_path:
            return self.held.get(name)
        return next((file for file in self.held.values() if file.path(self.metadata_answer) == name), None)

    def _resume(self, position: int) -> None:
        assert self.file is not None
        if self.cutting:
            return
        # whole packets are asked for, by their number from 1 or by their byte from 0
        first = position // PACKET + 1 if self.metadata_answer.by_path else max(position, 1)
        frame = PATH_FRAME if self.metadata_answer.by_path else FRAME
        self.fleet.tally.count["resumed" if first > 1 else "started"] += 1
        if self.sent < len(self.chunk):  # finish the packet that is half sent, give up those behind it
            self.chunk = self.chunk[: -(-max(self.sent, 1) // frame) * frame]
        self.finished = self.cutting = False
        self.frames = self._packets(self.file, first)
        self.say(struct.pack(">HHI", 3, 4, position if self.metadata_answer.by_path else first))

    def _metadata(self, file: File | None) -> None:
        if file is None or self.metadata_answer is MetadataAnswer.NOTHING:
            return
        if self.metadata_answer.by_path:
            self.stamps[file.identifier] = file.stamp // 1000 * 1000 if self.metadata_answer.has_time else 0
            body = RAW_METADATA if self.metadata_answer is MetadataAnswer.RAW else self._json(file)
        else:
            self.stamps[file.identifier] = stamp = file.stamp if self.metadata_answer.has_time else 0
            body = self._binary(file, stamp)
        self.say(struct.pack(">HH", 0x000B, len(body)) + body)

    def _json(self, file: File) -> bytes:
        contents = {"version": 1, "file": {"file_timestamp": file.stamp // 1000, "duration": 5, "framerate": 25},
                "location": {"latitude": 54.6872, "longitude": 25.2797}}  # fmt: skip
        if self.metadata_answer is not MetadataAnswer.NO_TRIGGER:
            contents["fm_trigger"] = {"type": TRIGGER}
        return json.dumps(contents).encode()

    @staticmethod
    def _binary(file: File, stamp: int) -> bytes:
        body = struct.pack(">BBQBH", file.version, BITS[file.identifier], stamp, TRIGGER, 5)
        if file.version >= 2:
            body += bytes([25])
        if file.version >= 3:
            body += struct.pack(">hdd", 120, 54.6872, 25.2797)
        if file.version >= 4:
            body += struct.pack(">Q", stamp)
        return body

    def _init(self) -> None:
        self.file = None
        by_path = self.metadata_answer.by_path
        bits = 0x40 + (PATH_BIT * bool(self.held) if by_path else sum(BITS[name] for name in self.held))
        self.say(struct.pack(">HHQ4B", 0, 6 if by_path else 5, int(self.imei), bits, 0, 4, 0))

    def _acknowledged(self) -> bool:
        """Take an acknowledgement; False if it was lost on the way and the line with it."""
        file, tally = self.file, self.fleet.tally
        if file is None or not self.finished:
            return True  # the answer to a START of nothing
        if self.rng.random() < self.fleet.weather.forget:
            self.leave("forgotten")
            return False
        del self.held[file.identifier]
        self.file = None
        tally.acknowledged.append(self._as_sent(file))
        self.stamps.pop(file.identifier, None)
        tally.seconds.append(time.monotonic() - self.began)
        return True

    def _as_sent(self, file: File) -> Sent:
        name = file.path(self.metadata_answer) if self.metadata_answer.by_path else file.identifier
        # what it was not asked on this connection it did not tell
        return Sent(
            self.imei, name, self.stamps.get(file.identifier, 0), hashlib.sha256(file.data).hexdigest()
        )


class Fleet:
    """All cameras of one trial."""

    def __init__(self, port: int, seed: int, weather: Weather) -> None:
        self.port, self.seed, self.weather = port, seed, weather
        self.tally = Tally()
        self.cameras: list[Camera] = []
        self.ghosts: list[socket.socket] = []
        self.working = 0  # cameras that still have something to send
        self.stopped = False
        self.halt_after = 0  # packets after which each camera waits; 0: none does
        self._poll = select.epoll()
        self._lines: dict[int, Camera] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = itertools.count()

    def add(self, number: int, files: Iterator[File], after: float = 0.0) -> Camera:
        """Put a camera on the road."""
        camera = Camera(self, number, files)
        self.cameras.append(camera)
        self.working += 1
        self.later(after, camera.connect)
        return camera

    def run(self, seconds: float, done: Callable[[], bool] = lambda: False) -> bool:
        """Play until all files are acknowledged, `done` says so, or time is up; say whether all are."""
        deadline, looked = time.monotonic() + seconds, time.monotonic()
        while self.working and not self.stopped and (now := time.monotonic()) < deadline:
            while self._timers and self._timers[0][0] <= now:
                heapq.heappop(self._timers)[2]()
            wait = min(0.2, max(0.0, self._timers[0][0] - now)) if self._timers else 0.2
            for number, events in self._poll.poll(wait, 256):
                self._serve(number, events)
            if now - looked >= 1:
                looked = now
                for camera in [c for c in self._lines.values() if now - c.heard > SILENCE]:
                    camera.leave("silent")
                if done():
                    break
        return not self.working

    def _serve(self, number: int, events: int) -> None:
        camera = self._lines.get(number)
        if camera is not None and events & select.EPOLLOUT:
            camera.write()
        if self._lines.get(number) is camera and camera is not None and events & ~select.EPOLLOUT:
            camera.read()

    def go_on(self) -> None:
        """Let cameras that wait half way send the rest."""
        self.halt_after = 0
        for camera in self._lines.values():
            self.want(camera, True)

    def end_backlog(self) -> None:
        """Let cameras take no new files: they only send what they hold."""
        for camera in self.cameras:
            camera.next = None

    def end(self) -> None:
        """Close all lines."""
        for camera in list(self._lines.values()):
            if camera.line is not None:
                camera.line.close()
        for line in self.ghosts:
            line.close()
        self._poll.close()

    # what cameras ask for

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Do something after a while."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._serial), work))

    def open(self, camera: Camera) -> None:
        """Watch a camera's new line."""
        assert camera.line is not None
        self._lines[camera.line.fileno()] = camera
        self._poll.register(camera.line, select.EPOLLIN | select.EPOLLOUT)

    def close(self, camera: Camera, line: socket.socket) -> None:
        """Watch a camera's line no more."""
        del self._lines[line.fileno()]
        self._poll.unregister(line)

    def want(self, camera: Camera, writing: bool) -> None:
        """Watch whether a camera may write."""
        if writing != camera.writing and camera.line is not None:
            camera.writing = writing
            self._poll.modify(camera.line, select.EPOLLIN | (select.EPOLLOUT if writing else 0))

    def idle(self, camera: Camera) -> None:
        """A camera has sent all it had."""
        self.working -= 1


def some_files(rng: random.Random, count: int, sizes: tuple[int, int], *, began: float) -> Iterator[File]:
    """Make a camera's files one after the other: kinds, sizes and metadata versions at random, times all different.

    One in ten has the bytes of the one before it, as pictures of a dark garage do.
    """
    stamp, data = int(began * 1000), b""
    for _ in range(count):
        stamp += rng.randint(1000, 60_000)
        if not data or rng.random() > 0.1:
            data = rng.randbytes(rng.randint(*sizes))
        yield File(rng.choice(list(BITS)), data, stamp, rng.randint(1, 4))
