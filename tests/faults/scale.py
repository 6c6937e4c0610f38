"""How much is broken: a part in every run of the tests, all of it with `python -m tests.faults`."""

from __future__ import annotations

import os
import random
from typing import Final

FULL: Final = os.environ.get("RELAY_FAULTS") == "full"


def seed() -> int:
    """RELAY_SEED, or another one each time; it is printed with what came of it."""
    asked = os.environ.get("RELAY_SEED")
    return int(asked) if asked else random.SystemRandom().randrange(1_000_000)
