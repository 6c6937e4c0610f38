"""`compare`: what TradingView lets people download, held against what the relay did."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import click

from relay.cli.client import clean, connect, moment, remark, say, say_json, table, with_json, with_strategy, with_url
from relay.cli.signals import with_account, with_symbol

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
@with_json
@with_url
def compare(files: tuple[Path, ...], as_json: bool, url: str | None, **query: Any) -> None:
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
        _say_alerts(body["alerts"])
    if body["trades"]:
        _say_trades(body["trades"])


def _say_alerts(alerts: dict[str, Any]) -> None:
    say(f"Alerts: {', '.join(f'{count} {outcome}' for outcome, count in alerts['counts'].items())}")
    rows = [
        [moment(row["at"]), row["alert_id"], row["ticker"], row["outcome"], row["signal_id"] or "", row["why"] or ""]
        for row in alerts["rows"]
        if row["outcome"] != "arrived"
    ]
    if rows:
        say("\n".join(table(("FIRED", "ALERT", "TICKER", "OUTCOME", "SIGNAL", "WHY"), rows, indent="  ")))


def _say_trades(trades: dict[str, Any]) -> None:
    found = "which fits best" if trades["zone_found"] else "as was said"
    say(f"Trades: {len(trades['matched'])} matched; the chart's time zone is {clean(trades['zone'])}, {found}")
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
