"""A file of the spool that cannot be handled holds up no other."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock
from unittest.mock import Mock

import pytest
import spool_under_test
import structlog
from spool_under_test import (
    DATA,
    HOUR,
    IMEI,
    YEAR,
    Shared,
    SpoolUnderTest,
    Stuck,
    leave_rest,
    offer,
    quarantined,
)

from provisioning.models import utcnow
from receiver.endings import Reason
from receiver.spool import cleanup, partial_folder, pending_folder
from receiver.spool.cleanup import Cleaner
from receiver.spool.shared_partials import SharedPartials
from receiver.spool.sidecar import SidecarRecord
from receiver.spool.sidecar_files import read_sidecar
from receiver.spool.spool import Caps, Spool
from receiver.store.durability import StorageError
from receiver.store.local_folder import LocalFolder
from receiver.store.media_store import MediaError
from receiver.wire import protocol
from receiver.wire.actions import Offer

pytestmark = pytest.mark.quick
spool = spool_under_test.spool  # the same fixture


def seal(spool: SpoolUnderTest, wanted: Offer) -> SidecarRecord:
    """A file is made safe in the spool, and the process is killed before it goes into the media store."""
    transfer = spool.open(wanted)
    transfer.write(0, DATA, spool.now)
    transfer.flush()
    assert spool.store.group_commit.seal([transfer], spool.now) == [None]
    return transfer.record


def test_a_stored_file_that_cannot_be_put_in_its_place_holds_up_no_other(spool: SpoolUnderTest) -> None:
    stuck = seal(spool, offer())
    spool.now += HOUR
    others = [seal(spool, offer(1_795_600_000_000 + number)) for number in (1, 2)]
    in_the_way = spool.folder / "media" / Path(stuck["path"]).parent
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("no folder")
    spool.restart()
    failed: list[str] = []
    found = spool.store.pending.waiting(
        spool.now, failed=lambda record, error: failed.append(record["upload"])
    )
    assert {r["upload"] for r in found} == {r["upload"] for r in others}
    assert failed == [stuck["upload"]]


@pytest.fixture
def stuck(spool: SpoolUnderTest) -> Stuck:
    media = Stuck(spool.folder / "media")
    spool.store = Spool(spool.folder / "spool", media, spool.caps)
    spool.cleaner = Cleaner(spool.store, lambda: spool.steady)
    return media


def test_a_stored_file_that_cannot_be_looked_at_keeps_its_sidecar_and_holds_up_no_sweep(
    spool: SpoolUnderTest, stuck: Stuck
) -> None:
    record = spool.store_whole()
    part = spool.leave_partial(offer=offer(1))
    stuck.stuck = record["path"]
    spool.now += timedelta(days=15)
    swept = spool.sweep(3)
    assert swept.gone == [part.stem]
    assert len(swept.odd) == 1
    assert spool.store.pending.path(record).exists()


def test_a_quarantined_file_that_cannot_be_removed_is_told_once_and_holds_up_no_other(
    spool: SpoolUnderTest, stuck: Stuck
) -> None:
    records = [quarantined(spool, number) for number in range(3)]
    for record in records:
        spool.store.pending.path(record).unlink()
    stuck.stuck = records[0]["path"]
    spool.now += timedelta(days=15)
    swept = spool.sweep(3)
    assert set(swept.gone) == {record["upload"] for record in records[1:]}
    assert swept.odd == [f"media {stuck.stuck} cannot be removed: Input/output error"]


def test_what_was_given_up_is_told_though_the_media_store_is_away(
    spool: SpoolUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = spool.leave_partial()
    spool.now += timedelta(days=15)
    spool.sweep(1)
    monkeypatch.setattr(spool.store.media, "entries", Mock(side_effect=MediaError("away")))
    swept = spool.sweep(1)
    assert (swept.gone, swept.away) == ([part.stem], "away")


def test_a_sidecar_that_cannot_go_beside_its_file_does_not_hold_up_the_others(
    spool: SpoolUnderTest, stuck: Stuck
) -> None:
    records = [spool.store_whole(offer(1_795_600_000_000 + number)) for number in range(2)]
    stuck.stuck = records[0]["path"]
    spool.store.pending.delivered(records)
    waiting = [spool.store.pending.path(record).exists() for record in records]
    assert waiting == [True, False]
    stuck.stuck = ""
    assert spool.store.pending.waiting(spool.now) == []  # moved now, and not reported again
    assert not spool.store.pending.path(records[0]).exists()


def test_an_announcement_that_cannot_be_read_does_not_hold_up_the_others(tmp_path: Path) -> None:
    exchange = SharedPartials(media := Shared(tmp_path))
    for number in range(3):
        record = {
            "imei": IMEI, "upload": f"{number:032x}", "identifier": "%photof", "count": 4, "path": f"{number}.jpg",
            "state": "stored", "updated_at": "2026-11-24T12:00:00Z", "file_type": "photo", "source": "front",
            "size": 4,
        }  # fmt: skip
        exchange.announce(record)
        media.write(record["path"], b"file")
    media.stuck = f"pending/{IMEI}/{1:032x}.json"
    failed: list[SidecarRecord] = []
    waiting = exchange.waiting(utcnow() + HOUR, failed=lambda record, error: failed.append(record))
    assert {record["path"] for record in waiting} == {"0.jpg", "2.jpg"}
    assert failed == [{"imei": IMEI, "upload": f"{1:032x}"}]


def test_an_announcement_goes_after_an_hour_without_its_file_by_a_steady_clock(tmp_path: Path) -> None:
    steady = [0.0]
    exchange = SharedPartials(media := Shared(tmp_path), lambda: steady[0])
    exchange.announce({"imei": IMEI, "upload": "0" * 32, "identifier": "%photof", "count": 4, "path": "0.jpg",
                       "state": "stored", "updated_at": "2026-11-24T12:00:00Z", "file_type": "photo",
                       "source": "front", "size": 4})  # fmt: skip
    waiting = []
    for steady[0] in (0.0, 3000.0, 3600.0):
        assert exchange.waiting(utcnow() + 2 * YEAR) == []
        waiting.append(len(list(media.entries("pending/"))))
    assert waiting == [1, 1, 0]


@pytest.mark.parametrize("work", ["unshared", "pending", "sweep"])
def test_before_a_shared_store_the_spool_is_read_aside(spool: SpoolUnderTest, work: str) -> None:
    spool.leave_partial()
    spool.store_whole(offer(1))
    spool.store = Spool(spool.folder / "spool", Shared(spool.folder / "media"), Caps())
    spool.cleaner = Cleaner(spool.store, lambda: 0.0)
    depth = [0]

    def aside(work: Any, *given: Any) -> Any:
        depth[0] += 1
        try:
            return work(*given)
        finally:
            depth[0] -= 1

    def read(path: Path) -> SidecarRecord | None:
        assert depth[0] == 1, f"{path} is read on the hub"
        return read_sidecar(path)

    spool.store.aside = aside
    with (
        mock.patch.object(partial_folder, "read_sidecar", read),
        mock.patch.object(pending_folder, "read_sidecar", read),
        mock.patch.object(cleanup, "read_sidecar", read),
    ):
        found = {"unshared": spool.store.unshared, "pending": lambda: spool.store.pending.waiting(spool.now),
                 "sweep": lambda: [spool.cleaner.sweep(spool.now)]}[work]()  # fmt: skip
    assert len(found) == 1


def test_a_partial_file_in_hand_is_passed_over_by_its_name(spool: SpoolUnderTest) -> None:
    parts = [spool.leave_partial(offer=offer(number)) for number in (1, 2)]
    spool.store.active.add(parts[0].stem)
    read: list[Path] = []
    with mock.patch.object(
        partial_folder, "read_sidecar", lambda path: read.append(path) or read_sidecar(path)
    ):
        spool.store.unshared()
    assert read == [parts[1].with_suffix(".json")]


@pytest.fixture
def two_partials(spool: SpoolUnderTest) -> list[Path]:
    """Two partial files of sessions that have ended, before a store that several machines share."""
    spool.store = Spool(spool.folder / "spool", Shared(spool.folder / "media"), Caps())
    return [spool.leave_partial(offer=offer(identifier=name)) for name in ("%photof", "%photor")]


def test_a_partial_file_of_a_later_version_is_shared_like_the_others(
    spool: SpoolUnderTest, two_partials: list[Path]
) -> None:
    sidecar = two_partials[0].with_suffix(".json")
    record = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps(record | {"metadata": record["metadata"] | {"heading": 90}}))
    assert sorted(leave_rest(spool)) == ["%photof", "%photor"]


def test_a_partial_file_that_cannot_be_shared_is_named_once_and_holds_up_no_other(
    spool: SpoolUnderTest, two_partials: list[Path]
) -> None:
    two_partials[0].with_suffix(".leaving").mkdir()  # in the way of the copy that is put
    with structlog.testing.capture_logs() as lines:
        assert leave_rest(spool) == ["%photor"]
    assert [line["upload"] for line in lines] == [two_partials[0].stem]


class Away(LocalFolder):
    """A media folder that cannot be read for a while."""

    def read(self, key: str, begin: int, count: int) -> bytes | None:
        raise MediaError("away for a moment")


def test_a_stored_file_that_cannot_be_compared_now_is_still_handed_over(spool: SpoolUnderTest) -> None:
    record = spool.store_whole()
    spool.store.media = Away(spool.folder / "media")
    assert spool.open(offer()).received == 0
    assert [r["upload"] for r in spool.store.pending.waiting(spool.now)] == [record["upload"]]


def test_a_partial_file_shorter_than_its_chain_asks_for_is_given_out_of_hand(
    spool: SpoolUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = spool.leave_partial(packets=2)
    monkeypatch.setattr(protocol, "crc", Mock(side_effect=StorageError(Reason.PARTIAL_LOST)))
    with pytest.raises(StorageError, match="shorter"):
        spool.open(offer())
    assert part.stem not in spool.store.active
