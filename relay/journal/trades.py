"""The ledger of trades, as it is stored: booked execution by execution, worked out anew where one comes late, read."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    delete,
    or_,
    select,
    update,
)

from relay.domain.bracket import FIRST_TAKE_PROFIT_LEG
from relay.domain.instrument import Category, plain
from relay.domain.order import OrderType, Side
from relay.domain.trades import BY_HAND, LedgerEntry, Maker, ReplayStep, Trade, after, replay, with_result
from relay.journal.records import from_json, rfc3339, to_json
from relay.journal.statements import fetch_all, fetch_among, fetch_first, insert_rows, run
from relay.journal.tables import bookings, fills, orders, signals, trade_totals, trades

_BATCH: Final = 500
_ZERO: Final = Decimal(0)
_DAY_MS: Final = 86_400_000
_BOOKED_SINCE: Final = select(bookings).where(
    bookings.c.account == bindparam("of_account"),
    bookings.c.category == bindparam("of_category"),
    bookings.c.symbol == bindparam("of_symbol"),
    bookings.c.at >= bindparam("of_at"),
)
_CHANGE_BOOKING: Final = update(bookings).where(
    bookings.c.account == bindparam("of_account"), bookings.c.exec_id == bindparam("of_exec")
)
_ENTRIES: Final = select(bookings.c.exec_id, bookings.c.realised, bookings.c.entry).where(
    bookings.c.account == bindparam("of_account"), bookings.c.before.is_not(None)
)
_TRADES: Final = select(trades.c.id, trades.c.body)
_OPEN_OF_SYMBOL: Final = _TRADES.where(
    trades.c.account == bindparam("of_account"),
    trades.c.category == bindparam("of_category"),
    trades.c.symbol == bindparam("of_symbol"),
    trades.c.closed_at.is_(None),
)
_CHANGE_TRADE: Final = update(trades).where(trades.c.id == bindparam("of_trade"))
_MADE_BY: Final = (
    select(
        *(orders.c.client_order_id, orders.c.signal_id, orders.c.reduce_only, orders.c.leg, orders.c.type),
        signals.c.strategy,
    )
    .join(signals, signals.c.id == orders.c.signal_id)
    .where(orders.c.account == bindparam("of_account"))
)


def day_of(at_ms: int) -> str:
    """The UTC date."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).date().isoformat()


def in_batches(values: Sequence[str]) -> Iterable[Sequence[str]]:
    return (values[first : first + _BATCH] for first in range(0, len(values), _BATCH))


# Booking, within one transaction.


def book_trades(
    connection: Connection, account: str, new: Sequence[LedgerEntry], counted: Mapping[str, Decimal]
) -> dict[str, Decimal]:
    """Book these executions, and bring the trades up to them. Returns how far each execution's result differs from what
    was `counted` for it, which has a row in `bookings` already: of a new one all of it."""
    makers = _makers(connection, account, [each.client_order_id for each in new if each.client_order_id])
    lanes: defaultdict[tuple[Category, str], list[tuple[LedgerEntry, Maker | None]]] = defaultdict(list)
    for each in new:
        lanes[each.category, each.symbol].append((each, makers.get(each.client_order_id)))
    changed: dict[str, Decimal] = {}
    for (category, symbol), entries in lanes.items():
        for exec_id, result in _book_symbol(connection, account, category, symbol, entries, counted).items():
            changed[exec_id] = result - counted.get(exec_id, _ZERO)
    return changed


def _book_symbol(
    connection: Connection,
    account: str,
    category: Category,
    symbol: str,
    new: list[tuple[LedgerEntry, Maker | None]],
    counted: Mapping[str, Decimal],
) -> dict[str, Decimal]:
    ids = {entry.exec_id for entry, _ in new}
    rows = _rows_from(connection, account, category, symbol, min(entry.place for entry, _ in new))
    later = [row for row in rows if row.exec_id not in ids]
    gone: set[str] = set()
    if rows and rows[0].before is not None:
        start = [from_json(Trade, each) for each in rows[0].before]
        gone = {each for row in rows for each in row.touched} - {trade.id for trade in start}
        known = None
        again = [(from_json(LedgerEntry, row.entry), _maker_of(row)) for row in later]
    else:
        # Too late to go back: what came late is counted as if it had come now.
        start, again = _open_trades(connection, account, category, symbol), []
        known = {trade.id: trade for trade in start}
    steps = replay(start, [*again, *new], account=account)
    _store_trades(connection, {trade.id: trade for trade in start} | after(start, steps), gone, known)
    before = {row.exec_id: row.realised for row in later}
    stored = before.keys() | counted.keys()
    for step in steps:
        if step.entry.exec_id in stored:
            _change_step(connection, account, step)
    insert_rows(connection, (bookings, [_booking(account, each) for each in steps if each.entry.exec_id not in stored]))
    return {each.entry.exec_id: each.applied.realised - before.get(each.entry.exec_id, _ZERO) for each in steps}


