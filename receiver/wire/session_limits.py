"""The limits of one session, with their reasons. Pure."""

from dataclasses import dataclass

DEFAULT_ORDER = ("%photof", "%photor", "%videof", "%videor")


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Limits of one session, with their reasons; times in seconds."""

    order: tuple[str, ...] = DEFAULT_ORDER
    max_size: int = 64 * 2**20  # bytes; a 30 s video has about 9 MB
    # CRC errors, or STARTs, without a good packet between: a connection this bad is better tried again later
    bad_packets: int = 30
    bad_seconds: float = 60.0  # without one good packet since the first bad one
    init: float = 30.0
    metadata: float = 10.0
    answer: float = 20.0
    progress: float = 60.0  # for one packet; the driver also watches bytes over time
    go_backs: int = 100  # within a file: each reads again all that is held before
    offers: int = (
        250  # files asked for in a session: what it remembers of them is bounded; the device comes again
    )
