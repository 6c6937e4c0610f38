"""Notices at stand-ins that are as picky as the services: each arrives, in order, none twice."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs

import pytest

from relay.domain.notice import Notice, NoticeKind
from relay.domain.signal import new_signal_id
from relay.execution.delivery import Delivery, open_services, send_test
from relay.execution.notices import Notifier, Pace
from relay.execution.ports import to_ms, utc_now
from relay.journal.journal import Journal
from relay.journal.notices import Notices
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


@pytest.fixture(autouse=True)
def _standing_in(monkeypatch: pytest.MonkeyPatch, catcher: Catcher) -> None:
    from apprise.plugins import d7networks, discord, telegram
    from apprise.plugins.base import NotifyBase

    home = f"http://127.0.0.1:{catcher.port}"
    monkeypatch.setattr(telegram.NotifyTelegram, "notify_url", f"{home}/bot")
    monkeypatch.setattr(discord.NotifyDiscord, "notify_url", home)
    monkeypatch.setattr(d7networks.NotifyD7Networks, "notify_url", home)
    monkeypatch.setattr(NotifyBase, "throttle", lambda *_, **__: None)


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


def _add(notifier: Notifier, count: int) -> list[str]:
    """Notices of so many signals that need a person; the beginnings of their ids, in order."""
    at_ms = to_ms(utc_now())
    ids = [new_signal_id(at_ms + number) for number in range(count)]
    texts = [f"BTCUSDT close: LOOK AT THE EXCHANGE: number {number}. {NASTY} {'word ' * 60}" for number in range(count)]
    target = [each.target.fingerprint for each in notifier._services]
    notices = [
        Notice(kind=NoticeKind.ATTENTION, text=text, at_ms=at_ms, signal_id=signal_id)
        for text, signal_id in zip(texts, ids, strict=True)
    ]
    notifier._notices.add([(each, notice) for notice in notices for each in target])
    notifier._wake()
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
        ids = _add(notifier, 40)
        found: list[str] = []
        while len(found) < len(ids):
            found += re.findall(r"\[([0-9a-z]{12})[0-9a-z]*\]", _text_of(catcher.next()))
        notifier.send_test()
        catcher.next()
    assert found == ids
    assert catcher.bodies.empty()


def test_of_two_recipients_the_one_who_is_there_is_told_once_and_that_the_other_is_gone(
    journal: Journal, catcher: Catcher
) -> None:
    catcher.judge = _telegram
    with _telling(journal, f"{TELEGRAM}/404404") as notifier:
        (first,) = _add(notifier, 1)
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
