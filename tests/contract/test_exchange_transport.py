"""What a request came to when the network misbehaves, over real sockets."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from relay.domain.order import Accepted, NotSent, Unknown
from tests.contract.raw_server import (
    ACKNOWLEDGED,
    CERTIFICATE,
    KEY,
    RawServer,
    Stage,
    answer,
    place,
    unused_port,
)


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


def test_an_acknowledgement_is_accepted(stage: Stage) -> None:
    server = stage.says(ACKNOWLEDGED)
    assert place(stage.exchange(server.url)) == Accepted(venue_order_id="o-1")
    assert len(server.requests) == 1


def test_an_order_leaves_as_one_request_that_says_everything_once(stage: Stage) -> None:
    server = stage.says(ACKNOWLEDGED)
    place(stage.exchange(server.url))
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    said, *lines = head.decode().split("\r\n")
    names = [line.split(": ", 1)[0].lower() for line in lines]
    headers = dict(zip(names, [line.split(": ", 1)[1] for line in lines], strict=True))
    assert said == "POST /v5/order/create HTTP/1.1" and json.loads(body)["symbol"] == "BTCUSDT"
    assert len(set(names)) == len(names) and int(headers["content-length"]) == len(body)
    assert headers["host"] == server.url.removeprefix("http://") and headers["x-bapi-api-key"] == KEY
    assert {"x-bapi-sign", "x-bapi-timestamp", "x-bapi-recv-window", "content-type", "user-agent"} <= set(names)


def test_a_refused_connection_sent_nothing(stage: Stage) -> None:
    outcome = place(stage.exchange(f"http://127.0.0.1:{unused_port()}"))
    assert outcome == NotSent(why="the connection was refused")


def test_a_name_that_cannot_be_resolved_sent_nothing(stage: Stage) -> None:
    assert isinstance(place(stage.exchange("http://exchange.invalid")), NotSent)


def test_a_connection_that_never_comes_about_sent_nothing(stage: Stage) -> None:
    with ExitStack() as held:
        deaf = held.enter_context(socket.socket())
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(4):
            # Nobody accepts: the queue is full and the system drops whoever comes next.
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
        exchange = stage.exchange(f"http://127.0.0.1:{deaf.getsockname()[1]}", connect_timeout_s=0.2)
        assert place(exchange) == NotSent(why="no connection in time")


def test_a_handshake_that_fails_sent_nothing(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up() -> None:
            connection, _ = listening.accept()
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 400 this speaks no TLS\r\n\r\n")
            connection.close()

        answering = threading.Thread(target=hang_up)
        answering.start()
        outcome = place(stage.exchange(f"https://127.0.0.1:{listening.getsockname()[1]}"))
        answering.join(60)
    assert isinstance(outcome, NotSent)


def test_a_certificate_that_nobody_vouches_for_sent_nothing(stage: Stage) -> None:
    server = stage.server(lambda server, request: ACKNOWLEDGED, tls=True)
    assert place(stage.exchange(server.url)) == NotSent(why="TLS failed")
    assert server.requests == []


def test_an_exchange_is_reached_over_tls_and_a_cut_there_is_unknown(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    answers = [ACKNOWLEDGED, b""]
    server = stage.server(lambda server, request: answers.pop(0), tls=True)
    exchange = stage.exchange(server.url)
    assert isinstance(place(exchange), Accepted)
    assert isinstance(place(exchange), Unknown)
    assert (len(server.requests), server.connections) == (2, 1)


def test_a_proxy_that_refuses_the_tunnel_sent_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = stage.says(answer("", status="407 Proxy Authentication Required"))
    monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//user:password-of-the-proxy@"))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    outcome = place(stage.exchange("https://exchange.invalid"))
    assert isinstance(outcome, NotSent)
    assert "password" not in outcome.why
    assert proxy.requests[0].startswith(b"CONNECT exchange.invalid:443")
    assert b"proxy-authorization: Basic" in proxy.requests[0].replace(b"Proxy-Authorization", b"proxy-authorization")


def test_a_local_exchange_is_never_reached_through_a_proxy(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_port()}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{unused_port()}")
    assert isinstance(place(stage.exchange(stage.says(ACKNOWLEDGED).url)), Accepted)


def test_silence_is_unknown_and_one_request(stage: Stage) -> None:
    def stay_silent(server: RawServer, request: bytes) -> bytes:
        server.leaving.wait(60)
        return b""

    server = stage.server(stay_silent)
    assert place(stage.exchange(server.url, read_timeout_s=0.2)) == Unknown(why="no answer in time")
    assert len(server.requests) == 1


def test_a_connection_cut_after_the_request_arrived_is_unknown_and_one_request(stage: Stage) -> None:
    server = stage.says(b"")
    assert place(stage.exchange(server.url)) == Unknown(why="the connection was cut")
    assert len(server.requests) == 1


def test_a_connection_kept_open_that_is_cut_at_the_next_request_is_unknown(stage: Stage) -> None:
    server = stage.says(ACKNOWLEDGED, b"")
    exchange = stage.exchange(server.url)
    assert isinstance(place(exchange), Accepted)
    assert isinstance(place(exchange), Unknown)
    assert (len(server.requests), server.connections) == (2, 1)


def test_an_answer_cut_in_its_middle_is_unknown_and_one_request(stage: Stage) -> None:
    server = stage.server(lambda server, request: ACKNOWLEDGED[:-10], keeps=False)
    assert place(stage.exchange(server.url)) == Unknown(why="the connection was cut")
    assert len(server.requests) == 1


def test_a_path_in_front_of_the_exchange_is_kept(stage: Stage) -> None:
    server = stage.says(ACKNOWLEDGED)
    assert isinstance(place(stage.exchange(f"{server.url}/gateway/")), Accepted)
    assert server.requests[0].startswith(b"POST /gateway/v5/order/create ")


def test_connections_are_opened_before_they_are_needed_and_kept_open(stage: Stage) -> None:
    server = stage.says(ACKNOWLEDGED)
    exchange = stage.exchange(server.url)
    assert exchange.warm(5) == 5
    assert server.connections == 5
    assert exchange.keep_warm() == 5
    place(exchange)
    assert server.connections == 5
    assert len(server.requests) == 2 + 5 + 5 + 1, (
        "whether there are batches, of linear and of inverse; twice all; the order"
    )


def test_warming_up_without_an_exchange_opens_nothing(stage: Stage) -> None:
    assert stage.exchange(f"http://127.0.0.1:{unused_port()}").warm(3) == 0
