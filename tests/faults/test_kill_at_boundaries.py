"""kill -9 between any two steps of the pipeline, then a restart: one outcome, and the same orders on both sides."""

from __future__ import annotations

import ast
import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from relay.engine.failpoint import ABSENT_SOONER, KILL_AT, Failpoint
from tests.faults import audit
from tests.faults.scale import FULL
from tests.paper_server import Control, PaperServer
from tests.relay_process import ROOT, WEBHOOK_SECRET, RelayProcess

pytestmark = pytest.mark.slow

Alert = Mapping[str, Any]
B = Failpoint

ACCEPTED = frozenset({B.RECEIVED, B.PARSED, B.COMMITTED, B.ANSWERED})
PLANNED = ACCEPTED | {B.BEGUN, B.GATHERED, B.PLANNED, B.FINISHED}
ORDERED = PLANNED | {B.BYTES_OUT, B.SENT, B.OUTCOME_STORED, B.LOOKED_UP, B.REPORT_STORED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`before`: alerts that are executed first. `meanwhile`: what is changed at the exchange before the alert comes."""

    name: str
    alert: Alert
    passes: frozenset[Failpoint]
    before: tuple[Alert, ...] = ()
    meanwhile: Callable[[Control], object] = lambda control: None
    environment: Mapping[str, str] = field(default_factory=dict)
    status: str = "done"
    orders: int = 1
    """How many of the alert's orders are at the exchange in the end."""
    resting: int = 0
    """How many orders still rest then."""
    positions: Mapping[str, Decimal] = field(default_factory=dict)
    deadline_s: int = 20
    """To come to its boundary, and again from the restart to its end."""


HURRIED = {ABSENT_SOONER: "10"}
"""That nothing is found for half a minute before an order certainly never arrived, `test_resends` waits for."""


def lose_a_request(control: Control) -> None:
    control.fault("/v5/order/create", "drop_request")


def market(action: str, ticker: str, qty: str, **more: object) -> Alert:
    return {"action": action, "ticker": ticker, "qty": qty, **more}


LADDER = [{"at": "1%", "share": 50, "then": "breakeven"}, {"at": "2%", "share": 50}]
LOST = PLANNED - {B.FINISHED} | {B.BYTES_OUT, B.SENT, B.OUTCOME_STORED, B.LOOKED_UP, B.ABSENCE_STORED, B.FINISHED}
SCENARIOS = (
    Scenario(
        name="buy",
        alert=market("buy", "BTCUSDT.P", "0.01"),
        passes=ORDERED,
        positions={"BTCUSDT": Decimal("0.01")},
    ),
    Scenario(
        name="flip",
        before=(market("buy", "ETHUSDT.P", "1"),),
        alert=market(
            "sell",
            "ETHUSDT.P",
            "3",
            market_position="short",
            market_position_size="2",
            prev_market_position="long",
            prev_market_position_size="1",
        ),
        passes=ORDERED,
        positions={"ETHUSDT": Decimal(-2)},
    ),
    Scenario(
        name="close with resting orders",
        before=(
            market("buy", "SOLUSDT.P", "5"),
            market("buy", "SOLUSDT.P", "2", type="limit", price="150"),
            market("sell", "SOLUSDT.P", "1", type="limit", price="300"),
            market("buy", "SOLUSDT.P", "3", type="stop_market", trigger_price="250"),
        ),
        alert={"action": "close", "ticker": "SOLUSDT.P"},
        passes=ORDERED | {B.CANCEL_DUE, B.CANCEL_SENT, B.CANCEL_CONFIRMED},
    ),
    Scenario(
        name="several legs",
        before=(market("sell", "ATOMUSDT.P", "1000"),),
        alert={
            "action": "target",
            "ticker": "ATOMUSDT.P",
            "market_position": "long",
            "market_position_size": "40000",
        },
        passes=ORDERED | {B.SUBMITTED},
        orders=4,
        positions={"ATOMUSDT": Decimal(40000)},
    ),
    Scenario(
        name="a request that never arrives",
        alert=market("buy", "XRPUSDT.P", "10"),
        meanwhile=lose_a_request,
        passes=ORDERED | {B.SUBMITTED},
        positions={"XRPUSDT": Decimal(10)},
    ),
    Scenario(
        name="an entry that grows too old",
        alert=market("buy", "ADAUSDT.P", "100"),
        meanwhile=lose_a_request,
        environment={"SIGNAL_MAX_AGE": "1"},
        passes=LOST | {B.ORDER_DENIED},
        status="expired",
        orders=0,
    ),
    Scenario(
        name="a flip that is refused",
        before=(market("buy", "LTCUSDT.P", "1"),),
        alert={"action": "target", "ticker": "LTCUSDT.P", "market_position": "short", "market_position_size": "3000"},
        meanwhile=lambda control: control.account(leverage={"LTCUSDT": 1}),
        passes=ORDERED | {B.SUBMITTED, B.ORDER_ADDED},
        status="failed",
    ),
    Scenario(
        name="an entry that sets the leverage",
        alert=market("buy", "BNBUSDT.P", "1", leverage="7", stop_loss="10%"),
        passes=ORDERED | {B.SUBMITTED, B.LEVERAGE_DUE, B.LEVERAGE_SENT},
        positions={"BNBUSDT": Decimal(1)},
    ),
    Scenario(
        name="a ladder with a trailing stop",
        alert=market("buy", "LINKUSDT.P", "4", stop_loss="10%", trailing_stop="5%", take_profit=LADDER),
        passes=ORDERED | {B.BRACKET_SAVED, B.STOPS_DUE, B.STOPS_SENT, B.TAKE_PROFIT_ADDED},
        orders=3,
        resting=2,
        positions={"LINKUSDT": Decimal(4)},
    ),
    Scenario(
        name="a ladder that grows with its position",
        before=(market("buy", "AVAXUSDT.P", "4", take_profit=LADDER),),
        alert=market("buy", "AVAXUSDT.P", "4"),
        passes=ORDERED | {B.AMEND_DUE, B.AMEND_SENT},
        resting=2,
        positions={"AVAXUSDT": Decimal(8)},
    ),
    Scenario(
        name="a close with a ladder",
        before=(market("buy", "UNIUSDT.P", "4", take_profit=LADDER),),
        alert={"action": "close", "ticker": "UNIUSDT.P"},
        passes=ORDERED | {B.CANCEL_DUE, B.CANCEL_SENT, B.CANCEL_CONFIRMED, B.BRACKET_SAVED},
    ),
    Scenario(
        name="nothing to close",
        alert={"action": "close", "ticker": "DOTUSDT.P"},
        passes=PLANNED,
        orders=0,
    ),
)


def cases() -> Iterator[Any]:
    """Every boundary of the code, with one of the scenarios that pass it, or in the whole with each of them."""
    for number, boundary in enumerate(Failpoint):
        passing = [each for each in SCENARIOS if boundary in each.passes]
        for scenario in passing if FULL else passing[number % len(passing) :][:1] if passing else ():
            yield pytest.param(boundary, scenario, id=f"{boundary.value}-{scenario.name}")


Prepared = Callable[[Scenario], Path]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """The folder in which a scenario begins: what goes before it has been executed, and relay and exchange ended."""
    folders: dict[str, Path] = {}

    def prepare(scenario: Scenario) -> Path:
        if scenario.name not in folders:
            folders[scenario.name] = folder = tmp_path_factory.mktemp("prepared")
            if scenario.before:
                execute(folder, scenario.before)
        return folders[scenario.name]

    return prepare


def execute(folder: Path, alerts: tuple[Alert, ...]) -> None:
    paper = PaperServer(folder)
    relay = RelayProcess(folder, paper.url)
    try:
        relay.start()
        for alert in alerts:
            assert relay.wait_for(relay.post(alert).json()["signal_id"])["status"] == "done"
        assert relay.stop() == 0
    finally:
        relay.kill()
        paper.close()


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("boundary", "scenario"), list(cases()))
def test_killed_at_a_boundary_each_alert_still_comes_to_one_outcome(
    boundary: Failpoint, scenario: Scenario, prepared: Prepared, tmp_path: Path
) -> None:
    folder = tmp_path / "begun"
    shutil.copytree(prepared(scenario), folder)
    paper = PaperServer(folder)
    relay = RelayProcess(folder, paper.url, environment=HURRIED | dict(scenario.environment))
    try:
        kill_and_restart(relay, paper, boundary, scenario)
        check(relay, paper, scenario)
    finally:
        relay.kill()
        paper.close()


