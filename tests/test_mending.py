"""What mends a vehicle is one action: the setting is sent, and once it is confirmed the check begins by itself."""

import re
from datetime import timedelta

import pytest
from gateway_double import Phone
from page_visitor import Visitor, flat
from sqlalchemy import func, select
from test_settings_cards import PATH, asked, confirmed, post, van, visitor  # noqa: F401 - fixtures
from test_sms import send

from provisioning.check import continuation, run_view, runner
from provisioning.devices import status_table
from provisioning.media.camera_clock import zone_that_fits
from provisioning.models import (
    ChecklistRun,
    Command,
    Device,
    State,
    Verdict,
    command_state,
    db,
    locks,
    utcnow,
)
from provisioning.phrase import Phrase

MEND = f"{PATH}?then=check"


def the_run() -> ChecklistRun:
    db.session.expire_all()
    return db.session.scalars(select(ChecklistRun)).one()


def clock_is_off(device: Device, seconds: int) -> None:
    device = locks.lock_device(device.id)
    status_table.note(
        device,
        status_table.CLOCK,
        str(seconds),
        Verdict.BAD,
        now=utcnow(),
        source_kind="upload",
        source_id="1",
    )
    db.session.commit()


@pytest.mark.parametrize(
    ("zone", "seconds", "fitting"),
    [
        (0, 10_800, -180),  # 3 h ahead
        (120, 3600, 60),
        (0, -7190, 120),  # 2 h behind, but for some seconds
        (0, 60, None),  # right
        (0, 4000, None),  # no zone is off by 67 min
        (-720, 3600, None),  # there is none below
    ],
)
def test_the_zone_that_fits_is_that_by_which_the_clock_is_right(
    zone: int, seconds: float, fitting: int | None
) -> None:
    assert zone_that_fits(zone, seconds) == fitting


def test_the_check_begins_once_the_vehicle_has_confirmed_the_setting(
    phone: Phone,
    van: Device,  # noqa: F811
    visitor: Visitor,  # noqa: F811
) -> None:
    page = flat(visitor.get(MEND))
    assert "Once the vehicle has confirmed it, the check begins by itself." in page
    assert re.search(r"It takes at most \d+ SMS", page)
    assert "Set it and check again</button>" in page
    answer = post(visitor, MEND)
    assert answer.location == "/vehicles/352094082736916/check"
    assert asked() == ["151:18;150:1"]
    continuation.continue_runs(utcnow())  # as after a restart of the worker
    assert the_run().steps == {}
    assert "It begins once the vehicle has confirmed its settings." in visitor.get(answer.location).text
    assert "Nothing is under way" not in visitor.get("/vehicles/352094082736916").text
    send(van)
    phone.reply("New value 151:18;150:1")
    continuation.continue_runs(utcnow())
    run = the_run()
    assert run.steps["reachable"]["state"] == "running"
    assert run.started_by == "installer@example.com"
    assert db.session.scalar(select(func.count()).select_from(Command)) == 2


def test_a_setting_that_was_not_confirmed_ends_the_check_before_it_asks_anything(
    phone: Phone,
    van: Device,  # noqa: F811
    visitor: Visitor,  # noqa: F811
) -> None:
    post(visitor, MEND)
    (setting,) = db.session.scalars(select(Command))
    locks.lock_device(van.id)
    command_state.move(setting, State.EXPIRED, utcnow(), error=("no_reply", Phrase("no_reply"), True))
    db.session.commit()
    continuation.continue_runs(utcnow())
    run = the_run()
    assert (run.verdict, run.ended_at is not None) == ("not_set", True)
    assert run_view.ended_without_verdict(run) == "Not begun: the vehicle did not confirm its settings."
    assert "did not confirm its settings" in visitor.get("/vehicles/352094082736916/check").text
    assert db.session.scalar(select(func.count()).select_from(Command)) == 1


def test_while_a_check_is_open_nothing_is_sent_and_the_page_says_why(
    phone: Phone,
    van: Device,  # noqa: F811
    visitor: Visitor,  # noqa: F811
) -> None:
    runner.start(van, "somebody", utcnow())
    answer = post(visitor, MEND)
    assert answer.status_code == 409
    assert "A run is under way" in answer.text
    assert asked() == []
    assert 'name="then" value="check"' in flat(answer)


def test_a_clock_of_another_zone_has_the_right_one_proposed(
    phone: Phone,
    van: Device,  # noqa: F811
    visitor: Visitor,  # noqa: F811
) -> None:
    confirmed(phone, van, p151=18, p150=1, p66024=120)
    clock_is_off(van, 10_800)
    # nothing is to be mended on this one
    assert re.search(r'<option value="120"\s+selected', visitor.get(PATH).text)
    assert re.search(r'<option value="-60"\s+selected', visitor.get(MEND).text)
    post(visitor, MEND)
    assert asked()[-1] == "151:18;150:1;66024:-60"
    assert the_run().begins_after


def test_a_check_that_is_stopped_while_it_waits_asks_nothing(
    phone: Phone,
    van: Device,  # noqa: F811
    visitor: Visitor,  # noqa: F811
) -> None:
    post(visitor, MEND)
    runner.stop(the_run(), utcnow())
    send(van)
    phone.reply("New value 151:18;150:1")
    continuation.continue_runs(utcnow() + timedelta(seconds=5))
    assert (the_run().verdict, the_run().steps) == ("stopped", {})
