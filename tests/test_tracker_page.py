"""The page of a tracker: its buttons send their commands, and only to whom the role allows it."""

import re

import pytest
from flask import Flask
from page_visitor import IMEI, Visitor, command
from sqlalchemy import select
from upload_rows import sidecar, take
from werkzeug.test import TestResponse

from provisioning.devices import status_table
from provisioning.models import Command, Device, Role, Verdict, db, utcnow
from provisioning.web.schemas.status import StatusItemResponse

pytestmark = pytest.mark.on_sqlite


def test_a_viewer_reads_that_the_role_does_not_allow_it(van: Device, app: Flask) -> None:
    viewer = Visitor(app, Role.VIEWER)
    page = viewer.get(f"/vehicles/{IMEI}")
    assert "Photo now" not in page.text
    assert viewer.get(f"/vehicles/{IMEI}/settings").location == f"/vehicles/{IMEI}/settings/tracker"
    answer = viewer.get(f"/vehicles/{IMEI}/settings/vehicle")
    assert answer.status_code == 403
    assert "This needs the role Installer; you have the role Viewer." in answer.text


def test_what_is_known_without_its_file_is_shown_without_a_link(van: Device, visitor: Visitor) -> None:
    status_table.note(
        van, status_table.CLOCK, "0", Verdict.GOOD, now=utcnow(), source_kind="upload", source_id=None
    )
    db.session.commit()
    page = visitor.get(f"/vehicles/{IMEI}/settings/tracker")
    assert page.status_code == 200
    assert "/uploads/" not in page.text


@pytest.mark.parametrize(("language", "said"), [("en", "Front clip, 15 kB"), ("de", "Clip vorn, 15 kB")])
def test_the_last_file_is_named_in_the_readers_language_with_its_size(
    van: Device, visitor: Visitor, language: str, said: str
) -> None:
    take(sidecar(identifier="%videof", file_type="video", extension="h265", size=14787))
    page = visitor.get(f"/vehicles/{IMEI}/settings/tracker", **{"Accept-Language": language}).text
    assert page.count(f"<strong>{said}</strong>") == 3  # the last, and the camera's newest file and clip
    assert "bytes" not in page


def test_programs_read_the_last_file_in_english_words(van: Device) -> None:
    take(sidecar(size=14787))
    item = status_table.get(van.id, "upload.last")
    assert StatusItemResponse().dump(item)["value"] == "front photo, 14787 bytes"


def test_a_last_file_in_the_words_of_an_older_version_is_read_as_it_is(van: Device, visitor: Visitor) -> None:
    words = "front video, 14787 bytes"
    status_table.note(
        van, "upload.last", words, Verdict.GOOD, now=utcnow(), source_kind="upload", source_id=None
    )
    db.session.commit()
    assert f"<strong>{words}</strong>" in visitor.get(f"/vehicles/{IMEI}/settings/tracker").text
    assert StatusItemResponse().dump(status_table.get(van.id, "upload.last"))["value"] == words


def press(visitor: Visitor, command: str, **fields: str) -> TestResponse:
    page = f"/vehicles/{IMEI}/settings/tracker"
    return visitor.send(page, f"/vehicles/{IMEI}/command", command=command, **fields)


def test_a_value_that_is_a_moment_has_no_since(van: Device, visitor: Visitor) -> None:
    now = utcnow()
    for item, value in (("contact.sms", now.isoformat()), ("firmware", "03.29")):
        status_table.note(van, item, value, Verdict.GOOD, now=now, source_kind="message", source_id="1")
    db.session.commit()
    shown = visitor.get(f"/vehicles/{IMEI}/settings/tracker").text.split("<dt>")
    assert ["since" in one for one in shown if "Last SMS from the vehicle" in one] == [False]
    assert ["since" in one for one in shown if "03.29" in one] == [True]


def test_every_button_of_the_tracker_page_sends_its_command(van: Device, visitor: Visitor) -> None:
    page = visitor.get(f"/vehicles/{IMEI}/settings/tracker").text
    values = re.findall(r'name="command" value="([^"]+)"', page) + re.findall(
        r'<option value="([a-z_:]+)"', page
    )
    assert {"getver", "camgetver", "cpureset", "camget_restart:rear", "camget_sdformat:front"} <= set(values)
    for value in values:
        assert press(visitor, value, sure="on").status_code == 302
    kinds = [row.kind for row in db.session.scalars(select(Command).order_by(Command.id))]
    assert kinds == [value.partition(":")[0] for value in values]
    assert "Restart the rear camera" in visitor.get(f"/vehicles/{IMEI}/log").text


def test_what_interrupts_or_erases_is_sent_only_with_the_box_ticked(van: Device, visitor: Visitor) -> None:
    answer = press(visitor, "camget_sdformat:front")
    assert answer.status_code == 422
    assert answer.text.count('role="alert"') == 1
    assert "Tick the box first" in answer.text
    assert db.session.scalar(select(Command.id)) is None


def test_what_erases_is_chosen_by_nobody_who_chose_nothing(van: Device, visitor: Visitor) -> None:
    page = visitor.get(f"/vehicles/{IMEI}/settings/tracker").text
    values = re.findall(r'<option value="([a-z_:]+)"', page)
    assert values[0] == "camget_restart:front"
    assert values[-2:] == ["camget_sdformat:front", "camget_sdformat:rear"]
    led = visitor.get(f"/vehicles/{IMEI}/settings/tracker?risky=camget_restart:rear").text
    assert '<option value="camget_restart:rear" selected>' in led


def test_the_fields_of_the_login_are_the_same_in_every_language(van: Device, visitor: Visitor) -> None:
    page = visitor.get(f"/vehicles/{IMEI}/settings/tracker", **{"Accept-Language": "de"}).text
    assert 'lang="de"' in page
    login = page[page.index("/credentials") :]
    assert 'name="login"' in login
    assert re.search(r'name="password"\s+type="password"', login)


def test_support_neither_sees_nor_sends_what_needs_an_installer(van: Device, app: Flask) -> None:
    support = Visitor(app, Role.SUPPORT)
    page = support.get(f"/vehicles/{IMEI}/settings/tracker").text
    assert "Ask for firmware and IMEI" in page
    assert "Restart the tracker" not in page
    assert press(support, "cpureset", sure="on").status_code == 403
    restart = command(van, kind="camget_restart", arguments={"camera": "front"})
    assert support.send(f"/requests/{restart.id}", f"/requests/{restart.id}/again").status_code == 403


@pytest.mark.parametrize("name", ["camreq", "setparam", "reboot", ""])
def test_a_command_without_a_button_is_not_sent_by_one(van: Device, visitor: Visitor, name: str) -> None:
    assert press(visitor, name, sure="on").status_code == 422


def test_a_status_item_whose_name_begins_like_no_other_is_shown_too(van: Device, visitor: Visitor) -> None:
    status_table.note(
        van, "trailer.plate", "HGR 907", Verdict.GOOD, now=utcnow(), source_kind="record", source_id="1"
    )
    db.session.commit()
    page = visitor.get(f"/vehicles/{IMEI}/part/answers").text
    assert "trailer plate" in page
    assert "HGR 907" in page
