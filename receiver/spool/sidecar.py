"""Validates sidecars: what one must hold to be used. Pure; called for each sidecar that is read.

A spool may hold anything: a power cut tears files, an older version wrote fewer keys, a person copied things about.
What is not sound is as if it were not there; the janitor says so, and removes it when it is old.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from types import NoneType
from typing import Any

from receiver.addresses import parse
from receiver.wire.protocol import PACKET

SidecarRecord = dict[str, Any]  # a sidecar: what is known of one file, in JSON

UPLOAD = re.compile(r"[0-9a-f]{32}")
IMEI = re.compile(r"[0-9]{15}")
KEY = re.compile(r"[0-9A-Za-z_./-]{1,255}")  # others no version wrote, and some no file system takes
NEEDED: dict[str, type | tuple[type, ...]] = {
    "imei": str,
    "upload": str,
    "identifier": str,
    "count": int,
    "path": str,
    "state": str,
    "updated_at": str,
    "file_type": str,
    "source": str,
}
# what a version may not have written; nothing is believed of bytes that nobody vouches for
DEFAULTS: SidecarRecord = {
    "session": None,
    "admission": "known",
    "by_path": False,
    "metadata": None,
    "extension": "bin",
    "received_packets": 0,
    "packets": 0,
    "size": 0,
    "sha256": None,
    "resumes": 0,
    "crc_errors": 0,
    "safe": 0,
    "boot": "",
    "received_at": None,
    "address": None,
}
# of metadata: the path flow may name no trigger, or none that can be read
METADATA: dict[str, type | tuple[type, ...]] = {"timestamp": int, "trigger": (int, NoneType), "duration": int}
NUMBERS = ("received_packets", "packets", "size", "resumes", "crc_errors", "safe")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A stored file of a device: what must be known of it to compare it with one that is offered."""

    upload: str
    path: str
    size: int

    @classmethod
    def of(cls, record: SidecarRecord) -> "StoredFile":
        """Take it out of a sidecar."""
        return cls(record["upload"], record["path"], record["size"])


def sound(found: Any) -> SidecarRecord | None:
    """Give a sidecar with every key, None for what cannot be one."""
    if not isinstance(found, dict) or any(not isinstance(found.get(k), t) for k, t in NEEDED.items()):
        return None
    record = DEFAULTS | {"started_at": found["updated_at"]} | found
    path = PurePosixPath(record["path"])
    value = record["metadata"]
    believable = (
        IMEI.fullmatch(record["imei"])
        and UPLOAD.fullmatch(record["upload"])
        and KEY.fullmatch(record["path"])
        and not path.is_absolute()
        and ".." not in path.parts
        and all(type(record[name]) is int and record[name] >= 0 for name in NUMBERS)
        and (value is None or _is_metadata(value))
        and _are_times(record["updated_at"], record["started_at"], record["received_at"])
    )
    return record | {"address": _address(record["address"])} if believable else None


def _address(value: Any) -> str | None:
    """Give from where the file came; what is no address is not worth losing the file."""
    return value if isinstance(value, str) and parse(value) is not None else None


def _is_metadata(value: Any) -> bool:
    return isinstance(value, dict) and all(
        k in value and isinstance(value[k], t) for k, t in METADATA.items()
    )


def announced(record: SidecarRecord) -> int:
    """Give how many bytes a record's device said that it would send, at most."""
    return int(record["count"]) * (1 if record["by_path"] else PACKET)


def _are_times(*texts: Any) -> bool:
    try:
        return all(text is None or datetime.fromisoformat(text).tzinfo is not None for text in texts)
    except (TypeError, ValueError):
        return False
