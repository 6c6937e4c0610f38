"""Positions: what the relay expects each to be (the exchange's last report and its own fills since), and the brackets
that protect them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, and_, bindparam, insert, select, true, tuple_, update

from relay.domain.bracket import Bracket
from relay.domain.instrument import PERPETUALS, Category
from relay.domain.order import Side
from relay.domain.position import Fill
from relay.domain.spot import SETTLED_MS, OwnCoins
from relay.journal.codec import from_json, to_json
from relay.journal.statements import fetch_all, fetch_first, run
from relay.journal.tables import IS_LIVE, beliefs, guards

Lane = tuple[Category, str]
"""Of one account."""

_this = and_(
    beliefs.c.account == bindparam("of_account"),
    beliefs.c.category == bindparam("of_category"),
    beliefs.c.symbol == bindparam("of_symbol"),
)
_EXPECTED = select(beliefs).where(_this).with_for_update()
_ADD, _CHANGE = insert(beliefs), update(beliefs).where(_this)


@dataclass(slots=True, eq=False)
class Positions:
    """The expected positions, within one transaction."""

    _connection: Connection

    def add_fills(self, account: str, category: Category, symbol: str, side: Side, fills: Sequence[Fill]) -> None:
        """Fills older than the last check were part of the position already. Of coins that are held all count."""
        if not category.has_positions:
            return self._hold(account, category, symbol, lambda before: before.after(fills, side))
        which = _of_lane(account, category, symbol)
        expected = fetch_first(self._connection, _EXPECTED, which)
        checked_until_ms = expected.at if expected else 0
        moved = side.sign * sum((fill.qty for fill in fills if fill.at_ms > checked_until_ms), Decimal(0))
        if expected is None:
            row = {"account": account, "category": category, "symbol": symbol, "size": moved, "at": 0}
            run(self._connection, _ADD, row)
        elif moved:
            run(self._connection, _CHANGE, {"size": expected.size + moved, **which})

    def count(self, account: str, category: Category, symbol: str, signed: Decimal) -> None:
        """So much more, or less, of the coins that are held is told of orders than their known fills come to."""
        if signed and not category.has_positions:
            self._hold(account, category, symbol, lambda old: replace(old, uncounted=old.uncounted + signed))

    def _hold(self, account: str, category: Category, symbol: str, change: Callable[[OwnCoins], OwnCoins]) -> None:
        which = _of_lane(account, category, symbol)
        row = fetch_first(self._connection, _EXPECTED, which)
        now = change(OwnCoins(symbol=symbol) if row is None else _holding(row))
        columns = {"size": now.size, "at": now.moved_at_ms, "fees": now.fees, "uncounted": now.uncounted}
        columns["avg_price"] = now.avg_price
        if row is None:
            run(self._connection, _ADD, {"account": account, "category": category, "symbol": symbol, **columns})
        else:
            run(self._connection, _CHANGE, {**columns, **which})

    def check(self, account: str, category: Category, symbol: str, size: Decimal, *, at_ms: int) -> Decimal | None:
        """Take the exchange's `size`, requested at `at_ms` of its clock. Returns what was expected, if it differs.

        Of coins that are held it only ever takes away, and only what is certainly gone: they are known by their fills.
        """
        if not category.has_positions:
            return self._check_held(account, category, symbol, size, at_ms)
        which = _of_lane(account, category, symbol)
        expected = fetch_first(self._connection, _EXPECTED, which)
        if expected is None:
            row = {"account": account, "category": category, "symbol": symbol, "size": size, "at": at_ms}
            run(self._connection, _ADD, row)
            return None
        run(self._connection, _CHANGE, {"size": size, "at": at_ms, **which})
        return None if expected.size == size else expected.size

    def _check_held(self, account: str, category: Category, symbol: str, size: Decimal, at_ms: int) -> Decimal | None:
        row = fetch_first(self._connection, _EXPECTED, _of_lane(account, category, symbol))
        if row is None or size >= row.size or at_ms <= row.at + SETTLED_MS or row.uncounted:
            return None
        self._hold(account, category, symbol, lambda before: replace(before, size=size))
        return Decimal(row.size)

    def check_all(
        self, account: str, held: Mapping[Lane, Decimal], *, busy: Collection[Lane], at_ms: int
    ) -> dict[Lane, Decimal]:
        """The same of all the account's positions at once, but for those of `busy`; what is not in `held` is flat.

        Returns what was expected of each that differs. In a few statements, however many instruments there are.
        """
        has_position = beliefs.c.category.in_(PERPETUALS)
        of_account = select(beliefs).where((beliefs.c.account == account) & has_position).with_for_update()
        expected = {(row.category, row.symbol): row.size for row in self._connection.execute(of_account)}
        sizes = {lane: held.get(lane, Decimal(0)) for lane in held.keys() | expected.keys() if lane not in busy}
        differing = {lane: size for lane, size in sizes.items() if expected.get(lane) != size}
        others = [*differing, *busy]
        lane_of = tuple_(beliefs.c.category, beliefs.c.symbol)
        same = and_(beliefs.c.account == account, has_position, lane_of.not_in(others) if others else true())
        self._connection.execute(update(beliefs).where(same).values(at=at_ms))
        checked = {lane: self.check(account, lane[0], lane[1], size, at_ms=at_ms) for lane, size in differing.items()}
        return {lane: before for lane, before in checked.items() if before is not None}


def expected_positions(connection: Connection, account: str) -> dict[Lane, Decimal]:
    """Every instrument whose position the relay knows, flat ones included; signed."""
    rows = connection.execute(select(beliefs).where(beliefs.c.account == account))
    return {(row.category, row.symbol): row.size for row in rows}


def holdings(connection: Connection, account: str) -> dict[str, OwnCoins]:
    """By symbol, the coins that are the relay's own, or are not certain."""
    rows = connection.execute(select(beliefs).where(beliefs.c.account == account))
    found = {row.symbol: _holding(row) for row in rows if not row.category.has_positions}
    return {symbol: each for symbol, each in found.items() if each.size or each.uncounted}


