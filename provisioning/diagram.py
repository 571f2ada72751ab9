"""Writes the state tables of commands and of credentials into docs/sms.md: `python -m provisioning.diagram`.

They are made from the tables that run; a test holds the document to them. Part of no running process.
"""

import sys
from pathlib import Path

from provisioning.devices.credentials import TRANSITIONS as CREDENTIALS
from provisioning.devices.credentials import Fact, Phase
from provisioning.models import ENDED, TRANSITIONS, State

DOCUMENT = Path(__file__).parent.parent / "docs" / "sms.md"
MARKS = ("states", "credentials")


def table() -> str:
    """Give from each state where a command may go, and whether it has ended there."""
    lines = ["| state | may become | |", "|---|---|---|"]
    for state in State:
        targets = ", ".join(other.value for other in State if other in TRANSITIONS[state])
        lines.append(f"| {state.value} | {targets} | {'an end' if state in ENDED else ''} |")
    return "\n".join(lines)


def credentials() -> str:
    """Give for each fact what becomes of each phase of a change of credentials; an empty place means no change."""
    lines = [f"| fact | {' | '.join(Phase)} |", "|---" * (len(Phase) + 1) + "|"]
    for fact in Fact:
        cells = [CREDENTIALS[phase].get(fact, "") for phase in Phase]
        lines.append(f"| {fact.value} | {' | '.join(cells)} |")
    return "\n".join(lines)


def filled(text: str) -> str:
    """Give the document with the tables as they are now. Raises ValueError where a mark is missing."""
    for mark, made in zip(MARKS, (table(), credentials()), strict=True):
        first, last = f"<!-- {mark}: made by python -m provisioning.diagram -->", f"<!-- end of {mark} -->"
        before, begin, rest = text.partition(first)
        _, end, after = rest.partition(last)
        if not begin or not end:
            raise ValueError(f"no {first!r} … {last!r} in {DOCUMENT.name}")
        text = f"{before}{first}\n{made}\n{last}{after}"
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(filled(DOCUMENT.read_text()))
    sys.stdout.write(f"written: {DOCUMENT}\n")
