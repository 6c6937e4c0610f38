"""The environment's own account: the one of the BYBIT_ variables."""

from __future__ import annotations

from typing import Final

from relay import settings_fields as fields
from relay.settings_config import NAME
from relay.settings_fields import Secret
from relay.settings_hosts import PAPER_KEY, Environment, mismatch, rest_url, stream_url
from relay.settings_reader import Reader
from relay.settings_values import AccountSettings

_KEY_PARTS: Final = {"BYBIT_API_KEY": "key", "BYBIT_API_SECRET": "secret"}


def own_account(reader: Reader) -> AccountSettings:
    """The environment's own. After a problem some of its values are None, and it is never used."""
    environment = reader.read("BYBIT_ENV", fields.choice_of(Environment), Environment.PAPER) or Environment.PAPER
    rest = reader.read("BYBIT_URL", fields.host_url("https", "http"), None)
    stream = reader.read("BYBIT_STREAM_URL", fields.stream_url, None)
    is_paper_elsewhere = environment is Environment.PAPER and rest is not None
    key, secret = map(Secret, PAPER_KEY) if is_paper_elsewhere else (None, None)
    return AccountSettings(
        name=NAME,
        environment=environment,
        api_key=reader.read("BYBIT_API_KEY", fields.secret, key),
        api_secret=reader.read("BYBIT_API_SECRET", fields.api_secret, secret),
        url=rest_url(environment, rest),
        stream_url=stream_url(environment, stream, rest),
        recv_window_ms=reader.read("BYBIT_RECV_WINDOW", fields.whole(100, 60_000), 5000),
        referer=reader.read("BYBIT_REFERER", fields.plain_text, None),
    )


def own_account_problems(reader: Reader, account: AccountSettings) -> list[str]:
    """Of the environment's own account."""
    problems = []
    environment = account.environment
    given = [name for name in _KEY_PARTS if reader.text(name)]
    if environment is not Environment.PAPER or len(given) == 1:
        problems += [
            f"{name}: it is missing; it should be the API {part} of the {environment} account, beside its other half"
            for name, part in _KEY_PARTS.items()
            if name not in given
        ]
    urls = {"BYBIT_URL": account.url, "BYBIT_STREAM_URL": account.stream_url}
    wrong = {name: mismatch(environment, url) for name, url in urls.items() if reader.text(name)}
    return problems + [f"{name}: {what}" for name, what in wrong.items() if what]
