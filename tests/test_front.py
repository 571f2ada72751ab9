"""PROXY headers and TLS: pure vectors, and real sockets with real certificates."""

import ipaddress
import socket
from collections.abc import Callable

import front_under_test
import pytest
import structlog
from conftest import wait_until
from front_under_test import ELSEWHERE, LOOPBACK, Behind, addresses, v2
from receiver_under_test import QUICK, Running, drip, init
from test_proxy_headers import GOOD

from receiver.net.proxy_tls import V2_SIGNATURE, Preamble

start = front_under_test.start  # the same fixture


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
