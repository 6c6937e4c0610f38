"""One fault at the moment an order is placed: whatever it is, the order is at the exchange exactly once in the end.

Each fault meets a symbol of its own, so that all happen at once: first to entries, then to closes, then to flips.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from relay.bybit.calls import CREATE_BATCH
from tests.faults import audit
from tests.faults.scale import FULL
from tests.faults.stage import (
    CREATE,
    HISTORY,
    REALTIME,
    creates,
    event_names,
    faults_waiting,
    position,
    running,
    taken_for,
    until,
)
from tests.paper_server import PaperServer
from tests.relay_process import RelayProcess

pytestmark = pytest.mark.slow

QTY = Decimal(20)
PAST_OUR_TIMEOUT_MS = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What goes wrong, for one symbol's next order."""

    name: str
    symbol: str
    kind: str
    more: Mapping[str, object] = field(default_factory=dict)
    look_ups_failing: int = 0

    def begin(self, server: PaperServer) -> None:
        of_symbol = {"match": {"symbol": self.symbol}}
        server.control.fault(CREATE, self.kind, **self.more, **of_symbol)
        if self.look_ups_failing:
            server.control.fault(REALTIME, "http", times=self.look_ups_failing, **of_symbol)


def case(name: str, symbol: str, kind: str, look_ups_failing: int = 0, **more: object) -> Case:
    return Case(name=name, symbol=f"{symbol}USDT", kind=kind, more=more, look_ups_failing=look_ups_failing)


NO_ID = json.dumps({"retCode": 0, "retMsg": "OK", "result": {}, "retExtInfo": {}, "time": 1})
SLOW_CASES = (
    case("403 without a word", "INJ", "http", status=403),
    case("a request that arrives after its window", "APT", "delay_before", ms=PAST_OUR_TIMEOUT_MS),
    case("a reply that comes after our timeout", "ARB", "delay_after", ms=PAST_OUR_TIMEOUT_MS),
)
QUICK_CASES = (
    case("reply cut after the effect", "SOL", "drop_reply"),
    case("request cut before the effect", "XRP", "drop_request"),
    case("502 before the effect", "ADA", "http", status=502),
    case("502 after the effect", "LINK", "http", status=502, after_effect=True),
    case("a page with status 200 instead of the effect", "AVAX", "html"),
    case("a page with status 200 after the effect", "LTC", "html", after_effect=True),
    case("half an answer after the effect", "WLD", "http", status=200, body='{"retCode":0,"res', after_effect=True),
    case("an acknowledgement without an id", "BNB", "http", status=200, body=NO_ID, after_effect=True),
    case("10000 before the effect", "BCH", "code", retCode=10000),
    case("10000 after the effect", "DOT", "code", retCode=10000, after_effect=True),
    case("10016 before the effect", "UNI", "code", retCode=10016),
    case("10016 after the effect", "AAVE", "code", retCode=10016, after_effect=True),
    case("10006 twice", "ATOM", "code", retCode=10006, times=2),
    case("10002 once", "ETC", "code", retCode=10002),
    case("110072 after the effect", "NEAR", "code", retCode=110072, after_effect=True),
    case("look-ups failing after a cut reply", "OP", "drop_reply", look_ups_failing=3),
    case("look-ups failing after a cut request", "SUI", "drop_request", look_ups_failing=3),
)
CASES_OF = {
    "buy": SLOW_CASES + QUICK_CASES,
    "close": SLOW_CASES + QUICK_CASES if FULL else QUICK_CASES,
    "reverse": SLOW_CASES + QUICK_CASES if FULL else QUICK_CASES,
}
LATE_CASES = tuple(
    case(action, symbol, "delay_before", ms=PAST_OUR_TIMEOUT_MS)
    for action, symbol in (("buy", "TIA"), ("close", "FIL"), ("reverse", "TON"))
)
LEAVES = {"buy": QTY, "close": Decimal(0), "reverse": -QTY}
"""The position after each action, where the two latter find a long of QTY."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    signal: dict[str, Any]
    taken: list[audit.Order]
    """The orders that the exchange took for the signal."""
    position: Decimal


Table = dict[tuple[str, str], Outcome]
"""By action and case."""


_ids = itertools.count()


def alert(action: str, symbol: str) -> dict[str, Any]:
    size = {"qty": str(QTY)} if action == "buy" else {}
    return {"id": f"alert-{next(_ids)}", "action": action, "ticker": f"{symbol}.P", **size}


def act(relay: RelayProcess, server: PaperServer, action: str, cases: tuple[Case, ...]) -> Table:
    """The action under each case's fault, all at once."""
    for each in cases:
        each.begin(server)
    ids = {each.name: relay.post(alert(action, each.symbol)).json()["signal_id"] for each in cases}
    signals = {name: relay.wait_for(signal_id) for name, signal_id in ids.items()}
    assert faults_waiting(server) == 0, "a fault met nothing"
    taken, positions = audit.at_exchange(server), audit.positions(server)
    return {
        (action, each.name): Outcome(
            signal=signals[each.name],
            taken=[order for order in taken if order.client_order_id.startswith(ids[each.name])],
            position=positions.get(each.symbol, Decimal(0)),
        )
        for each in cases
    }


