"""The headers of a load balancer: which are read, refused or waited for."""

import ipaddress

import pytest
from front_under_test import LOOPBACK, v2
from hypothesis import given
from hypothesis import strategies as st

from receiver.net.proxy_tls import V2_MAX, V2_SIGNATURE, Preamble, PreambleError, Proxied, parse_proxy

# Source: haproxy's proxy-protocol.txt

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
