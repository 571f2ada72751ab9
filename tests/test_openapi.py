"""The OpenAPI document against the app: schemathesis calls every operation with good and bad input. No answer may be a
crash or differ from what the document says of its status, type and shape; what it allows is accepted, and what
it forbids is refused. `make openapi` runs all checks of schemathesis with more examples against the web process.
"""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import described_answers
import openapi_formats
import pytest
import schemathesis
from conftest import ACCOUNT_SID, AUTH_TOKEN, SENDER, examples
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import checks

from app import create_app
from provisioning.commands import submission
from provisioning.core import audit
from provisioning.core.config import load
from provisioning.devices import registry
from provisioning.fleet import presets
from provisioning.media import telemetry
from provisioning.models import (
    CameraSession,
    ChecklistRun,
    Device,
    Event,
    Role,
    Share,
    Upload,
    UploadState,
    db,
    utcnow,
)
from provisioning.sms import inbound
from provisioning.sms.gateway import InboundSms
from provisioning.tracker import language
from provisioning.web import auth, users

IMEI = "352094082736916"
CHECKS = [
    checks.not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
    checks.response_schema_conformance, checks.positive_data_acceptance, checks.negative_data_rejection,
]  # fmt: skip
EXAMPLES = 4
OTHER = "2"  # a person, and a token that is not the one of these calls

pytestmark = pytest.mark.xdist_group("openapi")  # what they share is made once


@pytest.fixture(scope="module")
def served(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flask, str]]:
    """The app on SQLite with a device, a command, a file, messages and a token; no SMS leaves it."""
    folder = tmp_path_factory.mktemp("openapi")
    (folder / "test.db").write_bytes(sqlite_template.read_bytes())
    app = create_app(
        dataclasses.replace(
            load(), database_url=f"sqlite:///{folder}/test.db",
            media_url=f"file://{folder}/media", media_spool=folder / "spool", twilio_account_sid=ACCOUNT_SID,
            twilio_auth_token=AUTH_TOKEN, twilio_from=SENDER, api_requests_per_minute=1_000_000,
        )
    )  # fmt: skip
    with app.app_context():
        token = auth.create_token("fuzz", Role.ADMIN)
        auth.create_token("other", Role.VIEWER)
        for name in ("one", "two"):
            users.add(f"{name}@example.com", "", Role.VIEWER)
        audit.write([audit.NewEntry("one@example.com", "192.0.2.1", audit.AuditAction.SIGNED_IN)], utcnow())
        fill()
    yield app, token
    with app.app_context():
        db.engine.dispose()


def fill() -> None:
    now = utcnow()
    van = registry.add(
        {"imei": IMEI, "phone": "+12025550111", "sms_login": "fleet", "sms_password": "cam11"}, now
    )
    asked = language.from_arguments(
        "camreq", {"file_type": "photo", "source": "front"}, now=int(now.timestamp())
    )
    submission.submit(van, asked, submission.Requester("tests", Role.INSTALLER), now)
    db.session.add(
        Upload(
            id="0" * 32,
            imei=IMEI,
            device_id=van.id,
            identifier="%photof",
            file_type="photo",
            source="front",
            state=UploadState.STORED,
            trigger=0,
            timestamp=now,
            sha256="0" * 64,
            event_id="0" * 32,
        )
    )
    db.session.add(
        Event(
            id="0" * 32, device_id=van.id, kind="asked", at=now, cameras="front", file_types="photo", latitude=54.6,
            longitude=25.2,
        )
    )  # fmt: skip
    db.session.add(
        Share(
            id="0" * 32, token_hash="0" * 64, object_kind="event", object_id="0" * 32, device_id=van.id,
            created_by="tests", expires_at=now,
        )
    )  # fmt: skip
    db.session.add(
        CameraSession(id="1" * 32, imei=IMEI, device_id=van.id, address="192.0.2.1:40000", ended_at=now)
    )
    db.session.commit()
    presets.save(openapi_formats.PROFILE, "", {"66001": 50}, "tests", now)
    db.session.add(_check_that_ended(van))
    db.session.commit()
    telemetry.accept(van, now, {"498": 3, "239": 1}, now)
    text = InboundSms("twilio", "SM1", "+12025550111", SENDER, "Param ID:66001 Value:50")
    inbound.receive(text, now, via="webhook")


def _check_that_ended(van: Device) -> ChecklistRun:
    steps = {"sd": {"state": "done", "verdict": "bad", "code": "no_card", "arguments": {}, "mark": "no_card"}}
    return ChecklistRun(device_id=van.id, steps=steps, verdict="no_card", ended_at=utcnow())


@pytest.fixture(scope="module")
def schema(served: tuple[Flask, str]) -> Any:
    """The document as schemathesis reads it."""
    return schemathesis.openapi.from_wsgi("/api/v1/openapi.json", served[0])


