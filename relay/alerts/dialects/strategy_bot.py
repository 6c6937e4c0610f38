"""The bots that take a strategy's fill: `{passphrase, time, exchange, ticker, bar{…}, strategy{order_action, …}}`.

Source: https://github.com/hackingthemarkets/tradingview-binance-strategy-alert-webhook
(payloads/tradingview_webhook_payload_format.txt), from which many bots were made.

Such a bot sends `order_action` with `order_contracts` to the exchange. Where the message says how the strategy stands
afterwards, that is read too, so that no exit opens a position and no reversal is doubled. `order_price` is the chart's.
"""

from __future__ import annotations

from collections.abc import Mapping

from relay.alerts.dialects.dialect import Dialect
from relay.alerts.dialects.message import Message

_HANDED_ON = {
    **{"order_contracts": "qty", "order_price": "signal_price", "order_id": "order_id", "order_comment": "comment"},
    **{name: name for name in ("position_size", "market_position", "market_position_size")},
    **{name: name for name in ("prev_market_position", "prev_market_position_size")},
}
_ACTIONS = {"buy": "buy", "sell": "sell"}


def _is_shape(fields: Mapping[str, object]) -> bool:
    strategy = fields.get("strategy")
    return isinstance(strategy, Mapping) and "order_action" in strategy


def _read(message: Message) -> None:
    action = message.choice("strategy.order_action", _ACTIONS)
    message.need("strategy.order_action", "`buy` or `sell`, as `{{strategy.order.action}}` is")
    message.need("ticker", "name the instrument, such as `BTCUSDT.P` or `{{ticker}}`")
    if action is not None:
        message.give("action", action, "strategy.order_action")
    for name in ("ticker", "exchange", "time"):
        message.copy(name, name)
    for own, native in _HANDED_ON.items():
        message.copy(f"strategy.{own}", native)


STRATEGY_BOT = Dialect(
    name="strategy_bot",
    service="the passphrase bots",
    fields=(
        *("time", "exchange", "ticker", "interval", "alert_name", "alert_message", "bar.*", "strategy.order_action"),
        *(f"strategy.{name}" for name in _HANDED_ON),
    ),
    secrets=("passphrase",),
    is_shape=_is_shape,
    read=_read,
    spelled={native: f"strategy.{own}" for own, native in _HANDED_ON.items()} | {"action": "strategy.order_action"},
)
