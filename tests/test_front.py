"""PROXY headers and TLS: pure vectors, and real sockets with real certificates."""

import contextlib
import dataclasses
import datetime
import ipaddress
import os
import shutil
import socket
import sqlite3
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent.ssl
import pytest
import requests
import structlog
from camera_model import CameraModel, LineDropped
from conftest import wait_until
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from stack import Stack
from test_server import IMEI, QUICK, Running, content, drip, init

from receiver.net.proxy_tls import V2_MAX, V2_SIGNATURE, Preamble, PreambleError, Proxied, parse_proxy
from receiver.net.settings import Settings

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
ELSEWHERE = (ipaddress.ip_network("192.0.2.0/24"),)


def v2(address: str, port: int, command: int = 0x21, more: bytes = b"") -> bytes:
    """Make a version 2 header for a TCP connection."""
    source = ipaddress.ip_address(address)
    body = source.packed + bytes(source.max_prefixlen // 8) + port.to_bytes(2, "big") + b"\0\0" + more
    family = 0x11 if source.version == 4 else 0x21
    return V2_SIGNATURE + bytes([command, family]) + len(body).to_bytes(2, "big") + body


# the headers, pure. Source: haproxy's proxy-protocol.txt

GOOD = [
    (b"PROXY TCP4 198.51.100.7 203.0.113.1 50000 7160\r\n", "198.51.100.7:50000"),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 50000 7160\r\n", "2001:db8::7:50000"),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None),
    (v2("198.51.100.7", 50000), "198.51.100.7:50000"),
    (v2("2001:db8::7", 50000), "2001:db8::7:50000"),
    (v2("198.51.100.7", 50000, more=b"\x03\x00\x04abcd"), "198.51.100.7:50000"),
    (v2("198.51.100.7", 50000, command=0x20), None),
    (V2_SIGNATURE + b"\x20\x00\x00\x00", None),
    (V2_SIGNATURE + b"\x21\x00\x00\x00", None),
    (V2_SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216), None),
]

BAD = [
    b"\x00\x00\x00\x05",
    b"GET / HTTP/1.1\r\n",
    b"PROXY TCP4 198.51.100.7 203.0.113.1 50000\r\n",
    b"PROXY TCP4 198.51.100.7 203.0.113.1 50000 7160 1\r\n",
    b"PROXY TCP4 198.51.100.7 203.0.113.1 0 7160\r\n",
    b"PROXY TCP4 198.51.100.7 203.0.113.1 65536 7160\r\n",
    b"PROXY TCP4 198.51.100.7 203.0.113.1 +5 7160\r\n",
    b"PROXY TCP4 198.51.100.7 203.0.113.1 5_0 7160\r\n",
    b"PROXY TCP4 2001:db8::7 2001:db8::1 50000 7160\r\n",
    b"PROXY TCP6 198.51.100.7 203.0.113.1 50000 7160\r\n",
    b"PROXY UDP4 198.51.100.7 203.0.113.1 50000 7160\r\n",
    b"PROXY TCP4 camera.example 203.0.113.1 50000 7160\r\n",
    b"PROXY \r\n",
    b"PROXY " + b"x" * 101,
    b"PROXY TCP4 198.51.100.7 203.0.113.1 50000 7160" + b" " * 60 + b"\r\n",
    V2_SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12),
    V2_SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12),
    V2_SIGNATURE + b"\x21\x11\x00\x0b" + bytes(11),
    V2_SIGNATURE + b"\x21\x21\x00\x0c" + bytes(12),
    V2_SIGNATURE + b"\x21\x11" + (V2_MAX + 1).to_bytes(2, "big"),
]


@pytest.mark.parametrize(("header", "address"), GOOD)
def test_a_header_gives_the_devices_address(header: bytes, address: str | None) -> None:
    assert parse_proxy(header) == Proxied(address, len(header))
    assert parse_proxy(header + b"\0\0\0\5") == Proxied(address, len(header))


@pytest.mark.parametrize("header", [header for header, _ in GOOD])
def test_a_header_that_is_not_whole_needs_more(header: bytes) -> None:
    assert [parse_proxy(header[:cut]) for cut in range(len(header))] == [None] * len(header)


@pytest.mark.parametrize("header", BAD)
def test_a_header_that_cannot_be_read_is_refused(header: bytes) -> None:
    with pytest.raises(PreambleError) as error:
        parse_proxy(header)
    assert error.value.code == "proxy"


