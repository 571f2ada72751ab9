"""How long each test took: seconds on the clock and seconds of processor time, summed by file.

`make test PYTEST_ARGS=--durations-file=FILE` writes them; docs/testing.md's table is filled from it. Processor time is
that of the test's process and of all processes that it has waited for: a shared product counts for the test that ends
it, and the servers of a whole run (PostgreSQL, S3, Chromium) are not in it.
"""

import resource
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest


def _processor() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


class Durations:
    """A plugin of pytest that notes what each phase of a test took, and writes the sums after the last."""

    def __init__(self, path: Path | None) -> None:
        self.path = path  # None in the processes of pytest-xdist, which report to the first
        self.tests: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self._before = _processor()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, Any, Any]:
        report = yield
        now = _processor()
        report.processor, self._before = now - self._before, now
        return report

    def pytest_runtest_logreport(self, report: Any) -> None:
        took = self.tests[report.nodeid]
        took[0] += report.duration
        took[1] += report.processor

    def pytest_sessionfinish(self) -> None:
        if not self.path:
            return
        sums = defaultdict(lambda: [0.0, 0.0], self.tests)
        for test, took in list(self.tests.items()):
            of_file = sums[test.partition("::")[0]]
            of_file[:] = [sum(pair) for pair in zip(of_file, took, strict=True)]
        by_seconds = sorted(sums.items(), key=lambda item: item[1], reverse=True)
        lines = [f"{clock:8.2f} {processor:8.2f} {name}\n" for name, (clock, processor) in by_seconds]
        self.path.write_text("".join(lines))
