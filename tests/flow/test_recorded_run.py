"""A recorded run of a strategy: the account stands where the strategy does, after each alert."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from relay.domain.rules import Drift, Mode, Rules
from tests.paper_server import PaperServer
from tests.recorded import Fill, run_of
from tests.relay_server import RelayServer, running_relay

pytestmark = pytest.mark.slow

FILLS = 100
SEED = 20260105
_DAY_S = 86_400
"""The run bears the times of its recording, and a slow machine takes long to play it."""


@contextmanager
def relay_with(folder: Path, paper: PaperServer, rules: Rules) -> Iterator[RelayServer]:
    """With the one account's rules as given, at an exchange where nothing is open."""
    paper.control.reset()
    with running_relay(folder, paper.url) as server:
        strategies = server.relay.services.strategies
        lasting = replace(rules, signal_max_age_s=_DAY_S)
        strategies.update({name: replace(each, rules={"default": lasting}) for name, each in strategies.items()})
        yield server


def position(server: RelayServer) -> Decimal:
    """Signed, as the exchange has it."""
    exchange = next(iter(server.relay.services.exchanges.values()))
    return sum((each.size for each in exchange.positions()), Decimal(0))


def post(server: RelayServer, fill: Fill) -> dict[str, Any]:
    signal = server.done(fill.alert)
    assert signal["status"] == "done", signal
    return signal


def names_of(signal: dict[str, Any]) -> set[str]:
    return {event["name"] for event in signal["events"]}


def dropped(fills: list[Fill]) -> set[int]:
    """One in twenty, by number; the first and the last one are always sent."""
    chance = random.Random(SEED)  # noqa: S311 - a fixed seed, and nothing secret
    return set(chance.sample(range(1, len(fills) - 1), len(fills) // 20))


def test_in_order_mode_every_fill_is_followed_and_nothing_is_warned_of(paper: PaperServer, tmp_path: Path) -> None:
    with relay_with(tmp_path, paper, Rules()) as server:
        for fill in run_of(FILLS, SEED):
            signal = post(server, fill)
            assert position(server) == fill.size, signal
            assert names_of(signal).isdisjoint({"chain_gap", "chain_overtaken", "drift"}), signal


def test_in_position_mode_the_account_is_right_at_the_alert_after_a_lost_one(
    paper: PaperServer, tmp_path: Path
) -> None:
    fills = run_of(FILLS, SEED)
    lost = dropped(fills)
    assert len(lost) >= 5
    with relay_with(tmp_path, paper, Rules(mode=Mode.POSITION)) as server:
        was_lost = False
        for number, fill in enumerate(fills):
            if number in lost:
                was_lost = True
                continue
            signal = post(server, fill)
            assert position(server) == fill.size, signal
            assert ("chain_gap" in names_of(signal)) == (was_lost and number > 0), signal
            was_lost = False


def test_in_order_mode_every_lost_alert_is_warned_of_at_the_next_one(paper: PaperServer, tmp_path: Path) -> None:
    fills = run_of(FILLS, SEED)
    lost = dropped(fills)
    sent = [number for number in range(len(fills)) if number not in lost]
    with relay_with(tmp_path, paper, Rules()) as server:
        warned = {number for number in sent if "chain_gap" in names_of(post(server, fills[number]))}
    assert warned == {number for number in sent if number - 1 in lost}


def test_a_drift_is_warned_of_and_healed_where_that_is_wished(paper: PaperServer, tmp_path: Path) -> None:
    fills = run_of(FILLS, SEED)
    # An alert that adds, and after it another that adds to the same side: no reversal or exit puts it right.
    lost = next(
        number
        for number in range(1, len(fills) - 2)
        if 0 < fills[number - 1].position < fills[number].position < fills[number + 1].position
    )
    for drift, is_right in ((Drift.WARN, False), (Drift.HEAL, True)):
        folder = tmp_path / drift.value
        folder.mkdir()
        with relay_with(folder, paper, Rules(drift=drift)) as server:
            for fill in fills[:lost]:
                post(server, fill)
            signal = post(server, fills[lost + 1])
            assert (position(server) == fills[lost + 1].size) is is_right
            assert ("drift" in names_of(signal)) is not is_right
            assert any("drift healed" in note for note in signal["notes"]) is is_right
