"""The proof's steps on any instrument: each order is one that the exchange takes, and they end with nothing open."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from relay.domain.instrument import Category, Instrument, is_on_grid
from relay.execution.smoke_trade import plan_smoke_trade

STEPS = st.sampled_from([Decimal(text) for text in ("0.001", "0.01", "0.1", "1", "10", "100")])


@st.composite
def instruments(draw: st.DrawFn) -> Instrument:
    step = draw(STEPS)
    category = draw(st.sampled_from(Category))
    return Instrument(
        category=category,
        symbol="ANYUSD",
        base_coin="ANY",
        quote_coin="USD",
        settle_coin="USD",
        is_trading=True,
        tick_size=draw(st.sampled_from([Decimal(text) for text in ("0.00001", "0.01", "0.5")])),
        price_min=Decimal("0.00001"),
        price_max=Decimal(10_000_000),
        qty_step=step,
        qty_min=step * draw(st.integers(1, 10)),
        qty_max=Decimal(10_000_000),
        qty_max_market=Decimal(10_000_000),
        notional_min=draw(st.sampled_from([Decimal(0), Decimal(5)])),
        leverage_max=Decimal(100),
    )


@given(instruments(), st.decimals("20", "200000", places=2))
def test_each_order_is_on_the_grid_above_the_minimum_and_they_add_up_to_nothing(
    instrument: Instrument, price: Decimal
) -> None:
    held = Decimal(0)
    for step in plan_smoke_trade(instrument, price):
        order = step.order
        assert order.qty >= instrument.qty_min and is_on_grid(order.qty, instrument.qty_step)
        assert instrument.notional(order.qty, price) >= instrument.notional_min
        before, held = held, held + order.side.sign * order.qty
        assert held == step.size_after
        assert not order.reduce_only or abs(held) < abs(before)
        levels = [level for level in (step.take_profit_after, step.stop_loss_after) if level is not None]
        assert all(is_on_grid(level, instrument.tick_size) for level in levels)
        if held:
            assert step.take_profit_after is not None and step.stop_loss_after is not None
            assert (step.take_profit_after - price) * held > 0 > (step.stop_loss_after - price) * held
    assert held == 0
