"""Texts that fit no device or command, and devices that are not registered, on their pages."""

from flask import Flask
from page_visitor import IMEI, Visitor, badge, command, prove, text_from, upload

from provisioning.commands import command_words
from provisioning.media import camera_sessions
from provisioning.models import Attempt, CameraSession, Device, Message, Passage, State, db, new_id, utcnow


def test_a_text_with_an_imei_offers_that_device_and_one_tap_takes_its_number(
    van: Device, visitor: Visitor
) -> None:
    row = text_from("+12025550177", f"Ver:03.28.03.Rev.05 Hw:FMC125 IMEI:{IMEI}")
    assert "It is Van 11’s new number" in visitor.get("/inbox").text
    answer = visitor.send("/inbox", f"/inbox/texts/{row.id}/claim", imei=IMEI)
    assert answer.status_code == 302
    assert db.session.get_one(Device, van.id).phone == "+12025550177"


def test_trackers_words_offer_who_owes_an_answer_and_chatter_offers_nobody(
    van: Device, visitor: Visitor
) -> None:
    command(van, state=State.IN_PROGRESS, attempts=[Attempt(outcome=Passage.DELIVERED)])
    text_from("+12025550177", "Photo request from source 1.")
    text_from("+12025550178", "hello, who is this?")
    assert visitor.get("/inbox").text.count("It is Van 11’s new number") == 1


def test_a_device_is_named_by_name_as_well(van: Device, visitor: Visitor) -> None:
    row = text_from("+12025550177", "hm")
    visitor.send("/inbox", f"/inbox/texts/{row.id}/claim", imei="Van 11")
    assert db.session.get_one(Device, van.id).phone == "+12025550177"


def test_a_text_put_aside_waits_no_more_and_is_kept(van: Device, visitor: Visitor) -> None:
    row = text_from("+12025550177", "win a car")
    visitor.send("/inbox", f"/inbox/texts/{row.id}/aside")
    assert "win a car" not in visitor.get("/inbox").text
    kept = db.session.get_one(Message, row.id)
    assert (kept.body, command_words.said(kept.note)) == ("win a car", "Put aside by admin@example.com.")


def test_the_files_kept_of_an_unknown_device_can_be_looked_at(app: Flask, visitor: Visitor) -> None:
    upload(None, "quarantined")
    db.session.add(
        CameraSession(id=new_id(), imei="350612071913857", address="192.0.2.1:1", started_at=utcnow())
    )
    db.session.commit()
    for path in ("/inbox", "/inbox/unknown"):
        assert "1 file</a>" in visitor.get(path).text
    assert "Front photo" in visitor.get("/inbox/unknown/350612071913857").text
    assert visitor.get("/inbox/unknown/350612071913858").status_code == 404


def test_an_unknown_imei_is_counted_until_a_device_has_it(app: Flask, van: Device, visitor: Visitor) -> None:
    prove(van)
    for imei in ("350612071913857", IMEI):
        db.session.add(
            CameraSession(id=new_id(), imei=imei, address="192.0.2.1", peer=imei, ended_at=utcnow())
        )
    db.session.commit()
    assert badge(visitor) == "1"


def test_more_unknown_imeis_than_anybody_needs_to_know_are_not_counted(app: Flask, visitor: Visitor) -> None:
    db.session.add_all(
        CameraSession(
            id=new_id(), imei=f"{number:015d}", address="192.0.2.1", peer=f"{number:015d}", ended_at=utcnow()
        )
        for number in range(camera_sessions.COUNTED + 5)
    )
    db.session.commit()
    assert badge(visitor) == "99+"