@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=200).map(lambda tail: V2_SIGNATURE + tail),
        st.binary(max_size=200).map(lambda tail: b"PROXY " + tail),
        st.text(alphabet="PROXYTCUNKW46 .:0123456789abf\r\n", max_size=120).map(str.encode),
        st.tuples(st.sampled_from([h for h, _ in GOOD]), st.integers(0, 51), st.binary(max_size=3)).map(
            lambda t: t[0][: t[1]] + t[2] + t[0][t[1] + 1 :]
        ),
    )
)
def test_any_bytes_are_read_refused_or_waited_for_and_the_header_ends_within_them(data: bytes) -> None:
    try:
        found = parse_proxy(data)
    except PreambleError:
        return
    if found is None:
        assert len(data) < 16 + V2_MAX
        return
    assert 0 < found.size <= len(data)
    assert parse_proxy(data[: found.size]) == found
    if found.address is not None:
        ipaddress.ip_address(found.address.rpartition(":")[0])


@given(st.ip_addresses(), st.integers(1, 65535), st.binary(max_size=100))
def test_every_address_is_read_from_both_versions(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int, more: bytes
) -> None:
    line = f"PROXY TCP{address.version} {address} {address} {port} 7160\r\n".encode()
    for header in (line, v2(str(address), port, more=more)):
        assert parse_proxy(header + more) == Proxied(f"{address}:{port}", len(header))


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("127.0.0.1:5", True),
        ("::ffff:127.0.0.1:5", True),
        ("192.0.2.1:5", False),
        ("::1:5", False),
        ("", False),
    ],
)
def test_a_balancer_is_known_by_its_address_in_either_family(address: str, named: bool) -> None:
    assert Preamble(LOOPBACK).is_proxy(address) is named


# over real sockets


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


@pytest.mark.parametrize("piece", [0, 1], ids=["whole", "bytes"])
@pytest.mark.parametrize("header", [h for h, a in GOOD if a == "198.51.100.7:50000"])
def test_behind_a_balancer_sessions_have_the_devices_address(
    start: Callable[..., Running], header: bytes, piece: int
) -> None:
    running = start(Preamble(LOOPBACK))
    with structlog.testing.capture_logs() as lines:
        camera = Behind(header, piece=piece)
        camera.run(running.port)
        wait_until(lambda: running.notes.codes == ["done"])
    assert camera.acknowledged == ["%photof"]
    assert addresses(running) == ["198.51.100.7:50000"]
    assert [line["address"] for line in lines if line["event"] == "session ended"] == ["198.51.100.7:50000"]


def test_limits_count_the_devices_address_behind_a_balancer(start: Callable[..., Running]) -> None:
    running = start(Preamble(LOOPBACK), max_per_address=1, limits=QUICK)
    with socket.create_connection(("127.0.0.1", running.port)) as held:
        held.sendall(v2("198.51.100.7", 1))
        wait_until(lambda: [c for c in running.server.connections if c.facts.address == "198.51.100.7:1"])
        other = Behind(v2("198.51.100.8", 1))
        other.run(running.port)
        assert other.acknowledged == ["%photof"]
        assert running.raw(v2("198.51.100.7", 2) + init()) == b""
    wait_until(lambda: "crowded" in running.notes.codes)


def test_a_header_from_anybody_else_is_not_believed(start: Callable[..., Running]) -> None:
    running = start(Preamble(ELSEWHERE))
    running.raw(v2("198.51.100.7", 50000) + init())
    running.raw(b"PROXY TCP4 198.51.100.7 203.0.113.1 50000 7160\r\n" + init())
    wait_until(lambda: running.notes.codes == ["not_a_camera"] * 2)
    assert all(address.startswith("127.0.0.1:") for address in addresses(running))


def test_a_balancer_without_its_header_is_refused_with_a_reason(start: Callable[..., Running]) -> None:
    running = start(Preamble(LOOPBACK))
    running.raw(init())
    running.raw(b"PROXY TCP4 198.51")
    wait_until(lambda: running.notes.codes == ["proxy", "no_greeting"])


def test_health_checks_of_a_balancer_leave_no_session(start: Callable[..., Running]) -> None:
    running = start(Preamble(LOOPBACK))
    with structlog.testing.capture_logs() as lines:
        for check in (
            b"",
            b"PROXY UNKNOWN\r\n",
            V2_SIGNATURE + b"\x20\x00\x00\x00",
            v2("127.0.0.1", 1, 0x20),
        ):
            for _ in range(5):
                with socket.create_connection(("127.0.0.1", running.port)) as line:
                    line.sendall(check)
        running.raw(V2_SIGNATURE + b"\x20\x00\x00\x00")  # held open to the deadline
        Behind(v2("198.51.100.7", 50000)).run(running.port)
        wait_until(lambda: running.notes.codes)
        wait_until(lambda: not running.server.connections)
    assert running.notes.codes == ["done"]
    assert len([line for line in lines if line["event"] == "session ended"]) == 1


