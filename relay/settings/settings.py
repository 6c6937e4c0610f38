"""All settings of a relay: read in one place, checked at once, and frozen."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from io import StringIO
from pathlib import Path
from typing import Any, Final

from dotenv import dotenv_values

from relay.domain.instrument import TradedMarket
from relay.domain.limits import LIMITS, Limit, LimitUnit
from relay.domain.rules import Rules
from relay.errors import RelayError, SettingsInvalid
from relay.settings import environment as fields
from relay.settings.config import Configuration, own_account, own_account_problems, read_configuration
from relay.settings.environment import (
    AccountSettings,
    Environment,
    Network,
    NotifyTarget,
    Reader,
    Secret,
    StrategySettings,
    notify_targets,
    stop_loss,
    take_profit,
)
from relay.settings.network import VARIABLES, network_problems
from relay.settings.toml import read_variables

# How the relay runs: where it keeps its journal, who executes, what it logs and whom it tells.


class LogFormat(StrEnum):
    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Worker(StrEnum):
    """Who executes orders: the web process itself, or processes of their own."""

    INLINE = "inline"
    PROCESS = "process"


def read_running(reader: Reader) -> dict[str, Any]:
    default_url = "sqlite:///relay.db"
    url = reader.read("DATABASE_URL", fields.database_url, default_url)
    worker = Worker.PROCESS if sqlite_path(url or default_url) is None else Worker.INLINE
    beside = (sqlite_path(url or default_url) or Path("relay.db")).with_name("paper.db")
    # A platform's log collector reads JSON better; a terminal's reader does not.
    log_format = LogFormat.JSON if reader.text("DYNO") else LogFormat.TEXT
    reader.read("WEB_CONCURRENCY", fields.whole(1, 10_000), None)  # gunicorn reads it, and fails on anything else
    return {
        "database_url": url,
        "allow_wide_key": reader.read("ALLOW_WIDE_KEY", fields.flag, False),
        "database_connections": reader.read("DATABASE_CONNECTIONS", fields.whole(5, 100), None),
        "accounts_per_process": reader.read("ACCOUNTS_PER_PROCESS", fields.whole(1, 10_000), 50),
        "worker": reader.read("RELAY_WORKER", fields.choice_of(Worker), worker),
        "keep_days": reader.read("KEEP_DAYS", fields.whole(1, 36_500), 90),
        "paper_market": reader.read("PAPER_MARKET", fields.host_url_or_off, "https://api.bybit.com"),
        "paper_state": reader.read("PAPER_STATE", Path, beside),
        "sentry_dsn": reader.read("SENTRY_DSN", fields.sentry_dsn, None),
        "sentry_monitor_slug": reader.read("SENTRY_MONITOR_SLUG", fields.plain_text, None),
        "notify_targets": reader.read("NOTIFY_URLS", notify_targets, ()),
        "mailbox": _mailbox(reader),
        "alive_url": reader.read("ALIVE_URL", fields.alive_url, None),
        "log_level": reader.read("LOG_LEVEL", fields.choice_of(LogLevel), LogLevel.INFO),
        "log_format": reader.read("LOG_FORMAT", fields.choice_of(LogFormat), log_format),
        "port": reader.read("PORT", fields.whole(0, 65_535), 8000),
    }


def _mailbox(reader: Reader) -> fields.MailboxSettings | None:
    """With its password, wherever that stands."""
    found = reader.read("MAILBOX_URL", fields.mailbox, None)
    password = reader.read("MAILBOX_PASSWORD", Secret, None)
    in_file = reader.read("MAILBOX_PASSWORD_FILE", fields.file_secret, None)
    if not isinstance(found, fields.MailboxSettings):
        return None
    password = found.password or password or in_file
    if password is None and not reader.text("MAILBOX_PASSWORD_FILE"):
        reader.problems.append(
            "MAILBOX_PASSWORD: it is missing; it should be the mailbox's password, here, in MAILBOX_URL, or in a file "
            "that MAILBOX_PASSWORD_FILE names"
        )
    return replace(found, password=password)


def unsupported(reader: Reader, values: Mapping[str, Any]) -> list[str]:
    """What is set and would be without effect."""
    problems = []
    if values["worker"] is Worker.PROCESS and sqlite_path(values["database_url"] or "") is not None:
        problems.append(
            "RELAY_WORKER: a SQLite journal has one process, which executes, too; it should be inline, or DATABASE_URL "
            "the address of a Postgres"
        )
    return problems


def doubts_about(reader: Reader, values: Mapping[str, Any]) -> tuple[str, ...]:
    """What is allowed and hardly meant."""
    if reader.text("DYNO") and sqlite_path(values["database_url"] or "") is not None:
        return (
            "DATABASE_URL: it is a SQLite file, and this platform throws files away at each restart: what was accepted "
            "and what is open would be forgotten; add a Postgres (`heroku addons:create heroku-postgresql`)",
        )
    return ()


def sqlite_path(url: str) -> Path | None:
    """The file; None on Postgres."""
    scheme, _, rest = url.partition(":///")
    return Path(rest.partition("?")[0]) if scheme == "sqlite" else None


# What real money is not started with, beyond what is missing: debugging aids, and secrets that were printed.


_OFF = ("", "0", "false", "no", "off")
_DEBUGGING = ("FLASK_DEBUG", "PYTHONDEVMODE", "WERKZEUG_DEBUG_PIN")


def mainnet_problems(reader: Reader, secrets: Iterable[Secret | None], journal: Path | None) -> list[str]:
    """`journal`: the SQLite file, beside which `serve` keeps what it made up for paper and has printed."""
    problems = [
        f"{name}: it is set, and debugging aids show what nobody should see; remove it for mainnet"
        for name in _DEBUGGING
        if reader.text(name).lower() not in _OFF
    ]
    if any(secret is not None and secret.reveal() in _made_up(journal) for secret in secrets):
        problems.append(
            "WEBHOOK_SECRET, ADMIN_TOKEN or a strategy's secret: it was made up for paper, and printed; it should be a "
            "new one, "
            "for example from: openssl rand -hex 24"
        )
    return problems


def _made_up(journal: Path | None) -> set[str]:
    """What cannot be read is said by whoever needs it."""
    if journal is None:
        return set()
    try:
        stored = dotenv_values(journal.with_name(f"{journal.name}.secrets"))
    except (OSError, UnicodeDecodeError):
        return set()
    return {value for name, value in stored.items() if value and name.endswith("_PAPER")}


DOTENV: Final = Path(".env")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of the environment and of RELAY_CONFIG. Durations carry their unit in the name; None means not set."""

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
    accounts_per_process: int
    """How many a process wishes to own, on Postgres; where nobody has room, one takes more."""
    worker: Worker
    allow_wide_key: bool
    keep_days: int
    outcome_max_s: int
    """How long an unknown outcome is looked up before a person must."""
    outcome_max_attempts: int
    paper_market: str | None
    """Where the paper exchange takes its prices from; None means nowhere."""
    paper_state: Path
    notify_targets: tuple[NotifyTarget, ...]
    """Empty: nobody is told of anything."""
    mailbox: fields.MailboxSettings | None
    """The second way in."""
    alive_url: Secret | None
    """Fetched each minute that alerts are executed."""
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

    def trades_coins_on(self, account: AccountSettings) -> bool:
        """Whether a strategy's market is spot there."""
        rules = [each.rules[account.name] for each in self.strategies if account.name in each.rules]
        return any(each.market is TradedMarket.SPOT for each in rules)

    def secrets_of(self, strategy: StrategySettings) -> tuple[Secret, ...]:
        """By which the strategy's alerts prove their sender. While one is being replaced the new one, which stands
        last, is the first here: the one that is printed."""
        return tuple(reversed(strategy.secrets or self.webhook_secrets))

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
        mailbox = self.mailbox.password if self.mailbox else None
        single = (
            mailbox,
            self.admin_token,
            self.sentry_dsn,
            self.alive_url,
            fields.database_password(self.database_url),
        )
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
    problems += _way_out(reader, configured)
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


