"""The fleet by API: counts by state, lists by state, tag and words, and the fields that people sort vehicles by."""

import re
from typing import Any
from urllib.parse import unquote

import pytest
from flask import Flask
from page_visitor import Visitor, command, upload
from sqlalchemy import event

from provisioning.devices import listing, registry
from provisioning.devices.health import HealthState
from provisioning.fleet import presets
from provisioning.media import telemetry
from provisioning.models import Device, Role, State, db, utcnow
from provisioning.web import auth, pages

IMEIS = ("352094082736916", "352094082042885", "356307042441013")


class Program:
    """A program with a token."""

    def __init__(self, app: Flask, role: Role) -> None:
        self.client = app.test_client()
        self.headers = {"Authorization": f"Bearer {auth.create_token(role.value, role)}"}

    def call(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        answer = self.client.open(f"/api/v1{path}", method=method, json=body, headers=self.headers)
        assert answer.status_code == status, answer.text
        return answer.get_json(silent=True)


@pytest.fixture
def program(app: Flask) -> Program:
    return Program(app, Role.INSTALLER)


@pytest.fixture
def fleet(app: Flask) -> list[Device]:
    """Three vehicles: Van 1 works, Van 2 has no card, Truck 3 was never checked."""
    now = utcnow()
    given = [
        {"name": "Van 1", "plate": "KLM 311", "tags": ["north"]},
        {"name": "Van 2", "plate": "HGR 907", "tags": ["north", "cold"]},
        {"name": "Truck 3"},
    ]
    devices = [
        registry.add({"imei": imei, "phone": f"+1202555011{number}"} | given[number], now)
        for number, imei in enumerate(IMEIS)
    ]
    for device, state in zip(devices, (3, 1), strict=False):
        telemetry.accept(device, now, {"498": state}, now)
    return devices


def names(answer: dict[str, Any]) -> set[str]:
    return {item["name"] for item in answer["items"]}


def test_the_fleet_is_counted_by_state(program: Program, fleet: list[Device]) -> None:
    assert program.call("GET", "/fleet") == {
        "counts": {"broken": 0, "limited": 1, "silent": 0, "unchecked": 1, "working": 1},
        "under_way": 0,
    }


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state=limited", {"Van 2"}),
        ("state=broken,limited,unchecked", {"Van 2", "Truck 3"}),
        ("tag=north", {"Van 1", "Van 2"}),
        ("tag=north&state=working", {"Van 1"}),
        ("q=van", {"Van 1", "Van 2"}),
        ("q=hgr", {"Van 2"}),
        ("q=van2", {"Van 2"}),
        ("q=TRUCK3", {"Truck 3"}),
        ("q=klm311", {"Van 1"}),
        ("q=m3", {"Van 1"}),
        ("q=1van", set()),
        ("q=24 41 013", {"Truck 3"}),
        ("q=35-209408-273691-6", {"Van 1"}),
        ("q=%2B1 (202) 555-0111", {"Van 2"}),
        ("q=nobody", set()),
        ("tag=nothing", set()),
        ("q=%25", set()),
    ],
)
def test_a_list_holds_what_is_looked_for(
    program: Program, fleet: list[Device], query: str, found: set[str]
) -> None:
    assert names(program.call("GET", f"/devices?{query}")) == found


@pytest.mark.parametrize("query", ["state=perfect", "state=broken,", "state="])
def test_a_state_that_does_not_exist_is_refused_by_its_field(program: Program, query: str) -> None:
    assert "state" in program.call("GET", f"/devices?{query}", status=422)["errors"]


def test_pages_stay_right_when_health_changes_between_them(program: Program, fleet: list[Device]) -> None:
    first = program.call("GET", "/devices?limit=1&state=limited,unchecked,working")
    telemetry.accept(fleet[0], utcnow(), {"498": 1}, utcnow())
    telemetry.accept(fleet[2], utcnow(), {"498": 3}, utcnow())
    rest = program.call("GET", f"/devices?state=limited,unchecked,working&cursor={first['next']}")
    assert [item["imei"] for item in first["items"] + rest["items"]] == sorted(IMEIS)
    assert rest["next"] is None


