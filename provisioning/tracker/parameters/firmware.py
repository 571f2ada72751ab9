"""Tracker firmware versions: parsing and comparing.

Used by the warnings of `warnings` and by the checklist.
"""

import re

_VERSION = re.compile(
    r"(?<![0-9.])([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})(?:[. _]*Rev[. _]*([0-9]{1,5})|_([0-9]{1,5}))?",
    re.IGNORECASE,
)


def firmware_at_least(firmware: str, since: str) -> bool | None:
    """Compare versions like "03.27.03.Rev.105" or a whole getver reply; None where that cannot be decided.

    The older form "02.00.01_06" is compared by its first three numbers only.
    """
    ours, theirs = _read(firmware), _read(since)
    if ours is None or theirs is None:
        return None
    if ours[0] != theirs[0]:
        return ours[0] > theirs[0]
    if ours[1] is None or theirs[1] is None:
        return None
    return ours[1] >= theirs[1]


def _read(text: str) -> tuple[tuple[int, int, int], int | None] | None:
    _, label, after = text.partition("Ver:")
    found = _VERSION.search(after if label else text)
    if found is None:
        return None
    first, second, third, revision, _ = found.groups()
    return (int(first), int(second), int(third)), int(revision) if revision else None
