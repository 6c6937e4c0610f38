"""The connection checklist of an account. Pure: from what was read to a report."""

from __future__ import annotations

from relay.errors import SettingsInvalid
from relay.exchange.account_check_account import account_points
from relay.exchange.account_check_key import key_points
from relay.exchange.account_facts import Facts, Subject
from relay.exchange.account_point import NAMES, Report
from relay.exchange.wire.standing import KeyRights


def judge(subject: Subject, facts: Facts) -> Report:
    """Every point of `NAMES`, once and in this order."""
    points = (*key_points(subject, facts), *account_points(subject, facts))
    assert tuple(each.name for each in points) == NAMES, "every point has its place"
    return Report(points=points)


def refuse_wide_key(subject: Subject, key: KeyRights) -> None:
    """Raises SettingsInvalid where real money would be traded with a key that can take it away."""
    if not subject.environment.is_real_money or subject.allow_wide_key:
        return
    rights = [*(["withdraw"] if key.may_withdraw else []), *(["transfer"] if key.transfers else [])]
    if rights:
        raise SettingsInvalid(
            [
                f"BYBIT_API_KEY: the key {subject.key_end} may {' and '.join(rights)}; on mainnet it should have "
                "orders and positions of contracts only (Account & Security → API Management → Edit), or set "
                "ALLOW_WIDE_KEY=1"
            ]
        )
