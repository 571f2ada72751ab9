"""Counts connections in all, by address and by device, and names which must be closed. Pure; each step is O(1).

Called by `server`, which ends the connections that this names.
"""

from collections import OrderedDict
from typing import Any, Generic, Protocol, TypeVar


class Peer(Protocol):
    """What the limits need of a connection: whether it is ending, and the file that it receives."""

    ending: Any
    transfer: Any


P = TypeVar("P", bound=Peer)


class ConnectionLimits(Generic[P]):
    """All connections of this process, and the limits on them; 0 per address: no limit."""

    def __init__(self, most: int, per_device: int, per_address: int) -> None:
        self.most, self.per_device, self.per_address = most, per_device, per_address
        self.everyone: dict[P, None] = {}
        self.devices: dict[str, list[P]] = {}
        # without INIT, oldest first; an OrderedDict, since a dict is slow to find its first key after removals
        self._waiting: OrderedDict[P, None] = OrderedDict()
        self._hosts: dict[P, str] = {}  # kept only where addresses are limited
        self._addresses: dict[str, int] = {}

    def enter(self, peer: P, host: str | None) -> bool:
        """Take a newcomer; False if its address has too many. None: an address that is not limited."""
        self.everyone[peer] = self._waiting[peer] = None
        return self.comes_from(peer, host)

    def comes_from(self, peer: P, host: str | None) -> bool:
        """Count a connection for an address, as far as addresses are limited; False if that has too many."""
        self._forget_host(peer)
        if not self.per_address or host is None:
            return True
        self._hosts[peer] = host
        self._addresses[host] = self._addresses.get(host, 0) + 1
        return self._addresses[host] <= self.per_address

    def surplus(self, newest: P) -> P | None:
        """Give the connection that must go, if there are too many: the oldest without INIT, else the newest."""
        if len(self.everyone) <= self.most:
            return None
        oldest = next(iter(self._waiting), newest)
        self._waiting.pop(oldest, None)  # named once: the next newcomer ends another
        return oldest

    def arrived(self, peer: P, imei: str) -> list[P]:
        """Take a connection's INIT; give those of its device that must go: idle ones first, oldest first."""
        self._waiting.pop(peer, None)
        own = self.devices.setdefault(imei, [])
        own.append(peer)
        older = [p for p in own[:-1] if p.ending is None]
        surplus = len(older) + 1 - self.per_device
        if surplus <= 0:
            return []
        idle = [p for p in older if p.transfer is None]
        return (idle + [p for p in older if p.transfer is not None])[:surplus]

    def left(self, peer: P, imei: str | None) -> None:
        """Forget a connection."""
        self.everyone.pop(peer, None)
        self._waiting.pop(peer, None)
        self._forget_host(peer)
        own = self.devices.get(imei, []) if imei else []
        if imei and peer in own:
            own.remove(peer)
            if not own:
                del self.devices[imei]

    def _forget_host(self, peer: P) -> None:
        host = self._hosts.pop(peer, None)
        if host is not None:
            self._addresses[host] -= 1
            if not self._addresses[host]:
                del self._addresses[host]
