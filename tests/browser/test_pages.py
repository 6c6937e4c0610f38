"""The pages in a real browser: what people see of their alerts, and what they can do about them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import DEADLINE_MS, log_in
from tests.paper_server import PaperServer
from tests.relay_server import ADMIN_TOKEN, RelayServer, running_relay

pytestmark = pytest.mark.slow

# Promises of the page's own: what `wait_for_function` asks a second time is stopped by the pages' content policy.
IS_INSTALLED = "() => navigator.serviceWorker.ready.then(() => null)"
IS_DRAWN_UNTIL = """([chart, until]) => new Promise(done => {
  const look = () => document.querySelector(chart).plot.scales.x.max === until ? done() : setTimeout(look, 20);
  look();
})"""


def test_a_wrong_password_is_refused_and_five_of_them_slow_down_but_the_right_one_is_always_taken(
    context: BrowserContext, relay: RelayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No minute goes by meanwhile, however slow the machine is.
    monkeypatch.setattr(relay.app.extensions["relay.logins"], "_monotonic", lambda: 0.0)
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
    expect(page.get_by_role("link", name="Resume")).to_have_count(0)
    page.get_by_role("link", name="Halt entries").click()
    expect(page.get_by_role("listitem").first).to_contain_text("No new entry goes out on default")
    page.get_by_role("button", name="Halt entries").click()
    expect(page.get_by_text("halted by pages")).to_be_visible()
    denied = relay.done({"ticker": "SOLUSDT.P", "action": "buy", "qty": "1", "id": "while-halted"})
    assert denied["status"] == "denied" and denied["reason"]["code"] == "HALTED"
    expect(page.get_by_role("link", name="Halt entries")).to_have_count(0)
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
    page.goto("/builder")  # it asks for nothing by itself, which would be refused while the session ends
    page.get_by_role("button", name="Log out").click()
    page.goto("/signals")
    expect(page).to_have_url(re.compile("/login"))


def test_the_setup_page_shows_each_point_of_the_checklist(page: Page) -> None:
    page.goto("/setup")
    point = page.locator(".checks").get_by_text("withdraw permission", exact=True)
    expect(point).to_be_hidden()
    page.get_by_text("checks green").click()
    for name in ("host", "clock", "withdraw permission", "position mode", "wallet"):
        expect(page.locator(".checks").get_by_text(name, exact=True)).to_be_visible()
    page.goto("/")
    expect(page.get_by_role("link", name="in the set-up checklist")).to_be_visible()


def test_the_overview_tells_of_the_streams_and_of_each_strategys_last_alert(page: Page, relay: RelayServer) -> None:
    relay.done({"action": "heartbeat", "id": "beats"})
    page.goto("/")
    expect(page.get_by_text("streams live")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="default last alert")).to_be_visible()


def test_a_chart_keeps_its_thirty_days_for_a_single_look_and_is_drawn_anew_each_minute(
    browser: Browser, relay: RelayServer
) -> None:
    context = browser.new_context(base_url=relay.url)
    page = context.new_page()
    page.clock.install()
    log_in(page)
    box = page.locator('[data-chart="/live/equity"]')
    expect(box.locator("canvas")).to_be_visible()
    shown = "document.querySelector('[data-chart=\"/live/equity\"]').plot.scales.x"
    axis = page.evaluate(f"[{shown}.min, {shown}.max, Date.now() / 1000]")
    assert axis[1] - axis[0] == 30 * 86_400 and abs(axis[1] - axis[2]) < 3600
    with page.expect_response("**/live/equity") as answer:
        page.clock.fast_forward(61_000)
    later = answer.value.json()["until"]
    page.evaluate(IS_DRAWN_UNTIL, ['[data-chart="/live/equity"]', later])
    assert later > axis[1]
    context.close()


def test_what_is_folded_open_stays_open_while_the_page_goes_on(page: Page, relay: RelayServer) -> None:
    page.goto("/")
    page.locator("details.coins summary").click()
    expect(page.locator("details.coins dd").first).to_be_visible()
    with page.expect_response(lambda answer: "/live/overview" in answer.url and answer.status == 200):
        relay.done({"action": "heartbeat", "id": "folds"})
    expect(page.get_by_text("last alert")).to_be_visible()
    expect(page.locator("details.coins dd").first).to_be_visible()


@pytest.fixture
def phone(browser: Browser, server: PaperServer, tmp_path: Path) -> Iterator[tuple[Page, RelayServer]]:
    """Logged in, beside a relay of its own that can be stopped."""
    context = browser.new_context(viewport={"width": 390, "height": 844})
    context.set_default_timeout(DEADLINE_MS)
    page = context.new_page()
    with running_relay(tmp_path, server.url) as relay:
        page.goto(f"{relay.url}/login")
        page.get_by_label("Password").fill(ADMIN_TOKEN)
        page.get_by_role("button", name="Log in").click()
        yield page, relay
    context.close()


def test_the_pages_can_be_installed_and_say_so_without_a_connection_and_keep_no_number(
    phone: tuple[Page, RelayServer],
) -> None:
    page, relay = phone
    page.evaluate(IS_INSTALLED)
    page.reload()  # A page that was opened while the worker took over those that were there is not among them.
    devtools = page.context.new_cdp_session(page)
    missing = {each["errorId"] for each in devtools.send("Page.getInstallabilityErrors")["installabilityErrors"]}
    assert missing <= {"in-incognito"}, "which the tests' browser is"
    for path in ("/signals", "/trades", "/performance", "/setup", "/"):
        page.goto(f"{relay.url}{path}")
    kept = page.evaluate(
        "caches.keys().then(names => Promise.all(names.map(name => caches.open(name).then(each => each.keys()))))"
        ".then(found => found.flat().map(each => new URL(each.url).pathname))"
    )
    assert sorted(kept) == ["/offline", "/static/icon.svg", "/static/relay.css"]
    expect(page.locator(".worth")).to_contain_text("USD")
    relay.stop()
    expect(page.locator("#lost")).to_be_visible()
    expect(page.locator("main")).to_be_hidden()
    page.goto(f"{relay.url}/trades")
    expect(page.get_by_role("heading", level=1)).to_have_text("No connection to the relay")
    assert page.locator("main").evaluate("main => getComputedStyle(main).maxWidth") != "none", "with its style"
    assert not re.search(r"\d", page.locator("main").inner_text())


@pytest.mark.parametrize(("path", "asked"), [("/", "**/live/overview**"), ("/trades", "**/healthz")])
def test_a_page_hides_its_numbers_while_the_relay_is_not_behind_the_address(
    phone: tuple[Page, RelayServer], path: str, asked: str
) -> None:
    page, relay = phone
    page.clock.install()
    page.goto(f"{relay.url}{path}")
    expect(page.locator("main")).to_be_visible()
    page.route(asked, lambda route: route.fulfill(status=503, body="the router's own words"))
    page.clock.fast_forward(15_000)
    page.clock.run_for(5_000)
    expect(page.locator("#lost")).to_be_visible()
    expect(page.locator("main")).to_be_hidden()
    page.unroute(asked)
    page.clock.run_for(15_000)
    expect(page.locator("main")).to_be_visible()
    expect(page.locator("#lost")).to_be_hidden()


def test_on_a_phone_what_is_open_comes_first_and_is_closed_without_a_scroll_aside(
    phone: tuple[Page, RelayServer],
) -> None:
    page, relay = phone
    relay.done({"ticker": "LINKUSDT.P", "action": "buy", "qty": "10", "stop_loss": "2%", "id": "on a phone"})
    page.goto(relay.url)
    first = page.locator("main h2").first
    expect(first).to_have_text("Open positions")
    card = page.locator("tr").filter(has_text="LINKUSDT")
    for part in (card.locator('[data-label="Open PnL"]'), card.get_by_role("link", name="Close…")):
        expect(part).to_be_in_viewport(ratio=1)
    relay.done({"ticker": "LINKUSDT.P", "action": "close", "id": "on a phone no more"})
