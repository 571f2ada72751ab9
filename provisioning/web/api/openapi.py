"""What the OpenAPI document says of answers: the shape of every object, and the errors that each call may give.

For reading only: answers are made in `views`; a test calls every operation and compares. Blueprints of the API
are made here, so that no view has to list the errors that all of them share.
"""

import copy
import functools
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import flask_smorest
from flask import Response
from marshmallow import Schema, fields

from provisioning.core.audit import AuditAction
from provisioning.devices.durations import Basis
from provisioning.devices.health import CODES, HealthState
from provisioning.devices.health_words import ActionKind
from provisioning.media.event_rules import EventKind
from provisioning.models import Certainty, Direction, Role, ShownState, UploadState, Verdict
from provisioning.web.api.shared import ArgumentsParser, answer
from provisioning.web.language import LANGUAGES

Shape = dict[str, Any]

READING = (401, 422, 429)
WRITING = (400, 401, 403, 409, 413, 415, 422, 429, 503)


class ErrorSchema(Schema):
    """The one shape of every error."""

    code = fields.String(required=True, metadata={"description": "what happened, for programs"})
    message = fields.String(required=True, metadata={"description": "a sentence for people"})
    errors = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        required=True,
        metadata={"description": "sentences by field, in plan and provision by parameter id"},
    )


class Blueprint(flask_smorest.Blueprint):
    """A blueprint whose document names the shared errors, and whose answers may be described by a plain shape."""

    ARGUMENTS_PARSER = ArgumentsParser()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._prepare_doc_cbks.append(_shared_errors)

    def response(self, status_code: int, schema: Shape | None = None, **options: Any) -> Callable[[Any], Any]:
        """Describe the answer of a view, and make it JSON."""
        described = super().response(status_code, schema, **options)

        def decorate(view: Callable[..., Any]) -> Any:
            @functools.wraps(view)
            def answered(*args: Any, **kwargs: Any) -> Response:
                given = view(*args, **kwargs)
                return given if isinstance(given, Response) else answer(given, status_code)

            return described(answered)

        return decorate

    def arguments(self, schema: Any, *, shape: str | None = None, **options: Any) -> Callable[[Any], Any]:
        """Read the arguments of a view; `shape` names the component that describes them better than the schema can."""
        read = super().arguments(schema, **options)

        def decorate(view: Callable[..., Any]) -> Any:
            reading = read(view)
            if shape is not None:
                reading._apidoc = copy.deepcopy(reading._apidoc)
                reading._apidoc["arguments"]["parameters"][-1]["schema"] = {
                    "$ref": f"#/components/schemas/{shape}"
                }
            return reading

        return decorate

    def file(self, *kinds: str) -> Callable[[Any], Any]:
        """Describe an answer that is a file of one of these types: whole, in part, unchanged, or elsewhere."""

        def decorate(view: Any) -> Any:
            for code in (206, 200):
                for kind in kinds:
                    view = self.alt_response(code, schema=FILE, content_type=kind, success=True)(view)
            for code in (302, 304):
                view = self.alt_response(code, HTTPStatus(code).name)(view)
            return self.alt_response(416, HTTPStatus(416).name)(view)

        return decorate


def _shared_errors(doc: Shape, doc_info: Shape, *, method: str, **_: Any) -> Shape:
    # every operation may also name an object that is not there, in its URL, body or parameters
    for code in (*(READING if method == "get" else WRITING), 404):
        doc.setdefault("responses", {}).setdefault(str(code), HTTPStatus(code).name)
    return doc


def _object(**properties: Shape) -> Shape:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _or_null(shape: Shape) -> Shape:
    if "type" not in shape:
        return {"anyOf": [shape, {"type": "null"}]}
    null: Shape = {"type": [shape["type"], "null"]}
    return shape | null | ({"enum": [*shape["enum"], None]} if "enum" in shape else {})


def _one_of(*values: str) -> Shape:
    return {"type": "string", "enum": list(values)}


def _many(shape: Shape) -> Shape:
    return {"type": "array", "items": shape}


