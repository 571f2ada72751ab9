"""Reads the text of an SMS into typed replies, tolerant of case, blanks, missing stops, several in one text.

Finds every piece it knows, earliest first; what lies between is read as an info text or stays visible as
Unread. Never raises, whatever the text. Called by the inbox. Source: the vendor's DualCam SMS commands,
and its pages on setparam, getparam and the get commands.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from provisioning.tracker.language.camera_request import FileType
from provisioning.tracker.language.command import Source
from provisioning.tracker.language.info_reader import read_info
from provisioning.tracker.language.refusals import BY_CODE, REFUSALS, UNKNOWN_REFUSAL, Refusal
from provisioning.tracker.language.reply_types import (
    Accepted,
    AlreadyCaptured,
    CameraAction,
    CameraVersions,
    Info,
    ParametersRefused,
    Preparing,
    Refused,
    Reply,
    ResetAcknowledged,
    Unread,
    Values,
)
from provisioning.tracker.parameters import CATALOGUE

PARTS = (
    153,
    160,
)  # characters of a full SMS, alone or joined by the gateway: the rest may be in the next one
LONGEST_READ = 2000  # Twilio joins an inbound SMS to 1600 at most; anything longer is no device's reply

_MOMENT = r"[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}(?:T|\s+)[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?|[0-9]{9,16}"
_CAMERA = r"front\s*/\s*rear|front|rear"
_FILE_TYPE = r"photo\s*/\s*video|photo|video"
_CONNECTED = r"(?P<connected>already\s+connected\s*\.?\s*)?"
_END = r"\s*[.!]*"

_ONLY_CONNECTED = re.compile(r"\s*already\s+connected\W*", re.IGNORECASE)
_ONLY_NO = re.compile(r"\s*no[\s.!;]*", re.IGNORECASE)
# The vendor's table prints only these words for three refusals of camreq: read so only as a whole text.
_BARE = re.compile(
    r"\s*(?:Error\s*:?\s*)?(?:Invalid\s+)?(?:(?P<invalid_file_type>file\s+type)|(?P<invalid_source>file\s+source)"
    r"|(?P<invalid_timestamp>timestamp)|(?P<invalid_duration>duration))[\s.!;]*",
    re.IGNORECASE,
)
_PAIR = re.compile(r"\s*([0-9]{1,8})\s*:(.*)", re.DOTALL)
_MISSING = re.compile(r"\s*([0-9]{1,8})\s*:?\s+doesn.?t\s+exist\W*", re.IGNORECASE)
_VALUES_HEAD = re.compile(
    r"(?:Param\s*ID\s*:?\s*(?=[0-9]{1,8}\s+(?:new\s+)?(?:value|text)\s*:)|New\s+value\s*:?\s*(?=[0-9]{1,8}\s*:))",
    re.IGNORECASE,
)
_VALUE_WORD = re.compile(r"\s+(?:new\s+)?(?:value|text)\s*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Form:
    """One kind of piece: how it begins, and what is made of it; an open one ends where the next begins."""

    pattern: re.Pattern[str]
    build: Callable[[re.Match[str], str], Iterable[Reply]]
    open: bool = False


def read_replies(text: str) -> tuple[Reply, ...]:
    """Read every reply in the text of one SMS, in the order written; at least one, Unread if need be.

    A text that is just a full SMS may be cut at its end: the value that stands there is left out.
    """
    if len(text) > LONGEST_READ:
        return (Unread(text=text),)
    if _ONLY_NO.fullmatch(text):
        return (ResetAcknowledged(text=text),)
    if (bare := _BARE.fullmatch(text)) and bare.lastgroup:
        return (_refused(BY_CODE[bare.lastgroup], None, text.strip()),)
    replies = list(_merge(_pieces(text)))
    if replies and len(text) in PARTS and not text[-1].isspace():
        replies[-1] = _without_end(replies[-1], text)
    return tuple(replies) if replies else (Unread(text=text),)


def _without_end(last: Reply, text: str) -> Reply:
    """Leave out the value at the very end of a reply, which may go on in another text."""
    if isinstance(last, Info):
        return replace(last, values=dict(list(last.values.items())[:-1]))
    if isinstance(last, Values) and ":" in text.rpartition(";")[2]:
        kept = dict(list(last.values.items())[:-1])
        return replace(last, values=kept) if kept else Unread(text=last.text)
    return replace(last, file_timestamp=None) if isinstance(last, Preparing) else last


def _pieces(text: str) -> Iterable[Reply]:
    place = 0
    found = _find(text)
    for number, (match, form) in enumerate(found):
        yield from _between(text[place : match.start()])
        place = match.end()
        if form.open:
            place = found[number + 1][0].start() if number + 1 < len(found) else len(text)
        yield from form.build(match, text[match.start() : place].strip())
    yield from _between(text[place:])


def _find(text: str) -> list[tuple[re.Match[str], _Form]]:
    # Earliest first; of two that begin together the one listed first wins; none may overlap.
    candidates = [
        (match.start(), order, match, form)
        for order, form in enumerate(_FORMS)
        for match in form.pattern.finditer(text)
    ]
    chosen: list[tuple[re.Match[str], _Form]] = []
    end = 0
    for start, _, match, form in sorted(candidates, key=lambda candidate: candidate[:2]):
        if start >= end:
            chosen.append((match, form))
            end = match.end()
    return chosen


def _between(text: str) -> Iterable[Reply]:
    if not any(character.isalnum() for character in text) or _ONLY_CONNECTED.fullmatch(text):
        return
    yield read_info(text) or Unread(text=text.strip())


def _merge(replies: Iterable[Reply]) -> Iterable[Reply]:
    """Join neighbours that are one statement: values of one form, and the two cameras' versions."""
    waiting: Reply | None = None
    for reply in replies:
        joined = _join(waiting, reply)
        if joined is None and waiting is not None:
            yield waiting
        waiting = joined or reply
    if waiting is not None:
        yield waiting


