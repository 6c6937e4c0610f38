"""Two books compared: what the exchange has, and what the relay's journal says it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from relay.paper.state import START_BALANCES
from tests.paper_server import PaperServer

FINISHED = ("done", "denied", "failed", "expired", "attention")
NEVER_THERE = ("planned", "denied", "rejected")
"""An order that the journal shows like this must not be at the exchange; any other must be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order, as either side knows it."""

    client_order_id: str
    symbol: str
    side: str
    filled_qty: Decimal
    is_open: bool


def at_exchange(server: PaperServer, category: str = "linear") -> list[Order]:
    """Every order the exchange ever took: those that have ended in the order in which it took them, then the open."""
    session = server.session()
    ended = list(_pages(session.get_order_history, category=category))
    settles = {} if category == "spot" else {"settleCoin": "USDT"}
    still_open = list(_pages(session.get_open_orders, category=category, **settles))
    session.client.close()
    return [_order(row, category) for row in (*reversed(ended), *reversed(still_open)) if row["orderLinkId"]]


def _pages(ask: Any, **which: str) -> Iterator[dict[str, Any]]:
    """The newest first."""
    cursor = ""
    while True:
        result = ask(limit=50, cursor=cursor, **which)["result"]
        yield from result["list"]
        cursor = result["nextPageCursor"]
        if not cursor:
            return


def _order(row: dict[str, Any], category: str) -> Order:
    return Order(
        client_order_id=row["orderLinkId"],
        symbol=_key(category, row["symbol"]),
        side=row["side"].lower(),
        filled_qty=Decimal(row["cumExecQty"]),
        is_open=row["orderStatus"] in ("New", "PartiallyFilled", "Untriggered"),
    )


def _key(category: str, symbol: str) -> str:
    """As the paper exchange's control names it."""
    return f"spot:{symbol}" if category == "spot" else symbol


def in_journal(signals: list[dict[str, Any]], account: str | None = None) -> list[Order]:
    """The orders that, by the journal, are or were at the exchange; of one account or of all."""
    return [
        Order(
            client_order_id=row["client_order_id"],
            symbol=_key(row["category"], row["symbol"]),
            side=row["side"],
            filled_qty=Decimal(row["filled_qty"]),
            is_open=row["status"] in ("submitted", "accepted", "partially_filled"),
        )
        for signal in signals
        for row in signal["orders"]
        if row["status"] not in NEVER_THERE and account in (None, row["account"])
    ]


def positions(server: PaperServer) -> dict[str, Decimal]:
    """Open positions, signed."""
    session = server.session()
    rows = session.get_positions(category="linear", settleCoin="USDT", limit=200)["result"]["list"]
    session.client.close()
    sizes = {row["symbol"]: Decimal(row["size"]) * (1 if row["side"] == "Buy" else -1) for row in rows}
    return {symbol: size for symbol, size in sizes.items() if size}


def coins(server: PaperServer) -> dict[str, Decimal]:
    """What the account has more, or less, of each coin than at its start, by its pair in USDT."""
    balances = server.control.account()["balances"]
    more = {coin: Decimal(balance) - START_BALANCES.get(coin, 0) for coin, balance in balances.items()}
    return {f"spot:{coin}USDT": size for coin, size in more.items() if size}


def differences(taken: list[Order], signals: list[dict[str, Any]], account: str | None = None) -> list[str]:
    """What is not the same on both sides, in words; nothing, if all is well."""
    stored = {order.client_order_id: order for order in in_journal(signals, account)}
    found = {order.client_order_id: order for order in taken}
    reported = [f"{name} is {count} times at the exchange" for name, count in _repeated(taken)]
    reported += [f"{name} is in the journal and not at the exchange" for name in stored.keys() - found.keys()]
    reported += [f"{name} is at the exchange and not in the journal" for name in found.keys() - stored.keys()]
    both = stored.keys() & found.keys()
    reported += [f"journal {stored[name]}, exchange {found[name]}" for name in both if stored[name] != found[name]]
    return reported


def _repeated(taken: list[Order]) -> list[tuple[str, int]]:
    return [each for each in Counter(order.client_order_id for order in taken).items() if each[1] > 1]


def of_account(signal: dict[str, Any], account: str) -> list[dict[str, Any]]:
    """The signal's events on one account, and those of the signal as a whole."""
    orders = {each["client_order_id"] for each in signal["orders"] if each["account"] == account}
    return [event for event in signal["events"] if _is_of(event["detail"] or {}, account, orders)]


def _is_of(detail: dict[str, Any], account: str, orders: set[str]) -> bool:
    if "client_order_id" in detail:
        return detail["client_order_id"] in orders
    return bool(detail.get("account", account) == account)


def outcomes(signal: dict[str, Any]) -> list[list[str]]:
    """What the signal came to, each time that it was opened: one thing each. A resend may open it again.

    That a person must look is no end where it has settled itself since, or another reason calls for one.
    """
    found: list[list[str]] = []
    for event in signal["events"]:
        if event["name"] in ("accepted", "reopened"):
            found.append([])
        elif event["name"] in FINISHED:
            has_settled = found[-1][-1:] == ["attention"]
            found[-1][-1 if has_settled else len(found[-1]) :] = [event["name"]]
    return found
