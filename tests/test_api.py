"""The REST contract: who may, what comes in, what goes out, and every refusal in one shape."""

import threading
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from gateway_double import Phone
from sqlalchemy import func, select

from provisioning.check import runner
from provisioning.check.steps import STEPS
from provisioning.models import ChecklistRun, Command, Device, Role, Upload, db, utcnow
from provisioning.web import auth
from receiver.store.keys import describe
from receiver.wire.actions import Offer

IMEI = "352094082736916"
DEVICE = {
    "imei": IMEI,
    "phone": "+12025550111",
    "sms_login": "fleet",
    "sms_password": "cam11",
    "time_zone": "UTC",
}


class Api:
    """A client with a token."""

    def __init__(self, app: Flask, role: Role) -> None:
        self.client: FlaskClient = app.test_client()
        self.headers = {"Authorization": f"Bearer {auth.create_token(role.value, role)}"}

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        return self.client.open(f"/api/v1{path}", method=method, json=body, headers=self.headers | headers)


@pytest.fixture
def api(phone: Phone) -> Api:
    return Api(phone.app, Role.ADMIN)


@pytest.fixture
def van(api: Api) -> str:
    assert api("POST", "/devices", DEVICE).status_code == 201
    return f"/devices/{IMEI}"


def test_a_device_is_added_shown_changed_and_archived(api: Api) -> None:
    answer = api("POST", "/devices", DEVICE)
    assert answer.status_code == 201
    assert (answer.json["imei"], answer.json["sms_password"]) == (IMEI, "•••••")
    assert "cam11" not in api("GET", f"/devices/{IMEI}").text
    assert api("PATCH", f"/devices/{IMEI}", {"name": "Van"}).json["name"] == "Van"
    assert [d["imei"] for d in api("GET", "/devices").json["items"]] == [IMEI]
    assert api("DELETE", f"/devices/{IMEI}").status_code == 204
    assert api("GET", f"/devices/{IMEI}").status_code == 404
    assert api("POST", "/devices", DEVICE).status_code == 201


@pytest.mark.on_sqlite
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("imei", "352094082736917"), ("imei", "35209408273691"), ("imei", "3520940827369160"), ("imei", ""),
        ("phone", "2025550111"), ("phone", "+1 202 555 CALL"), ("phone", "+1234567"), ("phone", "+1234567890123456"),
        ("sms_login", "toolong"), ("sms_password", "a b"), ("time_zone", "Mars/Base"), ("colour", "red"),
    ],
)  # fmt: skip
def test_a_bad_field_is_refused_by_name_and_changes_nothing(api: Api, field: str, value: str) -> None:
    answer = api("POST", "/devices", DEVICE | {field: value})
    assert answer.status_code == 422
    assert set(answer.json) == {"code", "message", "errors"}
    assert list(answer.json["errors"]) == [field]
    assert db.session.scalar(select(Device)) is None


def test_a_taken_imei_or_phone_is_a_conflict_that_names_it(api: Api, van: str) -> None:
    answer = api("POST", "/devices", DEVICE | {"phone": "+12025550199"})
    assert (answer.status_code, list(answer.json["errors"])) == (409, ["imei"])
    answer = api("POST", "/devices", DEVICE | {"imei": "356307042441013"})
    assert (answer.status_code, list(answer.json["errors"])) == (409, ["phone"])


@pytest.mark.on_sqlite
def test_the_plan_shows_what_would_be_sent(api: Api, van: str) -> None:
    given = {"parameters": {"66022": ["DIN1", "Crash", "Unplug"], "66023": 2}, "imei": IMEI}
    plan = api("POST", "/parameters/plan", given).json
    assert plan["parameters"] == {"151": 18, "150": 1, "66022": 138, "66023": 2}
    assert plan["messages"] == [{"text": "••••• ••••• setparam 151:18;150:1;66022:138;66023:2", "length": 51}]
    assert "66023" in plan["warnings"]


def test_the_plan_says_that_triggers_lead_nowhere_until_the_server_is_known(api: Api, van: str) -> None:
    given = {"parameters": {"66022": ["Crash"]}, "imei": IMEI}
    (report,) = [
        text for text in api("POST", "/parameters/plan", given).json["warnings"]["66022"] if "reach" in text
    ]
    assert "Configurator" in report
    api("PATCH", van, {"camera_server_configured": True})
    after = api("POST", "/parameters/plan", given).json["warnings"]["66022"]
    assert report not in after


