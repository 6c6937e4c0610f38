"""Every page for everybody: axe-core finds nothing, light and dark, on a desk and on a phone.

RELAY_PICTURES=1 renews the pages' pictures in docs/, which no other run touches.
"""

from __future__ import annotations

import base64
import os
import random
import time
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from relay.domain.performance import Equity, worth_of
from relay.journal.ledger import DAY_MS, HOUR_MS
from tests.browser.conftest import DEADLINE_MS, log_in
from tests.faults.stage import until
from tests.paper_server import PaperServer
from tests.relay_server import RelayServer

pytestmark = pytest.mark.slow

AXE = (Path(__file__).parent / "axe-4.14.1.min.js").read_text(encoding="utf-8")
PAGES = {
    "overview": "/",
    "positions": "/positions",
    "orders": "/orders",
    "signals": "/signals",
    "trades": "/trades",
    "performance": "/performance",
    "compare": "/compare",
    "builder": "/builder",
    "setup": "/setup",
    "halt": "/act/halt",
    "flatten": "/act/flatten",
    "missing": "/signals/nothing",
    "offline": "/offline",
    "docs": "/docs",
}
SIZES = {"desk": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
LOOKS = [(scheme, size) for scheme in ("light", "dark") for size in SIZES]
PICTURES = Path(__file__).parents[2] / "docs" / "pages"
PICTURED = {"desk": "light", "phone": "dark"}
"""In which scheme a page's picture at each width is made."""
_TWICE = frozenset({"docs", "missing", "offline", "flatten", "part", "compare"})
"""Made of nothing that others are not: at each width in one scheme is enough."""
_HEIGHT_MAX = 2400
_OFF_SCREEN = """() => [...document.querySelectorAll("main *")].filter((each) => {
  const box = each.getBoundingClientRect();
  return box.width && box.right > innerWidth + 1 && !each.closest("thead, .visually-hidden");
}).map((each) => each.outerHTML.slice(0, 120))"""


@pytest.fixture(scope="module")
def signal_id(relay: RelayServer, server: PaperServer) -> str:
    """Something of everything to look at."""
    _month(relay)
    prices = server.control.prices
    for number, price in enumerate((101_200, 99_400, 100_900)):
        prices(BTCUSDT="100000")
        entry = {"action": "buy", "qty": "0.05", "signal_price": "100000", "id": f"look-in-{number}"}
        relay.done({"ticker": "BTCUSDT.P", **entry})
        prices(BTCUSDT=str(price))
        relay.done({"ticker": "BTCUSDT.P", "action": "close", "signal_price": str(price), "id": f"look-out-{number}"})
    coins = {"ticker": "BTCUSD.P", "qty_unit": "contracts"}
    relay.done({**coins, "action": "buy", "qty": "5000", "id": "look-coins"})
    prices(BTCUSD="100500")
    relay.done({"ticker": "BTCUSD.P", "action": "close", "id": "look-no-coins"})
    levels = {"stop_loss": "1.5%", "take_profit": "3%"}
    relay.done({"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.02", "id": "look-1", **levels})
    relay.done({"ticker": "BTCUSD.P", "action": "sell", "qty": "2000", "qty_unit": "contracts", "id": "look-2"})
    relay.done({"ticker": "SOLUSDT.P", "action": "buy", "qty": "0.0001", "id": "look-3"})
    relay.post({"ticker": "NOSUCH.P", "action": "buy", "qty": "1", "id": "look-4"})
    relay.post({"secret": "wrong-wrong-wrong-wrong", "action": "buy"})
    until(lambda: any(each["status"] == "closed" for each in relay.api("trades")["trades"]))
    limit = {"ticker": "ETHUSDT.P", "action": "sell", "qty": "0.2", "type": "limit", "price": "9000", "id": "look-5"}
    found: str = relay.done(limit)["id"]
    return found


def _month(relay: RelayServer) -> None:
    """What the account was worth in thirty days, as if it had been looked at every six hours."""
    ledger, now_ms, chance = relay.relay.services.streams.bookkeeper.ledger, int(time.time() * 1000), random.Random(7)
    worth = worth_of(ledger.equity_at("default", now_ms))
    for at_ms in range(now_ms - 6 * HOUR_MS, now_ms - 30 * DAY_MS, -6 * HOUR_MS):
        worth -= Decimal(chance.randint(-2400, 2500))
        look = Equity(coin="USDT", equity=worth, unrealised=Decimal(0), usd=worth, at_ms=at_ms)
        assert ledger.add_equity("default", [look], apart_ms=-now_ms)


@pytest.mark.parametrize(("scheme", "size"), LOOKS)
def test_no_page_shuts_anybody_out(
    browser: Browser, relay: RelayServer, signal_id: str, scheme: str, size: str
) -> None:
    context = browser.new_context(base_url=relay.url, color_scheme=scheme, viewport=SIZES[size], bypass_csp=True)  # type: ignore[arg-type]
    context.set_default_timeout(DEADLINE_MS)
    page = context.new_page()
    page.goto("/login")
    found, is_pictured = (
        {"login": _violations(page)},
        bool(os.environ.get("RELAY_PICTURES")) and PICTURED[size] == scheme,
    )
    log_in(page)
    trade_id = next(each["id"] for each in relay.api("trades")["trades"] if each["status"] == "closed")
    for name, address in {**PAGES, "signal": f"/signals/{signal_id}", "trade": f"/trades/{trade_id}"}.items():
        if name in _TWICE and PICTURED[size] != scheme:
            continue
        page.goto(address)
        expect(page.get_by_role("main")).to_be_visible()
        for chart in page.locator("[data-chart]").all():
            expect(chart.locator("canvas").or_(page.locator("[data-chart].empty")).first).to_be_visible()
        found[name] = _violations(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than the screen"
        if size == "phone":
            assert page.evaluate(_OFF_SCREEN) == [], f"something of {name} is off screen"
        if is_pictured:
            _picture(page, f"{name}-{size}")
    context.close()
    assert {name: each for name, each in found.items() if each} == {}


def _picture(page: Page, name: str) -> None:
    """Into docs/, as small as it can be read. The top of a long page says it all."""
    width, height = page.evaluate("[innerWidth, document.documentElement.scrollHeight]")
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, _HEIGHT_MAX), "scale": 1}
    wanted = {"format": "webp", "quality": 60, "clip": clip, "captureBeyondViewport": True}
    taken = page.context.new_cdp_session(page).send("Page.captureScreenshot", wanted)
    (PICTURES / f"{name}.webp").write_bytes(base64.b64decode(taken["data"]))


def _violations(page: Page) -> list[str]:
    """Of WCAG 2.2 A and AA, and of good practice, as axe-core sees it."""
    page.add_script_tag(content=AXE)
    reported = page.evaluate("axe.run()")
    return [f"{each['id']}: {[node['html'][:120] for node in each['nodes'][:3]]}" for each in reported["violations"]]
