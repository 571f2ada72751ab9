"""Reads the text of an SMS into typed replies, tolerant of case, blanks, missing stops, several in one text.

Finds every form of every reply, earliest first; what lies between is read as an info text or stays visible as Unread.
Never raises, whatever the text.
"""

import re
from collections.abc import Iterable

from provisioning.tracker.language.replies import REPLIES, Info, Unread
from provisioning.tracker.language.reply import Reply
from provisioning.tracker.language.reply_forms import Extent, Form, Piece

# characters of a full SMS, alone or joined by the gateway: the rest may be in the next one
PARTS = (153, 160)
LONGEST_READ = 2000  # Twilio joins an inbound SMS to 1600 at most; anything longer is no device's reply

_ONLY_CONNECTED = re.compile(r"\s*already\s+connected\W*", re.IGNORECASE)
_FORMS = [(form, kind) for kind in REPLIES for form in kind.forms]
_WHOLE = [(form, kind) for form, kind in _FORMS if form.extent is Extent.WHOLE]
_PARTIAL = [(form, kind) for form, kind in _FORMS if form.extent is not Extent.WHOLE]

Found = tuple[re.Match[str], Form, type[Reply]]


def read_replies(text: str) -> tuple[Reply, ...]:
    """Read every reply in the text of one SMS, in the order written; at least one, Unread if need be.

    A text that is just a full SMS may be cut at its end: the value that stands there is left out.
    """
    if len(text) > LONGEST_READ:
        return (Unread(text=text),)
    for form, kind in _WHOLE:
        if match := form.pattern.fullmatch(text):
            return tuple(kind.read(Piece(form, match, text.strip())))
    replies = list(_merge(_pieces(text)))
    if replies and len(text) in PARTS and not text[-1].isspace():
        replies[-1] = replies[-1].without_end(text) or Unread(text=replies[-1].text)
    return tuple(replies) if replies else (Unread(text=text),)


def _pieces(text: str) -> Iterable[Reply]:
    place = 0
    found = _find(text)
    for number, (match, form, kind) in enumerate(found):
        yield from _between(text[place : match.start()])
        place = match.end()
        if form.extent is Extent.OPEN:
            place = found[number + 1][0].start() if number + 1 < len(found) else len(text)
        yield from kind.read(Piece(form, match, text[match.start() : place].strip()))
    yield from _between(text[place:])


def _find(text: str) -> list[Found]:
    # Earliest first; of two that begin together the one listed first wins; none may overlap.
    candidates = [
        (match.start(), order, (match, form, kind))
        for order, (form, kind) in enumerate(_PARTIAL)
        for match in form.pattern.finditer(text)
    ]
    chosen: list[Found] = []
    end = 0
    for start, _, found in sorted(candidates, key=lambda candidate: candidate[:2]):
        if start >= end:
            chosen.append(found)
            end = found[0].end()
    return chosen


def _between(text: str) -> Iterable[Reply]:
    if not any(character.isalnum() for character in text) or _ONLY_CONNECTED.fullmatch(text):
        return
    yield Info.from_text(text) or Unread(text=text.strip())


def _merge(replies: Iterable[Reply]) -> Iterable[Reply]:
    """Join neighbours that are one statement: values of one form, and the two cameras' versions."""
    waiting: Reply | None = None
    for reply in replies:
        joined = waiting.joined(reply) if waiting is not None else None
        if joined is None and waiting is not None:
            yield waiting
        waiting = joined or reply
    if waiting is not None:
        yield waiting
