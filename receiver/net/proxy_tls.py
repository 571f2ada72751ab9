"""Reads what may precede the first byte of a camera: the PROXY header of a load balancer, and the TLS handshake.

`parse_proxy` is pure. Source: haproxy's proxy-protocol.txt, versions 1 and 2. Only named addresses may send the
header: anybody else could lie with it.
"""

import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from receiver.addresses import Network, host, is_within
from receiver.endings import EndingError, Reason

log = structlog.get_logger("receiver")
V1_MAX = 107  # bytes of a version 1 line with its end
V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V2_HEADER = 16
V2_MAX = 1024  # bytes after the header: addresses, and extensions that nobody here reads
TLS_HANDSHAKE = 0x16  # first byte of a ClientHello; a camera's first byte is 0x00
FAMILIES = {"TCP4": ipaddress.IPv4Address, "TCP6": ipaddress.IPv6Address}


class PreambleError(EndingError):
    """The connection does not begin as it must."""


@dataclass(frozen=True, slots=True)
class Proxied:
    """A PROXY header: the device's address (None: the balancer speaks for itself) and how long the header is."""

    address: str | None
    size: int


def parse_proxy(data: bytes) -> Proxied | None:
    """Read a PROXY header at the beginning of `data`; None: need more. Raises PreambleError."""
    if data.startswith(V2_SIGNATURE[: len(data)]):
        return _parse_v2(data) if len(data) >= V2_HEADER else None
    if not data.startswith(b"PROXY "[: len(data)]):
        raise PreambleError(Reason.NO_PROXY_HEADER)
    line, end, _ = data[:V1_MAX].partition(b"\r\n")
    if not end:
        if len(data) >= V1_MAX:
            raise PreambleError(Reason.PROXY_WITHOUT_END)
        return None
    return Proxied(_v1_address(line), len(line) + 2)


def _v1_address(line: bytes) -> str | None:
    words = line.decode("ascii", "replace").split(" ")
    if words[1:2] == ["UNKNOWN"]:
        return None
    try:
        _, family, source, _, port, _ = words
        if not (port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError(port)
        return f"{FAMILIES[family](source)}:{int(port)}"
    except (ValueError, KeyError):
        raise PreambleError(Reason.PROXY_UNREADABLE) from None


def _parse_v2(data: bytes) -> Proxied | None:
    version, family, length = data[12], data[13], int.from_bytes(data[14:16], "big")
    if version not in (0x20, 0x21) or length > V2_MAX:
        raise PreambleError(Reason.PROXY_VERSION)
    if len(data) < V2_HEADER + length:
        return None
    body, size = data[V2_HEADER : V2_HEADER + length], V2_HEADER + length
    width = {0x11: 4, 0x21: 16}.get(family)
    if version == 0x20 or width is None:
        return Proxied(None, size)
    if length < 2 * width + 4:
        raise PreambleError(Reason.PROXY_TOO_SHORT)
    port = int.from_bytes(body[2 * width : 2 * width + 2], "big")
    return Proxied(f"{ipaddress.ip_address(body[:width])}:{port}", size)


class Preamble:
    """How connections of one port begin. `make_context`: TLS in the manner of the sockets (gevent's, patched in)."""

    def __init__(
        self,
        proxies: Sequence[Network] = (),
        cert: Path | None = None,
        key: Path | None = None,
        tls_required: bool = True,
        make_context: Callable[[], Any] | None = None,
        networks: Sequence[Network] = (),
    ) -> None:
        self.networks = tuple(networks)  # which devices may connect from; none named: from everywhere
        self.proxies, self._files, self._required = tuple(proxies), (cert, key), tls_required
        self._make_context = make_context or (lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        self.plain = not self.proxies and cert is None  # nothing stands before the camera's first byte
        self._context: Any = None
        self._stamp: tuple[int, ...] = ()
        self._refused: tuple[int, ...] = ()  # time stamps of a certificate and key that do not match

    def greet(self, sock: Any, address: str, seconds: float) -> tuple[Any, str]:
        """Take the PROXY header and see whether TLS follows; give the socket and the device's address.

        A device whose address is not allowed gets no TLS handshake. `finish` has the handshake. `seconds` is
        for each wait; the caller bounds them all. Raises PreambleError, OSError, TimeoutError.
        """
        sock.settimeout(seconds)
        if self.is_proxy(address):
            address = self._proxied(sock) or address
        if self._files[0] is None or not self.allows(address):
            return sock, address
        first = sock.recv(1, socket.MSG_PEEK)
        if not first or first[0] != TLS_HANDSHAKE:
            if first and self._required:
                raise PreambleError(Reason.WITHOUT_TLS)
            return sock, address
        return self._tls().wrap_socket(sock, server_side=True, do_handshake_on_connect=False), address

    def finish(self, line: Any, seconds: float) -> None:
        """Take the TLS handshake, if there is one. Raises PreambleError, OSError, TimeoutError."""
        if not hasattr(line, "do_handshake"):
            return
        line.settimeout(seconds)
        try:
            line.do_handshake()
        except ssl.SSLError as error:
            raise PreambleError(Reason.HANDSHAKE_FAILED, cause=error.reason or str(error)) from None

    def is_proxy(self, address: str) -> bool:
        """Say whether an address is a load balancer that names the device's."""
        return bool(self.proxies) and is_within(host(address), self.proxies)

    def allows(self, address: str) -> bool:
        """Say whether a device may connect from this address."""
        return not self.networks or is_within(host(address), self.networks)

    def _proxied(self, sock: Any) -> str | None:
        data = b""
        while True:
            seen = sock.recv(V2_HEADER + V2_MAX, socket.MSG_PEEK)
            if not seen:
                raise PreambleError(Reason.PROXY_CUT_OFF if data else Reason.NO_WORDS)
            found = parse_proxy(data + seen)
            taken = len(seen) if found is None else found.size - len(data)
            data += sock.recv(taken)
            if found is not None:
                return found.address

    def _tls(self) -> Any:
        """Give the TLS context, read anew when the files have changed."""
        cert, key = self._files
        stamp: tuple[int, ...] = ()
        assert cert is not None
        assert key is not None
        try:
            stamp = tuple(os.stat(path).st_mtime_ns for path in (cert, key))
            if stamp != self._stamp:
                context = self._make_context()
                context.minimum_version = ssl.TLSVersion.TLSv1_2
                context.load_cert_chain(cert, key)
                self._context, self._stamp = context, stamp
        except (ssl.SSLError, OSError) as error:
            # half written, or between two renames: the old ones go on until both fit
            if self._context is None:
                raise PreambleError(Reason.NO_CERTIFICATE) from error
            if stamp != self._refused:
                self._refused = stamp
                log.warning("new TLS certificate not taken, the old one goes on", reason=str(error))
        return self._context