def describe(app: Flask) -> dict[str, Any]:
    document = app.test_client().get("/api/v1/openapi.json").json
    assert isinstance(document, dict)
    return document


def test_the_document_is_a_valid_openapi_document(schema: Any) -> None:
    schema.validate()
    assert len(list(schema.get_all_operations())) >= 25


def test_every_operation_names_its_errors_and_the_shape_of_its_answer(served: tuple[Flask, str]) -> None:
    for path, methods in describe(served[0])["paths"].items():
        for method, operation in methods.items():
            if method == "parameters":
                continue
            answers = operation["responses"]
            assert {"401", "404", "429"} <= set(answers), path
            if method != "get":
                assert {"403", "409", "422"} <= set(answers), path
            good = [answer for code, answer in answers.items() if code in ("200", "201", "202")]
            assert all("content" in answer for answer in good), path
            assert good or method == "delete", path


def operations() -> list[tuple[str, str]]:
    """Every operation of the contract, so that each is a test of its own."""
    return [
        ("get", "/fleet"),
        ("get", "/devices"), ("post", "/devices"), ("get", "/devices/{imei}"), ("patch", "/devices/{imei}"),
        ("delete", "/devices/{imei}"), ("get", "/devices/{imei}/status"), ("post", "/devices/{imei}/records"),
        ("get", "/parameters"), ("post", "/parameters/plan"), ("post", "/devices/{imei}/provision"),
        ("post", "/devices/{imei}/check"), ("get", "/devices/{imei}/check"), ("post", "/devices/{imei}/check/answers"),
        ("post", "/devices/{imei}/commands"), ("get", "/commands"), ("get", "/commands/{ident}"),
        ("post", "/commands/{ident}/cancel"), ("get", "/uploads"), ("get", "/uploads/{ident}"),
        ("patch", "/uploads/{ident}/link"), ("get", "/uploads/{ident}/content"),
        ("get", "/uploads/{ident}/thumbnail.jpg"), ("get", "/uploads/{ident}/video.mp4"), ("get", "/profiles"),
        ("post", "/profiles"), ("get", "/profiles/{name}"), ("get", "/messages"), ("get", "/sessions"),
        ("get", "/audit"), ("post", "/devices/{imei}/commands/preview"),
        ("get", "/events"), ("get", "/events/{ident}"), ("post", "/events/{ident}/seen"),
        ("post", "/events/{ident}/shares"), ("get", "/shares/{ident}"), ("delete", "/shares/{ident}"),
        ("put", "/events/{ident}/saved"), ("delete", "/events/{ident}/saved"),
        ("get", "/users"), ("post", "/users"), ("patch", "/users/{ident}"), ("delete", "/users/{ident}"),
        ("post", "/users/{ident}/invitation"), ("get", "/tokens"), ("post", "/tokens"), ("patch", "/tokens/{ident}"),
        ("delete", "/tokens/{ident}"),
    ]  # fmt: skip


def test_every_operation_of_the_document_is_called(served: tuple[Flask, str]) -> None:
    report = {
        (method, path.removeprefix("/api/v1"))
        for path, methods in describe(served[0])["paths"].items()
        for method in methods
        if method != "parameters"
    }
    assert report == set(operations())


def calls(command: str) -> list[tuple[str, str, Any]]:
    """One call of each operation that answers JSON, which succeeds: objects that `fill` has made."""
    device, event = f"/devices/{IMEI}", f"/events/{'0' * 32}"
    photo = {"command": "camreq", "file_type": "photo", "source": "rear"}
    return [
        ("get", "/fleet", None), ("get", "/devices", None), ("get", device, None),
        ("post", "/devices", {"imei": "352094082736908", "phone": "+12025550112"}), ("patch", device, {"name": "Van"}),
        ("get", f"{device}/status", None),
        ("post", f"{device}/records", {"timestamp": 1_700_000_000, "values": {"499": 1}}),
        ("get", "/parameters", None), ("post", "/parameters/plan", {"parameters": {"66001": 50}}),
        ("get", "/profiles", None), ("get", "/profiles/City", None),
        ("post", "/profiles", {"name": "Town", "parameters": {"66001": 60}}),
        ("post", f"{device}/provision", {"profile": "City"}), ("get", f"{device}/check", None),
        ("post", f"{device}/commands", {"command": "getver"}), ("post", f"{device}/commands/preview", photo),
        ("get", "/commands", None), ("get", f"/commands/{command}", None),
        ("post", f"/commands/{command}/cancel", None), ("post", f"{device}/check", None),
        ("get", "/uploads", None), ("get", f"/uploads/{'0' * 32}", None),
        ("patch", f"/uploads/{'0' * 32}/link", {"command": None}),
        ("get", "/events", None), ("get", event, None), ("post", f"{event}/seen", None),
        ("put", f"{event}/saved", None),
        ("post", f"{event}/shares", {"hours": 1, "password": "secret words"}), ("get", f"/shares/{'0' * 32}", None),
        ("get", "/messages", None), ("get", "/sessions", None), ("get", "/audit", None),
        ("get", "/users", None), ("post", "/users", {"email": "new@example.com", "role": "viewer"}),
        ("patch", f"/users/{OTHER}", {"name": "Ada"}), ("post", f"/users/{OTHER}/invitation", None),
        ("get", "/tokens", None), ("post", "/tokens", {"name": "new", "role": "viewer"}),
        ("patch", f"/tokens/{OTHER}", {"name": "older"}),
        ("post", f"{device}/check/answers", {"question": "led", "answer": "yes"}),
    ]  # fmt: skip


