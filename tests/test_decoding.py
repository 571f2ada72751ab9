"""Children that decode: one for many photos, replaced when it crashes or hangs; one for each video."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import bombs
import psutil
import pytest
from conftest import ROOT, wait_until
from PIL import Image

from provisioning.media import copy_words, decoder_pool, decoder_process, photo_decoder
from provisioning.phrase import Phrase
from simulator import media

HANGS = "import sys, time; sys.stdin.readline(); time.sleep(60)"
CRASHES_AT_BAD = """
import json, os, sys
for line in sys.stdin:
    if json.loads(line)[0].endswith("bad"): os.abort()
    print('{"error": null}', flush=True)
"""
CRASHES = "import os; os.abort()"
SPINS_AT_BAD = """
import json, sys
from provisioning.media import decoder_process as transcode
transcode.PHOTO_SECONDS = 1
for line in sys.stdin:
    transcode._allow(transcode.PHOTO_SECONDS)
    while json.loads(line)[0].endswith("bad"): pass
    print('{"error": null}', flush=True)
"""


@pytest.fixture
def decoder() -> Iterator[decoder_pool.PhotoDecoder]:
    decoder = decoder_pool.PhotoDecoder()
    yield decoder
    decoder.close()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "original.jpg"
    path.write_bytes(media.photo("front", "Van", 1_795_500_000, 3, 75))
    return path


def one(decoder: decoder_pool.PhotoDecoder, source: Path, target: Path) -> str | None:
    (outcome,) = decoder.decode([(source, target)])
    return copy_words.problem(outcome.problem) if outcome.problem else None


def said(held: dict[str, Any]) -> str:
    """Say what a child has answered."""
    return copy_words.problem(Phrase.from_json(held))


def child_of(decoder: decoder_pool.PhotoDecoder) -> int:
    assert decoder._child
    return decoder._child.pid


def test_one_child_makes_many_thumbnails_and_says_what_it_cannot_read(
    decoder: decoder_pool.PhotoDecoder, photo: Path
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
        ("photo-cut-at-60-percent", photo_decoder.END_MISSING),
        ("photo-progressive-cut-at-40-percent", photo_decoder.END_MISSING),
    ],
)
def test_a_photo_is_shown_as_far_as_it_goes_and_says_only_what_is_missing_to_see(
    decoder: decoder_pool.PhotoDecoder, tmp_path: Path, name: str, note: Phrase | None
) -> None:
    source = ROOT / "tests" / "vectors" / "media" / f"{name}.jpg"
    assert decoder.decode([(source, tmp_path / "one")]) == [decoder_pool.Outcome(note=note)]
    with Image.open(tmp_path / "one.thumbnail.jpg") as made:
        assert made.size == (320, 180)


def test_a_copy_that_cannot_be_written_is_to_be_tried_again(
    decoder: decoder_pool.PhotoDecoder, photo: Path
) -> None:
    (outcome,) = decoder.decode([(photo, photo.parent / "nowhere" / "one")])
    assert outcome.retry


def test_a_child_that_died_is_replaced(decoder: decoder_pool.PhotoDecoder, photo: Path) -> None:
    assert one(decoder, photo, photo.parent / "one") is None
    os.kill(child_of(decoder), signal.SIGKILL)
    wait_until(lambda: decoder._child and decoder._child.poll() is not None)
    assert one(decoder, photo, photo.parent / "two") is None


def test_a_picture_that_makes_the_child_hang_or_crash_costs_only_itself(
    decoder: decoder_pool.PhotoDecoder, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_pool, "PHOTO_SECONDS", 0.5)
    monkeypatch.setattr(decoder_pool, "PROGRAM", [sys.executable, "-c", HANGS])
    assert one(decoder, photo, photo.parent / "one") == "Making the copy took too long."
    monkeypatch.setattr(decoder_pool, "PROGRAM", [sys.executable, "-c", CRASHES])
    assert one(decoder, photo, photo.parent / "one") == "The decoder crashed (code -6)."
    monkeypatch.undo()
    assert one(decoder, photo, photo.parent / "one") is None


def test_of_many_photos_only_the_one_that_ends_the_child_is_to_blame(
    decoder: decoder_pool.PhotoDecoder, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_pool, "PROGRAM", [sys.executable, "-c", CRASHES_AT_BAD])
    asked = [(photo.with_name(name), photo.parent / name) for name in ("a", "bad", "c", "bad", *"d" * 120)]
    crashed = Phrase("decoder_crashed", {"code": -6})
    outcomes = decoder.decode(asked)
    assert [outcome.problem for outcome in outcomes] == [None, crashed, None, crashed, *[None] * 120]
    assert decoder.decode([]) == []


def test_a_child_is_replaced_after_so_many_photos(
    decoder: decoder_pool.PhotoDecoder, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_pool, "PHOTOS_A_CHILD", 2)
    children = []
    for number in range(5):
        assert one(decoder, photo, photo.parent / str(number)) is None
        children.append(child_of(decoder))
    assert len(set(children)) == 3
    assert not Path(f"/proc/{children[0]}").exists()


def test_a_video_that_crashes_or_hangs_its_child_says_so(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_pool, "PROGRAM", [sys.executable, "-c", CRASHES])
    assert decoder_pool.decode_video(photo, photo.parent / "one", 30).problem == Phrase(
        "decoder_crashed", {"code": -6}
    )
    monkeypatch.setattr(decoder_pool, "VIDEO_SECONDS", 0.5)
    monkeypatch.setattr(decoder_pool, "PROGRAM", [sys.executable, "-c", "import time; time.sleep(60)"])
    assert decoder_pool.decode_video(photo, photo.parent / "one", 30).problem == decoder_pool.TOO_LONG


@pytest.mark.parametrize("progressive", [False, True])
def test_a_picture_that_is_too_large_is_refused_by_its_head_alone(tmp_path: Path, progressive: bool) -> None:
    source = tmp_path / "large.jpg"
    source.write_bytes(bombs.jpeg(16000, 8000, mode="CMYK", progressive=progressive))
    cost = bombs.photo(source)
    assert cost.answer
    assert said(cost.answer["error"]) == "The picture is 16000 × 8000 pixels; the limit is 40 million pixels."
    assert cost.peak_mib < 64
    assert not list(tmp_path.glob("*.thumbnail*"))


def test_the_most_costly_picture_that_is_allowed_fits_the_memory_that_is_allowed(tmp_path: Path) -> None:
    source = tmp_path / "large.jpg"
    source.write_bytes(bombs.jpeg(7300, 5450, mode="CMYK", progressive=True))
    cost = bombs.photo(source)
    assert cost.answer
    assert cost.answer["error"] is None
    assert cost.peak_mib < decoder_process.PHOTO_MEMORY // decoder_process.MIB


def test_a_picture_that_needs_more_memory_than_is_allowed_costs_no_other_its_thumbnail(
    decoder: decoder_pool.PhotoDecoder, photo: Path
) -> None:
    greedy = photo.with_name("greedy.jpg")
    greedy.write_bytes(bombs.jpeg(16000, 16000, mode="CMYK", progressive=True))
    asked = [(greedy, photo.with_name("one")), (photo, photo.with_name("two"))]
    outcomes = decoder.decode(asked, most_pixels=10**9)
    assert [bool(outcome.problem) for outcome in outcomes] == [True, False]
    assert bombs.photo(greedy, 10**9).peak_mib < decoder_process.PHOTO_MEMORY // decoder_process.MIB


def test_a_picture_of_thousands_of_scans_is_refused_before_decoding(tmp_path: Path) -> None:
    source = tmp_path / "scans.jpg"
    source.write_bytes(bombs.scans(3000, side=200))
    cost = bombs.photo(source)
    assert cost.answer
    assert said(cost.answer["error"]) == "The picture has 3000 scans; the limit is 100."
    assert cost.peak_mib < 64


def test_a_picture_that_takes_too_much_processor_time_costs_only_itself(
    decoder: decoder_pool.PhotoDecoder, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_pool, "PROGRAM", [sys.executable, "-c", SPINS_AT_BAD])
    asked = [(photo.with_name(name), photo.with_name(name)) for name in ("a", "bad", "c")]
    assert [outcome.problem for outcome in decoder.decode(asked)] == [None, decoder_pool.TOO_LONG, None]


def test_a_video_that_is_too_large_is_refused_by_its_head_alone(tmp_path: Path) -> None:
    source = tmp_path / "large.h265"
    source.write_bytes(bombs.h265(4160, 128))
    cost = bombs.video(source)
    assert cost.answer
    assert said(cost.answer["error"]) == "The clip is 4160 × 128 pixels; the limit is 4096 × 4096."
    assert cost.peak_mib < 64
    assert [path.name for path in tmp_path.iterdir()] == ["large.h265"]


def test_a_video_that_becomes_too_large_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "grows.h265"
    source.write_bytes(bombs.h265(128, 128) + bombs.h265(1024, 1024, 50))
    outcome = decoder_pool.decode_video(source, tmp_path / "grows", 30, side=256)
    assert outcome.problem
    assert copy_words.problem(outcome.problem) == "Decoding the file takes more memory than is allowed."


def test_a_video_of_many_frames_is_copied_up_to_a_limit_and_says_so(tmp_path: Path) -> None:
    source = tmp_path / "long.h265"
    source.write_bytes(bombs.h265(128, 128, 500))
    cost = bombs.video(source, rate=2)
    assert cost.answer
    assert "first 120 seconds" in said(cost.answer["note"])
    with av.open(str(tmp_path / "long.mp4")) as made:
        assert made.streams.video[0].frames == 240


def test_a_video_that_takes_too_much_processor_time_is_shown_as_far_as_it_came(tmp_path: Path) -> None:
    source = tmp_path / "slow.h265"
    source.write_bytes(bombs.h265(1280, 720, 3000))
    cost = bombs.video(source, seconds=7)
    assert cost.answer
    assert "making more took too long" in said(cost.answer["note"])
    assert cost.peak_mib < 300
    assert (tmp_path / "slow.mp4").is_file()


@pytest.mark.parametrize("ending", ["mp4", "bin"])
def test_a_list_that_names_another_file_opens_none(tmp_path: Path, ending: str) -> None:
    (tmp_path / "inner.h265").write_bytes(bombs.h265(128, 128, 5))
    source = tmp_path / f"list.{ending}"
    source.write_bytes(b"ffconcat version 1.0\nfile inner.h265\n")
    outcome = decoder_pool.decode_video(source, tmp_path / "copy", 30)
    assert outcome.problem
    assert not outcome.retry
    assert not list(tmp_path.glob("copy*"))


def test_a_file_of_unknown_ending_is_decoded_where_its_first_bytes_name_a_format(tmp_path: Path) -> None:
    source = tmp_path / "clip.bin"
    source.write_bytes(bombs.h265(128, 128, 5))
    assert decoder_pool.decode_video(source, tmp_path / "one", 30) == decoder_pool.Outcome()
    again = tmp_path / "again.bin"
    again.write_bytes((tmp_path / "one.mp4").read_bytes())
    assert decoder_pool.decode_video(again, tmp_path / "two", 30) == decoder_pool.Outcome()


def test_children_know_no_secret_and_bound_themselves_before_they_load_a_decoder(
    decoder: decoder_pool.PhotoDecoder, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "a secret")
    assert one(decoder, photo, photo.parent / "one") is None
    child = psutil.Process(child_of(decoder))
    assert set(child.environ()) <= {*decoder_pool.INHERITED, "MALLOC_ARENA_MAX", "LC_CTYPE"}
    assert child.rlimit(psutil.RLIMIT_AS) == (decoder_process.PHOTO_MEMORY,) * 2
    assert child.rlimit(psutil.RLIMIT_NOFILE) == (decoder_process.MOST_DESCRIPTORS,) * 2
    loaded = "import sys, provisioning.media.decoder_process; print({'PIL', 'av'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


def test_a_copy_that_grows_too_large_is_the_files_fault(tmp_path: Path) -> None:
    limits = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))"
    run = f"{limits}; import sys; from provisioning.media.decoder_process import main; sys.exit(main(sys.argv[1:]))"
    source = tmp_path / "long.h265"
    source.write_bytes(bombs.h265(640, 360, 60))
    done = subprocess.run(
        [sys.executable, "-c", run, "video", str(source), str(tmp_path / "copy"), "30", "4096", "60"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == {"error": Phrase("copy_too_large").as_json()}
    assert not list(tmp_path.glob("*.mp4*"))
