"""The benchmarks work: each runs in small and gives its figures. What they say is never judged here."""

import json
import subprocess
import sys
import time
from typing import Any

import psutil
import pytest
from conftest import ROOT
from machine import free_port

bench = pytest.mark.bench


def figures(*arguments: str, seconds: float = 280) -> dict[str, Any]:
    """Run a benchmark; give what it prints."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=seconds
    )
    assert done.returncode == 0, done.stderr[-3000:]
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


@bench
def test_every_benchmark_gives_its_figures() -> None:
    measured = figures("benchmarks/run.py", "--quick", "--database", "sqlite")["sqlite"]
    assert set(measured) == {"videos", "megabytes", "small", "nodisk", "look_up_ms", "idle", "slow"}
    assert [measured[name]["receiver"]["files"] for name in ("videos", "megabytes", "small", "nodisk")] == [
        4,
        8,
        10,
        16,
    ]
    assert all(
        measured[name]["sink"]["megabytes_per_second"] > 0
        for name in ("videos", "megabytes", "small", "nodisk")
    )
    (idle,), (slow,) = measured["idle"], measured["slow"]
    assert idle["bytes_per_device"] > 0
    assert slow["bytes_per_second_and_line"]["slowest"] > 0
    assert slow["first_answer_ms"]["median"] > 0


@bench
def test_the_benchmark_of_a_grown_database_gives_its_figures() -> None:
    measured = figures("benchmarks/rows.py", "--rows", "400")
    assert measured.pop("database") == "sqlite"
    assert measured.pop("rows") == 400
    assert len(measured) > 10
    assert all(milliseconds > 0 for milliseconds in measured.values())


@bench
def test_the_benchmark_of_frames_gives_its_figures() -> None:
    measured = figures("benchmarks/frames.py", "--rounds", "1")["here"]
    assert len(measured) == 4
    assert all(milliseconds > 0 for milliseconds in measured.values())


@bench
def test_the_benchmark_of_copies_gives_its_figures() -> None:
    measured = figures("benchmarks/copies.py", "--photos", "20", seconds=120)
    assert len(measured) == 5
    assert all(figure > 0 for figure in measured.values())


@bench
def test_the_benchmark_of_bombs_gives_its_figures() -> None:
    measured = figures("benchmarks/bombs.py", "--quick", seconds=120)
    assert len(measured) == 5
    assert all(figure["mib"] > 0 and figure["seconds"] > 0 for figure in measured.values())


@bench
def test_the_benchmark_of_the_web_process_gives_its_figures() -> None:
    measured = figures("benchmarks/web.py", seconds=200)
    assert measured["forms"]["answers"] == {"200": 100}
    assert measured["guesses, one e-mail"]["answers"] == {"422": 10, "429": 90}
    assert measured["slow bodies"]["most"] > measured["slow bodies"]["before"] > 0


@bench
def test_the_benchmark_of_open_pages_gives_its_figures() -> None:
    measured = figures("benchmarks/streams.py", "--readers", "12", "--seconds", "5")
    assert measured["readers"]["connected"] == 12


@bench
def test_the_benchmark_of_a_large_fleet_gives_its_figures() -> None:
    measured = figures(
        "benchmarks/fleet.py", "--vehicles", "200", "--commands", "2000", "--rounds", "1", "--only", "pages"
    )
    pages = measured["pages"]
    assert pages["all"]["addresses"] == len(pages) - 1 > 200
    assert all(one["least"] > 0 for path, one in pages.items() if path != "all")


def test_the_receiver_without_disk_takes_files() -> None:
    # it replaces parts of the receiver, and finds out here that one of them has moved
    port = free_port()
    receiver = subprocess.Popen([sys.executable, "benchmarks/nodisk.py", str(port)], cwd=ROOT)
    try:
        listening = time.monotonic() + 20
        while not psutil.Process(receiver.pid).net_connections("tcp") and time.monotonic() < listening:
            time.sleep(0.02)
        assert figures("benchmarks/cameras.py", str(port), "--cameras=10", "--size=5000")["stored"] == 10
    finally:
        receiver.terminate()
        receiver.wait(10)
