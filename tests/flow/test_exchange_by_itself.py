"""What the exchange does or announces by itself, and terms that only a person can accept."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from relay.app.account_checks import AnnouncementWatch
from relay.execution.notices import Announcer
from tests.builders import linear
from tests.paper_server import PaperServer
from tests.relay_server import RelayServer, running_relay

pytestmark = pytest.mark.slow

CREATE = "/v5/order/create"
SOL = "SOLUSDT.P"


@pytest.fixture
def paper(server: PaperServer) -> PaperServer:
    server.start_over()
    return server


@pytest.fixture
def relay(paper: PaperServer, tmp_path: Path) -> Iterator[RelayServer]:
    with running_relay(tmp_path, paper.url) as running:
        yield running


def told(relay: RelayServer) -> list[str]:
    """What people are told from now on."""
    found: list[str] = []
    relay.relay.services.announcer.add_receiver(lambda kind, text: found.append(f"{kind}: {text}"))
    return found


def code(signal: dict[str, Any]) -> tuple[str, str | None]:
    return signal["status"], signal["reason"]["code"] if signal["reason"] else None


def test_a_split_is_told_and_read_anew_and_the_exit_closes_what_there_is(
    relay: RelayServer, paper: PaperServer
) -> None:
    relay.done({"ticker": SOL, "action": "buy", "qty": "2", "stop_loss": "5%"})
    news: queue.Queue[str] = queue.Queue()
    relay.relay.services.announcer.add_receiver(lambda kind, text: news.put(text))
    paper.control.split("SOLUSDT", "10")
    while "stock split" not in (text := news.get(timeout=60)):
        pass
    assert "SOLUSDT on default" in text and "Buy 20" in text
    closed = relay.done({"ticker": SOL, "action": "close"})
    assert code(closed) == ("done", None) and closed["orders"][0]["filled_qty"] == "20"
    assert relay.api("positions")["positions"] == []


def test_unaccepted_terms_are_named_with_their_cure_and_shown_until_an_order_is_accepted(
    relay: RelayServer, paper: PaperServer
) -> None:
    def shown() -> dict[str, Any]:
        relay.relay.services.checkup.look_now()
        (account,) = relay.api("accounts")["accounts"]
        (point,) = [dict(each) for each in account["checks"] if each["name"] == "instruments"]
        return point

    paper.control.fault(CREATE, "code", retCode=110125, retMsg="You must agree to the Trading Terms")
    refused = relay.done({"ticker": SOL, "action": "buy", "qty": "1", "id": "1"})
    assert code(refused) == ("failed", "EXCHANGE_TERMS")
    assert "master account must accept" in refused["reason"]["message"]
    point = shown()
    assert point["state"] == "amber" and "110125 at SOLUSDT" in point["message"] and "master account" in point["fix"]
    assert code(relay.done({"ticker": SOL, "action": "buy", "qty": "1", "id": "2"})) == ("done", None)
    assert shown()["state"] == "green"


@pytest.mark.parametrize("answer", [110003, 110120, 110121, 30208, 30209])
def test_a_price_out_of_bounds_has_a_reason_of_its_own(relay: RelayServer, paper: PaperServer, answer: int) -> None:
    paper.control.fault(CREATE, "code", retCode=answer, retMsg="price")
    limit = {"ticker": SOL, "action": "buy", "qty": "1", "type": "limit", "price": "150"}
    refused = relay.done(limit)
    assert code(refused) == ("failed", "EXCHANGE_PRICE") and f"code {answer}" in refused["reason"]["message"]


def test_a_limit_price_that_the_exchange_moves_is_told(relay: RelayServer, paper: PaperServer) -> None:
    paper.control.prices(SOLUSDT={"price": "200", "ask": "260", "bid": "199"})
    signal = relay.done({"ticker": SOL, "action": "buy", "qty": "1", "type": "limit", "price": "255"})
    (moved,) = [each["detail"] for each in signal["events"] if each["name"] == "order_price_moved"]
    assert (moved["sent"], moved["price"]) == ("255", "210")


@pytest.mark.parametrize(("refuses", "words"), [(False, "would be moved there"), (True, "would be refused")])
def test_a_plan_says_what_would_become_of_the_price(
    relay: RelayServer, paper: PaperServer, refuses: bool, words: str
) -> None:
    paper.control.account(lpaPerp=refuses)
    sell = {"ticker": SOL, "action": "sell", "qty": "1", "type": "limit", "price": "150"}
    planned = relay.api("plan", "POST", json=sell)
    assert any(f"at least 190 at the exchange just now: 150 {words}" in note for note in planned["notes"])
    within = relay.api("plan", "POST", json=sell | {"price": "199"})
    assert not any("at the exchange just now" in note for note in within["notes"])
    if refuses:
        assert code(relay.done(sell)) == ("failed", "EXCHANGE_PRICE")


def row(**fields: object) -> dict[str, object]:
    usual = {"id": "m1", "title": "upgrade", "state": "scheduled", "begin": "1800000000000", "end": "1800003600000"}
    more = {"serviceTypes": [1, 4], "product": [1, 2], "uidSuffix": [], "maintainType": 1, "env": 1}
    return {**usual, **more, **fields}


def test_maintenance_is_told_once_for_each_state_and_only_what_concerns_futures(
    relay: RelayServer, paper: PaperServer
) -> None:
    services = relay.relay.services
    news, watch = told(relay), AnnouncementWatch(services.announcer)
    rows = [
        row(),
        row(id="m2", product=[2]),
        row(id="m3", env=2),
        row(id="m4", state="completed"),
        row(id="m5", begin=""),
    ]
    for changed in (rows, rows, [row(state="ongoing", uidSuffix=[3, 7])]):
        paper.control.announce(changed)
        watch.look(services.exchanges.values(), is_demo=False)
    maintenance = [each for each in news if "planned maintenance" in each]
    assert len(maintenance) == 2
    assert "scheduled: planned maintenance of trading, private streams (upgrade), from 2027-01-15" in maintenance[0]
    assert "ongoing" in maintenance[1] and "ends in 3, 7" in maintenance[1]
    assert len([each for each in news if "cannot be read" in each]) == 1


def test_a_delisting_is_told_a_day_and_an_hour_ahead() -> None:
    now = datetime(2027, 1, 1, tzinfo=UTC)
    news: list[str] = []
    announcer = Announcer()
    announcer.add_receiver(lambda kind, text: news.append(text))
    watch = AnnouncementWatch(announcer)
    going = linear(symbol="GONEUSDT", delivery_at=now)
    for before_h in (30, 24, 20, 1, 0.5, -1):
        watch.delistings([going, linear(symbol="STAYSUSDT")], now - timedelta(hours=before_h))
    assert news == [
        "GONEUSDT is delisted in 24 hours: what is open then is closed by delivery",
        "GONEUSDT is delisted in 1 hour: what is open then is closed by delivery",
    ]


@pytest.mark.parametrize(
    ("kind", "words"), [("BustTrade", "was liquidated"), ("AdlTrade", "auto-deleveraging"), ("Delivery", "by delivery")]
)
def test_what_the_exchange_closes_is_told_at_once_and_is_gone(
    relay: RelayServer, paper: PaperServer, kind: str, words: str
) -> None:
    relay.done({"ticker": SOL, "action": "buy", "qty": "2"})
    news: queue.Queue[str] = queue.Queue()
    relay.relay.services.announcer.add_receiver(lambda kind, text: news.put(text))
    paper.control.takeover("SOLUSDT", kind)
    while words not in (text := news.get(timeout=60)):
        pass
    assert "SOLUSDT on default" in text and "Sell 2.0 at 200" in text
    assert relay.api("positions")["positions"] == []
    closed = relay.done({"ticker": SOL, "action": "close"})
    assert code(closed) == ("done", None) and closed["orders"] == []