def open_longs(relay: RelayProcess, cases: tuple[Case, ...]) -> None:
    for each in cases:
        signal = relay.done(alert("buy", each.symbol))
        assert signal["status"] == "done", signal


@pytest.fixture(scope="module")
def relay(server: PaperServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    """One at whose exchange there are no batches: each order goes by itself, and meets its own fault."""
    server.control.fault(CREATE_BATCH, "code", retCode=10005, times=2)
    with running(tmp_path_factory.mktemp("relay"), server) as process:
        yield process


@pytest.fixture(scope="module")
def never_there(relay: RelayProcess, server: PaperServer) -> str:
    """The signal of an order whose id the exchange says it knows, and of which it shows nothing."""
    server.control.fault(CREATE, "code", retCode=110072, match={"symbol": "ETHUSDT"})
    signal_id: str = relay.post(alert("buy", "ETHUSDT") | {"qty": "0.1"}).json()["signal_id"]
    return signal_id


@pytest.fixture(scope="module")
def late(server: PaperServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RelayProcess, list[str]]]:
    """A relay with a window that is longer than its timeout, and its signals whose requests arrive in between."""
    window = {"BYBIT_RECV_WINDOW": str(PAST_OUR_TIMEOUT_MS + 1000)}
    with running(tmp_path_factory.mktemp("late"), server, window) as relay:
        open_longs(relay, LATE_CASES[1:])
        for each in LATE_CASES:
            each.begin(server)
        pairs = zip(LEAVES, LATE_CASES, strict=True)
        yield relay, [relay.post(alert(action, each.symbol)).json()["signal_id"] for action, each in pairs]


@pytest.fixture(scope="module")
def table(relay: RelayProcess, server: PaperServer, never_there: str, late: object) -> Table:
    """What came of each action under each fault; the slow signals of other tests are under way meanwhile."""
    entries = act(relay, server, "buy", CASES_OF["buy"])
    closes = act(relay, server, "close", CASES_OF["close"])
    open_longs(relay, CASES_OF["reverse"])
    return entries | closes | act(relay, server, "reverse", CASES_OF["reverse"])


@pytest.mark.parametrize(("action", "fault"), [(action, each.name) for action in LEAVES for each in CASES_OF[action]])
def test_after_a_single_fault_the_order_is_at_the_exchange_exactly_once(table: Table, action: str, fault: str) -> None:
    _assert_exactly_once(table[action, fault], action)


def _assert_exactly_once(outcome: Outcome, action: str) -> None:
    signal = outcome.signal
    assert signal["status"] == "done", signal
    assert [order["status"] for order in signal["orders"]] == ["filled"], signal
    assert [order.client_order_id for order in outcome.taken] == [signal["orders"][0]["client_order_id"]]
    filled = QTY * 2 if action == "reverse" else QTY
    assert outcome.taken[0].filled_qty == filled
    assert Decimal(signal["orders"][0]["filled_qty"]) == filled
    assert outcome.position == LEAVES[action]


