"""Where each strategy stands by its alerts, what is asked of it, and who is next in line where several accept."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from relay.domain.instrument import Category
from relay.domain.order import Reason, SignalStatus
from relay.domain.signal import Action, ChainLink, Fit, MarketSide, Standing
from relay.errors import SignalNotRetryable
from relay.journal.accept import Admitting, forget_chain, lane_names, locks_of, take_back
from relay.journal.journal import Journal
from relay.journal.opening import open_journal
from relay.journal.ownership import report_of, write_report
from relay.journal.records import Duplicate, New, NewSignal
from relay.journal.store import lane_name, locks_on
from tests.unit.journal_builders import (
    NOW_MS,
    WINDOW_MS,
    accept,
    accepted,
    body,
    by_id_and_time,
    events_of,
    new_signal,
    url_of,
)


@pytest.fixture
def made(tmp_path: Any) -> Iterator[Journal]:
    opened = open_journal(url_of(tmp_path))
    yield opened
    opened.close()


def standing(text: str) -> Standing:
    side, _, size = text.partition(" ")
    return Standing(side=MarketSide(side), size=Decimal(size) if size else None)


def linked(before: str, after: str, *, sent_ms: int | None = None, **more: Any) -> NewSignal:
    link = ChainLink(before=standing(before), after=standing(after), sent_at_ms=sent_ms)
    return new_signal(link=link, **more)


def note_of(journal: Journal, signal: NewSignal, at_ms: int = NOW_MS) -> str | None:
    admission = accept(journal, signal, at_ms=at_ms)
    assert isinstance(admission, New)
    return admission.chain_note


def test_the_last_alert_of_each_strategy_and_instrument_is_its_chain_s_end(made: Journal) -> None:
    first = linked("flat", "long 2", sent_ms=5)
    assert note_of(made, first, NOW_MS + 1) is None
    note_of(made, linked("flat", "short", symbol="ETHUSDT"))
    note_of(made, linked("flat", "long", category=Category.INVERSE))
    note_of(made, linked("flat", "short 1", strategy="another"))
    accept(made, new_signal())
    found = made.strategies.chains()
    assert [(each.strategy, each.category, each.symbol, str(each.last.link.after)) for each in found] == [
        ("another", Category.LINEAR, "BTCUSDT", "short 1"),
        ("default", Category.INVERSE, "BTCUSDT", "long"),
        ("default", Category.LINEAR, "BTCUSDT", "long 2"),
        ("default", Category.LINEAR, "ETHUSDT", "short"),
    ]
    assert (found[2].signal_id, found[2].at_ms, found[2].last.link.sent_at_ms) == (first.id, NOW_MS + 1, 5)
    assert found[2].last.link.before == standing("flat 0") and found[2].last.fit is Fit.FIRST


def test_a_gap_is_told_stored_and_closed_by_what_comes_late(made: Journal) -> None:
    note_of(made, linked("flat", "long 1", sent_ms=1))
    gap = linked("long 2", "long 5", sent_ms=3)
    note = note_of(made, gap)
    assert note is not None and "is missing" in note and "chain_gap" in events_of(made, gap.id)
    (record,) = made.strategies.chains()
    assert (record.last.fit, record.last.open_from) == (Fit.MISSING, standing("long 1"))
    late = linked("long 1", "long 2", sent_ms=2)
    assert "came after the one that follows it" in (note_of(made, late, NOW_MS + 9) or "")
    assert "chain_overtaken" in events_of(made, late.id)
    (record,) = made.strategies.chains()
    assert (record.last.fit, record.last.open_from) == (Fit.FITS, None)
    assert (record.signal_id, record.at_ms) == (gap.id, NOW_MS), "it does not become the last one"
    assert made.strategies.overtaken(late.id) == standing("long 5")
    assert made.strategies.overtaken(gap.id) is None and made.strategies.size_before(gap.id) is None
    sideless = linked("long 7", "short", sent_ms=7)
    note_of(made, sideless)
    between = linked("long 5", "long 7", sent_ms=6)
    note_of(made, between)
    assert made.strategies.overtaken(between.id) == standing("short")


def test_without_instruments_a_chain_is_found_by_its_ticker_or_begins_anew(made: Journal) -> None:
    unknown: dict[str, Any] = {"category": None, "symbol": None}
    note_of(made, linked("flat", "long 1", ticker="BTC!"))
    note_of(made, linked("flat", "long 5", ticker="BTC!", strategy="another"))
    assert "missing" in (note_of(made, linked("flat", "long 3", ticker="BTC!", **unknown)) or "")
    assert "missing" in (note_of(made, linked("long 9", "flat", ticker="BTC!")) or "")
    assert note_of(made, linked("long 7", "flat", ticker="ETH!", **unknown)) is None
    assert [each.strategy for each in made.strategies.chains()] == ["another"]
    assert note_of(made, linked("long 7", "flat", ticker="BTC!")) is None


def test_the_size_before_a_reversal_that_names_none_is_the_last_alert_s(made: Journal) -> None:
    note_of(made, linked("flat", "long 3"))
    reversal = linked("long", "short")
    note_of(made, reversal)
    assert made.strategies.size_before(reversal.id) == 3
    named = linked("short", "long 2")
    note_of(made, named)
    assert made.strategies.size_before(named.id) is None
    assert not made.strategies.is_of_reused_id(named.id)


def test_a_withdrawn_alert_takes_its_chain_with_it(made: Journal) -> None:
    first = linked("flat", "long 3")
    note_of(made, first)
    for signal_id, left in (("another", 1), (first.id, 0)):
        made.store.submit(lambda connection, s=signal_id: forget_chain(connection, s), deadline_s=10)  # type: ignore[misc]
        assert len(made.strategies.chains()) == left


def test_when_a_strategy_was_heard_of_last(made: Journal) -> None:
    assert made.strategies.last_alerts("default") == (None, None)
    accept(made, new_signal(action=Action.HEARTBEAT), at_ms=NOW_MS + 1)
    accept(made, new_signal(), at_ms=NOW_MS + 2)
    accept(made, new_signal(strategy="another", action=Action.HEARTBEAT), at_ms=NOW_MS + 9)
    assert made.strategies.last_alerts("default") == (NOW_MS + 2, NOW_MS + 1)
    accept(made, new_signal(action=Action.HEARTBEAT), at_ms=NOW_MS + 3)
    assert made.strategies.last_alerts("default") == (NOW_MS + 3, NOW_MS + 3)


def test_what_ended_because_a_backup_was_brought_back_is_not_opened_again(made: Journal) -> None:
    signal_id = accepted(made)
    made.finish(signal_id, "main", SignalStatus.FAILED, Reason(code="RESTORE_UNFINISHED", message="?"), now_ms=NOW_MS)
    with pytest.raises(SignalNotRetryable, match="may have reached the exchange"):
        made.reopen(signal_id, now_ms=NOW_MS)


# Where several processes accept.


def test_an_alert_s_locks_are_its_own_and_its_lanes_and_the_accounts_where_its_instrument_is_not_known() -> None:
    known = new_signal(by_id_and_time("k"), accounts=("b", "a"))
    lanes = [lane_name(each, Category.LINEAR, "BTCUSDT") for each in ("a", "b")]
    assert lane_names(known) == lanes
    name = "alert default id_time k"
    assert locks_of(known) == locks_on(name, lanes=lanes, shared=["account b", "account a"])
    unknown = new_signal(by_id_and_time("k"), accounts=("b", "a"), category=None, symbol=None, ticker="T")
    lanes = [lane_name(each, None, "T") for each in ("a", "b")]
    assert locks_of(unknown) == locks_on(name, "account b", "account a", lanes=lanes)
    nameless = new_signal(accounts=("a",), category=None, symbol="S", ticker=None)
    assert lane_names(nameless) == [lane_name("a", None, "")]


@pytest.fixture
def shared(postgres_url: str) -> Iterator[Journal]:
    opened = open_journal(postgres_url)
    yield opened
    opened.close()


def _admitting(new: NewSignal) -> Admitting:
    return Admitting(new=new, now_ms=NOW_MS, dedup_window_ms=WINDOW_MS, aged_ms=NOW_MS)


@pytest.mark.parametrize("is_repeated", [False, True])
def test_an_alert_is_taken_back_unless_its_resend_was_told_that_it_is_there(shared: Journal, is_repeated: bool) -> None:
    new = new_signal(body("x"))
    admission = accept(shared, new)
    if is_repeated:
        assert isinstance(accept(shared, new_signal(body("x"))), Duplicate)
    shared.store.submit(lambda connection: take_back(_admitting(new), connection, admission), deadline_s=10)
    assert (shared.signal(new.id) is not None) is is_repeated
    again = accept(shared, new_signal(body("x")))
    assert isinstance(again, Duplicate if is_repeated else New)


def test_a_retry_among_several_processes_is_one_and_behind_what_came_meanwhile(shared: Journal) -> None:
    signal_id = accepted(shared)
    shared.finish(signal_id, "main", SignalStatus.FAILED, now_ms=NOW_MS)
    later = accepted(shared)
    assert shared.reopen(signal_id, now_ms=NOW_MS) == 1
    assert [each.signal.id for each in shared.unfinished()] == [later, signal_id]
    with pytest.raises(SignalNotRetryable, match="there is no signal nobody"):
        shared.reopen("nobody", now_ms=NOW_MS)


def test_what_an_owner_found_is_read_by_the_others(shared: Journal) -> None:
    assert report_of(shared.store, "main") is None
    for at_ms, found in ((1, {"a": 1}), (2, {"b": [2]})):
        write_report(shared.store, "main", found, at_ms=at_ms)
        assert report_of(shared.store, "main") == (at_ms, found)
    assert report_of(shared.store, "another") is None


def test_an_alert_of_which_one_account_has_begun_is_not_taken_back(made: Journal) -> None:
    new = new_signal(accounts=("a", "b"))
    admission = accept(made, new)
    made.write(lambda uow: uow.signals.begin(new.id, "b", now_ms=NOW_MS))
    made.store.submit(lambda connection: _admitting(new).undo(connection, admission), deadline_s=10)
    assert made.signal(new.id) is not None
    waiting = new_signal(accounts=("a", "b"))
    admission = accept(made, waiting)
    made.store.submit(lambda connection: _admitting(waiting).undo(connection, admission), deadline_s=10)
    assert made.signal(waiting.id) is None
