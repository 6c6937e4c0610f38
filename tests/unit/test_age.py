"""How old an alert is, and by whose clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from relay.domain.limits import too_old
from relay.domain.order_lifecycle import Bounds
from relay.domain.signal import SignalAge, age_of, span
from relay.errors import ExchangeUnreachable
from relay.execution.gather import unreachable
from relay.execution.ports import Account
from relay.execution.work import ReceiptTime, Work
from tests.builders import rules, signal
from tests.property.model_exchange import Clock, ModelExchange
from tests.property.workshop import Market

EXCHANGE_NOW = datetime(2031, 5, 4, 3, 2, 1, tzinfo=UTC)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


@pytest.mark.parametrize("machine_s", [-900, 0, 900])
def test_an_alert_that_says_when_it_left_is_as_old_as_the_exchanges_clock_says(machine_s: int) -> None:
    received_at = EXCHANGE_NOW + seconds(machine_s)
    alert = signal("buy", sent_at=EXCHANGE_NOW - seconds(200), received_at=received_at)
    assert age_of(alert, since_receipt=seconds(3), exchange_now=EXCHANGE_NOW) == SignalAge(
        age=seconds(200), on_arrival=seconds(197)
    )


def test_an_alert_that_does_not_say_when_it_left_is_as_old_as_its_receipt() -> None:
    alert = signal("buy", received_at=EXCHANGE_NOW - seconds(4000))
    assert age_of(alert, since_receipt=seconds(7), exchange_now=EXCHANGE_NOW).age == seconds(7)


@pytest.mark.parametrize(("ahead_s", "age_s", "is_noted"), [(20, 5, False), (55, 5, False), (66, 5, True)])
def test_a_time_in_the_future_gains_nothing_and_past_a_minute_is_noted(
    ahead_s: int, age_s: int, is_noted: bool
) -> None:
    alert = signal("buy", sent_at=EXCHANGE_NOW + seconds(ahead_s - 5))
    found = age_of(alert, since_receipt=seconds(5), exchange_now=EXCHANGE_NOW)
    assert found.age == seconds(age_s)
    assert (found.note is not None) is is_noted
    assert found.note is None or "66 s in the future" in found.note


def test_the_hint_blames_the_alerts_time_only_where_the_exchanges_clock_was_measured() -> None:
    alert = signal("buy", sent_at=EXCHANGE_NOW - seconds(300))
    for is_measured, blamed, other in ((True, "{{timenow}}", "measured"), (False, "could not be measured", "{{time")):
        age = age_of(alert, since_receipt=seconds(1), exchange_now=EXCHANGE_NOW, is_measured=is_measured)
        reason = too_old(alert, rules(), age)
        assert reason is not None and reason.code == "TIME_TOO_OLD"
        assert blamed in reason.message and other not in reason.message


def test_what_grew_old_here_blames_nobody() -> None:
    alert = signal("buy", sent_at=EXCHANGE_NOW - seconds(300))
    reason = too_old(alert, rules(), age_of(alert, since_receipt=seconds(299), exchange_now=EXCHANGE_NOW))
    assert reason is not None and ";" not in reason.message


def test_the_time_since_receipt_is_counted_on_a_clock_that_nobody_sets() -> None:
    shown = Decimal(100)
    received = ReceiptTime(at_s=float(shown), steady=lambda: float(shown))
    shown += 42
    assert received.since() == seconds(42)


def test_the_patience_with_an_exchange_that_is_silent_does_not_end_because_this_machines_clock_is_set() -> None:
    clock = Clock()
    account = Account(name="main", exchange=ModelExchange(clock), market=Market(), bounds=Bounds())
    work = Work(signal=signal("close"), account=account, rules=rules(), generation=0)
    silence = ExchangeUnreachable("no answer")
    assert unreachable(work, silence).finish is None
    clock.pass_ms(Bounds().max_seconds * 1000 - 1)
    assert unreachable(work, silence).finish is None
    clock.pass_ms(10)
    assert unreachable(work, silence).finish is not None


@pytest.mark.parametrize(
    ("seconds", "said"), [(61, "61 s"), (299.6, "300 s"), (3600, "60 min"), (7200, "2 h"), (218_240_685, "2525 days")]
)
def test_a_long_time_is_told_in_a_unit_that_people_read(seconds: float, said: str) -> None:
    assert span(seconds) == said
