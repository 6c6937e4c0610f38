"""What the relay is told by its environment: read in one place, checked at once, and frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from relay import settings_fields as fields
from relay.domain.account import Rules
from relay.errors import SettingsInvalid
from relay.settings_config import NAME, Configuration, read_configuration
from relay.settings_fields import Network, Secret
from relay.settings_hosts import Environment
from relay.settings_levels import stop_loss, take_profit
from relay.settings_limits import read_variables
from relay.settings_mainnet import mainnet_problems
from relay.settings_notify import NotifyTarget
from relay.settings_own import own_account, own_account_problems
from relay.settings_reader import Reader
from relay.settings_running import (
    LogFormat,
    LogLevel,
    Worker,
    doubts_about,
    read_running,
    sqlite_path,
    unsupported,
)
from relay.settings_values import AccountSettings, StrategySettings

__all__ = [
    "NAME",
    "AccountSettings",
    "Environment",
    "LogFormat",
    "LogLevel",
    "Secret",
    "Settings",
    "StrategySettings",
    "Worker",
    "listen_address",
    "load_settings",
]

DOTENV: Final = Path(".env")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of the environment and of RELAY_CONFIG. Durations carry their unit in the name; None: not set."""

    environment: Environment
    """Of the accounts' environments the gravest: mainnet if there is one of it."""
    accounts: tuple[AccountSettings, ...]
    strategies: tuple[StrategySettings, ...]
    symbols: Mapping[str, str]
    """Tickers as alerts name them -> the exchange's symbols, where the relay would read them otherwise."""
    webhook_secrets: tuple[Secret, ...]
    """Of the strategies that have none of their own."""
    webhook_sources: tuple[Network, ...]
    """Empty: anybody may post."""
    trusted_proxies: int
    admin_token: Secret | None
    database_url: str = field(repr=False)
    """May carry a password."""
    database_connections: int | None
    """At most, of each process, on Postgres; None: the fewest that do."""
    worker: Worker
    allow_wide_key: bool
    keep_days: int
    outcome_max_s: int
    """How long an unknown outcome is looked up before a person must."""
    outcome_max_attempts: int
    paper_market: str | None
    """Where the paper exchange takes its prices from; None: nowhere."""
    paper_state: Path
    notify_targets: tuple[NotifyTarget, ...]
    """Empty: nobody is told of anything."""
    sentry_dsn: Secret | None
    sentry_monitor_slug: str | None
    """The monitor that is told each minute that the engine runs."""
    log_level: LogLevel
    log_format: LogFormat
    port: int
    warnings: tuple[str, ...]
    """Variables that look misspelt, a line each."""

    @property
    def rules(self) -> Rules:
        """The first strategy's on its first account."""
        return next(rules for each in self.strategies for rules in each.rules.values())

    def traded_on(self, account: AccountSettings) -> Rules:
        """What any of the account's strategies may do there: the symbols of all, and the highest leverage."""
        every = [each.rules[account.name] for each in self.strategies if account.name in each.rules]
        symbols = [each.allowed_symbols for each in every]
        most = [each.max_leverage for each in every]
        return Rules(
            allowed_symbols=frozenset().union(*filter(None, symbols)) if symbols and None not in symbols else None,
            max_leverage=max(filter(None, most)) if most and None not in most else None,
        )

    def secrets_of(self, strategy: StrategySettings) -> tuple[Secret, ...]:
        """By which the strategy's alerts prove their sender."""
        return strategy.secrets or self.webhook_secrets

    @property
    def is_postgres(self) -> bool:
        return self.database_url.startswith("postgresql")

    @property
    def journal_path(self) -> Path | None:
        """The SQLite file; None on Postgres."""
        return sqlite_path(self.database_url)

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """All that no log may show."""
        keys = [half for each in self.accounts for half in (each.api_key, each.api_secret)]
        own = [secret for each in self.strategies for secret in each.secrets]
        addresses = [secret for target in self.notify_targets for secret in target.secrets]
        single = (self.admin_token, self.sentry_dsn, fields.database_password(self.database_url))
        found = (*self.webhook_secrets, *own, *keys, *single, *addresses)
        return tuple(secret for secret in found if secret is not None)


