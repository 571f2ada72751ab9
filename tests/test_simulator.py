"""The virtual camera against a real receiver, web and worker: files by path, dropped and corrupt, and by triggers."""

import re
import socket
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import wait_until
from stack import Stack

from simulator.camera import ATTEMPTS
from simulator.metadata import MetadataAnswer, metadata_answer_of
from simulator.network import Network
from simulator.vehicle import Vehicle, default_fleet, settings_for

IMEI = "352094080990028"


@pytest.fixture(scope="module")
def stack(product: Stack) -> Stack:
    add_vehicle(product, IMEI, "+12025550199")
    return product


def add_vehicle(product: Stack, imei: str, phone: str) -> None:
    vehicle = {"imei": imei, "phone": phone, "sms_login": "fleet", "sms_password": "cam99"}
    server = {"domain": "127.0.0.1", "port": product.receiver_port}
    ready = {"parameters": {"150": "1", "151": "18"}, "server": server}
    product.control("POST", "/vehicles", vehicle | ready)
    product.api("POST", "/devices", vehicle | {"model": "FMC125"}, status=201)


def ask(stack: Stack, imei: str = IMEI, **arguments: Any) -> dict[str, Any]:
    given = {"command": "camreq"} | arguments
    return stack.ended(stack.api("POST", f"/devices/{imei}/commands", given, status=202)["id"])


def acknowledged(stack: Stack, imei: str = IMEI) -> list[str]:
    return [file["sha256"] for file in stack.control("GET", f"/vehicles/{imei}")["acknowledged"]]


def signed_in(stack: Stack) -> requests.Session:
    stack.add_user("look@example.com", "a long enough password", "viewer")
    session, address = requests.Session(), f"{stack.environment['PUBLIC_URL']}/login"
    found = re.search(r'name="csrf_token" value="([^"]+)"', session.get(address, timeout=30).text)
    assert found
    given = {"csrf_token": found[1], "email": "look@example.com", "password": "a long enough password"}
    assert session.post(address, given, timeout=30).ok
    return session


def set_vehicle(stack: Stack, **settings: Any) -> None:
    stack.control("PATCH", f"/vehicles/{IMEI}", settings)


def test_a_photo_by_path_arrives_with_its_kind_camera_and_metadata(stack: Stack) -> None:
    set_vehicle(stack, protocol=6)
    done = ask(stack, file_type="photo", source="rear")
    assert done["state"] == "done"
    upload = stack.api("GET", f"/uploads/{done['uploads'][0]['id']}", status=200)
    assert (upload["file_type"], upload["source"], upload["state"]) == ("photo", "rear", "stored")
    assert (upload["trigger"], upload["latitude"]) == (0, 54.6872)
    assert upload["link"]["certainty"] == "certain"
    assert upload["sha256"] == acknowledged(stack)[-1]
    page = signed_in(stack).get(f"{stack.environment['PUBLIC_URL']}/uploads/{upload['id']}", timeout=30).text
    for shown in ("54.68720, 25.27970", "dualcam_rear/picture/"):
        assert shown in page


def test_a_video_by_path_goes_on_at_its_byte_after_a_dropped_and_a_corrupt_packet(stack: Stack) -> None:
    set_vehicle(stack, protocol=6)
    stack.control("PATCH", f"/vehicles/{IMEI}/faults", {"drop_at": 4, "corrupt_at": 7})
    done = ask(stack, file_type="video", source="front", duration=2, timestamp=1_795_600_000)
    assert done["state"] == "done"
    upload = stack.api("GET", f"/uploads/{done['uploads'][0]['id']}", status=200)
    assert (upload["file_type"], upload["source"], upload["duration"]) == ("video", "front", 2)
    assert (upload["resumes"], upload["crc_errors"]) == (1, 1)
    assert upload["sha256"] == acknowledged(stack)[-1]
    wait_until(lambda: stack.api("GET", f"/uploads/{upload['id']}")["video"] == "ready", seconds=90)


def test_a_camera_that_changes_its_protocol_is_understood_either_way(stack: Stack) -> None:
    for protocol in (5, 6, 5):
        set_vehicle(stack, protocol=protocol)
        assert ask(stack, file_type="photo", source="front")["state"] == "done"


