"""`signals`, `positions` and `orders`: what happened, and what is open, as tables or in full."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import click

from relay.cli.client import (
    Client,
    Command,
    NotDone,
    RequestRefused,
    Unreachable,
    clean,
    connect,
    detail_text,
    facts,
    from_relay_or_journal,
    moment,
    narrowed,
    one_of,
    read_moment,
    reason_text,
    remark,
    say,
    say_json,
    table,
    with_json,
    with_url,
)
from relay.domain.instrument import shown_symbol, symbol_of_filter
from relay.domain.order import UNFINISHED, OrderStatus, SignalStatus

if TYPE_CHECKING:
    from relay.journal.journal import Journal


# A signal and its orders in plain words.


Shown = Mapping[str, Any]
"""A signal or an order as the API shows it."""

_MILLISECOND: Final = timedelta(milliseconds=1)
_WHAT_TO_DO: Final = {
    "attention": "look at the account, then say so with `python -m relay seen {id}`; `retry {id}` opens it again, if "
    "no order of it can have had an effect",
    "failed": "`python -m relay retry {id}` opens it again, if no order of it can have had an effect",
}


def title(signal: Shown) -> str:
    """What it asks for: `buy BTCUSDT`."""
    return " ".join(clean(signal[name]) for name in ("action", "symbol") if signal.get(name)) or "an alert"


def requested(order: Shown) -> str:
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
        status = f"{status}, fee {fee_text(order)}"
    reason = reason_text(order.get("reason"))
    return f"{status}: {reason}" if reason else status


def fee_text(order: Shown) -> str:
    """How much, and in which coin where that is known: `0.52 USDT + 0.1 MNT`."""
    first = " ".join(str(order[name]) for name in ("fee", "fee_coin") if order.get(name) is not None)
    return clean(" + ".join([first, *(f"{fee} {coin}" for coin, fee in (order.get("fees_other") or {}).items())]))


def filling(order: Shown) -> str:
    """How much is filled, and at what: empty while nothing is."""
    qty = str(order.get("filled_qty") or "0")
    if not qty.strip("0."):
        return ""
    return qty if order.get("avg_price") is None else f"{qty} at {order['avg_price']}"


def _standing(order: Shown) -> str:
    """What is filled of an order; of one that rests unfilled that it does, and at what price."""
    price = order.get("price") or order.get("trigger_price")
    rests = f"rests at {price}" if price else "rests"
    return filling(order) or (rests if order.get("status") == "accepted" else "")


def summary(signal: Shown) -> list[str]:
    """What became of a signal, for whoever has just sent it."""
    lines = [f"{signal.get('status')}: {title(signal)} (signal {clean(signal.get('id'))})"]
    lines += facts({"reason": reason_text(signal.get("reason"))})
    lines += [f"  {clean(f'{requested(order)}: {became(order)}')}" for order in signal.get("orders", ())]
    lines += [f"  note: {clean(note)}" for note in signal.get("notes", ())]
    return lines + hint(signal)


def hint(signal: Shown) -> list[str]:
    """What a person can do about it, if there is something to do."""
    words = None if signal.get("seen") else _WHAT_TO_DO.get(str(signal.get("status")))
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
        ", ".join(map(requested, orders)),
        ", ".join(filter(None, map(_standing, orders))),
        reason,
    ]


TITLES: Final = ("RECEIVED", "ID", "STATUS", "ACTION", "SYMBOL", "ORDERED", "FILLED", "REASON")
_ALL: Final = slice(None)
_TITLES_NARROW: Final = (*TITLES[:-1], "RESULT")
_NARROW: Final = {
    "RECEIVED": slice(5, 16),
    "ID": slice(12),
    "STATUS": _ALL,
    "ACTION": slice(10),
    "SYMBOL": slice(10),
    "RESULT": _ALL,
}
_NARROW_ORDERS: Final = {
    "ID": slice(10),
    "SYMBOL": slice(12),
    "SIDE": _ALL,
    "TYPE": slice(6),
    "QTY": slice(8),
    "PRICE": slice(8),
    "STATUS": slice(9),
    "FILLED": slice(8),
}
_NARROW_OPEN: Final = {
    "ID": slice(10),
    "SYMBOL": slice(10),
    "SIDE": _ALL,
    "TYPE": slice(5),
    "QTY": slice(7),
    "PRICE": slice(8),
    "AWAY": slice(7),
    "BY": slice(7),
    "AGE": slice(6),
}
_NARROW_POSITIONS: Final = {
    "ACCOUNT": slice(9),
    "SYMBOL": slice(12),
    "SIDE": _ALL,
    "SIZE": slice(9),
    "AVG PRICE": slice(10),
    "UNREALISED": slice(10),
    "STOP LOSS": slice(10),
}


def in_full(signal: Shown) -> list[str]:
    """All that is known of one signal."""
    lines = [f"signal {clean(signal.get('id'))}: {signal.get('status')}"]
    lines += facts(
        {
            "reason": reason_text(signal.get("reason")),
            "seen": detail_text(signal["seen"]) if signal.get("seen") else None,
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
    return [f"{stage} +{max(ms, 0)} ms" for stage, ms in between.items() if ms is not None]


def order_table(orders: Sequence[Shown], *, indent: str = "", is_wide: bool = True) -> list[str]:
    """Orders in the API's order."""
    titles = (
        *("ID", "ACCOUNT", "SYMBOL", "SIDE", "TYPE", "QTY", "PRICE", "TRIGGER", "REDUCES", "STATUS", "FILLED"),
        *("AVG PRICE", "FEE", "FOR", "BY", "AWAY", "AGE", "AT EXCHANGE", "REASON"),
    )
    rows = [
        [
            *(_cell(order, name) for name in ("client_order_id", "account", "symbol", "side", "type", "qty", "price")),
            _cell(order, "trigger_price"),
            "yes" if order.get("reduce_only") else "",
            *(_cell(order, name) for name in ("status", "filled_qty", "avg_price")),
            fee_text(order),
            *(_cell(order, name) for name in ("purpose", "strategy")),
            f"{order['distance_pct']}%" if order.get("distance_pct") is not None else "",
            _age(order.get("created_at")),
            _cell(order, "venue_order_id"),
            reason_text(order.get("reason")),
        ]
        for order in orders
    ]
    if not rows or is_wide:
        return table(titles, rows, indent=indent)
    if "distance_pct" not in orders[0]:
        return table(*narrowed(titles, rows, _NARROW_ORDERS))
    # A conditional that goes at the market has a trigger in place of a price.
    price, trigger = titles.index("PRICE"), titles.index("TRIGGER")
    return table(
        *narrowed(titles, [[*row[:price], row[price] or row[trigger], *row[trigger:]] for row in rows], _NARROW_OPEN)
    )


