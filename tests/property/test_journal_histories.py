"""Whatever comes, in whatever order: identities, reports and values come to the same."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.domain.order import (
    Accepted,
    ErrorKind,
    NotSent,
    OrderRejected,
    OrderStatus,
    Outcome,
    PlannedOrder,
    SignalStatus,
    Unknown,
)
from relay.domain.position import Fill, OrderReport
from relay.domain.signal import Identity, IdentityKind
from relay.journal.journal import Journal
from relay.journal.opening import open_journal
from relay.journal.records import Admission, Duplicate, IdReused, New, Reopened, from_json, to_json
from tests.unit.journal_builders import NOW_MS, SIGNATURE, accept, fill, limit, new_signal, report, sent_order, url_of

COUNTER = itertools.count()
WITHIN = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
exact = st.decimals(allow_nan=False, allow_infinity=False).filter(lambda value: abs(value.adjusted()) < 60)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    """One for all examples, each of which uses a strategy of its own."""
    opened = open_journal(url_of(tmp_path_factory.mktemp("journal")))
    yield opened
    opened.close()


def _values(name: str) -> st.SearchStrategy[Any]:
    """Any values that the field may have; of decimals, those that can be sent."""
    hint = get_type_hints(PlannedOrder)[name]
    if "Decimal" not in str(hint):
        return st.from_type(hint)
    return exact if hint is Decimal else st.none() | exact


planned_orders = st.builds(PlannedOrder, **{field.name: _values(field.name) for field in fields(PlannedOrder)})


@given(planned_orders)
def test_a_planned_order_comes_back_as_it_was(order: PlannedOrder) -> None:
    again = from_json(PlannedOrder, to_json(order))
    assert again == order
    assert str(again.qty) == str(order.qty), "with the very digits"


@st.composite
def posts(draw: st.DrawFn) -> list[tuple[IdentityKind, str, str, int]]:
    """Kind, key, digest, and milliseconds since the post before."""
    step = st.sampled_from([0, 1, 29_999, 30_000, 30_001, 599_999, 600_000, 600_001])
    post = st.tuples(st.sampled_from(IdentityKind), st.sampled_from("ab"), st.sampled_from("xy"), step)
    return draw(st.lists(post, min_size=1, max_size=12))


@WITHIN
@given(posts())
def test_alerts_are_reported_apart_as_the_contract_says(
    journal: Journal, history: list[tuple[IdentityKind, str, str, int]]
) -> None:
    strategy = f"strategy-{next(COUNTER)}"
    firsts: dict[tuple[IdentityKind, str], tuple[str, str, int]] = {}
    now_ms = NOW_MS
    for kind, key, digest, later_ms in history:
        now_ms += later_ms
        key = digest if kind is IdentityKind.BODY else key
        signal = new_signal(Identity(kind=kind, key=key), strategy=strategy, digest=digest)
        admission = accept(journal, signal, at_ms=now_ms)
        assert admission == _expected(firsts, kind, key, digest, now_ms, signal.id)


def _expected(
    firsts: dict[tuple[IdentityKind, str], tuple[str, str, int]],
    kind: IdentityKind,
    key: str,
    digest: str,
    now_ms: int,
    signal_id: str,
) -> Admission:
    """The contract once more, as a table."""
    first = firsts.get((kind, key))
    age = now_ms - first[2] if first else 0
    if first is None or (kind is IdentityKind.BODY and age > 30_000):
        firsts[kind, key] = (signal_id, digest, now_ms)
        return New(signal_id=signal_id)
    same = first[1] == digest and (kind is not IdentityKind.ID or age <= 600_000)
    if same:
        return Duplicate(signal_id=first[0], status=SignalStatus.ACCEPTED, first_at_ms=first[2])
    return IdReused(first_signal_id=first[0])


@st.composite
def executions(draw: st.DrawFn) -> tuple[list[OrderReport | Fill], list[OrderReport | Fill]]:
    """What the exchange tells of one order, in order, and a shuffling with repetitions that has all of it."""
    steps = draw(st.lists(st.integers(1, 5), max_size=4))
    reported: list[OrderReport | Fill] = [report("-", OrderStatus.ACCEPTED, "0", rests=True)]
    filled = 0
    for number, step in enumerate(steps):
        filled += step
        reported.append(fill("-", f"e-{number}", f"0.{step:03d}", fee=f"0.{step:02d}"))
        status = OrderStatus.PARTIALLY_FILLED
        reported.append(report("-", status, f"0.{filled:03d}", rests=True, fee=f"0.{filled:02d}"))
    end = draw(st.sampled_from([OrderStatus.FILLED, OrderStatus.CANCELED]))
    reported.append(report("-", end, f"0.{filled:03d}", fee=f"0.{filled:02d}"))
    mixed = draw(st.permutations(reported + draw(st.lists(st.sampled_from(reported), max_size=4))))
    return reported, list(mixed)


@WITHIN
@given(executions())
def test_reports_and_fills_come_to_the_same_in_any_order(
    journal: Journal, execution: tuple[list[OrderReport | Fill], list[OrderReport | Fill]]
) -> None:
    states = []
    for reported in execution:
        _, client_id = sent_order(journal, limit())
        record, filled = journal.order(client_id), Decimal(0)
        for each in reported:
            if isinstance(each, Fill):
                own = replace(each, client_order_id=client_id, exec_id=f"{client_id}-{each.exec_id}")
                journal.record_report(client_id, None, [own], now_ms=NOW_MS)
            else:
                journal.record_report(client_id, replace(each, client_order_id=client_id), now_ms=NOW_MS)
            record = journal.order(client_id)
            assert record is not None
            assert record.state.filled_qty >= filled, "what was filled stays filled"
            filled = record.state.filled_qty
        assert record is not None
        state = record.state
        states.append((state.status, state.filled_qty, state.fee, state.avg_price, state.rests, state.venue_order_id))
    assert states[0] == states[1]
    last = execution[0][-1]
    assert isinstance(last, OrderReport)
    assert states[0][:4] == (last.status, last.filled_qty, last.fee, last.avg_price)


outcomes: st.SearchStrategy[Outcome | None] = st.sampled_from(
    [
        None,
        Accepted(venue_order_id="v-1"),
        Unknown(why="timeout"),
        NotSent(why="refused"),
        OrderRejected(code=1, words="no"),
        OrderRejected(code=2, words="there", refusal=ErrorKind.ALREADY_THERE),
        OrderRejected(code=3, words="slow", refusal=ErrorKind.RATE),
    ]
)
ends = st.sampled_from([None, OrderStatus.DENIED, OrderStatus.REJECTED, OrderStatus.CANCELED, OrderStatus.EXPIRED])
HARMLESS = (NotSent, OrderRejected)


@WITHIN
@given(outcomes, ends, st.integers(-1, 1), st.booleans())
def test_only_what_certainly_had_no_effect_is_opened_again(
    journal: Journal, outcome: Outcome | None, end: OrderStatus | None, absent_after_ms: int, filled: bool
) -> None:
    strategy, digest = f"strategy-{next(COUNTER)}", "d"
    identity = Identity(kind=IdentityKind.ID_TIME, key="7")
    signal_id, client_id = sent_order(journal, signal=new_signal(identity, strategy=strategy, digest=digest))
    if outcome is not None:
        journal.record_outcome(client_id, 1, outcome, now_ms=NOW_MS)
    journal.record_absence(client_id, 1, begun_at_ms=SIGNATURE.dead_at_ms + absent_after_ms)
    if end is not None:
        journal.settle_order(client_id, end, None, now_ms=NOW_MS)
    if filled:
        journal.record_report(client_id, None, [fill(client_id, client_id)], now_ms=NOW_MS)
    journal.finish(signal_id, "main", SignalStatus.FAILED, now_ms=NOW_MS)
    record = journal.order(client_id)
    assert record is not None
    never_arrived = (outcome is None or isinstance(outcome, Unknown)) and absent_after_ms > 0
    refused = isinstance(outcome, HARMLESS) and getattr(outcome, "refusal", None) is not ErrorKind.ALREADY_THERE
    is_over = record.state.status in (OrderStatus.DENIED, OrderStatus.REJECTED)
    again = accept(journal, new_signal(identity, strategy=strategy, digest=digest))
    assert isinstance(again, Reopened) is (is_over and (never_arrived or refused) and not filled)
