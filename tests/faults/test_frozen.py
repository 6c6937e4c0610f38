"""A worker that is frozen right before a call, and wakes up when another has done its work: it sends nothing."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from relay.engine.failpoint import KILL_AT, KILL_BY, Failpoint
from tests.faults import audit
from tests.faults.scale import FULL, seed
from tests.faults.test_kill_at_boundaries import ACCEPTED, HURRIED, SCENARIOS, Scenario, all_finished, check
from tests.fleet import Fleet, is_stopped, running_fleet
from tests.paper_server import PaperServer
from tests.relay_process import RelayProcess

pytestmark = pytest.mark.slow

Alert = Mapping[str, Any]
ASKING = "GET"
TOO_LATE = 10002
"""How the exchange refuses what left by a signature that had run out when the process woke up."""
LADDER = [{"at": "1%", "share": 50}, {"at": "2%", "share": 50}]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """`before`: what another worker has executed. `alert`: that at which this one is frozen, right before `call`.

    `later`: what another does after that in the same lane, and what a call by the old right would spoil.
    """

    at: Failpoint
    symbol: str
    call: str
    before: tuple[Alert, ...] = ()
    alert: Alert
    later: tuple[Alert, ...] = ()


SCENES = (
    Scene(
        at=Failpoint.CANCEL_DUE,
        symbol="BTCUSDT",
        call="/v5/order/cancel",
        before=({"action": "buy", "qty": "0.01", "type": "limit", "price": "50000"},),
        alert={"action": "cancel"},
        later=({"action": "buy", "qty": "0.02", "type": "limit", "price": "50000"},),
    ),
    Scene(
        at=Failpoint.LEVERAGE_DUE,
        symbol="ETHUSDT",
        call="/v5/position/set-leverage",
        alert={"action": "buy", "qty": "1", "leverage": "7"},
        later=({"action": "close"}, {"action": "buy", "qty": "1", "leverage": "9"}),
    ),
    Scene(
        at=Failpoint.STOPS_DUE,
        symbol="SOLUSDT",
        call="/v5/position/trading-stop",
        before=({"action": "buy", "qty": "5"},),
        alert={"action": "stops", "stop_loss": "100"},
        later=({"action": "stops", "stop_loss": "110"},),
    ),
    Scene(
        at=Failpoint.AMEND_DUE,
        symbol="AVAXUSDT",
        call="/v5/order/amend",
        before=({"action": "buy", "qty": "4", "take_profit": LADDER},),
        alert={"action": "buy", "qty": "4"},
        later=({"action": "buy", "qty": "8"},),
    ),
    Scene(
        at=Failpoint.PLANNED,
        symbol="XRPUSDT",
        call="/v5/order/create",
        alert={"action": "buy", "qty": "10"},
        later=({"action": "sell", "qty": "20"},),
    ),
)
_numbers = itertools.count()
ACCOUNT = "default"
FINISHED_S = 90
FROZEN_S = (2.0, 30.0)
"""From less than a lease lasts to ten times as long."""
STEPS = [each for each in Failpoint if each not in ACCEPTED] if FULL else [Failpoint.STOPS_SENT]
PLAYED = SCENES if FULL else SCENES[:3]


@pytest.fixture
def fleet(tmp_path: Path, paper: PaperServer, postgres_url: str) -> Iterator[Fleet]:
    with running_fleet(tmp_path, paper, postgres_url, workers=1) as fleet:
        yield fleet


def post(fleet: Fleet, scene: Scene, alert: Alert) -> str:
    answer = fleet.web.post({"ticker": f"{scene.symbol}.P", "id": f"alert {next(_numbers)}", **alert})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["signal_id"])


def do(fleet: Fleet, scene: Scene, alert: Alert) -> None:
    found = fleet.web.wait_for(post(fleet, scene, alert), 40)
    assert found["status"] == "done", found


def changes(fleet: Fleet) -> list[dict[str, Any]]:
    """The calls that were to change something at the exchange; an empty batch asks whether there are batches."""
    return [each for each in fleet.paper.control.calls() if each["method"] != ASKING and each.get("batch") != []]


def of(scene: Scene, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in calls if (each["path"], each["symbol"]) == (scene.call, scene.symbol)]


def freeze(fleet: Fleet, scene: Scene) -> tuple[RelayProcess, str]:
    """A worker that stands still right before the scene's call, and the signal that it was at."""
    made = len(of(scene, changes(fleet)))
    worker = fleet.add_worker(**{KILL_AT: scene.at.value, KILL_BY: "SIGSTOP"})
    signal_id = post(fleet, scene, scene.alert)
    fleet.until(lambda: is_stopped(worker), "it is never frozen", worker)
    assert len(of(scene, changes(fleet))) == made, "the call was made before"
    return worker, signal_id