def page(shape: Shape) -> Shape:
    """Describe a page of a list."""
    return _object(items=_many(shape), next=_or_null(TEXT | {"description": "cursor of the next page"}))


TEXT: Shape = {"type": "string"}
COUNT: Shape = {"type": "integer", "minimum": 0}
NUMBER: Shape = {"type": "number"}
FLAG: Shape = {"type": "boolean"}
TIME: Shape = {"type": "string", "format": "date-time", "description": "RFC 3339 in UTC"}
ANYTHING: Shape = {"type": "object", "additionalProperties": True}
IMEI: Shape = {"type": "string", "pattern": "^[0-9]{15}$"}
FILE: Shape = {"type": "string", "format": "binary"}
CAMERA = TEXT | {"description": "front or rear"}

ACTION = _object(label=TEXT, kind=_one_of(*ActionKind))
HEALTH = _object(
    state=_one_of(*HealthState),
    code=_one_of(*sorted(CODES)),
    reason=TEXT,
    since=TIME,
    action=_or_null(ACTION),
)
FLEET = _object(counts=_object(**{str(state): COUNT for state in HealthState}), under_way=COUNT)
DEVICE = _object(
    imei=IMEI,
    phone=TEXT,
    name=TEXT,
    model=TEXT,
    sms_login=_or_null(TEXT),
    sms_password=_or_null(TEXT),
    credentials_pending=FLAG,
    time_zone=TEXT,
    firmware=_or_null(TEXT),
    camera_server_configured=FLAG,
    cabin_private=FLAG,
    health=HEALTH,
    seen_at=_or_null(TIME),
    tags=_many(TEXT),
    plate=TEXT,
    profile=_or_null(TEXT),
    profile_version=_or_null(COUNT),
    card_gb=_or_null(COUNT),
    created_at=TIME,
    updated_at=TIME,
    archived_at=_or_null(TIME),
)

STATUS_ITEM = _object(
    item=TEXT,
    value=_or_null(TEXT),
    asked=_or_null(TEXT),
    verdict=_one_of(*Verdict),
    note=_or_null(TEXT),
    since=TIME,
    checked_at=TIME,
    source=_or_null(
        {
            "type": "object",
            "properties": {"command": TEXT, "upload": TEXT, "record": TEXT},
            "additionalProperties": False,
            "description": "where it is known from",
        }
    ),
    seen_in=_or_null({"type": "object", "properties": {"message": TEXT, "session": TEXT}}),
)

UPLOAD = _object(
    id=TEXT,
    imei=TEXT,
    file_type=TEXT,
    source=CAMERA,
    trigger=_or_null(COUNT),
    trigger_name=_or_null(TEXT),
    timestamp=_or_null(TIME),
    trigger_timestamp=_or_null(TIME),
    duration=_or_null(COUNT),
    frame_rate=_or_null(COUNT),
    camera_time_zone=_or_null({"type": "integer"}),
    latitude=_or_null(NUMBER),
    longitude=_or_null(NUMBER),
    state=_one_of(*UploadState),
    size=COUNT,
    packets=COUNT,
    received_packets=COUNT,
    sha256=_or_null(TEXT),
    crc_errors=COUNT,
    resumes=COUNT,
    event=_or_null(TEXT | {"description": "id of the event that the file is of"}),
    started_at=TIME,
    received_at=_or_null(TIME),
    address=_or_null(TEXT | {"description": "from which address the file came"}),
    other_network=_or_null(
        FLAG
        | {"description": "whether that is of another network than the device's files had come from before"}
    ),
    link=_object(
        command=_or_null(TEXT),
        reason=_or_null(TEXT),
        record=_or_null(TEXT),
        certainty=_or_null(_one_of(*Certainty)),
        looked_like=_or_null(
            TEXT | {"description": "the command that a doubtful file looked like the answer to"}
        ),
    ),
    doubtful=FLAG
    | {
        "description": "the file looked like the answer to a command, but another one certainly is that: it may not be "
        "of this device"
    },
    thumbnail=_or_null(TEXT),
    video=_or_null(TEXT),
    playback=_or_null(ANYTHING),
    problem=_or_null(TEXT),
)

