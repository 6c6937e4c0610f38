"""The connection checklist of an account: each check, and the list as it is shown. Pure: from what was read to a
report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from relay.bybit.account_api import AccountType, KeyRights, time_left
from relay.bybit.account_facts import AccountFacts, DatabaseFacts, ExpectedAccount, Reported, Unavailable
from relay.bybit.wire_account import Wallet, settle_coin_of
from relay.domain.instrument import plain
from relay.domain.order import Reason
from relay.domain.position import Position
from relay.errors import SettingsInvalid
from relay.settings.environment import Environment

NAMES = (
    *("host", "region", "clock", "key", "signature", "expiry", "ip", "trade_permission", "read_only"),
    *("withdraw_permission", "transfer_permission", "account_type", "margin_mode", "position_mode", "wallet"),
    *("leverage", "foreign_positions", "streams", "instruments", "fees", "other_permissions", "durability"),
)
REQUIRED = frozenset(
    {
        *("host", "region", "key", "signature", "trade_permission", "read_only", "withdraw_permission"),
        *("position_mode", "instruments"),
    }
)
"""What must have been seen, and not merely not be wrong."""


_REPORTED_BY = {
    403: "region",
    10003: "key",
    10004: "signature",
    10009: "region",
    10010: "ip",
    10024: "region",
    33004: "expiry",
}
"""The points that say what these refusals, which any question may meet, mean."""


class State(StrEnum):
    GREEN = "green"
    AMBER = "amber"
    RED = "red"
    UNKNOWN = "unknown"
    """It could not be checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    `fix`: what to do about it, in the exchange's own menus; None if nothing is to be done.
    """

    name: str
    state: State
    message: str
    fix: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All points, in the order of `NAMES`."""

    checks: tuple[Check, ...]

    @property
    def is_ok(self) -> bool:
        """Nothing is red, and of what the relay cannot do without nothing is unknown."""
        return not self.hindering()

    def hindering(self) -> tuple[Check, ...]:
        return tuple(
            each
            for each in self.checks
            if each.state is State.RED or (each.state is State.UNKNOWN and each.name in REQUIRED)
        )

    def check(self, name: str) -> Check:
        return next(each for each in self.checks if each.name == name)


def green(name: str, message: str) -> Check:
    return Check(name=name, state=State.GREEN, message=message)


def amber(name: str, message: str, fix: str | None = None) -> Check:
    return Check(name=name, state=State.AMBER, message=message, fix=fix)


def red(name: str, message: str, fix: str) -> Check:
    return Check(name=name, state=State.RED, message=message, fix=fix)


def unknown(name: str, why: Unavailable | str) -> Check:
    """Could not be checked: another point, or the words, say why."""
    if isinstance(why, Unavailable) and why.code in _REPORTED_BY:
        return Check(name=name, state=State.UNKNOWN, message=f"not checked: see `{_REPORTED_BY[why.code]}`")
    words = why.words if isinstance(why, Unavailable) else why
    return Check(name=name, state=State.UNKNOWN, message=f"not checked: {words}")


def rows_of(report: Report) -> list[dict[str, str | None]]:
    """As the API and `check --json` show it."""
    return [
        {"name": each.name, "state": each.state.value, "message": each.message, "fix": each.fix}
        for each in report.checks
    ]


def read_report(rows: Sequence[Mapping[str, Any]]) -> Report:
    """From what `rows_of` made, by way of JSON."""
    return Report(
        checks=tuple(
            Check(name=row["name"], state=State(row["state"]), message=row["message"], fix=row["fix"]) for row in rows
        )
    )


# The points about the account itself and what is open in it. Pure: from what was read to points.


WALLET_MIN_USD = Decimal(50)
_STABLE = ("USDT", "USDC")
_SHOWN_MAX = 6


def account_checks(expected_account: ExpectedAccount, facts: AccountFacts) -> Iterator[Check]:
    """From `account_type` to `fees`."""
    yield _account_type(facts)
    yield _margin_mode(facts)
    yield _position_mode(expected_account, facts)
    yield _wallet(expected_account, facts)
    yield _leverage(expected_account, facts)
    yield _foreign(expected_account, facts)
    yield _streams(facts)
    yield _instruments(facts)
    yield _fees(expected_account, facts)