def _rows_from(
    connection: Connection, account: str, category: Category, symbol: str, place: tuple[int, int, Decimal, str]
) -> list[Row[Any]]:
    rows = fetch_all(connection, _BOOKED_SINCE, {**_of_symbol(account, category, symbol), "of_at": place[0]})
    return sorted((row for row in rows if _place(row) >= place), key=_place)


def _place(row: Row[Any]) -> tuple[int, int, Decimal, str]:
    return row.at, row.seq, -Decimal(row.entry.get("leaves") or 0), row.exec_id


def reckoned_entries(
    connection: Connection, account: str, results: Mapping[tuple[str, str], Decimal]
) -> tuple[list[LedgerEntry], dict[str, Decimal]]:
    """Those booked executions that did not say what they gained, with what `results` says; and what was reckoned."""
    ids, given = {exec_id for exec_id, _ in results}, {"of_account": account}
    rows = fetch_among(connection, _ENTRIES, bookings.c.exec_id, ids, given)
    reckoned = {row.exec_id: row for row in rows if row.entry.get("realised", "") is None}
    made = [with_result(from_json(LedgerEntry, row.entry), results) for row in reckoned.values()]
    found = [each for each in made if each.realised is not None]
    return found, {each.exec_id: reckoned[each.exec_id].realised for each in found}


def _open_trades(connection: Connection, account: str, category: Category, symbol: str) -> list[Trade]:
    rows = fetch_all(connection, _OPEN_OF_SYMBOL, _of_symbol(account, category, symbol))
    return [from_json(Trade, row.body) for row in rows]


def _of_symbol(account: str, category: Category, symbol: str) -> dict[str, Any]:
    return {"of_account": account, "of_category": category, "of_symbol": symbol}


def _makers(connection: Connection, account: str, client_order_ids: Sequence[str]) -> dict[str, Maker]:
    """Of those that are orders of the relay's, as far as the journal remembers them."""
    rows = fetch_among(connection, _MADE_BY, orders.c.client_order_id, client_order_ids, {"of_account": account})
    return {
        row.client_order_id: Maker(
            strategy=row.strategy or BY_HAND,
            signal_id=row.signal_id,
            reduce_only=row.reduce_only,
            is_take_profit=row.leg >= FIRST_TAKE_PROFIT_LEG and row.type is OrderType.LIMIT,
            is_stop=row.leg >= FIRST_TAKE_PROFIT_LEG and row.type is not OrderType.LIMIT,
        )
        for row in rows
    }


def without_owners_coins(connection: Connection, account: str, entries: Sequence[LedgerEntry]) -> Sequence[LedgerEntry]:
    """Of coins only what the relay's own orders bought and sold is a trade: the owner's coins are no business of it."""
    coins = [each.client_order_id for each in entries if not each.category.has_positions]
    if not coins:
        return entries
    own = _makers(connection, account, coins)
    return [each for each in entries if each.category.has_positions or each.client_order_id in own]


def _maker_of(row: Row[Any]) -> Maker | None:
    return None if row.maker is None else from_json(Maker, row.maker)


def _change_step(connection: Connection, account: str, step: ReplayStep) -> None:
    of_entry = {"of_account": account, "of_exec": step.entry.exec_id}
    run(connection, _CHANGE_BOOKING, {**_worked_out(step), **of_entry})


def _booking(account: str, step: ReplayStep) -> dict[str, Any]:
    entry = step.entry
    return {
        "account": account,
        "exec_id": entry.exec_id,
        "coin": entry.coin,
        "fee": entry.fee,
        "funding": entry.funding,
        "at": entry.at_ms,
        **_worked_out(step),
    }


def _worked_out(step: ReplayStep) -> dict[str, Any]:
    entry = step.entry
    return {
        "category": entry.category,
        "symbol": entry.symbol,
        "seq": entry.seq,
        "realised": step.applied.realised,
        "entry": to_json(entry),
        "maker": None if step.maker is None else to_json(step.maker),
        "before": [to_json(trade) for trade in step.before],
        "touched": [trade.id for trade in step.applied.trades],
    }


