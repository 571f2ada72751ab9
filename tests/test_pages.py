"""Pages as the server gives them: forms that keep what was typed, archived vehicles, files."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from page_visitor import IMEI, Visitor, command, flat, text_from, upload
from second_clicks import click_again, slowed
from sqlalchemy import func, select

from provisioning.commands import submission
from provisioning.devices import registry
from provisioning.fleet import presets
from provisioning.media import event_service
from provisioning.models import Command, Device, Event, Message, State, db, first_id, new_id, utcnow

# an archived device


def test_pages_of_an_archived_devices_commands_and_files_lead_nowhere_that_is_gone(
    app: Flask, van: Device, visitor: Visitor
) -> None:
    row, file, text = command(van), upload(van, "partial"), text_from("+12025550111", "Hello")
    text.device_id = van.id
    db.session.commit()
    registry.archive(van, utcnow())
    for path in (f"/requests/{row.id}", f"/uploads/{file.id}", "/inbox"):
        page = visitor.get(path).text
        assert "Van 11" in page
        assert "(archived)" in page
        assert f"/vehicles/{IMEI}/events" not in page
        links = set(re.findall(r'(?:href|hx-get)="(/[^"#?]+)', page)) - {"/inbox"}
        assert [link for link in links if visitor.get(link).status_code != 200] == [], path


# the facts of a vehicle


def test_the_facts_of_a_vehicle_count_its_sms_of_this_month_with_their_price(
    van: Device, visitor: Visitor
) -> None:
    now = utcnow()
    sent = ("delivered", "undelivered", "sent", "failed")
    before = first_id(now - timedelta(days=32)) + "0" * 20
    for ident, status in ((before, "delivered"), *((new_id(), status) for status in sent)):
        db.session.add(
            Message(
                id=ident, direction="out", gateway="twilio", gateway_id=ident, sender="+12025550100",
                recipient=van.phone, body="x", status=status, device_id=van.id, created_at=now,
            )
        )  # fmt: skip
    text_from(van.phone, "Hello").device_id = van.id
    db.session.commit()
    assert "<dt>SMS this month</dt> <dd> 3 </dd>" in flat(visitor.get(f"/vehicles/{IMEI}"))
    priced = db.session.scalars(select(Message).where(Message.status == "sent")).one()
    priced.price, priced.currency = "0.0079", "USD"
    db.session.commit()
    assert "<dd> 3, about 0.0237 USD </dd>" in flat(visitor.get(f"/vehicles/{IMEI}"))


@pytest.mark.on_sqlite
def test_the_head_of_a_vehicle_names_its_plate_and_its_tags(van: Device, visitor: Visitor) -> None:
    registry.change(van, {"plate": "KLM 312", "tags": ["south", "north"]}, utcnow())
    page = visitor.get(f"/vehicles/{IMEI}/log").text
    assert page.count("KLM 312 · north · south") == 2  # in the bar of a phone and in the head of a desk


# the time zone of a new vehicle

NEW = "/vehicles/new"


def zones(page: str) -> tuple[dict[str, list[str]], list[str]]:
    """Give the time zones that a form offers by their groups, and those that are chosen."""
    field = page.partition('id="field-time_zone"')[2].partition("</select>")[0]
    groups = re.findall(r'<optgroup label="([^"]+)">(.*?)</optgroup>', field, re.DOTALL)
    return (
        {name: re.findall(r">([^<>]+)</option>", some) for name, some in groups},
        re.findall(r"<option selected>([^<]+)", field),
    )


def test_a_new_vehicle_begins_with_the_zone_of_the_last_and_offers_those_of_most_vehicles_first(
    van: Device, visitor: Visitor
) -> None:
    given = (
        ("America/Chicago", "+12025550121"),
        ("America/Chicago", "+12025550122"),
        ("UTC", "+12025550123"),
    )
    imeis = ("356307042441013", "490154203237518", "350612071913857")
    for imei, (zone, phone) in zip(imeis, given, strict=True):
        registry.add({"imei": imei, "phone": phone, "time_zone": zone}, utcnow())
    offered, chosen = zones(visitor.get(NEW).text)
    assert offered["Of your vehicles"] == ["America/Chicago", "Europe/Vilnius", "UTC"]
    assert len(offered["All"]) > 400
    assert chosen == ["America/Chicago"]
    _, chosen = zones(visitor.get(f"/vehicles/{IMEI}/settings/vehicle").text)
    assert chosen == ["Europe/Vilnius"]


@pytest.mark.on_sqlite
def test_the_first_vehicle_has_the_zone_that_the_browser_proposes_else_utc(
    app: Flask, visitor: Visitor
) -> None:
    offered, chosen = zones(visitor.get(NEW).text)
    assert (list(offered), chosen) == (["All"], [])
    assert "data-browser-zone" in visitor.get(NEW).text
    visitor.send(NEW, NEW, imei=IMEI, phone="+12025550111", time_zone="")
    assert registry.find(IMEI).time_zone == "UTC"


# forms keep what was typed, and work without JavaScript


@pytest.mark.on_sqlite
def test_the_sms_of_a_provisioning_can_be_seen_before_sending_without_javascript(
    van: Device, visitor: Visitor
) -> None:
    page = f"/vehicles/{IMEI}/settings/all"
    answer = visitor.send(page, page, **{"set-66003": "on", "p-66003": "25", "preview": "1"})
    assert "setparam 151:18;150:1;66003:25" in answer.text
    assert db.session.scalar(select(func.count()).select_from(Command)) == 0


@pytest.mark.on_sqlite
def test_a_refused_profile_keeps_its_values_beside_the_error(app: Flask, visitor: Visitor) -> None:
    answer = visitor.send(
        "/settings/presets", "/settings/presets", name="Trucks",
        **{"set-66007": "on", "p-66007": "5", "set-66022": "on", "p-66022": "DIN1"},
    )  # fmt: skip
    assert answer.status_code == 422
    assert 'name="set-66007" checked' in flat(answer)
    assert 'name="p-66007" value="5"' in flat(answer)
    assert 'name="p-66022" value="DIN1" checked' in flat(answer)
    assert 'value="Trucks"' in answer.text


@pytest.mark.on_sqlite
def test_a_new_version_begins_with_the_values_of_the_old(app: Flask, visitor: Visitor) -> None:
    presets.save("Trucks", "for trucks", {"66003": 25}, "tests", utcnow())
    text = flat(visitor.get("/settings/presets?begin=Trucks"))
    assert 'name="set-66003" checked' in text
    assert '<option value="25" selected' in text


@pytest.mark.on_sqlite
def test_fields_begin_with_the_devices_defaults(app: Flask, visitor: Visitor) -> None:
    assert '<option value="3" selected>3: 1280x720' in flat(visitor.get("/settings/presets"))


def test_a_form_sent_again_from_a_kept_page_with_other_fields_is_done_as_well(
    van: Device, visitor: Visitor
) -> None:
    hidden = visitor.hidden(f"/vehicles/{IMEI}/footage")
    for source in ("front", "rear", "rear"):
        visitor._forget()
        visitor.client.post(f"/vehicles/{IMEI}/ask", data=hidden | {"file_type": "photo", "source": source})
    asked = db.session.scalars(select(Command).order_by(Command.id)).all()
    assert [row.arguments["source"] for row in asked] == ["front", "rear"]


def test_a_double_click_on_archive_leads_to_the_fleet(van: Device, visitor: Visitor) -> None:
    form = visitor.hidden(f"/vehicles/{IMEI}/settings/vehicle")
    for _ in range(2):
        visitor._forget()
        answer = visitor.client.post(f"/vehicles/{IMEI}/archive", data=form)
        assert (answer.status_code, answer.location) == (302, "/")
    assert visitor.client.post("/vehicles/350612071913857/archive", data=form).status_code == 404


def test_a_second_click_on_a_form_whose_first_is_still_at_work_waits_for_it(
    van: Device, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = slowed(monkeypatch, submission, "ask")
    form = visitor.hidden(f"/vehicles/{IMEI}/footage") | {"file_type": "photo", "source": "front"}
    answers = click_again(visitor, f"/vehicles/{IMEI}/ask", form, begun)
    (asked,) = db.session.scalars(select(Command)).all()
    assert [answer.location for answer in answers] == [f"/vehicles/{IMEI}/footage?asked={asked.id}"] * 2


@pytest.mark.on_sqlite
@pytest.mark.parametrize("path", ["/", f"/vehicles/{IMEI}", f"/vehicles/{IMEI}/part/requests", "/vehicles/0"])
def test_no_browser_keeps_a_page(van: Device, visitor: Visitor, path: str) -> None:
    assert visitor.get(path).headers["Cache-Control"] == "no-store"


@pytest.mark.on_sqlite
def test_only_models_whose_parameters_are_in_the_catalogue_are_proposed(visitor: Visitor) -> None:
    page = visitor.get("/vehicles/new").text
    models = re.findall(r'<option value="(F[^"]+)">', page)
    assert models == ["FMB125", "FMC125", "FMB225", "FMC225"]


def test_a_camera_that_told_half_a_character_leaves_a_page(van: Device, visitor: Visitor) -> None:
    row = upload(van, details={"driver_name": "A\ud800\x1b", "\udfff": "B"})  # as older versions kept it
    page = visitor.get(f"/uploads/{row.id}")
    assert page.status_code == 200
    assert "A\ufffd\ufffd" in page.text


def test_a_camera_whose_clock_is_at_the_end_of_all_times_leaves_every_page(
    van: Device, visitor: Visitor
) -> None:
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # tomorrow, in the vehicle's zone
    asked = command(van, arguments={"file_type": "photo", "source": "front"})
    common = {"timestamp": end, "trigger_timestamp": end, "has_metadata": True, "event_due": True}
    files = [
        upload(van, path=f"{number}.jpg", thumbnail_state="ready", **common, **more)
        for number, more in enumerate(({"trigger": 3}, {"command_id": asked.id}, {"looked_like": asked.id}))
    ]
    event_service.remake_all(utcnow)
    pages = [f"/uploads/{file.id}" for file in files] + [
        f"/media/{ident}" for ident in db.session.scalars(select(Event.id))
    ]
    assert len(pages) == 5
    for tab in ("", "/footage", "/log"):
        pages.append(f"/vehicles/{IMEI}{tab}")
    for path in (*pages, "/", "/media", "/media?doubtful=1", "/inbox", f"/requests/{asked.id}"):
        assert visitor.get(path).status_code == 200, path
    assert "9999-12-31 23:59:59 UTC" in visitor.get(pages[0]).text


@pytest.mark.on_sqlite
@pytest.mark.parametrize("other", [False, True])
def test_the_page_of_a_file_tells_from_where_it_came(van: Device, visitor: Visitor, other: bool) -> None:
    row = upload(van, address="192.0.2.1", other_network=other)
    page = visitor.get(f"/uploads/{row.id}").text
    assert "<code>192.0.2.1</code>" in page
    assert ("another network than this vehicle's files" in page) is other


def test_a_file_that_may_not_be_of_the_vehicle_says_so_and_stands_apart_from_its_own(
    van: Device, visitor: Visitor
) -> None:
    request = command(van)
    row = upload(van, looked_like=request.id, event_due=True, thumbnail_state="ready")
    own = upload(van, event_due=True, thumbnail_state="ready")
    event_service.remake_all(utcnow)
    assert "This may not be a file of this vehicle" in (page := visitor.get(f"/uploads/{row.id}").text)
    assert f"/requests/{request.id}" in page
    assert "may not be a file of this vehicle" not in visitor.get(f"/uploads/{own.id}").text
    for path in (f"/media?vehicle={van.imei}", "/media", f"/vehicles/{van.imei}"):
        listed = visitor.get(path).text
        assert (row.id in listed, own.id in listed) == (False, True)
    listed = visitor.get(f"/media?vehicle={van.imei}&doubtful=1").text
    assert (row.id in listed, own.id in listed) == (True, False)
    assert "Files that may not be of this vehicle" in visitor.get(f"/vehicles/{van.imei}/footage").text


def test_a_vehicle_whose_files_are_all_its_own_has_no_list_of_doubtful_ones(
    van: Device, visitor: Visitor
) -> None:
    upload(van)
    assert "may not be" not in visitor.get(f"/vehicles/{van.imei}/footage").text


def test_a_vehicle_of_which_only_a_request_that_was_done_is_known_is_listed(
    app: Flask, van: Device, visitor: Visitor
) -> None:
    command(van, state=State.DONE)
    page = visitor.get("/").text
    assert "Not checked" in page.partition("<tbody>")[2].partition("</tbody>")[0]
