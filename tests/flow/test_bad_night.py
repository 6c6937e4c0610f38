"""A night of bad luck: whatever became of the entry, the strategy's exit opens nothing and leaves nothing open."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pybit.unified_trading import HTTP

from tests.paper_server import PaperServer
from tests.relay_server import RelayServer, running_relay

pytestmark = pytest.mark.slow

BTC = {"category": "linear", "symbol": "BTCUSDT"}
PRICE = Decimal(100_000)
D = Decimal


@dataclass(slots=True, kw_only=True)
class Night:
    """One account through a night. The strategy's own position is what TradingView believes it to be."""

    relay: RelayServer
    paper: PaperServer
    exchange: HTTP
    strategy: Decimal = D(0)

    def price(self, price: Decimal | int) -> None:
        self.paper.control.prices(BTCUSDT=str(price))

    def held(self) -> Decimal:
        row = self.exchange.get_positions(**BTC)["result"]["list"][0]
        return D(row["size"]) * (-1 if row["side"] == "Sell" else 1)

    def fill(self, after: Decimal | str, **more: Any) -> dict[str, Any]:
        """The strategy's fill that takes it to `after`; what the relay made of it."""
        before, self.strategy = self.strategy, D(after)
        change = self.strategy - before
        alert = {
            "ticker": "BTCUSDT.P",
            "action": "buy" if change > 0 else "sell",
            "qty": str(abs(change)),
            "market_position": _side(self.strategy),
            "market_position_size": str(abs(self.strategy)),
            "prev_market_position": _side(before),
            "prev_market_position_size": str(abs(before)),
            "id": uuid.uuid4().hex,
            **more,
        }
        return self.relay.done(alert)

    def switch(self, name: str) -> None:
        self.relay.api(name, "POST")


def _side(size: Decimal) -> str:
    return "long" if size > 0 else "short" if size < 0 else "flat"


