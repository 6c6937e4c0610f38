"""Tells people that an API key is about to expire, once a day from a week before."""

from __future__ import annotations

from collections.abc import Mapping

from relay.domain.notice import NoticeKind
from relay.exchange.client import Exchange
from relay.pipeline.announce import Announcer
from relay.pipeline.clock import from_ms

KEYS_S = 24 * 60 * 60.0
_DAYS = 7


def tell_of_keys(exchanges: Mapping[str, Exchange], announcer: Announcer) -> None:
    """Raises ExchangeUnreachable or ExchangeAnswered where a key's end cannot be asked for."""
    for account, exchange in exchanges.items():
        key = exchange.desk.key()
        days = key.days_left
        if key.expires_at is not None:
            days = (key.expires_at - from_ms(exchange.now_ms())).days
        if days is not None and days <= _DAYS:
            when = f"expires in {days} days" if days > 0 else "expires today or has expired"
            text = f"the API key of {account} {when}: renew it on Bybit, or bind it to an address, which makes it last"
            announcer.tell(NoticeKind.KEY, text)