@pytest.mark.on_sqlite
@pytest.mark.parametrize(
    ("parameters", "where"),
    [
        ({"66022": 1}, "66022"), ({"66022": 512}, "66022"), ({"66022": -2}, "66022"), ({"66023": 16}, "66023"),
        ({"66022": ["None", "DIN1"]}, "66022"), ({"66023": ["Towing"]}, "66023"), ({"151": 17}, "151"),
        ({"150": 0}, "150"), ({"66024": 31}, "66024"), ({"66003": 24}, "66003"), ({"99999": 1}, "99999"),
        ({"3003": "a", "3004": "b"}, "3003"), ({"66001": 101}, "66001"), ({"66001": None}, "66001"),
    ],
)  # fmt: skip
def test_a_bad_parameter_is_refused_under_its_id(
    api: Api, van: str, parameters: dict[str, Any], where: str
) -> None:
    for path in ("/parameters/plan", f"{van}/provision"):
        answer = api("POST", path, {"parameters": parameters})
        assert answer.status_code == 422
        assert where in answer.json["errors"]
    assert db.session.scalar(select(Command)) is None


@pytest.mark.on_sqlite
@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        ({"file_type": "video", "source": "front", "timestamp": 1_700_000_000, "duration": 31}, "duration"),
        ({"file_type": "video", "source": "front", "timestamp": 4_000_000_000, "duration": 5}, "timestamp"),
        ({"file_type": "video", "source": "front", "timestamp": "2026-01-01T10:00:00", "duration": 5}, "timestamp"),
        ({"file_type": "photo", "source": "top"}, "source"),
        ({"file_type": "photo", "source": "front", "duration": 5}, "duration"),
        ({"file_type": "photo", "source": "front", "resolution": "8k"}, "resolution"),
        ({"file_type": "film", "source": "front"}, "file_type"),
        ({}, "file_type"),
    ],
)  # fmt: skip
def test_a_bad_request_is_refused_by_argument(
    api: Api, van: str, arguments: dict[str, Any], where: str
) -> None:
    answer = api("POST", f"{van}/commands", {"command": "camreq"} | arguments)
    assert answer.status_code == 422
    assert where in answer.json["errors"]
    assert db.session.scalar(select(Command)) is None


def test_a_command_is_accepted_with_the_fields_of_the_contract(api: Api, van: str) -> None:
    answer = api("POST", f"{van}/commands", {"command": "camreq", "file_type": "photo", "source": "front"})
    assert answer.status_code == 202
    fields = {
        "id",
        "imei",
        "state",
        "text",
        "reply",
        "result",
        "error",
        "uploads",
        "history",
        "created_at",
        "updated_at",
    }
    assert fields <= set(answer.json)
    found = api("GET", f"/commands/{answer.json['id']}").json
    assert (found["state"], found["text"]) == ("queued", "••••• ••••• camreq:1,1")
    assert api("GET", f"/commands?imei={IMEI}&state=queued").json["items"][0]["id"] == found["id"]
    assert api("POST", f"/commands/{found['id']}/cancel").json["state"] == "cancelled"
    assert api("POST", f"/commands/{found['id']}/cancel").status_code == 409


def test_provisioning_by_profile_and_by_version(api: Api, van: str) -> None:
    for rate in (20, 25):
        given = {"name": "City vans", "parameters": {"66003": rate}}
        assert api("POST", "/profiles", given).status_code == 201
    answer = api("POST", f"{van}/provision", {"profile": "City vans"})
    assert answer.status_code == 202
    assert answer.json["commands"][0]["text"].endswith("66003:25")
    answer = api("POST", f"{van}/provision", {"profile": "City vans@1"})
    assert answer.json["commands"][0]["text"].endswith("66003:20")
    assert api("POST", f"{van}/provision", {"profile": "none"}).status_code == 404
    assert api("POST", f"{van}/provision", {}).status_code == 422


@pytest.mark.on_sqlite
def test_a_device_without_sms_credentials_is_a_conflict(api: Api) -> None:
    api("POST", "/devices", {"imei": IMEI, "phone": "+12025550111"})
    for path, body in (("provision", {"parameters": {}}), ("commands", {"command": "getver"})):
        answer = api("POST", f"/devices/{IMEI}/{path}", body)
        assert (answer.status_code, answer.json["code"]) == (409, "no_sms_credentials")


def test_a_repeated_key_answers_the_same_and_does_nothing_again(api: Api, van: str) -> None:
    body = {"command": "camreq", "file_type": "photo", "source": "front"}
    first = api("POST", f"{van}/commands", body, **{"Idempotency-Key": "k1"})
    second = api("POST", f"{van}/commands", body, **{"Idempotency-Key": "k1"})
    assert (second.status_code, second.json) == (first.status_code, first.json)
    assert second.headers["Idempotency-Replayed"] == "true"
    assert db.session.scalar(select(func.count()).select_from(Command)) == 1
    other = api("POST", f"{van}/commands", body | {"source": "rear"}, **{"Idempotency-Key": "k1"})
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")