def _store_trades(
    connection: Connection, found: Mapping[str, Trade], gone: set[str], known: Mapping[str, Trade] | None
) -> None:
    """`known`: those of them that are stored; None: they are to be looked for."""
    if known is None:
        rows = fetch_among(connection, _TRADES, trades.c.id, gone | found.keys(), {})
        known = {row.id: from_json(Trade, row.body) for row in rows}
    gone = gone - found.keys()
    for ids in in_batches(sorted(gone)):
        connection.execute(delete(trades).where(trades.c.id.in_(ids)))
    changed = [trade for trade in found.values() if known.get(trade.id) != trade]
    insert_rows(connection, (trades, [_trade_row(trade) for trade in changed if trade.id not in known]))
    for trade in changed:
        if trade.id in known:
            # What else there is of it does not change, and has indexes.
            row = {name: value for name, value in _trade_row(trade).items() if name in ("at", "closed_at", "body")}
            if known[trade.id].first_at_ms == trade.first_at_ms:
                del row["at"]
            run(connection, _CHANGE_TRADE, {**row, "of_trade": trade.id})
    _count(connection, [known[each] for each in gone] + [known[each.id] for each in changed if each.id in known], -1)
    _count(connection, changed, 1)


def _trade_row(trade: Trade) -> dict[str, Any]:
    return {
        "id": trade.id,
        "account": trade.account,
        "strategy": trade.strategy,
        "category": trade.category,
        "symbol": trade.symbol,
        "at": trade.first_at_ms,
        "closed_at": trade.closed_at_ms,
        "body": to_json(trade),
    }


_SUMS: Final = ("trades", "won", "realised", "fees", "funding")
_Sums = dict[str, Any]


def _nothing() -> _Sums:
    return {"trades": 0, "won": 0, "realised": _ZERO, "fees": _ZERO, "funding": _ZERO}


def _count(connection: Connection, found: Iterable[Trade], sign: int) -> None:
    """Add the closed ones among them to their days' totals, or take them out."""
    sums: defaultdict[tuple[str, str, str, str], _Sums] = defaultdict(_nothing)
    for trade in found:
        if trade.closed_at_ms is None:
            continue
        day = day_of(trade.closed_at_ms)
        own = sums[trade.account, trade.strategy, trade.settle_coin, day]
        made: tuple[Any, ...] = (bool(trade.size), trade.net > 0, trade.realised, trade.fees, trade.funding)
        for name, amount in zip(_SUMS, made, strict=True):
            own[name] += amount * sign
        for coin, fee in trade.fees_other.items():
            sums[trade.account, trade.strategy, coin, day]["fees"] += fee * sign
    names = ("account", "strategy", "coin", "day")
    for key, amounts in sums.items():
        add_to(connection, trade_totals, dict(zip(names, key, strict=True)), amounts)


def add_to(connection: Connection, table: Any, key: Mapping[str, str], amounts: _Sums) -> None:
    """Add to the numbers of a row, which is made where it is not there."""
    find, change = _by_key(table, tuple(key))
    of_key = {f"of_{name}": value for name, value in key.items()}
    known = fetch_first(connection, find, of_key)
    if known is None:
        insert_rows(connection, (table, [{**key, **amounts}]))
        return
    sums = {name: getattr(known, name) + amount for name, amount in amounts.items()}
    run(connection, change, {**sums, **of_key})


@cache
def _by_key(table: Table, names: tuple[str, ...]) -> tuple[Select[Any], Update]:
    which = and_(*(table.c[name] == bindparam(f"of_{name}") for name in names))
    return select(table).where(which), update(table).where(which)


# What is asked of it.


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeFilter:
    """None means any. `since_ms`: those that are open, or were closed since."""

    account: str | None = None
    strategy: str | None = None
    symbol: str | None = None
    since_ms: int | None = None
    closed_on: str | None = None
    """Those that were closed on this UTC date."""