_AGES: Final = (("d", 86_400), ("h", 3600), ("min", 60))


def _age(created_at: object) -> str:
    """How long ago, in its largest unit; empty where that is not known."""
    at = read_moment(created_at)
    if at is None:
        return ""
    seconds = max(round((datetime.now(UTC) - at).total_seconds()), 0)
    return next((f"{seconds // size} {unit}" for unit, size in _AGES if seconds >= size), f"{seconds} s")


def _cell(order: Shown, name: str) -> str:
    value = order.get(name)
    if name == "symbol":
        return shown_symbol(value, order.get("category"))
    return "" if value is None else str(value)


def _section(name: str, lines: list[str]) -> list[str]:
    return ["", name, *lines] if lines else []


def _steps(events: Iterable[Shown]) -> list[str]:
    """Each step with its time and the milliseconds since the one before."""
    rows = []
    before: datetime | None = None
    for event in events:
        at = read_moment(event.get("at"))
        passed = f"+{max((at - before) // _MILLISECOND, 0)} ms" if at and before else ""
        rows.append([str(event.get("at")), passed, str(event.get("name")), detail_text(event.get("detail"))])
        before = at or before
    return table(("TIME", "", "STEP", ""), rows, indent="  ") if rows else []


_LIMIT_MAX: Final = 500
_POSITION: Final = (
    *("account", "symbol", "side", "size", "avg_price", "mark_price", "unrealised_pnl", "leverage"),
    *("take_profits", "stop_loss", "trailing_stop", "liq_price", "margin", "roe_pct", "adl_rank"),
    *("strategy", "opened_at"),
)


