"""What unknown devices may send: caps of one device and of all, counted on disk."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import spool_under_test
from driver import commit
from spool_under_test import DATA, OTHER, SESSION, SpoolUnderTest, leave, offer, partials, quarantined

from receiver.spool.sidecar import StoredFile
from receiver.spool.spool import Caps
from receiver.spool.upload_context import UploadContext
from receiver.store.durability import StorageError
from receiver.store.local_folder import LocalFolder
from receiver.wire.protocol import PACKET

spool = spool_under_test.spool  # the same fixture


pytestmark = pytest.mark.quick


def imei(number: int) -> str:
    return f"{356307042440000 + number}"


def test_an_unknown_device_may_send_so_many_files(tmp_path: Path) -> None:
    spool = SpoolUnderTest(tmp_path, caps=Caps(files_per_device=2))
    quarantined(spool, 1)
    spool.leave_partial(offer=offer(2), imei=OTHER, admission="quarantine")
    with pytest.raises(StorageError, match="as much as one may"):
        quarantined(spool, 3)
    quarantined(spool, 3, imei(1))


def test_an_unknown_device_may_send_so_many_bytes(tmp_path: Path) -> None:
    spool = SpoolUnderTest(tmp_path, caps=Caps(bytes_per_device=3 * len(DATA) - 1))
    quarantined(spool, 1)
    quarantined(spool, 2)
    with pytest.raises(StorageError, match="as much as one may"):
        quarantined(spool, 3)


def test_unknown_devices_in_all_may_send_so_many_bytes_partial_ones_too(tmp_path: Path) -> None:
    spool = SpoolUnderTest(tmp_path, caps=Caps(bytes_in_all=3 * len(DATA)))
    quarantined(spool, 1, imei(1))
    spool.leave_partial(offer=offer(2), imei=imei(2), admission="quarantine")
    spool.restart()
    quarantined(spool, 3, imei(3))
    with pytest.raises(StorageError, match="in all"):
        quarantined(spool, 4, imei(4))
    spool.store_whole()  # a known device is none of it


def test_room_in_the_quarantine_is_found_again_when_files_have_gone(tmp_path: Path) -> None:
    spool = SpoolUnderTest(tmp_path, caps=Caps(bytes_in_all=2 * len(DATA)))
    records = [quarantined(spool, n, imei(n)) for n in (1, 2)]
    with pytest.raises(StorageError, match="in all"):
        quarantined(spool, 3, imei(3))
    for record in records:
        spool.store.media.delete(record["path"])
    with pytest.raises(StorageError, match="in all"):
        quarantined(spool, 3, imei(3))
    spool.now += timedelta(seconds=61)
    quarantined(spool, 3, imei(3))


def test_processes_of_one_machine_share_the_sum(tmp_path: Path) -> None:
    one, other = (SpoolUnderTest(tmp_path, caps=Caps(bytes_in_all=2 * len(DATA))) for _ in range(2))
    quarantined(one, 1, imei(1))
    quarantined(other, 2, imei(2))
    with pytest.raises(StorageError, match="in all"):
        quarantined(one, 3, imei(3))


class Counting(LocalFolder):
    """A media folder that counts what it is asked to list."""

    listed = 0

    def entries(self, prefix: str) -> Any:
        for entry in super().entries(prefix):
            self.listed += 1
            yield entry


def test_the_cost_of_an_upload_does_not_grow_with_the_quarantined_files_of_others(tmp_path: Path) -> None:
    spool = SpoolUnderTest(tmp_path)
    for number in range(60):
        quarantined(spool, number, imei(number))
    spool.store.media = spool.store.quarantine._media = counting = Counting(tmp_path / "media")
    for number in range(100, 110):
        quarantined(spool, number, imei(number))
        spool.now += timedelta(minutes=10)
    assert counting.listed == 0


@pytest.mark.parametrize("content", [b"", b"many", b"-5", b"\xff" * 40])
def test_a_torn_sum_is_counted_anew(spool: SpoolUnderTest, content: bytes) -> None:
    quarantined(spool, 1)
    (spool.folder / "spool" / "quarantine.bytes").write_bytes(content)
    spool.now += timedelta(seconds=61)
    quarantined(spool, 2)
    assert spool.store.quarantine.count(spool.now) == 2 * len(DATA)


def test_a_stored_file_that_comes_again_with_another_end_is_held_to_the_caps(tmp_path: Path) -> None:
    spool = SpoolUnderTest(tmp_path, caps=Caps(files_per_device=2))
    before = quarantined(spool, 0)
    quarantined(spool, 1)
    transfer = spool.store.open(
        UploadContext(OTHER, "quarantine", SESSION, spool.now), offer(), StoredFile.of(before)
    )
    with pytest.raises(StorageError, match="as much as one may"):
        transfer.write(3 * PACKET, b"another end", spool.now)
    leave(transfer, spool.now)
    assert [path for path in partials(spool) if OTHER in str(path)] == []


def test_a_partial_file_counts_by_what_it_announced_however_often_all_is_counted(tmp_path: Path) -> None:
    spool = SpoolUnderTest(tmp_path, caps=Caps(bytes_in_all=5 * len(DATA)))
    for number in (1, 2):
        spool.leave_partial(1, offer=offer(number, packets=8), imei=imei(number), admission="quarantine")
        spool.store.quarantine.count(spool.now)
    with pytest.raises(StorageError, match="in all"):
        spool.open(offer(3, packets=8), imei=imei(3), admission="quarantine")


def test_the_partial_files_of_one_unknown_device_count_by_what_they_announced(tmp_path: Path) -> None:
    spool = SpoolUnderTest(tmp_path, caps=Caps(bytes_per_device=20 * PACKET))
    for number in (1, 2):
        spool.leave_partial(1, offer=offer(number, packets=8), imei=OTHER, admission="quarantine")
    with pytest.raises(StorageError, match="as much as one may"):
        spool.open(offer(3, packets=8), imei=OTHER, admission="quarantine")


def test_a_file_of_an_unknown_device_counts_a_block_however_small_it_is(tmp_path: Path) -> None:
    spool = SpoolUnderTest(tmp_path, caps=Caps(bytes_in_all=4 * 4096))
    for number in range(4):
        transfer = spool.open(offer(number + 1, packets=1), imei=imei(number), admission="quarantine")
        transfer.write(0, b"x", spool.now)
        transfer.flush()
        commit(transfer, spool.now)
        transfer.leave()
    spool.now += timedelta(seconds=61)
    with pytest.raises(StorageError, match="in all"):
        spool.open(offer(9, packets=1), imei=imei(9), admission="quarantine")


def test_all_that_unknown_devices_sent_is_counted_aside(tmp_path: Path) -> None:
    spool = SpoolUnderTest(tmp_path)
    quarantined(spool, 1)
    aside: list[str] = []
    spool.store.aside = lambda work, *given: aside.append(work.__name__) or work(*given)
    (tmp_path / "spool" / "quarantine.bytes").unlink()
    spool.open(offer(2), imei=OTHER, admission="quarantine")
    assert aside == ["_stored", "_partials"]
