"""What a start says of its configuration: what is set, what is not, and no secret."""

from __future__ import annotations

from pathlib import Path

from relay.settings_told import told
from tests.relay_server import ADMIN_TOKEN, NOBODY, WEBHOOK_SECRET, settings_for
from tests.unit.test_notices import TELEGRAM


def test_what_is_not_configured_is_said_with_what_would(tmp_path: Path) -> None:
    lines = dict(told(settings_for(tmp_path, NOBODY)))
    assert lines["account"] == "default (paper)"
    assert lines["limits of default"] == (
        "on default: all symbols; none on order, position, exposure, leverage, daily loss"
    )
    assert lines["alerts from"] == "anybody with the secret"
    assert "NOTIFY_URLS" in lines["people told"] and "SENTRY_DSN" in lines["errors to"]


def test_what_is_configured_is_said_without_a_secret(tmp_path: Path) -> None:
    settings = settings_for(
        tmp_path,
        NOBODY,
        MAX_POSITION_NOTIONAL="200",
        ALLOWED_SYMBOLS="BTCUSDT,ETHUSDT",
        WEBHOOK_SOURCES="tradingview",
        TRUSTED_PROXIES="1",
        NOTIFY_URLS=f"attention,halt={TELEGRAM}",
        SENTRY_DSN="https://a-public-key-of-tests@sentry.example/1",
    )
    lines = dict(told(settings))
    assert lines["limits of default"].startswith("on default: position 200, symbols BTCUSDT, ETHUSDT; none on order")
    assert lines["alerts from"] == "4 networks, behind 1 trusted proxy"
    assert lines["people told"] == "tgram (2 kinds)"
    text = repr(told(settings))
    assert not any(secret in text for secret in (WEBHOOK_SECRET, ADMIN_TOKEN, TELEGRAM, "a-public-key"))
