"""A vehicle that takes nothing of the cabin: the rear camera is refused in requests, settings, triggers and presets."""

import re
from typing import Any

import pytest
from gateway_double import Phone
from page_visitor import Visitor, flat
from sms_commands import send
from sqlalchemy import func, select
from test_checklist_verdicts import judged
from test_fleet_lists import Program

from provisioning.check import run_facts, runner, step_commands
from provisioning.check.verdicts import decide, grounds
from provisioning.devices import registry, status_table
from provisioning.fleet import presets
from provisioning.models import Command, Device, Message, Role, State, Verdict, db, utcnow
from provisioning.tracker.cabin import cabin_problems

pytestmark = pytest.mark.on_sqlite

IMEI = "352094082736916"
API = f"/devices/{IMEI}"


@pytest.fixture
def van(phone: Phone) -> Device:
    given = {"imei": IMEI, "phone": "+12025550111", "sms_login": "fleet", "sms_password": "cam11"}
    return registry.add(given | {"cabin_private": True}, utcnow())


@pytest.fixture
def program(phone: Phone) -> Program:
    return Program(phone.app, Role.INSTALLER)


OTHERS = {
    113: 1, 152: 3, 66000: 3, 66001: 50, 66002: 0, 66003: 25, 66006: 0, 66007: 60, 66009: 5, 66010: 5, 66020: 0,
    66022: 0, 66024: 120, 66025: 2,
}  # fmt: skip


def confirm(phone: Phone, device: Device) -> None:
    """Send what is queued, each SMS answered before the next, until nothing is."""
    answered = 0
    while True:
        send(device)
        if len(phone.sent) == answered:
            return
        phone.reply("New value " + phone.sent[-1].partition("setparam ")[2])
        answered = len(phone.sent)


def count() -> int:
    return db.session.scalar(select(func.count()).select_from(Command)) or 0


@pytest.mark.quick
@pytest.mark.parametrize(
    ("parameters", "held", "ids"),
    [
        ({66022: 8}, {}, {"66022"}),
        ({66022: ["Crash"]}, {}, {"66022"}),
        ({66022: 0, 66006: 1, 66023: 8, 66042: 1}, {}, set()),
        ({66006: 2}, {}, {"66006"}),
        ({"66006": "3"}, {}, {"66006"}),
        ({66040: 2, 66041: 3, 66042: 1}, {}, {"66040", "66041"}),
        ({66023: 8}, {66042: "3"}, {"66023"}),
        ({66023: 8}, {66042: "1"}, set()),
        ({66023: 8}, {}, {"66023"}),
        ({66023: 10}, {66042: "1"}, {"66023"}),
        ({66023: 8, 66042: 1}, {66042: "3"}, set()),
        ({66003: 25}, {66022: "8"}, set()),
    ],
)
def test_what_takes_pictures_of_the_cabin(
    parameters: dict[Any, Any], held: dict[Any, Any], ids: set[str]
) -> None:
    assert cabin_problems(parameters, held).keys() == ids


@pytest.mark.parametrize("source", ["rear", "both"])
def test_a_request_for_the_rear_camera_is_refused_with_a_code(
    program: Program, van: Device, source: str
) -> None:
    body = {"command": "camreq", "file_type": "photo", "source": source}
    for path in (f"{API}/commands", f"{API}/commands/preview"):
        assert program.call("POST", path, body, 409)["code"] == "cabin_private"
    assert count() == 0


def test_the_front_camera_is_asked_as_before(program: Program, van: Device) -> None:
    program.call(
        "POST", f"{API}/commands", {"command": "camreq", "file_type": "photo", "source": "front"}, 202
    )


@pytest.mark.parametrize(
    ("command", "given"),
    [
        ("camreq", {"file_type": "photo", "source": "rear"}),
        ("camreq", {"file_type": "video", "source": "both", "timestamp": 1_700_000_000, "duration": 5}),
        ("setparam", {"parameters": {"66022": 8}}),
    ],
)
def test_what_was_asked_before_a_vehicle_was_set_to_it_is_not_sent(
    phone: Phone, program: Program, van: Device, command: str, given: dict[str, Any]
) -> None:
    program.call("PATCH", API, {"cabin_private": False})
    program.call("POST", f"{API}/commands", {"command": command} | given, 202)
    program.call("PATCH", API, {"cabin_private": True})
    send(van)
    (row,) = program.call("GET", f"/commands?imei={IMEI}")["items"]
    assert (row["state"], row["error"]["code"], row["error"]["retry"]) == ("failed", "cabin_private", False)
    assert row["error"]["message"] == "This vehicle takes nothing of the cabin."
    assert db.session.scalar(select(func.count()).select_from(Message)) == 0


