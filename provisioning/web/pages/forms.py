"""What forms share: the nonce that makes a double click harmless, errors beside their fields."""

import json
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
from provisioning.web import audit_notes, auth

Errors = Mapping[str, list[str]]
Given = Mapping[str, str]


def once(
    work: Callable[[], str], refused: Callable[[ServiceError], ResponseReturnValue]
) -> ResponseReturnValue:
    """Do a form's work at most once for a nonce and its fields; it and a repeat go to the address that it gives."""
    nonce = request.form.get("nonce", "")[:64]
    key = _fingerprint()
    scope = auth.caller().scope
    try:
        if nonce:
            known = idempotency.begin(scope, key, key, utcnow())
            if known is not None:
                audit_notes.repeated()
                return redirect(known.location or request.path)
        location = _run(work)
    except ServiceError as error:
        db.session.rollback()
        if nonce and error.code not in ("in_progress", "outcome_unknown"):
            idempotency.abandon(scope, key)
        return refused(error)
    if nonce:
        idempotency.finish(scope, key, 302, None, location)
        db.session.commit()
    return redirect(location)


def _fingerprint() -> str:
    """Give what makes two forms the same: a page that was kept may send other fields under its old nonce."""
    fields = [pair for pair in request.form.items(multi=True) if pair[0] != "csrf_token"]
    return idempotency.fingerprint("POST", request.path, json.dumps(fields).encode())


def _run(work: Callable[[], str]) -> str:
    try:
        return work()
    except (CommandErrors, ParameterErrors) as error:
        raise Invalid(gettext("Some fields are wrong; nothing was sent."), errors=error.errors) from error


def load(schema: Schema, *names: str) -> dict[str, Any]:
    """Read fields of the form through a schema. Raises Invalid with texts by field."""
    return load_from(schema, request.form, *names)


def load_from(schema: Schema, given: Given, *names: str) -> dict[str, Any]:
    """Read fields of a form or of the address through a schema. Raises Invalid with texts by field."""
    try:
        return dict(schema.load({name: given[name] for name in names if name in given}))
    except ValidationError as error:
        errors = {str(name): [str(t) for t in texts] for name, texts in error.messages_dict.items()}
        raise Invalid(gettext("Some fields are wrong; nothing was changed."), errors=errors) from error


def submit(device: Device, name: str, arguments: Mapping[str, Any], endpoint: str) -> str:
    """Submit a command, and give the address of the vehicle's page that shows it."""
    who = auth.caller()
    rows = submission.ask(device, name, arguments, submission.Requester(who.label, who.role), utcnow())
    db.session.commit()
    audit_notes.asked(rows)
    asked = rows[0].id if endpoint == "pages.footage" else None  # its form links to the request
    return url_for(endpoint, imei=device.imei, asked=asked)