def find_trades(
    connection: Connection, which: TradeFilter, *, limit: int, cursor: str | None
) -> tuple[list[Trade], str | None]:
    """The latest begun first, and the next page's cursor. ValueError if `cursor` is none of these."""
    statement = _matching(which).order_by(trades.c.at.desc(), trades.c.id.desc()).limit(limit + 1)
    if cursor is not None:
        at, _, trade = cursor.partition("-")
        if not (at.isascii() and at.isdigit() and len(at) <= 18 and trade.isalnum()):
            raise ValueError("this is not a cursor of a list of trades")
        statement = statement.where(or_(trades.c.at < int(at), and_(trades.c.at == int(at), trades.c.id < trade)))
    rows = connection.execute(statement).all()
    following = f"{rows[limit - 1].at}-{rows[limit - 1].id}" if len(rows) > limit else None
    return [from_json(Trade, row.body) for row in rows[:limit]], following


def find_trade(connection: Connection, trade: str) -> Trade | None:
    body = connection.execute(select(trades.c.body).where(trades.c.id == trade)).scalar()
    return None if body is None else from_json(Trade, body)


def executions(
    connection: Connection, account: str, category: Category, symbol: str, since_ms: int, until_ms: int, *, limit: int
) -> list[tuple[LedgerEntry, frozenset[str]]]:
    """What moved the symbol's position in that time, the earliest first, with the ids of the trades that it changed.

    At most the latest `limit`; what is no longer stored is not among them.
    """
    statement = select(bookings.c.entry, bookings.c.touched).where(
        bookings.c.account == account,
        bookings.c.category == category,
        bookings.c.symbol == symbol,
        bookings.c.at >= since_ms,
        bookings.c.at <= until_ms,
    )
    rows = connection.execute(statement.order_by(bookings.c.at.desc()).limit(limit)).all()
    found = [(from_json(LedgerEntry, row.entry), frozenset(row.touched)) for row in reversed(rows)]
    return [(entry, touched) for entry, touched in found if entry.qty]


def trades_between(connection: Connection, which: TradeFilter, since_ms: int, until_ms: int) -> list[Trade]:
    """Those that began in that time, the earliest first."""
    statement = _matching(which).where(trades.c.at >= since_ms, trades.c.at < until_ms).order_by(trades.c.at)
    return [from_json(Trade, row.body) for row in connection.execute(statement)]


def _matching(which: TradeFilter) -> Select[Any]:
    statement = select(trades.c.at, trades.c.id, trades.c.body)
    wanted = {"account": which.account, "strategy": which.strategy, "symbol": which.symbol}
    for name, value in wanted.items():
        if value is not None:
            statement = statement.where(trades.c[name] == value)
    if which.since_ms is not None:
        statement = statement.where(or_(trades.c.closed_at.is_(None), trades.c.closed_at >= which.since_ms))
    if which.closed_on is not None:
        begins_ms = int(datetime.fromisoformat(which.closed_on).replace(tzinfo=UTC).timestamp()) * 1000
        statement = statement.where(trades.c.closed_at >= begins_ms, trades.c.closed_at < begins_ms + _DAY_MS)
    return statement


def open_trades(connection: Connection, account: str | None = None) -> list[Trade]:
    """All that are open, of one account or of all."""
    is_open: ColumnElement[bool] = trades.c.closed_at.is_(None)
    statement = select(trades.c.body).where(is_open if account is None else is_open & (trades.c.account == account))
    return [from_json(Trade, body) for body in connection.scalars(statement)]


def coins_since(connection: Connection, account: str, since_ms: int) -> tuple[list[LedgerEntry], list[Row[Any]]]:
    """What is booked of coins since then, with what it gained; and the fills of orders that are not booked yet."""
    is_coins, own = bookings.c.category == Category.SPOT, bookings.c.account == account
    rows = connection.execute(select(bookings).where(own, is_coins, bookings.c.at >= since_ms)).all()
    booked = [replace(from_json(LedgerEntry, row.entry), realised=row.realised) for row in rows]
    lacking = (
        select(fills, orders.c.category, orders.c.symbol, orders.c.side)
        .join(orders, orders.c.client_order_id == fills.c.client_order_id)
        .where(orders.c.account == account, orders.c.category == Category.SPOT, orders.c.updated_at >= since_ms)
        .where(fills.c.at >= since_ms, fills.c.exec_id.not_in([each.exec_id for each in booked]))
    )
    return booked, list(connection.execute(lacking).all())


