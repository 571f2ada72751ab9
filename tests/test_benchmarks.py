"""The benchmarks work: each runs in small and gives its figures. What they say is never judged here."""

import json
import subprocess
import sys

from conftest import ROOT


def test_every_benchmark_gives_its_figures() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/run.py", "--quick", "--database", "sqlite"], cwd=ROOT, capture_output=True,
        text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)["sqlite"]
    assert set(told) == {"videos", "megabytes", "small", "nodisk", "look_up_ms", "idle", "slow"}
    assert [told[name]["receiver"]["files"] for name in ("videos", "megabytes", "small", "nodisk")] == [
        4,
        8,
        10,
        16,
    ]
    assert all(
        told[name]["sink"]["megabytes_per_second"] > 0 for name in ("videos", "megabytes", "small", "nodisk")
    )
    (idle,), (slow,) = told["idle"], told["slow"]
    assert idle["bytes_per_device"] > 0
    assert slow["bytes_per_second_and_line"]["slowest"] > 0
    assert slow["first_answer_ms"]["median"] > 0


def test_the_benchmark_of_a_grown_database_gives_its_figures() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/rows.py", "--rows", "400"], cwd=ROOT, capture_output=True, text=True,
        timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told.pop("database") == "sqlite"
    assert told.pop("rows") == 400
    assert len(told) > 10
    assert all(milliseconds > 0 for milliseconds in told.values())


def test_the_benchmark_of_copies_gives_its_figures() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/copies.py", "--photos", "20"], cwd=ROOT, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert all(figure > 0 for figure in json.loads(done.stdout).values())
