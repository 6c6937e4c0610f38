"""Hold what TradingView lets people download against the journal and the ledger."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from relay.alerts.signal import digest
from relay.domain.compare import (
    AlertOutcome,
    AlertVerdict,
    Arrival,
    Export,
    FiredAlert,
    ListedTrade,
    TradeComparison,
    UnreadableRow,
    best_zone,
    compare_trades,
    counted,
    judge_alerts,
    zone_of,
)
from relay.domain.instrument import plain
from relay.domain.order import Side, SignalStatus
from relay.domain.trades import Trade
from relay.journal.api_queries import DashboardQueries
from relay.journal.ledger import DAY_MS, Ledger
from relay.journal.records import rfc3339
from relay.journal.trades import TradeFilter

# What TradingView lets people download: its alerts log, and a strategy's list of trades, as CSV or XLSX.
#
# None of it is documented, and it comes in many languages: columns are told by what is in them. What cannot be read is
# named, and nothing is guessed silently.


ROWS_MAX: Final = 200_000
_COLUMNS_MIN: Final = 7
_UNPACKED_MAX: Final = 256 * 1024 * 1024
_ZIP: Final = b"PK\x03\x04"
_TICKER: Final = re.compile(r"[A-Z0-9_]+:[A-Z0-9._!]+(, .+)?", re.IGNORECASE)
_AT: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)")
_CHART: Final = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})[T ,]+(\d{1,2}):(\d\d)(?::(\d\d))?")
_DAY_FIRST: Final = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})[T ,]+(\d{1,2}):(\d\d)(?::(\d\d))?")
_BLANKS: Final = str.maketrans(dict.fromkeys("\u00a0\u202f\u2009 '’", ""))
_NUMBER: Final = re.compile(r"[+-]?[\d.,]*\d[\d.,]*")
_EXIT: Final = re.compile(
    r"exit|close|ausstieg|sortie|salida|uscita|sa[ií]da|выход|çıkış|wyjście|出场|平仓|離場|決済|エグジット|청산",
    re.IGNORECASE,
)
_ENTRY: Final = re.compile(
    r"entry|einstieg|entr[ée]e|entrada|ingresso|entrata|вход|giriş|wejście|进场|入场|進場|エントリー|진입",
    re.IGNORECASE,
)
_STILL_OPEN: Final = re.compile(
    r"open|offen|ouverte?|abiert[ao]|apert[ao]|abert[ao]|открыт\w*|açık|otwart[ay]|未平仓|持仓中?|オープン|미결제",
    re.IGNORECASE,
)
"""The signal of an open trade's second row, in the languages in which it was seen or is likely."""
_LONG: Final = re.compile(r"long|лонг|длин|多|ロング|롱|매수|largo|uzun", re.IGNORECASE)
_SHORT: Final = re.compile(r"short|шорт|корот|空|ショート|숏|매도|corto|kısa", re.IGNORECASE)

Cell = str | int | float | datetime | date | bool | None
Table = list[list[Cell]]


class ExportUnreadable(ValueError):
    """The file is neither of the two, in words for whoever has it."""


def read_export(name: str, content: bytes) -> Export:
    """Raises ExportUnreadable."""
    problems = []
    for table in _tables(name, content):
        rows = [row for row in table if any(cell not in (None, "") for cell in row)]
        if len(rows) < 2:
            continue
        if _is_alerts_log(rows):
            return _alerts_of(name, table)
        if _is_list_of_trades(rows):
            return _TradeReader(name, table).read()
        problems.append(", ".join(str(cell) for cell in rows[0] if cell)[:120])
    found = f"; its columns are {'; '.join(problems)[:200]}" if problems else ""
    raise ExportUnreadable(f"{name}: it is neither TradingView's alerts log nor a strategy's list of trades{found}")


