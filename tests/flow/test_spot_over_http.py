"""Coins bought and sold by alerts, over HTTP and at the paper exchange: the relay's own, and never the owner's."""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.paper_server import PaperServer
from tests.relay_server import RelayServer, error_of, running_relay

pytestmark = pytest.mark.slow

SPOT = {"ticker": "BTCUSDT", "market": "spot"}


def price(paper: PaperServer, now: object) -> None:
    paper.control.prices(**{"spot:BTCUSDT": now})


def coin(paper: PaperServer, name: str = "BTC", field: str = "walletBalance") -> Decimal:
    (wallet,) = paper.session().get_wallet_balance(accountType="UNIFIED", coin=name)["result"]["list"]
    return Decimal(wallet["coin"][0][field])


def held(relay: RelayServer) -> Decimal:
    rows = [each for each in relay.api("positions")["positions"] if each["category"] == "spot"]
    assert all(each["side"] == "long" for each in rows)
    return sum((Decimal(each["size"]) for each in rows), Decimal(0))


def resting(paper: PaperServer) -> list[dict[str, Any]]:
    return list(paper.session().get_open_orders(category="spot", symbol="BTCUSDT")["result"]["list"])


@pytest.fixture
def owned(own: RelayServer, paper: PaperServer) -> Decimal:
    """What the owner has of the coin before the relay buys any."""
    price(paper, 100000)
    found = coin(paper)
    assert found > 0
    return found


def test_what_is_bought_less_the_fee_is_held_and_a_close_sells_it_and_nothing_of_the_owners(
    own: RelayServer, paper: PaperServer, owned: Decimal
) -> None:
    bought = own.done({**SPOT, "action": "buy", "qty": "0.01", "id": "1"})
    assert bought["status"] == "done", bought
    (order,) = bought["orders"]
    assert [order[name] for name in ("category", "filled_qty", "fee", "fee_coin")] == ["spot", "0.01", "0.00001", "BTC"]
    assert held(own) == Decimal("0.00999") == coin(paper) - owned
    closed = own.done({**SPOT, "action": "close", "id": "2"})
    assert (closed["status"], closed["orders"][0]["qty"]) == ("done", "0.00999")
    assert (held(own), coin(paper)) == (Decimal(0), owned)
    again = own.done({**SPOT, "action": "close", "id": "3"})
    assert (again["status"], again["orders"]) == ("done", [])


def test_a_buy_by_value_costs_no_more_and_is_filled_though_less_than_a_step_is_left(
    own: RelayServer, paper: PaperServer, owned: Decimal
) -> None:
    price(paper, "99999.9")
    before = coin(paper, "USDT")
    bought = own.done({**SPOT, "action": "buy", "qty": "200", "qty_unit": "quote", "id": "1"})
    assert (bought["status"], bought["orders"][0]["status"]) == ("done", "filled"), bought
    assert before - Decimal(200) <= coin(paper, "USDT") < before - Decimal("199.9")
    assert held(own) == coin(paper) - owned > 0


@pytest.mark.parametrize(
    ("alert", "field", "words"),
    [
        ({"action": "short", "qty": "0.01"}, "action", "nothing can be short"),
        ({"action": "reverse"}, "action", "nothing can be short"),
        ({"action": "buy", "qty": "0.01", "leverage": "3"}, "leverage", "nothing is borrowed"),
        ({"action": "buy", "qty": "0.01", "reduce_only": True}, "reduce_only", "only adds"),
        ({"action": "buy", "qty": "10", "qty_unit": "contracts"}, "qty_unit", "a size of perpetuals"),
        ({"action": "buy", "qty": "10", "qty_unit": "margin_pct"}, "qty_unit", "a size of perpetuals"),
        ({"action": "buy", "qty": "0.01", "trailing_stop": "2%"}, "trailing_stop", "has none in its spot markets"),
        ({"action": "buy", "qty": "0.01", "ticker": "BTCUSDT.P"}, "ticker", "write BTCUSDT"),
        ({"action": "buy", "qty": "0.01", "ticker": "NOPEUSDT"}, "ticker", "no spot pair NOPEUSDT"),
    ],
)
def test_what_no_spot_market_has_is_refused_in_a_sentence(
    own: RelayServer, alert: dict[str, Any], field: str, words: str
) -> None:
    error = error_of(own.post({**SPOT, **alert}), 422, "ALERT_INVALID")
    assert list(error["fields"]) == [field] and words in error["fields"][field][0], error