@pytest.mark.parametrize("number", range(len(LATE_CASES)), ids=lambda number: LATE_CASES[number].name)
def test_a_request_that_arrives_late_but_in_its_window_is_never_sent_a_second_time(
    server: PaperServer, table: Table, late: tuple[RelayProcess, list[str]], number: int
) -> None:
    relay, ids = late
    signal = relay.wait_for(ids[number])
    assert event_names(signal).count("order_submitted") == 1, signal
    outcome = Outcome(
        signal=signal,
        taken=taken_for(server, ids[number]),
        position=position(server, LATE_CASES[number].symbol),
    )
    _assert_exactly_once(outcome, tuple(LEAVES)[number])


def test_an_order_that_no_look_up_shows_in_time_is_sent_again_under_its_id_and_found(
    relay: RelayProcess, server: PaperServer, table: Table
) -> None:
    """The exchange's lists lag behind its book: the second send proves that the first arrived, and adds nothing."""
    of_symbol = {"match": {"symbol": "HYPEUSDT"}}
    nothing = json.dumps({"retCode": 0, "retMsg": "OK", "result": {"list": []}, "retExtInfo": {}, "time": 1})
    server.control.fault(CREATE, "drop_reply", **of_symbol)
    for path in (REALTIME, HISTORY):
        server.control.fault(path, "http", status=200, body=nothing, times=None, **of_symbol)
    signal_id = relay.post(alert("buy", "HYPEUSDT")).json()["signal_id"]
    until(lambda: len(creates(server, "HYPEUSDT")) == 2)
    server.control.clear_faults()
    signal = relay.wait_for(signal_id)
    assert signal["status"] == "done"
    first, second = creates(server, "HYPEUSDT")
    assert first["orderLinkId"] == second["orderLinkId"]
    assert (first["retCode"], second["retCode"]) == (0, 110072)
    assert position(server, "HYPEUSDT") == QTY


def test_an_id_that_the_exchange_knows_and_an_order_that_it_never_shows_are_looked_up_until_an_exit_wants_to_pass(
    relay: RelayProcess, server: PaperServer, never_there: str, table: Table
) -> None:
    assert relay.signal(never_there)["status"] == "executing"
    closed = relay.done({"action": "close", "ticker": "ETHUSDT.P"})
    assert closed["status"] == "done", closed
    signal = relay.wait_for(never_there)
    assert (signal["status"], signal["reason"]["code"]) == ("attention", "OUTCOME_UNKNOWN")
    assert [order["status"] for order in signal["orders"]] == ["submitted"]
    assert [call["orderLinkId"].startswith(signal["id"]) for call in creates(server, "ETHUSDT")].count(True) == 1


def test_a_clock_that_was_off_is_measured_anew_and_the_order_sent(relay: RelayProcess, server: PaperServer) -> None:
    for offset_ms in (-90_000, 0):
        server.control.clock(offset_ms)
        signal = relay.wait_for(relay.post(alert("buy", "TRXUSDT")).json()["signal_id"])
        assert signal["status"] == "done", signal
        words = [event["detail"].get("code") for event in signal["events"] if event["name"] == "order_rejected"]
        # Another call, a reading of the books, may have met the wrong clock first.
        assert words in ([10002], [])


def test_while_connections_are_refused_nothing_is_lost_and_nothing_is_sent_twice(
    relay: RelayProcess, server: PaperServer, table: Table
) -> None:
    """After the table, each holds a short."""
    symbols = {"buy": "ETCUSDT", "close": "SOLUSDT", "reverse": "XRPUSDT"}
    server.stop()
    ids = {action: relay.post(alert(action, symbol)).json()["signal_id"] for action, symbol in symbols.items()}
    until(lambda: "order_not_sent" in event_names(relay.signal(ids["buy"])))
    server.restart()
    for action, signal_id in ids.items():
        signal = relay.wait_for(signal_id)
        assert signal["status"] == "done", (action, signal)
        assert [order["status"] for order in signal["orders"]] == ["filled"]
    assert [position(server, symbol) for symbol in symbols.values()] == [0, 0, QTY]


def test_after_all_of_it_the_journal_and_the_exchange_have_the_same_orders(
    relay: RelayProcess, server: PaperServer, table: Table
) -> None:
    signals = relay.all_signals()
    own = {order["client_order_id"] for signal in signals for order in signal["orders"]}
    taken = [order for order in audit.at_exchange(server) if order.client_order_id in own]
    unknown = [row for row in signals if row["status"] == "attention"]
    assert audit.differences(taken, [row for row in signals if row not in unknown]) == []
    assert len(unknown) == 1
