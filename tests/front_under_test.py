"""A receiver behind a load balancer, as tests start one, and the headers that the balancer sends."""

import ipaddress
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from camera_model import CameraModel
from receiver_under_test import QUICK, Running, content

from receiver.net.proxy_tls import V2_SIGNATURE, Preamble
from receiver.net.settings import Settings

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
ELSEWHERE = (ipaddress.ip_network("192.0.2.0/24"),)


def v2(address: str, port: int, command: int = 0x21, more: bytes = b"") -> bytes:
    """Make a version 2 header for a TCP connection."""
    source = ipaddress.ip_address(address)
    body = source.packed + bytes(source.max_prefixlen // 8) + port.to_bytes(2, "big") + b"\0\0" + more
    family = 0x11 if source.version == 4 else 0x21
    return V2_SIGNATURE + bytes([command, family]) + len(body).to_bytes(2, "big") + body


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def begin(front: Preamble, **settings: object) -> Running:
        started.append(Running(tmp_path, Settings(**{"limits": QUICK} | settings), front))  # type: ignore[arg-type]
        return started[-1]

    yield begin
    for running in started:
        running.stop()


class Behind(CameraModel):
    """A camera whose line begins with other bytes, or in TLS."""

    def __init__(
        self, prefix: bytes = b"", tls: ssl.SSLContext | None = None, piece: int = 0, size: int = 5000
    ) -> None:
        super().__init__(files={"%photof": content(size)})
        self.prefix, self.tls, self.piece, self.begun = prefix, tls, piece, False

    def _init(self) -> None:
        if not self.begun:
            self.begun = True
            step = self.piece or len(self.prefix) or 1
            for at in range(0, len(self.prefix), step):
                self.line.sendall(self.prefix[at : at + step])
                time.sleep(0.002 if self.piece else 0)
            if self.tls:
                self.line = self.tls.wrap_socket(self.line, server_hostname="localhost")
        super()._init()


def addresses(running: Running) -> list[str]:
    return [facts.address for facts in running.notes.seen.values() if facts.ended_at]
