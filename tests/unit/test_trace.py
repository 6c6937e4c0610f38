"""Log lines say which request, signal, account and order they are about, and how long a step took."""

from __future__ import annotations

import json
import logging
from io import StringIO

import pytest

from relay.app import metrics, telemetry
from relay.app.telemetry import about, add, configure_logging
from tests.relay_server import NOBODY, settings_for


@pytest.fixture
def stream(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> StringIO:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    lines = StringIO()
    folder = tmp_path_factory.mktemp("logs")
    configure_logging(settings_for(folder, NOBODY, LOG_FORMAT=request.param), stream=lines)

    def restore() -> None:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(False)

    request.addfinalizer(restore)
    return lines


@pytest.mark.parametrize("stream", ["json"], indirect=True)
def test_a_step_is_one_line_with_what_it_is_about_and_its_milliseconds(stream: StringIO) -> None:
    with (
        about(signal_id="s1", account="main"),
        about(client_order_id="c1"),
        metrics.timed(metrics.TimedStage.PLACE),
    ):
        pass
    line = json.loads(stream.getvalue())
    assert (line["logger"], line["message"]) == ("relay.steps", "place")
    assert (line["signal_id"], line["account"], line["client_order_id"]) == ("s1", "main", "c1")
    assert line["ms"] >= 0


@pytest.mark.parametrize("stream", ["text"], indirect=True)
def test_a_text_line_ends_with_what_it_is_about(stream: StringIO) -> None:
    with about(request_id="r1"):
        add(signal_id="s1")
        logging.getLogger("relay.tests").info("something happened")
    logging.getLogger("relay.tests").info("something else happened")
    first, second = stream.getvalue().splitlines()
    assert first.endswith("something happened [request_id=r1 signal_id=s1]")
    assert second.endswith("something else happened")
    assert telemetry.facts() == {}
