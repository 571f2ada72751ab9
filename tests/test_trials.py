"""The trials of trials/, shortened: the real processes under faults. docs/reliability.md has the long runs."""

import subprocess
import sys
import time
from typing import Any

import psutil
import pytest

import trials  # noqa: F401 - puts what trials need on the path
from provisioning import schedule
from provisioning.core.config import Config
from simulator.gateways import STAND_INS
from trials import kills, outage, restarts, soak, unknown, weather
from trials.evidence import BrokenPromise
from trials.system import HELPER, Options, usage


@pytest.mark.trial
@pytest.mark.parametrize("gateway", list(STAND_INS))
def test_nothing_acknowledged_is_lost_and_nothing_costly_sent_twice_while_processes_are_killed(
    gateway: str,
) -> None:
    seen = kills.run(Options(seed=11, rounds=6, gateway=gateway))
    assert sum(seen["kills"].values()) == 6
    assert seen["accepted"] > 0


@pytest.mark.trial
def test_files_are_taken_while_the_database_is_killed_or_hangs() -> None:
    seen = outage.run(Options(seed=12, minutes=0.2))
    for way in ("killed", "frozen"):
        assert seen[way]["acknowledged_while_away"] > 0
        assert seen[way]["acknowledged_by_a_receiver_started_without_database"] > 0


@pytest.mark.trial
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_files_come_once_over_lines_that_break_and_corrupt(database: str) -> None:
    seen = weather.run(Options(seed=13, rounds=300, database=database))
    assert seen["acknowledged"] == 300
    assert seen["seen"]["corrupt"]
    assert seen["seen"]["cut"]
    assert seen["seen"]["forgotten"]


@pytest.mark.trial
def test_unknown_devices_that_return_stay_few_rows_and_an_address_that_tries_many_imeis_waits() -> None:
    seen = unknown.run(Options(seed=14, rounds=20))
    assert seen["rows"] <= 40
    assert seen["guesses_waited"][-2] >= 4.0


@pytest.mark.trial
def test_restarts_break_no_upload_and_a_worker_that_hangs_is_replaced() -> None:
    seen = restarts.run(Options(seed=15, rounds=1))
    assert [seen[way]["times"] for way in ("reload", "stop_and_start", "hang")] == [1, 1, 1]


@pytest.mark.trial
@pytest.mark.alone
def test_mixed_traffic_leaves_memory_and_descriptors_flat() -> None:
    seen = soak.run(Options(seed=16, minutes=0.5))
    assert seen["acknowledged"] > 0


def _samples(**growth: int) -> list[dict[str, Any]]:
    """Give what a soak of 20 minutes sees, a sample a minute: by the minute, so much more of each thing."""
    return [
        {
            "at": 60.0 * n, "acknowledged": 100 * n, "rows": 100 * n - growth.get("lag", 0) * n,
            "linked": 100 * n - growth.get("unlinked", 0) * n, "sweep_age": 3 + growth.get("sweep", 0) * n,
            "photos": 50 * n, "copied": 50 * n - growth.get("no_copy", 0) * n,
        }
        | {
            name: {
                "pss": 50 * 2**20 + growth.get("memory", 0) * n, "rss": 0,
                "descriptors": 100 + growth.get("descriptors", 0) * n,
            }
            for name in soak.NAMES
        }
        for n in range(1, 21)
    ]  # fmt: skip


def test_the_memory_of_a_process_in_the_middle_of_a_fork_counts_once_and_a_helper_not_at_all() -> None:
    code = """
import os, subprocess, sys, time
own = [bytes(range(256)) * 2**17]
if sys.argv[1] == "fork" and os.fork() == 0: time.sleep(60)
if sys.argv[1] == "helper":
    subprocess.Popen([sys.executable, "-c", "own = bytes(range(256)) * 2**17; input()", NAME])
print("ready", flush=True); input()
"""
    seen = {}
    for way in ("alone", "fork", "helper"):
        with subprocess.Popen(
            [sys.executable, "-c", code.replace("NAME", repr(HELPER)), way],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            children = psutil.Process(process.pid).children()
            time.sleep(1 if children else 0)
            seen[way] = usage(process.pid)["pss"] / 2**20
            for one in (*children, process):
                one.kill()
    assert 32 < seen["alone"] < 64
    assert abs(seen["fork"] - seen["alone"]) < 8
    assert abs(seen["helper"] - seen["alone"]) < 8


def test_a_soak_takes_a_sample_in_the_middle_of_a_fork_for_what_it_is() -> None:
    samples = _samples()
    for odd in 7, 13:  # the first and another warm sample of a worker
        samples[odd]["worker"]["pss"] = 2 * 2**20
    assert soak.judge(samples)["worker"]["pss_mib_per_hour"] == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_soak_judges_the_age_of_every_job_that_is_due_often(config: Config) -> None:
    seldom = {job.name for job in schedule.table(config) if job.seconds > soak.SWEPT}
    assert set(soak.SELDOM) == seldom | {"settle"}


def test_a_soak_holds_what_is_flat_and_tells_what_grows() -> None:
    assert soak.judge(_samples())["rows_behind_most"] == 0
    for growth, answer in (
        ({"lag": 10}, "rows"), ({"unlinked": 10}, "linked"), ({"no_copy": 5}, "copied"), ({"sweep": 2}, "held up"),
        ({"memory": 2**20}, "memory"), ({"descriptors": 20}, "leak"),
    ):  # fmt: skip
        with pytest.raises(BrokenPromise, match=answer):
            soak.judge(_samples(**growth))
