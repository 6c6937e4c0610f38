"""CryptoGnome's bot and its forks, tvbit-bot, and bots that take a strategy's fill as `strategy{…}`."""

from __future__ import annotations

from collections.abc import Mapping

from relay.alerts.formats.base import INFO, AlertFormat, Message, own, rows, to

_ACTIONS = {
    **{"buy": "buy", "sell": "sell", "close": "close", "close_long": "close_long", "close_short": "close_short"},
    **{"exit": "exit", "flat": "flat", "cancel": "cancel", "heartbeat": "heartbeat"},
}
_MODES = {"both": ("take_profit", "stop_loss"), "profit": ("take_profit",), "stop": ("stop_loss",), "none": ()}
_STOPS = ("take_profit", "stop_loss")
_SWITCHES = frozenset({"close_position", "cancel_orders", "order_mode"})
_ORDER = {"qty": ("qty", "amount", "quantity"), "type": ("type", "order_type"), "time": ("time", "timestamp")}
_LEVELS = {"take_profit": ("take_profit", "tp"), "stop_loss": ("stop_loss", "sl")}


def _is_shape(fields: Mapping[str, object]) -> bool:
    """It has the switches that these bots alone have; or is the order of a bot that calls its secret `key`."""
    is_order = fields.keys() & _SWITCHES or {"type", "side", "amount", "symbol"} <= fields.keys()
    return bool(is_order and fields.keys() & {"ticker", "symbol"})


def _read(message: Message) -> None:
    path = message.only("ticker", "symbol")
    message.need("symbol" if path is None else path, "name the instrument, such as `BTCUSDT`")
    if path is not None:
        message.copy(path, "ticker")
    if message.flag("close_position"):
        message.copy("exchange", "exchange")
        message.give("action", "close", "close_position")
        return
    for native, names in _ORDER.items():
        if (own_name := message.only(*names)) is not None:
            message.copy(own_name, native)
    for native in ("exchange", "price", "leverage", "reduce_only"):
        message.copy(native, native)
    if "qty" in message.native:
        message.give("qty_unit", "contracts", message.names["qty"])
    _act(message)
    _stops(message)


def _act(message: Message) -> None:
    path = message.only("action", "side")
    cancels = message.flag("cancel_orders")
    if path is not None:
        action = message.choice(path, _ACTIONS)
        if action is not None:
            message.give("action", action, path)
        if cancels and action in ("buy", "sell"):
            message.mean("clears_first", True, "cancel_orders")
    elif cancels:
        message.give("action", "cancel", "cancel_orders")
    else:
        message.refuse("side", "is missing: `buy` or `sell`; or say `close_position` or `cancel_orders`")


def _stops(message: Message) -> None:
    """`order_mode` says which of the percentages count; without it those that are there do."""
    used = message.choice("order_mode", _MODES) if message.has("order_mode") else _STOPS
    for native, names in _LEVELS.items():
        path = message.only(*names, f"{native}_percent")
        if path is None and message.has("order_mode") and native in (used or ()):
            message.refuse(f"{native}_percent", "is missing, and `order_mode` uses it")
        elif path is None or native not in (used or ()):
            continue
        elif path.endswith("_percent"):
            share = message.percent(path)
            if share is not None:
                message.give(native, share, path)
        elif str(message.raw(path)).strip().startswith(("+", "-")):
            message.refuse(path, "has a sign, which bots read in different ways; send a price or a percentage")
        else:
            message.copy(path, native)


BOT = AlertFormat(
    name="bot",
    service="the bots on GitHub",
    table={
        **{
            "action": own("action"),
            "symbol": own("ticker"),
            "qty": own("qty"),
            "type": own("type"),
            "time": own("time"),
        },
        **{"price": own("price"), "exchange": own("exchange"), "leverage": own("leverage")},
        **{"reduce_only": own("reduce_only"), "take_profit_percent": own("take_profit")},
        **{"stop_loss_percent": own("stop_loss"), "comment": to("comment"), "signal_price": to("signal_price")},
        **rows(own(), "ticker side amount quantity order_type timestamp take_profit tp stop_loss sl"),
        **rows(own(), "close_position cancel_orders order_mode"),
    },
    secrets=("passphrase", "key", "pin", "password"),
    marks=_SWITCHES | {"key"},
    is_shape=_is_shape,
    read=_read,
)
"""Source: https://github.com/CryptoGnome/Bybit-Futures-Bot, README: fields, and what `order_mode` chooses; and
https://github.com/robswc/tradingview-webhooks-bot, README: `amount` is what ccxt takes, of the base coin."""


