"""The messages to paste into TradingView are what the relay itself takes."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import Result

from relay.alerts.signal import read, signal_from_stored
from relay.alerts.wording import FOR_STRATEGIES, PLACEHOLDERS, SIZED, Kind, as_text, message, size_fields
from relay.domain.signal import Action, MarketSide, Signal
from tests.flow.cli_support import environment, run

NOW = datetime(2025, 1, 31, 12, 0, 0, tzinfo=UTC)
FILLED_IN = {
    "ticker": "BTCUSDT.P",
    "exchange": "BYBIT",
    "close": "95000.5",
    "timenow": "2025-01-31T12:00:00Z",
    "strategy.order.action": "sell",
    "strategy.order.contracts": "1.5",
    "strategy.order.price": "95000.5",
    "strategy.order.id": "Long exit",
    "strategy.market_position": "long",
    "strategy.market_position_size": "0.5",
    "strategy.prev_market_position": "long",
    "strategy.prev_market_position_size": "2",
}


def as_posted(kind: Kind) -> bytes:
    """The message with its placeholders replaced, as TradingView would."""
    text = as_text({"secret": "a-secret", **message(kind)})
    return re.sub(r"\{\{(.+?)\}\}", lambda found: FILLED_IN[found[1]], text).encode()


def signal_of(kind: Kind) -> Signal:
    reading = read(as_posted(kind))
    assert reading.secret == "a-secret"
    return signal_from_stored(reading.fields, id="0" * 26, strategy="default", received_at=NOW)


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_is_a_valid_alert_without_a_note_once_its_placeholders_are_replaced(kind: Kind) -> None:
    signal = signal_of(kind)
    assert signal.notes == ()
    assert signal.sent_at == NOW
    assert signal.sender_id is None
    others = {Kind.STRATEGY: "sell", Kind.DIRECTION: "target", Kind.LIMIT: "buy"}
    assert signal.action is Action(others.get(kind, kind.value))


@pytest.mark.parametrize("kind", list(Kind))
def test_only_placeholders_that_tradingview_knows_are_used(kind: Kind) -> None:
    used = re.findall(r"\{\{(.+?)\}\}", as_text(message(kind)))
    assert set(used) <= set(PLACEHOLDERS)
    of_strategies = [name for name in used if name.startswith("strategy.")]
    assert bool(of_strategies) is (kind in FOR_STRATEGIES)


def test_a_strategys_message_residuals_the_chain_the_price_and_the_orders_name() -> None:
    signal = signal_of(Kind.STRATEGY)
    assert signal.qty == Decimal("1.5")
    assert (signal.market_position, signal.market_position_size) == (MarketSide.LONG, Decimal("0.5"))
    assert (signal.prev_market_position, signal.prev_market_position_size) == (MarketSide.LONG, Decimal(2))
    assert signal.signal_price == Decimal("95000.5")
    assert signal.order_id == "Long exit"


def test_a_target_has_the_strategys_size_and_none_of_its_own() -> None:
    signal = signal_of(Kind.TARGET)
    assert signal.qty is None
    assert signal.market_position_size == Decimal("0.5")


def test_entries_bring_a_size_unless_the_relay_has_a_default_one() -> None:
    for kind in Kind:
        is_entry = kind in SIZED or kind is Kind.DIRECTION
        assert ("qty" in message(kind)) is (is_entry or kind is Kind.STRATEGY)
        assert ("qty" in message(kind, has_default_size=True)) is (kind is Kind.STRATEGY)


def alert(folder: Path, *arguments: str, **environ: str) -> Result:
    return run(environment(folder, **environ), "alert", *arguments)


def test_the_secret_is_printed_only_when_it_is_asked_for(tmp_path: Path) -> None:
    secret = "the-very-secret-of-this-test"
    hidden = alert(tmp_path, WEBHOOK_SECRET=secret)
    assert hidden.exit_code == 0
    assert json.loads(hidden.stdout)["secret"] == "YOUR-WEBHOOK-SECRET"
    assert secret not in hidden.output
    reported = alert(tmp_path, "--with-secret", WEBHOOK_SECRET=f"one-that-is-being-replaced {secret}")
    assert json.loads(reported.stdout)["secret"] == secret
    assert secret not in reported.stderr


def test_the_secret_that_serve_made_up_is_found_and_where_there_is_none_that_is_said(tmp_path: Path) -> None:
    missing = alert(tmp_path, "--with-secret", WEBHOOK_SECRET="")
    assert missing.exit_code == 2
    assert missing.stderr.startswith("no WEBHOOK_SECRET is set")
    (tmp_path / "relay.db.secrets").write_text("WEBHOOK_SECRET_PAPER=made-up-by-serve-0123456789012345\n")
    made_up = alert(tmp_path, "--with-secret", WEBHOOK_SECRET="")
    assert json.loads(made_up.stdout)["secret"] == "made-up-by-serve-0123456789012345"


def test_where_it_goes_and_what_to_mind_is_said_beside_the_message(tmp_path: Path) -> None:
    result = alert(tmp_path, "--strategy", "default", PORT="8123")
    assert "http://127.0.0.1:8123/webhook/default" in result.stderr
    assert "15 times in 3 minutes" in result.stderr
    assert "15 times" not in alert(tmp_path, "--kind", "close").stderr


def test_an_unknown_kind_or_strategy_is_bad_usage(tmp_path: Path) -> None:
    assert alert(tmp_path, "--kind", "moon").exit_code == 2
    unknown = alert(tmp_path, "--strategy", "moon")
    assert unknown.exit_code == 2
    assert unknown.stderr == "there is no strategy 'moon'; this relay has default\n"


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("0.02", {"qty": "0.02"}),
        ("2.5%", {"qty": "2.5", "qty_unit": "equity_pct"}),
        (" 150 usdt ", {"qty": "150", "qty_unit": "quote"}),
        ("150USD", {"qty": "150", "qty_unit": "quote"}),
        ("a lot", {"qty": "a lot"}),
        ("", {}),
    ],
)
def test_a_size_is_taken_as_people_write_it(text: str, fields: dict[str, str]) -> None:
    assert size_fields(text) == fields
