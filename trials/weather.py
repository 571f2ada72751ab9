"""Bad lines: connections cut at random packets, corrupt packets, lost acknowledgements, lines that only look open.

10,000 uploads by default, of 500 cameras, into a receiver with two worker processes.
"""

import random
import time

from trials import evidence, fleet
from trials.system import Options, system

CAMERAS, FILES = 500, 20
SIZES = (1, 16 * 1024)
SETTINGS = {"RECEIVER_WORKERS": "2", "RECEIVER_ANSWER_TIMEOUT": "10", "RECEIVER_METADATA_TIMEOUT": "0.5"}
WEATHER = fleet.Weather(cut=0.12, ghost=0.2, corrupt=0.01, forget=0.05)


def run(options: Options) -> evidence.Figures:
    """Upload `rounds` files (10,000) over bad lines. Raises BrokenPromise."""
    count = options.rounds or CAMERAS * FILES
    each = min(FILES, max(1, count // 10))
    cameras = count // each
    began = time.time()
    with system(options, "receiver", **SETTINGS) as sys:
        sys.database.register([fleet.imei(number) for number in range(cameras)])
        load = fleet.Fleet(sys.stack.receiver_port, options.seed, WEATHER)
        for number in range(cameras):
            rng = random.Random(f"{options.seed}/files/{number}")
            load.add(number, fleet.some_files(rng, each, SIZES, began=began - 86_400), after=number * 0.005)
        finished = load.run(60 * (options.minutes or 30))
        took = time.time() - began
        evidence.hold(finished, "cameras could not send all their files:", load.tally.count, load.working)
        stored = evidence.stored_once(sys.database, sys.media, sys.spool, load.tally)
        load.end()
        evidence.hold("database away" not in sys.stack.log("receiver"), "the database was taken to be away")
        evidence.hold(not sys.tracebacks("receiver"), "a mistake of ours ended a session:",
                      sys.stack.log("receiver")[-1500:])  # fmt: skip
        sessions = sys.sessions_by_end()
    return stored | {"cameras": cameras, "seconds": round(took, 1), "seen": dict(load.tally.count),
                     "sessions_by_end": sessions}  # fmt: skip
