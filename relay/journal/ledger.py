"""The accounts' money as the exchange reported it: transactions, their totals by day, and equity over time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Row,
    Update,
    bindparam,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)

from relay.domain.instrument import Category
from relay.domain.performance import DayTotal, Equity
from relay.domain.signal import first_id_at
from relay.domain.trades import LedgerEntry, Trade
from relay.journal.statements import fetch_among
from relay.journal.store import Store, hold, locks_on
from relay.journal.tables import booked_sums, booked_until, bookings, day_totals, equity_points, fills, orders
from relay.journal.trades import (
    DailyResult,
    StrategyResult,
    TradeFilter,
    add_to,
    book_trades,
    closed_trades,
    daily_results,
    day_of,
    executions,
    find_trade,
    find_trades,
    in_batches,
    open_trades,
    reckoned_entries,
    strategy_results,
    trades_between,
    without_owners_coins,
)

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
BOOKABLE_MS: Final = 30 * DAY_MS
"""What is older is not booked any more, so that nothing counts again once its execution is forgotten."""
_STORED_MS: Final = 90 * DAY_MS
_ALL_MS: Final = 7 * DAY_MS
"""Every point is kept for so long, then the last of each hour, and after `_STORED_MS` the last of each day."""
_REWIND_MS: Final = 8 * DAY_MS
"""So late an execution may come and still be put into its place."""
_BATCH: Final = 500
_DEADLINE_S: Final = 10.0
_FEES_APART: Final = Decimal("0.99")
"""Of coins that are bought a fee may take a part."""
_NOT: Final = (None, Decimal(0))
"""Of what is not booked yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountResult:
    """All that executions did to one coin of an account, and what its transaction log says of the same time.

    `booked` None: the log could not be read, or not since the last execution.
    """

    account: str
    coin: str
    net: Decimal
    booked: Decimal | None


def start_of_day(at_ms: int) -> int:
    """Of the UTC day."""
    return at_ms - at_ms % DAY_MS


