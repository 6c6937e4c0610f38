"""What Bybit's return codes mean. Source: V5 documentation, "Error Codes" (docs/v5/error.mdx), section UTA.

Told by the code, never by the words, with one exception that the documentation leaves no code for: hedge mode.
"""

from __future__ import annotations

from relay.domain.outcome import Refusal, Rejected

HTTP_FORBIDDEN = 403
RATE_LIMIT = 10006
ADDRESS_LIMIT = 10018
"""Struck from the documentation in favour of HTTP 403, which means the same."""

_UNCERTAIN = frozenset(
    {
        429,  # the trading service is under high load
        10000,  # server timeout
        10016,  # server error, or the service is restarting
        10019,  # the trading service is restarting
        10429,  # system level frequency protection
        110079,  # the order is processing: whatever it comes to is not known yet
        170001,  # internal error
        170007,  # timeout waiting for the backend
        170032,  # network error
        170146,  # order creation timeout
        170147,  # order cancellation timeout
        170234,  # system error
        3400214,  # server error, please try again later
    }
)

_REFUSALS = {
    RATE_LIMIT: Refusal.RATE,
    ADDRESS_LIMIT: Refusal.RATE,
    -1: Refusal.CLOCK,
    10002: Refusal.CLOCK,
    10014: Refusal.ALREADY_THERE,
    110030: Refusal.ALREADY_THERE,
    110072: Refusal.ALREADY_THERE,
    110017: Refusal.NOTHING_TO_REDUCE,
    110034: Refusal.NOTHING_TO_REDUCE,
    110001: Refusal.GONE,
    110008: Refusal.GONE,
    110010: Refusal.GONE,
    34040: Refusal.UNCHANGED,
    110025: Refusal.UNCHANGED,
    110026: Refusal.UNCHANGED,
    110027: Refusal.UNCHANGED,
    110043: Refusal.UNCHANGED,
}

_REASONS = {
    "EXCHANGE_KEY": (-2015, 10003, 10004, 10005, 10007, 10010, 33004),
    "EXCHANGE_REGION": (HTTP_FORBIDDEN, 10009, 10024, 110132),
    "EXCHANGE_BALANCE": (110004, 110006, 110007, 110012, 110014, 110044, 110045, 110051, 110052, 110053),
    "NOTIONAL_BELOW_MIN": (110094,),
    "SYMBOL_NOT_TRADING": (30228, 110063, 110074),
}
_REASON_OF = {code: reason for reason, codes in _REASONS.items() for code in codes}

_HEDGE_CODE = 10001
_HEDGE_WORDS = "position idx not match position mode"


def is_uncertain(code: int) -> bool:
    """Whether the exchange says with this code that it could not tell itself: the order may be live."""
    return code in _UNCERTAIN


def refusal_of(code: int, words: str, *, retry_at_ms: int | None = None) -> Rejected:
    """What a certain refusal means. `code` is neither 0 nor uncertain; `retry_at_ms` as the exchange named it."""
    assert code != 0, "zero is no refusal"
    assert not is_uncertain(code), f"{code} says nothing for certain"
    return Rejected(
        code=code,
        words=words,
        refusal=_REFUSALS.get(code, Refusal.FINAL),
        reason_code=_reason_code(code, words),
        retry_at_ms=retry_at_ms,
    )


def _reason_code(code: int, words: str) -> str:
    # 10001 is every kind of bad parameter: only the words tell this one apart.
    if code == _HEDGE_CODE and _HEDGE_WORDS in words.lower():
        return "POSITION_MODE_HEDGE"
    return _REASON_OF.get(code, "EXCHANGE_REFUSED")
