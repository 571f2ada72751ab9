"""Pages as the server gives them: long lists, zones, one line a command, unclaimed texts, sign-in that has ended."""

import dataclasses
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask, g
from sqlalchemy import event, func, select
from werkzeug.test import TestResponse

from provisioning.core import change_feed
from provisioning.devices import registry, status_table
from provisioning.fleet import presets
from provisioning.media import camera_sessions, event_service, request_progress
from provisioning.models import (
    Attempt,
    CameraSession,
    Command,
    Device,
    Message,
    Passage,
    Role,
    State,
    StatusItem,
    Upload,
    Verdict,
    db,
    new_id,
    utcnow,
)
from provisioning.web import sign_in, users
from provisioning.web.moved_addresses import MOVED
from provisioning.web.pages import inbox

IMEI = "352094082736916"


class Visitor:
    """A browser without JavaScript: keeps cookies, sends forms with the hidden fields of the page they stand on."""

    def __init__(self, app: Flask, role: Role) -> None:
        self.client = app.test_client()
        user = users.create(f"{role.value}@example.com", role, "a long enough password")
        made = sign_in.begin(user, "127.0.0.1", "tests", utcnow())
        with self.client.session_transaction() as session:
            session["_user_id"], session["_fresh"] = made.key, True

    def get(self, path: str, **headers: str) -> TestResponse:
        self._forget()
        return self.client.get(path, headers=headers)

    def send(self, page: str, action: str, **fields: Any) -> TestResponse:
        text = self.get(page).text
        found = {
            name: re.findall(rf'name="{name}"\s+value="([^"]+)"', text) for name in ("csrf_token", "nonce")
        }
        hidden = {name: values[-1] for name, values in found.items() if values}
        self._forget()
        return self.client.post(action, data=hidden | fields, headers={"Referer": f"http://localhost{page}"})

    def leave(self) -> None:
        with self.client.session_transaction() as session:
            session.clear()

    @staticmethod
    def _forget() -> None:
        """The tests' app context outlives a request; what it holds of a request must not."""
        for name in list(g):
            g.pop(name)


@pytest.fixture
def van(app: Flask) -> Device:
    given = {
        "imei": IMEI, "phone": "+12025550111", "name": "Van 11", "sms_login": "fleet", "sms_password": "cam11",
        "time_zone": "Europe/Vilnius",
    }  # fmt: skip
    return registry.add(given, utcnow())


@pytest.fixture
def visitor(app: Flask) -> Visitor:
    return Visitor(app, Role.ADMIN)


def command(device: Device, number: int = 0, state: State = State.DONE, **more: Any) -> Command:
    now = utcnow()
    row = Command(
        id=new_id(), device_id=device.id, kind="camreq", arguments={"file_type": "photo", "source": "front"},
        text=f"\u2022\u2022 camreq:1,1 number {number}", length=20, state=state, requested_by="tests", due_at=now,
        sending_at=now, history=[{"at": now.isoformat(), "state": state.value, "note": None}],
    )  # fmt: skip
    for name, value in more.items():
        setattr(row, name, value)
    db.session.add(row)
    db.session.commit()
    return row


def flat(answer: TestResponse) -> str:
    """Give a page with one blank wherever its source has any."""
    return " ".join(answer.text.split())


def upload(device: Device | None, state: str = "stored", **more: Any) -> Upload:
    given = {
        "id": new_id(), "imei": device.imei if device else "350612071913857", "device_id": device and device.id,
        "identifier": "%photof", "file_type": "photo", "source": "front", "state": state, "packets": 54, "size": 1000,
    }  # fmt: skip
    row = Upload(**given | more)
    db.session.add(row)
    db.session.commit()
    return row


def text_from(sender: str, body: str) -> Message:
    row = Message(
        id=new_id(), direction="in", gateway="twilio", gateway_id=new_id(), sender=sender,
        recipient="+12025550100", body=body, status="received", claimed=False, created_at=utcnow(),
    )  # fmt: skip
    db.session.add(row)
    db.session.commit()
    return row


# long lists


