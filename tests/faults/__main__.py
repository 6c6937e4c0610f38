"""`python -m tests.faults`: everything that is broken on purpose, at full scale.

Prints the counts of the chaos; the exit code is 0 if everything held.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.faults.chaos import Chaos, Counts
from tests.faults.scale import seed

SEEDS = 3
ALERTS = 600
KILLS = 20
_HERE = Path(__file__).parent


def main() -> int:
    first = seed()
    failed = [number for number in range(first, first + SEEDS) if not _is_survived(number, is_first=number == first)]
    others = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(_HERE), "--ignore", str(_HERE / "test_chaos.py")],
        cwd=_HERE.parent.parent,
        env={**os.environ, "RELAY_FAULTS": "full"},
        check=False,
    )
    return 1 if failed or others.returncode else 0


def _is_survived(number: int, *, is_first: bool) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        chaos = Chaos(Path(folder), seed=number, alerts=ALERTS, kills=KILLS)
        counts = chaos.run()
    print(*([Counts.heading()] if is_first else []), counts.row(), *chaos.problems, sep="\n", flush=True)
    return not chaos.problems


if __name__ == "__main__":
    sys.exit(main())
