"""One real Chromium for all tests of the pages, and a relay with something to show."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from tests.paper_server import PaperServer
from tests.relay_server import ADMIN_TOKEN, RelayServer, running_relay

DEADLINE_MS = 60_000
expect.set_options(timeout=DEADLINE_MS)
_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


def _chromium() -> str:
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        if os.environ.get("RELAY_BROWSER") == "required":
            pytest.fail("there is no Chromium here, and RELAY_BROWSER=required says that there must be one")
        pytest.skip("no Chromium here: install the package `chromium`, or name one in CHROMIUM")
    return found


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    _chromium()
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    launched = playwright.chromium.launch(executable_path=_chromium(), args=_FLAGS)
    yield launched
    launched.close()


@pytest.fixture(scope="module")
def relay(server: PaperServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayServer]:
    with running_relay(tmp_path_factory.mktemp("relay"), server.url) as running:
        yield running


@pytest.fixture
def context(browser: Browser, relay: RelayServer) -> Iterator[BrowserContext]:
    opened = browser.new_context(base_url=relay.url, viewport={"width": 1280, "height": 900})
    opened.set_default_timeout(DEADLINE_MS)
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext, relay: RelayServer) -> Iterator[Page]:
    """Logged in. Whatever its scripts complain of fails the test."""
    context.add_cookies([{"name": name, "value": value, "url": relay.url} for name, value in logged_in(relay).items()])
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda reported: complaints.append(reported.text) if reported.type == "error" else None)
    yield opened
    assert complaints == []


def logged_in(relay: RelayServer) -> dict[str, str]:
    """The cookies of somebody who has, without the three pages that it takes in a browser."""
    with requests.Session() as session:
        form = session.get(f"{relay.url}/login").text
        token = re.search(r'name="csrf_token" value="([^"]+)"', form)
        assert token is not None, form
        given = {"csrf_token": token[1], "password": ADMIN_TOKEN}
        session.post(f"{relay.url}/login", data=given, allow_redirects=False).raise_for_status()
        return session.cookies.get_dict()


def log_in(page: Page, password: str = ADMIN_TOKEN) -> None:
    page.goto("/login")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
