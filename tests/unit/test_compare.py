"""TradingView's downloads, in whatever language and layout, against what the relay did."""

from __future__ import annotations

import csv
import io
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest

from relay.alerts.signal import digest
from relay.domain import performance
from relay.domain.instrument import Category
from relay.domain.order import Side, SignalStatus
from relay.domain.performance import (
    AlertOutcome,
    Arrival,
    FiredAlert,
    ListedTrade,
    best_zone,
    compare_trades,
    judge_alerts,
    zone_of,
)
from relay.domain.trades import Trade
from relay.execution.exports import ExportUnreadable, read_export

D = Decimal
BEGUN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LONDON = "Europe/London"


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """How a download is written. `kinds`: entry long, exit long, entry short, exit short."""

    name: str
    titles: str
    kinds: tuple[str, str, str, str]
    number: Callable[[Decimal], str]
    delimiter: str = ","
    time_first: bool = True
    has_value: bool = True
    newest_first: bool = False
    at: str = "%Y-%m-%d %H:%M"


def _english(number: Decimal) -> str:
    return f"{number:,}"


def _german(number: Decimal) -> str:
    return f"{number:,}".translate(str.maketrans(",.", ".,")).replace("-", "\u2212")


def _french(number: Decimal) -> str:
    return f"{number:,}".replace(",", "\u202f").replace(".", ",")


NEWEST = (
    "Trade #,Type,Date and time,Signal,Price USDT,Size (qty),Size (value),Net P&L USDT,Net P&L %,Cumulative P&L USDT"
)
LANGUAGES = (
    Language(
        name="newest",
        titles=NEWEST,
        kinds=("Entry long", "Exit long", "Entry short", "Exit short"),
        number=_english,
    ),
    Language(
        name="old",
        titles="Trade #,Type,Signal,Date/Time,Price USDT,Contracts,Profit USDT,Profit %,Cum. Profit USDT,Run-up USDT",
        kinds=("Entry Long", "Exit Long", "Entry Short", "Exit Short"),
        number=str,
        time_first=False,
        has_value=False,
        newest_first=True,
    ),
    Language(
        name="German",
        titles="Trade Nr.;Typ;Datum und Uhrzeit;Signal;Preis USDT;Größe (Menge);Größe (Wert);"
        "Netto-G&V USDT;Netto-G&V %;Kumuliert USDT",
        kinds=("Einstieg Long", "Ausstieg Long", "Einstieg Short", "Ausstieg Short"),
        number=_german,
        delimiter=";",
        at="%d.%m.%Y %H:%M",
    ),
    Language(
        name="French",
        titles="Transaction no;Genre;Date et heure;Signal;Prix USDT;Taille (qté);Taille (valeur);"
        "P&L net USDT;P&L net %;Cumul USDT",
        kinds=("Entrée longue", "Sortie longue", "Entrée courte", "Sortie courte"),
        number=_french,
        delimiter=";",
    ),
    Language(
        name="one whose words are not known",
        titles="a,b,c,d,e USDT,f,g,h USDT,i,j",
        kinds=("α", "β", "γ", "δ"),
        number=_english,
        newest_first=True,
    ),
)


def strategy_trades(count: int, seed: int = 4) -> list[ListedTrade]:
    """In London's time, without a zone, as the strategy tester has them."""
    chance, at, found = random.Random(seed), BEGUN, []
    for number in range(1, count + 1):
        at += timedelta(minutes=chance.randint(300, 1400))
        ended = at + timedelta(minutes=chance.randint(5, 50))
        side = chance.choice(list(Side))
        entry, moved = D(chance.randint(60000, 70000)), D(chance.randint(1, 900)) * chance.choice((1, -1))
        qty = D(chance.randint(1, 30)) / 100
        found.append(
            ListedTrade(
                number=str(number),
                side=side,
                qty=qty,
                entry_at=at.astimezone(ZoneInfo(LONDON)).replace(tzinfo=None),
                entry_price=entry,
                exit_at=ended.astimezone(ZoneInfo(LONDON)).replace(tzinfo=None),
                exit_price=entry + moved,
                profit=moved * qty * side.sign,
            )
        )
    return found


