"""`/api/strategies`: the last alert of each strategy, and where it says it stands."""

from __future__ import annotations

from decimal import Decimal

from relay.domain.notice import NoticeKind
from tests.relay_server import RelayServer

FILL = {
    "ticker": "BTCUSDT.P",
    "action": "buy",
    "qty": "0.01",
    "market_position": "long",
    "market_position_size": "0.01",
    "prev_market_position": "flat",
    "prev_market_position_size": "0",
}


def test_a_strategys_chain_is_listed_with_its_gap(own: RelayServer) -> None:
    own.done({**FILL, "time": "2030-01-01T00:00:00Z"})
    strategy = own.api("strategies")["strategies"][0]
    assert strategy["heartbeat"] is None and strategy["last_alert_at"]
    assert [(each["side"], each["size"], each["state"]) for each in strategy["chains"]] == [("long", "0.01", "whole")]
    second = {"qty": "0.02", "market_position_size": "0.05", "prev_market_position_size": "0.03"}
    signal = own.done({**FILL, **second, "prev_market_position": "long", "time": "2030-01-01T00:00:01Z"})
    assert any("missing: it stood at long 0.01" in note for note in signal["notes"]), signal["notes"]
    assert {"chain_gap", "drift"} <= {event["name"] for event in signal["events"]}
    chain = own.api("strategies")["strategies"][0]["chains"][0]
    assert (chain["size"], chain["state"], chain["signal_id"]) == ("0.05", "gap", signal["id"])


def test_the_list_takes_no_parameters_and_says_so(own: RelayServer) -> None:
    assert own.ask("strategies?symbol=BTCUSDT").status_code == 400


def test_a_plan_says_how_a_foreign_alert_was_read_and_its_errors_name_the_senders_fields(own: RelayServer) -> None:
    alert = {"ticker": "BTCUSDT.P", "action": "buy", "quantity": "0.01"}
    plan = own.api("plan?format=traderspost", "POST", json=alert)
    assert plan["format"] == "traderspost" and len(plan["orders"]) == 1
    assert {"field": "quantity", "native": "qty", "value": "0.01"} in plan["fields"]
    assert [(each["account"], each["limit"], each["passes"]) for each in plan["checks"]] == [
        ("default", "SIGNAL_MAX_AGE", True)
    ]
    unknown = {"instrument": "NOSUCH-USDT-SWAP", "action": "ENTER_LONG", "investmentType": "base", "amount": "1"}
    answer = own.ask("plan?format=okx", "POST", json=unknown)
    assert answer.status_code == 422 and set(answer.json()["error"]["fields"]) == {"instrument"}, answer.text


def test_silence_is_listed_with_the_signals(own: RelayServer) -> None:
    assert own.api("signals")["silent"] == []


def test_a_drift_is_noted_while_it_lasts_and_reported_once_until_it_changes(own: RelayServer) -> None:
    reported: list[str] = []
    own.relay.services.announcer.add_receiver(
        lambda kind, text: reported.append(text) if kind is NoticeKind.DRIFT else None
    )
    noted = []
    # The strategy holds 0.02 more than the account, twice; then the account is right; then 0.03 more.
    for number, (before, qty) in enumerate([("0.02", "0.01"), ("0.03", "0.01"), ("0", "-0.04"), ("0.03", "0.01")]):
        after = Decimal(before) + Decimal(qty)
        is_exit = qty.startswith("-")
        signal = own.done(
            {
                "ticker": "ETHUSDT.P",
                "action": "sell" if is_exit else "buy",
                "qty": qty.lstrip("-"),
                "market_position": "flat" if is_exit else "long",
                "market_position_size": "0" if is_exit else str(after),
                "prev_market_position": "long" if before != "0" or is_exit else "flat",
                "prev_market_position_size": "0.04" if is_exit else before,
                "time": f"2030-01-02T00:00:0{number}Z",
            }
        )
        noted.append(any("the account is not where the strategy is" in note for note in signal["notes"]))
    assert noted == [True, True, False, True]
    assert [text.partition("(signal")[0][-14:] for text in reported] == ["it holds 0.01 ", "it holds 0.01 "]


def test_a_reversal_without_sizes_goes_by_what_the_strategys_last_alert_left(own: RelayServer) -> None:
    """By hand the account holds more than the strategy: the new side is the strategy's all the same."""
    base = {"ticker": "BTCUSDT.P", "time": "2030-01-03T00:00:00Z"}
    own.done(base | {"action": "buy", "qty": "0.01", "prev_market_position": "flat", "market_position": "long"})
    own.done(base | {"action": "buy", "qty": "0.005", "id": "by hand"})
    turned = own.done(
        base | {"action": "sell", "qty": "0.03", "prev_market_position": "long", "market_position": "short"}
    )
    assert "size_before" in {event["name"] for event in turned["events"]}
    [position] = [each for each in own.api("positions")["positions"] if each["symbol"] == "BTCUSDT"]
    assert (position["side"], Decimal(position["size"])) == ("short", Decimal("0.02"))
