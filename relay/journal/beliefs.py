"""What the relay believes each position to be: what the exchange last told, plus the relay's own fills since."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal

from sqlalchemy import Connection, and_, bindparam, insert, select, true, tuple_, update

from relay.domain.instrument import Category
from relay.domain.order import Side
from relay.domain.position import Fill
from relay.journal.prepared import first_of, run
from relay.journal.tables import beliefs

Lane = tuple[Category, str]
"""Of one account."""

_this = and_(
    beliefs.c.account == bindparam("of_account"),
    beliefs.c.category == bindparam("of_category"),
    beliefs.c.symbol == bindparam("of_symbol"),
)
_KNOWN = select(beliefs).where(_this).with_for_update()
_ADD, _CHANGE = insert(beliefs), update(beliefs).where(_this)


def add_fills(
    connection: Connection, account: str, category: Category, symbol: str, side: Side, fills: Sequence[Fill]
) -> None:
    """Fills older than the last observation were part of it already."""
    which = _of_lane(account, category, symbol)
    known = first_of(connection, _KNOWN, which)
    seen_until_ms = known.at if known else 0
    moved = side.sign * sum((fill.qty for fill in fills if fill.at_ms > seen_until_ms), Decimal(0))
    if known is None:
        row = {"account": account, "category": category, "symbol": symbol, "size": moved, "at": 0}
        run(connection, _ADD, row)
    elif moved:
        run(connection, _CHANGE, {"size": known.size + moved, **which})


def observe(
    connection: Connection, account: str, category: Category, symbol: str, size: Decimal, *, at_ms: int
) -> Decimal | None:
    """The exchange's own word, asked for at `at_ms` of its clock: what was believed, if that was something else."""
    which = _of_lane(account, category, symbol)
    known = first_of(connection, _KNOWN, which)
    if known is None:
        row = {"account": account, "category": category, "symbol": symbol, "size": size, "at": at_ms}
        run(connection, _ADD, row)
        return None
    run(connection, _CHANGE, {"size": size, "at": at_ms, **which})
    return None if known.size == size else known.size


def observe_all(
    connection: Connection, account: str, held: Mapping[Lane, Decimal], *, busy: Collection[Lane], at_ms: int
) -> dict[Lane, Decimal]:
    """The exchange's word on all of the account's positions at once, but for those of `busy`; what is not held is flat.

    What was believed of each that is something else. In a few statements, however many instruments there are.
    """
    rows = connection.execute(select(beliefs).where(beliefs.c.account == account).with_for_update()).all()
    known = {(row.category, row.symbol): row.size for row in rows}
    seen = {lane: held.get(lane, Decimal(0)) for lane in held.keys() | known.keys() if lane not in busy}
    differing = {lane: size for lane, size in seen.items() if known.get(lane) != size}
    others = [*differing, *busy]
    lane_of = tuple_(beliefs.c.category, beliefs.c.symbol)
    same = and_(beliefs.c.account == account, lane_of.not_in(others) if others else true())
    connection.execute(update(beliefs).where(same).values(at=at_ms))
    for (category, symbol), size in differing.items():
        observe(connection, account, category, symbol, size, at_ms=at_ms)
    return {lane: known[lane] for lane in differing if lane in known}


def believed(connection: Connection, account: str) -> dict[tuple[Category, str], Decimal]:
    """Every instrument of which the relay has an opinion, flat ones included."""
    rows = connection.execute(select(beliefs).where(beliefs.c.account == account))
    return {(row.category, row.symbol): row.size for row in rows}


def _of_lane(account: str, category: Category, symbol: str) -> dict[str, object]:
    return {"of_account": account, "of_category": category, "of_symbol": symbol}
