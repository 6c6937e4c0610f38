"""A `limits` table of RELAY_CONFIG: of a strategy, of an account, or of all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from relay import settings_fields as fields
from relay.domain.account import Rules
from relay.settings_config_fields import duration, hours, percent
from relay.settings_toml import Table

_KEYS: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    "max_order_notional": ("max_order_notional", fields.money_or_none),
    "max_position_notional": ("max_position_notional", fields.money_or_none),
    "max_exposure": ("max_exposure", fields.money_or_none),
    "max_positions": ("max_positions", fields.whole(1, 1000)),
    "max_leverage": ("max_leverage", fields.leverage),
    "entries_per_minute": ("max_entries_per_minute", fields.whole(1, 10_000)),
    "daily_loss": ("daily_loss_limit", fields.money_or_none),
    "cooldown": ("cooldown_s", duration(1, 30 * 86_400)),
    "max_distance": ("max_distance_pct", percent("0", 100)),
}
"""Of each key the field of Rules that it fills, and how it is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one table. `given`: the fields that it speaks of, if only to say `none`."""

    rules: Rules = field(default_factory=Rules)
    given: frozenset[str] = frozenset()

    @property
    def has_position_limit(self) -> bool:
        """Whether the question that mainnet asks is answered, if only with `none`."""
        return "max_position_notional" in self.given

    def over(self, defaults: Limits, *, silenced_by: Limits) -> Limits:
        """These, and of what neither they nor `silenced_by` speak, the defaults."""
        missing = defaults.given - self.given - silenced_by.given
        filled = replace(self.rules, **{name: getattr(defaults.rules, name) for name in missing})
        return Limits(rules=filled, given=self.given | missing)


def read_limits(table: Table) -> Limits:
    """Every key of the table; problems go with the table's."""
    found: dict[str, Any] = {}
    for key, (name, parse) in _KEYS.items():
        if table.has(key):
            found[name] = table.read(key, parse, None)
    if periods := hours(table, "hours"):
        found["hours"] = periods
    table.close()
    return Limits(rules=Rules(**found), given=frozenset(found))
