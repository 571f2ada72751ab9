"""Links by which people without an account see an event: made, opened, counted, locked, ended."""

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from page_visitor import Visitor, flat
from people_visits import untagged
from sqlalchemy import delete, select, update
from test_api import Api
from test_event_pages import event
from test_events import stored
from werkzeug.test import TestResponse

from provisioning.core.undo import UNDO
from provisioning.media import event_service, storage
from provisioning.models import AuditEntry, Device, Event, Role, Share, Upload, db, utcnow


@pytest.fixture
def ident(van: Device) -> str:
    path = "shared.jpg"
    storage.media().write(path, b"picture")
    return event(van, trigger=3, path=path)


def made(app: Flask, ident: str, **given: Any) -> tuple[str, dict[str, Any]]:
    """A link of a day: the path of its address, and the answer."""
    answer = Api(app, Role.SUPPORT)("POST", f"/events/{ident}/shares", {"hours": 24} | given)
    assert answer.status_code == 201, answer.text
    return answer.json["url"].removeprefix("http://dualcam.test"), answer.json


def opened(app: Flask, path: str) -> TestResponse:
    Visitor._forget()
    return app.test_client().get(path)


def test_a_link_shows_the_event_and_its_files_without_an_account(app: Flask, ident: str) -> None:
    path, share = made(app, ident)
    page = opened(app, path)
    assert page.status_code == 200
    assert "Crash" in page.text
    assert "Fleet" not in page.text
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-store"
    found = re.search(rf'src="({path}/[^"]+)"', page.text)
    assert found
    picture = opened(app, found[1].replace("&amp;", "&"))
    assert (picture.status_code, picture.data) == (200, b"picture")
    assert picture.headers["Cache-Control"] == "no-store"
    assert share["id"] not in path


def test_views_are_counted_and_the_token_is_kept_nowhere(app: Flask, ident: str) -> None:
    path, share = made(app, ident)
    for _ in range(2):
        opened(app, path)
    shown = Api(app, Role.ADMIN)("GET", f"/shares/{share['id']}").json
    assert (shown["views"], shown["event"], "url" in shown) == (2, ident, False)
    row = db.session.scalars(select(Share)).one()
    token = path.removeprefix("/s/")
    assert token not in {str(getattr(row, column.name)) for column in Share.__table__.columns}


@pytest.mark.on_sqlite
def test_a_program_that_asks_only_whether_a_link_works_is_no_view(app: Flask, ident: str) -> None:
    path, share = made(app, ident)
    assert app.test_client().head(path).status_code == 200
    assert Api(app, Role.ADMIN)("GET", f"/shares/{share['id']}").json["views"] == 0
    assert audited(f"shared link {share['id']}") == []


