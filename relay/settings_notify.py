"""NOTIFY_URLS: where people are told of what happens, and of which kinds of it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from environs import ValidationError

from relay.domain.notice import DEFAULT_KINDS, NoticeKind
from relay.settings_fields import Secret

_WORD = re.compile(r"(?:(?P<tags>[A-Za-z_,]+)=)?(?P<url>[A-Za-z][A-Za-z0-9+.-]*://\S+)")
_ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyTarget:
    """One address. All of it is secret: what follows the scheme usually is a token."""

    url: Secret
    kinds: frozenset[NoticeKind]

    @property
    def scheme(self) -> str:
        """What may be shown of the address."""
        return self.url.reveal().partition("://")[0]

    @property
    def fingerprint(self) -> str:
        """The address in the journal: the same after a restart, and nothing of it can be read."""
        return hashlib.sha256(self.url.reveal().encode()).hexdigest()[:16]

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The address, and each long part of it: libraries log parts."""
        parts = re.split(r"[/?&=:@]+", self.url.reveal().partition("://")[2])
        return (self.url, *(Secret(part) for part in parts if len(part) >= 12))


def notify_targets(text: str) -> tuple[NotifyTarget, ...]:
    """Apprise URLs separated by white space, each alone or as `tag,tag=URL`."""
    found: dict[str, NotifyTarget] = {}
    for place, word in enumerate(text.split(), start=1):
        match = _WORD.fullmatch(word)
        if match is None:
            raise ValidationError(
                f"word {place} is no address; it should be an Apprise URL such as tgram://TOKEN/CHAT, "
                f"alone or as attention,halt=tgram://TOKEN/CHAT"
            )
        url, kinds = match["url"], _kinds(match["tags"], place)
        earlier = found[url].kinds if url in found else frozenset()
        found[url] = NotifyTarget(url=Secret(url), kinds=kinds | earlier)
    return tuple(found.values())


def _kinds(tags: str | None, place: int) -> frozenset[NoticeKind]:
    if tags is None:
        return DEFAULT_KINDS
    words = {tag for tag in tags.lower().split(",") if tag}
    unknown = sorted(words - {kind.value for kind in NoticeKind} - {_ALL})
    if unknown or not words:
        known = ", ".join([*(kind.value for kind in NoticeKind), _ALL])
        raise ValidationError(f"word {place} has an unknown tag {(unknown or ['nothing'])[0]!r}; tags are {known}")
    return frozenset(NoticeKind) if _ALL in words else frozenset(NoticeKind(word) for word in words)
