"""Many alerts at once under the exchange's limits, so that orders leave in batches; and what may happen to a batch.

Whatever it is, each order is at the exchange exactly once in the end, and the journal says what the exchange says.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from relay.engine.failpoint import KILL_AT, Failpoint
from tests.faults import audit
from tests.faults.stage import running, until
from tests.paper_server import PaperServer
from tests.relay_process import WEBHOOK_SECRET, RelayProcess

pytestmark = pytest.mark.slow

CREATE_BATCH = "/v5/order/create-batch"
COINS = (
    *("ADA", "APT", "ARB", "ATOM", "AVAX", "BCH", "BNB", "DOT", "ETC", "FIL"),
    *("INJ", "LINK", "LTC", "NEAR", "OP", "SOL", "SUI", "TIA", "UNI", "XRP"),
)
A_SECOND = 5
"""Single orders, and as many in batches: of a burst of twenty, half leave at once and half wait for a second."""


_numbers = itertools.count()


@pytest.fixture(scope="module")
def limited(server: PaperServer) -> PaperServer:
    server.control.account(limiter={"on": True, "rate": A_SECOND}, balances={"USDT": "1000000"})
    return server


@pytest.fixture(scope="module")
def relay(limited: PaperServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    with running(tmp_path_factory.mktemp("relay"), limited) as process:
        know_the_limit(process)
        yield process


def know_the_limit(relay: RelayProcess) -> None:
    """By the headers of a first order's answer."""
    assert relay.done({"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.001"})["status"] == "done"


def post_to(relay: RelayProcess, coin: str) -> requests.Response:
    alert = {"action": "buy", "ticker": f"{coin}USDT.P", "qty": "10", "id": f"alert-{next(_numbers)}"}
    return requests.post(f"{relay.url}/webhook", json.dumps({"secret": WEBHOOK_SECRET, **alert}), timeout=60)


def burst(relay: RelayProcess) -> dict[str, str]:
    """An alert for each coin, all at once: their ids by coin."""
    with ThreadPoolExecutor(len(COINS)) as threads:
        answers = threads.map(partial(post_to, relay), COINS)
    return {coin: str(answer.json()["signal_id"]) for coin, answer in zip(COINS, answers, strict=True)}


def batches(server: PaperServer) -> list[Mapping[str, Any]]:
    """The requests with orders in them."""
    return [call for call in server.control.calls(CREATE_BATCH) if call["batch"]]


def assert_each_once(relay: RelayProcess, server: PaperServer, ids: Mapping[str, str]) -> None:
    signals = {coin: relay.wait_for(signal_id) for coin, signal_id in ids.items()}
    assert {each["status"] for each in signals.values()} == {"done"}, signals
    taken = agreed(relay, server)
    for coin, signal_id in ids.items():
        assert [each.symbol for each in taken if each.client_order_id.startswith(signal_id)] == [f"{coin}USDT"]


def agreed(relay: RelayProcess, server: PaperServer) -> list[audit.Order]:
    """What the exchange has of the relay's orders; its journal says the same."""
    signals = relay.all_signals()
    own = {each["id"] for each in signals}
    taken = [each for each in audit.at_exchange(server) if each.client_order_id[:26] in own]
    assert audit.differences(taken, signals) == []
    return taken


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("drop_reply", {}),
        ("drop_request", {}),
        ("http", {"status": 502, "after_effect": True}),
        ("code", {"retCode": 10006}),
        ("code", {"retCode": 10016, "after_effect": True}),
        ("code", {"retCode": 10002, "times": 1}),
    ],
    ids=["answer lost", "request lost", "502 after the effect", "10006", "10016 after the effect", "10002"],
)
def test_whatever_becomes_of_the_first_batches_each_order_is_there_once(
    relay: RelayProcess, limited: PaperServer, kind: str, more: Mapping[str, object]
) -> None:
    limited.control.clear_calls()
    limited.control.fault(CREATE_BATCH, kind, **{"times": 2, **more})
    assert_each_once(relay, limited, burst(relay))
    sent = [len(each["batch"]) for each in batches(limited)]
    assert len(sent) > 2 or max(sent) > 1


@pytest.fixture
def pickier(limited: PaperServer) -> Iterator[set[str]]:
    """Coins of which the exchange takes no such small orders any more, and has told nobody."""
    coins = {"ATOM", "AVAX", "DOT", "ETC", "INJ", "LINK", "NEAR"}
    for coin in coins:
        limited.control.rules(f"{coin}USDT", minOrderQty="1000")
    yield coins
    for coin in coins:
        limited.control.rules(f"{coin}USDT", minOrderQty="0.1")


def test_what_is_refused_of_a_batch_fails_and_the_rest_is_done(
    relay: RelayProcess, limited: PaperServer, pickier: set[str]
) -> None:
    limited.control.clear_calls()
    ids = burst(relay)
    signals = {coin: relay.wait_for(signal_id) for coin, signal_id in ids.items()}
    assert {coin for coin, each in signals.items() if each["status"] == "failed"} == pickier
    assert {coin for coin, each in signals.items() if each["status"] == "done"} == {*COINS} - pickier
    refused = {ids[coin] for coin in pickier}
    assert any(name[:26] in refused for each in batches(limited) for name in each["batch"])
    agreed(relay, limited)


def test_a_kill_after_a_batch_has_left_and_before_its_answer(limited: PaperServer, tmp_path: Path) -> None:
    with running(tmp_path / "relay", limited) as relay:
        know_the_limit(relay)
        limited.control.clear_calls()
        limited.control.fault(CREATE_BATCH, "delay_after", ms=2500, times=3)
        ids = burst(relay)
        until(lambda: len(batches(limited)) > 0)
        relay.kill()
        limited.control.clear_faults()
        relay.start()
        assert_each_once(relay, limited, ids)


def test_a_kill_while_orders_wait_whose_attempts_are_written_down(limited: PaperServer, tmp_path: Path) -> None:
    """The fifteenth plan of the burst is on disk, and not all of their orders have left."""
    relay = RelayProcess(tmp_path, limited.url, environment={"BYBIT_STREAM_URL": "off"})
    try:
        relay.environment[KILL_AT] = f"{Failpoint.PLANNED.value}:16"
        relay.start()
        know_the_limit(relay)
        with ThreadPoolExecutor(len(COINS)) as threads:
            posted = [threads.submit(post_to, relay, coin) for coin in COINS]
        relay.wait_for_death()
        taken = [each.result() for each in posted if each.exception() is None]
        del relay.environment[KILL_AT]
        relay.start()
        ids = {str(each.json()["signal_id"]) for each in taken if each.status_code == 202}
        signals = {each["id"]: relay.wait_for(each["id"]) for each in relay.all_signals()}
        assert ids <= signals.keys()
        assert {each["status"] for each in signals.values()} == {"done"}
        assert sorted(each.client_order_id[:26] for each in agreed(relay, limited)) == sorted(signals)
    finally:
        relay.kill()