def test_a_header_that_is_drawn_out_ends_at_the_deadline(start: Callable[..., Running]) -> None:
    running = start(Preamble(LOOPBACK))
    drip(running, b"PROXY TCP4 " + b"1" * 90)
    wait_until(lambda: running.notes.codes == ["no_greeting"])


# the networks that devices may connect from

DEVICES = (ipaddress.ip_network("198.51.100.0/24"), ipaddress.ip_network("2001:db8:7::/48"))


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("198.51.100.7:5", True),
        ("::ffff:198.51.100.7:5", True),
        ("2001:db8:7::1:5", True),
        ("198.51.101.7:5", False),
        ("::ffff:192.0.2.1:5", False),
        ("2001:db8:8::1:5", False),
        ("", False),
    ],
)
def test_a_device_may_connect_from_the_named_networks_in_either_family(address: str, allowed: bool) -> None:
    assert Preamble(networks=DEVICES).allows(address) is allowed
    assert Preamble().allows(address)


def test_who_connects_from_elsewhere_is_closed_unheard_and_told_within_its_quota(
    start: Callable[..., Running],
) -> None:
    running = start(Preamble(networks=ELSEWHERE), lines_per_minute=2)
    with structlog.testing.capture_logs() as lines:
        assert [running.raw(b"") for _ in range(5)] == [b""] * 5
        wait_until(lambda: running.notes.codes == ["foreign_network"] * 2)
    assert [line["code"] for line in lines if line["event"] == "session ended"] == ["foreign_network"] * 2
    assert running.server.reads == 0
    assert not running.server.connections


def test_who_connects_from_elsewhere_takes_no_place_of_those_who_may(start: Callable[..., Running]) -> None:
    running = start(Preamble(networks=[ipaddress.ip_network("127.0.0.2")]), max_connections=1)
    own = ("127.0.0.1", running.port)
    with socket.create_connection(own, source_address=("127.0.0.2", 0)) as held:
        wait_until(lambda: running.server.connections)
        running.raw(b"")
        wait_until(lambda: running.notes.codes == ["foreign_network"])
        held.sendall(init())
        assert held.recv(2) == b"\x00\x0a"


def test_behind_a_balancer_the_devices_own_address_decides(start: Callable[..., Running]) -> None:
    running = start(Preamble(LOOPBACK, networks=DEVICES))
    camera = Behind(v2("198.51.100.7", 50000))
    camera.run(running.port)
    assert camera.acknowledged == ["%photof"]
    for address in ("192.0.2.9", "::ffff:192.0.2.9", "2001:db8:8::1"):
        assert running.raw(v2(address, 50000) + init()) == b""
    wait_until(lambda: running.notes.codes == ["done", *["foreign_network"] * 3])
    assert addresses(running)[:2] == ["198.51.100.7:50000", "192.0.2.9:50000"]


def test_a_balancers_own_connection_from_no_named_network_leaves_no_session(
    start: Callable[..., Running],
) -> None:
    running = start(Preamble(LOOPBACK, networks=DEVICES))
    for check in (b"PROXY UNKNOWN\r\n", V2_SIGNATURE + b"\x20\x00\x00\x00"):
        running.raw(check)
    Behind(v2("198.51.100.7", 50000)).run(running.port)
    wait_until(lambda: running.notes.codes)
    assert running.notes.codes == ["done"]


# TLS


