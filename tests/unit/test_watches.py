"""What is looked at now and then, and told once: a stream that is cut, a key that ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from relay.app.account_checks import CUT_S, StreamWatch, stream_reported, tell_of_keys
from relay.bybit.account_facts import Stream
from relay.bybit.stream import LinkState
from relay.domain.notice import NoticeKind
from relay.errors import ExchangeUnreachable
from relay.execution.notices import Announcer

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def reported() -> list[tuple[NoticeKind, str]]:
    return []


@pytest.fixture
def announcer(reported: list[tuple[NoticeKind, str]]) -> Announcer:
    made = Announcer()
    made.add_receiver(lambda kind, text: reported.append((kind, text)))
    return made


def _state(*, is_live: bool, since_s: float) -> LinkState:
    return LinkState(is_live=is_live, since_s=since_s, generation=1, problem="" if is_live else "it is silent")


def test_a_stream_that_stays_cut_is_reported_once_and_so_is_its_return(
    announcer: Announcer, reported: list[tuple[NoticeKind, str]]
) -> None:
    watch = StreamWatch(announcer)
    watch.look({"main": _state(is_live=False, since_s=CUT_S - 1), "other": _state(is_live=True, since_s=99)})
    assert reported == []
    for since_s in (CUT_S, CUT_S + 10):
        watch.look({"main": _state(is_live=False, since_s=since_s)})
    watch.look({"main": _state(is_live=True, since_s=1)})
    watch.look({"main": _state(is_live=True, since_s=11)})
    assert [kind for kind, _ in reported] == [NoticeKind.STREAM] * 2
    assert "the stream of main is cut for 30 s (it is silent)" in reported[0][1]
    assert reported[1][1] == "the stream of main is back"


@pytest.mark.parametrize(
    ("ends_in", "days_left", "said"),
    [
        (timedelta(days=7, hours=1), None, "the API key of main expires in 7 days"),
        (timedelta(days=8, hours=1), None, None),
        (None, 3, "the API key of main expires in 3 days"),
        (timedelta(hours=-1), None, "the API key of main expires today or has expired"),
        (None, None, None),
    ],
)
def test_a_key_that_ends_within_a_week_is_reported(
    announcer: Announcer,
    reported: list[tuple[NoticeKind, str]],
    ends_in: timedelta | None,
    days_left: int | None,
    said: str | None,
) -> None:
    key = SimpleNamespace(expires_at=NOW + ends_in if ends_in else None, days_left=days_left)
    exchange: Any = SimpleNamespace(
        account_api=SimpleNamespace(key=lambda: key), now_ms=lambda: int(NOW.timestamp() * 1000)
    )
    tell_of_keys({"main": exchange}, announcer)
    assert [(kind, text[: len(said or "")]) for kind, text in reported] == ([(NoticeKind.KEY, said)] if said else [])


def test_an_account_that_cannot_be_requested_does_not_hide_the_end_of_anothers_key(
    announcer: Announcer, reported: list[tuple[NoticeKind, str]]
) -> None:
    def away() -> None:
        raise ExchangeUnreachable("nobody answers")

    ends = SimpleNamespace(expires_at=None, days_left=2)
    exchanges: Any = {
        "away": SimpleNamespace(account_api=SimpleNamespace(key=away)),
        "main": SimpleNamespace(account_api=SimpleNamespace(key=lambda: ends)),
    }
    tell_of_keys(exchanges, announcer)
    assert [text.partition(":")[0] for _, text in reported] == ["the API key of main expires in 2 days"]


def test_the_checklist_tells_of_a_running_relays_own_stream() -> None:
    assert stream_reported(_state(is_live=True, since_s=5)) == Stream(connected=True)
    assert stream_reported(_state(is_live=False, since_s=5)) == Stream(connected=False, why="it is silent; so for 5 s")
    refused = stream_reported(LinkState(is_live=False, since_s=1, generation=1, problem="auth was refused: KEY-1234"))
    assert refused.connected and refused.refusal is not None and "1234" not in refused.refusal