def _holding(row: Any) -> OwnCoins:
    return OwnCoins(
        symbol=row.symbol,
        size=row.size,
        fees=row.fees or Decimal(0),
        avg_price=row.avg_price,
        moved_at_ms=row.at,
        uncounted=row.uncounted or Decimal(0),
    )


def _of_lane(account: str, category: Category, symbol: str) -> dict[str, object]:
    return {"of_account": account, "of_category": category, "of_symbol": symbol}


# The brackets of positions: stored, and found again.


_LIVE = select(guards).where(IS_LIVE)
_LIVE_OF_ACCOUNT = _LIVE.where(guards.c.account == bindparam("of_account"))
_LIVE_OF_LANE = _LIVE_OF_ACCOUNT.where(
    guards.c.category == bindparam("of_category"),
    guards.c.symbol == bindparam("of_symbol"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BracketRecord:
    """A bracket as it is stored. `signal_id`, `generation`: whose orders its take profits are."""

    seq: int
    signal_id: str
    account: str
    generation: int
    category: Category
    symbol: str
    bracket: Bracket


@dataclass(slots=True, eq=False)
class Protection:
    """The brackets, within one transaction."""

    _connection: Connection

    def add(
        self,
        *,
        signal_id: str,
        account: str,
        generation: int,
        category: Category,
        symbol: str,
        bracket: Bracket,
        now_ms: int,
    ) -> None:
        """A new bracket; with the plan that it belongs to."""
        row = {
            "signal_id": signal_id,
            "account": account,
            "generation": generation,
            "category": category,
            "symbol": symbol,
            **_bracket_columns(bracket, now_ms),
        }
        self._connection.execute(insert(guards), row)

    def save(self, seq: int, bracket: Bracket, *, now_ms: int) -> None:
        """How a bracket stands now."""
        self._connection.execute(update(guards).where(guards.c.seq == seq).values(_bracket_columns(bracket, now_ms)))


def live_brackets(connection: Connection, account: str | None = None) -> tuple[BracketRecord, ...]:
    """Those that wait or are active, oldest first, of one account or of all."""
    if account is None:
        return _records(fetch_all(connection, _LIVE, {}))
    return _records(fetch_all(connection, _LIVE_OF_ACCOUNT, {"of_account": account}))


def live_brackets_of(
    connection: Connection, account: str, category: Category, symbol: str
) -> tuple[BracketRecord, ...]:
    """Those of one account and instrument, oldest first."""
    of_lane = {"of_account": account, "of_category": category, "of_symbol": symbol}
    return _records(fetch_all(connection, _LIVE_OF_LANE, of_lane))


def _bracket_columns(bracket: Bracket, now_ms: int) -> dict[str, Any]:
    return {"status": bracket.status, "guard": to_json(bracket), "updated_at": now_ms}


def _records(rows: Sequence[Any]) -> tuple[BracketRecord, ...]:
    """Sorted here, since for ORDER BY SQLite would pass over a partial index."""
    return tuple(
        BracketRecord(
            seq=row.seq,
            signal_id=row.signal_id,
            account=row.account,
            generation=row.generation,
            category=row.category,
            symbol=row.symbol,
            bracket=from_json(Bracket, row.guard),
        )
        for row in sorted(rows, key=lambda row: row.seq)
    )
