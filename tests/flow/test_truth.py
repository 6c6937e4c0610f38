"""Whatever ends a trade, on whichever account: the ledger is the wallet's, and each trade what the exchange says."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.faults.stage import until
from tests.flow.truth import play_and_compare, three_venues
from tests.flow.venue import Venue
from tests.relay_server import running_relay

pytestmark = pytest.mark.slow


def test_random_round_trips_over_three_accounts_come_to_what_the_wallets_changed_by(tmp_path: Path) -> None:
    assert "all as expected" in play_and_compare(tmp_path, 30, seed=5)


def test_so_they_do_on_an_exchange_that_tells_things_less_kindly(tmp_path: Path) -> None:
    assert "all as expected" in play_and_compare(tmp_path, 24, 7, partial(three_venues, 7))


def test_coins_sold_while_the_stream_was_away_are_booked_though_the_list_lags_behind(tmp_path: Path) -> None:
    venue = Venue(1)
    try:
        with running_relay(tmp_path, venue.url, BYBIT_RECV_WINDOW="5000") as relay:
            coins = {"ticker": "ETHUSDT", "market": "spot"}
            relay.done({"action": "buy", "qty": "0.5", "id": "in", **coins})
            until(lambda: bool(relay.api("trades")["trades"]), 20)
            venue.late_s = 3
            relay.done({"action": "close", "id": "out", **coins})
            venue.streams(cut=True)
            until(lambda: relay.api("trades")["trades"][0]["status"] == "closed", 40)
            assert venue.wallet["ETH"] == 3
    finally:
        venue.close()
