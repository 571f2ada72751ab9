"""How replies are found in the text of an SMS: forms, and the pieces of text that several replies share.

Devices write carelessly, and their firmware differs in case, blanks and stops. Every form tolerates that. Source: the
vendor's DualCam SMS commands.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from provisioning.tracker.input_fields import MILLISECONDS_FROM
from provisioning.tracker.language.camera_request import FileType
from provisioning.tracker.language.command import Source

CAMERA = r"front\s*/\s*rear|front|rear"
FILE_TYPE = r"photo\s*/\s*video|photo|video"
# five digits: a camera whose clock was never set counts from 1970
MOMENT = r"[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}(?:T|\s+)[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?|[0-9]{5,16}"
CONNECTED = r"(?P<connected>already\s+connected\s*\.?\s*)?"
RESULT = r"\s*:?\s*(?P<result>success\w*|fail\w*|error)"
END = r"\s*[.!]*"

_YEAR_10000 = 253_402_300_800_000  # Unix milliseconds


class Extent(Enum):
    """How much of a text a form reads."""

    MATCH = "what its pattern matches"
    OPEN = "from its match to the next form"
    WHOLE = "the whole text, and only that: its words are too common to be found in another"


@dataclass(frozen=True, slots=True)
class Form:
    """One way in which a reply is written; `code` says which of several ways it is."""

    pattern: re.Pattern[str]
    code: str = ""
    extent: Extent = Extent.MATCH


@dataclass(frozen=True, slots=True)
class Piece:
    """A form that was found: the match, and all the text that belongs to it."""

    form: Form
    match: re.Match[str]
    text: str

    def __getitem__(self, name: str) -> str | None:
        """Return what a named group of the pattern matched; None where nothing or where there is no such group."""
        return self.match.groupdict().get(name)

    @property
    def rest(self) -> str:
        """Return the text behind the match, of an open form."""
        return self.text[self.match.end() - self.match.start() :]


def form(pattern: str, code: str = "", extent: Extent = Extent.MATCH) -> Form:
    """Make a form: case does not count, and stops at its end belong to it."""
    end = END if extent is Extent.MATCH else ""
    return Form(re.compile(pattern + end, re.IGNORECASE), code, extent)


# Distinguished by the first letter: ignoring case, a pattern also lets letters pass that only look alike.
def file_type_of(written: str | None) -> FileType | None:
    """Return the file type that a reply names; None where it names none, or both."""
    if not written or "/" in written:
        return None
    return FileType.PHOTO if written[0] in "pP" else FileType.VIDEO


def camera_of(written: str | None) -> Source | None:
    """Return the camera that a reply names; None where it names none, or both."""
    if not written or "/" in written:
        return None
    return Source.FRONT if written[0] in "fF" else Source.REAR


def moment_of(written: str | None) -> int | None:
    """Read a device's time, which is Unix seconds, milliseconds or a date and time in UTC, as Unix milliseconds."""
    if not written:
        return None
    if written.isdigit():
        number = int(written)
        milliseconds = number * 1000 if number < MILLISECONDS_FROM else number
        return milliseconds if milliseconds < _YEAR_10000 else None
    parts = [int(part) for part in re.findall(r"[0-9]+", written)]
    year, month, day, hour, minute, second = [*parts, 0][:6]
    try:
        return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()) * 1000
    except ValueError:
        return None