def _join(first: Reply | None, second: Reply) -> Reply | None:
    if isinstance(first, Values) and isinstance(second, Values) and first.new == second.new:
        return Values({**first.values, **second.values}, first.new, text=f"{first.text} {second.text}")
    if isinstance(first, CameraVersions) and isinstance(second, CameraVersions):
        return CameraVersions(
            second.front or first.front,
            second.rear or first.rear,
            first.front_failed or second.front_failed,
            first.rear_failed or second.rear_failed,
            text=f"{first.text} {second.text}",
        )
    return None


# Told apart by the first letter: ignoring case, a pattern also lets letters pass that only look alike.
def _file_type(words: str | None) -> FileType | None:
    if not words or "/" in words:
        return None
    return FileType.PHOTO if words[0] in "pP" else FileType.VIDEO


def _camera(words: str | None) -> Source | None:
    if not words or "/" in words:
        return None
    return Source.FRONT if words[0] in "fF" else Source.REAR


def _moment(text: str | None) -> int | None:
    """Read Unix seconds, milliseconds or a date and time in UTC as Unix milliseconds."""
    if not text:
        return None
    if text.isdigit():
        number = int(text)
        milliseconds = number * 1000 if number < 100_000_000_000 else number
        return milliseconds if milliseconds < 253_402_300_800_000 else None  # the year 10000
    parts = [int(part) for part in re.findall(r"[0-9]+", text)]
    year, month, day, hour, minute, second = [*parts, 0][:6]
    try:
        return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()) * 1000
    except ValueError:
        return None


def _accepted(match: re.Match[str], text: str) -> Iterable[Reply]:
    sources = {"1": Source.FRONT, "2": Source.REAR, "3": Source.BOTH}
    yield Accepted(
        _file_type(match["type"]),
        sources.get(match["source"] or ""),
        int(match["duration"]) if match["duration"] else None,
        _moment(match["since"]),
        text=text,
    )


def _preparing(match: re.Match[str], text: str) -> Iterable[Reply]:
    yield Preparing(_moment(match["moment"]), bool(match["connected"]), text=text)


def _already_captured(match: re.Match[str], text: str) -> Iterable[Reply]:
    yield AlreadyCaptured(_file_type(match["type"]), bool(match["connected"]), text=text)


def _refused(refusal: Refusal, camera: Source | None, text: str) -> Refused:
    return Refused(refusal.code, text, refusal.whose, refusal.retry, camera, text=text)


def _refusal_form(refusal: Refusal) -> _Form:
    def build(match: re.Match[str], text: str) -> Iterable[Reply]:
        yield _refused(refusal, _camera(match.groupdict().get("camera")), text)

    return _Form(refusal.pattern, build)


def _unknown_refusal(match: re.Match[str], text: str) -> Iterable[Reply]:
    if any(character.isalnum() for character in text[match.end() - match.start() :]):
        yield _refused(UNKNOWN_REFUSAL, None, text)


def _parameters_refused(code: str) -> Callable[[re.Match[str], str], Iterable[Reply]]:
    def build(match: re.Match[str], text: str) -> Iterable[Reply]:
        id = match.groupdict().get("id")
        yield ParametersRefused(code, (int(id),) if id else (), text=text)

    return build


