"""Finds the client's address behind web proxies: X-Forwarded-For counts only where a trusted proxy wrote it."""

from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from receiver.addresses import Network, is_within, parse

Networks = tuple[Network, ...]


class ForwardedFor:
    """WSGI middleware: sets REMOTE_ADDR to the client's address where the peer is one of `client_address`."""

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
        if not is_within(nearest, proxies) or (found := parse(_read(hop))) is None:
            break
        nearest = str(found)
    return nearest


def may_look(environ: WSGIEnvironment, networks: Networks) -> bool:
    """Say whether a request comes from this machine itself, or from one of the networks: what only operators see.

    A loopback address in a request that a proxy passed on is the proxy's, not the client's.
    """
    peer = environ.get("REMOTE_ADDR", "")
    was_passed_on = "HTTP_X_FORWARDED_FOR" in environ or "HTTP_FORWARDED" in environ
    address = parse(peer)
    is_here = address is not None and address.is_loopback and not was_passed_on
    return is_here or is_within(peer, networks)


def _read(hop: str) -> str:
    """Give the address of a hop without the port or brackets that some proxies write."""
    hop = hop.strip()
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
