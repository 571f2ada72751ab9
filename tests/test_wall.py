"""Wall boards: what a link opens, what it does not, who makes and revokes it, and where its token never stands."""

import io
import json
import logging
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from guests import Guest
from page_visitor import Visitor, flat, upload
from sqlalchemy import select, update

from provisioning.core import logging_setup
from provisioning.core.errors import Invalid
from provisioning.devices import registry
from provisioning.fleet import board
from provisioning.media import telemetry
from provisioning.models import Device, Event, Role, WallLink, db, first_id, utcnow
from provisioning.web import users, wall_links

IMEIS = ("352094082736916", "352094082042885", "356307042441013")


@pytest.fixture
def fleet(app: Flask) -> list[Device]:
    """A van of the north without a card, a truck of the south that works, and one that was never checked."""
    now = utcnow()
    given = (("Milk Van", "north"), ("Bread Truck", "south"), ("Bus 3", "south"))
    devices = [
        registry.add({"imei": imei, "phone": f"+1202555011{n}", "name": name, "tags": [tag]}, now)
        for n, (imei, (name, tag)) in enumerate(zip(IMEIS, given, strict=True))
    ]
    for device, state in zip(devices, (1, 3), strict=False):
        telemetry.accept(device, now, {"498": state}, now)
    for device, kind in ((devices[0], "photo"), (devices[1], "video"), (devices[1], "video")):
        upload(device, file_type=kind, thumbnail_state="ready")
    upload(devices[0], id=f"{int((now - timedelta(hours=2)).timestamp() * 1000):012x}{'0' * 20}")
    return devices


@pytest.fixture
def screen(app: Flask) -> FlaskClient:
    """A browser without a session."""
    return app.test_client()


def link(tags: list[str] | None = None) -> str:
    return f"/wall/{wall_links.create('Yard', tags, 'ops@example.com', utcnow())}"


def test_the_board_shows_counts_the_worst_and_what_came_in_the_last_hour(fleet: list[Device]) -> None:
    shown = board.of(utcnow())
    assert {str(state): count for state, count in shown.counts.items() if count} == {
        "limited": 1, "working": 1, "unchecked": 1,
    }  # fmt: skip
    assert [(one.name, one.reason) for one in shown.worst] == [
        ("Milk Van", "No SD card in the front camera: photos only")
    ]
    assert (shown.photos, shown.clips, shown.vehicles) == (1, 2, 2)
    assert [(one.name, one.photos, one.clips) for one in shown.arrivals] == [
        ("Bread Truck", 0, 2),
        ("Milk Van", 1, 0),
    ]


@pytest.mark.on_sqlite
def test_a_link_shows_the_board_without_a_user_and_without_pictures(
    fleet: list[Device], screen: FlaskClient
) -> None:
    answer = screen.get(link())
    assert answer.status_code == 200
    assert "3 vehicles" in " ".join(answer.text.split())
    assert "No SD card in the front camera" in answer.text
    assert "<img" not in answer.text
    assert IMEIS[0] not in answer.text
    assert "<a " not in answer.text
    assert "Set-Cookie" not in answer.headers


def test_the_board_has_a_name_and_counts_what_needs_a_look_until_somebody_has_looked(
    fleet: list[Device], screen: FlaskClient
) -> None:
    path = link()
    assert "<bdi>Yard</bdi>" in (first := screen.get(path).text)
    assert "needs a look" not in first
    for number, kind in enumerate(("crash", "tow", "din1")):
        ident = f"{first_id(utcnow())[:-1]}{number}"
        db.session.add(
            Event(
                id=ident, device_id=fleet[0].id, kind=kind, at=utcnow(), cameras="front", file_types="photo"
            )
        )
    db.session.commit()
    assert "2 events need a look" in screen.get(path).text
    db.session.execute(update(Event).where(Event.kind == "crash").values(seen_at=utcnow()))
    db.session.commit()
    assert "1 event needs a look" in screen.get(path).text


