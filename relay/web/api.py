"""`/api/…`: signals, plans, orders, positions, accounts and the controls, as JSON."""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Final, TypeVar

from flask import Response, request

from relay.bybit.checklist import rows_of
from relay.bybit.client import Exchange
from relay.bybit.wire_account import category_of_symbol
from relay.domain.instrument import Category, symbol_of_filter
from relay.domain.order import OrderStatus, Reason, SignalStatus
from relay.domain.signal import Fit
from relay.domain.trades import BY_HAND
from relay.errors import (
    ExchangeAnswered,
    ExchangeUnreachable,
    FactsUnreadable,
    RestoreUnseen,
    SignalNotRetryable,
    SignalNotSeen,
)
from relay.execution.accept import Pulse, Receipt
from relay.execution.compare import NotComparable, compare
from relay.execution.controls import REQUEST_ID_FORM, PositionPart
from relay.execution.exports import ExportUnreadable, read_export
from relay.execution.holdings import AccountView, LiveView, OrdersAtRest, held_at, resting_at
from relay.execution.ports import to_ms, utc_now
from relay.journal.accept import ChainRecord
from relay.journal.ledger import DAY_MS, start_of_day
from relay.journal.records import HALT, rfc3339
from relay.journal.trades import TradeFilter, as_csv, shown_trade
from relay.settings.config import NAME
from relay.web.access import whole_body
from relay.web.answers import (
    Problem,
    account_result_form,
    answer,
    current_queries,
    current_relay,
    current_services,
    day_form,
    equity_form,
    flattened_form,
    foreign_form,
    number,
    of_each,
    position_form,
    preview_form,
    refused_form,
    request_invalid,
    resting_form,
    strategy_result_form,
)
from relay.web.webhook import awaited, tell

_BY = "api"
NOTE_MAX = 500
_WHOLE_PCT: Final = Decimal(100)
"""So many letters of a note are kept."""


def list_signals(
    *,
    strategy: str | None,
    account: str | None,
    symbol: str | None,
    status: SignalStatus | None,
    cursor: str | None,
    limit: int,
    attention_first: bool,
) -> Response:
    """The latest first, or what needs a person. The first page also counts the posts that were refused."""
    journal = current_services().journal
    try:
        page = journal.signals(
            strategy=strategy,
            account=account,
            symbol=symbol,
            status=status,
            limit=limit,
            cursor=cursor,
            attention_first=attention_first,
        )
    except ValueError as error:
        raise request_invalid({"cursor": [str(error)]}) from None
    body: dict[str, object] = {"signals": page.signals, "next_cursor": page.next_cursor}
    if cursor is None:
        body["refused"] = [refused_form(posts) for posts in journal.refused()]
        body["silent"] = current_services().heartbeats.silent()
    return answer(body)


def _whole_id(signal_id: str) -> str:
    """The id of which `signal_id` may be only the first letters. Raises a Problem unless it is one signal's."""
    found = current_services().journal.ids_beginning(signal_id.lower())
    if len(found) > 1:
        raise Problem(
            "SIGNAL_UNKNOWN", f"several signals begin with {signal_id[:60]!r}; say more of the id", status=404
        )
    if not found:
        raise _unknown(signal_id)
    return found[0]


def show_signal(signal_id: str) -> Response:
    """With `Prefer: wait=SECONDS`: once it is finished, or as it is when the time is up."""
    signal_id = _whole_id(signal_id)
    signal = awaited(signal_id) or current_services().journal.signal(signal_id)
    if signal is None:
        raise _unknown(signal_id)
    return answer(signal)


def show_retry(signal_id: str) -> Response:
    """What a retry would meet now: the entry's age, and the price then and now."""
    relay = current_relay()
    outlook = relay.services.controls.retry_outlook(_whole_id(signal_id))
    if outlook is None:
        raise Problem("SIGNAL_NOT_RETRYABLE", "the signal went to no account", status=409)
    prices = {"price_then": outlook.price_then, "price_now": outlook.price_now}
    return answer(
        {
            "age_s": outlook.age_s,
            "max_age_s": outlook.max_age_s,
            "expires": outlook.expires,
            "real_money": relay.settings.environment.is_real_money,
            **{name: None if price is None else number(price) for name, price in prices.items()},
        }
    )


