"""The main job over real processes: provision, photo, video, link; then the same while processes are killed."""

import hashlib
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from camera_model import CameraModel
from conftest import wait_until
from stack import Stack, running

IMEI = "352094080980011"


def add_vehicle(stack: Stack) -> None:
    vehicle = {"imei": IMEI, "phone": "+12025550198", "sms_login": "fleet", "sms_password": "cam98"}
    stack.control("POST", "/vehicles", vehicle)
    stack.api("POST", "/devices", vehicle | {"model": "FMC125"}, status=201)


@pytest.fixture
def killable(tmp_path: Path, database_url: str) -> Iterator[Stack]:
    """Processes of this test's own, which it may kill; a camera that gave up comes back after half a minute."""
    with running(tmp_path, database_url, time_scale=0.015) as stack:
        add_vehicle(stack)
        yield stack


def ask(stack: Stack, **arguments: object) -> str:
    return stack.api("POST", f"/devices/{IMEI}/commands", {"command": "camreq"} | arguments, status=202)["id"]


def originals(stack: Stack) -> list[Path]:
    folder = stack.folder / "media"
    return [
        path
        for ending in ("jpg", "h265")
        for path in folder.rglob(f"{IMEI}_*.{ending}")
        if "derived" not in path.parts
    ]


def test_provision_photo_video_link(either_product: Stack) -> None:
    stack = either_product
    add_vehicle(stack)
    asked = stack.api(
        "POST", f"/devices/{IMEI}/provision", {"parameters": {"66000": 3, "66003": 25}}, status=202
    )
    for command in asked["commands"]:
        assert stack.ended(command["id"])["state"] == "done"
    items = {i["item"]: i for i in stack.api("GET", f"/devices/{IMEI}/status")["items"]}
    assert (items["parameter.66003"]["value"], items["parameter.66003"]["verdict"]) == ("25", "good")
    assert items["parameter.151"]["value"] == "18"

    photo = stack.ended(ask(stack, file_type="photo", source="both"))
    assert photo["state"] == "done", photo
    assert sorted(u["source"] for u in photo["uploads"]) == ["front", "rear"]
    events = f"/events?imei={IMEI}&kind=asked"
    wait_until(lambda: [len(one["uploads"]) for one in stack.api("GET", events)["items"]] == [2])
    (event,) = stack.api("GET", events)["items"]
    assert [u["source"] for u in event["uploads"]] == ["front", "rear"]
    assert stack.api("POST", f"/events/{event['id']}/seen", status=200)["seen_by"]

    begin = int(time.time()) - 20
    video = stack.ended(ask(stack, file_type="video", source="front", timestamp=begin, duration=3))
    assert video["state"] == "done"
    upload = stack.api("GET", f"/uploads/{video['uploads'][0]['id']}", status=200)
    assert upload["link"]["command"] == video["id"]
    assert upload["link"]["certainty"] == "certain"
    content = stack.api("GET", f"/uploads/{upload['id']}/content")
    assert hashlib.sha256(content).hexdigest() == upload["sha256"]
    assert sorted(hashlib.sha256(p.read_bytes()).hexdigest() for p in originals(stack)) == sorted(
        u["sha256"] for u in stack.api("GET", f"/uploads?imei={IMEI}")["items"]
    )


@pytest.mark.trial
def test_the_same_through_a_provider_with_an_http_api(tmp_path: Path) -> None:
    with running(tmp_path, f"sqlite:///{tmp_path}/test.db", SMS_GATEWAY="http") as stack:
        add_vehicle(stack)
        asked = stack.api("POST", f"/devices/{IMEI}/provision", {"parameters": {"66003": 25}}, status=202)
        assert [stack.ended(command["id"])["state"] for command in asked["commands"]] == ["done"]
        photo = stack.ended(ask(stack, file_type="photo", source="front"))
        assert (photo["state"], [entry["state"] for entry in photo["history"]][-1]) == ("done", "done")
        messages = stack.api("GET", f"/messages?imei={IMEI}")["items"]
        assert {m["status"] for m in messages if m["direction"] == "out"} == {"delivered"}
        assert stack.control("GET", "/messages")["items"][0]["id"] == "out:1"


def test_a_file_whose_acknowledgement_was_lost_is_acknowledged_when_it_comes_again(
    either_product: Stack,
) -> None:
    stack, imei = either_product, "352094080980029"
    vehicle = {"imei": imei, "phone": "+12025550194", "model": "FMC125"}
    stack.api("POST", "/devices", vehicle, status=201)
    data = {"%photof": bytes(range(256)) * 10}
    for times in (1, 2):
        camera = CameraModel(imei=imei, files=dict(data), timestamps={"%photof": 1_795_600_000_000})
        camera.run(stack.receiver_port)
        assert camera.acknowledged == ["%photof"], f"the {times}. time"
        uploads = wait_until(lambda: stack.api("GET", f"/uploads?imei={imei}&state=stored")["items"])
    assert [upload["size"] for upload in uploads] == [2560]


@pytest.mark.trial
def test_nothing_is_lost_or_done_twice_while_processes_are_killed(killable: Stack) -> None:
    stack = killable
    rng = random.Random(20261124)
    stack.control("PATCH", f"/vehicles/{IMEI}", {"parameters": {"150": 1, "151": 18}})
    asked = 6
    for round_number in range(asked):
        command = ask(stack, file_type="photo", source=("front", "rear")[round_number % 2])
        time.sleep(rng.uniform(0, 1.5))
        victim = rng.choice(["web", "worker", "receiver"])
        stack.kill(victim)
        stack.start(victim)
        answer = stack.ended(command, seconds=120)
        # a camera that met a dead receiver gives up for a while and says so: then a retry is offered
        assert answer["state"] == "done" or answer["error"]["retry"], answer
    sent = [m for m in stack.control("GET", "/messages")["items"] if "camreq" in m["body"]]
    assert len(sent) == asked, "each request went out exactly once"

    def settled() -> bool:
        vehicle = stack.control("GET", f"/vehicles/{IMEI}")
        uploads = stack.api("GET", f"/uploads?imei={IMEI}&state=stored")["items"]
        return not vehicle["waiting"] and len(uploads) == len(vehicle["acknowledged"])

    wait_until(settled, seconds=150, every=1)
    acknowledged = sorted(
        file["sha256"] for file in stack.control("GET", f"/vehicles/{IMEI}")["acknowledged"]
    )
    stored = sorted(u["sha256"] for u in stack.api("GET", f"/uploads?imei={IMEI}&state=stored")["items"])
    on_disk = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in originals(stack))
    assert acknowledged == stored == on_disk
    assert len(set(stored)) == len(stored)
