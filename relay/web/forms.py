"""Our values as the JSON that the API promises: numbers of money and size as text, times RFC 3339 with milliseconds."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from relay.domain.booking import DayTotal, Equity
from relay.domain.order import OrderStatus, PlannedOrder, Reason
from relay.domain.position import Position
from relay.domain.rounding import plain
from relay.journal.codec import rfc3339
from relay.journal.records import RefusedPosts
from relay.pipeline.accept import Receipt
from relay.pipeline.clock import from_ms
from relay.pipeline.preview import Preview, Previewed

_HEARTBEAT = "a heartbeat orders nothing"


def number(value: Decimal | None) -> str | None:
    """In plain digits."""
    return None if value is None else plain(value)


def reason_form(reason: Reason | None) -> dict[str, str] | None:
    return {"code": reason.code, "message": reason.message} if reason else None


def receipt_form(receipt: Receipt) -> dict[str, object]:
    return {"signal_id": receipt.signal_id, "status": receipt.status.value, "duplicate": receipt.is_duplicate}


def position_form(account: str, position: Position) -> dict[str, Any]:
    """`size` without sign: the side tells."""
    return {
        "account": account,
        "category": position.category.value,
        "symbol": position.symbol,
        "side": "long" if position.size > 0 else "short",
        "size": plain(abs(position.size)),
        "avg_price": number(position.avg_price),
        "mark_price": number(position.mark_price),
        "unrealised_pnl": number(position.unrealised_pnl),
        "leverage": number(position.leverage),
        "take_profit": number(position.take_profit),
        "stop_loss": number(position.stop_loss),
    }


def equity_form(point: Equity) -> dict[str, Any]:
    return {
        "at": rfc3339(point.at_ms),
        "coin": point.coin,
        "equity": plain(point.equity),
        "unrealised": plain(point.unrealised),
        "usd": number(point.usd),
    }


def day_form(total: DayTotal) -> dict[str, Any]:
    return {
        "day": total.day,
        "coin": total.coin,
        "realised": plain(total.realised),
        "fees": plain(total.fees),
        "funding": plain(total.funding),
    }


def refused_form(posts: RefusedPosts) -> dict[str, Any]:
    """How many posts of one kind from one source did not prove their sender."""
    last_at = from_ms(posts.last_at_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"kind": posts.kind, "source": posts.source, "count": posts.count, "last_at": last_at}


def preview_form(previewed: Previewed) -> dict[str, Any]:
    """Several accounts' plans as one: `planned` if any of them is, with the reason of the first that is held back."""
    made = list(previewed.accounts)
    planned = not made or any(each.status == "planned" for each in made)
    return {
        "status": "planned" if planned else "denied",
        "reason": reason_form(next((each.reason for each in made if each.reason), None)),
        "notes": _notes(made),
        "orders": [_planned_form(each.account, order) for each in made for _, order in each.orders],
        "format": previewed.format,
        "checks": [
            {
                "account": each.account,
                "limit": check.limit,
                "number": check.number,
                "bound": check.bound,
                "passes": check.passes,
            }
            for each in made
            for check in each.checks
        ],
        "fields": [{"field": each.field, "native": each.native, "value": each.value} for each in previewed.fields],
    }


def _notes(made: list[Preview]) -> list[str]:
    """A note that not every account has says whose it is; so does a denial that is not everybody's."""
    if len(made) <= 1:
        return list(made[0].notes) if made else [_HEARTBEAT]
    shared = [note for note in made[0].notes if all(note in each.notes for each in made)]
    own = [f"on account {each.account}: {note}" for each in made for note in each.notes if note not in shared]
    held = [f"on account {each.account}: {each.reason.message}" for each in made if each.reason]
    return [*shared, *own, *held]


def _planned_form(account: str, order: PlannedOrder) -> dict[str, Any]:
    """An order as it would be sent. It has no identity yet: the alert that this was asked for would give it one."""
    return {
        "client_order_id": None,
        "venue_order_id": None,
        "account": account,
        "category": order.category.value,
        "symbol": order.symbol,
        "side": order.side.value,
        "type": order.type.value,
        "qty": plain(order.qty),
        "price": number(order.price),
        "trigger_price": number(order.trigger_price),
        "time_in_force": order.time_in_force.value,
        "reduce_only": order.reduce_only,
        "take_profit": number(order.take_profit),
        "stop_loss": number(order.stop_loss),
        "purpose": order.purpose.value,
        "status": OrderStatus.PLANNED.value,
        "reason": None,
        "filled_qty": "0",
        "avg_price": None,
        "fee": "0",
    }
