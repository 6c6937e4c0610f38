"""What goes out to people: notices as messages that fit, and the services that take them, one for each recipient."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from relay.domain.notice import NEVER_COUNTED, NoticeKind
from relay.errors import SettingsInvalid
from relay.journal.notices import PendingNotice
from relay.settings.environment import NotifyTarget, Secret

# Many notices as few messages, each no longer than the service takes.


LINES_MAX: Final = 15
_LINE_CHARACTERS_MAX: Final = 400
_SHORT_ID: Final = 12
"""The first letters of a signal's id hold its millisecond; `signals ID` takes them."""
SMALLEST: Final = 140
"""Characters that every service takes."""
_ASCII_UNDER: Final = 320
"""SMS: a single letter outside its alphabet cuts the room to less than a half."""
_SPELLED: Final = str.maketrans({"…": "...", "–": "-", "—": "-", "→": "->", "×": "x", "‘": "'", "’": "'"})  # noqa: RUF001


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeMessage:
    """A text, and the notices that are delivered with it."""

    text: str
    notices: tuple[PendingNotice, ...]


def messages_of(waiting: Sequence[PendingNotice], *, limit: int, bare: bool = False) -> list[NoticeMessage]:
    """What needs a person first, each alert once; of a flood of the rest how many of which kind.

    `limit`: of one message, in UTF-16 units, as the services count. `bare`: letters and digits only, for a service that
    refuses even one short notice as it is.
    """
    groups: dict[object, list[PendingNotice]] = {}
    for each in waiting:
        groups.setdefault((each.kind, each.signal_id) if each.signal_id else each.text, []).append(each)
    ordered = sorted(groups.values(), key=lambda group: (group[0].kind != NoticeKind.ATTENTION, group[0].id))
    free = [group for group in ordered if group[0].kind not in NEVER_COUNTED]
    flood = {id(group) for group in free[LINES_MAX:]}
    lines = [(_line(group, limit), tuple(group)) for group in ordered if id(group) not in flood]
    rest = tuple(each for group in free[LINES_MAX:] for each in group)
    if rest:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(each.kind for each in rest).items()))
        text = f"{_again(rest)}… and {len(rest)} more: {kinds}; see `python -m relay signals`"
        lines.append((_cut(text, limit), rest))
    spelled = [(_spelled(text, limit, bare=bare), notices) for text, notices in lines]
    return _packed(spelled, limit)


def _packed(lines: Iterable[tuple[str, tuple[PendingNotice, ...]]], limit: int) -> list[NoticeMessage]:
    messages: list[NoticeMessage] = []
    for text, notices in lines:
        last = messages[-1] if messages else None
        if last is not None and _units(last.text) + 1 + _units(text) <= limit:
            messages[-1] = NoticeMessage(text=f"{last.text}\n{text}", notices=last.notices + notices)
        else:
            messages.append(NoticeMessage(text=text, notices=notices))
    return messages


def _line(group: Sequence[PendingNotice], limit: int) -> str:
    """Of one alert, or of one text: what happened on which accounts, and how often."""
    first = group[0]
    at = f"{datetime.fromtimestamp(first.at_ms / 1000, UTC):%H:%M:%SZ} {_again(group)}".rstrip()
    if not first.signal_id:
        times = f" ({len(group)} times)" if len(group) > 1 else ""
        return _cut(f"{at} {' '.join(first.text.split())}", min(limit, _LINE_CHARACTERS_MAX), times)
    head = first.text.partition(": ")[0]
    accounts_of: dict[str, Counter[str]] = {}
    for each in group:
        accounts_of.setdefault(" ".join(each.text.removeprefix(f"{head}: ").split()), Counter())[each.account] += 1
    said = "; ".join(what + _where(accounts) for what, accounts in accounts_of.items())
    most = min(limit, _LINE_CHARACTERS_MAX * len(accounts_of))
    whole = f"{at} {head}: {said}"
    if _units(whole) + len(first.signal_id) + 3 <= most:
        return f"{whole} [{first.signal_id}]"
    return _cut(whole, most, f" [{first.signal_id[:_SHORT_ID]}]")


def _again(group: Sequence[PendingNotice]) -> str:
    """Said of what a killed process may have sent already: no service tells."""
    return "(perhaps again) " if any(each.is_again for each in group) else ""


def _where(accounts: Counter[str]) -> str:
    names = ", ".join(sorted(filter(None, accounts)))
    times = max(accounts.values())
    return (f" on {names}" if names else "") + (f" ({times} times)" if times > 1 else "")


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "replace")) // 2


def _cut(text: str, limit: int, tail: str = "") -> str:
    """`text` so short that it fits with `tail` behind it."""
    if _units(text) + len(tail) <= limit:
        return text + tail
    # Three, because "…" is spelled with three dots where letters are few.
    text = text[: limit - len(tail) - 3]
    while _units(text) > limit - len(tail) - 3:
        text = text[:-1]
    return f"{text}…{tail}"


