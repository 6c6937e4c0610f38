"""How often the books are held against the exchange's transaction log."""

from __future__ import annotations

from relay.execution.bookkeeping import READ_S, _Due


def test_a_burst_of_executions_is_proven_once_it_has_ceased() -> None:
    due = _Due()
    for at in (100.0, 100.4, 100.8):
        due.executed(at)
        assert due.log_at > at
    assert due.log_at == 101.8
    due.log_was_read(101.9, took_s=0.01, is_proven=True)
    assert due.log_at == 101.9 + READ_S


def test_executions_that_never_cease_are_proven_every_minute_all_the_same() -> None:
    due = _Due()
    for second in range(180):
        due.executed(1000.0 + second / 3)
    assert due.log_at <= 1060.0


def test_a_long_reading_is_not_repeated_soon_however_much_is_executed() -> None:
    due = _Due()
    due.executed(10.0)
    due.log_was_read(31.0, took_s=20.0, is_proven=False)
    due.executed(32.0)
    assert due.log_at == 31.0 + 20.0 * 50


def test_what_does_not_fit_is_read_again_after_ever_longer_pauses() -> None:
    due, pauses = _Due(), []
    for _ in range(4):
        due.log_was_read(50.0, took_s=0.0, is_proven=False)
        pauses.append(due.log_at - 50.0)
    assert pauses == [2.0, 4.0, 8.0, 16.0]
