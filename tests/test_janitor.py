"""What the cleanup of the spool removes and what it keeps, and what the clock may do meanwhile."""

import json
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock
from unittest.mock import Mock

import pytest
import structlog
from driver import BEGAN, make_safe
from spool_under_test import (
    DATA,
    HOUR,
    IMEI,
    OTHER,
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
from receiver.store.durability import StorageError, new_id
from receiver.store.local_folder import LocalFolder
from receiver.store.media_store import MediaError
from receiver.wire import protocol
from receiver.wire.actions import Offer
from receiver.wire.metadata import read_path_metadata
from receiver.wire.protocol import PACKET, Metadata

pytestmark = pytest.mark.quick


@pytest.fixture
def spool(tmp_path: Path) -> SpoolUnderTest:
    return SpoolUnderTest(tmp_path)


# expiry and the clock


def test_a_partial_file_goes_when_it_has_been_old_in_two_sweeps_an_hour_apart(spool: SpoolUnderTest) -> None:
    part = spool.leave_partial()
    spool.now += timedelta(days=15)
    assert spool.sweep(1).gone == []
    assert spool.sweep(1).gone == [part.stem]
    assert list(part.parent.iterdir()) == []


def test_a_partial_file_that_somebody_goes_on_with_stays(spool: SpoolUnderTest) -> None:
    part = spool.leave_partial(1)
    spool.now += timedelta(days=13)
    spool.leave_partial(2)
    spool.now += timedelta(days=13)
    assert spool.sweep(3).gone == []
    assert part.stat().st_size == 2 * PACKET


def test_a_clock_that_starts_a_year_ahead_and_is_set_right_costs_nothing(spool: SpoolUnderTest) -> None:
    part = spool.leave_partial()
    spool.now += YEAR
    spool.sweep(1)
    spool.now -= YEAR
    assert spool.sweep(4).gone == []
    assert part.exists()


def test_two_sweeps_of_a_process_that_restarts_at_once_do_not_count_as_an_hour(spool: SpoolUnderTest) -> None:
    part = spool.leave_partial()
    spool.now += YEAR
    for _ in range(3):
        spool.restart()
        spool.cleaner.sweep(spool.now)
        spool.steady += 60
        spool.cleaner.sweep(spool.now)
    assert part.exists()


@pytest.mark.parametrize("began", [datetime(1970, 1, 1, tzinfo=BEGAN.tzinfo), BEGAN + 70 * YEAR])
def test_a_file_written_at_an_impossible_time_stays_its_days_from_when_it_was_seen(
    spool: SpoolUnderTest, began: datetime
) -> None:
    right = spool.now
    spool.now = began
    part = spool.leave_partial()
    spool.now = right
    assert spool.sweep(2).gone == []
    spool.now += timedelta(days=13)
    assert spool.sweep(2).gone == []
    spool.now += timedelta(days=2)
    assert spool.sweep(2).gone == [part.stem]


def test_a_file_stored_before_the_clock_went_back_a_year_is_handed_over(spool: SpoolUnderTest) -> None:
    record = spool.store_whole()
    spool.restart()
    spool.now -= YEAR
    assert [r["upload"] for r in spool.store.pending.waiting(spool.now)] == [record["upload"]]


def test_a_file_stored_a_moment_ago_by_a_living_process_is_left_to_it(spool: SpoolUnderTest) -> None:
    spool.store_whole()
    assert spool.store.pending.waiting(spool.now - timedelta(seconds=60)) == []


@pytest.mark.parametrize("moved", [YEAR, -YEAR])
def test_the_bytes_of_a_transfer_become_safe_however_the_clock_jumps(
    spool: SpoolUnderTest, moved: timedelta
) -> None:
    transfer = spool.open(offer())
    assert not transfer.wants_safety(spool.now)
    assert transfer.wants_safety(spool.now + moved)
    make_safe(transfer, spool.now + moved)
    assert not transfer.wants_safety(spool.now + moved)


@pytest.mark.parametrize("moved", [YEAR, -YEAR])
def test_without_a_camera_time_a_moved_clock_means_from_the_first_byte(
    spool: SpoolUnderTest, moved: timedelta
) -> None:
    spool.leave_partial(offer=offer(0))
    spool.now += moved
    assert spool.open(offer(0)).received == 0


@pytest.mark.parametrize("moved", [YEAR, -YEAR])
def test_with_a_camera_time_a_moved_clock_costs_nothing(spool: SpoolUnderTest, moved: timedelta) -> None:
    spool.leave_partial(2)
    spool.now += moved
    transfer = spool.open(offer())
    assert transfer.received == 2 * PACKET


@pytest.mark.parametrize("year", [1970, 2026, 2099])
def test_ids_are_well_formed_in_any_year_and_sort_by_the_clock(year: int) -> None:
    now = datetime(year, 1, 2, tzinfo=BEGAN.tzinfo)
    first, later = new_id(now), new_id(now + timedelta(seconds=1))
    assert len(first) == 32
    assert first < later


def test_a_waiting_sidecar_is_kept_when_the_product_moved_its_file_into_quarantine(
    spool: SpoolUnderTest,
) -> None:
    record = spool.store_whole()
    spool.store.media.move(record["path"], f"quarantine/{IMEI}/{record['path']}")
    spool.restart()
    assert [r["upload"] for r in spool.store.pending.waiting(spool.now)] == [record["upload"]]
    spool.store.pending.delivered([record])
    assert (spool.folder / "media" / "quarantine" / IMEI / f"{record['path']}.json").exists()


# what a spool may hold


def test_a_quarantined_file_goes_after_its_days_and_the_product_is_told_its_upload(
    spool: SpoolUnderTest,
) -> None:
    record = spool.store_whole(imei=OTHER, admission="quarantine")
    spool.store.pending.delivered([record])
    path = spool.folder / "media" / record["path"]
    beside = path.with_name(f"{path.name}.json")
    spool.touch(path, beside)
    spool.now += timedelta(days=13)
    assert spool.sweep(2).gone == []
    spool.now += timedelta(days=1)
    assert spool.sweep(2).gone == [record["upload"]]
    assert not path.exists()
    assert not beside.exists()


def test_ordinary_files_never_go(spool: SpoolUnderTest) -> None:
    record = spool.store_whole()
    spool.store.pending.delivered([record])
    spool.now += 3 * YEAR
    assert spool.sweep(3).gone == []
    assert (spool.folder / "media" / record["path"]).read_bytes() == DATA


TORN = [
    b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b'{"imei": 1}', b"[" * 100_000,
    json.dumps({"imei": IMEI, "upload": "../../etc", "path": "../x", "updated_at": "now"}).encode(),
    # whole but for a path that no file system takes
    *(
        json.dumps({
            "imei": IMEI, "upload": "0" * 32, "identifier": "%photof", "count": 4, "path": path, "state": "stored",
            "updated_at": "2026-11-24T12:00:00Z", "file_type": "photo", "source": "front", "size": len(DATA),
        }).encode()
        for path in ("2026/\0.jpg", "2026/\ud800.jpg", f"2026/{'x' * 300}.jpg", "")
    ),
]  # fmt: skip


@pytest.mark.parametrize("content", TORN)
def test_an_unreadable_sidecar_is_told_once_kept_its_days_and_then_goes_with_its_bytes(
    spool: SpoolUnderTest, content: bytes
) -> None:
    part = spool.leave_partial()
    part.with_suffix(".json").write_bytes(content)
    spool.touch(part.with_suffix(".json"))
    spool.restart()
    assert spool.open(offer()).received == 0
    swept = spool.sweep(3)
    assert [text for text in swept.odd if str(part) in text] == [f"{part} has no sidecar that can be read"]
    assert part.exists()
    spool.now += timedelta(days=15)
    assert spool.sweep(2).gone == [part.stem]
    assert not part.exists()


@pytest.mark.parametrize("content", TORN)
def test_an_unreadable_sidecar_that_waits_for_the_product_does_not_hold_up_the_others(
    spool: SpoolUnderTest, content: bytes
) -> None:
    waiting = spool.folder / "spool" / "pending" / f"{IMEI}_{'0' * 24}.json"
    waiting.write_bytes(content)
    spool.touch(waiting)
    record = spool.store_whole()
    spool.restart()
    assert [r["upload"] for r in spool.store.pending.waiting(spool.now)] == [record["upload"]]
    assert len(spool.sweep(2).odd) == 1
    spool.now += timedelta(days=15)
    spool.sweep(2)
    assert not waiting.exists()


def test_a_sidecar_of_an_older_version_is_used_for_what_it_says(spool: SpoolUnderTest) -> None:
    part = spool.leave_partial()
    sidecar = part.with_suffix(".json")
    record = json.loads(sidecar.read_text())
    for key in ("by_path", "safe", "boot", "resumes", "crc_errors", "extension", "session", "received_at"):
        del record[key]
    sidecar.write_text(json.dumps(record))
    # nobody vouches for bytes of an unknown boot: from the first, in the same upload
    transfer = spool.open(offer())
    assert (transfer.received, transfer.record["upload"]) == (0, part.stem)


# what the path flow tells without a trigger: JSON that names none, and a DSM camera's 26 bytes
WITHOUT_TRIGGER = {
    "json": read_path_metadata(b'{"version":1,"file":{"file_timestamp":1795600000,"duration":5}}'),
    "dsm": read_path_metadata(bytes(range(100, 126))),
}


@pytest.mark.parametrize("given_metadata", WITHOUT_TRIGGER.values(), ids=WITHOUT_TRIGGER.keys())
def test_a_partial_file_by_path_without_a_trigger_is_resumed(
    spool: SpoolUnderTest, given_metadata: Metadata
) -> None:
    wanted = Offer("dualcam_front/a.mp4", True, 4 * PACKET, given_metadata)
    part = spool.leave_partial(packets=3, offer=wanted)
    spool.open(wanted)
    assert list((spool.folder / "spool" / "partial").rglob("*.part")) == [part]
    assert part.stat().st_size == 3 * PACKET


@pytest.mark.parametrize("given_metadata", WITHOUT_TRIGGER.values(), ids=WITHOUT_TRIGGER.keys())
def test_a_stored_file_by_path_without_a_trigger_is_handed_over_after_a_kill(
    spool: SpoolUnderTest, given_metadata: Metadata
) -> None:
    record = spool.store_whole(Offer("dualcam_front/a.mp4", True, 4 * PACKET, given_metadata))
    spool.restart()
    assert [r["upload"] for r in spool.store.pending.waiting(spool.now + timedelta(hours=1))] == [
        record["upload"]
    ]


def test_bytes_without_sidecar_are_kept_their_days(spool: SpoolUnderTest) -> None:
    part = spool.leave_partial()
    part.with_suffix(".json").unlink()
    assert spool.sweep(2).odd == [f"{part} has no sidecar that can be read"]
    assert part.exists()
    spool.now += timedelta(days=15)
    spool.sweep(2)
    assert not part.exists()


def test_a_sidecar_without_bytes_and_temporary_files_go_after_a_day(spool: SpoolUnderTest) -> None:
    part = spool.leave_partial()
    part.unlink()
    torn = part.with_suffix(".json.tmp")
    torn.write_bytes(b"{")
    half = spool.folder / "media" / "incoming" / "x.jpg.1.tmp"
    half.parent.mkdir()
    half.write_bytes(b"half")
    spool.touch(torn, half)
    assert spool.sweep(3).gone == []
    assert torn.exists()
    spool.now += timedelta(days=1)
    assert spool.sweep(3).gone == []
    assert [path for path in (part.with_suffix(".json"), torn, half) if path.exists()] == []


def test_an_empty_folder_of_a_device_goes_after_a_day(spool: SpoolUnderTest) -> None:
    part = spool.leave_partial()
    spool.store.discard(json.loads(part.with_suffix(".json").read_text()))
    spool.touch(part.parent)
    spool.now += timedelta(days=2)
    spool.sweep(3)
    assert not part.parent.exists()


def test_what_is_not_ours_is_told_once_and_left_alone(spool: SpoolUnderTest, tmp_path: Path) -> None:
    partial = spool.folder / "spool" / "partial"
    foreign = tmp_path / "foreign.jpg"
    foreign.write_bytes(b"somebody's")
    (partial / "lost+found").mkdir()
    (partial / "notes.txt").write_text("mine")
    (partial / IMEI).mkdir()
    (partial / IMEI / "notes.txt").write_text("mine")
    (partial / IMEI / f"{'a' * 32}.part").symlink_to(foreign)
    (partial / OTHER).symlink_to(tmp_path)
    for path in (foreign, *partial.rglob("*")):
        os.utime(path, (0, 0), follow_symlinks=False)
    spool.now += YEAR
    assert len(spool.sweep(4).odd) == 5
    assert foreign.read_bytes() == b"somebody's"
    assert sorted(path.name for path in partial.iterdir()) == [IMEI, OTHER, "lost+found", "notes.txt"]
    assert len(list((partial / IMEI).iterdir())) == 2


def test_a_symlink_in_the_place_of_a_partial_file_is_never_written_through(
    spool: SpoolUnderTest, tmp_path: Path
) -> None:
    part = spool.leave_partial()
    foreign = tmp_path / "foreign.jpg"
    foreign.write_bytes(b"x" * 5000)
    part.unlink()
    part.symlink_to(foreign)
    transfer = spool.open(offer())
    assert transfer.received == 0
    assert transfer.record["upload"] != part.stem
    assert foreign.read_bytes() == b"x" * 5000


def test_a_sidecar_under_another_name_or_device_is_not_believed(spool: SpoolUnderTest) -> None:
    part = spool.leave_partial()
    folder = spool.folder / "spool" / "partial" / OTHER
    folder.mkdir()
    (folder / part.with_suffix(".json").name).write_bytes(part.with_suffix(".json").read_bytes())
    assert spool.open(offer(), imei=OTHER).received == 0


def test_a_file_in_the_place_of_a_devices_folder_refuses_that_device_alone(spool: SpoolUnderTest) -> None:
    (spool.folder / "spool" / "partial" / IMEI).write_text("no folder")
    with pytest.raises(StorageError) as caught:
        spool.open(offer())
    assert caught.value.code == "disk"
    assert spool.open(offer(), imei=OTHER).received == 0


def test_a_waiting_sidecar_whose_file_is_nowhere_makes_no_row_and_goes_in_the_end(
    spool: SpoolUnderTest,
) -> None:
    record = spool.store_whole()
    (spool.folder / "media" / record["path"]).unlink()
    waiting = spool.store.pending.path(record)
    spool.touch(waiting)
    spool.restart()
    assert spool.store.pending.waiting(spool.now) == []
    assert spool.sweep(2).odd == [f"{waiting} names a file that does not exist"]
    spool.now += timedelta(days=15)
    spool.sweep(2)
    assert not waiting.exists()


# one that cannot be handled among others that can


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
