"""Following a signal to its end, for as long as a person likes to wait."""

from __future__ import annotations

import time
from typing import Any, Final
from urllib.parse import quote

from relay.cli_client import Client
from relay.cli_output import clean
from relay.cli_signal import summary
from relay.domain.status import SignalStatus

WAIT_S: Final = 10
_POLL_S: Final = 0.1
_UNFINISHED: Final = (SignalStatus.ACCEPTED, SignalStatus.EXECUTING)


def await_end(client: Client, signal_id: str, *, until: float) -> dict[str, Any]:
    """The signal once it is finished, or as it is at `until` (monotonic seconds). Raises Unreachable and Refused."""
    while True:
        signal = client.get(f"/api/signals/{quote(signal_id, safe='')}")
        if signal.get("status") not in _UNFINISHED or time.monotonic() >= until:
            return signal
        time.sleep(_POLL_S)


def told(signal: dict[str, Any]) -> list[str]:
    """A signal's summary, with where to look where it is not finished."""
    lines = summary(signal)
    if signal.get("status") in _UNFINISHED:
        later = f"python -m relay signals {clean(signal.get('id'))}"
        lines.append(f"  not finished yet: `{later}` shows what becomes of it")
    return lines
