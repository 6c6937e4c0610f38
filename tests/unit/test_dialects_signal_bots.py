"""The published messages of 3Commas, OKX and WunderTrading, and what their pages say of them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from relay.domain.signal import Action, Level, LevelKind, MarketSide, QtyUnit
from tests.unit.dialect_cases import Message, native_of, reading_of, signal_of
from tests.unit.dialect_messages import CODE, CUSTOM, EXIT, OKX_A, OKX_B, OKX_EXIT, STRATEGY, TIME, WUNDER, with_fields

LADDER = [("1%", "25%"), ("2%", "25%"), ("3%", "25%"), ("4%", "15%"), ("5%", "7%"), ("6%", "3%")]


def tp_legs(*pairs: tuple[str, str]) -> list[object]:
    return [{"at": at, "share": share} for at, share in pairs]


PUBLISHED: list[tuple[str, Message, dict[str, object]]] = [
    (
        "3commas",
        STRATEGY,
        {
            **{"ticker": "BTCUSDT.P", "exchange": "BYBIT", "time": TIME, "signal_price": "100000", "action": "buy"},
            **{"qty": "0.5", "qty_unit": "base", "market_position": "long", "market_position_size": "0.3"},
            **{"prev_market_position": "short", "prev_market_position_size": "0.2"},
        },
    ),
    (
        "3commas",
        CUSTOM,
        {
            **{"ticker": "BTCUSDT.P", "exchange": "BYBIT", "time": TIME, "action": "buy", "market_position": "long"},
            **{"qty": "150", "qty_unit": "quote", "type": "market", "stop_loss": "1%"},
            "take_profit": tp_legs(("1%", "25"), ("2%", "25"), ("3%", "25"), ("4%", "25")),
        },
    ),
    (
        "3commas",
        EXIT,
        {
            **{"ticker": "BTCUSDT.P", "exchange": "BYBIT", "time": TIME, "action": "close_long"},
            **{"qty": "100", "qty_unit": "position_pct"},
        },
    ),
    (
        "okx",
        OKX_A,
        {
            **{"ticker": "BTCUSDT.P", "time": TIME, "order_id": "Long Exit", "action": "sell"},
            **{"market_position": "flat", "market_position_size": "0"},
            **{"prev_market_position": "long", "prev_market_position_size": "0.012985"},
        },
    ),
    (
        "okx",
        OKX_B,
        {
            **{"ticker": "BTC-USDT-SWAP", "time": TIME, "action": "buy", "market_position": "long"},
            **{"qty": "100", "qty_unit": "margin_pct"},
        },
    ),
    (
        "okx",
        OKX_EXIT,
        {
            **{"ticker": "BTC-USDT-SWAP", "time": TIME, "action": "close_long"},
            **{"qty": "100", "qty_unit": "position_pct"},
        },
    ),
    (
        "wundertrading",
        WUNDER,
        {
            **{"ticker": "BTCUSDT", "exchange": "BYBIT", "action": "long", "qty": "150", "qty_unit": "quote"},
            **{"type": "market", "take_profit": tp_legs(*LADDER), "stop_loss": "1%"},
        },
    ),
    (
        "wundertrading",
        {"code": CODE, "amountPerTrade": "1.0", "amountPerTradeType": "percents"},
        {"ticker": "BTCUSDT", "exchange": "BYBIT", "action": "long", "qty": "100", "qty_unit": "equity_pct"},
    ),
    (
        "wundertrading",
        {"code": "Exit-All", "orderType": "market", "reduceOnly": True, "ticker": "BTCUSDT.P"},
        {"ticker": "BTCUSDT.P", "action": "flat", "type": "market"},
    ),
]


@pytest.mark.parametrize(("service", "published", "meant"), PUBLISHED, ids=lambda value: str(value)[:60])
def test_a_published_message_is_recognised_and_means_what_its_page_says(
    service: str, published: Message, meant: dict[str, object]
) -> None:
    assert native_of(published) == (service, meant)
    signal_of(published)


def test_a_strategys_fill_is_read_with_where_the_strategy_stands() -> None:
    signal = signal_of(STRATEGY)
    assert (signal.action, signal.market_position) == (Action.BUY, MarketSide.LONG)
    assert str(signal.market_position_size) == "0.3" and str(signal.qty) == "0.5"


@pytest.mark.parametrize(
    ("message", "own", "side"),
    [
        (with_fields(CUSTOM, order={"amount": "0.1", "currency_type": "base"}), "buy", "long"),
        (with_fields(CUSTOM, action="enter_short", order={"amount": "0.1", "currency_type": "base"}), "sell", "short"),
        (with_fields(OKX_B, investmentType="base", amount="0.1"), "buy", "long"),
        (with_fields(OKX_B, action="enter_short", investmentType="base", amount="0.1"), "sell", "short"),
    ],
    ids=str,
)
def test_an_entry_leaves_the_other_side_and_adds_to_its_own(message: Message, own: str, side: str) -> None:
    """As the fill of a strategy that stands at the size itself: a flip goes there, an addition adds it."""
    signal = signal_of(message)
    assert (signal.action.value, signal.market_position) == (own, MarketSide(side))
    assert signal.qty == signal.market_position_size and str(signal.qty) == "0.1"
    assert signal.prev_market_position is None


def test_an_id_of_okx_names_an_order_and_is_no_identity() -> None:
    signal = signal_of(OKX_A)
    assert signal.order_id == "Long Exit" and signal.sender_id is None


def test_an_amount_of_okx_without_its_type_is_the_strategys_contracts() -> None:
    signal = signal_of(
        with_fields(OKX_A, marketPosition="long", marketPositionSize="0.01", investmentType=None, amount="0.002985")
    )
    assert (signal.action, signal.qty_unit) == (Action.SELL, QtyUnit.BASE)


@pytest.mark.parametrize(
    ("message", "action"),
    [
        (with_fields(OKX_A, marketPosition="long", investmentType="percentage_position", amount="50"), "close_long"),
        (
            with_fields(
                STRATEGY,
                strategy_info__market_position="short",
                order={"amount": "50", "currency_type": "position_percent"},
            ),
            "close_short",
        ),
    ],
    ids=str,
)
def test_a_share_of_the_position_only_reduces(message: Message, action: str) -> None:
    signal = signal_of(message)
    assert (signal.action.value, str(signal.qty), signal.qty_unit) == (action, "50", QtyUnit.POSITION_PCT)


@pytest.mark.parametrize(
    "message",
    [
        with_fields(OKX_A, investmentType="contract", amount="3"),
        with_fields(STRATEGY, action="sell", strategy_info__market_position="flat", order={"amount": "x"}),
    ],
    ids=str,
)
def test_an_exit_of_the_whole_position_asks_for_no_size(message: Message) -> None:
    signal = signal_of(message)
    assert signal.market_position is MarketSide.FLAT and signal.qty is None


@pytest.mark.parametrize(
    "message", [with_fields(CUSTOM, order=None), with_fields(OKX_B, investmentType=None, amount="")]
)
def test_an_entry_without_a_size_takes_the_default_one(message: Message) -> None:
    assert signal_of(message).qty is None


@pytest.mark.parametrize("message", [with_fields(CUSTOM, take_profit={"enabled": False}, stop_loss={"enabled": False})])
def test_stops_that_are_off_are_left_out(message: Message) -> None:
    signal = signal_of(message)
    assert signal.take_profits == () and signal.stop_loss is None


def test_the_lag_bounds_an_entrys_age() -> None:
    assert signal_of(STRATEGY).max_age_s == 300
    assert str(signal_of(with_fields(OKX_B, maxLag="0.5")).max_age_s) == "0.5"
    assert signal_of(with_fields(OKX_B, maxLag=None)).max_age_s is None
    assert signal_of(with_fields(OKX_B, maxLag="")).max_age_s is None


def test_margin_is_money_that_the_leverage_multiplies() -> None:
    signal = signal_of(with_fields(OKX_B, investmentType="margin", amount="50"))
    assert (signal.qty, signal.qty_unit) == (Decimal(50), QtyUnit.MARGIN_QUOTE)


@pytest.mark.parametrize(
    ("code", "action", "ticker"),
    [
        (CODE, "long", "BTCUSDT"),
        ("ENTER-SHORT_Bybit_BTCUSDT_a_b_c_15M_8b9f1a73de3fa902b45b458e", "short", "BTCUSDT"),
        ("EXIT-LONG_Binance_ETHUSDT_BTC-BOT_5M_d99ea7958787b1d1fa0e0978", "close_long", "ETHUSDT"),
        ("EXIT-SHORT_Bybit_BTCUSDT_x_5M_d99ea7958787b1d1fa0e0978", "close_short", "BTCUSDT"),
        ("EXIT-ALL_Bybit_BTCUSDT_x_5M_d99ea7958787b1d1fa0e0978", "flat", "BTCUSDT"),
    ],
)
def test_a_code_says_what_to_do_and_with_what_pair(code: str, action: str, ticker: str) -> None:
    native = native_of({"code": code})[1]
    assert (native["action"], native["ticker"]) == (action, ticker)


def test_a_code_gives_up_its_secret() -> None:
    reading = reading_of(WUNDER)
    assert reading.secret == "8e34479cfe49027eda195457"
    assert reading.fields["code"] == "ENTER-LONG_Bybit_BTCUSDT_Eth short 15_15M"


def test_ratios_of_wundertrading_are_fractions() -> None:
    signal = signal_of(with_fields(WUNDER, takeProfits=None, stopLoss={"priceDeviation": "0.0155"}))
    assert signal.stop_loss is not None
    assert (signal.stop_loss.kind, str(signal.stop_loss.value)) == (LevelKind.PERCENT, "1.55")
    at_price = signal_of(with_fields(WUNDER, takeProfits=[{"price": 70000, "portfolio": 1}]))
    assert at_price.take_profits[0].at == Level(kind=LevelKind.PRICE, value=at_price.take_profits[0].at.value)


def test_a_limit_order_of_wundertrading_lives_for_minutes() -> None:
    signal = signal_of(with_fields(WUNDER, orderType="limit", price=90000, timeToLive=5))
    assert signal.valid_for_s == 300
