"""Each request has an id."""

from __future__ import annotations

from tests.relay_server import RelayServer


def test_a_request_keeps_the_id_that_it_came_with_if_it_is_a_plain_one(cold: RelayServer) -> None:
    stored = cold.request("GET", "/healthz", headers={"X-Request-ID": "a1b2-c3.d4_e5"})
    assert stored.headers["X-Request-ID"] == "a1b2-c3.d4_e5"
    made = cold.request("GET", "/healthz", headers={"X-Request-ID": "no id\tat all"})
    assert len(made.headers["X-Request-ID"]) == 32
    assert cold.request("GET", "/nothing/here").headers["X-Request-ID"] != made.headers["X-Request-ID"]