@pytest.mark.parametrize("name", ["requests", "uploads", "messages", "sessions"])
def test_every_list_of_a_vehicle_is_paged_to_its_end(van: Device, visitor: Visitor, name: str) -> None:
    life = [{"at": utcnow().isoformat(), "state": "done", "note": None}]
    for number in range(1000):
        stamp = f"{number:032x}"
        row: Any = {
            "requests": lambda s: Command(id=s, device_id=van.id, kind="getver", arguments={}, text="x", length=1,
                                          state="done", history=life),
            "uploads": lambda s: Upload(id=s, imei=IMEI, device_id=van.id, identifier="%photof", file_type="photo",
                                        source="front", state="stored", event_due=True),
            "messages": lambda s: Message(id=s, direction="out", gateway="twilio", sender="+1", recipient="+2",
                                          body="x", status="sent", device_id=van.id),
            "sessions": lambda s: CameraSession(id=s, imei=IMEI, device_id=van.id, address="192.0.2.1:1"),
        }[name](stamp)  # fmt: skip
        db.session.add(row)
    db.session.commit()
    event_service.remake_all(utcnow)
    path = f"/media?vehicle={IMEI}" if name == "uploads" else f"/vehicles/{IMEI}/log?kind={name}"
    rows, mark = 0, "<article" if name == "uploads" else '<li class="entry"'
    for _ in range(30):
        text = visitor.get(path).text
        rows += text.count(mark)
        found = re.search(r'href="([^"]+before=[^"]+)">Older', text)
        if not found:
            break
        path = found[1].replace("&amp;", "&")
    assert rows == 1000


def test_the_log_has_requests_sms_and_connections_in_the_order_of_time(van: Device, visitor: Visitor) -> None:
    ids = [new_id() for _ in range(3)]
    db.session.add(CameraSession(id=ids[0], imei=IMEI, device_id=van.id, address="192.0.2.1:1"))
    command(van, id=ids[1])
    db.session.add(
        Message(
            id=ids[2],
            direction="in",
            gateway="twilio",
            sender="+1",
            recipient="+2",
            body="x",
            status="received",
            device_id=van.id,
        )
    )
    db.session.commit()
    text = visitor.get(f"/vehicles/{IMEI}/log").text
    assert re.findall(r'<li class="entry" id="([^"]+)"', text) == ids[::-1]


def test_a_thousand_vehicles_are_paged_and_found_by_name(app: Flask, visitor: Visitor) -> None:
    for number in range(1000):
        db.session.add(
            Device(imei=f"{number:015d}", phone=f"+1{number:010d}", name=f"Van {number:04d}", time_zone="UTC")
        )
    db.session.commit()
    first = visitor.get("/").text
    assert "1000 vehicles · page 1 of 20" in " ".join(first.split())
    assert first.count("<tr>") == 51
    assert "Van 0999" in visitor.get("/?page=20").text
    assert visitor.get("/?q=Van+0777").text.count("<tr>") == 2


def test_a_page_past_the_end_of_the_devices_offers_a_way_back(van: Device, visitor: Visitor) -> None:
    for page in ("7", "0", "-1", "9" * 40, "x"):
        assert "Van 11" in visitor.get(f"/?page={page}").text


def test_unclaimed_texts_are_paged_and_name_every_device_once(van: Device, visitor: Visitor) -> None:
    for number in range(120):
        text_from(f"+1202555{number:04d}", "hello")
    text = visitor.get("/inbox").text
    assert text.count('<li class="text"') == 50
    assert text.count(f'<option value="{IMEI}"') == 1
    assert "Older" in text


def test_a_list_that_does_not_exist_is_not_found(van: Device, visitor: Visitor) -> None:
    assert visitor.get(f"/devices/{IMEI}/all/secrets").status_code == 404
    assert visitor.get(f"/vehicles/{IMEI}/part/secrets").status_code == 404


# one line: where it is and why it is not here yet


def told(visitor: Visitor) -> str:
    return " ".join(visitor.get(f"/vehicles/{IMEI}/part/requests").text.split())


def test_a_request_tells_how_much_of_its_file_has_come(van: Device, visitor: Visitor) -> None:
    command(van, state=State.ANSWERED, expires_at=datetime(2026, 11, 26, 0, 30, tzinfo=UTC))
    upload(van, "receiving", received_packets=31)
    text = told(visitor)
    assert "31 of 54 packets of the front photo have come." in text
    assert "</svg>Coming 57 %</span>" in text
    assert "We wait until 02:30 EET." in text


