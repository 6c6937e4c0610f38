"""How limits are read: from the environment's variables, and from a `limits` table of RELAY_CONFIG.

Which there are, and what their bounds may be, stands in `relay.domain.limits`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from environs import ValidationError

from relay import settings_fields as fields
from relay.domain.account import Rules
from relay.domain.limits import LIMITS, Limit, Unit
from relay.settings_config_fields import duration, hours, percent
from relay.settings_reader import Reader
from relay.settings_toml import Table


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


def read_variables(reader: Reader) -> Limits:
    """The environment's, for every strategy where the file is silent."""
    variables = [(each, each.variable) for each in LIMITS if each.variable is not None]
    return _limits({each: reader.read(name, _or_none(each), None) for each, name in variables if reader.text(name)})


def read_limits(table: Table, *, strategy: Table | None = None) -> Limits:
    """Every key of the table, and of a strategy's own those that are limits; problems go with the tables'."""
    found: dict[Limit, Any] = {}
    for limit in LIMITS:
        place = strategy if limit.is_strategys_key else table
        if place is not None and place.has(limit.key):
            found[limit] = _read(limit, place)
    table.close()
    return _limits(found)


def _limits(found: dict[Limit, Any]) -> Limits:
    by_field = {limit.field: bound for limit, bound in found.items()}
    return Limits(rules=Rules(**by_field), given=frozenset(by_field))


def _read(limit: Limit, table: Table) -> Any:
    if limit.unit is not Unit.HOURS:
        return table.read(limit.key, _or_none(limit), None)
    periods = hours(table, limit.key)
    return (periods,) if periods else None


def _or_none(limit: Limit) -> Callable[[str], Any]:
    """The bound, or the word `none` for deliberately no limit."""

    def parse(text: str) -> Any:
        if text.lower() == fields.NONE:
            return None
        try:
            return _bound_of(limit)(text)
        except ValidationError as error:
            raise ValidationError(f"{'; '.join(map(str, error.messages))}, or `none` for no limit") from None

    return parse


def _bound_of(limit: Limit) -> Callable[[str], Any]:
    match limit.unit:
        case Unit.MONEY:
            return fields.money
        case Unit.COUNT:
            return fields.whole(limit.least, limit.most)
        case Unit.LEVERAGE:
            return fields.leverage
        case Unit.PERCENT:
            return percent(str(limit.least), limit.most)
        case Unit.SECONDS:
            return duration(limit.least, limit.most)
        case Unit.SYMBOLS:
            return fields.symbols
        case Unit.HOURS:
            raise AssertionError("periods are tables, not a text")
