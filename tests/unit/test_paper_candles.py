"""The path of a price, and the candles made of it."""

from __future__ import annotations

from decimal import Decimal

from relay.paper.state import MINUTE_MS, Candle, candles_of, traced


def path_of(*moves: tuple[int, str]) -> list[Candle]:
    """`moves`: seconds since the beginning, and where the price went then. It was at 100 before."""
    minutes: dict[int, Candle] = {}
    known, before = None, Decimal(100)
    for second, price in moves:
        known = traced(known, before, Decimal(price), second * 1000)
        minutes[known.begins_ms] = known
        before = Decimal(price)
    return list(minutes.values())


def shown(candles: tuple[Candle, ...]) -> list[str]:
    return [f"{each.begins_ms // MINUTE_MS}: {each.open} {each.high} {each.low} {each.close}" for each in candles]


def candles(path: list[Candle], *, minutes: int, first: int, last: int) -> list[str]:
    span_ms = minutes * MINUTE_MS
    found = candles_of(path, span_ms=span_ms, first_ms=first * MINUTE_MS, last_ms=last * MINUTE_MS, now=Decimal(77))
    return shown(found)


def test_a_candle_opens_where_the_one_before_has_closed() -> None:
    path = path_of((5, "103"), (20, "98"), (59, "101"), (60, "102"), (200, "90"))
    assert candles(path, minutes=1, first=0, last=4) == [
        "0: 100 103 98 101",
        "1: 101 102 101 102",
        "2: 102 102 102 102",
        "3: 102 102 90 90",
        "4: 90 90 90 90",
    ]


def test_longer_candles_join_the_minutes_in_them() -> None:
    path = path_of((5, "103"), (70, "98"), (400, "120"))
    assert candles(path, minutes=5, first=0, last=5) == ["0: 100 103 98 98", "5: 98 120 98 120"]


def test_before_the_path_begins_it_is_flat_and_a_later_first_candle_knows_the_price_before() -> None:
    path = path_of((600, "105"))
    assert candles(path, minutes=5, first=0, last=5) == ["0: 100 100 100 100", "5: 100 100 100 100"]
    assert candles(path, minutes=1, first=15, last=15) == ["15: 105 105 105 105"]
    assert candles([], minutes=1, first=3, last=3) == ["3: 77 77 77 77"]
