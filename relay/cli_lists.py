"""`signals`, `positions` and `orders`: what happened, and what is open."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import click

from relay.cli_client import connect
from relay.cli_journal import from_relay_or_journal
from relay.cli_options import Command, NotDone, one_of, with_json, with_url
from relay.cli_output import clean, moment, remark, say, say_json, table
from relay.cli_signal import TITLES, in_full, order_table, row
from relay.domain.order import OrderStatus
from relay.domain.status import SignalStatus

if TYPE_CHECKING:
    from relay.journal.journal import Journal

_LIMIT_MAX: Final = 500
_POSITION: Final = (
    *("account", "symbol", "side", "size", "avg_price", "mark_price", "unrealised_pnl", "leverage"),
    *("take_profit", "stop_loss"),
)


def _upper(context: click.Context, parameter: click.Parameter, symbol: str | None) -> str | None:
    return symbol and symbol.upper()


_with_account = click.option("--account", metavar="NAME", help="Only of this account.")
_with_symbol = click.option(
    "--symbol", metavar="SYMBOL", callback=_upper, help="Only of this symbol, as the exchange spells it."
)


def _with_limit(default: int) -> Callable[[Command], Command]:
    kind = click.IntRange(1, _LIMIT_MAX)
    return click.option("--limit", type=kind, default=default, show_default=True, help="At most so many.")


@click.command()
@click.argument("signal_id", metavar="[ID]", required=False)
@click.option("--status", type=one_of(SignalStatus), help="Only of this status.")
@_with_symbol
@click.option("--strategy", metavar="NAME", help="Only of this strategy.")
@_with_account
@_with_limit(50)
@click.option("--cursor", help="Go on where the page before ended.")
@with_json
@with_url
def signals(signal_id: str | None, as_json: bool, url: str | None, **query: Any) -> None:
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
    if as_json:
        say_json(page)
        return
    _say_page(page)


def _one(journal: Journal, signal_id: str) -> dict[str, Any]:
    signal = journal.signal(signal_id)
    if signal is None:
        raise NotDone(f"there is no signal {signal_id}")
    return signal


def _page(journal: Journal, query: dict[str, Any]) -> dict[str, Any]:
    try:
        page = journal.signals(**query, attention_first=True)
    except ValueError as error:
        raise click.BadParameter("it should be what an earlier page ended with", param_hint="--cursor") from error
    return {"signals": page.signals, "next_cursor": page.next_cursor, "refused": _refused(journal, query["cursor"])}


def _refused(journal: Journal, cursor: str | None) -> list[dict[str, Any]]:
    from relay.journal.codec import rfc3339

    if cursor is not None:
        return []
    return [
        {"kind": posts.kind, "source": posts.source, "count": posts.count, "last_at": rfc3339(posts.last_at_ms)}
        for posts in journal.refused()
    ]


def _say_page(page: dict[str, Any]) -> None:
    found = page.get("signals", [])
    for line in page.get("silent", []):
        say(clean(line))
    needing = sum(signal.get("status") == SignalStatus.ATTENTION for signal in found)
    if needing:
        say(
            f"{needing} {'needs' if needing == 1 else 'need'} attention: `python -m relay signals ID` shows one in full"
        )
    say("\n".join(table(TITLES, map(row, found))) if found else "no signals")
    if page.get("next_cursor"):
        remark(f"there are more: --cursor {clean(page['next_cursor'])}")
    for posts in page.get("refused", []):
        counted = f"{posts.get('count')} x {posts.get('kind')} from {posts.get('source')}"
        remark(clean(f"refused, and nothing kept: {counted}, last {moment(posts.get('last_at'))}"))


@click.command()
@_with_account
@_with_symbol
@with_json
@with_url
def positions(account: str | None, symbol: str | None, as_json: bool, url: str | None) -> None:
    """The open positions."""
    body = connect(url).get("/api/positions", account=account, symbol=symbol)
    if as_json:
        say_json(body)
        return
    rows = [
        ["" if position.get(name) is None else str(position[name]) for name in _POSITION]
        for position in body.get("positions", [])
        if account in (None, position.get("account")) and symbol in (None, position.get("symbol"))
    ]
    titles = [name.upper().replace("_", " ") for name in _POSITION]
    say("\n".join(table(titles, rows)) if rows else "no open positions")


@click.command()
@click.option("--status", type=one_of(OrderStatus), help="Only of this status.")
@click.option("--open", "open_only", is_flag=True, help="Only what may still be filled.")
@_with_symbol
@_with_account
@_with_limit(100)
@with_json
@with_url
def orders(as_json: bool, url: str | None, **query: Any) -> None:
    """The relay's orders, the latest first."""
    client = connect(url)
    asked = query | {"open": 1 if query["open_only"] else None}
    del asked["open_only"]
    body = from_relay_or_journal(
        client, lambda: client.get("/api/orders", **asked), lambda journal: {"orders": journal.orders(**query)}
    )
    if as_json:
        say_json(body)
        return
    found = body.get("orders", [])
    say("\n".join(order_table(found)) if found else "no orders")
