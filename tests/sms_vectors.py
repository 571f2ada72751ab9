"""Reads the transcript files of tests/vectors/sms.

`<` is a text from the device, `>` one from us, `=` what it must mean (one line a result), `!` why it is
refused. `\\r` and `\\n` stand for line ends inside a text. The first line says where the strings come from.
"""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "vectors" / "sms"


@dataclass(frozen=True)
class Vector:
    """One text and what the file says of it."""

    place: str
    text: str
    results: tuple[str, ...]
    refused: bool


def read(name: str) -> list[Vector]:
    """Give the vectors of one file; fails on a file without provenance or a text without a result."""
    lines = (FOLDER / name).read_text(encoding="utf-8").split("\n")
    assert lines[0].startswith("# ")
    vectors: list[Vector] = []
    for number, line in enumerate(lines, start=1):
        mark, text = line[:2], line[2:]
        if mark in ("< ", "> "):
            plain = text.replace("\\r", "\r").replace("\\n", "\n")
            vectors.append(Vector(f"{name}:{number}", plain, (), False))
        elif mark == "= ":
            last = vectors[-1]
            vectors[-1] = Vector(last.place, last.text, (*last.results, text), False)
        elif mark == "! ":
            vectors[-1] = Vector(vectors[-1].place, vectors[-1].text, (), True)
        else:
            assert not line or line.startswith("#"), f"{name}:{number}"
    assert all(bool(vector.results) != vector.refused for vector in vectors)
    return vectors