def certificate(folder: Path, name: str) -> tuple[Path, Path, x509.Certificate]:
    """Make a self-signed certificate for localhost; give its files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    write(cert_path, made.public_bytes(serialization.Encoding.PEM))
    write(key_path, key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))  # fmt: skip
    return cert_path, key_path, made


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    os.utime(path, ns=(time.time_ns(), time.time_ns()))  # some file systems count in coarse ticks


def client(made: x509.Certificate) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(cadata=made.public_bytes(serialization.Encoding.PEM).decode())
    return context


def tls_front(cert: Path, key: Path, **more: object) -> Preamble:
    # the receiver's entry point patches ssl for gevent; here it is named
    return Preamble(
        cert=cert, key=key, make_context=lambda: gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), **more
    )  # type: ignore[arg-type]


def test_a_file_comes_over_tls(start: Callable[..., Running], tmp_path: Path) -> None:
    cert, key, made = certificate(tmp_path, "one")
    running = start(tls_front(cert, key))
    camera = Behind(tls=client(made), size=300_000)
    camera.run(running.port)
    assert camera.acknowledged == ["%photof"]
    assert running.files() == [content(300_000)]


def test_a_session_over_tls_has_its_deadlines(start: Callable[..., Running], tmp_path: Path) -> None:
    cert, key, made = certificate(tmp_path, "one")
    running = start(tls_front(cert, key))
    camera = Behind(tls=client(made))
    camera.metadata_version = 0  # never answers: it goes on without
    camera.run(running.port)
    assert camera.acknowledged == ["%photof"]
    # the deadline may come while they still shake hands
    with (
        contextlib.suppress(ssl.SSLEOFError),
        socket.create_connection(("127.0.0.1", running.port), timeout=10) as line,
    ):
        assert client(made).wrap_socket(line, server_hostname="localhost").recv(10) == b""
    wait_until(lambda: running.notes.codes == ["done", "timeout"])


def test_tls_behind_a_balancer_has_the_devices_address(start: Callable[..., Running], tmp_path: Path) -> None:
    cert, key, made = certificate(tmp_path, "one")
    running = start(tls_front(cert, key, proxies=LOOPBACK))
    camera = Behind(v2("198.51.100.7", 50000), tls=client(made), piece=1)
    camera.run(running.port)
    assert camera.acknowledged == ["%photof"]
    wait_until(lambda: addresses(running) == ["198.51.100.7:50000"])


def test_without_tls_a_device_is_refused_where_it_is_mandatory(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    cert, key, _ = certificate(tmp_path, "one")
    running = start(tls_front(cert, key))
    assert running.raw(init()) == b""
    wait_until(lambda: running.notes.codes == ["tls"])


def test_the_device_chooses_where_tls_is_optional(start: Callable[..., Running], tmp_path: Path) -> None:
    cert, key, made = certificate(tmp_path, "one")
    running = start(tls_front(cert, key, tls_required=False))
    for context in (None, client(made)):
        camera = Behind(tls=context)
        camera.timestamps = {"%photof": 1624960616000 + (context is None)}
        camera.run(running.port)
        assert camera.acknowledged == ["%photof"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2])
def test_tls_1_2_and_later_are_spoken(
    start: Callable[..., Running], tmp_path: Path, version: ssl.TLSVersion
) -> None:
    cert, key, made = certificate(tmp_path, "one")
    running = start(tls_front(cert, key))
    context = client(made)
    context.minimum_version = context.maximum_version = version
    camera = Behind(tls=context)
    camera.run(running.port)
    assert camera.acknowledged == ["%photof"]


def test_tls_1_1_is_refused(start: Callable[..., Running], tmp_path: Path) -> None:
    cert, key, _ = certificate(tmp_path, "one")
    running = start(tls_front(cert, key))
    # a TLS 1.1 ClientHello as bytes: today's libraries do not speak it any more
    hello = bytes.fromhex("0302") + bytes(32) + bytes.fromhex("00 0004 002f 0035 01 00")
    handshake = b"\x01" + len(hello).to_bytes(3, "big") + hello
    answer = running.raw(b"\x16\x03\x01" + len(handshake).to_bytes(2, "big") + handshake)
    assert answer[:1] in (b"\x15", b"")  # an alert, or nothing
    wait_until(lambda: running.notes.codes == ["tls"])


def served(running: Running, made: x509.Certificate) -> bool:
    """Say whether the receiver shows this certificate now."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as line:
        shown = context.wrap_socket(line).getpeercert(binary_form=True)
    return shown == made.public_bytes(serialization.Encoding.DER)


