"""Which addresses are told what, how it is worded, and how notices wait in the journal."""

from __future__ import annotations

import json

import pytest
from environs import ValidationError
from sqlalchemy import update

from relay.domain.notice import DEFAULT_KINDS, Notice, NoticeKind
from relay.errors import SettingsInvalid
from relay.execution.notices import message_of, notice_of, open_services, summary_notice
from relay.journal.journal import Journal
from relay.journal.notices import CLAIM_MS, DAY_MS, EVENTS, WAITING_MAX, Notices, PendingNotice
from relay.journal.tables import events
from relay.settings.environment import notify_targets
from tests.catcher import Catcher
from tests.unit.journal_builders import NOW_MS, accept, accepted, by_id, new_signal

TELEGRAM = "tgram://123456789:abcdefg_hijklmnop-qrstuvwxyz012345/987654321"


def _notice(text: str, at_ms: int = NOW_MS) -> Notice:
    return Notice(kind=NoticeKind.REFUSED, text=text, at_ms=at_ms)


def _waiting(number: int, kind: NoticeKind = NoticeKind.REFUSED, text: str = "") -> PendingNotice:
    return PendingNotice(id=number, kind=kind.value, text=text or f"text {number}.", at_ms=NOW_MS, lost=0)


def test_an_address_without_tags_is_reported_all_but_fills() -> None:
    (target,) = notify_targets("json://localhost/?key=value")
    assert target.kinds == DEFAULT_KINDS and NoticeKind.FILL not in target.kinds


def test_tags_choose_the_kinds_and_an_address_that_stands_twice_is_one() -> None:
    first, second = notify_targets("halt,FILL=json://a/ all=json://b json://c run=json://a/")[:2]
    assert first.kinds == {NoticeKind.HALT, NoticeKind.FILL, NoticeKind.RUN}
    assert second.kinds == frozenset(NoticeKind)


@pytest.mark.parametrize(("text", "said"), [("nonsense", "word 1"), ("json://a halts=json://b", "'halts'")])
def test_a_bad_word_is_named_without_repeating_an_address(text: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said) as refused:
        notify_targets(text)
    assert "//" not in str(refused.value).replace("tgram://TOKEN/CHAT", "")


def test_an_address_that_apprise_does_not_know_is_refused_by_its_scheme_only() -> None:
    with pytest.raises(SettingsInvalid, match="NOTIFY_URLS: the address that begins with nosuch://") as refused:
        open_services(notify_targets(f"nosuch://a-long-token-in-it {TELEGRAM}"))
    assert "token" not in str(refused.value) and "tgram" not in str(refused.value)


def test_the_parts_of_an_address_are_secrets_of_their_own() -> None:
    (target,) = notify_targets(TELEGRAM)
    assert "abcdefg_hijklmnop-qrstuvwxyz012345" in {secret.reveal() for secret in target.secrets}
    assert "abcdefg" not in repr(target) and "abcdefg" not in target.fingerprint


def test_a_message_has_what_needs_a_person_first_equal_lines_once_and_the_rest_counted() -> None:
    many = [_waiting(number) for number in range(1, 30)]
    message = message_of(
        [*many, _waiting(30, text="same."), _waiting(31, text="same."), _waiting(32, NoticeKind.ATTENTION)]
    )
    lines = message.splitlines()
    assert len(lines) == 16
    assert lines[0].endswith("text 32.") and lines[1].endswith("text 1.")
    assert "and 17 more: 17 refused" in lines[-1]
    assert message_of([_waiting(1, text="same."), _waiting(2, text="same.")]).endswith("same. (2 times)")


def test_a_repeat_is_reported_only_where_tradingview_cannot_have_sent_it(journal: Journal) -> None:
    notices = Notices(journal.store)
    notices.begin(NOW_MS)
    signal = new_signal(by_id("x"))
    accepted(journal, signal)
    accept(journal, signal, at_ms=NOW_MS + 900)
    accept(journal, signal, at_ms=NOW_MS + 5000)
    _, _, happened = notices.unread(NOW_MS)
    reported = [notice for event in happened if (notice := notice_of(event))]
    assert [each.kind for each in reported] == [NoticeKind.DUPLICATE]
    assert "again after 900 ms" in reported[0].text and signal.id in reported[0].text