def load_settings(
    environ: Mapping[str, str] | None = None, *, dotenv: Path | None = DOTENV, needs_webhook_secret: bool = False
) -> Settings:
    """The settings of `environ` (None: the process's) over those of the file `dotenv` (None: no file).

    `needs_webhook_secret`: for whoever takes alerts. Raises `SettingsInvalid` with every problem there is.
    """
    reader = Reader(environ, dotenv)
    own = own_account(reader)
    values = _pursuit(reader) | _intake(reader)
    configured = read_configuration(reader, own, _defaults(reader), read_variables(reader))
    values |= read_running(reader)
    doubts = doubts_about(reader, values)
    problems = _missing(reader, configured, needs_webhook_secret) + unsupported(reader, values)
    if any(each.environment.is_real_money for each in configured.accounts):
        own_secrets = [secret for each in configured.strategies for secret in each.secrets]
        secrets = (*(values["webhook_secrets"] or ()), *own_secrets, values["admin_token"])
        problems += mainnet_problems(reader, secrets, sqlite_path(str(values["database_url"])))
    problems = reader.close() + problems + _shared_secrets(values, configured)
    if problems:
        raise SettingsInvalid(problems)
    return Settings(
        environment=max((each.environment for each in configured.accounts), key=tuple(Environment).index),
        accounts=configured.accounts,
        strategies=configured.strategies,
        symbols=configured.symbols,
        **values,
        warnings=reader.misspelt() + doubts,
    )


def _shared_secrets(values: Mapping[str, Any], configured: Any) -> list[str]:
    """A webhook's secret stands in the text of every alert: whoever reads one must not be the administrator."""
    admin: Secret | None = values["admin_token"]
    given = [*(values["webhook_secrets"] or ()), *(each for s in configured.strategies for each in s.secrets)]
    if admin is None or all(each.reveal() != admin.reveal() for each in given):
        return []
    return ["ADMIN_TOKEN: it is a webhook secret, too, which stands in every alert; it should be a word of its own"]


def listen_address(environ: Mapping[str, str] | None = None, *, dotenv: Path | None = DOTENV) -> str:
    """`host:port` for the Procfile's `web`. Never raises: a port that is no number is `load_settings`' to report."""
    reader = Reader(environ, dotenv)
    port = reader.read("PORT", fields.whole(0, 65535), 8000)
    # On Heroku the router is another machine; anywhere else a reverse proxy or a tunnel runs beside the relay.
    host = "0.0.0.0" if reader.text("DYNO") else "127.0.0.1"  # noqa: S104
    return f"{host}:{8000 if port is None else port}"


def _pursuit(reader: Reader) -> dict[str, Any]:
    return {
        "outcome_max_s": reader.read("OUTCOME_MAX_SECONDS", fields.whole(10, 86_400), 900),
        "outcome_max_attempts": reader.read("OUTCOME_MAX_ATTEMPTS", fields.whole(1, 1000), 8),
    }


def _intake(reader: Reader) -> dict[str, Any]:
    return {
        "webhook_secrets": reader.read("WEBHOOK_SECRET", fields.webhook_secrets, ()),
        "webhook_sources": reader.read("WEBHOOK_SOURCES", fields.networks, ()),
        "trusted_proxies": reader.read("TRUSTED_PROXIES", fields.whole(0, 10), 0),
        "admin_token": reader.read("ADMIN_TOKEN", fields.long_secret, None),
    }


def _defaults(reader: Reader) -> Rules:
    """The environment's rules that are no limits, for every strategy where the file is silent."""
    return Rules(
        signal_max_age_s=reader.read("SIGNAL_MAX_AGE", fields.whole(1, 86_400), 60),
        default_size=reader.read("DEFAULT_SIZE", fields.default_size, None),
        default_leverage=reader.read("DEFAULT_LEVERAGE", fields.leverage, None),
        default_stop_loss=reader.read("DEFAULT_STOP_LOSS", stop_loss(), None),
        default_take_profit=reader.read("DEFAULT_TAKE_PROFIT", take_profit(), None),
    )


def _missing(reader: Reader, configured: Configuration, needs_webhook_secret: bool) -> list[str]:
    """What has to be there in this environment and is not, or does not fit it."""
    problems = [] if configured.names_accounts else own_account_problems(reader, configured.accounts[0])
    needs_webhook_secret = needs_webhook_secret and any(
        each.accounts and not each.secrets for each in configured.strategies
    )
    if needs_webhook_secret and not reader.text("WEBHOOK_SECRET"):
        least = fields.SECRET_CHARACTERS_MIN
        problems.append(f"WEBHOOK_SECRET: it is missing; it should be a random word of at least {least} characters")
    return problems
