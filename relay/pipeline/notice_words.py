"""What a person is told of an event: which alert, what became of it, and why, in a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final

from relay.domain.notice import Notice, NoticeKind
from relay.domain.order import OrderStatus
from relay.domain.rounding import plain
from relay.domain.status import SignalStatus
from relay.journal.events import EventRecord
from relay.journal.notices import Day, PendingNotice
from relay.journal.records import Switch
from relay.settings import NAME

QUICK_MS: Final = 4000
"""TradingView sends again after 5 s, never earlier."""
_LINES_MAX: Final = 15
_LINE_CHARACTERS_MAX: Final = 400
_ID_REUSED: Final = "ALERT_ID_REUSED"

_REFUSED: Final = {
    SignalStatus.DENIED: "denied",
    SignalStatus.FAILED: "the exchange refused it",
    SignalStatus.EXPIRED: "expired",
    SignalStatus.REJECTED: "the alert was rejected",
}
_FILLED: Final = {f"order_{each}" for each in ("filled", "partially_filled", "canceled", "expired")}


def notice_of(event: EventRecord) -> Notice | None:
    """None: nothing that anybody is told of."""
    if event.name in _FILLED:
        return _of_fill(event)
    if event.name == "duplicate":
        return _of_repeat(event)
    if event.name == f"order_{OrderStatus.REJECTED}":
        # The signal's own end tells of it, unless that has come already: then it was a resting order.
        return _told(NoticeKind.REFUSED, event, _late_refusal(event)) if event.status is SignalStatus.DONE else None
    if event.name == SignalStatus.ATTENTION:
        return _told(NoticeKind.ATTENTION, event, f"LOOK AT THE EXCHANGE: {_why(event)}")
    if event.name in _REFUSED:
        is_reused = event.reason is not None and event.reason.code == _ID_REUSED
        kind = NoticeKind.DUPLICATE if is_reused else NoticeKind.REFUSED
        return _told(kind, event, f"{_REFUSED[SignalStatus(event.name)]}: {_why(event)}")
    return None


def _of_fill(event: EventRecord) -> Notice | None:
    filled, order = event.detail.get("filled_qty"), event.order
    if order is None or not filled or filled == "0":
        return None
    of_all = "" if event.name == "order_filled" else f" of {plain(order.qty)}"
    price = _plain(event.detail.get("avg_price"))
    return _told(NoticeKind.FILL, event, f"{order.side} {filled}{of_all} filled{f' at {price}' if price else ''}")


def _plain(number: object) -> str:
    try:
        return plain(Decimal(str(number))) if number is not None else ""
    except InvalidOperation:
        return str(number)


def _of_repeat(event: EventRecord) -> Notice | None:
    after_ms = event.at_ms - event.received_at_ms
    if after_ms >= QUICK_MS:
        return None
    text = f"the same alert came again after {after_ms} ms, which is not TradingView's resend: is it set up twice?"
    return _told(NoticeKind.DUPLICATE, event, text)


def _late_refusal(event: EventRecord) -> str:
    return f"a resting order was refused by the exchange: {event.detail.get('reason') or 'it gave no reason'}"


def _why(event: EventRecord) -> str:
    return f"{event.reason.code}: {event.reason.message}" if event.reason else "the journal has no reason"


def _told(kind: NoticeKind, event: EventRecord, what: str) -> Notice:
    alert = " ".join(filter(None, (event.symbol, event.action))) or "an alert"
    account = f" on {event.account}" if event.account not in (None, NAME) else ""
    strategy = f" ({event.strategy})" if event.strategy not in (None, NAME) else ""
    return Notice(kind=kind, text=f"{alert}{strategy}{account}: {what} [{event.signal_id}]", at_ms=event.at_ms)


def halt_notice(switch: Switch) -> Notice | None:
    """`switch` was set: that is told where it holds entries back or lets them go again."""
    if switch.name != "halt":
        return None
    account = "" if switch.account in ("", NAME) else f" on {switch.account}"
    what = "halted: no new entries, exits go on" if switch.value == "on" else "resumed: new entries are allowed"
    return Notice(kind=NoticeKind.HALT, text=f"{what}{account} (by {switch.by})", at_ms=switch.at_ms)


def summary_notice(day: Day, *, until_ms: int) -> Notice:
    """`until_ms`: the midnight (UTC) at which the day ended."""
    date = datetime.fromtimestamp(until_ms / 1000 - 1, UTC).date()
    counts = ", ".join(f"{count} {status}" for status, count in sorted(day.signals.items()))
    text = f"{date}: {sum(day.signals.values())} alerts{f' ({counts})' if counts else ''}, {day.filled} orders filled"
    return Notice(kind=NoticeKind.SUMMARY, text=text, at_ms=until_ms)


def message_of(waiting: Sequence[PendingNotice]) -> str:
    """One message of all of them: what needs a person first, equal lines once, of the rest how many of which kind."""
    by_text: Mapping[str, PendingNotice] = {each.text: each for each in reversed(waiting)}
    times = Counter(each.text for each in waiting)
    ordered = sorted(by_text.values(), key=lambda each: (each.kind != NoticeKind.ATTENTION, each.id))
    lines = [_line(each, times[each.text]) for each in ordered[:_LINES_MAX]]
    left_out = {each.text for each in ordered[_LINES_MAX:]}
    rest = Counter(each.kind for each in waiting if each.text in left_out)
    if rest:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(rest.items()))
        lines.append(f"… and {sum(rest.values())} more: {kinds}; see `python -m relay signals`")
    return "\n".join(lines)


def _line(notice: PendingNotice, times: int) -> str:
    at = datetime.fromtimestamp(notice.at_ms / 1000, UTC).strftime("%H:%M:%SZ")
    text = notice.text if len(notice.text) <= _LINE_CHARACTERS_MAX else notice.text[: _LINE_CHARACTERS_MAX - 1] + "…"
    return f"{at} {' '.join(text.split())}{f' ({times} times)' if times > 1 else ''}"