def test_what_happened_before_the_first_start_is_no_news(journal: Journal) -> None:
    accepted(journal)
    notices = Notices(journal.store)
    notices.begin(NOW_MS)
    assert notices.unread(NOW_MS)[2] == ()
    accepted(journal)
    notices.begin(NOW_MS)
    assert len(notices.unread(NOW_MS)[2]) == 1


def test_an_event_that_may_still_become_visible_is_waited_for(journal: Journal) -> None:
    notices = Notices(journal.store)
    notices.begin(NOW_MS)
    accepted(journal)
    accepted(journal)
    later = update(events).where(events.c.id == 2).values(id=3)
    journal.store.submit(lambda connection: connection.execute(later))
    assert len(notices.unread(NOW_MS + 1000)[2]) == 1
    assert len(notices.unread(NOW_MS + 60_000)[2]) == 2


def test_events_become_notices_once_whoever_reads_them(journal: Journal) -> None:
    one, other = Notices(journal.store), Notices(journal.store)
    one.begin(NOW_MS)
    accepted(journal)
    after, upto, _ = one.unread(NOW_MS)
    assert one.save([("t", _notice("first."))], mark=EVENTS, after=after, upto=upto)
    assert not other.save([("t", _notice("again."))], mark=EVENTS, after=after, upto=upto)
    assert [each.text for each in one.claim("t", NOW_MS)] == ["first."]


def test_what_one_delivers_nobody_else_does_until_it_is_given_back_or_too_long(journal: Journal) -> None:
    notices = Notices(journal.store)
    notices.add([("t", _notice("one.")), ("t", _notice("two.")), ("other", _notice("three."))])
    taken = notices.claim("t", NOW_MS)
    assert [each.text for each in taken] == ["one.", "two."]
    assert notices.claim("t", NOW_MS) == ()
    assert notices.claim("t", NOW_MS + CLAIM_MS + 1) == taken
    notices.give_back(taken)
    assert notices.claim("t", NOW_MS) == taken
    notices.delivered(taken)
    assert notices.claim("t", NOW_MS + 2 * CLAIM_MS) == ()


def test_what_nobody_takes_for_a_day_is_dropped_and_counted_and_the_count_is_never_lost(journal: Journal) -> None:
    notices = Notices(journal.store)
    notices.add([("t", _notice(f"{number}.")) for number in range(3)])
    assert notices.drop_old(NOW_MS + DAY_MS) == {}
    assert notices.drop_old(NOW_MS + DAY_MS + 1) == {"t": 3}
    notices.add([("t", _notice("fresh.", NOW_MS + DAY_MS))])
    assert notices.drop_old(NOW_MS + 2 * DAY_MS + 2) == {"t": 4}
    (left,) = notices.claim("t", NOW_MS + 2 * DAY_MS + 2)
    assert left.text == "4 older notices could not be delivered and were dropped"


def test_more_than_can_ever_be_read_is_dropped_too(journal: Journal) -> None:
    notices = Notices(journal.store)
    notices.add([("t", _notice(f"{number}.")) for number in range(WAITING_MAX + 7)])
    assert notices.drop_old(NOW_MS) == {"t": 7}


def test_a_day_is_summed_up_once(journal: Journal) -> None:
    notices = Notices(journal.store)
    notices.begin(NOW_MS)
    assert notices.day_before(NOW_MS + 1000) is None
    accepted(journal)
    over = notices.day_before(NOW_MS + DAY_MS)
    assert over is not None
    after, upto, day = over
    assert "2026-01-01: 1 alerts (1 accepted), 0 orders filled" in summary_notice(day, until_ms=upto).text
    notices.save([], mark="summary", after=after, upto=upto)
    assert notices.day_before(NOW_MS + DAY_MS + 1000) is None


def test_what_an_alert_or_the_exchange_says_cannot_break_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """Telegram refuses markup that it cannot read, and a refused message is sent again with all that is behind it."""
    from apprise.plugins import telegram

    catcher = Catcher()
    try:
        monkeypatch.setattr(telegram.NotifyTelegram, "notify_url", f"http://127.0.0.1:{catcher.port}/bot")
        (service,) = open_services(notify_targets(TELEGRAM))
        service.send("denied: 41 < 43 & the <stop> is at 40")
        sent = json.loads(catcher.next())
    finally:
        catcher.close()
    assert sent["parse_mode"] == "HTML" and "41 &lt; 43 &amp; the &lt;stop&gt; is at 40" in sent["text"]
