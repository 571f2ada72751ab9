"""Which files belong together as one event: scenarios as files, in every order in which the files arrive."""

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import ROOT

from provisioning.media.event_rules import KINDS, EventFile, group
from provisioning.models import TRIGGERS

pytestmark = pytest.mark.quick

VECTORS = sorted((ROOT / "tests" / "vectors" / "events").glob("*.txt"))
Event = tuple[str, tuple[str, ...], float, tuple[float, float] | None]


@dataclass
class Scenario:
    files: list[EventFile] = field(default_factory=list)
    expected: list[Event] = field(default_factory=list)


def read(path: Path) -> Scenario:
    scenario = Scenario()
    for line in path.read_text().splitlines():
        words = line.split()
        if not words or line.startswith("#"):
            continue
        options = dict(word.split("=", 1) for word in words if "=" in word and word != "=")
        place = tuple(float(part) for part in options["place"].split(",")) if "place" in options else None
        if words[0] == "=":
            names = tuple(word for word in words[2:] if "=" not in word)
            scenario.expected.append((words[1], names, float(options["at"]), place))  # type: ignore[arg-type]
        else:
            scenario.files.append(_file(words, options, place))
    return scenario


def _file(words: list[str], options: dict[str, str], place: tuple[float, ...] | None) -> EventFile:
    latitude, longitude = place or (None, None)
    return EventFile(
        id=words[1], file_type=words[2], source=words[3], arrived=float(options["arrived"]),
        trigger=int(options["trigger"]) if "trigger" in options else None,
        captured=float(options["captured"]) if "captured" in options else None,
        trigger_time=float(options["triggered"]) if "triggered" in options else None,
        latitude=latitude, longitude=longitude, request=options.get("request"), by_check="check" in words,
    )  # fmt: skip


@pytest.mark.parametrize("path", VECTORS, ids=lambda p: p.stem)
def test_the_events_are_as_written_in_whatever_order_files_come(path: Path) -> None:
    scenario = read(path)
    assert scenario.expected
    for files in itertools.permutations(scenario.files):
        found = [
            (event.kind, tuple(file.id for file in event.files), event.at, event.place)
            for event in group(files, 15.0)
        ]
        assert sorted(found) == sorted(scenario.expected)


def test_an_event_names_the_cameras_and_the_types_of_its_files() -> None:
    front = EventFile("f", "photo", "front", 0.0, trigger=3, captured=1_700_000_000.0)
    rear = EventFile("r", "video", "rear", 0.0, trigger=3, captured=1_700_000_001.0)
    ((one,), (both,)) = group([front], 15.0), group([front, rear], 15.0)
    assert (one.cameras, one.file_types) == ("front", "photo")
    assert (both.cameras, both.file_types) == ("both", "both")


def test_every_trigger_that_has_a_name_has_a_kind() -> None:
    assert set(KINDS) == set(TRIGGERS)
