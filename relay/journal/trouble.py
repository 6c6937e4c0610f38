"""What a database error means: whose fault it is, in a sentence that repeats neither an address nor a password."""

from __future__ import annotations

import sqlite3
from typing import Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from relay.errors import JournalUnavailable

WHERE: Final = "the journal in Postgres"

_BY_STATE: Final = {
    "28P01": "it refuses the password of DATABASE_URL",
    "28000": "it refuses the user of DATABASE_URL, or wants TLS (add ?sslmode=require)",
    "3D000": "it has no database of the name in DATABASE_URL",
    "53300": "it has no connection left; lower DATABASE_CONNECTIONS, or take a larger plan",
    "53100": "its disk is full",
    "25006": "it is read-only just now",
    "57P01": "it is being stopped",
    "57P02": "it has crashed",
    "57P03": "it is starting or stopping",
    "57014": "it did not answer in time",
    "25P03": "the relay stood still for too long within a transaction",
    "40001": "two processes wrote the same at the same time",
    "40P01": "two processes wrote the same at the same time",
    "42501": "its user may not do that; the relay needs to own its tables",
}
"""Source: PostgreSQL's documentation, "Appendix A. PostgreSQL Error Codes"."""
_BY_WORDS: Final = (
    ("password authentication failed", _BY_STATE["28P01"]),
    ("no password supplied", "it wants a password, and DATABASE_URL has none"),
    ("no pg_hba.conf entry", _BY_STATE["28000"]),
    ("does not exist", "it has no database or no user of the name in DATABASE_URL"),
    ("remaining connection slots", _BY_STATE["53300"]),
    ("too many clients", _BY_STATE["53300"]),
    ("too many connections", _BY_STATE["53300"]),
    ("starting up", _BY_STATE["57P03"]),
    ("shutting down", _BY_STATE["57P03"]),
    ("resolve host", "the host of DATABASE_URL has no address"),
    ("Name or service not known", "the host of DATABASE_URL has no address"),
    ("Connection refused", "nothing listens at the host and port of DATABASE_URL"),
    ("No such file", "nothing listens at the socket of DATABASE_URL"),
    ("timeout expired", "the host of DATABASE_URL does not answer"),
    ("invalid", "DATABASE_URL has an option that Postgres does not know"),
)
"""A connection that never came about has no code, only libpq's words."""
_PASSING: Final = ("57P", "53300", "40001", "40P01", "08", "25P03", "25006")
_LASTING: Final = (_BY_STATE["28P01"], _BY_STATE["28000"])


def sentence_of(error: BaseException) -> str | None:
    """What is wrong with the database; None where it is the fault of the statement."""
    if isinstance(error, PoolTimeout):
        return "all its connections are taken"
    if not isinstance(error, DBAPIError):
        return None
    state = _state(error)
    if state is not None:
        known = _BY_STATE.get(state)
        return known or ("the connection was lost" if state[:2] in ("08", "57") else None)
    words = str(error.orig)
    found = next((sentence for part, sentence in _BY_WORDS if part in words), None)
    if found is not None and _is_operational(error):
        return found
    return "it cannot be reached" if error.connection_invalidated or _is_operational(error) else None


def postgres_unavailable(error: BaseException) -> JournalUnavailable | None:
    if isinstance(error, JournalUnavailable):
        return error
    why = sentence_of(error)
    return None if why is None else JournalUnavailable(f"{WHERE} cannot be used: {why}")


def is_passing(error: BaseException) -> bool:
    """The same may succeed a moment later, on another connection."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = _state(error)
    if state is not None:
        return state.startswith(_PASSING)
    why = sentence_of(error)
    return why is not None and why not in _LASTING


def _state(error: DBAPIError) -> str | None:
    state = getattr(error.orig, "sqlstate", None)
    return state if isinstance(state, str) else None


def _is_operational(error: DBAPIError) -> bool:
    return type(error.orig).__name__ in ("OperationalError", "ConnectionTimeout", "InterfaceError")


_SENTENCES = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "reading or writing the disk failed",
    sqlite3.SQLITE_READONLY: "the file or its directory is read-only",
    sqlite3.SQLITE_PERM: "the file or its directory may not be written by this user",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened or created; is its directory there, and writable?",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; restore it from a backup",
    sqlite3.SQLITE_NOTADB: "the file is not a journal of the relay, or is damaged",
    sqlite3.SQLITE_BUSY: "another program keeps it locked",
    sqlite3.SQLITE_LOCKED: "another program keeps it locked",
    sqlite3.SQLITE_PROTOCOL: "another program keeps it locked",
    sqlite3.SQLITE_NOMEM: "the machine has no memory left",
}


def sqlite_code(error: BaseException) -> int | None:
    """SQLite's primary result code behind `error`, if there is one."""
    original = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(original, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def is_busy(error: BaseException) -> bool:
    """Somebody else has the lock; trying again may help."""
    return sqlite_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)


def is_io_error(error: BaseException) -> bool:
    """After this a commit may have taken effect or not."""
    return sqlite_code(error) == sqlite3.SQLITE_IOERR


def as_unavailable(error: BaseException, where: str) -> JournalUnavailable | None:
    """The journal's trouble in words, or None where the error is the fault of the statement."""
    if isinstance(error, JournalUnavailable):
        return error
    code = sqlite_code(error)
    if code in _SENTENCES:
        return JournalUnavailable(f"the journal {where} cannot be used: {_SENTENCES[code]}")
    return None if code is not None else postgres_unavailable(error)
