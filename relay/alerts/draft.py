"""An alert between its schema and its Signal: what is there, what was blank, what is wrong, what is noted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relay.alerts.schema import KNOWN, SHOWN_ONLY
from relay.alerts.wording import EMPTY_HINT, joined, placeholder_in
from relay.errors import AlertInvalid

_PROBLEMS_TOLD_MAX = 3
_NAMES_TOLD_MAX = 20
_SILENT_BLANKS = SHOWN_ONLY | {"comment", "order_id", "exchange"}
SPELLED = {
    **{"sender_id": "id", "sent_at": "time", "valid_for_s": "valid_for", "accounts": "account"},
    **{"take_profits": "take_profit"},
}
"""The Signal's names of fields, to the alert's own where they differ."""


@dataclass(slots=True)
class Draft:
    """Under construction while the rules look at it; names of `values` are the Signal's, all others the alert's."""

    values: dict[str, Any] = field(default_factory=dict)
    blanks: dict[str, str] = field(default_factory=dict)
    """Fields that are empty or hold an unreplaced placeholder, with what is wrong with each."""
    problems: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def need(self, name: str, right: str) -> None:
        """`name` (the alert's) is needed and is not there: say why, with what was wrong with it if it was blank."""
        blank = self.blanks.get(name)
        self.refuse(name, f"{blank}; {right}" if blank else f"is missing: {right}")

    def refuse(self, name: str, problem: str) -> None:
        self.problems.setdefault(name, []).append(problem)

    def ignore(self, names: list[str], why: str) -> None:
        """Take these (the Signal's names) out, and note those that were there."""
        taken = [(name, self.values.pop(name, None)) for name in names]
        there = [name for name, value in taken if value is not None and value is not False]
        if there:
            self.notes.append(f"{joined(SPELLED.get(name, name) for name in there)} ignored: {why}")

    def raise_problems(self) -> None:
        if not self.problems:
            return
        names = list(self.problems)
        told = "; ".join(f"`{name}` {self.problems[name][0]}" for name in names[:_PROBLEMS_TOLD_MAX])
        untold = names[_PROBLEMS_TOLD_MAX:][:_NAMES_TOLD_MAX]
        raise AlertInvalid(f"{told}; wrong too: {joined(untold)}" if untold else told, fields=self.problems)

    def note_blanks(self) -> None:
        """A blank that no rule needed is ignored, and said so where the field would have had an effect."""
        together: dict[str, list[str]] = {}
        for name, problem in self.blanks.items():
            if name in KNOWN and name not in _SILENT_BLANKS:
                together.setdefault(problem, []).append(name)
        for problem, names in together.items():
            self.notes.append(f"{joined(names)} ignored: {'it' if len(names) == 1 else 'each'} {problem}")


def without_blanks(fields: Mapping[str, object]) -> tuple[dict[str, object], dict[str, str]]:
    """The fields that say something; and those that are empty or hold a placeholder, with what is wrong with each.

    A null is absent and no more is said of it.
    """
    filled: dict[str, object] = {}
    blanks: dict[str, str] = {}
    for name, value in fields.items():
        if isinstance(value, str):
            if not value or value.isspace():
                blanks[name] = f"is empty ({EMPTY_HINT})"
            elif "{{" in value and (problem := placeholder_in(value)):
                blanks[name] = problem
            else:
                filled[name] = value
        elif value is not None:
            filled[name] = value
    return filled, blanks
