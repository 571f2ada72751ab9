"""What the entries of the log of people are about, in words: the rows that their objects name, with their pages."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from provisioning.models import AuditEntry, Command, Device, Event, Message, Share, Upload, db
from provisioning.translation import N_, gettext
from provisioning.web.pages import times, words

# what is named by an id that says nothing to people, where its row is gone
_GONE: Mapping[str, str] = {
    "command": N_("a request that was removed"),
    "event": N_("an event that was removed"),
    "message": N_("an SMS that was removed"),
    "share": N_("a shared link that was removed"),
    "upload": N_("a file that was removed"),
}


# what is named by words that somebody wrote
_NAMED: Mapping[str, str] = {
    "profile": N_("the preset %(name)s"),
    "test_sms": N_("a test SMS to %(name)s"),
    "token": N_("the token %(name)s"),
    "wall": N_("the wall board %(name)s"),
}

# what a page of the settings is about
_SETTINGS: Mapping[str, str] = {
    "sms": N_("what new vehicles begin with"),
    "storage": N_("how long files are kept"),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """What an entry is about, in words, and where it stands; `endpoint` is empty where it has no page."""

    title: str
    endpoint: str = ""
    name: str = ""  # of the endpoint's variable
    value: str = ""


def of(rows: Sequence[AuditEntry], zone: str) -> Mapping[str, Subject]:
    """Give what entries are about, by `object`, with times in a zone."""
    texts = {row.object for row in rows if row.object} | {f"device:{row.imei}" for row in rows if row.imei}
    named: dict[str, list[str]] = {}
    for text in texts:
        kind, _, ident = text.partition(":")
        named.setdefault(kind, []).append(ident)
    found = {text: _unknown(text) for text in texts}
    for kind, (model, column, subject) in _KINDS.items():
        for row in _rows(model, column, named.get(kind, ())):
            found[f"{kind}:{getattr(row, column.key)}"] = subject(row, zone)
    return found


def _unknown(text: str) -> Subject:
    """Give what an object is that no row describes: its own name, or in words what it was."""
    kind, _, ident = text.partition(":")
    if kind in _NAMED:
        return Subject(gettext(_NAMED[kind], name=ident))
    if text == "log":
        return Subject(gettext("the log"))
    if kind == "settings" and ident in _SETTINGS:
        return Subject(gettext(_SETTINGS[ident]))
    return Subject(gettext(_GONE[kind]) if kind in _GONE else ident or text)


def _rows(model: type[Any], column: Any, idents: Sequence[str]) -> Sequence[Any]:
    return db.session.scalars(select(model).where(column.in_(idents))).all() if idents else ()


def _device(row: Device, _zone: str) -> Subject:
    return (
        Subject(row.imei) if row.archived_at else Subject(row.name or row.imei, "vehicle", "imei", row.imei)
    )


def _upload(row: Upload, zone: str) -> Subject:
    moment = times.full_time(row.timestamp or row.started_at, zone)
    title = gettext("%(file)s of %(time)s", file=words.file_title(row), time=moment)
    return Subject(title, "upload", "ident", row.id)


def _command(row: Command, zone: str) -> Subject:
    return Subject(words.request_title(row, zone), "request", "ident", row.id)


def _event(row: Event, zone: str) -> Subject:
    title = gettext(
        "the event “%(event)s” of %(time)s", event=words.event_title(row), time=times.full_time(row.at, zone)
    )
    return Subject(title, "event", "ident", row.id)


def _share(row: Share, zone: str) -> Subject:
    event = db.session.get(Event, row.object_id)
    return _event(event, zone) if event else _unknown("event:")


def _message(row: Message, zone: str) -> Subject:
    moment = times.full_time(row.created_at, zone)
    return Subject(gettext("the SMS from %(sender)s of %(time)s", sender=row.sender, time=moment))


# of each kind: its rows, by what the object names them, and how a row is said
_KINDS: Mapping[str, tuple[type[Any], Any, Callable[[Any, str], Subject]]] = {
    "command": (Command, Command.id, _command),
    "device": (Device, Device.imei, _device),
    "event": (Event, Event.id, _event),
    "message": (Message, Message.id, _message),
    "share": (Share, Share.id, _share),
    "upload": (Upload, Upload.id, _upload),
}