def _values(match: re.Match[str], text: str) -> Iterable[Reply]:
    body = _VALUE_WORD.sub(":", text[match.end() - match.start() :])
    values: dict[int, str] = {}
    missing: list[int] = []
    for fragment in re.split(r"[;\r\n]", body):
        if absent := _MISSING.fullmatch(fragment):
            missing.append(int(absent[1]))
        elif pair := _PAIR.fullmatch(fragment):
            values[int(pair[1])] = _value(int(pair[1]), pair[2].strip())
    if values:
        yield Values(values, text[:3].casefold() == "new", text=text)
    if missing:
        yield ParametersRefused("does_not_exist", tuple(missing), text=text)


def _value(id: int, written: str) -> str:
    # Words or a full stop may follow a number; a text is taken as it stands.
    parameter = CATALOGUE.get(id)
    if parameter is not None:
        # no value of these ends in "@": with it GSM-7 fills the last octet of a text of 8n-1 characters
        written = written.removesuffix("@")
    number = re.match(r"-?[0-9]+(?=\.?(?:\s|$))", written)
    return number[0] if number and (parameter is None or parameter.kind != "text") else written


def _camera_version(match: re.Match[str], text: str) -> Iterable[Reply]:
    words = (match["camera"] or "front/rear").casefold()
    front, rear = "front" in words, "rear" in words
    version, failed = match["version"], match["failed"] is not None
    yield CameraVersions(
        version if front else None, version if rear else None, front and failed, rear and failed, text=text
    )


def _camera_action(action: str) -> Callable[[re.Match[str], str], Iterable[Reply]]:
    def build(match: re.Match[str], text: str) -> Iterable[Reply]:
        success = match["result"].casefold().startswith("success")
        yield CameraAction(action, _camera(match["camera"]), success, text=text)

    return build


def _form(
    pattern: str, build: Callable[[re.Match[str], str], Iterable[Reply]], *, open: bool = False
) -> _Form:
    return _Form(re.compile(pattern + ("" if open else _END), re.IGNORECASE), build, open)


_RESULT = r"\s*:?\s*(?P<result>success\w*|fail\w*|error)"

_FORMS: tuple[_Form, ...] = (
    _form(
        rf"(?P<type>{_FILE_TYPE})\s+request\s+from\s+source\s*:?\s*(?P<source>[0-9]{{1,3}})?"
        rf"(?:\s+for\s+(?P<duration>[0-9]{{1,4}})\s+seconds?)?(?:\s+since\s+(?P<since>{_MOMENT}))?",
        _accepted,
    ),
    _form(
        _CONNECTED
        + rf"preparing\s+to\s+send\s+(?:the\s+)?file(?:\s+from\s+timestamp\s*:?\s*(?P<moment>{_MOMENT})?)?",
        _preparing,
    ),
    _form(
        _CONNECTED + rf"(?:warning\s*:?\s*)?(?:(?P<type>{_FILE_TYPE})\s+)?already\s+captured\s+previously"
        r"(?:\s*,?\s*trying\s+to\s+send\s+it)?",
        _already_captured,
    ),
    _form(
        r"(?:warning\s*:?\s*)?not\s+supported\s+param\s*id\s+or\s+value\s+detected",
        _parameters_refused("not_supported"),
    ),
    _form(r"error\s*:?\s*while\s+configuring\s+parameters?", _parameters_refused("configuring_failed")),
    _form(r"invalid\s+parameter\s+id(?:\s+provided)?", _parameters_refused("invalid_id")),
    _form(r"param\s*id\s*:?\s*(?P<id>[0-9]{1,8})\s+doesn.?t\s+exist", _parameters_refused("does_not_exist")),
    _Form(_VALUES_HEAD, _values, open=True),
    _form(
        rf"(?:the\s+)?(?:(?P<camera>{_CAMERA})\s+camera\s*:?\s*(?:V\s?(?P<version>[0-9]+(?:\.[0-9]+)+)"
        r"|(?P<failed>camgetver\s+failed)))",
        _camera_version,
    ),
    _form(
        rf"(?:camera\s+)?(?:(?P<camera>{_CAMERA})\s+)?(?:camera\s+)?SD\s*card\s+format(?:ting)?{_RESULT}",
        _camera_action("format"),
    ),
    _form(
        rf"(?:camera\s+)?(?:(?P<camera>{_CAMERA})\s+)?(?:camera\s+)?(?:camget_)?restart{_RESULT}",
        _camera_action("restart"),
    ),
    *(_refusal_form(refusal) for refusal in REFUSALS),
    _form(r"(?P<camera>(?!))?(?P<version>(?!))?(?P<failed>camgetver\s+failed)", _camera_version),
    _Form(UNKNOWN_REFUSAL.pattern, _unknown_refusal, open=True),
)