def retry_signal(signal_id: str) -> Response:
    """Opens the signal again with a new plan; answers like the webhook.

    `{"now": true}` in the body: for this one try its age counts from now.
    """
    is_fresh = fields_of_body(now=bool)["now"]
    signal_id = _whole_id(signal_id)
    parts = current_services()
    try:
        parts.controls.retry(signal_id, is_fresh=is_fresh)
    except SignalNotRetryable as error:
        raise Problem("SIGNAL_NOT_RETRYABLE", str(error), status=409) from None
    return tell(Receipt(signal_id=signal_id, status=SignalStatus.ACCEPTED, is_duplicate=False))


def mark_seen(signal_id: str) -> Response:
    """A person has looked at a signal in `attention`: `{"note"}` in the body, and `{"nothing_placed": true}` where they
    found none of its orders in doubt at the exchange. Answers with the signal."""
    given = fields_of_body(note=str, nothing_placed=bool)
    signal_id = _whole_id(signal_id)
    parts = current_services()
    try:
        parts.controls.seen(signal_id, by=_BY, **given)
    except SignalNotSeen as error:
        raise Problem("SIGNAL_NOT_SEEN", str(error), status=409) from None
    return show_signal(signal_id)


def plan_alert(*, strategy: str | None, named: str | None) -> Response:
    """What the alert in the body would do now. It needs no secret, and is not kept."""
    relay = current_relay()
    if not relay.services.has_instruments:
        missing = "; ".join(relay.missing().values())
        raise Problem("NOT_READY", f"the instruments are not loaded yet: {missing}", status=503)
    return answer(preview_form(relay.services.previewer.preview(whole_body(), strategy=strategy or NAME, named=named)))


def _unknown(signal_id: str) -> Problem:
    return Problem("SIGNAL_UNKNOWN", f"there is no signal {signal_id[:60]!r}", status=404)


# What a request asks for in its query: read strictly, all that is wrong with it told at once.


Choice = TypeVar("Choice", bound=StrEnum)

LIMIT_MAX: Final = 500
_YES: Final = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


class Query:
    """Take each parameter once, then `close`, which raises a Problem for everything that was wrong."""

    def __init__(self) -> None:
        self._given = {name: values[-1].strip() for name, values in request.args.lists()}
        self._known: list[str] = []
        self._problems: dict[str, list[str]] = {}

    def text(self, name: str) -> str | None:
        """None where it is absent or empty."""
        self._known.append(name)
        return self._given.get(name) or None

    def symbol(self, name: str) -> str | None:
        text = self.text(name)
        return symbol_of_filter(text) if text else None

    def choice(self, name: str, kind: type[Choice]) -> Choice | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            return kind(text.lower())
        except ValueError:
            self.wrong(name, f"{text[:60]!r} is none of {_listed(member.value for member in kind)}")
            return None

    def limit(self, name: str, default: int | None) -> int | None:
        text = self.text(name)
        if text is None:
            return default
        if text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= LIMIT_MAX:
            return int(text)
        self.wrong(name, f"{text[:60]!r} is no whole number from 1 to {LIMIT_MAX}")
        return default

    def flag(self, name: str) -> bool:
        text = self.text(name)
        if text is None or text.lower() in _YES:
            return text is not None and _YES[text.lower()]
        self.wrong(name, f"{text[:60]!r} is neither 1 nor 0")
        return False

    def wrong(self, name: str, problem: str) -> None:
        self._problems.setdefault(name, []).append(problem)

    def close(self) -> None:
        for name in self._given:
            if name not in self._known:
                self.wrong(name[:60], f"it is no parameter here; there are {_listed(self._known) or 'none'}")
        if self._problems:
            raise request_invalid(self._problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a query: how it is read, and how it is described."""

    read: Callable[[Query, str], Any]
    form: dict[str, Any]
    argument: str | None = None
    """What the view calls it; None means by the same name."""


def text(*, argument: str | None = None) -> Parameter:
    return Parameter(read=Query.text, form={"type": "string"}, argument=argument)


def symbol() -> Parameter:
    return Parameter(read=Query.symbol, form={"type": "string"})


def flag(*, argument: str | None = None) -> Parameter:
    return Parameter(read=Query.flag, form={"type": "string", "enum": ["1", "0"]}, argument=argument)


def limit(default: int | None) -> Parameter:
    form = {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX}
    return Parameter(read=lambda query, name: query.limit(name, default), form=form)


def choice(kind: type[StrEnum]) -> Parameter:
    form = {"type": "string", "enum": [member.value for member in kind]}
    return Parameter(read=lambda query, name: query.choice(name, kind), form=form)


def read_query(parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """Each one's value by the view's name for it. Raises a Problem for everything that is wrong, unknown ones, too."""
    query = Query()
    values = {each.argument or name: each.read(query, name) for name, each in parameters.items()}
    query.close()
    return values


def fields_of_body(**kinds: type[bool] | type[str] | type[Decimal]) -> dict[str, Any]:
    """The fields that the JSON body may hold, by name; what it leaves out is false, empty or None. Raises a Problem.

    A Decimal is a number above zero, quoted or bare.
    """
    body = whole_body().strip()
    try:
        given = json.loads(body, parse_float=Decimal) if body else {}
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        example = json.dumps({name: kind is bool or "words" for name, kind in kinds.items()})
        raise request_invalid({"body": [f"it is no JSON object; it should be empty or like {example}"]})
    problems = {key[:60]: [f"it is no field here; there is {_listed(kinds)}"] for key in given if key not in kinds}
    values = {name: None if kind is Decimal else kind() for name, kind in kinds.items()}
    for name in kinds.keys() & given.keys():
        values[name], problem = _read_field(kinds[name], given[name])
        if problem is not None:
            problems[name] = [problem]
    if problems:
        raise request_invalid(problems)
    return values


def _read_field(kind: type[bool] | type[str] | type[Decimal], given: object) -> tuple[Any, str | None]:
    """Its value, and what is wrong with it."""
    if kind is Decimal:
        value = above_zero(given)
        return value, "it is no number above zero" if value is None else None
    if not isinstance(given, kind):
        return given, "it is neither true nor false" if kind is bool else "it is no text"
    is_long = isinstance(given, str) and len(given) > NOTE_MAX
    return given, f"it is longer than {NOTE_MAX} letters" if is_long else None


_NUMBER_TEXT: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?|\.[0-9]{1,20}", re.ASCII)


def above_zero(given: object) -> Decimal | None:
    """In plain digits, as an alert's numbers; None if it is none."""
    text_ = given.strip() if isinstance(given, str) else "" if isinstance(given, bool) else str(given)
    return Decimal(text_) or None if _NUMBER_TEXT.fullmatch(text_) else None


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)


