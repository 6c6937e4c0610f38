"""Accounts and strategies: from RELAY_CONFIG where it names some, else from the environment's variables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from environs import ValidationError

from relay.domain.instrument import TradedMarket
from relay.domain.limits import strictest
from relay.domain.order import IfPassed, OrderType, client_order_id
from relay.domain.rules import BreakevenPassed, Direction, Drift, Mode, Rules, ShortOnSpot
from relay.domain.signal import QtyUnit
from relay.settings import environment as fields
from relay.settings.environment import (
    PAPER_KEY,
    AccountSettings,
    Environment,
    Reader,
    Secret,
    StrategySettings,
    stop_loss,
    take_profit,
)
from relay.settings.network import mismatch, rest_url, stream_url
from relay.settings.toml import (
    Limits,
    Table,
    alert_format,
    as_text,
    content_of,
    duration,
    name_problem,
    percent,
    read_limits,
    referred,
    seconds,
    symbol,
)

# A `[strategies.NAME]` table of RELAY_CONFIG.


WHOLE: Final = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyDraft:
    """A strategy before it is known under which rules it trades on each account."""

    name: str
    rules: Rules
    """What is no limit: direction, defaults."""
    limits: Limits = field(default_factory=Limits)
    shares: Mapping[str, Decimal] | None = None
    """By account; None if the table is silent."""
    is_of_file: bool = True
    is_shared: bool = False
    secrets: tuple[Secret, ...] = ()
    dedup_window_ms: int = 30_000
    format: str | None = None
    heartbeat_s: int | None = None
    heartbeat_any: bool = False
    mailbox: fields.MailboxUse = fields.MailboxUse.ALL

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
            mailbox=self.mailbox,
        )


_ORDER_TYPE = fields.choice_among(OrderType.MARKET, OrderType.LIMIT)


def read_strategy(name: str, table: Table, reader: Reader, defaults: Rules) -> StrategyDraft:
    """Where the table is silent the environment's `defaults` speak."""
    minutes = table.read("heartbeat", fields.whole(1, 527_040), None)
    if minutes is None and table.has("heartbeat_any"):
        table.problem("heartbeat", "it is missing beside heartbeat_any; it should be a number of minutes")
    draft = StrategyDraft(
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
        mailbox=table.read("mailbox", fields.choice_of(fields.MailboxUse), fields.MailboxUse.ALL),
    )
    table.close()
    return draft