def test_a_changed_certificate_is_read_without_a_restart(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    cert, key, first = certificate(tmp_path, "one")
    running = start(tls_front(cert, key))
    assert served(running, first)
    _, _, second = certificate(tmp_path, "two")
    assert served(running, second)


def test_the_old_certificate_goes_on_while_the_new_files_do_not_fit(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    cert, key, first = certificate(tmp_path, "one")
    running = start(tls_front(cert, key))
    assert served(running, first)
    (tmp_path / "new").mkdir()
    new_cert, new_key, second = certificate(tmp_path / "new", "two")
    with structlog.testing.capture_logs() as lines:
        for data in (new_cert.read_bytes()[:200], b"", new_cert.read_bytes()):
            write(cert, data)  # half, none, and whole without its key
            assert served(running, first)
            assert served(running, first)
        cert.unlink()  # between two renames
        assert served(running, first)
    report = [line for line in lines if "certificate" in line["event"]]
    assert len(report) == 4, "once for each state of the files"
    write(cert, new_cert.read_bytes())
    write(key, new_key.read_bytes())
    assert served(running, second)


def test_a_handshake_that_stalls_ends_at_the_deadline_and_holds_nobody_up(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    cert, key, made = certificate(tmp_path, "one")
    running = start(tls_front(cert, key))
    stalled = [socket.create_connection(("127.0.0.1", running.port), timeout=10) for _ in range(3)]
    for line, begun in zip(
        stalled, (b"\x16", b"\x16\x03\x01\x02\x00\x01", b"\x16\x03\x01\x40\x00"), strict=True
    ):
        line.sendall(begun)
    camera = Behind(tls=client(made))
    camera.run(running.port)
    assert camera.acknowledged == ["%photof"]
    for line in stalled:
        assert line.recv(100) == b""
        line.close()
    wait_until(lambda: sorted(running.notes.codes) == ["done", "no_greeting", "no_greeting", "no_greeting"])


def test_nonsense_after_the_first_byte_of_a_handshake_is_refused(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    cert, key, _ = certificate(tmp_path, "one")
    running = start(tls_front(cert, key))
    running.raw(b"\x16\x03\x01\x00\x05hello" + bytes(100))
    wait_until(lambda: running.notes.codes == ["tls"])


def test_a_line_that_breaks_within_tls_loses_nothing_that_came(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    cert, key, made = certificate(tmp_path, "one")
    running = start(tls_front(cert, key))
    camera = Behind(tls=client(made), size=40_000)
    camera.drop_at = 20
    with pytest.raises(LineDropped):
        camera.run(running.port)
    camera.line.close()
    wait_until(lambda: running.notes.codes == ["lost"])
    assert IMEI in running.notes.partial[next(iter(running.notes.partial))]["imei"]
    camera.begun = False
    camera.run(running.port)
    assert camera.resumed_at == [1, 20]


@pytest.mark.long
def test_the_receivers_process_speaks_tls_behind_a_balancer_and_waits_without_blocking(
    tmp_path: Path, sqlite_template: Path
) -> None:
    cert, key, first = certificate(tmp_path, "one")
    shutil.copy(sqlite_template, tmp_path / "test.db")
    stack = Stack(
        tmp_path, f"sqlite:///{tmp_path}/test.db", RECEIVER_TLS_CERT=str(cert), RECEIVER_TLS_KEY=str(key),
        RECEIVER_PROXIES="127.0.0.0/8", RECEIVER_UNKNOWN_DEVICES="quarantine",
    )  # fmt: skip
    try:
        stack.start("receiver")
        stalled = [socket.create_connection(("127.0.0.1", stack.receiver_port), timeout=10) for _ in range(4)]
        for line, begun in zip(stalled, (b"", b"PROXY TCP4 ", v2("198.51.100.9", 1), b"\x16"), strict=True):
            line.sendall(begun)
        stalled[2].sendall(b"\x16\x03\x01\x02\x00\x01")
        cameras = [Behind(v2("198.51.100.7", 50000), tls=client(first), size=200_000)]
        cameras[0].run(stack.receiver_port)
        _, _, second = certificate(tmp_path, "two")
        cameras.append(Behind(v2("198.51.100.7", 50001), tls=client(second), size=3000))
        cameras[1].run(stack.receiver_port)
        assert [camera.acknowledged for camera in cameras] == [["%photof"]] * 2
        assert requests.get(f"http://127.0.0.1:{stack.health_port}/healthz", timeout=10).ok
        with contextlib.closing(sqlite3.connect(tmp_path / "test.db")) as database:
            rows = "SELECT address FROM sessions WHERE files = 1 ORDER BY address"
            found = wait_until(lambda: len(seen := database.execute(rows).fetchall()) == 2 and seen)
        assert found == [("198.51.100.7:50000",), ("198.51.100.7:50001",)]
        for line in stalled:
            line.close()
    finally:
        stack.close()


def test_handshakes_that_stall_make_room_for_a_camera(start: Callable[..., Running], tmp_path: Path) -> None:
    cert, key, made = certificate(tmp_path, "one")
    running = start(tls_front(cert, key), limits=dataclasses.replace(QUICK, init=60.0), max_connections=3)
    stalled = []
    for _ in range(3):
        stalled.append(socket.create_connection(("127.0.0.1", running.port), timeout=10))
        stalled[-1].sendall(b"\x16\x03\x01\x02\x00\x01")
    wait_until(lambda: len(running.server.connections) == 3)
    camera = Behind(tls=client(made))
    camera.run(running.port)
    assert camera.acknowledged == ["%photof"]
    assert stalled[0].recv(10) == b""
    for line in stalled:
        line.close()