def _symbol(context: click.Context, parameter: click.Parameter, symbol: str | None) -> str | None:
    return symbol and symbol_of_filter(symbol)


with_account = click.option("--account", metavar="NAME", help="Only of this account.")
with_symbol = click.option(
    "--symbol", metavar="SYMBOL", callback=_symbol, help="Only of this symbol, as the exchange spells it."
)


with_wide = click.option("--wide", "is_wide", is_flag=True, help="Every column, however wide.")


def with_limit(default: int) -> Callable[[Command], Command]:
    kind = click.IntRange(1, _LIMIT_MAX)
    return click.option("--limit", type=kind, default=default, show_default=True, help="At most so many.")


@click.command()
@click.argument("signal_id", metavar="[ID]", required=False)
@click.option("--status", type=one_of(SignalStatus), help="Only of this status.")
@with_symbol
@click.option("--strategy", metavar="NAME", help="Only of this strategy.")
@with_account
@with_limit(50)
@click.option("--cursor", help="Go on where the page before ended.")
@with_wide
@with_json
@with_url
def signals(signal_id: str | None, is_wide: bool, as_json: bool, url: str | None, **query: Any) -> None:
    """What became of the alerts: what needs attention first, then the latest first. With ID, one in full."""
    client = connect(url)
    if signal_id is not None:
        path = f"/api/signals/{quote(signal_id, safe='')}"
        signal = from_relay_or_journal(client, lambda: client.get(path), lambda journal: _one(journal, signal_id))
        if as_json:
            say_json(signal)
        else:
            say("\n".join(in_full(signal)))
        return
    page = from_relay_or_journal(
        client, lambda: client.get("/api/signals", attention_first=1, **query), lambda journal: _page(journal, query)
    )
    check_names(client, page.get("signals"), query)
    if as_json:
        say_json(page)
        return
    _say_page(page, is_wide=is_wide)


def check_names(client: Client, found: object, query: Mapping[str, Any]) -> None:
    """Nothing found is no answer where an account or strategy is misspelt. A relay that cannot tell passes it."""
    if found:
        return
    named = {name: query.get(name) for name in ("account", "strategy")}
    with suppress(Unreachable, RequestRefused):
        known: dict[str, list[str]] = {}
        if named["account"]:
            known["account"] = list(client.get("/readyz").get("accounts", {}))
        if named["strategy"]:
            known["strategy"] = [each["name"] for each in client.get("/api/strategies")["strategies"]]
        for name, value in named.items():
            if value and known[name] and value not in known[name]:
                message = f"there is none of the name {value!r}; there are {', '.join(known[name])}"
                raise click.BadParameter(message, param_hint=f"--{name}")


def _one(journal: Journal, signal_id: str) -> dict[str, Any]:
    found = journal.ids_beginning(signal_id.lower())
    signal = journal.signal(found[0]) if len(found) == 1 else None
    if signal is None:
        raise NotDone(f"there is no signal {signal_id}" if not found else f"several signals begin with {signal_id}")
    return signal


def _page(journal: Journal, query: dict[str, Any]) -> dict[str, Any]:
    try:
        page = journal.signals(**query, attention_first=True)
    except ValueError as error:
        raise click.BadParameter("it should be what an earlier page ended with", param_hint="--cursor") from error
    return {"signals": page.signals, "next_cursor": page.next_cursor, "refused": _refused(journal, query["cursor"])}


def _refused(journal: Journal, cursor: str | None) -> list[dict[str, Any]]:
    from relay.journal.records import rfc3339

    if cursor is not None:
        return []
    return [
        {"kind": posts.kind, "source": posts.source, "count": posts.count, "last_at": rfc3339(posts.last_at_ms)}
        for posts in journal.refused()
    ]


def _with_filled(cells: list[str]) -> list[str]:
    """In place of a reason, where there is none, what was filled."""
    *others, filled, reason = cells
    return [*others, filled, reason or filled]


