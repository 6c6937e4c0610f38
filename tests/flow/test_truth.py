"""Whatever ends a trade, on whichever account: the ledger is the wallet's, and each trade what the exchange says."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.flow.truth import play_and_compare, three_venues

pytestmark = pytest.mark.slow


def test_random_round_trips_over_three_accounts_come_to_what_the_wallets_changed_by(tmp_path: Path) -> None:
    assert "all as expected" in play_and_compare(tmp_path, 30, seed=5)


def test_so_they_do_on_an_exchange_that_tells_things_less_kindly(tmp_path: Path) -> None:
    assert "all as expected" in play_and_compare(tmp_path, 24, 7, partial(three_venues, 7))
