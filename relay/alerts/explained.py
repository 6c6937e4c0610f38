"""What an alert was read as: its format, and each of the sender's fields with what it means here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from relay.alerts.signal import translated
from relay.alerts.wording import SHOWN_LENGTH_MAX

_UNTOLD = frozenset({"format", "has_synthetic_position"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRead:
    """`field`: the sender's name; `native`: the relay's own; `value`: as it was understood."""

    field: str
    native: str
    value: str


def fields_read(kept: Mapping[str, object]) -> tuple[FieldRead, ...]:
    """Raises AlertInvalid where the alert cannot be translated."""
    translation = translated(kept)
    native = {**translation.fields, **translation.internal} if translation else kept
    names = translation.names if translation else {}
    return tuple(
        FieldRead(field=names.get(name, name), native=name, value=_text(value))
        for name, value in native.items()
        if name not in _UNTOLD and value is not None and value is not False
    )


def _text(value: object) -> str:
    text = str(value)
    return text if len(text) <= SHOWN_LENGTH_MAX else f"{text[:SHOWN_LENGTH_MAX]}…"
