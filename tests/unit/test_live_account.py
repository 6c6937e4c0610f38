"""An account as its streams tell it, and what is not believed of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
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
    exchange.own_coins = lambda lacking_at, asks=True: {"BTCUSDT": OwnCoins(symbol="BTCUSDT", size=Decimal("0.5"))}
    whole = wallet_of(balance, balance, "0", coin="BTC")
    exchange._live.balances_read(exchange._live.begin_balances(2), [whole], 2, _at("100"))
    found = exchange.position_now(Category.SPOT, "BTCUSDT")
    assert (found is not None) is is_known
    assert found is None or found.position.size == Decimal("0.5")


def test_while_a_sale_of_coins_is_under_way_holdings_must_be_read(
    exchange: StreamedExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def own_coins(lacking_at: Collection[str], *, asks: bool = True) -> dict[str, OwnCoins]:
        asked.append(asks)
        return {"BTCUSDT": OwnCoins(symbol="BTCUSDT", size=Decimal(1), uncounted=Decimal("-0.3"))}

    exchange.own_coins = own_coins
    monkeypatch.setattr(exchange.link, "is_fresh", lambda: True)
    assert exchange.position_now(Category.SPOT, "BTCUSDT") is None
    monkeypatch.setattr(exchange._live, "positions", lambda mark: ())
    assert exchange.positions_now() is None
    assert asked and not any(asked)


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


def test_of_two_rows_of_an_order_the_later_one_counts_and_what_has_ended_stays_ended() -> None:
    row = {"orderId": "v", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "1", "leavesQty": "1"}

    def told(*rows: dict[str, str]) -> list[Decimal | None]:
        known = KnownOrders()
        for each in rows:
            known.take_report(row | each, Category.LINEAR)
        assert known.at(Category.LINEAR, "ETHUSDT") == known.at(Category.INVERSE, "BTCUSDT") == ()
        assert known.places() == ({BTC} if known.at(*BTC) else set())
        return [each.price for each in known.at(*BTC)]

    old, new = ({"orderStatus": "New", "price": price, "updatedTime": at} for price, at in (("10", "5"), ("20", "6")))
    ended = {"orderStatus": "Cancelled", "updatedTime": "6"}
    assert told(old, new) == told(new, old) == [20]
    assert told(old, new | {"updatedTime": "5"}) == [20]
    assert told(old, ended) == told(ended, new) == []
    for status in ("New", "PartiallyFilled", "Untriggered"):
        assert told(old | {"orderStatus": status}) == [10]
    for status in ("Filled", "Rejected", "Deactivated", "PartiallyFilledCanceled"):
        assert told(old | {"orderStatus": status}) == []


def _order_row(status: str, filled: str, **more: str) -> dict[str, str]:
    usual = {"category": "linear", "symbol": "BTCUSDT", "orderId": "v-1", "orderLinkId": "o-1", "side": "Buy"}
    rest = {"orderType": "Limit", "qty": "2", "price": "90", "leavesQty": "0", "cumExecQty": filled, "avgPrice": "90"}
    return usual | rest | {"orderStatus": status, "updatedTime": "7", "cumExecFee": "0"} | more


def _execution_row(exec_id: str, qty: str, **more: object) -> dict[str, object]:
    usual = {"category": "linear", "symbol": "BTCUSDT", "orderId": "v-1", "orderLinkId": "o-1", "execId": exec_id}
    rest = {"execType": "Trade", "side": "Buy", "execQty": qty, "execPrice": "90", "execTime": "9", "seq": 9}
    return usual | rest | {"execFee": "0.1", "feeCurrency": "USDT", "isMaker": False} | more


def test_a_lane_is_woken_once_its_order_is_whole_and_others_news_goes_to_who_listens(live: LiveAccount) -> None:
    woken: list[tuple[Category, str]] = []
    others: list[str] = []
    live.on_wake = lambda category, symbol: woken.append((category, symbol))
    live.on_unmatched = lambda received: others.append(received.client_order_id)
    live.sending(BTC, "o-1")
    live.hear({"topic": "order.linear", "data": [_order_row("Filled", "2")]})
    live.hear({"topic": "execution.linear", "data": [_execution_row("e-1", "1.5")]})
    assert (woken, live.take("o-1")) == ([], None)
    live.hear({"topic": "execution.linear", "data": [_execution_row("e-2", "0.5")]})
    assert woken == [BTC] and others == []
    taken = live.take("o-1")
    assert taken is not None and [each.exec_id for each in taken.fills] == ["e-1", "e-2"]
    live.hear({"topic": "order", "data": [_order_row("Filled", "2")]})
    live.hear({"topic": "execution", "data": [_execution_row("e-3", "1")]})
    live.hear({"topic": "order", "data": [_order_row("New", "0", orderLinkId="", orderId="by hand")]})
    live.hear({"topic": "execution", "data": [_execution_row("e-4", "1", orderLinkId="")]})
    assert (woken, others) == ([BTC], ["o-1", "o-1"]), "of orders without a name of the sender's nobody is told"
    assert [each.price for each in live.orders_at(BTC) or ()] == [90]


@pytest.mark.parametrize(
    ("status", "rests", "is_dropped"),
    [(OrderStatus.FILLED, False, True), (OrderStatus.ACCEPTED, True, True), (OrderStatus.SUBMITTED, False, False)],
)
def test_a_look_up_that_settles_an_order_hands_over_what_the_streams_had_told_of_it(
    live: LiveAccount, status: OrderStatus, rests: bool, is_dropped: bool
) -> None:
    others: list[list[str]] = []
    live.on_unmatched = lambda received: others.append([each.exec_id for each in received.fills])
    live.sending(BTC, "o-1")
    live.hear({"topic": "execution", "data": [_execution_row("e-1", "1.5")]})
    live.looked_up(BTC, report("o-1", status, "2" if not rests else "1.5", rests=rests))
    assert others == ([["e-1"]] if is_dropped else [])
    assert (BTC in live.unknown()) is is_dropped, "a reading would tell, once it is on its way no more"
    live.looked_up(BTC, report("another", OrderStatus.FILLED, "2"))
    assert len(others) == int(is_dropped)
    live.sending(BTC, "o-2")
    live.looked_up(BTC, report("o-2", OrderStatus.CANCELED, "0"))
    assert len(others) == int(is_dropped), "of that one nothing had been told"


def test_what_is_known_hangs_on_the_readings_since_the_stream_is_there() -> None:
    made = LiveAccount()
    position_read(made, "2")
    balance_read(made, "1000")
    price = _at("110")

    def known() -> list[bool]:
        found = (made.position(BTC), made.positions(price), made.equity("USDT", price), made.balance("USDT"))
        return [each is not None for each in (*found, made.orders_at(BTC))]

    assert known() == [False] * 5
    made.seeded()
    assert known() == [True] * 5
    made.forget()
    assert known() == [False] * 5
    made.seeded()
    assert known() == [False, False, False, False, True]
    assert made.balance("DOGE") is None, "the streams tell of no coin's row that was never read"
    assert made.equity("DOGE", price) is None


def test_every_position_is_shown_at_its_mark_and_flat_ones_are_not() -> None:
    made = LiveAccount()
    flat, eth = (Category.LINEAR, "SOLUSDT"), (Category.INVERSE, "ETHUSD")
    position_read(made, "2")
    for where, size, price in ((flat, "0", "5"), (eth, "-1000", "250")):
        held = Position(category=where[0], symbol=where[1], size=Decimal(size))
        read = ReportedPosition(position=held, seq=1, at_ms=1, pnl_price=Decimal(price), is_one_way=True)
        made.position_read(where, made.begin_position(where), read)
    made.seeded()
    shown = made.positions(lambda category, symbol: Decimal(110) if symbol == "BTCUSDT" else Decimal(200))
    assert shown is not None
    assert [(each.symbol, each.mark_price, each.unrealised_pnl) for each in shown] == [
        ("BTCUSDT", Decimal(110), Decimal(20)),
        ("ETHUSD", Decimal(200), Decimal(1)),
    ]
    assert made.positions(lambda category, symbol: None) is None
    assert made.open_at() == {BTC, eth} and set(made.symbols()) == {BTC, flat, eth} and made.unknown() == []
    made.sending(flat, "o")
    assert made.open_at() == {BTC, flat, eth} and made.unknown() == [], "no reading would tell yet"
    made.not_sent(flat, "o")
    made.hear({"topic": "position", "data": [{"category": "linear", "symbol": "BTCUSDT", "size": "many"}]})
    assert made.unknown() == [BTC] and made.positions(_at("1")) is None


def test_coins_are_known_by_the_journal_and_options_are_nobody_s(live: LiveAccount) -> None:
    pair = (Category.SPOT, "BTCUSDT")
    live.sending(pair, "o")
    assert live.symbols() == [BTC] and live.position(pair) is None and live.no_entry(pair) is None
    live.hear({"topic": "position", "data": [{"category": "option", "symbol": "BTCUSDT", "size": "many"}]})
    assert live.position(BTC) is not None and live.unknown() == []


def test_a_row_without_a_symbol_costs_all_positions_and_one_of_an_order_none(live: LiveAccount) -> None:
    told: list[str] = []
    live.on_unreadable = lambda what, row, error: told.append(what)
    live.hear({"topic": "order", "data": [{"category": "linear", "symbol": "BTCUSDT"}]})
    assert live.position(BTC) is not None
    live.hear({"topic": "execution", "data": [{"category": "linear"}]})
    assert live.position(BTC) is None and told == ["order", "execution"]


def test_of_a_wallet_only_the_coin_whose_row_cannot_be_read_must_be_read_anew(live: LiveAccount) -> None:
    told: list[tuple[str, str, str]] = []
    live.on_unreadable = lambda what, row, error: told.append((what, row["coin"], str(error)))
    live.balances_read(live.begin_balances(2), [wallet_of("3", "3", "0", coin="BTC")], 2, _at("100"))
    good = {"coin": "BTC", "equity": "3", "walletBalance": "3", "unrealisedPnl": "0"}
    row = {"accountType": "UNIFIED", "coin": [good, {"coin": "USDT", "walletBalance": "much"}]}
    assert live.equity("USDT", _at("100")) is not None
    live.hear({"topic": "wallet", "creationTime": 5000, "data": [row]})
    assert live.equity("USDT", _at("100")) is None and live.equity("BTC", _at("100")) == 3
    ((what, coin, said),) = told
    assert (what, coin) == ("balance", "USDT") and "walletBalance" in said


def test_a_wallet_of_the_stream_moves_the_balance_and_what_is_beside_it(live: LiveAccount) -> None:
    row = {"coin": "USDT", "equity": "1000", "walletBalance": "1000", "unrealisedPnl": "0"}
    live.hear({"topic": "wallet", "creationTime": 5000, "data": [{"accountType": "UNIFIED", "coin": [row]}]})
    assert live.equity("USDT", _at("110")) == 1020
    debt = row | {"equity": "900", "spotBorrow": "100"}
    live.hear({"topic": "wallet", "creationTime": 6000, "data": [{"accountType": "UNIFIED", "coin": [debt]}]})
    assert live.equity("USDT", _at("110")) == 920
    live.hear({"topic": "wallet", "creationTime": 4000, "data": [{"accountType": "UNIFIED", "coin": [row]}]})
    balance = live.balance("USDT")
    assert balance is not None and balance.borrowed == 100, "an older one says nothing"


@pytest.mark.parametrize(
    ("pnl", "adds_up"), [("0", True), ("0.9", True), ("1.1", False), ("-0.9", True), ("-1.1", False)]
)
def test_open_profit_may_differ_by_what_prices_move_between_two_readings(
    live: LiveAccount, pnl: str, adds_up: bool
) -> None:
    """Two coins at 100 are worth 200, of which half a percent is 1."""
    read = wallet_of(str(1000 + Decimal(pnl)), "1000", pnl)
    live.balances_read(live.begin_balances(2), [read], 2, _at("100"))
    assert (live.equity("USDT", _at("100")) is not None) is adds_up


def test_contracts_in_coins_are_worth_less_of_the_coin_the_higher_its_price() -> None:
    where = (Category.INVERSE, "BTCUSD")
    made = LiveAccount()
    held = Position(category=where[0], symbol=where[1], size=Decimal(-1000))
    read = ReportedPosition(position=held, seq=1, at_ms=1, pnl_price=Decimal(100), is_one_way=True)
    made.position_read(where, made.begin_position(where), read)
    made.seeded()
    for pnl, adds_up in (("0.049", True), ("0.051", False)):
        whole = wallet_of(str(5 + Decimal(pnl)), "5", pnl, coin="BTC")
        made.balances_read(made.begin_balances(2), [whole], 2, _at("100"))
        assert (made.equity("BTC", _at("200")) == 0) is adds_up