# tvbit-bot: `tp` and `sl` with a sign count from the price, and the sign is a direction of the price, not of profit.


_TVBIT = frozenset({"name", "symbol", "type", "price", "side", "qty", "tp", "sl"})


def _is_tvbits(level: object) -> bool:
    return str(level).strip() == "0" or str(level).strip().startswith(("+", "-"))


def _is_tvbit(fields: Mapping[str, object]) -> bool:
    """All of its fields and no other, and something that only it means so."""
    return fields.keys() == _TVBIT or (
        fields.keys() == _TVBIT - {"name"} and any(_is_tvbits(fields[name]) for name in ("tp", "sl"))
    )


def _read_tvbit(message: Message) -> None:
    side = message.choice("side", {"buy": "buy", "sell": "sell"})
    if side is not None:
        message.give("action", side, "side")
    if str(message.raw("price")).strip() != "0":
        message.copy("price", "price")
    texts = {path: str(message.raw(path)).strip() for path in ("tp", "sl")}
    if len({text.endswith("%") for text in texts.values()}) > 1:
        message.refuse("sl", "and `tp` must both be percentages, or neither: tvbit-bot reads them in one way")
    for (path, text), native in zip(texts.items(), _STOPS, strict=True):
        if text == "0":
            continue
        if text[:1] in ("+", "-") and side == "sell":
            text = ("-" if text[0] == "+" else "+") + text[1:]
        message.give(native, text, path)


TVBIT = AlertFormat(
    name="tvbit",
    service="tvbit-bot",
    table={
        **{"symbol": to("ticker"), "side": own("action"), "qty": to("qty"), "type": to("type")},
        **{"price": own("price"), "tp": own("take_profit"), "sl": own("stop_loss"), "name": INFO},
    },
    marks=frozenset({"tp"}),
    is_shape=_is_tvbit,
    read=_read_tvbit,
)
"""Source: https://github.com/rluisr/tvbit-bot, README.md, pkg/domain/tv.go and pkg/adapter/gateway/bybit_repository.go
(`CalculateTPSL`): zero is no level, `+` adds to the price and `-` takes from it whatever the side."""


# The bots that take a strategy's fill: `{passphrase, time, exchange, ticker, bar{…}, strategy{order_action, …}}`.
#
# Such a bot sends `order_action` with `order_contracts` to the exchange. Where the message says how the strategy stands
# afterwards, that is read too, so that no exit opens a position and no reversal is doubled. `order_price` is the
# chart's.


_POSITION = "position_size market_position market_position_size prev_market_position prev_market_position_size"


def _is_fill_shape(fields: Mapping[str, object]) -> bool:
    strategy = fields.get("strategy")
    return isinstance(strategy, Mapping) and "order_action" in strategy


def _read_fill(message: Message) -> None:
    message.need("strategy.order_action", "`buy` or `sell`, as `{{strategy.order.action}}` is")
    message.need("ticker", "name the instrument, such as `BTCUSDT.P` or `{{ticker}}`")
    if not message.has("strategy.order_price"):
        message.copy("price", "signal_price")


STRATEGY_BOT = AlertFormat(
    name="strategy_bot",
    service="the passphrase bots",
    table={
        **{"strategy.order_action": to("action", {"buy": "buy", "sell": "sell"}), "ticker": to("ticker")},
        **{"exchange": to("exchange"), "time": to("time"), "strategy.order_contracts": to("qty")},
        **{"strategy.order_price": to("signal_price"), "strategy.order_id": to("order_id")},
        **{"strategy.order_comment": to("comment"), **{f"strategy.{name}": to(name) for name in _POSITION.split()}},
        **rows(INFO, "interval alert_name alert_message bar.* volume open high low close strategy.order_alert_message"),
        "price": own(),
    },
    secrets=("passphrase",),
    marks=frozenset({"strategy"}),
    is_shape=_is_fill_shape,
    read=_read_fill,
)
"""Source: https://github.com/hackingthemarkets/tradingview-binance-strategy-alert-webhook
(payloads/tradingview_webhook_payload_format.txt), from which many bots were made."""
