"""What the checklist is judged by, and reading it: what cannot be read is unavailable, with the reason."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Protocol, TypeAlias, TypeVar
from urllib.parse import urlsplit

from relay.bybit.account_api import AccountMode, FeeRate, KeyRights, MarginMode
from relay.bybit.client import Exchange
from relay.bybit.wire_account import NOT_UNDERSTOOD, Wallet, category_of_symbol
from relay.domain.instrument import Category
from relay.domain.position import Position
from relay.errors import ExchangeAnswered, ExchangeUnreachable, FactsUnreadable, JournalUnavailable
from relay.settings.environment import Environment
from relay.settings.network import Route

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """A question that was not answered. `code`: of the exchange's refusal; None where there was no answer at all."""

    code: int | None
    words: str


Reported: TypeAlias = T | Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedAccount:
    """One account as its settings want it. Holds no secret: of the key its last four characters."""

    environment: Environment
    host: str
    recv_window_ms: int
    allow_wide_key: bool
    key_end: str
    symbols: frozenset[str] | None
    """What alerts may trade; None means anything."""
    max_leverage: Decimal | None
    trades_coins: bool = False
    """One of its strategies trades a spot market."""
    also: str | None = None
    """One more symbol to look at."""
    way: Route = field(default_factory=Route)
    """How the host is reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The perpetuals that the exchange lists, and of the allowed symbols those that it does not trade."""

    count: int
    absent: tuple[str, ...]
    unreadable: tuple[str, ...] = ()
    """Those whose rules cannot be read."""
    kinds: Mapping[str, int] = field(default_factory=dict)
    """How many there are of each kind that the exchange names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """What is open in the account and was not placed by the relay: symbols, each once."""

    positions: tuple[str, ...]
    orders: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What came of opening the private stream. `refusal`: the exchange's words, where it did not take the key."""

    connected: bool
    refusal: str | None = None
    why: str | None = None
    """Why there was no connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFacts:
    """Of the Postgres that the journal is in; or why a journal, wherever it is, cannot be used."""

    problem: str = ""
    is_flushed: bool = True
    """Whether what is committed outlives a crash of its machine."""
    owned_by_owner: int | None = None
    """How many accounts the process has that owns this one; None if no process owns it just now."""
    room: int = 0
    """How many it wishes to own at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """All that was read, at `now_ms` of the exchange's clock. Each part stands by itself."""

    now_ms: int
    own_address: str | None
    """Of this machine, as it sees itself; behind a router the exchange sees another one."""
    clock_ahead_ms: Reported[int]
    """By how much the exchange's clock is ahead of this machine's."""
    listed: Reported[Listed]
    key: Reported[KeyRights]
    mode: Reported[AccountMode]
    wallet: Reported[Wallet]
    positions: tuple[tuple[str, Reported[Position]], ...]
    """Of each symbol that was looked at, flat ones included."""
    foreign: Reported[Foreign]
    fees: Reported[FeeRate | None]
    coin_fees: Reported[FeeRate | None] = None
    """Of spot markets; looked at where they are traded."""
    stream: Stream | None
    """None if nobody has looked."""
    terms: Reported[Mapping[str, str]] = field(default_factory=dict)
    """By kind of contract, where its trading terms are not accepted; the exchange does not tell it before an order."""
    free_disk_bytes: int | None = None
    """Of the disk that the journal is on; None if it cannot be told."""
    database: DatabaseFacts | None = None
    """None if the journal is on a disk of this machine, or cannot be read."""


class Ownership(Protocol):
    """What the relay itself has ordered. Raises JournalUnavailable where that cannot be read."""

    def ordered(self, among: Iterable[tuple[Category, str]]) -> frozenset[tuple[Category, str]]:
        """Those of the instruments that the relay has ever sent an order for."""

    def expected(self) -> dict[tuple[Category, str], Decimal]:
        """What the relay believes each position to be, signed."""

    def moving(self) -> frozenset[tuple[Category, str]]:
        """Where an order of the relay's is under way: a position may differ from what is expected for a moment."""

    def has_placed(self, client_order_id: str) -> bool: ...

    def terms(self) -> dict[str, str]:
        """By kind of contract, where the exchange said that its trading terms are not accepted."""


# Asks the exchange for everything that the checklist is judged by; a question that fails costs only its own part.


SYMBOLS_MAX = 20
"""So many symbols are looked at one by one; each is a request."""
USUAL_SYMBOLS = ("BTCUSDT", "ETHUSDT")
"""Looked at where alerts may name any symbol."""


