"""A foreign message, read as it would be when it comes in."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from relay.alerts.formats import alert_format_of
from relay.alerts.signal import ParsedAlert, read, signal_from_stored
from relay.domain.signal import Signal
from relay.errors import AlertInvalid

RECEIVED_AT = datetime(2025, 1, 31, 12, 0, tzinfo=UTC)
Message = dict[str, Any]


def reading_of(message: Message, named: str | None = None) -> ParsedAlert:
    return read(json.dumps(message).encode(), named=named)


def native_of(message: Message, named: str | None = None) -> tuple[str | None, dict[str, object]]:
    """The format in which the message was recognised, and the native fields that it means."""
    stored = reading_of(message, named).fields
    name = stored.pop("format", None)
    if name is None:
        return None, stored
    alert_format = alert_format_of(str(name))
    assert alert_format is not None
    return str(name), alert_format.translate(stored).fields


def signal_of(message: Message, named: str | None = None) -> Signal:
    stored = reading_of(message, named).fields
    return signal_from_stored(stored, id="s" * 26, strategy="default", received_at=RECEIVED_AT)


def refusal_of(message: Message, named: str | None = None) -> AlertInvalid:
    """Why the message is refused."""
    with pytest.raises(AlertInvalid) as caught:
        signal_of(message, named)
    return caught.value