def kill_and_restart(relay: RelayProcess, paper: PaperServer, boundary: Failpoint, scenario: Scenario) -> None:
    relay.start(wait=True, **{KILL_AT: boundary.value})
    scenario.meanwhile(paper.control)
    body = json.dumps({"secret": WEBHOOK_SECRET, **scenario.alert, "comment": "killed"}).encode()
    answer = None
    # The kill may come before the answer or in the midst of it: both are no answer.
    with contextlib.suppress(requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
        answer = relay.post(body)
    relay.wait_for_death(scenario.deadline_s)
    relay.start()
    if answer is None:
        answer = relay.post(body)
    assert answer.status_code in (200, 202), answer.text


def check(relay: RelayProcess, paper: PaperServer, scenario: Scenario) -> None:
    signals = all_finished(relay, scenario.deadline_s)
    (signal,) = (each for each in signals if each["alert"].get("comment") == "killed")
    assert len(signals) == len(scenario.before) + 1
    assert signal["status"] == scenario.status, signal
    assert [len(each) for each in audit.outcomes(signal)] == [1] * len(audit.outcomes(signal))
    taken = audit.at_exchange(paper)
    assert audit.differences(taken, signals) == []
    assert len([each for each in taken if each.client_order_id.startswith(signal["id"])]) == scenario.orders
    assert len([each for each in taken if each.is_open]) == scenario.resting
    assert audit.positions(paper) == scenario.positions


def all_finished(relay: RelayProcess, deadline_s: float) -> list[dict[str, Any]]:
    until = time.monotonic() + deadline_s
    while time.monotonic() < until:
        signals = relay.all_signals()
        if all(each["status"] in audit.FINISHED for each in signals):
            return signals
        time.sleep(0.02)
    raise AssertionError(f"not finished: {[each for each in signals if each['status'] not in audit.FINISHED]}")


def test_every_boundary_is_passed_somewhere_in_the_pipeline_and_killed_at_by_a_test() -> None:
    called = [
        node.args[0].attr
        for path in (ROOT / "relay").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "failpoint.passed"
        if isinstance(node.args[0], ast.Attribute)
    ]
    assert sorted(called) == sorted(each.name for each in Failpoint), "each boundary is at one place"
    covered = frozenset[Failpoint]().union(*(each.passes for each in SCENARIOS))
    assert covered == frozenset(Failpoint)


def test_an_unknown_boundary_stops_the_start_instead_of_testing_nothing(tmp_path: Path) -> None:
    relay = RelayProcess(tmp_path, "http://127.0.0.1:9")
    relay.start(wait=False, **{KILL_AT: "nowhere"})
    relay.wait_for_death()
    assert relay.process.returncode != 0
    assert "nowhere" in relay.tail()
