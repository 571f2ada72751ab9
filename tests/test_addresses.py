"""IPv4 and IPv6: what we listen on, what peers are called, and what limits count of them."""

import socket

import pytest
from gunicorn.util import parse_address

from provisioning.core.config import ConfigError, load
from receiver.addresses import bind_to, listen, network, origin, peer

SETTINGS = ("WEB_HOST", "RECEIVER_HOST", "RECEIVER_HTTP_HOST")


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize(
    ("given", "taken"),
    [("::", "::"), ("[::]", "::"), ("::1", "::1"), ("[2001:db8::7]", "2001:db8::7"), ("fe80::1%eth0", "fe80::1%eth0"),
     ("0.0.0.0", "0.0.0.0"), ("localhost", "localhost"), ("cam_1.example.com", "cam_1.example.com")],
)  # fmt: skip
def test_an_address_to_listen_on_is_taken_as_people_write_it(
    monkeypatch: pytest.MonkeyPatch, name: str, given: str, taken: str
) -> None:
    monkeypatch.setenv(name, given)
    assert getattr(load(), name.lower()) == taken
    assert parse_address(bind_to(taken, 7160)) == (taken, 7160)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize(
    "given",
    ["0.0.0.0:8000", "[::1]:8000", "[127.0.0.1]", "1.2.3", "300.1.1.1", "a b", "http://x", "[::1", "*"],
)
def test_what_is_no_address_is_refused_by_the_name_of_its_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, given: str
) -> None:
    monkeypatch.setenv(name, given)
    with pytest.raises(ConfigError) as caught:
        load()
    assert set(caught.value.errors) == {name}


@pytest.mark.parametrize(
    ("host", "to"), [("::", "127.0.0.1"), ("::", "::1"), ("::1", "::1"), ("127.0.0.1", "127.0.0.1")]
)
def test_a_port_is_reached_by_each_kind_of_address_that_it_listens_on(host: str, to: str) -> None:
    with listen(host, 0) as ours, socket.create_connection((to, ours.getsockname()[1]), timeout=5) as line:
        accepted, name = ours.accept()
        accepted.close()
        assert peer(name) == f"{to}:{line.getsockname()[1]}"


@pytest.mark.parametrize(
    ("address", "counted"),
    [("192.0.2.7:4000", "192.0.2.7"), ("::ffff:192.0.2.7:4000", "192.0.2.7"),
     ("2001:db8:1:2:3:4:5:6:4000", "2001:db8:1:2::/64"), ("2001:db8:1:2::9:4000", "2001:db8:1:2::/64"),
     ("::1:4000", "::/64"), ("unknown:1", "unknown"), ("", "")],
)  # fmt: skip
def test_limits_count_an_ipv4_address_or_the_network_of_an_ipv6_address(address: str, counted: str) -> None:
    assert network(address) == counted


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("198.51.100.7", "198.51.100.0/24"),
        ("::ffff:198.51.100.7", "198.51.100.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("unknown", "unknown"),
    ],
)
def test_a_files_network_is_24_bits_of_ipv4_or_64_of_ipv6(host: str, expected: str) -> None:
    assert origin(host) == expected
