"""Whatever the entry, the stop and the grids are: the stop never costs more than was asked."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.domain.instrument import Instrument
from tests.builders import facts, inverse, level, linear, plan, rules, signal

pytestmark = pytest.mark.slow

_SEARCH = settings(max_examples=66, deadline=None, derandomize=True)
_INSTRUMENTS = st.sampled_from([linear(), linear(tick_size="0.5", qty_step="0.1", qty_min="0.1"), inverse()])
_AMOUNTS = st.integers(1, 10**7).map(lambda n: Decimal(n).scaleb(-3))
_PRICES = st.integers(10_000, 10**9).map(lambda n: Decimal(n).scaleb(-3))


@_SEARCH
@given(
    instrument=_INSTRUMENTS,
    action=st.sampled_from(["buy", "sell"]),
    amount=_AMOUNTS,
    market=_PRICES,
    limit_pct=st.none() | st.integers(60, 160),
    share=st.integers(1, 9_000).map(lambda n: Decimal(n).scaleb(-4)),
    unit=st.sampled_from(["risk_pct", "risk_quote"]),
)
def test_the_stop_never_costs_more_than_was_asked_for(
    instrument: Instrument,
    action: str,
    amount: Decimal,
    market: Decimal,
    limit_pct: int | None,
    share: Decimal,
    unit: str,
) -> None:
    """A limit on the taker's side of the market fills at the market's price, any other at its own."""
    sign, better = (1, min) if action == "buy" else (-1, max)
    equity, limit = Decimal("1234.567"), market * (limit_pct or 100) / 100
    entry = better(limit, market)
    fields = {"type": "limit", "price": limit} if limit_pct else {}
    requested = signal(action, qty=amount, qty_unit=unit, stop_loss=level(entry - sign * entry * share), **fields)
    made = plan(requested, rules(), facts(instrument, p=0, price=market, equity=equity))
    at_risk = Fraction(amount) / (Fraction(entry) if instrument.is_inverse else 1)
    if unit == "risk_pct":
        at_risk = Fraction(equity) * Fraction(amount) / 100
    lost = Fraction(0)
    for order in made.orders:
        assert order.stop_loss is not None and (entry - order.stop_loss) * sign > 0
        filled = Fraction(better(order.price or market, market))
        stop, qty = Fraction(order.stop_loss), Fraction(order.qty)
        lost += qty * (abs(1 / filled - 1 / stop) if instrument.is_inverse else abs(filled - stop))
    assert lost <= at_risk
