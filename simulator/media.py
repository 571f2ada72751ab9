"""Pictures and clips of a virtual camera: real JPEG and H.265, with clock and camera name to be recognised by."""

import io
import threading
from datetime import UTC, datetime
from fractions import Fraction

import av
from PIL import Image, ImageDraw, ImageFont

RESOLUTIONS = {0: (160, 120), 1: (320, 240), 2: (640, 480), 3: (1280, 720), 4: (1920, 1080)}
CLIP_SIZE = (640, 360)  # small, so that thirty seconds take a second or two of one core
COLOURS = {"front": (34, 86, 140), "rear": (140, 70, 34)}
_encoding = threading.Lock()  # one clip at a time: x265 takes every core it gets


def _draw(size: tuple[int, int], camera: str, name: str, moment: float) -> Image.Image:
    width, height = size
    image = Image.new("RGB", size, COLOURS.get(camera, (60, 60, 60)))
    draw = ImageDraw.Draw(image)
    draw.polygon(
        [
            (width * 0.1, height),
            (width * 0.45, height * 0.4),
            (width * 0.55, height * 0.4),
            (width * 0.9, height),
        ],
        fill=(70, 70, 70),
    )
    stripe = (moment * 0.8) % 1
    for part in range(4):
        top = height * (0.45 + 0.55 * ((part + stripe) % 4) / 4)
        draw.rectangle([width * 0.49, top, width * 0.51, top + height * 0.05], fill=(230, 230, 230))
    small = max(10, height // 22)
    stamp = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")
    draw.text(
        (width * 0.03, height * 0.04), stamp + " UTC", fill="white", font=ImageFont.load_default(small * 1.6)
    )
    draw.text(
        (width * 0.03, height * 0.16),
        f"{camera.upper()}  {name}",
        fill="white",
        font=ImageFont.load_default(small),
    )
    return image


def photo(camera: str, name: str, moment: float, resolution: int, quality: int) -> bytes:
    """Make a JPEG; `resolution` as parameter 66000 numbers it, `quality` in per cent."""
    out = io.BytesIO()
    image = _draw(RESOLUTIONS.get(resolution, RESOLUTIONS[3]), camera, name, moment)
    image.save(out, "JPEG", quality=max(10, min(95, quality)))
    return out.getvalue()


def clip(camera: str, name: str, begin: float, seconds: int, rate: int) -> bytes:
    """Make a raw H.265 stream without B-frames, as the cameras do."""
    out = io.BytesIO()
    with _encoding, av.open(out, "w", format="hevc") as container:
        stream = container.add_stream(
            "libx265",
            rate=rate,
            options={
                "preset": "ultrafast",
                "crf": "32",
                "x265-params": "bframes=0:log-level=none:pools=1:keyint=50",
            },
        )
        stream.width, stream.height = CLIP_SIZE
        stream.pix_fmt = "yuv420p"
        frame = None
        for number in range(seconds * rate):
            if frame is None or number % max(1, rate // 5) == 0:
                # five pictures a second are enough to see the clock run
                frame = av.VideoFrame.from_image(_draw(CLIP_SIZE, camera, name, begin + number / rate))
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()
