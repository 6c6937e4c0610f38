"""A lost webhook is made good by its mail, and the other way round; `python -m tests.faults mail` is the long run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.mail import MailDrill
from tests.mail_server import HAS_DOVECOT
from tests.paper_server import PaperServer

pytestmark = pytest.mark.slow


@pytest.mark.skipif(
    not HAS_DOVECOT and os.environ.get("RELAY_DOVECOT") != "required", reason="apt-get install dovecot-imapd"
)
@pytest.mark.slow
def test_each_alert_that_came_by_any_way_took_effect_once_and_those_that_came_by_one_are_named(
    tmp_path: Path, server: PaperServer
) -> None:
    server.control.reset()
    outcome = MailDrill(tmp_path, server, seed=16, alerts=40, late_s=4, kills=1, cuts=1).run()
    assert outcome.problems == [], outcome.report()
    assert outcome.only_by_mail and outcome.only_by_webhook, outcome.report()