def _tables(name: str, content: bytes) -> Iterator[Table]:
    if content.startswith(_ZIP):
        yield from _sheets(name, content)
        return
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        if content[:2] not in (b"\xff\xfe", b"\xfe\xff"):
            raise ExportUnreadable(f"{name}: it is no text in UTF-8; download it again, without opening it") from None
        text = content.decode("utf-16")
    first = text.split("\n", 1)[0]
    delimiter = max((",", ";", "\t"), key=first.count)
    try:
        table: Table = [list(row) for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)]
    except csv.Error as error:
        raise ExportUnreadable(f"{name}: it is no CSV that can be read: {error}") from None
    if len(table) > ROWS_MAX:
        raise ExportUnreadable(f"{name}: it has {len(table):,} rows; at most {ROWS_MAX:,} are read")
    yield table


def _sheets(name: str, content: bytes) -> Iterator[Table]:
    """In normal mode: reading row by row believes a size that the file may state wrongly."""
    import openpyxl

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            if sum(each.file_size for each in packed.infolist()) > _UNPACKED_MAX:
                raise ExportUnreadable(f"{name}: unpacked it is larger than 256 MiB")
        book = openpyxl.load_workbook(io.BytesIO(content), data_only=True)
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        if isinstance(error, ExportUnreadable):
            raise
        raise ExportUnreadable(f"{name}: it is no workbook that can be read ({type(error).__name__})") from None
    for sheet in book.worksheets:
        yield [list(row) for row in sheet.iter_rows(values_only=True)]  # type: ignore[arg-type]


def _text(cell: Cell) -> str:
    return "" if cell is None else str(cell).strip()


# The alerts log.


def _is_alerts_log(rows: Table) -> bool:
    row = rows[1]
    return any(_TICKER.fullmatch(_text(cell)) for cell in row) and any(_AT.fullmatch(_text(cell)) for cell in row)


def _alerts_of(name: str, table: Table) -> Export:
    """Columns: id, ticker, name, message, time, and in newer ones what became of the webhook."""
    width = len(table[0])
    alerts, unreadable = [], []
    for number, row in enumerate(table[1:], 2):
        if not any(cell not in (None, "") for cell in row):
            continue
        problem = _problem_of_alert(row, width)
        if problem:
            unreadable.append(UnreadableRow(file=name, row=number, why=problem))
            continue
        message, webhook = str(row[3] or ""), _text(row[5]) if width > 5 else ""
        alerts.append(
            FiredAlert(
                id=_text(row[0]),
                ticker=_text(row[1]),
                name=_text(row[2]),
                at_ms=int(datetime.fromisoformat(_text(row[4])).timestamp() * 1000),
                digests=_digests(message),
                webhook=webhook or None,
            )
        )
    return Export(file=name, alerts=tuple(alerts), unreadable=tuple(unreadable))


def _problem_of_alert(row: Sequence[Cell], width: int) -> str | None:
    if len(row) != width:
        return f"it has {len(row)} columns where the first row has {width}; a quote may not be closed"
    if not _AT.fullmatch(_text(row[4])):
        return f"its time {_text(row[4])[:40]!r} is not like 2026-01-31T12:00:00Z"
    return None


def _digests(message: str) -> frozenset[str]:
    """Of the message as it may have arrived: a table does not tell which line ends it had."""
    plain = message.replace("\r\n", "\n")
    ways = {message, plain, plain.replace("\n", "\r\n"), plain.strip(), plain.strip().replace("\n", "\r\n")}
    return frozenset(digest(way.encode()) for way in ways)


# The list of trades.


def _is_list_of_trades(rows: Table) -> bool:
    numbers = [_text(row[0]) for row in rows[1:20] if row]
    is_numbered = bool(numbers) and all(each.isdigit() for each in numbers)
    return is_numbered and len(rows[0]) >= _COLUMNS_MIN and any(_chart_time(cell) for cell in rows[1])


