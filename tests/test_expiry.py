"""When partial files and waiting sidecars go, however the clock moves."""

from datetime import datetime, timedelta

import pytest
import spool_under_test
from driver import BEGAN, make_safe
from spool_under_test import IMEI, YEAR, SpoolUnderTest, offer

from receiver.store.durability import new_id
from receiver.wire.protocol import PACKET

pytestmark = pytest.mark.quick
spool = spool_under_test.spool  # the same fixture


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
