"""`/paper/account`: how tests set the account up, wrongly for the most part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from relay.paper.account import Account
from relay.paper.book import Book
from relay.paper.control_reading import ControlInvalid, instrument, number, read_body, table
from relay.paper.exchange import Exchange
from relay.paper.state import Wallet
from relay.paper.wire import plain


def shown(exchange: Exchange) -> dict[str, Any]:
    """All that can be set, as it is; the leverages are the positions'."""
    account = exchange.account
    return {
        "marginMode": account.margin_mode,
        "unifiedMarginStatus": account.unified_margin_status,
        "key": account.key,
        "ipCheck": account.ip_check,
        "expired": account.expired,
        "limiter": {"on": account.limiter_on, "rate": account.creates_per_second},
        "historyLagMs": account.history_lag_ms,
        "keyUnknown": account.key_unknown,
        "signatureWrong": account.signature_wrong,
        "regionBlocked": account.region_blocked,
        "demo": account.demo,
        "publicKey": account.public_key,
        "balances": exchange.read(
            lambda state: {coin: plain(wallet.balance) for coin, wallet in state.wallets.items()}
        ),
        "positionMode": exchange.read(lambda state: dict.fromkeys(sorted(state.hedged), 3)),
    }


def change(exchange: Exchange) -> dict[str, Any]:
    """Changes what the body names, and nothing unless all of it can be read."""
    asked, account = read_body(), exchange.account
    unknown = set(asked) - {*shown(exchange), "leverage"}
    if unknown:
        raise ControlInvalid(f"unknown: {', '.join(sorted(unknown))}")
    changed = _read_account(account, asked)
    _trust(exchange, changed.public_key)
    exchange.act(lambda book, now_ms: _set_book(exchange, book, asked, now_ms))
    exchange.account = changed
    exchange.keep_account()
    return shown(exchange)


def _read_account(account: Account, body: Mapping[str, Any]) -> Account:
    limiter = body.get("limiter", {})
    try:
        return replace(
            account,
            margin_mode=str(body.get("marginMode", account.margin_mode)),
            unified_margin_status=int(body.get("unifiedMarginStatus", account.unified_margin_status)),
            key={**account.key, **body.get("key", {})},
            ip_check=bool(body.get("ipCheck", account.ip_check)),
            expired=bool(body.get("expired", account.expired)),
            limiter_on=bool(limiter.get("on", account.limiter_on)),
            creates_per_second=int(limiter.get("rate", account.creates_per_second)),
            history_lag_ms=int(body.get("historyLagMs", account.history_lag_ms)),
            key_unknown=bool(body.get("keyUnknown", account.key_unknown)),
            signature_wrong=bool(body.get("signatureWrong", account.signature_wrong)),
            region_blocked=bool(body.get("regionBlocked", account.region_blocked)),
            demo=bool(body.get("demo", account.demo)),
            public_key=str(body.get("publicKey", account.public_key)),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise ControlInvalid(f"the account cannot be read: {error}") from error


def _trust(exchange: Exchange, public_pem: str) -> None:
    try:
        exchange.verifier.trust(public_pem)
    except ValueError as error:
        raise ControlInvalid("publicKey is no RSA key in PEM form") from error


def _set_book(exchange: Exchange, book: Book, body: Mapping[str, Any], now_ms: int) -> None:
    """The part of the account that the book keeps: nothing changes unless all of it can be read."""
    balances = {
        str(coin): number(amount, f"balance of {coin}", positive=False)
        for coin, amount in table(body, "balances").items()
    }
    modes = {
        instrument(exchange, symbol).symbol: str(mode) == "3" for symbol, mode in table(body, "positionMode").items()
    }
    leverages = {
        instrument(exchange, symbol).symbol: number(value, "leverage")
        for symbol, value in table(body, "leverage").items()
    }
    state = book.state
    for coin, amount in balances.items():
        wallet = state.wallets.setdefault(coin, Wallet(coin=coin))
        wallet.balance = amount
        state.changes.wallets[coin] = wallet
    for symbol, hedge in modes.items():
        book.force_mode(symbol, hedge=hedge)
    for symbol, leverage in leverages.items():
        book.set_leverage(exchange.instruments[symbol], leverage, leverage, now_ms)
