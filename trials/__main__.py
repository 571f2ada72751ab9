"""`python -m trials NAME`: run one trial, print one line of JSON, end with 1 if a promise was broken."""

import argparse
import importlib
import json
import signal
import sys
import time

from simulator.gateways import STAND_INS
from trials.evidence import BrokenPromise
from trials.system import Options

TRIALS = {
    "kills": "kill -9 of receiver, worker, web and database at random moments",
    "outage": "the database away for a minute during uploads and at commit; the receiver started without it",
    "weather": "10 % of connections cut, 1 % of packets corrupt, acknowledgements lost, half-open lines",
    "untimed": "cameras that tell no time or no trigger, many at once; the receiver killed before its report",
    "unknown": "unknown devices that come back every second; an address that tries many IMEIs",
    "restarts": "HUP and TERM of the receiver under load; a worker that hangs",
    "soak": "mixed traffic for a long time: memory, descriptors, lag",
}


def main() -> int:
    """Run the trial that the command line names."""
    lines = "\n".join(f"  {name:10} {text}" for name, text in TRIALS.items())
    parser = argparse.ArgumentParser(
        prog="python -m trials", description=__doc__, epilog=lines,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("name", choices=TRIALS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--rounds", type=int, default=0, help="kills, files, restarts …; 0: the trial's own number"
    )
    parser.add_argument(
        "--minutes", type=float, default=0, help="the longest it may take; 0: the trial's own"
    )
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument(
        "--gateway", choices=list(STAND_INS), default="twilio", help="the simulated SMS gateway"
    )
    given = parser.parse_args()
    options = Options(given.seed, given.rounds, given.minutes, given.database, given.gateway)
    # what was started is ended also where somebody ends the trial
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began, broken = time.monotonic(), None
    figures: dict[str, object] = {}
    try:
        figures = importlib.import_module(f"trials.{given.name}").run(options)
    except BrokenPromise as error:
        broken = str(error)
    head = {
        "trial": given.name,
        "seed": given.seed,
        "database": given.database,
        "gateway": given.gateway,
        "promise": broken or "held",
    }
    print(json.dumps(head | figures | {"took_seconds": round(time.monotonic() - began, 1)}))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