def test_health_stands_in_every_item_with_its_reason_and_action(
    program: Program, fleet: list[Device]
) -> None:
    health = program.call("GET", f"/devices/{IMEIS[1]}")["health"]
    assert (health["state"], health["code"]) == ("limited", "no_card")
    assert health["reason"] == "No SD card in the front camera: photos only"
    assert health["action"] == {"label": "Card is in: check again", "kind": "check"}
    assert program.call("GET", f"/devices/{IMEIS[0]}")["health"]["action"] is None


def test_tags_plate_card_and_preset_are_set_and_changed(program: Program) -> None:
    presets.save("Delivery", "", {"66003": 25}, "tests", utcnow())
    body = {
        "imei": IMEIS[0], "phone": "+12025550111", "tags": ["north", " cold  chain ", "north"], "plate": "KLM 311",
        "card_gb": 64, "profile": "Delivery",
    }  # fmt: skip
    added = program.call("POST", "/devices", body, status=201)
    assert added["tags"] == ["cold chain", "north"]
    assert (added["plate"], added["card_gb"], added["profile"], added["profile_version"]) == (
        "KLM 311", 64, "Delivery", 1,
    )  # fmt: skip
    changed = program.call("PATCH", f"/devices/{IMEIS[0]}", {"tags": ["south"], "profile": None})
    assert (changed["tags"], changed["profile"], changed["plate"]) == (["south"], None, "KLM 311")
    assert program.call("PATCH", f"/devices/{IMEIS[0]}", {"name": "Van"})["tags"] == ["south"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tags", ["a,b"]),
        ("tags", ["x" * 41]),
        ("tags", [""] * 21),
        ("plate", "x" * 21),
        ("card_gb", 0),
        ("profile", "None"),
    ],
)
def test_what_is_wrong_is_refused_by_its_field_and_changes_nothing(
    program: Program, fleet: list[Device], field: str, value: Any
) -> None:
    answer = program.call("PATCH", f"/devices/{IMEIS[0]}", {field: value, "name": "Other"}, status=422)
    assert {name.partition(".")[0] for name in answer["errors"]} == {field}
    db.session.expire_all()
    assert fleet[0].name == "Van 1"


def test_settings_that_differ_from_the_preset_limit_the_vehicle(
    program: Program, fleet: list[Device]
) -> None:
    from provisioning.devices import status_table
    from provisioning.models import Verdict

    presets.save("Delivery", "", {"66003": 25}, "tests", utcnow())
    program.call("PATCH", f"/devices/{IMEIS[0]}", {"profile": "Delivery"})
    assert program.call("GET", f"/devices/{IMEIS[0]}")["health"]["code"] == "proved"
    status_table.note(
        fleet[0], "parameter.66003", "30", Verdict.GOOD, now=utcnow(), source_kind="command", source_id=None
    )
    db.session.commit()
    registry.change(fleet[0], {}, utcnow())
    health = program.call("GET", f"/devices/{IMEIS[0]}")["health"]
    assert (health["code"], health["reason"]) == ("drift", "1 setting differs from “Delivery v1”")


def rows_of(page: str) -> list[str]:
    return re.findall(r'class="row-link"[^>]*><strong><bdi>([^<]+)', page)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["Van 2", "Truck 3", "Van 1"]),
        ("?sort=name", ["Truck 3", "Van 1", "Van 2"]),
        ("?state=broken,limited", ["Van 2"]),
        ("?tag=north&sort=name", ["Van 1", "Van 2"]),
        ("?q=klm", ["Van 1"]),
        ("?state=nonsense&sort=nonsense", ["Van 2", "Truck 3", "Van 1"]),
    ],
)
def test_the_start_page_shows_what_is_worst_first_and_filters_by_the_address(
    app: Flask, fleet: list[Device], query: str, found: list[str]
) -> None:
    from page_visitor import Visitor

    visitor = Visitor(app, Role.VIEWER)
    page = visitor.get(f"/{query}").text
    assert rows_of(page) == found
    assert rows_of(visitor.get(f"/fleet/part{query}").text) == found


