"""The points about the way to the exchange and the key. Pure: from what was read to points.

Which refusal proves what follows the order in which the exchange checks a request: the key (10003), the time (10002),
the signature (10004), then whether the key is still good (33004), used from the right address (10010), and allowed to
(10005). Source: docs/v5/error.mdx.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from relay.exchange.account_facts import Facts, Subject, Told, Untold
from relay.exchange.account_point import Point, amber, green, red, unknown
from relay.exchange.wire.standing import KeyRights
from relay.settings import Environment

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

_SITES = {
    Environment.PAPER: "the paper exchange",
    Environment.DEMO: "bybit.com with Demo Trading switched on",
    Environment.TESTNET: "testnet.bybit.com",
    Environment.MAINNET: "bybit.com",
}


def key_points(subject: Subject, facts: Facts) -> Iterator[Point]:
    """From `host` to `transfer_permission`."""
    codes = _codes(subject, facts)
    yield _host(subject, facts)
    yield _region(facts)
    yield _clock(subject, facts)
    yield _key(subject, facts, codes)
    yield _signature(subject, facts, codes)
    yield _expiry(subject, facts, codes)
    yield _ip(subject, facts, codes)
    yield _trade(subject, facts, codes)
    yield _read_only(subject, facts)
    yield _withdraw(subject, facts)
    yield _transfer(subject, facts)


def _signed(subject: Subject, facts: Facts) -> list[Told[object]]:
    """The answers to signed requests. What the demo environment does not have proves nothing about its key."""
    always: list[Told[object]] = [facts.wallet, facts.mode, *(told for _, told in facts.positions)]
    return always if subject.environment is Environment.DEMO else [*always, facts.key, facts.fees]


def _codes(subject: Subject, facts: Facts) -> frozenset[int]:
    return frozenset(
        each.code for each in _signed(subject, facts) if isinstance(each, Untold) and each.code is not None
    )


def _was_served(subject: Subject, facts: Facts) -> bool:
    return any(not isinstance(each, Untold) for each in _signed(subject, facts))


def _all(facts: Facts) -> list[Told[object]]:
    return [facts.clock_ahead_ms, facts.listed, facts.wallet, facts.mode, facts.key]


def _first_untold(facts: Facts) -> Untold:
    return next(each for each in _all(facts) if isinstance(each, Untold))


def _host(subject: Subject, facts: Facts) -> Point:
    if any(not isinstance(each, Untold) or each.code is not None for each in _all(facts)):
        return green("host", f"{subject.host} answers")
    return red(
        "host",
        f"{subject.host} does not answer: {_first_untold(facts).words}",
        "see whether this machine reaches the internet and whether BYBIT_URL, if it is set, is right",
    )


def _region(facts: Facts) -> Point:
    refused = [each for each in _all(facts) if isinstance(each, Untold) and each.code in _REGION_CODES]
    if refused:
        return red(
            "region",
            f"the exchange does not serve this address: {refused[0].words}",
            "run the relay in an EU region (US and mainland-China addresses are blocked); where your country has a "
            "host of its own, such as https://api.bybit.eu, set BYBIT_URL to it",
        )
    if all(isinstance(each, Untold) and each.code is None for each in _all(facts)):
        return unknown("region", "the host does not answer")
    return green("region", "this address is served")


def _clock(subject: Subject, facts: Facts) -> Point:
    ahead = facts.clock_ahead_ms
    if isinstance(ahead, Untold):
        return unknown("clock", ahead)
    window = subject.recv_window_ms
    off = f"this machine's clock is {abs(ahead)} ms {'behind' if ahead > 0 else 'ahead'}"
    fix = "let this machine keep its time by NTP (timedatectl set-ntp true); the relay corrects for it until then"
    if abs(ahead) > window:
        return red("clock", f"{off}, more than the recv_window of {window} ms", fix)
    if -ahead >= _AHEAD_MS:
        return amber("clock", f"{off}, and the exchange takes less than {_AHEAD_MS} ms", fix)
    return green("clock", f"within the recv_window: {abs(ahead)} ms off")


def _key(subject: Subject, facts: Facts, codes: frozenset[int]) -> Point:
    site = _SITES[subject.environment]
    if codes & _KEY_CODES:
        return red(
            "key",
            f"the exchange does not know the key {subject.key_end} in {subject.environment} (10003)",
            f"keys of mainnet, testnet and their demos differ: make one on {site} under {MENU}, or set BYBIT_ENV "
            "(and BYBIT_URL) to where this one was made",
        )
    later = _SIGNATURE_CODES | _EXPIRED_CODES | _ADDRESS_CODES | _PERMISSION_CODES
    if _was_served(subject, facts) or codes & later:
        return green("key", f"the key {subject.key_end} is known in {subject.environment}")
    return unknown("key", _why_unsigned(subject, facts))


def _why_unsigned(subject: Subject, facts: Facts) -> Untold:
    return next(each for each in _signed(subject, facts) if isinstance(each, Untold))


def _signature(subject: Subject, facts: Facts, codes: frozenset[int]) -> Point:
    if codes & _SIGNATURE_CODES:
        return red(
            "signature",
            f"the secret does not belong to the key {subject.key_end} (10004)",
            "copy BYBIT_API_SECRET again; of a self-generated key it is the RSA private key whose public half was "
            f"pasted under {MENU}; a system-generated secret is shown once only, so make a new key",
        )
    if _was_served(subject, facts):
        return green("signature", "the exchange takes what the secret signs")
    return unknown("signature", _why_unsigned(subject, facts))


def _expiry(subject: Subject, facts: Facts, codes: frozenset[int]) -> Point:
    fix = f"make a new key under {MENU}; one that is bound to this machine's address does not expire"
    if codes & _EXPIRED_CODES:
        return red("expiry", f"the key {subject.key_end} has expired (33004)", fix)
    key = facts.key
    if isinstance(key, Untold):
        return _not_told("expiry", subject, facts, key)
    days = _days_left(key, facts.now_ms)
    if days is None:
        return green("expiry", "the key does not expire")
    if days <= 0:
        return red("expiry", f"the key {subject.key_end} is past its last day", fix)
    if days < _SOON_DAYS:
        return amber("expiry", f"the key expires in {_counted(days, 'day')}", fix)
    return green("expiry", f"the key is good for {days} more days")


def _days_left(key: KeyRights, now_ms: int) -> int | None:
    """Whole days; None: no end is named."""
    if key.expires_at is not None:
        return (key.expires_at - datetime.fromtimestamp(now_ms / 1000, UTC)).days
    return key.days_left


def _counted(number: int, thing: str) -> str:
    return f"1 {thing}" if number == 1 else f"{number} {thing}s"


def _ip(subject: Subject, facts: Facts, codes: frozenset[int]) -> Point:
    ours = facts.own_address or "unknown"
    if codes & _ADDRESS_CODES:
        return red(
            "ip",
            f"the key {subject.key_end} is bound to other addresses (10010); this machine's is {ours}",
            f"add the address that this machine has towards the internet to the key under {MENU} → Edit (behind a "
            "router that is not the one named here)",
        )
    key = facts.key
    if isinstance(key, Untold):
        return _not_told("ip", subject, facts, key)
    if key.addresses:
        return green("ip", f"bound to {', '.join(key.addresses)}")
    return amber(
        "ip",
        "the key works from any address, and such a key expires after three months",
        f"bind it to this machine's address ({ours}, or what your router shows) under {MENU} → Edit",
    )


def _trade(subject: Subject, facts: Facts, codes: frozenset[int]) -> Point:
    fix = f"tick Orders and Positions of Contract (Unified Trading) under {MENU} → Edit"
    key = facts.key
    if isinstance(key, Untold):
        if codes & _PERMISSION_CODES:
            return red("trade_permission", f"the key {subject.key_end} is not permitted to ask or order (10005)", fix)
        return _not_told("trade_permission", subject, facts, key)
    lacking = sorted(_NEEDED - key.contract_permissions)
    if lacking:
        return red("trade_permission", f"the key may not trade contracts: {' and '.join(lacking)} is not ticked", fix)
    return green("trade_permission", "orders and positions of contracts")


def _read_only(subject: Subject, facts: Facts) -> Point:
    key = facts.key
    if isinstance(key, Untold):
        return _not_told("read_only", subject, facts, key)
    if key.read_only:
        return red("read_only", "the key is read-only", f"choose Read-Write under {MENU} → Edit")
    return green("read_only", "the key may read and write")


def _withdraw(subject: Subject, facts: Facts) -> Point:
    key = facts.key
    if isinstance(key, Untold):
        return _not_told("withdraw_permission", subject, facts, key)
    if not key.may_withdraw:
        return green("withdraw_permission", "the key cannot withdraw")
    return _wide("withdraw_permission", subject, "the key may withdraw (Withdraw)", "Withdrawal")


def _transfer(subject: Subject, facts: Facts) -> Point:
    key = facts.key
    if isinstance(key, Untold):
        return _not_told("transfer_permission", subject, facts, key)
    if not key.transfers:
        return green("transfer_permission", "the key cannot transfer")
    what = f"the key may move money between accounts ({', '.join(key.transfers)})"
    return _wide("transfer_permission", subject, what, "Account Transfer and Subaccount Transfer")


def _wide(name: str, subject: Subject, what: str, boxes: str) -> Point:
    """Nothing the relay does needs it; whoever gets hold of the key can empty the account."""
    fix = f"untick {boxes} (Wallet or Assets) under {MENU} → Edit"
    if not subject.environment.is_real_money:
        return amber(name, what, fix)
    if subject.allow_wide_key:
        return amber(name, f"{what}; ALLOW_WIDE_KEY lets it pass", fix)
    return red(name, f"{what}, and mainnet does not start with such a key", f"{fix}, or set ALLOW_WIDE_KEY=1")


def _not_told(name: str, subject: Subject, facts: Facts, why: Untold) -> Point:
    """The demo environment does not tell what its keys may do; anywhere else it is merely not known yet."""
    if subject.environment is Environment.DEMO and _was_served(subject, facts):
        return amber(name, "the demo environment does not tell this of its keys; see it where the key was made")
    return unknown(name, why)
