"""The configured accounts and strategies as the execution knows them."""

from __future__ import annotations

import hashlib
import logging
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from relay.bybit.client import Exchange
from relay.bybit.limiter import Address
from relay.bybit.market import Hint, Market
from relay.bybit.streamed import SharedPrices, StreamedExchange, exchange_of
from relay.domain.instrument import Category, plain
from relay.domain.order import Reason
from relay.domain.order_lifecycle import Bounds
from relay.engine.failpoint import absent_sooner
from relay.errors import SettingsInvalid
from relay.execution.ports import Account, to_ms, utc_now
from relay.journal.journal import Journal
from relay.journal.maintenance import FORGOTTEN, accounts_with_open
from relay.journal.records import HALT
from relay.settings.environment import AccountSettings, Environment
from relay.settings.settings import Settings

if TYPE_CHECKING:
    from relay.execution.work import Strategy

log = logging.getLogger(__name__)


_KEY = "key"
"""The journal's note of an account's API key: a digest, by which it is known again under another name."""
_IDENTITY = "exchange"
"""The journal's note of which exchange an account's name means: its environment, and the key's last characters."""


def exchanges_of(settings: Settings, *, has_streams: bool = True) -> dict[str, Exchange]:
    """By account. One address a host: what is counted or banned there holds for its accounts alone. SettingsInvalid.

    `has_streams`: False where nothing is executed: what is shown or planned there is read when it is asked for.
    """
    require_addresses(settings)
    prices = SharedPrices()
    addresses: defaultdict[str | None, Address] = defaultdict(Address)
    accounts = [each if has_streams else replace(each, stream_url=None) for each in settings.accounts]
    return {each.name: exchange_of(each, addresses[each.url], prices) for each in accounts}


def require_addresses(settings: Settings) -> None:
    """SettingsInvalid where an account's exchange is one that was to be started beside the relay, and was not."""
    problems = [
        f"{'BYBIT_URL' if len(settings.accounts) == 1 else f'accounts.{each.name}.url'}: the paper exchange is not "
        "running; start with `python -m relay serve`"
        for each in settings.accounts
        if each.url is None
    ]
    if problems:
        raise SettingsInvalid(problems)


def accounts_of(
    settings: Settings, exchanges: dict[str, Exchange], barred: Mapping[str, Reason] | None = None
) -> dict[str, Account]:
    """By name. Accounts at one host share a market; environments list different instruments at different prices.

    `barred`: why nothing may be opened on an account, until the next start.
    """
    bounds = Bounds(max_attempts=settings.outcome_max_attempts, max_seconds=settings.outcome_max_s)
    for_paper = bounds.hurried(absent_sooner())
    markets: dict[str | None, Market] = {}
    for each in settings.accounts:
        markets.setdefault(each.url, Market(hint=_hint(each), symbols=settings.symbols))
    return {
        each.name: Account(
            name=each.name,
            exchange=exchanges[each.name],
            live=_live(exchanges[each.name]),
            market=markets[each.url],
            bounds=for_paper if each.environment is Environment.PAPER else bounds,
            environment=each.environment.value,
            key_tail=each.key_tail,
            entry_bar=_entry_bar(exchanges[each.name], (barred or {}).get(each.name)),
            price_bounds=exchanges[each.name].price_bounds,
            taker_fee=exchanges[each.name].account_api.taker_fee,
        )
        for each in settings.accounts
    }


def _entry_bar(exchange: Exchange, barred: Reason | None) -> Callable[[Category, str], Reason | None]:
    return exchange.entry_bar if barred is None else lambda category, symbol: barred


def _live(exchange: Exchange) -> StreamedExchange | None:
    return exchange if isinstance(exchange, StreamedExchange) else None


def markets_of(settings: Settings, accounts: dict[str, Account]) -> dict[str, Market]:
    """Each market once, by the name of the first account that it is read with."""
    found: dict[str, Market] = {}
    for each in settings.accounts:
        market = accounts[each.name].market
        assert isinstance(market, Market), "`accounts_of` made it"
        if not any(market is other for other in found.values()):
            found[each.name] = market
    return found


def strategies_of(settings: Settings) -> dict[str, Strategy]:
    """By name."""
    # Imported only where alerts are read, with all of their formats: `check` reads none.
    from relay.execution.work import Strategy

    return {
        each.name: Strategy(
            name=each.name,
            rules=each.rules,
            secrets=tuple(secret.reveal() for secret in settings.secrets_of(each)),
            dedup_window_ms=each.dedup_window_ms,
            format=each.format,
            heartbeat_s=each.heartbeat_s,
            heartbeat_any=each.heartbeat_any,
        )
        for each in settings.strategies
    }


