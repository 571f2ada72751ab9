"""The button beside a vehicle's health leads to the place that does what it says, in the head and in the inbox."""

import html
import re
from urllib.parse import urlsplit

import pytest
from flask import Flask
from page_visitor import IMEI, Visitor

from provisioning.devices.actions import ActionKind
from provisioning.models import Device, Role, StatusItem, db, utcnow
from provisioning.web.pages.action_places import PLACES

pytestmark = pytest.mark.on_sqlite

VAN = f"/vehicles/{IMEI}"
LEADS_TO = [
    ("no_camera", {}, "Check", f"{VAN}/check#start"),
    ("wrong_mode", {}, "Set it and check again", f"{VAN}/settings?then=check#send"),
    ("wrong_clock", {}, "and check again", f"{VAN}/settings?then=check#card-clock"),
    ("wrong_clock", {"seconds": 10_800}, "and check again", f"{VAN}/settings?then=check#card-clock"),
    ("wrong_clock", {"seconds": -1_795_000_000}, "Check", f"{VAN}/check#start"),  # no time zone mends it
    ("no_capture", {"camera": "both"}, "Restart the camera", f"{VAN}/restart?camera=both#restart"),
    ("no_capture", {"camera": "rear"}, "Restart the camera", f"{VAN}/restart?camera=rear#restart"),
    (
        "requests_fail",
        {"reason": "capture_failed"},
        "Restart the camera",
        f"{VAN}/restart?camera=both#restart",
    ),
    ("drift", {"parameters": [66000]}, "Repair", f"{VAN}/settings/all?differing=1#send"),
    ("other_tracker", {}, "Change number", f"{VAN}/settings/vehicle#field-phone"),
    ("triggers_lead_nowhere", {}, "How to set it", f"{VAN}/settings#card-server"),
    ("avl_on_camera_port", {}, "How to set it", f"{VAN}/settings#tracker-server"),
]


def break_down(device: Device, code: str, arguments: dict[str, object]) -> None:
    device.health_state, device.health_code, device.health_arguments = "broken", code, arguments
    device.health_since, device.health_until = utcnow(), None
    db.session.commit()


def test_every_kind_of_action_has_a_place() -> None:
    assert set(PLACES) == set(ActionKind)


@pytest.mark.parametrize(("code", "arguments", "label", "address"), LEADS_TO)
def test_the_button_leads_to_what_it_says(
    van: Device, visitor: Visitor, code: str, arguments: dict[str, object], label: str, address: str
) -> None:
    break_down(van, code, arguments)
    for page in (VAN, "/inbox"):
        links = re.findall(r'href="([^"]*)"[^>]*>([^<]*)<', visitor.get(page).text)
        assert [html.unescape(to) for to, text in links if label in text and "#" in to] == [address], page
    shown = visitor.get(address.partition("#")[0])
    assert shown.status_code == 200
    assert f'id="{urlsplit(address).fragment}"' in shown.text


def test_the_form_for_restarting_is_open_when_the_button_leads_there(van: Device, visitor: Visitor) -> None:
    break_down(van, "no_capture", {})
    shown = visitor.get(f"{VAN}/settings/tracker?risky=1").text
    assert re.search(r'<details id="risky"\s+open', shown)


def test_what_differs_is_ticked_with_the_value_that_was_asked_for(van: Device, visitor: Visitor) -> None:
    db.session.add(StatusItem(device_id=van.id, item="parameter.66000", value="3", asked="1", verdict="bad"))
    break_down(van, "drift", {"parameters": [66000]})
    shown = visitor.get(f"{VAN}/settings/all?differing=1").text
    ticked = re.findall(r'<input[^>]*name="set-(\d+)"[^>]*checked', shown)
    assert ticked == ["66000"]


def test_who_may_not_do_it_gets_no_button(van: Device, app: Flask) -> None:
    break_down(van, "no_capture", {})
    support = Visitor(app, Role.SUPPORT)
    assert "Restart the camera" not in support.get(VAN).text
    assert "Restart the camera" not in support.get("/inbox").text
