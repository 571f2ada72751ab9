"""Makes thumbnails inside the child process `decoder_process`. Nothing else imports this module.

Sizes and scans are read and refused before anything is decoded.
"""

import io
import os
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps, UnidentifiedImageError

from provisioning.phrase import Phrase

THUMBNAIL = (320, 320)
END_MARKER = b"\xff\xd9"
SCAN_MARKER = b"\xff\xda"
MOST_SCANS = 100  # a progressive JPEG has about ten; each costs a pass over the whole picture
FILLER = b"\x55\x2a" * 64  # what a decoder that still wants data takes for some blocks of the picture
END_MISSING = Phrase("end_missing")


class Unreadable(Exception):
    """The file cannot be decoded; `phrase` says why, as copy_words has it."""

    def __init__(self, code: str, **arguments: Any) -> None:
        super().__init__(code)
        self.phrase = Phrase(code, arguments)


def make_thumbnail(source: Path, target: Path, most_pixels: int) -> Phrase | None:
    """Make a photo's thumbnail; give what people should know of it, None where it is whole.

    Raises Unreadable, and OSError where this machine is to blame.
    """
    data = source.read_bytes()
    try:
        _check(data, most_pixels)
        image, is_whole = _decode(data)
        image = ImageOps.exif_transpose(image).convert("RGB")
    except UnidentifiedImageError:
        raise Unreadable("no_jpeg") from None
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise Unreadable("picture_undecodable", cause=cause(error)) from None
    save_thumbnail(image, target)
    return None if is_whole else END_MISSING


def _check(data: bytes, most_pixels: int) -> None:
    """Read the head alone. Raises Unreadable where decoding would cost too much, and what Pillow raises."""
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        width, height = image.size
    if width * height > most_pixels:
        millions = f"{most_pixels / 1_000_000:g}"
        raise Unreadable("picture_too_large", width=width, height=height, millions=millions)
    scans = data.count(SCAN_MARKER)  # coded data hold no such bytes
    if scans > MOST_SCANS:
        raise Unreadable("too_many_scans", scans=scans, most=MOST_SCANS)


def _decode(data: bytes) -> tuple[Image.Image, bool]:
    """Decode a photo as far as it goes, small; say whether all of the picture is there. Raises what Pillow raises.

    A camera or a broken line may leave the end out. Where only the end marker is missing, nothing is missing to see:
    other bytes behind the data then change no pixel, since the decoder has no use for them.
    """
    try:
        return _decoded(data), True
    except UnidentifiedImageError:
        raise
    except OSError:  # Pillow reports a picture that ends too early so
        data = data.removesuffix(END_MARKER[:1])
        image = _decoded(data + END_MARKER)
        return image, image.tobytes() == _decoded(data + FILLER + END_MARKER).tobytes()


def _decoded(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        image.draft("RGB", THUMBNAIL)
        image.load()
        return image


def cause(error: Exception) -> str:
    """Give the library's words without its number and the path it appends: people read them in pages and answers."""
    return getattr(error, "strerror", None) or str(error)


def save_thumbnail(image: Image.Image, target: Path) -> None:
    """Write TARGET.thumbnail.jpg, which appears whole or not at all."""
    image = image.convert("RGB")
    image.thumbnail(THUMBNAIL)
    part = target.with_name(target.name + ".thumbnail.part")
    with part.open("wb") as file:
        image.save(file, "JPEG", quality=80)
        file.flush()
        os.fsync(file.fileno())
    part.replace(target.with_name(target.name + ".thumbnail.jpg"))