def _account_type(facts: AccountFacts) -> Check:
    mode = facts.mode
    if isinstance(mode, Unavailable):
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
    if mode.type is AccountType.OTHER:
        return amber("account_type", "a kind of account that this relay does not know; it is taken for unified 2.0")
    return green("account_type", "unified account 2.0: linear and inverse share one wallet")


def _margin_mode(facts: AccountFacts) -> Check:
    mode = facts.mode
    if isinstance(mode, Unavailable):
        return unknown("margin_mode", mode)
    return green("margin_mode", f"{mode.margin.value}; the relay never changes it")


def _position_mode(expected_account: ExpectedAccount, facts: AccountFacts) -> Check:
    hedged = [symbol for symbol, reported in facts.positions if isinstance(reported, Position) and reported.is_hedge]
    if hedged:
        return red(
            "position_mode",
            f"{_shown(hedged)}: hedge mode, and the relay orders in one-way mode only",
            "on the trading page of the symbol: Preferences → Position Mode → One-Way Mode; or close its positions and "
            "orders and run `check --fix`",
        )
    unavailable = [reported for _, reported in facts.positions if isinstance(reported, Unavailable)]
    if unavailable:
        return unknown("position_mode", unavailable[0])
    looked_at = _shown([symbol for symbol, _ in facts.positions])
    rest = "" if expected_account.symbols is not None else "; others are looked at when an alert names them"
    return green("position_mode", f"one-way: {looked_at}{rest}")


def _wallet(expected_account: ExpectedAccount, facts: AccountFacts) -> Check:
    wallet = facts.wallet
    if isinstance(wallet, Unavailable):
        return unknown("wallet", wallet)
    worth = _worth(wallet)
    fix = {
        Environment.DEMO: "on the exchange with Demo Trading switched on: Assets → Request Demo Funds",
        Environment.TESTNET: "on testnet.bybit.com: Assets → Request Test Coins",
        Environment.MAINNET: "on the exchange: Assets → Transfer, from Funding to Unified Trading",
    }.get(expected_account.environment, "POST /paper/account on the paper exchange sets balances")
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


def _leverage(expected_account: ExpectedAccount, facts: AccountFacts) -> Check:
    reported = [(symbol, each) for symbol, each in facts.positions if isinstance(each, Position)]
    unavailable = [each for _, each in facts.positions if isinstance(each, Unavailable)]
    if unavailable and not reported:
        return unknown("leverage", unavailable[0])
    shown = ", ".join(
        f"{symbol} {plain(each.leverage)}x" if each.leverage else f"{symbol} by the portfolio"
        for symbol, each in reported[:_SHOWN_MAX]
    )
    most = expected_account.max_leverage
    above = [symbol for symbol, each in reported if most is not None and each.leverage and each.leverage > most]
    if above and most is not None:
        return amber(
            "leverage",
            f"{shown}; {_shown(above)} above the limit of {plain(most)}x",
            "on the trading page of the symbol: the leverage beside the margin mode",
        )
    return unknown("leverage", unavailable[0]) if unavailable else green("leverage", shown)


def _foreign(expected_account: ExpectedAccount, facts: AccountFacts) -> Check:
    foreign = facts.foreign
    if isinstance(foreign, Unavailable):
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
        if expected_account.environment.is_real_money
        else amber("foreign_positions", message, fix)
    )


def _named(positions: Sequence[str], orders: Sequence[str]) -> list[tuple[str, Sequence[str]]]:
    return [("positions", positions), ("orders", orders)]


def _streams(facts: AccountFacts) -> Check:
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
        if isinstance(facts.wallet, Unavailable) and isinstance(facts.mode, Unavailable):
            return unknown("streams", facts.wallet)
        return amber(
            "streams", stream.refusal, "see `key` and `signature`, and whether BYBIT_STREAM_URL fits BYBIT_ENV"
        )
    return green("streams", "the private stream opens and takes the key")


