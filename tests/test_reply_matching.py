"""Which request an announcement ("Preparing to send file from timestamp …") answers, by its time."""

import pytest

from provisioning.commands.reply_matching import Match, choose
from provisioning.tracker.language import Candidate, read_replies

pytestmark = pytest.mark.quick


def photo(ident: str, *reported: float, capturing: bool = False) -> Candidate:
    """Make a request for a photo; `reported`: the times that the device has given of its files."""
    return Candidate(
        ident, "camreq", {"file_type": "photo", "source": "front"}, in_flight=False, capturing=capturing,
        reported=reported, answered=bool(reported),
    )  # fmt: skip


def video(ident: str, asked: float) -> Candidate:
    arguments = {"file_type": "video", "source": "front", "duration": 5}
    return Candidate(ident, "camreq", arguments, in_flight=False, capturing=False, asked=asked)


def announced(moment: str, *candidates: Candidate) -> Match | None:
    return choose(read_replies(f"Preparing to send file from timestamp {moment}"), candidates)


@pytest.mark.parametrize("later", ["1795500101", "1795500102", "1795500101987"])
def test_a_photo_of_another_second_is_not_announced_for_the_request_before(later: str) -> None:
    second, first = photo("second", capturing=True), photo("first", 1_795_500_100.7)
    assert announced(later, second, first) == Match("second", True)


@pytest.mark.parametrize("same", ["1795500100", "1795500100001", "1795500100999"])
def test_words_about_the_second_of_a_file_go_to_the_request_of_that_file(same: str) -> None:
    second, first = photo("second", capturing=True), photo("first", 1_795_500_100.7)
    assert announced(same, second, first) == Match("first", True)


@pytest.mark.parametrize("moment", ["1795500098", "1795500102"])
def test_a_video_is_announced_within_two_seconds_of_the_time_that_was_asked(moment: str) -> None:
    photographing, asked = photo("photo", capturing=True), video("video", 1_795_500_100)
    assert announced(moment, photographing, asked) == Match("video", True)


@pytest.mark.parametrize("moment", ["1795500097", "1795500103"])
def test_further_from_the_time_that_was_asked_words_go_to_the_request_that_waits(moment: str) -> None:
    photographing, asked = photo("photo", capturing=True), video("video", 1_795_500_100)
    assert announced(moment, photographing, asked) == Match("photo", True)
