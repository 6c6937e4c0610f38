"""Alerts that are signed instead of bringing the secret: what was signed once has one effect."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest

from relay.alerts.authenticate import Credentials
from relay.execution.accept import Receipt
from relay.journal.journal import Journal
from tests.property.workshop import SECRET, Workshop

BODY = json.dumps({"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.01"}).encode()
MINUTE_MS = 60_000


@pytest.fixture
def shop(journal: Journal) -> Workshop:
    made = Workshop(journal)
    made.open()
    return made


def post(shop: Workshop, name: str) -> Receipt:
    """Signed at this very moment, as whoever sends a message again does."""
    at_s = str(shop.clock.now_ms // 1000)
    digest = hmac.new(SECRET.encode(), f"{name}.{at_s}.".encode() + BODY, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    signed = Credentials(webhook_id=name, webhook_timestamp=at_s, webhook_signature=signature)
    return shop.intake.take(BODY, strategy="default", credentials=signed)


@pytest.mark.parametrize("minutes", [0, 1, 9, 11, 60 * 24 * 30])
def test_a_message_that_is_signed_again_under_its_id_is_the_same_however_much_later(
    shop: Workshop, minutes: int
) -> None:
    first = post(shop, "message 1")
    shop.clock.pass_ms(minutes * MINUTE_MS)
    again, other = post(shop, "message 1"), post(shop, "message 2")
    assert (again.signal_id, again.is_duplicate) == (first.signal_id, True)
    assert not other.is_duplicate and other.signal_id != first.signal_id
