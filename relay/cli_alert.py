"""`alert`: messages to paste into TradingView."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import click

from relay.cli_options import Unusable, one_of
from relay.cli_output import remark, say
from relay.cli_send import STAND_IN

if TYPE_CHECKING:
    from relay.settings import Settings


class Kind(StrEnum):
    """`strategy` and `target` are for a strategy's alert; all others for an indicator's or a price alert."""

    STRATEGY = "strategy"
    TARGET = "target"
    LONG = "long"
    SHORT = "short"
    CLOSE = "close"
    BUY = "buy"
    SELL = "sell"
    REVERSE = "reverse"
    CANCEL = "cancel"
    HEARTBEAT = "heartbeat"


_TICKER: Final = {"ticker": "{{ticker}}", "exchange": "{{exchange}}"}
_STRATEGY_FILL: Final = {
    "market_position": "{{strategy.market_position}}",
    "market_position_size": "{{strategy.market_position_size}}",
    "prev_market_position": "{{strategy.prev_market_position}}",
    "prev_market_position_size": "{{strategy.prev_market_position_size}}",
    "order_id": "{{strategy.order.id}}",
    "signal_price": "{{strategy.order.price}}",
}
"""The chain of positions shows a lost alert, and tells two fills of one second apart."""
# `{{timenow}}`, not `{{time}}`: that is when the bar opened, and would make entries look too old.
_TIME: Final = {"time": "{{timenow}}"}
_SIZED: Final = (Kind.LONG, Kind.SHORT, Kind.BUY, Kind.SELL)
_FOR_STRATEGIES: Final = (Kind.STRATEGY, Kind.TARGET)
_EXAMPLE_QTY: Final = "0.001"


@click.command()
@click.option("--kind", type=one_of(Kind), default=Kind.STRATEGY.value, show_default=True, help="What it is for.")
@click.option("--strategy", metavar="NAME", help="The relay's strategy it goes to.")
@click.option("--with-secret", is_flag=True, help="Print the real secret instead of a word that stands for it.")
def alert(kind: str, strategy: str | None, with_secret: bool) -> None:
    """Print an alert message to paste into TradingView, and on stderr where it goes."""
    from relay.local_secrets import with_kept_secrets
    from relay.settings import NAME, load_settings

    settings = with_kept_secrets(load_settings())
    if strategy not in (None, NAME):
        raise Unusable(f"there is no strategy {strategy!r}; this relay has one, `{NAME}`")
    has_default_size = settings.default_size is not None
    secret = _real_secret(settings) if with_secret else STAND_IN
    wanted = Kind(kind)
    say(as_text({"secret": secret, **message(wanted, has_default_size=has_default_size)}))
    path = "/webhook" if strategy is None else f"/webhook/{strategy}"
    for line in _hints(wanted, settings.port, path, with_secret=with_secret, has_default_size=has_default_size):
        remark(line)


def message(kind: Kind, *, has_default_size: bool = False) -> dict[str, str]:
    """The message's fields without the secret. `has_default_size`: entries need not bring a size."""
    if kind is Kind.HEARTBEAT:
        return {"action": kind.value, **_TIME}
    if kind is Kind.STRATEGY:
        own = {"action": "{{strategy.order.action}}", "qty": "{{strategy.order.contracts}}", **_STRATEGY_FILL}
    elif kind is Kind.TARGET:
        own = {"action": kind.value, **_STRATEGY_FILL}
    else:
        size = {"qty": _EXAMPLE_QTY} if kind in _SIZED and not has_default_size else {}
        price = {} if kind is Kind.CANCEL else {"signal_price": "{{close}}"}
        own = {"action": kind.value, **size, **price}
    return {**_TICKER, **own, **_TIME}


def as_text(fields: Mapping[str, str]) -> str:
    """JSON, a field a line."""
    return json.dumps(fields, indent=2, ensure_ascii=False)


def _real_secret(settings: Settings) -> str:
    if not settings.webhook_secrets:
        raise Unusable(
            "no WEBHOOK_SECRET is set, and `python -m relay serve` has made none up here yet; "
            "set one or start the relay first"
        )
    return settings.webhook_secrets[0].reveal()


def _hints(kind: Kind, port: int, path: str, *, with_secret: bool, has_default_size: bool) -> list[str]:
    lines = [
        f"Webhook URL: https://YOUR-HOST{path}, which has to lead to http://127.0.0.1:{port}{path}.",
        "TradingView posts to ports 80 and 443 of public hosts only.",
    ]
    if not with_secret:
        lines.append(f"Put your webhook secret in the place of {STAND_IN}; --with-secret prints it.")
    if kind in _FOR_STRATEGIES:
        lines.append("This is for a strategy's alert: in any other alert its placeholders become empty.")
        lines.append(
            "A strategy's alert that fires more than 15 times in 3 minutes is stopped by TradingView, silently."
        )
    if kind in _SIZED and not has_default_size:
        lines.append("`qty` is in coins unless `qty_unit` says otherwise; put your own size there.")
    lines.append(
        "An `id` of your own must be new for each alert; without one, `time` and the fields tell alerts apart."
    )
    return lines
