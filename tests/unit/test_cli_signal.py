"""A signal in plain words."""

from __future__ import annotations

from typing import Any

import pytest

from relay.cli.signals import became, in_full, requested, row, summary


def order(**changed: Any) -> dict[str, Any]:
    return {
        "client_order_id": "01abc-def",
        "venue_order_id": None,
        "account": "default",
        "category": "linear",
        "symbol": "BTCUSDT",
        "side": "buy",
        "type": "market",
        "qty": "0.01",
        "price": None,
        "reduce_only": False,
        "status": "filled",
        "reason": None,
        "filled_qty": "0.01",
        "avg_price": "95000.5",
        "fee": "0.52",
        "fee_coin": "MNT",
        **changed,
    }


def signal(**changed: Any) -> dict[str, Any]:
    return {
        "id": "01abc",
        "strategy": "default",
        "action": "buy",
        "symbol": "BTCUSDT",
        "status": "done",
        "reason": None,
        "notes": [],
        "received_at": "2025-01-31T12:00:00.000Z",
        "sent_at": None,
        "alert": {"action": "buy", "ticker": "BTCUSDT.P"},
        "orders": [order()],
        "events": [],
        **changed,
    }


@pytest.mark.parametrize(
    ("changed", "ordered", "result"),
    [
        ({}, "buy 0.01", "filled 0.01 at 95000.5, fee 0.52 MNT"),
        (
            {"type": "limit", "price": "9", "status": "accepted", "filled_qty": "0", "avg_price": None},
            "buy 0.01 limit at 9",
            "accepted",
        ),
        (
            {"type": "stop_market", "reduce_only": True, "status": "partially_filled", "filled_qty": "0.004"},
            "buy 0.01 stop market reduce-only",
            "partially filled, filled 0.004 at 95000.5, fee 0.52 MNT",
        ),
        (
            {"status": "rejected", "filled_qty": "0", "reason": {"code": "EXCHANGE_BALANCE", "message": "too little"}},
            "buy 0.01",
            "rejected: EXCHANGE_BALANCE: too little",
        ),
        ({"status": "submitted", "filled_qty": "0.000"}, "buy 0.01", "submitted"),
    ],
)
def test_an_order_is_reported_as_it_was_requested_and_as_it_became(
    changed: dict[str, Any], ordered: str, result: str
) -> None:
    assert requested(order(**changed)) == ordered
    assert became(order(**changed)) == result


def test_a_signal_that_needs_attention_says_what_to_do() -> None:
    reason = {"code": "OUTCOME_UNKNOWN", "message": "the exchange did not tell"}
    lines = summary(signal(status="attention", reason=reason, orders=[order(status="submitted", filled_qty="0")]))
    assert lines[:3] == [
        "attention: buy BTCUSDT (signal 01abc)",
        "  reason  OUTCOME_UNKNOWN: the exchange did not tell",
        "  buy 0.01: submitted",
    ]
    assert "`python -m relay seen 01abc`" in lines[3]


def test_a_signal_that_ordered_nothing_shows_its_last_note_as_the_reason() -> None:
    nothing = signal(action="close", orders=[], notes=["without an id", "nothing is open"])
    assert row(nothing)[-3:] == ["", "", "nothing is open"]
    assert row(signal())[-3:] == ["buy 0.01", "0.01 at 95000.5", ""]


@pytest.mark.parametrize(
    ("changed", "stands"),
    [
        ({"type": "limit", "price": "91", "filled_qty": "0"}, "rests at 91"),
        ({"type": "stop_market", "trigger_price": "97", "filled_qty": "0"}, "rests at 97"),
        ({"type": "limit", "price": "91", "filled_qty": "0.004", "avg_price": "91"}, "0.004 at 91"),
        ({"type": "limit", "price": "91", "filled_qty": "0", "status": "cancelled"}, ""),
    ],
)
def test_of_a_resting_order_the_list_says_where_it_rests(changed: dict[str, Any], stands: str) -> None:
    assert row(signal(orders=[order(**{"status": "accepted", "avg_price": None, **changed})]))[-2] == stands


def test_steps_are_shown_with_the_milliseconds_between_them() -> None:
    events = [
        {"at": "2025-01-31T12:00:00.000Z", "name": "accepted", "detail": None},
        {"at": "2025-01-31T12:00:00.007Z", "name": "planned", "detail": {"orders": 1}},
        {"at": "2025-01-31T12:00:01.250Z", "name": "done", "detail": None},
    ]
    assert in_full(signal(events=events))[-3:] == [
        "  2025-01-31T12:00:00.000Z            accepted",
        "  2025-01-31T12:00:00.007Z  +7 ms     planned   orders 1",
        "  2025-01-31T12:00:01.250Z  +1243 ms  done",
    ]


def test_nothing_of_an_alert_reaches_the_terminal_raw() -> None:
    evil = "\x1b]0;gone\x07\n"
    text = "\n".join(
        in_full(
            signal(
                id=evil,
                action=evil,
                alert={"comment": evil, evil: "x"},
                notes=[evil],
                reason={"code": "X", "message": evil},
                orders=[order(reason={"code": "X", "message": evil})],
                events=[{"at": evil, "name": evil, "detail": {evil: evil}}],
            )
        )
        + summary(signal(action=evil, status="failed", id=evil))
    )
    assert "\x1b" not in text and "\x07" not in text


def test_a_rejected_alert_that_could_not_be_read_is_shown_all_the_same() -> None:
    unread = signal(action=None, symbol=None, status="rejected", orders=[], alert={"text": "{broken"})
    lines = in_full(unread)
    assert lines[0] == "signal 01abc: rejected"
    assert "  text  {broken" in lines
    assert row(unread)[3:5] == ["", ""]
