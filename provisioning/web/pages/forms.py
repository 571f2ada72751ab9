"""What forms share: the nonce that makes a double click harmless, errors beside their fields."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue
from marshmallow import Schema, ValidationError

from provisioning.commands import submission
from provisioning.core import idempotency
from provisioning.core.errors import Invalid, ServiceError
from provisioning.models import Device, db, utcnow
from provisioning.tracker.language import CommandErrors
from provisioning.tracker.parameters import ParameterErrors
from provisioning.translation import gettext
from provisioning.web import audit_notes, auth, users

Errors = Mapping[str, list[str]]
Given = Mapping[str, str]
REPEAT_WAITS = 15.0  # seconds, for a first click that sends a mail


def once(
    work: Callable[[], str], refused: Callable[[ServiceError], ResponseReturnValue]
) -> ResponseReturnValue:
    """Do a form's work at most once for a nonce and its fields; it and a repeat go to the address that it gives."""
    try:
        answer = _answered(lambda: idempotency.Answer(302, None, _run(work)))
    except ServiceError as error:
        db.session.rollback()
        return refused(error)
    return redirect(answer.location or request.path)


def once_shown(work: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Do a form's work at most once for a nonce and its fields; give what it gave, also to a repeat.

    For what a page shows this one time, such as a link. Raises what the work raises.
    """
    return _answered(lambda: idempotency.Answer(200, work(), None)).body or {}


def _answered(work: Callable[[], idempotency.Answer]) -> idempotency.Answer:
    """Give the answer of a form's work, or what was answered before by its nonce and fields.

    A repeat waits for the first: of a double click the browser shows the second answer. Raises what the work raises.
    """
    if not request.form.get("nonce"):
        return work()
    scope, key = auth.caller().scope, _fingerprint()
    known = _begun(scope, key)
    if known is not None:
        audit_notes.nothing_done()
        return known
    try:
        made = work()
    except ServiceError:
        db.session.rollback()
        idempotency.abandon(scope, key)
        raise
    idempotency.finish(scope, key, made.status, made.body, made.location)
    db.session.commit()
    return made


def _begun(scope: str, key: str) -> idempotency.Answer | None:
    """Take a key; give what was answered by it, once that is known. Raises Conflict where it does not become known."""
    deadline = time.monotonic() + REPEAT_WAITS
    while True:
        try:
            return idempotency.begin(scope, key, key, utcnow())
        except ServiceError as error:
            db.session.rollback()
            if error.code != "in_progress" or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _fingerprint() -> str:
    """Give what makes two forms the same: a page that was kept may send other fields under its old nonce."""
    fields = [pair for pair in request.form.items(multi=True) if pair[0] != "csrf_token"]
    return idempotency.fingerprint("POST", request.path, json.dumps(fields).encode())


def _run(work: Callable[[], str]) -> str:
    try:
        return work()
    except (CommandErrors, ParameterErrors) as error:
        raise Invalid(gettext("Some fields are wrong; nothing was sent."), errors=error.errors) from error


def ident(name: str) -> int | None:
    """Give the number in a field that names a row; None where the form has no such field. Raises Invalid."""
    text = request.form.get(name)
    if text is not None and not users.IDENT.fullmatch(text):
        raise Invalid(gettext("There is no such button."))
    return None if text is None else int(text)


def load(schema: Schema, *names: str) -> dict[str, Any]:
    """Read fields of the form through a schema. Raises Invalid with texts by field."""
    return load_from(schema, request.form, *names)


def load_from(schema: Schema, given: Given, *names: str) -> dict[str, Any]:
    """Read fields of a form or of the address through a schema. Raises Invalid with texts by field."""
    try:
        return dict(schema.load({name: given[name] for name in names if name in given}))
    except ValidationError as error:
        errors = {str(name): _texts(found) for name, found in error.messages_dict.items()}
        raise Invalid(gettext("Some fields are wrong; nothing was changed."), errors=errors) from error


def _texts(found: Any) -> list[str]:
    """Give what is wrong with a field: of one that is a list, what is wrong with its items, each once."""
    if not isinstance(found, Mapping):
        return [str(text) for text in found]
    return list(dict.fromkeys(text for one in found.values() for text in _texts(one)))


def submit(device: Device, name: str, arguments: Mapping[str, Any], endpoint: str) -> str:
    """Submit a command, and give the address of the vehicle's page that shows it."""
    who = auth.caller()
    rows = submission.ask(device, name, arguments, submission.Requester(who.label, who.role), utcnow())
    db.session.commit()
    audit_notes.asked(rows)
    asked = rows[0].id if endpoint == "pages.footage" else None  # its form links to the request
    return url_for(endpoint, imei=device.imei, asked=asked)
