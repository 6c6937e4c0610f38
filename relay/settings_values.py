"""The accounts and strategies that a relay is told of: plain values, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from relay.domain.account import Rules
from relay.settings_fields import Secret
from relay.settings_hosts import Environment

_TAIL: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings:
    """One account at one exchange. Only the limits of `limits` count; they hold for every strategy."""

    name: str
    environment: Environment
    api_key: Secret | None
    api_secret: Secret | None
    url: str | None
    """None: a paper exchange that `serve` has not started yet."""
    stream_url: str | None
    recv_window_ms: int
    referer: str | None
    limits: Rules = field(default_factory=Rules)

    @property
    def key_tail(self) -> str:
        """The key's last four characters: the only part of it that is ever shown."""
        key = self.api_key.reveal() if self.api_key is not None else ""
        return key[-_TAIL:] if len(key) > 2 * _TAIL else ""

    @property
    def needs_paper_exchange(self) -> bool:
        """Paper trading, and no paper exchange is named."""
        return self.environment is Environment.PAPER and self.url is None


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySettings:
    """One strategy. `rules`: by account, in the file's order; already the stricter of the two in every limit."""

    name: str
    rules: Mapping[str, Rules]
    secrets: tuple[Secret, ...] = ()
    """Empty: WEBHOOK_SECRET's."""
    dedup_window_ms: int = 30_000
    format: str | None = None
    """In which service's words its alerts are, where they do not say so; None: recognised by their shape."""
    heartbeat_s: int | None = None
    """How long its alerts may be silent before that is told; None: as long as they like."""
    heartbeat_any: bool = False
    """Any alert is a sign of life, not only a `heartbeat`."""
    is_shared: bool = False

    @property
    def accounts(self) -> tuple[str, ...]:
        return tuple(self.rules)
