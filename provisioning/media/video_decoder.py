"""Converts videos inside the child process `decoder_process`. Nothing else imports this module.

The cameras' video is a raw H.265 stream without times: they are counted from the frame rate. The format is named, never
guessed: FFmpeg's guess also takes lists that name other files. The size is read before anything is decoded.
"""

import errno
import os
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from provisioning.media.photo_decoder import Unreadable, cause, save_thumbnail
from provisioning.phrase import Phrase

MOST_SECONDS = 120  # of video; a camera's longest has 30
MOST_RATE = 120  # frames a second
CODECS = ("hevc", "h264")
STREAMS = 64  # that a file's head may name and none of which may be decoded while it is read
END_SECONDS = 5  # of processor time for the end of a copy that is broken off
# Few frames are held at once, which halves the memory that a large picture takes.
ENCODER = {"preset": "veryfast", "crf": "23", "x264-params": "rc-lookahead=5:bframes=0"}
BY_LIMITS = {errno.ENOMEM: "too_much_memory", errno.EFBIG: "copy_too_large"}
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


def make_copy(source: Path, target: Path, rate: int, most_side: int, most_seconds: int) -> Phrase | None:
    """Make a video's H.264 copy and its thumbnail; give what people should know of it, None where it is whole.

    `most_side`: pixels of width or height; `most_seconds`: of processor time, after which the copy ends where it is.
    Raises Unreadable, and OSError where this machine is to blame.
    """
    part = target.with_name(target.name + ".mp4.part")
    try:
        note = _transcode(source, target, part, min(rate, MOST_RATE), most_side, most_seconds)
    except (av.FFmpegError, ValueError, EOFError) as error:
        part.unlink(missing_ok=True)
        number = getattr(error, "errno", None)
        if number in OF_THIS_MACHINE:
            raise OSError(number, cause(error)) from None
        if number in BY_LIMITS:
            raise Unreadable(BY_LIMITS[number]) from None
        raise Unreadable("video_undecodable", cause=cause(error)) from None
    except Unreadable:
        part.unlink(missing_ok=True)
        raise
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target.with_name(target.name + ".mp4"))
    return note


def _open(source: Path, rate: int) -> InputContainer:
    """Read a file's head; no picture is decoded."""
    name = _format(source)
    options = {"protocol_whitelist": "file", "codec_whitelist": ",".join(CODECS)}
    if name == "hevc":
        options["framerate"] = str(rate)
    unread: Any = [{"skip_frame": "all"}] * STREAMS  # the library's stub wants texts
    return av.open(str(source), format=name, options=options, stream_options=unread)


def _format(source: Path) -> str:
    """Name a file's format by its ending, and by its first bytes where the ending says nothing."""
    if source.suffix in (".h265", ".mp4"):
        return "hevc" if source.suffix == ".h265" else "mov"
    with source.open("rb") as file:
        head = file.read(8)
    if head.startswith((b"\0\0\1", b"\0\0\0\1")):
        return "hevc"
    if head[4:] == b"ftyp":
        return "mov"
    raise Unreadable("unknown_video_format")


def _check(raw: InputContainer, most_side: int) -> None:
    """Raise Unreadable where decoding would cost too much, or where there is nothing to decode."""
    if not raw.streams.video:
        raise Unreadable("no_picture")
    codec = raw.streams.video[0].codec_context
    if codec.name not in CODECS:
        raise Unreadable("unknown_codec")
    if max(codec.width, codec.height) > most_side:
        raise Unreadable("video_too_large", width=codec.width, height=codec.height, most=most_side)
    codec.thread_count = 1  # the same memory on every machine
    codec.options = {"max_pixels": str(most_side**2)}  # also of a size that comes later in the stream


def _transcode(
    source: Path, target: Path, part: Path, rate: int, most_side: int, most_seconds: int
) -> Phrase | None:
    count, note = 0, None
    with (
        _open(source, rate) as raw,
        av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"}) as made,
    ):
        _check(raw, most_side)
        out = None
        for frame in raw.decode(video=0):
            if out is None:
                out = made.add_stream("libx264", rate=rate, options=ENCODER)
                out.width, out.height = frame.width // 2 * 2, frame.height // 2 * 2
                out.pix_fmt = "yuv420p"
                out.codec_context.thread_count = 1
                out.codec_context.time_base = Fraction(1, rate)
                save_thumbnail(frame.to_image(threads=1), target)
            if note := _full(count, rate, most_seconds):
                break
            frame = frame.reformat(out.width, out.height, "yuv420p", threads=1)
            frame.pts, frame.time_base = count, Fraction(1, rate)
            count += 1
            for packet in out.encode(frame):
                made.mux(packet)
        if out is None:
            raise Unreadable("no_picture")
        for packet in out.encode(None):
            made.mux(packet)
    return note


def _full(count: int, rate: int, most_seconds: int) -> Phrase | None:
    """Give why no more frames are to be copied."""
    if count >= MOST_SECONDS * rate:
        return Phrase("copy_at_limit", {"seconds": MOST_SECONDS})
    if count and time.process_time() > most_seconds - END_SECONDS:
        return Phrase("copy_cut_short", {"seconds": f"{count / rate:.1f}"})
    return None
