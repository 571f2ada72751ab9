"""The address that cameras send to: which one a device may be told, and which requests go to it."""

import dataclasses
from typing import Any

import pytest
from flask import Flask
from upload_rows import add_van, asked, hand_over, sidecar, take, wish

from provisioning.commands import reply_effects
from provisioning.commands.submission import Requester, provision, server_advice, submit, typed
from provisioning.core.errors import Conflict, Forbidden, Invalid
from provisioning.devices import status_table
from provisioning.models import Command, Device, Role, State, Upload, Verdict, db, utcnow
from provisioning.tracker.language import Values, from_arguments, read_replies


@pytest.fixture
def van(app: Flask) -> Device:
    return add_van()


def reached_at(app: Flask, domain: str) -> None:
    """Let cameras reach this service under this name from now on."""
    config = app.extensions["dualcam_config"]
    app.extensions["dualcam_config"] = dataclasses.replace(config, camera_server_domain=domain)


def test_files_and_their_requests_stay_as_they_are_when_the_server_gets_another_name(
    app: Flask, van: Device
) -> None:
    reached_at(app, "old.example.com")
    row = asked(van)
    take(sidecar())
    reached_at(app, "new.example.com")
    asked(van, "rear")
    take(sidecar("d" * 32, identifier="%photor", source="rear", sha256="e" * 64))
    db.session.expire_all()
    assert (row.state, db.session.get_one(Upload, "a" * 32).command_id) == (State.DONE, row.id)


def test_an_open_request_to_our_own_server_stays_ours_when_that_gets_another_name(
    app: Flask, van: Device
) -> None:
    reached_at(app, "old.example.com")
    row = asked(van)
    reached_at(app, "new.example.com")
    with pytest.raises(Conflict, match="still under way"):
        wish(van)
    reply_effects.apply(row, van, read_replies("Preparing to send file from timestamp 1"), "", utcnow())
    assert (row.state, typed(row, utcnow()).server.domain) == (State.ANSWERED, "new.example.com")


def test_a_request_to_another_server_stays_so_when_that_becomes_ours(app: Flask, van: Device) -> None:
    config = dataclasses.replace(
        app.extensions["dualcam_config"], camera_servers_allowed=("new.example.com",)
    )
    app.extensions["dualcam_config"] = config
    given = {"file_type": "photo", "source": "front", "server": {"domain": "new.example.com", "port": 7160}}
    asked_for = from_arguments("camreq", given, now=int(utcnow().timestamp()))
    (row,) = submit(van, asked_for, Requester("tests", Role.ADMIN), utcnow())
    reached_at(app, "new.example.com")
    hand_over(row, utcnow())
    reply_effects.apply(row, van, read_replies("Preparing to send file from timestamp 1"), "", utcnow())
    assert (row.state, row.result["foreign_server"]) == (State.DONE, True)


SERVER_IDS = {"camera_domain_parameter": 66080, "camera_port_parameter": 66081}


def set_server(app: Flask, van: Device, *, admin: bool, values: dict[str, Any]) -> Command:
    """Send parameters that name a server; new.example.com:7160 is allowed beside our own."""
    reached_at(app, "own.example.com")
    changes = SERVER_IDS | {"camera_servers_allowed": ("new.example.com:7160",)}
    config = dataclasses.replace(app.extensions["dualcam_config"], **changes)
    app.extensions["dualcam_config"] = config
    (row,) = provision(
        van, values, Requester("tests", Role.ADMIN if admin else Role.INSTALLER), utcnow(), raw=True
    )
    return row


@pytest.mark.parametrize("admin", [True, False])
def test_a_device_may_always_be_told_our_own_server(app: Flask, van: Device, admin: bool) -> None:
    values = {"66080": "own.example.com", "66081": app.extensions["dualcam_config"].camera_server_port}
    assert set_server(app, van, admin=admin, values=values).state == State.QUEUED


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"66080": "new.example.com", "66081": 7160}, None),
        ({"66080": "evil.example", "66081": 80}, Invalid),
        ({"66080": "new.example.com", "66081": 80}, Invalid),
        ({"66081": 80}, Invalid),
        ({"2004": "evil.example"}, None),  # the tracker's own server: no file goes there
    ],
)
def test_only_an_admin_may_set_another_server_and_only_an_allowed_one(
    app: Flask, van: Device, values: dict[str, Any], problem: type[Exception] | None
) -> None:
    with pytest.raises(Forbidden, match="Only an admin"):
        set_server(app, van, admin=False, values=values)
    if problem is None:
        assert set_server(app, van, admin=True, values=values).state == State.QUEUED
        return
    with pytest.raises(problem, match="not allowed") as refused:
        set_server(app, van, admin=True, values=values)
    assert set(refused.value.errors) == set(values)  # type: ignore[attr-defined]


def test_the_first_file_that_comes_by_a_trigger_proves_the_devices_own_server(
    app: Flask, van: Device
) -> None:
    reached_at(app, "cams.example.com")
    take(sidecar(trigger=0))
    assert "cams.example.com" in (server_advice(van, {}) or "")
    take(sidecar("b" * 32, trigger=3, timestamp=1_795_600_000_000))
    assert server_advice(van, {}) is None
    reached_at(app, "new.example.com")  # the device still holds the other name
    assert "new.example.com" in (server_advice(van, {}) or "")


def test_a_server_that_the_device_confirmed_otherwise_is_not_ours_whatever_was_said(
    app: Flask, van: Device
) -> None:
    config = app.extensions["dualcam_config"]
    ids = {
        "camera_domain_parameter": 2020,
        "camera_port_parameter": 2021,
        "camera_server_domain": "cams.example.com",
    }
    app.extensions["dualcam_config"] = dataclasses.replace(config, **ids)
    van.camera_server_configured = True
    assert server_advice(van, {}) is None
    status_table.note(
        van,
        "parameter.2020",
        "other.example.com",
        Verdict.GOOD,
        now=utcnow(),
        source_kind="command",
        source_id=None,
    )
    assert "send 2020 = cams.example.com" in (server_advice(van, {}) or "")
    assert server_advice(van, {2020: "cams.example.com", 2021: config.camera_server_port}) is None


def test_a_device_that_holds_our_earlier_name_is_told_the_new_one(app: Flask, van: Device) -> None:
    config = app.extensions["dualcam_config"]
    app.extensions["dualcam_config"] = dataclasses.replace(
        config,
        camera_server_domain="old.example.com",
        camera_domain_parameter=70001,
        camera_port_parameter=70002,
    )
    answer = Values({70001: "old.example.com", 70002: str(config.camera_server_port)}, new=False)
    reply_effects.update_status(van, [answer], ("message", "x"), utcnow(), changing=False)
    db.session.commit()
    assert "server" not in wish(van).arguments
    reached_at(app, "new.example.com")
    assert wish(van, "rear").arguments["server"]["domain"] == "new.example.com"
