"""What TradingView lets people download, read: its alerts log, and a strategy's list of trades, as CSV or XLSX.

None of it is documented, and it comes in many languages: columns are told by their titles and by what is in them. What
cannot be read is named, and nothing is guessed silently.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from relay.alerts.signal import digest
from relay.domain.order import Side
from relay.domain.performance import Export, FiredAlert, ListedTrade, UnreadableRow

ROWS_MAX: Final = 200_000
_COLUMNS_MIN: Final = 7
_UNPACKED_MAX: Final = 256 * 1024 * 1024
_ZIP: Final = b"PK\x03\x04"
_TICKER: Final = re.compile(r"[A-Z0-9_]+:[A-Z0-9._!]+(, .+)?", re.IGNORECASE)
_AT: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)")
_CLOCK: Final = r"(?:[T ,]+(\d{1,2}):(\d\d)(?::(\d\d))?(?: ?([AP])M)?)?"
_CHART: Final = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})" + _CLOCK, re.IGNORECASE)
_DAY_FIRST: Final = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})" + _CLOCK, re.IGNORECASE)
"""Charts of days and longer name the day alone."""
_BLANKS: Final = str.maketrans(
    {**dict.fromkeys("\u00a0\u202f\u2009 '’$€£¥₽₿", ""), **dict.fromkeys("\u2212\u2012\u2013", "-")}
)
_NUMBER: Final = re.compile(r"(\(?[+-]?)((?:\d[\d.,]*|[.,]\d+)(?:E[+-]?\d+)?)(%|[A-Z]{3,6})?(\)?)", re.IGNORECASE)
"""A sign or a bracket, the digits, and a coin's name or a percent sign: `5K` is none."""
_GROUPED: Final = {mark: re.compile(rf"\d{{1,3}}(?:\{mark}\d{{2,3}})*\{mark}\d{{3}}") for mark in ".,"}
_DIGITS_MAX: Final = 18
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
_PRICE: Final = re.compile(
    r"price|pre[ic][sçz]|prix|prezzo|цена|fiyat|cena|价格|價格|価格|가격|harga|giá", re.IGNORECASE
)
_WORTH: Final = re.compile(r"value|wert|valeur|valor|стоимость|değer|wartość|价值|價值|価値|금액", re.IGNORECASE)
_QTY: Final = re.compile(
    r"qty|quant|contra|size|menge|größe|kontra[ck]t|qté|taille|dimens|cantidad|tamañ|tamanho|контракт|кол|размер|miktar"
    r"|sözleşme|ilość|rozmiar|数量|合约|合約|數量|枚数|수량|계약",
    re.IGNORECASE,
)
_PROFIT: Final = re.compile(
    r"p&l|pnl|profit|g&v|gewinn|perte|benefici|ganancia|lucro|прибыль|k[âa]r\b|zysk|利润|利潤|盈亏|盈虧|獲利|損益|손익|이익",
    re.IGNORECASE,
)
_SUMMED: Final = re.compile(
    r"%|cum|kum|acum|累|누적|кумул|накоп|совокуп|skumul|run-?up|drawdown|excursion", re.IGNORECASE
)
"""Titles of columns, in the languages in which they were seen or are likely; of the last nothing is read."""
_LONG: Final = re.compile(r"long|лонг|длин|多|ロング|롱|매수|largo|uzun", re.IGNORECASE)
_SHORT: Final = re.compile(r"short|шорт|корот|空|ショート|숏|매도|corto|kısa", re.IGNORECASE)

Cell = str | int | float | datetime | date | bool | None
Table = list[list[Cell]]


class ExportUnreadable(ValueError):
    """The file is neither of the two, in words for whoever has it."""


def read_export(name: str, content: bytes) -> Export:
    """Raises ExportUnreadable."""
    problems = []
    for whole, delimiter in _tables(name, content):
        above = next((place for place, row in enumerate(whole[:_ABOVE_MAX]) if sum(map(_is_filled, row)) > 2), 0)
        table = whole[above:]
        rows = [row for row in table if any(map(_is_filled, row))]
        if len(rows) < 2:
            problems += [f"{', '.join(map(_text, row))[:120]}, and no row is below" for row in rows]
            continue
        if _is_alerts_log(rows):
            return _below(above, _alerts_of(name, table))
        if _is_list_of_trades(rows):
            return _below(above, _TradeReader(name, table, delimiter).read())
        problems.append(", ".join(str(cell) for cell in rows[0] if cell)[:120])
    found = f"; its columns are {'; '.join(problems)[:200]}" if problems else ""
    raise ExportUnreadable(f"{name}: it is neither TradingView's alerts log nor a strategy's list of trades{found}")


_ABOVE_MAX: Final = 10
"""Of the first so many rows those may be a title, or blank, that stand above the columns' names."""