@pytest.mark.parametrize(("number", "value"), [("66022", 8), ("66006", 3), ("66042", 2)])
def test_settings_and_triggers_of_the_cabin_are_refused_by_their_id(
    program: Program, van: Device, number: str, value: int
) -> None:
    given = {"parameters": {number: value}}
    for path, body in (
        (f"{API}/provision", given),
        (f"{API}/commands", {"command": "setparam"} | given),
        (f"{API}/commands/preview", {"command": "setparam"} | given),
        ("/parameters/plan", given | {"imei": IMEI}),
    ):
        answer = program.call("POST", path, body, 422)
        assert (answer["code"], list(answer["errors"])) == ("cabin_private", [number]), path
    assert count() == 0
    program.call("POST", "/parameters/plan", given)


def test_a_preset_of_the_cabin_can_be_neither_sent_nor_chosen(program: Program, van: Device) -> None:
    presets.save("Crash photo", "", {"66022": 8}, "tests", utcnow())
    assert (
        program.call("POST", f"{API}/provision", {"profile": "Crash photo"}, 422)["code"] == "cabin_private"
    )
    answer = program.call("PATCH", API, {"profile": "Crash photo"}, 422)
    assert (answer["code"], list(answer["errors"])) == ("cabin_private", ["profile"])
    assert program.call("GET", API)["profile"] is None


def test_the_page_of_settings_makes_no_such_preset_a_vehicles_own(phone: Phone, van: Device) -> None:
    presets.save("Crash photo", "", {"66022": 8, "66003": 20}, "tests", utcnow())
    visitor, path = Visitor(phone.app, Role.INSTALLER), f"/vehicles/{IMEI}/settings"
    # the answers of the form take nothing of the cabin, but the preset does
    answer = visitor.send(f"{path}?profile=Crash+photo", path, profile="Crash photo", video_frame_rate="20")
    assert answer.status_code == 422
    assert "choose another one, or none" in flat(answer)
    db.session.expire_all()
    assert van.profile is None
    assert count() == 0


def test_a_trigger_is_set_after_the_cameras_that_it_uses(phone: Phone, program: Program, van: Device) -> None:
    cameras = {"66040": 1, "66041": 1, "66042": 1}
    others = {str(number): value for number, value in OTHERS.items()}
    program.call("POST", f"{API}/provision", {"parameters": {"66023": 14} | others | cameras}, 202)
    rows = db.session.scalars(select(Command).order_by(Command.id)).all()
    assert len(rows) > 1
    order = [number for row in rows for number in row.arguments["parameters"]]
    assert order.index("66023") > max(order.index(number) for number in cameras)
    confirm(phone, van)
    assert {row.state for row in db.session.scalars(select(Command))} == {State.DONE}


def test_a_vehicle_with_such_a_preset_becomes_private_only_without_it(program: Program, van: Device) -> None:
    presets.save("Crash photo", "", {"66022": 8}, "tests", utcnow())
    program.call("PATCH", API, {"cabin_private": False})
    program.call("PATCH", API, {"profile": "Crash photo"})
    program.call("PATCH", API, {"cabin_private": True}, 422)
    assert program.call("GET", API)["cabin_private"] is False
    assert program.call("PATCH", API, {"cabin_private": True, "profile": None})["cabin_private"] is True


def test_pages_offer_the_front_camera_alone_and_say_why_the_rear_one_is_refused(
    phone: Phone, van: Device
) -> None:
    visitor = Visitor(phone.app, Role.INSTALLER)
    page = visitor.get(f"/vehicles/{IMEI}/footage").text
    assert 'value="rear"' not in page
    assert 'value="both"' not in page
    overview = visitor.get(f"/vehicles/{IMEI}").text
    assert 'id="again-rear"' not in overview
    assert "nothing of the cabin is taken" in overview.partition('id="picture-rear"')[2]
    answer = visitor.send(
        f"/vehicles/{IMEI}/footage", f"/vehicles/{IMEI}/ask", file_type="photo", source="both"
    )
    assert answer.status_code == 409
    assert "takes nothing of the cabin" in answer.text


