"""What the API's views share: repeated requests, pages of lists, the objects that a URL names."""

import functools
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from flask import Request, jsonify, make_response, request
from sqlalchemy import Select
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import UnsupportedMediaType

from provisioning.core import idempotency
from provisioning.core.errors import Invalid, NotFound, ServiceError
from provisioning.models import Command, Upload, db, newest_rows, utcnow
from provisioning.tracker.language import CommandErrors
from provisioning.tracker.parameters import ParameterErrors
from provisioning.web import audit_notes, auth
from provisioning.web.schemas.lists import Page

DEEPEST = 20  # levels of a JSON body; ours have five, and whatever reads them goes down level by level
EXACT = 2**53  # up to here a float holds every whole number
F = TypeVar("F", bound=Callable[..., Any])


class ArgumentsParser(FlaskParser):
    """Reads a body; JSON too deep or with a number too long for Python's reader is malformed like any other.

    Raises UnsupportedMediaType for a body that says that it is something else: it would be taken for none.
    """

    def _raw_load_json(self, req: Request) -> Any:
        if not req.is_json and (req.content_length or req.get_data()):  # a form was read already
            raise UnsupportedMediaType(
                "Send the body as JSON, with the header 'Content-Type: application/json'."
            )
        try:
            return _with_whole_numbers(super()._raw_load_json(req), DEEPEST)
        except json.JSONDecodeError:
            raise
        except (RecursionError, ValueError) as error:
            # webargs takes an empty doc for a body that was left out
            raise json.JSONDecodeError(type(error).__name__, doc="[", pos=0) from None


def _with_whole_numbers(given: Any, levels: int) -> Any:
    """Read 630.0 as 630: JSON has one kind of number, and some programs write all of them so.

    Raises ValueError where it has more levels.
    """
    if isinstance(given, float) and given.is_integer() and abs(given) < EXACT:
        return int(given)
    if not isinstance(given, dict | list):
        return given
    if not levels:
        raise ValueError("too many levels")
    if isinstance(given, dict):
        return {key: _with_whole_numbers(value, levels - 1) for key, value in given.items()}
    return [_with_whole_numbers(value, levels - 1) for value in given]


def repeatable(view: F) -> F:
    """Answer a POST with a known `Idempotency-Key` as it was answered the first time."""

    @functools.wraps(view)
    def once(*args: Any, **kwargs: Any) -> Any:
        key = request.headers.get("Idempotency-Key")
        if not key:
            return _run(view, *args, **kwargs)
        if len(key) > 255:
            raise Invalid("The key is too long.", errors={"Idempotency-Key": ["At most 255 characters."]})
        scope = auth.caller().scope
        mark = idempotency.fingerprint(request.method, request.full_path, request.get_data())
        known = idempotency.begin(scope, key, mark, utcnow())
        if known is not None:
            audit_notes.nothing_done()
            answer = jsonify(known.body)
            answer.status_code = known.status
            answer.headers["Idempotency-Replayed"] = "true"
            return answer
        try:
            answer = make_response(_run(view, *args, **kwargs))
        except ServiceError:
            db.session.rollback()
            idempotency.abandon(scope, key)
            raise
        idempotency.finish(scope, key, answer.status_code, answer.get_json(silent=True))
        db.session.commit()
        return answer

    return once  # type: ignore[return-value]


def _run(view: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        return view(*args, **kwargs)
    except (CommandErrors, ParameterErrors) as error:
        raise Invalid("Some values are wrong; nothing was sent.", errors=error.errors) from error


def page(
    query: Select[Any],
    column: Any,
    given: dict[str, Any],
    show: Callable[[Sequence[Any]], Sequence[Any]] = lambda rows: rows,
) -> Page:
    """Give one page of a list, newest first: items and the cursor of the next."""
    # ids are texts or numbers
    before = column.type.python_type(given["cursor"]) if given.get("cursor") else None
    rows = newest_rows.newest(query, column, given["limit"] + 1, before=before)
    more = len(rows) > given["limit"]
    rows = rows[: given["limit"]]
    return Page(show(rows), str(getattr(rows[-1], column.key)) if more else None)


def command(ident: str) -> Command:
    """Give the command that the URL names. Raises NotFound."""
    found = db.session.get(Command, ident)
    if found is None:
        raise NotFound("There is no such command.")
    return found


def upload(ident: str) -> Upload:
    """Give the upload that the URL names. Raises NotFound."""
    found = db.session.get(Upload, ident)
    if found is None:
        raise NotFound("There is no such upload.")
    return found
