"""`/api/orders`, `/api/positions`, `/api/accounts`, and the controls: halt, resume, flatten."""

from __future__ import annotations

import logging

from flask import Blueprint, Response

from relay.domain.order import OrderStatus
from relay.errors import ExchangeAnswered, ExchangeUnreachable
from relay.exchange.account_point import rows_of
from relay.exchange.client import Exchange
from relay.journal.ledger import DAY_MS
from relay.pipeline.clock import to_ms, utc_now
from relay.pipeline.gather import HALT
from relay.web.answers import answer
from relay.web.asked import Query, flag_of_body
from relay.web.bearer import require_admin
from relay.web.forms import day_form, equity_form, number, position_form, receipt_form
from relay.web.problems import Problem
from relay.web.runtime import current_parts, current_relay

log = logging.getLogger(__name__)

account_api = Blueprint("account_api", __name__, url_prefix="/api")
account_api.before_request(require_admin)

_ORDERS_DEFAULT = 100
_BY = "api"
_DAYS_DEFAULT = 30


@account_api.get("/orders")
def list_orders() -> Response:
    """The relay's own, the latest first; `open=1`: those that have not ended."""
    query = Query()
    account, symbol = query.text("account"), query.symbol("symbol")
    status, open_only = query.choice("status", OrderStatus), query.flag("open")
    limit = query.limit("limit", _ORDERS_DEFAULT)
    query.close()
    found = current_parts().journal.orders(
        account=account, symbol=symbol, status=status, open_only=open_only, limit=limit
    )
    return answer({"orders": found})


@account_api.get("/positions")
def list_positions() -> Response:
    """The open ones of every account, whoever opened them, as the exchange has them now."""
    query = Query()
    account, symbol = query.text("account"), query.symbol("symbol")
    query.close()
    found = [
        position_form(name, position)
        for name, exchange in current_parts().exchanges.items()
        if account in (None, name)
        for position in sorted(exchange.positions(), key=lambda each: (each.category, each.symbol))
        if symbol in (None, position.symbol)
    ]
    return answer({"positions": found})


@account_api.get("/accounts")
def list_accounts() -> Response:
    """`equity`: each coin's of the wallet, in that coin; null where the exchange cannot be asked just now."""
    Query().close()
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


@account_api.get("/accounts/<name>/equity")
def show_equity(name: str) -> Response:
    """Equity over time by coin, and what each day came to; fees and funding are above zero where they were paid."""
    query = Query()
    days = query.limit("days", _DAYS_DEFAULT)
    query.close()
    if name not in current_parts().accounts:
        raise Problem("ACCOUNT_UNKNOWN", f"there is no account {name[:60]!r}", status=404)
    ledger, since_ms = current_parts().streams.books.ledger, to_ms(utc_now()) - days * DAY_MS
    points = [equity_form(each) for each in ledger.equity(name, since_ms)]
    return answer({"points": points, "days": [day_form(each) for each in ledger.days(name, since_ms)]})


@account_api.post("/halt")
def halt() -> Response:
    Query().close()
    current_parts().controls.halt(by=_BY)
    return answer({"halted": True})


@account_api.post("/resume")
def resume() -> Response:
    Query().close()
    current_parts().controls.resume(by=_BY)
    return answer({"halted": False})


@account_api.post("/flatten")
def flatten() -> Response:
    """Halts, then cancels and closes what the relay traded: a signal for each symbol.

    `{"everything": true}` in the body, or `all=1` in the query: what others opened, too. Where the positions cannot be
    read the answer is 502, and the halt stands all the same.
    """
    query = Query()
    is_all = query.flag("all")
    query.close()
    everything = flag_of_body("everything") or is_all
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
