"""What fills came to: by average cost, over both sides, linear and inverse."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from relay.domain.instrument import Category
from relay.domain.order import Side
from relay.domain.performance import Equity, FillRow, equity_curve, percentile, results, tallies, worth_of

D = Decimal


def _fill_row(side: Side, qty: str, price: str, *, category: Category = Category.LINEAR, fee: str = "0") -> FillRow:
    return FillRow(
        signal_id="s",
        strategy="trend",
        account="main",
        category=category,
        symbol="BTCUSDT" if category is Category.LINEAR else "BTCUSD",
        side=side,
        qty=D(qty),
        price=D(price),
        fee=D(fee),
        at_ms=0,
    )


def test_a_long_that_is_closed_higher_gains_the_difference_times_its_size() -> None:
    made = results([_fill_row(Side.BUY, "2", "100"), _fill_row(Side.BUY, "2", "110"), _fill_row(Side.SELL, "1", "115")])
    assert [each.realised for each in made] == [0, 0, D(10)]
    assert [each.closed for each in made] == [False, False, True]


def test_a_flip_realises_the_old_side_only_and_starts_the_new_one_at_its_price() -> None:
    made = results([_fill_row(Side.BUY, "1", "100"), _fill_row(Side.SELL, "3", "90"), _fill_row(Side.BUY, "2", "80")])
    assert [each.realised for each in made] == [0, D(-10), D(20)]


def test_inverse_contracts_gain_in_coins_reckoned_at_the_exit_price() -> None:
    made = results(
        [
            _fill_row(Side.BUY, "100", "50000", category=Category.INVERSE),
            _fill_row(Side.SELL, "100", "100000", category=Category.INVERSE, fee="0.00001"),
        ]
    )
    assert made[1].realised == D(100)
    assert made[1].fee == D(1)


def test_a_tally_counts_wins_losses_and_fees() -> None:
    fill_rows = [
        *(_fill_row(Side.BUY, "1", "100", fee="0.1"), _fill_row(Side.SELL, "1", "101", fee="0.1")),
        *(_fill_row(Side.SELL, "1", "100", fee="0.1"), _fill_row(Side.BUY, "1", "103", fee="0.1")),
    ]
    tally = tallies(fill_rows)["trend"]
    assert (tally.fills, tally.wins, tally.losses, tally.realised, tally.fees) == (4, 1, 1, D(-2), D("0.4"))


_FILL = st.tuples(st.sampled_from(Side), st.integers(1, 50), st.integers(1, 500))


@given(st.lists(_FILL, min_size=1, max_size=30))
def test_what_is_realised_when_flat_again_is_the_money_that_came_in_less_what_went_out(
    fills: list[tuple[Side, int, int]],
) -> None:
    fill_rows = [_fill_row(side, str(qty), str(price)) for side, qty, price in fills]
    held = sum((each.qty * each.side.sign for each in fill_rows), D(0))
    if held:
        side = Side.SELL if held > 0 else Side.BUY
        fill_rows.append(_fill_row(side, str(abs(held)), "77"))
    money = -sum((each.qty * each.side.sign * each.price for each in fill_rows), D(0))
    realised = sum((each.realised for each in results(fill_rows)), D(0))
    assert abs(realised - money) < D("1e-20")


def test_a_percentile_is_a_value_that_occurs() -> None:
    assert percentile([], 50) is None
    assert [percentile([3, 1, 2, 4], share) for share in (1, 50, 75, 99, 100)] == [1, 2, 3, 4, 4]


def _equity(at_ms: int, coin: str, amount: str, usd: str | None = None) -> Equity:
    return Equity(coin=coin, equity=D(amount), unrealised=D(0), usd=None if usd is None else D(usd), at_ms=at_ms)


def test_what_coins_are_worth_is_what_the_exchange_says_and_a_dollars_coin_counts_as_one_without() -> None:
    points = [
        _equity(0, "USDT", "10", "9.99"),
        _equity(0, "USDC", "5"),
        _equity(0, "BTC", "1", "70"),
        _equity(0, "X", "8"),
    ]
    assert worth_of(points) == D("84.99")
    assert [each.worth for each in points] == [D("9.99"), D(5), D(70), None]


def test_a_curve_adds_up_all_accounts_and_an_account_that_begins_later_is_no_gain() -> None:
    points = {
        "one": [_equity(1, "USDT", "100"), _equity(31, "USDT", "90"), _equity(31, "BTC", "1", "20")],
        "two": [_equity(21, "USDT", "1000"), _equity(41, "USDT", "1001")],
        "none": [],
    }
    assert equity_curve(points, every_ms=10) == [(1, D(1100)), (21, D(1100)), (31, D(1110)), (41, D(1111))]


def test_of_each_span_the_last_look_counts_and_of_no_other_look_a_part() -> None:
    # What was thinned out keeps of a coin that was sold its own last row, beside the others' later one.
    points = {"one": [_equity(11, "BTC", "1", "500"), _equity(14, "USDT", "70"), _equity(21, "USDT", "71")]}
    assert equity_curve(points, every_ms=10) == [(14, D(70)), (21, D(71))]
    assert equity_curve({}, every_ms=10) == []
