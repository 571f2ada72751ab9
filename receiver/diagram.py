"""Writes the state diagram of the session machine into docs/protocol.md: `python -m receiver.diagram`.

Also gives those parts, for the test that the document is up to date. Part of no running process.
"""

import ast
import inspect
import sys
from functools import cache
from pathlib import Path

from receiver.wire.protocol import FrameRate, Run, Status
from receiver.wire.session import TRANSITIONS, SessionMachine
from receiver.wire.session_state import SessionState

DOCUMENT = Path(__file__).parent.parent / "docs" / "protocol.md"
BEGIN, END = "<!-- {}: made by python -m receiver.diagram -->", "<!-- end of {} -->"

# what is called in a state besides the handlers of messages: the driver's answers to actions, and the deadline
ANSWERS = {
    (SessionState.ADMISSION, "admitted"): SessionMachine.admitted,
    (SessionState.METADATA, "deadline"): SessionMachine.expired,
    (SessionState.STORAGE, "opened"): SessionMachine.opened,
    (SessionState.DATA, "written"): SessionMachine.written,
    (SessionState.COMMIT, "committed"): SessionMachine.committed,
}
OMITTED = (FrameRate, Status)  # may come in every state; said in words
NAMES: dict[type, str] = {Run: "DATA"}


@cache
def _methods() -> dict[str, tuple[set[str], set[str]]]:
    """Give for each method of Session the states it sets and the methods it calls, read off its source."""
    found = {}
    (body,) = ast.parse(inspect.getsource(SessionMachine)).body
    assert isinstance(body, ast.ClassDef)
    for method in body.body:
        if isinstance(method, ast.FunctionDef):
            nodes = [node for node in ast.walk(method) if isinstance(node, ast.Attribute)]
            own = {n.attr for n in nodes if isinstance(n.value, ast.Name) and n.value.id == "self"}
            set_here = {
                element.attr
                for node in ast.walk(method)
                if isinstance(node, ast.Assign) and any("self.state" in ast.unparse(t) for t in node.targets)
                for element in ast.walk(node.value)
                if isinstance(element, ast.Attribute) and ast.unparse(element.value) == "SessionState"
            }
            found[method.name] = set_here, own
    return found


def _reached(method: str, seen: set[str]) -> set[str]:
    """Give the states that a method may set, with all that it calls."""
    methods = _methods()
    if method not in methods or method in seen:
        return set()
    seen.add(method)
    states, calls = methods[method]
    return states.union(*(_reached(call, seen) for call in calls))


def diagram() -> str:
    """Give the states and the ways between them as a Mermaid diagram."""
    ways: dict[tuple[str, str], list[str]] = {}
    handlers = {(s, _name(kind)): h.__name__ for (s, kind), h in TRANSITIONS.items() if kind not in OMITTED}
    handlers |= {key: method.__name__ for key, method in ANSWERS.items()}
    order = list(SessionState)
    for (state, message), handler in sorted(handlers.items(), key=lambda item: order.index(item[0][0])):
        for target in sorted(_reached(handler, set()), key=lambda name: order.index(SessionState[name])):
            labels = ways.setdefault((state.name, target), [])
            if message not in labels:
                labels.append(message)
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> INIT"]
    lines += [f"    {state} --> {target}: {', '.join(labels)}" for (state, target), labels in ways.items()]
    return "\n".join([*lines, "    CLOSED --> [*]", "```"])


def _name(kind: type) -> str:
    return NAMES.get(kind, kind.__name__.upper())


def table() -> str:
    """Give what may come in which state, with what happens then: the handler's name."""
    lines = ["| we wait for | message | what we do |", "|---|---|---|"]
    rows: dict[tuple[str, str, str], None] = {}
    for state in SessionState:
        for (at, kind), handler in TRANSITIONS.items():
            if at is state and kind not in OMITTED:
                doing = handler.__name__.removeprefix("_on_").lstrip("_").replace("_", " ")
                doing = "data" if doing == "run" else doing
                rows[state.value, _name(kind), doing] = None
    lines += [f"| {state} | {name} | {doing} |" for state, name, doing in rows]
    return "\n".join(lines)


def filled(text: str) -> str:
    """Give the document with its made parts as the tables are now. Raises ValueError where a mark is missing."""
    for name, part in (("diagram", diagram()), ("table", table())):
        begin, end = BEGIN.format(name), END.format(name)
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"no {begin!r} … {end!r} in {DOCUMENT.name}")
        text = f"{before}{begin}\n{part}\n{end}{after}"
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(filled(DOCUMENT.read_text()))
    sys.stdout.write(f"written: {DOCUMENT}\n")
