"""What docs/ claims about the code and a test can check."""

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from camera_vectors import PATHS
from conftest import ROOT
from test_layers import LAYERS
from test_replies import VECTORS

from app import create_app
from provisioning import diagram as command_diagram
from provisioning.core import config_checks
from provisioning.core.config import load
from provisioning.devices.vehicle_facts import SIDES
from provisioning.models import db
from provisioning.tracker.language import read_replies
from provisioning.web import access
from provisioning.web.pages import status
from receiver import diagram

pytestmark = pytest.mark.quick


def test_every_variable_that_is_read_is_documented_and_the_other_way_round() -> None:
    source = "".join(
        (ROOT / name).read_text()
        for name in (
            "provisioning/core/environment.py",
            "provisioning/core/variables.py",
            "provisioning/core/config_checks.py",
            "provisioning/core/sms_http_config.py",
            "gunicorn.conf.py",
        )
        if (ROOT / name).exists()
    )
    read = set(re.findall(r'"([A-Z][A-Z_]{3,})"', source))
    table = (ROOT / "docs" / "operations.md").read_text().split("## Environment")[1].split("## Users")[0]
    named = set(re.findall(r"`([A-Z][A-Z_]{3,})`", table.split("|---|", 1)[1]))
    assert read - {"PROMETHEUS_MULTIPROC_DIR"} == named


def test_every_gateway_that_can_be_chosen_is_named_where_the_setting_is_described() -> None:
    (row,) = re.findall(r"^\| `SMS_GATEWAY` .*", (ROOT / "docs" / "operations.md").read_text(), re.M)
    assert set(config_checks.SMS_GATEWAYS) <= set(re.findall(r"`(\w+)`", row))


def test_every_document_that_is_referred_to_exists() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} points to {target}"


def test_every_heading_that_is_referred_to_exists() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target, heading in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text()):
            document = page.parent / target if target else page
            titles = re.findall(r"^#+ (.+)$", document.read_text(), re.M)
            anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert heading in anchors, f"{page.name} points to {target}#{heading}"


def test_the_sessions_states_are_drawn_from_the_table_that_runs() -> None:
    text = diagram.DOCUMENT.read_text()
    assert diagram.filled(text) == text, "run python -m receiver.diagram"


@pytest.mark.parametrize("document", command_diagram.TABLES, ids=lambda document: document.name)
def test_states_and_permissions_are_listed_from_the_tables_that_run(document: Path) -> None:
    assert command_diagram.filled(document) == document.read_text(), "run python -m provisioning.diagram"


