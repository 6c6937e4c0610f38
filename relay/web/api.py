"""`/api/signals` and `/api/plan`: what became of alerts, and what would become of one."""

from __future__ import annotations

from flask import Response

from relay.domain.status import SignalStatus
from relay.errors import SignalNotRetryable
from relay.pipeline.accept import Receipt
from relay.settings import NAME
from relay.web.answers import answer
from relay.web.body import whole_body
from relay.web.forms import preview_form, refused_form
from relay.web.problems import Problem, request_invalid
from relay.web.receipts import awaited, tell
from relay.web.runtime import current_parts, current_relay


def list_signals(
    *,
    strategy: str | None,
    account: str | None,
    symbol: str | None,
    status: SignalStatus | None,
    cursor: str | None,
    limit: int,
    attention_first: bool,
) -> Response:
    """The latest first, or what needs a person. The first page also counts the posts that were refused."""
    journal = current_parts().journal
    try:
        page = journal.signals(
            strategy=strategy,
            account=account,
            symbol=symbol,
            status=status,
            limit=limit,
            cursor=cursor,
            attention_first=attention_first,
        )
    except ValueError as error:
        raise request_invalid({"cursor": [str(error)]}) from None
    body: dict[str, object] = {"signals": page.signals, "next_cursor": page.next_cursor}
    if cursor is None:
        body["refused"] = [refused_form(posts) for posts in journal.refused()]
        body["silent"] = current_parts().heartbeats.silent()
    return answer(body)


def show_signal(signal_id: str) -> Response:
    """With `Prefer: wait=SECONDS`: once it is finished, or as it is when the time is up."""
    signal = awaited(signal_id) or current_parts().journal.signal(signal_id)
    if signal is None:
        raise _unknown(signal_id)
    return answer(signal)


def retry_signal(signal_id: str) -> Response:
    """Opens the signal again with a new plan; answers like the webhook."""
    parts = current_parts()
    if parts.journal.signal(signal_id) is None:
        raise _unknown(signal_id)
    try:
        parts.controls.retry(signal_id)
    except SignalNotRetryable as error:
        raise Problem("SIGNAL_NOT_RETRYABLE", str(error), status=409) from None
    return tell(Receipt(signal_id=signal_id, status=SignalStatus.ACCEPTED, is_duplicate=False))


def plan_alert(*, strategy: str | None, named: str | None) -> Response:
    """What the alert in the body would do now. It needs no secret, and is not kept."""
    relay = current_relay()
    if not relay.parts.has_instruments:
        missing = "; ".join(relay.missing().values())
        raise Problem("NOT_READY", f"the instruments are not loaded yet: {missing}", status=503)
    return answer(preview_form(relay.parts.previewer.preview(whole_body(), strategy=strategy or NAME, named=named)))


def _unknown(signal_id: str) -> Problem:
    return Problem("SIGNAL_UNKNOWN", f"there is no signal {signal_id[:60]!r}", status=404)
