"""What a signal as a whole came to."""

from __future__ import annotations

import pytest

from relay.domain.order import Reason, SignalStatus
from relay.journal.unit_of_work import Ended, summary


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        (["done", "attention", "failed"], "attention"),
        (["done", "failed", "denied"], "failed"),
        (["denied", "done", "expired"], "done"),
        (["expired", "denied"], "denied"),
        (["expired", "expired"], "expired"),
        (["done", "done"], "done"),
    ],
)
def test_what_a_signal_came_to_follows_from_its_accounts(parts: list[str], whole: str) -> None:
    ended = [
        Ended(account=str(number), status=SignalStatus(each), reason=Reason(code=each.upper(), message=each))
        for number, each in enumerate(parts)
    ]
    came_to = summary(ended)
    assert came_to.status == whole
    assert came_to.reason == Reason(code=whole.upper(), message=whole)
    assert len(came_to.notes) == sum(1 for each in parts if each != whole), "whoever did otherwise is named"
