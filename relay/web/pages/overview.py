"""`/` and `/setup`: is all well, what is open, what needs a person; the checklist."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Generic, TypeVar

from flask import Blueprint, Flask, Response, current_app, render_template, request
from flask.typing import ResponseReturnValue

from relay.app.account_checks import free_disk_bytes
from relay.app.wiring import Services
from relay.bybit.checklist import DISK_LOW_BYTES, megabytes, rows_of
from relay.bybit.client import Exchange
from relay.domain.performance import Equity, worth_of
from relay.errors import ExchangeAnswered, ExchangeUnreachable, FactsUnreadable
from relay.execution.holdings import AccountView, LiveView, held_at
from relay.execution.ports import Account, to_ms, utc_now
from relay.journal.records import HALT
from relay.journal.rejected import ONLY_COUNTED
from relay.settings.settings import limits_text
from relay.web.access import require_login
from relay.web.answers import current_queries, current_relay, current_services, of_each, position_form, refused_form
from relay.web.api import open_orders, strategies_now
from relay.web.pages.builder import webhook_url
from relay.web.pages.performance import equity_line, profit_line

# What the exchange says of each account, a few seconds old at most: pages must not ask it once for each reader.


T = TypeVar("T")
_POSITIONS_S: Final = 2.0
_WALLET_S: Final = 10.0
_EXTENSION: Final = "relay.glance"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSnapshot(Generic[T]):
    """`value` None: never read. `problem`: why it could not be read just now."""

    value: T | None = None
    problem: str | None = None
    at_s: float = float("-inf")
    """On the monotonic clock."""


class _Remembered(Generic[T]):
    """One question whose answer is kept for a while; while one thread asks, the others take the last answer."""

    def __init__(self, ask: Callable[[], T], keep_s: float) -> None:
        self._ask = ask
        self._keep_s = keep_s
        self._asking = threading.Lock()
        self._seen: AccountSnapshot[T] = AccountSnapshot()

    def get(self) -> AccountSnapshot[T]:
        if time.monotonic() - self._seen.at_s < self._keep_s:
            return self._seen
        if not self._asking.acquire(blocking=self._seen.value is None and self._seen.problem is None):
            return self._seen
        try:
            if time.monotonic() - self._seen.at_s >= self._keep_s:
                self._seen = _read(self._ask, self._seen.value)
            return self._seen
        finally:
            self._asking.release()


def _read(ask: Callable[[], T], before: T | None = None) -> AccountSnapshot[T]:
    """`before`: what stands for an answer where there is none."""
    try:
        value = ask()
    except (ExchangeUnreachable, ExchangeAnswered) as error:
        return AccountSnapshot(value=before, problem=str(error), at_s=time.monotonic())
    return AccountSnapshot(value=value, at_s=time.monotonic())


class Glance:
    """Thread-safe; one for each application."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._positions: dict[str, _Remembered[list[dict[str, Any]]]] = {}
        self.orders: _Remembered[dict[str, Any]] = _Remembered(_orders, _POSITIONS_S)
        """What rests on every account, in the API's form."""
        self._wallets: dict[str, _Remembered[list[Equity]]] = {}

    def positions(self, account: Account, services: Services) -> AccountSnapshot[list[dict[str, Any]]]:
        """The open ones, in the API's form."""
        with self._lock:
            stored = self._positions.setdefault(
                account.name,
                _Remembered(lambda: _positions(account, services.view_of(account.name), services), _POSITIONS_S),
            )
        return stored.get()

    def equity(self, account: str, services: Services) -> AccountSnapshot[list[Equity]]:
        """Of each coin that the wallet holds."""
        with self._lock:
            stored = self._wallets.setdefault(
                account, _Remembered(lambda: _wallet(services.view_of(account)), _WALLET_S)
            )
        return stored.get()


def _orders() -> dict[str, Any]:
    return open_orders(view_of=current_services().view_of)


