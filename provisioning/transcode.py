"""The child process that decodes: `python -m provisioning.transcode photos`, or `video SOURCE TARGET FRAME_RATE`.

`photos` reads lines of JSON, [SOURCE, TARGET], until its input ends. Each work writes TARGET.thumbnail.jpg, a video's
also TARGET.mp4 (H.264, fast start), and prints a line of JSON: "error" is null, or a sentence why there are no copies;
"retry": this machine is to blame and not the file; "note": what people should know of copies that were made. The
cameras' video is a raw H.265 stream without times: they are counted from the frame rate.
"""

import errno
import io
import json
import os
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image, ImageOps, UnidentifiedImageError

THUMBNAIL = (320, 320)
END_MARKER = b"\xff\xd9"
FILLER = b"\x55\x2a" * 64  # what a decoder that still wants data takes for some blocks of the picture
END_MISSING = "The end of this photo is missing; what came of it is shown."
# a full or failing disk, too many open files
OF_THIS_MACHINE = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.EROFS,
    errno.EMFILE,
    errno.ENFILE,
    errno.EACCES,
}


class Unreadable(Exception):
    """The file cannot be decoded; the text says so to people."""


def main(arguments: list[str]) -> int:
    """Do the work named on the command line; give the exit code."""
    if arguments[0] == "photos":
        for line in sys.stdin:
            source, target = json.loads(line)
            _tell(_photo, Path(source), Path(target))
    else:
        os.nice(10)  # a video takes a core for seconds; a thumbnail takes a hundredth of one
        source, target, rate = arguments[1:]
        _tell(_video, Path(source), Path(target), int(rate))
    return 0


def _tell(work: Callable[..., str | None], *arguments: Path | int) -> None:
    """Do a file's work and print how it went."""
    told: dict[str, str | bool | None] = {"error": None}
    try:
        told["note"] = work(*arguments)
    except Unreadable as error:
        told["error"] = str(error)
    except OSError as error:  # of reading the original or writing a copy: the file is not to blame
        told |= {"error": f"The copy cannot be written ({_cause(error)}).", "retry": True}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def _photo(source: Path, target: Path) -> str | None:
    """Make a photo's thumbnail; give what people should know of it, None where it is whole."""
    data = source.read_bytes()
    try:
        image, is_whole = _decode_photo(data)
        image = ImageOps.exif_transpose(image).convert("RGB")
    except UnidentifiedImageError:
        raise Unreadable("The file is not a JPEG picture.") from None
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise Unreadable(f"The picture cannot be decoded ({_cause(error)}).") from None
    _save_thumbnail(image, target)
    return None if is_whole else END_MISSING


def _decode_photo(data: bytes) -> tuple[Image.Image, bool]:
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


def _cause(error: Exception) -> str:
    """Give the library's words without its number and the path it appends: people read them in pages and answers."""
    return getattr(error, "strerror", None) or str(error)


def _save_thumbnail(image: Image.Image, target: Path) -> None:
    image = image.convert("RGB")
    image.thumbnail(THUMBNAIL)
    part = target.with_name(target.name + ".thumbnail.part")
    with part.open("wb") as file:
        image.save(file, "JPEG", quality=80)
        file.flush()
        os.fsync(file.fileno())
    part.replace(target.with_name(target.name + ".thumbnail.jpg"))


def _video(source: Path, target: Path, rate: int) -> None:
    part = target.with_name(target.name + ".mp4.part")
    try:
        count = _transcode(source, target, part, rate)
    except (av.FFmpegError, ValueError, EOFError) as error:
        part.unlink(missing_ok=True)
        number = getattr(error, "errno", None)
        if number in OF_THIS_MACHINE:
            raise OSError(number, _cause(error)) from None
        raise Unreadable(f"The video cannot be decoded ({_cause(error)}).") from None
    if not count:
        part.unlink(missing_ok=True)
        raise Unreadable("The video holds no picture.")
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target.with_name(target.name + ".mp4"))


def _transcode(source: Path, target: Path, part: Path, rate: int) -> int:
    count = 0
    is_raw = source.suffix == ".h265"
    options = {"framerate": str(rate)} if is_raw else {}
    with (
        av.open(str(source), format="hevc" if is_raw else None, options=options) as raw,
        av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"}) as made,
    ):
        out = None
        for frame in raw.decode(video=0):
            if out is None:
                out = made.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "23"})
                out.width, out.height = frame.width // 2 * 2, frame.height // 2 * 2
                out.pix_fmt = "yuv420p"
                out.codec_context.thread_count = 1
                out.codec_context.time_base = Fraction(1, rate)
                _save_thumbnail(frame.to_image(), target)
            frame = frame.reformat(out.width, out.height, "yuv420p")
            frame.pts, frame.time_base = count, Fraction(1, rate)
            count += 1
            for packet in out.encode(frame):
                made.mux(packet)
        if out is not None:
            for packet in out.encode(None):
                made.mux(packet)
    return count


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
