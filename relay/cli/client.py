"""A running relay as the commands talk to it; and the journal itself, where no relay answers."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import click

from relay.errors import JournalBusy, JournalUnavailable, RelayError

if TYPE_CHECKING:
    from relay.journal.journal import Journal
    from relay.settings.settings import Settings


_HOST: Final = "127.0.0.1"
_TIMEOUT_S: Final = 20.0
"""For each read; the relay itself answers within 10 seconds."""


class Unreachable(RelayError):
    """No relay can be asked there."""


class Closed(Unreachable):
    """A relay is there, but does not take the admin token."""


class RequestRefused(RelayError):
    """The relay answered, and the answer is no."""

    def __init__(self, answer: ClientAnswer) -> None:
        super().__init__(answer.complaint)
        self.answer = answer
        self.is_bad_usage = answer.error.get("code") == "REQUEST_INVALID"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAnswer:
    """What the relay said. `body` is its JSON object."""

    status: int
    body: dict[str, Any]

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def error(self) -> dict[str, Any]:
        """The error's `code`, `message` and perhaps `fields`; empty in a good answer."""
        error = self.body.get("error")
        return error if isinstance(error, dict) else {}

    @property
    def complaint(self) -> str:
        """Why not, in one line."""
        code = self.error.get("code") or f"HTTP {self.status}"
        usual = next((each.phrase for each in HTTPStatus if each == self.status), "no reason was given")
        return f"{code}: {self.error.get('message') or usual}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Asks one relay. Every method raises Unreachable where nobody answers as a relay would."""

    settings: Settings
    url: str
    is_given: bool
    """The address was given by the user, so that the relay need not be the one of these settings."""
    admin_token: str | None = field(repr=False)

    def get(self, path: str, **query: object) -> dict[str, Any]:
        """The body of a good answer; queries that are None are left out. Raises Refused."""
        return self._requested("GET", path, query, b"", {})

    def post(self, path: str, body: bytes = b"", **query: object) -> dict[str, Any]:
        """The body of a good answer. Raises Refused."""
        return self._requested("POST", path, query, body, {"Content-Type": "application/json"})

    def send_alert(self, body: bytes, *, strategy: str | None, with_secret: bool, wait_s: int) -> ClientAnswer:
        """Posts an alert as it is, and waits for its end up to `wait_s` seconds, at most 10."""
        path = "/webhook" if strategy is None else f"/webhook/{quote(strategy, safe='')}"
        headers: dict[str, str | bytes] = {"Prefer": f"wait={wait_s}"}
        secret = self.secret_of(strategy)
        if with_secret and secret is not None:
            headers["X-Webhook-Secret"] = secret.encode()
        return self._request("POST", path, body, headers)

    def secret_of(self, strategy: str | None) -> str | None:
        """By which an alert of the strategy (None: the default one) proves its sender, as far as it is known here."""
        from relay.settings.config import NAME

        for each in self.settings.strategies:
            if each.name == (strategy or NAME):
                return next((secret.reveal() for secret in self.settings.secrets_of(each)), None)
        return None

    def _requested(
        self, method: str, path: str, query: dict[str, object], body: bytes, headers: dict[str, str | bytes]
    ) -> dict[str, Any]:
        given = {name: value for name, value in query.items() if value is not None}
        target = f"{path}?{urlencode(given)}" if given else path
        if self.admin_token is not None:
            headers = headers | {"Authorization": f"Bearer {self.admin_token}".encode()}
        answer = self._request(method, target, body, headers)
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS):
            raise Closed(self._closed(answer))
        if not answer.is_good:
            raise RequestRefused(answer)
        return answer.body

    def _closed(self, answer: ClientAnswer) -> str:
        why = answer.error.get("message") or "no reason was given"
        if self.admin_token is None:
            return f"ADMIN_TOKEN: it is not set here, and the relay on {self.url} asks for it ({why})"
        return f"ADMIN_TOKEN: the relay on {self.url} does not take the one that is set here ({why})"

    def _request(self, method: str, target: str, body: bytes, headers: dict[str, str | bytes]) -> ClientAnswer:
        import http.client

        parts = urlsplit(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        assert parts.hostname is not None, "the address was checked"
        connection = kind(parts.hostname, parts.port, timeout=_TIMEOUT_S)
        try:
            connection.request(method, f"{parts.path}{target}", body, {"Accept": "application/json", **headers})
            response = connection.getresponse()
            return self._read(response.status, response.getheader("Location"), response.read())
        except TimeoutError as error:
            raise Unreachable(f"the relay on {self.url} did not answer within {_TIMEOUT_S:.0f} s") from error
        except ConnectionRefusedError as error:
            raise Unreachable(self._nobody()) from error
        except (OSError, http.client.HTTPException) as error:
            why = str(error) or type(error).__name__
            raise Unreachable(f"the relay on {self.url} cannot be asked: {why}") from error
        finally:
            connection.close()

    def _nobody(self) -> str:
        if not self.settings.port and not self.is_given:
            return "PORT is 0, so the relay listens where it likes; say with --url where that is"
        how = "is the address right?" if self.is_given else "start it with `python -m relay serve`"
        return f"no relay answers on {self.url}; {how}"

    def _read(self, status: int, location: str | None, text: bytes) -> ClientAnswer:
        try:
            body = json.loads(text)
        except ValueError:
            body = None
        if isinstance(body, dict):
            return ClientAnswer(status=status, body=body)
        elsewhere = f" and points to {location}" if location else ""
        raise Unreachable(f"what answers on {self.url} is no relay: it says HTTP {status}{elsewhere}")


def connect(url: str | None) -> Client:
    """A client of the relay at `url`, or else of this machine's own. Raises SettingsInvalid and SecretsUnavailable."""
    from relay.settings.settings import load_settings, with_stored_secrets

    settings = with_stored_secrets(load_settings())
    return Client(
        settings=settings,
        url=url or f"http://{_HOST}:{settings.port}",
        is_given=url is not None,
        admin_token=settings.admin_token.reveal() if settings.admin_token else None,
    )


def is_address(text: str) -> bool:
    """Whether it is http or https, a host, and perhaps a port and a path."""
    try:
        parts = urlsplit(text)
        is_host = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_host and not (parts.username or parts.query or parts.fragment) and text.isascii() and text.isprintable()


# How the commands print: aligned tables, named facts, JSON. Nothing that came from outside reaches a terminal raw.


_GAP: Final = "  "
_LAST_COLUMN_MIN: Final = 18
_WIDTH_UNBOUNDED: Final = 1_000_000


def clean(text: object) -> str:
    """In one line, and without what could steer a terminal: an alert's text is anybody's."""
    return "".join(letter if letter.isprintable() else "·" for letter in " ".join(str(text).split()))


def say(line: str = "") -> None:
    """One line of the answer."""
    click.echo(line)


def remark(line: str) -> None:
    """One line beside the answer, on stderr, so that a pipe gets the answer alone."""
    click.echo(line, err=True)


def say_json(body: object) -> None:
    """What the API said, escaped so that it can hold nothing but text."""
    click.echo(json.dumps(body, indent=2))


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, indent: str = "") -> list[str]:
    """Lines in columns, as wide as they need; columns without any cell are left out.

    Only the last column holds sentences: on a terminal it goes on in further lines of its own.
    """
    cells = [[clean(cell) for cell in row] for row in rows]
    if not cells:
        return []
    used = [index for index in range(len(titles)) if any(row[index] for row in cells)]
    shown = [[titles[index] for index in used], *([row[index] for index in used] for row in cells)]
    widths = [max(len(row[index]) for row in shown) for index in range(len(used))]
    before = len(indent) + sum(width + len(_GAP) for width in widths[:-1])
    last_width = max(_terminal_width() - before, _LAST_COLUMN_MIN)
    lines = []
    for row in shown:
        first, *more = textwrap.wrap(row[-1], last_width) or [""]
        padded = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        lines.append((indent + _GAP.join([*padded, first])).rstrip())
        lines += [" " * before + line for line in more]
    return lines