@pytest.mark.on_sqlite
@pytest.mark.parametrize(
    "headers",
    [
        {"User-Agent": "WhatsApp/2.23.20.0"},
        {"User-Agent": "TelegramBot (like TwitterBot)"},
        {"User-Agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"},
        {"User-Agent": "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)"},
        {"User-Agent": "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5"},
        {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0", "Sec-Purpose": "prefetch;prerender"},
    ],
)
def test_the_preview_of_a_link_in_a_chat_is_no_view(app: Flask, ident: str, headers: dict[str, str]) -> None:
    path, share = made(app, ident)
    assert app.test_client().get(path, headers=headers).status_code == 200
    assert Api(app, Role.ADMIN)("GET", f"/shares/{share['id']}").json["views"] == 0
    assert audited(f"shared link {share['id']}") == []


def test_who_is_limited_to_other_tags_sees_by_a_link_what_everybody_sees(app: Flask, ident: str) -> None:
    path, _ = made(app, ident)
    guest = Visitor(app, Role.VIEWER, ["elsewhere"])
    page = guest.get(path)
    Visitor._forget()
    picture = re.search(rf'src="({path}/[^"]+)"', page.text)
    assert picture
    assert guest.get(picture[1].replace("&amp;", "&")).data == b"picture"
    assert guest.get(f"/media/{ident}").status_code == 404


@pytest.mark.on_sqlite
def test_the_log_has_who_shared_and_for_how_long(app: Flask, ident: str) -> None:
    made(app, ident, password="open sesame")
    visitor = Visitor(app, Role.SUPPORT)
    visitor.send(f"/media/{ident}", f"/media/{ident}/shares", hours=72)
    rows = db.session.scalars(
        select(AuditEntry).where(AuditEntry.action == "shared").order_by(AuditEntry.id)
    ).all()
    assert [(row.who, row.detail) for row in rows] == [
        ("token support", {"hours": 24, "password": "•••••"}),
        ("support@example.com", {"hours": 72}),
    ]
    assert {row.object for row in rows} == {f"event:{ident}"}


def test_the_log_has_which_originals_were_fetched_by_a_link(app: Flask, ident: str) -> None:
    plain, share = made(app, ident)
    upload = db.session.scalars(select(Upload.id)).one()
    for address in (plain, f"{plain}/{upload}/content?inline=1", f"{plain}/{upload}/content"):
        assert opened(app, address).status_code == 200
    who = f"shared link {share['id']}"
    assert audited(who) == [("saw", f"event:{ident}"), ("downloaded", f"upload:{upload}")]


def test_each_address_from_which_a_link_is_opened_is_in_the_log(app: Flask, ident: str) -> None:
    path, share = made(app, ident)
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1"):
        Visitor._forget()
        app.test_client().get(path, environ_base={"REMOTE_ADDR": address})
    db.session.rollback()
    rows = db.session.scalars(select(AuditEntry).where(AuditEntry.who == f"shared link {share['id']}"))
    assert sorted(row.address for row in rows) == ["192.0.2.1", "192.0.2.2"]


def test_the_copy_of_a_clip_that_is_fetched_by_a_link_is_in_the_log(app: Flask, van: Device) -> None:
    ident = event(van, trigger=3, path="clip.h265", file_type="video", identifier="%videof")
    upload = db.session.scalars(select(Upload)).one()
    storage.media().write(f"derived/{upload.id}.mp4", b"film")
    upload.video_state = "ready"
    db.session.commit()
    path, share = made(app, ident)
    page = opened(app, path).text.replace("&amp;", "&")
    assert f'href="{path}/{upload.id}/video.mp4?download=1"' in page
    for address in (f"{path}/{upload.id}/video.mp4", f"{path}/{upload.id}/video.mp4?download=1"):
        assert opened(app, address).data == b"film"
    assert audited(f"shared link {share['id']}") == [
        ("saw", f"event:{ident}"),
        ("downloaded", f"upload:{upload.id}"),
    ]


def audited(who: str) -> list[tuple[str, str | None]]:
    """What the log of people has of somebody, the oldest first."""
    db.session.rollback()
    rows = db.session.scalars(select(AuditEntry).where(AuditEntry.who == who).order_by(AuditEntry.id))
    return [(row.action, row.object) for row in rows]


def test_a_link_ends_by_its_time_or_by_a_person(app: Flask, ident: str) -> None:
    first, share = made(app, ident)
    assert Api(app, Role.INSTALLER)("DELETE", f"/shares/{share['id']}").status_code == 204
    second, _ = made_again(app, ident)
    db.session.execute(db.text("UPDATE shares SET expires_at = created_at"))
    db.session.commit()
    upload = db.session.scalars(select(Upload.id)).one()
    for path in (first, second, "/s/never-made"):
        answer = opened(app, path)
        assert answer.status_code == 404
        assert "This link has ended" in answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        assert opened(app, f"{path}/{upload}/content").status_code == 404


def made_again(app: Flask, ident: str) -> tuple[str, dict[str, Any]]:
    answer = Api(app, Role.ADMIN)("POST", f"/events/{ident}/shares", {"hours": 1})
    return answer.json["url"].removeprefix("http://dualcam.test"), answer.json


@pytest.mark.on_sqlite
def test_a_password_is_asked_for_before_anything_is_shown(app: Flask, ident: str) -> None:
    path, share = made(app, ident, password="open sesame")
    assert share["password"] is True
    client = app.test_client()
    page = client.get(path).text
    assert "needs a password" in page
    assert "Crash" not in page
    upload = db.session.scalars(select(Upload.id)).one()
    assert client.get(f"{path}/{upload}/content").status_code == 404
    for password, status in (("wrong one", 403), ("open sesame", 302)):
        Visitor._forget()
        token = re.findall(r'name="csrf_token"\s+value="([^"]+)"', client.get(path).text)[-1]
        Visitor._forget()
        assert client.post(path, data={"csrf_token": token, "password": password}).status_code == status
    assert "Crash" in client.get(path).text
    assert db.session.scalars(select(Share.views)).one() == 1


def test_whoever_guesses_tokens_is_slowed_down(app: Flask) -> None:
    answers = [opened(app, f"/s/guess-{number}").status_code for number in range(25)]
    assert answers[0] == 404
    assert answers[-1] == 429


def test_a_link_leads_on_where_its_event_becomes_part_of_another(app: Flask, van: Device) -> None:
    now = utcnow() - timedelta(minutes=5)
    rear = event(van, trigger=1, source="rear", timestamp=now, started_at=now)
    front = event(van, trigger=2, timestamp=now, started_at=now)
    path, _ = made(app, max(rear, front))
    for row in db.session.scalars(select(Upload)):
        row.trigger, row.event_due = 1, True
    db.session.commit()
    event_service.remake_all(utcnow)
    assert db.session.scalars(select(Event.id)).all() == [min(rear, front)]
    assert opened(app, path).status_code == 200


def test_a_file_of_another_event_is_not_behind_a_link(app: Flask, van: Device, ident: str) -> None:
    path, _ = made(app, ident)
    other = stored(van, trigger=9, path="shared.jpg")
    event_service.remake_all(utcnow)
    assert opened(app, f"{path}/{other.id}/content").status_code == 404


def test_only_who_may_share_makes_and_ends_links(app: Flask, ident: str) -> None:
    viewer = Api(app, Role.VIEWER)
    assert viewer("POST", f"/events/{ident}/shares", {"hours": 1}).status_code == 403
    _, share = made(app, ident)
    assert viewer("GET", f"/shares/{share['id']}").status_code == 403
    assert viewer("DELETE", f"/shares/{share['id']}").status_code == 403
    for given in ({}, {"hours": 0}, {"hours": 24, "password": "short"}):
        assert Api(app, Role.ADMIN)("POST", f"/events/{ident}/shares", given).status_code == 422
        db.session.execute(db.text("UPDATE api_tokens SET revoked_at = created_at WHERE name = 'admin'"))
        db.session.commit()


def test_the_page_of_an_event_ends_no_link_to_another(app: Flask, van: Device, ident: str) -> None:
    path, share = made(app, ident)
    other = event(van, hours=30)
    visitor = Visitor(app, Role.SUPPORT)
    answer = visitor.send(f"/media/{other}", f"/media/{other}/shares/{share['id']}/end")
    assert answer.status_code == 404
    assert opened(app, path).status_code == 200


@pytest.mark.on_sqlite
def test_the_page_of_an_event_makes_a_link_shows_it_once_and_ends_it(app: Flask, ident: str) -> None:
    visitor = Visitor(app, Role.SUPPORT)
    page = f"/media/{ident}"
    assert visitor.send(page, f"{page}/shares", hours="72").status_code == 302
    text = visitor.get(page).text
    found = re.search(r'value="http://dualcam.test(/s/[^"]+)"', text)
    assert found
    assert "data-copy" in text
    assert "/s/" not in visitor.get(page).text
    assert opened(app, found[1]).status_code == 200
    share = db.session.scalars(select(Share)).one()
    assert "<summary>1 person</summary>" in Visitor(app, Role.ADMIN).get(page).text
    assert visitor.send(page, f"{page}/shares/{share.id}/end").status_code == 302
    assert opened(app, found[1]).status_code == 404
    done = db.session.scalars(select(AuditEntry.action).where(AuditEntry.object == f"event:{ident}"))
    assert done.all()[-1] == "unshared"
    assert "at least 6 characters" in visitor.send(page, f"{page}/shares", hours="72", password="abc").text


def ended(visitor: Visitor, app: Flask, ident: str) -> tuple[str, str, str]:
    """A link that somebody ended on the page: its path, its id, and the page that they see then."""
    path, share = made(app, ident)
    page = f"/media/{ident}"
    answer = visitor.send(page, f"{page}/shares/{share['id']}/end")
    assert answer.status_code == 302
    assert opened(app, path).status_code == 404
    return path, share["id"], answer.location.removesuffix("#share")


def test_an_event_counts_people_and_says_how_often_links_opened_it(app: Flask, ident: str) -> None:
    path, _ = made(app, ident)
    for _ in range(2):
        opened(app, path)
    page = flat(Visitor(app, Role.ADMIN).get(f"/media/{ident}"))
    assert "<summary>1 person</summary>" in page
    assert "opened by a shared link 2 times" in page
    assert "Somebody with a shared link" not in page


def test_a_link_that_was_ended_by_mistake_is_restored_by_one_button(app: Flask, ident: str) -> None:
    visitor = Visitor(app, Role.SUPPORT)
    path, share, page = ended(visitor, app, ident)
    text = visitor.get(page).text
    assert (">Undo</button>" in text, "has ended" in text) == (True, True)
    assert visitor.send(page, f"/media/{ident}/shares/{share}/restore").location == f"/media/{ident}#share"
    assert opened(app, path).status_code == 200
    assert "Undo" not in visitor.get(page).text
    done = db.session.scalars(select(AuditEntry.action).where(AuditEntry.object == f"event:{ident}"))
    assert [action for action in done if "shared" in action][-2:] == ["unshared", "reshared"]
    log = untagged(flat(Visitor(app, Role.ADMIN).get("/settings/log")))
    assert "restored a link to the event “" in log


@pytest.mark.parametrize("over", ["ended_at", "expires_at"])
def test_a_link_is_not_restored_later_nor_beyond_its_time(app: Flask, ident: str, over: str) -> None:
    visitor = Visitor(app, Role.SUPPORT)
    path, share, page = ended(visitor, app, ident)
    db.session.execute(update(Share).values({over: utcnow() - UNDO}))
    db.session.commit()
    assert "Undo" not in visitor.get(page).text
    answer = visitor.send(page, f"/media/{ident}/shares/{share}/restore")
    assert (answer.status_code, "cannot be restored any more; make a new one" in answer.text) == (404, True)
    assert re.search(r'<details id="new-share"\s+open', answer.text)
    assert opened(app, path).status_code == 404


@pytest.mark.on_sqlite
def test_the_page_of_an_event_offers_and_restores_no_link_to_another(
    app: Flask, van: Device, ident: str
) -> None:
    visitor = Visitor(app, Role.SUPPORT)
    path, share, _ = ended(visitor, app, ident)
    other = f"/media/{event(van)}"
    for named in (share, "unknown"):
        assert "Undo" not in visitor.get(f"{other}?ended={named}").text
        assert visitor.send(other, f"{other}/shares/{named}/restore").status_code == 404
    assert opened(app, path).status_code == 404


def test_a_link_to_an_event_that_went_meanwhile_is_not_restored(app: Flask, van: Device, ident: str) -> None:
    visitor = Visitor(app, Role.SUPPORT)
    path, share, page = ended(visitor, app, ident)
    hidden = visitor.hidden(page)
    db.session.execute(delete(Upload))
    event_service.forget({ident})  # as retention does
    db.session.commit()
    visitor._forget()
    answer = visitor.client.post(f"/media/{ident}/shares/{share}/restore", data=hidden)
    assert (answer.status_code, "There is no such event." in answer.text) == (404, True)
    assert opened(app, path).status_code == 404


@pytest.mark.on_sqlite
def test_who_may_not_share_restores_no_link(app: Flask, ident: str) -> None:
    path, share, page = ended(Visitor(app, Role.SUPPORT), app, ident)
    viewer = Visitor(app, Role.VIEWER)
    assert "Undo" not in viewer.get(page).text
    assert viewer.send("/account", f"/media/{ident}/shares/{share}/restore").status_code == 403
    assert opened(app, path).status_code == 404
