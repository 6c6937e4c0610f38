"""`compare` from end to end: what fired and what the strategy tester lists, against a relay that took some of it."""

from __future__ import annotations

import base64
import csv
import io
import json
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.faults.stage import until
from tests.flow.cli_support import environment, run
from tests.paper_server import PaperServer
from tests.relay_server import WEBHOOK_SECRET, RelayServer, error_of


def _csv(rows: list[list[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _body(**files: bytes) -> str:
    sent = [{"name": name, "content": base64.b64encode(content).decode()} for name, content in files.items()]
    return json.dumps({"files": sent})


def _asked(relay: RelayServer, **files: bytes) -> Any:
    return relay.ask("compare?zone=UTC", "POST", data=_body(**files))


def test_what_tradingview_lists_is_held_against_what_the_relay_did(
    own: RelayServer, paper: PaperServer, tmp_path: Path
) -> None:
    bodies = [
        json.dumps({"secret": WEBHOOK_SECRET, "ticker": "BTCUSDT.P", "action": action, "id": uuid.uuid4().hex, **more})
        for action, more in (("buy", {"qty": "0.1"}), ("close", {}), ("sell", {"qty": "0.1"}), ("fly", {}))
    ]
    begun = datetime.now(UTC).replace(microsecond=0)
    refused_buy = {"secret": WEBHOOK_SECRET, "ticker": "BTCUSDT.P", "action": "buy", "qty": "0.0000001"}
    own.post(json.dumps(refused_buy).encode(), wait_s=10)
    own.post(bodies[0].encode(), wait_s=10)
    paper.control.prices(BTCUSDT="101000")
    own.post(bodies[1].encode(), wait_s=10)
    own.post(bodies[3].encode())
    until(lambda: any(each["status"] == "closed" for each in own.api("trades")["trades"]))
    at = begun.strftime("%Y-%m-%dT%H:%M:%SZ")
    log = [["Alert ID", "Ticker", "Name", "Description", "Time", "Webhook status"]]
    log += [[str(n), "BYBIT:BTCUSDT.P", "cross", body, at, "Timed out"] for n, body in enumerate(bodies)]
    titles = "Trade #,Type,Date and time,Signal,Price USDT,Size (qty),Size (value),Net P&L USDT"
    minute, later = begun.strftime("%Y-%m-%d %H:%M"), (begun + timedelta(minutes=40)).strftime("%Y-%m-%d %H:%M")
    trades = [
        titles.split(","),
        ["1", "Entry long", minute, "L", "100000", "0.2", "20000", ""],
        ["1", "Exit long", minute, "X", "101000", "0.2", "20200", "200"],
        ["2", "Entry short", minute, "S", "101000", "0.2", "20200", ""],
        ["2", "Exit short", later, "X", "100900", "0.2", "20180", "20"],
    ]
    found = _asked(own, log=_csv(log), trades=_csv(trades)).json()
    outcomes = {row["alert_id"]: (row["outcome"], row["why"]) for row in found["alerts"]["rows"]}
    assert outcomes["2"] == ("never arrived", "Timed out") and outcomes["3"][0] == "rejected"
    assert [outcomes[each][0] for each in "01"] == ["arrived", "arrived"]
    (missed,) = found["trades"]["missed"]
    assert (missed["number"], missed["why"].split(":")[0]) in (("2", "rejected"), ("2", "the alert never arrived"))
    (trade,) = own.api("trades")["trades"]
    money = {name: Decimal(amount) for name, amount in found["trades"]["money"].items()}
    assert money["yours"] == Decimal(trade["net"]) and money["profit"] == 220
    assert [money["missed"], money["size"], money["slippage"]] == [Decimal(20), Decimal(100), Decimal(0)]
    assert money.pop("profit") - money.pop("yours") == sum(money.values())
    assert WEBHOOK_SECRET not in json.dumps(found)

    (tmp_path / "trades.csv").write_bytes(_csv(trades))
    said = run(environment(tmp_path, own.url), "compare", str(tmp_path / "trades.csv"), "--zone", "UTC")
    assert "1 matched" in said.stdout and "yours" in said.stdout
    error_of(_asked(own, other=b"a,b\n1,2\n"), 400, "REQUEST_INVALID")
    for field, name in (("strategy", "tredn"), ("symbol", "BTCUSTD")):
        misspelt = own.ask(f"compare?{field}={name}", "POST", data=_body(trades=_csv(trades)))
        assert name in error_of(misspelt, 400, "REQUEST_INVALID")["fields"][field][0]
    assert own.ask("compare?symbol=DOGEUSDT", "POST", data=_body(trades=_csv(trades))).status_code == 200


def test_a_fired_alert_that_was_taken_for_a_repeat_or_is_older_than_the_journal_is_not_called_lost(
    own: RelayServer, tmp_path: Path
) -> None:
    body = json.dumps({"secret": WEBHOOK_SECRET, "ticker": "BTCUSDT.P", "action": "close"})
    for _ in range(2):
        own.post(body.encode(), wait_s=10)
    at = datetime.now(UTC)
    fired = [at, at, at - timedelta(days=200)]
    log = [["Alert ID", "Ticker", "Name", "Description", "Time"]]
    log += [["7", "BYBIT:BTCUSDT.P", "out", body, each.strftime("%Y-%m-%dT%H:%M:%SZ")] for each in fired]
    outcomes = {"arrived": 1, "not known": 1, "taken for a repeat": 1}
    assert _asked(own, log=_csv(log)).json()["alerts"]["counts"] == outcomes
    # Two logs whose times overlap are one.
    assert _asked(own, log=_csv(log), again=_csv(log[:3])).json()["alerts"]["counts"] == outcomes
    (tmp_path / "log.csv").write_bytes(_csv(log))
    said = run(environment(tmp_path, own.url), "compare", str(tmp_path / "log.csv"))
    table = [line for line in said.stdout.splitlines()[1:] if line.strip()]
    assert len(table) > 2 and max(len(line.split("  the ")[0]) for line in table) <= 80