def _way_out(reader: Reader, configured: Configuration) -> list[str]:
    """What is wrong with proxies and certificates. What only the file says of them is put into this process's
    environment, where the libraries that notify and report look for it, too."""
    os.environ.update(reader.only_in_file(VARIABLES))
    said = {name: reader.text(name) for name in VARIABLES}
    return network_problems(said, [(each.url or "", each.stream_url) for each in configured.accounts])


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


# What is configured and what is not, in a few lines for the person who starts the relay. They hold no secret.


_SYMBOLS_SHOWN: Final = 6


def reported(settings: Settings) -> list[tuple[str, str]]:
    """Topic and what is set of it, one line each."""
    lines = [("account", f"{each.name} ({each.environment.value})") for each in settings.accounts]
    for strategy in settings.strategies:
        for account, rules in strategy.rules.items():
            lines.append((f"limits of {strategy.name}", f"on {account}: {limits_text(rules)}"))
    return [*lines, *_around(settings)]


def limits_text(rules: Rules) -> str:
    """What holds back a strategy's entries on an account, and what does not."""
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
    if limit.unit is LimitUnit.SYMBOLS and len(bound) > _SYMBOLS_SHOWN:
        bound, more = sorted(bound)[:_SYMBOLS_SHOWN], f" and {len(bound) - _SYMBOLS_SHOWN} more"
    return limit.shown(bound) + more


