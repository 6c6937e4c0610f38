"""Accounts and strategies, from RELAY_CONFIG where it names some, else from the environment's variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from relay.domain.account import Rules
from relay.domain.limits import strictest
from relay.domain.order import client_order_id
from relay.settings_accounts import read_account, started_exchanges
from relay.settings_config_fields import name_problem, symbol
from relay.settings_limits import Limits, read_limits
from relay.settings_reader import Reader
from relay.settings_strategies import WHOLE, Draft, read_strategy
from relay.settings_toml import Table, content_of
from relay.settings_values import AccountSettings, StrategySettings

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
    drafts = {name: read_strategy(name, table, reader, defaults) for name, table in _named(file, "strategies").items()}
    if NAME not in drafts:
        drafts[NAME] = Draft(name=NAME, rules=defaults, is_of_file=False)
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
        drafts: Mapping[str, Draft],
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

    def _shares(self, draft: Draft) -> dict[str, Decimal]:
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

    def _free_for(self, draft: Draft, shares: Mapping[str, Mapping[str, Decimal]]) -> list[str]:
        """Where the environment's strategy would be in no other's way."""
        return [
            account
            for account in self._accounts
            if not any(account in shares[other] and self._meet(draft, self._drafts[other]) for other in shares)
        ]

    def _symbols(self, draft: Draft) -> frozenset[str] | None:
        return draft.limits.rules.allowed_symbols

    def _meet(self, one: Draft, other: Draft) -> bool:
        mine, its = self._symbols(one), self._symbols(other)
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

    def _strategy(self, draft: Draft, shares: Mapping[str, Decimal]) -> StrategySettings:
        rules = {}
        for name, share in shares.items():
            account, of_account = self._accounts[name]
            together = (draft.limits, self._for_all, of_account)
            rules[name] = replace(strictest(draft.rules, *(each.rules for each in together)), size_scale_pct=share)
            self._check(draft, account, rules[name], any(each.has_position_limit for each in together))
        return draft.settings(rules)

    def _check(self, draft: Draft, account: AccountSettings, rules: Rules, answered: bool) -> None:
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
