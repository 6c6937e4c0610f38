"""`serve`: one command, nothing configured, nothing left behind. Over real processes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.serving_support import DEADLINE_S, Program, ask, run_serve

pytestmark = pytest.mark.slow


def _ready(program: Program) -> int:
    return int(program.await_line(r"listens on http://127\.0\.0\.1:(\d+)")[1])


def _body(answer: str) -> dict[str, dict[str, str]]:
    decoded: dict[str, dict[str, str]] = json.loads(answer.partition("\r\n\r\n")[2])
    return decoded


def test_with_nothing_configured_the_printed_curl_line_posts_an_alert_with_the_secret(tmp_path: Path) -> None:
    with run_serve(tmp_path) as program:
        _ready(program)
        secret = program.await_line(r"webhook secret +(\S+)$")[1]
        curl = program.await_line(r"^  (curl .*)$")[1]
        ran = subprocess.run(["sh", "-c", curl], capture_output=True, text=True, timeout=DEADLINE_S, check=True)
    seen = json.loads(ran.stdout)
    alert = json.loads(seen["body"])
    assert seen["path"] == "/webhook"
    assert alert["secret"] == secret == seen["environ"]["WEBHOOK_SECRET"]
    assert (alert["ticker"], alert["action"], alert["qty"]) == ("BTCUSDT.P", "buy", "0.001")
    assert re.fullmatch(r"try-\d{10}", alert["id"])


def test_the_made_up_secrets_stay_the_same_over_a_restart_in_a_file_for_the_owner_only(tmp_path: Path) -> None:
    secrets = []
    for _ in range(2):
        with run_serve(tmp_path) as program:
            secrets.append(program.await_line(r"webhook secret +(\S+)$")[1])
            token = program.await_line(r"admin token +(.*)$")[1]
            program.signal(signal.SIGTERM)
            assert program.await_end() == 0
    assert len(secrets[0]) >= 32 and secrets[0] == secrets[1]
    assert token == "in relay.db.secrets, as ADMIN_TOKEN_PAPER"
    assert stat.S_IMODE((tmp_path / "relay.db.secrets").stat().st_mode) == 0o600


def test_the_relay_is_told_where_the_paper_exchange_is_and_which_key_it_takes(tmp_path: Path) -> None:
    with run_serve(tmp_path) as program:
        paper = program.await_line(r"stand-in paper \d+ (\S+) (\S+) (\S+)")
        environ = _body(ask(_ready(program), "/"))["environ"]
    assert (environ["BYBIT_URL"], environ["BYBIT_API_KEY"]) == (paper[1], paper[2])
    assert paper[3] == "False", "the paper exchange has no use for the webhook secret"


def test_a_taken_port_is_one_line_and_nothing_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        with run_serve(tmp_path, PORT=port) as program:
            assert program.await_end() == 1
    assert len(program.said) == 1
    assert program.said[0].startswith(f"PORT: 127.0.0.1:{port} is in use")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_everything_and_the_paper_exchange_last(tmp_path: Path, number: signal.Signals) -> None:
    with run_serve(tmp_path) as program:
        _ready(program)
        os.killpg(program.process.pid, number)
        assert program.await_end() == 0
    stopped = next(index for index, line in enumerate(program.said) if "stand-in stopped" in line)
    assert "stand-in paper ended" in program.said[stopped + 1 :]
    assert "Traceback" not in program.text


def test_kill_9_of_the_master_takes_the_worker_and_the_paper_exchange_along(tmp_path: Path) -> None:
    with run_serve(tmp_path) as program:
        _ready(program)
        program.signal(signal.SIGKILL)
        assert program.await_end() == -signal.SIGKILL
    assert "stand-in paper ended" in program.said


def test_a_paper_exchange_that_was_killed_comes_back_where_it_was(tmp_path: Path) -> None:
    with run_serve(tmp_path) as program:
        first = program.await_line(r"stand-in paper (\d+) (.*)")
        _ready(program)
        os.kill(int(first[1]), signal.SIGKILL)
        second = program.await_line(r"stand-in paper (\d+) (.*)")
    assert second[1] != first[1]
    assert second[2] == first[2]


def test_a_paper_exchange_that_cannot_start_ends_the_start_with_its_own_words(tmp_path: Path) -> None:
    with run_serve(tmp_path, STAND_IN_PAPER_TROUBLE="1") as program:
        assert program.await_end() == 1
    assert program.said == [
        "the state cannot be read",
        "the paper exchange did not start (exit code 2); if another relay is running on paper.db, stop that one",
    ]


def test_an_application_that_cannot_boot_says_so_and_everything_ends_without_a_traceback(tmp_path: Path) -> None:
    with run_serve(tmp_path, STAND_IN_TROUBLE="the journal is upside down") as program:
        assert program.await_end() == 3
    assert "the journal is upside down" in program.said
    assert "Traceback" not in program.text
    assert "stand-in paper ended" in program.said


def test_secrets_that_cannot_be_kept_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "relay.db.secrets").mkdir()
    with run_serve(tmp_path, DATABASE_URL="sqlite:///relay.db") as program:
        assert program.await_end() == 1
    assert program.said == ["the made-up secrets cannot be kept in relay.db.secrets: Is a directory"]


def test_a_paper_exchange_named_by_its_address_is_used_and_none_is_started(tmp_path: Path) -> None:
    with run_serve(tmp_path, BYBIT_URL="http://127.0.0.1:9") as program:
        environ = _body(ask(_ready(program), "/"))["environ"]
        program.signal(signal.SIGTERM)
        program.await_end()
    assert environ["BYBIT_URL"] == "http://127.0.0.1:9"
    assert "stand-in paper" not in program.text


def test_the_real_paper_exchange_starts_and_ends_with_the_relay(tmp_path: Path) -> None:
    code = (
        "from relay.app.serve import serve; from relay.settings.settings import load_settings; "
        "serve(load_settings(), application='tests.unit.serving_stand_in:create_app()')"
    )
    with Program([sys.executable, "-c", code], tmp_path, {"PORT": "0", "PAPER_MARKET": "off"}) as program:
        url = _body(ask(_ready(program), "/"))["environ"]["BYBIT_URL"]
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=DEADLINE_S) as client:
            client.sendall(b"GET /v5/market/time HTTP/1.0\r\n\r\n")
            assert b"timeNano" in client.makefile("rb").read()
        program.signal(signal.SIGTERM)
        program.await_end()
    assert (tmp_path / "paper.db").exists()
