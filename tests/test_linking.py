"""Which request made which file: scenarios as files, in every order of arrival of the facts."""

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import ROOT

from provisioning.media.link_rules import File, LinkBasis, Request, Windows, decide

pytestmark = pytest.mark.quick

VECTORS = sorted((ROOT / "tests" / "vectors" / "links").glob("*.txt"))


@dataclass
class Scenario:
    files: list[File] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    expected: dict[str, tuple[str | None, str | None, str | None]] = field(default_factory=dict)
    unasked: bool = False
    zone: int | None = None


def read(path: Path) -> Scenario:
    scenario = Scenario()
    for line in path.read_text().splitlines():
        words = line.split()
        if not words or line.startswith("#"):
            continue
        options = dict(word.split("=", 1) for word in words if "=" in word and word != "=")
        match words[0]:
            case "zone":
                scenario.zone = int(words[1])
            case "unasked":
                scenario.unasked = True
            case "request":
                scenario.requests.append(_request(words, options))
            case "file":
                scenario.files.append(_file(words, options))
            case "=":
                command, certainty = (None if w == "-" else w for w in words[2:4])
                scenario.expected[words[1]] = (command, certainty, options.get("looked-like"))
    return scenario


def _request(words: list[str], options: dict[str, str]) -> Request:
    return Request(
        id=words[1], file_type=words[2], sources=("front", "rear") if words[3] == "both" else (words[3],),
        handed_over=float(options["handed"]), asked=float(options["asked"]) if "asked" in options else None,
        announced=tuple(float(t) for t in options.get("announced", "").split(",") if t), open="ended" not in words,
        refused="refused" in words, already_captured="already" in words,
    )  # fmt: skip


def _file(words: list[str], options: dict[str, str]) -> File:
    return File(
        id=words[1], file_type=words[2], source=words[3], arrived=float(options["arrived"]),
        whole=float(options["whole"]) if "whole" in options else None,
        has_metadata="nometa" not in words, trigger=int(options.get("trigger", 0)),
        captured=float(options["captured"]) if "captured" in options else None,
        fixed="fixed" in options, command=options.get("fixed"),
    )  # fmt: skip


@pytest.mark.parametrize("path", VECTORS, ids=lambda p: p.stem)
def test_the_scenario_ends_as_written_in_whatever_order_facts_come(path: Path) -> None:
    scenario = read(path)
    for files in itertools.permutations(scenario.files):
        for requests in itertools.permutations(scenario.requests):
            decided = decide(files, requests, LinkBasis(Windows(), scenario.unasked, scenario.zone))
            found = {n: (link.command, link.certainty, link.looked_like) for n, link in decided.items()}
            assert found == scenario.expected
            assert all(link.reason for link in decided.values())
