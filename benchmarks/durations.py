"""How good the estimates of durations are: `python benchmarks/durations.py`.

Runs the whole product with simulated vehicles on lines of 1, 6 and 18 kB/s. Each sends two photos and a clip; then the
preview of a photo of both cameras and of another clip is compared with how long these take, from the request to the
stored files. Prints JSON by speed: the estimate and the truth in seconds, and how far the estimate is off, in per cent.
"""

import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from stack import Stack, running  # noqa: E402

RATES = (1000, 6000, 18_000)  # bytes per second
WAIT = 900.0  # seconds for one request
FOOTAGE_AGE = 120  # seconds: how long ago a clip begins


def main() -> int:
    """Measure and print; 1 where an estimate is off by more than 30 %."""
    with tempfile.TemporaryDirectory(prefix="dualcam-durations-") as name:
        folder = Path(name)
        with running(folder, f"sqlite:///{folder}/durations.db", CAPTURE_TIMEOUT="1800") as stack:
            vehicles = stack.control("GET", "/vehicles")["items"][: len(RATES)]
            with ThreadPoolExecutor(len(RATES)) as pool:
                found = dict(pool.map(lambda one: measure(stack, *one), zip(RATES, vehicles, strict=True)))
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return int(any(abs(one["off_percent"]) > 30 for rows in found.values() for one in rows.values()))


def measure(stack: Stack, rate: int, vehicle: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Measure one vehicle; give its speed with what was found."""
    imei = vehicle["imei"]
    stack.api(
        "POST", "/devices", {name: vehicle[name] for name in ("imei", "phone", "sms_login", "sms_password")}
    )
    stack.control("PATCH", f"/vehicles/{imei}", {"protocol": 5, "metadata_version": 4})
    ready = {"ignition": True, "parameters": {"150": "1", "151": "18"}}
    stack.control("PATCH", f"/vehicles/{imei}", ready)
    stack.control("PATCH", f"/vehicles/{imei}/faults", {"slow": rate})
    for wish in (photo("front"), photo("rear"), clip(8)):
        take(stack, imei, wish)
    return rate, {
        name: compare(stack, imei, wish) for name, wish in (("photos", photo("both")), ("clip", clip(8)))
    }


def photo(source: str) -> dict[str, Any]:
    """Give a request for a photo."""
    return {"command": "camreq", "file_type": "photo", "source": source}


def clip(seconds: int) -> dict[str, Any]:
    """Give a request for a clip of the front camera."""
    begin = int(time.time()) - FOOTAGE_AGE
    return {
        "command": "camreq", "file_type": "video", "source": "front", "timestamp": begin, "duration": seconds,
    }  # fmt: skip


def take(stack: Stack, imei: str, wish: dict[str, Any]) -> float:
    """Ask for files and wait until they are stored; give the seconds that took."""
    began = time.time()
    row = stack.api("POST", f"/devices/{imei}/commands", wish, status=202)
    ended = stack.ended(row["id"], WAIT)
    if ended["state"] != "done":
        raise RuntimeError(f"{wish} ended as {ended['state']}: {ended['error']}")
    return max(datetime.fromisoformat(one["received_at"]).timestamp() for one in ended["uploads"]) - began


def compare(stack: Stack, imei: str, wish: dict[str, Any]) -> dict[str, Any]:
    """Compare the estimate for a request with the truth."""
    estimate = stack.api("POST", f"/devices/{imei}/commands/preview", wish, status=200)["ready_in"]
    seconds = take(stack, imei, wish)
    off = round(100 * (estimate["seconds"] - seconds) / seconds)
    return {"estimate": estimate, "seconds": round(seconds, 1), "off_percent": off}


if __name__ == "__main__":
    sys.exit(main())
