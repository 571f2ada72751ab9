"""Runs the child processes that decode (`decoder_process`), so that a crash or a slow file affects only itself.

Photos share one child, since starting one takes many times as long as a thumbnail; each video has a child of its own.
The children bound their own memory and processor time, and know nothing of our environment.
"""

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from provisioning.core.environment import ROOT, inherited
from provisioning.phrase import Phrase

log = structlog.get_logger(__name__)

# by the clock, for one that hangs or waits for a busy machine; their processor time is bounded by themselves
VIDEO_SECONDS = 600
PHOTO_SECONDS = 30.0
PHOTO_PIXELS = 40_000_000
VIDEO_SIDE = 4096
VIDEO_CPU_SECONDS = 60
END_SECONDS = 5.0
PHOTOS_ASKED = 50  # at once: their lines fit a pipe, so that neither side waits for the other for ever
PHOTOS_A_CHILD = 1000  # then a new one: what a codec loses of memory comes back
TOO_LONG = Phrase("took_too_long")
INHERITED = ("PATH", "LANG", "LD_LIBRARY_PATH")  # no secrets for a process that decodes untrusted bytes
PROGRAM = [sys.executable, "-W", "ignore", "-m", "provisioning.media.decoder_process"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a file's copies came out.

    `problem`: why they could not be made; `retry`: this machine is to blame and not the file. `note`: what people
    should know of copies that were made. Both as copy_words says them.
    """

    problem: Phrase | None = None
    retry: bool = False
    note: Phrase | None = None


def decode_video(
    source: Path, target: Path, rate: int, side: int = VIDEO_SIDE, seconds: int = VIDEO_CPU_SECONDS
) -> Outcome:
    """Make TARGET.thumbnail.jpg and TARGET.mp4.

    `side`: pixels of width or height that are allowed; `seconds`: of processor time.
    """
    try:
        done = subprocess.run(
            [*PROGRAM, "video", str(source), str(target), str(rate), str(side), str(seconds)],
            cwd=ROOT,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=VIDEO_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Outcome(TOO_LONG)
    try:
        return _outcome(done.stdout)
    except ValueError:
        return _crashed(source, done.returncode, done.stderr[-500:])


def _outcome(line: str) -> Outcome:
    """Read a child's answer. Raises ValueError: it gave none."""
    result = json.loads(line)
    problem, note = (
        Phrase.from_json(held) if held else None for held in (result["error"], result.get("note"))
    )
    return Outcome(problem, bool(result.get("retry")), note)


def _environment() -> dict[str, str]:
    # a second arena of the allocator would take 64 MiB of the addresses that a child allows itself
    return inherited(INHERITED) | {"MALLOC_ARENA_MAX": "1"}


def _crashed(source: Path, code: int, output: str) -> Outcome:
    if code == -signal.SIGXCPU:
        return Outcome(TOO_LONG)
    log.warning("transcoding crashed", source=source.name, code=code, output=output)
    return Outcome(Phrase("decoder_crashed", {"code": code}))


class PhotoDecoder:
    """One child for many photos; started when it is needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._left = 0

    def decode(self, photos: Sequence[tuple[Path, Path]], most_pixels: int = PHOTO_PIXELS) -> list[Outcome]:
        """Make TARGET.thumbnail.jpg of each (source, target); give how each came out."""
        outcomes: list[Outcome] = []
        with self._lock:
            while left := photos[len(outcomes) : len(outcomes) + PHOTOS_ASKED]:
                outcomes += self._decode(left, most_pixels)
        return outcomes

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._end()

    def _decode(self, photos: Sequence[tuple[Path, Path]], most_pixels: int) -> list[Outcome]:
        """Ask for all at once, so that the child never waits for us; give what it said up to one that ended it."""
        child = self._get(len(photos))
        outcomes: list[Outcome] = []
        assert child.stdin
        with contextlib.suppress(OSError):  # it died: that shows in the first answer
            child.stdin.writelines(
                json.dumps([str(source), str(target), most_pixels]) + "\n" for source, target in photos
            )
            child.stdin.flush()
        for source, _ in photos:
            line, late = _answer(child)
            try:
                outcomes.append(_outcome(line))
            except ValueError:
                code = self._end()
                return [*outcomes, Outcome(TOO_LONG) if late else _crashed(source, code, "")]
            if late:
                self._end()
                return outcomes
        return outcomes

    def _get(self, count: int) -> "subprocess.Popen[str]":
        if self._left <= 0 or (self._child and self._child.poll() is not None):
            self._end()
        if self._child is None:
            self._left = PHOTOS_A_CHILD
            self._child = subprocess.Popen(
                [*PROGRAM, "photos"],
                cwd=ROOT,
                env=_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        self._left -= count
        return self._child

    def _end(self) -> int:
        """End the child, which ends by itself when nothing more can come; give its exit code."""
        child, self._child = self._child, None
        if child is None:
            return 0
        for pipe in filter(None, (child.stdin, child.stdout)):
            with contextlib.suppress(OSError):  # what was written to one that died
                pipe.close()
        try:
            return child.wait(END_SECONDS)  # it ends by itself where nothing more can come
        except subprocess.TimeoutExpired:
            child.kill()
            return child.wait()


def _answer(child: "subprocess.Popen[str]") -> tuple[str, bool]:
    """Give the child's next line, empty where it died, and whether it was killed for being late."""
    assert child.stdout
    late = threading.Event()

    def stop() -> None:
        late.set()
        child.kill()

    clock = threading.Timer(PHOTO_SECONDS, stop)
    clock.start()
    try:
        return child.stdout.readline(), late.is_set()
    except OSError:
        return "", late.is_set()
    finally:
        clock.cancel()
