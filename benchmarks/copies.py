"""How many photos a worker makes thumbnails of: `python benchmarks/copies.py [--photos 500] [--database postgresql]`.

The worker's part for files that wait: claim, decode in a child process, put, note, as many at once as it takes. Prints
JSON: photos a second, and milliseconds of processor time each, the child's beside.
"""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()  # as in the worker

import argparse
import json
import sys
import time

import psutil
import rows

from provisioning.devices import registry
from provisioning.media import previews, registration, storage
from provisioning.models import new_id, utcnow
from simulator import media


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=500)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    options = parser.parse_args()
    photo = media.photo("front", "Van", 1_795_500_000, 3, 90)
    with rows.product(options.database):
        registry.add({"imei": rows.BUSY, "phone": rows.NUMBER}, utcnow())
        idents = [_store(photo) for _ in range(options.photos + 1)]
        assert previews.make([idents.pop()], utcnow)  # starts the child
        child = next(
            c for c in psutil.Process().children() if "provisioning.media.decoder_process" in c.cmdline()
        )
        began, own, childs = time.perf_counter(), time.process_time(), _spent(child)
        for some in batched(idents, previews.PHOTOS_AT_ONCE):
            assert previews.make(some, utcnow)
        took, own, childs = time.perf_counter() - began, time.process_time() - own, _spent(child) - childs
    found = {
        "photos": options.photos,
        "bytes": len(photo),
        "a_second": round(options.photos / took, 1),
        "worker_ms": round(1000 * own / options.photos, 2),
        "child_ms": round(1000 * childs / options.photos, 2),
    }
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


def batched(idents: list[str], most: int) -> list[list[str]]:
    return [idents[begin : begin + most] for begin in range(0, len(idents), most)]


def _spent(process: psutil.Process) -> float:
    return sum(process.cpu_times()[:2])


def _store(photo: bytes) -> str:
    """Have a photo stored and reported, as the receiver does."""
    record = rows.record(new_id())
    path = storage.media().root / record["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(photo)
    registration.register([record], utcnow())
    return record["upload"]


if __name__ == "__main__":
    sys.exit(main())