def narrowed(
    titles: Sequence[str], rows: Iterable[Sequence[str]], keep: Mapping[str, slice]
) -> tuple[list[str], list[list[str]]]:
    """The columns that fit 80 letters: those of `keep`, each cell cut to its part; an id, and a part that begins within
    the cell, without a mark."""
    columns = [(titles.index(title), part, title == "ID" or part.start) for title, part in keep.items()]
    return list(keep), [
        [row[at][part] if bare else _cut(row[at], part.stop) for at, part, bare in columns] for row in rows
    ]


def _cut(cell: str, most: int | None) -> str:
    """Says that it is cut. A number keeps its digits before the point, and one below 1 all, whatever room they take."""
    whole = re.match(r"-?(0\.\d+$|\d+(?=\.|$))", cell)
    least = whole.end() if whole else 0
    return cell if most is None or len(cell) <= max(most, least) else f"{cell[: max(most - 1, least)]}…"


def facts(named: Mapping[str, object], *, indent: str = "  ") -> list[str]:
    """A line each: a name and its value; those without a value are left out."""
    known = {clean(name): clean(value) for name, value in named.items() if value not in (None, "")}
    width = max(map(len, known), default=0)
    return [f"{indent}{name.ljust(width)}  {value}" for name, value in known.items()]


def moment(rfc3339: object) -> str:
    """An API's time to the second, for a table."""
    at = read_moment(rfc3339)
    return at.strftime("%Y-%m-%d %H:%M:%SZ") if at else clean(rfc3339 or "")


