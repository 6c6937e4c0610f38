"""The description of the API is what the API does: every operation is in it, and answers what it says."""

from __future__ import annotations

import re

import pytest
import requests

from relay.web.openapi import description
from tests.relay_server import RelayServer

pytestmark = pytest.mark.slow

COUNT = 8
"""Of each operation, with and without proof; `python -m tests.openapi_cases` sends more."""
OPERATIONS = [f"{method.upper()} {path}" for path, methods in description()["paths"].items() for method in methods]
_DESCRIBED = re.compile(r"/(webhook|api|healthz|readyz|metrics)\b")


@pytest.mark.parametrize("label", OPERATIONS)
def test_an_operation_answers_nothing_but_what_is_described(relay: RelayServer, label: str) -> None:
    from tests.openapi_cases import send_cases  # schemathesis takes a second to import, in each process that collects

    for is_proven in (True, False):
        answered = send_cases(relay, label, is_proven=is_proven, count=COUNT)
        assert answered.total() > 0
        if not is_proven and "/api/" in label:
            assert set(answered) <= {401, 429}


def test_every_address_for_programs_is_described_and_no_other(relay: RelayServer) -> None:
    served = set()
    for rule in relay.app.url_map.iter_rules():
        path = re.sub(r"<(?:[a-z]+:)?([a-z_]+)>", r"{\1}", rule.rule)
        if _DESCRIBED.match(path):
            served |= {f"{method} {path}" for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    assert served == set(OPERATIONS)


def test_the_page_for_people_shows_every_operation_and_loads_nothing_from_elsewhere(relay: RelayServer) -> None:
    page = requests.get(f"{relay.url}/docs", timeout=60)
    assert page.status_code == 200
    for label in OPERATIONS:
        assert label in page.text
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page.text) == []


def test_the_alert_is_described_by_the_schema_that_reads_it(relay: RelayServer) -> None:
    alert = requests.get(f"{relay.url}/openapi.json", timeout=60).json()["components"]["schemas"]["Alert"]
    assert alert["properties"]["qty"]["minimum"] == 0
    assert "heartbeat" in alert["properties"]["action"]["enum"]
    assert alert["properties"]["id"]["maxLength"] == 200