EVENT = _object(
    id=TEXT,
    imei=IMEI,
    kind=_one_of(*EventKind),
    at=TIME,
    uploads=_many(UPLOAD),
    seen_by=_many(TEXT | {"description": "user or token"}),
    seen_at=_or_null(
        TIME | {"description": "when it was first seen, or came too long ago for anybody to look"}
    ),
    saved=FLAG | {"description": "its files are kept beyond their retention"},
    saved_by=_or_null(TEXT),
    place=_or_null(_object(latitude=NUMBER, longitude=NUMBER)),
)

SHARE = _object(
    id=TEXT,
    event=TEXT,
    created_by=TEXT,
    created_at=TIME,
    expires_at=TIME,
    ended_at=_or_null(TIME | {"description": "when somebody ended it before its time"}),
    password=FLAG | {"description": "whether it asks for a password"},
    views=COUNT,
    viewed_at=_or_null(TIME),
)
NEW_SHARE = _object(url=TEXT, **SHARE["properties"])

COMMAND = _object(
    id=TEXT,
    imei=TEXT,
    command=TEXT,
    arguments=ANYTHING,
    state=_one_of(*ShownState),
    text=TEXT | {"description": "the SMS, login and password as dots"},
    length=COUNT,
    reply=_or_null(TEXT),
    result=_or_null(ANYTHING),
    match=_or_null(TEXT),
    error=_or_null(_object(code=TEXT, message=_or_null(TEXT), retry=FLAG)),
    note=_or_null(TEXT),
    late=FLAG,
    uploads=_many(UPLOAD),
    history=_many(_object(at=TIME, state=_one_of(*ShownState), note=_or_null(TEXT))),
    requested_by=TEXT,
    parent=_or_null(TEXT),
    batch=_or_null(_many(TEXT)),
    created_at=TIME,
    updated_at=TIME,
    expires_at=_or_null(TIME),
)

PREVIEW = _object(
    messages=_many(_object(text=TEXT, length=COUNT | {"maximum": 160})),
    sms=COUNT,
    price=_or_null(_object(amount=NUMBER, currency=TEXT | {"description": "ISO 4217"})),
    megabytes=NUMBER | {"description": "of the files that are likely to come here"},
    ready_in=_object(
        seconds=COUNT,
        low=COUNT,
        high=COUNT,
        basis=_one_of(*Basis) | {"description": "what the estimate rests on"},
    ),
    warnings=_many(_object(code=TEXT, text=TEXT)),
    blocked_by=_or_null(COMMAND | {"description": "the command that has to end first"}),
    already_here=_or_null(UPLOAD | {"description": "a stored file that the command asks for"}),
)

CHECK = _object(
    state=_one_of("running", "waiting", "ended"),
    started_at=TIME,
    ended_at=_or_null(TIME),
    started_by=TEXT,
    steps=_many(
        _object(
            id=TEXT,
            title=TEXT,
            state=_one_of("later", "running", "question", "skipped", "done"),
            verdict=_or_null(TEXT | {"description": "good, warn, bad, or not visible"}),
            text=TEXT,
            todo=TEXT,
            seconds=_or_null(NUMBER | {"description": "how long its answers took"}),
            commands=_many(TEXT),
        )
    ),
    verdict=_or_null(
        _object(
            code=TEXT,
            title=TEXT,
            certainty=_one_of("certain", "likely", "one_of"),
            camera=_or_null(_one_of("front", "rear", "both")),
            todo=TEXT,
            text=TEXT,
            rests_on=_many(TEXT | {"description": "id of a step"}),
            who=_or_null(_one_of("desk", "vehicle")),
            action=_or_null(_object(label=TEXT, kind=TEXT)),
        )
    ),
    question=_or_null(_object(id=TEXT, text=TEXT, answers=_many(_one_of("yes", "no", "unable")))),
    note=_or_null(TEXT | {"description": "why it was ended before its end"}),
    sms=COUNT | {"description": "how many were sent"},
)