# `/api/orders`, `/api/positions`, `/api/accounts`, and the controls: halt, resume, flatten.


log = logging.getLogger(__name__)


def list_orders(
    *, account: str | None, symbol: str | None, status: OrderStatus | None, limit: int, open_only: bool
) -> Response:
    """The relay's own, the latest first; `open_only`: what rests just now, whoever placed it, with more of each."""
    if open_only:
        return answer(open_orders(account=account, symbol=symbol, status=status, limit=limit))
    found = current_services().journal.orders(account=account, symbol=symbol, status=status, limit=limit)
    return answer({"orders": found})


def open_orders(
    *,
    account: str | None = None,
    symbol: str | None = None,
    status: OrderStatus | None = None,
    limit: int = LIMIT_MAX,
    view_of: Callable[[str], AccountView] | None = None,
) -> dict[str, Any]:
    """The latest first, with the terms that they have at the exchange, and the accounts that could not be asked.

    `view_of`: what tells what rests at an account; None: the exchange.
    """
    parts = current_services()
    exchanges = {name: each for name, each in parts.exchanges.items() if account in (None, name)}
    own = parts.journal.orders(account=account, symbol=symbol, status=status, open_only=True, limit=limit)
    places = {(row["account"], Category(row["category"]), row["symbol"]) for row in own}

    def at_rest_of(name: str, exchange: Exchange) -> OrdersAtRest:
        of_account = sorted((category, symbol) for account, category, symbol in places if account == name)
        view = LiveView(exchange) if view_of is None else view_of(name)
        return resting_at(parts.accounts[name], view, symbol=symbol, own=of_account)

    read = of_each(exchanges, at_rest_of)
    shown = {name: at_rest.by_client_order_id() for name, at_rest in read.items()}
    owners = current_queries().order_owners(
        [*(row["client_order_id"] for row in own), *(name for each in shown.values() for name in each)]
    )
    rows = []
    for row in own:
        at_rest = read.get(row["account"], OrdersAtRest(prices={}))
        order = shown.get(row["account"], {}).get(row["client_order_id"])
        rows.append(resting_form(row | owners[row["client_order_id"]], order, at_rest))
    for name, at_rest in read.items():
        others = [foreign_form(name, each) for each in at_rest.orders if each.client_order_id not in owners]
        rows += [resting_form(row, None, at_rest) for row in others if status in (None, row["status"])]
    rows.sort(key=lambda row: row["created_at"] or "", reverse=True)
    problems = {name: at_rest.problem for name, at_rest in read.items()}
    return {"orders": rows[:limit], "unreadable": _unreadable(problems)}


