"""When an alert says that it left: RFC 3339, Unix seconds or Unix milliseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from relay.alerts.number import read_number
from relay.alerts.wording import shown

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = datetime(2010, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)
_MILLISECONDS_FROM = 100_000_000_000  # as seconds this would be the year 5138
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)
_UNIX = re.compile(r"\d{1,20}(\.\d{1,9})?", re.ASCII)
_RIGHT = "must be `{{timenow}}`, a time such as 2025-01-31T12:00:00Z, or Unix seconds or milliseconds"


def read_moment(text: str) -> datetime:
    """The time that `text` spells, aware UTC, to the millisecond. A time without a zone is UTC, as TradingView's are.

    ValueError's words continue a sentence that begins with the field's name.
    """
    if _UNIX.fullmatch(text):
        moment = _from_unix(text)
    elif _RFC_3339.fullmatch(text):
        moment = _from_rfc_3339(text)
    else:
        raise ValueError(f"{_RIGHT}, not {shown(text)}")
    if moment is None or not _EARLIEST <= moment < _LATEST:
        raise ValueError(f"{_RIGHT}; {shown(text)} is no time between 2010 and 2100")
    return moment


def _from_unix(text: str) -> datetime | None:
    number = read_number(text)
    milliseconds = int(number if number >= _MILLISECONDS_FROM else number * 1000)
    try:
        return EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None


def _from_rfc_3339(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.upper())
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def unix_ms(moment: datetime) -> int:
    """Unix milliseconds of an aware time."""
    return (moment - EPOCH) // timedelta(milliseconds=1)
