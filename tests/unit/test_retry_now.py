"""A person opens an old entry again, to be no older than that moment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from relay.errors import SignalNotRetryable
from relay.journal.opening import open_journal
from tests.property.workshop import MAX_AGE_S, Workshop, body_of

LATE_MS = (MAX_AGE_S + 30) * 1000


@pytest.fixture
def shop(journal_url: str) -> Iterator[Workshop]:
    journal = open_journal(journal_url)
    yield Workshop(journal)
    journal.close()


def expired(shop: Workshop) -> str:
    """The id of an entry that waited for its instruments until it was too old."""
    receipt = shop.take(body_of(action="buy", ticker="BTCUSDT.P", qty="1"))
    shop.clock.pass_ms(LATE_MS)
    shop.open()
    run(shop)
    assert shown(shop, receipt.signal_id)["status"] == "expired"
    return str(receipt.signal_id)


def run(shop: Workshop) -> None:
    while ready := shop.engine.ready():
        shop.engine.step(ready[0])


def shown(shop: Workshop, signal_id: str) -> dict[str, Any]:
    signal = shop.journal.signal(signal_id)
    assert signal is not None
    return signal


def test_what_is_too_old_expires_again_unless_it_is_retried_as_of_now(shop: Workshop) -> None:
    signal_id = expired(shop)
    outlook = shop.controls.retry_outlook(signal_id)
    assert outlook is not None and outlook.expires and outlook.age_s == LATE_MS // 1000
    shop.controls.retry(signal_id)
    run(shop)
    assert shown(shop, signal_id)["status"] == "expired"
    shop.controls.retry(signal_id, is_fresh=True)
    run(shop)
    assert shown(shop, signal_id)["status"] == "done"
    with pytest.raises(SignalNotRetryable):
        shop.controls.retry(signal_id, is_fresh=True)


def test_it_is_lifted_for_one_try_and_for_so_long_as_a_new_alert_has(shop: Workshop) -> None:
    signal_id = expired(shop)
    shop.controls.retry(signal_id, is_fresh=True)
    shop.clock.pass_ms(LATE_MS)
    run(shop)
    assert shown(shop, signal_id)["status"] == "expired"
    shop.controls.retry(signal_id)
    run(shop)
    assert shown(shop, signal_id)["status"] == "expired", "the next try is as old as its alert again"


def test_a_restart_forgets_nothing_of_it(shop: Workshop) -> None:
    signal_id = expired(shop)
    shop.controls.retry(signal_id, is_fresh=True)
    shop.restart()
    shop.open()
    run(shop)
    assert shown(shop, signal_id)["status"] == "done"


def test_halt_holds_it_back_all_the_same(shop: Workshop) -> None:
    signal_id = expired(shop)
    shop.controls.halt(by="tests")
    shop.controls.retry(signal_id, is_fresh=True)
    run(shop)
    assert shown(shop, signal_id)["reason"]["code"] == "HALTED"