def read_facts(
    exchange: Exchange,
    expected_account: ExpectedAccount,
    *,
    ownership: Ownership | None,
    look_at_stream: Callable[[], Stream] | None,
) -> AccountFacts:
    """One look at everything, some 12 requests. `ownership` None: whatever is open counts as somebody else's."""
    ahead = _reported(exchange.measure_clock)
    listed = _reported(lambda: _listed(exchange, expected_account))
    silent = _silence(ahead, listed)
    if silent is not None:
        return _nothing(exchange, expected_account, silent)
    foreign = _reported(lambda: _foreign(exchange, ownership))
    mode = _reported(exchange.account_api.mode)
    is_portfolio = isinstance(mode, AccountMode) and mode.margin is MarginMode.PORTFOLIO
    look = _position_of if is_portfolio else Exchange.settings_of
    return AccountFacts(
        now_ms=exchange.now_ms(),
        own_address=_own_address(expected_account.host),
        clock_ahead_ms=ahead,
        listed=listed,
        key=_reported(exchange.account_api.key),
        mode=mode,
        wallet=_reported(exchange.wallet),
        positions=tuple(
            (symbol, _reported(partial(look, exchange, category_of_symbol(symbol), symbol)))
            for symbol in _symbols(expected_account, ownership, foreign)
        ),
        foreign=foreign,
        fees=_reported(lambda: exchange.account_api.fee_rate(Category.LINEAR, USUAL_SYMBOLS[0])),
        coin_fees=_reported(lambda: exchange.account_api.fee_rate(Category.SPOT, USUAL_SYMBOLS[0]))
        if expected_account.trades_coins
        else None,
        stream=look_at_stream() if look_at_stream else None,
        terms=_reported(ownership.terms) if ownership else {},
    )


def _position(exchange: Exchange, symbol: str) -> Reported[Position]:
    return _reported(lambda: exchange.position(category=category_of_symbol(symbol), symbol=symbol))


def _reported(ask: Callable[[], T]) -> Reported[T]:
    try:
        return ask()
    except FactsUnreadable as error:
        return Unavailable(code=None, words=error.words)
    except ExchangeAnswered as refusal:
        return Unavailable(code=refusal.code, words=str(refusal))
    except (ExchangeUnreachable, JournalUnavailable) as silence:
        return Unavailable(code=None, words=str(silence))
    except NOT_UNDERSTOOD as error:
        return Unavailable(code=None, words=f"the exchange's answer is not understood ({type(error).__name__})")


def _silence(*first: Reported[object]) -> Unavailable | None:
    """Nothing at all answers: each further question would only wait as long again."""
    unavailable = [each for each in first if isinstance(each, Unavailable) and each.code is None]
    return unavailable[0] if len(unavailable) == len(first) else None


def _nothing(exchange: Exchange, expected_account: ExpectedAccount, why: Unavailable) -> AccountFacts:
    return AccountFacts(
        now_ms=exchange.now_ms(),
        own_address=None,
        clock_ahead_ms=why,
        listed=why,
        key=why,
        mode=why,
        wallet=why,
        positions=tuple((symbol, why) for symbol in sorted(expected_account.symbols or USUAL_SYMBOLS)),
        foreign=why,
        fees=why,
        stream=None,
    )


def _position_of(exchange: Exchange, category: Category, symbol: str) -> Position:
    return exchange.position(category=category, symbol=symbol)


def _listed(exchange: Exchange, expected_account: ExpectedAccount) -> Listed:
    instruments = exchange.instruments()
    pairs = exchange.pairs() if expected_account.trades_coins else []
    trading = {each.symbol for each in (*instruments, *pairs) if each.is_trading}
    return Listed(
        count=len(instruments),
        absent=tuple(sorted((expected_account.symbols or frozenset()) - trading)),
        unreadable=tuple(each.symbol for each in instruments if each.unreadable is not None and each.is_trading),
        kinds=Counter(each.kind for each in instruments if each.kind),
    )


def _foreign(exchange: Exchange, ownership: Ownership | None) -> Foreign:
    held = exchange.positions()
    ordered = ownership.ordered((each.category, each.symbol) for each in held) if ownership else frozenset()
    expected = ownership.expected() if ownership else {}
    moving = ownership.moving() if ownership else frozenset()
    positions = []
    for each in held:
        where = (each.category, each.symbol)
        if where not in ordered or (where not in moving and expected.get(where, each.size) != each.size):
            positions.append(each.symbol)
    orders = {
        each.symbol
        for each in exchange.account_api.open_orders()
        if not each.is_stop and not (ownership and each.client_order_id and ownership.has_placed(each.client_order_id))
    }
    return Foreign(positions=tuple(sorted(positions)), orders=tuple(sorted(orders)))


def _symbols(expected_account: ExpectedAccount, ownership: Ownership | None, foreign: Reported[Foreign]) -> list[str]:
    """The allowed ones; where all are allowed, those that are in use, and the most usual ones."""
    also = {expected_account.also} if expected_account.also else set()
    if expected_account.symbols is not None:
        return sorted({*sorted(expected_account.symbols)[:SYMBOLS_MAX], *also})
    used = {*USUAL_SYMBOLS, *also}
    if not isinstance(foreign, Unavailable):
        used |= {*foreign.positions, *foreign.orders}
    with contextlib.suppress(JournalUnavailable):  # told by the point that needs it
        used |= {symbol for _, symbol in ownership.expected()} if ownership else set()
    return sorted({*sorted(used)[:SYMBOLS_MAX], *also})


def _own_address(host: str) -> str | None:
    """From which address this machine sends to the exchange; nothing is sent to find out."""
    parts = urlsplit(host)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((parts.hostname or "", parts.port or 443))
            return str(probe.getsockname()[0])
    except OSError:
        return None
