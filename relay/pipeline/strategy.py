"""A strategy: who may send alerts in its name, to which accounts they go, by which rules, and how repeats are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from relay.domain.account import Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """`rules`: by account, in the order in which alerts go there.

    `dedup_window_ms`: how long the same body without an `id` is the same alert; 0: never. `format`: in whose words its
    alerts are where they do not say so. `heartbeat_s`: how long they may be silent; None: as long as they like.
    """

    name: str
    rules: Mapping[str, Rules]
    secrets: tuple[str, ...] = field(repr=False)
    dedup_window_ms: int = 30_000
    format: str | None = None
    heartbeat_s: int | None = None
    heartbeat_any: bool = False

    @property
    def accounts(self) -> tuple[str, ...]:
        return tuple(self.rules)

    def rules_for(self, account: str) -> Rules:
        """The stricter of the strategy's and the account's in every limit. No entries where it does not trade."""
        found = self.rules.get(account)
        if found is not None:
            return found
        return Rules(no_entries=f"the account {account} is none of strategy {self.name}'s any more")


def rules_of(strategies: Mapping[str, Strategy], strategy: str, account: str) -> Rules:
    """By what a signal is planned whose strategy, after a restart, may not be configured any more."""
    found = strategies.get(strategy)
    if found is not None:
        return found.rules_for(account)
    return Rules(no_entries=f"the strategy {strategy} is not configured any more")