def test_the_board_says_of_how_many_vehicles_more_something_came(
    fleet: list[Device], screen: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "more" not in flat(screen.get(link())).partition("Last hour")[2]
    monkeypatch.setattr(board, "NEWEST", 1)
    assert "and 1 more" in flat(screen.get(link()))


def test_the_clock_of_the_board_is_that_of_who_made_it_else_that_of_most_vehicles(
    fleet: list[Device], screen: FlaskClient
) -> None:
    path = link()
    before = utcnow()
    assert re.search(rf"({before:%H:%M}|{before + timedelta(minutes=1):%H:%M}) UTC<", screen.get(path).text)
    for device in fleet[:2]:
        device.time_zone = "Asia/Kathmandu"
    db.session.commit()
    assert re.search(r"\d\d:\d\d UTC\+0545<", screen.get(path).text)
    users.create("ops@example.com", Role.ADMIN, "a long enough password").time_zone = "America/Phoenix"
    db.session.commit()
    assert re.search(r"\d\d:\d\d MST<", screen.get(path).text)


@pytest.mark.on_sqlite
def test_a_link_opens_nothing_else(fleet: list[Device], screen: FlaskClient) -> None:
    path = link()
    screen.get(path)
    assert screen.get("/").status_code == 302
    assert screen.get(f"/vehicles/{IMEIS[0]}").status_code == 302
    token = path.removeprefix("/wall/")
    assert screen.get("/api/v1/fleet", headers={"Authorization": f"Bearer {token}"}).status_code == 401


@pytest.mark.on_sqlite
def test_the_address_is_told_to_no_other_site_and_kept_by_no_search_engine(screen: FlaskClient) -> None:
    for path in (link(), "/wall/dcw_unknown"):
        answer = screen.get(path)
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
    assert screen.get(link()).headers["X-Robots-Tag"] == "noindex"


def test_a_link_with_tags_shows_only_vehicles_with_one_of_them(
    fleet: list[Device], screen: FlaskClient
) -> None:
    answer = screen.get(link(["north"]))
    assert "1 vehicle " in " ".join(answer.text.split())
    assert "Milk Van" in answer.text
    assert "Bread Truck" not in answer.text
    assert "0 clips of 1 vehicle" in " ".join(answer.text.split())


@pytest.mark.on_sqlite
def test_the_board_is_fetched_anew_by_itself_with_and_without_javascript(
    fleet: list[Device], screen: FlaskClient
) -> None:
    text = screen.get(path := link()).text
    assert re.search(r'<noscript>\s*<meta http-equiv="refresh" content="30">', text)
    assert 'hx-trigger="every 20s"' in text
    assert f'hx-get="{path}?sheet=' in text
    style = re.findall('sheet=([^&"]+)', text)[0]
    assert "HX-Refresh" not in screen.get(f"{path}?sheet={style}").headers
    assert screen.get(f"{path}?sheet=/static/app.of-before.css").headers["HX-Refresh"] == "true"


def test_a_revoked_link_opens_nothing_at_once(screen: FlaskClient) -> None:
    path, other = link(), link()
    assert screen.get(path).status_code == 200
    first = db.session.scalars(select(WallLink).order_by(WallLink.id)).first()
    assert first is not None
    wall_links.revoke(first.id, utcnow())
    assert screen.get(path).status_code == 404
    assert screen.get(other).status_code == 200


def test_only_a_hash_of_the_token_is_kept(app: Flask) -> None:
    token = link().removeprefix("/wall/")
    row = db.session.scalars(select(WallLink)).one()
    assert token not in json.dumps([str(value) for value in vars(row).values()])
    assert row.opened_at is None


@pytest.mark.on_sqlite
@pytest.mark.parametrize(("name", "tags"), [("", None), ("Yard", []), ("Yard", ["a,b"])])
def test_a_link_without_a_name_or_with_bad_tags_is_refused(
    app: Flask, name: str, tags: list[str] | None
) -> None:
    with pytest.raises(Invalid):
        wall_links.create(name, tags, "ops@example.com", utcnow())


def test_an_administrator_makes_a_link_sees_its_address_once_and_revokes_it(
    app: Flask, fleet: list[Device], screen: FlaskClient
) -> None:
    visitor = Visitor(app, Role.ADMIN)
    answer = visitor.send("/settings/wall", "/settings/wall", name="Yard", tags="north")
    path = re.findall(r'value="http://dualcam\.test(/wall/[^"]+)"', answer.text)[0]
    assert screen.get(path).status_code == 200
    assert "data-copy" in answer.text
    listed = visitor.get("/settings/wall").text
    assert path not in listed
    assert "vehicles tagged north" in listed
    visitor.send("/settings/wall", re.findall(r'action="(/settings/wall/\d+/revoke)"', listed)[0])
    assert screen.get(path).status_code == 404
    assert "Revoke" not in visitor.get("/settings/wall").text
    refused = visitor.send("/settings/wall", "/settings/wall", name="", tags="")
    assert (refused.status_code, "Say where the screen hangs." in refused.text) == (422, True)


@pytest.mark.parametrize("number", [99, 2**31, 2**70])
def test_revoking_a_link_that_is_not_there_does_nothing(app: Flask, number: int) -> None:
    answer = Visitor(app, Role.ADMIN).send("/settings/wall", f"/settings/wall/{number}/revoke")
    assert answer.location == "/settings/wall"


@pytest.mark.on_sqlite
def test_an_installer_makes_no_links(app: Flask) -> None:
    assert Visitor(app, Role.INSTALLER).get("/settings/wall").status_code == 403


@pytest.mark.on_sqlite
def test_what_a_link_shows_does_not_depend_on_who_is_signed_in(fleet: list[Device], app: Flask) -> None:
    guest = Guest(app, "south", ["south"])
    assert "Milk Van" in guest.open(link(["north"])).text
    assert guest.open(f"/vehicles/{IMEIS[0]}").status_code == 404


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What the process would write to its log."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging_setup.formatter())
    logger = logging.getLogger("app")
    logger.addHandler(handler)
    yield written
    logger.removeHandler(handler)


@pytest.mark.on_sqlite
def test_no_log_line_holds_a_token(
    app: Flask, screen: FlaskClient, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.testing = False
    path = link()

    def fail(_: object) -> None:
        raise RuntimeError(f"cannot show {path}")

    monkeypatch.setattr(board, "of", fail)
    assert screen.get(path).status_code == 500
    app.testing = True
    text = lines.getvalue()
    assert "/wall/<token>" in text
    assert "cannot show /wall/dcw_•••••" in json.loads(text)["exception"]
    assert path.removeprefix("/wall/dcw_") not in text
