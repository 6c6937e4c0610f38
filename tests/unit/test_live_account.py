"""An account as its streams tell it, and what is not believed of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import permutations
from unittest.mock import patch

import pytest

from relay.bybit.client import Exchange
from relay.bybit.market import Prices
from relay.bybit.stream_state import Awaited, KnownOrders, LiveAccount
from relay.bybit.streamed import StreamedExchange
from relay.bybit.wire_account import CoinBalance
from relay.bybit.wire_orders import ReportedPosition, reported_execution
from relay.domain.instrument import Category
from relay.domain.order import (
    Accepted,
    ErrorKind,
    NotSent,
    OrderRejected,
    OrderStatus,
    Outcome,
    PlannedOrder,
    RequestSignature,
    Unknown,
)
from relay.domain.position import Fill, OrderReport, Position
from relay.domain.spot import OwnCoins
from tests.unit.journal_builders import fill, planned, report

BTC = (Category.LINEAR, "BTCUSDT")
NOWHERE = "ws://127.0.0.1:9"
KNOWN_BY_ITS_ID = OrderRejected(code=110072, words="duplicate", refusal=ErrorKind.ALREADY_THERE)


def position_read(live: LiveAccount, size: str) -> None:
    held = Position(category=BTC[0], symbol=BTC[1], size=Decimal(size))
    read = ReportedPosition(position=held, seq=1, at_ms=1, pnl_price=Decimal(100), is_one_way=True)
    live.position_read(BTC, live.begin_position(BTC), read)


def balance_read(live: LiveAccount, balance: str) -> None:
    whole = CoinBalance(
        coin="USDT", equity=Decimal(balance), wallet_balance=Decimal(balance), unrealised_pnl=Decimal(0)
    )
    live.balances_read(live.begin_balances(1), [whole], 1, lambda category, symbol: Decimal(100))


@pytest.fixture
def live() -> LiveAccount:
    made = LiveAccount()
    position_read(made, "2")
    balance_read(made, "1000")
    made.seeded()
    return made


@pytest.fixture
def exchange(live: LiveAccount) -> Iterator[StreamedExchange]:
    made = StreamedExchange(
        name="main",
        stream_url=NOWHERE,
        prices=Prices(NOWHERE),
        url="http://127.0.0.1:9",
        api_key="key",
        api_secret="secret",
    )
    made._live = live
    yield made
    made.close()


def place(exchange: StreamedExchange, outcome: Outcome) -> None:
    order: PlannedOrder = planned()
    signature = RequestSignature(timestamp_ms=1, recv_window_ms=5000)
    with patch.object(Exchange, "place", return_value=outcome):
        exchange.place(order, client_order_id="o-1", signature=signature, is_exit=False)


@pytest.mark.parametrize("outcome", [Accepted(venue_order_id="v-1"), Unknown(why="cut"), KNOWN_BY_ITS_ID])
def test_after_a_send_that_may_have_an_effect_the_position_is_unknown(
    exchange: StreamedExchange, live: LiveAccount, outcome: Outcome
) -> None:
    place(exchange, outcome)
    assert live.position(BTC) is None


@pytest.mark.parametrize("outcome", [NotSent(why="refused"), OrderRejected(code=110007, words="not enough")])
def test_after_a_send_without_effect_the_position_is_known_as_before(
    exchange: StreamedExchange, live: LiveAccount, outcome: Outcome
) -> None:
    place(exchange, outcome)
    found = live.position(BTC)
    assert found is not None and found.position.size == 2


def test_what_a_stream_told_that_is_not_current_is_not_answered(exchange: StreamedExchange) -> None:
    def answers() -> list[object]:
        return [
            exchange.equity_now("USDT"),
            exchange.position_now(*BTC),
            exchange.positions_now(),
            exchange.open_orders_now(*BTC),
        ]

    with patch.object(exchange.marks, "mark", return_value=Decimal(110)):
        with (
            patch.object(exchange.link, "is_current", return_value=True),
            patch.object(exchange.link, "is_fresh", return_value=True),
        ):
            assert exchange.equity_now("USDT") == 1000 + 2 * (110 - 100)
            assert None not in answers()
        with (
            patch.object(exchange.link, "is_current", return_value=False),
            patch.object(exchange.link, "is_fresh", return_value=False),
        ):
            assert answers() == [None] * 4


@pytest.mark.parametrize(
    ("paid_in", "earned"), [("", "4.75"), ("USDT", "4.75"), ("MNT", "5")], ids=["not named", "its own", "another"]
)
def test_a_fee_is_taken_from_the_settle_coins_balance_only_where_it_was_paid_in_it(paid_in: str, earned: str) -> None:
    row = {
        **{"symbol": "BTCUSDT", "orderId": "v-1", "orderLinkId": "o-1", "execId": "e-1", "side": "Sell", "seq": 7},
        **{"execType": "Trade", "execQty": "1", "execPrice": "100", "execTime": "5", "isMaker": False},
        **{"execFee": "0.25", "execPnl": "5", "feeCurrency": paid_in},
    }
    reported = reported_execution(row, Category.LINEAR)
    assert (reported.earned, reported.moved) == ({"USDT": Decimal(earned)}, Decimal(-1))
    assert reported.fill is not None and (reported.fill.fee, reported.fill.fee_coin) == (
        Decimal("0.25"),
        paid_in or "USDT",
    )


def outside(kind: str, **fields: object) -> dict[str, object]:
    usual = {"category": "linear", "symbol": "BTCUSDT", "orderId": "o", "orderLinkId": "", "execId": f"e-{kind}"}
    more = {"execType": kind, "side": "Sell", "execQty": "2", "execPrice": "90", "execTime": "9", "seq": 9}
    return usual | more | fields


@pytest.mark.parametrize("kind", ["Delivery", "CorporateAction", "Settle"])
def test_what_does_not_say_all_that_it_did_to_a_position_makes_it_unknown(live: LiveAccount, kind: str) -> None:
    told: list[str] = []
    live.on_outside = lambda execution: told.append(f"{execution.kind} {execution.text}")
    assert live.position(BTC) is not None
    for _ in range(2):  # some messages come twice
        live.hear({"topic": "execution", "data": [outside(kind)]})
    assert live.position(BTC) is None and live.unknown() == [BTC]
    assert told == [f"{kind} Sell 2 at 90"]
    position_read(live, "0")
    assert live.position(BTC) is not None


@pytest.mark.parametrize("kind", ["AdlTrade", "BustTrade", "MovePosition", "OfNextYear"])
def test_what_moves_a_position_without_an_order_counts_and_is_told(live: LiveAccount, kind: str) -> None:
    told: list[str] = []
    live.on_outside = lambda execution: told.append(execution.kind)
    live.hear({"topic": "execution", "data": [outside(kind)]})
    assert told == [kind]
    assert live.position(BTC) is None, "until the position's own event has come"


@pytest.mark.parametrize("kind", ["Funding", "SessionSettlePnL", "Trade"])
def test_what_moves_only_money_or_is_somebodys_order_is_not_told(live: LiveAccount, kind: str) -> None:
    live.on_outside = lambda execution: pytest.fail("nothing happened to the position by itself")
    live.hear({"topic": "execution", "data": [outside(kind)]})
    assert (live.position(BTC) is None) is (kind == "Trade")


def test_an_odd_row_costs_what_is_known_of_its_own_symbol(live: LiveAccount) -> None:
    eth = (Category.LINEAR, "ETHUSDT")
    held = Position(category=eth[0], symbol=eth[1], size=Decimal(1))
    read = ReportedPosition(position=held, seq=1, at_ms=1, pnl_price=None, is_one_way=True)
    live.position_read(eth, live.begin_position(eth), read)
    live.hear({"topic": "position", "data": [{"category": "linear", "symbol": "BTCUSDT", "size": "many"}]})
    assert live.position(BTC) is None and live.position(eth) is not None


def test_a_position_that_the_exchange_winds_down_is_told_and_opens_nothing(live: LiveAccount) -> None:
    told: list[str] = []
    live.on_position = lambda each: told.append(f"{each.symbol}: {each.no_entry.code if each.no_entry else None}")
    row = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "size": "2", "positionIdx": 0, "seq": 2}
    for status in ("Normal", "Liq"):
        live.hear({"topic": "position", "data": [{**row, "positionStatus": status}]})
    assert told == ["BTCUSDT: None", "BTCUSDT: EXCHANGE_RESTRICTED"]
    why = live.no_entry(BTC)
    assert why is not None and "being liquidated" in why.message


def test_a_position_near_to_auto_deleveraging_is_told_once_until_it_is_far_from_it(
    exchange: StreamedExchange,
) -> None:
    told: list[str] = []
    exchange.odd_rows.tell = told.append
    exchange.hush()
    row = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "size": "2", "positionIdx": 0}
    for seq, rank in enumerate([2, 4, 5, 3, 4, 1, 4, "", 0]):
        data = [{**row, "seq": seq, "positionStatus": "Normal", "adlRankIndicator": rank}]
        exchange._live.hear({"topic": "position", "data": data})
    assert len(told) == 2 and all(each.startswith("BTCUSDT is among the first") for each in told)


@pytest.mark.parametrize(("balance", "is_known"), [("0.4", False), ("0.5", True)])
def test_where_the_account_has_fewer_coins_than_the_relays_own_the_holding_must_be_read(
    exchange: StreamedExchange, monkeypatch: pytest.MonkeyPatch, balance: str, is_known: bool
) -> None:
    monkeypatch.setattr(exchange.link, "is_fresh", lambda: True)
    exchange.own_coins = lambda lacking_at: {"BTCUSDT": OwnCoins(symbol="BTCUSDT", size=Decimal("0.5"))}
    whole = wallet_of(balance, balance, "0", coin="BTC")
    exchange._live.balances_read(exchange._live.begin_balances(2), [whole], 2, _at("100"))
    found = exchange.position_now(Category.SPOT, "BTCUSDT")
    assert (found is not None) is is_known
    assert found is None or found.position.size == Decimal("0.5")


def test_an_account_that_comes_back_to_this_process_is_heard_as_before(exchange: StreamedExchange) -> None:
    told: list[str] = []
    exchange.on_outside = lambda execution: told.append(execution.kind)
    exchange.odd_rows.tell = told.append
    exchange.hush()
    exchange._live.hear({"topic": "execution", "data": [outside("BustTrade")]})
    exchange._live.hear({"topic": "position", "data": [{"category": "linear", "symbol": "BTCUSDT", "size": "many"}]})
    assert told == ["BustTrade", "the exchange's position of BTCUSDT cannot be read: `size` is 'many'"]


def _at(price: str) -> Callable[[Category, str], Decimal | None]:
    return lambda category, symbol: Decimal(price)


def wallet_of(equity: str, balance: str, pnl: str, borrowed: str = "0", coin: str = "USDT") -> CoinBalance:
    return CoinBalance(
        coin=coin,
        equity=Decimal(equity),
        wallet_balance=Decimal(balance),
        unrealised_pnl=Decimal(pnl),
        borrowed=Decimal(borrowed),
    )


@pytest.mark.parametrize(
    ("read", "equity"),
    [
        (wallet_of("1000", "1000", "0"), "1020"),
        (wallet_of("600", "1000", "0", "400"), "620"),
        (wallet_of("1050", "1000", "0"), None),
        (wallet_of("1250", "1000", "250"), None),
    ],
    ids=["all that there is", "a debt is in the balance", "options beside it", "a position that is not known here"],
)
def test_an_equity_is_reckoned_only_where_the_last_one_read_added_up(
    live: LiveAccount, read: CoinBalance, equity: str | None
) -> None:
    live.balances_read(live.begin_balances(2), [read], 2, _at("100"))
    assert live.equity("USDT", _at("110")) == (None if equity is None else Decimal(equity))


def test_a_dated_future_counts_in_the_coin_that_it_settles_in(live: LiveAccount) -> None:
    dated = (Category.INVERSE, "BTCUSDZ26")
    held = Position(category=dated[0], symbol=dated[1], size=Decimal(100))
    read = ReportedPosition(position=held, seq=1, at_ms=1, pnl_price=Decimal(100), is_one_way=True)
    live.position_read(dated, live.begin_position(dated), read)
    live.balances_read(live.begin_balances(2), [wallet_of("3", "3", "0", coin="BTC")], 2, _at("100"))
    assert live.equity("BTC", _at("200")) == Decimal("3.5")


def test_an_equity_adds_up_at_the_mark_of_the_reading_not_at_the_one_that_the_position_was_told_with(
    live: LiveAccount,
) -> None:
    live.balances_read(live.begin_balances(2), [wallet_of("1200", "1000", "200")], 2, _at("200"))
    assert live.equity("USDT", _at("110")) == 1020


def test_a_wallet_that_cannot_be_read_and_a_stream_that_was_away_make_every_balance_unknown(live: LiveAccount) -> None:
    live.balances_read(live.begin_balances(2), [wallet_of("1000", "1000", "0")], 2, _at("100"))
    assert live.equity("USDT", _at("110")) == 1020
    live.hear({"topic": "wallet", "data": ["nonsense"]})
    assert live.equity("USDT", _at("110")) is None
    live.balances_read(live.begin_balances(3), [wallet_of("1000", "1000", "0")], 3, _at("100"))
    assert live.equity("USDT", _at("110")) == 1020
    live.forget()
    position_read(live, "2")
    live.seeded()
    assert live.position(BTC) is not None and live.equity("USDT", _at("110")) is None


def filled(qty: str, status: OrderStatus = OrderStatus.FILLED) -> OrderReport:
    return report("o", status, qty, rests=not status.is_ended)


def test_an_order_is_handed_over_once_its_end_and_all_of_its_fills_are_there_in_whatever_order() -> None:
    parts = (fill("o", "e-2", "0.006"), fill("o", "e-1", "0.004"))
    heard: list[tuple[OrderReport | None, tuple[Fill, ...]]]
    heard = [(filled("0.010"), ()), (None, parts[:1]), (None, parts[:1]), (None, parts[1:])]
    for order in permutations(heard):
        awaited = Awaited()
        assert awaited.hear("o", *order[0]) is None, "nobody waits for it"
        awaited.expect("o")
        seen: set[str] = set()
        for number, (told, fills) in enumerate(order):
            seen |= {each.exec_id for each in fills} | ({"end"} if told else set())
            is_whole = seen == {"end", "e-1", "e-2"}
            assert awaited.hear("o", told, fills) is is_whole
            if not is_whole:
                assert awaited.take("o") is None
            assert number < 3 or is_whole
        taken = awaited.take("o")
        assert taken is not None and taken.report == filled("0.010")
        assert [each.exec_id for each in taken.fills] == ["e-1", "e-2"]
        assert awaited.take("o") is None and awaited.hear("o", None, parts) is None


def test_an_order_that_rests_or_ended_unfilled_is_whole_and_one_that_is_on_its_way_is_not() -> None:
    for status, is_whole in (
        (OrderStatus.ACCEPTED, True),
        (OrderStatus.CANCELED, True),
        (OrderStatus.SUBMITTED, False),
    ):
        awaited = Awaited()
        awaited.expect("o")
        told = report("o", status, "0", rests=status is OrderStatus.ACCEPTED)
        assert awaited.hear("o", told, ()) is is_whole
        assert (awaited.take("o") is not None) is is_whole


def test_of_many_orders_that_ended_the_last_ones_stay_ended_whatever_is_told_late() -> None:
    known = KnownOrders()
    for number in range(2100):
        known.take_report({"orderId": f"o-{number}", "orderStatus": "Filled"}, Category.LINEAR)
    known.take_report({"orderId": "o-2099", "orderStatus": "New", "updatedTime": "9"}, Category.LINEAR)
    assert known.places() == set()
