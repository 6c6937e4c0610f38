"""Tells people that an API key is about to expire, once a day from a week before."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from relay.domain.notice import NoticeKind
from relay.errors import ExchangeAnswered, ExchangeUnreachable
from relay.exchange.client import Exchange
from relay.pipeline.announce import Announcer
from relay.pipeline.clock import from_ms

log = logging.getLogger(__name__)

KEYS_S = 24 * 60 * 60.0
_DAYS = 7


def tell_of_keys(exchanges: Mapping[str, Exchange], announcer: Announcer) -> None:
    """An account that cannot be asked does not keep the others' keys from being looked at."""
    for account, exchange in exchanges.items():
        try:
            days = _days_left(exchange)
        except (ExchangeUnreachable, ExchangeAnswered) as error:
            log.warning("when the key of %s ends cannot be asked today: %s", account, error)
            continue
        if days is not None and days <= _DAYS:
            when = f"expires in {days} days" if days > 0 else "expires today or has expired"
            text = f"the API key of {account} {when}: renew it on Bybit, or bind it to an address, which makes it last"
            announcer.tell(NoticeKind.KEY, text)


def _days_left(exchange: Exchange) -> int | None:
    key = exchange.desk.key()
    if key.expires_at is None:
        return key.days_left
    return (key.expires_at - from_ms(exchange.now_ms())).days