def remember_identities(settings: Settings, journal: Journal) -> None:
    """Note which exchange each account's name means. An account that is new is halted where the relay is.

    SettingsInvalid where it means another environment than before while something of the old one is open: the relay
    would take one account's orders and positions for the other's.
    """
    problems = []
    for each in settings.accounts:
        for name, value in ((_KEY, _key_digest(each)), (FORGOTTEN, "")):
            known = journal.switch(each.name, name)
            if (known.value if known is not None else "") != value:
                journal.set_switch(each.name, name, value, by="the start", now_ms=to_ms(utc_now()))
    switches = [journal.switch(each.name, HALT) for each in settings.accounts]
    halted = next((each.by for each in switches if each is not None and each.value == "on"), None)
    for each in settings.accounts:
        before, now = journal.switch(each.name, _IDENTITY), _identity(each)
        if before is not None and before.value == now:
            continue
        old = before.value.partition(" ")[0] if before is not None else each.environment.value
        if old != each.environment.value and _has_open(journal, each.name):
            problems.append(
                f"accounts.{each.name}: it was {old} when this journal was last used, with orders or positions that "
                f"are open there, and is {each.environment.value} now; it should have a journal of its own "
                "(DATABASE_URL) or another name, or be flattened there first"
            )
            continue
        if before is not None:
            log.warning("account %s is %s now; it was %s", each.name, now, before.value)
        journal.set_switch(each.name, _IDENTITY, now, by="the start", now_ms=to_ms(utc_now()))
        if before is None and halted is not None and journal.switch(each.name, HALT) is None:
            journal.set_switch(each.name, HALT, "on", by=halted, now_ms=to_ms(utc_now()))
    if problems:
        raise SettingsInvalid(problems)


def _identity(account: AccountSettings) -> str:
    """A paper exchange's key may be made up anew at each start."""
    is_paper = account.environment is Environment.PAPER
    return f"{account.environment.value} …{'' if is_paper else account.key_tail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VanishedAccount:
    """One that the journal knows with something open, and the settings know no more.

    `open`: what, for people. `heir`: the configured account that has its API key; None where none has.
    """

    name: str
    open: tuple[str, ...]
    heir: str | None

    @property
    def message(self) -> str:
        return f"the account {self.name} is not configured any more, and the journal has open: {', '.join(self.open)}"

    @property
    def fix(self) -> str:
        new = self.heir or "NEW"
        return (
            f"configure it again, or stop the relay and run `python -m relay rename-account {self.name} {new}` if that "
            f"is its name now, or `rename-account --forget {self.name}` if you look after it"
        )

    @property
    def bar(self) -> Reason:
        """Of the heir: it would count, size and protect without knowing of what is open under the other name."""
        message = f"nothing is opened: {self.message}; {self.heir} has its API key; {self.fix}"
        return Reason(code="ACCOUNT_RENAMED", message=message)


def vanished_accounts(settings: Settings, journal: Journal) -> tuple[VanishedAccount, ...]:
    """Raises JournalUnavailable."""
    gone = accounts_with_open(journal) - {each.name for each in settings.accounts}
    if not gone:
        return ()
    marks = {(each.account, each.name): each.value for each in journal.switches()}
    found = []
    for name in sorted(gone):
        if marks.get((name, FORGOTTEN)) != "on" and (what := _open_of(journal, name)):
            heir = next((each.name for each in settings.accounts if _is_heir(each, name, marks)), None)
            found.append(VanishedAccount(name=name, open=what, heir=heir))
    return tuple(found)


def _is_heir(account: AccountSettings, vanished: str, marks: Mapping[tuple[str, str], str]) -> bool:
    """Journals of before this was noted tell the environment and the key's last characters."""
    key = marks.get((vanished, _KEY))
    if key is not None:
        return key == _key_digest(account)
    return bool(account.key_tail) and marks.get((vanished, _IDENTITY)) == _identity(account)


def _key_digest(account: AccountSettings) -> str:
    """A paper exchange is where it listens: its keys are the same everywhere."""
    key = account.api_key.reveal() if account.api_key is not None else ""
    where = account.url if account.environment is Environment.PAPER else ""
    return hashlib.sha256(f"{account.environment.value} {where} {key}".encode()).hexdigest()[:32]


def _open_of(journal: Journal, account: str) -> tuple[str, ...]:
    positions = [f"{symbol} {plain(size)}" for (_, symbol), size in journal.expected_positions(account).items() if size]
    counts = {
        "order": len(journal.open_orders(account)),
        "unfinished signal": sum(each.account == account for each in journal.unfinished()),
    }
    return (*positions, *(f"{count} {what}{'s' if count > 1 else ''}" for what, count in counts.items() if count))


def _has_open(journal: Journal, account: str) -> bool:
    return (
        any(journal.expected_positions(account).values())
        or any(each.account == account for each in journal.unfinished())
        or bool(journal.open_orders(account))
    )


def _hint(account: AccountSettings) -> Hint | None:
    """The paper exchange's prices follow the alerts where it has no market to follow; no other environment is told."""
    if account.environment is not Environment.PAPER or account.url is None:
        return None
    return paper_hint(f"{account.url}/paper/hints")


def paper_hint(url: str) -> Callable[[Category, str, Decimal], None]:
    """Tells the paper exchange's control door what an alert says that something costs."""

    def hint(category: Category, symbol: str, price: Decimal) -> None:
        body = f'{{"{category}": {{"{symbol}": "{plain(price)}"}}}}'.encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="PUT")  # noqa: S310
        try:
            urllib.request.urlopen(request, timeout=1).close()  # noqa: S310
        except OSError as error:
            log.warning("the paper exchange did not take the price of %s: %s", symbol, error)

    return hint
