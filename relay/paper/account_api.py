"""`/v5/account/…` and `/v5/user/query-api`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from relay.paper import asks, margin
from relay.paper.exchange import Exchange
from relay.paper.orders import ZERO, Refusal
from relay.paper.orders_api import Answer, Params
from relay.paper.state import State, Wallet
from relay.paper.wire import plain

DOLLARS = frozenset({"USDT", "USDC", "USD"})


def usd_price(state: State, coin: str) -> Decimal:
    """What a coin is worth in dollars by its own perpetual's index; a stablecoin is a dollar."""
    if coin in DOLLARS:
        return Decimal(1)
    quote = state.quotes.get(f"{coin}USDT") or state.quotes.get(f"{coin}USD")
    return quote.index if quote is not None else ZERO


def _coin(state: State, wallet: Wallet) -> tuple[dict[str, Any], dict[str, Decimal]]:
    """A coin's row, and its dollar amounts for the totals."""
    profits, margins, held = margin.coin_totals(state, wallet.coin)
    equity, price = wallet.balance + profits, usd_price(state, wallet.coin)
    amounts = {
        "equity": equity * price,
        "wallet": wallet.balance * price,
        "profit": profits * price,
        "initial": margins * price,
        "maintenance": held * price / 2,
    }
    row = {
        "coin": wallet.coin,
        "equity": plain(equity),
        "usdValue": plain(amounts["equity"]),
        "walletBalance": plain(wallet.balance),
        "free": "",
        "locked": "0",
        "spotHedgingQty": "0",
        "borrowAmount": "0",
        "accruedInterest": "0",
        "availableToWithdraw": "",
        "availableToBorrow": "",
        "totalOrderIM": plain(max(margins - held, ZERO)),
        "totalPositionIM": plain(held),
        "totalPositionMM": plain(held / 2),
        "unrealisedPnl": plain(profits),
        "cumRealisedPnl": plain(wallet.realised),
        "bonus": "0",
        "marginCollateral": True,
        "collateralSwitch": True,
        "colRes": "0",
        "spotBorrow": "0",
    }
    return row, amounts


def wallet_balance(exchange: Exchange, params: Params) -> Answer:
    """wallet-balance.mdx: the coins that are not zero, or those asked for; totals in dollars over all coins."""
    if params.get("accountType") != "UNIFIED":
        return Refusal(code=10001, message="accountType only support UNIFIED.")
    asked = tuple(coin for coin in str(params.get("coin") or "").split(",") if coin)
    return exchange.read(lambda state: {"list": [unified(state, asked)]})


def unified(state: State, asked: tuple[str, ...]) -> dict[str, Any]:
    """The unified wallet's row, here and in the `wallet` stream: totals, and the coins asked for or not empty."""
    missing = [Wallet(coin=coin) for coin in asked if coin not in state.wallets]
    found = [(wallet, *_coin(state, wallet)) for wallet in (*state.wallets.values(), *missing)]
    rows = [
        row for wallet, row, _ in found if (wallet.coin in asked if asked else wallet.balance or row["equity"] != "0")
    ]
    names = ("equity", "wallet", "profit", "initial", "maintenance")
    total = {name: sum((amounts[name] for _, _, amounts in found), ZERO) for name in names}
    return {**_totals(total), "coin": rows}


def _totals(total: dict[str, Decimal]) -> dict[str, str]:
    base = total["wallet"] + total["profit"]
    initial, maintenance = plain(total["initial"]), plain(total["maintenance"])
    rates = [
        plain((total[name] / base).quantize(Decimal("0.0001"))) if base > 0 else "0"
        for name in ("initial", "maintenance")
    ]
    return {
        "accountType": "UNIFIED",
        "accountLTV": "0",
        "accountIMRate": rates[0],
        "accountIMRateByMp": rates[0],
        "accountMMRate": rates[1],
        "accountMMRateByMp": rates[1],
        "totalEquity": plain(total["equity"]),
        "totalWalletBalance": plain(total["wallet"]),
        "totalMarginBalance": plain(base),
        "totalAvailableBalance": plain(max(base - total["initial"], ZERO)),
        "totalPerpUPL": plain(total["profit"]),
        "totalInitialMargin": initial,
        "totalInitialMarginByMp": initial,
        "totalMaintenanceMargin": maintenance,
        "totalMaintenanceMarginByMp": maintenance,
    }


def summary(exchange: Exchange, params: Params) -> Answer:
    return {
        "marginMode": exchange.account.margin_mode,
        "updatedTime": "1767225600000",
        "unifiedMarginStatus": exchange.account.unified_margin_status,
        "dcpStatus": "OFF",
        "timeWindow": 0,
        "smpGroup": 0,
        "isMasterTrader": False,
        "spotHedgingStatus": "OFF",
    }


def fee_rate(exchange: Exchange, params: Params) -> Answer:
    category, symbol = asks.category(params), params.get("symbol")
    rates = {
        "takerFeeRate": plain(exchange.state.taker_fee),
        "makerFeeRate": plain(exchange.state.maker_fee),
    }
    shown = [
        {"symbol": instrument.symbol, **rates}
        for instrument in exchange.instruments.values()
        if instrument.category == category
        and instrument.status == "Trading"
        and symbol in (None, "", instrument.symbol)
    ]
    if symbol and not shown:
        return Refusal(code=10001, message=f"params error: symbol invalid {symbol}")
    return {"list": shown}


def key(exchange: Exchange, params: Params) -> Answer:
    """apikey-info.mdx; the secret is never shown."""
    return {
        **exchange.account.key,
        "apiKey": exchange.credentials.key,
        "secret": "",
        "rsaPublicKey": exchange.account.public_key or exchange.credentials.public_pem,
    }