def _around(settings: Settings) -> list[tuple[str, str]]:
    sources = f"{len(settings.webhook_sources)} networks" if settings.webhook_sources else "anybody with the secret"
    people = ", ".join(f"{each.scheme} ({len(each.kinds)} kinds)" for each in settings.notify_targets)
    proxies = "1 trusted proxy" if settings.trusted_proxies == 1 else f"{settings.trusted_proxies} trusted proxies"
    return [
        ("alerts from", f"{sources}{f', behind {proxies}' if settings.trusted_proxies else ''}"),
        (
            "and by mail from",
            settings.mailbox.name if settings.mailbox else "nowhere; MAILBOX_URL would be a second way",
        ),
        ("people told", people or "nobody; NOTIFY_URLS would"),
        ("errors to", "Sentry and the log" if settings.sentry_dsn else "the log only; SENTRY_DSN would report them"),
        ("journal", str(settings.journal_path or "Postgres")),
    ]


# Secrets that `serve` makes up where none are set, kept beside the journal so that a restart changes nothing.


_WORD_BYTES: Final = 24
_WORD_CHARACTERS: Final = 32


class SecretsUnavailable(RelayError):
    """The file of made-up secrets cannot be read or written."""


def secrets_path(settings: Settings) -> Path | None:
    """The file beside the journal; None where the journal is no file."""
    journal = settings.journal_path
    return journal.with_name(f"{journal.name}.secrets") if journal else None


def require_folders(settings: Settings) -> None:
    """Raises SettingsInvalid where the journal's file or the paper account's could never be made."""
    files = {"DATABASE_URL": settings.journal_path}
    if any(each.needs_paper_exchange for each in settings.accounts):
        files["PAPER_STATE"] = settings.paper_state
    wrong: dict[Path, str] = {}
    for name, path in files.items():
        if path is not None and not os.access(folder := path.absolute().parent, os.W_OK | os.X_OK):
            why = "cannot be written by this user" if folder.is_dir() else "is not there"
            wrong.setdefault(folder, f"{name}: the folder {folder} {why}; make it, or name a file in another one")
    if wrong:
        raise SettingsInvalid(list(wrong.values()))


def ensure_secrets(settings: Settings, environ: MutableMapping[str, str]) -> Settings:
    """The settings with a webhook secret and an admin token; those that were missing are put into `environ`, too.

    Made up where the file does not have them yet, so it is for `serve` only. Raises SecretsUnavailable.
    """
    names, path = _missing_local_secrets(settings), secrets_path(settings)
    if not names or path is None:
        return settings
    stored = _keep(path, tuple(names.values()))
    found = {name: stored[in_file] for name, in_file in names.items()}
    environ.update(found)
    return _filled(settings, found)


def with_stored_secrets(settings: Settings) -> Settings:
    """The settings with what an earlier `serve` made up, if anything: for commands that talk to a running relay."""
    path = secrets_path(settings)
    if path is None or not path.is_file():
        return settings
    try:
        stored = dotenv_values(path)
    except (OSError, UnicodeDecodeError) as error:
        raise SecretsUnavailable(f"the made-up secrets in {path} cannot be read: {type(error).__name__}") from error
    found = {name: stored.get(in_file) for name, in_file in _missing_local_secrets(settings).items()}
    return _filled(settings, {name: value for name, value in found.items() if value})


def stored_name(settings: Settings, name: str) -> str:
    """The variable's name in the file. Real money has its own: what was made up for paper never opens mainnet."""
    return f"{name}_LIVE" if settings.environment.is_real_money else f"{name}_PAPER"


def _missing_local_secrets(settings: Settings) -> dict[str, str]:
    """Variables that are not set, and their names in the file."""
    absent = {"WEBHOOK_SECRET": not settings.webhook_secrets, "ADMIN_TOKEN": settings.admin_token is None}
    return {name: stored_name(settings, name) for name, is_absent in absent.items() if is_absent}


def _filled(settings: Settings, found: Mapping[str, str]) -> Settings:
    webhook, admin = found.get("WEBHOOK_SECRET"), found.get("ADMIN_TOKEN")
    return replace(
        settings,
        webhook_secrets=(Secret(webhook),) if webhook else settings.webhook_secrets,
        admin_token=Secret(admin) if admin else settings.admin_token,
    )


def _keep(path: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Reads the names from the file and adds what it lacks, under a lock: two starts at once agree on one secret."""
    try:
        # Private from its first moment on, and made private again where somebody has opened it up.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
            os.fchmod(descriptor, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            text = file.read()
            stored = {name: value for name, value in dotenv_values(stream=StringIO(text)).items() if value}
            # A shorter one was cut off while it was written; the last line of a name counts.
            added = {name: _word() for name in names if len(stored.get(name, "")) < _WORD_CHARACTERS}
            if added:
                lines = [f"{name}={word}\n" for name, word in added.items()]
                file.write(("\n" if text and not text.endswith("\n") else "") + "".join(lines))
                file.flush()
                os.fsync(descriptor)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise SecretsUnavailable(f"the made-up secrets cannot be kept in {path}: {why}") from error
    return stored | added


def _word() -> str:
    return secrets.token_urlsafe(_WORD_BYTES)