def closed_trades(connection: Connection, since_ms: int, *, limit: int) -> list[Trade]:
    """The latest closed first."""
    statement = select(trades.c.body).where(trades.c.closed_at >= since_ms)
    found = connection.scalars(statement.order_by(trades.c.closed_at.desc(), trades.c.id.desc()).limit(limit))
    return [from_json(Trade, body) for body in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedTrades:
    """What trades came to that were closed, in one coin; `won`: with a net above zero."""

    coin: str
    trades: int
    won: int
    realised: Decimal
    fees: Decimal
    funding: Decimal

    @property
    def net(self) -> Decimal:
        return self.realised - self.fees - self.funding


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyResult(ClosedTrades):
    """A strategy's, on one account."""

    strategy: str
    account: str


def strategy_results(connection: Connection, since_ms: int, until_ms: int | None = None) -> list[StrategyResult]:
    """From the day of that moment on. `until_ms`: up to the day of that moment, without it."""
    sums: dict[tuple[str, str, str], _Sums] = {}
    statement = select(trade_totals).where(trade_totals.c.day >= day_of(since_ms))
    if until_ms is not None:
        statement = statement.where(trade_totals.c.day < day_of(until_ms))
    for row in connection.execute(statement):
        own = sums.setdefault((row.strategy, row.account, row.coin), _nothing())
        for name in _SUMS:
            own[name] += getattr(row, name)
    return [
        StrategyResult(strategy=strategy, account=account, coin=coin, **own)
        for (strategy, account, coin), own in sorted(sums.items())
        if any(own.values())
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyResult(ClosedTrades):
    """Those of a UTC day, of all accounts and strategies."""

    day: str


def daily_results(connection: Connection, since_ms: int) -> list[DailyResult]:
    """From the day of that moment on, the latest first."""
    sums: dict[tuple[str, str], _Sums] = {}
    for row in connection.execute(select(trade_totals).where(trade_totals.c.day >= day_of(since_ms))):
        own = sums.setdefault((row.day, row.coin), _nothing())
        for name in _SUMS:
            own[name] += getattr(row, name)
    found = [DailyResult(day=day, coin=coin, **own) for (day, coin), own in sorted(sums.items()) if any(own.values())]
    return sorted(found, key=lambda each: each.day, reverse=True)


_PRICE_PLACES: Final = Decimal("1E-8")


def _price(average: Decimal | None) -> str | None:
    """An average to eight places: more of it says nothing."""
    return None if average is None else plain(average.quantize(_PRICE_PLACES))


def shown_trade(trade: Trade) -> dict[str, Any]:
    """As the API shows it. `size`: the largest it was; `funding` is above zero where it was paid."""
    return {
        "id": trade.id,
        "account": trade.account,
        "strategy": trade.strategy,
        "symbol": trade.symbol,
        "category": trade.category.value,
        "side": "long" if trade.side is Side.BUY else "short",
        "status": "open" if trade.closed_at_ms is None else "closed",
        "opened_at": None if trade.opened_at_ms is None else rfc3339(trade.opened_at_ms),
        "closed_at": None if trade.closed_at_ms is None else rfc3339(trade.closed_at_ms),
        "size": plain(trade.size),
        "entry_price": _price(trade.entry_price),
        "exit_price": _price(trade.exit_price),
        "exit_reason": trade.exit_reason.value if trade.exit_reason else None,
        "realised": plain(trade.realised),
        "fees": plain(trade.fees),
        "fees_other": plain_by_coin(trade.fees_other),
        "funding": plain(trade.funding),
        "net": plain(trade.net),
        "net_usd": _price(trade.net_usd),
        "settle_coin": trade.settle_coin,
        "signals": list(trade.signals),
    }


TRADE_COLUMNS: Final = (
    *("id", "account", "strategy", "symbol", "category", "side", "status", "opened_at", "closed_at", "size"),
    *("entry_price", "exit_price", "exit_reason", "realised", "fees", "fees_other", "funding", "net", "net_usd"),
    *("settle_coin", "signals"),
)


def as_csv(shown: Iterable[Mapping[str, Any]]) -> str:
    """Trades as the API shows them; what is a list or by coin is words with blanks between."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(TRADE_COLUMNS)
    writer.writerows(trade_cells(each).values() for each in shown)
    return text.getvalue()


def trade_cells(shown: Mapping[str, Any]) -> dict[str, str]:
    return {name: _cell(shown[name]) for name in TRADE_COLUMNS}


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name} {amount}" for name, amount in value.items())
    return " ".join(value) if isinstance(value, list) else "" if value is None else str(value)


def plain_by_coin(amounts: Mapping[str, Decimal]) -> dict[str, str]:
    return {coin: plain(amount) for coin, amount in amounts.items()}
