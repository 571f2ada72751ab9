"""The rooms' import rules (docs/architecture.md), read off the source itself."""

import ast
from pathlib import Path

import pytest

pytestmark = pytest.mark.quick

ROOT = Path(__file__).parent.parent
FILES = sorted(
    path
    for path in [ROOT / "app.py", *(ROOT / "provisioning").rglob("*.py"), *(ROOT / "receiver").rglob("*.py"),
                 *(ROOT / "simulator").rglob("*.py")]
)  # fmt: skip

PURE = (
    "receiver/wire/protocol",
    "receiver/wire/session",
    "receiver/wire/foreign_protocols",
    "provisioning/tracker/parameters",
    "provisioning/tracker/language",
    "provisioning/tracker/normalization",
    "provisioning/commands/reply_matching",
    "provisioning/media/link_rules",
)
PURE_MAY = {
    "json",
    "__future__", "collections", "dataclasses", "datetime", "decimal", "enum", "functools", "itertools", "math",
    "re", "string", "struct", "types", "typing", "ipaddress", "unicodedata", "marshmallow", "fastcrc",
}  # fmt: skip
GEVENT = (
    "receiver/net/server", "receiver/net/connection", "receiver/backend/reporter", "receiver/backend/batching",
    "receiver/backend/lease_client",
    "receiver/net/guess_limits",
    "receiver/supervisor", "receiver/__main__",
    "provisioning/worker", "provisioning/core/threads", "provisioning/web/gunicorn_worker", "gunicorn.conf",
)  # fmt: skip


def room(path: Path) -> str:
    """Give the path from the root without its ending."""
    return path.relative_to(ROOT).with_suffix("").as_posix().removesuffix("/__init__")


def imports(path: Path) -> set[str]:
    """Give every module a file imports, absolute; `from x import y` counts as x and x.y."""
    package = path.parent.relative_to(ROOT).as_posix()
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split("/")[: len(package.split("/")) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return found


def tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", FILES, ids=room)
def test_the_room_keeps_the_import_rules(path: Path) -> None:
    name, used, modules = room(path), tops(path), imports(path)
    if name.startswith(PURE):
        inside = {module for module in modules if module.split(".")[0] in ("receiver", "provisioning")}
        assert used - {"receiver", "provisioning"} <= PURE_MAY, "a pure room does no I/O"
        assert all(
            module.replace(".", "/").startswith((*PURE, "receiver", "provisioning")) for module in inside
        )
        allowed = {"receiver", "provisioning"} | {p.replace("/", ".") for p in PURE}
        assert all(m in allowed or m.startswith(tuple(a + "." for a in allowed - {"receiver", "provisioning"}))
                   for m in inside if m.count(".") < 2), "a pure room imports only pure rooms"  # fmt: skip
    if name.startswith("receiver/") and name != "receiver/__main__":
        assert not used & {"flask", "sqlalchemy", "provisioning", "app"}, "the receiver knows no product"
    if name.startswith("simulator"):
        assert not used & {"provisioning", "receiver", "app"}, "the simulator is an independent witness"
    if name != "provisioning/sms/gateway" and not name.startswith("simulator"):
        assert "twilio" not in used, "only the gateway knows Twilio's client"
    if name != "receiver/store/s3":
        assert not used & {"boto3", "botocore"}, "only the bucket knows the object store's client"
    if not name.startswith((*GEVENT, "simulator")):
        assert "gevent" not in used, "gevent stays in the entry points"
    if name not in ("provisioning/worker", "receiver/__main__"):
        assert "app" not in used, "only entry points import app"
    if name.startswith(("provisioning", "receiver")) and name not in (
        "provisioning/core/config",
        "provisioning/models/base",
    ):
        assert "os.environ" not in path.read_text(), "only config reads the environment"


ORDER = [
    {"cli", "worker"},
    {"pages", "api", "webhooks"},
    {"auth"},
    {"schemas"},
    {"background"},
    {"checklist", "retention"},
    {"inbox", "records", "devices", "profiles", "videos"},
    {"answers", "connections", "leftovers", "uploads"},
    {"sending", "links"},
    {"endings"},
    {"outbox"},
    {"credentials"},
    {"leases"},
    {"idempotency", "statuses", "lifecycle", "jobs"},
    {"events", "queue"},
    {"gateway", "secrets"},
    {"models", "web"},
    {"matching", "linking"},
    {"commands"},
    {"parameters"},
    {"errors", "config"},
    {"cleaning"},
]


@pytest.mark.parametrize("path", FILES, ids=room)
def test_rooms_import_only_what_stands_below(path: Path) -> None:
    parts = room(path).split("/")
    if parts[0] != "provisioning" or len(parts) < 2:
        return
    rank = {name: level for level, names in enumerate(ORDER) for name in names}
    if parts[1] not in rank:
        return
    for module in imports(path):
        other = module.split(".")
        if other[0] == "provisioning" and len(other) > 1 and other[1] in rank and other[1] != parts[1]:
            assert rank[other[1]] > rank[parts[1]], f"{parts[1]} must not import {other[1]}"