_BETWEEN: Final = (",", ";", "\t")


def _is_filled(cell: Cell) -> bool:
    return cell not in (None, "")


def _below(above: int, export: Export) -> Export:
    """With the numbers that its rows have in the file."""
    return replace(export, unreadable=tuple(replace(each, row=each.row + above) for each in export.unreadable))


def _tables(name: str, content: bytes) -> Iterator[tuple[Table, str | None]]:
    """Each with what stands between its columns; a workbook's have nothing there."""
    if content.startswith(_ZIP):
        yield from ((table, None) for table in _sheets(name, content))
        return
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        if content[:2] not in (b"\xff\xfe", b"\xfe\xff"):
            raise ExportUnreadable(f"{name}: it is no text in UTF-8; download it again, without opening it") from None
        text = content.decode("utf-16", errors="replace")
    first = next((line for line in text.split("\n", _ABOVE_MAX)[:_ABOVE_MAX] if max(map(line.count, _BETWEEN)) > 3), "")
    delimiter = max(_BETWEEN, key=first.count)
    try:
        table: Table = [list(row) for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)]
    except csv.Error as error:
        raise ExportUnreadable(f"{name}: it is no CSV that can be read: {error}") from None
    if len(table) > ROWS_MAX:
        raise ExportUnreadable(f"{name}: it has {len(table):,} rows; at most {ROWS_MAX:,} are read")
    yield table, delimiter


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
    return any(any(map(_AT.fullmatch, texts)) for texts in _texts(rows[1:_TELLING])) and any(
        any(map(_TICKER.fullmatch, texts)) for texts in _texts(rows[1:_TELLING])
    )


_TELLING: Final = 200
"""So many rows tell what a column holds."""


def _texts(rows: Table) -> list[list[str]]:
    return [[_text(cell) for cell in row] for row in rows]


def _most(rows: Table, fits: Callable[[Cell], Any]) -> int | None:
    """The column of most of such cells."""
    counts = Counter(place for row in rows[1:_TELLING] for place, cell in enumerate(row) if fits(cell))
    return counts.most_common(1)[0][0] if counts else None


def _alerts_of(name: str, table: Table) -> Export:
    """Columns: id, ticker, name, message, time, and in newer ones what became of the webhook."""
    width = len(table[0])
    rows = [row for row in table if len(row) == width]
    time_at = _most(rows, lambda cell: _AT.fullmatch(_text(cell)))
    ticker_at = _most(rows, lambda cell: _TICKER.fullmatch(_text(cell)))
    if ticker_at is None or time_at is None or time_at - ticker_at != 3:
        raise ExportUnreadable(
            f"{name}: of an alerts log's columns (id, ticker, name, message, time) one is missing or in another place; "
            "download it again, without changing it"
        )
    alerts, unreadable = [], []
    for number, row in enumerate(table[1:], 2):
        if not any(map(_is_filled, row)):
            continue
        at_ms = _moment_ms(_text(row[time_at])) if len(row) == width else None
        if at_ms is None:
            unreadable.append(UnreadableRow(file=name, row=number, why=_problem_of_alert(row, width, time_at)))
            continue
        message = str(row[ticker_at + 2] or "")
        webhook = _text(row[time_at + 1]) if width > time_at + 1 else None
        alerts.append(
            FiredAlert(
                id=" ".join(map(_text, row[:ticker_at])),
                ticker=_text(row[ticker_at]),
                name=_text(row[ticker_at + 1]),
                at_ms=at_ms,
                digests=_digests(message),
                message=message,
                webhook="the log names no webhook for it" if webhook == "" else webhook,
            )
        )
    return Export(file=name, alerts=tuple(alerts), unreadable=tuple(unreadable))


def _moment_ms(text: str) -> int | None:
    """None where it is no time with a zone, or none of the calendar."""
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000) if _AT.fullmatch(text) else None
    except (ValueError, OverflowError):
        return None


def _problem_of_alert(row: Sequence[Cell], width: int, time_at: int) -> str:
    if len(row) != width:
        return _other_width(row, width)
    return f"its time {_text(row[time_at])[:40]!r} is not like 2026-01-31T12:00:00Z"


def _other_width(row: Sequence[Cell], width: int) -> str:
    return f"it has {len(row)} columns where the first row has {width}; a quote may not be closed"


def _digests(message: str) -> frozenset[str]:
    """Of the message as it may have arrived: a table does not tell which line ends it had."""
    plain = message.replace("\r\n", "\n")
    ways = {message, plain, plain.replace("\n", "\r\n"), plain.strip(), plain.strip().replace("\n", "\r\n")}
    return frozenset(digest(way.encode()) for way in ways)


# The list of trades.


