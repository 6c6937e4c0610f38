"""What the accounts' keys may do, looked at before anything listens."""

from __future__ import annotations

import logging

from relay.checkup import patient_for
from relay.errors import ExchangeAnswered, ExchangeUnreachable
from relay.settings import Settings
from relay.wiring_accounts import exchanges_of

log = logging.getLogger(__name__)


def refuse_wide_keys(settings: Settings) -> None:
    """For real money, before anything listens. Raises SettingsInvalid for a key that may withdraw or transfer.

    Where the exchange cannot be asked now, the start asks again, and executes nothing before it was told.
    """
    if not settings.environment.is_real_money:
        return
    for account, exchange in zip(settings.accounts, exchanges_of(settings).values(), strict=True):
        try:
            patient_for(settings, account, exchange, None).refuse_wide_key()
        except (ExchangeUnreachable, ExchangeAnswered) as error:
            log.warning("what the key of %s may do cannot be asked yet: %s", account.name, error)
        finally:
            exchange.close()