def test_the_sentence_counts_the_states_and_leads_to_their_vehicles(app: Flask, fleet: list[Device]) -> None:
    visitor = Visitor(app, Role.VIEWER)
    page = visitor.get("/").text
    for title, state in (("1 needs somebody", "broken,limited"), ("1 not checked", "unchecked")):
        link = re.search(rf'<a [^>]*href="([^"]+)">{title}</a>', page)
        assert link
        assert unquote(link[1]) == f"/?state={state}"
        chosen = visitor.get(unquote(link[1])).text
        assert re.search(rf"<a [^>]*aria-current=true[^>]*>{title}</a>", chosen)
    assert "No SD card in the front camera: photos only" in page


def chips(page: str) -> dict[str, str]:
    """Give the number on each chip that has one."""
    found = re.findall(r'<a class="btn chip[^>]*>(.*?)</a>', page, re.DOTALL)
    numbers = {
        " ".join(re.sub(r"<svg.*?</svg>|<[^>]+>", " ", one, flags=re.DOTALL).split()): one for one in found
    }
    return dict(text.rsplit(" ", 1) for text, one in numbers.items() if 'class="count"' in one)


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", {"All": "3", "Being set up": "2", "north": "2", "cold": "1"}),
        ("?tag=north", {"All": "2", "Being set up": "1", "north": "2", "cold": "1"}),
        ("?q=truck", {"All": "1", "Being set up": "1"}),
        ("?state=working", {"All": "3", "Being set up": "2"}),
        ("?unfinished=1", {"Being set up": "2"}),
    ],
)
def test_a_chip_has_a_number_only_where_the_list_behind_it_is_so_long(
    app: Flask, fleet: list[Device], query: str, numbers: dict[str, str]
) -> None:
    shown = chips(Visitor(app, Role.VIEWER).get(f"/{query}").text)
    states = ("Broken", "Limited", "Silent", "Not checked", "Working")
    assert {name: number for name, number in shown.items() if name not in states} == numbers


def test_the_list_says_which_words_it_is_limited_to_and_leads_out_of_it(
    app: Flask, fleet: list[Device]
) -> None:
    visitor = Visitor(app, Role.VIEWER)
    words = "Only vehicles with “<bdi>van</bdi>” in their name, plate, IMEI or phone."
    page = visitor.get("/?q=van&sort=name").text
    assert words in page
    assert 'href="/?sort=name"' in page
    assert 'href="/?q=van"' in visitor.get("/search?q=van").text
    assert words not in visitor.get("/?sort=name").text