def read_moment(rfc3339: object) -> datetime | None:
    """An API's time; None where it is none."""
    try:
        return datetime.fromisoformat(rfc3339) if isinstance(rfc3339, str) else None
    except ValueError:
        return None


def reason_text(reason: object) -> str:
    """`CODE: sentence` of a reason as the API shows it; empty for none."""
    if isinstance(reason, Mapping):
        return ": ".join(str(reason[name]) for name in ("code", "message") if reason.get(name))
    return str(reason or "")


def detail_text(detail: Any) -> str:
    """The detail of a step, in one line."""
    if isinstance(detail, Mapping):
        return ", ".join(f"{name} {_inner(value)}" for name, value in detail.items() if value not in (None, {}, []))
    return "" if detail is None else _inner(detail)


def _inner(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({detail_text(value)})"
    if isinstance(value, list):
        return "; ".join(map(_inner, value))
    return "yes" if value is True else "no" if value is False else str(value)


def _terminal_width() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDTH_UNBOUNDED


# What the commands share: where the relay is, how they complain, and how they end.


Command = TypeVar("Command", bound=Callable[..., Any])

INTERRUPTED: Final = 130
"""The exit code after Ctrl-C."""
ALERT_BYTES_MAX: Final = 64 * 1024


class NotDone(click.ClickException):
    """Ends a command with words on stderr: the answer is no."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        for line in self.message.splitlines():
            click.echo(clean(line), file=file, err=file is None)


class Unusable(NotDone):
    """Bad usage, bad settings, or a relay that cannot be reached."""

    exit_code = 2


class _Address(click.ParamType[str]):
    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).rstrip("/")
        if not is_address(text):
            self.fail("it should be the relay's address, such as https://relay.example.com", param, ctx)
        return text


with_url = click.option(
    "--url", type=_Address(), help="Where the relay is, if not on this machine's 127.0.0.1:$PORT.", metavar="URL"
)
with_json = click.option("--json", "as_json", is_flag=True, help="Print what the API answers.")
with_strategy = click.option("--strategy", metavar="NAME", help="The strategy the alert is for.")


def one_of(kind: type[StrEnum]) -> click.Choice[str]:
    """A choice of the enum's values, in any case."""
    return click.Choice([member.value for member in kind], case_sensitive=False)


def with_alert(command: Command) -> Command:
    """The argument FILE, of which the command gets the bytes as `body`."""
    kind = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
    return click.argument("body", metavar="FILE|-", type=kind, callback=_read)(command)


def _read(context: click.Context, parameter: click.Parameter, path: Path) -> bytes:
    try:
        with click.open_file(str(path), "rb") as file:
            body: bytes = file.read(ALERT_BYTES_MAX + 1)
    except OSError as error:
        raise click.BadParameter(f"{path} cannot be read: {error.strerror}", context, parameter) from error
    if len(body) > ALERT_BYTES_MAX:
        raise click.BadParameter("an alert is at most 64 KiB", context, parameter)
    return body


# The journal itself, for where no relay answers: read without a lock, and the halt switch written with it.


BY = "the command line"


def from_relay_or_journal(
    client: Client, ask: Callable[[], dict[str, Any]], read: Callable[[Journal], dict[str, Any]]
) -> dict[str, Any]:
    """What the relay says; or, where no relay answers and its journal is a file here, what the journal says."""
    try:
        return ask()
    except Unreachable as error:
        with _opened(client, error, lock=False) as journal:
            remark(f"{error}; this is read from the journal {client.settings.journal_path}")
            return read(journal)


def write_halt(client: Client, unreachable: Unreachable, *, is_on: bool) -> None:
    """Write the switch that the relay finds at its next start. Only where no relay has the journal open."""
    from relay.execution.ports import to_ms, utc_now
    from relay.journal.maintenance import awaits_resume
    from relay.journal.records import HALT

    with _opened(client, unreachable, lock=True) as journal:
        if not is_on and awaits_resume(journal):
            raise NotDone("the journal was brought back from a backup: start the relay, which compares it, then resume")
        for account in client.settings.accounts:
            journal.set_switch(account.name, HALT, "on" if is_on else "off", by=BY, now_ms=to_ms(utc_now()))


@contextmanager
def _opened(client: Client, unreachable: Unreachable, *, lock: bool) -> Iterator[Journal]:
    """Raises `unreachable` itself where there is no journal to turn to."""
    path = client.settings.journal_path
    is_running = lock and isinstance(unreachable, Closed)
    if client.is_given or is_running or path is None or not os.path.exists(path):
        raise unreachable
    from relay.journal.opening import open_journal

    try:
        journal = open_journal(client.settings.database_url, lock=lock)
    except JournalBusy as error:
        raise Unusable(f"{unreachable}; yet {error}; say with --url where it listens") from error
    except JournalUnavailable as error:
        raise Unusable(f"{unreachable}; and {error}") from error
    try:
        yield journal
    finally:
        journal.close()
