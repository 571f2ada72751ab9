"""A line between a client and an S3 server that misbehaves on request: damages, drips, hangs, answers errors."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

from loopback_proxy import LoopbackProxy

PIECE = 16 * 1024


@dataclass
class Proxy(LoopbackProxy):
    """Listens on loopback and hands on to `target`, as its attributes say at that moment."""

    target: int
    damage: bytes | None = None  # the first of these bytes on their way to the server is changed, once
    answer: bytes | None = None  # given to each request instead of handing it on
    silent: bool = False  # takes requests, never answers
    drip: float = 0.0  # seconds before each byte of an answer
    refuse: bool = False  # closes each line, open ones too
    requests: int = 0

    def __post_init__(self) -> None:
        self.listen()

    def serve(self, client: socket.socket) -> None:
        with closing(client), suppress(OSError):
            if self.refuse:
                return
            with socket.create_connection(("127.0.0.1", self.target)) as far:
                back = threading.Thread(target=self._copy, args=(far, client, self._down), daemon=True)
                back.start()
                self._copy(client, far, self._up)
                back.join(30)

    def _copy(
        self, source: socket.socket, target: socket.socket, change: Callable[[bytes, socket.socket], bytes]
    ) -> None:
        with suppress(OSError):
            while data := source.recv(PIECE):
                target.sendall(change(data, source))
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _up(self, data: bytes, client: socket.socket) -> bytes:
        if data.startswith((b"GET", b"PUT", b"HEAD", b"POST", b"DELETE")):
            self.requests += 1
        if self.refuse:
            raise OSError("refused")
        if self.silent:
            return b""
        if self.answer is not None:
            client.sendall(self.answer)
            raise OSError("answered")
        if self.damage is not None and self.damage in data:
            data = data.replace(self.damage, bytes([self.damage[0] ^ 0xFF]) + self.damage[1:], 1)
            self.damage = None
        return data

    def _down(self, data: bytes, server: socket.socket) -> bytes:
        if self.drip:
            time.sleep(self.drip)
        return data


@contextmanager
def between(port: int) -> Iterator[Proxy]:
    """Run such a line in front of a port until the end of the block."""
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