def _old() -> str:
    return (datetime.now(UTC) - timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def night(paper: PaperServer, tmp_path: Path) -> Iterator[Night]:
    paper.control.clear_faults()
    paper.control.reset()
    with running_relay(tmp_path, paper.url, MAX_POSITION_NOTIONAL="400000") as relay:
        yield Night(relay=relay, paper=paper, exchange=paper.session())
    paper.control.reset()


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    exchange = PaperServer(tmp_path_factory.mktemp("exchange"))
    with running_relay(tmp_path_factory.mktemp("calm"), exchange.url, MAX_POSITION_NOTIONAL="400000") as relay:
        yield Night(relay=relay, paper=exchange, exchange=exchange.session())
    exchange.close()


@pytest.fixture
def calm_night(calm: Night) -> Iterator[Night]:
    """For tests in which no position opens: they share a relay and its exchange."""
    calm.strategy = D(0)
    yield calm
    calm.paper.control.clear_faults()
    calm.switch("resume")


EXITS = [
    {},
    {"action": "close"},
    {"action": "flat"},
    {"action": "target"},
]


@pytest.mark.parametrize("exit_by", EXITS, ids=["fill", "close", "flat", "target"])
@pytest.mark.parametrize("trouble", ["halted", "expired", "too small", "over the limit", "refused for margin"])
def test_an_entry_that_never_was_is_left_by_an_exit_that_does_nothing(
    calm_night: Night, trouble: str, exit_by: dict[str, Any]
) -> None:
    wanted, more, status = {
        "halted": ("0.1", {}, "denied"),
        "expired": ("0.1", {"time": _old()}, "expired"),
        "too small": ("0.0004", {}, "denied"),
        "over the limit": ("5", {}, "denied"),
        "refused for margin": ("0.1", {}, "failed"),
    }[trouble]
    if trouble == "halted":
        calm_night.switch("halt")
    if trouble == "refused for margin":
        calm_night.paper.control.fault(
            "/v5/order/create", "code", retCode=110007, retMsg="ab not enough for new order", times=1
        )
    assert calm_night.fill(wanted, **more)["status"] == status
    left = calm_night.fill("0", **exit_by)
    assert (left["status"], left["orders"]) == ("done", []), left
    assert calm_night.held() == 0


@pytest.mark.parametrize("exit_by", EXITS, ids=["fill", "close", "flat", "target"])
def test_a_stop_that_fired_at_the_exchange_is_not_left_a_second_time(night: Night, exit_by: dict[str, Any]) -> None:
    assert night.fill("0.1", stop_loss="99000")["status"] == "done"
    night.price(98_500)
    assert night.held() == 0
    left = night.fill("0", **exit_by)
    assert (left["status"], left["orders"]) == ("done", []), left
    assert night.held() == 0


def test_a_partial_exit_after_the_stop_fired_opens_nothing(night: Night) -> None:
    night.fill("0.2", stop_loss="99000")
    night.price(98_500)
    assert night.fill("0.1")["orders"] == []
    assert night.fill("0")["orders"] == []
    assert night.held() == 0


def test_a_reversal_after_the_stop_fired_is_the_new_side_only(night: Night) -> None:
    night.fill("0.2", stop_loss="99000")
    night.price(98_500)
    night.fill("-0.1")
    assert night.held() == D("-0.1")
    night.fill("0")
    assert night.held() == 0


def test_of_a_flip_refused_for_margin_the_exit_goes_and_its_own_exit_finds_nothing(night: Night) -> None:
    night.fill("0.2")
    night.paper.control.fault("/v5/order/create", "code", retCode=110007, retMsg="ab not enough", times=1)
    flipped = night.fill("-0.3")
    assert flipped["status"] in ("failed", "done"), flipped
    assert night.held() == 0
    assert night.fill("0")["orders"] == []
    assert night.held() == 0


@pytest.mark.parametrize("trouble", ["halted", "expired", "over the limit"])
def test_of_a_flip_that_is_withheld_the_exit_goes_alone(night: Night, trouble: str) -> None:
    night.fill("0.2")
    if trouble == "halted":
        night.switch("halt")
    more = {"time": _old()} if trouble == "expired" else {}
    flipped = night.fill("-9" if trouble == "over the limit" else "-0.3", **more)
    assert flipped["reason"]["code"] == "ENTRY_WITHHELD", flipped
    assert night.held() == 0
    assert night.fill("0")["orders"] == []


def test_through_a_whole_night_of_troubles_no_exit_opens_and_nothing_stays_open_that_was_left(night: Night) -> None:
    dice = random.Random(20_261_121)
    for _ in range(120):
        trouble = dice.choice(["none", "none", "none", "halt", "old", "margin", "stop", "resume"])
        if trouble in ("halt", "resume"):
            night.switch(trouble)
        if trouble == "stop" and night.held():
            night.price(PRICE * (D("0.9") if night.held() > 0 else D("1.1")))
        held, before = night.held(), night.strategy
        after = _next(dice, before)
        if trouble == "margin" and (after * held < 0 or abs(after) > abs(held)):
            night.paper.control.fault("/v5/order/create", "code", retCode=110007, retMsg="ab not enough", times=1)
        stop = {"stop_loss": "5%"} if dice.random() < 0.5 else {}
        night.fill(after, **({"time": _old()} if trouble == "old" else {}), **stop)
        found = night.held()
        if after == 0:
            assert found == 0, f"{before} → flat, {held} → {found}"
        if abs(after) < abs(before) and after * before >= 0:
            assert found * held >= 0 and abs(found) <= abs(held), f"an exit {before} → {after} made {held} → {found}"
        assert found * after >= 0, f"{before} → {after} left {found}"
        night.paper.control.clear_faults()
        night.price(PRICE)
    night.fill("0" if night.strategy else "0.1")
    night.fill("0")
    assert night.held() == 0


def _next(dice: random.Random, at: Decimal) -> Decimal:
    """Another position of the strategy: more, less, none, or the other side."""
    size = D(dice.randrange(1, 30)) / 100
    choices = [at + (size if at >= 0 else -size), D(0), -at - (size if at > 0 else -size), at / 2]
    found = dice.choice(choices).quantize(D("0.001"))
    return found if found != at else at + size


def test_the_strategys_exit_is_never_withheld_by_anything_that_holds_back_entries(night: Night) -> None:
    night.fill("0.2")
    night.switch("halt")
    left = night.fill("0", time=_old())
    assert left["status"] == "done" and night.held() == 0
