"""`trades`: what each round trip earned, as a table, as CSV, or as the API shows it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import click

from relay.cli.client import (
    connect,
    from_relay_or_journal,
    moment,
    narrowed,
    read_moment,
    remark,
    say,
    say_json,
    table,
    with_json,
    with_strategy,
    with_url,
)
from relay.cli.signals import check_names, with_account, with_limit, with_symbol, with_wide
from relay.domain.instrument import plain, shown_symbol
from relay.domain.performance import DOLLARS

if TYPE_CHECKING:
    from relay.journal.journal import Journal

_PAGE: Final = 500
_TITLES: Final = (
    *("CLOSED", "ACCOUNT", "STRATEGY", "SYMBOL", "SIDE", "SIZE"),
    *("ENTRY", "EXIT", "BY", "NET", "COIN", "HELD"),
)
_NARROW: Final = {
    "CLOSED": slice(5, 16),
    "STRATEGY": slice(8),
    "SYMBOL": slice(12),
    "SIDE": slice(5),
    "SIZE": slice(7),
    "BY": slice(9),
    "NET": slice(11),
    "COIN": slice(5),
}


@click.command()
@click.option("--days", type=click.IntRange(1, 500), metavar="N", help="Only what is open, or was closed since.")
@click.option("--csv", "as_csv", is_flag=True, help="Print all of them as CSV.")
@with_strategy
@with_symbol
@with_account
@with_limit(50)
@with_wide
@with_json
@with_url
def trades(as_csv: bool, is_wide: bool, as_json: bool, url: str | None, **query: Any) -> None:
    """Round trips with what they earned, the latest begun first."""
    client = connect(url)

    def page(cursor: str | None) -> dict[str, Any]:
        requested = query | {"cursor": cursor} | ({"limit": _PAGE} if as_csv else {})
        return from_relay_or_journal(
            client, lambda: client.get("/api/trades", **requested), lambda journal: _of_journal(journal, requested)
        )

    body = page(None)
    check_names(client, body.get("trades"), query)
    if as_csv:
        rows, following = list(body["trades"]), body["next_cursor"]
        while following:
            body = page(following)
            rows, following = rows + body["trades"], body["next_cursor"]
        from relay.journal.trades import as_csv as text_of

        say("\n".join(text_of(rows).splitlines()))
    elif as_json:
        say_json(body)
    else:
        rows = [_row(each) for each in body.get("trades", [])]
        shown = table(_TITLES, rows) if is_wide else table(*narrowed(_TITLES, rows, _NARROW))
        say("\n".join(shown) if rows else "no trades")
        if body.get("next_cursor"):
            remark("there are more: --limit, --days or --csv shows them")


def _of_journal(journal: Journal, requested: dict[str, Any]) -> dict[str, Any]:
    from relay.execution.ports import to_ms, utc_now
    from relay.journal.ledger import DAY_MS, Ledger, start_of_day
    from relay.journal.trades import TradeFilter, shown_trade

    days = requested["days"]
    since_ms = None if days is None else start_of_day(to_ms(utc_now()) - days * DAY_MS)
    which = {name: requested[name] for name in ("account", "strategy", "symbol")}
    found, following = Ledger(journal.store).trades(
        TradeFilter(**which, since_ms=since_ms), limit=requested["limit"], cursor=requested["cursor"]
    )
    return {"trades": [shown_trade(each) for each in found], "next_cursor": following}


def _row(trade: dict[str, Any]) -> list[str]:
    shown = [trade["strategy"], shown_symbol(trade["symbol"], trade["category"])]
    shown += [trade[name] for name in ("side", "size", "entry_price", "exit_price", "exit_reason")]
    closed = moment(trade["closed_at"]) if trade["closed_at"] else f"{'':5}open"
    others = "".join(f" {amount.removeprefix('-') if amount.startswith('-') else '-' + amount} {coin}"
                     for coin, amount in trade["fees_other"].items())  # fmt: skip
    return [
        closed,
        trade["account"],
        *("" if each is None else str(each).replace("_", " ") for each in shown),
        _short(trade["net"], trade["settle_coin"]),
        trade["settle_coin"] + others,
        _held(trade),
    ]


def _short(amount: str, coin: str) -> str:
    """To cents of a dollar, or more where that would be nothing; of other coins all of it, as on the pages."""
    number = Decimal(amount)
    rounded = round(number, 2 if coin in DOLLARS else 8)
    return amount if number and not rounded else plain(rounded)


def _held(trade: dict[str, Any]) -> str:
    opened, closed = read_moment(trade["opened_at"]), read_moment(trade["closed_at"])
    if opened is None or closed is None:
        return ""
    return str(timedelta(seconds=round((closed - opened).total_seconds())))
