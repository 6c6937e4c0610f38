"""The way to the exchange that an account's settings name, with streams where they are not turned off."""

from __future__ import annotations

from typing import Any

from relay.exchange.address import Address
from relay.exchange.client import Exchange
from relay.exchange.prices import Prices
from relay.exchange.streamed import StreamedExchange
from relay.exchange.streams_board import Board
from relay.exchange.turns import Turns
from relay.settings import AccountSettings
from relay.settings_hosts import NO_STREAMS, public_stream_url


class SharedPrices:
    """One set of public streams a host, however many accounts are there."""

    def __init__(self) -> None:
        self._prices: dict[str, Prices] = {}

    def at(self, stream_url: str) -> Prices:
        return self._prices.setdefault(stream_url, Prices(public_stream_url(stream_url)))


def exchange_of(
    account: AccountSettings,
    address: Address,
    prices: SharedPrices,
    *,
    board: Board | None = None,
    turns: Turns | None = None,
) -> Exchange:
    """Not used yet. Raises SettingsInvalid for a PEM that cannot sign.

    `board`, `turns`: where several processes share its stream, and its limit.
    """
    key, secret, url = account.api_key, account.api_secret, account.url
    assert key is not None and secret is not None and url is not None, "settings without a key do not load"
    shared: dict[str, Any] = {
        "url": url,
        "api_key": key.reveal(),
        "api_secret": secret.reveal(),
        "recv_window_ms": account.recv_window_ms,
        "referer": account.referer,
        "address": address,
        "turns": turns,
    }
    stream_url = account.stream_url
    if stream_url is None or stream_url == NO_STREAMS:
        return Exchange(**shared)
    return StreamedExchange(
        name=account.name, stream_url=stream_url, prices=prices.at(stream_url), board=board, **shared
    )
