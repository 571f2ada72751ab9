"""Entries of the log of people from requests: who, from where, did what to which object.

A view notes what only it knows (a file that was seen, the request that was made). Whatever else changes something is
noted by its route (`access.WRITES`). The entries are written when the answer is ready, where nothing was refused.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from flask import Flask, Response, g, request

from provisioning.core import audit
from provisioning.core.audit import AuditAction
from provisioning.models import (
    ApiToken,
    Command,
    Device,
    Event,
    Message,
    Profile,
    Share,
    Upload,
    User,
    db,
    utcnow,
)
from provisioning.web import access, sign_in

HIDDEN = "•••••"
SECRET = ("password", "sms_login", "sms_password")
# what the variable of a rule names, by the part of the rule before it
KINDS: Mapping[str, str] = {
    "commands": "command",
    "devices": "device",
    "events": "event",
    "media": "event",
    "shares": "share",
    "requests": "command",
    "texts": "message",
    "uploads": "upload",
    "vehicles": "device",
}
OWNERS: Mapping[str, Any] = {
    "command": Command,
    "event": Event,
    "message": Message,
    "share": Share,
    "upload": Upload,
}


@dataclass(frozen=True, slots=True)
class Note:
    """What a view says of its request; `who` where nobody is signed in, `always`: also where the answer is an error."""

    action: AuditAction
    object: str | None = None
    imei: str | None = None
    detail: Mapping[str, Any] | None = None
    who: str | None = None
    always: bool = False


def init_app(app: Flask) -> None:
    """Write what requests note."""
    app.after_request(_write)


def note(action: AuditAction, object: str | None = None, **more: Any) -> None:
    """Note what this request does; fields as `Note` has them."""
    g.setdefault("audit_notes", []).append(Note(action, object, **more))


def saw(upload: Upload) -> None:
    """Note that a file is looked at. What a page fetches anew by itself is no look."""
    if "HX-Request" not in request.headers:
        note(AuditAction.SAW, f"upload:{upload.id}", imei=upload.imei)


def downloaded(upload: Upload, who: str | None = None) -> None:
    """Note that a file is fetched; `who` where nobody is signed in."""
    note(AuditAction.DOWNLOADED, f"upload:{upload.id}", imei=upload.imei, who=who)


def event(action: AuditAction, done_to: Event, given: Mapping[str, Any] | None = None) -> None:
    """Note what is done to an event."""
    note(action, f"event:{done_to.id}", imei=done_to.device.imei, detail=given)


def shared(shown: Event, share: Share) -> None:
    """Note that a link to an event was made, and for how many hours it leads there."""
    given = {"hours": round((share.expires_at - share.created_at).total_seconds() / 3600)}
    event(AuditAction.SHARED, shown, given | ({"password": HIDDEN} if share.password_hash else {}))


def wall(action: AuditAction, name: str, given: Mapping[str, Any] | None = None) -> None:
    """Note what is done to the link of a wall board."""
    note(action, f"wall:{name}", detail={key: _text(key, value) for key, value in (given or {}).items()})


def settings(page: str, given: Mapping[str, Any]) -> None:
    """Note what is set for the whole service on a page of the settings; secrets as dots."""
    shown = {key: "" if value is None else HIDDEN if key in SECRET else value for key, value in given.items()}
    note(AuditAction.CHANGED, f"settings:{page}", detail=shown)


def asked(rows: list[Command]) -> None:
    """Note what is asked of a vehicle: one entry, that of the first SMS."""
    note(
        AuditAction.ASKED, f"command:{rows[0].id}", imei=rows[0].device.imei, detail={"command": rows[0].kind}
    )


def checked(device: Device) -> None:
    """Note that a check of a vehicle was begun."""
    note(AuditAction.CHECKED, f"device:{device.imei}", imei=device.imei)


def answered(device: Device) -> None:
    """Note that a question of a check was answered."""
    note(AuditAction.ANSWERED, f"device:{device.imei}", imei=device.imei)


def stopped(device: Device) -> None:
    """Note that a check was ended before its end."""
    note(AuditAction.STOPPED, f"device:{device.imei}", imei=device.imei)


def changed(
    action: AuditAction,
    device: Device,
    given: Mapping[str, Any],
    before: Mapping[str, str | bool] | None = None,
) -> None:
    """Note the fields of a vehicle that somebody gave; those that stayed as they were before are left out."""
    fields = {name: _text(name, value) for name, value in given.items()}
    known = before or {}
    detail = {name: text for name, text in fields.items() if (known.get(name) or "") != (text or "")}
    if before is not None and not detail:
        nothing_done()
    note(action, f"device:{device.imei}", imei=device.imei, detail=detail)


def fields_of(device: Device, names: Iterable[str]) -> dict[str, str | bool]:
    """Give fields of a vehicle as `changed` compares them; secrets always count as changed."""
    return {name: _text(name, getattr(device, name, None)) for name in names if name not in SECRET}


def _text(name: str, value: Any) -> str | bool:
    """Give a field as the log keeps it: a secret as dots, yes and no as they are."""
    if name in SECRET:
        return HIDDEN
    if isinstance(value, bool):
        return value
    if isinstance(value, list):
        return ", ".join(sorted(value))
    return str(value.name if isinstance(value, Profile) else "" if value is None else value)


def differing(row: User | ApiToken, before: Mapping[str, Any]) -> dict[str, Any]:
    """Give the fields of a row that are not as they were before; where there are none, nothing was done."""
    found = {name: getattr(row, name) for name, value in before.items() if getattr(row, name) != value}
    if not found:
        nothing_done()
    return found


def person(action: AuditAction, user: User, given: Mapping[str, Any] | None = None) -> None:
    """Note what is done to a person."""
    note(
        action,
        f"user:{user.email}",
        detail={name: _text(name, value) for name, value in (given or {}).items()},
    )


def token(action: AuditAction, name: str, given: Mapping[str, Any] | None = None) -> None:
    """Note what is done to a token."""
    note(action, f"token:{name}", detail={key: _text(key, value) for key, value in (given or {}).items()})


def test_sms(phone: str) -> None:
    """Note that a test SMS was sent to a phone, of whose number the first and the last digits are kept."""
    note(AuditAction.ASKED, f"test_sms:{phone[:4]}{HIDDEN}{phone[-2:]}")


def sign_in_failed(email: str) -> None:
    """Note a wrong e-mail or password; what is no user's e-mail may be a password, and is not kept."""
    user = sign_in.user_named(email)
    note(AuditAction.SIGN_IN_FAILED, who=user.email if user else audit.UNKNOWN, always=True)


