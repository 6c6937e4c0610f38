"""gunicorn with the project's settings: what it refuses, how it stops, and what slow clients can do to it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.serving_support import (
    DEADLINE_S,
    ROOT,
    SECRET,
    STAND_IN,
    Program,
    answer_on,
    ask,
    connect,
    port_of,
    request,
    run_gunicorn,
)

pytestmark = pytest.mark.slow

TRIES_A_SECRET = "another-secret-somebody-tries"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of one server for all tests that leave it as it was."""
    with run_gunicorn(tmp_path_factory.mktemp("served"), LOG_FORMAT="json") as program:
        yield port_of(program)


def test_settings_problems_are_their_lines_only(tmp_path: Path) -> None:
    with run_gunicorn(tmp_path, WEBHOOK_SECRET="", BYBIT_ENV="mainet", TRUSTED_PROXIES="-1") as program:
        assert program.await_end() == 1
    assert program.said == [
        "BYBIT_ENV: 'mainet' is not known; it should be one of paper, demo, testnet, mainnet",
        "TRUSTED_PROXIES: '-1' does not do; it should be a whole number from 0 to 10",
        "WEBHOOK_SECRET: it is missing; it should be a random word of at least 16 characters",
    ]


def test_settings_are_read_from_the_dotenv_file_of_the_working_directory_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WEBHOOK_SECRET=unused\nADMIN_TOKEN=too-short\n")
    with run_gunicorn(tmp_path) as program:
        assert program.await_end() == 1
    assert [line.partition(":")[0] for line in program.said] == ["ADMIN_TOKEN"], "real variables win"


def test_more_than_one_worker_is_refused(tmp_path: Path) -> None:
    with run_gunicorn(tmp_path, GUNICORN_CMD_ARGS="--workers 2") as program:
        assert program.await_end() == 1
    assert program.said[-1].startswith("--workers: ")


def test_a_held_journal_stops_the_start_in_one_line_without_a_traceback(tmp_path: Path) -> None:
    lock = str(tmp_path / "lock")
    with run_gunicorn(tmp_path, STAND_IN_LOCK=lock) as first:
        port_of(first)
        with run_gunicorn(tmp_path, STAND_IN_LOCK=lock) as second:
            assert second.await_end() == 3
    assert second.said.count("another relay holds this journal: process 1") == 1
    assert "Traceback" not in second.text
    assert second.text.count("stand-in waits") == 1


def test_a_reloaded_worker_waits_for_the_journal_of_the_one_it_replaces(tmp_path: Path) -> None:
    # Platforms set WEB_CONCURRENCY by themselves; it must not change the number of engines.
    with run_gunicorn(tmp_path, STAND_IN_LOCK=str(tmp_path / "lock"), WEB_CONCURRENCY="4") as program:
        port = port_of(program)
        program.signal(signal.SIGHUP)
        program.await_line("stand-in stopped")
        program.await_line("stand-in started")
        assert ask(port).startswith("HTTP/1.1 200")
        program.signal(signal.SIGTERM)
        assert program.await_end() == 0


def test_a_worker_that_replaces_a_killed_one_waits_for_a_database_that_is_away_and_stops_nobody(tmp_path: Path) -> None:
    away = tmp_path / "away"
    with run_gunicorn(tmp_path, STAND_IN_AWAY=str(away)) as program:
        port = port_of(program)
        away.touch()
        os.kill(int(program.said[-1].rpartition(" ")[2]), signal.SIGKILL)
        program.await_line("stand-in finds no journal")
        program.await_line("stand-in finds no journal")
        away.unlink()
        program.await_line("stand-in started")
        assert ask(port).startswith("HTTP/1.1 200")
        program.signal(signal.SIGTERM)
        assert program.await_end() == 0


