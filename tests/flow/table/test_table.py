"""Every kind of alert on every kind of instrument: exactly these orders are at the exchange, exactly this is held."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from pybit.unified_trading import HTTP

from relay.domain.instrument import plain
from tests.flow.table.foreign import FOREIGN
from tests.flow.table.orders import ORDERS
from tests.flow.table.protected import PROTECTED
from tests.flow.table.rows import Place, Row
from tests.flow.table.sizes import SIZES
from tests.paper_server import PaperServer
from tests.relay_server import WEBHOOK_SECRET, RelayServer

ROWS = [*SIZES, *ORDERS, *PROTECTED, *FOREIGN]


@pytest.fixture(scope="module")
def exchange(paper: PaperServer) -> Iterator[HTTP]:
    yield paper.session()


def test_the_table_is_as_large_as_it_claims_and_names_no_row_twice() -> None:
    assert len(ROWS) >= 120
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_orders_of_an_alert_are_exactly_those_of_its_row(
    row: Row, relay: RelayServer, paper: PaperServer, exchange: HTTP
) -> None:
    paper.control.reset()  # else the equity would be what earlier rows have left
    _hold(exchange, row)
    signal = _post(relay, row)
    try:
        reported = f"{signal['status']} {signal['reason']} {signal['notes']}"
        assert signal["status"] == row.status, reported
        assert (signal["reason"] or {}).get("code") == row.reason, reported
        sent = [each["client_order_id"] for each in signal["orders"] if each["status"] not in ("rejected", "denied")]
        found = [_order(_at_exchange(exchange, row.place, each)) for each in sent]
        assert tuple(found) == row.orders, reported
        assert _held(exchange, row.place) == row.after, reported
    finally:
        _leave_nothing(relay, row.place)


def _hold(exchange: HTTP, row: Row) -> None:
    """Somebody's own order brings the position to where the row finds it."""
    if row.before != "0":
        side = "Sell" if row.before.startswith("-") else "Buy"
        exchange.place_order(
            **row.place.where, side=side, orderType="Market", qty=row.before.lstrip("-"), positionIdx=0
        )


def _post(relay: RelayServer, row: Row) -> dict[str, Any]:
    """A foreign message goes to the address that stands in the place of its service's, with a time of now."""
    if row in FOREIGN:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        times = {name: now for name in ("time", "timestamp") if name in row.alert}
        body: dict[str, Any] = {**row.alert, **times, "x_note": uuid.uuid4().hex, "secret": None}
        own = {"secret": row.alert["secret"]} if "secret" in row.alert else {}
        answer = relay.post({**body, **own}, path=f"/webhook/default/{quote(WEBHOOK_SECRET)}", wait_s=10)
    else:
        answer = relay.post({"ticker": row.place.ticker, "id": uuid.uuid4().hex, **row.alert}, wait_s=10)
    assert answer.status_code == 200, answer.text
    signal: dict[str, Any] = answer.json()
    return signal


def _at_exchange(exchange: HTTP, place: Place, identity: str) -> dict[str, Any]:
    for ask in (exchange.get_open_orders, exchange.get_order_history):
        rows = ask(**place.where, orderLinkId=identity)["result"]["list"]
        if rows:
            return dict(rows[0])
    raise AssertionError(f"{identity} is not at the exchange")


def _order(row: dict[str, Any]) -> str:
    """`buy 0.1 limit@99000 reduce-only sl 98000 tp 101000`; a conditional one names its trigger and its direction."""
    words = [row["side"].lower(), _plain(row["qty"])]
    kind = row["orderType"].lower()
    words.append(f"limit@{_plain(row['price'])}" if kind == "limit" else kind)
    if _is(row.get("triggerPrice")) and row.get("stopOrderType") == "Stop":
        words.append(f"{'above' if row['triggerDirection'] == 1 else 'below'} {_plain(row['triggerPrice'])}")
    if kind == "limit" and row["timeInForce"] != "GTC":
        words.append(row["timeInForce"])
    if row["reduceOnly"]:
        words.append("reduce-only")
    words += [f"{name} {_plain(row[field])}" for name, field in _LEVELS if _is(row.get(field))]
    return " ".join(words)


_LEVELS = (("sl", "stopLoss"), ("tp", "takeProfit"))


def _held(exchange: HTTP, place: Place) -> str:
    row = exchange.get_positions(**place.where)["result"]["list"][0]
    size = Decimal(row["size"]) * (-1 if row["side"] == "Sell" else 1)
    words = [plain(size)]
    if size:
        words += [f"{name} {_plain(row[field])}" for name, field in _LEVELS if _is(row.get(field))]
        words += [f"trail {_plain(row['trailingStop'])}"] if _is(row.get("trailingStop")) else []
    return " ".join(words)


def _is(text: str | None) -> bool:
    return bool(text) and Decimal(str(text)) != 0


def _plain(text: str) -> str:
    return plain(Decimal(text))


def _leave_nothing(relay: RelayServer, place: Place) -> None:
    """Closing cancels what rests of the relay, and leaves the next row an empty book."""
    done = relay.done({"ticker": place.ticker, "action": "close", "id": uuid.uuid4().hex})
    assert done["status"] == "done", done
