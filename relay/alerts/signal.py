"""Kept fields to a Signal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Context, Decimal
from typing import Any

from relay.alerts import rules
from relay.alerts.dialects import FORMATS, NATIVE, Translation, dialect_of
from relay.alerts.draft import Draft, without_blanks
from relay.alerts.schema import load
from relay.alerts.wording import joined, shown
from relay.domain.signal import Signal
from relay.errors import AlertInvalid

_FUTURE_TOLERATED = timedelta(seconds=5)
_STRATEGYS_SIZES = ("qty", "market_position_size", "prev_market_position_size", "position_size")
_NOISY_DIGITS = 15
"""No size that somebody wrote has so many; the noise of a float begins at the 16th."""
_CLEAN = Context(prec=12)
_NO_IDENTITY = (
    "the message has neither `id` nor `time`: the same text again within the deduplication window counts as a resend; "
    'add "time": "{{timenow}}"'
)


def signal_from_kept(kept: Mapping[str, object], *, id: str, strategy: str, received_at: datetime) -> Signal:
    """The Signal that an alert's kept fields ask for; the same fields make the same Signal at any later time.

    `received_at` is aware UTC. Symbols are not resolved. AlertInvalid names every field that is wrong and what would be
    right.
    """
    translation = translated(kept)
    try:
        draft = _judged(translation.fields if translation else kept)
    except AlertInvalid as error:
        raise translation.respelled(error) if translation else error from None
    _note_time(draft, received_at)
    if draft.values.get("market_position") is not None:
        _drop_noise(draft)
    notes = tuple(draft.notes)
    if translation:
        notes = (*translation.notes, *map(translation.in_senders_words, notes))
    internal: dict[str, Any] = {"names_type": "type" in draft.values}
    if translation:
        internal.update(translation.internal)
    return Signal(id=id, strategy=strategy, received_at=received_at, notes=notes, **{**draft.values, **internal})


def respelled(kept: Mapping[str, object], error: AlertInvalid) -> AlertInvalid:
    """`error`, which speaks of native fields, in the words of the alert's own format."""
    translation = translated(kept)
    return translation.respelled(error) if translation else error


def translated(kept: Mapping[str, object]) -> Translation | None:
    """The alert's fields out of its own format's; None where that is the native one. Raises AlertInvalid."""
    named = kept.get("format")
    if named is None or named == NATIVE:
        return None
    dialect = dialect_of(named) if isinstance(named, str) else None
    if dialect is None:
        problem = f"cannot be {shown(named)}; it must be one of {joined(FORMATS)}"
        raise AlertInvalid(f"`format` {problem}", fields={"format": [problem]})
    return dialect.translate({name: value for name, value in kept.items() if name != "format"})


def _judged(fields: Mapping[str, object]) -> Draft:
    """Native fields, after every rule. AlertInvalid if one is broken."""
    filled, blanks = without_blanks({name: value for name, value in fields.items() if name != "format"})
    values, problems = load(filled)
    draft = Draft(values=values, blanks=blanks, problems=problems)
    rules.need_action_and_ticker(draft)
    draft.raise_problems()
    rules.check(draft)
    draft.raise_problems()
    draft.note_blanks()
    return draft


def _drop_noise(draft: Draft) -> None:
    """TradingView adds a strategy's sizes up as floats: 0.29999999999999993 means 0.3, and not a lot less."""
    for name in _STRATEGYS_SIZES:
        value: Decimal | None = draft.values.get(name)
        if value is not None and len(value.normalize().as_tuple().digits) >= _NOISY_DIGITS:
            draft.values[name] = _CLEAN.plus(value)


def _note_time(draft: Draft, received_at: datetime) -> None:
    sent_at = draft.values.get("sent_at")
    if sent_at is None and draft.values.get("sender_id") is None:
        draft.notes.append(_NO_IDENTITY)
    if sent_at is not None and sent_at > received_at + _FUTURE_TOLERATED:
        ahead_s = (sent_at - received_at) // timedelta(seconds=1)
        draft.notes.append(f"`time` is {ahead_s:,} s in the future: the sender's clock or this one is wrong")
