"""What one round of reports tells while more comes in than it can take, seen by a product in memory."""

from types import SimpleNamespace
from typing import Any

from receiver.reports import Reports


class BusyProduct:
    """Takes a report slowly: while it does, the next file is there."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.reports: Reports | None = None

    def _more(self, kind: str) -> None:
        self.told.append(kind)
        assert self.reports is not None
        assert len(self.told) < 50, f"one round has no end: {self.told[:6]} ..."
        self.reports.stored({"upload": f"{len(self.told):032x}"})
        self.reports.left_partial({"upload": f"{len(self.told):032x}"}, share=False)

    def stored(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self._more("stored")
        return records

    def progress(self, records: list[dict[str, Any]]) -> None:
        self._more("partial")

    def sessions(self, facts: list[Any]) -> None:
        self.told.append("sessions")


def test_sessions_are_told_while_files_never_stop_coming() -> None:
    product = BusyProduct()
    store = SimpleNamespace(exchange=None, delivered=lambda taken: None)
    server: Any = SimpleNamespace(
        product=product, store=store, handover=None, aside=lambda work, *given: work(*given)
    )
    product.reports = reports = Reports(server)
    reports.tell(SimpleNamespace(id="a" * 32))  # type: ignore[arg-type]
    reports.stored({"upload": "b" * 32})
    reports.left_partial({"upload": "c" * 32}, share=False)
    reports._tell()
    assert product.told == ["stored", "partial", "sessions"]
    reports._tell()
    assert product.told[3:] == ["stored", "partial"]
