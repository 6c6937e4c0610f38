"""The error tree. Each error's docstring is its message; what it was raised with says where and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any


class RelayError(Exception):
    """The relay cannot do that."""

    def __str__(self) -> str:
        said = super().__str__()
        return said or (type(self).__doc__ or "").strip()


class SettingsInvalid(RelayError):
    """The settings are not usable."""

    def __init__(self, problems: list[str]) -> None:
        """`problems`: one line each: the variable, what is wrong, what it should be."""
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class AlertError(RelayError):
    """The alert cannot be taken."""

    code = "ALERT_INVALID"
    http_status = 422

    def __init__(self, message: str, *, fields: dict[str, list[str]] | None = None) -> None:
        """`fields`: for each field of the alert that is wrong, the problems it has."""
        super().__init__(message)
        self.message = message
        self.fields = fields or {}


class AlertMalformed(AlertError):
    """The alert is not JSON and not key=value pairs."""

    code = "ALERT_MALFORMED"
    http_status = 400


class AlertInvalid(AlertError):
    """The alert was read, but says something that cannot be done."""

    def __init__(self, message: str, *, fields: dict[str, list[str]] | None = None, only_exits: bool = False) -> None:
        """`only_exits`: whatever is wrong with it, the alert can open nothing."""
        super().__init__(message, fields=fields)
        self.only_exits = only_exits


class AlertIdReused(AlertError):
    """An `id` must be new for each alert; `{{strategy.order.id}}` belongs in `order_id`."""

    code = "ALERT_ID_REUSED"
    http_status = 409


class AlertLate(AlertError):
    """A mail that is old, whose webhook never came."""

    code = "LATE_BY_MAIL"


class AuthFailed(AlertError):
    """The alert does not prove its sender."""

    code = "AUTH_FAILED"
    http_status = 401


class SourceNotAllowed(AlertError):
    """Alerts are not taken from this address."""

    code = "SOURCE_NOT_ALLOWED"
    http_status = 403


class StrategyUnknown(AlertError):
    """There is no strategy of this name."""

    code = "STRATEGY_UNKNOWN"
    http_status = 404


class BodyTooLarge(AlertError):
    """An alert is at most 64 KiB."""

    code = "BODY_TOO_LARGE"
    http_status = 413


class JournalUnavailable(RelayError):
    """The journal cannot be written; nothing was accepted."""


class JournalBusy(JournalUnavailable):
    """Another relay holds this journal."""


class SchemaOutdated(JournalUnavailable):
    """The journal's schema is older than this relay; run `python -m relay migrate`."""


class SchemaTooNew(JournalUnavailable):
    """The journal's schema is newer than this relay and not marked compatible with it; install a newer relay."""


class ExchangeUnreachable(RelayError):
    """The exchange did not answer a question that changes nothing; asking again is safe."""


class ListTooLong(ExchangeUnreachable):
    """The exchange has more to tell of that time than is read at once."""


class ExchangeAnswered(RelayError):
    """The exchange answered a question with a refusal."""

    def __init__(self, code: int, words: str) -> None:
        """`code` and `words`: retCode and retMsg as the exchange gave them."""
        super().__init__(f"the exchange answered {code}: {words}")
        self.code = code
        self.words = words


class FactsUnreadable(ExchangeAnswered):
    """The exchange answered a question with something that cannot be read."""

    def __init__(self, words: str, readable: Sequence[Any] = (), where: Collection[Any] = ()) -> None:
        """`readable`: what could be read of the same list; `where`: the instruments that could not."""
        super().__init__(0, words)
        self.readable, self.where = tuple(readable), frozenset(where)

    def __str__(self) -> str:
        return self.words


class SignalNotSeen(RelayError):
    """Nobody needs to look at this signal, or what was said of it does not hold at the exchange."""


class RestoreUnseen(RelayError):
    """The journal was brought back from a backup, and somebody has to see first what differs from the exchange."""


class SignalNotRetryable(RelayError):
    """This signal cannot be opened again: an order of it may have had an effect."""
