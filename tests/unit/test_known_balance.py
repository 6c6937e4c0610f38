"""A coin's balance and a position as the streams tell them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from relay.bybit.stream_state import KnownBalance, KnownPosition
from relay.bybit.wire_account import CoinBalance
from relay.bybit.wire_orders import ReportedExecution, ReportedPosition
from relay.domain.instrument import Category
from relay.domain.position import Position

_START, _EARNED = Decimal(1000), Decimal("0.5")


def _execution(number: int) -> ReportedExecution:
    return ReportedExecution(
        category=Category.LINEAR,
        symbol="BTCUSDT",
        key=f"order-{number}",
        exec_id=f"exec-{number}",
        seq=number,
        at_ms=1000 + number,
        moved=Decimal(1),
        earned={"USDT": _EARNED},
        fill=None,
    )


def _read(known: KnownBalance, balance: Decimal, at_ms: int) -> None:
    known.read(known.begin(at_ms), balance)


def test_a_balance_that_nobody_asks_for_keeps_a_bounded_number_of_executions_in_mind() -> None:
    known = KnownBalance()
    _read(known, _START, 0)
    for number in range(10_000):
        known.executed(_execution(number), _EARNED)
    assert len(known.begin(20_000).exec_ids) <= 2000


def test_a_balance_is_read_anew_after_more_executions_than_are_remembered_and_then_known_again() -> None:
    known = KnownBalance()
    _read(known, _START, 0)
    outrun = known.begin(0)
    for number in range(5000):
        known.executed(_execution(number), _EARNED)
    now = _START + 5000 * _EARNED
    known.take_report(now, 6000)
    assert known.known() is None
    known.read(outrun, _START)
    assert known.known() is None, "a reading that began before what was forgotten says nothing"

    _read(known, now, 6500)
    assert known.known() == now
    known.executed(_execution(7000), _EARNED)
    assert known.known() is None
    known.take_report(now + _EARNED, 8000)
    assert known.known() == now + _EARNED


def _told(known: KnownBalance, *, balance: str = "1000", at_ms: int = 5000) -> None:
    known.take_report(Decimal(balance), at_ms)


def test_a_balance_is_known_while_what_was_earned_explains_what_was_told() -> None:
    known = KnownBalance()
    assert known.known() is None
    _told(known)
    assert known.known() is None, "it was never read"
    _read(known, _START, 5000)
    assert known.known() == 1000
    known.executed(_execution(5000), _EARNED)
    assert known.known() is None
    _told(known, balance="1000.5", at_ms=7000)
    assert known.known() == Decimal("1000.5")
    known.executed(_execution(5000), _EARNED)
    assert known.known() == Decimal("1000.5"), "one that is told twice counts once"
    known.executed(_execution(6500), Decimal("0.0000002"))
    assert known.known() == Decimal("1000.5"), "what is apart by less than the eighth digit is the same"
    known.executed(_execution(6501), Decimal("0.0000003"))
    assert known.known() is None


def test_what_was_executed_before_the_reading_is_in_it_but_for_a_second_of_the_clocks() -> None:
    for made_at, counts in ((3_999, False), (4_000, True)):
        known = KnownBalance()
        _read(known, _START, 5000)
        known.executed(replace(_execution(1), at_ms=made_at), _EARNED)
        assert (known.known() is None) is counts
    known = KnownBalance()
    known.executed(_execution(9000), _EARNED)
    reading = known.begin(10_000)
    known.executed(_execution(9500), _EARNED)
    known.read(reading, _START)
    assert known.known() is None, "what came while it was read may not be in it"
    _told(known, balance="1000.5", at_ms=11_000)
    assert known.known() == Decimal("1000.5")


def test_an_older_wallet_says_nothing_and_one_of_the_same_moment_does() -> None:
    row = CoinBalance(coin="USDT", equity=_START, wallet_balance=_START, unrealised_pnl=Decimal(0))
    for at_ms, is_taken in ((3_999, False), (4_000, True), (9_000, True)):
        known = KnownBalance()
        _read(known, _START, 5000)
        known.take_report(Decimal(7), at_ms, row)
        assert (known.known() is None) is is_taken
        assert (known.row is row) is is_taken
    known = KnownBalance()
    _read(known, _START, 9000)
    known.read(known.begin(1000), _START, row)
    known.take_report(Decimal(7), 7_999)
    assert known.known() == _START and known.row is row, "a later reading's time stays"


def test_after_the_stream_was_away_only_a_reading_that_began_since_counts() -> None:
    known = KnownBalance()
    _read(known, _START, 0)
    outrun = known.begin(0)
    known.forget()
    assert known.known() is None
    known.read(outrun, _START)
    assert known.known() is None
    _read(known, _START, 1)
    assert known.known() == _START


# A position.


def _position(size: str, seq: int, at_ms: int = 1, *, is_one_way: bool = True) -> ReportedPosition:
    held = Position(category=Category.LINEAR, symbol="BTCUSDT", size=Decimal(size))
    return ReportedPosition(position=held, seq=seq, at_ms=at_ms, pnl_price=None, is_one_way=is_one_way)


def _fill(number: int, moved: str, seq: int, key: str = "o") -> ReportedExecution:
    return replace(_execution(number), key=key, moved=Decimal(moved), seq=seq)


def _known_position(size: str = "2", seq: int = 10) -> KnownPosition:
    made = KnownPosition()
    made.read(made.begin(), _position(size, seq))
    assert made.known() is not None
    return made


def _size(known: KnownPosition) -> Decimal | None:
    found = known.known()
    return None if found is None else found.position.size


def test_a_fill_is_in_the_position_once_the_position_s_own_event_is_as_new_and_adds_up() -> None:
    for told, seq, is_known in (("3", 11, True), ("3", 10, False), ("4", 11, False), ("3", 12, True)):
        known = _known_position()
        assert known.executed(_fill(1, "1", 11)) is True
        assert known.executed(_fill(1, "1", 11)) is False
        assert _size(known) is None
        known.reported("o", Decimal(1), is_settled=True)
        known.take_report(_position(told, seq))
        assert (_size(known) is not None) is is_known
    old = _known_position()
    assert old.executed(_fill(1, "1", 10)) is True and _size(old) == 2, "the reading is as new as that"
    assert old.executed(_fill(2, "0", 11)) is True and _size(old) == 2, "it moved nothing"


def test_all_that_was_told_to_be_filled_must_have_been_executed() -> None:
    known = _known_position()
    known.reported("o", Decimal(2), is_settled=True)
    known.executed(_fill(1, "1", 11))
    known.take_report(_position("3", 11))
    assert _size(known) is None
    known.executed(_fill(2, "1", 12))
    known.take_report(_position("4", 12))
    assert _size(known) == 4
    known.reported("o", Decimal(2), is_settled=True)
    known.reported("o", Decimal(1), is_settled=True)
    assert _size(known) == 4, "that is proven"
    known.reported("o", Decimal(3), is_settled=True)
    assert _size(known) is None
    known.executed(_fill(3, "1", 13))
    known.take_report(_position("5", 13))
    assert _size(known) == 5


def test_while_an_order_is_on_its_way_nothing_is_known_and_no_reading_helps() -> None:
    known = _known_position()
    known.sending("o")
    assert (_size(known), known.is_readable, known.may_be_open) == (None, False, True)
    known.read(known.begin(), _position("2", 10))
    assert _size(known) is None
    known.reported("o", Decimal(0), is_settled=False)
    assert (_size(known), known.is_readable) == (None, False)
    known.certainly_nothing("o")
    assert (_size(known), known.is_readable) == (Decimal(2), True)
    known.certainly_nothing("another")
    known.sending("p")
    known.reported("p", Decimal(0), is_settled=True)
    assert _size(known) == 2


def test_a_reading_settles_what_was_open_when_it_began_and_has_not_changed_since() -> None:
    known = _known_position()
    known.reported("o", Decimal(1), is_settled=True)
    reading = known.begin()
    known.read(reading, _position("3", 11))
    assert _size(known) == 3
    known.reported("p", Decimal(1), is_settled=True)
    reading = known.begin()
    known.reported("p", Decimal(2), is_settled=True)
    known.read(reading, _position("4", 12))
    assert _size(known) is None, "more of it was told meanwhile"
    known.executed(_fill(5, "1", 20, key="q"))
    known.read(known.begin(), _position("5", 13))
    assert _size(known) is None, "an execution is newer than the reading"
    known.take_report(_position("6", 20))
    assert _size(known) == 6


def test_an_older_position_says_nothing_and_the_settings_of_the_same_do() -> None:
    for seq, at_ms, is_taken in ((10, 4, False), (10, 5, True), (10, 6, True), (9, 9, False), (11, 1, True)):
        known = KnownPosition()
        known.read(known.begin(), _position("2", 10, 5))
        later = _position("2", seq, at_ms)
        known.take_report(later)
        assert (known.known() is later) is is_taken
    for seq, size in ((9, 2), (10, 3), (11, 3)):
        known = KnownPosition()
        known.read(known.begin(), _position("2", 10, 5))
        known.read(known.begin(), _position("3", seq, 5))
        assert _size(known) == size
    ahead = KnownPosition()
    ahead.take_report(_position("2", 10, 9))
    ahead.read(ahead.begin(), _position("2", 10, 5))
    found = ahead.known()
    assert found is not None and found.at_ms == 9


def test_a_hedge_and_a_cut_make_it_unknown_whatever_a_reading_says_that_had_begun() -> None:
    ways: tuple[Callable[[KnownPosition], None], ...] = (
        lambda known: known.forget(),
        lambda known: known.take_report(_position("2", 11, is_one_way=False)),
        lambda known: known.read(known.begin(), _position("2", 11, is_one_way=False)),
    )
    for make_unknown in ways:
        known = _known_position()
        outrun = known.begin()
        make_unknown(known)
        assert (_size(known), known.may_be_open, known.no_entry) == (None, False, None)
        known.read(outrun, _position("2", 12))
        assert _size(known) is None
        known.read(known.begin(), _position("2", 12))
        assert _size(known) == 2


def test_a_position_may_be_open_where_it_has_a_size_or_an_order_is_not_settled() -> None:
    assert not _known_position("0").may_be_open and _known_position("-1").may_be_open
    flat = _known_position("0")
    flat.reported("o", Decimal(1), is_settled=True)
    assert flat.may_be_open
    assert not KnownPosition().may_be_open


def test_so_many_executions_are_remembered_and_no_more() -> None:
    known = _known_position()
    for number in range(2001):
        known.executed(_fill(number, "0", 5))
    assert known.executed(_fill(0, "0", 5)) is True and known.executed(_fill(2000, "0", 5)) is False


def test_an_end_that_tells_no_more_than_is_known_leaves_a_flat_position_flat() -> None:
    known = _known_position("0")
    known.reported("of somebody", Decimal(0), is_settled=True)
    assert not known.may_be_open
    known.reported("o", Decimal(1), is_settled=True)
    known.read(known.begin(), _position("0", 11))
    assert _size(known) == 0 and not known.may_be_open
    known.reported("o", Decimal(1), is_settled=True)
    assert not known.may_be_open
