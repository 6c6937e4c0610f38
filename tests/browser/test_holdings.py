"""The pages of what is open and what rests, in a real browser."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Page, expect

from tests.paper_server import PaperServer
from tests.relay_server import DEADLINE_S, RelayServer

pytestmark = pytest.mark.slow


def test_a_position_shows_its_ladder_is_closed_in_part_once_and_gets_its_stop_moved(
    page: Page, relay: RelayServer, server: PaperServer
) -> None:
    server.control.prices(LTCUSDT="100")
    ladder = [{"at": "110", "share": 50}, {"at": "120", "share": 50}]
    relay.done(
        {"ticker": "LTCUSDT.P", "action": "buy", "qty": "4", "stop_loss": "90", "take_profit": ladder, "id": "p"}
    )
    page.goto("/positions")
    card = page.locator("#live section.card").filter(has_text="LTCUSDT")
    expect(card).to_contain_text("2 at 110")
    expect(card).to_contain_text("2 at 120")
    expect(card).to_contain_text("default")
    card.get_by_role("link", name="Close a part… LTCUSDT on default").click()
    page.get_by_role("button", name="Close this part").click()
    expect(page.get_by_role("alert")).to_contain_text("Say how much")
    page.get_by_label("Share of it, in percent").fill("25")
    page.get_by_role("button", name="Close this part").dblclick()
    expect(page.get_by_role("heading", level=1)).to_contain_text("close LTCUSDT")
    expect(page.get_by_role("heading", level=1)).to_contain_text("done")
    assert relay.api("positions?symbol=LTCUSDT")["positions"][0]["size"] == "3"
    server.control.prices(LTCUSDT="105")
    page.goto("/positions")
    page.get_by_role("link", name="Stop to the entry… LTCUSDT on default").click()
    expect(page.get_by_role("listitem").first).to_contain_text(
        "its stop loss goes to its entry, 100. Now it stands at 90"
    )
    page.get_by_role("button", name="Move the stop").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("stops LTCUSDT")
    page.goto("/positions")
    expect(page.locator("#live section.card").filter(has_text="LTCUSDT")).to_contain_text("1.5 at 110")
    page.get_by_role("link", name="Stop to the entry… LTCUSDT on default").click()
    page.get_by_role("button", name="Move the stop").click()
    expect(page.get_by_role("status")).to_contain_text("no worse than the entry")
    relay.done({"ticker": "LTCUSDT.P", "action": "close", "id": "gone"})


def test_what_rests_is_listed_as_it_moves_filtered_and_cancelled(
    page: Page, relay: RelayServer, server: PaperServer
) -> None:
    server.control.prices(XRPUSDT="2")
    page.goto("/orders")
    expect(page.get_by_text("Nothing rests.")).to_be_visible()
    resting = {"ticker": "XRPUSDT.P", "action": "buy", "qty": "50", "type": "limit", "price": "1.5", "id": "rests"}
    signal = relay.done(resting)
    server.session().place_order(
        category="linear", symbol="XRPUSDT", side="Sell", orderType="Limit", qty="20", price="3"
    )
    row = page.get_by_role("row").filter(has_text="1.5")
    expect(row).to_contain_text("−25.00 %")
    expect(row.get_by_role("link", name="default")).to_have_attribute("href", f"/signals/{signal['id']}")
    expect(page.get_by_role("row").filter(has_text="+50.00 %")).to_contain_text("by hand")
    page.goto("/orders?symbol=xrpusdt.p&strategy=default")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.goto("/orders?symbol=nosuch")
    expect(page.get_by_text("No order is like that")).to_be_visible()
    page.get_by_role("link", name="Clear the filter").click()
    page.get_by_role("link", name="Cancel…").click()
    expect(page.get_by_role("listitem").first).to_contain_text("buy 50 XRPUSDT at 1.5 on default is cancelled")
    page.get_by_role("button", name="Cancel order").click()
    expect(page.get_by_text("canceled", exact=True)).to_be_visible()
    page.goto("/orders")
    expect(page.locator("tbody tr")).to_have_count(1)
    server.session().cancel_all_orders(category="linear", symbol="XRPUSDT")


def test_a_trade_and_an_open_position_are_drawn_with_price_fills_stop_and_ladder(
    page: Page, relay: RelayServer, server: PaperServer
) -> None:
    server.control.prices(DOTUSDT="6")
    ladder = [{"at": "6.6", "share": 50}, {"at": "7", "share": 50}]
    relay.done(
        {"ticker": "DOTUSDT.P", "action": "buy", "qty": "20", "stop_loss": "5.5", "take_profit": ladder, "id": "drawn"}
    )
    page.goto("/positions")
    expect(page.locator("#live section.card").filter(has_text="DOTUSDT")).to_contain_text("10 at 7")
    page.reload()
    box = page.locator('[data-chart*="DOTUSDT"]')
    expect(box.locator("canvas")).to_be_visible()
    for name in ("Price", "Entries", "Stop loss", "Take profit 1", "Take profit 2"):
        expect(box.get_by_text(name, exact=True)).to_be_visible()
    server.control.prices(DOTUSDT="6.7")
    relay.done({"ticker": "DOTUSDT.P", "action": "close", "id": "drawn-no-more"})
    until = time.monotonic() + DEADLINE_S
    while relay.api("trades?symbol=DOTUSDT")["trades"][0]["status"] != "closed":
        assert time.monotonic() < until
    page.goto("/trades?symbol=dotusdt.p")
    expect(page.get_by_role("cell", name="alert")).to_be_visible()
    page.get_by_role("cell", name="DOTUSDT").get_by_role("link").click()
    box = page.locator("[data-chart]")
    expect(box.locator("canvas")).to_be_visible()
    for name in ("Price", "Entries", "Exits", "Stop loss", "Rung 1", "Rung 2"):
        expect(box.get_by_text(name, exact=True)).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_contain_text("DOTUSDT long closed")
