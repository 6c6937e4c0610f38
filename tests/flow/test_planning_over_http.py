"""The planning table, row by row: an alert to a running relay, and what the paper exchange has of it afterwards.

Sizes are in lots, so that each row is the same on linear USDT, linear USDC and inverse. An order reads `side lots`, or
`side lots reduce-only`, as the exchange has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import cycle
from typing import Any

import pytest

from relay.domain.instrument import plain
from tests.flow.desk import BTC, BTC_INVERSE, MARKETS, AccountApi, Market, open_account_api
from tests.paper_server import PaperServer
from tests.unit.test_planning_table import FLAT, LONG2, NOTHING, ROWS, SHORT2

MAX_ORDER_NOTIONAL = "1000000"
_SIZES = ("market_position_size", "prev_market_position_size", "position_size")
LONG_AGO = "2025-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def limited(paper: PaperServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccountApi]:
    """Another relay on the same account, with a limit."""
    with open_account_api(
        tmp_path_factory.mktemp("limited"), paper, MAX_ORDER_NOTIONAL=MAX_ORDER_NOTIONAL
    ) as account_api:
        yield account_api


def in_units(market: Market, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with their sizes in the exchange's unit instead of lots; `quote` in money, percents as they are."""
    unit = fields.get("qty_unit")
    sizes = {name: plain(Decimal(fields[name]) * Decimal(market.lot)) for name in _SIZES if name in fields}
    if unit == "quote":
        sizes["qty"] = market.quote(fields["qty"])
    elif unit is None and "qty" in fields:
        sizes["qty"] = plain(Decimal(fields["qty"]) * Decimal(market.lot))
    if unit is None and market.is_inverse:
        sizes["qty_unit"] = "contracts"
    return fields | sizes


def lots(market: Market, size: str) -> Decimal:
    return Decimal(size) * Decimal(market.lot)


def requested(account_api: AccountApi, market: Market, p: str, action: str, fields: dict[str, Any]) -> dict[str, Any]:
    """What became of the alert with a position of `p` lots that was there before."""
    account_api.hold(market, lots(market, p))
    return account_api.send(market, action, **in_units(market, fields))


def as_arriving(action: str, fields: dict[str, Any], order: str) -> str:
    """`side lots purpose` of the table, as the order arrives at the exchange.

    A plain `buy` is sent without reading the position, so what it turns out to reduce is not marked so.
    """
    side_and_lots, _, purpose = order.rpartition(" ")
    is_plain = action in ("buy", "sell") and not fields.keys() & {"market_position", "reduce_only"}
    return f"{side_and_lots} reduce-only" if purpose == "exit" and not is_plain else side_and_lots


def code_of(signal: dict[str, Any]) -> str:
    return str(signal["reason"]["code"])


def in_turn(rows: Mapping[str, tuple[Any, ...]]) -> list[Any]:
    """Each row on one of the markets."""
    turns = zip(rows.items(), cycle(MARKETS), strict=False)
    return [pytest.param(market, *row, id=f"{name}-{market.symbol}") for (name, row), market in turns]


each_market = pytest.mark.parametrize("market", MARKETS, ids=lambda each: each.symbol)


@each_market
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_each_row_of_the_table_arrives_and_leaves_the_position_where_it_says(
    account_api: AccountApi, row: tuple[str, dict[str, Any], str, list[str], str], market: Market
) -> None:
    action, fields, p, orders, end = row
    signal = requested(account_api, market, p, action, fields)
    assert (signal["status"], signal["reason"]) == ("done", None)
    assert account_api.shown(market, signal) == [as_arriving(action, fields, order) for order in orders]
    assert {order["status"] for order in signal["orders"]} == {"filled"}
    assert account_api.position(market) == lots(market, end)


@pytest.mark.parametrize(("market", "action", "fields", "p", "note"), in_turn(NOTHING))
def test_where_there_is_nothing_to_do_nothing_arrives_and_it_says_so(
    account_api: AccountApi, market: Market, action: str, fields: dict[str, Any], p: str, note: str
) -> None:
    signal = requested(account_api, market, p, action, fields)
    assert (signal["status"], signal["reason"], signal["orders"]) == ("done", None, [])
    assert any(note in each for each in signal["notes"]), signal["notes"]
    assert account_api.position(market) == lots(market, p)


# Sizes of the user's own, in another unit than the strategy's