def test_a_sale_takes_what_is_held_and_no_more(own: RelayServer, paper: PaperServer, owned: Decimal) -> None:
    own.done({**SPOT, "action": "buy", "qty": "0.01", "id": "1"})
    part = own.done({**SPOT, "action": "sell", "qty": "0.004", "id": "2"})
    assert (part["status"], held(own)) == ("done", Decimal("0.00599"))
    rest = own.done({**SPOT, "action": "sell", "qty": "5", "id": "3", "reduce_only": True, "leverage": "3"})
    assert (rest["status"], rest["orders"][0]["qty"]) == ("done", "0.00599"), rest
    assert "5 BTC were to be sold, and 0.00599 is held: no more is sold" in rest["notes"]
    assert not any("no more is sold" in note for note in part["notes"])
    none = own.done({**SPOT, "action": "sell", "qty": "1", "id": "4"})
    assert (none["status"], none["orders"]) == ("done", [])
    assert (held(own), coin(paper)) == (Decimal(0), owned)


def test_a_strategys_short_side_is_flat_here(own: RelayServer, paper: PaperServer, owned: Decimal) -> None:
    own.done({**SPOT, "action": "buy", "qty": "0.01", "market_position": "long", "id": "1"})
    fill = {"market_position": "short", "market_position_size": "0.01", "prev_market_position": "long"}
    sold = own.done({**SPOT, "action": "sell", "qty": "0.02", **fill, "id": "2"})
    assert (sold["status"], sold["orders"][0]["qty"], held(own)) == ("done", "0.00999", Decimal(0))
    assert any("no short side" in note for note in sold["notes"])
    back = {"market_position": "long", "market_position_size": "0.01", "prev_market_position": "short"}
    again = own.done({**SPOT, "action": "buy", "qty": "0.02", **back, "id": "3"})
    assert (again["orders"][0]["qty"], coin(paper) - owned) == ("0.01", Decimal("0.00999"))


def test_a_target_is_bought_gross_and_what_the_fee_took_is_noted_and_not_chased(
    own: RelayServer, paper: PaperServer, owned: Decimal
) -> None:
    target = {**SPOT, "action": "target", "market_position": "long"}
    first = own.done({**target, "market_position_size": "1", "id": "1"})
    assert held(own) == Decimal("0.999") == coin(paper) - owned
    assert any("fees took 0.001 of what" in note for note in first["notes"]), first["notes"]
    assert own.done({**target, "market_position_size": "1", "id": "2"})["orders"] == []
    half = own.done({**target, "market_position_size": "0.5", "id": "3"})
    assert (half["orders"][0]["side"], half["orders"][0]["qty"], held(own)) == ("sell", "0.5", Decimal("0.499"))
    assert own.done({**target, "market_position_size": "0.5", "id": "4"})["orders"] == []
    own.done({**SPOT, "action": "target", "market_position": "flat", "id": "5"})
    assert (held(own), coin(paper)) == (Decimal(0), owned)


def test_a_maker_that_would_take_is_ended_by_its_terms_and_another_rests_and_is_cancelled(
    own: RelayServer, paper: PaperServer, owned: Decimal
) -> None:
    maker = {**SPOT, "action": "buy", "qty": "0.01", "type": "LIMIT_MAKER"}
    taking = own.done({**maker, "price": "100500", "id": "1"})
    assert (taking["orders"][0]["status"], held(own)) == ("expired", Decimal(0)), taking
    rests = own.done({**maker, "price": "99000", "id": "2"})
    assert (rests["status"], rests["orders"][0]["status"]) == ("done", "accepted")
    assert [each["timeInForce"] for each in resting(paper)] == ["PostOnly"]
    own.done({**SPOT, "action": "cancel", "id": "3"})
    assert resting(paper) == []


def test_a_stop_loss_rests_for_what_is_held_and_follows_it_and_an_exit_frees_the_coins_first(
    own: RelayServer, paper: PaperServer, owned: Decimal
) -> None:
    own.done({**SPOT, "action": "buy", "qty": "0.01", "stop_loss": "95000", "take_profit": "110000", "id": "1"})
    (stop,) = resting(paper)
    assert (stop["stopOrderType"], float(stop["triggerPrice"])) == ("tpslOrder", 95000)
    assert Decimal(stop["qty"]) == Decimal("0.00999")
    own.done({**SPOT, "action": "buy", "qty": "0.01", "id": "2"})
    (stop,) = resting(paper)
    assert Decimal(stop["qty"]) == held(own) == Decimal("0.01998")
    own.done({**SPOT, "action": "sell", "qty": "0.005", "id": "3"})
    (stop,) = resting(paper)
    assert Decimal(stop["qty"]) == held(own) == Decimal("0.01498")
    closed = own.done({**SPOT, "action": "close", "id": "4"})
    assert (closed["status"], resting(paper), held(own), coin(paper)) == ("done", [], Decimal(0), owned), closed


