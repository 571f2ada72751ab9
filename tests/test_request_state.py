"""What the pages say of a request: how far it is, why its file is not here yet, and whether asking again helps."""

import dataclasses
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from page_visitor import IMEI, Visitor, command, flat, upload
from sqlalchemy import select

from provisioning.models import CameraSession, Command, Device, Role, State, db, new_id, utcnow
from provisioning.phrase import Phrase, as_it_is

pytestmark = pytest.mark.on_sqlite


def sentence(visitor: Visitor) -> str:
    return " ".join(visitor.get(f"/vehicles/{IMEI}/part/requests").text.split())


def test_a_request_tells_how_much_of_its_file_has_come(van: Device, visitor: Visitor) -> None:
    end = (utcnow() + timedelta(days=3)).replace(minute=30)
    command(van, state=State.ANSWERED, expires_at=end)
    upload(van, "receiving", received_packets=31)
    text = sentence(visitor)
    assert "31 of 54 packets of the front photo have come." in text
    assert "</svg>Coming 57 %</span>" in text
    shown = end.astimezone(ZoneInfo("Europe/Vilnius"))
    day = f"{shown:%a} {shown.day} {shown:%b}"
    assert f"We wait until {day} {shown:%H:%M %Z}." in re.sub("</?time[^>]*>", "", text)


def test_a_request_tells_how_long_its_files_still_take_at_their_own_speed(
    van: Device, visitor: Visitor
) -> None:
    begun = utcnow() - timedelta(minutes=5)
    row = command(van, state=State.ANSWERED, sending_at=begun)
    file = upload(
        van, "receiving", received_packets=27, started_at=begun, updated_at=begun + timedelta(minutes=4)
    )
    assert 'Coming 50 %</span><span class="text-secondary">about 4 min</span>' in sentence(visitor)
    row.arguments = {"file_type": "photo", "source": "both"}
    db.session.commit()
    assert "about 12 min</span>" in sentence(visitor)  # and the other one, which is as long
    file.resumes = 1  # its time is not all its own
    db.session.commit()
    assert "about" not in sentence(visitor)


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_a_request_is_cancelled_where_it_is_listed(app: Flask, van: Device) -> None:
    row = command(van, state=State.QUEUED, sending_at=None)
    support, viewer = Visitor(app, Role.SUPPORT), Visitor(app, Role.VIEWER)
    cancel = f'action="/requests/{row.id}/cancel"'
    for part, place in (("under_way", f"/vehicles/{IMEI}"), ("requests", f"/vehicles/{IMEI}/footage")):
        assert cancel not in viewer.get(f"/vehicles/{IMEI}/part/{part}").text
        page = support.get(f"/vehicles/{IMEI}/part/{part}").text
        assert cancel in page
        assert 'aria-label="Cancel: Photo, front camera"' in page
        answer = support.send(place, f"/requests/{row.id}/cancel", stay=part)
        assert answer.location == place
        assert row.state == State.CANCELLED
        assert cancel not in support.get(f"/vehicles/{IMEI}/part/requests").text
        row.state = State.QUEUED
        db.session.commit()


def test_only_who_may_change_credentials_is_offered_to_stop_their_change(app: Flask, van: Device) -> None:
    row = command(
        van, state=State.QUEUED, sending_at=None, kind="setparam", arguments={"encrypted": {"3003": "x"}}
    )
    support, installer = Visitor(app, Role.SUPPORT), Visitor(app, Role.INSTALLER)
    cancel, part = f'action="/requests/{row.id}/cancel"', f"/vehicles/{IMEI}/part/under_way"
    assert (cancel in support.get(part).text, cancel in installer.get(part).text) == (False, True)


def test_a_broken_line_tells_that_the_device_goes_on(van: Device, visitor: Visitor) -> None:
    command(van, state=State.ANSWERED)
    upload(van, "partial", received_packets=31)
    assert "The connection broke after 31 of 54 packets" in sentence(visitor)


def test_a_file_that_began_before_the_request_does_not_explain_it(van: Device, visitor: Visitor) -> None:
    upload(van, "partial", received_packets=3, started_at=utcnow() - timedelta(days=6))
    command(van, state=State.ANSWERED)
    assert "The vehicle has accepted" in sentence(visitor)


def test_a_request_for_both_names_the_file_that_is_missing(van: Device, visitor: Visitor) -> None:
    row = command(van, state=State.ANSWERED, arguments={"file_type": "photo", "source": "both"})
    upload(van, command_id=row.id)
    text = sentence(visitor)
    assert (
        "Front photo</a> · The vehicle has accepted; the rear photo comes once its camera is connected"
        in text
    )


