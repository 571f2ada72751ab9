"""`python -m provisioning.diagram`: writes a command's states into docs/sms.md, from the table that runs.

A test holds the document to it. Part of no running process.
"""

import sys
from pathlib import Path

from .models import ENDED, TRANSITIONS, State

DOCUMENT = Path(__file__).parent.parent / "docs" / "sms.md"
BEGIN = "<!-- states: made by python -m provisioning.diagram -->"
END = "<!-- end of states -->"


def table() -> str:
    """Give from each state where a command may go, and whether it has ended there."""
    lines = ["| state | may become | |", "|---|---|---|"]
    for state in State:
        targets = ", ".join(other.value for other in State if other in TRANSITIONS[state])
        lines.append(f"| {state.value} | {targets} | {'an end' if state in ENDED else ''} |")
    return "\n".join(lines)


def filled(text: str) -> str:
    """Give the document with the table as it is now. Raises ValueError where a mark is missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no {BEGIN!r} … {END!r} in {DOCUMENT.name}")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(filled(DOCUMENT.read_text()))
    sys.stdout.write(f"written: {DOCUMENT}\n")
