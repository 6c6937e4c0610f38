"""Requests that schemathesis makes up from `/openapi.json`, sent to a running relay; run it for a longer hunt.

`python -m tests.openapi_cases 2500` sends so many to a relay and a paper exchange of its own.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from relay.web.openapi import description
from tests.paper_server import PaperServer
from tests.relay_server import ADMIN_TOKEN, WEBHOOK_SECRET, RelayServer, running_relay

CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
PROVEN = {"Authorization": f"Bearer {ADMIN_TOKEN}", "X-Webhook-Secret": WEBHOOK_SECRET}


def operations() -> list[str]:
    """`METHOD path` of each."""
    return list(_operations())


def _operations() -> dict[str, Any]:
    found = schemathesis.openapi.from_dict(description()).get_all_operations()
    return {each.ok().label: each.ok() for each in found if isinstance(each, Ok)}


def send_cases(relay: RelayServer, label: str, *, is_proven: bool, count: int) -> Counter[int]:
    """`count` requests of one operation; how often each status was answered. Raises what a check finds wrong."""
    operation = _operations()[label]
    answered: Counter[int] = Counter()

    @given(case=operation.as_strategy())
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def run(case: schemathesis.Case[Any]) -> None:
        if answered.total() % 2 and "strategy" in case.path_parameters:
            case.path_parameters["strategy"] = "default"
        response = case.call(base_url=relay.url, headers=PROVEN if is_proven else None, timeout=60)
        answered[response.status_code] += 1
        case.validate_response(response, checks=list(CHECKS), headers=PROVEN if is_proven else None)

    run()
    return answered


def main(total: int) -> None:
    labels = operations()
    each = max(1, total // (2 * len(labels)))
    with tempfile.TemporaryDirectory() as folder:
        paper = PaperServer(Path(folder))
        sent = 0
        try:
            with running_relay(Path(folder), paper.url) as relay:
                for label in labels:
                    for is_proven in (True, False):
                        answered = send_cases(relay, label, is_proven=is_proven, count=each)
                        sent += sum(answered.values())
                        print(f"{label:45} {'proven' if is_proven else 'unproven':9} {dict(sorted(answered.items()))}")
        finally:
            paper.close()
    print(f"{sent} requests, none answered with a 5xx or with what is not described")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2500)
