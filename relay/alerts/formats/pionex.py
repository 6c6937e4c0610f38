"""Pionex' signal bots, and Tickerly: a strategy's fill under names of their own.

Sources: https://www.pionex.com/docs/api-docs/bot-api/signal (`{{strategy.position_size}}`, signed, is where the bot
goes) and https://tickerly.net/standard-alert-message-structure (each order is placed as the strategy says)."""

from __future__ import annotations

from collections.abc import Mapping

from relay.alerts.formats.base import INFO, AlertFormat, Message, own, rows, to

_SIZE = ("data.position_size", "data.positionSize")


def _read(message: Message) -> None:
    path = message.only(*_SIZE)
    message.need(path or _SIZE[0], "where the strategy stands, `{{strategy.position_size}}`")
    if path is not None:
        message.copy(path, "position_size")
        message.give("action", "target", path)


PIONEX = AlertFormat(
    name="pionex",
    service="Pionex",
    table={
        **{"data.position_size": own("position_size"), "data.positionSize": own(), "symbol": to("ticker")},
        **{"price": to("signal_price"), "time": to("time")},
        **rows(INFO, "data.action data.contracts signal_type signal_param signalType signalParam"),
    },
    secrets=("signal_type", "signaltype"),
    marks=frozenset({"signal_type", "signal_param", "signaltype", "signalparam"}),
    is_shape=lambda fields: isinstance(fields.get("data"), Mapping) and "symbol" in fields,
    read=_read,
)
TICKERLY = AlertFormat(
    name="tickerly",
    service="Tickerly",
    table={
        **{"ticker": to("ticker"), "action": to("action", {"buy": "buy", "sell": "sell"}), "quantity": to("qty")},
        **{"prev_position": to("prev_market_position"), "pointer": INFO, "time": to("time")},
    },
    secrets=("pointer",),
    marks=frozenset({"pointer"}),
    is_shape=lambda fields: {"ticker", "action", "quantity"} <= fields.keys(),
)
