"""The actions that the session machine asks of the connection, and the file that a device offers. Pure."""

from dataclasses import dataclass

from receiver.endings import Ending
from receiver.wire.protocol import PACKET, Data, Metadata


@dataclass(frozen=True, slots=True)
class Offer:
    """A file as the device announces it. `count`: packets, or bytes where it is offered by path."""

    identifier: str
    by_path: bool
    count: int
    metadata: Metadata | None

    @property
    def size(self) -> int:
        """The most bytes it can have."""
        return self.count if self.by_path else self.count * PACKET


@dataclass(frozen=True, slots=True)
class Send:
    data: bytes


@dataclass(frozen=True, slots=True)
class Admit:
    """Find out whether this device is known; answer by `admitted`."""

    imei: str


@dataclass(frozen=True, slots=True)
class OpenFile:
    """Find or make the partial file; answer by `opened`."""

    offer: Offer


@dataclass(frozen=True, slots=True)
class Write:
    """Take checked bytes at this offset; answer by `written`.

    `chain`: the CRC of all bytes of the file up to their end, where the device's own is that one, else None.
    """

    offset: int
    payload: bytes
    chain: int | None


@dataclass(frozen=True, slots=True)
class GoBack:
    """The device goes on at an earlier byte than asked: what is held from there is compared, by `went_back`."""

    offset: int


@dataclass(frozen=True, slots=True)
class Again:
    """Take these one by one: a run of packets that did not check as a whole."""

    messages: tuple[Data, ...]


@dataclass(frozen=True, slots=True)
class Commit:
    """Make the file safe; answer by `committed`. Only then is it acknowledged."""


@dataclass(frozen=True, slots=True)
class CrcError:
    """For the counters: bytes at this offset that did not match."""

    offset: int


@dataclass(frozen=True, slots=True)
class Close:
    """End the connection, for this reason."""

    ending: Ending


Action = Send | Admit | OpenFile | Write | GoBack | Again | Commit | CrcError | Close