def _is_list_of_trades(rows: Table) -> bool:
    """By its numbers and its times, or else by what its columns are called."""
    numbers = [bool(_TRADE.fullmatch(_text(row[0]))) for row in rows[1:20] if row]
    is_numbered = bool(numbers) and sum(numbers) * 2 >= len(numbers) and len(rows[0]) >= _COLUMNS_MIN
    titles = _named(rows[0])
    return is_numbered and ("profit" in titles and "price" in titles or any(map(_chart_time, rows[1])))


_TRADE: Final = re.compile(r"[0-9]{1,9}")


def _named(titles: Sequence[Cell]) -> dict[str, int]:
    """Which column is called which; the first of its kind."""
    found: dict[str, int] = {}
    for place, title in enumerate(map(_text, titles)):
        kinds = (("price", _PRICE), ("profit", _PROFIT), ("value", _WORTH), ("size", _QTY))
        kind = next((kind for kind, words in kinds if words.search(title)), None)
        if kind is not None and not _SUMMED.search(title):
            found.setdefault(kind, place)
    return found


def _chart_time(cell: Cell) -> datetime | None:
    """Without a zone; None where it is none."""
    if isinstance(cell, datetime):
        return cell.replace(tzinfo=None)
    text = _text(cell)
    if found := _CHART.fullmatch(text):
        year, month, day, *clock, half = found.groups()
    elif found := _DAY_FIRST.fullmatch(text):
        day, month, year, *clock, half = found.groups()
    else:
        return None
    try:
        hour, minute, second = (int(each or 0) for each in clock)
        hour = hour if half is None else hour % 12 + (12 if half in "Pp" else 0)
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


_NOTHING: Final = ("", "-", "—", "–", "\u2212", "N/A", "n/a", "NaN", "nan", "∅")
"""What may stand in place of a profit where there is none."""


