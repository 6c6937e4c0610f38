"""`serve` and the commands beside it, as a user's shell runs them."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.flow.cli_support import DEADLINE_S, run_process, start
from tests.ports import free_port

pytestmark = pytest.mark.slow


def test_with_nothing_configured_an_alert_is_sent_shown_and_read_again_after_ctrl_c(tmp_path: Path) -> None:
    environ = {"PORT": str(free_port()), "PAPER_MARKET": "off"}
    with start(environ, tmp_path, "serve") as serve:
        try:
            assert serve.stdout is not None
            assert b"listens on" in serve.stdout.readline()
            alert = json.dumps({"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.001", "id": "one"}).encode()
            code, out, err = run_process(environ, tmp_path, "send", "-", given=alert)
            assert (code, err) == (0, "")
            assert out.startswith("done: buy BTCUSDT ")
            code, running, err = run_process(environ, tmp_path, "signals")
            assert (code, err) == (0, "")
            assert "0.001 at " in running
        finally:
            serve.send_signal(signal.SIGINT)
            _, said = serve.communicate(timeout=DEADLINE_S)
    assert serve.returncode in (0, 130)
    assert b"Traceback" not in said
    code, stopped, err = run_process(environ, tmp_path, "signals")
    assert (code, stopped) == (0, running)
    assert "this is read from the journal relay.db" in err


def test_a_second_serve_on_the_port_says_so_in_one_line(tmp_path: Path) -> None:
    environ = {"PORT": str(free_port()), "PAPER_MARKET": "off"}
    with start(environ, tmp_path, "serve") as serve:
        try:
            assert serve.stdout is not None
            assert b"listens on" in serve.stdout.readline()
            code, out, err = run_process(environ, tmp_path, "serve")
            assert (code, out) == (1, "")
            assert err.startswith(f"PORT: 127.0.0.1:{environ['PORT']} is in use")
            assert len(err.splitlines()) == 1
        finally:
            serve.terminate()
            serve.communicate(timeout=DEADLINE_S)
