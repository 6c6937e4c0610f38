"""`/setup`: the connection checklist, and the way from paper to mainnet."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template

from relay.exchange.account_point import rows_of
from relay.web.pages.access import require_login
from relay.web.runtime import current_parts, current_relay

setup = Blueprint("setup", __name__)
setup.before_request(require_login)


@setup.get("/setup")
def show() -> str:
    relay = current_relay()
    accounts = [{"name": name, "environment": relay.environment_of(name), **_checks(name)} for name in _names()]
    return render_template("setup.html", accounts=accounts)


def _names() -> list[str]:
    return sorted(current_parts().accounts)


def _checks(name: str) -> dict[str, Any]:
    """The account's last checklist: `ok` and `checks`; None and none where it has not run yet."""
    report = current_parts().checkup.latest(name)
    return {"ok": report.is_ok if report else None, "checks": rows_of(report) if report else []}
