"""Secrets that `serve` makes up where none are set, kept beside the journal so that a restart changes nothing."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Mapping, MutableMapping
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

from relay.errors import RelayError
from relay.settings import Secret, Settings

_WORD_BYTES: Final = 24
_WORD_CHARACTERS: Final = 32


class SecretsUnavailable(RelayError):
    """The file of made-up secrets cannot be read or written."""


def secrets_path(settings: Settings) -> Path | None:
    """The file beside the journal; None where the journal is no file."""
    journal = settings.journal_path
    return journal.with_name(f"{journal.name}.secrets") if journal else None


def ensure_secrets(settings: Settings, environ: MutableMapping[str, str]) -> Settings:
    """The settings with a webhook secret and an admin token; those that were missing are put into `environ`, too.

    Made up where the file does not have them yet, so it is for `serve` only. Raises SecretsUnavailable.
    """
    names, path = _missing(settings), secrets_path(settings)
    if not names or path is None:
        return settings
    kept = _keep(path, tuple(names.values()))
    found = {name: kept[in_file] for name, in_file in names.items()}
    environ.update(found)
    return _filled(settings, found)


def with_kept_secrets(settings: Settings) -> Settings:
    """The settings with what an earlier `serve` made up, if anything: for commands that talk to a running relay."""
    path = secrets_path(settings)
    if path is None or not path.is_file():
        return settings
    try:
        kept = dotenv_values(path)
    except (OSError, UnicodeDecodeError) as error:
        raise SecretsUnavailable(f"the made-up secrets in {path} cannot be read: {type(error).__name__}") from error
    found = {name: kept.get(in_file) for name, in_file in _missing(settings).items()}
    return _filled(settings, {name: value for name, value in found.items() if value})


def kept_name(settings: Settings, name: str) -> str:
    """The variable's name in the file. Real money has its own: what was made up for paper never opens mainnet."""
    return f"{name}_LIVE" if settings.environment.is_real_money else f"{name}_PAPER"


def _missing(settings: Settings) -> dict[str, str]:
    """Variables that are not set, and their names in the file."""
    absent = {"WEBHOOK_SECRET": not settings.webhook_secrets, "ADMIN_TOKEN": settings.admin_token is None}
    return {name: kept_name(settings, name) for name, is_absent in absent.items() if is_absent}


def _filled(settings: Settings, found: Mapping[str, str]) -> Settings:
    webhook, admin = found.get("WEBHOOK_SECRET"), found.get("ADMIN_TOKEN")
    return replace(
        settings,
        webhook_secrets=(Secret(webhook),) if webhook else settings.webhook_secrets,
        admin_token=Secret(admin) if admin else settings.admin_token,
    )


def _keep(path: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Reads the names from the file and adds what it lacks, under a lock: two starts at once agree on one secret."""
    try:
        # Private from its first moment on, and made private again where somebody has opened it up.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
            os.fchmod(descriptor, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            text = file.read()
            kept = {name: value for name, value in dotenv_values(stream=StringIO(text)).items() if value}
            # A shorter one was cut off while it was written; the last line of a name counts.
            added = {name: _word() for name in names if len(kept.get(name, "")) < _WORD_CHARACTERS}
            if added:
                lines = [f"{name}={word}\n" for name, word in added.items()]
                file.write(("\n" if text and not text.endswith("\n") else "") + "".join(lines))
                file.flush()
                os.fsync(descriptor)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise SecretsUnavailable(f"the made-up secrets cannot be kept in {path}: {why}") from error
    return kept | added


def _word() -> str:
    return secrets.token_urlsafe(_WORD_BYTES)