def _say_page(page: dict[str, Any], *, is_wide: bool) -> None:
    found = page.get("signals", [])
    for line in page.get("silent", []):
        say(clean(line))
    needing = sum(each.get("status") == SignalStatus.ATTENTION and not each.get("seen") for each in found)
    if needing:
        say(
            f"{needing} {'needs' if needing == 1 else 'need'} attention: `python -m relay signals ID` shows one in full"
        )
    rows = list(map(row, found))
    shown = table(TITLES, rows) if is_wide else table(*narrowed(_TITLES_NARROW, map(_with_filled, rows), _NARROW))
    say("\n".join(shown) if found else "no signals")
    if page.get("next_cursor"):
        remark(f"there are more: --cursor {clean(page['next_cursor'])}")
    for posts in page.get("refused", []):
        counted = f"{posts.get('count')} x {posts.get('kind')} from {posts.get('source')}"
        # Of a strategy they proved their sender, and were kept until about a thousand had come on that day.
        said = "rejected, and only counted" if posts.get("kind") == "REJECTED_NOT_KEPT" else "refused, and nothing kept"
        remark(clean(f"{said}: {counted}, last {moment(posts.get('last_at'))}"))


@click.command()
@with_account
@with_symbol
@with_wide
@with_json
@with_url
def positions(account: str | None, symbol: str | None, is_wide: bool, as_json: bool, url: str | None) -> None:
    """The open positions."""
    client = connect(url)
    body = client.get("/api/positions", account=account, symbol=symbol)
    check_names(client, body.get("positions"), {"account": account})
    if as_json:
        say_json(body)
        return
    rows = [
        [_position_cell(position, name) for name in _POSITION]
        for position in body.get("positions", [])
        if account in (None, position.get("account")) and symbol in (None, position.get("symbol"))
    ]
    titles = [name.upper().replace("_", " ").removesuffix(" PNL") for name in _POSITION]
    unreadable = body.get("unreadable", [])
    if rows or not unreadable:
        shown = table(titles, rows) if is_wide else table(*narrowed(titles, rows, _NARROW_POSITIONS))
        say("\n".join(shown) if rows else "no open positions")
    for each in unreadable:
        remark(f"{each.get('account')}: the positions cannot be read: {each.get('message')}")
    if unreadable:
        click.get_current_context().exit(NotDone.exit_code)


def _position_cell(position: Shown, name: str) -> str:
    if name == "take_profits":
        return ", ".join(f"{each['qty']} at {each['price']}" for each in position.get(name) or ())
    return moment(position.get(name)) if name == "opened_at" else _cell(position, name)


@click.command()
@click.option("--status", type=one_of(OrderStatus), help="Only of this status.")
@click.option("--open", "open_only", is_flag=True, help="Only what rests, whoever placed it.")
@with_symbol
@with_account
@with_limit(100)
@with_wide
@with_json
@with_url
def orders(is_wide: bool, as_json: bool, url: str | None, **query: Any) -> None:
    """The relay's orders, the latest first; with --open what rests just now, whoever placed it."""
    client = connect(url)
    requested = query | {"open": 1 if query["open_only"] else None}
    del requested["open_only"]
    body = from_relay_or_journal(
        client, lambda: client.get("/api/orders", **requested), lambda journal: {"orders": journal.orders(**query)}
    )
    if as_json:
        say_json(body)
        return
    found = body.get("orders", [])
    check_names(client, found, query)
    say("\n".join(order_table(found, is_wide=is_wide)) if found else "no orders")
    for each in body.get("unreadable", []):
        remark(f"{each.get('account')}: what rests there cannot be read: {each.get('message')}")


# Following a signal to its end, for as long as a person likes to wait.


WAIT_S: Final = 10
_POLL_S: Final = 0.1


def await_end(client: Client, signal_id: str, *, until: float) -> dict[str, Any]:
    """The signal once it is finished, or as it is at `until` (monotonic seconds). Raises Unreachable and Refused."""
    while True:
        signal = client.get(f"/api/signals/{quote(signal_id, safe='')}")
        if signal.get("status") not in UNFINISHED or time.monotonic() >= until:
            return signal
        time.sleep(_POLL_S)


def reported(signal: dict[str, Any]) -> list[str]:
    """A signal's summary, with where to look where it is not finished."""
    lines = summary(signal)
    if signal.get("status") in UNFINISHED:
        later = f"python -m relay signals {clean(signal.get('id'))}"
        lines.append(f"  not finished yet: `{later}` shows what becomes of it")
    return lines
