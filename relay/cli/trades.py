"""`trades`: what each round trip earned, as a table, as CSV, or as the API shows it; `compare`: TradingView's lists
beside it."""

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
import base64
import json
from pathlib import Path

from relay.cli.client import clean

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


# `compare`: what TradingView lets people download, held against what the relay did.


_SAID = (
    *(("profit", "the strategy's profit"), ("slippage", "slippage"), ("fees", "fees"), ("funding", "funding")),
    *(("missed", "missed trades"), ("size", "other sizes"), ("extra", "trades that are not in the list")),
)


@click.command()
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--zone", metavar="ZONE", help="The chart's time zone, as Europe/Berlin; by default the one that fits.")
@with_strategy
@with_symbol
@with_account
@with_wide
@with_json
@with_url
def compare(files: tuple[Path, ...], is_wide: bool, as_json: bool, url: str | None, **query: Any) -> None:
    """Hold TradingView's alerts log, and a strategy's list of trades, against the journal and the ledger.

    FILE is what TradingView lets you download, CSV or XLSX.
    """
    sent = [{"name": each.name, "content": base64.b64encode(each.read_bytes()).decode()} for each in files]
    body = connect(url).post("/api/compare", json.dumps({"files": sent}).encode(), **query)
    if as_json:
        say_json(body)
        return
    for note in body["notes"]:
        remark(clean(note))
    for row in body["unreadable"]:
        remark(clean(f"{row['file']}, row {row['row']}: {row['why']}"))
    if body["alerts"]:
        _say_alerts(body["alerts"], is_wide=is_wide)
    if body["trades"]:
        _say_trades(body["trades"])


_ALERT_TITLES: Final = ("FIRED", "ALERT", "TICKER", "OUTCOME", "SIGNAL", "WHY")
_ALERT_NARROW: Final = {
    "FIRED": slice(5, 16),
    "ALERT": slice(10),
    "OUTCOME": slice(20),
    "SIGNAL": slice(12),
    "WHY": slice(None),
}


def _say_alerts(alerts: dict[str, Any], *, is_wide: bool) -> None:
    say(f"Alerts: {', '.join(f'{count} {outcome}' for outcome, count in alerts['counts'].items())}")
    rows = [
        [moment(row["at"]), row["alert_id"], row["ticker"], row["outcome"], row["signal_id"] or "", row["why"] or ""]
        for row in alerts["rows"]
        if row["outcome"] != "arrived"
    ]
    if rows:
        shown = (_ALERT_TITLES, rows) if is_wide else narrowed(_ALERT_TITLES, rows, _ALERT_NARROW)
        say("\n".join(table(*shown, indent="  ")))


def _say_trades(trades: dict[str, Any]) -> None:
    found = f"{clean(trades['zone'])}{', which fits best' if trades['zone_found'] else ''}"
    say(f"Trades: {len(trades['matched'])} matched; the chart's time zone is taken to be {found}")
    missed = [
        [row["number"], row["entry_at"], row["side"], row["size"], row["profit"] or "", row["why"]]
        for row in trades["missed"]
    ]
    if missed:
        say("Missed")
        say("\n".join(table(("NUMBER", "ENTRY", "SIDE", "SIZE", "PROFIT", "WHY"), missed, indent="  ")))
    extra = [[moment(row["opened_at"]), row["trade_id"], row["net"]] for row in trades["extra"]]
    if extra:
        say("Not in the list")
        say("\n".join(table(("OPENED", "TRADE", "NET"), extra, indent="  ")))
    money = trades["money"]
    lines = [["" if name == "profit" else "-", money[name], words] for name, words in _SAID]
    say("\n".join(table(("", clean(trades.get("currency") or "MONEY"), ""), [*lines, ["=", money["yours"], "yours"]])))
    for coin, amount in trades["fees_other"].items():
        say(f"No part of this: fees of {amount} {clean(coin)}")
