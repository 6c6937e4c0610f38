"""What is kept of an alert: its fields as JSON can hold them, without the secret. A Signal is made of nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from relay.alerts.authenticate import without_secrets
from relay.alerts.dialects import recognise
from relay.alerts.identity import digest
from relay.alerts.number import number_text
from relay.alerts.parse import legible, parse
from relay.alerts.wording import shown
from relay.errors import AlertMalformed


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """An alert that was parsed, and is neither proven nor valid yet.

    `kept`: the fields under lower-case names, without the secret; text, true, false, null, lists and objects only, a
    number as its exact text; with them, of a foreign alert, the name of its `format`. `body_digest`: SHA-256 of the
    bytes, in hex.
    """

    kept: dict[str, object]
    body_digest: str
    secret: str | None = field(repr=False)
    """The body's own secret, to be proven; nothing else holds it."""


def read(body: bytes, *, secrets: tuple[str, ...] = (), named: str | None = None, usual: str | None = None) -> Reading:
    """Parse an alert. `secrets`: what must not be found in what is kept. AlertMalformed carries none of them either.

    `named`: the format that the sender said it is in, if any; a name that is none is told by `signal_from_kept`.
    `usual`: the format of the strategy's alerts that name none themselves; None: recognised by their shape.
    """
    try:
        fields = parse(body)
    except AlertMalformed as error:
        raise _cleaned(error, secrets) from None
    given = fields.pop("secret", None)
    secret = given if isinstance(given, str) else number_text(given) if isinstance(given, Decimal) else None
    own_secret = _settle_format(fields, named, usual)
    secret = secret or own_secret
    kept = {without_secrets(name, secrets): _keepable(value, secrets) for name, value in fields.items()}
    return Reading(kept=kept, body_digest=digest(body), secret=secret)


def _settle_format(fields: dict[str, object], named: str | None, usual: str | None) -> str | None:
    """Write down the format of `fields`, and take out the secret that it has; it is returned.

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
    # Not asked for twice what it was asked for just now: it costs more than all the rest of reading.
    alike = dialect if dialect is not None or not named else recognise(fields, None)
    return alike.take_secret(fields) if alike is not None else None


def kept_text(body: bytes, secrets: tuple[str, ...]) -> str:
    """A body that could not be parsed, as people can read it, without its secret."""
    return without_secrets(legible(body), secrets)


def _keepable(value: object, secrets: tuple[str, ...]) -> object:
    if isinstance(value, str):
        return without_secrets(value, secrets)
    if isinstance(value, Decimal):
        return without_secrets(number_text(value), secrets)
    if isinstance(value, list):
        return [_keepable(member, secrets) for member in value]
    if isinstance(value, dict):
        return {without_secrets(name, secrets): _keepable(member, secrets) for name, member in value.items()}
    return value


def _cleaned(error: AlertMalformed, secrets: tuple[str, ...]) -> AlertMalformed:
    fields = {
        without_secrets(name, secrets): [without_secrets(problem, secrets) for problem in problems]
        for name, problems in error.fields.items()
    }
    return AlertMalformed(without_secrets(error.message, secrets), fields=fields)