def state(fleet: Fleet) -> tuple[Any, ...]:
    """What there is at the exchange: orders, positions with their levels and leverage."""
    session = fleet.paper.session()
    shown = session.get_positions(category="linear", settleCoin="USDT")["result"]["list"]
    session.client.close()
    rows = {row["symbol"]: (row["side"], row["size"], row["leverage"], row["stopLoss"]) for row in shown}
    return audit.at_exchange(fleet.paper), rows


@pytest.mark.timeout(300)
def test_workers_that_were_frozen_right_before_a_call_send_nothing_when_they_wake_up(fleet: Fleet) -> None:
    (first,) = fleet.workers
    for scene in PLAYED:
        for alert in scene.before:
            do(fleet, scene, alert)
    assert first.stop() == 0
    frozen = [(scene, *freeze(fleet, scene)) for scene in PLAYED]
    survivor = fleet.add_worker()
    for scene, _, signal_id in frozen:
        found = fleet.web.wait_for(signal_id, 40)
        assert found["status"] == "done", found
        assert of(scene, changes(fleet)), "another did it"
        for alert in scene.later:
            do(fleet, scene, alert)
    made, before = changes(fleet), state(fleet)
    for _, worker, _ in frozen:
        os.killpg(worker.process.pid, signal.SIGCONT)
    for _, worker, _ in frozen:
        dropped = "account default: another process may have it"
        fleet.until(lambda worker=worker, dropped=dropped: dropped in worker.tail(), "it does not wake up", worker)
        fleet.until(lambda worker=worker: fleet.is_alive(worker), "it does not come back", worker)
    assert survivor.stop() == 0
    assert [each for each in changes(fleet)[len(made) :] if each["retCode"] != TOO_LATE] == []
    assert state(fleet) == before
    for scene in PLAYED:
        do(fleet, scene, {"action": "close"})
    assert audit.positions(fleet.paper) == {}
    assert audit.differences(audit.at_exchange(fleet.paper), fleet.web.all_signals()) == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.value)
def test_an_owner_that_is_frozen_for_a_while_at_any_step_leaves_its_alert_to_one_outcome(
    step: Failpoint, tmp_path: Path, paper: PaperServer, postgres_url: str
) -> None:
    dice = random.Random(f"{seed()} {step}")
    scenario = dice.choice([each for each in SCENARIOS if step in each.passes])
    frozen_s = dice.uniform(*FROZEN_S)
    environment = HURRIED | dict(scenario.environment)
    with running_fleet(tmp_path, paper, postgres_url, webs=1, workers=0, **environment) as fleet:
        owner = owned_by_one_that_freezes(fleet, scenario, step)
        fleet.add_worker()
        scenario.meanwhile(paper.control)
        assert fleet.web.post({**scenario.alert, "comment": "killed"}).status_code == 202
        fleet.until(lambda: is_stopped(owner), f"it is never frozen at {step} of {scenario.name}", owner)
        time.sleep(frozen_s)  # it is what is tried
        os.killpg(owner.process.pid, signal.SIGCONT)
        all_finished(fleet.web, FINISHED_S)
        fleet.until(lambda: fleet.is_alive(owner), "it does not come back", owner)
        fleet.until(lambda: fleet.owner(ACCOUNT) != "", "the account is left alone")
        check(fleet.web, paper, scenario)


def owned_by_one_that_freezes(fleet: Fleet, scenario: Scenario, step: Failpoint) -> RelayProcess:
    """The worker that has the account, once another has executed what goes before."""
    before = [fleet.add_worker()] if scenario.before else []
    for alert in scenario.before:
        assert fleet.web.wait_for(fleet.web.post(alert).json()["signal_id"], 40)["status"] == "done"
    owner = fleet.add_worker(**{KILL_AT: step.value, KILL_BY: "SIGSTOP"})
    for each in before:
        assert each.stop() == 0
    fleet.until(lambda: f" {owner.process.pid} " in fleet.owner(ACCOUNT), "it does not get the account", owner)
    fleet.web.wait_until_ready(FINISHED_S)
    return owner
