"""Random trouble: nothing lost, nothing doubled, nothing out of order. `python -m tests.faults` does more of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.chaos import Chaos, Counts, on_many_processes, on_one_relay
from tests.faults.scale import seed

pytestmark = pytest.mark.slow


def survived(chaos: Chaos, *, kills: int) -> Counts:
    counts = chaos.run()
    print(f"\n{Counts.heading()}\n{counts.row()}")
    assert chaos.problems == [], "\n".join(chaos.problems)
    assert counts.kills == kills
    return counts


@pytest.mark.timeout(400)
def test_under_random_kills_cuts_limits_and_resends_every_alert_takes_effect_once_and_in_order(tmp_path: Path) -> None:
    counts = survived(on_one_relay(tmp_path, seed=seed(), alerts=130, kills=5), kills=5)
    assert counts.resends and counts.cut and counts.limited, "it was not chaotic at all"


@pytest.mark.timeout(400)
def test_with_two_accounts_of_which_one_is_away_time_and_again_it_is_the_same_on_both(tmp_path: Path) -> None:
    counts = survived(on_one_relay(tmp_path, seed=seed(), alerts=60, kills=1, two_accounts=True), kills=1)
    assert counts.away_s and counts.cut, "it was not chaotic at all"


@pytest.mark.timeout(400)
def test_with_two_accounts_and_several_processes_on_postgres_and_any_of_them_killed_it_is_the_same(
    tmp_path: Path, postgres_url: str
) -> None:
    chaos = on_many_processes(tmp_path, postgres_url, seed=seed(), alerts=60, kills=3, two_accounts=True)
    counts = survived(chaos, kills=3)
    assert counts.resends and counts.cut, "it was not chaotic at all"
