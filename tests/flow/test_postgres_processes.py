"""Two web and two worker processes on one Postgres do what one process does: each alert once, and in order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests import postgres
from tests.faults import audit
from tests.fleet import Fleet, running_fleet
from tests.flow.desk import BTC, AccountApi
from tests.paper_server import PaperServer
from tests.relay_process import ADMIN_TOKEN

pytestmark = pytest.mark.slow

BESIDE = (
    *("/v5/market/time", "/v5/account/wallet-balance", "/v5/execution/list"),
    "/v5/account/transaction-log",
)
"""What is asked for beside the alerts: clocks, connections and books."""
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, paper: PaperServer) -> Iterator[Fleet]:
    url = postgres.server().migrated()
    counts = str(tmp_path_factory.mktemp("counts"))
    with running_fleet(tmp_path_factory.mktemp("fleet"), paper, url, PROMETHEUS_MULTIPROC_DIR=counts) as fleet:
        yield fleet
    postgres.server().give_back(url)


@pytest.fixture
def account_api(fleet: Fleet) -> Iterator[AccountApi]:
    account_api = AccountApi(fleet.paper, fleet.web)
    account_api.hold(BTC, "0")
    yield account_api
    account_api.hold(BTC, "0")


def test_entries_flips_and_closes_come_to_the_position_that_was_asked_for(account_api: AccountApi) -> None:
    steps: tuple[tuple[str, dict[str, str], str], ...] = (
        ("buy", {"qty": "0.2"}, "0.2"),
        ("sell", {"qty": "0.3"}, "-0.1"),
        ("long", {"qty": "0.2"}, "0.2"),
        ("reverse", {}, "-0.2"),
        ("target", {"market_position": "long", "market_position_size": "0.4"}, "0.4"),
        ("close", {}, "0"),
    )
    for action, fields, position in steps:
        signal = account_api.send(BTC, action, **fields)
        assert signal["status"] == "done", signal
        assert account_api.position(BTC) == Decimal(position), action


def test_a_resting_order_is_cancelled_by_whichever_process_has_the_close(account_api: AccountApi) -> None:
    assert account_api.send(BTC, "buy", qty="0.1", type="limit", price="50000")["status"] == "done"
    assert len(account_api.resting(BTC)) == 1
    assert account_api.send(BTC, "cancel")["status"] == "done"
    assert account_api.resting(BTC) == []


def test_the_same_alert_to_both_web_processes_at_once_is_executed_once(fleet: Fleet, account_api: AccountApi) -> None:
    alert = {"ticker": BTC.ticker, "action": "buy", "qty": "0.1", "id": "the same", "time": "2030-01-01T00:00:00Z"}
    with ThreadPoolExecutor(12) as threads:
        answers = [each.result() for each in [threads.submit(fleet.web.post, alert) for _ in range(24)]]
    assert sorted({each.status_code for each in answers}) == [200, 202]
    assert sum(not each.json()["duplicate"] for each in answers) == 1
    fleet.web.wait_for(answers[0].json()["signal_id"])
    assert account_api.position(BTC) == Decimal("0.1")


def test_many_alerts_at_once_are_executed_each_once_and_each_lane_in_the_order_of_acceptance(fleet: Fleet) -> None:
    def post(number: int) -> str:
        ticker = f"{SYMBOLS[number % len(SYMBOLS)]}.P"
        answer = fleet.web.post({"ticker": ticker, "action": "buy", "qty": "0.1", "id": f"many {number}"})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["signal_id"])

    with ThreadPoolExecutor(8) as threads:
        ids = list(threads.map(post, range(60)))
    signals = [fleet.web.wait_for(each) for each in ids]
    assert {each["status"] for each in signals} == {"done"}
    taken = audit.at_exchange(fleet.paper)
    assert audit.differences(taken, fleet.web.all_signals()) == []
    place = dict(fleet.ask("SELECT signal_id, seq FROM assignments"))
    for symbol in SYMBOLS:
        places = [place[each.client_order_id.partition("-")[0]] for each in taken if each.symbol == symbol]
        assert places == sorted(places)


def test_a_warm_alert_makes_one_call_whichever_process_took_it(fleet: Fleet, account_api: AccountApi) -> None:
    """The worker that owns the account knows all that was ordered there, since nobody else orders."""
    account_api.send(BTC, "long", qty="0.2")
    for _ in range(30):
        fleet.paper.control.clear_calls()
        assert account_api.send(BTC, "reverse")["status"] == "done"
        calls = [call["path"] for call in fleet.paper.control.calls()]
        if [each for each in calls if each not in BESIDE] == ["/v5/order/create"]:
            break
    else:
        raise AssertionError(f"the last one's calls: {calls}")
    assert abs(account_api.position(BTC)) == Decimal("0.2")


def test_a_halt_in_one_process_holds_in_all(fleet: Fleet, account_api: AccountApi) -> None:
    fleet.web.api("halt", "POST")
    try:
        assert [account_api.send(BTC, "buy", qty="0.1")["reason"]["code"] for _ in range(3)] == ["HALTED"] * 3
    finally:
        fleet.web.api("resume", "POST")
    assert account_api.send(BTC, "buy", qty="0.1")["status"] == "done"


def test_pages_of_processes_that_do_not_own_an_account_show_what_its_owner_wrote_down_and_its_age(
    fleet: Fleet, account_api: AccountApi
) -> None:
    account_api.hold(BTC, "0.3")
    assert account_api.send(BTC, "buy", qty="0.1", type="limit", price="50000")["status"] == "done"
    with requests.Session() as browser:
        log_in(browser, fleet.web.url)
        fleet.until(lambda: shows(browser, fleet, "/positions", "0.3"), "the position is not shown")
        fleet.until(lambda: shows(browser, fleet, "/orders", "buy limit"), "the order is not shown")
        fleet.until(lambda: shows(browser, fleet, "/", "Equity"), "the equity is not shown")
    assert fleet.ask("SELECT account FROM account_reports") == [("default",)]
    assert account_api.send(BTC, "cancel")["status"] == "done"


def shows(browser: requests.Session, fleet: Fleet, path: str, words: str) -> bool:
    page = browser.get(f"{fleet.web.url}{path}", timeout=20).text
    return (
        words in page and re.search(r"default: as the process that owns it wrote it down \d+ s ago", page) is not None
    )


def log_in(browser: requests.Session, url: str) -> None:
    form = browser.get(f"{url}/login", timeout=20).text
    (token,) = re.findall(r'name="csrf_token" value="([^"]+)"', form)
    assert browser.post(f"{url}/login", data={"password": ADMIN_TOKEN, "csrf_token": token}, timeout=20).ok


def test_any_web_process_shows_what_all_of_them_and_the_workers_have_counted(
    fleet: Fleet, account_api: AccountApi
) -> None:
    def counted() -> list[float]:
        answer = fleet.web.http.get(f"{fleet.web.url}/metrics", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
        families = text_string_to_metric_families(answer.text)
        found = {(s.name, frozenset(s.labels.values())): s.value for family in families for s in family.samples}
        return [found.get(each, 0.0) for each in wanted]

    wanted = (
        ("relay_alerts_total", frozenset({"accepted"})),
        ("relay_outcomes_total", frozenset({"done", ""})),
        ("relay_exchange_calls_total", frozenset({"/v5/order/create", "0"})),
    )
    before = counted()
    for _ in range(4):
        assert account_api.send(BTC, "buy", qty="0.1")["status"] == "done"
    assert [after - earlier for after, earlier in zip(counted(), before, strict=True)] == [4, 4, 4]


def test_the_processes_keep_within_their_connections(fleet: Fleet) -> None:
    ((connections,),) = fleet.ask(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert connections <= 2 * 4 + 2 * 6