def test_a_refused_request_may_be_repeated_with_its_key(api: Api, van: str) -> None:
    bad = api("POST", f"{van}/commands", {"command": "camreq"}, **{"Idempotency-Key": "k2"})
    assert bad.status_code == 422
    again = api("POST", f"{van}/commands", {"command": "camreq"}, **{"Idempotency-Key": "k2"})
    assert again.status_code == 422


def test_the_same_post_from_many_threads_makes_one_command(phone: Phone, van: str) -> None:
    app, api = phone.app, Api(phone.app, Role.SUPPORT)
    statuses: list[int] = []
    db.session.remove()

    def post() -> None:
        body = {"command": "camreq", "file_type": "photo", "source": "front"}
        headers = api.headers | {"Idempotency-Key": "same"}
        statuses.append(
            app.test_client().post(f"/api/v1{van}/commands", json=body, headers=headers).status_code
        )

    threads = [threading.Thread(target=post) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert set(statuses) <= {202, 409}
    assert 202 in statuses
    assert db.session.scalar(select(func.count()).select_from(Command)) == 1


@pytest.mark.on_sqlite
@pytest.mark.parametrize(
    ("role", "method", "path", "body", "status"),
    [
        (Role.VIEWER, "GET", "/devices", None, 200),
        (Role.VIEWER, "POST", "/devices", DEVICE | {"imei": "356307042441013", "phone": "+12025550199"}, 403),
        (Role.VIEWER, "POST", f"/devices/{IMEI}/commands", {"command": "getver"}, 403),
        (Role.SUPPORT, "POST", f"/devices/{IMEI}/commands", {"command": "getver"}, 202),
        (Role.SUPPORT, "POST", f"/devices/{IMEI}/commands", {"command": "camget_sdformat", "camera": "front"}, 403),
        (Role.SUPPORT, "POST", f"/devices/{IMEI}/provision", {"parameters": {}}, 403),
        (Role.INSTALLER, "POST", f"/devices/{IMEI}/provision", {"parameters": {}}, 202),
    ],
)  # fmt: skip
def test_each_role_may_what_it_may(
    phone: Phone, van: str, role: Role, method: str, path: str, body: Any, status: int
) -> None:
    assert Api(phone.app, role)(method, path, body).status_code == status


@pytest.mark.on_sqlite
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404), ("PUT", "/devices", 405), ("GET", "/commands/unknown", 404),
        ("GET", "/uploads/unknown", 404), ("GET", "/devices?cursor=x!", 422), ("GET", "/devices?limit=0", 422),
    ],
)  # fmt: skip
def test_every_error_has_the_one_shape(api: Api, method: str, path: str, status: int) -> None:
    answer = api(method, path)
    assert answer.status_code == status
    assert set(answer.json) == {"code", "message", "errors"}
    if status == 405:
        assert "POST" in answer.headers["Allow"]


@pytest.mark.on_sqlite
def test_malformed_json_and_no_json_are_refused(api: Api) -> None:
    for data, kind, status in (("{", "application/json", 400), ("a=b", "text/plain", 415)):
        answer = api.client.post("/api/v1/devices", data=data, content_type=kind, headers=api.headers)
        assert answer.status_code == status
        assert set(answer.json) == {"code", "message", "errors"}


@pytest.mark.on_sqlite
@pytest.mark.parametrize(
    "body", ["[" * 50_000 + "]" * 50_000, '{"imei": ' + "9" * 5_000 + "}"], ids=["deep", "long"]
)
def test_json_that_no_reader_can_hold_is_refused_like_any_malformed_json(api: Api, body: str) -> None:
    answer = api.client.post(
        "/api/v1/devices", data=body, content_type="application/json", headers=api.headers
    )
    assert (answer.status_code, answer.json["errors"]) == (400, {"body": ["Invalid JSON body."]})


