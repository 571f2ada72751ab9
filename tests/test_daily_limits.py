"""What a known device may send in a day, over all receivers."""

from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from unittest.mock import Mock

import pytest
import receiver_under_test
from camera_model import CameraModel
from conftest import wait_until
from driver import BEGAN
from receiver_under_test import IMEI, SLOW, Notes, Running, content, receiver

from receiver.net.daily_limits import DailyLimits
from receiver.net.settings import Settings
from receiver.wire.session_limits import SessionLimits

receivers = receiver_under_test.receivers  # the same fixture


def one_day() -> datetime:
    """Give the time of receivers whose day never ends."""
    return BEGAN


def test_what_a_device_sent_today_is_counted_from_what_it_had_sent_before() -> None:
    daily, before = DailyLimits(3, 1000), Mock(return_value=(1, 100))
    assert daily.allows(IMEI, 900, BEGAN, before)
    assert not daily.allows(IMEI, 901, BEGAN, before)
    daily.add(IMEI, 1, BEGAN)
    daily.add(IMEI, 1, BEGAN)
    assert not daily.allows(IMEI, 0, BEGAN, before)
    assert daily.allows(IMEI, 0, BEGAN + timedelta(days=1), before)


def test_what_a_device_sent_is_asked_again_after_each_sixty_fourth_of_its_limit() -> None:
    daily, before = DailyLimits(6400, 0), Mock(return_value=(0, 0))
    for _ in range(1000):
        assert daily.allows(IMEI, 0, BEGAN, before)
        daily.add(IMEI, 1, BEGAN)
    assert before.call_count == 10


@pytest.mark.parametrize("processes", [1, 2, 8])
@pytest.mark.parametrize("limits", [(1280, 0), (0, 1280 * 100)])
def test_a_device_that_goes_from_process_to_process_gets_a_sixty_fourth_more_of_each(
    processes: int, limits: tuple[int, int]
) -> None:
    taken: list[int] = []
    receiving, random = [DailyLimits(*limits) for _ in range(processes)], Random(processes)
    for _ in range(5000):
        process = random.choice(receiving)
        if process.allows(IMEI, 100, BEGAN, lambda: (len(taken), sum(taken))):
            process.add(IMEI, 100, BEGAN)
            taken.append(100)
    assert 1280 <= len(taken) <= 1280 + (processes - 1) * 20


def test_while_nobody_can_be_asked_a_process_goes_by_its_own_count() -> None:
    daily, away, there = DailyLimits(3, 0), Mock(return_value=None), Mock(return_value=(2, 0))
    assert [_sends(daily, away) for _ in range(4)] == [True, True, True, False]
    daily = DailyLimits(3, 0)
    assert [_sends(daily, ask) for ask in (away, there, there)] == [True, True, False]


def _sends(daily: DailyLimits, ask: Mock) -> bool:
    if allowed := daily.allows(IMEI, 0, BEGAN, ask):
        daily.add(IMEI, 1, BEGAN)
    return allowed


@pytest.mark.parametrize("limit", [{"files_per_day": 2}, {"bytes_per_day": 7 * 1024}])
def test_beyond_a_days_limit_the_session_ends_with_close_and_the_camera_keeps_its_file(
    tmp_path: Path, receivers: list[Running], limit: dict[str, int]
) -> None:
    receivers.append(running := receiver(tmp_path, one_day, **limit))
    camera = CameraModel(files={name: content(3000, n) for n, name in enumerate(SessionLimits().order)})
    camera.run(running.port)
    wait_until(lambda: running.notes.codes == ["day_full"])
    assert camera.acknowledged == ["%photof", "%photor"]
    assert camera.received[-1] == b"\0\0"


class Counting(Notes):
    """A product of several receivers that counts what they reported."""

    def sent_today(self, imei: str) -> tuple[int, int]:
        return len(self.stored_files), 0


def test_what_a_device_sent_to_another_receiver_counts(tmp_path: Path, receivers: list[Running]) -> None:
    notes = Counting()
    for name in "ab":
        receivers.append(
            Running(tmp_path / name, Settings(limits=SLOW, files_per_day=3), notes=notes, clock=one_day)
        )
    for number in range(3):
        CameraModel(files={"%photof": content(100, number)}).run(receivers[number % 2].port)
        wait_until(lambda report=number + 1: len(notes.stored_files) == report)
    CameraModel(files={"%photof": content(100, 3)}).run(receivers[1].port)
    wait_until(lambda: "day_full" in notes.codes)
    assert [len(running.files()) for running in receivers] == [2, 1]


def test_a_device_fills_no_disk_while_the_database_is_away(tmp_path: Path, receivers: list[Running]) -> None:
    receivers.append(running := receiver(tmp_path, one_day, files_per_day=2))
    for number in range(3):
        CameraModel(files={"%photof": content(100, number)}).run(running.port)
        running.notes.away = True
    assert sorted(running.files()) == sorted([content(100, 0), content(100, 1)])


def test_what_a_device_sent_before_a_restart_counts(tmp_path: Path, receivers: list[Running]) -> None:
    receivers.append(running := receiver(tmp_path, one_day, files_per_day=2))
    running.notes.before = (2, 5000)
    CameraModel(files={"%photof": content(100)}).run(running.port)
    wait_until(lambda: running.notes.codes == ["day_full"])
    assert running.files() == []