def test_a_plan_shows_the_levels_of_coins_though_they_are_orders_of_their_own(
    own: RelayServer, paper: PaperServer, owned: Decimal
) -> None:
    buy = {**SPOT, "action": "buy", "qty": "0.01", "stop_loss": "4%", "id": "1"}
    planned = own.api("plan", "POST", json={**buy, "take_profit": "8%"})
    assert [(each["stop_loss"], each["take_profit"]) for each in planned["orders"]] == [("96000", "108000")]
    ladder = [{"at": "104000", "share": 50}, {"at": "108000", "share": 50}]
    planned = own.api("plan", "POST", json={**buy, "take_profit": ladder})
    assert [(each["stop_loss"], each["take_profit"]) for each in planned["orders"]] == [("96000", None)]
    assert "takes profit at 104000 (50 %), 108000 (50 %)" in planned["notes"], planned["notes"]


def test_what_protects_coins_is_shown_with_them_and_by_its_name(
    own: RelayServer, paper: PaperServer, owned: Decimal
) -> None:
    ladder = [{"at": "104000", "share": 50}, {"at": "108000", "share": 50}]
    own.done({**SPOT, "action": "buy", "qty": "0.01", "stop_loss": "96000", "take_profit": ladder, "id": "1"})

    def shown() -> tuple[Any, ...]:
        (row,) = own.api("positions")["positions"]
        return row["stop_loss"], *((each["price"], each["qty"]) for each in row["take_profits"])

    until(shown, ("96000", ("104000", "0.004995"), ("108000", "0.004995")))
    (order,) = own.api("orders?open=1")["orders"]
    assert (order["purpose"], order["trigger_price"], order["distance_pct"]) == ("stop_loss", "96000", "-4")
    own.done({**SPOT, "action": "sell", "qty": "0.009", "id": "2"})
    until(shown, ("96000", ("104000", "0.000495"), ("108000", "0.000495")))


def test_what_rests_never_sells_more_than_is_held_though_the_owner_has_more(
    own: RelayServer, paper: PaperServer, owned: Decimal
) -> None:
    own.done({**SPOT, "action": "buy", "qty": "0.01", "stop_loss": "97000", "id": "1"})
    own.done({**SPOT, "action": "sell", "qty": "0.004", "type": "limit", "price": "100900", "id": "2"})
    until(lambda: sorted(each["qty"] for each in resting(paper)), ["0.004000", "0.005990"])
    again = own.done({**SPOT, "action": "sell", "qty": "0.004", "type": "limit", "price": "100900", "id": "3"})
    assert "an earlier sell of 0.004 at 100900 rested, and was taken back for this one" in again["notes"], again
    until(lambda: sorted(each["qty"] for each in resting(paper)), ["0.004000", "0.005990"])
    price(paper, 96000)
    until(lambda: held(own), Decimal("0.004"))
    price(paper, 100950)
    until(lambda: (held(own), resting(paper)), (Decimal(0), []))
    assert coin(paper) == owned


def test_a_borrowed_coin_is_never_created(own: RelayServer, paper: PaperServer, owned: Decimal) -> None:
    own.done({**SPOT, "action": "buy", "qty": "500000", "qty_unit": "quote", "id": "1"})
    own.done({**SPOT, "action": "buy", "qty": "0.01", "type": "limit", "price": "99000", "id": "2"})
    own.done({**SPOT, "action": "sell", "qty": "3", "id": "3"})
    assert coin(paper, "BTC", "spotBorrow") == coin(paper, "USDT", "spotBorrow") == 0


def until(read: Any, wanted: Any) -> None:
    """Waits for what the relay does by itself."""
    limit = time.monotonic() + 20
    while (found := read()) != wanted:
        assert time.monotonic() < limit, (found, wanted)
        time.sleep(0.05)


