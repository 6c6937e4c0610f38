"""The pages with a long journal and many trades behind them, beside a short one."""

from __future__ import annotations

import itertools
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests

from relay.domain.instrument import Category
from relay.domain.order import Side
from relay.domain.trades import ExitReason, Trade
from relay.journal.ledger import DAY_MS, HOUR_MS
from relay.journal.records import to_json
from tests.bench.figures import Figure, figure, percentile
from tests.bench.rate import APART_MS, fill
from tests.bench.rig import Rig
from tests.relay_process import ADMIN_TOKEN, RelayProcess

PAGES = {
    "overview": "/",
    "signal list": "/signals",
    "signal list by strategy": "/signals?strategy=default",
    "signal list by outcome": "/signals?status=done",
    "signal list by symbol": "/signals?symbol=SYM7USDT",
    "signal list by text": "/signals?text=no-such-words",
    "trades": "/trades",
    "trades by strategy": "/trades?strategy=default",
    "trades by symbol": "/trades?symbol=SYM7USDT",
    "performance": "/performance",
    "performance, 90 days": "/performance?days=90",
    "equity's chart": "/live/equity",
    "profit's chart": "/live/profit",
}
_SHORT = 1_000
_TRADES_SHARE = 5
"""One trade for so many signals."""
_APART_MS = APART_MS * _TRADES_SHARE


def pages(folder: Path, rows: int, count: int) -> list[Figure]:
    """The time of each page at `rows` signals and a fifth as many trades, and at a thousand of each, in turns; and what
    of the processor's time it took, which does not depend on who else uses it."""
    trades = rows // _TRADES_SHARE
    with _filled(folder / "short", _SHORT, _SHORT) as short, _filled(folder / "long", rows, trades) as long:
        times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in PAGES}
        used: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in PAGES}
        browsers = [(made.relay, _logged_in(made.relay.url)) for made in (short, long)]
        for number, (name, path) in itertools.product(range(count + 3), PAGES.items()):
            for found, cpu, (relay, browser) in zip(times[name], used[name], browsers, strict=True):
                cpu_begun, begun = _cpu_ms(relay), time.perf_counter()
                answer = browser.get(relay.url + path, timeout=60)
                assert answer.status_code == 200 and "/login" not in answer.url, answer.url
                if number >= 3:
                    found.append((time.perf_counter() - begun) * 1000)
                    cpu.append(_cpu_ms(relay) - cpu_begun)
        for _, browser in browsers:
            browser.close()
    case = f"at {rows:,} signals, {trades:,} trades"
    figures: list[Figure] = []
    for name in PAGES:
        few, many = (percentile(each, 0.5) for each in used[name])
        note = f"processor {many:.1f} ms, beside {few:.1f}"
        figures.append(
            figure(f"{name} {case}", times[name][1], limit="1,000 of each", beside=times[name][0], note=note)
        )
    return figures