_OLD4 = {"prev_market_position": "long", "prev_market_position_size": "4"}
OWN: dict[str, tuple[str, dict[str, Any], str, list[str], str]] = {
    "buy for money": ("buy", {"qty": "2"}, "0", ["buy 2"], "2"),
    "buy for money, whatever is open": ("buy", {"qty": "2"}, "-1", ["buy 2"], "1"),
    "to flat closes all": ("sell", {"qty": "1", **FLAT}, "5", ["sell 5 reduce-only"], "0"),
    "still long: the share that the strategy closed": (
        "sell",
        {"qty": "1", **LONG2, **_OLD4},
        "3",
        ["sell 1.5 reduce-only"],
        "1.5",
    ),
    "still short: the share that the strategy closed": (
        "buy",
        {"qty": "1", **SHORT2, "prev_market_position": "short", "prev_market_position_size": "4"},
        "-5",
        ["buy 2.5 reduce-only"],
        "-2.5",
    ),
    "sides differ: that size on the new side": (
        "buy",
        {"qty": "3", **LONG2, "prev_market_position": "short"},
        "-4",
        ["buy 7"],
        "3",
    ),
    "the same side: that delta": ("buy", {"qty": "3", **LONG2, "prev_market_position": "flat"}, "0", ["buy 3"], "3"),
    "long opens": ("long", {"qty": "2"}, "0", ["buy 2"], "2"),
    "long flips": ("long", {"qty": "2"}, "-3", ["buy 5"], "2"),
    "long is there already, however small": ("long", {"qty": "2"}, "1", [], "1"),
    "short is there already, however large": ("short", {"qty": "2"}, "-3", [], "-3"),
    "target: the strategy's side and your size": ("target", {"qty": "3", **SHORT2}, "1", ["sell 4"], "-3"),
    "target flat": ("target", {"qty": "3", **FLAT}, "1", ["sell 1 reduce-only"], "0"),
    "close for money": ("close", {"qty": "2"}, "5", ["sell 2 reduce-only"], "3"),
    "reverse for money": ("reverse", {"qty": "2"}, "5", ["sell 7"], "-2"),
}
PERCENT: dict[str, tuple[str, dict[str, Any], str, list[str], str]] = {
    "buy half of what is open": ("buy", {"qty": "50"}, "2", ["buy 1"], "3"),
    "sell half of what is open": ("sell", {"qty": "50", "reduce_only": True}, "4", ["sell 2 reduce-only"], "2"),
    "close a quarter": ("close", {"qty": "25"}, "-4", ["buy 1 reduce-only"], "-3"),
    "reverse to half": ("reverse", {"qty": "50"}, "4", ["sell 6"], "-2"),
}
_OWN = {
    **{name: (row, "quote") for name, row in OWN.items()},
    **{name: (row, "position_pct") for name, row in PERCENT.items()},
}


@each_market
@pytest.mark.parametrize(("row", "unit"), _OWN.values(), ids=_OWN.keys())
def test_a_size_in_another_unit_is_the_users_own(
    account_api: AccountApi, row: tuple[str, dict[str, Any], str, list[str], str], unit: str, market: Market
) -> None:
    action, fields, p, orders, end = row
    signal = requested(account_api, market, p, action, {**fields, "qty_unit": unit})
    assert (signal["status"], signal["reason"]) == ("done", None)
    assert account_api.shown(market, signal) == orders
    assert account_api.position(market) == lots(market, end)


@each_market
def test_a_share_of_the_equity_is_a_notional(account_api: AccountApi, market: Market) -> None:
    account_api.control.account(balances={"USDT": "100000", "USDC": "100000", "BTC": "0.1"})
    signal = account_api.send(market, "buy", qty="20", qty_unit="equity_pct")
    assert signal["status"] == "done"
    assert account_api.shown(market, signal) == ["buy 2"]


def test_coins_on_inverse_are_contracts_at_the_price(account_api: AccountApi) -> None:
    signal = account_api.send(BTC_INVERSE, "buy", qty="0.02", qty_unit="base")
    assert (signal["status"], account_api.held(BTC_INVERSE)) == ("done", "2000")


# What is denied

DENIED: dict[str, tuple[Market, str, str, dict[str, Any], str, str]] = {
    "reverse of nothing": (BTC, "0", "reverse", {"qty": "1"}, "POSITION_NONE", "no position"),
    "an entry without a size": (BTC, "0", "buy", {}, "QTY_MISSING", "DEFAULT_SIZE"),
    "a bare size on inverse": (BTC_INVERSE, "0", "buy", {"qty": "100"}, "QTY_UNIT_NEEDED", "contracts"),
    "under the minimum quantity": (BTC, "0", "buy", {"qty": "0.0009"}, "QTY_BELOW_MIN", "0.0009 was asked for"),
    "under the minimum notional": (BTC, "0", "buy", {"qty": "4", "qty_unit": "quote"}, "QTY_BELOW_MIN", "0.001"),
    "a long that does not exceed it": (BTC, "0", "long", {"qty": "0.0005"}, "QTY_BELOW_MIN", "0.001"),
    "a new entry of an old alert": (BTC, "0", "long", {"qty": "1", "time": LONG_AGO}, "TIME_TOO_OLD", "{{timenow}}"),
    "an addition of an old alert": (BTC, "1", "buy", {"qty": "1", "time": LONG_AGO}, "TIME_TOO_OLD", "{{timenow}}"),
}


