"""Reads the key:value replies of getver, getinfo, getstatus and getio in the forms of every family.

Keys differ between families and firmware, some values begin with a blank or hold one, a key may come
twice. Called by `replies` only. Source: vendor's FMB pages
on getver, getinfo, getstatus and getio.
"""

import re

_KEY = re.compile(
    r"(?<!\S)(Data\s+Link|Cell\s+ID|Network\s+Type|[A-Za-z][A-Za-z0-9_]*)\s?:\s*", re.IGNORECASE
)
_PIN = re.compile(r"(?:DI|AI|AIN|DO|DOUT|DIN)[0-9]", re.IGNORECASE)

# The keys that the product looks up, in the vendor's spelling, whatever case a firmware writes them in.
_LOOKED_UP = (
    "Ver",
    "Hw",
    "Mod",
    "IMEI",
    "RTC",
    "GPRS",
    "SIM",
    "OP",
    "Signal",
    "Roaming",
    "Data Link",
    "DI1",
    "DIN1",
)
_SPELLINGS = {key.casefold(): key for key in _LOOKED_UP}


def read_info(text: str) -> tuple[str, dict[str, str]] | None:
    """Read one info reply: the name of its command, and its values by key. None where the text is none."""
    found = list(_KEY.finditer(text))
    values: dict[str, str] = {}
    for place, match in enumerate(found):
        end = found[place + 1].start() if place + 1 < len(found) else len(text)
        # an "@" at the very end fills the last octet of GSM-7
        values[_free_key(values, match[1])] = text[match.end() : end].strip().removesuffix("@")
    name = _command(values)
    return (name, values) if name else None


def _free_key(values: dict[str, str], written: str) -> str:
    key = " ".join(written.split())
    key = _SPELLINGS.get(key.casefold(), key)
    number = 2
    free = key
    while free in values:
        free = f"{key}{number}"
        number += 1
    return free


def _command(values: dict[str, str]) -> str | None:
    keys = {key.casefold() for key in values}
    if "ver" in keys and keys & {"hw", "mod", "imei", "init"}:
        return "getver"
    if "rtc" in keys and len(keys) >= 4:
        return "getinfo"
    if "gprs" in keys and keys & {"data link", "op", "signal"}:
        return "getstatus"
    if any(_PIN.fullmatch(key) for key in keys):
        return "getio"
    return None
