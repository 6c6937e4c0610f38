"""Heads of requests that nobody sends: refused before the application sees them, and others are served on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.serving_support import SECRET, ask, port_of, run_gunicorn


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with run_gunicorn(tmp_path_factory.mktemp("heads")) as program:
        yield port_of(program)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/webhook", f"X-Long: {'x' * 9000}\r\n"),
        ("/webhook", "".join(f"X-Many-{number}: 1\r\n" for number in range(70))),
        (f"/webhook/{'x' * 5000}", ""),
        ("/webhook", "no colon in it\r\n"),
        ("/webhook", "Content-Length: 7\r\nTransfer-Encoding: chunked\r\n"),
    ],
    ids=["a long header", "many headers", "a long path", "no header", "two lengths"],
)
def test_a_head_that_nobody_sends_is_refused_and_repeats_nothing(port: int, path: str, headers: str) -> None:
    answer = ask(port, path, b"{}", headers)
    assert answer[:10] == "HTTP/1.1 4", answer[:200]
    assert "xxxx" not in answer and "Server:" not in answer and SECRET not in answer
    assert ask(port, "/webhook", b"{}").startswith("HTTP/1.1 200"), "others are served"