def test_every_answer_is_as_the_document_describes_it_and_has_no_other_field(
    served: tuple[Flask, str],
) -> None:
    app, token = served
    with app.app_context():
        command = db.session.execute(db.text("SELECT id FROM commands LIMIT 1")).scalar_one()
        document = described_answers.closed_document()
    described = document["paths"]
    succeeded = set()
    for method, path, body in calls(command):
        if path.endswith("/answers"):
            let_the_check_wait_for_a_person(app)
        answer = app.test_client().open(
            f"/api/v1{path}", method=method.upper(), json=body, headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.status_code < 300, (method, path, answer.json)
        assert answer.json.get("items", True), f"{path} is empty and shows nothing"
        place = next(place for place in described if fits(place, path) and method in described[place])
        assert described_answers.problems(document, method, place, answer.status_code, answer.json) == []
        succeeded.add((method, place))
    answering = {
        (method, path)
        for path, methods in described.items()
        for method, operation in methods.items()
        if method != "parameters"
        if any("application/json" in str(operation["responses"].get(code)) for code in ("200", "201", "202"))
    }
    assert answering <= succeeded


def let_the_check_wait_for_a_person(app: Flask) -> None:
    with app.app_context():
        run = db.session.scalars(db.select(ChecklistRun).where(ChecklistRun.ended_at.is_(None))).one()
        run.steps = run.steps | {"led": {"state": "question"}}
        db.session.commit()


def fits(place: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", place), f"/api/v1{path}") is not None


@pytest.mark.parametrize(
    "time",
    ["2000-01-01T00:00:00Z", "2000-01-01T00:00:00+14:00", "1999-12-31T23:59:59-01:00", "0000-00-00T00:00:00Z",
     "2025-00-01T00:00:00Z", "2025-13-01T00:00:00Z", "2025-06-00T00:00:00Z", "2025-06-32T00:00:00Z",
     "2025-06-30T24:00:00Z", "2025-06-30T23:60:00Z", "2025-06-30T23:59:60Z", "2025-06-30T23:59:59.999999Z",
     "2025-06-30T23:59:59+23:59", "2025-06-30T23:59:59-24:00", "2025-06-30T23:59:59"],
)  # fmt: skip
def test_a_time_is_accepted_if_and_only_if_the_document_allows_it(
    served: tuple[Flask, str], time: str
) -> None:
    app, token = served
    record = describe(app)["components"]["schemas"]["RecordRequest"]
    pattern = record["properties"]["timestamp"]["anyOf"][1]["pattern"]
    answer = app.test_client().post(
        f"/api/v1/devices/{IMEI}/records",
        json={"timestamp": time, "values": {}},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code in ((200, 201) if re.search(pattern, time) else (422,))


@pytest.mark.hypothesis
@pytest.mark.parametrize("real", [True, False], ids=["real objects", "made-up objects"])
@pytest.mark.parametrize(("method", "path"), operations(), ids=lambda value: str(value))
def test_no_input_crashes_an_operation_and_answers_are_as_described(
    served: tuple[Flask, str], schema: Any, method: str, path: str, real: bool
) -> None:
    app, token = served
    if method == "delete" and real:
        return
    operation = schema[f"/api/v1{path}"][method.upper()]
    with app.app_context():
        known = {"imei": IMEI, "ident": "0" * 32, "name": "City"}
        if path.startswith(("/users", "/tokens")):
            known["ident"] = OTHER
        if path.startswith("/commands"):
            known["ident"] = db.session.execute(db.text("SELECT id FROM commands LIMIT 1")).scalar_one()

    @settings(
        max_examples=examples(EXAMPLES), derandomize=True, database=None,
        phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def call(case: Any) -> None:
        if real and case.path_parameters:
            case.path_parameters = {name: known[name] for name in case.path_parameters}
        # also where the case is that it is missing; and nobody here unpacks what the app has compressed
        case.headers.update({"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"})
        case.call_and_validate(checks=CHECKS)

    for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
        given(case=operation.as_strategy(generation_mode=mode))(call)()
