"""Asks the exchange for everything that the checklist is judged by; a question that fails costs only its own part."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

from relay.domain.instrument import Category
from relay.errors import ExchangeAnswered, ExchangeUnreachable, JournalUnavailable
from relay.exchange.account_facts import Facts, Foreign, Listed, Ownership, Stream, Subject, Told, Untold
from relay.exchange.client import Exchange

T = TypeVar("T")
SYMBOLS_MAX = 20
"""So many symbols are looked at one by one; each is a request."""
USUAL_SYMBOLS = ("BTCUSDT", "ETHUSDT")
"""Looked at where alerts may name any symbol."""
_NOT_UNDERSTOOD = (KeyError, TypeError, ValueError, ArithmeticError, IndexError, AssertionError)


def read_facts(
    exchange: Exchange,
    subject: Subject,
    *,
    ownership: Ownership | None,
    look_at_stream: Callable[[], Stream] | None,
) -> Facts:
    """One look at everything, some 12 requests. `ownership` None: whatever is open counts as somebody else's."""
    ahead = _told(exchange.measure_clock)
    listed = _told(lambda: _listed(exchange, subject))
    silent = _silence(ahead, listed)
    if silent is not None:
        return _nothing(exchange, subject, silent)
    foreign = _told(lambda: _foreign(exchange, ownership))
    return Facts(
        now_ms=exchange.now_ms(),
        own_address=_own_address(subject.host),
        clock_ahead_ms=ahead,
        listed=listed,
        key=_told(exchange.desk.key),
        mode=_told(exchange.desk.mode),
        wallet=_told(exchange.wallet),
        positions=tuple(
            (symbol, _told(lambda symbol=symbol: exchange.position(category=category_of(symbol), symbol=symbol)))  # type: ignore[misc]
            for symbol in _symbols(subject, ownership, foreign)
        ),
        foreign=foreign,
        fees=_told(lambda: exchange.desk.fee_rate(Category.LINEAR, USUAL_SYMBOLS[0])),
        stream=look_at_stream() if look_at_stream else None,
    )


def _told(ask: Callable[[], T]) -> Told[T]:
    try:
        return ask()
    except ExchangeAnswered as refusal:
        return Untold(code=refusal.code, words=str(refusal))
    except (ExchangeUnreachable, JournalUnavailable) as silence:
        return Untold(code=None, words=str(silence))
    except _NOT_UNDERSTOOD as error:
        return Untold(code=None, words=f"the exchange's answer is not understood ({type(error).__name__})")


def _silence(*first: Told[object]) -> Untold | None:
    """Nothing at all answers: each further question would only wait as long again."""
    untold = [each for each in first if isinstance(each, Untold) and each.code is None]
    return untold[0] if len(untold) == len(first) else None


def _nothing(exchange: Exchange, subject: Subject, why: Untold) -> Facts:
    return Facts(
        now_ms=exchange.now_ms(),
        own_address=None,
        clock_ahead_ms=why,
        listed=why,
        key=why,
        mode=why,
        wallet=why,
        positions=tuple((symbol, why) for symbol in sorted(subject.symbols or USUAL_SYMBOLS)),
        foreign=why,
        fees=why,
        stream=None,
    )


def category_of(symbol: str) -> Category:
    """By the exchange's own names: `BTCUSD` is inverse, `BTCUSDT` and `BTCPERP` are linear."""
    return Category.INVERSE if symbol.endswith("USD") else Category.LINEAR


def _listed(exchange: Exchange, subject: Subject) -> Listed:
    instruments = exchange.instruments()
    trading = {each.symbol for each in instruments if each.is_trading}
    return Listed(count=len(instruments), absent=tuple(sorted((subject.symbols or frozenset()) - trading)))


def _foreign(exchange: Exchange, ownership: Ownership | None) -> Foreign:
    held = exchange.positions()
    ordered = ownership.ordered((each.category, each.symbol) for each in held) if ownership else frozenset()
    believed = ownership.believed() if ownership else {}
    moving = ownership.moving() if ownership else frozenset()
    positions = []
    for each in held:
        where = (each.category, each.symbol)
        if where not in ordered or (where not in moving and believed.get(where, each.size) != each.size):
            positions.append(each.symbol)
    orders = {
        each.symbol
        for each in exchange.desk.open_orders()
        if not each.is_stop and not (ownership and each.client_order_id and ownership.has_placed(each.client_order_id))
    }
    return Foreign(positions=tuple(sorted(positions)), orders=tuple(sorted(orders)))


def _symbols(subject: Subject, ownership: Ownership | None, foreign: Told[Foreign]) -> list[str]:
    """The allowed ones; where all are allowed, those that are in use, and the most usual ones."""
    also = {subject.also} if subject.also else set()
    if subject.symbols is not None:
        return sorted({*sorted(subject.symbols)[:SYMBOLS_MAX], *also})
    used = {*USUAL_SYMBOLS, *also}
    if not isinstance(foreign, Untold):
        used |= {*foreign.positions, *foreign.orders}
    with contextlib.suppress(JournalUnavailable):  # told by the point that needs it
        used |= {symbol for _, symbol in ownership.believed()} if ownership else set()
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
