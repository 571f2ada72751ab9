"""What /healthz and /readyz say of a service that lacks something."""

import dataclasses
from pathlib import Path

import pytest
from flask import Flask

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
    told = client.get("/readyz")
    assert (told.status_code, told.mimetype) == (503, "text/plain")
    assert told.text.startswith("store: ")
    assert client.get("/healthz").text == "ok\n"