def test_at_the_take_profit_the_stop_loss_makes_room_for_it_and_nothing_rests_afterwards(
    own: RelayServer, paper: PaperServer, owned: Decimal
) -> None:
    levels = {"stop_loss": "95000", "take_profit": "110000"}
    bought = own.done({**SPOT, "action": "buy", "qty": "0.01", **levels, "id": "1"})
    before = coin(paper, "USDT")
    price(paper, 110100)
    until(lambda: (held(own), resting(paper)), (Decimal(0), []))
    kinds = [each["type"] for each in own.api(f"signals/{bought['id']}")["orders"]]
    assert kinds == ["market", "stop_market", "limit"], "what has been sold is not protected once more"
    assert coin(paper) == owned
    assert coin(paper, "USDT") - before >= Decimal("0.00999") * 110000 * Decimal("0.998")


def test_a_ladder_takes_its_shares_one_after_the_other_and_the_stop_goes_to_the_entry(
    own: RelayServer, paper: PaperServer, owned: Decimal
) -> None:
    ladder = [{"at": "105000", "share": 40, "then": "breakeven"}, {"at": "110000", "share": 60}]
    own.done({**SPOT, "action": "buy", "qty": "0.01", "stop_loss": "95000", "take_profit": ladder, "id": "1"})
    price(paper, 105100)
    until(lambda: held(own), Decimal("0.005994"))
    until(lambda: [(each["qty"], each["triggerPrice"]) for each in resting(paper)], [("0.005994", "100000.0")])
    price(paper, 99900)
    until(lambda: (held(own), resting(paper)), (Decimal(0), []))
    assert coin(paper) == owned


def test_a_stop_loss_sells_what_is_held_and_nothing_of_the_owners(
    own: RelayServer, paper: PaperServer, owned: Decimal
) -> None:
    own.done({**SPOT, "action": "buy", "qty": "0.01", "stop_loss": "5%", "id": "1"})
    price(paper, 94000)
    until(lambda: (held(own), resting(paper)), (Decimal(0), []))
    assert coin(paper) == owned


def test_entries_wait_for_their_trigger_without_locking_and_have_their_stop_once_they_fill(
    own: RelayServer, paper: PaperServer, owned: Decimal
) -> None:
    stop = {**SPOT, "action": "buy", "qty": "0.01", "type": "stop_market", "trigger_price": "101000"}
    own.done({**stop, "stop_loss": "99000", "id": "1"})
    (waits,) = resting(paper)
    assert (waits["stopOrderType"], coin(paper, "USDT", "locked")) == ("Stop", Decimal(0))
    price(paper, 101100)
    until(lambda: [each["stopOrderType"] for each in resting(paper)], ["tpslOrder"])
    assert held(own) == Decimal("0.00999") == coin(paper) - owned
    cancelled = own.done({**stop, "type": "stop_limit", "trigger_price": "103000", "price": "103100", "id": "2"})
    assert cancelled["orders"][0]["status"] == "accepted", cancelled
    own.done({**SPOT, "action": "flat", "id": "3"})
    assert (resting(paper), coin(paper)) == ([], owned)


def test_an_exit_sells_what_is_free_where_the_owner_has_locked_the_rest(
    own: RelayServer, paper: PaperServer, owned: Decimal
) -> None:
    own.done({**SPOT, "action": "buy", "qty": "0.1", "id": "1"})
    fields = {"category": "spot", "symbol": "BTCUSDT", "side": "Sell", "orderType": "Limit", "price": "150000"}
    paper.session().place_order(**fields, qty="2.0599")
    closed = own.done({**SPOT, "action": "close", "id": "2"})
    assert (closed["status"], held(own), coin(paper, field="locked")) == ("done", Decimal("0.0599"), Decimal("2.0599"))
    assert any("only 0.04 are free" in note for note in closed["notes"]), closed["notes"]


def test_a_warm_alert_of_a_spot_market_makes_one_call(own: RelayServer, paper: PaperServer, owned: Decimal) -> None:
    own.done({**SPOT, "action": "buy", "qty": "0.01", "id": "1"})
    own.done({**SPOT, "action": "close", "id": "2"})
    alerts: list[dict[str, Any]] = [
        {"action": "buy", "qty": "0.01"},
        {"action": "buy", "qty": "100", "qty_unit": "quote"},
        {"action": "close"},
        {"action": "buy", "qty": "2", "qty_unit": "equity_pct"},
        {"action": "sell", "qty": "0.001"},
    ]
    for number, alert in enumerate(alerts):
        paper.control.clear_calls()
        done = own.done({**SPOT, **alert, "id": f"warm {number}"})
        calls = [each["path"] for each in paper.control.calls() if each["path"] != "/v5/market/time"]
        assert (done["status"], calls) == ("done", ["/v5/order/create"]), (alert, done, calls)


