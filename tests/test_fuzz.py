"""The fuzzers' corpus as a regression test, and a short run of each fuzzer, with fixed seeds."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

FUZZ = ROOT / "tests" / "fuzz"
sys.path.insert(0, str(FUZZ))

from live import campaign  # noqa: E402
from targets import DATA, FEED, SYNC, TARGETS, encode, operations  # noqa: E402

CORPUS = sorted(path for path in (FUZZ / "corpus").glob("*/*"))


@pytest.mark.quick
@pytest.mark.parametrize("path", CORPUS, ids=lambda path: f"{path.parent.name}-{path.name[:12]}")
def test_what_the_fuzzers_found_worth_keeping_breaks_nothing(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.quick
def test_each_fuzzer_has_a_corpus_that_is_small() -> None:
    assert {path.parent.name for path in CORPUS} == set(TARGETS)
    assert sum(path.stat().st_size for path in CORPUS) < 600_000


@pytest.mark.quick
def test_operations_are_read_as_they_are_written() -> None:
    written = [(FEED, b"abc"), (SYNC, b""), (DATA, b"\4\0")]
    assert list(operations(b"".join(encode(*one) for one in written))) == written


@pytest.mark.fuzz
@pytest.mark.parametrize(("target", "runs"), [("reader", 3000), ("session", 2000)])
def test_a_short_run_of_the_coverage_guided_fuzzer_finds_nothing(
    target: str, runs: int, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, str(FUZZ), target, f"{runs}x"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"stat::number_of_executed_units: {runs}" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_mutated_transcripts_over_a_live_port_hurt_nobody_else(tmp_path: Path) -> None:
    seen = campaign(tmp_path, seconds=120, most=1000, seed=1)
    assert seen["sessions"] >= 1000  # type: ignore[operator]
    assert seen["honest"] >= 1  # type: ignore[operator]
