"""TLS at the receiver: who must speak it, which versions, certificates that change, handshakes that stall."""

import contextlib
import dataclasses
import datetime
import os
import shutil
import socket
import sqlite3
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import front_under_test
import gevent.ssl
import pytest
import requests
import structlog
from camera_model import LineDropped
from conftest import wait_until
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from front_under_test import LOOPBACK, Behind, addresses, v2
from receiver_under_test import IMEI, QUICK, Running, content, init
from stack import Stack

from receiver.net.proxy_tls import Preamble

start = front_under_test.start  # the same fixture


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
