"""Which addresses are told what, how it is worded, and how notices wait in the journal."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from environs import ValidationError
from sqlalchemy import update

from relay.domain.notice import DEFAULT_KINDS, Notice, NoticeKind
from relay.domain.order import SignalStatus
from relay.domain.performance import Tally
from relay.domain.signal import new_signal_id
from relay.errors import SettingsInvalid
from relay.execution.delivery import SMALLEST, Delivery, messages_of, open_services
from relay.execution.notices import _money, notice_of, report_of
from relay.journal.journal import Journal
from relay.journal.notices import (
    CLAIM_MS,
    DAY_MS,
    EVENTS,
    SUMMARY,
    WAITING_MAX,
    WEEKLY,
    Notices,
    PendingNotice,
    Period,
)
from relay.journal.tables import events
from relay.journal.trades import StrategyResult
from relay.settings.environment import notify_targets
from tests.catcher import Catcher
from tests.unit.journal_builders import NOW_MS, accept, accepted, by_id, new_signal

TELEGRAM = "tgram://123456789:abcdefg_hijklmnop-qrstuvwxyz012345/987654321"


def _notice(text: str, at_ms: int = NOW_MS) -> Notice:
    return Notice(kind=NoticeKind.REFUSED, text=text, at_ms=at_ms)


def _waiting(number: int, kind: NoticeKind = NoticeKind.REFUSED, text: str = "") -> PendingNotice:
    return PendingNotice(id=number, kind=kind.value, text=text or f"text {number}.", at_ms=NOW_MS, lost=0)


def _of_signal(number: int, text: str, account: str = "") -> PendingNotice:
    kind = NoticeKind.ATTENTION.value
    signal_id = new_signal_id(NOW_MS + number)
    if account:
        signal_id = "01hzzzzzzzzzzzzzzzzzzzzzzz"
    return PendingNotice(id=number, kind=kind, text=text, at_ms=NOW_MS, lost=0, signal_id=signal_id, account=account)


def test_an_address_without_tags_is_told_all_but_fills() -> None:
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
    (message,) = messages_of(
        [*many, _waiting(30, text="same."), _waiting(31, text="same."), _waiting(32, NoticeKind.ATTENTION)], limit=4000
    )
    lines = message.text.splitlines()
    assert len(lines) == 17 and len(message.notices) == 32
    assert lines[0].endswith("text 32.") and lines[1].endswith("text 1.")
    assert "and 16 more: 16 refused" in lines[-1]
    (twice,) = messages_of([_waiting(1, text="same."), _waiting(2, text="same.")], limit=4000)
    assert twice.text.endswith("same. (2 times)")


@pytest.mark.parametrize("kind", NoticeKind)
def test_of_a_flood_only_what_needs_nobody_becomes_a_count(kind: NoticeKind) -> None:
    many = [_waiting(number, kind) for number in range(1, 60)]
    said = "\n".join(message.text for message in messages_of(many, limit=100_000))
    counted = {NoticeKind.FILL, NoticeKind.REFUSED, NoticeKind.DUPLICATE, NoticeKind.STREAM, NoticeKind.RUN}
    assert (f"more: 44 {kind};" in said) is (kind in counted) is ("text 59." not in said)


def test_what_needs_a_person_is_never_a_count_and_is_split_where_a_service_takes_less() -> None:
    waiting = [_of_signal(number, "BTCUSDT buy: LOOK " + "at it " * 60) for number in range(40)]
    messages = messages_of([*waiting, *(_waiting(number) for number in range(100, 140))], limit=SMALLEST + 4)
    assert all(len(each.text) <= SMALLEST + 4 and each.text.isascii() for each in messages)
    assert [each.notices for each in messages[:40]] == [(each,) for each in waiting]
    for each, message in zip(waiting, messages, strict=False):
        assert message.text.endswith(f"... [{each.signal_id[:12]}]"), "the short id stays where the line is cut"
    assert sum(len(each.notices) for each in messages) == 80


def test_one_alert_on_two_accounts_is_one_line() -> None:
    same = [_of_signal(1, "BTCUSDT buy: denied: HALTED: no", account=name) for name in ("b", "a")]
    (message,) = messages_of(same, limit=4000)
    assert message.text.endswith(f"Z BTCUSDT buy: denied: HALTED: no on a, b [{same[0].signal_id}]")
    other = [_of_signal(1, "BTCUSDT buy: buy 1 filled at 7", account="a"), same[0]]
    (message,) = messages_of(other, limit=4000)
    assert "Z BTCUSDT buy: buy 1 filled at 7 on a; denied: HALTED: no on b [" in message.text


def test_letters_beyond_the_plane_count_twice_as_the_services_count_them() -> None:
    messages = messages_of([_waiting(number, text=f"{number} " + "\U0001f680" * 180) for number in range(3)], limit=400)
    assert all(len(each.text.encode("utf-16-le")) // 2 <= 400 for each in messages) and len(messages) == 3


def test_each_recipient_of_an_address_is_a_target_of_its_own() -> None:
    first, second = open_services(notify_targets(f"{TELEGRAM}/123123"))
    assert (first.name, second.name) == ("tgram (1 of 2)", "tgram (2 of 2)")
    assert first.target.fingerprint != second.target.fingerprint and "123123" not in repr(second.target)
    (alone,) = open_services(notify_targets(TELEGRAM))
    assert alone.name == "tgram" and 4000 < alone.limit < 4096
    (copied,) = open_services(notify_targets("mailtos://u:p@example.com?to=a@x.org,b@x.org&cc=c@x.org"))
    assert copied.name == "mailtos", "a copy would be sent with each"


def test_a_repeat_is_reported_only_where_tradingview_cannot_have_sent_it(journal: Journal) -> None:
    notices = Notices(journal.store)
    notices.begin(NOW_MS)
    signal = new_signal(by_id("x"))
    accepted(journal, signal)
    accept(journal, signal, at_ms=NOW_MS + 900)
    for at_ms in (5000, 20_000, 20_001):
        accept(journal, signal, at_ms=NOW_MS + at_ms)
    accept(journal, signal, at_ms=NOW_MS - 90_000, aged_ms=NOW_MS + 6000)
    _, _, happened = notices.unread(NOW_MS)
    reported = [notice for event in happened if (notice := notice_of(event))]
    assert [each.kind for each in reported] == [NoticeKind.DUPLICATE] * 2
    for notice, after_ms in zip(reported, (900, 20_001), strict=True):
        assert f"again after {after_ms} ms, which cannot be TradingView's resend" in notice.text
        assert notice.signal_id == signal.id


def test_an_exit_under_an_id_that_came_before_is_reported_in_the_words_of_its_note(journal: Journal) -> None:
    notices = Notices(journal.store)
    notices.begin(NOW_MS)
    accepted(journal, new_signal(by_id("x")))
    accepted(journal, new_signal(by_id("x"), only_exits=True, may_exit=True, sender_id="x"))
    reported = [notice for event in notices.unread(NOW_MS)[2] if (notice := notice_of(event))]
    assert [each.kind for each in reported] == [NoticeKind.DUPLICATE]
    assert "an `id` must be new for each alert; `{{strategy.order.id}}` belongs in `order_id`" in reported[0].text


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
    assert [each.text for each in one.waiting("t", NOW_MS)] == ["first."]


def test_while_one_sends_nobody_else_sends_to_the_same_address_until_it_has_or_takes_too_long(journal: Journal) -> None:
    notices = Notices(journal.store)
    notices.add([("t", _notice("one.")), ("t", _notice("two.")), ("other", _notice("three."))])
    waiting = notices.waiting("t", NOW_MS)
    assert [each.text for each in waiting] == ["one.", "two."]
    assert notices.claim(waiting[:1], NOW_MS)
    notices.add([("t", _notice("four."))])
    assert notices.waiting("t", NOW_MS) == (), "else what came later would arrive earlier"
    assert not notices.claim(waiting, NOW_MS)
    assert len(notices.waiting("other", NOW_MS)) == 1
    late = notices.waiting("t", NOW_MS + CLAIM_MS + 1)
    assert [(each.text, each.is_again) for each in late] == [("one.", True), ("two.", False), ("four.", False)]
    assert notices.claim(late, NOW_MS + CLAIM_MS + 1)
    notices.give_back(late)
    assert notices.waiting("t", NOW_MS) == late, "what may have arrived stays so"
    notices.delivered(late)
    assert notices.waiting("t", NOW_MS + 2 * CLAIM_MS) == ()


def test_what_nobody_takes_for_a_day_is_dropped_and_counted_and_the_count_is_never_lost(journal: Journal) -> None:
    notices = Notices(journal.store)
    notices.add([("t", _notice(f"{number}.")) for number in range(3)])
    assert notices.drop_old(NOW_MS + DAY_MS) == {}
    assert notices.drop_old(NOW_MS + DAY_MS + 1) == {"t": 3}
    notices.add([("t", _notice("fresh.", NOW_MS + DAY_MS))])
    assert notices.drop_old(NOW_MS + 2 * DAY_MS + 2) == {"t": 4}
    (left,) = notices.waiting("t", NOW_MS + 2 * DAY_MS + 2)
    assert left.text == "4 older notices could not be delivered and were dropped"


def test_more_than_can_ever_be_read_is_dropped_too(journal: Journal) -> None:
    notices = Notices(journal.store)
    notices.add([("t", _notice(f"{number}.")) for number in range(WAITING_MAX + 7)])
    assert notices.drop_old(NOW_MS) == {"t": 7}


def test_a_day_and_a_week_are_told_once(journal: Journal) -> None:
    notices = Notices(journal.store)
    notices.begin(NOW_MS)
    assert notices.period_before(SUMMARY, NOW_MS + 1000) is None
    accepted(journal)
    over = notices.period_before(SUMMARY, NOW_MS + DAY_MS)
    assert over is not None
    after, upto, day = over
    first = report_of(day, until_ms=upto)[0]
    assert "2026-01-01: 1 alerts (1 accepted), 0 orders filled" in first.text and first.kind is NoticeKind.SUMMARY
    notices.save([], mark=SUMMARY, after=after, upto=upto)
    assert notices.period_before(SUMMARY, NOW_MS + DAY_MS + 1000) is None
    assert notices.period_before(WEEKLY, NOW_MS + 3 * DAY_MS) is None, "it ends on Sunday"
    week = notices.period_before(WEEKLY, NOW_MS + 4 * DAY_MS)
    assert week is not None
    (line,) = report_of(week[2], until_ms=week[1])
    assert line.text.startswith("2025-12-29 to 2026-01-04: 1 alerts") and line.kind is NoticeKind.WEEKLY


def test_a_report_says_what_was_earned_denied_and_is_open_and_what_needs_a_person() -> None:
    tally = Tally(fills=3)
    tally.slippages_pct += [Decimal("0.5"), Decimal("-1"), Decimal("0.25")]
    made: dict[str, Any] = {
        "trades": 1,
        "realised": Decimal("6.3456"),
        "fees": Decimal("0.3"),
        "funding": Decimal("-0.05"),
    }
    results = tuple(
        StrategyResult(strategy="trend", account=account, coin=coin, won=won, **made)
        for account, coin, won in (("a", "USDT", 1), ("b", "USDT", 0), ("b", "BTC", 1))
    )
    period = Period(
        days=1,
        signals={SignalStatus.DENIED: 3},
        filled=3,
        denied={"HALTED": 1, "LIMIT_RATE": 2},
        results=results,
        tallies={"trend": tally, "idle": Tally(fills=1)},
        positions={("default", "BTCUSDT"): Decimal("-0.5"), ("other", "ETHUSDT"): Decimal(2)},
        brackets=(),
        attention=("01hzzzzzzzzzzzzzzzzzzzzzzz",),
        halted=("",),
    )
    assert [each.text for each in report_of(period, until_ms=NOW_MS)][1:] == [
        "idle: no trade closed",
        "trend: net +6.0956 BTC, +12.19 USDT after fees, 3 trades closed (2 won), slippage 0.250 % in the middle",
        "not executed: 2 LIMIT_RATE, 1 HALTED",
        "open: BTCUSDT -0.5, no stop that the relay knows; ETHUSDT on other +2, no stop that the relay knows",
        "to look at: entries are halted on all accounts; 1 signals need you: 01hzzzzzzzzz",
    ]


@pytest.mark.parametrize(
    ("amount", "coin", "expected"),
    [
        ("0", "USDT", "0.00 USDT"),
        ("-0.004", "USDT", "0.00 USDT"),
        ("-0.000000001", "BTC", "0 BTC"),
        ("2", "BTC", "+2 BTC"),
    ],
)
def test_what_rounds_to_nothing_has_no_sign(amount: str, coin: str, expected: str) -> None:
    assert _money(Decimal(amount), coin) == expected


def test_what_an_alert_or_the_exchange_says_cannot_break_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """Telegram refuses markup that it cannot read, and a refused message is sent again with all that is behind it."""
    from apprise.plugins import telegram

    catcher = Catcher()
    try:
        monkeypatch.setattr(telegram.NotifyTelegram, "notify_url", f"http://127.0.0.1:{catcher.port}/bot")
        (service,) = open_services(notify_targets(TELEGRAM))
        assert service.send("denied: 41 < 43 & the <stop> is at 40") is Delivery.TAKEN
        sent = json.loads(catcher.next())
    finally:
        catcher.close()
    assert sent["parse_mode"] == "HTML" and "41 &lt; 43 &amp; the &lt;stop&gt; is at 40" in sent["text"]