def test_a_request_whose_camera_was_cut_off_tells_why(van: Device, visitor: Visitor) -> None:
    command(van, state=State.ANSWERED, sending_at=utcnow() - timedelta(minutes=1))
    db.session.add(
        CameraSession(id=new_id(), imei=IMEI, device_id=van.id, address="192.0.2.1:1", started_at=utcnow(),
                      ended_at=utcnow(), code="bad_crc", reason=Phrase("bad_packets", {"packets": 31}))
    )  # fmt: skip
    db.session.commit()
    assert "The camera connected, but: 31 packets in a row with a wrong CRC." in sentence(visitor)


def test_a_failed_request_says_whether_asking_again_helps(van: Device, visitor: Visitor) -> None:
    command(
        van,
        state=State.FAILED,
        error_code="ignition_off",
        error=as_it_is("The ignition is off."),
        error_retry=True,
    )
    assert "The ignition is off. Asking again may help." in sentence(visitor)


def test_asking_again_names_our_own_server_as_it_is_reached_now(app: Flask, van: Device) -> None:
    server = {"domain": "old.example.com", "port": 7160}
    asked = {"file_type": "photo", "source": "front", "server": server}
    row = command(van, state=State.EXPIRED, kind="camreq", arguments=asked)
    config = app.extensions["dualcam_config"]
    app.extensions["dualcam_config"] = dataclasses.replace(config, camera_server_domain="new.example.com")
    page = f"/requests/{row.id}"
    assert Visitor(app, Role.SUPPORT).send(page, f"{page}/again").status_code == 302
    new = db.session.scalars(select(Command).where(Command.id != row.id)).one()
    assert new.arguments["server"]["domain"] == "new.example.com"


def test_a_video_that_is_here_already_is_linked_where_it_is_asked_for_again(
    van: Device, visitor: Visitor
) -> None:
    begin = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
    here = upload(van, file_type="video", identifier="%videof", timestamp=begin, trigger=0, duration=10)
    answer = visitor.send(
        f"/vehicles/{IMEI}/footage", f"/vehicles/{IMEI}/ask",
        **{"file_type": "video", "source": "both", "duration": "10", "from": "2026-11-20T10:00:00"},
    )  # fmt: skip
    sentence = " ".join(answer.text.split())
    assert answer.status_code == 409
    assert f'You have this clip already: <a href="/uploads/{here.id}">front camera</a>' in sentence
    assert "Ask for the rear camera alone." in sentence


def test_a_request_that_is_under_way_is_named_in_words_where_it_is_asked_for_again(
    van: Device, visitor: Visitor
) -> None:
    row = command(van, state=State.QUEUED, created_at=datetime(2026, 11, 20, 11, 37, tzinfo=UTC))
    answer = visitor.send(
        f"/vehicles/{IMEI}/footage", f"/vehicles/{IMEI}/ask", file_type="photo", source="front"
    )
    found = re.search(rf'The same is still under way: <a href="/requests/{row.id}">([^<]*)</a>', flat(answer))
    assert answer.status_code == 409
    assert found
    assert re.fullmatch(r"Photo, front camera \(.*13:37 EET\)", found[1])
    assert f"command {row.id}" not in answer.text


def test_how_sure_it_is_that_a_file_is_the_requests_is_said_in_the_readers_language(
    van: Device, visitor: Visitor
) -> None:
    row = command(van)
    file = upload(van, command_id=row.id, link_certainty="probable", link_reason=Phrase("only_one_fits"))
    for language, word in (("en", "(not certain)"), ("de", "(nicht sicher)")):
        answer = visitor.get(f"/requests/{row.id}", **{"Accept-Language": language})
        assert word in answer.text
    file.link_certainty = "certain"
    db.session.commit()
    assert "certain)" not in visitor.get(f"/requests/{row.id}").text


def test_a_done_request_whose_files_are_gone_says_so_and_one_without_files_that_it_was_answered(
    van: Device, visitor: Visitor
) -> None:
    photo = command(van, state=State.DONE)
    asked = command(van, state=State.DONE, kind="getparam", arguments={"parameters": [66003]})
    assert "Its files came, and have been removed since." in visitor.get(f"/requests/{photo.id}").text
    assert "The vehicle has answered." in visitor.get(f"/requests/{asked.id}").text


def test_the_sms_of_a_request_stand_behind_what_was_sent(van: Device, visitor: Visitor) -> None:
    row = command(van, state=State.DONE, kind="getver", arguments={}, reply="Ver:03.28.03.Rev.05")
    page = flat(visitor.get(f"/requests/{row.id}"))
    assert '<details class="card" id="sent"> <summary' in page
    assert page.index('id="sent"') < page.index("Ver:03.28.03.Rev.05")
