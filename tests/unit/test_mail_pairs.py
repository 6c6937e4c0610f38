"""A mail and a webhook of one alert are one alert; and what that does not take away from any other."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from relay.domain.order import Reason, SignalStatus
from relay.domain.signal import Identity
from relay.journal.api_queries import DashboardQueries
from relay.journal.copies import PAIR_MS, Mailboxes, ReadUpTo, Ways
from relay.journal.journal import Journal
from relay.journal.records import Admission, Copy, Duplicate, IdReused, LateByMail, New, NewSignal, Way
from tests.unit.journal_builders import NOW_MS, accept, body, by_id, by_id_and_time, new_signal

MINUTE_MS = 60_000
_keys = itertools.count()


def _new(way: Way, at_ms: int, identity: Identity | None = None, text: str = "t", **more: Any) -> NewSignal:
    message = f"m{next(_keys)}" if way is Way.MAIL else None
    copy = Copy(way=way, text=text, at_ms=at_ms, message=message, max_age_ms=MINUTE_MS)
    return new_signal(identity or body(f"digest {text}"), copy=copy, **more)


def _webhook(journal: Journal, at_ms: int = NOW_MS, identity: Identity | None = None, **more: Any) -> Admission:
    return accept(journal, _new(Way.WEBHOOK, at_ms, identity, **more), at_ms=at_ms, dedup_window_ms=0)


def _mail(
    journal: Journal,
    at_ms: int = NOW_MS,
    identity: Identity | None = None,
    read_at_ms: int | None = None,
    **more: Any,
) -> Admission:
    new = _new(Way.MAIL, at_ms, identity, **more)
    return accept(journal, new, at_ms=at_ms if read_at_ms is None else read_at_ms)


@pytest.mark.parametrize("seed", range(12))
def test_of_n_webhooks_and_m_mails_of_one_text_the_more_act(journal: Journal, seed: int) -> None:
    chance = random.Random(seed)
    webhooks, mails = chance.randint(0, 5), chance.randint(0, 5)
    ways = [Way.WEBHOOK] * webhooks + [Way.MAIL] * mails
    chance.shuffle(ways)
    acted = 0
    for way in ways:
        at_ms = NOW_MS + chance.randint(0, PAIR_MS)
        came = _webhook(journal, at_ms) if way is Way.WEBHOOK else _mail(journal, at_ms, read_at_ms=at_ms + 1000)
        acted += isinstance(came, New)
    assert acted == max(webhooks, mails)


def test_which_alert_came_by_mail_only_is_known_afterwards(journal: Journal) -> None:
    both, mailed = _mail(journal, text="by both"), _mail(journal, text="by mail")
    assert isinstance(_webhook(journal, text="by both"), Duplicate)
    posted = _webhook(journal, text="by webhook")
    assert isinstance(both, New) and isinstance(mailed, New) and isinstance(posted, New)
    found = DashboardQueries(journal.store).arrivals(NOW_MS - MINUTE_MS, NOW_MS + MINUTE_MS, limit=9)
    by_mail = {each.signal_id: each.is_by_mail for each in found}
    assert by_mail == {both.signal_id: False, mailed.signal_id: True, posted.signal_id: False}


def test_beyond_a_quarter_of_an_hour_a_mail_is_an_alert_of_its_own(journal: Journal) -> None:
    assert isinstance(_webhook(journal), New)
    late = NOW_MS + PAIR_MS + 1
    assert isinstance(_mail(journal, late), New)


def test_another_text_and_another_strategy_are_no_pair(journal: Journal) -> None:
    assert isinstance(_webhook(journal), New)
    assert isinstance(_mail(journal, text="other"), New)
    assert isinstance(_mail(journal, strategy="other"), New)


def test_with_id_and_time_they_are_one_for_good_in_whichever_order(journal: Journal) -> None:
    first = _webhook(journal, identity=by_id_and_time("a"))
    assert isinstance(first, New)
    later = NOW_MS + 9 * PAIR_MS
    assert _mail(journal, later, by_id_and_time("a")) == Duplicate(
        signal_id=first.signal_id, status=SignalStatus.ACCEPTED, first_at_ms=NOW_MS
    )
    mailed = _mail(journal, identity=by_id_and_time("b"), digest="of the mail's bytes")
    assert isinstance(mailed, New)
    came = _webhook(journal, later, by_id_and_time("b"), digest="of the post's bytes")
    assert isinstance(came, Duplicate) and came.signal_id == mailed.signal_id
    again = _webhook(journal, later, by_id_and_time("b"), digest="of the post's bytes")
    assert isinstance(again, Duplicate), "its resend"


def test_a_text_under_an_id_and_time_that_came_with_another_is_refused_by_mail_as_by_webhook(journal: Journal) -> None:
    first = _webhook(journal, identity=by_id_and_time("a"))
    assert isinstance(first, New)
    assert _mail(journal, identity=by_id_and_time("a"), text="other") == IdReused(first_signal_id=first.signal_id)
    exits: dict[str, Any] = {"text": "out", "only_exits": True, "may_exit": True}
    assert isinstance(_webhook(journal, identity=by_id_and_time("a"), **exits), New)
    assert isinstance(_mail(journal, identity=by_id_and_time("a"), **exits), Duplicate)


def test_a_mail_is_read_again_without_effect(journal: Journal) -> None:
    new = _new(Way.MAIL, NOW_MS)
    assert isinstance(accept(journal, new), New)
    again = accept(journal, new_signal(body("x"), copy=new.copy), at_ms=NOW_MS + 99 * PAIR_MS)
    assert isinstance(again, Duplicate) and again.signal_id == new.id


def test_the_resend_of_a_webhook_whose_mail_was_quicker_is_no_second_alert(journal: Journal) -> None:
    assert isinstance(_mail(journal), New)
    new = _new(Way.WEBHOOK, NOW_MS + 100)
    assert isinstance(accept(journal, new, at_ms=NOW_MS + 100), Duplicate)
    resent = _new(Way.WEBHOOK, NOW_MS + 5100)
    assert isinstance(accept(journal, resent, at_ms=NOW_MS + 5100), Duplicate)
    later = NOW_MS + 5 * MINUTE_MS
    assert isinstance(_mail(journal, later), New), "the resend stands for no later alert"


def test_an_id_alone_pairs_by_its_text_even_when_the_id_is_too_old_to_be_the_same(journal: Journal) -> None:
    first = _webhook(journal, identity=by_id("x"), sender_id="x")
    assert isinstance(first, New)
    paired = _mail(journal, NOW_MS + 12 * MINUTE_MS, by_id("x"), sender_id="x")
    assert isinstance(paired, Duplicate) and paired.signal_id == first.signal_id


def test_a_failed_alert_is_not_opened_again_by_its_mail(journal: Journal) -> None:
    first = _webhook(journal, identity=by_id("x"), sender_id="x")
    assert isinstance(first, New)
    reason = Reason(code="HALTED", message="no")
    journal.write(lambda uow: uow.signals.finish(first.signal_id, "main", SignalStatus.DENIED, reason, now_ms=NOW_MS))
    came = _mail(journal, NOW_MS + 500, by_id("x"), sender_id="x")
    assert isinstance(came, Duplicate) and came.status is SignalStatus.DENIED


def test_an_old_mail_orders_nothing_where_its_lane_went_on_and_an_exit_acts_where_it_did_not(journal: Journal) -> None:
    out: dict[str, Any] = {"text": "out", "only_exits": True, "may_exit": True}
    assert isinstance(_mail(journal, NOW_MS, read_at_ms=NOW_MS + 5 * MINUTE_MS, **out), New)
    assert isinstance(_webhook(journal, NOW_MS + MINUTE_MS, text="in"), New)
    late = _mail(journal, NOW_MS + 1, read_at_ms=NOW_MS + 5 * MINUTE_MS, **(out | {"text": "out 2"}))
    assert isinstance(late, LateByMail)
    elsewhere = _mail(
        journal, NOW_MS + 1, read_at_ms=NOW_MS + 5 * MINUTE_MS, **(out | {"text": "out 3", "symbol": "ETHUSDT"})
    )
    assert isinstance(elsewhere, New)
    in_time = _mail(journal, NOW_MS + 1, read_at_ms=NOW_MS + MINUTE_MS, **(out | {"text": "out 4"}))
    assert isinstance(in_time, New), "it is not old"


def test_an_exit_by_webhook_is_not_taken_for_an_earlier_mail_when_there_may_be_more_to_close(journal: Journal) -> None:
    out: dict[str, Any] = {"text": "out", "only_exits": True, "may_exit": True}
    assert isinstance(_mail(journal, NOW_MS, **out), New)
    assert isinstance(_webhook(journal, NOW_MS + MINUTE_MS, text="in"), New)
    assert isinstance(_webhook(journal, NOW_MS + 5 * MINUTE_MS, **out), New)


def test_the_age_of_a_mail_counts_from_its_moment(journal: Journal) -> None:
    admission = _mail(journal, NOW_MS, read_at_ms=NOW_MS + 20_000)
    assert isinstance(admission, New)
    (stored,) = journal.unfinished()
    assert stored.signal.received_at_ms == NOW_MS


def test_what_came_one_way_is_counted_and_a_lost_webhook_told_once(journal: Journal) -> None:
    marks = Mailboxes(journal.store)
    assert marks.ways(0, NOW_MS + PAIR_MS) is None
    _webhook(journal, text="both")
    _mail(journal, text="both")
    _webhook(journal, text="webhook")
    only = _mail(journal, text="mail")
    assert isinstance(only, New)
    assert marks.ways(0, NOW_MS + PAIR_MS) == Ways(alerts=3, only_by_mail=1, only_by_webhook=1)
    assert marks.take_only_by_mail(NOW_MS + 60_000) == []
    assert [each.signal_id for each in marks.take_only_by_mail(NOW_MS + 121_000)] == [only.signal_id]
    assert marks.take_only_by_mail(NOW_MS + 121_000) == []


def test_how_far_a_folder_was_read_is_remembered(journal: Journal) -> None:
    marks = Mailboxes(journal.store)
    assert marks.read_up_to("f") is None
    for uid in (3, 7):
        marks.save("f", ReadUpTo(uid_validity=1, uid=uid, at_ms=NOW_MS))
    assert marks.read_up_to("f") == ReadUpTo(uid_validity=1, uid=7, at_ms=NOW_MS)


def test_an_id_and_a_time_of_its_own_are_not_paired_by_their_text(journal: Journal) -> None:
    assert isinstance(_mail(journal, identity=by_id_and_time("a")), New)
    assert isinstance(_webhook(journal, identity=by_id_and_time("b")), New), "the same text, another alert"


def test_an_alert_that_its_mail_brought_again_is_not_opened_by_either(journal: Journal) -> None:
    first = _webhook(journal, identity=by_id_and_time("a"))
    assert isinstance(first, New)
    reason = Reason(code="HALTED", message="no")
    journal.write(lambda uow: uow.signals.finish(first.signal_id, "main", SignalStatus.DENIED, reason, now_ms=NOW_MS))
    came = _mail(journal, NOW_MS + 500, by_id_and_time("a"))
    assert isinstance(came, Duplicate) and came.status is SignalStatus.DENIED
