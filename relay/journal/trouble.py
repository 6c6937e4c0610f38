"""What a database error means: whose fault it is, and a sentence for people."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError

from relay.errors import JournalUnavailable
from relay.journal.postgres_trouble import as_unavailable as as_unavailable_postgres

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
    """The journal's trouble in words, or None where the error is the fault of what was asked of it."""
    if isinstance(error, JournalUnavailable):
        return error
    code = sqlite_code(error)
    if code in _SENTENCES:
        return JournalUnavailable(f"the journal {where} cannot be used: {_SENTENCES[code]}")
    return None if code is not None else as_unavailable_postgres(error)
