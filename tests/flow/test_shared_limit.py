"""Two workers and an exchange that counts ten orders a second for the account: they share them, exits first."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests import postgres
from tests.faults import audit
from tests.fleet import Fleet, running_fleet
from tests.paper_server import PaperServer

pytestmark = pytest.mark.slow

CREATE = "/v5/order/create"
A_SECOND = 10
EXITS, ENTRIES = 5, 40


@pytest.fixture
def paper(server: PaperServer) -> PaperServer:
    """It counts from the start, so that each process knows of it before its first order."""
    server.start_over()
    server.control.account(
        limiter={"on": True, "rate": A_SECOND}, balances={"USDT": "1000000000", "USDC": "1000000000"}
    )
    return server


@pytest.fixture
def fleet(tmp_path: Path, paper: PaperServer) -> Iterator[Fleet]:
    url = postgres.server().migrated()
    with running_fleet(tmp_path, paper, url, BYBIT_RECV_WINDOW="5000") as fleet:
        yield fleet
    postgres.server().give_back(url)


def symbols_of(paper: PaperServer) -> list[str]:
    rows = paper.session().get_instruments_info(category="linear", limit=1000)["result"]["list"]
    perpetual = [row for row in rows if row["contractType"] == "LinearPerpetual" and row["status"] == "Trading"]
    return [row["symbol"] for row in perpetual]


def alert(symbol: str, action: str, key: str) -> dict[str, Any]:
    ticker = symbol.replace("PERP", "USDC") if symbol.endswith("PERP") else symbol
    size = {} if action == "close" else {"qty": "1000", "qty_unit": "quote"}
    return {"ticker": f"{ticker}.P", "action": action, "id": key, **size}


def post_all(fleet: Fleet, alerts: list[dict[str, Any]]) -> list[str]:
    """At once; their signals, in the same order."""

    def post(each: dict[str, Any]) -> str:
        answer = fleet.web.post(each)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["signal_id"])

    with ThreadPoolExecutor(16) as threads:
        return list(threads.map(post, alerts))


def requested_at_ns(signal: dict[str, Any]) -> int:
    """When its order was first on its way to the limiter."""
    first = next(event["at"] for event in signal["events"] if event["name"] == "order_submitted")
    return int(datetime.fromisoformat(first).timestamp() * 1e9)


def test_two_workers_keep_the_accounts_limit_together_and_send_exits_first(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    symbols = symbols_of(fleet.paper)
    leaving, entering = symbols[:EXITS], symbols[EXITS:]
    for signal_id in post_all(fleet, [alert(each, "buy", f"open {each}") for each in leaving]):
        assert fleet.web.wait_for(signal_id, 40)["status"] == "done"
    fleet.paper.control.clear_calls()

    entries = [alert(entering[n % len(entering)], "buy", f"entry {n}") for n in range(ENTRIES)]
    ids = post_all(fleet, [*entries, *(alert(each, "close", f"exit {each}") for each in leaving)])
    signals = [fleet.web.wait_for(each, 60) for each in ids]

    assert {each["status"] for each in signals} == {"done"}
    arrived = fleet.paper.control.calls(CREATE)
    assert [call["retCode"] for call in arrived] == [0] * (ENTRIES + EXITS)
    at_ns = {call["orderLinkId"]: call["at_ns"] for call in arrived}
    requested_ns = {order["client_order_id"]: requested_at_ns(each) for each in signals for order in each["orders"]}
    exits = [order["client_order_id"] for signal in signals[ENTRIES:] for order in signal["orders"]]
    # By how many places each went before those that had asked before it: by none, were it first come, first served.
    gained = [_before(requested_ns, each) - _before(at_ns, each) for each in exits]
    assert sum(gained) > len(exits) * A_SECOND / 2, gained
    assert audit.differences(audit.at_exchange(fleet.paper), fleet.web.all_signals()) == []
    ((workers,),) = fleet.ask("SELECT count(DISTINCT owner) FROM leases WHERE name LIKE 'default/%'")
    took_s = (max(at_ns.values()) - min(at_ns.values())) / 1e9
    reported = sum(event["name"] == "order_not_sent" for signal in signals for event in signal["events"])
    with capsys.disabled():
        print(
            f"\n{len(arrived)} orders by {workers} workers in {took_s:.2f} s, of which the limit itself takes "
            f"{(len(arrived) - 1) // A_SECOND} s; exits gained {gained} places; {reported} times told to come later"
        )


def _before(at: dict[str, int], which: str) -> int:
    return sum(each < at[which] for each in at.values())
