"""What a camera says of a file, in its three forms: binary, ADAS's 15 bytes, and JSON of the path flow. Pure."""

import json
import math
import re
import struct
from typing import Any

from receiver.wire.protocol import FILE_BITS, Metadata

# in JSON, but in no page and no database: lone surrogates are no UTF-8, and control characters are not to be shown
UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
DETAILS_DEPTH = (
    8  # of JSON metadata: no camera nests deeper, and deeper nesting would break code that walks it
)
LATEST = 253_402_300_800_000  # year 10000, in milliseconds: no calendar of ours holds it
MILLISECONDS_FROM = 100_000_000_000  # a smaller timestamp is in seconds (as milliseconds: early 1973)


def _milliseconds(value: int) -> int:
    value = value * 1000 if 0 < value < MILLISECONDS_FROM else value
    return value if value < LATEST else 0


def read_metadata(body: bytes) -> Metadata:
    version, kind, timestamp, trigger, duration = struct.unpack_from(">BBQBH", body)
    more: dict[str, int | float | None] = {}
    if len(body) >= 14:
        more["frame_rate"] = body[13]
    if len(body) >= 32:
        zone, latitude, longitude = struct.unpack_from(">hdd", body, 14)
        more |= {"time_zone": zone, "latitude": _degrees(latitude), "longitude": _degrees(longitude)}
    if len(body) >= 40:
        more["trigger_timestamp"] = _milliseconds(int.from_bytes(body[32:40], "big"))
    return Metadata(version, kind, _milliseconds(timestamp), trigger, duration, **more)  # type: ignore[arg-type]


def read_path_metadata(body: bytes) -> Metadata:
    """Read JSON, or ADAS's 15 bytes; what is neither is kept as it is. Source: other servers."""
    if len(body) >= 13 and body[1] in FILE_BITS and 1 <= body[0] <= 4:
        return read_metadata(body)  # a camera that offers files both ways
    if len(body) == 15 and body[0] != ord("{"):
        stamp, kind, trigger, latitude, longitude, duration = struct.unpack(">IBBiiB", body)
        return Metadata(
            0,
            kind,
            stamp * 1000,
            trigger,
            duration,
            latitude=_degrees(latitude / 1e6),
            longitude=_degrees(longitude / 1e6),
        )
    try:
        fields = _plain(json.loads(body, parse_constant=lambda name: None), DETAILS_DEPTH)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        return Metadata(0, 0, 0, None, 0, details={"raw": body.hex()})

    def part(name: str) -> dict[str, Any]:
        return found if isinstance(found := fields.get(name), dict) else {}

    file, place = part("file"), part("location")
    return Metadata(
        version=_whole(fields.get("version")),
        file_type=0,
        timestamp=_milliseconds(_whole(file.get("file_timestamp"), 2**53)),
        trigger=_known(part("fm_trigger").get("type"), 0xFF),
        duration=_whole(file.get("duration")),
        frame_rate=_whole(file.get("framerate")) or None,
        latitude=_degrees(place.get("latitude")),
        longitude=_degrees(place.get("longitude")),
        details=fields,
    )


def _plain(value: Any, depth: int) -> Any:
    """Give JSON that any reader, page and database takes: no infinite numbers (1e999), not too deep. ValueError."""
    if not depth:
        raise ValueError("nested too deep")
    if isinstance(value, dict):
        return {_shown(name): _plain(inner, depth - 1) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner, depth - 1) for inner in value]
    if isinstance(value, str):
        return _shown(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _shown(text: str) -> str:
    return UNSHOWN.sub("\ufffd", text)


def _whole(value: Any, most: int = 0xFFFF) -> int:
    return _known(value, most) or 0


def _known(value: Any, most: int) -> int | None:
    """Give a number of JSON as an integer; None: not given, or beyond what the binary metadata could say."""
    return int(value) if _is_number(value) and 0 <= value <= most else None


def _degrees(value: Any) -> float | None:
    return float(value) if _is_number(value) and -180 <= value <= 180 else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
