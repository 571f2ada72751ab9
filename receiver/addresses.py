"""Addresses of peers and of our ports as text: IPv4, IPv6 and names. Pure, except for `listen`.

A peer is written as address and port with a colon between, an IPv6 address without brackets.
"""

import ipaddress
import socket
from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
IPV6_NETWORK = 64  # bits: what one subscriber has; limits on single addresses would not hold it
IPV4_NEIGHBOURS = 24  # bits: an operator's NAT gives a device one address after the other of a pool


def bind_to(host: str, port: int) -> str:
    """Give host and port as gunicorn takes them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """Listen on a port; on `::` also for IPv4. Raises OSError."""
    if ":" not in host:
        return socket.create_server((host, port), backlog=64)
    both = host == "::" and socket.has_dualstack_ipv6()
    return socket.create_server((host, port), family=socket.AF_INET6, backlog=64, dualstack_ipv6=both)


def peer(name: tuple[str, int, int, int] | tuple[str, int]) -> str:
    """Give the text of a peer's socket name. A port that listens on IPv6 sees IPv4 peers as ::ffff:a.b.c.d."""
    return f"{name[0].removeprefix('::ffff:') if '.' in name[0] else name[0]}:{name[1]}"


def host(address: str) -> str:
    """Give a peer's address without its port."""
    return address.rpartition(":")[0]


def is_within(host: str, networks: Sequence[Network]) -> bool:
    """Say whether an address is in one of the networks."""
    found = parse(host)
    return found is not None and any(found in network for network in networks)


def parse(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an address, one of IPv4 that was mapped into IPv6 as IPv4; None where it is none."""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def origin(host: str) -> str:
    """Give the network that an address is taken to be of: 24 bits of IPv4, 64 of IPv6."""
    found = parse(host)
    if found is None:
        return host
    bits = IPV4_NEIGHBOURS if isinstance(found, ipaddress.IPv4Address) else IPV6_NETWORK
    return str(
        ipaddress.ip_network((int(found), bits) if found.version == 6 else f"{found}/{bits}", strict=False)
    )


def network(address: str) -> str:
    """Give what limits and quotas count of a peer: its IPv4 address, or the network that its IPv6 address is of."""
    host = address.rpartition(":")[0]
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(found, ipaddress.IPv4Address):
        return host
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), IPV6_NETWORK), strict=False))