def _spelled(text: str, limit: int, *, bare: bool) -> str:
    if limit > _ASCII_UNDER and not bare:
        return text
    text = unicodedata.normalize("NFKD", text.translate(_SPELLED)).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9 .,:\[\]()/-]", " ", text)[:limit] if bare else text[:limit]


# Delivers to the services that NOTIFY_URLS names, through Apprise. Slow by nature: for threads of their own.


TITLE: Final = "relay"
_TITLE_ROOM: Final = 16
"""Where a service has no title of its own, Apprise puts it above the text."""
_AWAY: Final = re.compile(r"onnection|timed? ?out|unavailable|error=(?:5\d\d|429|40[134])", re.IGNORECASE)
"""Of a failure that a smaller message would not mend. Apprise reports HTTP statuses as `error=STATUS`."""


class Delivery(StrEnum):
    """What became of a message."""

    TAKEN = "taken"
    REFUSED = "refused"
    """The service is there, and did not like the text."""
    AWAY = "away"


class Service(Protocol):
    """An address where one person, or one group, reads."""

    target: NotifyTarget
    name: str
    limit: int
    """Characters of one message."""

    def send(self, text: str) -> Delivery: ...


class AppriseService:
    """One recipient. `send` may take as long as the service lets it wait."""

    def __init__(self, target: NotifyTarget, plugin: Any, name: str) -> None:
        self.target, self.name = target, name
        self.limit = max(SMALLEST, int(plugin.body_maxlen) - _TITLE_ROOM)
        self._plugin = plugin

    def send(self, text: str, *, title: str = TITLE) -> Delivery:
        """The text is said to be text: else services that speak HTML get it unescaped."""
        from apprise import Apprise

        sender = Apprise()
        sender.add(self._plugin)
        came_to = sender.notify(body=text, title=title, body_format="text")
        if came_to:
            return Delivery.TAKEN
        said = "\n".join(str(entry.message) for entry in came_to.logs())
        return Delivery.AWAY if _AWAY.search(said) else Delivery.REFUSED


def services_of(target: NotifyTarget) -> list[AppriseService]:
    """One for each recipient that the address names, so that one who is gone keeps no other waiting.

    Raises SettingsInvalid for an address that Apprise does not know.
    """
    # Imported only where it is configured: it takes longer than all the rest of the start.
    from apprise import Apprise
    from apprise.plugins import url_to_dict

    url, scheme = target.url.reveal(), target.scheme
    # Its lines say why something was not taken, and repeat addresses: they are for `send`, and in no log.
    logger = logging.getLogger("apprise")
    logger.setLevel(logging.WARNING)
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    whole = Apprise.instantiate(url)
    if whole is None:
        raise SettingsInvalid(
            [
                f"NOTIFY_URLS: the address that begins with {scheme}:// is none that Apprise knows; "
                "see https://appriseit.com/services/ for how it should look"
            ]
        )
    parsed: dict[str, Any] = url_to_dict(url) or {}  # type: ignore[no-untyped-call]
    recipients = _recipients(parsed)
    alone = [Apprise.instantiate({**parsed, "targets": [each]}) for each in recipients]
    if len(alone) < 2 or any(each is None or len(each) != 1 for each in alone):
        return [AppriseService(target, whole, scheme)]
    return [
        AppriseService(replace(target, recipient=Secret(name)), plugin, f"{scheme} ({place} of {len(alone)})")
        for place, (name, plugin) in enumerate(zip(recipients, alone, strict=True), start=1)
    ]


def _recipients(parsed: dict[str, Any]) -> list[str]:
    """Empty where there are copies too, which each message would go to again."""
    if parsed.get("cc") or parsed.get("bcc") or not isinstance(parsed.get("targets"), list | tuple | set):
        return []
    named = [part for each in parsed["targets"] for part in re.split(r"[\s,]+", str(each)) if part]
    return list(dict.fromkeys(named))


def open_services(targets: Iterable[NotifyTarget]) -> tuple[AppriseService, ...]:
    """Raises SettingsInvalid with every address that does not do."""
    services: list[AppriseService] = []
    problems: list[str] = []
    for target in targets:
        try:
            services += services_of(target)
        except SettingsInvalid as error:
            problems += error.problems
    if problems:
        raise SettingsInvalid(problems)
    return tuple(services)


def send_test(services: Sequence[Service]) -> list[tuple[str, Delivery]]:
    """What became of a test message at each recipient, all at once."""
    text = "this is a test: notices of the relay arrive here"
    with ThreadPoolExecutor(max(1, min(8, len(services))), thread_name_prefix="notify test") as threads:
        return list(threads.map(lambda each: (each.name, each.send(text)), services))
