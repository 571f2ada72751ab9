"""What hostile or careless programs send to the API: unkeepable text, odd numbers, races, bodies before rights."""

import threading
from typing import Any

import pytest
import test_api
from gateway_double import Phone
from sqlalchemy import select
from test_api import DEVICE, IMEI, Api

from provisioning.models import Device, Role, db

HALF = "\ud800"
api, van = test_api.api, test_api.van  # the same fixtures


@pytest.mark.parametrize("stray", ["a\0b", f"a{HALF}b"], ids=["NUL", "half a pair"])
@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/devices", DEVICE | {"name": "?"}, "name"),
        ("PATCH", f"/devices/{IMEI}", {"name": "?"}, "name"),
        ("POST", "/profiles", {"name": "City", "description": "?", "parameters": {}}, "description"),
        ("POST", "/parameters/plan", {"parameters": {"66001": "?"}}, "parameters"),
        ("POST", f"/devices/{IMEI}/provision", {"profile": "?"}, "profile"),
        ("POST", f"/devices/{IMEI}/commands", {"command": "camreq", "file_type": "?"}, "file_type"),
    ],
)  # fmt: skip
def test_text_that_no_database_keeps_is_refused_by_field(
    api: Api, van: str, method: str, path: str, body: dict[str, Any], field: str, stray: str
) -> None:
    given = {
        name: stray if value == "?" else {"66001": stray} if value == {"66001": "?"} else value
        for name, value in body.items()
    }
    answer = api(method, path, given)
    assert (answer.status_code, list(answer.json["errors"])) == (422, [field])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/devices/%00", 404), ("/commands/%00", 404), ("/uploads/%00", 404), ("/profiles/%00", 404),
        ("/commands?imei=%00", 422), ("/uploads?command=%00", 422), ("/sessions?imei=%00", 422),
        ("/profiles/a@99999999999999999999", 404), ("/profiles/a@%C2%B2", 404),
    ],
)  # fmt: skip
def test_addresses_that_name_nothing_are_no_crash(api: Api, path: str, status: int) -> None:
    assert api("GET", path).status_code == status


@pytest.mark.on_sqlite
def test_who_may_not_is_told_so_before_the_body_is_read(phone: Phone, van: str) -> None:
    viewer = Api(phone.app, Role.VIEWER)
    for method, path in (
        ("POST", "/devices"), ("PATCH", van), ("POST", f"{van}/commands"), ("POST", f"{van}/provision"),
        ("POST", "/profiles"), ("POST", f"{van}/records"), ("PATCH", "/uploads/1/link"), ("DELETE", van),
    ):  # fmt: skip
        answer = viewer(method, path, {"nonsense": 1})
        assert (answer.status_code, answer.json["code"]) == (403, "forbidden"), path


@pytest.mark.on_sqlite
def test_without_a_token_every_path_asks_for_one(api: Api) -> None:
    answer = api.client.post("/api/v1/devices", json={})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.on_sqlite
def test_a_value_that_is_null_in_a_profile_is_refused_under_its_id(api: Api) -> None:
    answer = api("POST", "/profiles", {"name": "City", "parameters": {"66001": None}})
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["66001"])


@pytest.mark.on_sqlite
def test_a_profile_name_ends_where_it_seems_to(api: Api) -> None:
    assert api("POST", "/profiles", {"name": "City\n", "parameters": {}}).status_code == 422


def test_status_names_only_commands_uploads_and_records_as_sources(phone: Phone, api: Api, van: str) -> None:
    phone.reply("Hello")
    (item,) = api("GET", f"{van}/status").json["items"]
    assert (item["item"], item["source"], list(item["seen_in"])) == ("contact.sms", None, ["message"])


def test_two_devices_that_take_one_number_at_the_same_time_are_a_conflict(
    phone: Phone, api: Api, van: str
) -> None:
    other = {"imei": "356307042441013", "phone": "+12025550112"}
    assert api("POST", "/devices", other).status_code == 201
    found: list[int] = []
    gate = threading.Barrier(2)
    db.session.remove()

    def change(imei: str) -> None:
        client = phone.app.test_client()
        gate.wait(10)
        answer = client.patch(f"/api/v1/devices/{imei}", json={"phone": "+12025550199"}, headers=api.headers)
        found.append(answer.status_code)

    threads = [threading.Thread(target=change, args=(imei,)) for imei in (IMEI, other["imei"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(found) == [200, 409]
    assert len(db.session.scalars(select(Device).where(Device.phone == "+12025550199")).all()) == 1


@pytest.mark.on_sqlite
def test_records_take_whole_numbers_only(api: Api, van: str) -> None:
    for value in (1.5, "x", 70_000, -1, True):
        answer = api("POST", f"{van}/records", {"timestamp": 1_750_000_000, "values": {"239": value}})
        assert (answer.status_code, list(answer.json["errors"])) == (422, ["values.239"]), value


@pytest.mark.on_sqlite
def test_a_whole_number_may_be_written_as_a_fraction(api: Api, van: str) -> None:
    planned = api("POST", "/parameters/plan", {"parameters": {"66001": 50.0, "66022": 2.0}})
    assert (planned.status_code, planned.json["parameters"]["66001"]) == (200, 50)
    assert api("POST", "/parameters/plan", {"parameters": {"66001": 50.5}}).status_code == 422


@pytest.mark.on_sqlite
@pytest.mark.parametrize("flag", [0, 1, "true", "no"])
def test_a_flag_is_true_or_false_and_nothing_that_stands_for_it(api: Api, flag: Any) -> None:
    answer = api("POST", "/parameters/plan", {"parameters": {}, "raw": flag})
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["raw"])


@pytest.mark.parametrize("levels", [21, 100, 330, 450, 900])
@pytest.mark.parametrize("level", [("[", "]"), ('{"a":', "}")], ids=["lists", "objects"])
def test_a_body_of_many_levels_is_refused_as_malformed(
    api: Api, van: str, level: tuple[str, str], levels: int
) -> None:
    nested = level[0] * levels + "1" + level[1] * levels
    for method, path in (("POST", "/devices"), ("PATCH", f"/devices/{IMEI}"), ("POST", "/parameters/plan")):
        answer = api.client.open(
            f"/api/v1{path}", method=method, data=f'{{"name": {nested}}}', content_type="application/json",
            headers=api.headers,
        )  # fmt: skip
        assert (answer.status_code, answer.json["errors"]) == (400, {"body": ["Invalid JSON body."]})


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_a_body_that_is_not_sent_as_json_is_not_taken_for_none(api: Api, van: str, kind: str) -> None:
    answer = api.client.patch(
        f"/api/v1/devices/{IMEI}", data='{"name": "Van 12"}', headers=api.headers | {"Content-Type": kind}
    )
    assert (answer.status_code, answer.json["code"]) == (415, "unsupported_media_type")
    assert "Content-Type: application/json" in answer.json["message"]


def test_a_call_that_needs_no_body_takes_an_empty_one_of_any_type(api: Api, van: str) -> None:
    answer = api.client.post(
        f"/api/v1/devices/{IMEI}/check", data="", headers=api.headers | {"Content-Type": "text/plain"}
    )
    assert answer.status_code == 202
