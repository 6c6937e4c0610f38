"""An exit of coins that a stop loss has set aside: killed at each step, refused, and filled in part."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from relay.domain.order import Side, SignalStatus
from relay.engine.failpoint import Failpoint
from relay.journal.journal import Journal
from tests.property.model_exchange import Fault
from tests.property.spot_exchange import OWNERS
from tests.property.test_spot_machine import KILLED_AT, SpotShop
from tests.property.test_spot_machine import journal as journal
from tests.property.workshop import Killed, KillSwitch, body_of, kill_switch

pytestmark = pytest.mark.slow

HELD = Decimal("0.0999")


@pytest.fixture
def switch() -> Iterator[KillSwitch]:
    with kill_switch() as found:
        yield found


@pytest.fixture
def shop(journal: Journal, switch: KillSwitch, request: pytest.FixtureRequest) -> SpotShop:
    """Holds coins that a stop loss has set aside, beside the owner's, on an account of the test's own."""
    made = SpotShop(journal, f"a{abs(hash(request.node.name)):x}")
    made.open()
    made.take(body_of(ticker="BTCUSDT", action="buy", qty="0.1", stop_loss="5%", take_profit="5%", id=made.account))
    made.run()
    assert (made.held.size, made.exchange.locked(Side.SELL)) == (HELD, HELD)
    return made


def close(shop: SpotShop) -> str:
    """Its signal's id."""
    return shop.take(body_of(ticker="BTCUSDT", action="close", id=f"exit of {shop.account}")).signal_id


@pytest.mark.parametrize("at", KILLED_AT)
def test_a_kill_at_any_step_sells_all_of_it_once_and_nothing_of_the_owners(
    at: Failpoint, shop: SpotShop, switch: KillSwitch
) -> None:
    switch.at = at
    try:
        close(shop)
        shop.run()
    except Killed:
        shop.restart()
        shop.run()
        if shop.held.size:
            close(shop)
            shop.run()
    shop.follower.round()
    assert (shop.held.size, shop.exchange.coins, shop.exchange.locked(Side.SELL)) == (Decimal(0), OWNERS, Decimal(0))


def test_a_sale_that_the_exchange_refuses_leaves_the_coins_with_their_stop_loss_again(
    shop: SpotShop, journal: Journal
) -> None:
    begun_ms = shop.clock.now_ms
    shop.exchange.faults = [Fault("none"), Fault("refused"), Fault("refused")]
    signal_id = close(shop)
    shop.run()
    assert (shop.held.size, shop.exchange.locked(Side.SELL)) == (HELD, HELD)
    assert shop.clock.now_ms - begun_ms <= 2000
    (execution,) = journal.executions_of(signal_id)
    assert execution.status is SignalStatus.ATTENTION


def test_a_sale_of_a_part_goes_on_and_what_is_left_in_the_end_has_its_stop_loss_again(shop: SpotShop) -> None:
    shop.exchange.faults = [Fault("none"), *[Fault("partly")] * 4]
    close(shop)
    shop.run()
    assert Decimal(0) < shop.held.size == shop.exchange.relays == shop.exchange.locked(Side.SELL)


def test_a_stop_loss_that_is_refused_time_and_again_is_placed_once_the_exchange_takes_it(shop: SpotShop) -> None:
    shop.exchange.faults = [Fault("none"), *[Fault("refused")] * 5]
    close(shop)
    shop.run()
    assert (shop.held.size, shop.exchange.locked(Side.SELL)) == (HELD, Decimal(0))
    for _ in range(10):
        shop.clock.pass_ms(2000)
        shop.follower.round()
        shop.run()
    assert (shop.held.size, shop.exchange.locked(Side.SELL)) == (HELD, HELD)