def test_a_broken_line_tells_that_the_device_goes_on(van: Device, visitor: Visitor) -> None:
    command(van, state=State.ANSWERED)
    upload(van, "partial", received_packets=31)
    assert "The connection broke after 31 of 54 packets" in told(visitor)


def test_a_file_that_began_before_the_request_does_not_explain_it(van: Device, visitor: Visitor) -> None:
    upload(van, "partial", received_packets=3, started_at=utcnow() - timedelta(days=6))
    command(van, state=State.ANSWERED)
    assert "The vehicle has accepted" in told(visitor)


def test_a_request_for_both_names_the_file_that_is_missing(van: Device, visitor: Visitor) -> None:
    row = command(van, state=State.ANSWERED, arguments={"file_type": "photo", "source": "both"})
    upload(van, command_id=row.id)
    text = told(visitor)
    assert (
        "Front photo</a> · The vehicle has accepted; the rear photo comes once its camera is connected"
        in text
    )


def test_a_request_whose_camera_was_cut_off_tells_why(van: Device, visitor: Visitor) -> None:
    command(van, state=State.ANSWERED, sending_at=utcnow() - timedelta(minutes=1))
    db.session.add(
        CameraSession(id=new_id(), imei=IMEI, device_id=van.id, address="192.0.2.1:1", started_at=utcnow(),
                      ended_at=utcnow(), code="bad_crc", reason="31 packets in a row with a wrong CRC.")
    )  # fmt: skip
    db.session.commit()
    assert "The camera connected, but: 31 packets in a row with a wrong CRC." in told(visitor)


def test_a_failed_request_says_whether_asking_again_helps(van: Device, visitor: Visitor) -> None:
    command(
        van,
        state=State.FAILED,
        error_code="ignition_off",
        error_message="The ignition is off.",
        error_retry=True,
    )
    assert "The ignition is off. Asking again may help." in told(visitor)


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
    told = " ".join(answer.text.split())
    assert answer.status_code == 409
    assert f'You have this clip already: <a href="/uploads/{here.id}">front camera</a>' in told
    assert "Ask for the rear camera alone." in told


# times


@pytest.mark.parametrize(
    ("moment", "words"),
    [
        (datetime(2026, 11, 26, 20, 34, tzinfo=UTC), "22:34 EET"),
        (datetime(2026, 11, 27, 20, 34, tzinfo=UTC), "tomorrow 22:34 EET"),
        (datetime(2026, 11, 26, 22, 30, tzinfo=UTC), "tomorrow 00:30 EET"),
        (datetime(2026, 11, 28, 20, 34, tzinfo=UTC), "2026-11-28 22:34 EET"),
    ],
)
def test_a_time_of_another_day_says_which_day(moment: datetime, words: str) -> None:
    assert (
        request_progress.clock(moment, "Europe/Vilnius", datetime(2026, 11, 26, 20, 0, tzinfo=UTC)) == words
    )


def test_a_page_holds_no_time_that_only_counts_on_with_javascript(van: Device, visitor: Visitor) -> None:
    command(van)
    status_table.note(
        van, "contact.sms", None, Verdict.GOOD, now=utcnow(), source_kind="message", source_id=None
    )
    db.session.commit()
    for path in ("/", f"/vehicles/{IMEI}", f"/vehicles/{IMEI}/footage"):
        page = visitor.get(path).text
        assert "<time" in page
        assert not re.search(r"\d+ (s|min|h|d) ago", page)


def test_a_video_from_a_moment_to_come_is_refused_in_the_devices_time(van: Device, visitor: Visitor) -> None:
    answer = visitor.send(
        f"/vehicles/{IMEI}/footage", f"/vehicles/{IMEI}/ask", file_type="video", source="front", duration="10",
        **{"from": "2099-01-01T10:00:00"},
    )  # fmt: skip
    assert answer.status_code == 422
    assert "would end at 2099-01-01 10:00:10 EET, which has not come yet" in answer.text
    assert 'value="2099-01-01T10:00:00"' in answer.text
    assert db.session.scalar(select(func.count()).select_from(Command)) == 0


