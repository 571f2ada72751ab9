"""What one round of reports tells while more comes in than it can take, seen by a product in memory."""

from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from receiver.backend.reporter import Reporter, _deliver_all

pytestmark = pytest.mark.quick


class BusyProduct:
    """Takes a report slowly: while it does, the next file is there."""

    def __init__(self) -> None:
        self.reported: list[str] = []
        self.reporter: Reporter | None = None

    def _more(self, kind: str) -> None:
        self.reported.append(kind)
        assert self.reporter is not None
        assert len(self.reported) < 50, f"one round has no end: {self.reported[:6]} ..."
        self.reporter.stored({"upload": f"{len(self.reported):032x}"})
        self.reporter.left_partial({"upload": f"{len(self.reported):032x}"}, share=False)

    def stored(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self._more("stored")
        return records

    def progress(self, records: list[dict[str, Any]]) -> None:
        self._more("partial")

    def superseded(self, idents: list[str]) -> None:
        self.reported.append("superseded")

    def sessions(self, facts: list[Any]) -> None:
        self.reported.append("sessions")


def test_sessions_are_told_while_files_never_stop_coming() -> None:
    product = BusyProduct()
    pending = SimpleNamespace(delivered=lambda taken: None)
    store = SimpleNamespace(shared_partials=None, pending=pending, given_up=deque())
    server: Any = SimpleNamespace(
        product=product, store=store, lease_client=None, aside=lambda work, *given: work(*given)
    )
    product.reporter = reports = Reporter(server)
    reports.report(SimpleNamespace(id="a" * 32))  # type: ignore[arg-type]
    reports.stored({"upload": "b" * 32})
    reports.left_partial({"upload": "c" * 32}, share=False)
    reports._deliver()
    assert product.reported == ["stored", "partial", "sessions"]
    reports._deliver()
    assert product.reported[3:] == ["stored", "partial"]


class Queue:
    """A full queue of session rows; while the database takes the first of them, five more come."""

    def __init__(self) -> None:
        self.rows = deque(range(10), maxlen=10)
        self.reported: list[int] = []
        self.away = False

    def tell(self) -> None:
        _deliver_all(self.rows, self._take, lambda row, why: None)

    def _take(self, rows: list[int]) -> None:
        if not self.reported:
            self.rows.extend(range(10, 15))
        if self.away:
            raise ConnectionError
        self.reported += rows


def test_what_comes_to_a_full_queue_while_it_is_told_is_told_next() -> None:
    queue = Queue()
    queue.tell()
    assert queue.reported == list(range(10))
    assert list(queue.rows) == list(range(10, 15))


def test_a_full_queue_that_cannot_be_told_drops_its_oldest() -> None:
    queue = Queue()
    queue.away = True
    with pytest.raises(ConnectionError):
        queue.tell()
    assert list(queue.rows) == list(range(5, 15))
