"""The exchange is away while alerts come in: they are taken all the same, and executed once and in order afterwards."""

from __future__ import annotations

import json
import signal as signals
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.faults import audit
from tests.faults.scale import FULL
from tests.faults.stage import event_names, open_at, position, running, taken_for, until
from tests.paper_server import PaperServer
from tests.relay_process import WEBHOOK_SECRET, RelayProcess

pytestmark = pytest.mark.slow

OUTAGE_S = 60.0 if FULL else 12.0
FRESH_S = 0.5
"""Before the end of the outage an entry comes that is young enough to be placed."""
RESEND_S = 5.0
"""TradingView's own interval."""
MAX_AGE_S = 8
FROZEN_ON_S = 1.0
"""For how long it goes on hanging after the relay has given up the first request."""


def body(name: str, symbol: str, **alert: str) -> bytes:
    """`name` is the alert's id."""
    return json.dumps({"secret": WEBHOOK_SECRET, "id": name, "ticker": f"{symbol}.P", **alert}).encode()


BEFORE = (
    body("before-1", "SOLUSDT", action="buy", qty="20"),
    body("before-2", "XRPUSDT", action="buy", qty="20"),
    body("before-3", "AVAXUSDT", action="buy", qty="20"),
    body("before-4", "LTCUSDT", action="buy", qty="30"),
    body("before-5", "UNIUSDT", action="buy", qty="20"),
    body("before-6", "LINKUSDT", action="buy", qty="20"),
    body("rung", "LINKUSDT", action="sell", qty="20", type="limit", reduce_only="true", price="25"),
    body("limit", "LINKUSDT", action="buy", qty="20", type="limit", price="15"),
    body("stop", "LINKUSDT", action="buy", qty="20", type="stop_market", trigger_price="30"),
)
DURING = {
    "close": body("close", "SOLUSDT", action="close"),
    "reverse": body("reverse", "XRPUSDT", action="reverse"),
    "plain flip": body("plain flip", "AVAXUSDT", action="sell", qty="40"),
    "close with resting orders": body("close with resting orders", "LINKUSDT", action="close"),
    "entry": body("entry", "DOTUSDT", action="buy", qty="20"),
    "limit entry": body("limit entry", "DOTUSDT", action="buy", qty="20", type="limit", price="5"),
    "first exit": body("first exit", "LTCUSDT", action="sell", qty="10", reduce_only="true"),
    "second exit": body("second exit", "LTCUSDT", action="sell", qty="5", reduce_only="true"),
    "last exit": body("last exit", "LTCUSDT", action="close"),
    "less": body("less", "UNIUSDT", action="target", position_size="5"),
    "more": body("more", "UNIUSDT", action="target", position_size="15"),
}
FRESH = body("fresh", "ATOMUSDT", action="buy", qty="20")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """What was answered while the exchange was away, and what came of it."""

    first: dict[str, tuple[int, dict[str, Any]]]
    """Status and body of the answer to each alert."""
    again: list[tuple[int, dict[str, Any]]]
    """To each one's resends."""
    signals: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def relay(server: PaperServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    with running(tmp_path_factory.mktemp("relay"), server, {"SIGNAL_MAX_AGE": str(MAX_AGE_S)}) as process:
        yield process


@pytest.fixture(scope="module")
def outage(relay: RelayProcess, server: PaperServer) -> Outage:
    for each in BEFORE:
        assert relay.done(each)["status"] == "done"
    server.stop()
    begun_at = time.monotonic()
    first = {name: _answer(relay, each) for name, each in DURING.items()}
    again = [_answer(relay, each) for each in DURING.values()]
    _wait_until(begun_at + RESEND_S)
    again += [_answer(relay, each) for each in DURING.values()]
    _wait_until(begun_at + OUTAGE_S - FRESH_S)
    first["fresh"] = _answer(relay, FRESH)
    _wait_until(begun_at + OUTAGE_S)
    # Before it is back: the resend of an entry that has expired by then would open it again.
    again += [_answer(relay, each) for each in DURING.values()]
    server.restart()
    ended = {name: relay.wait_for(reported["signal_id"]) for name, (_, reported) in first.items()}
    return Outage(first=first, again=again, signals=ended)


def _answer(relay: RelayProcess, each: bytes) -> tuple[int, dict[str, Any]]:
    answer = relay.post(each)
    return answer.status_code, answer.json()


def _wait_until(at: float) -> None:
    """The outage's length is what is tested; nothing tells its end but the clock."""
    time.sleep(max(0.0, at - time.monotonic()))


def test_every_alert_of_an_outage_is_accepted(outage: Outage) -> None:
    assert {status for status, _ in outage.first.values()} == {202}
    assert not any(reported["duplicate"] for _, reported in outage.first.values())


def test_every_resend_is_answered_that_its_alert_is_known(outage: Outage) -> None:
    ids = [reported["signal_id"] for name, (_, reported) in outage.first.items() if name != "fresh"]
    assert len(outage.again) == 3 * len(ids)
    assert {status for status, _ in outage.again} == {200}
    assert [reported["signal_id"] for _, reported in outage.again] == ids * 3


@pytest.mark.parametrize(
    ("name", "status", "reason", "filled"),
    [
        ("close", "done", None, ["20"]),
        ("reverse", "done", "ENTRY_WITHHELD", ["20"]),
        ("close with resting orders", "done", None, ["20"]),
        ("entry", "expired", "TIME_TOO_OLD", []),
        ("limit entry", "expired", "TIME_TOO_OLD", []),
        ("first exit", "done", None, ["10"]),
        ("second exit", "done", None, ["5"]),
        ("last exit", "done", None, ["15"]),
        ("less", "done", None, ["15"]),
        ("more", "expired", "TIME_TOO_OLD", []),
        ("plain flip", "done", "ENTRY_WITHHELD", ["20"]),
        ("fresh", "done", None, ["20"]),
    ],
)
def test_exits_are_executed_once_and_entries_past_their_age_expire(
    outage: Outage, server: PaperServer, name: str, status: str, reason: str | None, filled: list[str]
) -> None:
    signal = outage.signals[name]
    assert (signal["status"], (signal["reason"] or {}).get("code")) == (status, reason), signal
    taken = taken_for(server, signal["id"])
    assert [order.filled_qty for order in taken] == [Decimal(qty) for qty in filled]


@pytest.mark.parametrize(
    ("symbol", "left"),
    [
        ("SOLUSDT", 0),
        ("XRPUSDT", 0),
        ("AVAXUSDT", 0),
        ("LINKUSDT", 0),
        ("DOTUSDT", 0),
        ("LTCUSDT", 0),
        ("UNIUSDT", 5),
        ("ATOMUSDT", 20),
    ],
)
def test_the_positions_are_what_exits_alone_leave(outage: Outage, server: PaperServer, symbol: str, left: int) -> None:
    assert position(server, symbol) == left
    assert open_at(server, symbol) == []


def test_the_exits_of_one_symbol_are_executed_in_the_order_in_which_they_came(
    outage: Outage, server: PaperServer
) -> None:
    taken = [order for order in audit.at_exchange(server) if order.symbol == "LTCUSDT"]
    assert [order.filled_qty for order in taken] == [30, 10, 5, 15]


def test_after_the_outage_the_journal_and_the_exchange_agree(
    outage: Outage, relay: RelayProcess, server: PaperServer
) -> None:
    taken = [order for order in audit.at_exchange(server) if order.symbol != "NEARUSDT"]  # which is another relay's
    assert audit.differences(taken, relay.all_signals()) == []
    assert all(len(audit.outcomes(signal)) == 1 for signal in relay.all_signals())


def test_a_relay_that_starts_while_the_exchange_is_away_takes_alerts_and_executes_them_in_order_later(
    outage: Outage, server: PaperServer, tmp_path: Path
) -> None:
    """It is stopped in between, and starts again with what it has accepted and not begun."""
    server.stop()
    relay = RelayProcess(tmp_path, server.url)
    alerts = {
        "open": body("open", "NEARUSDT", action="buy", qty="20"),
        "reduce": body("reduce", "NEARUSDT", action="sell", qty="5", reduce_only="true"),
        "close": body("close", "NEARUSDT", action="close"),
        "unknown": body("unknown", "NOSUCHUSDT", action="buy", qty="20"),
    }
    try:
        ids = {}
        for name, each in alerts.items():
            if name in ("open", "close"):
                _start_without_exchange(relay)
            status, reported = _answer(relay, each)
            assert (status, reported["status"]) == (202, "accepted")
            assert _answer(relay, each)[0] == 200
            ids[name] = reported["signal_id"]
            if name == "reduce":
                assert relay.stop() == 0
        server.restart()
        relay.wait_until_ready()
        ended = {name: relay.wait_for(signal_id) for name, signal_id in ids.items()}
    finally:
        relay.kill()
        server.restart()
    assert [signal["status"] for signal in ended.values()] == ["done", "done", "done", "denied"]
    assert ended["unknown"]["reason"]["code"] == "SYMBOL_UNKNOWN"
    taken = [order for order in audit.at_exchange(server) if order.symbol == "NEARUSDT"]
    assert [(order.side, order.filled_qty) for order in taken] == [
        ("buy", Decimal(20)),
        ("sell", Decimal(5)),
        ("sell", Decimal(15)),
    ]


def _start_without_exchange(relay: RelayProcess) -> None:
    relay.start(wait=False)

    def is_alive() -> bool:
        try:
            return requests.get(f"{relay.url}/healthz", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    until(is_alive)
    reported = requests.get(f"{relay.url}/readyz", timeout=60)
    assert reported.status_code == 503
    assert "instruments" in reported.text


def test_an_exchange_that_hangs_and_wakes_up_finds_requests_too_old_and_each_order_is_there_once(
    outage: Outage, relay: RelayProcess, server: PaperServer
) -> None:
    """What lies in its sockets meanwhile is read when it wakes up, past the window, and by then sent again or not."""
    long_before = relay.done(body("hang-before", "APTUSDT", action="buy", qty="20"))
    assert long_before["status"] == "done"
    server.process.send_signal(signals.SIGSTOP)
    try:
        ids = [
            relay.post(body("hang-buy", "AAVEUSDT", action="buy", qty="1")).json()["signal_id"],
            relay.post(body("hang-close", "APTUSDT", action="close")).json()["signal_id"],
        ]
        until(lambda: "order_unknown" in event_names(relay.signal(ids[0])))
        _wait_until(time.monotonic() + FROZEN_ON_S)
    finally:
        server.process.send_signal(signals.SIGCONT)
    entry, exit_ = (relay.wait_for(signal_id) for signal_id in ids)
    assert exit_["status"] == "done"
    assert position(server, "APTUSDT") == 0
    assert entry["status"] in ("done", "expired"), "its age decides, since it cannot have arrived"
    assert position(server, "AAVEUSDT") == (1 if entry["status"] == "done" else 0)
    taken = [order for each in ids for order in taken_for(server, each)]
    assert audit.differences(taken, [entry, exit_]) == []
