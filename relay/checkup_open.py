"""The accounts of the settings, opened to be looked at by a command: beside a running relay, or without one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from decimal import Decimal

from relay.checkup import Patient, patient_for
from relay.domain.instrument import Category
from relay.errors import JournalUnavailable, SettingsInvalid
from relay.exchange.account_facts import Ownership
from relay.journal.opening import open_journal
from relay.paper_child import PaperExchange, needed
from relay.pipeline.ownership import JournalOwnership
from relay.settings import AccountSettings, Settings
from relay.wiring_accounts import exchanges_of


@contextmanager
def open_patients(settings: Settings, account: str | None) -> Iterator[list[tuple[str, Patient]]]:
    """Every account, or the one named, with its name. Raises SettingsInvalid, and PaperExchangeFailed.

    Where a paper exchange is needed and none is named, one is started for the time being.
    """
    known = [each.name for each in settings.accounts]
    if account is not None and account not in known:
        raise SettingsInvalid([f"--account: there is no account `{account}`; it should be one of {', '.join(known)}"])
    chosen = replace(settings, accounts=tuple(each for each in settings.accounts if account in (None, each.name)))
    with ExitStack() as opened:
        settled = opened.enter_context(_with_paper(chosen))
        exchanges = exchanges_of(settled)
        for exchange in exchanges.values():
            opened.callback(exchange.close)
        yield [
            (
                each.name,
                patient_for(settled, each, exchanges[each.name], opened.enter_context(_ownership(settled, each.name))),
            )
            for each in settled.accounts
        ]


@contextmanager
def _with_paper(settings: Settings) -> Iterator[Settings]:
    children = needed(settings, os.environ)
    try:
        for child in children:
            child.start()
        started = {child.account: child for child in children}
        yield replace(settings, accounts=tuple(_moved(each, started.get(each.name)) for each in settings.accounts))
    finally:
        for child in children:
            child.stop()


def _moved(account: AccountSettings, child: PaperExchange | None) -> AccountSettings:
    if child is None:
        return account
    url = child.url()
    stream_url = url.replace("http://", "ws://", 1)
    return replace(account, url=url, stream_url=stream_url, api_key=child.key, api_secret=child.secret)


@contextmanager
def _ownership(settings: Settings, account: str) -> Iterator[Ownership | None]:
    """By the journal, which is only read. None: there is no journal yet, so nothing is the relay's own."""
    path = settings.journal_path
    if path is not None and not path.exists():
        yield None
        return
    try:
        journal = open_journal(settings.database_url, lock=False)
    except JournalUnavailable as error:
        yield _Untold(str(error))
        return
    try:
        yield JournalOwnership(journal, account)
    finally:
        journal.close()


class _Untold:
    """A journal that cannot be read says nothing about what is whose."""

    def __init__(self, why: str) -> None:
        self._why = why

    def ordered(self, among: Iterable[tuple[Category, str]]) -> frozenset[tuple[Category, str]]:
        raise JournalUnavailable(self._why)

    def believed(self) -> dict[tuple[Category, str], Decimal]:
        raise JournalUnavailable(self._why)

    def moving(self) -> frozenset[tuple[Category, str]]:
        raise JournalUnavailable(self._why)

    def has_placed(self, client_order_id: str) -> bool:
        raise JournalUnavailable(self._why)
