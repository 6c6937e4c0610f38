"""What happened to the account's money is in the books, whether a stream told of it or the exchange was asked."""

from __future__ import annotations

import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.faults.stage import until
from tests.paper_server import PaperServer
from tests.relay_server import RelayServer, error_of, running_relay

DEADLINE_S = 60


def send(relay: RelayServer, action: str, **fields: str) -> dict[str, Any]:
    return relay.done({"ticker": "BTCUSDT.P", "action": action, "id": uuid.uuid4().hex, **fields})


def booked(relay: RelayServer) -> dict[str, Decimal]:
    """All days' sums in USDT, and their balance."""
    days = [day for day in relay.api("accounts/default/equity")["days"] if day["coin"] == "USDT"]
    sums = {name: sum((Decimal(day[name]) for day in days), Decimal(0)) for name in ("realised", "fees", "funding")}
    return sums | {"net": sums["realised"] - sums["fees"] - sums["funding"]}


def balance(paper: PaperServer) -> Decimal:
    (row,) = paper.session().get_wallet_balance(accountType="UNIFIED", coin="USDT")["result"]["list"]
    return Decimal(next(coin["walletBalance"] for coin in row["coin"] if coin["coin"] == "USDT"))


def pay_funding(paper: PaperServer, rate: str) -> None:
    requested = {"symbol": "BTCUSDT", "rate": rate}
    requests.post(f"{paper.url}/paper/funding", json=requested, timeout=DEADLINE_S).raise_for_status()


@pytest.mark.parametrize("streams", ["on", "off"])
def test_the_books_come_to_what_the_wallet_changed_by(streams: str, paper: PaperServer, tmp_path: Path) -> None:
    paper.control.reset()
    paper.control.prices(BTCUSDT="100000")
    before = balance(paper)
    environment = {"BYBIT_STREAM_URL": "off"} if streams == "off" else {}
    with running_relay(tmp_path, paper.url, **environment) as relay:
        send(relay, "buy", qty="0.5")
        pay_funding(paper, "0.0001")
        paper.control.prices(BTCUSDT="101000")
        send(relay, "close", qty="0.2")
        send(relay, "close")
        if streams == "on":
            until(lambda: booked(relay)["net"] == balance(paper) - before)
            assert booked(relay) | {"net": 0, "fees": 0} == {"realised": 500, "fees": 0, "funding": 5, "net": 0}
    with running_relay(tmp_path, paper.url, **environment) as relay:
        assert booked(relay)["net"] == balance(paper) - before
        assert booked(relay)["funding"] == 5


def test_equity_is_noted_at_the_start(own: RelayServer, paper: PaperServer) -> None:
    reported = own.api("accounts/default/equity?days=1")["points"]
    assert balance(paper) in [Decimal(each["equity"]) for each in reported if each["coin"] == "USDT"]
    error_of(own.ask("accounts/nobody/equity"), 404, "ACCOUNT_UNKNOWN")
    error_of(own.ask("accounts/default/equity?days=0"), 400, "REQUEST_INVALID")


def test_an_exchange_that_tells_nothing_of_the_past_holds_up_no_order(
    paper: PaperServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paper.control.reset()
    for path in ("/v5/execution/list", "/v5/account/wallet-balance"):
        paper.control.fault(path, "http", status=502, times=None)
    try:
        with running_relay(tmp_path, paper.url, BYBIT_STREAM_URL="off") as relay:
            assert relay.api("accounts/default/equity") == {"points": [], "days": []}
            assert [record for record in caplog.messages if "ledger of default" in record][1:] == []
    finally:
        paper.control.clear_faults()