def table_of(trades: Sequence[ListedTrade], language: Language) -> list[list[str]]:
    rows = []
    for each in trades:
        assert each.exit_at is not None and each.exit_price is not None and each.profit is not None
        kinds = language.kinds[:2] if each.side is Side.BUY else language.kinds[2:]
        for kind, at, price in ((kinds[0], each.entry_at, each.entry_price), (kinds[1], each.exit_at, each.exit_price)):
            when = [at.strftime(language.at), "cross"]
            value = [language.number((price * each.qty).quantize(D("0.01")))] if language.has_value else []
            row = [each.number, kind, *(when if language.time_first else when[::-1]), language.number(price)]
            row += [language.number(each.qty), *value, language.number(each.profit.quantize(D("0.01")))]
            rows.append(row)
    if language.newest_first:
        rows.reverse()
    titles = language.titles.split(language.delimiter)
    return [titles, *([*row, *[""] * (len(titles) - len(row))] for row in rows)]


def as_csv(table: Sequence[Sequence[object]], delimiter: str = ",") -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(table)
    return text.getvalue().encode("utf-8-sig")


def as_xlsx(table: Sequence[Sequence[object]]) -> bytes:
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(["Performance", "All USDT"])
    sheet, content = book.create_sheet("List of trades"), io.BytesIO()
    for number, row in enumerate(table):
        cells: list[object] = [
            float(str(cell)) if number and place in (4, 5, 6, 7) else cell for place, cell in enumerate(row)
        ]
        if number:
            cells[2] = datetime.fromisoformat(str(row[2]))
            cells[0] = int(str(row[0]))
            cells[4:8] = [float(str(cell)) for cell in row[4:8]]
        sheet.append(cells)
    book.save(content)
    return content.getvalue()


def rounded(trades: Sequence[ListedTrade]) -> list[ListedTrade]:
    return [replace(each, profit=each.profit and each.profit.quantize(D("0.01"))) for each in trades]


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda each: each.name)
def test_a_list_of_trades_is_read_in_any_language_and_layout(language: Language) -> None:
    trades = strategy_trades(60)
    found = read_export("trades.csv", as_csv(table_of(trades, language), language.delimiter))
    assert found.unreadable == ()
    assert list(found.trades) == rounded(trades)
    assert found.currency == "USDT"


def test_a_list_of_trades_is_read_from_a_workbook_among_other_sheets() -> None:
    trades = strategy_trades(30)
    plain = replace(LANGUAGES[0], number=str)
    found = read_export("trades.csv", as_xlsx(table_of(trades, plain)))
    assert (list(found.trades), found.unreadable) == (rounded(trades), ())


def test_what_cannot_be_read_is_named_and_the_rest_is_read() -> None:
    table = table_of(strategy_trades(3), LANGUAGES[0])
    table[2][2], table[3][4] = "yesterday", "n/a"
    found = read_export("t.csv", as_csv([*table, ["4", "Entry long"]]))
    named = {row.row: row.why for row in found.unreadable}
    assert named[3].startswith("its time 'yesterday'") and named[4] == "Price USDT is 'n/a'"
    assert named[8].startswith("it has 2 columns where the first row has 10")
    assert [each.number for each in found.trades] == ["1", "3"]
    assert found.trades[0].exit_at is None


def test_an_open_trade_has_no_result() -> None:
    table = table_of(strategy_trades(2), LANGUAGES[0])
    table[4][3] = "Open"
    first, second = read_export("t.csv", as_csv(table)).trades
    assert first.profit is not None and (second.exit_at, second.profit) == (None, None)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\x89PNG\r\n\x1a\n\xff", b"PK\x03\x04broken"])
def test_another_file_is_refused_in_words(content: bytes) -> None:
    with pytest.raises(ExportUnreadable, match="x.csv: it "):
        read_export("x.csv", content)


# Alerts.


def message(number: int) -> str:
    return f'{{"ticker": "BTCUSDT.P",\n "comment": "say \\"hi\\", {number}"}}'


