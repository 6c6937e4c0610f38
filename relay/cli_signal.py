"""A signal and its orders in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from relay.cli_output import clean, detail_text, facts, moment, read_moment, reason_text, table

Shown = Mapping[str, Any]
"""A signal or an order as the API shows it."""

_MILLISECOND: Final = timedelta(milliseconds=1)
_WHAT_TO_DO: Final = {
    "attention": "look at the account, then see `python -m relay retry {id}`: it opens a signal again only where no "
    "order of it can have had an effect",
    "failed": "`python -m relay retry {id}` opens it again, if no order of it can have had an effect",
}


def title(signal: Shown) -> str:
    """What it asks for: `buy BTCUSDT`."""
    return " ".join(clean(signal[name]) for name in ("action", "symbol") if signal.get(name)) or "an alert"


def asked(order: Shown) -> str:
    """An order as it was ordered: `buy 0.01 limit at 95000 reduce-only`."""
    words = [str(order.get("side", "")), str(order.get("qty", ""))]
    if order.get("type") not in (None, "market"):
        words.append(str(order["type"]).replace("_", " "))
    if order.get("price") is not None:
        words.append(f"at {order['price']}")
    if order.get("reduce_only"):
        words.append("reduce-only")
    return " ".join(filter(None, words))


def became(order: Shown) -> str:
    """What became of an order: `filled 0.01 at 95000.5, fee 0.52`, `rejected: EXCHANGE_BALANCE: …`."""
    status = str(order.get("status", "")).replace("_", " ")
    filled = filling(order)
    if filled and order.get("status") == "filled":
        status = f"filled {filled}"
    elif filled:
        status = f"{status}, filled {filled}"
    if filled and order.get("fee") is not None:
        status = f"{status}, fee {order['fee']}"
    reason = reason_text(order.get("reason"))
    return f"{status}: {reason}" if reason else status


def filling(order: Shown) -> str:
    """How much is filled, and at what: empty while nothing is."""
    qty = str(order.get("filled_qty") or "0")
    if not qty.strip("0."):
        return ""
    return qty if order.get("avg_price") is None else f"{qty} at {order['avg_price']}"


def summary(signal: Shown) -> list[str]:
    """What became of a signal, for whoever has just sent it."""
    lines = [f"{signal.get('status')}: {title(signal)} (signal {clean(signal.get('id'))})"]
    lines += facts({"reason": reason_text(signal.get("reason"))})
    lines += [f"  {clean(f'{asked(order)}: {became(order)}')}" for order in signal.get("orders", ())]
    lines += [f"  note: {clean(note)}" for note in signal.get("notes", ())]
    return lines + hint(signal)


def hint(signal: Shown) -> list[str]:
    """What a person can do about it, if there is something to do."""
    words = _WHAT_TO_DO.get(str(signal.get("status")))
    return [f"  what to do: {words.format(id=clean(signal.get('id')))}"] if words else []


def row(signal: Shown) -> list[str]:
    """One signal's row of the table whose titles are `TITLES`."""
    orders = signal.get("orders", ())
    reason = reason_text(signal.get("reason"))
    if not orders and not reason and signal.get("notes"):
        reason = str(signal["notes"][-1])  # why there was nothing to order
    return [
        moment(signal.get("received_at")),
        str(signal.get("id")),
        str(signal.get("status")),
        str(signal.get("action") or ""),
        str(signal.get("symbol") or ""),
        ", ".join(map(asked, orders)),
        ", ".join(filter(None, map(filling, orders))),
        reason,
    ]


TITLES: Final = ("RECEIVED", "ID", "STATUS", "ACTION", "SYMBOL", "ORDERED", "FILLED", "REASON")


def in_full(signal: Shown) -> list[str]:
    """All that is known of one signal."""
    lines = [f"signal {clean(signal.get('id'))}: {signal.get('status')}"]
    lines += facts(
        {
            "reason": reason_text(signal.get("reason")),
            "strategy": signal.get("strategy"),
            "action": title(signal),
            "sent": signal.get("sent_at"),
            "received": signal.get("received_at"),
            "timing": ", ".join(_passed(signal.get("timing"))),
            "slippage": f"{signal['slippage']} %" if signal.get("slippage") is not None else None,
        }
    )
    lines += hint(signal)
    lines += _section("alert", facts({name: detail_text(value) for name, value in signal.get("alert", {}).items()}))
    lines += _section("notes", [f"  {clean(note)}" for note in signal.get("notes", ())])
    lines += _section("orders", order_table(signal.get("orders", ()), indent="  "))
    return lines + _section("steps", _steps(signal.get("events", ())))


def _passed(timing: Shown | None) -> Iterable[str]:
    """Each stage with the milliseconds since the one before: `received +812 ms`."""
    between = (timing or {}).get("ms") or {}
    return [f"{stage} {ms:+} ms" for stage, ms in between.items() if ms is not None]


def order_table(orders: Sequence[Shown], *, indent: str = "") -> list[str]:
    """Orders in the API's order."""
    titles = (
        *("ID", "ACCOUNT", "SYMBOL", "SIDE", "TYPE", "QTY", "PRICE", "REDUCES", "STATUS", "FILLED", "AVG PRICE"),
        *("FEE", "AT EXCHANGE", "REASON"),
    )
    rows = [
        [
            *(_cell(order, name) for name in ("client_order_id", "account", "symbol", "side", "type", "qty", "price")),
            "yes" if order.get("reduce_only") else "",
            *(_cell(order, name) for name in ("status", "filled_qty", "avg_price", "fee", "venue_order_id")),
            reason_text(order.get("reason")),
        ]
        for order in orders
    ]
    return table(titles, rows, indent=indent) if rows else []


def _cell(order: Shown, name: str) -> str:
    value = order.get(name)
    return "" if value is None else str(value)


def _section(name: str, lines: list[str]) -> list[str]:
    return ["", name, *lines] if lines else []


def _steps(events: Iterable[Shown]) -> list[str]:
    """Each step with its time and the milliseconds since the one before."""
    rows = []
    before: datetime | None = None
    for event in events:
        at = read_moment(event.get("at"))
        passed = f"+{(at - before) // _MILLISECOND} ms" if at and before else ""
        rows.append([str(event.get("at")), passed, str(event.get("name")), detail_text(event.get("detail"))])
        before = at or before
    return table(("TIME", "", "STEP", ""), rows, indent="  ") if rows else []