def list_positions(*, account: str | None, symbol: str | None) -> Response:
    """The open ones of every account, whoever opened them, as the exchange has them now, and who could not be asked.

    Raises what the exchange said where none of the accounts could be.
    """
    parts = current_services()
    ledger = parts.streams.bookkeeper.ledger
    exchanges = {name: each for name, each in parts.exchanges.items() if account in (None, name)}
    read = of_each(
        exchanges, lambda name, exchange: held_at(parts.accounts[name], LiveView(exchange), ledger, parts.journal)
    )
    problems = {name: held.problem for name, held in read.items() if held.problem is not None}
    unanswered = [each for each in problems.values() if not isinstance(each, FactsUnreadable)]
    if unanswered and len(unanswered) == len(exchanges):
        # Else nothing read would pass for nothing open.
        raise unanswered[0]
    found = [
        position_form(name, holding)
        for name, held in read.items()
        for holding in held.holdings
        if symbol in (None, holding.position.symbol)
    ]
    return answer({"positions": found, "unreadable": _unreadable(problems)})


def _unreadable(problems: Mapping[str, Exception | None]) -> list[dict[str, str]]:
    return [{"account": name, "message": str(why)} for name, why in problems.items() if why is not None]


def list_accounts() -> Response:
    """`equity`: each coin's of the wallet, in that coin; null where the exchange cannot be asked just now."""
    relay = current_relay()
    accounts: list[dict[str, object]] = [
        {
            "name": name,
            "environment": relay.services.accounts[name].environment,
            "key": relay.services.accounts[name].key_tail,
            "halted": _is_halted(name),
            "equity": equity,
            "checks": _checks(name),
        }
        for name, equity in of_each(relay.services.exchanges, _equity).items()
    ]
    return answer({"accounts": accounts})


def show_equity(name: str, *, days: int) -> Response:
    """Equity over time by coin, and what each day came to; fees and funding are above zero where they were paid."""
    if name not in current_services().accounts:
        raise Problem("ACCOUNT_UNKNOWN", f"there is no account {name[:60]!r}", status=404)
    ledger, since_ms = current_services().streams.bookkeeper.ledger, to_ms(utc_now()) - days * DAY_MS
    checks = [equity_form(each) for each in ledger.equity(name, since_ms)]
    return answer({"points": checks, "days": [day_form(each) for each in ledger.days(name, since_ms)]})


CSV_ROWS_MAX: Final = 100_000


def list_trades(
    *,
    account: str | None,
    strategy: str | None,
    symbol: str | None,
    days: int | None,
    limit: int | None,
    cursor: str | None,
    form: str | None,
) -> Response:
    """The latest begun first. `days`: those that are open, or were closed since. `form` `csv`: all of them, as rows."""
    if form not in (None, "json", "csv"):
        raise request_invalid({"format": [f"{form[:60]!r} is neither json nor csv"]})
    since_ms = None if days is None else start_of_day(to_ms(utc_now()) - days * DAY_MS)
    which = TradeFilter(account=account, strategy=strategy, symbol=symbol, since_ms=since_ms)
    ledger = current_services().streams.bookkeeper.ledger
    wanted = limit or (CSV_ROWS_MAX if form == "csv" else 50)
    try:
        found, following = ledger.trades(which, limit=wanted, cursor=cursor)
    except ValueError as error:
        raise request_invalid({"cursor": [str(error)]}) from None
    rows = [shown_trade(each) for each in found]
    return csv_answer(rows) if form == "csv" else answer({"trades": rows, "next_cursor": following})


def csv_answer(rows: list[dict[str, Any]]) -> Response:
    response = Response(as_csv(rows), mimetype="text/csv")
    response.headers["Content-Disposition"] = "attachment; filename=trades.csv"
    return response


def show_performance(*, days: int) -> Response:
    """What each strategy's closed trades came to; and that all of it is what the exchange booked."""
    ledger, since_ms = current_services().streams.bookkeeper.ledger, to_ms(utc_now()) - days * DAY_MS
    return answer(
        {
            "strategies": [strategy_result_form(each) for each in ledger.strategy_results(since_ms)],
            "accounts": [account_result_form(each) for each in ledger.account_results(since_ms)],
        }
    )