def _instruments(facts: AccountFacts) -> Check:
    listed = facts.listed
    if isinstance(listed, Unavailable):
        return unknown("instruments", listed)
    if listed.absent:
        return amber(
            "instruments",
            f"{listed.count} perpetuals; not traded there: {_shown(listed.absent)}",
            "correct ALLOWED_SYMBOLS: the exchange's own names, such as BTCUSDT or BTCPERP",
        )
    if not isinstance(facts.terms, Unavailable) and facts.terms:
        found = ", ".join(f"{kind or 'ordinary'} contracts ({where})" for kind, where in sorted(facts.terms.items()))
        return amber(
            "instruments",
            f"{listed.count} perpetuals; trading terms not accepted: {found}",
            "accept them with the master account on Bybit's site or in its app, on the page of such a contract; this "
            "is shown until an order there is accepted",
        )
    if listed.unreadable:
        message = f"{listed.count} perpetuals; nothing is opened in those whose rules cannot be read: "
        return amber("instruments", f"{message}{_shown(listed.unreadable)}")
    kinds = ", ".join(f"{count} of them {kind}" for kind, count in sorted(listed.kinds.items()))
    return green("instruments", f"{listed.count} perpetuals{f' ({kinds})' if kinds else ''}")


def _fees(expected_account: ExpectedAccount, facts: AccountFacts) -> Check:
    fees = facts.fees
    if isinstance(fees, Unavailable):
        return _not_reported("fees", expected_account, facts, fees)
    if fees is None:
        return unknown("fees", "the exchange names none")
    coins, words = facts.coin_fees, f"taker {plain(fees.taker * 100)} %, maker {plain(fees.maker * 100)} %"
    if coins is not None and not isinstance(coins, Unavailable):
        words += f"; of coins, in which they are taken, {plain(coins.taker * 100)} % and {plain(coins.maker * 100)} %"
    return green("fees", words)


DISK_LOW_BYTES = 1024**3
DISK_FULL_BYTES = 100 * 1024**2


def durability(free_bytes: int | None, database: DatabaseFacts | None = None) -> Check:
    """`free_bytes`: of the disk that the journal is on; None: it cannot be looked at, as on Postgres."""
    if database is not None:
        return _in_database(database)
    if free_bytes is None:
        return unknown(
            "durability", "how full the journal's disk is cannot be seen from here; watch the database's own"
        )
    free = f"the journal's disk has {megabytes(free_bytes)} free"
    fix = "make room or give the journal a larger disk; KEEP_DAYS says for how long finished signals are kept"
    if free_bytes < DISK_FULL_BYTES:
        return red("durability", f"{free}: once it is full, alerts are answered 503 and nothing is executed", fix)
    return amber("durability", free, fix) if free_bytes < DISK_LOW_BYTES else green("durability", free)


def _in_database(database: DatabaseFacts) -> Check:
    owned, room = database.owned_by_owner, database.room
    if database.problem:
        fix = "see DATABASE_URL; until the journal can be used, alerts are answered 503 and nothing is executed"
        return red("durability", database.problem, fix)
    if not database.is_flushed:
        lost = "a crash of the database's machine loses alerts that were answered, and orders at the exchange"
        return red("durability", f"{lost}: fsync is off", "turn fsync on in Postgres's settings")
    if owned is None:
        fix = "one that has just started takes it within seconds; where none runs, start `python -m relay worker`"
        return amber("durability", "no process executes this account just now", fix)
    if owned > room:
        crowded = f"the process that executes this account has {owned} accounts, and wishes for {room} at most"
        return amber("durability", crowded, "start another worker, or raise ACCOUNTS_PER_PROCESS")
    return green("durability", "commits are flushed to the database's disk; how full that is, is its own affair")


def megabytes(count: int) -> str:
    """In steps of 10 MB, so that what is shown does not change with every write."""
    return f"{count // 10_000_000 * 10:,} MB" if count < 10_000_000_000 else f"{count // 1_000_000_000:,} GB"


