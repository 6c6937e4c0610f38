"""Every secret is marked, the relay does all that it does, and no mark is found in anything that it writes or says."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from tests.catcher import Catcher
from tests.paper_server import PaperServer
from tests.relay_process import RelayProcess

pytestmark = pytest.mark.slow

WEBHOOK, NEXT = "marked-webhook-secret-1/+", "marked-webhook-secret-2"
ADMIN, KEY, SECRET = "marked-admin-token-0123", "marked-api-key-0123", "marked-api-secret-0123"
NOTIFY, DSN, REFUSED = "marked-notify-token-0123", "marked-sentry-key-0123", "marked-wrong-secret-0123"
TREND = "marked-strategy-secret-0123"
MARKS = (WEBHOOK, NEXT, ADMIN, KEY, SECRET, NOTIFY, DSN, REFUSED, TREND)
CONFIG = '[strategies.default]\nshared = true\n[strategies.trend]\nshared = true\nsecret_env = "TREND_SECRET"'
BUY = {"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.01"}
PAGES = ("/", "/signals", "/docs", "/setup", "/builder", "/login", "/openapi.json", "/healthz", "/readyz", "/nothing")
REQUESTED = ("signals", "signals?attention_first=1", "orders", "positions", "accounts", "strategies", "signals/none")


@contextlib.contextmanager
def _catchers() -> Iterator[tuple[Catcher, Catcher]]:
    people, sentry = Catcher(), Catcher()
    try:
        yield people, sentry
    finally:
        people.close()
        sentry.close()


def _alerts(relay: RelayProcess) -> Iterator[requests.Response]:
    """Each way of proving and of failing to, good alerts and bad ones."""

    def post(body: object, path: str = "/webhook", **headers: str) -> requests.Response:
        text = body if isinstance(body, str) else json.dumps(body)
        sent = {"Prefer": "wait=10", **headers}
        return relay.http.post(f"{relay.url}{path}", data=text.encode(), headers=sent, timeout=60)

    yield post(BUY | {"secret": WEBHOOK, "id": "1", "comment": f"it is {WEBHOOK} and {NEXT}"})
    yield post(BUY | {"id": "2"}, **{"X-Webhook-Secret": NEXT})
    yield post(BUY | {"id": "3"}, f"/webhook/default/{quote(WEBHOOK, safe='')}?key={NEXT}")
    yield post(BUY | {"secret": WEBHOOK, "id": "4", "qty": NEXT})
    yield post(BUY | {"secret": WEBHOOK, "id": "5", WEBHOOK: 1})
    yield post(f'{{"secret": "{NEXT}", "broken": {NEXT}')
    yield post(BUY | {"secret": REFUSED})
    yield post(BUY, f"/webhook/default/{REFUSED}")
    yield post(BUY, f"/webhook/{NEXT}")
    yield post(BUY | {"secret": WEBHOOK, "id": "6", "qty": "0.0000001"})
    yield post(BUY | {"secret": TREND, "id": "7", "comment": f"not {TREND}"}, "/webhook/trend")
    yield post(BUY | {"secret": TREND, "id": "8"})
    yield post(BUY | {"id": "9", "comment": TREND}, f"/webhook/trend/{TREND}")
    yield post({"secret": WEBHOOK, "action": "close", "ticker": "BTCUSDT.P"})
    for _ in range(25):
        yield post(BUY | {"secret": REFUSED})
        yield post(BUY, f"/webhook/trend/{REFUSED}")


def test_no_secret_is_in_any_log_file_page_metric_report_notice_or_answer(tmp_path: Path) -> None:
    paper = PaperServer(tmp_path, environment={"BYBIT_API_KEY": KEY, "BYBIT_API_SECRET": SECRET})
    with _catchers() as (people, sentry):
        relay = RelayProcess(
            tmp_path,
            paper.url,
            command=(sys.executable, "-m", "gunicorn", "-c", "python:relay.web.gunicorn", "relay.web:create_app()"),
            environment={
                "WEBHOOK_SECRET": f"{WEBHOOK} {NEXT}",
                "ADMIN_TOKEN": ADMIN,
                "BYBIT_API_KEY": KEY,
                "BYBIT_API_SECRET": SECRET,
                "NOTIFY_URLS": f"all=json://user:{NOTIFY}@127.0.0.1:{people.port}/{NOTIFY}",
                "SENTRY_DSN": f"http://{DSN}@127.0.0.1:{sentry.port}/7",
                "RELAY_CONFIG": CONFIG,
                "TREND_SECRET": TREND,
                "LOG_LEVEL": "debug",
                "GUNICORN_CMD_ARGS": "--access-logfile -",
            },
        )
        relay.admin_token = ADMIN
        try:
            relay.start()
            said = [_said(answer) for answer in _alerts(relay)]
            bearer = {"Authorization": f"Bearer {ADMIN}"}
            for path in (*PAGES, *(f"/api/{each}" for each in REQUESTED), "/metrics"):
                for headers in ({}, bearer, {"Authorization": f"Bearer {REFUSED}"}):
                    said.append(_said(relay.http.get(f"{relay.url}{path}", headers=headers, timeout=60)))
            with requests.Session() as browser:
                said += _pages_inside(browser, relay, said[0])
            people.until("the alert was rejected", "denied")
        finally:
            relay.stop()
            paper.close()
        said.append(people.seen)
        said += [body.decode() for catcher in (people, sentry) for body in catcher.bodies.queue]
    said.append(relay.log.read_text())
    said += [path.read_bytes().decode("latin-1") for path in tmp_path.glob("relay.db*")]
    everything = "\n".join(said)
    for done in ("accept [", "QTY_BELOW_MIN", "TOO_MANY_REQUESTS", '"strategy": "trend"'):
        assert done in everything, "it did what it does"
    found = [mark for mark in MARKS if mark in everything or quote(mark, safe="") in everything]
    assert [everything[max(0, everything.find(mark) - 200) :][:300] for mark in found] == []


def _pages_inside(browser: requests.Session, relay: RelayProcess, first: str) -> list[str]:
    """What somebody sees who has logged in; `first`: an answer with a signal's id."""
    form = browser.get(f"{relay.url}/login", timeout=60).text
    token = re.findall(r'name="csrf_token" value="([^"]+)"', form)[0]
    inside = browser.post(f"{relay.url}/login", data={"csrf_token": token, "password": ADMIN}, timeout=60)
    assert "Log out" in inside.text
    signal_id = re.findall(r'"signal_id": "([^"]+)"', first)[0]
    paths = (*PAGES, "/performance", f"/signals/{signal_id}", "/act/halt", "/builder?kind=order")
    return [_said(browser.get(f"{relay.url}{path}", timeout=60)) for path in paths]


def _said(answer: requests.Response) -> str:
    return f"{answer.status_code} {dict(answer.headers)} {answer.text}"
