"""Identities of signals: short, unguessable and in order of time."""

from __future__ import annotations

import secrets

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 26
_RANDOM_BITS = 80


def new_signal_id(now_ms: int) -> str:
    """26 characters of lower-case Crockford base32: 48 bits of Unix milliseconds, then 80 random bits.

    Ids of later milliseconds sort after earlier ones.
    """
    assert 0 <= now_ms < 1 << 48, f"not Unix milliseconds: {now_ms}"
    number = now_ms << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    return "".join(_ALPHABET[number >> shift & 31] for shift in range((_LENGTH - 1) * 5, -1, -5))