def test_settings_say_what_the_vehicle_still_takes_and_which_answer_to_change(
    phone: Phone, van: Device
) -> None:
    status_table.note(
        van, "parameter.66022", "8", Verdict.GOOD, now=utcnow(), source_kind="command", source_id="x"
    )
    db.session.commit()
    page = flat(Visitor(phone.app, Role.INSTALLER).get(f"/vehicles/{IMEI}/settings"))
    assert "has confirmed settings that do: 66022" in page


def ticks(page: str, name: str) -> dict[str, bool]:
    """Which boxes of a form have this name, by value, and whether each can be ticked."""
    boxes = re.findall(rf'<input class="form-check-input"[^>]*name="{name}"[^>]*>', page)
    return {re.findall(r'value="([^"]+)"', box)[0]: "disabled" not in box for box in boxes}


def test_settings_offer_no_rear_camera_and_no_image_trigger_and_say_why(phone: Phone, van: Device) -> None:
    visitor, path = Visitor(phone.app, Role.INSTALLER), f"/vehicles/{IMEI}/settings"
    page = visitor.get(path).text
    assert "an image trigger always sends both cameras" in page
    assert ">rear camera</option>" not in page
    assert not any(ticks(page, "image_trigger").values())
    assert ticks(page, "clip-Crash") == {"1": True, "2": False}
    for number, value in (("66022", "8"), ("66023", "8"), ("66042", "3"), ("66006", "3")):
        status_table.note(
            van,
            f"parameter.{number}",
            value,
            Verdict.GOOD,
            now=utcnow(),
            source_kind="command",
            source_id="x",
        )
    db.session.commit()
    page = visitor.get(path).text  # what the vehicle has can be taken out
    assert [name for name, is_open in ticks(page, "image_trigger").items() if is_open] == ["Crash"]
    assert ticks(page, "clip-Crash") == {"1": True, "2": True}
    assert ticks(page, "clip-DIN1") == {"1": True, "2": False}
    assert ">both cameras</option>" in page
    van.cabin_private = False
    db.session.commit()
    page = visitor.get(path).text
    assert all(ticks(page, "image_trigger").values())
    assert all(ticks(page, "clip-DIN1").values())


def test_the_form_of_a_vehicle_sets_it(phone: Phone, van: Device) -> None:
    visitor = Visitor(phone.app, Role.INSTALLER)
    path = f"/vehicles/{IMEI}/settings/vehicle"
    assert 'name="cabin_private" checked' in flat(visitor.get(path))
    visitor.send(path, path, phone="+12025550111", time_zone="UTC")
    db.session.expire_all()
    assert van.cabin_private is False


def test_the_checklist_asks_no_photo_of_the_cabin(phone: Phone, van: Device) -> None:
    from provisioning.check.steps import STEPS

    cost = step_commands.cost(van)
    van.cabin_private = False
    assert step_commands.cost(van) == cost + 1
    van.cabin_private = True
    run = runner.start(van, "tests", utcnow())
    step = next(one for one in STEPS if one.id == "rear")
    entry = runner._advance_step(run, step, {}, van, utcnow())
    assert (entry["state"], entry["code"]) == ("skipped", "cabin_private")
    run.steps = run.steps | {"rear": entry}
    results = judged({}) | {"rear": run_facts.results_of(run)["rear"]}
    verdict = decide(results)
    assert verdict.id == "good"
    assert [one.code for one in grounds(verdict, results)].count("cabin_private") == 0
    missing = {name: result for name, result in results.items() if name != "rear"}
    assert decide(missing).id == "undecided"  # a rear photo that was only not asked for yet


def test_drivers_get_a_notice_that_says_what_is_recorded(phone: Phone, van: Device) -> None:
    status_table.note(
        van, "parameter.66020", "0", Verdict.GOOD, now=utcnow(), source_kind="command", source_id="x"
    )
    db.session.commit()
    visitor = Visitor(phone.app, Role.VIEWER)
    page = flat(visitor.get(f"/vehicles/{IMEI}/notice"))
    assert "Pictures of the cabin are not requested" in page
    assert "with the ignition on" in page
    van.cabin_private = False
    db.session.commit()
    assert "The rear camera looks into the cabin." in flat(visitor.get(f"/vehicles/{IMEI}/notice"))
