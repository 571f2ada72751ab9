"""Recognizes other protocols by their first bytes: tracker data (AVL), MQTT, HTTP, TLS. Pure.

Called by `frame_reader` where a connection does not begin as a camera's does. Source: vendor's pages on the data
sending protocols (TCP: length and IMEI; UDP: a header before them).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from receiver.endings import Reason

ANY = bytes(range(256))
DIGIT = b"0123456789"
IMEI: tuple[bytes, ...] = (b"\x00", b"\x0f", *[DIGIT] * 15)  # its length, and its digits
PING = b"\xff"  # trackers may send it before anything else, several in a row
PINGS = 16


@dataclass(frozen=True, slots=True)
class Recognized:
    """Another protocol than the camera's; the IMEI where it was sent."""

    reason: Reason
    imei: str | None = None


def _word(word: bytes) -> tuple[bytes, ...]:
    return tuple(bytes([byte]) for byte in word)


# by the bytes that may stand at each place
_HTTP = (
    Reason.HTTP,
    [
        _word(method)
        for method in (
            b"GET ",
            b"HEAD ",
            b"POST ",
            b"PUT ",
            b"DELETE ",
            b"OPTIONS ",
            b"CONNECT ",
            b"PATCH ",
            b"TRACE ",
            b"PRI * ",
        )
    ],
)
_TLS = (Reason.TLS, [(b"\x16", b"\x03", b"\x00\x01\x02\x03\x04")])
_MQTT = (
    Reason.MQTT,
    [
        (b"\x10", *[ANY] * size, b"\x00", *name)
        for size in (1, 2)
        for name in (_word(b"\x04MQTT"), _word(b"\x06MQIsdp"))
    ],
)
# the length is that of a datagram with a record at least
_AVL_UDP = (
    (b"\x00", bytes(range(0x20, 256)), ANY, ANY, b"\x00\x01\x02", ANY, *IMEI),
    (b"\x01\x02\x03\x04\x05", ANY, ANY, ANY, b"\x00\x01\x02", ANY, *IMEI),
)


def recognize(data: bytes) -> Recognized | bool:
    """Give what the first bytes of a connection are; True: more bytes are needed; False: nothing known."""
    begun = data.lstrip(PING)
    if len(data) - len(begun) <= PINGS and (found := _whole(begun, IMEI)):
        return True if found == "begun" else Recognized(Reason.TRACKER_DATA, begun[2:17].decode())
    more = False
    for shape in _AVL_UDP:
        found = _whole(data, shape)
        if found == "whole":
            return Recognized(Reason.TRACKER_DATA, data[8:23].decode())
        more = more or found == "begun"
    for reason, shapes in (_HTTP, _TLS, _MQTT):
        kinds = {_whole(data, shape) for shape in shapes}
        if "whole" in kinds:
            return Recognized(reason)
        more = more or "begun" in kinds
    return more


def _whole(data: bytes, shape: Sequence[bytes]) -> str:
    """Say how bytes fit a shape: "whole", "begun", or "" where they do not."""
    if any(byte not in allowed for byte, allowed in zip(data, shape, strict=False)):
        return ""
    return "whole" if len(data) >= len(shape) else "begun"
