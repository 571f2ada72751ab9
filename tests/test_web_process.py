"""The web process as the Procfile starts it: its files, its log, what it bears."""

import json
import stat
from collections.abc import Iterator

import pytest
import requests
from stack import Stack


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A web process with a database of its own, which nobody made before."""
    folder = tmp_path_factory.mktemp("web")
    stack = Stack(folder, f"sqlite:///{folder}/var/dualcam.db")
    stack.release()
    stack.start("web")
    yield stack
    stack.stop("web")


def test_files_of_the_service_are_for_its_user_alone(web: Stack) -> None:
    made = [web.folder / "var", *(web.folder / "var").iterdir()]
    assert {path.name for path in made} >= {"var", "dualcam.db"}
    assert [path.name for path in made if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)] == []


def test_every_line_of_the_log_is_one_json_event(web: Stack) -> None:
    requests.get(f"{web.environment['PUBLIC_URL']}/healthz", timeout=10)
    lines = web.log("web").splitlines()
    assert any("Listening at" in json.loads(line)["event"] for line in lines)
    assert all(json.loads(line)["level"] for line in lines)
