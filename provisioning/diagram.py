"""Writes tables of the docs that are made from tables that run: `python -m provisioning.diagram`.

States of commands and of credentials into docs/sms.md, permissions into docs/api.md; a test holds the documents to
them. Part of no running process.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from provisioning.devices.credential_phases import TRANSITIONS as CREDENTIALS
from provisioning.devices.credential_phases import Fact, Phase
from provisioning.models import ENDED, PASSAGES, SHOWN, TRANSITIONS, Passage, State
from provisioning.models.command_state import ENDS
from provisioning.roles import MEANING, Permission, Role
from provisioning.web.access import NEEDS

DOCS = Path(__file__).parent.parent / "docs"
ROLES = (Role.VIEWER, Role.SUPPORT, Role.INSTALLER, Role.ADMIN)
API = "/api/v1"


def states() -> str:
    """Give from each state where a command may go, and whether it has ended there."""
    lines = ["| state | may become | |", "|---|---|---|"]
    for state in State:
        targets = ", ".join(other.value for other in State if other in TRANSITIONS[state])
        lines.append(f"| {state.value} | {targets} | {'an end' if state in ENDED else ''} |")
    return "\n".join(lines)


def passages() -> str:
    """Give how far an attempt may be, what a command in progress is shown as then, and what may follow."""
    lines = ["| attempt | the command is shown as | may become |", "|---|---|---|"]
    for passage in Passage:
        targets = ", ".join(other.value for other in Passage if other in PASSAGES[passage])
        shown = "" if passage in ENDS else SHOWN[passage].value
        lines.append(f"| {passage.value} | {shown} | {targets} |")
    return "\n".join(lines)


def credentials() -> str:
    """Give for each fact what becomes of each phase of a change of credentials; an empty place means no change."""
    lines = [f"| fact | {' | '.join(Phase)} |", "|---" * (len(Phase) + 1) + "|"]
    for fact in Fact:
        cells = [CREDENTIALS[phase].get(fact, "") for phase in Phase]
        lines.append(f"| {fact.value} | {' | '.join(cells)} |")
    return "\n".join(lines)


def permissions() -> str:
    """Give for each permission the roles that have it, what it allows, and the calls of the API that need it."""
    lines = [f"| permission | {' | '.join(ROLES)} | allows | calls |", "|---" * (len(ROLES) + 3) + "|"]
    for permission in Permission:
        marks = " | ".join("yes" if role.may(permission) else "" for role in ROLES)
        calls = ", ".join(f"`{call}`" for call in _calls(permission))
        lines.append(f"| {permission} | {marks} | {MEANING[permission]} | {calls} |")
    return "\n".join(lines)


def _calls(permission: Permission) -> list[str]:
    """Give the calls of the API that need a permission, as docs/api.md writes them."""
    needed = [route.split(" ") for route, need in NEEDS.items() if need is permission]
    return [
        f"{method} {rule.removeprefix(API).replace('<', '{').replace('>', '}').replace('{ident}', '{id}')}"
        for method, rule in needed
        if rule.startswith(API)
    ]


# by document: the marks around each table, and what makes it
TABLES: Mapping[Path, Mapping[str, Callable[[], str]]] = {
    DOCS / "sms.md": {"states": states, "passages": passages, "credentials": credentials},
    DOCS / "api.md": {"permissions": permissions},
}


def filled(document: Path) -> str:
    """Give a document with its tables as they are now. Raises ValueError where a mark is missing."""
    text = document.read_text()
    for mark, make in TABLES[document].items():
        first, last = f"<!-- {mark}: made by python -m provisioning.diagram -->", f"<!-- end of {mark} -->"
        before, begin, rest = text.partition(first)
        _, end, after = rest.partition(last)
        if not begin or not end:
            raise ValueError(f"no {first!r} … {last!r} in {document.name}")
        text = f"{before}{first}\n{make()}\n{last}{after}"
    return text


if __name__ == "__main__":
    for path in TABLES:
        path.write_text(filled(path))
        sys.stdout.write(f"written: {path}\n")