def _rules(table: Table, defaults: Rules) -> Rules:
    direction = table.read("direction", fields.choice_of(Direction), defaults.direction)
    return replace(
        defaults,
        market=table.read("market", fields.choice_of(TradedMarket), defaults.market),
        short=table.read("short", fields.choice_of(ShortOnSpot), defaults.short),
        direction=direction,
        mode=table.read("mode", fields.choice_of(Mode), defaults.mode),
        if_passed=table.read("if_passed", fields.choice_of(IfPassed), defaults.if_passed),
        breakeven_passed=table.read("breakeven_passed", fields.choice_of(BreakevenPassed), defaults.breakeven_passed),
        drift=table.read("drift", fields.choice_of(Drift), defaults.drift),
        signal_max_age_s=table.read("max_age", duration(1, 86_400), defaults.signal_max_age_s),
        default_size=table.read("default_size", fields.default_size, defaults.default_size),
        default_type=table.read("order_type", _ORDER_TYPE, defaults.default_type),
        default_leverage=table.read("leverage", fields.leverage, defaults.default_leverage),
        default_stop_loss=table.read("stop_loss", stop_loss(direction), defaults.default_stop_loss),
        default_take_profit=table.read("take_profit", take_profit(direction), defaults.default_take_profit),
        levels_any_distance=table.read("levels_any_distance", fields.flag, defaults.levels_any_distance),
        size_unit=table.read("size_unit", fields.choice_of(QtyUnit), defaults.size_unit),
        subtract_exit=table.read("subtract_exit", fields.flag, defaults.subtract_exit),
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


# An `[accounts.NAME]` table of RELAY_CONFIG.


Started = tuple[str, Secret, Secret]
"""The address of a paper exchange, and the key that it takes."""
STARTED: Final = "RELAY_PAPER_EXCHANGES"
"""By which `serve` tells the processes it starts where their accounts' paper exchanges are, and with which keys."""


def read_account(
    name: str, table: Table, own: AccountSettings, reader: Reader, started: Started | None
) -> tuple[AccountSettings, Limits]:
    """The account with its limits. Where the table is silent about what is no key and no host, `own` speaks.

    `started`: the paper exchange that `serve` has started for it.
    """
    environment = table.read("environment", fields.choice_of(Environment), own.environment)
    url = table.read("url", fields.host_url("https", "http"), None)
    stream = table.read("stream_url", fields.stream_address, None)
    for name_of_url, given in (("url", url), ("stream_url", stream)):
        if wrong := mismatch(environment, given):
            table.problem(name_of_url, wrong.replace("BYBIT_ENV", "environment"))
    key, secret = _keys(table, environment, reader, is_elsewhere=url is not None)
    if started is not None and environment is Environment.PAPER and url is None:
        url, key, secret = started
    limits = read_limits(table.table("limits"))
    account = AccountSettings(
        name=name,
        environment=environment,
        api_key=key,
        api_secret=secret,
        url=rest_url(environment, url),
        stream_url=stream_url(environment, stream, url),
        recv_window_ms=table.read("recv_window_ms", fields.whole(100, 60_000), own.recv_window_ms),
        referer=table.read("referer", fields.plain_text, own.referer),
        limits=limits.rules,
    )
    table.close()
    return account, limits


def _keys(
    table: Table, environment: Environment, reader: Reader, *, is_elsewhere: bool
) -> tuple[Secret | None, Secret | None]:
    """Both halves of the key. Of paper's they may be missing: a paper exchange has one that everybody knows."""
    before = len(table.problems)
    key = referred(table, "api_key", reader.text, fields.secret, None)
    secret = referred(table, "api_secret", reader.text, fields.api_secret, None)
    is_sound = len(table.problems) == before
    if is_sound and (environment is not Environment.PAPER or (key is None) != (secret is None)):
        for half, found in (("api_key", key), ("api_secret", secret)):
            if found is None:
                table.problem(
                    f"{half}_env",
                    f"it is missing; it should name the environment variable of the {environment} account's "
                    f"{half}, or {half}_file a file",
                )
    if key is None and secret is None and is_elsewhere and environment is Environment.PAPER:
        return Secret(PAPER_KEY[0]), Secret(PAPER_KEY[1])
    return key, secret


def started_exchanges(reader: Reader) -> dict[str, Started]:
    """The paper exchanges that `serve` has started: by account the address and the key."""
    found = reader.read(STARTED, _started, {})
    return {} if found is None else found


def _started(text: str) -> dict[str, Started]:
    try:
        return {name: (url, Secret(key), Secret(secret)) for name, (url, key, secret) in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError):
        raise ValidationError("it is `serve`'s own; it should not be set") from None


NAME: Final = "default"
"""Of the environment's own account and strategy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What RELAY_CONFIG and the environment make together."""

    accounts: tuple[AccountSettings, ...]
    strategies: tuple[StrategySettings, ...]
    symbols: Mapping[str, str]
    names_accounts: bool
    """The accounts are the file's; else the one of the environment's BYBIT_* variables."""


def read_configuration(reader: Reader, own: AccountSettings, defaults: Rules, limits: Limits) -> Configuration:
    """`own`: the environment's account; `limits`, and `defaults` of what is no limit: the environment's, too.

    Problems are put among the reader's.
    """
    started = started_exchanges(reader)
    given = reader.text("RELAY_CONFIG")
    file = Table(content_of(given, reader.problems) if given else {}, "", reader.problems)
    for_all = read_limits(file.table("limits"))
    found = _named(file, "accounts")
    accounts = {name: read_account(name, table, own, reader, started.get(name)) for name, table in found.items()}
    if not accounts:
        accounts = {NAME: (own, Limits())}
    reader.problems += _shared_keys([account for account, _ in accounts.values()])
    drafts = {name: read_strategy(name, table, reader, defaults) for name, table in _named(file, "strategies").items()}
    if NAME not in drafts:
        drafts[NAME] = StrategyDraft(name=NAME, rules=defaults, is_of_file=False)
    strategies = _Joining(accounts, drafts, for_all, limits, reader.problems).strategies()
    overrides = file.table("symbols")
    symbols = {name: overrides.read(name, symbol, "") for name in overrides.names()}
    file.close()
    return Configuration(
        accounts=tuple(account for account, _ in accounts.values()),
        strategies=strategies,
        symbols=symbols,
        names_accounts=bool(found),
    )


def _shared_keys(accounts: Sequence[AccountSettings]) -> list[str]:
    """Two names of one account would each have an owner of their own. A paper exchange's keys are play money's."""
    names: dict[tuple[str, str | None], str] = {}
    problems = []
    for each in accounts:
        if each.api_key is None or each.environment is Environment.PAPER:
            continue
        first = names.setdefault((each.api_key.reveal(), each.url), each.name)
        if first != each.name:
            problems.append(
                f"accounts.{each.name}.api_key: it is the key of accounts.{first}, too; it should be its own, or the "
                "account should be named once"
            )
    return problems


def _named(file: Table, key: str) -> dict[str, Table]:
    tables = file.tables(key)
    for table in tables.values():
        name = table.path.removeprefix(f"{key}.")
        if (problem := name_problem(name)) is not None:
            file.problem(f"{key}.{name[:40]}", problem)
    return tables


class _Joining:
    """Brings strategies and accounts together: who trades where, under which rules, and whether that may be."""

    def __init__(
        self,
        accounts: Mapping[str, tuple[AccountSettings, Limits]],
        drafts: Mapping[str, StrategyDraft],
        for_all: Limits,
        environment: Limits,
        problems: list[str],
    ) -> None:
        self._accounts = accounts
        self._drafts = {
            name: replace(draft, limits=draft.limits.over(environment, silenced_by=for_all))
            for name, draft in drafts.items()
        }
        self._for_all = for_all
        self._problems = problems

    def strategies(self) -> tuple[StrategySettings, ...]:
        self._check_marks()
        shares = {name: self._shares(draft) for name, draft in self._drafts.items() if draft.is_of_file}
        for name, draft in self._drafts.items():
            if not draft.is_of_file:
                shares[name] = dict.fromkeys(self._free_for(draft, shares), WHOLE)
        self._check_overlaps(shares)
        return tuple(self._strategy(draft, shares[name]) for name, draft in self._drafts.items())

    def _check_marks(self) -> None:
        """An account's mark stands in its orders' ids, so two must not have the same."""
        seen: dict[str, str] = {}
        for name in self._accounts:
            mark = client_order_id(signal_id="0" * 26, account=name, leg=0, generation=0)
            if mark in seen:
                self._problems.append(
                    f"accounts.{name}: its orders' ids would be those of {seen[mark]}; it should have another name"
                )
            seen[mark] = name

    def _shares(self, draft: StrategyDraft) -> dict[str, Decimal]:
        if draft.shares is None:
            if len(self._accounts) > 1:
                self._problems.append(
                    f"strategies.{draft.name}.accounts: it is missing; it should name some of {self._known()}"
                )
            return dict.fromkeys(tuple(self._accounts)[:1], WHOLE)
        unknown = [name for name in draft.shares if name not in self._accounts]
        self._problems += [
            f"strategies.{draft.name}.accounts: there is no account {name[:40]!r}; it should be one of {self._known()}"
            for name in unknown
        ]
        return {name: share for name, share in draft.shares.items() if name not in unknown}

    def _known(self) -> str:
        return ", ".join(self._accounts)

    def _free_for(self, draft: StrategyDraft, shares: Mapping[str, Mapping[str, Decimal]]) -> list[str]:
        """Where the environment's strategy would be in no other's way."""
        return [
            account
            for account in self._accounts
            if not any(account in shares[other] and self._meet(draft, self._drafts[other]) for other in shares)
        ]

    def _symbols(self, draft: StrategyDraft) -> frozenset[str] | None:
        return draft.limits.rules.allowed_symbols

    def _meet(self, one: StrategyDraft, other: StrategyDraft) -> bool:
        mine, its = self._symbols(one), self._symbols(other)
        if one.rules.market is not other.rules.market:
            return False
        return mine is None or its is None or bool(mine & its)

    def _check_overlaps(self, shares: Mapping[str, Mapping[str, Decimal]]) -> None:
        names = list(self._drafts)
        for index, second in enumerate(names):
            for first in names[:index]:
                both = [account for account in shares[first] if account in shares[second]]
                one, other = self._drafts[first], self._drafts[second]
                if not both or not self._meet(one, other) or (one.is_shared and other.is_shared):
                    continue
                mine, its = self._symbols(one), self._symbols(other)
                where = ", ".join(sorted((mine & its) if mine and its else mine or its or {"every symbol"}))
                self._problems.append(
                    f"strategies.{second}: it may trade {where} on {', '.join(both)}, and so may strategies.{first}; "
                    "they should have other symbols or accounts, or `shared = true` in both"
                )

    def _strategy(self, draft: StrategyDraft, shares: Mapping[str, Decimal]) -> StrategySettings:
        rules = {}
        for name, share in shares.items():
            account, of_account = self._accounts[name]
            together = (draft.limits, self._for_all, of_account)
            rules[name] = replace(strictest(draft.rules, *(each.rules for each in together)), size_scale_pct=share)
            self._check(draft, account, rules[name], any(each.has_position_limit for each in together))
        return draft.settings(rules)

    def _check(self, draft: StrategyDraft, account: AccountSettings, rules: Rules, answered: bool) -> None:
        where = f"strategies.{draft.name}" if draft.is_of_file else "MAX_POSITION_NOTIONAL"
        if account.environment.is_real_money and not answered:
            key = f"{where}.limits.max_position_notional" if draft.is_of_file else where
            self._problems.append(
                f"{key}: it is missing, and mainnet is real money; it should be the most that a position "
                "may be worth in its quote coin, or `none`"
            )
        if rules.default_leverage and rules.max_leverage and rules.default_leverage > rules.max_leverage:
            key = f"{where}.leverage" if draft.is_of_file else "DEFAULT_LEVERAGE"
            self._problems.append(
                f"{key}: {rules.default_leverage} is over max_leverage {rules.max_leverage} on {account.name}; "
                "it should be at most that"
            )


# The environment's own account: the one of the BYBIT_ variables.


_KEY_PARTS: Final = {"BYBIT_API_KEY": "key", "BYBIT_API_SECRET": "secret"}


def own_account(reader: Reader) -> AccountSettings:
    """The environment's own. After a problem some of its values are None, and it is never used."""
    environment = reader.read("BYBIT_ENV", fields.choice_of(Environment), Environment.PAPER) or Environment.PAPER
    rest = reader.read("BYBIT_URL", fields.host_url("https", "http"), None)
    stream = reader.read("BYBIT_STREAM_URL", fields.stream_address, None)
    is_paper_elsewhere = environment is Environment.PAPER and rest is not None
    key, secret = map(Secret, PAPER_KEY) if is_paper_elsewhere else (None, None)
    return AccountSettings(
        name=NAME,
        environment=environment,
        api_key=reader.read("BYBIT_API_KEY", fields.secret, key),
        api_secret=reader.read("BYBIT_API_SECRET", fields.api_secret, secret),
        url=rest_url(environment, rest),
        stream_url=stream_url(environment, stream, rest),
        recv_window_ms=reader.read("BYBIT_RECV_WINDOW", fields.whole(100, 60_000), 5000),
        referer=reader.read("BYBIT_REFERER", fields.plain_text, None),
    )


def own_account_problems(reader: Reader, account: AccountSettings) -> list[str]:
    """Of the environment's own account."""
    problems = []
    environment = account.environment
    given = [name for name in _KEY_PARTS if reader.text(name)]
    if environment is not Environment.PAPER or len(given) == 1:
        problems += [
            f"{name}: it is missing; it should be the API {part} of the {environment} account, beside its other half"
            for name, part in _KEY_PARTS.items()
            if name not in given
        ]
    urls = {"BYBIT_URL": account.url, "BYBIT_STREAM_URL": account.stream_url}
    wrong = {name: mismatch(environment, url) for name, url in urls.items() if reader.text(name)}
    return problems + [f"{name}: {what}" for name, what in wrong.items() if what]
