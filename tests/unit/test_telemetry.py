"""Logs: one format, and no secret in any part of a record."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator

import pytest
from Crypto.PublicKey import RSA

from relay.app.telemetry import configure_logging
from relay.settings.settings import load_settings

_PEM = RSA.generate(1024).export_key(pkcs=8).decode()  # noqa: S505 - quick, and it signs nothing
WORDS = {
    "BYBIT_API_KEY": "key-of-an-account",
    "BYBIT_API_SECRET": _PEM.replace("\n", r"\n"),
    "WEBHOOK_SECRET": "first/secret+of=16 second-secret-of-16",
    "ADMIN_TOKEN": 'an-admin\'s-"token"',
}
HIDDEN = ("key-of-an-account", *_PEM.splitlines()[1:3], "first/secret", "first%2Fsecret", "second-", "admin's")


@pytest.fixture
def stream(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    root, hook = logging.getLogger(), threading.excepthook
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    configure_logging(load_settings({**WORDS, "LOG_FORMAT": request.param}, dotenv=None), stream=written)
    yield written
    root.handlers[:], threading.excepthook = handlers, hook
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.mark.parametrize("stream", ["json", "text"], indirect=True)
def test_no_secret_comes_through_in_message_arguments_traceback_or_stack(stream: io.StringIO) -> None:
    log = logging.getLogger("relay.test")
    secret = load_settings(WORDS, dotenv=None).accounts[0].api_secret
    assert secret is not None
    log.warning("plain key-of-an-account, first/secret+of=16 and first%2Fsecret%2Bof%3D16")
    log.warning("argument %s %r %(a)s" if False else "argument %s and %r", secret.reveal(), WORDS["ADMIN_TOKEN"])
    log.warning("does not fit %d", "second-secret-of-16")
    log.warning("a stack", stack_info=True)
    try:
        raise ValueError(secret.reveal(), "second-secret-of-16", {"token": WORDS["ADMIN_TOKEN"]})
    except ValueError:
        log.exception("failed")
    text = stream.getvalue()
    assert "ValueError" in text and "argument" in text
    for word in HIDDEN:
        assert word not in text


@pytest.mark.parametrize("stream", ["text"], indirect=True)
def test_a_secret_in_a_path_is_hidden_even_if_it_is_a_wrong_one(stream: io.StringIO) -> None:
    logging.getLogger("relay.test").error("POST /webhook/mine/not-the-right-one?x=1 and //WEBHOOK//mine//another-one")
    assert "not-the-right-one" not in stream.getvalue()
    assert "another-one" not in stream.getvalue()
    assert "/webhook/mine/[secret]" in stream.getvalue()


@pytest.mark.parametrize("stream", ["json"], indirect=True)
def test_json_logs_are_an_object_a_line(stream: io.StringIO) -> None:
    logging.getLogger("relay.test").info("two\nlines %s", "ü")
    logging.getLogger("relay.test").debug("under the level")
    (line,) = stream.getvalue().splitlines()
    read = json.loads(line)
    assert (read["level"], read["logger"], read["message"]) == ("info", "relay.test", "two\nlines ü")
    assert read["at"].endswith("Z") and len(read["at"]) == len("2025-01-01T00:00:00.000Z")


@pytest.mark.parametrize("stream", ["text"], indirect=True)
def test_the_client_librarys_own_lines_are_kept_out(stream: io.StringIO) -> None:
    logging.getLogger("pybit._http_manager").error("a request with its signature")
    logging.getLogger("urllib3.connectionpool").warning("a retry")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("stream", ["json"], indirect=True)
def test_a_threads_last_words_are_logged_without_secrets(stream: io.StringIO) -> None:
    def end() -> None:
        raise RuntimeError("second-secret-of-16")

    thread = threading.Thread(target=end, name="lane")
    thread.start()
    thread.join()
    read = json.loads(stream.getvalue())
    assert read["message"] == "the thread lane ended"
    assert "RuntimeError: [secret]" in read["error"]
