"""Our words and Bybit's: pure, both ways. Outside this package (and the paper exchange) nobody spells Bybit's names."""

from relay.exchange.wire.account import (
    ClosedPnl,
    CoinBalance,
    Wallet,
    closed_pnl_from,
    instrument_from,
    mark_price_from,
    position_from,
    settle_coin_of,
    stopped_at_ms_from,
    wallet_from,
)
from relay.exchange.wire.orders import (
    OpenOrder,
    amend_params,
    create_params,
    fill_from,
    leverage_params,
    named_params,
    open_order_from,
    report_from,
    stops_params,
)
from relay.exchange.wire.refusals import is_uncertain, refusal_of

__all__ = [
    "amend_params",
    "ClosedPnl",
    "CoinBalance",
    "OpenOrder",
    "Wallet",
    "closed_pnl_from",
    "create_params",
    "fill_from",
    "instrument_from",
    "leverage_params",
    "named_params",
    "is_uncertain",
    "mark_price_from",
    "open_order_from",
    "position_from",
    "refusal_of",
    "report_from",
    "settle_coin_of",
    "stopped_at_ms_from",
    "stops_params",
    "wallet_from",
]
