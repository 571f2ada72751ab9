"""The settings of the receiver. Pure; `__main__` fills them in."""

from dataclasses import dataclass

from receiver.wire.session_limits import SessionLimits


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits of connections and of what devices may send, with their reasons; times in seconds."""

    limits: SessionLimits
    quarantine_unknown: bool = False
    max_connections: int = 10_000  # about 14 KiB each
    max_per_device: int = 2  # one live, one closing
    max_per_address: int = 0  # off: a whole fleet may share one address
    min_bytes_per_minute: int = (
        2048  # checked file bytes: a tenth of the slowest useful connection; 0: no limit
    )
    lines_per_minute: int = (
        60  # log lines and session rows of one peer: a fleet's device causes a few an hour
    )
    files_per_day: int = 5000  # of a known device; 0: no limit
    bytes_per_day: int = 2048 * 2**20
