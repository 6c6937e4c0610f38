"""A position's arithmetic, by hand-computed examples."""

from __future__ import annotations

from decimal import Decimal

import pytest

from relay.paper.orders import ZERO, Side
from relay.paper.state import Position, apply_fill, load, profit

INSTRUMENTS = load()
LINEAR, INVERSE = INSTRUMENTS["BTCUSDT"], INSTRUMENTS["BTCUSD"]


def position(symbol: str = "BTCUSDT") -> Position:
    return Position(symbol=symbol, idx=0)


def test_a_linear_average_price_weighs_coins() -> None:
    held = position()
    apply_fill(held, LINEAR, Side.BUY, Decimal(1), Decimal(100), Decimal(0))
    apply_fill(held, LINEAR, Side.BUY, Decimal(3), Decimal(200), Decimal(0))
    assert (held.size, held.avg_price) == (Decimal(4), Decimal(175))


def test_an_inverse_average_price_weighs_what_the_contracts_are_worth() -> None:
    held = position("BTCUSD")
    apply_fill(held, INVERSE, Side.SELL, Decimal(100), Decimal(100), Decimal(0))
    apply_fill(held, INVERSE, Side.SELL, Decimal(100), Decimal(300), Decimal(0))
    assert held.size == -200
    assert held.avg_price.quantize(Decimal("0.0001")) == Decimal(150)


def test_reducing_leaves_the_average_price_alone() -> None:
    held = position()
    apply_fill(held, LINEAR, Side.SELL, Decimal(2), Decimal(100), Decimal(0))
    closed = apply_fill(held, LINEAR, Side.BUY, Decimal("0.5"), Decimal(90), Decimal(0))
    assert (held.size, held.avg_price) == (Decimal("-1.5"), Decimal(100))
    assert (closed.qty, closed.pnl) == (Decimal("0.5"), Decimal(5))


def test_one_fill_may_close_and_open_the_other_side() -> None:
    held = position()
    apply_fill(held, LINEAR, Side.BUY, Decimal(1), Decimal(100), Decimal(0))
    closed = apply_fill(held, LINEAR, Side.SELL, Decimal(3), Decimal(110), Decimal(6))
    assert (held.size, held.avg_price) == (Decimal(-2), Decimal(110))
    assert (closed.qty, closed.pnl, closed.close_fee) == (Decimal(1), Decimal(10), Decimal(2))
    assert held.open_fee == 4


@pytest.mark.parametrize(
    ("size", "entry", "exit_", "earned"),
    [("1000", "50000", "40000", "-0.005"), ("1000", "40000", "50000", "0.005"), ("-1000", "50000", "40000", "0.005")],
)
def test_inverse_profit_is_contracts_times_the_difference_of_the_reciprocals(
    size: str, entry: str, exit_: str, earned: str
) -> None:
    got = profit(INVERSE, Decimal(size), Decimal(entry), Decimal(exit_))
    assert got.quantize(Decimal("0.00000001")) == Decimal(earned)


def test_a_closed_position_is_empty_and_keeps_its_leverage() -> None:
    held = position()
    held.leverage = Decimal(25)
    apply_fill(held, LINEAR, Side.BUY, Decimal(1), Decimal(100), Decimal(1))
    apply_fill(held, LINEAR, Side.SELL, Decimal(1), Decimal(100), Decimal(1))
    assert (held.size, held.avg_price, held.open_fee, held.leverage) == (ZERO, ZERO, ZERO, Decimal(25))
    assert held.total_realised == -2


def test_the_table_has_thirty_perpetuals_expiring_futures_and_contracts_that_do_not_trade() -> None:
    perpetuals = [i for i in INSTRUMENTS.values() if i.contract_type.endswith("Perpetual") and i.status == "Trading"]
    assert len(perpetuals) >= 30
    assert {"USDT", "USDC", "BTC", "ETH"} <= {i.settle_coin for i in perpetuals}
    assert {"LinearFutures", "InverseFutures"} <= {i.contract_type for i in INSTRUMENTS.values()}
    assert {"Closed", "PreLaunch"} <= {i.status for i in INSTRUMENTS.values()}


def test_every_instrument_of_the_table_keeps_its_own_rules() -> None:
    for instrument in INSTRUMENTS.values():
        assert instrument.start_price % instrument.tick_size == 0, instrument.symbol
        assert instrument.min_qty % instrument.qty_step == 0, instrument.symbol
        assert instrument.max_market_qty <= instrument.max_limit_qty, instrument.symbol