def test_a_long_list_is_read_page_by_page(api: Api, van: str) -> None:
    for name in ("getver", "getio", "getinfo", "getstatus", "camgetver"):
        api("POST", f"{van}/commands", {"command": name})
    seen, cursor = [], ""
    while True:
        page = api("GET", f"/commands?imei={IMEI}&limit=2{cursor}").json
        seen += [item["command"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == ["camgetver", "getstatus", "getinfo", "getio", "getver"]


def test_records_reach_the_status_table(api: Api, van: str) -> None:
    given = {"timestamp": "2026-01-02T03:04:05Z", "values": {"498": 1, "497": 3, "239": 1, "16": 12345}}
    assert api("POST", f"{van}/records", given).status_code == 201
    assert api("POST", f"{van}/records", given).status_code == 200
    items = {item["item"]: item for item in api("GET", f"{van}/status").json["items"]}
    assert items["camera.front.state"]["value"] == "no SD card"
    assert items["camera.front.state"]["verdict"] == "bad"
    assert "record" in items["ignition"]["source"]
    assert api("POST", f"{van}/records", {"timestamp": 1, "values": {}}).status_code == 422


@pytest.mark.on_sqlite
def test_the_catalogue_and_the_description_are_there(api: Api) -> None:
    found = api("GET", "/parameters").json["items"]
    assert {151, 66000, 66042, 3003} <= {item["id"] for item in found}
    document = api.client.get("/api/v1/openapi.json").json
    assert document["openapi"].startswith("3.")
    assert {"/api/v1/devices/{imei}/provision", "/api/v1/uploads/{ident}/content"} <= set(document["paths"])


@pytest.mark.on_sqlite
def test_the_document_names_every_camera_that_a_file_may_be_of(api: Api) -> None:
    shapes = api("GET", "/openapi.json").json["components"]["schemas"]
    named = set(shapes["UploadResponse"]["properties"]["source"]["enum"])
    paths = (
        "mdas9/picture/1.jpg",
        "dsm/1.mp4",
        "dualcam_front/1.mp4",
        "dualcam_rear/1.mp4",
        "dashcam/1",
        "a/1.jpg",
    )
    given = {describe(Offer(path, True, 1, None))[1] for path in paths}
    assert named == given == {"front", "rear", "adas", "dsm", "dashcam", "unknown"}


@pytest.mark.on_sqlite
def test_no_token_no_answer(api: Api) -> None:
    assert api.client.get("/api/v1/devices").status_code == 401
    assert api.client.get("/api/v1/devices", headers={"Authorization": "Bearer x"}).status_code == 401


def test_the_limit_of_requests_is_per_token(phone: Phone) -> None:
    import dataclasses

    phone.app.extensions["dualcam_config"] = dataclasses.replace(phone.config, api_requests_per_minute=3)
    first, second = Api(phone.app, Role.VIEWER), Api(phone.app, Role.SUPPORT)
    assert [first("GET", "/devices").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert second("GET", "/devices").status_code == 200


def test_a_check_is_begun_once_and_shown_as_it_goes(api: Api, van: str) -> None:
    before = api("GET", f"{van}/check")
    assert (before.status_code, before.json["code"]) == (404, "not_run")
    begun = api("POST", f"{van}/check")
    assert (begun.status_code, begun.json["state"], begun.json["sms"]) == (202, "running", 0)
    second = api("POST", f"{van}/check")
    assert (second.status_code, second.json["code"]) == (409, "run_open")
    shown = api("GET", f"{van}/check").json
    assert (shown["verdict"], shown["question"]) == (None, None)
    assert [step["state"] for step in shown["steps"]][:2] == ["running", "later"]


def test_a_check_asks_a_person_and_ends_with_the_answer(api: Api, van: str) -> None:
    api("POST", f"{van}/check")
    run = db.session.scalars(select(ChecklistRun)).one()
    done = {"state": "done", "verdict": "good", "code": "cameras_answer", "arguments": {}, "mark": ""}
    run.steps = {step.id: done for step in STEPS if not step.asks_person} | {
        "cameras": done | {"verdict": "bad", "mark": "rear"}, "rear": done | {"verdict": "bad", "mark": "missing"},
    }  # fmt: skip
    db.session.commit()
    runner.advance(run, utcnow())
    shown = api("GET", f"{van}/check").json
    assert (shown["state"], shown["question"]["id"]) == ("waiting", "led")
    assert "rear camera" in shown["question"]["text"]
    assert api("POST", f"{van}/check/answers", {"question": "led", "answer": "perhaps"}).status_code == 422
    assert (
        api("POST", f"{van}/check/answers", {"question": "sd", "answer": "yes"}).json["code"] == "not_asked"
    )
    ended = api("POST", f"{van}/check/answers", {"question": "led", "answer": "unable"}).json
    report = {name: ended["verdict"][name] for name in ("code", "certainty", "camera", "who", "action")}
    assert report == {
        "code": "rear_camera",
        "certainty": "likely",
        "camera": "rear",
        "who": "vehicle",
        "action": None,
    }
    assert (ended["state"], ended["question"], ended["verdict"]["rests_on"]) == (
        "ended",
        None,
        ["cameras", "rear"],
    )


def test_an_upload_that_may_not_be_of_the_device_says_so(api: Api, van: str) -> None:
    device = db.session.scalars(select(Device)).one()
    for ident, request in (("a" * 32, "c" * 32), ("b" * 32, None)):
        db.session.add(
            Upload(id=ident, imei=IMEI, device_id=device.id, identifier="%photof", file_type="photo",
                   source="front", state="stored", looked_like=request)
        )  # fmt: skip
    db.session.commit()
    shown = api("GET", f"/uploads/{'a' * 32}").json
    assert (shown["doubtful"], shown["link"]["looked_like"]) == (True, "c" * 32)
    listed = [(row["id"][0], row["doubtful"]) for row in api("GET", f"/uploads?imei={IMEI}").json["items"]]
    assert listed == [("b", False), ("a", True)]
