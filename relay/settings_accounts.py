"""An `[accounts.NAME]` table of RELAY_CONFIG."""

from __future__ import annotations

import json
from typing import Final

from environs import ValidationError

from relay import settings_fields as fields
from relay.settings_config_fields import referred, signing_secret
from relay.settings_fields import Secret
from relay.settings_hosts import PAPER_KEY, Environment, mismatch, rest_url, stream_url
from relay.settings_limits import Limits, read_limits
from relay.settings_reader import Reader
from relay.settings_toml import Table
from relay.settings_values import AccountSettings

Started = tuple[str, Secret, Secret]
"""The address of a paper exchange, and the key that it takes."""
STARTED: Final = "RELAY_PAPER_EXCHANGES"
"""By which `serve` tells the processes it starts where their accounts' paper exchanges are, and with which keys."""


def read_account(
    name: str, table: Table, own: AccountSettings, reader: Reader, started: Started | None
) -> tuple[AccountSettings, Limits]:
    """The account with its limits. Where the table is silent about what is no key and no host, `own` speaks.

    `started`: the paper exchange that `serve` has started for it.
    """
    environment = table.read("environment", fields.choice_of(Environment), own.environment)
    url = table.read("url", fields.host_url("https", "http"), None)
    stream = table.read("stream_url", fields.stream_url, None)
    for name_of_url, given in (("url", url), ("stream_url", stream)):
        if wrong := mismatch(environment, given):
            table.problem(name_of_url, wrong.replace("BYBIT_ENV", "environment"))
    key, secret = _keys(table, environment, reader, is_elsewhere=url is not None)
    if started is not None and environment is Environment.PAPER and url is None:
        url, key, secret = started
    limits = read_limits(table.table("limits"))
    account = AccountSettings(
        name=name,
        environment=environment,
        api_key=key,
        api_secret=secret,
        url=rest_url(environment, url),
        stream_url=stream_url(environment, stream, url),
        recv_window_ms=table.read("recv_window_ms", fields.whole(100, 60_000), own.recv_window_ms),
        referer=table.read("referer", fields.plain_text, own.referer),
        limits=limits.rules,
    )
    table.close()
    return account, limits


def _keys(
    table: Table, environment: Environment, reader: Reader, *, is_elsewhere: bool
) -> tuple[Secret | None, Secret | None]:
    """Both halves of the key. Of paper's they may be missing: a paper exchange has one that everybody knows."""
    before = len(table.problems)
    key = referred(table, "api_key", reader.text, fields.secret, None)
    secret = referred(table, "api_secret", reader.text, signing_secret, None)
    is_sound = len(table.problems) == before
    if is_sound and (environment is not Environment.PAPER or (key is None) != (secret is None)):
        for half, found in (("api_key", key), ("api_secret", secret)):
            if found is None:
                table.problem(
                    f"{half}_env",
                    f"it is missing; it should name the environment variable of the {environment} account's "
                    f"{half}, or {half}_file a file",
                )
    if key is None and secret is None and is_elsewhere and environment is Environment.PAPER:
        return Secret(PAPER_KEY[0]), Secret(PAPER_KEY[1])
    return key, secret


def started_exchanges(reader: Reader) -> dict[str, Started]:
    """The paper exchanges that `serve` has started: by account the address and the key."""
    found = reader.read(STARTED, _started, {})
    return {} if found is None else found


def _started(text: str) -> dict[str, Started]:
    try:
        return {name: (url, Secret(key), Secret(secret)) for name, (url, key, secret) in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError):
        raise ValidationError("it is `serve`'s own; it should not be set") from None
