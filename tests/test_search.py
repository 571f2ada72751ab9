"""The search field: the only hit opens, several are listed, ids and numbers are found as people write them."""

import pytest
from flask import Flask
from page_visitor import IMEI, Visitor, command, upload

from provisioning.devices import registry
from provisioning.models import Device, Message, Role, db, new_id, utcnow


@pytest.fixture
def visitor(app: Flask, van: Device) -> Visitor:
    more = {"imei": "356307042441013", "phone": "+12025550155", "name": "Van 12", "time_zone": "UTC"}
    registry.add(more, utcnow())
    return Visitor(app, Role.VIEWER)


@pytest.mark.parametrize(
    "wanted",
    [
        "Van 11",
        "van 11",
        "van11",
        IMEI,
        "35 209408 273691 6",
        "273 6916",
        "+1 (202) 555-0111",
        "0012025550111",
        "5550111",
    ],
)
def test_the_only_vehicle_that_fits_is_opened(visitor: Visitor, wanted: str) -> None:
    answer = visitor.client.get("/search", query_string={"q": wanted})
    assert (answer.status_code, answer.location) == (302, f"/vehicles/{IMEI}")


@pytest.mark.parametrize("wanted", ["KLM 312", "klm312", "KLM-312", "K LM3 12"])
def test_a_plate_is_found_with_and_without_blanks_and_hyphens(
    visitor: Visitor, van: Device, wanted: str
) -> None:
    registry.change(van, {"plate": "KLM 312"}, utcnow())
    answer = visitor.client.get("/search", query_string={"q": wanted})
    assert (answer.status_code, answer.location) == (302, f"/vehicles/{IMEI}")


def test_several_vehicles_are_listed(visitor: Visitor) -> None:
    page = visitor.get("/search?q=Van").text
    assert page.count('<a class="list-group-item') == 2
    assert page.count("Not checked") == 2


def test_a_listed_vehicle_shows_its_tags_and_plate(visitor: Visitor, van: Device) -> None:
    registry.change(van, {"tags": ["north"], "plate": "KLM 312"}, utcnow())
    assert f"north · KLM 312 · {IMEI}" in visitor.get("/search?q=Van").text


def test_a_name_that_is_part_of_another_is_opened_all_the_same(visitor: Visitor) -> None:
    registry.add({"imei": "490154203237518", "phone": "+12025550166", "name": "Van 1"}, utcnow())
    for wanted in ("Van+1", "van1"):
        assert visitor.get(f"/search?q={wanted}").location == "/vehicles/490154203237518"


@pytest.mark.parametrize("wanted", ["%", "_", "nothing is called so", "\\"])
def test_what_fits_nothing_says_so(visitor: Visitor, wanted: str) -> None:
    answer = visitor.client.get("/search", query_string={"q": wanted})
    assert answer.status_code == 200
    assert "Nothing is called" in answer.text


def test_a_file_and_a_request_are_found_by_their_id(visitor: Visitor, van: Device) -> None:
    file, request = upload(van), command(van)
    assert visitor.get(f"/search?q={file.id}").location == f"/uploads/{file.id}"
    assert visitor.get(f"/search?q={request.id.upper()}").location == f"/requests/{request.id}"


def test_an_sms_is_found_by_the_id_of_the_gateway(visitor: Visitor, van: Device) -> None:
    row = Message(
        id=new_id(), direction="in", gateway="twilio", gateway_id="SM" + "0" * 32, sender=van.phone,
        recipient="+1", body="x", status="received", claimed=True, device_id=van.id,
    )  # fmt: skip
    db.session.add(row)
    db.session.commit()
    assert (
        visitor.get(f"/search?q={row.gateway_id}").location == f"/vehicles/{IMEI}/log?kind=messages#{row.id}"
    )


def test_an_archived_vehicle_is_not_found(visitor: Visitor, van: Device) -> None:
    registry.archive(van, utcnow())
    assert "Nothing is called" in visitor.get(f"/search?q={IMEI}").text
