"""The import rules of docs/architecture.md, read off the source itself.

tests/layers.txt ranks every module: a module imports only from modules that stand below it. The table of modules in
docs/architecture.md is made from it and from the first sentence of each module's docstring, by
`python tests/test_layers.py`. A new module gets a line here; a module that has none fails.
"""

import ast
import functools
from pathlib import Path

import pytest

pytestmark = [pytest.mark.quick, pytest.mark.xdist_group("layers")]  # each module is read once

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "architecture.md"
FIRST, LAST = "<!-- modules: made by python tests/test_layers.py -->", "<!-- end of modules -->"
FILES = sorted(
    path
    for path in [
        ROOT / "app.py",
        *(ROOT / "provisioning").rglob("*.py"),
        *(ROOT / "receiver").rglob("*.py"),
        *(ROOT / "simulator").rglob("*.py"),
    ]
)

LAYERS = (ROOT / "tests" / "layers.txt").read_text().split()

# no clock, no files, no sockets, no Flask, no SQL, no logging
PURE = (
    "provisioning.check.camera_readings",
    "provisioning.check.facts",
    "provisioning.check.steps",
    "provisioning.check.tracker_readings",
    "provisioning.check.verdicts",
    "provisioning.commands.reply_matching",
    "provisioning.core.prices",
    "provisioning.devices.actions",
    "provisioning.devices.durations",
    "provisioning.devices.credential_phases",
    "provisioning.devices.health",
    "provisioning.devices.camera_rules",
    "provisioning.devices.health_findings",
    "provisioning.devices.health_rules",
    "provisioning.devices.health_words",
    "provisioning.devices.transfer_times",
    "provisioning.devices.vehicle_facts",
    "provisioning.media.event_rules",
    "provisioning.media.link_rules",
    "provisioning.phrase",
    "provisioning.roles",
    "provisioning.tracker",
    "provisioning.translation",
    "provisioning.web.browser_names",
    "receiver.endings",
    "receiver.net.read_pace",
    "receiver.wire",
)
PURE_MAY = {
    "__future__", "abc", "collections", "dataclasses", "datetime", "decimal", "enum", "fastcrc", "functools", "gettext",
    "ipaddress", "itertools", "json", "marshmallow", "math", "re", "statistics", "string", "struct", "types", "typing",
    "unicodedata",
}  # fmt: skip
GEVENT = (
    "provisioning.core.threads",
    "provisioning.web.gunicorn_worker",
    "provisioning.worker",
    "receiver.__main__",
    "receiver.backend",
    "receiver.database_product",
    "receiver.net",
    "receiver.supervisor",
)
# what the product may know of the receiver: its stores, its port, and what crosses both
RECEIVER_MAY_BE_USED = (
    "receiver.addresses",
    "receiver.backend.port",
    "receiver.endings",
    "receiver.ids",
    "receiver.spool",
    "receiver.store",
    "receiver.wire",
)


def module_of(path: Path) -> str:
    """Give the dotted name of a module."""
    return path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")


MODULES = {module_of(path): path for path in FILES}


@functools.cache
def imports(path: Path) -> set[str]:
    """Give every module that a file imports, absolute; `from x import y` counts as x.y where that is a module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else node.module or "")
    return found


def under(module: str, *packages: str) -> bool:
    """Say whether a module is one of these or stands in one of them."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def ours(path: Path) -> set[str]:
    """Give the product's own modules that a file imports."""
    return {module for module in imports(path) if under(module, "app", "provisioning", "receiver")}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_it_may(module: str) -> None:
    path = MODULES[module]
    modules = imports(path)
    tops = {name.split(".")[0] for name in modules}
    if under(module, *PURE):
        assert tops - {"provisioning", "receiver"} <= PURE_MAY, "a pure module does no I/O"
        assert all(under(name, *PURE) for name in ours(path)), "a pure module imports only pure modules"
    if under(module, "receiver") and module not in ("receiver.__main__", "receiver.database_product"):
        assert not tops & {"flask", "sqlalchemy", "provisioning", "app"}, (
            "the receiver knows nothing of the product"
        )
    if under(module, "provisioning"):
        known = {name for name in modules if under(name, "receiver")}
        assert all(under(name, *RECEIVER_MAY_BE_USED) for name in known), (
            "not a part of the receiver that may be used"
        )
    if under(module, "simulator"):
        assert not tops & {"provisioning", "receiver", "app"}, "the simulator is an independent witness"
    elif module != "provisioning.sms.twilio":
        assert "twilio" not in tops, "only one module knows Twilio's client"
    if module != "receiver.store.s3":
        assert not tops & {"boto3", "botocore"}, "only one module knows the object store's client"
    if not under(module, *GEVENT, "simulator"):
        assert "gevent" not in tops, "gevent stays in the entries and the network packages"
    assert "app" not in tops, "only the web process and the command line load app, by its name"
    if under(module, "provisioning", "receiver") and module not in (
        "provisioning.core.environment",
        "provisioning.models.base",
    ):
        assert "os.environ" not in path.read_text(), "only core.environment reads the environment"


@pytest.mark.parametrize("module", [module for module in MODULES if not under(module, "simulator")])
def test_a_module_imports_only_from_modules_below_it(module: str) -> None:
    assert module in LAYERS, "a new module needs its line in tests/layers.txt"
    for other in ours(MODULES[module]):
        assert LAYERS.index(other) > LAYERS.index(module), f"{module} must not import {other}"


def test_every_line_is_a_module_once() -> None:
    assert len(LAYERS) == len(set(LAYERS))
    assert set(LAYERS) <= set(MODULES), "a line names no module"


@pytest.mark.parametrize("entry", ["provisioning.worker", "receiver.__main__"])
def test_a_process_without_pages_imports_none(entry: str) -> None:
    reached, left = set[str](), {entry}
    while left:
        reached |= left
        left = {name for module in left for name in ours(MODULES[module])} - reached
    web = {module for module in reached if under(module, "provisioning.web", "provisioning.cli", "app")}
    assert web <= {"provisioning.web", "provisioning.web.client_address"}, (
        "a second at each start, and 25 MiB"
    )


def test_a_class_name_stands_for_one_class() -> None:
    places: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(module)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def table() -> str:
    """Give the modules in their order, each with the first sentence of its docstring."""
    lines = ["| module | what it is |", "|---|---|"]
    for module in LAYERS:
        doc = ast.get_docstring(ast.parse(MODULES[module].read_text())) or ""
        first = " ".join(doc.split("\n\n")[0].split()).replace("|", "\\|")
        name = f"**`{module}`**" if MODULES[module].name == "__init__.py" else f"`{module}`"
        lines.append(f"| {name} | {first} |")
    return "\n".join(lines)


def filled(text: str) -> str:
    """Give the document with the table as it is now."""
    before, begin, rest = text.partition(FIRST)
    _, end, after = rest.partition(LAST)
    assert begin, f"{FIRST} is missing in {DOCUMENT}"
    assert end, f"{LAST} is missing in {DOCUMENT}"
    return f"{before}{FIRST}\n{table()}\n{LAST}{after}"


def test_the_document_shows_the_modules_as_they_are() -> None:
    text = DOCUMENT.read_text()
    assert filled(text) == text, "run python tests/test_layers.py"


if __name__ == "__main__":
    DOCUMENT.write_text(filled(DOCUMENT.read_text()))
