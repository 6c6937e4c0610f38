"""How much is broken: a part in every run of the tests, all of it with `python -m tests.faults`."""

from __future__ import annotations

import os
import random
from typing import Final

FULL: Final = os.environ.get("RELAY_FAULTS") == "full"


def seed() -> int:
    """RELAY_SEED; else always the same one in the tests, and another one each time in a full run. It is printed."""
    requested = os.environ.get("RELAY_SEED")
    if requested:
        return int(requested)
    return random.SystemRandom().randrange(1_000_000) if FULL else 20_261