def log_of(count: int, webhook: Callable[[int], str] | None = None) -> bytes:
    titles = ["Alert ID", "Ticker", "Name", "Description", "Time", *(["Webhook status"] if webhook else [])]
    rows: list[list[str]] = [
        [
            *(str(1000 + number), "BYBIT:BTCUSDT.P, 5m", "cross", message(number)),
            (BEGUN + timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            *([webhook(number)] if webhook else []),
        ]
        for number in range(count)
    ]
    return as_csv([titles, *rows[::-1]])


def arrival(number: int, *, after_s: float = 1.5, status: SignalStatus = SignalStatus.DONE, **more: object) -> Arrival:
    at = BEGUN + timedelta(minutes=number, seconds=after_s)
    return Arrival(
        signal_id=f"s{number}",
        strategy="trend",
        symbol="BTCUSDT",
        digest=digest(message(number).encode()),
        received_ms=int(at.timestamp() * 1000),
        status=status,
        **more,  # type: ignore[arg-type]
    )


def test_every_alert_that_was_lost_is_named_with_the_webhook_s_own_word() -> None:
    lost = set(random.Random(7).sample(range(200), 10))
    fired = read_export("log.csv", log_of(200, lambda number: "Timed out" if number in lost else "Delivered")).alerts
    verdicts = judge_alerts(fired, [arrival(number) for number in range(200) if number not in lost])
    never = [each for each in verdicts if each.outcome is AlertOutcome.NEVER]
    assert {int(each.fired.id) - 1000 for each in never} == lost
    assert {each.why for each in never} == {"Timed out"}
    assert {each.delay_ms for each in verdicts if each not in never} == {1500}


def test_each_alert_is_told_by_what_became_of_it() -> None:
    fired = read_export("log.csv", log_of(7)).alerts
    arrivals = [
        arrival(0),
        arrival(1, repeats=1),
        replace(arrival(2), is_by_mail=True),
        arrival(3, status=SignalStatus.REJECTED, reason="ALERT_INVALID: no action"),
        arrival(4, status=SignalStatus.DENIED, reason="HALTED: halted"),
        arrival(5, status=SignalStatus.EXPIRED),
    ]
    verdicts = judge_alerts(fired, arrivals)
    assert [each.outcome.value for each in verdicts] == [
        *("arrived", "arrived twice", "arrived by mail only", "rejected", "denied", "expired", "never arrived"),
    ]
    assert [each.why for each in verdicts[3:5]] == ["ALERT_INVALID: no action", "HALTED: halted"]


def test_of_equal_messages_the_one_before_an_arrival_is_the_one_that_arrived() -> None:
    rows = [["Alert ID", "Ticker", "Name", "Description", "Time"]]
    rows += [[str(n), "BYBIT:BTCUSDT.P", "x", message(0), f"2026-03-02T09:0{n}:00Z"] for n in (2, 1, 0)]
    first = arrival(0)
    second = replace(first, received_ms=first.received_ms + 120_000)
    verdicts = judge_alerts(read_export("log.csv", as_csv(rows)).alerts, [first, second])
    assert [each.outcome.value for each in verdicts] == ["arrived", "never arrived", "arrived"]


# Money.


ONE, NONE = D(1), D(0)


def own_trade(listed: ListedTrade, *, factor: Decimal = ONE, slip: Decimal = NONE, late_s: int = 2) -> Trade:
    assert listed.exit_price is not None and listed.exit_at is not None
    opened = listed.entry_at.replace(tzinfo=ZoneInfo(LONDON)) + timedelta(seconds=late_s)
    closed = listed.exit_at.replace(tzinfo=ZoneInfo(LONDON)) + timedelta(seconds=late_s)
    qty, entry = listed.qty * factor, listed.entry_price + slip * listed.side.sign
    return Trade(
        id=f"t{listed.number}",
        account="main",
        strategy="trend",
        category=Category.LINEAR,
        symbol="BTCUSDT",
        settle_coin="USDT",
        side=listed.side,
        first_at_ms=int(opened.timestamp() * 1000),
        opened_at_ms=int(opened.timestamp() * 1000),
        closed_at_ms=int(closed.timestamp() * 1000),
        size=qty,
        entry_qty=qty,
        entry_value=qty * entry,
        exit_qty=qty,
        exit_value=qty * listed.exit_price,
        realised=(listed.exit_price - entry) * qty * listed.side.sign,
        fees=D("1.25"),
        funding=D("0.5"),
    )


def nothing_arrived(at_ms: int, side: Side) -> tuple[str, str | None]:
    return "no alert arrived", None


def test_the_result_is_explained_in_money_to_the_last_unit_and_the_chart_s_zone_is_found() -> None:
    listed, chance = strategy_trades(100), random.Random(3)
    lost = set(chance.sample(range(100), 5))
    own = [
        own_trade(each, factor=D("0.3"), slip=D(chance.randint(-3, 9)))
        for n, each in enumerate(listed)
        if n not in lost
    ]
    assert best_zone(listed, own) == LONDON
    compared = compare_trades(listed, own, zone=LONDON, is_found=True, why_missed=nothing_arrived)
    assert {int(each.listed.number) - 1 for each in compared.missed} == lost
    assert {each.why for each in compared.missed} == {"no alert arrived"}
    assert (len(compared.pairs), compared.extra, {pair.late_s for pair in compared.pairs}) == (95, (), {2})
    money = compared.money
    assert money.yours == sum((each.net for each in own), D(0))
    parts = (money.slippage, money.fees, money.funding, money.missed, money.size, money.extra)
    assert money.profit - sum(parts) == money.yours
    assert money.missed == sum((each.listed.profit or D(0) for each in compared.missed), D(0))
    assert [money.fees, money.funding, money.extra] == [95 * D("1.25"), 95 * D("0.5"), D(0)]
    assert money.size == sum((pair.listed.profit or D(0) for pair in compared.pairs), D(0)) * D("0.7")


def test_a_trade_that_is_not_in_the_list_is_extra() -> None:
    listed = strategy_trades(3)
    like = own_trade(listed[1])
    hand = replace(like, id="hand", opened_at_ms=like.first_at_ms + 1, side=like.side.opposite)
    compared = compare_trades(
        listed, [*map(own_trade, listed), hand], zone=LONDON, is_found=False, why_missed=nothing_arrived
    )
    assert [each.id for each in compared.extra] == ["hand"] and compared.money.extra == -hand.net


@pytest.mark.parametrize(("name", "hours"), [("UTC", 0), ("+05:30", 5.5), ("-08:00", -8), ("Asia/Tokyo", 9)])
def test_a_zone_is_named_or_counted(name: str, hours: float) -> None:
    assert datetime(2026, 1, 1, tzinfo=zone_of(name)).utcoffset() == timedelta(hours=hours)
    with pytest.raises(ValueError, match="no time zone"):
        zone_of(f"{name}/Nowhere" if name[0] not in "+-" else "Nowhere")


@pytest.mark.parametrize("hours", [-9.5, -3.5, 4.5, 12.75])
def test_a_chart_in_a_zone_without_a_name_of_its_own_is_found_by_its_hours(hours: float) -> None:
    listed = strategy_trades(20)
    shift = timedelta(hours=hours)
    own = [own_trade(replace(each, entry_at=each.entry_at - shift, exit_at=each.exit_at)) for each in listed]
    sign, minutes = "-" if hours < 0 else "+", abs(int(hours * 60))
    assert best_zone(listed, [_in_utc(each) for each in own]) == f"{sign}{minutes // 60:02}:{minutes % 60:02}"


def _in_utc(trade: Trade) -> Trade:
    """Opened at the same hour of the clock, in UTC."""
    at = datetime.fromtimestamp(trade.first_at_ms / 1000, ZoneInfo(LONDON)).replace(tzinfo=UTC)
    return replace(trade, opened_at_ms=int(at.timestamp() * 1000))


def test_a_position_that_was_open_before_anything_is_known_counts_by_its_first_execution() -> None:
    listed = strategy_trades(3)
    older = replace(own_trade(listed[1]), id="older", opened_at_ms=None)
    compared = compare_trades(listed, [older], zone=LONDON, is_found=True, why_missed=nothing_arrived)
    assert (len(compared.pairs), compared.extra) == (0, (older,))


# Odd exports.


def rows_of(*trades: tuple[str, ...]) -> list[list[str]]:
    """Entry and exit rows of the newest layout: number, kind, time, signal, price, size, worth, profit."""
    return [NEWEST.split(","), *([*each, "0.5", "1"] for each in trades)]


ROUND = (
    ("1", "Exit long", "2026-03-02 09:40", "X", "101", "2", "202", "1.9"),
    ("1", "Entry long", "2026-03-02 09:00", "L", "100", "2", "200", "1.9"),
)


def changed(column: int, exit_cell: str, entry_cell: str | None = None) -> bytes:
    cells = (exit_cell, exit_cell if entry_cell is None else entry_cell)
    return as_csv(
        rows_of(*((*each[:column], cell, *each[column + 1 :]) for each, cell in zip(ROUND, cells, strict=True)))
    )


@pytest.mark.parametrize(
    ("written", "meant"), [("1.9e1", D(19)), ("1.3E-7", D("1.3E-7")), ("(2.1)", D("-2.1")), ("$1,234.5", D("1234.5"))]
)
def test_a_number_is_read_whole(written: str, meant: Decimal) -> None:
    (trade,) = read_export("t.csv", changed(7, written)).trades
    assert trade.profit == meant


@pytest.mark.parametrize("written", ["1.9K", "2M", "1.2.3", "1,5", "12 of 3", "9" * 60, "1e999", "(5", "1,23,4"])
def test_a_number_that_could_mean_two_things_is_named_and_not_guessed(written: str) -> None:
    found = read_export("t.csv", changed(7, written))
    assert found.trades == () and {row.row for row in found.unreadable} == {2, 3}
    assert all("Net P&L USDT" in row.why for row in found.unreadable)


@pytest.mark.parametrize(
    ("entry", "written", "at"),
    [
        ("2026-03-01", "2026-03-02", datetime(2026, 3, 2)),  # noqa: DTZ001 - the chart's
        ("2026-03-02 09:00 AM", "2026-03-02 02:40 PM", datetime(2026, 3, 2, 14, 40)),  # noqa: DTZ001
        ("2026-03-01 09:00", "2026-03-02 12:05 AM", datetime(2026, 3, 2, 0, 5)),  # noqa: DTZ001
    ],
)
def test_a_chart_of_days_names_the_day_alone_and_a_clock_may_have_halves(
    entry: str, written: str, at: datetime
) -> None:
    (trade,) = read_export("t.csv", changed(2, written, entry)).trades
    assert trade.exit_at == at


def test_times_that_can_be_read_in_two_ways_are_refused_in_words() -> None:
    with pytest.raises(ExportUnreadable, match=r"no column holds times.*'3/2/2026 9:40'"):
        read_export("t.csv", changed(2, "3/2/2026 9:40"))


@pytest.mark.parametrize(("column", "kind"), [(4, "price"), (5, "size"), (7, "profit")])
def test_a_list_without_one_of_its_columns_is_refused_by_name(column: int, kind: str) -> None:
    table = [[*row[:column], *row[column + 1 :]] for row in rows_of(*ROUND)]
    with pytest.raises(ExportUnreadable, match=f"no column with each trade's {kind}"):
        read_export("t.csv", as_csv(table))


def test_a_worth_in_the_account_s_currency_is_not_taken_for_the_profit() -> None:
    table = rows_of(*((*each[:6], "184", "1.75") for each in ROUND))
    table[0][7] = "Net P&L EUR"
    found = read_export("t.csv", as_csv(table))
    assert [each.profit for each in found.trades] == [D("1.75")]
    assert found.currency == "EUR" and "prices are in USDT and its profits in EUR" in " ".join(found.notes)


def test_profits_that_do_not_come_of_prices_and_sizes_are_said() -> None:
    assert "do not come of its prices" in " ".join(read_export("t.csv", changed(7, "95")).notes)
    assert read_export("t.csv", as_csv(rows_of(*ROUND))).notes == ()


def test_an_exit_that_is_called_open_and_is_not_the_last_is_none_that_is_open() -> None:
    table = rows_of(
        *((*each[:3], "Open", *each[4:]) for each in ROUND),
        ("2", "Entry short", "2026-03-02 09:40", "Open", "101", "2", "202", "2"),
        ("2", "Exit short", "2026-03-02 10:40", "L", "100", "2", "200", "2"),
        ("3", "Entry long", "2026-03-02 10:40", "L", "100", "2", "200", ""),
        ("3", "Exit long", "Open", "", "", "2", "", ""),
    )
    found = read_export("t.csv", as_csv(table))
    assert [each.exit_at is not None for each in found.trades] == [True, True, False] and found.unreadable == ()


@pytest.mark.parametrize(("written", "meant"), [("0,125", "0.125"), ("65123,125", "65123.125")])
def test_three_digits_behind_a_comma_are_no_thousands_where_that_cannot_be(written: str, meant: str) -> None:
    rows = [[*each[:4], written, "1", "", "12,25"] for each in ROUND]
    found = read_export("t.csv", as_csv([NEWEST.split(",")[:8], *rows], ";"))
    assert [each.entry_price for each in found.trades] == [D(meant)]


def test_where_only_the_delimiter_tells_how_numbers_are_meant_it_is_said() -> None:
    rows = [[*each[:4], "65.123", "1", "", "125"] for each in ROUND]
    found = read_export("t.csv", as_csv([NEWEST.split(",")[:8], *rows], ";"))
    assert [each.entry_price for each in found.trades] == [D(65123)]
    assert "such as 65.123, are read with a decimal comma" in " ".join(found.notes)


def test_a_row_that_is_no_trade_costs_no_other() -> None:
    table = rows_of(*ROUND, ("Total", "", "", "", "", "", "", "1.9"), ("²", *ROUND[0][1:]))
    found = read_export("t.csv", as_csv(table))
    assert len(found.trades) == 1 and [row.row for row in found.unreadable] == [4, 5]


@pytest.mark.parametrize(("above", "delimiter"), [("\r\n", ","), ("sep=;\r\n", ";"), ("My strategy, BTC\r\n\r\n", ",")])
def test_what_stands_above_the_columns_names_costs_nothing(above: str, delimiter: str) -> None:
    content = above.encode() + as_csv([*rows_of(*ROUND), ["2", "?"]], delimiter).removeprefix(b"\xef\xbb\xbf")
    found = read_export("t.csv", content)
    assert len(found.trades) == 1 and [row.row for row in found.unreadable] == [4 + above.count("\n")]


def test_commas_in_messages_are_none_between_columns() -> None:
    message = '{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "g": 7}'
    table = [ALERTS, *([*ALERT[:3], f"{message}\n{message}", *ALERT[4:]] for _ in range(3))]
    assert len(read_export("log.csv", as_csv(table, ";")).alerts) == 3


ALERT = ["7", "BYBIT:BTCUSDT.P, 5m", "cross", "hello", "2026-03-02T09:00:00Z", "Delivered"]
ALERTS = ["Alert ID", "Ticker", "Name", "Description", "Time", "Webhook status"]


@pytest.mark.parametrize(
    "odd",
    [
        {1: '={"symbol":"BYBIT:BTCUSDT.P","adjustment":"splits"}'},
        {1: "BYBIT:BTCUSDT.P/BYBIT:ETHUSDT.P, 1h"},
        {1: "BTCUSDT.P"},
        {1: ""},
    ],
)
def test_an_odd_ticker_in_front_costs_no_other_alert(odd: dict[int, str]) -> None:
    first = [odd.get(place, cell) for place, cell in enumerate(ALERT)]
    assert len(read_export("log.csv", as_csv([ALERTS, first, ALERT])).alerts) == 2


@pytest.mark.parametrize("written", ["yesterday", "2026-13-45T09:00:00Z", ""])
def test_a_time_that_is_none_is_named_wherever_it_stands(written: str) -> None:
    found = read_export("log.csv", as_csv([ALERTS, [*ALERT[:4], written, ""], ALERT]))
    assert len(found.alerts) == 1 and [row.row for row in found.unreadable] == [2]


@pytest.mark.parametrize("column", [2, 3])
@pytest.mark.parametrize("width", [5, 6])
def test_a_log_without_one_of_its_columns_is_refused(column: int, width: int) -> None:
    table = [[cell for place, cell in enumerate(row[:width]) if place != column] for row in (ALERTS, ALERT)]
    with pytest.raises(ExportUnreadable, match="one is missing or in another place"):
        read_export("log.csv", as_csv(table))


def test_a_text_that_is_cut_in_the_middle_of_a_letter_is_no_traceback() -> None:
    with pytest.raises(ExportUnreadable):
        read_export("t.csv", b"\xff\xfea\x00b")


# What became of alerts that are alike.


def equal_alerts(*seconds: int, webhook: str = "") -> tuple[FiredAlert, ...]:
    rows = [[f"{n}", "BYBIT:BTCUSDT.P", "x", message(0), f"2026-03-02T09:00:{s:02}Z"] for n, s in enumerate(seconds)]
    return read_export("log.csv", as_csv([ALERTS[:5], *rows])).alerts


def test_an_alert_that_was_taken_for_a_repeat_is_told_so_and_not_lost() -> None:
    outcomes = [
        [each.outcome.value for each in judge_alerts(equal_alerts(*seconds), [arrival(0, repeats=repeats)])]
        for seconds, repeats in (((0, 12), 1), ((0, 0), 1), ((0, 12), 0), ((0, 12), 2))
    ]
    repeated = ["arrived", "taken for a repeat"]
    assert outcomes == [repeated, repeated, ["arrived", "never arrived"], ["arrived twice", "taken for a repeat"]]


def test_of_what_fired_before_the_journal_reaches_back_nothing_is_claimed() -> None:
    fired = read_export("log.csv", log_of(5)).alerts
    since_ms = int((BEGUN + timedelta(minutes=2)).timestamp() * 1000)
    verdicts = judge_alerts(fired, [arrival(3)], known_since_ms=since_ms)
    assert [each.outcome.value for each in verdicts] == ["not known"] * 2 + [
        "never arrived",
        "arrived",
        "never arrived",
    ]


def _calls(work: Callable[[], object]) -> int:
    """How many Python functions it calls, generators at each step."""
    count = 0

    def counted(frame: object, event: str, arg: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def test_many_equal_messages_are_judged_without_looking_at_each_pair() -> None:
    alike, begun_ms = digest(message(0).encode()), int(BEGUN.timestamp() * 1000)

    def judged(count: int) -> None:
        at = [begun_ms + n * 60_000 for n in range(count)]
        fired = [FiredAlert(id="", ticker="T", name="", at_ms=ms, digests=frozenset([alike])) for ms in at]
        verdicts = judge_alerts(fired, [replace(arrival(n), digest=alike) for n in range(count)])
        assert {each.outcome for each in verdicts} == {AlertOutcome.ARRIVED}

    assert _calls(lambda: judged(1200)) < 6 * _calls(lambda: judged(300))


def test_the_zone_of_many_trades_is_found_by_some_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    listed, tried = strategy_trades(2000), []
    pairs_of = performance._pairs

    def counted(rows: Sequence[ListedTrade], *more: Any) -> Any:
        tried.append(len(rows))
        return pairs_of(rows, *more)

    monkeypatch.setattr(performance, "_pairs", counted)
    assert best_zone(listed, [own_trade(each) for each in listed]) == LONDON
    assert max(tried) <= 400


# Trades of which one stands for several of the list.


def test_what_a_strategy_added_and_what_it_closed_in_parts_belongs_to_one_trade() -> None:
    first, *_ = strategy_trades(1)
    assert first.exit_price is not None and first.exit_at is not None
    per_coin = (first.exit_price - first.entry_price) * first.side.sign
    half = replace(first, qty=D(1), profit=per_coin)
    other = replace(half, number="2")
    added = replace(half, number="3", entry_at=first.entry_at + timedelta(minutes=60), exit_at=None)
    added = replace(added, exit_at=added.entry_at + timedelta(minutes=50))
    own = replace(
        own_trade(replace(half, qty=D(3))), entry_qty=D(3), size=D(2), realised=per_coin * 3, signals=("a", "b")
    )
    assert own.opened_at_ms is not None
    compared = compare_trades(
        [half, other, added],
        [own],
        zone=LONDON,
        is_found=False,
        why_missed=nothing_arrived,
        adds={own.id: (own.opened_at_ms + 3_600_000,)},
    )
    assert ([pair.listed.number for pair in compared.pairs], compared.missed) == (["1", "2", "3"], ())
    money = compared.money
    assert [money.slippage, money.missed, money.size, money.extra] == [D(0)] * 4
    assert money.fees + money.funding == money.profit - money.yours


def test_an_addition_that_never_came_is_missed() -> None:
    first, *_ = strategy_trades(1)
    added = replace(first, number="2", entry_at=first.entry_at + timedelta(minutes=60), exit_at=None)
    added = replace(added, exit_at=added.entry_at + timedelta(minutes=5))
    compared = compare_trades(
        [first, added], [own_trade(first)], zone=LONDON, is_found=False, why_missed=nothing_arrived
    )
    assert [each.listed.number for each in compared.missed] == ["2"] and compared.money.missed == added.profit


def test_a_trade_whose_exit_never_came_is_named_and_is_no_slippage() -> None:
    listed, *_ = strategy_trades(1)
    still = replace(own_trade(listed), closed_at_ms=None, exit_qty=D(0), exit_value=D(0), realised=D(0))
    compared = compare_trades([listed], [still], zone=LONDON, is_found=False, why_missed=nothing_arrived)
    assert [each.why for each in compared.missed] == ["it was entered, and yours is still open"]
    money = compared.money
    assert (money.slippage, money.missed, money.extra) == (D(0), listed.profit, -still.net)
    assert money.profit - money.missed - money.extra == money.yours


@pytest.mark.parametrize("zone", ["+99:00", "+5", "-x"])
def test_hours_that_are_no_zone_are_refused_in_our_words(zone: str) -> None:
    with pytest.raises(ValueError, match="no time zone such as"):
        zone_of(zone)
