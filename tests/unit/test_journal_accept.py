"""Which alerts are the same, and what is kept of each."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from typing import Any

import pytest

from relay.domain.order import Reason, SignalStatus
from relay.domain.signal import Identity, new_signal_id
from relay.journal.journal import Journal
from relay.journal.maintenance import DAY_MS
from relay.journal.opening import open_journal
from relay.journal.records import Duplicate, IdReused, New, NewSignal
from relay.journal.rejected import APART_S, ONLY_COUNTED
from tests.unit.journal_builders import (
    NOW_MS,
    WINDOW_MS,
    accept,
    accepted,
    body,
    by_id,
    by_id_and_time,
    events_of,
    new_signal,
)

TEN_MINUTES_MS = 600_000
YEAR_MS = 365 * 24 * 3600 * 1000


def _like(identity: Identity, digest: str = "the same body") -> NewSignal:
    return new_signal(identity, digest=digest)


def test_ids_have_26_characters_and_sort_by_time() -> None:
    ids = [new_signal_id(at_ms) for at_ms in (0, 1, 31, 32, NOW_MS, NOW_MS + 1, (1 << 48) - 1)]
    assert ids == sorted(ids)
    assert {len(each) for each in ids} == {26}
    assert set("".join(ids)) <= set("0123456789abcdefghjkmnpqrstvwxyz")


def test_ids_of_one_millisecond_differ() -> None:
    assert len({new_signal_id(NOW_MS) for _ in range(1000)}) == 1000


def test_an_accepted_signal_is_stored_with_its_executions_in_order(journal: Journal) -> None:
    first = accepted(journal, new_signal(accounts=("b", "a")))
    second = accepted(journal, new_signal(notes=("no id",), sent_at_ms=NOW_MS - 5))
    waiting = journal.unfinished()
    assert [(each.signal.id, each.account) for each in waiting] == [(first, "a"), (first, "b"), (second, "main")]
    assert waiting[2].signal.notes == ("no id",)
    assert waiting[2].signal.sent_at_ms == NOW_MS - 5
    assert waiting[2].signal.alert == {"action": "buy", "symbol": "BTCUSDT.P", "qty": "0.01"}
    assert (waiting[2].plan, waiting[2].orders, waiting[2].generation) == (None, (), 0)


def test_a_signal_for_no_account_is_done_at_once(journal: Journal) -> None:
    signal_id = accepted(journal, new_signal(accounts=(), category=None, symbol=None))
    assert journal.unfinished() == ()
    assert journal.counts() == {SignalStatus.DONE: 1}
    assert events_of(journal, signal_id) == ["accepted", "done"]


def test_further_events_are_stored_with_it(journal: Journal) -> None:
    signal_id = accepted(journal, new_signal(events=(("warned", {"why": "slow"}),)))
    assert events_of(journal, signal_id) == ["accepted", "warned"]


def test_an_id_with_a_time_is_an_identity_for_good(journal: Journal) -> None:
    first = accepted(journal, _like(by_id_and_time("7|12:00")))
    later = accept(journal, _like(by_id_and_time("7|12:00")), at_ms=NOW_MS + YEAR_MS)
    assert later == Duplicate(signal_id=first, status=SignalStatus.ACCEPTED, first_at_ms=NOW_MS)


@pytest.mark.parametrize("after_ms", [0, 1, YEAR_MS])
def test_an_id_with_a_time_and_another_body_is_reused(journal: Journal, after_ms: int) -> None:
    first = accepted(journal, _like(by_id_and_time("7|12:00")))
    other = accept(journal, _like(by_id_and_time("7|12:00"), "another body"), at_ms=NOW_MS + after_ms)
    assert other == IdReused(first_signal_id=first)
    assert journal.counts() == {SignalStatus.ACCEPTED: 1}


def test_an_id_alone_is_the_same_for_ten_minutes_and_reused_afterwards(journal: Journal) -> None:
    first = accepted(journal, _like(by_id("7")))
    within = accept(journal, _like(by_id("7")), at_ms=NOW_MS + TEN_MINUTES_MS)
    after = accept(journal, _like(by_id("7")), at_ms=NOW_MS + TEN_MINUTES_MS + 1)
    assert within == Duplicate(signal_id=first, status=SignalStatus.ACCEPTED, first_at_ms=NOW_MS)
    assert after == IdReused(first_signal_id=first)


def test_an_id_alone_with_another_body_is_reused_at_once(journal: Journal) -> None:
    first = accepted(journal, _like(by_id("7")))
    assert accept(journal, _like(by_id("7"), "another body")) == IdReused(first_signal_id=first)


def test_the_same_body_is_a_duplicate_within_the_window_and_new_after_it(journal: Journal) -> None:
    first = accepted(journal, _like(body("d")))
    within = accept(journal, _like(body("d")), at_ms=NOW_MS + WINDOW_MS)
    again_at = NOW_MS + WINDOW_MS + 1
    second = accepted(journal, _like(body("d")), at_ms=again_at)
    assert within == Duplicate(signal_id=first, status=SignalStatus.ACCEPTED, first_at_ms=NOW_MS)
    third = accept(journal, _like(body("d")), at_ms=again_at + 1)
    assert third == Duplicate(signal_id=second, status=SignalStatus.ACCEPTED, first_at_ms=again_at)


def test_a_window_of_zero_makes_every_body_new(journal: Journal) -> None:
    accepted(journal, _like(body("d")), dedup_window_ms=0)
    accepted(journal, _like(body("d")), dedup_window_ms=0)
    assert journal.counts() == {SignalStatus.ACCEPTED: 2}


def test_strategies_and_kinds_of_identity_do_not_mix(journal: Journal) -> None:
    accepted(journal, new_signal(by_id("7"), digest="d"))
    accepted(journal, new_signal(by_id("7"), digest="d", strategy="other"))
    accepted(journal, new_signal(by_id_and_time("7"), digest="d"))
    accepted(journal, new_signal(body("7"), digest="d"))
    assert journal.counts() == {SignalStatus.ACCEPTED: 4}


def test_a_duplicate_is_seen_among_the_events_of_the_first(journal: Journal) -> None:
    first = accepted(journal, _like(by_id("7")))
    accept(journal, _like(by_id("7")))
    assert events_of(journal, first) == ["accepted", "duplicate"]


def test_ten_identical_alerts_at_one_instant_are_one_signal(journal: Journal) -> None:
    start = threading.Barrier(10)

    def post(_: int) -> New | Duplicate:
        signal = _like(body("d"))
        start.wait()
        admission = accept(journal, signal)
        assert isinstance(admission, New | Duplicate)
        return admission

    with ThreadPoolExecutor(10) as posters:
        admissions = list(posters.map(post, range(10)))
    assert sorted(type(each).__name__ for each in admissions) == ["Duplicate"] * 9 + ["New"]
    assert len({each.signal_id for each in admissions}) == 1
    assert len(journal.unfinished()) == 1


def test_alerts_of_32_threads_are_all_stored(journal: Journal) -> None:
    def post(_: int) -> list[str]:
        return [accepted(journal) for _ in range(10)]

    with ThreadPoolExecutor(32) as posters:
        ids = {each for some in posters.map(post, range(32)) for each in some}
    assert len(ids) == 320
    assert {each.signal.id for each in journal.unfinished()} == ids


def test_text_that_no_database_holds_is_stored_spelled_out(journal: Journal) -> None:
    signal_id = accepted(
        journal, new_signal(by_id("a\x00\ud800"), ticker="B\x00\ud800C", alert={"comment": "\x00\ud800é"})
    )
    stored = journal.executions_of(signal_id)[0].signal
    assert stored.alert == {"comment": "\x00\ud800é"}
    assert stored.ticker == "B\\x00\\ud800C"


def test_a_rejected_alert_is_stored_and_shown(journal: Journal) -> None:
    signal_id = new_signal_id(NOW_MS)
    journal.reject(
        signal_id=signal_id,
        strategy="default",
        alert={"action": "bye"},
        digest="d",
        reason=Reason(code="ALERT_INVALID", message="action: not one of buy, sell"),
        fields={"action": ["not one of buy, sell"]},
        now_ms=NOW_MS,
    )
    shown = journal.signal(signal_id)
    assert shown is not None
    assert (shown["status"], shown["alert"]) == ("rejected", {"action": "bye"})
    assert shown["reason"] == {"code": "ALERT_INVALID", "message": "action: not one of buy, sell"}
    assert shown["events"][0]["detail"] == {"fields": {"action": ["not one of buy, sell"]}}
    assert journal.unfinished() == ()


def test_a_rejected_alert_that_could_not_be_parsed_is_stored_as_text(journal: Journal) -> None:
    signal_id = new_signal_id(NOW_MS)
    reason = Reason(code="ALERT_MALFORMED", message="line 1")
    journal.reject(signal_id=signal_id, strategy=None, alert='{"a":', digest="d", reason=reason, now_ms=NOW_MS)
    shown = journal.signal(signal_id)
    assert shown is not None
    assert shown["alert"] == {"text": '{"a":'}


def _reject(journal: Journal, *, strategy: str = "noisy", now_ms: int = NOW_MS, letters: int = 8000) -> str | None:
    """The id under which it was kept."""
    signal_id = new_signal_id(now_ms)
    is_stored = journal.reject(
        signal_id=signal_id,
        strategy=strategy,
        alert={"text": "x" * letters},
        digest="d",
        reason=Reason(code="ALERT_INVALID", message="m" * 50_000),
        fields={f"field{number}": ["p" * 5000] * 9 for number in range(90)},
        now_ms=now_ms,
    )
    return signal_id if is_stored else None


def test_a_flood_of_rejected_alerts_is_stored_up_to_a_bound_a_day_and_strategy_and_then_counted(
    journal: Journal,
) -> None:
    stored = list(takewhile(lambda signal_id: signal_id is not None, (_reject(journal) for _ in range(1000))))
    assert 150 < len(stored) < 300
    assert _reject(journal, letters=1) is None, "a short one, too"
    _written(journal, 2)
    (counted,) = journal.refused()
    assert (counted.kind, counted.source, counted.count) == (ONLY_COUNTED, "noisy", 2)
    first = journal.signal(str(stored[0]))
    assert first is not None and len(json.dumps(first)) < 30_000
    assert _reject(journal, strategy="another") is not None
    assert accepted(journal, new_signal(by_id("after"), strategy="noisy"))
    # A relay that is started again knows what was kept, and the next day is another.
    again = Journal(journal.store)
    assert _reject(again) is None
    assert _reject(again, now_ms=NOW_MS + DAY_MS) is not None


def _written(journal: Journal, posts: int) -> None:
    """Waits until that many are counted: nobody waits for it, least of all an alert."""
    deadline = time.monotonic() + 30
    while sum(each.count for each in journal.refused()) != posts:
        assert time.monotonic() < deadline, "what was refused is not written"
        time.sleep(0.02)


def test_refused_posts_are_counted_by_kind_and_source(journal: Journal) -> None:
    for at_ms in range(100):
        journal.note_refused("AUTH_FAILED", "192.0.2.1", now_ms=NOW_MS + at_ms)
    journal.note_refused("AUTH_FAILED", "192.0.2.2", now_ms=NOW_MS)
    _written(journal, 101)
    counted = {(each.source, each.count, each.last_at_ms) for each in journal.refused()}
    assert counted == {("192.0.2.1", 100, NOW_MS + 99), ("192.0.2.2", 1, NOW_MS)}


def test_a_flood_of_refused_posts_is_shown_at_once_and_written_in_a_few_transactions(
    journal: Journal, journal_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    posted: list[float] = []
    post = journal.store.post

    def count(*work: Any) -> None:
        posted.append(time.monotonic())
        post(*work)

    monkeypatch.setattr(journal.store, "post", count)
    begun = time.monotonic()
    for number in range(5000):
        journal.note_refused("AUTH_FAILED", "192.0.2.1", now_ms=NOW_MS + number)
        if number % 100 == 0:
            journal.store.submit(lambda connection: None)  # as long as a write takes
    assert sum(each.count for each in journal.refused()) == 5000
    assert len(posted) <= 2 + (time.monotonic() - begun) / APART_S
    journal.close()
    with contextlib.closing(open_journal(journal_url)) as again:
        assert [(each.count, each.last_at_ms) for each in again.refused()] == [(5000, NOW_MS + 4999)], "none is lost"


def test_a_flood_from_many_sources_takes_a_bounded_number_of_rows(journal: Journal) -> None:
    for number in range(2500):
        journal.note_refused("AUTH_FAILED", f"2001:db8::{number:x}", now_ms=NOW_MS)
    _written(journal, 2500)
    assert len(journal.refused()) <= 1001


def _close(identity: Identity, digest: str = "close", **changes: Any) -> NewSignal:
    return new_signal(identity, **{"digest": digest, "only_exits": True, "may_exit": True, **changes})


def test_the_same_close_again_is_a_resend_while_nothing_else_came_to_its_lane(journal: Journal) -> None:
    first = accepted(journal, _close(body("c")))
    for at_ms in (NOW_MS + 1, NOW_MS + WINDOW_MS):
        again = accept(journal, _close(body("c")), at_ms=at_ms)
        assert isinstance(again, Duplicate) and again.signal_id == first


@pytest.mark.parametrize("accounts", [("main",), ("other", "main")])
def test_the_same_close_again_is_new_once_another_alert_came_to_one_of_its_lanes(
    journal: Journal, accounts: tuple[str, ...]
) -> None:
    accepted(journal, _close(body("c"), accounts=("main", "second")))
    accepted(journal, new_signal(accounts=accounts, strategy="another"), at_ms=NOW_MS + 1)
    second = accepted(journal, _close(body("c"), accounts=("main", "second")), at_ms=NOW_MS + 2)
    again = accept(journal, _close(body("c"), accounts=("main", "second")), at_ms=NOW_MS + 3)
    assert isinstance(again, Duplicate) and again.signal_id == second


@pytest.mark.parametrize(
    "between",
    [
        {"symbol": "ETHUSDT", "ticker": "ETHUSDT.P"},
        {"accounts": ("other",)},
        {"accounts": (), "category": None, "symbol": None},
    ],
)
def test_an_alert_of_another_lane_leaves_a_close_the_same(journal: Journal, between: dict[str, Any]) -> None:
    first = accepted(journal, _close(body("c")))
    accepted(journal, new_signal(**between))
    again = accept(journal, _close(body("c")))
    assert isinstance(again, Duplicate) and again.signal_id == first


def test_what_can_open_or_has_a_time_is_a_duplicate_whatever_came_between(journal: Journal) -> None:
    for changes in ({"only_exits": False}, {"sent_at_ms": NOW_MS - 1000}):
        key = body(str(changes))
        first = accepted(journal, _close(key, **changes))
        accepted(journal, new_signal())
        again = accept(journal, _close(key, **changes), at_ms=NOW_MS + WINDOW_MS)
        assert isinstance(again, Duplicate) and again.signal_id == first


def test_an_age_far_below_zero_is_no_repeat(journal: Journal) -> None:
    accepted(journal, _like(body("d")))
    second = accepted(journal, _like(body("d")), at_ms=NOW_MS - 6_000)
    assert isinstance(accept(journal, _like(body("d")), at_ms=NOW_MS), Duplicate)
    accepted(journal, _like(by_id("7")))
    assert isinstance(accept(journal, _like(by_id("7")), at_ms=NOW_MS - 6_000), IdReused)
    assert second


def test_ages_are_measured_on_their_own_clock(journal: Journal) -> None:
    first = accepted(journal, _like(body("d")), aged_ms=5)
    hour_ms = 3_600_000
    again = accept(journal, _like(body("d")), at_ms=NOW_MS - hour_ms, aged_ms=5 + WINDOW_MS)
    assert isinstance(again, Duplicate) and again.signal_id == first
    accepted(journal, _like(body("d")), at_ms=NOW_MS, aged_ms=6 + WINDOW_MS)


def test_the_clock_of_ages_goes_on_when_the_machines_is_set_back(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_ms = journal.steady_ms()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert 0 <= journal.steady_ms() - before_ms < 60_000


@pytest.mark.parametrize(
    ("identity", "digest", "after_ms"),
    [
        (by_id("Long"), "close", TEN_MINUTES_MS + 1),
        (by_id("Long"), "another body", 0),
        (by_id_and_time("Long|12:00"), "another body", 0),
    ],
)
def test_an_exit_whose_id_came_before_is_executed_as_new_and_says_so(
    journal: Journal, identity: Identity, digest: str, after_ms: int
) -> None:
    first = accepted(journal, _close(identity, sender_id="Long"))
    second = accepted(journal, _close(identity, digest, sender_id="Long"), at_ms=NOW_MS + after_ms)
    record = next(each.signal for each in journal.unfinished() if each.signal.id == second)
    assert record.notes == (
        f"id: 'Long' was used before, by signal {first}: an `id` must be new for each alert; "
        "`{{strategy.order.id}}` belongs in `order_id`",
    )
    assert events_of(journal, second) == ["accepted", "id_reused"]
    again = accept(journal, _close(identity, digest, sender_id="Long"), at_ms=NOW_MS + after_ms + 1)
    assert isinstance(again, Duplicate) and again.signal_id == second


def test_the_resend_of_an_entry_whose_id_an_exit_took_is_still_known(journal: Journal) -> None:
    entry = accepted(journal, _like(by_id("Long"), "entry"))
    accepted(journal, _close(by_id("Long")))
    again = accept(journal, _like(by_id("Long"), "entry"), at_ms=NOW_MS + 6000)
    assert isinstance(again, Duplicate) and again.signal_id == entry
    assert isinstance(accept(journal, _like(by_id("Long"), "another entry")), IdReused)


@pytest.mark.parametrize("apart_ms", [-40, 40])
def test_a_resend_that_reaches_another_process_is_a_repeat_though_their_clocks_differ(
    journal: Journal, apart_ms: int
) -> None:
    first = new_signal(body("the same"), digest="the same")
    journal.accept(first, now_ms=NOW_MS, aged_ms=NOW_MS, dedup_window_ms=WINDOW_MS)
    again = journal.accept(
        new_signal(body("the same"), digest="the same"),
        now_ms=NOW_MS + 1,
        aged_ms=NOW_MS + apart_ms,
        dedup_window_ms=WINDOW_MS,
    )
    assert isinstance(again, Duplicate) and again.signal_id == first.id
