"""What is reported to Sentry, as Sentry receives it: what nobody thought of and what needs a person; never a secret."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.app.telemetry import Redaction, Scrubber
from relay.settings.environment import Secret
from tests.catcher import Catcher
from tests.paper_server import PaperServer
from tests.relay_process import ROOT, WEBHOOK_SECRET, RelayProcess

pytestmark = pytest.mark.slow

BUY = {"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.01"}
DSN = "http://a-public-key-of-tests@127.0.0.1:{port}/42"
FAILING = """
import sys, logging
from pathlib import Path
from relay.app.telemetry import configure_logging
from relay.web import create_app
from tests.relay_server import NOBODY, WEBHOOK_SECRET, settings_for

settings = settings_for(Path(sys.argv[1]), NOBODY, SENTRY_DSN=sys.argv[2])
configure_logging(settings)
app = create_app(settings)
relay = app.extensions["relay"]
relay._report()

def fail(*args, **options):
    logging.getLogger("relay.tests").info('it was {"secret": "a-wrong-one-that-is-in-no-list"}')
    raise RuntimeError(f"nobody thought of {WEBHOOK_SECRET}")

relay.services.intake.take = fail
headers = {"X-Webhook-Secret": WEBHOOK_SECRET, "Authorization": f"Bearer {settings.admin_token.reveal()}",
           "Cookie": f"session={sys.argv[3]}", "X-Request-ID": "request-77"}
answer = app.test_client().post(f"/webhook/default/{WEBHOOK_SECRET}?key=a-key-in-a-query", data=b"{}", headers=headers)
assert answer.status_code == 500, answer.status_code
relay.stop()
"""


@pytest.fixture
def sentry() -> Iterator[Catcher]:
    server = Catcher()
    yield server
    server.close()


def test_what_needs_a_person_is_reported_with_its_signal_and_what_is_expected_is_not(
    tmp_path: Path, paper: PaperServer, sentry: Catcher
) -> None:
    paper.control.clear_faults()
    paper.control.reset()
    environment = {"SENTRY_DSN": DSN.format(port=sentry.port), "SENTRY_MONITOR_SLUG": "relay-engine"}
    relay = RelayProcess(tmp_path, paper.url, environment=environment)
    try:
        relay.start()
        relay.post(BUY | {"qty": "many"})
        relay.post(BUY | {"qty": "0.0000001"}, wait_s=10)
        relay.post(BUY, wait_s=10)
        paper.control.fault("/v5/order/create", "code", retCode=110007, retMsg="ab not enough", times=9)
        relay.post(BUY | {"id": "refused"}, wait_s=10)
        signal = relay.done({"action": "close", "ticker": "BTCUSDT.P"})
        assert signal["status"] == "attention"
        seen = sentry.until("attention: EXCHANGE_BALANCE", '"check_in"')
    finally:
        relay.stop()
        paper.control.clear_faults()
    seen = sentry.until() + "".join(each.decode() for each in sentry.bodies.queue)
    assert f'"signal_id":"{signal["id"]}"' in seen and '"account":"default"' in seen
    assert '"release":"relay@' in seen and '"environment":"paper"' in seen
    reported = seen.count('"message":"attention: ')
    assert seen.count('"type":"event"') == reported > 0, "a denied, a rejected and a refused alert are no errors"
    assert WEBHOOK_SECRET not in seen


def test_an_error_that_nobody_thought_of_is_reported_without_any_secret(tmp_path: Path, sentry: Catcher) -> None:
    script = tmp_path / "failing.py"
    script.write_text(FAILING)
    dsn = DSN.format(port=sentry.port)
    command = [sys.executable, str(script), str(tmp_path), dsn, "a-cookie-of-somebody"]
    subprocess.run(command, check=True, timeout=60, env={"PYTHONPATH": str(ROOT)}, cwd=tmp_path, capture_output=True)
    seen = sentry.until("nobody thought of")
    assert '"request_id":"request-77"' in seen, "the tags say which request it was"
    hidden = (WEBHOOK_SECRET, "an-admin-token-of", "a-cookie-of", "a-wrong-one", "a-key-in-a-query", "a-public-key-of")
    assert [secret for secret in hidden if secret in seen.partition("\n")[2]] == []


def test_secrets_are_found_by_name_by_value_and_in_texts() -> None:
    scrubber = Scrubber(Redaction([Secret("a-known-secret-0123")]))
    event = {
        "message": "it said a-known-secret-0123 and passphrase=open-sesame-1 and \"pin\": '1234'",
        "extra": {"apiKey": "k", "X-Bapi-Sign": "s", "count": 7, "flag": True, "deep": [{"Cookie": b"c"}]},
        "request": {"url": "http://h/webhook/default/not-known?x=1", "query_string": "key=1", "headers": {"A": "b"}},
    }
    cleaned = scrubber.clean(event)
    assert cleaned["message"] == 'it said [secret] and passphrase=[secret] and "pin": [secret]'
    hidden = {
        "apiKey": "[secret]",
        "X-Bapi-Sign": "[secret]",
        "count": 7,
        "flag": True,
        "deep": [{"Cookie": "[secret]"}],
    }
    assert cleaned["extra"] == hidden
    assert cleaned["request"] == {"url": "http://h/webhook/default/[secret]", "query_string": "", "headers": {"A": "b"}}
