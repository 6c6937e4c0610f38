"""SignalBee's webhook.

Source: https://signalbee.trade/docs/webhook-templates. `percentage` is of the balance: read as the notional in percent
of the equity on a buy, and of the position where the order only reduces; a plain `sell` of a percentage could mean
either."""

from __future__ import annotations

from relay.alerts.formats.base import INFO, AlertFormat, Message, own, to

_ACTIONS = {"buy": "buy", "sell": "sell", "close": "close"}
_UNITS = {"fixed": "base", "percentage": "equity_pct"}
_TYPES = {
    **{"market": "market", "limit": "limit", "stop_loss": "stop_market", "stop_limit": "stop_limit"},
    **{"take_profit": "market_if_touched", "take_profit_limit": "limit_if_touched"},
}


def _read(message: Message) -> None:
    action = message.choice("side", _ACTIONS)
    message.need("side", "`buy`, `sell` or `close`")
    message.need("symbol", "name the instrument, such as `BTC-USDT`")
    if action is not None:
        message.give("action", action, "side")
    unit = message.choice("quantity_type", _UNITS)
    if message.has("quantity"):
        message.copy("quantity", "qty")
        message.need("quantity_type", "`fixed` or `percentage`")
    if unit == "equity_pct" and (action == "close" or message.flag("reduce_only")):
        unit = "position_pct"
    elif unit == "equity_pct" and action == "sell":
        message.refuse("quantity_type", "`percentage` of a `sell` could be of the position or of the balance; set "
                       "`reduce_only` to true, or send `qty` and `qty_unit` in a native alert")  # fmt: skip
    if unit is not None and message.has("quantity"):
        message.give("qty_unit", unit, "quantity_type")


SIGNALBEE = AlertFormat(
    name="signalbee",
    service="SignalBee",
    table={
        **{"side": own("action", chooses=True), "symbol": to("ticker"), "quantity": own("qty", chooses=True)},
        "quantity_type": own("qty_unit", chooses=True),
        **{"source_timestamp": to("time"), "signal_price": to("signal_price"), "type": to("type", _TYPES)},
        **{"price": to("price"), "stop_price": to("trigger_price"), "reduce_only": to("reduce_only")},
        "webhook_secret": INFO,
    },
    secrets=("webhook_secret",),
    marks=frozenset({"webhook_secret"}),
    is_shape=lambda fields: {"side", "symbol"} <= fields.keys(),
    read=_read,
)
