"""The points about the account itself and what is open in it. Pure: from what was read to points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from relay.domain.position import Position
from relay.domain.rounding import plain
from relay.exchange.account_facts import Facts, Subject, Untold
from relay.exchange.account_point import Point, amber, green, red, unknown
from relay.exchange.wire.account import Wallet
from relay.exchange.wire.standing import AccountType
from relay.settings import Environment

WALLET_MIN_USD = Decimal(50)
_STABLE = ("USDT", "USDC")
_SHOWN_MAX = 6


def account_points(subject: Subject, facts: Facts) -> Iterator[Point]:
    """From `account_type` to `fees`."""
    yield _account_type(facts)
    yield _margin_mode(facts)
    yield _position_mode(subject, facts)
    yield _wallet(subject, facts)
    yield _leverage(subject, facts)
    yield _foreign(subject, facts)
    yield _streams(facts)
    yield _instruments(facts)
    yield _fees(subject, facts)


def _account_type(facts: Facts) -> Point:
    mode = facts.mode
    if isinstance(mode, Untold):
        return unknown("account_type", mode)
    upgrade = "upgrade it on the exchange: Assets → Unified Trading → Upgrade"
    if mode.type is AccountType.CLASSIC:
        return red("account_type", "a classic account, in which the relay cannot trade", upgrade)
    if mode.type is AccountType.UNIFIED_1:
        return amber(
            "account_type",
            "unified account 1.0: linear works; inverse contracts have a wallet of their own, which the relay does "
            "not read, so sizes in percent of equity are wrong for them",
            upgrade,
        )
    return green("account_type", "unified account 2.0: linear and inverse share one wallet")


def _margin_mode(facts: Facts) -> Point:
    mode = facts.mode
    if isinstance(mode, Untold):
        return unknown("margin_mode", mode)
    return green("margin_mode", f"{mode.margin.value}; the relay never changes it")


def _position_mode(subject: Subject, facts: Facts) -> Point:
    hedged = [symbol for symbol, told in facts.positions if isinstance(told, Position) and told.is_hedge]
    if hedged:
        return red(
            "position_mode",
            f"{_shown(hedged)}: hedge mode, and the relay orders in one-way mode only",
            "on the trading page of the symbol: Preferences → Position Mode → One-Way Mode; or close its positions and "
            "orders and run `check --fix`",
        )
    untold = [told for _, told in facts.positions if isinstance(told, Untold)]
    if untold:
        return unknown("position_mode", untold[0])
    looked_at = _shown([symbol for symbol, _ in facts.positions])
    rest = "" if subject.symbols is not None else "; others are looked at when an alert names them"
    return green("position_mode", f"one-way: {looked_at}{rest}")


def _wallet(subject: Subject, facts: Facts) -> Point:
    wallet = facts.wallet
    if isinstance(wallet, Untold):
        return unknown("wallet", wallet)
    worth = _worth(wallet)
    fix = {
        Environment.DEMO: "on the exchange with Demo Trading switched on: Assets → Request Demo Funds",
        Environment.TESTNET: "on testnet.bybit.com: Assets → Request Test Coins",
        Environment.MAINNET: "on the exchange: Assets → Transfer, from Funding to Unified Trading",
    }.get(subject.environment, "POST /paper/account on the paper exchange sets balances")
    if worth < WALLET_MIN_USD:
        return amber(
            "wallet",
            f"the unified wallet is worth {plain(worth)} USD; under {WALLET_MIN_USD} USD many orders are too small",
            fix,
        )
    return green("wallet", f"the unified wallet is worth {plain(worth)} USD")


def _worth(wallet: Wallet) -> Decimal:
    """In USD, to the cent. Where the exchange names no total, at least the stable coins count."""
    total = wallet.total_equity
    if total is None:
        total = sum((wallet.equity(coin) for coin in _STABLE), Decimal(0))
    return total.quantize(Decimal("0.01"))


def _leverage(subject: Subject, facts: Facts) -> Point:
    told = [(symbol, each) for symbol, each in facts.positions if isinstance(each, Position)]
    untold = [each for _, each in facts.positions if isinstance(each, Untold)]
    if untold and not told:
        return unknown("leverage", untold[0])
    shown = ", ".join(
        f"{symbol} {plain(each.leverage)}x" if each.leverage else f"{symbol} by the portfolio"
        for symbol, each in told[:_SHOWN_MAX]
    )
    most = subject.max_leverage
    above = [symbol for symbol, each in told if most is not None and each.leverage and each.leverage > most]
    if above and most is not None:
        return amber(
            "leverage",
            f"{shown}; {_shown(above)} above the limit of {plain(most)}x",
            "on the trading page of the symbol: the leverage beside the margin mode",
        )
    return unknown("leverage", untold[0]) if untold else green("leverage", shown)


def _foreign(subject: Subject, facts: Facts) -> Point:
    foreign = facts.foreign
    if isinstance(foreign, Untold):
        return unknown("foreign_positions", foreign)
    found = [f"{what} of {_shown(symbols)}" for what, symbols in _named(foreign.positions, foreign.orders) if symbols]
    if not found:
        return green("foreign_positions", "nothing is open that the relay did not place")
    message = f"open, but not placed by this relay: {' and '.join(found)}"
    fix = (
        "give the relay a sub-account of its own (Subaccount → Create), or close them; the relay leaves them alone, "
        "but an alert's `close` or `target` acts on the whole position"
    )
    return (
        red("foreign_positions", message, fix)
        if subject.environment.is_real_money
        else amber("foreign_positions", message, fix)
    )


def _named(positions: Sequence[str], orders: Sequence[str]) -> list[tuple[str, Sequence[str]]]:
    return [("positions", positions), ("orders", orders)]


def _streams(facts: Facts) -> Point:
    stream = facts.stream
    if stream is None:
        return unknown("streams", "not looked at")
    if not stream.connected:
        return amber(
            "streams",
            f"the private stream does not open ({stream.why}); alerts are executed all the same, with a read more each",
            "let this machine open WebSockets (wss, port 443) to the exchange, and see BYBIT_STREAM_URL",
        )
    if stream.refusal is not None:
        if isinstance(facts.wallet, Untold) and isinstance(facts.mode, Untold):
            return unknown("streams", facts.wallet)
        return amber(
            "streams", stream.refusal, "see `key` and `signature`, and whether BYBIT_STREAM_URL fits BYBIT_ENV"
        )
    return green("streams", "the private stream opens and takes the key")


def _instruments(facts: Facts) -> Point:
    listed = facts.listed
    if isinstance(listed, Untold):
        return unknown("instruments", listed)
    if listed.absent:
        return amber(
            "instruments",
            f"{listed.count} perpetuals; not traded there: {_shown(listed.absent)}",
            "correct ALLOWED_SYMBOLS: the exchange's own names, such as BTCUSDT or BTCPERP",
        )
    return green("instruments", f"{listed.count} perpetuals")


def _fees(subject: Subject, facts: Facts) -> Point:
    fees = facts.fees
    if isinstance(fees, Untold):
        if subject.environment is Environment.DEMO and not isinstance(facts.wallet, Untold):
            return amber("fees", "the demo environment does not tell fee rates")
        return unknown("fees", fees)
    if fees is None:
        return unknown("fees", "the exchange names none")
    return green("fees", f"taker {plain(fees.taker * 100)} %, maker {plain(fees.maker * 100)} %")


def _shown(symbols: Sequence[str]) -> str:
    more = len(symbols) - _SHOWN_MAX
    return ", ".join(symbols[:_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")
