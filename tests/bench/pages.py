"""The overview and the list of signals with a long journal behind them, beside a short one."""

from __future__ import annotations

import time
from pathlib import Path

import requests

from tests.bench.figures import Figure, figure
from tests.bench.rate import fill
from tests.bench.rig import Rig
from tests.relay_process import ADMIN_TOKEN

PAGES = {
    "overview": "/",
    "signal list": "/signals",
    "signal list by strategy": "/signals?strategy=default",
    "signal list by outcome": "/signals?status=done",
    "signal list by symbol": "/signals?symbol=SYM7USDT",
    "signal list by text": "/signals?text=no-such-words",
}


def pages(folder: Path, rows: int, count: int) -> list[Figure]:
    """The time of each page at `rows` signals and at a thousand."""
    short, long = _times(folder / "short", 1_000, count), _times(folder / "long", rows, count)
    return [
        figure(f"{name} at {rows:,} signals", long[name], limit="1,000 signals", beside=short[name]) for name in PAGES
    ]


def _times(folder: Path, rows: int, count: int) -> dict[str, list[float]]:
    made = Rig(folder)
    try:
        made.start()
        made.relay.stop()
        fill(folder / "relay.db", rows)
        made.start()
        browser = _logged_in(made.relay.url)
        found: dict[str, list[float]] = {name: [] for name in PAGES}
        for number in range(count + 3):
            for name, path in PAGES.items():
                begun = time.perf_counter()
                answer = browser.get(made.relay.url + path, timeout=60)
                assert answer.status_code == 200 and "/login" not in answer.url, answer.url
                if number >= 3:
                    found[name].append((time.perf_counter() - begun) * 1000)
        browser.close()
        return found
    finally:
        made.close()


def _logged_in(url: str) -> requests.Session:
    browser = requests.Session()
    form = browser.get(f"{url}/login", timeout=20).text
    token = form.split('name="csrf_token" value="')[1].split('"')[0]
    browser.post(f"{url}/login", data={"password": ADMIN_TOKEN, "csrf_token": token}, timeout=20)
    return browser
