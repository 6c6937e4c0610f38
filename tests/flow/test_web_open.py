"""What is open to everybody: health, readiness, the front page; and what every answer has."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from relay.errors import SettingsInvalid
from relay.settings import Settings
from relay.web import create_app
from tests.relay_server import ADMIN_TOKEN, WEBHOOK_SECRET, RelayServer


def test_healthz_is_alive_whatever_else_is_missing(cold: RelayServer) -> None:
    answer = cold.request("GET", "/healthz")
    assert (answer.status_code, answer.json()) == (200, {"alive": True})


def test_readyz_is_200_once_everything_is_there(relay: RelayServer) -> None:
    answer = relay.request("GET", "/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True})


def test_readyz_is_503_with_what_is_missing_and_why(cold: RelayServer) -> None:
    answer = cold.request("GET", "/readyz")
    assert answer.status_code == 503
    assert answer.json()["ready"] is False
    assert set(answer.json()["missing"]) == {"instruments", "engine"}
    assert all(isinstance(why, str) and why for why in answer.json()["missing"].values())


def test_the_front_page_tells_the_environment_and_readiness_and_no_secret(
    relay: RelayServer, cold: RelayServer
) -> None:
    page = relay.request("GET", "/")
    assert page.status_code == 200 and page.headers["Content-Type"].startswith("text/html")
    assert "paper" in page.text and "Ready" in page.text
    assert "Not ready" in cold.request("GET", "/").text
    for server in (relay, cold):
        text = server.request("GET", "/").text
        assert WEBHOOK_SECRET not in text and ADMIN_TOKEN not in text


def test_an_unknown_address_is_404_in_json_and_is_not_repeated(cold: RelayServer) -> None:
    answer = cold.request("GET", "/nothing/<script>?x=1")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "NOT_FOUND"
    assert "script" not in answer.text


def test_a_wrong_method_is_405_in_json(cold: RelayServer) -> None:
    answer = cold.request("DELETE", "/healthz")
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")


def test_an_unexpected_failure_is_500_in_json_without_a_traceback(
    cold: RelayServer, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> str:
        raise RuntimeError("the inner workings")

    # The one way to reach the last handler without a known bug to go through.
    cold.app.view_functions["health.alive"] = broken
    answer = cold.request("GET", "/healthz")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "INTERNAL")
    assert "inner workings" not in answer.text and "Traceback" not in answer.text
    assert "the inner workings" in caplog.text


def test_every_answer_carries_the_security_headers(cold: RelayServer) -> None:
    answers: list[requests.Response] = [
        cold.request("GET", "/"),
        cold.request("GET", "/readyz"),
        cold.request("GET", "/nothing"),
        cold.ask("signals"),
        cold.request("GET", "/api/signals"),
        cold.post({"action": "buy"}),
    ]
    for answer in answers:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Cache-Control"] == "no-store"


def test_the_application_reads_the_environment_and_reports_what_is_wrong_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEBHOOK_SECRET", "short")
    with pytest.raises(SettingsInvalid) as raised:
        create_app()
    assert raised.value.problems[0].startswith("WEBHOOK_SECRET: ")
    assert not list(tmp_path.iterdir())


def test_the_application_takes_settings_and_starts_no_thread_of_the_relay(cold: RelayServer) -> None:
    settings = cold.relay.settings
    assert isinstance(settings, Settings)
    again = create_app(relay=cold.relay)
    assert again.extensions["relay"] is cold.relay
    assert not cold.relay.parts.runner.is_open