def _chart_time(cell: Cell) -> datetime | None:
    """Without a zone; None where it is none."""
    if isinstance(cell, datetime):
        return cell.replace(tzinfo=None)
    text = _text(cell)
    if found := _CHART.fullmatch(text):
        year, month, day, *time = found.groups()
    elif found := _DAY_FIRST.fullmatch(text):
        day, month, year, *time = found.groups()
    else:
        return None
    try:
        hour, minute, second = (int(each or 0) for each in time)
        return datetime(int(year), int(month), int(day), hour, minute, second)  # noqa: DTZ001 - the chart's
    except ValueError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    number: int
    trade: str
    kind: str
    at: datetime
    price: Decimal
    qty: Decimal
    profit: Decimal | None
    signal: str


class _TradeReader:
    """Tells the columns by their place and by what is in them: number, kind, then time and signal in either order,
    price, size, in newer ones the size's worth, and the profit."""

    def __init__(self, name: str, table: Table) -> None:
        self._name = name
        self._table = table
        self._width = len(table[0])
        self._unreadable: list[UnreadableRow] = []
        self._notes: list[str] = []
        body = [row for row in table[1:] if len(row) == self._width]
        self._time = self._column(body, lambda cell: _chart_time(cell) is not None, range(1, self._width))
        self._signal = 3 if self._time == 2 else 2
        self._price = 4
        self._comma = self._is_decimal_comma(body)
        self._profit = self._profit_column(body)

    def read(self) -> Export:
        rows: defaultdict[str, list[_Row]] = defaultdict(list)
        for number, cells in enumerate(self._table[1:], 2):
            if not any(cell not in (None, "") for cell in cells):
                continue
            row = self._row(number, cells)
            if isinstance(row, str):
                self._unreadable.append(UnreadableRow(file=self._name, row=number, why=row))
            else:
                rows[row.trade].append(row)
        trades = [trade for each in rows.values() if (trade := self._trade(each)) is not None]
        currency = _text(self._table[0][self._price]).split(" ")[-1]
        return Export(
            file=self._name,
            trades=tuple(sorted(trades, key=lambda each: (each.entry_at, int(each.number)))),
            currency=currency if re.fullmatch(r"[A-Z0-9]{2,10}", currency) else None,
            unreadable=tuple(self._unreadable),
            notes=tuple(self._notes),
        )

    def _column(self, body: Table, fits: Callable[[Cell], bool], places: Iterable[int]) -> int:
        counts = Counter(place for row in body[:50] for place in places if fits(row[place]))
        if not counts:
            raise ExportUnreadable(f"{self._name}: no column holds times such as 2026-01-31 12:00")
        return counts.most_common(1)[0][0]

    def _is_decimal_comma(self, body: Table) -> bool:
        """By all numbers of the file together; said where only the delimiter tells."""
        votes: Counter[bool] = Counter()
        for row in body[:2000]:
            for cell in row[4:]:
                text = _text(cell).translate(_BLANKS) if isinstance(cell, str) else ""
                points, commas = text.count("."), text.count(",")
                if points and commas:
                    votes[text.rfind(",") > text.rfind(".")] += 10
                elif points == 1 and len(text.rpartition(".")[2].rstrip("%")) != 3:
                    votes[False] += 1
                elif commas == 1 and len(text.rpartition(",")[2].rstrip("%")) != 3:
                    votes[True] += 1
                elif points > 1 or commas > 1:
                    votes[points > 1] += 10
        if votes[True] and votes[False]:
            self._notes.append("its numbers are written in two ways; the more frequent one was taken")
        if not votes:
            return False
        if votes[True] > votes[False]:
            self._notes.append("its numbers have a decimal comma")
        return votes[True] > votes[False]

    def _number(self, cell: Cell) -> Decimal | None:
        if isinstance(cell, (int, float)) and not isinstance(cell, bool):
            return Decimal(repr(cell))
        text = _text(cell).translate(_BLANKS).replace("\u2212", "-").replace("\u2013", "-")
        found = _NUMBER.search(text)
        if found is None:
            return None
        digits = found.group()
        digits = digits.replace(".", "").replace(",", ".") if self._comma else digits.replace(",", "")
        try:
            return Decimal(digits)
        except InvalidOperation:
            return None

    def _profit_column(self, body: Table) -> int:
        """Behind the size there is its worth in newer ones: of those rows nearly price times size."""
        votes: Counter[bool] = Counter()
        for row in body[:200]:
            price, qty, third = (self._number(row[place]) for place in (4, 5, 6))
            if price and qty and third is not None:
                votes[abs(third - price * qty) <= abs(price * qty) / 50] += 1
        return 7 if votes[True] > votes[False] and self._width > 7 else 6

    def _row(self, number: int, cells: Sequence[Cell]) -> _Row | str:
        if len(cells) != self._width:
            return f"it has {len(cells)} columns where the first row has {self._width}; a quote may not be closed"
        at, price, qty = _chart_time(cells[self._time]), self._number(cells[4]), self._number(cells[5])
        if not _text(cells[0]).isdigit():
            return f"its trade number {_text(cells[0])[:40]!r} is none"
        if at is None:
            return f"its time {_text(cells[self._time])[:40]!r} is not like 2026-01-31 12:00"
        if price is None or not qty:
            wrong = 4 if price is None else 5
            return f"{_text(self._table[0][wrong])[:40]} is {_text(cells[wrong])[:40]!r}"
        return _Row(
            number=number,
            trade=_text(cells[0]),
            kind=_text(cells[1]),
            at=at,
            price=price,
            qty=abs(qty),
            profit=self._number(cells[self._profit]),
            signal=_text(cells[self._signal]),
        )

    def _trade(self, rows: list[_Row]) -> ListedTrade | None:
        """Entry and exit stand in either order."""
        entries = [row for row in rows if _ENTRY.search(row.kind)]
        exits = [row for row in rows if _EXIT.search(row.kind)]
        if not entries and not exits:
            ordered = sorted(rows, key=lambda row: row.at)
            entries, exits = ordered[:1], ordered[1:]
            if len(rows) == 2 and rows[0].at == rows[1].at:
                self._unclear(rows, "neither its words nor its times tell which row is the entry")
                return None
        if len(entries) != 1 or len(exits) > 1:
            self._unclear(rows, f"trade {rows[0].trade} has {len(entries)} entries and {len(exits)} exits")
            return None
        entry, exit_ = entries[0], exits[0] if exits else None
        if exit_ is not None and _STILL_OPEN.fullmatch(exit_.signal):
            exit_ = None
        profit = None if exit_ is None else exit_.profit if exit_.profit is not None else entry.profit
        trade = ListedTrade(
            number=entry.trade,
            side=Side.BUY,
            qty=entry.qty,
            entry_at=entry.at,
            entry_price=entry.price,
            exit_at=exit_.at if exit_ else None,
            exit_price=exit_.price if exit_ else None,
            profit=profit,
        )
        side = self._side(entry, trade)
        if side is None:
            self._unclear(rows, "neither its words nor its profit tell whether it was long or short")
            return None
        return replace(trade, side=side)

    def _side(self, entry: _Row, trade: ListedTrade) -> Side | None:
        is_long, is_short = bool(_LONG.search(entry.kind)), bool(_SHORT.search(entry.kind))
        if is_long != is_short:
            return Side.BUY if is_long else Side.SELL
        if trade.exit_price is None or not trade.profit or trade.exit_price == trade.entry_price:
            return None
        return Side.BUY if (trade.exit_price - trade.entry_price) * trade.profit > 0 else Side.SELL

    def _unclear(self, rows: Sequence[_Row], why: str) -> None:
        self._unreadable += [UnreadableRow(file=self._name, row=row.number, why=why) for row in rows]


