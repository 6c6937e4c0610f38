"""A `[strategies.NAME]` table of RELAY_CONFIG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from environs import ValidationError

from relay import settings_fields as fields
from relay.domain.account import Direction, Drift, Mode, Rules
from relay.domain.order import OrderType
from relay.domain.signal import QtyUnit
from relay.settings_config_fields import alert_format, duration, percent, referred, seconds
from relay.settings_fields import Secret
from relay.settings_levels import stop_loss, take_profit
from relay.settings_limits import Limits, read_limits
from relay.settings_reader import Reader
from relay.settings_toml import Table, as_text
from relay.settings_values import StrategySettings

WHOLE: Final = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A strategy before it is known under which rules it trades on each account."""

    name: str
    rules: Rules
    """What is no limit: direction, defaults."""
    limits: Limits = field(default_factory=Limits)
    shares: Mapping[str, Decimal] | None = None
    """By account; None: the table is silent."""
    is_of_file: bool = True
    is_shared: bool = False
    secrets: tuple[Secret, ...] = ()
    dedup_window_ms: int = 30_000
    format: str | None = None
    heartbeat_s: int | None = None
    heartbeat_any: bool = False

    def settings(self, rules: Mapping[str, Rules]) -> StrategySettings:
        """`rules`: by account."""
        return StrategySettings(
            name=self.name,
            rules=rules,
            secrets=self.secrets,
            dedup_window_ms=self.dedup_window_ms,
            format=self.format,
            heartbeat_s=self.heartbeat_s,
            heartbeat_any=self.heartbeat_any,
            is_shared=self.is_shared,
        )


_ORDER_TYPE = fields.choice_among(OrderType.MARKET, OrderType.LIMIT)


def read_strategy(name: str, table: Table, reader: Reader, defaults: Rules) -> Draft:
    """Where the table is silent the environment's `defaults` speak."""
    minutes = table.read("heartbeat", fields.whole(1, 527_040), None)
    if minutes is None and table.has("heartbeat_any"):
        table.problem("heartbeat", "it is missing beside heartbeat_any; it should be a number of minutes")
    draft = Draft(
        name=name,
        rules=_rules(table, defaults),
        limits=read_limits(table.table("limits"), strategy=table),
        shares=_shares(table),
        is_shared=table.read("shared", fields.flag, False),
        secrets=referred(table, "secret", reader.text, fields.webhook_secrets, ()),
        dedup_window_ms=table.read("dedup_window", seconds("0", 86_400), 30_000),
        format=table.read("format", alert_format, None),
        heartbeat_s=minutes * 60 if minutes is not None else None,
        heartbeat_any=table.read("heartbeat_any", fields.flag, False),
    )
    table.close()
    return draft


def _rules(table: Table, defaults: Rules) -> Rules:
    direction = table.read("direction", fields.choice_of(Direction), defaults.direction)
    return replace(
        defaults,
        direction=direction,
        mode=table.read("mode", fields.choice_of(Mode), defaults.mode),
        drift=table.read("drift", fields.choice_of(Drift), defaults.drift),
        signal_max_age_s=table.read("max_age", duration(1, 86_400), defaults.signal_max_age_s),
        default_size=table.read("default_size", fields.default_size, defaults.default_size),
        default_type=table.read("order_type", _ORDER_TYPE, defaults.default_type),
        default_leverage=table.read("leverage", fields.leverage, defaults.default_leverage),
        default_stop_loss=table.read("stop_loss", stop_loss(direction), defaults.default_stop_loss),
        default_take_profit=table.read("take_profit", take_profit(direction), defaults.default_take_profit),
        size_unit=table.read("size_unit", fields.choice_of(QtyUnit), defaults.size_unit),
    )


def _shares(table: Table) -> Mapping[str, Decimal] | None:
    """`accounts`: a name, a list of names, or a table of names with their share in percent."""
    given = table.value("accounts")
    if given is None:
        return None
    if isinstance(given, dict):
        shares = table.table("accounts")
        return {name: shares.read(name, percent("0", 1000), WHOLE) for name in shares.names()}
    try:
        names = as_text(given).split()
    except ValidationError:
        names = []
    if not names:
        table.problem("accounts", 'it names none; it should be like ["main"], or { main = 100, small = 50 }')
    return dict.fromkeys(names, WHOLE)