UPLOAD_BYTES_MAX: Final = 24 * 1024 * 1024


def compare_exports(*, zone: str | None, strategy: str | None, account: str | None, symbol: str | None) -> Response:
    """TradingView's alerts log and list of trades, in the body as `{"files": [{"name", "content": base64}]}`, against
    the journal and the ledger."""
    words = "files to compare are at most 24 MiB"
    try:
        body = json.loads(whole_body(bytes_max=UPLOAD_BYTES_MAX, what=words) or b"null")
        files = [(str(each["name"])[:200], base64.b64decode(each["content"], validate=True)) for each in body["files"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        problem = 'the body should be like {"files": [{"name": "trades.csv", "content": "base64 of the file"}]}'
        raise request_invalid({"files": [problem]}) from None
    return answer(compared(files, zone=zone, strategy=strategy, account=account, symbol=symbol))


def compared(files: Sequence[tuple[str, bytes]], **which: str | None) -> dict[str, Any]:
    """Raises a Problem for a file that cannot be read, and for what must be said first."""
    parts = current_services()
    indexes = [index for each in parts.accounts.values() if (index := each.market.symbol_index) is not None]
    _known_or_problem("strategy", which["strategy"], {*parts.strategies, BY_HAND})
    _known_or_problem("account", which["account"], set(parts.accounts))
    _known_or_problem("symbol", which["symbol"], {name for each in indexes for name in (*each.by_symbol, *each.pairs)})
    try:
        exports = [read_export(name, content) for name, content in files]
        return compare(
            exports,
            queries=current_queries(),
            ledger=parts.streams.bookkeeper.ledger,
            known_since_ms=to_ms(utc_now()) - current_relay().settings.keep_days * DAY_MS,
            **which,
        )
    except ExportUnreadable as error:
        raise request_invalid({"files": [str(error)]}) from None
    except NotComparable as error:
        raise request_invalid({error.field: [str(error)]}) from None


def _known_or_problem(field: str, name: str | None, known: set[str]) -> None:
    """Nothing is said of what nobody did: a name that is none would make all of it missed. `known`: empty if unread."""
    if name is None or not known or name in known:
        return
    wanted: dict[str, Any] = {field: name}
    which = TradeFilter(**wanted)
    if not current_services().streams.bookkeeper.ledger.trades(which, limit=1)[0]:
        near = ", ".join(get_close_matches(name, known, n=5, cutoff=0))
        raise request_invalid({field: [f"there is none of the name {name[:60]!r}; the nearest are {near}"]})


def close_position() -> Response:
    """Closes one position, or `share` percent or `qty` of it, by a signal of its own; answers like the webhook.

    `id`: asked for twice under it, it is done once.
    """
    given = fields_of_body(account=str, category=str, symbol=str, share=Decimal, qty=Decimal, id=str)
    part = part_of(given["share"], given["qty"])
    where, request_id = _position_named(given)
    return tell(current_services().controls.close(*where, by=_BY, part=part, request_id=request_id))


def move_stop_to_entry() -> Response:
    """Moves the stop loss of one position to its average entry; answers like the webhook."""
    given = fields_of_body(account=str, category=str, symbol=str, id=str)
    where, request_id = _position_named(given)
    came_to = current_services().controls.stop_to_entry(*where, by=_BY, request_id=request_id)
    if isinstance(came_to, Reason):
        raise Problem(came_to.code, came_to.message, status=409)
    return tell(came_to)


def part_of(share_pct: Decimal | None, qty: Decimal | None) -> PositionPart | None:
    """None: all of it. Raises a Problem."""
    if share_pct is not None and qty is not None:
        raise request_invalid({"share": ["it and `qty` say the same thing twice; leave one of them out"]})
    if share_pct is not None and share_pct > _WHOLE_PCT:
        raise request_invalid({"share": [f"{number(share_pct)} percent are more than all of it"]})
    return None if share_pct is None and qty is None else PositionPart(share_pct=share_pct, qty=qty)


def _position_named(given: Mapping[str, str]) -> tuple[tuple[str, Category, str], str | None]:
    """Account, category and symbol, and the request's own id. The account may be left out where there is one only, the
    category where the symbol says it. Raises a Problem."""
    problems: dict[str, list[str]] = {}
    accounts = list(current_services().accounts)
    account = given["account"] or (accounts[0] if len(accounts) == 1 else "")
    if account not in accounts:
        problems["account"] = [f"{account[:60]!r} is none of {_listed(accounts)}"]
    symbol_ = symbol_of_filter(given["symbol"])
    if not re.fullmatch("[A-Z0-9-]{1,40}", symbol_):
        problems["symbol"] = ["it should be a symbol, such as BTCUSDT"]
    category = given["category"] or category_of_symbol(symbol_ or "-").value
    if category not in set(Category):
        problems["category"] = [f"{category[:60]!r} is none of {_listed(Category)}"]
    if not REQUEST_ID_FORM.fullmatch(given["id"]):
        problems["id"] = ["it should be letters, digits, `-` and `_`, at most 64"]
    if problems:
        raise request_invalid(problems)
    return (account, Category(category), symbol_), given["id"] or None


def cancel_order(client_order_id: str) -> Response:
    """Cancels one of the relay's own orders that rest. `taken`: the exchange has taken it; else `message` says why."""
    fields_of_body()
    order = current_services().journal.order(client_order_id)
    if order is None:
        raise Problem("ORDER_UNKNOWN", f"there is no order {client_order_id[:60]!r} of the relay's", status=404)
    status = order.state.status
    if status.is_ended or status is OrderStatus.PLANNED:
        raise Problem("ORDER_ENDED", f"the order is {status.value}; nothing of it rests", status=409)
    problem = current_services().controls.cancel_order(order, by=_BY)
    return answer({"client_order_id": client_order_id, "taken": problem is None, "message": problem})


def halt() -> Response:
    current_services().controls.halt(by=_BY)
    return answer({"halted": True})


def resume() -> Response:
    try:
        current_services().controls.resume(by=_BY)
    except RestoreUnseen as error:
        raise Problem("RESTORE_UNSEEN", str(error), status=409) from None
    return answer({"halted": False})


def flatten(*, everything: bool) -> Response:
    """Halts, then cancels and closes what the relay traded: a row for each symbol, and for each account without one.

    `{"everything": true}` in the body, or `all=1` in the query: what others opened, too.
    """
    everything = fields_of_body(everything=bool)["everything"] or everything
    rows = current_services().controls.flatten(everything=everything, by=_BY)
    return answer({"halted": True, "accounts": [flattened_form(each) for each in rows]})


def _is_halted(account: str) -> bool:
    switch = current_services().journal.switch(account, HALT)
    return switch is not None and switch.value == "on"


def _checks(account: str) -> list[dict[str, str | None]]:
    """Of the last look, at most a minute ago; empty before the first."""
    report = current_services().checkup.latest(account)
    return rows_of(report) if report else []


def _equity(account: str, exchange: Exchange) -> dict[str, str | None] | None:
    try:
        wallet = exchange.wallet()
    except (ExchangeUnreachable, ExchangeAnswered) as error:
        log.warning("the wallet of %s cannot be read: %s", account, error)
        return None
    return {balance.coin: number(balance.equity) for balance in wallet.coins}


# `/api/strategies`: whether each strategy's alerts arrive, and where it says it stands.


def list_strategies() -> Response:
    """`heartbeat`: null where none is expected. `chains`: by instrument; `gap`: an alert before the last is missing."""
    return answer({"strategies": strategies_now()})


def strategies_now() -> list[dict[str, Any]]:
    """Each strategy as the API shows it."""
    parts = current_services()
    chains = parts.journal.strategies.chains()
    return [
        {
            "name": name,
            "last_alert_at": _at(pulse.last_alert_at_ms),
            "heartbeat": _heartbeat(pulse),
            "chains": [_chain(each) for each in chains if each.strategy == name],
        }
        for name, pulse in parts.heartbeats.pulses().items()
    ]


def _heartbeat(pulse: Pulse) -> dict[str, Any] | None:
    expected = pulse.expectation
    if expected is None:
        return None
    return {
        "every_s": expected.every_s,
        "any": expected.is_any,
        "state": "missed" if pulse.is_missed else "expected",
        "last_at": _at(pulse.last_sign_at_ms),
    }


def _chain(record: ChainRecord) -> dict[str, Any]:
    stands = record.last.link.after
    return {
        "category": record.category.value,
        "symbol": record.symbol,
        "side": stands.side.value,
        "size": number(stands.size),
        "state": "gap" if record.last.fit is Fit.MISSING else "whole",
        "signal_id": record.signal_id,
        "at": rfc3339(record.at_ms),
    }


def _at(unix_ms: int | None) -> str | None:
    return None if unix_ms is None else rfc3339(unix_ms)
