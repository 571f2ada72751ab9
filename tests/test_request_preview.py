"""What a request would cost, how long it would take and what stands in its way, before it is sent: API and form."""

from datetime import timedelta
from typing import Any

import pytest
from gateway_double import Phone
from page_visitor import Visitor
from sms_commands import ask, photo, send
from sms_rows import add_van
from sqlalchemy import func, select
from test_fleet_lists import Program

from provisioning.devices import measured_times, registry, status_table
from provisioning.models import (
    Command,
    Device,
    Message,
    Role,
    Upload,
    Verdict,
    db,
    new_id,
    utcnow,
    visibility,
)
from provisioning.sms import reconcile

PHOTO = {"command": "camreq", "file_type": "photo", "source": "both"}
PATH = "/devices/352094082736916/commands/preview"


@pytest.fixture
def van(phone: Phone) -> Device:
    return add_van()


@pytest.fixture
def program(phone: Phone) -> Program:
    return Program(phone.app, Role.INSTALLER)


def came(device: Device, rate: int, *, number: int = 3, **more: Any) -> None:
    """Put photos of 48 kB into the database that came at so many bytes a second, the first 20 s after its request."""
    now = utcnow() - timedelta(hours=1)
    for _ in range(number):
        command = Command(
            device_id=device.id, kind="camreq", arguments={"file_type": "photo", "source": "front"}, text="",
            length=1, state="done", sending_at=now - timedelta(seconds=20), due_at=now, history=[],
        )  # fmt: skip
        db.session.add(command)
        db.session.flush()
        given: dict[str, Any] = {
            "id": new_id(), "imei": device.imei, "device_id": device.id, "identifier": "%photof", "file_type": "photo",
            "source": "front", "state": "stored", "size": 48_000, "started_at": now, "trigger": 0,
            "received_at": now + timedelta(seconds=48_000 / rate), "command_id": command.id,
        }  # fmt: skip
        db.session.add(Upload(**given | more))
    db.session.commit()


def clip(**more: Any) -> dict[str, Any]:
    past = int(utcnow().timestamp()) - 600
    return {
        "command": "camreq",
        "file_type": "video",
        "source": "front",
        "timestamp": past,
        "duration": 20,
    } | more


@pytest.mark.on_sqlite
def test_a_preview_says_what_a_photo_costs_and_sends_nothing(program: Program, van: Device) -> None:
    found = program.call("POST", PATH, PHOTO)
    assert found == {
        "messages": [{"text": "••••• ••••• camreq:1,3", "length": 22}],
        "sms": 1,
        "price": None,
        "megabytes": 0.1,
        "ready_in": {"seconds": 36, "low": 18, "high": 72, "basis": "vendor"},
        "warnings": [],
        "blocked_by": None,
        "already_here": None,
    }
    assert db.session.scalar(select(func.count()).select_from(Command)) == 0


def test_three_files_of_the_vehicle_make_the_estimate_its_own(program: Program, van: Device) -> None:
    came(van, 6000)
    assert program.call("POST", PATH, PHOTO)["ready_in"] == {
        "seconds": 36, "low": 36, "high": 36, "basis": "vehicle",
    }  # fmt: skip


def test_files_that_broke_off_or_belong_to_another_vehicle_are_not_measured(
    program: Program, van: Device
) -> None:
    came(van, 6000, number=2)
    came(van, 6000, resumes=1)
    came(van, 6000, state="partial", received_at=None)
    came(van, 1000, device_id=None, imei="490154203237518")
    found = program.call("POST", PATH, PHOTO)["ready_in"]
    assert found["basis"] == "fleet"


def test_an_estimate_for_somebody_limited_to_tags_rests_on_the_whole_fleet(van: Device) -> None:
    device = registry.add({"imei": "352094082042885", "phone": "+12025550177", "name": "Van 9"}, utcnow())
    came(device, 6000)
    registry.change(van, {"tags": ["north"]}, utcnow())
    with visibility.limited_to(frozenset({"north"})):
        assert len(measured_times.of(van).fleet) == 3
        assert db.session.scalar(select(func.count()).select_from(Upload)) == 0


def test_the_same_request_under_way_and_another_one_are_named(program: Program, van: Device) -> None:
    row = photo(van, "both")
    assert program.call("POST", PATH, PHOTO)["blocked_by"]["id"] == row.id
    assert program.call("POST", PATH, clip())["blocked_by"]["id"] == row.id
    assert program.call("POST", PATH, {"command": "getver"})["blocked_by"] is None


def test_a_clip_that_is_here_is_named(program: Program, van: Device) -> None:
    begin = utcnow().replace(microsecond=0) - timedelta(minutes=10)
    came(van, 6000, number=1, file_type="video", duration=20, timestamp=begin)
    found = program.call("POST", PATH, clip(timestamp=int(begin.timestamp())))
    assert found["already_here"]["duration"] == 20
    assert program.call("POST", PATH, clip(source="rear"))["already_here"] is None


@pytest.mark.on_sqlite
def test_what_may_hinder_a_request_is_a_warning_with_a_code(program: Program, van: Device) -> None:
    now = utcnow()
    status_table.note(van, "ignition", "off", Verdict.GOOD, now=now, source_kind="record", source_id=None)
    status_table.note(
        van, status_table.SPEED, "100", Verdict.WARN, now=now, source_kind="upload", source_id=None
    )
    van.reconfiguring_until, van.health_code = now + timedelta(seconds=30), "no_card"
    db.session.commit()
    codes = [warning["code"] for warning in program.call("POST", PATH, clip())["warnings"]]
    assert codes == ["ignition_off", "camera_restarting", "no_card", "too_slow"]


