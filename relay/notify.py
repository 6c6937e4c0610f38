"""Delivers notices to the services that NOTIFY_URLS names, through Apprise. Slow by nature: for a thread of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from relay.errors import SettingsInvalid
from relay.settings_notify import NotifyTarget

log = logging.getLogger(__name__)

TITLE = "relay"


class Service:
    """One address. `send` may take as long as the service lets it wait."""

    def __init__(self, target: NotifyTarget) -> None:
        """Raises SettingsInvalid for an address that Apprise does not know."""
        # Imported only where it is configured: it takes longer than all the rest of the start.
        from apprise import Apprise

        self.target = target
        self.name = target.scheme
        self._apprise = Apprise()
        if not self._apprise.add(target.url.reveal()):
            raise SettingsInvalid(
                [
                    f"NOTIFY_URLS: the address that begins with {target.scheme}:// is none that Apprise knows; "
                    "see https://appriseit.com/services/ for how it should look"
                ]
            )

    def send(self, text: str, *, title: str = TITLE) -> bool:
        """Whether the service took it."""
        return bool(self._apprise.notify(body=text, title=title))


def open_services(targets: Iterable[NotifyTarget]) -> tuple[Service, ...]:
    """Raises SettingsInvalid with every address that does not do."""
    services: list[Service] = []
    problems: list[str] = []
    for target in targets:
        try:
            services.append(Service(target))
        except SettingsInvalid as error:
            problems += error.problems
    if problems:
        raise SettingsInvalid(problems)
    return tuple(services)