def test_a_list_says_how_much_of_what_is_under_way_is_here(app: Flask, fleet: list[Device]) -> None:
    for device in fleet[:2]:
        command(device, state=State.ANSWERED)
    command(fleet[0], 1, State.QUEUED)
    upload(fleet[0], "receiving", packets=100, received_packets=30)
    upload(fleet[0], "partial", packets=100, received_packets=56)
    upload(fleet[2], "receiving", packets=100, received_packets=30)  # which nobody asked for
    assert listing.under_way_of(fleet) == {
        fleet[0].id: listing.UnderWay(2, 43),
        fleet[1].id: listing.UnderWay(1, None),
    }
    page = Visitor(app, Role.VIEWER).get("/").text
    assert re.findall(r"<progress[^>]*value=\"(\d+)\"", page) == ["43"]
    assert page.count("<progress") == 2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "address",
    ["/", "/?sort=name", "/?sort=seen", "/?sort=pictures", "/?state=unchecked", "/?state=working&sort=state",
     "/?page=3", "/?page=3&sort=name", "/?page=3&sort=seen", "/?page=3&sort=pictures"],
)  # fmt: skip
def test_a_page_of_the_list_reads_along_an_index_and_sorts_no_fleet(
    app: Flask, fleet: list[Device], monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(pages.fleet, "PAGE", 1)
    visitor, seen = Visitor(app, Role.VIEWER), list[tuple[str, Any]]()

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if (
            statement.startswith("SELECT devices.id")
            and "ORDER BY devices" in statement
            and "OFFSET" in statement
        ):
            seen.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    assert visitor.get(address).status_code == 200
    event.remove(db.engine, "before_cursor_execute", note)
    ((statement, parameters),) = seen
    plan = db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    details = [row[-1] for row in plan]
    assert ("DESC" in statement) == ("seen" in address or "pictures" in address) ^ ("page=3" in address)
    assert any("USING INDEX ix_devices_live_" in detail for detail in details), details
    assert not any("TEMP B-TREE" in detail for detail in details), details


def statements_of(visitor: Visitor, address: str) -> list[tuple[str, Any]]:
    """Give the statements of a page with their parameters."""
    seen = list[tuple[str, Any]]()

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        seen.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    assert visitor.get(address).status_code == 200
    event.remove(db.engine, "before_cursor_execute", note)
    return seen


@pytest.mark.parametrize(
    "query", ["?q=van", "?q=nobody", "?q=082736&tag=north&state=working", "?q=35&page=9"]
)
def test_a_search_that_finds_few_compares_words_once(app: Flask, fleet: list[Device], query: str) -> None:
    seen = statements_of(Visitor(app, Role.VIEWER), f"/{query}")
    assert len([statement for statement, _ in seen if "LIKE" in statement]) == 1


def test_a_search_that_finds_many_compares_words_twice(
    app: Flask, fleet: list[Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "FEW", 1)
    monkeypatch.setattr(pages.fleet, "PAGE", 2)
    seen = statements_of(Visitor(app, Role.VIEWER), "/?q=van&sort=name")
    assert len([statement for statement, _ in seen if "LIKE" in statement]) == 2


@pytest.mark.parametrize(("words", "columns"), [("van", 2), ("van 1", 2), ("35 2094", 4), ("+1 202 555", 4)])
def test_words_are_compared_with_no_numbers(app: Flask, words: str, columns: int) -> None:
    assert str(listing.is_called(words)).count("LIKE") == columns


def test_a_search_that_finds_many_lists_and_counts_all_of_them(
    app: Flask, fleet: list[Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "FEW", 1)
    page = Visitor(app, Role.VIEWER).get("/?q=van&sort=name").text
    assert rows_of(page) == ["Van 1", "Van 2"]
    assert sum(listing.counted(listing.Filter(text="van"))[0].values()) == 2


@pytest.mark.parametrize("words", ["082736", "KLM 311", "klm 311"])
def test_words_in_either_case_find_a_plate_and_digits_an_imei(fleet: list[Device], words: str) -> None:
    found = listing.find(listing.Filter(text=words), "name")
    assert (found.number, [row.name for row in found.rows(0, 50)]) == (1, ["Van 1"])


@pytest.mark.parametrize("few", [2000, 1])
@pytest.mark.parametrize("words", ["", "van"])
@pytest.mark.parametrize("states", [(), (HealthState.WORKING, HealthState.UNCHECKED)])
@pytest.mark.parametrize("order", listing.ORDERS)
def test_pages_hold_every_vehicle_once_in_its_order(
    fleet: list[Device], monkeypatch: pytest.MonkeyPatch, order: str, states: tuple[HealthState, ...],
    words: str, few: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(listing, "FEW", few)
    wanted = listing.Filter(states, text=words)
    query = listing.select_devices(wanted).order_by(*listing.ORDERS[order])
    all_of_them = [row.name for row in db.session.scalars(query)]
    found = listing.find(wanted, order)
    pages = [
        [row.name for row in found.rows(offset, size)] for size in (1, 2) for offset in range(0, 4, size)
    ]
    assert found.number == len(all_of_them)
    assert [name for page in pages for name in page] == all_of_them * 2


def test_a_page_of_nothing_reads_no_vehicle(app: Flask, fleet: list[Device]) -> None:
    seen = statements_of(Visitor(app, Role.VIEWER), "/?tag=north&state=silent")
    assert not [statement for statement, _ in seen if statement.startswith("SELECT devices.id, devices.imei")]


def test_tags_of_archived_vehicles_are_not_counted(fleet: list[Device]) -> None:
    assert listing.tags() == [("cold", 1), ("north", 2)]
    registry.archive(fleet[1], utcnow())
    assert listing.tags() == [("north", 1)]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_badge_of_every_page_reads_no_list_of_all_vehicles(app: Flask, fleet: list[Device]) -> None:
    seen = statements_of(Visitor(app, Role.VIEWER), "/media")
    plans = [
        [
            row[-1]
            for row in db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
        for statement, parameters in seen
        if "sessions.imei" in statement
    ]
    assert len(plans) == 1
    assert any("devices USING INDEX uq_devices_live_imei (imei=?)" in detail for detail in plans[0]), plans
    assert not any(detail.startswith("SCAN devices") for detail in plans[0]), plans
