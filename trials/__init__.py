"""Trials: the real processes under faults, bounded and repeatable by seed. `python -m trials --help`.

They use what the tests use (the process stack, the PostgreSQL server), so tests/ is put on the path here.
docs/reliability.md says which promise each of them holds.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
for _folder in (str(ROOT), str(ROOT / "tests")):
    if _folder not in sys.path:
        sys.path.insert(0, _folder)
