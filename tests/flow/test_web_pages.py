"""What the pages say: one total and how it changed, what may be done, how it is set up; and how they are sent."""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from relay.domain.performance import Equity
from relay.journal.ledger import DAY_MS, start_of_day
from relay.paper.state import START_BALANCES
from tests.catcher import Catcher
from tests.faults.stage import until
from tests.paper_server import PaperServer
from tests.relay_server import ADMIN_TOKEN, WEBHOOK_SECRET, RelayServer, running_relay

D = Decimal
TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


def logged_in(relay: RelayServer) -> requests.Session:
    browser = requests.Session()
    found = TOKEN.search(browser.get(f"{relay.url}/login", timeout=60).text)
    assert found is not None
    browser.post(f"{relay.url}/login", data={"csrf_token": found[1], "password": ADMIN_TOKEN}, timeout=60)
    return browser


@pytest.fixture(scope="module")
def browser(relay: RelayServer) -> requests.Session:
    return logged_in(relay)


def page(browser: requests.Session, relay: RelayServer, path: str) -> str:
    answer = browser.get(f"{relay.url}{path}", timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.text


def press(browser: requests.Session, relay: RelayServer, path: str) -> None:
    found = TOKEN.findall(page(browser, relay, path))
    assert browser.post(f"{relay.url}{path}", data={"csrf_token": found[-1]}, timeout=60).status_code == 200


def looked_at(relay: RelayServer, account: str, points: Sequence[tuple[int, str]]) -> None:
    """What the account was worth at moments of the past, in USDT."""
    ledger = relay.relay.services.streams.bookkeeper.ledger
    for at_ms, worth in points:
        usdt = Equity(coin="USDT", equity=D(worth), unrealised=D(0), usd=D(worth), at_ms=at_ms)
        assert ledger.add_equity(account, [usdt], apart_ms=-(10**15))


def heading(text: str) -> str:
    """The total and its changes, as one reads them."""
    (found,) = re.findall(r'<section class="worth".*?</section>', text, re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", found).split())


def test_the_overview_has_one_total_of_all_accounts_with_its_days_and_months_change(
    tmp_path: Path, paper: PaperServer
) -> None:
    paper.control.reset()
    paper.control.account(balances=dict.fromkeys(START_BALANCES, "0") | {"USDT": "700", "BTC": "0.001"})
    paper.control.prices(BTCUSDT="100000")
    tables = "\n".join(f'[accounts.{name}]\nurl = "{paper.url}"' for name in ("one", "two"))
    with running_relay(tmp_path, paper.url, RELAY_CONFIG=tables, BYBIT_URL="") as relay:
        midnight = start_of_day(int(time.time() * 1000))
        looked_at(relay, "one", [(midnight - 70 * DAY_MS, "500"), (midnight - 60_000, "760"), (midnight + 1, "5000")])
        looked_at(relay, "two", [(midnight - 70 * DAY_MS, "1100")])
        text = page(logged_in(relay), relay, "/")
        assert heading(text).startswith("1 600.00 USD today −260.00 (−13.98 %) this month")
        # The month began with the 500 of 70 days before, unless it began today.
        first = "0.00 (0.00 %)" if time.gmtime().tm_mday > 1 else "−260.00 (−13.98 %)"
        assert heading(text).endswith(f"this month {first}"), heading(text)
        assert text.count("<h2>Equity") <= 1 and "USDT equity" not in text


def chart(browser: requests.Session, relay: RelayServer, path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(page(browser, relay, path))
    return found


def test_equity_is_one_curve_whose_axis_is_its_thirty_days_even_of_a_single_look(own: RelayServer) -> None:
    browser = logged_in(own)
    drawn = chart(browser, own, "/live/equity")
    assert [each["unit"] for each in drawn["series"]] == ["USD"] and len(drawn["x"]) == 1
    assert drawn["until"] - drawn["from"] == 30 * 86_400 and drawn["from"] < drawn["x"][0] <= drawn["until"]
    looked_at(own, "default", [(int(time.time() * 1000) - DAY_MS, "123.45")])
    drawn = chart(browser, own, "/live/equity")
    assert len(drawn["x"]) == 2 and drawn["series"][0]["y"][0] == 123.45


def test_profit_comes_in_steps_from_nothing_at_the_periods_start_to_what_it_is_now(
    own: RelayServer, paper: PaperServer
) -> None:
    for price in ("101000", "99000"):
        paper.control.prices(BTCUSDT="100000")
        own.done({"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.1", "id": f"in at {price}"})
        paper.control.prices(BTCUSDT=price)
        own.done({"ticker": "BTCUSDT.P", "action": "close", "id": f"out at {price}"})
    until(lambda: [each["status"] for each in own.api("trades")["trades"]] == ["closed", "closed"])
    drawn = chart(logged_in(own), own, "/live/profit")
    (line,) = drawn["series"]
    nets = [float(each["net"]) for each in reversed(own.api("trades")["trades"])]
    assert line["steps"] and (line["name"], line["unit"]) == ("default, USDT", "USDT")
    assert line["y"] == pytest.approx([0, nets[0], sum(nets), sum(nets)])
    assert (drawn["x"][0], drawn["x"][-1]) == (drawn["from"], drawn["until"])


def test_either_halt_or_resume_is_offered(own: RelayServer) -> None:
    browser = logged_in(own)

    def offered() -> list[str]:
        return re.findall(r'href="/act/(halt|resume)"', page(browser, own, "/"))

    assert offered() == ["halt"]
    press(browser, own, "/act/halt")
    assert offered() == ["resume"]
    press(browser, own, "/act/resume")
    assert offered() == ["halt"]


def test_the_set_up_shows_strategies_with_limits_and_urls_and_who_is_told_but_no_secret(
    tmp_path: Path, paper: PaperServer, catcher: Catcher
) -> None:
    address = f"attention,fill=json://somebody:a-long-password-of-his@127.0.0.1:{catcher.port}/"
    config = '[strategies.trend]\nsecret_env = "TREND"\n[strategies.trend.limits]\nmax_order_notional = 250\n'
    secret = "another-secret-of-the-tests-9"
    with running_relay(tmp_path, paper.url, RELAY_CONFIG=config, TREND=secret, NOTIFY_URLS=address) as relay:
        browser = logged_in(relay)
        text = page(browser, relay, "/setup")
        assert f"{relay.url}/webhook/trend" in text and f">{relay.url}/webhook<" in text
        assert "order 250" in text and "<b>json</b>" in text and "attention, fill" in text
        checks, _, folded = text.partition("<details>")
        assert "green" not in checks and "clock" in folded.partition("</details>")[0]
        assert not any(each in text for each in (secret, WEBHOOK_SECRET, "a-long-password-of-his", "somebody"))
        press(browser, relay, "/act/notify-test")
        assert b"this is a test" in catcher.bodies.get(timeout=60)


def test_the_list_of_trades_finds_a_symbol_in_tradingviews_spelling(own: RelayServer, paper: PaperServer) -> None:
    own.done({"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.1", "id": "spelt"})
    until(lambda: own.api("trades")["trades"] != [])
    assert "No trades" not in page(logged_in(own), own, "/trades?symbol=bybit:btcusdt.p")


def test_large_answers_are_compressed_and_say_the_same(browser: requests.Session, relay: RelayServer) -> None:
    for path in ("/", "/signals", "/docs", "/openapi.json", "/static/relay.css", "/live/overview"):
        packed = browser.get(f"{relay.url}{path}", headers={"Accept-Encoding": "gzip"}, stream=True, timeout=60)
        assert packed.headers["Content-Encoding"] == "gzip" and "Accept-Encoding" in packed.headers["Vary"], path
        raw = packed.raw.read(decode_content=False)
        assert len(raw) == int(packed.headers["Content-Length"]) < len(gzip.decompress(raw)) / 2, path
        plain = browser.get(f"{relay.url}{path}", headers={"Accept-Encoding": "identity"}, timeout=60)
        assert "Content-Encoding" not in plain.headers, path
        if path.endswith((".json", ".css")):
            assert plain.content == gzip.decompress(raw), path
    for number in range(3):
        relay.done({"action": "heartbeat", "id": f"beat {number}", "comment": "c" * 200})
    answer = relay.ask("signals", headers={"Accept-Encoding": "gzip"})
    assert answer.headers.get("Content-Encoding") == "gzip" and answer.json()["signals"]


@pytest.mark.parametrize(
    "path", ["/signals?text=guess", "/live/signals?status=&text=guess&days=", "/builder?ticker=guess"]
)
def test_what_repeats_the_request_is_never_compressed(browser: requests.Session, relay: RelayServer, path: str) -> None:
    answer = browser.get(f"{relay.url}{path}", headers={"Accept-Encoding": "gzip"}, timeout=60)
    assert answer.status_code == 200 and "Content-Encoding" not in answer.headers


def test_a_forms_token_is_another_text_each_time_and_every_one_of_them_works(
    browser: requests.Session, relay: RelayServer
) -> None:
    found = [TOKEN.findall(page(browser, relay, "/act/halt"))[-1] for _ in range(3)]
    assert len(set(found)) == 3 and len({each[:20] for each in found}) == 3
    for token in found:
        answer = browser.post(f"{relay.url}/act/resume", data={"csrf_token": token}, timeout=60)
        assert answer.status_code == 200
    # Not the very last letter: some bits of it say nothing.
    other = found[0][:-20] + ("00" if found[0][-20:-18] != "00" else "11") + found[0][-18:]
    for wrong in ("", "00", "zz" * 90, other, found[0][:-1]):
        assert browser.post(f"{relay.url}/act/resume", data={"csrf_token": wrong}, timeout=60).status_code == 400


def test_what_a_phone_keeps_of_the_relay_is_what_anybody_may_see(browser: requests.Session, relay: RelayServer) -> None:
    worker = requests.get(f"{relay.url}/sw.js", timeout=60)
    assert (
        worker.headers["Content-Type"].startswith("text/javascript") and worker.headers["Cache-Control"] == "no-cache"
    )
    assert "connect-src 'self'" in worker.headers["Content-Security-Policy"]
    assert browser.get(f"{relay.url}/sw.js", timeout=60).text == worker.text, "the same with and without a login"
    assert browser.get(f"{relay.url}/offline", timeout=60).text == requests.get(f"{relay.url}/offline", timeout=60).text
    found = re.search(r'rel="manifest" href="([^"]+)"', page(browser, relay, "/"))
    assert found is not None
    manifest = requests.get(f"{relay.url}{found[1]}", timeout=60)
    assert manifest.headers["Content-Type"].startswith("application/manifest+json")
    described = manifest.json()
    assert (described["display"], described["start_url"], described["scope"]) == ("standalone", "/", "/")
    for icon in described["icons"]:
        kind = requests.get(f"{relay.url}/static/{icon['src']}", timeout=60).headers["Content-Type"]
        assert kind.partition(";")[0] == icon["type"]


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/trades?day=2026-99-99", 400, "All trades are at"),
        ("/trades?cursor=x", 400, "All trades are at"),
        ("/trades/none", 404, "There is no such trade"),
        ("/signals?status=bogus", 200, "There is no such status"),
    ],
)
def test_an_address_that_is_no_page_is_told_in_words_on_a_page(
    browser: requests.Session, relay: RelayServer, path: str, status: int, said: str
) -> None:
    found = browser.get(f"{relay.url}{path}", timeout=10)
    assert found.status_code == status and said in found.text and "<nav" in found.text
