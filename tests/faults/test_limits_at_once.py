"""Four alerts at once on four symbols, with room for two: on several processes as on one, no limit is overrun."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults import audit
from tests.faults.scale import FULL
from tests.fleet import Fleet, running_fleet
from tests.paper_server import PaperServer
from tests.relay_process import WEBHOOK_SECRET

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

TRIALS = 100 if FULL else 3
ROOM = 2
SIZES = {"BTCUSDT": "0.004", "ETHUSDT": "0.1", "SOLUSDT": "2", "LTCUSDT": "4"}
"""Some 400 USD each."""
EXPOSURE = 900
LIMITED = ("positions", "exposure", "rate")


@dataclass(frozen=True, kw_only=True)
class Traded:
    """Where the alerts go, and each account's exchange."""

    fleet: Fleet
    papers: tuple[PaperServer, PaperServer]


@pytest.fixture(params=[2, 4], ids=lambda workers: f"{workers} workers")
def traded(request: pytest.FixtureRequest, tmp_path: Path, paper: PaperServer, postgres_url: str) -> Iterator[Traded]:
    (tmp_path / "second").mkdir()
    second = PaperServer(tmp_path / "second")
    config = [f'[accounts.main]\nurl = "{paper.url}"\n[accounts.second]\nurl = "{second.url}"']
    # Entries are counted for each strategy: each trial has one of its own.
    for name in ("default", *(f"trial{each}" for each in range(TRIALS))):
        config.append(f'[strategies.{name}]\naccounts = ["main", "second"]\nshared = true\n{limit_of(name)}')
    try:
        with running_fleet(
            tmp_path, paper, postgres_url, workers=request.param, RELAY_CONFIG="\n".join(config)
        ) as fleet:
            yield Traded(fleet=fleet, papers=(paper, second))
    finally:
        second.close()


def limit_of(strategy: str) -> str:
    if strategy == "default":
        return ""
    limit = LIMITED[int(strategy.removeprefix("trial")) % len(LIMITED)]
    values = {"positions": f"max_positions = {ROOM}", "exposure": f"max_exposure = {EXPOSURE}"}
    return f"limits = {{ {values.get(limit, f'entries_per_minute = {ROOM}')} }}"


def test_no_limit_is_overrun_by_alerts_that_come_at_once(traded: Traded) -> None:
    fleet = traded.fleet
    with ThreadPoolExecutor(len(SIZES)) as threads:
        for trial in range(TRIALS):
            signals = list(threads.map(partial(bought, fleet, f"trial{trial}"), SIZES))
            for paper in traded.papers:
                held = audit.positions(paper)
                assert 0 < len(held) <= ROOM and exposure(paper, held) <= EXPOSURE, (limit_of(f"trial{trial}"), signals)
            list(threads.map(partial(closed, fleet, trial), SIZES))
            assert not any(audit.positions(paper) for paper in traded.papers)


def bought(fleet: Fleet, strategy: str, symbol: str) -> dict[str, Any]:
    alert = {"ticker": f"{symbol}.P", "action": "buy", "qty": SIZES[symbol], "id": f"{strategy} {symbol}"}
    return done(fleet, strategy, alert)


def closed(fleet: Fleet, trial: int, symbol: str) -> dict[str, Any]:
    return done(fleet, "default", {"ticker": f"{symbol}.P", "action": "close", "id": f"close {trial} {symbol}"})


def done(fleet: Fleet, strategy: str, alert: dict[str, str]) -> dict[str, Any]:
    answer = fleet.web.http.post(
        f"{fleet.web.url}/webhook/{strategy}", json={"secret": WEBHOOK_SECRET, **alert}, timeout=60
    )
    assert answer.status_code == 202, answer.text
    return fleet.web.wait_for(answer.json()["signal_id"], 40)


def exposure(paper: PaperServer, held: dict[str, Decimal]) -> Decimal:
    prices = paper.control.prices()
    return sum((abs(size) * Decimal(prices[symbol]) for symbol, size in held.items()), Decimal(0))
