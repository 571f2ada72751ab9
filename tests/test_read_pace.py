"""How much of a connection is read at once, and how long a slow one is left alone."""

import pytest

from receiver.net.read_pace import LEAST, MOST, WORTH_READING, ReadPace

pytestmark = pytest.mark.quick

FRAME = 1030


def after(*reads: tuple[int, float], is_all: bool = True) -> ReadPace:
    """Give the pace after reads of so many bytes at these times."""
    pace = ReadPace(0.0)
    for size, now in reads:
        pace.note(size, pace.wanted(0, FRAME), is_all, now)
    return pace


def test_a_read_ends_with_a_full_frame_whatever_the_reader_holds() -> None:
    pace = ReadPace(0.0)
    assert all((pace.wanted(held, FRAME) + held) % FRAME == 0 for held in range(0, FRAME, 7))


def test_a_connection_that_fills_each_read_is_read_in_larger_pieces_up_to_a_limit() -> None:
    pace = ReadPace(0.0)
    for number in range(20):
        size = pace.wanted(0, FRAME)
        assert size <= MOST
        pace.note(size, size, False, float(number))
    assert MOST - FRAME < pace.wanted(0, FRAME) <= MOST


def test_reads_become_small_again_when_little_comes() -> None:
    pace = ReadPace(0.0)
    for number in range(20):
        pace.note(size := pace.wanted(0, FRAME), size, False, float(number))
    assert pace.wanted(0, FRAME) > LEAST
    for number in range(20):
        pace.note(10, pace.wanted(0, FRAME), True, 20.0 + number)
    assert LEAST - FRAME < pace.wanted(0, FRAME) <= LEAST


def test_a_slow_connection_is_left_alone_until_some_packets_have_come() -> None:
    rate = WORTH_READING  # bytes in one second
    assert after((rate, 1.0)).rest(missing=10**6) == pytest.approx(1.0)


def test_the_end_of_a_file_is_read_at_once() -> None:
    assert after((WORTH_READING, 1.0)).rest(missing=WORTH_READING) == 0.0


def test_a_fast_connection_or_one_with_more_waiting_is_not_left_alone() -> None:
    assert after((100_000, 1.0)).rest(missing=10**6) == 0.0
    assert after((WORTH_READING, 1.0), is_all=False).rest(missing=10**6) == 0.0
