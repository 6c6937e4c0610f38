"""What real money is not started with, beyond what is missing: debugging aids, and secrets that were printed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dotenv import dotenv_values

from relay.settings_fields import Secret
from relay.settings_reader import Reader

_OFF = ("", "0", "false", "no", "off")
_DEBUGGING = ("FLASK_DEBUG", "PYTHONDEVMODE", "WERKZEUG_DEBUG_PIN")


def mainnet_problems(reader: Reader, secrets: Iterable[Secret | None], journal: Path | None) -> list[str]:
    """`journal`: the SQLite file, beside which `serve` keeps what it made up for paper and has printed."""
    problems = [
        f"{name}: it is set, and debugging aids show what nobody should see; remove it for mainnet"
        for name in _DEBUGGING
        if reader.text(name).lower() not in _OFF
    ]
    if any(secret is not None and secret.reveal() in _made_up(journal) for secret in secrets):
        problems.append(
            "WEBHOOK_SECRET, ADMIN_TOKEN or a strategy's secret: it was made up for paper, and printed; it should be a "
            "new one, "
            "for example from: openssl rand -hex 24"
        )
    return problems


def _made_up(journal: Path | None) -> set[str]:
    """What cannot be read is said by whoever needs it."""
    if journal is None:
        return set()
    try:
        kept = dotenv_values(journal.with_name(f"{journal.name}.secrets"))
    except (OSError, UnicodeDecodeError):
        return set()
    return {value for name, value in kept.items() if value and name.endswith("_PAPER")}
