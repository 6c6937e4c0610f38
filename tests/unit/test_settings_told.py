"""What a start says of its configuration: what is set, what is not, and no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.domain.limits import LIMITS, Limit, LimitUnit
from relay.settings.settings import reported
from tests.relay_server import ADMIN_TOKEN, NOBODY, WEBHOOK_SECRET, settings_for
from tests.unit.test_notices import TELEGRAM


def test_what_is_not_configured_is_said_with_what_would(tmp_path: Path) -> None:
    lines = dict(reported(settings_for(tmp_path, NOBODY)))
    assert lines["account"] == "default (paper)"
    assert lines["limits of default"] == (
        "on default: all symbols; none on hours, leverage, distance, order, position, entries per minute, cooldown, "
        "daily loss, open symbols, exposure"
    )
    assert lines["alerts from"] == "anybody with the secret"
    assert "NOTIFY_URLS" in lines["people told"] and "SENTRY_DSN" in lines["errors to"]


@pytest.mark.parametrize("limit", LIMITS, ids=lambda each: each.key)
def test_every_limit_is_said(tmp_path: Path, limit: Limit) -> None:
    bound = (
        "BTCUSDT" if limit.unit is LimitUnit.SYMBOLS else '{ days = "mon" }' if limit.unit is LimitUnit.HOURS else "7"
    )
    table = "" if limit.is_strategys_key else "limits."
    value = bound if limit.unit is LimitUnit.HOURS else f'"{bound}"'
    settings = settings_for(tmp_path, NOBODY, RELAY_CONFIG=f"[strategies.default]\n{table}{limit.key} = {value}\n")
    held, _, free = dict(reported(settings))["limits of default"].partition("; none on ")
    assert f"{limit.words} {limit.shown(limit.bound(settings.rules))}" in held
    assert limit.words not in free.split(", ")


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
    lines = dict(reported(settings))
    assert lines["limits of default"].startswith("on default: symbols BTCUSDT, ETHUSDT; position 200; none on hours")
    assert lines["alerts from"] == "4 networks, behind 1 trusted proxy"
    assert lines["people told"] == "tgram (2 kinds)"
    text = repr(reported(settings))
    assert not any(secret in text for secret in (WEBHOOK_SECRET, ADMIN_TOKEN, TELEGRAM, "a-public-key"))