@pytest.mark.parametrize(("code", "said"), [("no_card", "have none"), ("faulty_card", "is faulty")])
def test_a_clip_that_needs_a_card_is_warned_of_by_what_is_known_of_it(
    program: Program, van: Device, code: str, said: str
) -> None:
    van.health_code = code
    db.session.commit()
    (warning,) = program.call("POST", PATH, clip())["warnings"]
    assert said in warning["text"]


@pytest.mark.on_sqlite
def test_a_setting_has_a_price_and_a_time_too(program: Program, van: Device) -> None:
    body = {"command": "setparam", "parameters": {"66023": 8}}
    found = program.call("POST", PATH, body)
    assert (found["sms"], found["megabytes"], found["ready_in"]["basis"]) == (1, 0, "vendor")
    assert "no_video_source" in {warning["code"] for warning in found["warnings"]}


@pytest.mark.on_sqlite
def test_a_preview_refuses_what_the_command_would_refuse(program: Program, van: Device) -> None:
    program.call("POST", PATH, {"command": "camreq", "file_type": "photo"}, 422)
    program.call("POST", PATH, {"command": "camget_sdformat", "camera": "front"} | {"camera": "left"}, 422)
    program.call("POST", PATH.replace("352094082736916", "352094082042885"), PHOTO, 404)
    server = {"domain": "elsewhere.example", "port": 7160}
    program.call("POST", PATH, PHOTO | {"server": server}, 403)
    van.sms_login = van.sms_password = None
    db.session.commit()
    program.call("POST", PATH, PHOTO, 409)


def test_the_price_is_what_the_gateway_told_of_past_sms(phone: Phone, program: Program, van: Device) -> None:
    photo(van)
    send(van)
    (message,) = phone.stand_in.messages.values()
    message.sent = message.created
    reconcile.reconcile(utcnow)
    assert db.session.scalars(select(Message.price)).all() == ["0.00790"]
    found = program.call("POST", PATH, {"command": "getparam", "parameters": list(range(66000, 66004))})
    assert found["price"] == {"amount": 0.0079, "currency": "USD"}


def test_a_price_that_the_gateway_tells_later_is_taken_then(phone: Phone, van: Device) -> None:
    photo(van)
    send(van)
    reconcile.reconcile(utcnow)
    assert db.session.scalars(select(Message.price)).all() == [None]
    (message,) = phone.stand_in.messages.values()
    message.sent = message.created
    reconcile.reconcile(utcnow)
    assert db.session.scalars(select(Message.currency)).all() == ["USD"]


@pytest.mark.on_sqlite
def test_the_settings_name_the_price(phone: Phone, program: Program, van: Device, monkeypatch: Any) -> None:
    from provisioning.core.prices import read_price

    phone.use("http://127.0.0.1:9", sms_price=read_price("0.05 EUR"))
    assert program.call("POST", PATH, PHOTO)["price"] == {"amount": 0.05, "currency": "EUR"}


@pytest.mark.on_sqlite
def test_the_form_says_cost_and_time_before_the_click(phone: Phone, van: Device) -> None:
    came(van, 6000)
    visitor = Visitor(phone.app, Role.SUPPORT)
    page = visitor.get("/vehicles/352094082736916/footage").text
    assert "1 SMS · about 36 s on this vehicle&#39;s line (measured)" in page
    form = {"file_type": "video", "source": "front", "duration": "121"}
    answer = visitor.send("/vehicles/352094082736916/footage", "/vehicles/352094082736916/ask/cost", **form)
    assert "120" in answer.text
    assert "SMS" not in answer.text


@pytest.mark.on_sqlite
def test_the_cost_is_shown_without_javascript_and_nothing_is_sent(phone: Phone, van: Device) -> None:
    visitor = Visitor(phone.app, Role.SUPPORT)
    path = "/vehicles/352094082736916/footage"
    form = {"file_type": "video", "source": "front", "duration": "5", "preview": "1"}
    page = visitor.send(path, "/vehicles/352094082736916/ask", **form)
    assert page.status_code == 200
    assert "about 2 min by the vendor&#39;s figures" in page.text
    assert 'value="5"' in page.text
    assert db.session.scalar(select(func.count()).select_from(Command)) == 0


def test_the_form_names_the_request_that_has_to_end_first(phone: Phone, van: Device) -> None:
    row = ask(van, "camreq", file_type="photo", source="front")[0]
    page = Visitor(phone.app, Role.SUPPORT).get("/vehicles/352094082736916/footage").text
    waits = f'<p class="text-secondary">A further request would wait until <a href="/requests/{row.id}">'
    assert f"{waits}Photo, front camera</a> has ended. </p>" in " ".join(page.split()).replace("> A", ">A")
    assert page.count('hx-include="closest form"') == page.count("sse:commands, sse:uploads delay:500ms") == 2


@pytest.mark.on_sqlite
def test_the_page_after_a_request_says_at_its_form_what_was_asked_for(phone: Phone, van: Device) -> None:
    visitor = Visitor(phone.app, Role.SUPPORT)
    path = "/vehicles/352094082736916/footage"
    form = {"file_type": "photo", "source": "front"}
    answer = visitor.send(path, "/vehicles/352094082736916/ask", **form)
    row = db.session.scalar(select(Command))
    assert row is not None
    link = f'The request was made: <a href="/requests/{row.id}">Photo, front camera</a>. It stands below'
    forms = " ".join(visitor.get(str(answer.location)).text.split()).split('id="ask-photo"')
    assert [link in form for form in forms] == [False, True]
    for other in ("", "?asked=nothing"):
        assert "The request was made" not in visitor.get(path + other).text
