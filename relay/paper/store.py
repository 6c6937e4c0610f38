"""The exchange's SQLite file, held by one process at a time, and its entities as JSON text."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from relay.paper import wire
from relay.paper.orders import (
    Execution,
    Exits,
    Order,
    OrderType,
    Side,
    Status,
    StopKind,
    TimeInForce,
    Transaction,
    TriggerBy,
)
from relay.paper.state import STORED_MS, Candle, Changes, Instrument, Position, Quote, State, Wallet

# The state's entities as JSON text and back, exactly: decimals keep their digits.


_Entity = TypeVar("_Entity", Exits, Order, Position, Quote)
_NAMES = {kind: tuple(field.name for field in fields(kind)) for kind in (Exits, Order, Position, Quote)}


def _encode(value: object) -> object:
    if isinstance(value, Decimal):
        return {"$": str(value)}
    if isinstance(value, Exits):
        return _values(value)
    raise TypeError(f"cannot keep a {type(value).__name__}")


def _decode(found: dict[str, Any]) -> Any:
    return Decimal(found["$"]) if "$" in found else found


def _values(entity: _Entity) -> dict[str, Any]:
    return {name: getattr(entity, name) for name in _NAMES[type(entity)]}


def dump(entity: _Entity) -> str:
    """The entity as JSON."""
    return json.dumps(_values(entity), default=_encode, separators=(",", ":"))


def _load(text: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(text, object_hook=_decode)
    return loaded


def _exits(found: Mapping[str, Any]) -> Exits:
    return Exits(
        **{
            **found,
            "tp_trigger_by": TriggerBy(found["tp_trigger_by"]),
            "sl_trigger_by": TriggerBy(found["sl_trigger_by"]),
        }
    )


def order_from(text: str) -> Order:
    """What `dump` made of an order."""
    found = _load(text)
    words: dict[str, Callable[[Any], Any]] = {
        "side": Side,
        "order_type": OrderType,
        "time_in_force": TimeInForce,
        "status": Status,
        "stop_kind": StopKind,
        "trigger_by": TriggerBy,
        "exits": _exits,
    }
    return Order(**{name: words[name](value) if name in words else value for name, value in found.items()})


def position_from(text: str) -> Position:
    """What `dump` made of a position."""
    return Position(**_load(text))


def quote_from(text: str) -> Quote:
    """What `dump` made of a quote."""
    return Quote(**_load(text))


SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY, category TEXT NOT NULL, symbol TEXT NOT NULL, base_coin TEXT NOT NULL,
    settle_coin TEXT NOT NULL, link_id TEXT NOT NULL, is_open INTEGER NOT NULL, seq INTEGER NOT NULL,
    created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, has_fill INTEGER NOT NULL,
    has_closed INTEGER NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS orders_link ON orders (link_id) WHERE link_id <> '';
CREATE INDEX IF NOT EXISTS orders_seq ON orders (category, seq);
CREATE INDEX IF NOT EXISTS orders_open ON orders (is_open) WHERE is_open = 1;
CREATE TABLE IF NOT EXISTS executions (
    id TEXT PRIMARY KEY, category TEXT NOT NULL, symbol TEXT NOT NULL, base_coin TEXT NOT NULL,
    settle_coin TEXT NOT NULL, order_id TEXT NOT NULL, link_id TEXT NOT NULL, kind TEXT NOT NULL,
    seq INTEGER NOT NULL, at_ms INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS executions_order ON executions (order_id);
CREATE INDEX IF NOT EXISTS executions_link ON executions (link_id);
CREATE INDEX IF NOT EXISTS executions_seq ON executions (category, seq);
CREATE TABLE IF NOT EXISTS transactions (
    seq INTEGER PRIMARY KEY, category TEXT NOT NULL, coin TEXT NOT NULL, base_coin TEXT NOT NULL, type TEXT NOT NULL,
    at_ms INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS transactions_at ON transactions (at_ms);
CREATE TABLE IF NOT EXISTS positions (symbol TEXT NOT NULL, idx INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (symbol, idx));
CREATE TABLE IF NOT EXISTS wallets (coin TEXT PRIMARY KEY, balance TEXT NOT NULL, realised TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS quotes (symbol TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS minutes (symbol TEXT NOT NULL, at_ms INTEGER NOT NULL, open TEXT NOT NULL,
    high TEXT NOT NULL, low TEXT NOT NULL, close TEXT NOT NULL, PRIMARY KEY (symbol, at_ms)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, body TEXT NOT NULL);
"""
WIPE = """
BEGIN;
DELETE FROM orders; DELETE FROM executions; DELETE FROM transactions; DELETE FROM positions;
DELETE FROM wallets; DELETE FROM quotes; DELETE FROM minutes; DELETE FROM settings;
COMMIT;
"""

LOCK_WAIT_S = 2.0


