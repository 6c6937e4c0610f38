"""By what an alert is known again."""

from __future__ import annotations

import hashlib

from relay.alerts.moment import unix_ms
from relay.domain.identity import Identity, IdentityKind
from relay.domain.signal import Signal


def digest(body: bytes) -> str:
    """SHA-256 of the raw bytes, in hex."""
    return hashlib.sha256(body).hexdigest()


def identity_key(signal: Signal, *, body_digest: str, signed_id: str | None = None) -> Identity:
    """The alert's identity within its strategy: `id` and time together, else the `id`, else the body.

    The key of `id` and time is the time in Unix milliseconds, a colon, and the `id`: however the time was spelled.
    `signed_id`: the `webhook-id` that a valid signature covers; it stands in for an `id`, for good, so that what was
    signed once has one effect, however often it is sent again. Source: Standard Webhooks, "Preventing replay attacks".
    """
    if signal.sender_id is None and signed_id is not None:
        return Identity(kind=IdentityKind.ID_TIME, key=f"webhook-id:{signed_id}")
    if signal.sender_id is None:
        return Identity(kind=IdentityKind.BODY, key=body_digest)
    if signal.sent_at is None:
        return Identity(kind=IdentityKind.ID, key=signal.sender_id)
    return Identity(kind=IdentityKind.ID_TIME, key=f"{unix_ms(signal.sent_at)}:{signal.sender_id}")