def test_a_perpetual_of_the_same_name_is_another_position_and_flatten_sells_no_coin_of_the_owners(
    own: RelayServer, paper: PaperServer, owned: Decimal
) -> None:
    own.done({**SPOT, "action": "buy", "qty": "0.01", "stop_loss": "90000", "id": "1"})
    own.done({"ticker": "BTCUSDT.P", "action": "short", "qty": "0.02", "id": "2"})
    shown = [("linear", "short", "0.02", "default"), ("spot", "long", "0.00999", "default")]
    names = ("category", "side", "size", "strategy")
    until(lambda: [tuple(each[name] for name in names) for each in own.api("positions")["positions"]], shown)
    own.done({"ticker": "BTCUSDT.P", "action": "close", "id": "3"})
    assert [(each["category"], each["size"]) for each in own.api("positions")["positions"]] == [("spot", "0.00999")]
    for row in own.api("flatten", "POST", json={"everything": True})["accounts"]:
        own.wait_for(row["signal_id"])
    assert (held(own), coin(paper), resting(paper)) == (Decimal(0), owned, [])


def test_a_round_trip_is_a_trade_with_the_fee_of_the_coins_valued_at_the_fill(
    own: RelayServer, paper: PaperServer, owned: Decimal
) -> None:
    by_hand = {"category": "spot", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "marketUnit": "baseCoin"}
    paper.session().place_order(**by_hand, qty="0.3")
    own.done({**SPOT, "action": "buy", "qty": "0.1", "id": "1"})
    price(paper, 110000)
    own.done({**SPOT, "action": "close", "id": "2"})
    until(lambda: [each["status"] for each in own.api("trades")["trades"]], ["closed"])
    (trade,) = own.api("trades")["trades"]
    assert (trade["category"], trade["side"], trade["size"], trade["strategy"]) == ("spot", "long", "0.0999", "default")
    assert (trade["realised"], trade["fees"], trade["settle_coin"]) == ("999", "20.989", "USDT")


@pytest.mark.parametrize("streams", ["on", "off"])
def test_what_was_lost_on_coins_counts_in_the_days_loss(streams: str, paper: PaperServer, tmp_path: Path) -> None:
    paper.control.reset()
    price(paper, 50000)
    environment = {"DAILY_LOSS_LIMIT": "60", **({"BYBIT_STREAM_URL": "off"} if streams == "off" else {})}
    with running_relay(tmp_path, paper.url, **environment) as relay:
        bought = relay.done({**SPOT, "action": "buy", "qty": "0.02", "id": "1"})
        price(paper, 47500)
        sold = relay.done({**SPOT, "action": "close", "id": "2"})
        assert (bought["status"], sold["status"]) == ("done", "done")
        # 50 by the price and 2 in fees: under the limit, and the next round trip is over it.
        again = relay.done({**SPOT, "action": "buy", "qty": "0.02", "id": "3"})
        assert again["status"] == "done", again
        price(paper, 47000)
        relay.done({**SPOT, "action": "close", "id": "4"})
        denied = relay.done({"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.01", "id": "5"})
    assert (denied["status"], denied["reason"]["code"]) == ("denied", "LIMIT_DAILY_LOSS"), denied
    assert "the day's loss came to 63.78 USD" in denied["reason"]["message"], denied


def test_alerts_that_come_while_a_sale_is_under_way_are_taken_at_once(
    own: RelayServer, paper: PaperServer, owned: Decimal
) -> None:
    """What was sold already is not known then, and to find it out must hold up nothing else that is written."""
    own.done({**SPOT, "action": "buy", "qty": "0.01", "id": "in"})
    paper.control.streams(mute=True)
    sale = own.post({**SPOT, "action": "close", "id": "out"}).json()["signal_id"]
    answers: list[requests.Response] = []
    while len(answers) < 3 or own.api(f"signals/{sale}")["status"] != "done":
        answers.append(own.post({"ticker": "ETHUSDT", "market": "spot", "action": "close", "id": str(len(answers))}))
    assert {each.status_code for each in answers} == {202}
    assert (held(own), coin(paper)) == (Decimal(0), owned)