def _cpu_ms(relay: RelayProcess) -> float:
    """Of all its threads."""
    threads = (each for pid in relay.pids() for each in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(int(each.read_text().split()[0]) for each in threads) / 1e6


@contextmanager
def _filled(folder: Path, rows: int, trades: int) -> Iterator[Rig]:
    made = Rig(folder)
    try:
        made.start()
        made.relay.stop()
        fill(folder / "relay.db", rows)
        fill_trades(folder / "relay.db", trades)
        made.start()
        yield made
    finally:
        made.close()


def _logged_in(url: str) -> requests.Session:
    browser = requests.Session()
    form = browser.get(f"{url}/login", timeout=20).text
    token = form.split('name="csrf_token" value="')[1].split('"')[0]
    browser.post(f"{url}/login", data={"password": ADMIN_TOKEN, "csrf_token": token}, timeout=20)
    return browser


def fill_trades(journal: Path, trades: int) -> None:
    """A year of them, each with two executions and fills; sums and a month of equity, whatever their number."""
    now_ms = int(time.time() * 1000)
    closed = [(number, now_ms - _APART_MS * (trades - number)) for number in range(trades)]
    connection = sqlite3.connect(journal)
    with connection:
        connection.execute("PRAGMA synchronous=OFF")
        for statement, rows in (
            (_TRADE, (_trade(number, at_ms) for number, at_ms in closed)),
            (_BOOKING, (each for number, at_ms in closed for each in _bookings(number, at_ms))),
            (_TOTAL, _totals(now_ms)),
            (_DAY, ((_day(now_ms - back * DAY_MS), "24") for back in range(3, 90))),
            (_HOUR, ((now_ms - now_ms % DAY_MS - back * HOUR_MS,) for back in range(49, 87 * 24))),
            (_EQUITY, ((now_ms - back * HOUR_MS,) for back in range(1, 30 * 24))),
        ):
            connection.executemany(statement, rows)
        connection.execute(_FILLS, (2 * trades,))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


_TRADE = (
    "INSERT INTO trades (id, account, strategy, category, symbol, at, closed_at, body) "
    "VALUES (?,'default',?,'linear',?,?,?,?)"
)
_BOOKING = (
    "INSERT INTO bookings (account, exec_id, coin, realised, fee, funding, at, category, symbol, seq, entry) "
    "VALUES ('default',?,'USDT','0','0.01','0',?,'linear',?,0,'{}')"
)
_TOTAL = (
    "INSERT INTO trade_totals (account, strategy, coin, day, trades, won, realised, fees, funding) "
    "VALUES ('default',?,'USDT',?,200,90,'1000','200','1')"
)
_DAY = (
    "INSERT INTO day_totals (account, day, coin, realised, fees, funding) VALUES ('default',?,'USDT',?,'0','0') "
    "ON CONFLICT DO NOTHING"
)
_HOUR = "INSERT INTO booked_sums (account, at, coin, amount) VALUES ('default',?,'USDT','1') ON CONFLICT DO NOTHING"
_EQUITY = (
    "INSERT INTO equity_points (account, at, coin, equity, unrealised, usd) VALUES ('default',?,'USDT','9','0','9')"
)
_FILLS = (
    "INSERT INTO fills (account, exec_id, client_order_id, qty, price, fee, fee_coin, is_maker, at) "
    "SELECT account, 'x' || client_order_id, client_order_id, qty, '100', '0.01', 'USDT', 0, created_at FROM orders "
    "ORDER BY rowid DESC LIMIT ?"
)
_STRATEGIES = ("default", "trend", "by hand")


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).date().isoformat()


def _totals(now_ms: int) -> Iterator[tuple[str, str]]:
    return ((strategy, _day(now_ms - back * DAY_MS)) for strategy in _STRATEGIES for back in range(90))


def _trade(number: int, at_ms: int) -> tuple[Any, ...]:
    trade = Trade(
        id=f"{number:012x}",
        account="default",
        strategy=_STRATEGIES[number % len(_STRATEGIES)],
        category=Category.LINEAR,
        symbol=f"SYM{number % 10}USDT",
        settle_coin="USDT",
        side=Side.BUY,
        first_at_ms=at_ms - 900,
        opened_at_ms=at_ms - 900,
        closed_at_ms=at_ms,
        size=Decimal("0.01"),
        entry_qty=Decimal("0.01"),
        entry_value=Decimal(1),
        exit_qty=Decimal("0.01"),
        exit_value=Decimal("1.02"),
        exit_reason=ExitReason.ALERT,
        realised=Decimal("0.02"),
        fees=Decimal("0.001"),
    )
    return trade.id, trade.strategy, trade.symbol, trade.first_at_ms, at_ms, json.dumps(to_json(trade))


def _bookings(number: int, at_ms: int) -> list[tuple[Any, ...]]:
    return [(f"{number}-{leg}", at_ms - 900 * (1 - leg), f"SYM{number % 10}USDT") for leg in range(2)]