ARRIVALS_MAX: Final = 200_000
_NEAR_MS: Final = 30 * 60_000
_EARLY_MS: Final = 2 * 60_000
_DONE: Final = (SignalStatus.DONE, SignalStatus.EXECUTING, SignalStatus.ACCEPTED)


class NotComparable(ValueError):
    """Something must be said first, in words for whoever asked. `field`: what must be said."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def compare(
    exports: Sequence[Export],
    *,
    queries: DashboardQueries,
    ledger: Ledger,
    strategy: str | None,
    account: str | None,
    symbol: str | None,
    zone: str | None,
) -> dict[str, Any]:
    """Both comparisons, as JSON can hold them. Raises NotComparable, JournalUnavailable."""
    if zone is not None:
        try:
            zone_of(zone)
        except ValueError as error:
            raise NotComparable("zone", str(error)) from None
    verdicts = _alerts(exports, queries)
    which = TradeFilter(account=account, strategy=strategy, symbol=symbol)
    lists = [each for each in exports if each.trades]
    if len(lists) > 1:
        raise NotComparable("files", "one list of trades at a time: each belongs to one strategy on one chart")
    return {
        "alerts": _shown_alerts(verdicts) if verdicts else None,
        "trades": _trades(lists[0], which, queries, ledger, zone, verdicts) if lists else None,
        "unreadable": [
            {"file": row.file, "row": row.row, "why": row.why} for each in exports for row in each.unreadable
        ],
        "notes": [f"{each.file}: {note}" for each in exports for note in each.notes],
    }


def _alerts(exports: Sequence[Export], queries: DashboardQueries) -> list[AlertVerdict]:
    fired = [alert for each in exports for alert in each.alerts]
    if not fired:
        return []
    times = [alert.at_ms for alert in fired]
    arrivals = _arrivals(queries, min(times) - _EARLY_MS, max(times) + DAY_MS)
    return judge_alerts(fired, arrivals)


def _arrivals(queries: DashboardQueries, since_ms: int, until_ms: int) -> list[Arrival]:
    arrivals = queries.arrivals(since_ms, until_ms, limit=ARRIVALS_MAX)
    if len(arrivals) == ARRIVALS_MAX:
        raise NotComparable("files", f"more than {ARRIVALS_MAX:,} alerts arrived in that time; take a shorter one")
    return arrivals


def _shown_alerts(verdicts: Sequence[AlertVerdict]) -> dict[str, Any]:
    return {
        "counts": counted(verdicts),
        "rows": [
            {
                "alert_id": each.fired.id,
                "ticker": each.fired.ticker,
                "name": each.fired.name,
                "at": rfc3339(each.fired.at_ms),
                "outcome": each.outcome.value,
                "delay_ms": each.delay_ms,
                "signal_id": each.signal_id,
                "why": each.why,
            }
            for each in verdicts
        ],
    }


def _trades(
    export: Export,
    which: TradeFilter,
    queries: DashboardQueries,
    ledger: Ledger,
    zone: str | None,
    verdicts: Sequence[AlertVerdict],
) -> dict[str, Any]:
    listed = export.trades
    place = zone_of(zone or "UTC")
    since_ms = int(min(each.entry_at for each in listed).replace(tzinfo=place).timestamp() * 1000) - DAY_MS
    until_ms = int(max(each.entry_at for each in listed).replace(tzinfo=place).timestamp() * 1000) + DAY_MS
    own = [each for each in ledger.trades_between(which, since_ms, until_ms) if each.size]
    found = sorted({(each.strategy, each.account, each.symbol) for each in own})
    if len(found) > 1:
        raise NotComparable(
            "strategy",
            "trades of more than one strategy, account or symbol fall into that time; say which with `strategy`, "
            f"`account` and `symbol`: {'; '.join(' '.join(each) for each in found)}"[:500],
        )
    why = _WhyMissed(_arrivals(queries, since_ms - DAY_MS, until_ms + DAY_MS), which, own, verdicts)
    chosen = zone or best_zone(listed, own)
    if chosen is None and own:
        raise NotComparable("zone", "no trade fits in any time zone; say the chart's with `zone`, as Europe/Berlin")
    compared = compare_trades(
        listed, own, zone=chosen or "UTC", is_found=zone is None and chosen is not None, why_missed=why.of
    )
    return _shown_trades(compared, export)


class _WhyMissed:
    """Looks among the signals that led to no trade for the one that should have opened it."""

    def __init__(
        self,
        arrivals: Sequence[Arrival],
        which: TradeFilter,
        own: Sequence[Trade],
        verdicts: Sequence[AlertVerdict],
    ) -> None:
        used = {signal_id for trade in own for signal_id in trade.signals}
        symbols = {trade.symbol for trade in own} | ({which.symbol} if which.symbol else set())
        self._arrivals = [
            each
            for each in arrivals
            if each.signal_id not in used
            and which.strategy in (None, each.strategy)
            and (not symbols or each.symbol is None or each.symbol in symbols)
        ]
        self._lost = [each for each in verdicts if each.outcome is AlertOutcome.NEVER]

    def of(self, at_ms: int, side: Side) -> tuple[str, str | None]:
        near = [
            each
            for each in self._arrivals
            if side in each.may_open and -_EARLY_MS <= each.received_ms - at_ms <= _NEAR_MS
        ]
        refused = [each for each in near if each.status not in _DONE]
        if refused:
            nearest = min(refused, key=lambda each: abs(each.received_ms - at_ms))
            word = "late" if nearest.status is SignalStatus.EXPIRED else nearest.status.value
            return f"{word}: {nearest.reason}" if nearest.reason else word, nearest.signal_id
        lost = [each for each in self._lost if -_EARLY_MS <= each.fired.at_ms - at_ms <= _NEAR_MS]
        if lost:
            nearest_lost = min(lost, key=lambda each: abs(each.fired.at_ms - at_ms))
            word = f": {nearest_lost.why}" if nearest_lost.why else ""
            return f"the alert never arrived{word}", None
        if near:
            nearest = min(near, key=lambda each: abs(each.received_ms - at_ms))
            return "the alert arrived and opened nothing", nearest.signal_id
        return "no alert arrived", None


def _shown_trades(compared: TradeComparison, export: Export) -> dict[str, Any]:
    return {
        "file": export.file,
        "currency": export.currency,
        "zone": compared.zone,
        "zone_found": compared.is_found,
        "still_open": compared.still_open,
        "matched": [
            {
                **_listed_form(pair.listed),
                "trade_id": pair.own.id,
                "late_s": pair.late_s,
                "own_size": plain(pair.own.size),
                "own_entry_price": _number(pair.own.entry_price),
                "own_exit_price": _number(pair.own.exit_price),
                "net": plain(pair.own.net),
            }
            for pair in compared.pairs
        ],
        "missed": [
            {**_listed_form(each.listed), "why": each.why, "signal_id": each.signal_id} for each in compared.missed
        ],
        "extra": [
            {
                "trade_id": each.id,
                "strategy": each.strategy,
                "opened_at": _at(each.opened_at_ms),
                "net": plain(each.net),
            }
            for each in compared.extra
        ],
        "money": {
            name: plain(getattr(compared.money, name))
            for name in ("profit", "slippage", "fees", "funding", "missed", "size", "extra", "yours")
        },
    }


def _listed_form(row: ListedTrade) -> dict[str, Any]:
    return {
        "number": row.number,
        "side": "long" if row.side is Side.BUY else "short",
        "entry_at": row.entry_at.isoformat(sep=" ", timespec="minutes"),
        "size": plain(row.qty),
        "entry_price": plain(row.entry_price),
        "exit_price": _number(row.exit_price),
        "profit": _number(row.profit),
    }


def _number(value: Decimal | None) -> str | None:
    return None if value is None else plain(value.quantize(Decimal("1E-8")))


def _at(unix_ms: int | None) -> str | None:
    return None if unix_ms is None else rfc3339(unix_ms)