def _positions(account: Account, view: AccountView, services: Services) -> list[dict[str, Any]]:
    held = held_at(account, view, services.streams.bookkeeper.ledger, services.journal)
    if held.problem is not None and not isinstance(held.problem, FactsUnreadable):  # a row that is odd was told of
        raise held.problem
    return [position_form(account.name, each) for each in held.holdings]


def _wallet(view: AccountView) -> list[Equity]:
    now_ms = to_ms(utc_now())
    return [
        Equity(coin=each.coin, equity=each.equity, unrealised=each.unrealised_pnl, usd=each.usd, at_ms=now_ms)
        for each in view.coins()
        if each.equity
    ]


def init_glance(app: Flask) -> None:
    app.extensions[_EXTENSION] = Glance()


def all_positions(*, fresh: bool = False) -> tuple[list[dict[str, Any]], list[str]]:
    """Every account's open positions, and what could not be read, a sentence each. `fresh`: the exchange is asked."""
    glance: Glance = current_app.extensions[_EXTENSION]
    shown: list[dict[str, Any]] = []
    problems, parts = [], current_services()

    def read_of(name: str, exchange: Exchange) -> AccountSnapshot[list[dict[str, Any]]]:
        account = parts.accounts[name]
        if fresh:
            return _read(lambda: _positions(account, LiveView(exchange), parts))
        return glance.positions(account, parts)

    read = of_each(parts.exchanges, read_of)
    for name, seen in read.items():
        shown += seen.value or []
        if seen.problem:
            problems.append(f"{name}: {seen.problem}")
    return shown, problems


def resting_orders() -> dict[str, Any]:
    """What rests on every account, whoever placed it, in the API's form."""
    glance: Glance = current_app.extensions[_EXTENSION]
    found = glance.orders.get().value
    assert found is not None, "whatever cannot be read is told in it"
    return found


def equities() -> dict[str, AccountSnapshot[list[Equity]]]:
    glance: Glance = current_app.extensions[_EXTENSION]
    services = current_services()
    return of_each(services.exchanges, lambda name, exchange: glance.equity(name, services))


def written_down() -> dict[str, int]:
    """How many seconds old is what is shown of the accounts that other processes own."""
    services = current_services()
    others = [
        name for name in services.exchanges if not services.engine.is_alone and not services.engine.executes(name)
    ]
    ages = {name: services.reports.age_s(name) for name in others}
    return {name: age_s for name, age_s in ages.items() if age_s is not None}


overview = Blueprint("overview", __name__)
overview.before_request(require_login)

_LATEST = 8
_CENT = Decimal("0.01")


@overview.get("/")
def show() -> ResponseReturnValue:
    return render_template("overview.html", live=_live())


@overview.get("/live/overview")
def live() -> ResponseReturnValue:
    """What moves on the page, for its script; 204 while it is as it was."""
    return unless_seen("_overview.html", _live())


@overview.get("/live/equity")
def equity() -> Response:
    """What all accounts together were worth in the last 30 days."""
    return equity_line(30)


@overview.get("/live/profit")
def profit() -> Response:
    """Realised profit after fees of the last 30 days, summed up."""
    return profit_line(30)


def unless_seen(template: str, values: dict[str, Any]) -> ResponseReturnValue:
    """The fragment with a mark of itself; 204 where the request brings that very mark, so nothing is swapped."""
    text = render_template(template, live=values, mark="")
    mark = hashlib.sha256(text.encode()).hexdigest()[:16]
    if request.args.get("mark") == mark:
        return Response(status=204)
    return render_template(template, live=values, mark=mark)


