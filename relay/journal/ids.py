"""Identities of signals: short, unguessable and in order of time."""

from __future__ import annotations

import secrets

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_LENGTH = 26
_RANDOM_BITS = 80


def new_signal_id(now_ms: int) -> str:
    """26 characters of lower-case Crockford base32: 48 bits of Unix milliseconds, then 80 random bits.

    Ids of later milliseconds sort after earlier ones.
    """
    assert 0 <= now_ms < 1 << 48, f"not Unix milliseconds: {now_ms}"
    return _spelled(now_ms << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS))


def first_id_at(at_ms: int) -> str:
    """The smallest id of that millisecond: ids of signals that came then or later do not sort before it."""
    return _spelled(at_ms << _RANDOM_BITS)


def _spelled(number: int) -> str:
    return "".join([_PAIRS[number >> shift & 1023] for shift in range((_LENGTH - 2) * 5, -1, -10)])
