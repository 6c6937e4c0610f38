"""Every page for everybody: axe-core finds nothing, light and dark, on a desk and on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import DEADLINE_MS, log_in
from tests.relay_server import RelayServer

pytestmark = pytest.mark.slow

AXE = (Path(__file__).parent / "axe-4.14.1.min.js").read_text(encoding="utf-8")
PAGES = {
    "overview": "/",
    "signals": "/signals",
    "performance": "/performance",
    "builder": "/builder",
    "setup": "/setup",
    "halt": "/act/halt",
    "flatten": "/act/flatten",
    "missing": "/signals/nothing",
}
LOOKS = (("light", "desk"), ("dark", "phone"))
"""Colours are the same at each size, and what is where is the same in each scheme."""
SIZES = {"desk": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def signal_id(relay: RelayServer) -> str:
    """Something of everything to look at."""
    relay.done({"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.02", "signal_price": "98000", "id": "look-1"})
    relay.done({"ticker": "BTCUSDT.P", "action": "sell", "qty": "0.01", "signal_price": "98000", "id": "look-2"})
    relay.done({"ticker": "SOLUSDT.P", "action": "buy", "qty": "0.0001", "id": "look-3"})
    relay.post({"ticker": "NOSUCH.P", "action": "buy", "qty": "1", "id": "look-4"})
    relay.post({"secret": "wrong-wrong-wrong-wrong", "action": "buy"})
    limit = {"ticker": "ETHUSDT.P", "action": "sell", "qty": "0.2", "type": "limit", "price": "9000", "id": "look-5"}
    found: str = relay.done(limit)["id"]
    return found


@pytest.mark.parametrize(("scheme", "size"), LOOKS)
def test_no_page_shuts_anybody_out(
    browser: Browser, relay: RelayServer, signal_id: str, scheme: str, size: str, screenshots: Path
) -> None:
    context = browser.new_context(base_url=relay.url, color_scheme=scheme, viewport=SIZES[size], bypass_csp=True)  # type: ignore[arg-type]
    context.set_default_timeout(DEADLINE_MS)
    page = context.new_page()
    page.goto("/login")
    found = {"login": _violations(page)}
    page.screenshot(path=screenshots / f"login-{scheme}-{size}.png", full_page=True)
    log_in(page)
    for name, address in {**PAGES, "signal": f"/signals/{signal_id}"}.items():
        page.goto(address)
        expect(page.get_by_role("main")).to_be_visible()
        for chart in page.locator("[data-chart]").all():
            expect(chart.locator("canvas").or_(page.locator("[data-chart].empty")).first).to_be_visible()
        found[name] = _violations(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than the screen"
        page.screenshot(path=screenshots / f"{name}-{scheme}-{size}.png", full_page=True)
    context.close()
    assert {name: each for name, each in found.items() if each} == {}


def _violations(page: object) -> list[str]:
    """Of WCAG 2.2 A and AA, and of good practice, as axe-core sees it."""
    page.add_script_tag(content=AXE)  # type: ignore[attr-defined]
    reported = page.evaluate("axe.run()")  # type: ignore[attr-defined]
    return [f"{each['id']}: {[node['html'][:120] for node in each['nodes'][:3]]}" for each in reported["violations"]]