@pytest.mark.parametrize(
    # without times nothing tells two requests apart: a vehicle for each
    ("imei", "kind", "wanted"),
    [
        ("352094080960211", MetadataAnswer.NOTHING, {"file_type": "photo", "source": "front"}),
        ("352094080960229", MetadataAnswer.NO_TIME, {"file_type": "photo", "source": "rear"}),
        ("352094080960237", MetadataAnswer.NO_TRIGGER, {"file_type": "photo", "source": "front"}),
        (
            "352094080960245",
            MetadataAnswer.RAW,
            {"file_type": "video", "source": "rear", "duration": 1, "timestamp": 1_795_600_000},
        ),
    ],
)
def test_a_file_of_which_the_camera_tells_less_arrives_for_its_request(
    stack: Stack, imei: str, kind: MetadataAnswer, wanted: dict[str, Any]
) -> None:
    add_vehicle(stack, imei, f"+447700900{int(imei[-4:-1])}")
    settings = {"protocol": 5} | settings_for(kind)
    stack.control("PATCH", f"/vehicles/{imei}", {"protocol": settings["protocol"]})
    stack.control("PATCH", f"/vehicles/{imei}/faults", settings["faults"])
    done = ask(stack, imei, **wanted)
    assert done["state"] == "done"
    upload = stack.api("GET", f"/uploads/{done['uploads'][0]['id']}", status=200)
    assert upload["sha256"] == acknowledged(stack, imei)[-1]
    assert (upload["timestamp"] is not None) == kind.has_time
    assert upload["trigger"] == (0 if kind is MetadataAnswer.NO_TIME else None)


def test_a_file_of_a_trigger_arrives_unasked_and_names_it(stack: Stack) -> None:
    set_vehicle(stack, protocol=5)
    before = len(stack.api("GET", f"/uploads?imei={IMEI}")["items"])
    stack.control(
        "POST", f"/vehicles/{IMEI}/capture", {"file_type": "photo", "source": "front", "trigger": 3}
    )
    newest = wait_until(
        lambda: (
            items[0]
            if len(items := stack.api("GET", f"/uploads?imei={IMEI}")["items"]) > before
            and items[0]["state"] == "stored"
            else None
        ),
        seconds=180,
    )
    assert newest["trigger_name"] == "crash"
    assert newest["link"]["command"] is None


def test_a_larger_fleet_has_in_each_ten_after_the_third_vehicle_those_that_tell_less() -> None:
    def settings(vehicle: Vehicle) -> dict[str, Any]:
        faults = {name: True for name, is_on in vars(vehicle.faults).items() if is_on}
        return {"protocol": vehicle.protocol} | ({"faults": faults} if faults else {})

    fleet = default_fleet(23)
    assert len({vehicle.imei for vehicle in fleet}) == len({vehicle.phone for vehicle in fleet}) == 23
    kind = [metadata_answer_of(number) for number in range(1, 21)]
    assert [settings(v) for v in fleet[3:]] == [{"protocol": 5} | settings_for(one) for one in kind]


def test_help_explains_the_vehicles_and_the_stand_in() -> None:
    from click.testing import CliRunner

    from simulator.__main__ import main

    text = " ".join(CliRunner().invoke(main, ["--help"]).output.split())
    for word in ("no SD card", "drop_at", "signed", "leading blanks", "/control"):
        assert word in text


def test_pictures_show_the_clock_and_the_camera(tmp_path: Path) -> None:
    import io

    from PIL import Image, ImageChops

    from simulator import media

    def picture(camera: str, moment: float) -> Image.Image:
        return Image.open(io.BytesIO(media.photo(camera, "Van 11", moment, 3, 90))).convert("RGB")

    first, later = picture("front", 1_795_600_000.0), picture("front", 1_795_600_005.0)
    clock = (0, 0, 700, 90)  # left above
    assert ImageChops.difference(first.crop(clock), later.crop(clock)).convert("L").getextrema()[1] > 100
    name = (0, 100, 400, 160)
    rear = picture("rear", 1_795_600_000.0)
    assert ImageChops.difference(first.crop(name), rear.crop(name)).convert("L").getextrema()[1] > 100


def test_a_camera_whose_tries_failed_comes_back_after_each_postponement() -> None:
    """Three tries, then thirty minutes, again and again: it keeps its file until it is taken."""
    vehicle, tries = default_fleet()[0], list[float]()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(30)
        vehicle.server = ("127.0.0.1", listening.getsockname()[1])
        network = Network([vehicle], scale=0.0005)
        network.trigger(vehicle, 9, 1, [1])
        network.trigger(vehicle, 9, 1, [1])
        for _ in range(3 * ATTEMPTS + ATTEMPTS):
            listening.accept()[0].close()
            tries.append(time.monotonic())
        network.stop()
    assert list(vehicle.files) == ["%photof"]
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert sum(pause > 0.5 for pause in pauses) == 2  # one chain of postponements, though two triggers failed