def test_a_database_that_is_away_at_the_first_start_is_one_line_and_the_end(tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.touch()
    with run_gunicorn(tmp_path, STAND_IN_AWAY=str(away)) as program:
        assert program.await_end() == 3
    assert program.said.count("the journal is away") == 1
    assert "Traceback" not in program.text


def test_sigterm_refuses_new_connections_while_a_request_in_flight_finishes(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with run_gunicorn(tmp_path) as program:
        port = port_of(program)
        with connect(port) as client:
            client.sendall(request(f"/hold?{gate}"))
            program.await_line("stand-in holds")
            program.signal(signal.SIGTERM)
            program.await_line("stand-in drained")
            with pytest.raises(ConnectionRefusedError):
                connect(port)
            gate.write_bytes(b"go on")
            assert answer_on(client).startswith("HTTP/1.1 200")
        assert program.await_end() == 0
    said = program.text
    assert said.index("stand-in holds") < said.index("stand-in drained") < said.index("stand-in stopped")


def test_a_connection_that_is_open_but_silent_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with run_gunicorn(tmp_path) as program, connect(port_of(program)) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: relay\r\nContent-Length: 0\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
        program.signal(signal.SIGINT)
        assert program.await_end() == 0


def test_twenty_slow_bodies_get_408_and_do_not_block_a_right_request(port: int) -> None:
    slow = [connect(port) for _ in range(20)]
    for client in slow:
        client.sendall(request("/webhook", b'{"secret": "', length=5000))
    assert ask(port).startswith("HTTP/1.1 200")
    answers = [answer_on(client) for client in slow]
    for client in slow:
        client.close()
    assert {answer.partition("\r\n")[0] for answer in answers} == {"HTTP/1.1 408 Request Timeout"}
    assert "REQUEST_TOO_SLOW" in answers[0]


def test_a_head_that_never_ends_gets_408(port: int) -> None:
    with connect(port) as client:
        client.sendall(b"POST /webhook HTTP/1.1\r\nHost: rel")
        assert answer_on(client).startswith("HTTP/1.1 408")


def test_more_silent_connections_than_threads_do_not_block_a_right_request(port: int) -> None:
    silent = [connect(port) for _ in range(150)]
    assert ask(port).startswith("HTTP/1.1 200")
    for client in silent:
        client.close()


def test_a_body_reaches_the_application_whole_however_it_comes(port: int) -> None:
    large = b"x" * 100_000
    assert '"body": "' + large.decode() + '"' in ask(port, body=large)
    with connect(port) as client:
        client.sendall(request("/", length=3, headers="Expect: 100-continue\r\n"))
        assert client.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc")
        assert '"body": "abc"' in answer_on(client)


def test_a_connection_is_used_again(port: int) -> None:
    with connect(port) as client:
        client.sendall(request("/", b"one").replace(b"close", b"keep-alive"))
        assert client.recv(12) == b"HTTP/1.1 200"
        client.sendall(request("/", b"two"))
        assert '"body": "two"' in answer_on(client)


def test_requests_that_come_one_behind_the_other_are_answered_in_their_order(port: int) -> None:
    names = [f"number {number}" for number in range(20)]
    with connect(port) as client:
        stored = b"".join(request("/", name.encode()).replace(b"close", b"keep-alive") for name in names)
        client.sendall(stored + request("/", b"the last"))
        assert re.findall('"body": "([^"]*)"', answer_on(client)) == [*names, "the last"]


def test_a_connection_whose_requests_never_end_holds_no_thread_that_another_one_waits_for(tmp_path: Path) -> None:
    count = 400
    with run_gunicorn(tmp_path, "--threads", "1") as program:
        port = port_of(program)
        with connect(port) as endless:
            endless.sendall(request("/", b"again").replace(b"close", b"keep-alive") * count)
            assert ask(port).startswith("HTTP/1.1 200")
            assert endless.recv(1 << 20, socket.MSG_PEEK).count(b"HTTP/1.1 200") < count // 2


@pytest.mark.parametrize("target", ["-", "access.log"])
def test_secrets_in_paths_stand_in_no_log_even_where_a_platform_turns_the_access_log_on(
    tmp_path: Path, target: str
) -> None:
    arguments = f"--access-logfile {target} --access-logformat '%(r)s %(U)s %(q)s %(f)s %({{raw_uri}}e)s %(s)s end'"
    with run_gunicorn(tmp_path, GUNICORN_CMD_ARGS=arguments) as program:
        port = port_of(program)
        ask(port, f"/webhook/mine/{SECRET}?token={TRIES_A_SECRET}", headers=f"Referer: http://x/?{TRIES_A_SECRET}\r\n")
        ask(port, f"/%77ebhook/mine/{TRIES_A_SECRET}")
        ask(port, f"/raise?/webhook/mine/{TRIES_A_SECRET}")
        with connect(port) as client:
            client.sendall(f"POST /webhook/mine/{TRIES_A_SECRET} HTTP/9.9\r\n\r\n".encode())
            answer_on(client)
        program.signal(signal.SIGTERM)
        program.await_end()
    logged = program.text if target == "-" else (tmp_path / target).read_text()
    assert "POST /webhook/mine/[secret] HTTP/1.1 /webhook/mine/[secret]" in logged
    for secret in (SECRET, TRIES_A_SECRET):
        assert secret not in logged + program.text
    assert "200 end" in logged
    assert "RuntimeError: on purpose" in program.text


def test_no_answer_says_what_serves_it(port: int) -> None:
    answer = ask(port)
    assert "gunicorn" not in answer.lower()
    assert "\r\nserver:" not in answer.lower()


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    with run_gunicorn(tmp_path, STAND_IN_LOCK=str(tmp_path / "lock")) as program:
        port = int(program.await_line(r"Listening at: http://127\.0\.0\.1:(\d+)")[1])
        worker = int(program.await_line(r"stand-in started (\d+)")[1])
        os.kill(worker, signal.SIGKILL)
        program.await_line(r"stand-in started (\d+)")
        assert ask(port).startswith("HTTP/1.1 200")


def test_the_procfiles_web_starts_the_paper_exchange_by_itself(tmp_path: Path) -> None:
    line = next(line for line in (ROOT / "Procfile").read_text().splitlines() if line.startswith("web:"))
    command = shlex.split(line.removeprefix("web:"))
    assert command == ["gunicorn", "-c", "python:relay.web.gunicorn", "relay.web:create_app()"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", *command[:-1], f"{STAND_IN}:create_app()"]
    environ = {"PORT": str(port), "WEBHOOK_SECRET": SECRET, "PAPER_MARKET": "off", "LOG_FORMAT": "text"}
    with Program(command, tmp_path, environ) as program:
        assert port_of(program) == port
        answer = ask(port)
        url = answer.partition('"BYBIT_URL": "')[2].partition('"')[0]
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=DEADLINE_S):
            program.signal(signal.SIGTERM)
        assert program.await_end() == 0
