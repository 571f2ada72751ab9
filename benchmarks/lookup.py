"""How long the product takes to say whether it knows a device: the one indexed look-up in a first answer.

`python benchmarks/lookup.py IMEIS-FILE`, with the product's environment. Prints milliseconds as JSON.
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent.parent))

from app import create_app  # noqa: E402
from provisioning.core.config import load  # noqa: E402
from receiver.database_product import DatabaseProduct  # noqa: E402

config = load()
product = DatabaseProduct(create_app(config), threads=config.database_url.startswith("sqlite"))
times = []
for imei in Path(sys.argv[1]).read_text().split()[:1000]:
    began = time.perf_counter()
    product.admit(imei)
    times.append(1000 * (time.perf_counter() - began))
times.sort()
print(
    json.dumps({"median": round(times[len(times) // 2], 3), "p99": round(times[int(len(times) * 0.99)], 3)})
)
