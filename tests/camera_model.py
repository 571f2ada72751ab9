"""A camera in a few lines, for tests of the receiver: the device's side of the wire, with faults on request.

Independent of the receiver's code (its own CRC, its own frames), so that both would have to be wrong alike.
"""

import json
import socket
import struct
import time
from dataclasses import dataclass, field

from simulator.metadata import RAW_METADATA, MetadataAnswer

BITS = {"%photof": 0x04, "%photor": 0x08, "%videof": 0x10, "%videor": 0x20}


def _bit_by_bit(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ 0x8408 if value & 1 else value >> 1
    return value


OF_BYTES = [_bit_by_bit(byte) for byte in range(256)]


def kermit(data: bytes, value: int = 0) -> int:
    """Give CRC-16/KERMIT."""
    for byte in data:
        value = (value >> 8) ^ OF_BYTES[(value ^ byte) & 0xFF]
    return value


class LineDropped(Exception):
    """The camera dropped the line itself, as asked."""


@dataclass
class CameraModel:
    """Holds files by identifier; `run` connects and plays the device until the server closes."""

    imei: str = "352094082736916"
    files: dict[str, bytes] = field(default_factory=dict)
    timestamps: dict[str, int] = field(default_factory=dict)
    metadata_version: int = 1  # 0: never answers
    metadata_answer: MetadataAnswer = MetadataAnswer.ALL
    protocol: int = 5
    restart_crc: bool = True  # the chain starts at 0 after a RESUME; else it goes on
    corrupt: set[int] = field(default_factory=set)  # packets sent wrong once
    drop_at: int | None = None  # drop the line before this packet, once
    pause: float = 0.0  # seconds before each packet
    repeat_start: int = 0  # send START so often more before it is taken as answered
    acknowledged: list[str] = field(default_factory=list)
    resumed_at: list[int] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    trigger: int = 0
    address: str | None = None  # of the loopback network, to come from
    given_stamps: dict[str, int] = field(default_factory=dict)  # times of files, as given on this connection

    def run(self, port: int, timeout: float = 10.0) -> None:
        """Connect and play until the server closes or says CLOSE."""
        source = (self.address, 0) if self.address else None
        with socket.create_connection(("127.0.0.1", port), timeout, source) as self.line:
            self._init()
            last = None
            while (frame := self._frame()) is not None:
                command, body = frame
                self.received.append(struct.pack(">H", command))
                if command == 0x0000:
                    return
                if command == 0x0009:
                    self._done(last)
                    self._init()
                elif command == 0x0005:
                    self._done(last)
                    return
                elif command == 0x000C:
                    self._send(0x000D, self.path(next(iter(self.files))).encode())
                elif command == 0x000A and self.metadata_answer.by_path:
                    self._path_metadata(next(iter(self.files)))
                elif command == 0x000A:
                    self._metadata(body.decode())
                elif command == 0x0008:
                    last = self._named(body.decode())
                    self._sent_all = None
                    self._start(last)
                elif command == 0x0002:
                    assert last is not None
                    self._send_file(last, int.from_bytes(body, "big"))

    def _done(self, identifier: str | None) -> None:
        if identifier in self.files and self._sent_all == identifier:
            self.acknowledged.append(identifier)
            del self.files[identifier]

    _sent_all: str | None = None

    @property
    def unheard(self) -> str | None:
        """The file that was sent whole and not acknowledged when the line ended."""
        return self._sent_all if self._sent_all in self.files else None

    def path(self, identifier: str) -> str:
        """Give the path under which a file is offered."""
        return f"dualcam_front/picture/{identifier[1:]}.jpg"

    def _named(self, name: str) -> str:
        return (
            name if not self.metadata_answer.by_path else next(n for n in self.files if self.path(n) == name)
        )

    def _send(self, command: int, body: bytes) -> None:
        self.line.sendall(struct.pack(">HH", command, len(body)) + body)

    def _init(self) -> None:
        by_path = self.metadata_answer.by_path
        bits = 0x40 + (0x02 * bool(self.files) if by_path else sum(BITS[name] for name in self.files))
        protocol = 6 if by_path else self.protocol
        self.line.sendall(struct.pack(">HHQ4B", 0, protocol, int(self.imei), bits, 0, 4, 0))

    def _frame(self) -> tuple[int, bytes] | None:
        head = self._exactly(2)
        if head is None:
            return None
        command = int.from_bytes(head, "big")
        if command == 0x0009:
            return command, b""
        size = int.from_bytes(self._exactly(2) or b"\0\0", "big")
        return command, self._exactly(size) or b""

    def _exactly(self, size: int) -> bytes | None:
        data = b""
        while len(data) < size:
            try:
                piece = self.line.recv(size - len(data))
            except ConnectionResetError:
                return None
            if not piece:
                return None
            data += piece
        return data

    def _metadata(self, identifier: str) -> None:
        if not self.metadata_version or self.metadata_answer is MetadataAnswer.NOTHING:
            return
        self.given_stamps[identifier] = stamp = self._stamp(identifier)
        body = struct.pack(
            ">BBQBH", self.metadata_version, BITS[identifier], stamp, self.trigger, 5,
        )  # fmt: skip
        if self.metadata_version >= 2:
            body += bytes([25])
        if self.metadata_version >= 3:
            body += struct.pack(">hdd", 120, 54.6872, 25.2797)
        if self.metadata_version >= 4:
            body += struct.pack(">Q", stamp + 2500 if stamp else 0)
        self._send(0x000B, body)

    def _stamp(self, identifier: str) -> int:
        return self.timestamps.get(identifier, 1624960616000) if self.metadata_answer.has_time else 0

    def _path_metadata(self, identifier: str) -> None:
        seconds = self._stamp(identifier) // 1000
        self.given_stamps[identifier] = seconds * 1000
        given_stamps: dict[str, object] = {"version": 1, "file": {"file_timestamp": seconds, "duration": 5}}
        if self.metadata_answer is MetadataAnswer.PATH:
            given_stamps["fm_trigger"] = {"type": self.trigger}
        self._send(
            0x000B,
            RAW_METADATA if self.metadata_answer is MetadataAnswer.RAW else json.dumps(given_stamps).encode(),
        )

    def _packets(self, identifier: str) -> list[bytes]:
        data = self.files[identifier]
        return [data[at : at + 1024] for at in range(0, len(data), 1024)]

    def _start(self, identifier: str) -> None:
        count = len(self._packets(identifier)) if identifier in self.files else 0
        if count and self.metadata_answer.by_path:
            count = len(self.files[identifier])
        for _ in range(1 + self.repeat_start):
            self.line.sendall(struct.pack(">HHIH", 0x0001, 6, count, 0))

    def _send_file(self, identifier: str, position: int) -> None:
        self._sent_all = None
        self.resumed_at.append(position)
        packets = self._packets(identifier)
        self._send(0x0003, position.to_bytes(4, "big"))
        first = position // 1024 + 1 if self.metadata_answer.by_path else position
        chain = 0 if self.restart_crc else kermit(b"".join(packets[: first - 1]))
        for number, payload in enumerate(packets[first - 1 :], first):
            time.sleep(self.pause)
            if number == self.drop_at:
                self.drop_at = None
                raise LineDropped
            chain = kermit(payload, chain)
            if number in self.corrupt:
                self.corrupt.discard(number)
                payload = bytes([payload[0] ^ 0xFF]) + payload[1:]
                self._data(number, payload, chain)
                return  # the server asks again from here
            self._data(number, payload, chain)
        self._sent_all = identifier

    def _data(self, number: int, payload: bytes, chain: int) -> None:
        body = payload + chain.to_bytes(2, "big")
        if self.metadata_answer.by_path:
            self._send(0x000E, ((number - 1) * 1024).to_bytes(4, "big") + body)
        else:
            self._send(0x0004, body)