class Store:
    """One file, one connection; calls may come from any thread. Raises sqlite3.Error if another process holds it."""

    def __init__(self, path: Path | str) -> None:
        self._lock = threading.Lock()
        if str(path) != ":memory:":
            # Readable by its owner only; SQLite gives what it makes beside the file the same mode.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=LOCK_WAIT_S)
        self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")
        self._log_what_was_before()

    def _log_what_was_before(self) -> None:
        """A file of before there was a transaction log: what its executions did, whose fees were in the settle coin."""
        if self._all("SELECT 1 FROM transactions LIMIT 1"):
            return
        rows = self._all("SELECT seq, category, settle_coin, base_coin, kind, at_ms, body FROM executions")
        logged = [(*row[:4], wire.LOGGED.get(row[4], "DELIVERY"), row[5], _logged(row[2], row[6])) for row in rows]
        self._db.executemany("INSERT INTO transactions VALUES (?,?,?,?,?,?,?)", logged)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def wipe(self) -> None:
        """Empties the file."""
        with self._lock:
            self._db.executescript(WIPE)

    def write(self, changes: Changes, instruments: Mapping[str, Instrument]) -> None:
        """One transaction; durable when this returns."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._write(changes, instruments)
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _write(self, changes: Changes, instruments: Mapping[str, Instrument]) -> None:
        put = self._db.executemany
        put(
            "INSERT OR REPLACE INTO orders VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            [_order_row(order, instruments[order.symbol]) for order in changes.orders.values()],
        )
        put(
            "INSERT INTO executions VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            [_execution_row(fill, instruments[fill.order.symbol]) for fill in changes.executions],
        )
        put(
            "INSERT INTO transactions VALUES (?,?,?,?,?,?,?)",
            [_transaction_row(each, instruments[each.execution.order.symbol]) for each in changes.transactions],
        )
        put(
            "INSERT OR REPLACE INTO positions VALUES (?,?,?)",
            [(found.symbol, found.idx, dump(found)) for found in changes.positions.values()],
        )
        put(
            "INSERT OR REPLACE INTO wallets VALUES (?,?,?)",
            [(found.coin, str(found.balance), str(found.realised)) for found in changes.wallets.values()],
        )
        put(
            "INSERT OR REPLACE INTO quotes VALUES (?,?)",
            [(symbol, dump(found)) for symbol, found in changes.quotes.items()],
        )
        put(
            "INSERT OR REPLACE INTO minutes VALUES (?,?,?,?,?,?)",
            [(symbol, each.begins_ms, *_prices(each)) for symbol, each in changes.minutes.items()],
        )
        put(
            "DELETE FROM minutes WHERE symbol = ? AND at_ms < ?",
            [(symbol, each.begins_ms - STORED_MS) for symbol, each in changes.minutes.items()],
        )
        put(
            "INSERT OR REPLACE INTO settings VALUES (?,?)",
            [(f"hedge:{symbol}", json.dumps(hedge)) for symbol, hedge in changes.modes.items()],
        )

    def restore(self, state: State) -> None:
        """Brings a new state to where the file left off. Symbols no longer listed are left out."""
        known = state.instruments
        for symbol, body in self._all("SELECT symbol, body FROM quotes"):
            if symbol in known:
                state.quotes[symbol] = quote_from(body)
        for symbol, *minute in self._all(
            "SELECT symbol, max(at_ms), open, high, low, close FROM minutes GROUP BY symbol"
        ):
            state.minutes[symbol] = _minute(minute)
        for symbol, idx, body in self._all("SELECT symbol, idx, body FROM positions"):
            if symbol in known:
                state.positions[(symbol, idx)] = position_from(body)
        for coin, balance, realised in self._all("SELECT coin, balance, realised FROM wallets"):
            state.wallets[coin] = Wallet(coin=coin, balance=Decimal(balance), realised=Decimal(realised))
        for (body,) in self._all("SELECT body FROM orders WHERE is_open = 1 ORDER BY seq"):
            order = order_from(body)
            if order.symbol in known:
                state.open_orders[order.symbol][order.id] = order
        state.links.update(self._all("SELECT link_id, id FROM orders WHERE link_id <> ''"))
        for name, body in self._all("SELECT name, body FROM settings WHERE name LIKE 'hedge:%'"):
            (state.hedged.add if json.loads(body) else state.hedged.discard)(name.partition(":")[2])
        tops = self._all(
            "SELECT max(seq) FROM orders UNION ALL SELECT max(seq) FROM executions "
            "UNION ALL SELECT max(seq) FROM transactions"
        )
        state.seq = max(top or 0 for (top,) in tops)

    def minutes(self, symbol: str, since_ms: int, until_ms: int) -> list[Candle]:
        """Those in which its price moved, in order, and the last one before."""
        columns = "SELECT at_ms, open, high, low, close FROM minutes WHERE symbol = ?"
        before = self._all(f"{columns} AND at_ms < ? ORDER BY at_ms DESC LIMIT 1", (symbol, since_ms))  # noqa: S608
        rows = self._all(f"{columns} AND at_ms >= ? AND at_ms <= ? ORDER BY at_ms", (symbol, since_ms, until_ms))  # noqa: S608
        return [_minute(row) for row in (*before, *rows)]

    def setting(self, name: str) -> Any:
        """A setting's value, or None."""
        found = self._all("SELECT body FROM settings WHERE name = ?", (name,))
        return json.loads(found[0][0]) if found else None

    def set_setting(self, name: str, value: object) -> None:
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO settings VALUES (?,?)", (name, json.dumps(value)))

    def orders(self, where: Mapping[str, object], *, before_seq: int | None, limit: int) -> list[Order]:
        """Orders that match every column of `where`, newest first."""
        rows = self._page("orders", where, before_seq, limit)
        return [order_from(body) for _, body in rows]

    def executions(
        self, where: Mapping[str, object], *, before_seq: int | None, limit: int
    ) -> list[tuple[int, dict[str, Any]]]:
        """(seq, execution as V5 shows it), newest first."""
        return [(seq, json.loads(body)) for seq, body in self._page("executions", where, before_seq, limit)]

    def transactions(
        self, where: Mapping[str, object], *, before_seq: int | None, limit: int
    ) -> list[tuple[int, dict[str, Any]]]:
        """(seq, row of the transaction log as V5 shows it), newest first."""
        return [(seq, json.loads(body)) for seq, body in self._page("transactions", where, before_seq, limit)]

    def _page(
        self, table: str, where: Mapping[str, object], before_seq: int | None, limit: int
    ) -> list[tuple[int, str]]:
        clauses = [column if "?" in column else f"{column} = ?" for column in where]
        values = list(where.values())
        if before_seq is not None:
            clauses.append("seq < ?")
            values.append(before_seq)
        # Column names come from this package's own constants; every value is bound.
        query = f"SELECT seq, body FROM {table} WHERE {' AND '.join(clauses)} ORDER BY seq DESC LIMIT ?"  # noqa: S608
        return self._all(query, (*values, limit))

    def _all(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        with self._lock:
            return self._db.execute(query, values).fetchall()


def _prices(minute: Candle) -> tuple[str, str, str, str]:
    return str(minute.open), str(minute.high), str(minute.low), str(minute.close)


def _minute(row: Sequence[Any]) -> Candle:
    at_ms, *prices = row
    names = ("open", "high", "low", "close")
    return Candle(begins_ms=at_ms, **{name: Decimal(price) for name, price in zip(names, prices, strict=True)})


def _order_row(order: Order, instrument: Instrument) -> tuple[object, ...]:
    return (
        order.id,
        order.category,
        order.symbol,
        instrument.base_coin,
        instrument.settle_coin,
        order.link_id,
        order.is_open,
        order.seq,
        order.created_ms,
        order.updated_ms,
        bool(order.cum_qty),
        bool(order.closed_qty),
        dump(order),
    )


def _execution_row(fill: Execution, instrument: Instrument) -> tuple[object, ...]:
    return (
        fill.id,
        fill.order.category,
        fill.order.symbol,
        instrument.base_coin,
        instrument.settle_coin,
        fill.order.id,
        fill.order.link_id,
        fill.kind,
        fill.seq,
        fill.at_ms,
        json.dumps(_as_listed(wire.execution(fill, instrument)), separators=(",", ":")),
    )


def _as_listed(row: dict[str, Any]) -> dict[str, Any]:
    """Where the stream has a list, `/v5/execution/list` has text."""
    return row if not row["extraFees"] else {**row, "extraFees": json.dumps(row["extraFees"])}


def _logged(coin: str, body: str) -> str:
    """An execution's row as one of the transaction log."""
    row = json.loads(body)
    fee, flow, funds = Decimal(row["execFee"] or 0), Decimal(row["execPnl"] or 0), row["execType"] == "Funding"
    named = {name: row[name] for name in ("symbol", "side", "orderId", "orderLinkId", "feeRate")}
    amounts = {
        "funding": wire.plain(-fee) if funds else "",
        "fee": "0" if funds else wire.plain(fee),
        "cashFlow": wire.plain(flow),
        "change": wire.plain(flow - fee),
        "cashBalance": "",
    }
    return json.dumps(
        {
            **{"id": f"before {row['execId']}", "category": "inverse" if coin not in ("USDT", "USDC") else "linear"},
            **{"type": wire.LOGGED.get(row["execType"], "DELIVERY"), "transactionTime": row["execTime"]},
            **{"currency": coin, "qty": row["execQty"], "tradePrice": row["execPrice"], "tradeId": row["execId"]},
            **named,
            **amounts,
        }
    )


def _transaction_row(made: Transaction, instrument: Instrument) -> tuple[object, ...]:
    row = wire.transaction(made, instrument)
    return (
        made.seq,
        instrument.category,
        made.coin,
        instrument.base_coin,
        row["type"],
        made.execution.at_ms,
        json.dumps(row, separators=(",", ":")),
    )
