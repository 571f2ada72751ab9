"""Small files that cost a decoder much, made by code: for tests and for `benchmarks/bombs.py`."""

import io
from fractions import Fraction

import av
from PIL import Image


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
        quiet = "bframes=0:log-level=none:pools=1:frame-threads=1:rc-lookahead=0:repeat-headers=1"
        stream = container.add_stream(
            "libx265", rate=30, options={"preset": "ultrafast", "crf": "40", "x265-params": quiet}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        frame = av.VideoFrame.from_image(Image.new("RGB", (width, height), (9, 99, 150)))
        frame.pts, frame.time_base = 0, Fraction(1, 30)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return out.getvalue() * frames
