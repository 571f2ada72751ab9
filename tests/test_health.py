"""What /healthz and /readyz say of a service that lacks something."""

import dataclasses
from ipaddress import IPv4Network, ip_network
from pathlib import Path

import pytest
from flask import Flask

from provisioning.models import Role
from provisioning.web import auth

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def without_media(app: Flask, tmp_path: Path) -> Flask:
    """The app with a media folder that cannot be made: a file stands in its way."""
    (tmp_path / "file").write_text("x")
    config = dataclasses.replace(app.extensions["dualcam_config"], media_url=f"file://{tmp_path}/file/media")
    app.extensions["dualcam_config"] = config
    app.testing, app.config["PROPAGATE_EXCEPTIONS"] = False, False
    return app


def test_a_media_folder_that_cannot_be_made_is_named_and_the_process_lives(without_media: Flask) -> None:
    client = without_media.test_client()
    report = client.get("/readyz")
    assert (report.status_code, report.mimetype) == (503, "text/plain")
    assert report.text.startswith("store: ")
    assert client.get("/healthz").text == "ok\n"


OUTSIDE = "203.0.113.5"


@pytest.mark.parametrize("path", ["/readyz", "/metrics"])
@pytest.mark.parametrize(
    ("peer", "headers", "networks", "status"),
    [
        ("127.0.0.1", {}, (), 200),
        ("::1", {}, (), 200),
        (OUTSIDE, {}, (), 403),
        ("127.0.0.1", {"X-Forwarded-For": OUTSIDE}, (), 403),  # passed on by a proxy on this machine
        (OUTSIDE, {}, (ip_network("203.0.113.0/24"),), 200),
        (OUTSIDE, {"Authorization": "Bearer wrong"}, (), 401),
    ],
)
def test_how_the_service_does_is_shown_to_operators(
    app: Flask, path: str, peer: str, headers: dict[str, str], networks: tuple[IPv4Network, ...], status: int
) -> None:
    config = dataclasses.replace(app.extensions["dualcam_config"], metrics_networks=networks)
    app.extensions["dualcam_config"] = config
    client = app.test_client()
    assert client.get(path, headers=headers, environ_base={"REMOTE_ADDR": peer}).status_code == status
    assert client.get("/healthz", environ_base={"REMOTE_ADDR": peer}).status_code == 200


def test_a_token_opens_what_operators_see_from_everywhere(app: Flask) -> None:
    headers = {"Authorization": f"Bearer {auth.create_token('prometheus', Role.VIEWER)}"}
    answer = app.test_client().get("/metrics", headers=headers, environ_base={"REMOTE_ADDR": OUTSIDE})
    assert (answer.status_code, "dualcam_devices" in answer.text) == (200, True)
