"""What is configured and what is not, in a few lines for whoever starts the relay. No secret is in them."""

from __future__ import annotations

from typing import Final

from relay.domain.account import Rules
from relay.domain.limits import LIMITS, Limit, Unit
from relay.settings import Settings

_SYMBOLS_SHOWN: Final = 6


def told(settings: Settings) -> list[tuple[str, str]]:
    """Topic and what is set of it, one line each."""
    lines = [("account", f"{each.name} ({each.environment.value})") for each in settings.accounts]
    for strategy in settings.strategies:
        for account, rules in strategy.rules.items():
            lines.append((f"limits of {strategy.name}", f"on {account}: {_limits(rules)}"))
    return [*lines, *_around(settings)]


def _limits(rules: Rules) -> str:
    if rules.no_entries:
        return f"no entries: {rules.no_entries}"
    held = [f"{each.words} {_shown(each, rules)}" for each in LIMITS if each.bound(rules) is not None]
    free = [each.words for each in LIMITS if each.bound(rules) is None]
    if rules.allowed_symbols is None:
        free.remove("symbols")
        held.insert(0, "all symbols")
    return "; ".join([*held, *([f"none on {', '.join(free)}"] if free else [])])


def _shown(limit: Limit, rules: Rules) -> str:
    bound, more = limit.bound(rules), ""
    if limit.unit is Unit.SYMBOLS and len(bound) > _SYMBOLS_SHOWN:
        bound, more = sorted(bound)[:_SYMBOLS_SHOWN], f" and {len(bound) - _SYMBOLS_SHOWN} more"
    return limit.shown(bound) + more


def _around(settings: Settings) -> list[tuple[str, str]]:
    sources = f"{len(settings.webhook_sources)} networks" if settings.webhook_sources else "anybody with the secret"
    people = ", ".join(f"{each.scheme} ({len(each.kinds)} kinds)" for each in settings.notify_targets)
    proxies = "1 trusted proxy" if settings.trusted_proxies == 1 else f"{settings.trusted_proxies} trusted proxies"
    return [
        ("alerts from", f"{sources}{f', behind {proxies}' if settings.trusted_proxies else ''}"),
        ("people told", people or "nobody; NOTIFY_URLS would"),
        ("errors to", "Sentry and the log" if settings.sentry_dsn else "the log only; SENTRY_DSN would report them"),
        ("journal", str(settings.journal_path or "Postgres")),
    ]