def nothing_done() -> None:
    """Say that this request does nothing: it was answered before, or all is as it asks for. It has no entry."""
    g.has_done_nothing = True


def _write(response: Response) -> Response:
    """Write the entries of this request."""
    notes: list[Note] = g.pop("audit_notes", [])
    if response.status_code >= 400:
        notes = [note for note in notes if note.always]
    elif g.pop("has_done_nothing", False) or request.method == "HEAD":
        notes = []
    elif not notes and "checked_caller" in g and (by_route := _of_route()):
        notes = [by_route]
    if notes:
        audit.write([_entry(note) for note in notes], utcnow())
    return response


def _of_route() -> Note | None:
    """Give what the route alone says of a request; None where it changes nothing that the log is for."""
    if request.url_rule is None:
        return None
    write = access.WRITES.get(f"{request.method} {request.url_rule.rule}")
    if write is None or write.action is None:
        return None
    kind, ident = _named()
    imei = ident if kind == "device" else _owner(kind, ident)
    return Note(write.action, f"{kind}:{ident}" if kind else None, imei=imei)


def _named() -> tuple[str, str]:
    """Give the kind and the id of the object that the address names; nothing where it names none."""
    parts = request.url_rule.rule.split("/") if request.url_rule else []
    for before, part in pairwise(parts):
        if part.startswith("<") and before in KINDS:
            return KINDS[before], str((request.view_args or {})[part.strip("<>")])
    return "", ""


def _owner(kind: str, ident: str) -> str | None:
    """Give the IMEI of the device to which an object belongs."""
    row = db.session.get(OWNERS[kind], ident) if kind in OWNERS else None
    if isinstance(row, Upload):
        return str(row.imei)
    return str(row.device.imei) if row is not None and row.device is not None else None


def _entry(note: Note) -> audit.NewEntry:
    return audit.NewEntry(
        who=note.who or g.checked_caller.label, address=request.remote_addr or "", action=note.action,
        object=note.object, imei=note.imei[:15] if note.imei else None, detail=note.detail or {},
    )  # fmt: skip
