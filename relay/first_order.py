"""A first alert to try: one that this configuration takes, as the running relay itself says, or why it takes none."""

from __future__ import annotations

import json
from typing import Final
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from relay.domain.account import Direction, Mode, Rules
from relay.domain.order import OrderType
from relay.settings import StrategySettings

_USUAL: Final = "BTCUSDT"
_SYMBOLS_TRIED: Final = 5
_WORTHS: Final = ("100", "20", "6")
"""In the quote coin: under smaller and smaller limits."""
_PATIENCE_S: Final = 5.0

Alert = dict[str, str]


def first_order(strategy: StrategySettings, *, url: str, token: str) -> tuple[Alert | None, str]:
    """The alert, without its secret and `id`; or None, and why there is none. `url`: of the relay, which is asked."""
    alerts, why = _alerts(strategy), ""
    for alert in alerts:
        problem = _problem(alert, strategy.name, url, token)
        if problem is None:
            return alert, ""
        why = why or problem
    return None, why


def _alerts(strategy: StrategySettings) -> list[Alert]:
    """From the plainest one on."""
    rules = next(iter(strategy.rules.values()), Rules())
    allowed = rules.allowed_symbols
    symbols = [_USUAL] if allowed is None else sorted(allowed, key=lambda each: (each != _USUAL, each))
    found: list[Alert] = []
    for symbol in symbols[:_SYMBOLS_TRIED]:
        sizes = [{"qty": "0.001"}] if symbol == _USUAL and rules.size_unit is None else []
        sizes += [{"qty": worth, "qty_unit": "quote"} for worth in _WORTHS]
        found += [_alert(symbol, rules, size) for size in sizes]
    return found


def _alert(symbol: str, rules: Rules, size: Alert) -> Alert:
    side = "short" if rules.direction is Direction.SHORT_ONLY else "long"
    alert = {"ticker": f"{symbol}.P" if symbol.endswith("USDT") else symbol}
    if rules.mode is Mode.POSITION:
        alert |= {"action": "target", "market_position": side}
    else:
        alert |= {"action": "sell" if side == "short" else "buy"}
    if rules.default_type is not OrderType.MARKET:
        alert |= {"type": OrderType.MARKET.value}
    return alert | size


def _problem(alert: Alert, strategy: str, url: str, token: str) -> str | None:
    """Why the relay would not place it, in its words; None: it would, or does not say."""
    query = urlencode({"strategy": strategy, "format": "native"})
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = json.dumps(alert).encode()
    request = Request(f"{url}/api/plan?{query}", data=body, headers=headers)  # noqa: S310 - this machine's own http
    try:
        with urlopen(request, timeout=_PATIENCE_S) as answer:  # noqa: S310
            told = json.load(answer)
    except HTTPError as error:
        with error:
            told = {"reason": _error_of(error.read())}
    except (OSError, ValueError):
        return None
    reason = told.get("reason") if told.get("status") != "planned" else None
    return f"{reason['code']}: {reason['message']}" if isinstance(reason, dict) else None


def _error_of(body: bytes) -> object:
    try:
        return json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return None
