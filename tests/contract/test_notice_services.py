"""Notices at stand-ins that are as picky as the services: each arrives, in order, none twice."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import parse_qs

import pytest

from relay.domain.notice import Notice, NoticeKind
from relay.domain.signal import new_signal_id
from relay.execution.delivery import Delivery, open_services, send_test
from relay.execution.notices import Notifier, Pace
from relay.execution.ports import to_ms, utc_now
from relay.journal.journal import Journal
from relay.journal.notices import Notices
from relay.journal.opening import open_journal
from relay.settings.environment import notify_targets
from tests.catcher import Catcher

PACE = Pace(gather_s=0.0, apart_s=0.01, part_s=0.0, tell_s=0.0, again_s=(0.01,), at_stop_s=20.0)
TELEGRAM = "tgram://123456789:abcdefg_hijklmnop-qrstuvwxyz012345/11"
SMS = "d7sms://token-of-the-tests@15551231234"
NASTY = "said <b>no</i> & 3 < 4, \U0001f680"


@pytest.fixture
def catcher() -> Iterator[Catcher]:
    caught = Catcher()
    yield caught
    caught.close()


def _stand_in(port: int, replace: Callable[[object, str, object], None]) -> None:
    from apprise.plugins import d7networks, discord, telegram
    from apprise.plugins.base import NotifyBase

    home = f"http://127.0.0.1:{port}"
    replace(telegram.NotifyTelegram, "notify_url", f"{home}/bot")
    replace(discord.NotifyDiscord, "notify_url", home)
    replace(d7networks.NotifyD7Networks, "notify_url", home)
    replace(NotifyBase, "throttle", lambda *_, **__: None)


@pytest.fixture(autouse=True)
def _standing_in(monkeypatch: pytest.MonkeyPatch, catcher: Catcher) -> None:
    _stand_in(catcher.port, monkeypatch.setattr)


@contextmanager
def _telling(journal: Journal, urls: str) -> Iterator[Notifier]:
    notifier = Notifier(notices=Notices(journal.store), services=open_services(notify_targets(urls)), pace=PACE)
    notifier.start()
    yield notifier
    notifier.stop()


def _telegram(body: str) -> int:
    """Markup that it cannot read is a 400; a chat that has gone is a 403."""
    sent = json.loads(body)
    if str(sent.get("chat_id")) == "404404":
        return 403
    text = sent["text"]
    assert sent["parse_mode"] == "HTML"
    stripped = re.sub(r"&(lt|gt|amp|quot|nbsp|emsp|apos|#\d+);|</?b>", "", text)
    return 400 if re.search("[<&]", stripped) or len(text) > 4096 else 200


def _text_of(body: str) -> str:
    if body.startswith("{"):
        sent = json.loads(body)
        if "messages" in sent:
            return str(sent["messages"][0]["content"])
        return str(sent.get("text") or sent.get("content"))
    return parse_qs(body)["content"][0]


def _ids_in(text: str) -> list[str]:
    return re.findall(r"\[([0-9a-z]{12})[0-9a-z]*\]", text)


def _told(notifier: Notifier, count: int) -> list[str]:
    ids = _add(notifier._notices, [each.target.fingerprint for each in notifier._services], count)
    notifier._wake()
    return ids


def _add(notices: Notices, targets: list[str], count: int) -> list[str]:
    """Notices of so many signals that need a person; the beginnings of their ids, in order."""
    at_ms = to_ms(utc_now())
    ids = [new_signal_id(at_ms + number) for number in range(count)]
    texts = [f"BTCUSDT close: LOOK AT THE EXCHANGE: number {number}. {NASTY} {'word ' * 60}" for number in range(count)]
    made = [
        Notice(kind=NoticeKind.ATTENTION, text=text, at_ms=at_ms, signal_id=signal_id)
        for text, signal_id in zip(texts, ids, strict=True)
    ]
    notices.add([(each, notice) for notice in made for each in targets])
    return [each[:12] for each in ids]


@pytest.mark.parametrize(
    ("urls", "judge"),
    [
        (TELEGRAM, _telegram),
        ("discord://1234567890/abcdefghijklmnop", lambda body: 400 if len(json.loads(body)["content"]) > 2000 else 200),
        (SMS, lambda body: 400 if len(_text_of(body)) > 160 or not _text_of(body).isascii() else 200),
        # One that takes less than Apprise believes.
        ("discord://1234567890/abcdefghijklmnop", lambda body: 400 if len(json.loads(body)["content"]) > 300 else 200),
        # One that takes no markup at all, however short: it is sent letters alone in the end.
        ("discord://1234567890/abcdefghijklmnop", lambda body: 400 if "<" in json.loads(body)["content"] else 200),
    ],
    ids=["telegram", "discord", "sms", "smaller than believed", "no markup"],
)
def test_all_arrive_in_order_none_twice(journal: Journal, catcher: Catcher, urls: str, judge: object) -> None:
    catcher.judge = judge  # type: ignore[assignment]
    with _telling(journal, urls) as notifier:
        ids = _told(notifier, 40)
        found: list[str] = []
        while len(found) < len(ids):
            found += _ids_in(_text_of(catcher.next()))
        notifier.send_test()
        catcher.next()
    assert found == ids
    assert catcher.bodies.empty()


def notify_until_killed(journal_url: str, urls: str, port: int, ahead_s: int) -> None:
    """What a process does that is killed in the end. `ahead_s`: its clock, so that nobody waits for an old claim."""
    _stand_in(port, setattr)
    notifier = Notifier(
        notices=Notices(open_journal(journal_url).store),
        services=open_services(notify_targets(urls)),
        pace=PACE,
        now=lambda: utc_now() + timedelta(seconds=ahead_s),
    )
    notifier.start()
    threading.Event().wait()


@contextmanager
def _notifying(*given: object) -> Iterator[subprocess.Popen[bytes]]:
    work = f"from tests.contract.test_notice_services import notify_until_killed as run; run(*{given!r})"
    with subprocess.Popen([sys.executable, "-c", work]) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("urls", [TELEGRAM, SMS], ids=["telegram", "sms"])
@pytest.mark.parametrize("is_taken", [True, False], ids=["taken", "not taken"])
def test_of_a_process_that_is_killed_while_it_sends_all_arrive_in_order_and_what_may_be_a_repeat_says_so(
    journal_url: str, catcher: Catcher, urls: str, is_taken: bool
) -> None:
    """kill -9 while the third message is under way; the service has it by then, or has not."""
    journal = open_journal(journal_url)
    ids = _add(
        Notices(journal.store), [each.fingerprint for each in notify_targets(urls)], 60 if urls == TELEGRAM else 9
    )
    journal.close()
    running: list[subprocess.Popen[bytes]] = []
    asked: list[list[str]] = []

    def judge(body: str) -> int:
        asked.append(_ids_in(_text_of(body)))
        if len(asked) == 3:
            os.kill(running[0].pid, signal.SIGKILL)
            return 200 if is_taken else 503
        return 200

    catcher.judge = judge
    with _notifying(journal_url, urls, catcher.port, 0) as process:
        running.append(process)
        process.wait(60)
    first = [_text_of(catcher.next()) for _ in range(3 if is_taken else 2)]
    with _notifying(journal_url, urls, catcher.port, 100 if journal_url.startswith("postgres") else 0):
        rest = [_text_of(catcher.next())]
        while ids[-1] not in _ids_in(rest[-1]):
            rest.append(_text_of(catcher.next()))
    arrived = [each for text in (*first, *rest) for each in _ids_in(text)]
    assert list(dict.fromkeys(arrived)) == ids, "all of them, in order"
    in_flight = asked[2]
    assert {each for each, times in Counter(arrived).items() if times > 1} == (set(in_flight) if is_taken else set())
    marked = [line for text in rest for line in text.splitlines() if "perhaps again" in line]
    assert [each for line in marked for each in _ids_in(line)] == in_flight, "and what is no repeat does not say so"
    assert not any("perhaps again" in text for text in first)


def test_of_two_recipients_the_one_who_is_there_is_told_once_and_that_the_other_is_gone(
    journal: Journal, catcher: Catcher
) -> None:
    catcher.judge = _telegram
    with _telling(journal, f"{TELEGRAM}/404404") as notifier:
        (first,) = _told(notifier, 1)
        seen = ""
        while first not in seen or "has taken no notice" not in seen:
            seen += _text_of(catcher.next())
        assert "tgram (2 of 2) of NOTIFY_URLS has taken no notice" in seen
        assert seen.count(first) == 1
        assert dict(notifier.send_test()) == {"tgram (1 of 2)": Delivery.TAKEN, "tgram (2 of 2)": Delivery.AWAY}


def test_a_service_that_is_away_is_not_sent_less_for_it(catcher: Catcher) -> None:
    services = open_services(notify_targets("discord://1234567890/abcdefghijklmnop"))
    for status, outcome in ((503, Delivery.AWAY), (429, Delivery.AWAY), (404, Delivery.AWAY), (400, Delivery.REFUSED)):
        catcher.status = status
        assert send_test(services) == [("discord", outcome)]
    catcher.close()
    assert send_test(services) == [("discord", Delivery.AWAY)]
