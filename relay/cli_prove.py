"""`check --trade`: the smallest orders on one symbol, each step as it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from relay.cli_options import NotDone, Unusable

if TYPE_CHECKING:
    from relay.checkup import Patient
    from relay.domain.instrument import Instrument
    from relay.exchange.account_point import Report

_NEEDED = ("host", "region", "key", "signature", "expiry", "ip", "trade_permission", "read_only")
_YES = "yes"


def prove(patient: Patient, report: Report, *, symbol: str | None, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """Each step: `name`, `passed`, `message`. Raises NotDone where it cannot begin, and Unusable for a bad symbol."""
    from relay.exchange.account_point import State
    from relay.pipeline.prove import ProofImpossible, Prover

    red = [each for each in (report.point(name) for name in _NEEDED) if each.state is State.RED]
    if red:
        tell(f"trade: nothing was ordered: {red[0].name} is red")
        return [{"name": "begin", "passed": False, "message": f"nothing was ordered: {red[0].name} is red"}]
    instrument = _instrument(patient, symbol)
    _ask_for_leave(patient, instrument.symbol)
    tell(f"trade: the smallest orders of {instrument.symbol}; a relay that runs beside this may show the position")
    steps: list[dict[str, Any]] = []
    try:
        for step in Prover(patient.exchange, instrument).run():
            tell(f"  {'ok    ' if step.passed else 'FAILED'} {step.name}: {step.message}")
            steps.append({"name": step.name, "passed": step.passed, "message": step.message})
    except ProofImpossible as error:
        tell(f"  FAILED {error}")
        steps.append({"name": "begin", "passed": False, "message": str(error)})
    return steps


def _instrument(patient: Patient, symbol: str | None) -> Instrument:
    from relay.errors import ExchangeAnswered, ExchangeUnreachable

    allowed = sorted(patient.subject.symbols or ())
    wanted = (symbol or (allowed[0] if allowed else "BTCUSDT")).upper()
    try:
        listed = {each.symbol: each for each in patient.exchange.instruments() if each.is_trading}
    except (ExchangeUnreachable, ExchangeAnswered) as error:
        raise NotDone(f"nothing was ordered: {error}") from error
    if wanted not in listed:
        raise Unusable(f"--symbol: {wanted} is not traded there; it should be the exchange's name, such as BTCUSDT")
    return listed[wanted]


def _ask_for_leave(patient: Patient, symbol: str) -> None:
    """Real money moves only after a typed yes."""
    if not patient.subject.environment.is_real_money:
        return
    said = click.prompt(
        f"This places real orders of {symbol} with REAL MONEY, of the least size. Type {_YES} to go on",
        default="",
        show_default=False,
        err=True,
    )
    if str(said).strip().lower() != _YES:
        raise NotDone("nothing was ordered")
