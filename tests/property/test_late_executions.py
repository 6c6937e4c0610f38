"""Whatever order executions are told in, and however often, the journal comes to the same trades and sums."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete

from relay.domain.instrument import Category
from relay.domain.trades import Trade
from relay.journal.ledger import DAY_MS, Ledger
from relay.journal.opening import open_journal
from relay.journal.tables import booked_until, bookings, day_totals, trade_totals, trades
from relay.journal.trades import TradeFilter
from tests.property.test_trades import STEP, Netted, Played, played

NOW_MS = 1_767_225_600_000


def _exchange(steps: list[Played]) -> Netted:
    """Without orders of the relay's: what the journal knows of them is another test's."""
    exchange = played(Category.LINEAR, steps)
    exchange.entries = [(replace(entry, at_ms=NOW_MS - 1000 + entry.at_ms * 10), None) for entry, _ in exchange.entries]
    return exchange


def _found(ledger: Ledger) -> tuple[dict[str, Trade], object, object]:
    found, _ = ledger.trades(TradeFilter(), limit=1000)
    return {each.id: each for each in found}, ledger.strategy_results(0), ledger.days("main", 0)


def _empty(connection: Connection) -> None:
    for table in (bookings, trades, trade_totals, day_totals, booked_until):
        connection.execute(delete(table))


@settings(max_examples=8)
@given(st.lists(STEP, min_size=1, max_size=25), st.randoms(use_true_random=False))
def test_the_trades_do_not_depend_on_when_their_executions_are_told(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Played], chance: random.Random
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    entries = [entry for entry, _ in _exchange(steps).entries]
    if not entries:
        return
    journal = open_journal(f"sqlite:///{folder}/relay.db")
    try:
        ledger = Ledger(journal.store)
        ledger.begin("main", entries, since_ms=NOW_MS - DAY_MS, until_ms=NOW_MS)
        in_order = _found(ledger)
        journal.store.submit(_empty)
        # Some do not say what they gained, as those that are listed: the transaction log says it afterwards.
        shuffled = [replace(each, realised=None) if chance.random() < 0.4 else each for each in entries]
        chance.shuffle(shuffled)
        while shuffled:
            count = chance.randint(1, 4)
            told, shuffled = shuffled[:count], shuffled[count:]
            again = chance.sample(entries, chance.randint(0, len(entries) - len(shuffled)))
            ledger.book("main", [*told, *(each for each in again if each not in shuffled)], now_ms=NOW_MS)
        results = {(each.exec_id, each.coin): each.realised or Decimal(0) for each in entries}
        ledger.take_log("main", {}, results, from_ms=NOW_MS - DAY_MS, until_ms=NOW_MS)
        assert _found(ledger) == in_order
    finally:
        journal.close()
