"""A journal of SQLite that is made anew is a copy of one that was migrated: ten times quicker than to migrate it."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from unittest.mock import patch

from sqlalchemy.engine import make_url

from relay.journal import opening
from relay.journal.sqlite import JournalFile

_prepare: Final = opening._prepare


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="relay-migrated-")


@functools.cache
def journal_file() -> Path:
    """The one that is copied; nobody writes to it."""
    path = Path(_folder().name) / "relay.db"
    _prepare(JournalFile(make_url(f"sqlite:///{path}")))
    return path


def copy_to(path: Path) -> None:
    """Unless there is a journal with something in it."""
    if path.parent.is_dir() and (not path.exists() or path.stat().st_size == 0):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        shutil.copyfile(journal_file(), path)


@contextmanager
def copied() -> Iterator[None]:
    """Meanwhile this process migrates no file that is new."""

    def prepare(file: JournalFile) -> None:
        file.create()
        copy_to(file.path)
        _prepare(file)

    with patch.object(opening, "_prepare", prepare):
        yield
