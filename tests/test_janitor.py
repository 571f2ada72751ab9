"""What the cleanup of the spool removes and what it keeps, and what the clock may do meanwhile."""

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
import spool_under_test
from spool_under_test import DATA, IMEI, OTHER, YEAR, SpoolUnderTest, offer

from receiver.store.durability import StorageError
from receiver.wire.actions import Offer
from receiver.wire.metadata import read_path_metadata
from receiver.wire.protocol import PACKET, Metadata

spool = spool_under_test.spool  # the same fixture


pytestmark = pytest.mark.quick


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
