"""Cameras that tell no time or no trigger, against the real receiver: many at once, broken, killed in between."""

import pytest

import trials  # noqa: F401 - puts what trials need on the path
from trials import untimed
from trials.system import Options


@pytest.mark.trial
def test_files_without_a_time_or_a_trigger_are_all_kept_resumed_and_found_again_after_a_kill() -> None:
    seen = untimed.run(Options(seed=17, rounds=20, database="sqlite"))
    assert seen["acknowledged"] == seen["rows"] == seen["files"] == 20 * (4 + 1 + 4)
    assert seen["acknowledged_without_time"] == 20 * (3 + 3)
