"""The child process that decodes: `python -m provisioning.media.decoder_process photos` or `… video …`.

`photos` reads lines of JSON, [SOURCE, TARGET, PIXELS], until its input ends. Each work writes TARGET.thumbnail.jpg, a
video's also TARGET.mp4 (H.264, fast start), and prints a line of JSON: "error" is null, or the phrase why there are no
copies; "retry": this machine is to blame and not the file; "note": the phrase of what people should know of copies that
were made.

A process limits itself before it loads a decoder: files of unknown devices are decoded here. How the values were
measured stands in docs/security.md.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from provisioning.phrase import Phrase

MIB = 2**20
PHOTO_MEMORY, VIDEO_MEMORY = 768 * MIB, 1280 * MIB  # of addresses
MOST_WRITTEN = 512 * MIB  # bytes of one copy
MOST_DESCRIPTORS = 64
PHOTO_SECONDS = 4  # of processor time for one photo


def main(arguments: list[str]) -> int:
    """Do the work named on the command line; give the exit code."""
    if arguments[0] == "photos":
        _limit(PHOTO_MEMORY)
        _photos()
    else:
        source, target, rate, side, seconds = arguments[1:]
        os.nice(10)  # a video takes a core for seconds; a thumbnail takes a hundredth of one
        _limit(VIDEO_MEMORY)
        _allow(int(seconds))
        from provisioning.media.video_decoder import make_copy

        _tell(partial(make_copy, Path(source), Path(target), int(rate), int(side), int(seconds)))
    return 0


def _photos() -> None:
    from provisioning.media.photo_decoder import make_thumbnail

    for line in sys.stdin:
        source, target, pixels = json.loads(line)
        _allow(PHOTO_SECONDS)
        _tell(partial(make_thumbnail, Path(source), Path(target), pixels))


def _limit(memory: int) -> None:
    """Bound what this process can take, for good; a stricter bound of the system stays."""
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, MOST_WRITTEN),
        (resource.RLIMIT_NOFILE, MOST_DESCRIPTORS),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def _allow(seconds: int) -> None:
    """Have the system end this process after so many seconds more of processor time."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = int(time.process_time()) + seconds
    resource.setrlimit(
        resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard)
    )


def _tell(work: "Callable[[], Phrase | None]") -> None:
    """Do a file's work and print how it went."""
    from provisioning.media.photo_decoder import Unreadable, cause
    from provisioning.phrase import Phrase

    outcome: dict[str, Any] = {"error": None}
    try:
        note = work()
        outcome["note"] = note.as_json() if note else None
    except Unreadable as error:
        outcome["error"] = error.phrase.as_json()
    except MemoryError:
        outcome["error"] = Phrase("too_much_memory").as_json()
    except OSError as error:  # of reading the original or writing a copy: the file is not to blame
        outcome |= {"error": Phrase("copy_unwritable", {"cause": cause(error)}).as_json(), "retry": True}
    sys.stdout.write(json.dumps(outcome) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