class Ledger:
    """All methods may be called from any thread. Times are Unix milliseconds. Raises JournalUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def book(self, account: str, reported: Sequence[LedgerEntry], *, until_ms: int | None = None, now_ms: int) -> int:
        """How many of them are new: each counts once. `until_ms`: everything before that is booked with these."""
        recent = [each for each in reported if each.at_ms > now_ms - BOOKABLE_MS]
        return self._book(account, recent, until_ms=until_ms)

    def begin(
        self,
        account: str,
        reported: Sequence[LedgerEntry],
        *,
        since_ms: int | None = None,
        until_ms: int | None = None,
    ) -> int:
        """The first time, with all that is still known, however old. It has begun with `since_ms`: from then on trades
        are kept."""
        return self._book(account, reported, until_ms=until_ms, since_ms=since_ms)

    def _book(
        self, account: str, reported: Sequence[LedgerEntry], *, until_ms: int | None, since_ms: int | None = None
    ) -> int:
        def work(connection: Connection) -> int:
            _hold(connection, account)
            ours = without_owners_coins(connection, account, reported)
            known = _known(connection, account, ours)
            new = list({each.exec_id: each for each in ours if known.get(each.exec_id, _NOT)[0] is None}.values())
            if new:
                # What the account's days come to is proven by the transaction log, which tells nothing of coins.
                of_positions = [each for each in new if each.category.has_positions]
                book_trades(connection, account, [each for each in new if not each.category.has_positions], {})
                uncounted = {each.exec_id: each for each in of_positions if each.exec_id not in known}
                counted = {each.exec_id: known[each.exec_id][1] for each in of_positions if each.exec_id in known}
                results = book_trades(connection, account, of_positions, counted)
                _add_up(connection, account, uncounted, _counted(connection, account, results, uncounted))
            if until_ms is not None:
                _keep_until(connection, account, until_ms, since_ms)
            return sum(each.exec_id not in known for each in new)

        return self._store.submit(work, deadline_s=_DEADLINE_S)

    def began(self, account: str) -> int | None:
        """From when on its trades are kept; None before the first time."""
        with self._store.read() as connection:
            statement = select(booked_until.c.since).where(booked_until.c.account == account)
            since: int | None = connection.execute(statement).scalar()
        return since

    def own_fills(self, account: str) -> list[Row[Any]]:
        """Every fill of the relay's own orders that the journal has, with `category`, `symbol` and `side`."""
        with self._store.read() as connection:
            statement = (
                select(fills, orders.c.category, orders.c.symbol, orders.c.side)
                .join(orders, orders.c.client_order_id == fills.c.client_order_id)
                .where(fills.c.account == account)
            )
            return list(connection.execute(statement).all())

    def lacks_coins(self, account: str, since_ms: int) -> bool:
        """Whether more of an order of coins was filled since then than is booked, fees apart: no transaction log tells.

        Of orders that are at most a day older.
        """
        which = (orders.c.account == account) & (orders.c.category == Category.SPOT) & (orders.c.updated_at >= since_ms)
        begun = orders.c.client_order_id >= first_id_at(since_ms - DAY_MS)
        with self._store.read() as connection:
            filled = connection.execute(select(orders).where(which, begun, orders.c.filled_qty != Decimal(0))).all()
            of_orders = (bookings.c.category == Category.SPOT) & bookings.c.symbol.in_({each.symbol for each in filled})
            since = (bookings.c.account == account) & (bookings.c.at >= since_ms - DAY_MS)
            booked: defaultdict[str, Decimal] = defaultdict(Decimal)
            for row in connection.execute(select(bookings.c.entry).where(of_orders, since)) if filled else ():
                booked[row.entry.get("client_order_id", "")] += Decimal(row.entry["qty"])
        return any(booked[each.client_order_id] < each.filled_qty * _FEES_APART for each in filled)

    # The exchange's own transaction log, which proves the ledger.

    def log_until(self, account: str) -> int | None:
        """Up to when it was read, by the exchange's clock; None where it never was."""
        with self._store.read() as connection:
            statement = select(booked_until.c.log_until).where(booked_until.c.account == account)
            until: int | None = connection.execute(statement).scalar()
        return until

    def take_log(
        self,
        account: str,
        sums: Mapping[tuple[int, str], Decimal],
        results: Mapping[tuple[str, str], Decimal],
        *,
        from_ms: int,
        until_ms: int,
    ) -> None:
        """What was booked in each hour and coin, in place of what is known from `from_ms` on.

        `results`: what executions gained, by their id and coin; those that did not say it themselves are put right.
        """

        with self._store.read() as connection:
            reckoned, counted = reckoned_entries(connection, account, results)

        def work(connection: Connection) -> None:
            _hold(connection, account)
            changed = book_trades(connection, account, reckoned, counted)
            _add_up(connection, account, {}, _counted(connection, account, changed, {}))
            which = (booked_sums.c.account == account) & (booked_sums.c.at >= from_ms)
            connection.execute(delete(booked_sums).where(which))
            rows = [{"account": account, "at": at, "coin": coin, "amount": sum_} for (at, coin), sum_ in sums.items()]
            if rows:
                connection.execute(insert(booked_sums), rows)
            connection.execute(update(booked_until).where(booked_until.c.account == account).values(log_until=until_ms))

        self._store.submit(work, deadline_s=_DEADLINE_S)

    # Trades.

    def trades(
        self, which: TradeFilter, *, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[Trade], str | None]:
        """The latest begun first, and the next page's cursor. ValueError if `cursor` is none."""
        with self._store.read() as connection:
            return find_trades(connection, which, limit=limit, cursor=cursor)

    def trade(self, trade: str) -> Trade | None:
        """The one of that id."""
        with self._store.read() as connection:
            return find_trade(connection, trade)

    def executions(
        self, account: str, category: Category, symbol: str, since_ms: int, until_ms: int, *, limit: int
    ) -> list[tuple[LedgerEntry, frozenset[str]]]:
        """What moved the symbol's position in that time, the earliest first, with the ids of the trades that it
        changed; at most the latest `limit`."""
        with self._store.read() as connection:
            return executions(connection, account, category, symbol, since_ms, until_ms, limit=limit)

    def trades_between(self, which: TradeFilter, since_ms: int, until_ms: int) -> list[Trade]:
        """Those that began in that time, the earliest first."""
        with self._store.read() as connection:
            return trades_between(connection, which, since_ms, until_ms)

    def open_trades(self, account: str | None = None) -> list[Trade]:
        """All that are open, of one account or of all."""
        with self._store.read() as connection:
            return open_trades(connection, account)

    def closed_trades(self, since_ms: int, *, limit: int) -> list[Trade]:
        """The latest closed first, of all accounts."""
        with self._store.read() as connection:
            return closed_trades(connection, since_ms, limit=limit)

    def strategy_results(self, since_ms: int) -> list[StrategyResult]:
        """Of all accounts, from the day of that moment on."""
        with self._store.read() as connection:
            return strategy_results(connection, since_ms)

    def daily_results(self, since_ms: int) -> list[DailyResult]:
        """Of all accounts, from the day of that moment on, the latest first."""
        with self._store.read() as connection:
            return daily_results(connection, since_ms)

    def account_results(self, since_ms: int) -> list[AccountResult]:
        """Of all accounts, from the day of that moment on, or since their trades are kept."""
        with self._store.read() as connection:
            accounts = connection.execute(select(booked_until).where(booked_until.c.since.is_not(None))).all()
            return [
                result
                for row in sorted(accounts, key=lambda row: str(row.account))
                for result in _account_results(connection, row, since_ms)
            ]

    def booked_until(self, account: str) -> int | None:
        """Returns None if nothing was ever read."""
        with self._store.read() as connection:
            return _until(connection, account)

    def add_equity(self, account: str, points: Sequence[Equity], *, apart_ms: int) -> bool:
        """Returns False if there is a point less than `apart_ms` before these, of another process or an earlier run."""

        def work(connection: Connection) -> bool:
            _hold(connection, account)
            last = select(func.max(equity_points.c.at)).where(equity_points.c.account == account)
            before: int | None = connection.execute(last).scalar()
            if not points or (before is not None and points[0].at_ms - before < apart_ms):
                return False
            connection.execute(insert(equity_points), [_equity_row(account, each) for each in points])
            return True

        return self._store.submit(work, deadline_s=_DEADLINE_S)

    def equity(self, account: str, since_ms: int) -> list[Equity]:
        """The oldest first."""
        with self._store.read() as connection:
            return _equity(connection, account, equity_points.c.at >= since_ms)

    def equity_at(self, account: str, at_ms: int) -> list[Equity]:
        """As it was last looked at until then; before the first look, as that found it."""
        looks, own = equity_points.c.at, equity_points.c.account == account
        with self._store.read() as connection:
            at = connection.scalar(select(func.max(looks)).where(own, looks <= at_ms))
            if at is None:
                at = connection.scalar(select(func.min(looks)).where(own))
            return [] if at is None else _equity(connection, account, looks == at)

    def days(self, account: str, since_ms: int) -> list[DayTotal]:
        """The oldest first, from the day of that moment on."""
        which = (day_totals.c.account == account) & (day_totals.c.day >= day_of(since_ms))
        with self._store.read() as connection:
            statement = select(day_totals).where(which).order_by(day_totals.c.day, day_totals.c.coin)
            return [
                DayTotal(
                    day=row.day,
                    coin=row.coin,
                    realised=row.realised,
                    fees=row.fees,
                    funding=row.funding,
                    fees_other=_decimals(row.fees_other),
                )
                for row in connection.execute(statement)
            ]

    def thin(self, now_ms: int) -> int:
        """Forget what is finer than it is of use; the totals of the days stay. How many rows went."""
        gone = self._thin(now_ms - _STORED_MS, now_ms - _ALL_MS, HOUR_MS) + self._thin(0, now_ms - _STORED_MS, DAY_MS)
        which = (bookings.c.at < now_ms - _REWIND_MS) & bookings.c.before.is_not(None)
        self._store.submit(
            partial(_execute, statement=update(bookings).where(which).values(before=None)), deadline_s=_DEADLINE_S
        )
        old = delete(bookings).where(bookings.c.at < now_ms - _STORED_MS)
        return gone + self._store.submit(partial(_execute, statement=old), deadline_s=_DEADLINE_S)

    def _thin(self, from_ms: int, until_ms: int, every_ms: int) -> int:
        columns = (equity_points.c.account, equity_points.c.coin, equity_points.c.at)
        which = (equity_points.c.at >= from_ms) & (equity_points.c.at < until_ms)
        with self._store.read() as connection:
            rows = connection.execute(select(*columns).where(which).order_by(equity_points.c.at)).all()
        last = {(row.account, row.coin, row.at // every_ms): row.at for row in rows}
        spare = [tuple(row) for row in rows if last[row.account, row.coin, row.at // every_ms] != row.at]
        for first in range(0, len(spare), _BATCH):
            gone = delete(equity_points).where(tuple_(*columns).in_(spare[first : first + _BATCH]))
            self._store.submit(partial(_execute, statement=gone), deadline_s=_DEADLINE_S)
        return len(spare)


def _equity(connection: Connection, account: str, which: ColumnElement[bool]) -> list[Equity]:
    statement = select(equity_points).where(equity_points.c.account == account, which)
    return [
        Equity(coin=row.coin, equity=row.equity, unrealised=row.unrealised, usd=row.usd, at_ms=row.at)
        for row in connection.execute(statement.order_by(equity_points.c.at, equity_points.c.coin))
    ]


def _execute(connection: Connection, statement: Delete | Update) -> int:
    return connection.execute(statement).rowcount


def _hold(connection: Connection, account: str) -> None:
    """Several processes add to the same totals; SQLite has one writer anyway."""
    if connection.dialect.name != "sqlite":
        hold(connection, locks_on(f"ledger {account}"))


def _known(
    connection: Connection, account: str, reported: Iterable[LedgerEntry]
) -> dict[str, tuple[str | None, Decimal]]:
    """Those that are booked, by id: of which symbol's trades, and with what result."""
    ids = (each.exec_id for each in reported)
    rows = fetch_among(connection, _BOOKED, bookings.c.exec_id, ids, {"of_account": account})
    return {row.exec_id: (row.symbol, row.realised) for row in rows}


_BOOKED: Final = select(bookings.c.exec_id, bookings.c.symbol, bookings.c.realised).where(
    bookings.c.account == bindparam("of_account")
)


def _counted(
    connection: Connection, account: str, results: Mapping[str, Decimal], new: Mapping[str, LedgerEntry]
) -> dict[tuple[str, str], Decimal]:
    """The results by day and coin: of new executions, and of those that were worked out anew."""
    sums: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    others = sorted(exec_id for exec_id, result in results.items() if result and exec_id not in new)
    places = {exec_id: (each.at_ms, each.coin) for exec_id, each in new.items()}
    for ids in in_batches(others):
        which = (bookings.c.account == account) & bookings.c.exec_id.in_(ids)
        places |= {row.exec_id: (row.at, row.coin) for row in connection.execute(select(bookings).where(which))}
    for exec_id, result in results.items():
        if exec_id in places:
            at_ms, coin = places[exec_id]
            sums[day_of(at_ms), coin] += result
    return dict(sums)


def _add_up(
    connection: Connection,
    account: str,
    new: Mapping[str, LedgerEntry],
    results: Mapping[tuple[str, str], Decimal],
) -> None:
    sums = {key: {"realised": result, "fees": Decimal(0), "funding": Decimal(0)} for key, result in results.items()}
    others: dict[tuple[str, str], dict[str, Decimal]] = {}
    for each in new.values():
        total = sums[day_of(each.at_ms), each.coin]
        total["fees"] += each.fee
        total["funding"] += each.funding
        other = others.setdefault((day_of(each.at_ms), each.coin), {})
        for coin, fee in each.fees_other.items():
            other[coin] = other.get(coin, Decimal(0)) + fee
    for (day, coin), total in sums.items():
        add_to(connection, day_totals, {"account": account, "day": day, "coin": coin}, total)
    for (day, coin), more in others.items():
        if more:
            which = _total(account, day, coin)
            known = _decimals(connection.execute(select(day_totals.c.fees_other).where(which)).scalar())
            summed = {each: known.get(each, Decimal(0)) + more.get(each, Decimal(0)) for each in known.keys() | more}
            connection.execute(update(day_totals).where(which).values(fees_other=summed))


def _decimals(stored: Mapping[str, str] | None) -> dict[str, Decimal]:
    return {coin: Decimal(amount) for coin, amount in sorted((stored or {}).items())}


def _total(account: str, day: str, coin: str) -> ColumnElement[bool]:
    return (day_totals.c.account == account) & (day_totals.c.day == day) & (day_totals.c.coin == coin)


def _account_results(connection: Connection, row: Row[Any], since_ms: int) -> list[AccountResult]:
    account, from_ms = row.account, max(start_of_day(since_ms), row.since)
    which = (day_totals.c.account == account) & (day_totals.c.day >= day_of(from_ms))
    net: defaultdict[str, Decimal] = defaultdict(Decimal)
    for day in connection.execute(select(day_totals).where(which)):
        net[day.coin] += day.realised - day.fees - day.funding
        for coin, fee in _decimals(day.fees_other).items():
            net[coin] -= fee
    booked: defaultdict[str, Decimal] = defaultdict(Decimal)
    of_log = (booked_sums.c.account == account) & (booked_sums.c.at >= from_ms)
    for each in connection.execute(select(booked_sums).where(of_log)):
        booked[each.coin] += each.amount
    # Of any account: for that there is an index by time, and since the log was read there is little.
    later = select(bookings.c.account).where(bookings.c.at >= (row.log_until or 0))
    is_read = row.log_until is not None and account not in connection.scalars(later)
    return [
        AccountResult(account=account, coin=coin, net=net[coin], booked=booked[coin] if is_read else None)
        for coin in sorted(net.keys() | booked.keys())
    ]


def _until(connection: Connection, account: str) -> int | None:
    at: int | None = connection.execute(select(booked_until.c.at).where(booked_until.c.account == account)).scalar()
    return at


def _keep_until(connection: Connection, account: str, until_ms: int, since_ms: int | None) -> None:
    known = _until(connection, account)
    if known is None:
        connection.execute(insert(booked_until), {"account": account, "at": until_ms, "since": since_ms})
        return
    which = update(booked_until).where(booked_until.c.account == account)
    if until_ms > known:
        connection.execute(which.values(at=until_ms))
    if since_ms is not None:
        connection.execute(which.values(since=since_ms))


def _equity_row(account: str, each: Equity) -> dict[str, Any]:
    return {
        "account": account,
        "at": each.at_ms,
        "coin": each.coin,
        "equity": each.equity,
        "unrealised": each.unrealised,
        "usd": each.usd,
    }
