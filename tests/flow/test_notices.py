"""What people are told of, as a service of theirs receives it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from unittest.mock import patch

import pytest

from relay.app import wiring
from relay.domain.notice import NoticeKind
from relay.execution import notices
from tests.catcher import Catcher
from tests.paper_server import PaperServer
from tests.relay_server import RelayServer, cold_relay, running_relay

pytestmark = pytest.mark.slow

BUY = {"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.01"}
QUICK = notices.Pace(gather_s=0.0, apart_s=0.05, again_s=(0.05,), at_stop_s=20.0)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "Pace", lambda: QUICK)


@pytest.fixture
def telling(tmp_path: Path, paper: PaperServer, catcher: Catcher) -> Iterator[RelayServer]:
    """A relay that tells the catcher everything."""
    paper.control.clear_faults()
    paper.control.reset()
    with running_relay(tmp_path, paper.url, NOTIFY_URLS=f"all=json://127.0.0.1:{catcher.port}/hook") as server:
        yield server


def test_the_start_the_stop_fills_and_refusals_are_reported_with_alert_and_reason(
    tmp_path: Path, paper: PaperServer, catcher: Catcher
) -> None:
    with running_relay(tmp_path, paper.url, NOTIFY_URLS=f"all=json://127.0.0.1:{catcher.port}/hook") as relay:
        catcher.until("is ready (paper)")
        done = relay.done(BUY | {"id": "filled"})
        assert f"[{done['id']}]" in catcher.until("BTCUSDT buy: buy 0.01 filled at ")
        relay.post(BUY | {"id": "bad", "qty": "many"})
        catcher.until("BTCUSDT.P buy: the alert was rejected: ALERT_INVALID: `qty` must be")
        relay.done(BUY | {"id": "small", "qty": "0.0000001"})
        catcher.until("BTCUSDT buy: denied: QTY_BELOW_MIN")
    catcher.until("stopped (paper)")


def test_a_refusal_of_the_exchange_is_reported_in_its_words(
    telling: RelayServer, paper: PaperServer, catcher: Catcher
) -> None:
    paper.control.fault("/v5/order/create", "code", retCode=110007, retMsg="ab not enough for new order")
    telling.done(BUY)
    catcher.until("the exchange refused it: EXCHANGE_BALANCE", "ab not enough")


def test_what_needs_a_person_is_reported_as_such(telling: RelayServer, paper: PaperServer, catcher: Catcher) -> None:
    telling.done(BUY)
    paper.control.fault("/v5/order/create", "code", retCode=110007, retMsg="no", times=9)
    signal = telling.done({"action": "close", "ticker": "BTCUSDT.P"})
    assert signal["status"] == "attention"
    assert signal["id"] in catcher.until("BTCUSDT close: LOOK AT THE EXCHANGE")


def test_halt_and_resume_are_reported_with_who_did_it(telling: RelayServer, catcher: Catcher) -> None:
    telling.api("halt", "POST")
    catcher.until("halted: no new entries, exits go on (by api)")
    telling.api("resume", "POST")
    catcher.until("resumed: new entries are allowed (by api)")


def test_an_id_with_another_body_is_reported(telling: RelayServer, catcher: Catcher) -> None:
    telling.done(BUY | {"id": "once"})
    telling.post(BUY | {"id": "once", "qty": "0.02"})
    catcher.until("ALERT_ID_REUSED", "must be new for each alert")


def test_a_position_that_somebody_changed_is_reported(
    telling: RelayServer, paper: PaperServer, catcher: Catcher
) -> None:
    telling.done(BUY)
    paper.control.prices(BTCUSDT="101000")
    telling.done({"action": "close", "ticker": "BTCUSDT.P"})
    catcher.until("before fees")
    paper.session().place_order(category="linear", symbol="BTCUSDT", side="Sell", orderType="Market", qty="0.2")
    telling.done({"action": "close", "ticker": "BTCUSDT.P", "id": "second"})
    catcher.until("BTCUSDT on default: the position was changed outside", "and is -0.2")


def test_what_a_fill_realised_is_what_the_ledger_says_even_after_a_hand_closed_what_was_open(
    telling: RelayServer, paper: PaperServer, catcher: Catcher
) -> None:
    telling.done(BUY)
    paper.session().place_order(category="linear", symbol="BTCUSDT", side="Sell", orderType="Market", qty="0.01")
    paper.control.prices(BTCUSDT="105000")
    telling.done(BUY | {"id": "second"})
    paper.control.prices(BTCUSDT="111000")
    telling.done({"action": "close", "ticker": "BTCUSDT.P"})
    text = catcher.until("before fees")
    trade, *_ = telling.api("trades")["trades"]
    assert f"PnL {Decimal(trade['realised']):+.2f} USDT before fees" in text
    assert Decimal(trade["realised"]) == pytest.approx(Decimal(60), abs=1)


def test_any_part_can_tell_of_any_kind(telling: RelayServer, catcher: Catcher) -> None:
    for kind in NoticeKind:
        telling.relay.services.announcer.tell(kind, f"something of the kind {kind.value}.")
    catcher.until(*(f"something of the kind {kind.value}." for kind in NoticeKind))


def test_tags_say_which_kinds_an_address_is_told(tmp_path: Path, paper: PaperServer, catcher: Catcher) -> None:
    other = Catcher()
    urls = f"halt,run=json://127.0.0.1:{catcher.port}/a json://127.0.0.1:{other.port}/b"
    try:
        with running_relay(tmp_path, paper.url, NOTIFY_URLS=urls) as relay:
            relay.done(BUY | {"id": "filled"})
            relay.post(BUY | {"id": "bad", "qty": "many"})
            relay.api("halt", "POST")
        by_tag, by_default = catcher.until("halted", "stopped"), other.until("halted", "rejected", "stopped")
        assert "rejected" not in by_tag and "filled" not in by_tag
        assert "filled at" not in by_default, "fills only for who asks for them"
    finally:
        other.close()


def test_what_could_not_be_delivered_is_delivered_later_even_by_the_next_start(
    tmp_path: Path, paper: PaperServer, catcher: Catcher
) -> None:
    urls = {"NOTIFY_URLS": f"refused=json://127.0.0.1:{catcher.port}/hook"}
    catcher.status = 503
    with running_relay(tmp_path, paper.url, **urls) as relay:
        relay.post(BUY | {"id": "bad", "qty": "many"})
        assert catcher.arrived.wait(60)
    catcher.status = 200
    with running_relay(tmp_path, paper.url, **urls):
        catcher.until("the alert was rejected")


def test_an_order_is_at_the_exchange_while_the_service_hangs(
    telling: RelayServer, paper: PaperServer, catcher: Catcher
) -> None:
    catcher.until("is ready")
    catcher.arrived.clear()
    catcher.free.clear()
    telling.api("halt", "POST")
    telling.api("resume", "POST")
    assert catcher.arrived.wait(60), "the service has the request, and answers nothing"
    signal = telling.done(BUY | {"id": "meanwhile"})
    which = {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": signal["orders"][0]["client_order_id"]}
    found = paper.session().get_open_orders(**which)
    assert found["result"]["list"][0]["orderStatus"] == "Filled"
    assert not catcher.free.is_set()
    catcher.free.set()


def test_a_storm_is_one_message(tmp_path: Path, catcher: Catcher) -> None:
    with cold_relay(tmp_path, NOTIFY_URLS=f"refused=json://127.0.0.1:{catcher.port}/hook") as relay:
        relay.relay.services.notifier._notices.begin(0)
        for number in range(60):
            relay.post(BUY | {"id": f"bad {number}", "qty": f"many{number}"})
        relay.relay.services.notifier.look()
        relay.relay.services.notifier.start()
        message = catcher.next()
    assert "and 45 more: 45 refused" in message
    assert catcher.bodies.empty()


def test_the_sign_of_life_is_given_only_while_alerts_are_executed(
    tmp_path: Path, paper: PaperServer, catcher: Catcher
) -> None:
    address = {"ALIVE_URL": f"http://127.0.0.1:{catcher.port}/alive/id"}
    with cold_relay(tmp_path, **address) as cold:
        cold.relay._sign_of_life(address["ALIVE_URL"])
    assert catcher.bodies.empty()
    with patch.object(wiring, "ALIVE_S", 0.2), running_relay(tmp_path, paper.url, **address):
        assert catcher.next() == "/alive/id"


def test_a_test_is_sent_from_the_page_and_the_recipients_are_named(telling: RelayServer, catcher: Catcher) -> None:
    catcher.until("is ready")
    assert telling.relay.services.notifier.send_test() == [("json", "taken")]
    catcher.until("this is a test")
    catcher.status = 503
    assert telling.relay.services.notifier.send_test() == [("json", "away")]
