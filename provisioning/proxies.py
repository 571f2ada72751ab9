"""The client's address behind web proxies: X-Forwarded-For, believed only where a proxy of ours wrote it."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

Address = IPv4Address | IPv6Address
Networks = tuple[IPv4Network | IPv6Network, ...]


class ForwardedFor:
    """WSGI middleware: sets REMOTE_ADDR to the client's address where the peer is one of `proxies`."""

    def __init__(self, app: WSGIApplication, proxies: Networks) -> None:
        self._app, self._proxies = app, proxies

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[Any]:
        """Pass the request on."""
        environ["REMOTE_ADDR"] = client_address(
            environ.get("REMOTE_ADDR", ""), environ.get("HTTP_X_FORWARDED_FOR", ""), self._proxies
        )
        return self._app(environ, start_response)


def client_address(peer: str, forwarded: str, proxies: Networks) -> str:
    """Give the address nearest to us that is none of our proxies.

    Read from the right: what stands left of an address that is not our proxy's, that client may have invented.
    """
    nearest = peer
    for hop in reversed(forwarded.split(",")):
        if not is_within(nearest, proxies) or (found := parse(hop)) is None:
            break
        nearest = str(found)
    return nearest


def may_look(environ: WSGIEnvironment, networks: Networks) -> bool:
    """Say whether a request comes from this machine itself, or from one of the networks: what only operators see.

    A loopback address in a request that a proxy passed on is the proxy's, not the client's.
    """
    address = parse(environ.get("REMOTE_ADDR", ""))
    if address is None:
        return False
    was_passed_on = "HTTP_X_FORWARDED_FOR" in environ or "HTTP_FORWARDED" in environ
    return (address.is_loopback and not was_passed_on) or any(address in network for network in networks)


def is_within(address: str, networks: Networks) -> bool:
    """Say whether an address is in one of the networks."""
    found = parse(address)
    return found is not None and any(found in network for network in networks)


def parse(text: str) -> Address | None:
    """Read an address, with a port or brackets as some proxies write it; None where it is none.

    An IPv4 address that was mapped into IPv6 is given as IPv4.
    """
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped if isinstance(found, IPv6Address) else None) or found
