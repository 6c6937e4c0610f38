"""What an alert would do now, without doing it."""

from __future__ import annotations

from dataclasses import dataclass

from relay.alerts.explained import FieldRead, fields_read
from relay.alerts.kept import read
from relay.domain.limit_preview import LimitCheck, limit_checks
from relay.domain.order import PlannedOrder, Reason
from relay.domain.plan import PlanStatus
from relay.domain.signal import Action
from relay.journal.records import new_signal_id
from relay.pipeline.accept import Intake
from relay.pipeline.clock import Now, to_ms, utc_now
from relay.pipeline.gather import Gatherer, NotGathered
from relay.pipeline.ports import Account
from relay.pipeline.work import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """One account's plan. `status`: `planned`, though there may be nothing to do, or `denied`."""

    account: str
    status: str
    reason: Reason | None
    notes: tuple[str, ...]
    orders: tuple[tuple[str, PlannedOrder], ...]
    checks: tuple[LimitCheck, ...] = ()
    """The limits that an entry was held against."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Previewed:
    """What an alert was read as, and each account's plan; no accounts where nothing is ordered."""

    format: str
    fields: tuple[FieldRead, ...]
    accounts: tuple[Preview, ...]


class Previewer:
    """Reads the account, writes nothing and sends nothing."""

    def __init__(self, *, intake: Intake, gatherer: Gatherer, accounts: dict[str, Account], now: Now = utc_now) -> None:
        self._intake = intake
        self._gatherer = gatherer
        self._accounts = accounts
        self._now = now

    def preview(self, body: bytes, *, strategy: str, named: str | None = None) -> Previewed:
        """A plan for each account, of an alert in the format `named` if one is said.

        Raises AlertError; the caller has proven who asks, so no secret is needed.
        """
        now = self._now()
        sender = self._intake.strategy(strategy)
        reading = read(body, secrets=sender.secrets, named=named, usual=sender.format)
        signal = self._intake.signal_of(reading, strategy=sender, signal_id=new_signal_id(to_ms(now)), now=now)
        accounts = () if signal.action is Action.HEARTBEAT else signal.accounts or sender.accounts
        return Previewed(
            format=reading.format,
            fields=fields_read(reading.fields),
            accounts=tuple(
                self._of(Work(signal=signal, account=self._accounts[name], rules=sender.rules_for(name), generation=0))
                for name in accounts
            ),
        )

    def _of(self, work: Work) -> Preview:
        gathered = self._gatherer.gather(work, self._now(), is_preview=True)
        name = work.account.name
        if isinstance(gathered, NotGathered):
            reason = gathered.finish.reason if gathered.finish else None
            reason = reason or Reason(code="EXCHANGE_UNREACHABLE", message="the exchange did not answer just now")
            return Preview(account=name, status="denied", reason=reason, notes=(), orders=())
        made = gathered.plan
        work.plan_made(made)
        denied = made.status in (PlanStatus.DENIED, PlanStatus.EXPIRED)
        return Preview(
            account=name,
            status="denied" if denied else "planned",
            reason=made.reason,
            notes=(*work.signal.notes, *made.notes),
            orders=tuple((order.client_order_id, order.planned) for order in work.orders.values()),
            checks=limit_checks(gathered.proposal),
        )
