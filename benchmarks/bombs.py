"""What small files that cost a decoder much take of memory and time: `python benchmarks/bombs.py [--quick] [FILE …]`.

Each goes to a child process as in the worker; FILE: your own, to compare (.jpg, .h265, .mp4). Prints JSON by name:
bytes, MiB at most, seconds of processor time, and what people read (null: the child was ended by its limit on time).
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import bombs as made  # noqa: E402

QUICK: dict[str, Callable[[], bytes]] = {
    "JPEG of 16000 × 8000, CMYK, progressive.jpg": lambda: made.jpeg(
        16000, 8000, mode="CMYK", progressive=True
    ),
    "JPEG of 7300 × 5450, CMYK, progressive.jpg": lambda: made.jpeg(
        7300, 5450, mode="CMYK", progressive=True
    ),
    "JPEG of 2000 × 2000, 3000 scans.jpg": lambda: made.scans(3000),
    "list of other files.mp4": lambda: b"ffconcat version 1.0\nfile other.ts\n",
    "H.265 of 128 × 128, 20000 frames, 120 a second.h265": lambda: made.h265(128, 128, 20_000),
}
SLOW: dict[str, Callable[[], bytes]] = {
    "JPEG of 6300 × 6300, 100 scans.jpg": lambda: made.scans(100, 6300),
    "H.265 of 8192 × 4320.h265": lambda: made.h265(8192, 4320, 12),
    "H.265 of 4096 × 4096, 60 frames.h265": lambda: made.h265(4096, 4096, 60),
    "H.265 of 1920 × 1080, 14400 frames, 120 a second.h265": lambda: made.h265(1920, 1080, 14_400),
}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args()
    kinds = QUICK if options.quick else QUICK | SLOW
    with tempfile.TemporaryDirectory() as folder:
        found = dict(_measure(kinds, options.files, Path(folder)))
    sys.stdout.write(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return 0


def _measure(
    kinds: dict[str, Callable[[], bytes]], own: list[Path], folder: Path
) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, make in [*kinds.items(), *((path.name, path.read_bytes) for path in own)]:
        path = folder / f"file{os.path.splitext(name)[1]}"
        path.write_bytes(make())
        rate = 120 if "120 a second" in name else 30
        cost = made.photo(path) if path.suffix == ".jpg" else made.video(path, rate)
        report = cost.answer and (cost.answer["error"] or cost.answer["note"] or "")
        figures = {"bytes": path.stat().st_size, "mib": cost.peak_mib, "seconds": round(cost.seconds, 1)}
        yield name, {**figures, "problem": report}


if __name__ == "__main__":
    sys.exit(main())
