"""The relay in this process, over real HTTP, against a real paper exchange: quick to start, for most flow tests.

`tests.relay_process.RelayProcess` is the same as real processes, for tests that kill them.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from werkzeug.serving import WSGIRequestHandler, make_server

from relay.app.wiring import Relay
from relay.settings.settings import Settings, load_settings
from relay.web import create_app
from tests.paper_server import KEY, SECRET

WEBHOOK_SECRET = "a-secret-of-the-tests-0123"
ADMIN_TOKEN = "an-admin-token-of-the-tests-0123"
DEADLINE_S = 60
NOBODY = "http://127.0.0.1:9"
"""Where no exchange is: the discard port."""


def settings_for(folder: Path, exchange_url: str, **environment: str) -> Settings:
    """Paper at `exchange_url`, with the journal in `folder`; `environment` wins, and an empty value unsets."""
    return load_settings(
        {
            "BYBIT_ENV": "paper",
            "BYBIT_URL": exchange_url,
            "BYBIT_API_KEY": KEY,
            "BYBIT_API_SECRET": SECRET,
            "BYBIT_RECV_WINDOW": "1000",
            "WEBHOOK_SECRET": WEBHOOK_SECRET,
            "ADMIN_TOKEN": ADMIN_TOKEN,
            "DATABASE_URL": f"sqlite:///{folder}/relay.db",
            **environment,
        },
        dotenv=None,
        needs_webhook_secret=True,
    )


class _Handler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Says nothing."""


class RelayServer:
    """One relay and the server in front of it."""

    def __init__(self, folder: Path, exchange_url: str, **environment: str) -> None:
        self.app = create_app(settings_for(folder, exchange_url, **environment))
        relay = self.app.extensions["relay"]
        assert isinstance(relay, Relay)
        self.relay = relay
        self._server = make_server("127.0.0.1", 0, self.app, threaded=True, request_handler=_Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def start(self) -> None:
        """Starts the relay behind the server, and returns once it is ready."""
        self.relay.start()
        until = time.monotonic() + DEADLINE_S
        while missing := {name: why for name, why in self.relay.accounts().items() if why} | self.relay.missing():
            assert time.monotonic() < until, f"not ready: {missing}"
            time.sleep(0.02)
        # So that what a test counts is its own.
        self.relay.services.streams.bookkeeper.wait_for_first(DEADLINE_S)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(DEADLINE_S)
        self.relay.stop()

    def request(self, method: str, path: str, **more: Any) -> requests.Response:
        return requests.request(method, f"{self.url}{path}", timeout=DEADLINE_S, **more)

    def post(
        self,
        alert: Mapping[str, Any] | bytes,
        *,
        path: str = "/webhook",
        wait_s: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """A mapping is sent as JSON with the secret, unless it brings a `secret` of its own; None leaves it out."""
        sent = dict(headers or {})
        if wait_s is not None:
            sent["Prefer"] = f"wait={wait_s}"
        return self.request("POST", path, data=body_of(alert), headers=sent)

    def done(self, alert: Mapping[str, Any] | bytes, *, path: str = "/webhook") -> dict[str, Any]:
        """What became of the alert: the finished signal. After a 503 it is sent again, as TradingView does."""
        until = time.monotonic() + DEADLINE_S
        while (answer := self.post(alert, path=path, wait_s=10)).status_code == 503 and time.monotonic() < until:
            pass
        assert answer.status_code in (200, 202), answer.text
        signal: dict[str, Any] = answer.json()
        return signal if answer.status_code == 200 else self.wait_for(signal["signal_id"])

    def wait_for(self, signal_id: str) -> dict[str, Any]:
        """The signal once it is finished."""
        until = time.monotonic() + DEADLINE_S
        while True:
            signal: dict[str, Any] = self.api(f"signals/{signal_id}", headers={"Prefer": "wait=10"})
            if signal["status"] not in ("accepted", "executing"):
                return signal
            assert time.monotonic() < until, signal

    def ask(self, path: str, method: str = "GET", **more: Any) -> requests.Response:
        """Of the API, with the admin token; `path` without `/api/`."""
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", **more.pop("headers", {})}
        return self.request(method, f"/api/{path}", headers=headers, **more)

    def api(self, path: str, method: str = "GET", **more: Any) -> Any:
        """The body of a good answer of the API."""
        answer = self.ask(path, method, **more)
        assert answer.status_code < 300, f"{answer.status_code} {answer.text}"
        return answer.json()


def body_of(alert: Mapping[str, Any] | bytes) -> bytes:
    if isinstance(alert, bytes):
        return alert
    whole = {"secret": WEBHOOK_SECRET, **alert}
    return json.dumps({name: value for name, value in whole.items() if value is not None}).encode()


def error_of(answer: requests.Response, status: int, code: str) -> dict[str, Any]:
    """The answer's error, whose form is the same for all."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    error: dict[str, Any] = answer.json()["error"]
    assert error["code"] == code and set(error) == {"code", "message", "fields"}
    return error


@contextmanager
def running_relay(folder: Path, exchange_url: str, **environment: str) -> Iterator[RelayServer]:
    """Ready, and stopped at the end."""
    server = RelayServer(folder, exchange_url, **environment)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def cold_relay(folder: Path, **environment: str) -> Iterator[RelayServer]:
    """Takes alerts and executes none: it was not started, and there is no exchange either."""
    server = RelayServer(folder, NOBODY, **environment)
    try:
        yield server
    finally:
        server.stop()
