"""Children that decode: one for many photos, replaced when it crashes or hangs; one for each video."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, wait_until
from PIL import Image

from provisioning import decoding, transcode
from simulator import media

HANGS = "import sys, time; sys.stdin.readline(); time.sleep(60)"
CRASHES_AT_BAD = """
import json, os, sys
for line in sys.stdin:
    if json.loads(line)[0].endswith("bad"): os.abort()
    print('{"error": null}', flush=True)
"""
CRASHES = "import os; os.abort()"


@pytest.fixture
def decoder() -> Iterator[decoding.PhotoDecoder]:
    decoder = decoding.PhotoDecoder()
    yield decoder
    decoder.close()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "original.jpg"
    path.write_bytes(media.photo("front", "Van", 1_795_500_000, 3, 75))
    return path


def one(decoder: decoding.PhotoDecoder, source: Path, target: Path) -> str | None:
    (outcome,) = decoder.decode([(source, target)])
    return outcome.problem


def child_of(decoder: decoding.PhotoDecoder) -> int:
    assert decoder._child
    return decoder._child.pid


def test_one_child_makes_many_thumbnails_and_says_what_it_cannot_read(
    decoder: decoding.PhotoDecoder, photo: Path
) -> None:
    assert one(decoder, photo, photo.parent / "one") is None
    first = child_of(decoder)
    torn = photo.with_name("torn.jpg")
    torn.write_bytes(photo.read_bytes()[:500])
    assert "cannot be decoded" in (one(decoder, torn, photo.parent / "two") or "")
    assert one(decoder, photo, photo.parent / "new\nline") is None
    assert child_of(decoder) == first
    made = {path.name for path in photo.parent.glob("*.thumbnail.jpg")}
    assert made == {"one.thumbnail.jpg", "new\nline.thumbnail.jpg"}


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("photo-without-end-marker", None),
        ("photo-one-byte-short", None),
        ("photo-with-trailing-zeros", None),
        ("photo-cut-at-60-percent", transcode.END_MISSING),
        ("photo-progressive-cut-at-40-percent", transcode.END_MISSING),
    ],
)
def test_a_photo_is_shown_as_far_as_it_goes_and_says_only_what_is_missing_to_see(
    decoder: decoding.PhotoDecoder, tmp_path: Path, name: str, note: str | None
) -> None:
    source = ROOT / "tests" / "vectors" / "media" / f"{name}.jpg"
    assert decoder.decode([(source, tmp_path / "one")]) == [decoding.Outcome(note=note)]
    with Image.open(tmp_path / "one.thumbnail.jpg") as made:
        assert made.size == (320, 180)


def test_a_copy_that_cannot_be_written_is_to_be_tried_again(
    decoder: decoding.PhotoDecoder, photo: Path
) -> None:
    (outcome,) = decoder.decode([(photo, photo.parent / "nowhere" / "one")])
    assert outcome.retry


def test_a_child_that_died_is_replaced(decoder: decoding.PhotoDecoder, photo: Path) -> None:
    assert one(decoder, photo, photo.parent / "one") is None
    os.kill(child_of(decoder), signal.SIGKILL)
    wait_until(lambda: decoder._child and decoder._child.poll() is not None)
    assert one(decoder, photo, photo.parent / "two") is None


def test_a_picture_that_makes_the_child_hang_or_crash_costs_only_itself(
    decoder: decoding.PhotoDecoder, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "PHOTO_SECONDS", 0.5)
    monkeypatch.setattr(decoding, "PROGRAM", [sys.executable, "-c", HANGS])
    assert one(decoder, photo, photo.parent / "one") == decoding.TOO_LONG
    monkeypatch.setattr(decoding, "PROGRAM", [sys.executable, "-c", CRASHES])
    assert one(decoder, photo, photo.parent / "one") == "The decoder crashed (code -6)."
    monkeypatch.undo()
    assert one(decoder, photo, photo.parent / "one") is None


def test_of_many_photos_only_the_one_that_ends_the_child_is_to_blame(
    decoder: decoding.PhotoDecoder, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "PROGRAM", [sys.executable, "-c", CRASHES_AT_BAD])
    asked = [(photo.with_name(name), photo.parent / name) for name in ("a", "bad", "c", "bad", *"d" * 120)]
    crashed = "The decoder crashed (code -6)."
    outcomes = decoder.decode(asked)
    assert [outcome.problem for outcome in outcomes] == [None, crashed, None, crashed, *[None] * 120]
    assert decoder.decode([]) == []


def test_a_child_is_replaced_after_so_many_photos(
    decoder: decoding.PhotoDecoder, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "PHOTOS_A_CHILD", 2)
    children = []
    for number in range(5):
        assert one(decoder, photo, photo.parent / str(number)) is None
        children.append(child_of(decoder))
    assert len(set(children)) == 3
    assert not Path(f"/proc/{children[0]}").exists()


def test_a_video_that_crashes_or_hangs_its_child_says_so(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "PROGRAM", [sys.executable, "-c", CRASHES])
    assert decoding.decode_video(photo, photo.parent / "one", 30).problem == "The decoder crashed (code -6)."
    monkeypatch.setattr(decoding, "VIDEO_SECONDS", 0.5)
    monkeypatch.setattr(decoding, "PROGRAM", [sys.executable, "-c", "import time; time.sleep(60)"])
    assert decoding.decode_video(photo, photo.parent / "one", 30).problem == decoding.TOO_LONG