@pytest.mark.parametrize("begin", ["9999-12-31T23:59:59", "0001-01-01T00:00:00"])
def test_a_time_at_the_edge_of_the_calendar_is_refused_like_any_other(
    van: Device, visitor: Visitor, begin: str
) -> None:
    answer = visitor.send(
        f"/vehicles/{IMEI}/footage", f"/vehicles/{IMEI}/ask", file_type="video", source="front", duration="10",
        **{"from": begin},
    )  # fmt: skip
    assert answer.status_code == 422
    assert db.session.scalar(select(func.count()).select_from(Command)) == 0


def test_an_hour_that_the_clock_skipped_is_refused(van: Device, visitor: Visitor) -> None:
    answer = visitor.send(
        f"/vehicles/{IMEI}/footage", f"/vehicles/{IMEI}/ask", file_type="video", source="front", duration="10",
        **{"from": "2026-03-29T03:30:00"},
    )  # fmt: skip
    assert "This time does not exist in Europe/Vilnius" in answer.text


def test_a_video_is_asked_from_the_devices_own_time(van: Device, visitor: Visitor) -> None:
    visitor.send(
        f"/vehicles/{IMEI}/footage", f"/vehicles/{IMEI}/ask", file_type="video", source="front", duration="10",
        **{"from": "2026-07-01T12:00:00"},
    )  # fmt: skip
    row = db.session.scalars(select(Command)).one()
    assert row.arguments["timestamp"] == datetime(2026, 7, 1, 9, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("begin", ["", "2099-01-01T10:00:00"], ids=["now", "to come"])
@pytest.mark.parametrize("seconds", ["31", "9" * 20])
def test_31_seconds_are_refused_beside_the_form(
    van: Device, visitor: Visitor, seconds: str, begin: str
) -> None:
    answer = visitor.send(
        f"/vehicles/{IMEI}/footage", f"/vehicles/{IMEI}/ask", file_type="video", source="front", duration=seconds,
        **{"from": begin},
    )  # fmt: skip
    assert answer.status_code == 422
    assert "Seconds: Give whole seconds from 1 to 30." in answer.text


def test_the_life_of_a_command_and_its_device_stand_in_the_devices_zone(
    van: Device, visitor: Visitor
) -> None:
    at = "2026-11-26T00:00:00.000Z"
    row = command(van, history=[{"at": at, "state": "done", "note": None}])
    status_table.note(
        van, "contact.sms", at, Verdict.GOOD, now=utcnow(), source_kind="message", source_id="x"
    )
    db.session.commit()
    assert "2026-11-26 02:00:00 EET</time> Done" in visitor.get(f"/requests/{row.id}").text
    assert (
        "<strong>2026-11-26 02:00:00 EET</strong>" in visitor.get(f"/vehicles/{IMEI}/settings/tracker").text
    )


# unclaimed texts and unknown devices


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
    assert (kept.body, kept.note) == ("win a car", "Put aside by admin@example.com.")


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


def badge(visitor: Visitor) -> str:
    found = re.search(r'class="badge[^"]*">([^<]+)<', visitor.get("/").text)
    return found[1] if found else ""


# how much is read for a page


class Statements:
    """Counts the statements of a request, and the status items that it makes objects of."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.items = 0

    def __enter__(self) -> "Statements":
        event.listen(db.engine, "before_cursor_execute", self._executed)
        event.listen(StatusItem, "load", self._loaded)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(db.engine, "before_cursor_execute", self._executed)
        event.remove(StatusItem, "load", self._loaded)

    def _executed(self, _: Any, __: Any, statement: str, *___: Any) -> None:
        self.texts.append(statement)

    def _loaded(self, *_: Any) -> None:
        self.items += 1


def statements_of(visitor: Visitor, path: str) -> Statements:
    db.session.expunge_all()
    with Statements() as counted:
        assert visitor.get(path).status_code == 200
    return counted


def test_the_list_of_devices_reads_only_the_items_that_it_shows(van: Device, visitor: Visitor) -> None:
    now = utcnow()
    for number in range(30):
        status_table.note(
            van, f"info.{number}", "x", Verdict.WARN, now=now, source_kind="message", source_id=None
        )
    status_table.note(van, "contact.sms", None, Verdict.GOOD, now=now, source_kind="message", source_id=None)
    db.session.commit()
    assert statements_of(visitor, "/").items == 0


def test_the_page_of_unclaimed_texts_asks_no_more_for_many_texts(van: Device, visitor: Visitor) -> None:
    command(van, state=State.EXPIRED)
    pages = []
    for number in (0, 1, 20):
        for _ in range(number):
            text_from("+12025550133", f"Param ID:66003 Value:25 {IMEI}")
            text_from("+12025550134", "Param ID:66003 Value:25")
        pages.append(len(statements_of(visitor, "/inbox").texts))
    assert pages[2] == pages[1]
    assert visitor.get("/inbox").text.count("It is Van 11") == 42


def test_the_page_of_a_provisioning_does_not_ask_for_each_parameter(van: Device, visitor: Visitor) -> None:
    counted = statements_of(visitor, f"/vehicles/{IMEI}/settings/all")
    assert len([text for text in counted.texts if "FROM status_items" in text]) == 2  # fields, plan


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


# forms keep what was typed, and work without JavaScript


def test_the_sms_of_a_provisioning_can_be_seen_before_sending_without_javascript(
    van: Device, visitor: Visitor
) -> None:
    page = f"/vehicles/{IMEI}/settings/all"
    answer = visitor.send(page, page, **{"set-66003": "on", "p-66003": "25", "preview": "1"})
    assert "setparam 151:18;150:1;66003:25" in answer.text
    assert db.session.scalar(select(func.count()).select_from(Command)) == 0


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


def test_a_new_version_begins_with_the_values_of_the_old(app: Flask, visitor: Visitor) -> None:
    presets.save("Trucks", "for trucks", {"66003": 25}, "tests", utcnow())
    text = flat(visitor.get("/settings/presets?begin=Trucks"))
    assert 'name="set-66003" checked' in text
    assert '<option value="25" selected' in text


def test_fields_begin_with_the_devices_defaults(app: Flask, visitor: Visitor) -> None:
    assert '<option value="3" selected>3: 1280x720' in flat(visitor.get("/settings/presets"))


def test_a_form_sent_again_from_a_kept_page_with_other_fields_is_done_as_well(
    van: Device, visitor: Visitor
) -> None:
    page = visitor.get(f"/vehicles/{IMEI}/footage").text
    hidden = {
        name: re.findall(rf'name="{name}"\s+value="([^"]+)"', page)[0] for name in ("csrf_token", "nonce")
    }
    for source in ("front", "rear", "rear"):
        visitor._forget()
        visitor.client.post(f"/vehicles/{IMEI}/ask", data=hidden | {"file_type": "photo", "source": source})
    asked = db.session.scalars(select(Command).order_by(Command.id)).all()
    assert [row.arguments["source"] for row in asked] == ["front", "rear"]


@pytest.mark.parametrize("path", ["/", f"/vehicles/{IMEI}", f"/vehicles/{IMEI}/part/requests", "/vehicles/0"])
def test_no_browser_keeps_a_page(van: Device, visitor: Visitor, path: str) -> None:
    assert visitor.get(path).headers["Cache-Control"] == "no-store"


def test_a_video_of_a_moment_after_the_page_was_made_can_be_typed(van: Device, visitor: Visitor) -> None:
    field = re.search(
        r'<input [^>]*type="datetime-local"[^>]+>', visitor.get(f"/vehicles/{IMEI}/footage").text
    )
    assert field
    assert "max=" not in field[0]


def test_only_models_whose_parameters_are_in_the_catalogue_are_proposed(visitor: Visitor) -> None:
    page = visitor.get("/vehicles/new").text
    models = re.findall(r'<option value="(F[^"]+)">', page)
    assert models == ["FMB125", "FMC125", "FMB225", "FMC225"]


# who may, and sign-in that has ended


def test_a_viewer_reads_that_the_role_does_not_allow_it(van: Device, app: Flask) -> None:
    viewer = Visitor(app, Role.VIEWER)
    page = viewer.get(f"/vehicles/{IMEI}")
    assert "Photo now" not in page.text
    assert viewer.get(f"/vehicles/{IMEI}/settings").location == f"/vehicles/{IMEI}/settings/tracker"
    answer = viewer.get(f"/vehicles/{IMEI}/settings/vehicle")
    assert answer.status_code == 403
    assert "installer" in answer.text


def press(visitor: Visitor, command: str, **fields: str) -> TestResponse:
    page = f"/vehicles/{IMEI}/settings/tracker"
    return visitor.send(page, f"/vehicles/{IMEI}/command", command=command, **fields)


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
    assert "Tick the box first" in answer.text
    assert db.session.scalar(select(Command.id)) is None


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


def test_a_form_sent_after_the_session_has_ended_leads_to_sign_in_and_back(
    van: Device, visitor: Visitor
) -> None:
    visitor.get(f"/vehicles/{IMEI}")
    visitor.leave()
    visitor._forget()
    answer = visitor.client.post(
        f"/vehicles/{IMEI}/ask",
        data={"csrf_token": "old"},
        headers={"Referer": f"http://localhost/vehicles/{IMEI}"},
    )
    assert answer.status_code == 302
    assert answer.location == f"/login?next=/vehicles/{IMEI}&ended=1"
    assert "Your session has ended" in visitor.get(answer.location).text


OURS = {"Sec-Fetch-Site": "same-origin", "Referer": f"http://localhost/vehicles/{IMEI}/footage"}
WHO = {"email": "admin@example.com", "password": "a long enough password"}


def hidden(page: str) -> list[tuple[str, str]]:
    """Give the hidden fields of the form in the main part of a page."""
    found = re.findall(
        r'<input type="hidden"\s+name="([^"]+)"\s+value="([^"]*)">', page.partition("<main")[2]
    )
    return [(name, value.replace("&#39;", "'")) for name, value in found]


def test_a_form_sent_after_the_session_has_ended_is_kept_through_the_sign_in(
    van: Device, visitor: Visitor
) -> None:
    fields = {"csrf_token": "old", "nonce": "n1", "file_type": "video", "source": "rear", "duration": "7",
              "from": "2026-07-01T12:00:00", "sms_password": "cam11"}  # fmt: skip
    visitor.leave()
    visitor._forget()
    ended = visitor.client.post(f"/vehicles/{IMEI}/ask", data=fields, headers=OURS)
    assert ended.status_code == 401
    assert "what you filled in is kept" in ended.text
    assert "cam11" not in ended.text
    visitor._forget()
    wrong = visitor.client.post("/login", data=dict(hidden(ended.text)) | WHO | {"password": "wrong"})
    visitor._forget()
    right = visitor.client.post("/login", data=dict(hidden(wrong.text)) | WHO)
    assert "Your form is still here" in right.text
    assert f'action="/vehicles/{IMEI}/ask"' in right.text
    assert db.session.scalar(select(func.count()).select_from(Command)) == 0
    visitor._forget()
    sent = visitor.client.post(f"/vehicles/{IMEI}/ask", data=dict(hidden(right.text)), headers=OURS)
    assert sent.location == f"/vehicles/{IMEI}/footage"
    row = db.session.scalars(select(Command)).one()
    assert (row.arguments["source"], row.arguments["duration"]) == ("rear", 7)


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {}]
)
def test_a_form_from_elsewhere_is_not_kept(van: Device, visitor: Visitor, headers: dict[str, str]) -> None:
    visitor.leave()
    visitor._forget()
    answer = visitor.client.post(f"/vehicles/{IMEI}/ask", data={"file_type": "photo"}, headers=headers)
    assert answer.status_code == 302
    assert answer.location.startswith("/login?")


def test_a_part_asked_for_after_the_session_has_ended_moves_the_whole_page(
    van: Device, visitor: Visitor
) -> None:
    visitor.leave()
    answer = visitor.get(
        f"/vehicles/{IMEI}/part/requests",
        **{"HX-Request": "true", "Referer": f"http://localhost/vehicles/{IMEI}"},
    )
    assert (answer.status_code, answer.text) == (401, "")
    assert answer.headers["HX-Redirect"] == f"/login?next=/vehicles/{IMEI}"


def test_one_user_holds_so_many_streams_and_the_oldest_gives_way(van: Device, visitor: Visitor) -> None:
    def listen() -> TestResponse:
        visitor._forget()
        answer = visitor.client.get("/events", headers={"Accept": "text/event-stream"}, buffered=False)
        assert answer.status_code == 200
        return answer

    held = [listen() for _ in range(change_feed.STREAMS_PER_USER + 2)]
    assert [list(answer.response) for answer in held[:2]] == [[b"retry: 2000\n\n"]] * 2  # ended at once
    assert sum(len(places) for places in change_feed.hub._held.values()) == change_feed.STREAMS_PER_USER
    for answer in held:
        answer.close()
    assert change_feed.hub._held == {}


def test_a_stream_is_refused_after_the_session_has_ended(van: Device, visitor: Visitor) -> None:
    visitor.leave()
    assert visitor.get(f"/vehicles/{IMEI}/events", Accept="text/event-stream").status_code == 401


@pytest.mark.parametrize(
    "path", ["/", f"/vehicles/{IMEI}", f"/vehicles/{IMEI}/part/requests", f"/vehicles/{IMEI}/events"]
)
def test_an_answer_that_comes_late_does_not_undo_signing_out(
    van: Device, visitor: Visitor, path: str
) -> None:
    visitor.leave()
    who = {"email": "admin@example.com", "password": "a long enough password"}
    cookies = visitor.send("/login", "/login", **who).headers.getlist("Set-Cookie")
    assert any(cookie.startswith("session=") for cookie in cookies)
    visitor.get(f"/vehicles/{IMEI}")
    answer = visitor.get(path)
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers  # a browser would keep it after the sign-out of another tab
    answer.close()


def test_sign_in_never_leads_to_another_host(app: Flask, visitor: Visitor) -> None:
    visitor.leave()
    answer = visitor.get("/", **{"HX-Request": "true", "Referer": "http://evil.example//evil.example/x"})
    assert answer.headers["HX-Redirect"] == "/login?next=/"


def test_an_old_form_of_somebody_signed_in_is_refused_with_the_reason(van: Device, visitor: Visitor) -> None:
    visitor._forget()
    answer = visitor.client.post(f"/vehicles/{IMEI}/ask", data={"csrf_token": "old", "file_type": "photo"})
    assert answer.status_code == 400
    assert "load the page anew" in answer.text
    assert db.session.scalar(select(func.count()).select_from(Command)) == 0


def test_a_large_fleet_is_not_listed_beside_each_text_of_an_unknown_number(
    visitor: Visitor, van: Device
) -> None:
    db.session.add(
        Message(
            direction="in",
            gateway="twilio",
            gateway_id="SM1",
            sender="+12025550133",
            recipient="+12025550100",
            body="?",
            status="received",
        )
    )
    db.session.commit()
    assert f'<option value="{van.imei}">' in visitor.get("/inbox").text
    db.session.add_all(
        Device(imei=f"{number:015d}", phone=f"+1{number:014d}") for number in range(inbox.SUGGESTED)
    )
    db.session.commit()
    page = visitor.get("/inbox").text
    assert "<option" not in page
    assert "IMEI or name of the vehicle" in page


def test_a_camera_that_told_half_a_character_leaves_a_page(van: Device, visitor: Visitor) -> None:
    row = upload(van, details={"driver_name": "A\ud800\x1b", "\udfff": "B"})  # as older versions kept it
    page = visitor.get(f"/uploads/{row.id}")
    assert page.status_code == 200
    assert "A\ufffd\ufffd" in page.text


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


# addresses of before


@pytest.mark.parametrize("rule", MOVED)
def test_an_old_address_leads_to_the_new_one(app: Flask, van: Device, visitor: Visitor, rule: str) -> None:
    names = {"imei": van.imei, "ident": command(van).id, "name": "Trucks"}
    presets.save("Trucks", "", {"66003": 25}, "tests", utcnow())
    path = rule
    for name, value in names.items():
        path = path.replace(f"<{name}>", value)
    answer = visitor.get(f"{path}?page=2")
    assert answer.status_code == 301
    assert re.search(r"[?&]page=2", answer.location)
    found, _ = app.url_map.bind("localhost").match(
        answer.location.partition("?")[0], method="POST" if rule.endswith(FORMS) else "GET"
    )
    assert found == f"pages.{MOVED[rule][0]}"


FORMS = ("archive", "plan", "ask", "command", "credentials", "cancel", "again", "claim", "aside")


def test_a_form_of_an_open_old_page_is_done_at_the_new_address(van: Device, visitor: Visitor) -> None:
    answer = visitor.send(
        f"/vehicles/{IMEI}/footage", f"/devices/{IMEI}/ask", file_type="photo", source="rear"
    )
    assert (answer.status_code, answer.location) == (308, f"/vehicles/{IMEI}/ask")
    answer = visitor.send(f"/vehicles/{IMEI}/footage", answer.location, file_type="photo", source="rear")
    assert db.session.scalars(select(Command)).one().arguments["source"] == "rear"
