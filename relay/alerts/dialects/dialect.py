"""What every foreign format is to the intake: a shape, a secret, and a translation into the native fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from relay.alerts.dialects.message import Message
from relay.alerts.draft import Draft
from relay.alerts.number import number_text
from relay.alerts.wording import joined
from relay.domain.signal import Action
from relay.errors import AlertInvalid

_EXITS = frozenset(str(action) for action in Action if action.is_close)
_LEVELS = ("take_profit", "stop_loss", "trailing_stop", "trailing_start")
_QUOTED = re.compile(r'`(\w+)`|"(time)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """A foreign alert in the native fields. `names`: of these, to what the sender calls them."""

    fields: dict[str, object]
    names: Mapping[str, str]
    notes: tuple[str, ...]
    internal: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the Signal that no native field sets."""

    def in_senders_words(self, text: str) -> str:
        """`text`, which speaks of native fields, in the sender's names of them."""

        def name(found: re.Match[str]) -> str:
            native = found[1] or found[2]
            own = self.names.get(native, native)
            return f"`{own}`" if found[1] else f'"{own}"'

        return _QUOTED.sub(name, text)

    def respelled(self, error: AlertInvalid) -> AlertInvalid:
        """What the native rules found wrong, in the sender's names; one field of theirs may have become two of ours."""
        fields: dict[str, dict[str, None]] = {}
        for native, problems in error.fields.items():
            own = fields.setdefault(self.names.get(native, native), {})
            own.update(dict.fromkeys(map(self.in_senders_words, problems)))
        try:
            Draft(problems={name: list(problems) for name, problems in fields.items()}).raise_problems()
        except AlertInvalid as again:
            return again
        return error


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One foreign format.

    `name`: as `?format=` has it. `service`: as people call it. `fields`: every field it may have, as the service
    spells it: `a.b` is `b` inside the object `a`, `a[].b` inside each object of the list `a`, `a.*` whatever is in `a`.
    `refused`: those of them that cannot be done here, with the reason. `secrets`: the fields that prove the sender.
    `is_shape` is asked with names in lower case, without `secret`. `read` does the translation.
    """

    name: str
    service: str
    fields: tuple[str, ...]
    is_shape: Callable[[Mapping[str, object]], bool]
    read: Callable[[Message], None]
    secrets: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    spelled: Mapping[str, str] = field(default_factory=dict)
    """Native names, to the sender's, also for what a message leaves out."""
    split_secret: Callable[[dict[str, object]], object] | None = None
    """Takes out a secret that is only a part of a field, and returns it."""

    def take_secret(self, fields: dict[str, object]) -> str | None:
        """Takes what proves the sender out of `fields`: all of it, even if a part is nobody's secret here."""
        taken: list[object] = [fields.pop(name, None) for name in self.secrets]
        if self.split_secret is not None:
            taken.append(self.split_secret(fields))
        texts = [number_text(value) if isinstance(value, Decimal) else value for value in taken]
        return next((text for text in texts if isinstance(text, str) and text), None)

    def translate(self, fields: Mapping[str, object]) -> Translation:
        """The native fields that `fields`, kept ones, mean. AlertInvalid speaks of them in the sender's names."""
        message = Message(fields, known=self.fields, refused=self.refused, service=self.service)
        message.refuse_unknown()
        self.read(message)
        message.raise_problems()
        _leave_levels_of_exits(message)
        names = {**self.spelled, **message.names}
        notes = (f"read as a message of {self.service}", *message.notes)
        return Translation(fields=message.native, names=names, notes=notes, internal=message.internal)


def _leave_levels_of_exits(message: Message) -> None:
    """These services' templates send the same stops with every order; their exits go out all the same."""
    if message.native.get("action") not in _EXITS:
        return
    left = [message.names[name] for name in _LEVELS if message.native.pop(name, None) is not None]
    if left:
        message.note(f"{joined(left)} ignored: the order only exits")
