"""Random trouble: nothing lost, nothing doubled, nothing out of order. `python -m tests.faults` does more of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.chaos import Chaos, Counts
from tests.faults.scale import seed


@pytest.mark.timeout(400)
def test_under_random_kills_cuts_limits_and_resends_every_alert_takes_effect_once_and_in_order(tmp_path: Path) -> None:
    chaos = Chaos(tmp_path, seed=seed(), alerts=200, kills=7)
    counts = chaos.run()
    print(f"\n{Counts.heading()}\n{counts.row()}")
    assert chaos.problems == []
    assert counts.kills == 7
    assert counts.resends and counts.cut and counts.limited, "it was not chaotic at all"
