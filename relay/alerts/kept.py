"""What is kept of an alert: its fields as JSON can hold them, without the secret. A Signal is made of nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from relay.alerts.authenticate import may_hold_secret, without_secrets
from relay.alerts.dialects import NATIVE, Dialect, recognise
from relay.alerts.identity import digest
from relay.alerts.number import number_text
from relay.alerts.parse import legible, parse
from relay.alerts.wording import shown
from relay.errors import AlertMalformed


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedAlert:
    """An alert that is neither proven nor valid yet.

    `fields`: under lower-case names, without the secret; text, true, false, null, lists and objects only, a number as
    its exact text; with them, of a foreign alert, the name of its `format`. `body_digest`: SHA-256 of the bytes, in
    hex.
    """

    fields: dict[str, object]
    body_digest: str
    secret: str | None = field(repr=False)
    """The body's own secret, to be proven; nothing else holds it."""

    @property
    def format(self) -> str:
        """The name of the format that the alert was recognised as."""
        named = self.fields.get("format")
        return named if isinstance(named, str) else NATIVE


def read(
    body: bytes, *, secrets: tuple[str, ...] = (), named: str | None = None, usual: str | None = None
) -> ParsedAlert:
    """Parse an alert. `secrets`: what must not be found in its fields. AlertMalformed carries none of them either.

    `named`: the format that the sender said it is in, if any; a name that is none is told by `signal_from_kept`.
    `usual`: the format of the strategy's alerts that name none themselves; None: recognised by their shape.
    """
    try:
        fields = parse(body)
    except AlertMalformed as error:
        raise _cleaned(error, secrets) from None
    given = fields.pop("secret", None)
    secret = given if isinstance(given, str) else number_text(given) if isinstance(given, Decimal) else None
    dialect = _settle_format(fields, named, usual)
    own_secret = dialect.take_secret(fields) if dialect is not None else None
    kept = {name: value if isinstance(value, str) else _keepable(value) for name, value in fields.items()}
    return ParsedAlert(fields=_redacted(kept, secrets), body_digest=digest(body), secret=secret or own_secret)


def _settle_format(fields: dict[str, object], named: str | None, usual: str | None) -> Dialect | None:
    """Write down the format of `fields`; the one that may hold a secret of its own is returned.

    The alert may name its format itself. Under a wrong name, too, no secret of the format that it looks like is kept.
    """
    own = fields.get("format")
    named = named or (own if isinstance(own, str) else "")
    named = named if named.strip() else usual or ""
    if named.strip():
        fields["format"] = named = shown(named.strip().lower()).strip("`")
    elif isinstance(own, str):
        del fields["format"]
    dialect = recognise(fields, named or None)
    if dialect is not None:
        fields["format"] = dialect.name
    return dialect if dialect is not None or not named else recognise(fields, None)


def redacted_text(body: bytes, secrets: tuple[str, ...]) -> str:
    """A body that could not be parsed, as people can read it, without its secret."""
    return without_secrets(legible(body), secrets)


def _keepable(value: object) -> object:
    if isinstance(value, Decimal):
        return number_text(value)
    if isinstance(value, list):
        return [_keepable(member) for member in value]
    if isinstance(value, dict):
        return {name: _keepable(member) for name, member in value.items()}
    return value


def _redacted(kept: dict[str, object], secrets: tuple[str, ...]) -> dict[str, object]:
    """`kept` itself where no secret is in it: one look at all of it spares one at each of its texts."""
    if not may_hold_secret(repr(kept), secrets):
        return kept
    return {without_secrets(name, secrets): _without(value, secrets) for name, value in kept.items()}


def _without(value: object, secrets: tuple[str, ...]) -> object:
    if isinstance(value, str):
        return without_secrets(value, secrets)
    if isinstance(value, list):
        return [_without(member, secrets) for member in value]
    if isinstance(value, dict):
        return {without_secrets(name, secrets): _without(member, secrets) for name, member in value.items()}
    return value


def _cleaned(error: AlertMalformed, secrets: tuple[str, ...]) -> AlertMalformed:
    fields = {
        without_secrets(name, secrets): [without_secrets(problem, secrets) for problem in problems]
        for name, problems in error.fields.items()
    }
    return AlertMalformed(without_secrets(error.message, secrets), fields=fields)
