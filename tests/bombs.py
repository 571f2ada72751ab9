"""Small files that cost a decoder much, made by code, and what they cost: for tests and `benchmarks/bombs.py`."""

import io
import json
import subprocess
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from PIL import Image

from provisioning.media import decoder_pool

# a small process of its own, since a child's figure begins with that of the process that started it
MEASURES = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_maxrss // 1024, used.ru_utime + used.ru_stime)
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a decoding child answered (None: it was ended), took of memory at most, and of processor time."""

    answer: dict[str, Any] | None
    peak_mib: int
    seconds: float


def photo(source: Path, pixels: int = decoder_pool.PHOTO_PIXELS) -> Cost:
    """Have a child of its own make a photo's thumbnail."""
    return _measure("photos", lines=json.dumps([str(source), str(source.with_suffix("")), pixels]) + "\n")


def video(source: Path, rate: int = 30, seconds: int = decoder_pool.VIDEO_CPU_SECONDS) -> Cost:
    """Have a child of its own make a video's copies."""
    target = str(source.with_suffix(""))
    return _measure("video", str(source), target, str(rate), str(decoder_pool.VIDEO_SIDE), str(seconds))


def _measure(*arguments: str, lines: str = "") -> Cost:
    done = subprocess.run(
        [sys.executable, "-c", MEASURES, *decoder_pool.PROGRAM, *arguments],
        cwd=decoder_pool.ROOT, input=lines, capture_output=True, text=True, check=True, env=decoder_pool._environment(),
    )  # fmt: skip
    *answers, used = done.stdout.splitlines()
    peak, seconds = used.split()
    return Cost(json.loads(answers[-1]) if answers else None, int(peak), float(seconds))


def jpeg(width: int, height: int, *, mode: str = "RGB", progressive: bool = False) -> bytes:
    """Give a JPEG whose head tells this size, and whose data end soon: a decoder makes room for all of it."""
    out = io.BytesIO()
    Image.new(mode, (64, 64)).save(out, "JPEG", progressive=progressive, subsampling=0)
    data = bytearray(out.getvalue())
    head = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    data[head + 5 : head + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(data)


def scans(count: int, side: int = 2000) -> bytes:
    """Give a progressive JPEG with so many scans: its last one, again and again."""
    out = io.BytesIO()
    Image.new("RGB", (side, side), (9, 99, 150)).save(out, "JPEG", progressive=True, subsampling=0)
    data = out.getvalue().removesuffix(b"\xff\xd9")
    last = data[data.rindex(b"\xff\xda") :]
    return data + last * (count - data.count(b"\xff\xda")) + b"\xff\xd9"


def h265(width: int, height: int, frames: int = 1) -> bytes:
    """Give a raw H.265 stream of one still picture: a key frame, again and again."""
    out = io.BytesIO()
    with av.open(out, "w", format="hevc") as container:
        quiet = "bframes=0:log-level=none:info=0:pools=1:frame-threads=1:rc-lookahead=0:repeat-headers=1"
        stream = container.add_stream(
            "libx265", rate=30, options={"preset": "ultrafast", "crf": "40", "x265-params": quiet}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        frame = av.VideoFrame.from_image(Image.new("RGB", (width, height), (9, 99, 150)))
        frame.pts, frame.time_base = 0, Fraction(1, 30)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return out.getvalue() * frames
