"""Where the key of an account is written: which variables hold it, and in which environment it works."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from relay.cli_options import Unusable

_UNSET: Final = "not-connected-yet"
"""Stands for the keys of the other accounts while one is looked at: they are neither read nor written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The variables of one account's key."""

    account: str | None
    """None: there is one, and RELAY_CONFIG names none."""
    key: str
    secret: str
    environment: str | None
    """As RELAY_CONFIG says; None: it is asked, and BYBIT_ENV."""
    others: tuple[str, ...] = ()
    """Variables of other accounts' keys that are not set yet."""

    def stand_ins(self) -> dict[str, str]:
        return dict.fromkeys(self.others, _UNSET)


def find_place(account: str | None, dotenv: Path) -> Place:
    """Raises Unusable for an account that is not there, or whose key has no variables."""
    from dotenv import dotenv_values

    known = {**(dotenv_values(dotenv) if dotenv.is_file() else {}), **os.environ}
    tables = _accounts(str(known.get("RELAY_CONFIG") or ""))
    if not tables:
        if account not in (None, "default"):
            raise Unusable(f"--account: there is no account `{account}`; it should be default")
        return Place(account=None, key="BYBIT_API_KEY", secret="BYBIT_API_SECRET", environment=None)  # noqa: S106
    name = account or (next(iter(tables)) if len(tables) == 1 else "")
    table = tables.get(name)
    if not isinstance(table, Mapping):
        raise Unusable(f"--account: there is no account `{name}`; it should be one of {', '.join(tables)}")
    key, secret = table.get("api_key_env"), table.get("api_secret_env")
    if not isinstance(key, str) or not isinstance(secret, str):
        raise Unusable(
            f"accounts.{name}: api_key_env and api_secret_env are missing; they should name the variables that "
            "`connect` is to write"
        )
    named = {
        str(each[half])
        for each in tables.values()
        if isinstance(each, Mapping)
        for half in ("api_key_env", "api_secret_env")
        if each.get(half)
    }
    others = tuple(sorted(each for each in named - {key, secret} if not known.get(each)))
    environment = str(table.get("environment") or known.get("BYBIT_ENV") or "paper")
    return Place(account=name, key=key, secret=secret, environment=environment, others=others)


def _accounts(given: str) -> Mapping[str, Any]:
    """What is wrong with RELAY_CONFIG is told when the settings are read."""
    from relay.settings_toml import content_of

    found = content_of(given, []).get("accounts") if given else None
    return found if isinstance(found, Mapping) else {}
