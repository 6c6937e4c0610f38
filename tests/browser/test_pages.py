"""The pages in a real browser: what people see of their alerts, and what they can do about them."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import log_in
from tests.relay_server import RelayServer

pytestmark = pytest.mark.slow


def test_a_wrong_password_is_refused_and_five_of_them_slow_down_but_the_right_one_is_always_taken(
    context: BrowserContext, relay: RelayServer
) -> None:
    # From an address of its own, so that the other tests' logins stay open.
    page = context.new_page()
    for _ in range(5):
        log_in(page, "not the password")
        expect(page.get_by_role("alert")).to_contain_text("This is not the password")
    log_in(page, "not the password")
    expect(page.get_by_role("alert")).to_contain_text("Too many wrong passwords")
    log_in(page)
    expect(page.get_by_role("heading", name="Accounts")).to_be_visible()
    relay.app.extensions["relay.logins"].forget()


def test_a_page_sends_to_the_login_and_back_to_where_one_wanted_to_be(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto("/signals?status=done")
    expect(page).to_have_url(re.compile("/login"))
    page.get_by_label("Password").fill("an-admin-token-of-the-tests-0123")
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(re.compile(r"/signals\?status=done"))


def test_an_alert_appears_without_a_reload_and_opens(page: Page, relay: RelayServer) -> None:
    page.goto("/signals")
    signal = relay.done({"ticker": "XRPUSDT.P", "action": "buy", "qty": "20", "id": "appears"})
    row = page.locator(f'a[href="/signals/{signal["id"]}"]')
    expect(row).to_be_visible()
    row.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("buy XRPUSDT")
    expect(page.get_by_text("The alert as it arrived")).to_be_visible()
    expect(page.locator(".steps")).to_contain_text("order submitted")
    relay.done({"ticker": "XRPUSDT.P", "action": "close", "id": "appears-no-more"})


def test_an_alert_is_built_explained_and_sent_as_a_test(page: Page, relay: RelayServer) -> None:
    page.goto("/builder")
    page.get_by_label("Kind").select_option("buy")
    page.get_by_label("Ticker").fill("DOTUSDT.P")
    page.get_by_label("Size", exact=True).fill("5")
    page.get_by_role("button", name="Write the message").click()
    expect(page.locator("#made")).to_contain_text('"ticker": "DOTUSDT.P"')
    expect(page.get_by_role("status")).to_contain_text("planned")
    page.get_by_role("button", name="Send as test").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("buy DOTUSDT")
    expect(page.get_by_role("heading", level=1)).to_contain_text("done")
    relay.done({"ticker": "DOTUSDT.P", "action": "close", "id": "built-no-more"})


def test_a_bad_message_is_explained_field_by_field(page: Page) -> None:
    page.goto("/builder")
    page.get_by_label("Message, in any").fill('{"ticker": "BTCUSDT.P", "action": "buy", "quantitty": 1}')
    page.get_by_role("button", name="Explain it").click()
    expect(page.get_by_role("status")).to_contain_text("would be rejected")
    expect(page.get_by_role("status")).to_contain_text("quantitty")


def test_halting_asks_once_denies_the_next_entry_and_resuming_allows_it(page: Page, relay: RelayServer) -> None:
    page.goto("/")
    page.get_by_role("link", name="Halt entries").click()
    expect(page.get_by_role("listitem").first).to_contain_text("No new entry goes out on default")
    page.get_by_role("button", name="Halt entries").click()
    expect(page.get_by_text("halted by pages")).to_be_visible()
    denied = relay.done({"ticker": "SOLUSDT.P", "action": "buy", "qty": "1", "id": "while-halted"})
    assert denied["status"] == "denied" and denied["reason"]["code"] == "HALTED"
    page.get_by_role("link", name="Resume").click()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("entries allowed")).to_be_visible()


def test_a_position_is_shown_and_closed_by_a_button(page: Page, relay: RelayServer) -> None:
    relay.done({"ticker": "ETHUSDT.P", "action": "buy", "qty": "0.5", "id": "to-be-closed"})
    page.goto("/")
    page.get_by_role("link", name="Close… ETHUSDT on default").click()
    expect(page.get_by_role("listitem").first).to_contain_text("A long of 0.5 of ETHUSDT on default is closed")
    page.get_by_role("button", name="Close position").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("close ETHUSDT")
    expect(page.get_by_role("heading", level=1)).to_contain_text("done")
    assert [p for p in relay.api("positions")["positions"] if p["symbol"] == "ETHUSDT"] == []


def test_flatten_says_what_it_closes_and_closes_it(page: Page, relay: RelayServer) -> None:
    relay.done({"ticker": "LTCUSDT.P", "action": "sell", "qty": "2", "id": "to-be-flattened"})
    page.goto("/act/flatten")
    expect(page.get_by_role("main")).to_contain_text("A short of 2 of LTCUSDT on default is closed at market.")
    page.get_by_role("button", name="Halt, cancel and close").click()
    expect(page.get_by_role("status")).to_contain_text("Halted")
    expect(page.get_by_text("LTCUSDT", exact=True)).to_have_count(0)
    page.goto("/act/resume")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("entries allowed")).to_be_visible()


def test_a_resting_order_is_cancelled_by_a_button(page: Page, relay: RelayServer) -> None:
    signal = relay.done(
        {"ticker": "ADAUSDT.P", "action": "buy", "qty": "100", "type": "limit", "price": "0.1", "id": "rests"}
    )
    page.goto(f"/signals/{signal['id']}")
    page.get_by_role("link", name="Cancel…").click()
    expect(page.get_by_role("listitem").first).to_contain_text("buy 100 ADAUSDT at 0.1 on default is cancelled")
    page.get_by_role("button", name="Cancel order").click()
    expect(page.get_by_text("canceled", exact=True)).to_be_visible()


def test_what_came_with_an_alert_is_text_and_never_a_script(page: Page, relay: RelayServer) -> None:
    for comment in ("<script>document.title='owned'</script>", '"><img src=x onerror="document.title=\'owned\'">'):
        signal = relay.done({"ticker": "BTCUSDT.P", "action": "cancel", "comment": comment})
        for address in ("/", "/signals", f"/signals/{signal['id']}", f"/signals?text={signal['id']}"):
            page.goto(address)
            expect(page.get_by_role("main")).to_be_visible()
            assert "owned" not in page.title()
            assert page.locator("main script, main img").count() == 0


def test_signals_are_filtered_by_outcome_symbol_and_text(page: Page, relay: RelayServer) -> None:
    signal = relay.done({"ticker": "AVAXUSDT.P", "action": "cancel", "comment": "a needle in it"})
    page.goto("/signals")
    page.get_by_label("Text").fill("NEEDLE")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("table.signals tbody tr")).to_have_count(1)
    expect(page.locator(f'a[href="/signals/{signal["id"]}"]')).to_be_visible()
    page.goto("/signals?symbol=avaxusdt&status=done")
    expect(page.locator("table.signals tbody tr")).to_have_count(1)
    page.goto("/signals?symbol=NOSUCH")
    expect(page.get_by_text("No signal is like that")).to_be_visible()


def test_logging_out_ends_the_session(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Log out").click()
    page.goto("/signals")
    expect(page).to_have_url(re.compile("/login"))


def test_the_setup_page_shows_each_point_of_the_checklist(page: Page) -> None:
    page.goto("/setup")
    for point in ("host", "clock", "withdraw permission", "position mode", "wallet"):
        expect(page.locator(".checks").get_by_text(point, exact=True)).to_be_visible()
    page.goto("/")
    expect(page.get_by_role("link", name="in the set-up checklist")).to_be_visible()


def test_the_overview_tells_of_the_streams_and_of_each_strategys_last_alert(page: Page, relay: RelayServer) -> None:
    relay.done({"action": "heartbeat", "id": "beats"})
    page.goto("/")
    expect(page.get_by_text("streams live")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="default last alert")).to_be_visible()
