"""The trials of trials/, shortened: the real processes under faults. docs/reliability.md has the long runs."""

from collections.abc import Callable
from typing import Any

import pytest

import trials  # noqa: F401 - puts what trials need on the path
from trials import kills, outage, restarts, soak, strangers, weather
from trials.evidence import BrokenPromise
from trials.system import Options

Trial = Callable[[Options], dict[str, Any]]


def test_nothing_acknowledged_is_lost_and_nothing_costly_sent_twice_while_processes_are_killed() -> None:
    seen = kills.run(Options(seed=11, rounds=6))
    assert sum(seen["kills"].values()) == 6
    assert seen["accepted"] > 0


def test_files_are_taken_while_the_database_is_killed_or_hangs() -> None:
    seen = outage.run(Options(seed=12, minutes=0.2))
    for way in ("killed", "frozen"):
        assert seen[way]["acknowledged_while_away"] > 0
        assert seen[way]["acknowledged_by_a_receiver_started_without_database"] > 0


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_files_come_once_over_lines_that_break_and_corrupt(database: str) -> None:
    seen = weather.run(Options(seed=13, rounds=300, database=database))
    assert seen["acknowledged"] == 300
    assert seen["seen"]["corrupt"]
    assert seen["seen"]["cut"]
    assert seen["seen"]["forgotten"]


def test_refused_strangers_stay_few_rows() -> None:
    assert strangers.run(Options(seed=14, rounds=20))["rows"] <= 40


def test_restarts_break_no_upload_and_a_worker_that_hangs_is_replaced() -> None:
    seen = restarts.run(Options(seed=15, rounds=1))
    assert [seen[way]["times"] for way in ("reload", "stop_and_start", "hang")] == [1, 1, 1]


def test_mixed_traffic_leaves_memory_and_descriptors_flat() -> None:
    seen = soak.run(Options(seed=16, minutes=0.5))
    assert seen["acknowledged"] > 0


def _samples(**growth: int) -> list[dict[str, Any]]:
    """Give what a soak of 20 minutes sees, a sample a minute: by the minute, so much more of each thing."""
    return [
        {"at": 60.0 * n, "acknowledged": 100 * n, "rows": 100 * n - growth.get("lag", 0) * n}
        | {
            name: {
                "uss": 50 * 2**20 + growth.get("memory", 0) * n, "rss": 0,
                "descriptors": 100 + growth.get("descriptors", 0) * n,
            }
            for name in soak.NAMES
        }
        for n in range(1, 21)
    ]  # fmt: skip


def test_a_soak_holds_what_is_flat_and_tells_what_grows() -> None:
    assert soak.judge(_samples())["rows_behind_most"] == 0
    for growth, told in ({"lag": 10}, "rows"), ({"memory": 2**20}, "memory"), ({"descriptors": 20}, "leak"):
        with pytest.raises(BrokenPromise, match=told):
            soak.judge(_samples(**growth))
