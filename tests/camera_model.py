"""A camera in a few lines, for tests of the receiver: the device's side of the wire, with faults on request.

Independent of the receiver's code (its own CRC, its own frames), so that both would have to be wrong alike.
"""

import socket
import struct
import time
from dataclasses import dataclass, field

BITS = {"%photof": 0x04, "%photor": 0x08, "%videof": 0x10, "%videor": 0x20}


def kermit(data: bytes, value: int = 0) -> int:
    """Give CRC-16/KERMIT bit by bit."""
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ 0x8408 if value & 1 else value >> 1
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
                elif command == 0x000A:
                    self._metadata(body.decode())
                elif command == 0x0008:
                    last = body.decode()
                    self._start(last)
                elif command == 0x0002:
                    assert last is not None
                    self._send_file(last, int.from_bytes(body, "big"))

    def _done(self, identifier: str | None) -> None:
        if identifier in self.files and self._sent_all == identifier:
            self.acknowledged.append(identifier)
            del self.files[identifier]

    _sent_all: str | None = None

    def _init(self) -> None:
        bits = 0x40 + sum(BITS[name] for name in self.files)
        self.line.sendall(struct.pack(">HHQ4B", 0, self.protocol, int(self.imei), bits, 0, 4, 0))

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
        if not self.metadata_version:
            return
        body = struct.pack(
            ">BBQBH", self.metadata_version, BITS[identifier], self.timestamps.get(identifier, 1624960616000),
            self.trigger, 5,
        )  # fmt: skip
        if self.metadata_version >= 2:
            body += bytes([25])
        if self.metadata_version >= 3:
            body += struct.pack(">hdd", 120, 54.6872, 25.2797)
        if self.metadata_version >= 4:
            body += struct.pack(">Q", self.timestamps.get(identifier, 1624960616000) + 2500)
        self.line.sendall(struct.pack(">HH", 0x000B, len(body)) + body)

    def _packets(self, identifier: str) -> list[bytes]:
        data = self.files[identifier]
        return [data[at : at + 1024] for at in range(0, len(data), 1024)]

    def _start(self, identifier: str) -> None:
        count = len(self._packets(identifier)) if identifier in self.files else 0
        for _ in range(1 + self.repeat_start):
            self.line.sendall(struct.pack(">HHIH", 0x0001, 6, count, 0))

    def _send_file(self, identifier: str, first: int) -> None:
        self.resumed_at.append(first)
        packets = self._packets(identifier)
        self.line.sendall(struct.pack(">HHI", 0x0003, 4, first))
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
                self.line.sendall(
                    struct.pack(">HH", 0x0004, len(payload) + 2) + payload + chain.to_bytes(2, "big")
                )
                return  # the server asks again from here
            self.line.sendall(
                struct.pack(">HH", 0x0004, len(payload) + 2) + payload + chain.to_bytes(2, "big")
            )
        self._sent_all = identifier
