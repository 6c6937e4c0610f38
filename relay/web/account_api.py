"""`/api/orders`, `/api/positions`, `/api/accounts`, and the controls: halt, resume, flatten."""

from __future__ import annotations

import logging

from flask import Response

from relay.domain.order import OrderStatus
from relay.errors import ExchangeAnswered, ExchangeUnreachable
from relay.exchange.account_point import rows_of
from relay.exchange.client import Exchange
from relay.journal.ledger import DAY_MS
from relay.pipeline.clock import to_ms, utc_now
from relay.pipeline.gather import HALT
from relay.web.answers import answer
from relay.web.asked import flag_of_body
from relay.web.forms import day_form, equity_form, number, position_form, receipt_form
from relay.web.problems import Problem
from relay.web.runtime import current_parts, current_relay

log = logging.getLogger(__name__)

_BY = "api"


def list_orders(
    *, account: str | None, symbol: str | None, status: OrderStatus | None, limit: int, open_only: bool
) -> Response:
    """The relay's own, the latest first; `open_only`: those that have not ended."""
    found = current_parts().journal.orders(
        account=account, symbol=symbol, status=status, open_only=open_only, limit=limit
    )
    return answer({"orders": found})


def list_positions(*, account: str | None, symbol: str | None) -> Response:
    """The open ones of every account, whoever opened them, as the exchange has them now."""
    found = [
        position_form(name, position)
        for name, exchange in current_parts().exchanges.items()
        if account in (None, name)
        for position in sorted(exchange.positions(), key=lambda each: (each.category, each.symbol))
        if symbol in (None, position.symbol)
    ]
    return answer({"positions": found})


def list_accounts() -> Response:
    """`equity`: each coin's of the wallet, in that coin; null where the exchange cannot be asked just now."""
    relay = current_relay()
    accounts: list[dict[str, object]] = [
        {
            "name": name,
            "environment": relay.parts.accounts[name].environment,
            "key": relay.parts.accounts[name].key_tail,
            "halted": _is_halted(name),
            "equity": _equity(name, exchange),
            "checks": _checks(name),
        }
        for name, exchange in relay.parts.exchanges.items()
    ]
    return answer({"accounts": accounts})


def show_equity(name: str, *, days: int) -> Response:
    """Equity over time by coin, and what each day came to; fees and funding are above zero where they were paid."""
    if name not in current_parts().accounts:
        raise Problem("ACCOUNT_UNKNOWN", f"there is no account {name[:60]!r}", status=404)
    ledger, since_ms = current_parts().streams.books.ledger, to_ms(utc_now()) - days * DAY_MS
    points = [equity_form(each) for each in ledger.equity(name, since_ms)]
    return answer({"points": points, "days": [day_form(each) for each in ledger.days(name, since_ms)]})


def halt() -> Response:
    current_parts().controls.halt(by=_BY)
    return answer({"halted": True})


def resume() -> Response:
    current_parts().controls.resume(by=_BY)
    return answer({"halted": False})


def flatten(*, everything: bool) -> Response:
    """Halts, then cancels and closes what the relay traded: a signal for each symbol.

    `{"everything": true}` in the body, or `all=1` in the query: what others opened, too. Where the positions cannot be
    read the answer is 502, and the halt stands all the same.
    """
    everything = flag_of_body("everything") or everything
    receipts = current_parts().controls.flatten(everything=everything, by=_BY)
    return answer({"halted": True, "signals": [receipt_form(receipt) for receipt in receipts]})


def _is_halted(account: str) -> bool:
    switch = current_parts().journal.switch(account, HALT)
    return switch is not None and switch.value == "on"


def _checks(account: str) -> list[dict[str, str | None]]:
    """Of the last look, at most a minute ago; empty before the first."""
    report = current_parts().checkup.latest(account)
    return rows_of(report) if report else []


def _equity(account: str, exchange: Exchange) -> dict[str, str | None] | None:
    try:
        wallet = exchange.wallet()
    except (ExchangeUnreachable, ExchangeAnswered) as error:
        log.warning("the wallet of %s cannot be read: %s", account, error)
        return None
    return {balance.coin: number(balance.equity) for balance in wallet.coins}
