"""`/api/strategies`: whether each strategy's alerts arrive, and where it says it stands."""

from __future__ import annotations

from typing import Any

from flask import Response

from relay.domain.chain import Fit
from relay.journal.codec import rfc3339
from relay.journal.strategies import ChainRecord
from relay.pipeline.heartbeat import Pulse
from relay.web.answers import answer
from relay.web.forms import number
from relay.web.runtime import current_parts


def list_strategies() -> Response:
    """`heartbeat`: null where none is expected. `chains`: by instrument; `gap`: an alert before the last is missing."""
    return answer({"strategies": strategies_now()})


def strategies_now() -> list[dict[str, Any]]:
    """Each strategy as the API shows it."""
    parts = current_parts()
    chains = parts.journal.strategies.chains()
    return [
        {
            "name": name,
            "last_alert_at": _at(pulse.last_alert_at_ms),
            "heartbeat": _heartbeat(pulse),
            "chains": [_chain(each) for each in chains if each.strategy == name],
        }
        for name, pulse in parts.heartbeats.pulses().items()
    ]


def _heartbeat(pulse: Pulse) -> dict[str, Any] | None:
    expected = pulse.expectation
    if expected is None:
        return None
    return {
        "every_s": expected.every_s,
        "any": expected.is_any,
        "state": "missed" if pulse.is_missed else "expected",
        "last_at": _at(pulse.last_sign_at_ms),
    }


def _chain(record: ChainRecord) -> dict[str, Any]:
    stands = record.last.link.after
    return {
        "category": record.category.value,
        "symbol": record.symbol,
        "side": stands.side.value,
        "size": number(stands.size),
        "state": "gap" if record.last.fit is Fit.MISSING else "whole",
        "signal_id": record.signal_id,
        "at": rfc3339(record.at_ms),
    }


def _at(unix_ms: int | None) -> str | None:
    return None if unix_ms is None else rfc3339(unix_ms)