def strings(path: Path) -> Iterator[str]:
    """Give each string of a module; where one is put together, once with each camera's side in its places."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            for side in SIDES:
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else side for part in node.values
                )


PLACES_OF_ITEMS = {"status_table.note": 1, "status_table.note_all": 0, "StatusFact": 0}


def noted(path: Path) -> Iterator[str]:
    """Give the status items that a module notes by their whole names: in a call, or by a variable `item`."""
    for node in ast.walk(ast.parse(path.read_text())):
        given: list[ast.expr] = []
        if isinstance(node, ast.Call) and (called := ast.unparse(node.func)) in PLACES_OF_ITEMS:
            given = node.args[PLACES_OF_ITEMS[called] :][:1]
        elif isinstance(node, ast.Assign) and re.match(r"\(?item\b", ast.unparse(node.targets[0])):
            given = node.value.elts[:1] if isinstance(node.value, ast.Tuple) else [node.value]
        yield from (
            one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)
        )


def test_every_status_item_has_a_label_and_is_listed() -> None:
    table = (ROOT / "docs" / "api.md").read_text().split("## Status items")[1].split("## ")[0]
    modules = [path for path in (ROOT / "provisioning").rglob("*.py") if path != Path(status.__file__)]
    groups = {item.split(".")[0] for item in status.LABELS if "." in item}
    shape = rf"({'|'.join(groups)})\.[a-z_.]+(?<!\.html)"
    named = {text for path in modules for text in strings(path) if re.fullmatch(shape, text)}
    assert {"contact.tcp", "camera.rear.video", "files.day_limit"} <= named
    named |= {text for path in modules for text in noted(path)}
    assert {"ignition", "sos", "firmware"} <= named
    replies = [reply for vector in VECTORS for reply in read_replies(vector.text)]
    said = {fact.item for reply in replies for fact in reply.status_facts("352094082736916")}
    said = {item for item in said if not item.startswith(status.NAMED_BY_DEVICE)}
    assert {"firmware", "imei", "camera.front.version"} <= said
    listed = "".join(re.findall(r"^\|([^|]*)\|", table, re.M))
    assert named | said <= set(status.LABELS) == set(re.findall(r"`([a-z_.]+)`", listed))


def test_the_permissions_that_are_listed_are_those_of_every_route(tmp_path: Path) -> None:
    folders = {"media_url": f"file://{tmp_path}/media", "media_spool": tmp_path / "spool"}
    urls = {"database_url": f"sqlite:///{tmp_path}/product.db"}
    app = create_app(dataclasses.replace(load(), **folders, **urls))  # raises where a route has no entry
    assert access.routes(app) == {*access.OPEN, *access.NEEDS}


def test_every_vector_of_a_camera_is_named_where_its_command_is_described() -> None:
    table = (ROOT / "docs" / "protocol.md").read_text().split("## A session")[0]
    named = set(re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)+", table)) | {"protocol-6"}
    named |= {f"path-metadata-json{end}" for end in re.findall(r" (-[a-z-]+)", table)}
    wanted = {path.stem for path in PATHS}
    assert wanted <= named, sorted(wanted - named)


def test_every_error_code_of_the_api_is_listed() -> None:
    raised = set()
    for path in (ROOT / "provisioning").rglob("*.py"):
        text = path.read_text()
        raised |= set(re.findall(r"^    code = \"([a-z_]+)\"", text, re.M))
        for call in re.findall(
            r"\b(?:Conflict|Forbidden|Invalid|NotFound|TooMany|Unavailable)\((.*?)\)\n", text, re.S
        ):
            raised |= set(re.findall(r"code=\"([a-z_]+)\"", call))
    assert raised
    document = (ROOT / "docs" / "api.md").read_text()
    assert [code for code in sorted(raised) if f"`{code}`" not in document] == []


def test_every_table_of_the_database_is_explained() -> None:
    explained = (
        (ROOT / "docs" / "architecture.md").read_text().split("| table | one row is |")[1].split("\n\n")[0]
    )
    named = {name for row in explained.splitlines() for name in re.findall(r"`(\w+)`", row.rsplit("|", 2)[0])}
    assert set(db.metadata.tables) <= named


def test_every_module_that_is_said_to_decide_something_exists() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    decided = text.split("### Where is it decided?")[1].split("\n\n")[0]
    named = {name for row in decided.splitlines() for name in re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", row)}
    assert named
    assert [name for name in sorted(named) if not {name, f"provisioning.{name}"} & set(LAYERS)] == []


def test_every_file_of_code_that_a_document_names_exists() -> None:
    files = [f"/{path.relative_to(ROOT)}" for path in ROOT.rglob("*.py") if ".venv" not in path.parts]
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        if page.name in ("changelog.md", "decisions.md"):  # these keep the names of their day
            continue
        for name in re.findall(r"`([a-z0-9_./]+\.py)[`:]", page.read_text()):
            assert any(path.endswith(f"/{name}") for path in files), f"{page.name} names {name}"


def test_every_file_of_tests_stands_in_the_table_of_where_each_runs() -> None:
    table = (
        (ROOT / "docs" / "testing.md").read_text().split("## Where each file runs")[1].split("\n\nMoved")[0]
    )
    rows = set(re.findall(r"^\| `(\w+)` \|", table, re.M))
    assert rows == {path.stem.removeprefix("test_") for path in (ROOT / "tests").glob("test_*.py")}