@pytest.mark.parametrize(("market", "p", "action", "fields", "code", "words"), DENIED.values(), ids=DENIED.keys())
def test_an_entry_that_may_not_go_out_is_denied_and_says_why(
    account_api: AccountApi, market: Market, p: str, action: str, fields: dict[str, Any], code: str, words: str
) -> None:
    account_api.hold(market, p)
    signal = account_api.send(market, action, **fields)
    assert signal["status"] == ("expired" if code == "TIME_TOO_OLD" else "denied")
    assert code_of(signal) == code
    assert words in signal["reason"]["message"]
    assert (signal["orders"], account_api.held(market)) == ([], p)


def test_an_entry_under_the_minimum_notional_is_denied(account_api: AccountApi) -> None:
    xrp = Market(ticker="XRPUSDT.P", symbol="XRPUSDT")
    signal = account_api.send(xrp, "buy", qty="1.9")
    assert (signal["status"], code_of(signal), signal["orders"]) == ("denied", "NOTIONAL_BELOW_MIN", [])


# The entry held back, its exit sent alone

HELD_BACK: dict[str, tuple[str, dict[str, Any]]] = {
    "sell": ("sell", {"qty": "5"}),
    "short": ("short", {"qty": "2"}),
    "reverse": ("reverse", {}),
    "target": ("target", SHORT2),
    "fill": ("sell", {"qty": "5", **SHORT2, "prev_market_position": "long"}),
}
EXITS: dict[str, tuple[str, dict[str, Any], str]] = {
    "close": ("close", {}, "0"),
    "close of a part": ("close", {"qty": "1"}, "2"),
    "close_long": ("close_long", {}, "0"),
    "flat": ("flat", {}, "0"),
    "exit": ("exit", {}, "0"),
    "target flat": ("target", FLAT, "0"),
    "target smaller": ("target", LONG2, "2"),
    "fill to flat": ("sell", {"qty": "3", **FLAT}, "0"),
    "fill that reduces": ("sell", {"qty": "1", **LONG2}, "2"),
    "delta that reduces": ("sell", {"qty": "1"}, "2"),
}


@pytest.fixture
def halted(account_api: AccountApi) -> Iterator[AccountApi]:
    account_api.relay.api("halt", "POST")
    yield account_api
    account_api.relay.api("resume", "POST")


def sent_alone(account_api: AccountApi, market: Market, signal: dict[str, Any]) -> None:
    """Of a flip from 3 lots long only the exit arrived, and it is said why."""
    assert (signal["status"], code_of(signal)) == ("done", "ENTRY_WITHHELD")
    assert any(note.startswith("ENTRY_WITHHELD: ") for note in signal["notes"]), signal["notes"]
    assert account_api.shown(market, signal) == ["sell 3 reduce-only"]
    assert account_api.held(market) == "0"


@pytest.mark.parametrize(("market", "action", "fields"), in_turn(HELD_BACK))
def test_an_old_flip_is_an_exit(account_api: AccountApi, action: str, fields: dict[str, Any], market: Market) -> None:
    signal = requested(account_api, market, "3", action, {**fields, "time": LONG_AGO})
    sent_alone(account_api, market, signal)
    assert "{{timenow}}" in signal["reason"]["message"]


@pytest.mark.parametrize(("market", "action", "fields"), in_turn(HELD_BACK))
def test_a_flip_while_halted_is_an_exit(
    halted: AccountApi, action: str, fields: dict[str, Any], market: Market
) -> None:
    sent_alone(halted, market, requested(halted, market, "3", action, fields))


@pytest.mark.parametrize(("action", "fields", "end"), EXITS.values(), ids=EXITS.keys())
def test_no_exit_is_withheld_neither_by_age_nor_by_a_halt(
    halted: AccountApi, action: str, fields: dict[str, Any], end: str
) -> None:
    signal = requested(halted, BTC, "3", action, {**fields, "time": LONG_AGO})
    assert (signal["status"], signal["reason"]) == ("done", None)
    assert all(order["reduce_only"] for order in signal["orders"])
    assert halted.position(BTC) == lots(BTC, end)


def test_nothing_is_opened_while_halted(halted: AccountApi) -> None:
    signal = halted.send(BTC, "buy", qty="0.1")
    assert (signal["status"], code_of(signal), halted.held(BTC)) == ("denied", "HALTED", "0")


@pytest.mark.parametrize("market", [BTC, BTC_INVERSE], ids=lambda each: each.symbol)
def test_the_limit_of_one_order_holds_back_entries_only(limited: AccountApi, market: Market) -> None:
    limited.control.reset()
    limited.control.account(balances={"USDT": "10000000", "BTC": "100"})
    over = "1001000" if market.is_inverse else "10.01"
    unit = {"qty_unit": "contracts"}
    denied = limited.send(market, "buy", qty=over, **unit)
    assert (denied["status"], code_of(denied), limited.held(market)) == ("denied", "LIMIT_ORDER_NOTIONAL", "0")
    limited.hold(market, lots(market, "3"))
    sent_alone(limited, market, limited.send(market, "short", qty=over, **unit))
    limited.hold(market, over)
    closed = limited.send(market, "close")
    assert (closed["status"], closed["reason"], limited.held(market)) == ("done", None, "0")
