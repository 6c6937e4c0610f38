"""The commands where no relay runs, or where it is no relay that answers."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from relay.journal.opening import open_journal
from tests.flow.cli_support import DEADLINE_S, environment, run, run_process, start
from tests.relay_server import cold_relay

NOBODY = "no relay answers on http://127.0.0.1:9; start it with `python -m relay serve`"


@contextmanager
def answering(status: int, body: bytes, **headers: str) -> Iterator[str]:
    """A server that answers everything with the same; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802 - the base class's name
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "arguments",
    [
        *(
            ["signals"],
            ["signals", "01"],
            ["orders"],
            ["positions"],
            ["halt"],
            ["resume"],
            ["flatten"],
            ["retry", "01"],
        ),
        *(["send", "-"], ["plan", "-", "--json"]),
    ],
)
def test_without_a_relay_and_a_journal_a_command_says_what_to_do_in_one_line(
    arguments: list[str], tmp_path: Path
) -> None:
    result = run(environment(tmp_path), *arguments, given="{}")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines()[0].startswith(NOBODY)
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A folder with the journal of a relay that took an alert and ended."""
    with cold_relay(tmp_path) as relay:
        relay.post({"ticker": "BTCUSDT.P", "action": "buy", "qty": "1", "id": "kept"})
        relay.post({"action": "heartbeat", "id": "alive"})
        relay.post({"secret": None, "action": "heartbeat"})
        relay.post({"action": "heartbeat", "id": "last"})
    return tmp_path


def test_signals_and_orders_are_read_from_the_journal_where_no_relay_runs(journal: Path) -> None:
    environ = environment(journal)
    listed = run(environ, "signals")
    assert listed.exit_code == 0
    assert len(listed.stdout.splitlines()) == 4
    first, *refused = listed.stderr.splitlines()
    assert first == f"{NOBODY}; this is read from the journal {journal}/relay.db"
    assert " x AUTH_FAILED from 127.0.0.1, last 2" in "".join(refused)
    page = json.loads(run(environ, "signals", "--json", "--symbol", "btcusdt").stdout)
    assert page["signals"] == []  # it was never resolved: the instruments were not loaded
    page = json.loads(run(environ, "signals", "--json", "--limit", "1").stdout)
    assert [found["action"] for found in page["signals"]] == ["heartbeat"]
    shown = run(environ, "signals", page["signals"][0]["id"])
    assert shown.stdout.splitlines()[0] == f"signal {page['signals'][0]['id']}: done"
    assert run(environ, "orders").stdout == "no orders\n"


def test_what_the_journal_does_not_know_is_said_in_one_line(journal: Path) -> None:
    unknown = run(environment(journal), "signals", "01nosuch")
    assert unknown.exit_code == 1
    assert unknown.stderr.splitlines()[-1] == "there is no signal 01nosuch"
    cursor = run(environment(journal), "signals", "--cursor", "nonsense")
    assert cursor.exit_code == 2
    assert "--cursor" in cursor.stderr


def test_reading_the_journal_changes_nothing_in_it(journal: Path) -> None:
    database = journal / "relay.db"
    database.chmod(0o400)
    before = database.read_bytes()
    run(environment(journal), "signals")
    assert database.read_bytes() == before


def test_an_address_of_the_users_own_is_never_answered_from_the_journal_here(journal: Path) -> None:
    for command in ("signals", "halt"):
        result = run(environment(journal), command, "--url", "http://127.0.0.1:9")
        assert result.exit_code == 2
        assert result.stderr == "no relay answers on http://127.0.0.1:9; is the address right?\n"


def test_a_journal_that_is_broken_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "relay.db").write_bytes(b"no database at all, " * 400)
    for command in ("signals", "orders", "halt"):
        result = run(environment(tmp_path), command)
        assert result.exit_code == 2
        assert result.stderr.startswith(NOBODY)
        assert len(result.stderr.splitlines()) == 1


def halt_of(folder: Path) -> str | None:
    journal = open_journal(f"sqlite:///{folder}/relay.db", lock=False)
    try:
        switch = journal.switch("default", "halt")
        return switch.value if switch else None
    finally:
        journal.close()


def test_halt_and_resume_are_written_into_the_journal_for_the_next_start(journal: Path) -> None:
    result = run(environment(journal), "halt")
    assert result.exit_code == 0
    assert result.stdout.startswith("halted: ")
    assert "written into the journal" in result.stderr
    assert halt_of(journal) == "on"
    assert json.loads(run(environment(journal), "resume", "--json").stdout) == {"halted": False}
    assert halt_of(journal) == "off"


def test_a_halt_is_not_written_behind_a_relay_that_is_only_not_found(tmp_path: Path) -> None:
    with cold_relay(tmp_path):
        result = run(environment(tmp_path), "halt")
        assert result.exit_code == 2
        assert f"process {os.getpid()}" in result.stderr
        assert "--url" in result.stderr
        assert halt_of(tmp_path) is None


def test_migrate_makes_the_journal_and_is_safe_to_repeat(tmp_path: Path) -> None:
    for _ in range(2):
        result = run(environment(tmp_path), "migrate")
        assert result.exit_code == 0
        assert result.stdout == f"the journal {tmp_path}/relay.db has the current schema\n"
    assert run(environment(tmp_path), "signals").stdout == "no signals\n"


def test_bad_settings_are_lines_and_no_traceback(tmp_path: Path) -> None:
    for command in (["serve"], ["migrate"], ["signals"], ["alert"], ["halt"]):
        code, out, err = run_process({"BYBIT_ENV": "moon", "PORT": "x"}, tmp_path, *command)
        assert (code, out) == (2, "")
        assert [line.partition(":")[0] for line in err.splitlines()] == ["BYBIT_ENV", "PORT"]


@pytest.mark.parametrize(
    ("status", "body", "headers", "said"),
    [
        (200, b"<h1>Welcome</h1>", {}, "is no relay: it says HTTP 200"),
        (301, b"", {"Location": "https://elsewhere.example/"}, "HTTP 301 and points to https://elsewhere.example/"),
        (502, b"\xff\xfe", {}, "is no relay: it says HTTP 502"),
        (200, b"[1]", {}, "is no relay: it says HTTP 200"),
    ],
)
def test_what_is_no_relay_is_reported_as_such(
    status: int, body: bytes, headers: dict[str, str], said: str, tmp_path: Path
) -> None:
    with answering(status, body, **headers) as url:
        for command in (["positions"], ["send", "-"]):
            result = run(environment(tmp_path, url), *command, given="{}")
            assert result.exit_code == 2
            assert said in result.stderr
            assert len(result.stderr.splitlines()) == 1


def test_an_answer_of_503_is_reported_and_exits_with_1(tmp_path: Path) -> None:
    body = b'{"error": {"code": "JOURNAL_UNAVAILABLE", "message": "the disk is full", "fields": {}}}'
    with answering(503, body) as url:
        sent = run(environment(tmp_path, url), "send", "-", given="{}")
        assert (sent.exit_code, sent.stdout) == (1, "not taken: JOURNAL_UNAVAILABLE: the disk is full\n")
        flat = run(environment(tmp_path, url), "flatten")
        assert (flat.exit_code, flat.stderr) == (1, "JOURNAL_UNAVAILABLE: the disk is full\n")


def test_a_flatten_that_could_not_read_the_positions_says_of_which_account_and_exits_with_1(tmp_path: Path) -> None:
    row = b'{"account": "main", "symbol": null, "outcome": "unreadable", "message": "no answer", "signal_id": null}'
    with answering(200, b'{"halted": true, "accounts": [' + row + b"]}") as url:
        result = run(environment(tmp_path, url), "flatten")
        assert result.exit_code == 1
        assert result.stdout.startswith("halted: ") and result.stdout.endswith("main: no answer\n")


def test_positions_that_could_not_be_read_everywhere_exit_with_1(tmp_path: Path) -> None:
    body = b'{"positions": [], "unreadable": [{"account": "main", "message": "no answer"}]}'
    with answering(200, body) as url:
        result = run(environment(tmp_path, url), "positions")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == "main: the positions cannot be read: no answer\n"


def test_an_alert_that_is_too_big_or_not_there_is_bad_usage(tmp_path: Path) -> None:
    for given, file in (("x" * 65537, "-"), ("", str(tmp_path / "nosuch.json")), ("", str(tmp_path))):
        result = run(environment(tmp_path), "send", file, given=given)
        assert result.exit_code == 2
        assert "Error: Invalid value" in result.stderr


def until_it_sleeps(pid: int) -> None:
    """Python sees a signal that comes right before a wait only at the end of it."""
    deadline = time.monotonic() + DEADLINE_S
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
        assert time.monotonic() < deadline, "it never waits"
        time.sleep(0.001)


def test_ctrl_c_ends_a_command_that_waits_without_a_word(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with start(environment(tmp_path, url), tmp_path, "signals") as process:
            connection, _ = silent.accept()
            connection.recv(1)
            until_it_sleeps(process.pid)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=DEADLINE_S)
            connection.close()
        assert (process.returncode, out, err) == (130, b"", b"")


def test_a_reader_that_goes_away_ends_a_command_without_a_word(tmp_path: Path) -> None:
    with start(environment(tmp_path), tmp_path, "alert") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        assert process.wait(DEADLINE_S) == 1
    assert b"Traceback" not in err and b"Broken pipe" not in err


def test_a_terminal_that_lacks_a_letter_gets_it_spelled_out(tmp_path: Path) -> None:
    environ = environment(tmp_path, WEBHOOK_SECRET="gair-cyfrinachol-ŵy-0123", PYTHONIOENCODING="latin-1")
    with start(environ, tmp_path, "alert", "--with-secret") as process:
        out, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    assert b"gair-cyfrinachol-\\u0175y-0123" in out


@pytest.mark.parametrize("command", ["check", "migrate"])
def test_a_journal_whose_folder_is_not_there_is_told_by_whatever_would_need_it(tmp_path: Path, command: str) -> None:
    away = tmp_path / "away"
    told = run(environment(tmp_path, "http://127.0.0.1:9") | {"DATABASE_URL": f"sqlite:///{away}/x.db"}, command)
    assert told.exit_code == 2 and f"DATABASE_URL: the folder {away} is not there" in told.output
    assert "Traceback" not in told.output