class _TradeReader:
    """Tells the columns by their titles, and where these are in an unknown language by their place and by what is in
    them: number, kind, then time and signal in either order, price, size, in newer ones its worth, and the profit."""

    def __init__(self, name: str, table: Table, delimiter: str | None) -> None:
        self._name = name
        self._table = table
        self._width = len(table[0])
        self._unreadable: list[UnreadableRow] = []
        self._notes: list[str] = []
        body = [row for row in table[1:] if len(row) == self._width]
        self._time = self._time_column(body)
        self._signal = 3 if self._time == 2 else 2
        self._comma = self._is_decimal_comma(body, delimiter)
        named = _named(table[0])
        self._price = self._place(named, "price", 4)
        self._qty = self._place(named, "size", 5)
        self._profit = self._place(named, "profit", self._profit_column(body))

    def read(self) -> Export:
        rows: defaultdict[str, list[_Row]] = defaultdict(list)
        for number, cells in enumerate(self._table[1:], 2):
            if not any(map(_is_filled, cells)) or self._is_placeholder(cells):
                continue
            row = self._row(number, cells)
            if isinstance(row, str):
                self._unreadable.append(UnreadableRow(file=self._name, row=number, why=row))
            else:
                rows[row.trade].append(row)
        last_at = max((row.at for each in rows.values() for row in each), default=None)
        trades = [trade for each in rows.values() if (trade := self._trade(each, last_at)) is not None]
        currency = self._currency(self._profit) or self._currency(self._price)
        if self._currency(self._price) not in (None, currency):
            self._notes.append(f"its prices are in {self._currency(self._price)} and its profits in {currency}")
        self._check(trades)
        return Export(
            file=self._name,
            trades=tuple(sorted(trades, key=lambda each: (each.entry_at, int(each.number)))),
            currency=currency,
            unreadable=tuple(self._unreadable),
            notes=tuple(self._notes),
        )

    def _currency(self, column: int) -> str | None:
        last = _text(self._table[0][column]).split(" ")[-1]
        return last if re.fullmatch(r"[A-Z0-9]{2,10}", last) else None

    def _check(self, trades: Sequence[ListedTrade]) -> None:
        """What is called the profit should be the way from entry to exit, but for costs."""
        ended = [each for each in trades if each.has_result]
        odd = 0
        for each in ended:
            odd += abs((each.profit or 0) - each.gross) > each.entry_price * each.qty / 20
        if odd * 2 > len(ended):
            self._notes.append(
                "its profits do not come of its prices and sizes; they may be in another currency, or of contracts "
                "that stand for more than one coin"
            )

    def _time_column(self, body: Table) -> int:
        found = _most([[], *body], lambda cell: _chart_time(cell) is not None)
        if found is None:
            like = ", ".join(repr(_text(cell)[:40]) for cell in (body[0] if body else [])[2:4])
            raise ExportUnreadable(
                f"{self._name}: no column holds times such as 2026-01-31 12:00 (there are {like}); download it again, "
                "without opening it in another program"
            )
        return found

    def _place(self, named: dict[str, int], kind: str, usual: int) -> int:
        """Where it is called so, or at its usual place, unless that is called otherwise."""
        if kind in named:
            return named[kind]
        is_other = usual in named.values() or _SUMMED.search(_text(self._table[0][usual]))
        if is_other or usual == self._time:
            raise ExportUnreadable(f"{self._name}: it has no column with each trade's {kind}")
        return usual

    def _is_decimal_comma(self, body: Table, delimiter: str | None) -> bool:
        """By all numbers of the file together; said where only the delimiter tells."""
        votes: Counter[bool] = Counter()
        unclear = ""
        for row in body[:2000]:
            for cell in row[4:]:
                text = _text(cell).translate(_BLANKS).strip("%+-()") if isinstance(cell, str) else ""
                points, commas = text.count("."), text.count(",")
                if points and commas:
                    votes[text.rfind(",") > text.rfind(".")] += 10
                elif points > 1 or commas > 1:
                    votes[points > 1] += 10
                elif points or commas:
                    before, mark, behind = text.partition("." if points else ",")
                    if len(behind) == 3 and 0 < len(before) < 4 and before != "0":
                        unclear = text
                    else:
                        votes[mark == ","] += 1
        if votes[True] and votes[False]:
            self._notes.append("its numbers are written in two ways; the more frequent one was taken")
        if votes:
            is_comma = votes[True] > votes[False]
        else:
            is_comma = delimiter == ";"
            if unclear:
                way = "a decimal comma, as where semicolons stand between columns" if is_comma else "a decimal point"
                self._notes.append(f"its numbers, such as {unclear}, are read with {way}: nothing else tells")
                return is_comma
        if is_comma and votes:
            self._notes.append("its numbers have a decimal comma")
        return is_comma

    def _number(self, cell: Cell) -> Decimal | None:
        """None where it is none, or could be read in two ways."""
        if isinstance(cell, (int, float)) and not isinstance(cell, bool):
            return self._bounded(repr(cell))
        found = _NUMBER.fullmatch(_text(cell).translate(_BLANKS))
        if found is None:
            return None
        sign, digits, _, closing = found.groups()
        if sign.startswith("(") != bool(closing):
            return None
        mark, decimal = (".", ",") if self._comma else (",", ".")
        if mark in digits and not _GROUPED[mark].fullmatch(re.split(f"[{decimal}Ee]", digits)[0]):
            return None
        is_negative = "-" in sign or "(" in sign
        return self._bounded(("-" if is_negative else "") + digits.replace(mark, "").replace(",", "."))

    @staticmethod
    def _bounded(text: str) -> Decimal | None:
        """None of what is beyond all prices and sizes."""
        try:
            number = Decimal(text)
        except InvalidOperation:
            return None
        is_usual = number.is_finite() and (not number or -_DIGITS_MAX <= number.adjusted() < _DIGITS_MAX)
        return number if is_usual else None

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
            return _other_width(cells, self._width)
        at, price, qty = (
            _chart_time(cells[self._time]),
            self._number(cells[self._price]),
            self._number(cells[self._qty]),
        )
        profit = self._number(cells[self._profit])
        if not _TRADE.fullmatch(_text(cells[0])):
            return f"its trade number {_text(cells[0])[:40]!r} is none"
        if at is None:
            return f"its time {_text(cells[self._time])[:40]!r} is not like 2026-01-31 12:00"
        wrong = self._price if price is None else self._qty if not qty else None
        if profit is None and _text(cells[self._profit]) not in _NOTHING:
            wrong = self._profit
        if wrong is not None or price is None or qty is None:
            place = self._qty if wrong is None else wrong
            return f"{_text(self._table[0][place])[:40]} is {_text(cells[place])[:40]!r}"
        return _Row(
            number=number,
            trade=_text(cells[0]),
            kind=_text(cells[1]),
            at=at,
            price=price,
            qty=abs(qty),
            profit=profit,
            signal=_text(cells[self._signal]),
        )

    def _is_placeholder(self, cells: Sequence[Cell]) -> bool:
        """The exit row of an open trade that has neither a time nor a price."""
        if len(cells) != self._width or _text(cells[self._price]):
            return False
        return any(_STILL_OPEN.fullmatch(_text(cells[place])) for place in (self._time, self._signal))

    def _trade(self, rows: list[_Row], last_at: datetime | None) -> ListedTrade | None:
        """Entry and exit stand in either order. `last_at`: of the whole list; what ended before that is not open,
        whatever its exit is called."""
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
        if exit_ is not None and exit_.at == last_at and _STILL_OPEN.fullmatch(exit_.signal):
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