def _live() -> dict[str, Any]:
    relay, journal = current_relay(), current_services().journal
    positions, problems = all_positions()
    free = free_disk_bytes(relay.settings)
    refused = [refused_form(posts) for posts in journal.refused()]
    midnight = utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
    wallets = equities()
    accounts = [_account(name, wallet) for name, wallet in wallets.items()]
    return {
        "worth": _worth(wallets, midnight),
        "is_halted": all(each["halted_by"] for each in accounts),
        "missing": relay.missing(),
        "disk_low": megabytes(free) if free is not None and free < DISK_LOW_BYTES else None,
        "accounts": accounts,
        "written": written_down(),
        "positions": positions,
        "problems": problems,
        "attention": journal.signals(needs_a_person=True, limit=20).signals,
        "today": {status.value: count for status, count in current_queries().counts_since(to_ms(midnight)).items()},
        "latest": journal.signals(limit=_LATEST).signals,
        "strategies": strategies_now(),
        "refused": [each for each in refused if each["kind"] != ONLY_COUNTED],
        "only_counted": [each for each in refused if each["kind"] == ONLY_COUNTED],
    }


def _worth(wallets: dict[str, AccountSnapshot[list[Equity]]], midnight: datetime) -> dict[str, Any]:
    """What all accounts are worth together in USD, and how much more that is than when the day and the month began.

    Of accounts that are readable, or were; `unread` names the others, `unknown` the coins whose worth nobody says.
    """
    read = {name: each.value for name, each in wallets.items() if each.value is not None}
    usd = sum(map(worth_of, read.values()), Decimal(0))
    changes = {}
    for name, since in (("today", midnight), ("this month", midnight.replace(day=1))):
        ledger, since_ms = current_services().streams.bookkeeper.ledger, to_ms(since)
        looks = [(ledger.equity_at(account, since_ms) or now) for account, now in read.items()]
        before = sum(map(worth_of, looks), Decimal(0))
        changes[name] = {"usd": (usd - before).quantize(_CENT), "pct": (usd / before - 1) * 100 if before > 0 else None}
    return {
        "usd": usd if read else None,
        "changes": changes,
        "unread": sorted(wallets.keys() - read.keys()),
        "unknown": sorted({each.coin for points in read.values() for each in points if each.worth is None}),
    }


def _account(name: str, wallet: AccountSnapshot[list[Equity]]) -> dict[str, Any]:
    switch = current_services().journal.switch(name, HALT)
    return {
        "name": name,
        "halted_by": switch.by if switch is not None and switch.value == "on" else None,
        "usd": None if wallet.value is None else worth_of(wallet.value),
        "coins": {each.coin: each.equity for each in wallet.value or []},
        "problem": wallet.problem,
        "waits_for": current_relay().accounts()[name],
        "environment": current_relay().environment_of(name),
        "checks": _checks(name),
        "stream": current_services().streams.state().get(name),
    }


def _checks(name: str) -> dict[str, int]:
    """How many points of the last checklist are in each state; empty before the first."""
    report = current_services().checkup.latest(name)
    return dict(Counter(check.state.value for check in report.checks)) if report else {}


# `/setup`: the connection checklist, and the way from paper to mainnet.


setup = Blueprint("setup", __name__)
setup.before_request(require_login)


@setup.get("/setup")
def show_setup() -> str:
    relay = current_relay()
    accounts = [{"name": name, "environment": relay.environment_of(name), **_all_checks(name)} for name in _names()]
    strategies = [
        {
            "name": each.name,
            "url": webhook_url(each.name),
            "limits": {account: limits_text(rules) for account, rules in each.rules.items()},
        }
        for each in current_services().strategies.values()
    ]
    recipients = current_services().notifier.recipients
    return render_template("setup.html", accounts=accounts, strategies=strategies, recipients=recipients)


def _names() -> list[str]:
    return sorted(current_services().accounts)


def _all_checks(name: str) -> dict[str, Any]:
    """The account's last checklist: `ok` and `checks`; None and none where it has not run yet."""
    report = current_services().checkup.latest(name)
    return {"ok": report.is_ok if report else None, "checks": rows_of(report) if report else []}