MESSAGE = _object(
    **{
        "id": TEXT,
        "direction": _one_of(*Direction),
        "imei": _or_null(TEXT),
        "command": _or_null(TEXT),
        "from": TEXT,
        "to": TEXT,
        "text": TEXT,
        "status": TEXT,
        "error_code": _or_null(TEXT),
        "claimed": FLAG,
        "note": _or_null(TEXT),
        "created_at": TIME,
    }
)

ROLE = _one_of(*Role)
INVITATION = _object(
    url=_or_null(TEXT | {"description": "null where the call is repeated by its key"}),
    expires_at=TIME,
    mailed=FLAG,
    problem=_or_null(TEXT),
)
LIMIT = _or_null(_many(TEXT) | {"description": "sees vehicles with one of these tags; null: the whole fleet"})
USER = _object(
    id=TEXT,
    email=TEXT,
    name=TEXT,
    role=ROLE,
    tags=LIMIT,
    active=FLAG,
    language=_or_null(_one_of(*LANGUAGES)) | {"description": "null: the browser's"},
    time_zone=_or_null(TEXT) | {"description": "IANA name; null: none"},
    has_password=FLAG,
    invited_until=_or_null(TIME),
    seen_at=_or_null(TIME),
    created_at=TIME,
)
INVITED = _object(**USER["properties"], invitation=_or_null(INVITATION))
TOKEN = _object(
    id=TEXT,
    name=TEXT,
    role=ROLE,
    tags=LIMIT,
    made_by=TEXT,
    last_used_at=_or_null(TIME),
    expires_at=TIME,
    created_at=TIME,
)
NEW_TOKEN = _object(
    **TOKEN["properties"],
    token=_or_null(TEXT | {"description": "null where the call is repeated by its key"}),
)

AUDIT_ENTRY = _object(
    id=TEXT,
    at=TIME,
    who=TEXT,
    address=TEXT,
    action=_one_of(*AuditAction),
    object=_or_null(TEXT),
    imei=_or_null(TEXT),
    detail=ANYTHING,
)

SESSION = _object(
    id=TEXT,
    imei=_or_null(TEXT),
    known=FLAG,
    address=TEXT,
    started_at=TIME,
    ended_at=_or_null(TIME),
    code=_or_null(TEXT),
    reason=_or_null(TEXT),
    files=COUNT,
    bytes=COUNT,
    crc_errors=COUNT,
    resumes=COUNT,
    connections=COUNT | {"description": "how many connections this row stands for"},
)

VALUE: Shape = {"oneOf": [{"type": "integer"}, {"type": "string"}]}
VALUES: Shape = {"type": "object", "additionalProperties": VALUE, "description": "by parameter id"}

PARAMETER = _object(
    id=COUNT,
    key=TEXT,
    name=TEXT,
    kind=_one_of("integer", "choice", "mask", "text"),
    summary=TEXT,
    minimum=_or_null({"type": "integer"}),
    maximum=_or_null({"type": "integer"}),
    step=COUNT,
    choices=ANYTHING,
    bits=ANYTHING,
    default=_or_null(VALUE),
    unit=_or_null(TEXT),
    since=_or_null(TEXT),
    depends=_many(TEXT),
    max_length=_or_null(COUNT),
    secret=FLAG,
)

PLAN = _object(
    parameters=VALUES,
    messages=_many(_object(text=TEXT, length=COUNT | {"maximum": 160})),
    warnings={"type": "object", "additionalProperties": _many(TEXT), "description": "by parameter id"},
)

PROFILE = _object(
    name=TEXT, version=COUNT, description=TEXT, parameters=VALUES, created_by=TEXT, created_at=TIME
)
PROFILE_WITH_VERSIONS = _object(**PROFILE["properties"], versions=_many(PROFILE))
COMMANDS = _object(commands=_many(COMMAND))
STATUS = _object(items=_many(STATUS_ITEM))
RECORDED = _object(accepted=FLAG, known=FLAG)
