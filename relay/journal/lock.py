"""One relay per journal: an exclusive lock on a file beside it, which the kernel gives back when the process ends."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from relay.errors import JournalBusy, JournalUnavailable

_POLL_S = 0.05


class FileLock:
    """Held from construction to `release`."""

    def __init__(self, path: Path, *, wait_s: float = 0) -> None:
        """Waits up to `wait_s` for the lock; JournalBusy names the process that has it."""
        self._descriptor = _open(path)
        give_up_at = time.monotonic() + wait_s
        while not self._try():
            if time.monotonic() >= give_up_at:
                holder = os.pread(self._descriptor, 20, 0).decode("ascii", "replace").strip()
                os.close(self._descriptor)
                raise JournalBusy(f"another relay holds this journal: process {holder or 'unknown'}, lock {path}")
            time.sleep(_POLL_S)
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """The file stays: removing it would let two relays lock two files of one name."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalUnavailable(f"the journal cannot be locked: {path}: {error.strerror}") from error
