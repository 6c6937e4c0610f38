"""What holds for every test."""

from __future__ import annotations

import os

from hypothesis import settings

# The same examples in every run, so that a change is judged by what it changes; RELAY_EXPLORE=1 looks for new ones.
settings.register_profile("steady", derandomize=True, database=None)
settings.register_profile("explore", derandomize=False)
settings.load_profile("explore" if os.environ.get("RELAY_EXPLORE") else "steady")
