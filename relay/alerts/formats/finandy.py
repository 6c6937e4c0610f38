"""Finandy's signals.

Source: https://docs.infinityalgo.com/trading-guide/trading-guide/automating-infinity-algo-alerts-via-finandy and the
fields that a public rebuild of its hooks lists. `positionSide` is `{{strategy.market_position}}`. Of take profits and
stops `ofs` is percent from the entry, and a `price` beside it counts instead; `piece` is percent of the position. Sizes
inside of `open` count what the hook is set to, so they are refused. `tp.update` moves the take profits of an open
position, which a later alert's do here, too."""

from __future__ import annotations

from collections.abc import Mapping

from relay.alerts.formats.base import INFO, AlertFormat, Message, no, own, rows, to

_ACTIONS = {"buy": "buy", "sell": "sell"}
_SIDES = {"long": "long", "short": "short", "flat": "flat", "both": ""}
_SET = "counts what the hook at Finandy is set to (coins, money or percent); send `qty` and `qty_unit` instead"
_MANAGED = "is managed by Finandy, and not done here; leave it out"


def _read(message: Message) -> None:
    message.need("side", "`buy` or `sell`")
    message.need("symbol", "name the instrument, such as `BTCUSDT.P`")
    if _is_on(message, "tp"):
        count = message.size_of("tp.orders")
        if not count:
            message.refuse("tp.orders", "is missing: a list of `ofs` and `piece`; leave `tp` out if none is meant")
        legs = [_leg(message, f"tp.orders[{index}]", alone=count == 1) for index in range(count)]
        message.give("take_profit", [leg for leg in legs if leg], "tp.orders")
    if _is_on(message, "sl"):
        level = _level(message, "sl")
        if level is not None:
            message.give("stop_loss", level, "sl")


def _is_on(message: Message, inside: str) -> bool:
    """One that is there and says nothing else is meant: what it is set to at Finandy nobody knows here."""
    return isinstance(message.raw(inside), Mapping) and message.flag(f"{inside}.enabled") is not False


def _leg(message: Message, inside: str, *, alone: bool) -> dict[str, object] | None:
    at = _level(message, inside)
    if not message.has(f"{inside}.piece") and alone:
        return {"at": at} if at else None
    message.need(f"{inside}.piece", "the percent of the position that it closes")
    share = message.percent(f"{inside}.piece")
    return {"at": at, "share": share} if at and share else None


def _level(message: Message, inside: str) -> str | None:
    if message.has(f"{inside}.price") and not message.is_blank(f"{inside}.price"):
        return None if message.number(f"{inside}.price") is None else str(message.raw(f"{inside}.price")).strip()
    message.need(f"{inside}.ofs", "how far from the entry, in percent")
    return message.percent(f"{inside}.ofs")


FINANDY = AlertFormat(
    name="finandy",
    service="Finandy",
    table={
        **{"side": to("action", _ACTIONS), "symbol": to("ticker"), "positionSide": to("market_position", _SIDES)},
        **{"tp.orders": own("take_profit"), "sl": own("stop_loss"), "name": INFO, "secret": INFO},
        **rows(own(), "tp.orders[].ofs tp.orders[].price tp.orders[].piece sl.ofs sl.price tp.enabled sl.enabled"),
        **rows(INFO, "tp.update sl.update"),
        **{"open.*": no(_SET), "dca.*": no(_MANAGED), "close.*": no(_SET, chooses=True), "slx.*": no(_MANAGED)},
    },
    object_marks=frozenset({"tp", "sl", "slx", "open", "dca"}),
    is_shape=lambda fields: {"side", "symbol"} <= fields.keys() and "action" not in fields,
    read=_read,
)