def _shown(symbols: Sequence[str]) -> str:
    more = len(symbols) - _SHOWN_MAX
    return ", ".join(symbols[:_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")


# The points about the way to the exchange and the key. Pure: from what was read to points.
#
# Which refusal proves what follows the order in which the exchange checks a request: the key (10003), the time
# (10002),
# the signature (10004), then whether the key is still good (33004), used from the right address (10010), and allowed
# to
# (10005). Source: docs/v5/error.mdx.


MENU = "Account & Security → API Management"
_KEY_CODES = frozenset({10003, 10007})
_SIGNATURE_CODES = frozenset({10004})
_EXPIRED_CODES = frozenset({33004, -2015})
_ADDRESS_CODES = frozenset({10010})
_PERMISSION_CODES = frozenset({10005})
_REGION_CODES = frozenset({403, 10009, 10024})
_SOON_DAYS = 14
_AHEAD_MS = 1000
"""How far a timestamp may be ahead of the exchange's clock. Source: docs/v5/guide.mdx, "Authentication"."""
_NEEDED = frozenset({"Order", "Position"})
_TRADING = frozenset({"Spot", "Options", "Derivatives"})
_IDLE = frozenset({"CopyTrading", "BlockTrade", "NFT", "Affiliate"})
"""Sets of permissions that cannot spend. Whatever is in neither list can, for all that is known here."""
_UNAVAILABLE_CODES = frozenset({404, 10017, 10032})
_HOURS_BELOW = 48

_SITES = {
    Environment.PAPER: "the paper exchange",
    Environment.DEMO: "bybit.com with Demo Trading switched on",
    Environment.TESTNET: "testnet.bybit.com",
    Environment.MAINNET: "bybit.com",
}


def key_checks(expected_account: ExpectedAccount, facts: AccountFacts) -> Iterator[Check]:
    """From `host` to `transfer_permission`."""
    codes = _codes(facts)
    yield _host(expected_account, facts)
    yield _region(facts)
    yield _clock(expected_account, facts)
    yield _key(expected_account, facts, codes)
    yield _signature(expected_account, facts, codes)
    yield _expiry(expected_account, facts, codes)
    yield _ip(expected_account, facts, codes)
    yield _trade(expected_account, facts, codes)
    if expected_account.trades_coins and not isinstance(facts.key, Unavailable):
        yield _coins(facts.key)
    for name, of in _OF_KEY.items():
        yield _of_key(name, expected_account, facts, of)


def _signed(facts: AccountFacts) -> list[Reported[object]]:
    """The answers to signed requests."""
    positions = (reported for _, reported in facts.positions)
    return [facts.wallet, facts.mode, *positions, facts.key, facts.fees]


def _codes(facts: AccountFacts) -> frozenset[int]:
    return frozenset(each.code for each in _signed(facts) if isinstance(each, Unavailable) and each.code is not None)


def _was_served(facts: AccountFacts) -> bool:
    return any(not isinstance(each, Unavailable) for each in _signed(facts))


def _all(facts: AccountFacts) -> list[Reported[object]]:
    return [facts.clock_ahead_ms, facts.listed, facts.wallet, facts.mode, facts.key]


def _first_unavailable(facts: AccountFacts) -> Unavailable:
    return next(each for each in _all(facts) if isinstance(each, Unavailable))


def _host(expected_account: ExpectedAccount, facts: AccountFacts) -> Check:
    way = str(expected_account.way)
    if any(not isinstance(each, Unavailable) or each.code is not None for each in _all(facts)):
        return green("host", f"{expected_account.host} answers{way and f', {way}'}")
    return red(
        "host",
        f"{expected_account.host} does not answer{way and f' {way}'}: {_first_unavailable(facts).words}",
        "see whether this machine reaches the internet and whether BYBIT_URL, if it is set, is right"
        + (f", and whether {way} is the right way" if way else ""),
    )


def _region(facts: AccountFacts) -> Check:
    refused = [each for each in _all(facts) if isinstance(each, Unavailable) and each.code in _REGION_CODES]
    if refused:
        return red(
            "region",
            f"the exchange does not serve this address: {refused[0].words}",
            "run the relay in an EU region (US and mainland-China addresses are blocked); where your country has a "
            "host of its own, such as https://api.bybit.kz, set BYBIT_URL to it (bybit.eu gives no keys for one's "
            "own programs)",
        )
    if all(isinstance(each, Unavailable) and each.code is None for each in _all(facts)):
        return unknown("region", "the host does not answer")
    return green("region", "this address is served")


def _clock(expected_account: ExpectedAccount, facts: AccountFacts) -> Check:
    ahead = facts.clock_ahead_ms
    if isinstance(ahead, Unavailable):
        return unknown("clock", ahead)
    window = expected_account.recv_window_ms
    off = f"this machine's clock is {abs(ahead)} ms {'behind' if ahead > 0 else 'ahead'}"
    fix = "let this machine keep its time by NTP (timedatectl set-ntp true); the relay corrects for it until then"
    if abs(ahead) > window:
        return red("clock", f"{off}, more than the recv_window of {window} ms", fix)
    if -ahead >= _AHEAD_MS:
        return amber("clock", f"{off}, and the exchange takes less than {_AHEAD_MS} ms", fix)
    return green("clock", f"within the recv_window: {abs(ahead)} ms off")


def _key(expected_account: ExpectedAccount, facts: AccountFacts, codes: frozenset[int]) -> Check:
    site = _SITES[expected_account.environment]
    if codes & _KEY_CODES:
        return red(
            "key",
            f"the exchange does not know the key {expected_account.key_end} in {expected_account.environment} (10003)",
            f"keys of mainnet, testnet and their demos differ: make one on {site} under {MENU}, or set BYBIT_ENV "
            "(and BYBIT_URL) to where this one was made",
        )
    later = _SIGNATURE_CODES | _EXPIRED_CODES | _ADDRESS_CODES | _PERMISSION_CODES
    if _was_served(facts) or codes & later:
        return green("key", f"the key {expected_account.key_end} is known in {expected_account.environment}")
    return unknown("key", _why_unsigned(facts))


def _why_unsigned(facts: AccountFacts) -> Unavailable:
    return next(each for each in _signed(facts) if isinstance(each, Unavailable))


def _signature(expected_account: ExpectedAccount, facts: AccountFacts, codes: frozenset[int]) -> Check:
    if codes & _SIGNATURE_CODES:
        return red(
            "signature",
            f"the secret does not belong to the key {expected_account.key_end} (10004)",
            "copy BYBIT_API_SECRET again; of a self-generated key it is the RSA private key whose public half was "
            f"pasted under {MENU}; a system-generated secret is shown once only, so make a new key",
        )
    if _was_served(facts):
        return green("signature", "the exchange takes what the secret signs")
    return unknown("signature", _why_unsigned(facts))


def _expiry(expected_account: ExpectedAccount, facts: AccountFacts, codes: frozenset[int]) -> Check:
    fix = f"make a new key under {MENU}; one that is bound to this machine's address does not expire"
    if codes & _EXPIRED_CODES:
        return red("expiry", f"the key {expected_account.key_end} has expired (33004)", fix)
    key = facts.key
    if isinstance(key, Unavailable):
        return _not_reported("expiry", expected_account, facts, key)
    left = time_left(key, datetime.fromtimestamp(facts.now_ms / 1000, UTC))
    if left is None:
        return green("expiry", "the key does not expire")
    if left < timedelta(0) or (not left and key.days_left is None):
        return red("expiry", f"the key {expected_account.key_end} is past its last day", fix)
    if left.days < _SOON_DAYS:
        return amber("expiry", f"the key expires {in_time(left)}", fix)
    return green("expiry", f"the key is good for {left.days} more days")


def in_time(left: timedelta) -> str:
    """In days, or in hours where there are few."""
    hours = left // timedelta(hours=1)
    if hours < _HOURS_BELOW:
        return f"in {_counted(hours, 'hour')}" if hours else "within the hour"
    return f"in {_counted(left.days, 'day')}"


def _counted(number: int, thing: str) -> str:
    return f"1 {thing}" if number == 1 else f"{number} {thing}s"


def _ip(expected_account: ExpectedAccount, facts: AccountFacts, codes: frozenset[int]) -> Check:
    proxy = expected_account.way.proxy
    ours = f"the one of the proxy {proxy}" if proxy else (facts.own_address or "unknown")
    if codes & _ADDRESS_CODES:
        return red(
            "ip",
            f"the key {expected_account.key_end} is bound to other addresses (10010); this machine's is {ours}",
            f"add the address that this machine has towards the internet to the key under {MENU} → Edit (behind a "
            "router that is not the one named here)",
        )
    key = facts.key
    if isinstance(key, Unavailable):
        return _not_reported("ip", expected_account, facts, key)
    if key.addresses:
        only = ", which is the address that the exchange sees" if len(key.addresses) == 1 else ""
        return green("ip", f"bound to {', '.join(key.addresses)}{only}")
    return amber(
        "ip",
        "the key works from any address, and such a key expires after three months",
        f"bind it to this machine's address ({ours}, or what your router shows) under {MENU} → Edit",
    )


def _trade(expected_account: ExpectedAccount, facts: AccountFacts, codes: frozenset[int]) -> Check:
    name, key = "trade_permission", facts.key
    fix = f"tick Orders and Positions of Contract (Unified Trading) under {MENU} → Edit"
    if isinstance(key, Unavailable):
        if codes & _PERMISSION_CODES:
            return red(name, f"the key {expected_account.key_end} is not permitted to ask or order (10005)", fix)
        return _not_reported(name, expected_account, facts, key)
    lacking = sorted(_NEEDED - key.contract_permissions)
    if lacking:
        return red(name, f"the key may not trade contracts: {' and '.join(lacking)} is not ticked", fix)
    usdc = sorted(each for each in expected_account.symbols or () if settle_coin_of(each) == "USDC")
    if usdc and not key.trades_usdc:
        message = f"{_shown(usdc)}: the key has neither Options nor Derivatives, which USDC perpetuals need"
        return amber(name, message, f"tick USDC Contracts (or Derivatives) under {MENU} → Edit")
    rest = "" if key.trades_usdc else "; not of USDC perpetuals (neither Options nor Derivatives is ticked)"
    return green(name, f"orders and positions of contracts{rest}")


def _coins(key: KeyRights) -> Check:
    if "SpotTrade" in key.other_permissions.get("Spot", ()):
        return green("spot_permission", "orders for coins")
    return red("spot_permission", "the key may not trade coins: SpotTrade is not ticked", f"tick Spot under {MENU}")


def _read_only(expected_account: ExpectedAccount, key: KeyRights) -> Check:
    if key.read_only:
        return red("read_only", "the key is read-only", f"choose Read-Write under {MENU} → Edit")
    return green("read_only", "the key may read and write")


def _withdraw(expected_account: ExpectedAccount, key: KeyRights) -> Check:
    if not key.may_withdraw:
        return green("withdraw_permission", "the key cannot withdraw")
    return _wide("withdraw_permission", expected_account, "the key may withdraw (Withdraw)", "Withdrawal")


def _transfer(expected_account: ExpectedAccount, key: KeyRights) -> Check:
    if not key.transfers:
        return green("transfer_permission", "the key cannot transfer")
    what = f"the key may move money between accounts ({', '.join(key.transfers)})"
    return _wide("transfer_permission", expected_account, what, "Account Transfer and Subaccount Transfer")


def _other(expected_account: ExpectedAccount, key: KeyRights) -> Check:
    name, spending, idle = "other_permissions", _spending(key), _sets(key, lambda each: each in _IDLE)
    if spending:
        what = f"the key may do more than trade ({spending})"
        return _wide(name, expected_account, what, "everything but Contract", starts=True)
    if idle:
        return amber(name, f"the key may also do what the relay never does ({idle})", f"untick it under {MENU} → Edit")
    return green(name, "the key can do nothing else")


def _spending(key: KeyRights) -> str:
    return _sets(key, lambda each: each not in _IDLE and each not in _TRADING)


def _sets(key: KeyRights, chosen: Callable[[str], bool]) -> str:
    found = sorted((name, words) for name, words in key.other_permissions.items() if chosen(name))
    return "; ".join(f"{name}: {', '.join(sorted(words))}" for name, words in found)


_OF_KEY = {"read_only": _read_only, "withdraw_permission": _withdraw, "transfer_permission": _transfer}


def _of_key(
    name: str,
    expected_account: ExpectedAccount,
    facts: AccountFacts,
    of: Callable[[ExpectedAccount, KeyRights], Check],
) -> Check:
    if isinstance(facts.key, Unavailable):
        return _not_reported(name, expected_account, facts, facts.key)
    return of(expected_account, facts.key)


def _wide(name: str, expected_account: ExpectedAccount, what: str, boxes: str, *, starts: bool = False) -> Check:
    """Nothing the relay does needs it; whoever gets hold of the key can empty the account."""
    fix = f"untick {boxes} under {MENU} → Edit"
    if not expected_account.environment.is_real_money:
        return amber(name, what, fix)
    if expected_account.allow_wide_key:
        return amber(name, f"{what}; ALLOW_WIDE_KEY lets it pass", fix)
    rest = "on mainnet nothing is opened with it" if starts else "mainnet does not start with such a key"
    return red(name, f"{what}, and {rest}", f"{fix}, or set ALLOW_WIDE_KEY=1")


def _not_reported(name: str, expected_account: ExpectedAccount, facts: AccountFacts, why: Unavailable) -> Check:
    """Where the demo environment has no answer to a question; anywhere else it is merely not known yet."""
    is_unavailable = why.code in _UNAVAILABLE_CODES or (why.code is None and "HTTP 404" in why.words)
    if is_unavailable and expected_account.environment is Environment.DEMO and _was_served(facts):
        return amber(name, "the demo environment does not tell this; see it where the key was made")
    return unknown(name, why)


# The connection checklist of an account. Pure: from what was read to a report.


def judge(expected_account: ExpectedAccount, facts: AccountFacts) -> Report:
    """Every point of `NAMES`, once and in this order."""
    checks = (
        *key_checks(expected_account, facts),
        *account_checks(expected_account, facts),
        _of_key("other_permissions", expected_account, facts, _other),
        durability(facts.free_disk_bytes, facts.database),
    )
    assert tuple(each.name for each in checks if each.name != "spot_permission") == NAMES, "every point has its place"
    return Report(checks=checks)


def refuse_wide_key(expected_account: ExpectedAccount, key: KeyRights) -> None:
    """Raises SettingsInvalid where real money would be traded with a key that can take it away."""
    if not expected_account.environment.is_real_money or expected_account.allow_wide_key:
        return
    rights = [*(["withdraw"] if key.may_withdraw else []), *(["transfer"] if key.transfers else [])]
    if rights:
        raise SettingsInvalid(
            [
                f"BYBIT_API_KEY: the key {expected_account.key_end} may {' and '.join(rights)}; on mainnet it should "
                "have orders and positions of contracts only (Account & Security → API Management → Edit), or set "
                "ALLOW_WIDE_KEY=1"
            ]
        )


def withheld_by(expected_account: ExpectedAccount, key: KeyRights) -> Reason | None:
    """Why nothing may be opened with the key: real money, and it can do more than trade. Exits go on."""
    if not expected_account.environment.is_real_money or expected_account.allow_wide_key:
        return None
    spending = "; ".join(filter(None, (", ".join(sorted(key.wallet_permissions)), _spending(key))))
    if not spending:
        return None
    message = (
        f"the key {expected_account.key_end} may do more than trade ({spending}), so nothing is opened with it: "
        f"untick that under {MENU} → Edit, or set ALLOW_WIDE_KEY=1"
    )
    return Reason(code="EXCHANGE_KEY", message=message)
