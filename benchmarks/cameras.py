"""The load: many cameras in one process, as fast as their lines allow. Independent of the receiver's code.

`python benchmarks/cameras.py --help`. Prints one line of JSON. Of each ten cameras seven know the protocol up to id 5
(INIT, metadata, START, SYNC, DATA) and three offer their files by path; some tell no time or no trigger
(`simulator.metadata`). The bytes are made once and sent from memory. `--raw` only pours the same bytes into a sink that
speaks nothing. Run it on a core of its own.
"""

import argparse
import json
import random
import select
import socket
import struct
import sys
import time
from collections import deque
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from simulator.metadata import RAW_METADATA, MetadataAnswer, metadata_answer_of

TABLE = []
for _byte in range(256):
    _value = _byte
    for _ in range(8):
        _value = (_value >> 1) ^ 0x8408 if _value & 1 else _value >> 1
    TABLE.append(_value)
FIRST_IMEI = 10_000_000_000_000  # 14 digits; the 15th is the check digit
PIECE = (
    1030  # bytes sent at once on a limited line: a packet with its header and CRC, about what a modem sends
)


def imei(number: int) -> int:
    """Give the number-th camera's IMEI, with its check digit."""
    digits = [int(d) for d in f"{FIRST_IMEI + number:014d}"]
    total = sum(digits[0::2]) + sum(sum(divmod(2 * d, 10)) for d in digits[1::2])
    return (FIRST_IMEI + number) * 10 + -total % 10


def frames(size: int, *, by_path: bool = False, seed: int = 1) -> bytes:
    """Give the DATA frames of a file of random bytes, with offsets where it is offered by path."""
    data, chain, made = random.Random(seed).randbytes(size), 0, []
    for at in range(0, size, 1024):
        payload = data[at : at + 1024]
        for byte in payload:
            chain = (chain >> 8) ^ TABLE[(chain ^ byte) & 0xFF]
        body = payload + struct.pack(">H", chain)
        if by_path:
            made.append(struct.pack(">HHI", 0x0E, len(body) + 4, at) + body)
        else:
            made.append(struct.pack(">HH", 4, len(body)) + body)
    return b"".join(made)


class Camera:
    """One line; `left` files to go."""

    def __init__(self, number: int, load: "Load") -> None:
        self.load, self.imei, self.left = load, imei(number), load.files
        self.metadata_answer = metadata_answer_of(number)
        self.rests = False  # it has more files and says so on another connection only
        self.line = self._new_line()
        self.inbox = b""
        self.outbox: list[memoryview] = []
        self.writing = False
        self.began = self.answered = 0.0
        self.serial = 0
        self.sent = 0  # file bytes with their headers
        self.sending = 0.0  # since when
        self.done = False

    @staticmethod
    def _new_line() -> socket.socket:
        line = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        line.setblocking(False)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return line

    def begin(self) -> None:
        self.began = self.began or time.perf_counter()
        self.line.connect_ex(("127.0.0.1", self.load.port))
        self.load.poll.register(self.line, select.EPOLLIN | select.EPOLLOUT)
        self.writing = True  # once it is connected
        self.outbox.append(memoryview(self.load.blob if self.load.raw else self.init()))

    def init(self) -> bytes:
        by_path, has_file = self.metadata_answer.by_path, self.left and not self.rests
        bits = 0x40 + ((0x02 if by_path else 0x10) if has_file else 0)
        return struct.pack(">HHQ4B", 0, 6 if by_path else 5, self.imei, bits, 0, 4, 0)

    def say(self, data: bytes | memoryview) -> None:
        self.outbox.append(memoryview(data))
        if not self.began_slowly(data):
            self.write()

    def began_slowly(self, data: bytes | memoryview) -> bool:
        """Say whether these bytes wait for their turns on a limited line: those of files do."""
        if not self.load.rate or isinstance(data, bytes):
            return False
        self.sending = time.perf_counter()
        self.load.turns.append((self.sending + PIECE / self.load.rate, self))
        return True

    def want(self, writing: bool) -> None:
        if writing != self.writing:
            self.writing = writing
            self.load.poll.modify(self.line, select.EPOLLIN | (select.EPOLLOUT if writing else 0))

    def turn(self, due: float) -> None:
        """Send the next piece of a limited line, and take the next turn."""
        piece = self.outbox[0]
        try:
            sent = self.line.send(piece[:PIECE])
        except BlockingIOError:
            sent = 0
        except (BrokenPipeError, ConnectionResetError):
            return self.end()
        self.sent += sent
        self.load.bytes += sent
        self.outbox[0] = piece[sent:]
        if self.outbox[0]:
            self.load.turns.append((due + PIECE / self.load.rate, self))
        else:
            self.outbox.pop(0)

    def write(self) -> None:
        while self.outbox:
            try:
                sent = self.line.send(self.outbox[0][: 1 << 20])
            except BlockingIOError:
                return self.want(True)
            except (BrokenPipeError, ConnectionResetError):
                return self.end()
            self.load.bytes += sent
            if sent == len(self.outbox[0]):
                self.outbox.pop(0)
            else:
                self.outbox[0] = self.outbox[0][sent:]
        self.want(False)
        if self.load.raw:
            self.line.shutdown(socket.SHUT_WR)

    def read(self) -> None:
        try:
            data = self.line.recv(65536)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            return self.end()
        if self.load.raw:
            return
        if not self.answered:
            self.answered = time.perf_counter()
            self.load.first.append(self.answered - self.began)
        self.inbox += data
        while len(self.inbox) >= 2:
            command = int.from_bytes(self.inbox[:2], "big")
            if command == 9:
                self.inbox = self.inbox[2:]
                self.left -= 1
                self.load.stored += 1
                # in one session nobody takes a second file without a time under the same identifier
                self.rests = bool(self.left) and not (
                    self.metadata_answer.has_time or self.metadata_answer.by_path
                )
                self.say(self.init())
                continue
            if len(self.inbox) < 4 or len(self.inbox) < 4 + int.from_bytes(self.inbox[2:4], "big"):
                return
            size = int.from_bytes(self.inbox[2:4], "big")
            body, self.inbox = self.inbox[4 : 4 + size], self.inbox[4 + size :]
            self.take(command, body)

    def take(self, command: int, body: bytes) -> None:
        if command == 0x000C:
            self.serial += 1
            path = f"dualcam_front/video/{self.load.stamp + self.serial}.h265".encode()
            self.say(struct.pack(">HH", 0x000D, len(path)) + path)
        elif self.load.idle:
            return  # connected, and silent
        elif command == 0x000A:
            self.metadata()
        elif command == 0x0008:
            count = self.load.size if self.metadata_answer.by_path else self.load.packets
            self.say(struct.pack(">HHIH", 1, 6, count, 0))
        elif command == 0x0002:
            place = int.from_bytes(body, "big")
            self.say(struct.pack(">HHI", 3, 4, place))
            if self.metadata_answer.by_path:
                self.say(memoryview(self.load.blob_by_path)[place // 1024 * 1034 :])
            else:
                self.say(memoryview(self.load.blob)[(place - 1) * 1030 :])

    def metadata(self) -> None:
        if self.metadata_answer is MetadataAnswer.NOTHING:
            return
        self.serial += 1
        stamp = self.load.stamp + self.serial * 1000 if self.metadata_answer.has_time else 0
        body = struct.pack(">BBQBHB", 2, 0x10, stamp, 1, 20, 25)
        if self.metadata_answer is MetadataAnswer.RAW:
            body = RAW_METADATA
        elif self.metadata_answer.by_path:
            trigger = "" if self.metadata_answer is MetadataAnswer.NO_TRIGGER else ',"fm_trigger":{"type":1}'
            body = (
                f'{{"version":1,"file":{{"file_timestamp":{stamp // 1000},"duration":20}}{trigger}}}'.encode()
            )
        self.say(struct.pack(">HH", 0x000B, len(body)) + body)

    def end(self) -> None:
        if self.rests and not self.done:
            self.rests = False
            self.load.poll.unregister(self.line)
            self.line.close()
            self.line, self.inbox, self.outbox = self._new_line(), b"", []
            self.load.by_line[self.line.fileno()] = self
            self.begin()
        elif not self.done:
            self.done = True
            self.load.poll.unregister(self.line)
            self.line.close()
            self.load.open.discard(self)


class Load:
    """All cameras of this process."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.port, self.files, self.raw, self.idle = options.port, options.files, options.raw, options.idle
        self.rate, self.seconds = options.rate, options.seconds
        self.size = options.size
        self.blob = frames(options.size)
        self.blob_by_path = b"" if options.raw or options.idle else frames(options.size, by_path=True)
        self.packets = -(-options.size // 1024)
        self.stamp = int(time.time() * 1000) + options.offset * 10_000_000
        self.bytes = self.stored = 0
        self.first: list[float] = []
        self.poll = select.epoll()
        self.cameras = [Camera(options.offset + n, self) for n in range(options.cameras)]
        self.by_line = {camera.line.fileno(): camera for camera in self.cameras}
        self.open: set[Camera] = set()
        self.ramp = options.ramp
        self.turns: deque[tuple[float, Camera]] = deque()  # all lines are as fast, so the first is the next

    def run(self) -> dict[str, object]:
        waiting = list(reversed(self.cameras))
        began = last = time.perf_counter()
        while waiting or self.open:
            now = time.perf_counter()
            due = len(self.cameras) if not self.ramp else int((now - began) * self.ramp) + 1
            while waiting and len(self.cameras) - len(waiting) < due:
                camera = waiting.pop()
                self.open.add(camera)
                camera.begin()
            while self.turns and self.turns[0][0] <= now:
                moment, camera = self.turns.popleft()
                if not camera.done:
                    camera.turn(moment)
            for number, events in self.poll.poll(0.01 if self.rate or waiting else 1.0, 512):
                camera = self.by_line[number]
                if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                    camera.read()
                if events & select.EPOLLOUT and not camera.done:
                    camera.write()
                last = time.perf_counter()
            if self.seconds and now - began >= self.seconds:
                break
        ended = time.perf_counter()
        speeds = sorted(c.sent / (ended - c.sending) for c in self.cameras if c.sending) or [0.0]
        first = sorted(self.first) or [0.0]
        return {
            "seconds": last - began, "bytes": self.bytes, "stored": self.stored, "open": len(self.open),
            "first_answer_ms": {
                "median": 1000 * first[len(first) // 2], "p99": 1000 * first[int(len(first) * 0.99)],
                "max": 1000 * first[-1],
            },
            "bytes_per_second_and_line": {"slowest": speeds[0], "median": speeds[len(speeds) // 2]},
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("port", type=int)
    parser.add_argument("--cameras", type=int, default=1)
    parser.add_argument("--files", type=int, default=1, help="files of each camera, one after the other")
    parser.add_argument("--size", type=int, default=1_000_000, help="bytes of each file")
    parser.add_argument("--rate", type=float, default=0, help="bytes per second and camera; 0: no limit")
    parser.add_argument("--ramp", type=float, default=0, help="connections per second; 0: all at once")
    parser.add_argument("--seconds", type=float, default=0, help="stop after so long; 0: when all is done")
    parser.add_argument("--offset", type=int, default=0, help="number of the first camera")
    parser.add_argument("--idle", action="store_true", help="connect and stay silent after the first answer")
    parser.add_argument("--raw", action="store_true", help="only pour the bytes, for a sink")
    parser.add_argument("--imeis", type=Path, help="write the cameras' IMEIs to this file and end")
    options = parser.parse_args()
    if options.imeis:
        options.imeis.write_text("".join(f"{imei(options.offset + n)}\n" for n in range(options.cameras)))
        return
    print(json.dumps(Load(options).run()))


if __name__ == "__main__":
    main()
