"""A running relay, as the commands talk to it: over HTTP, with the secrets of its settings."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

from relay.errors import RelayError

if TYPE_CHECKING:
    from relay.settings import Settings

_HOST: Final = "127.0.0.1"
_TIMEOUT_S: Final = 20.0
"""For each read; the relay itself answers within 10 seconds."""


class Unreachable(RelayError):
    """No relay can be asked there."""


class Closed(Unreachable):
    """A relay is there, but does not take the admin token."""


class Refused(RelayError):
    """The relay answered, and the answer is no."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.complaint)
        self.answer = answer
        self.is_bad_usage = answer.error.get("code") == "REQUEST_INVALID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
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
        return f"{code}: {self.error.get('message') or http.client.responses.get(self.status, 'no reason was given')}"


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
        return self._asked("GET", path, query, b"", {})

    def post(self, path: str, body: bytes = b"", **query: object) -> dict[str, Any]:
        """The body of a good answer. Raises Refused."""
        return self._asked("POST", path, query, body, {"Content-Type": "application/json"})

    def send_alert(self, body: bytes, *, strategy: str | None, with_secret: bool, wait_s: int) -> Answer:
        """Posts an alert as it is, and waits for its end up to `wait_s` seconds, at most 10."""
        path = "/webhook" if strategy is None else f"/webhook/{quote(strategy, safe='')}"
        headers: dict[str, str | bytes] = {"Prefer": f"wait={wait_s}"}
        secret = self.secret_of(strategy)
        if with_secret and secret is not None:
            headers["X-Webhook-Secret"] = secret.encode()
        return self._request("POST", path, body, headers)

    def secret_of(self, strategy: str | None) -> str | None:
        """By which an alert of the strategy (None: the default one) proves its sender, as far as it is known here."""
        from relay.settings import NAME

        for each in self.settings.strategies:
            if each.name == (strategy or NAME):
                return next((secret.reveal() for secret in self.settings.secrets_of(each)), None)
        return None

    def _asked(
        self, method: str, path: str, query: dict[str, object], body: bytes, headers: dict[str, str | bytes]
    ) -> dict[str, Any]:
        given = {name: value for name, value in query.items() if value is not None}
        target = f"{path}?{urlencode(given)}" if given else path
        if self.admin_token is not None:
            headers = headers | {"Authorization": f"Bearer {self.admin_token}".encode()}
        answer = self._request(method, target, body, headers)
        if answer.status in (http.client.UNAUTHORIZED, http.client.TOO_MANY_REQUESTS):
            raise Closed(self._closed(answer))
        if not answer.is_good:
            raise Refused(answer)
        return answer.body

    def _closed(self, answer: Answer) -> str:
        why = answer.error.get("message") or "no reason was given"
        if self.admin_token is None:
            return f"ADMIN_TOKEN: it is not set here, and the relay on {self.url} asks for it ({why})"
        return f"ADMIN_TOKEN: the relay on {self.url} does not take the one that is set here ({why})"

    def _request(self, method: str, target: str, body: bytes, headers: dict[str, str | bytes]) -> Answer:
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

    def _read(self, status: int, location: str | None, text: bytes) -> Answer:
        try:
            body = json.loads(text)
        except ValueError:
            body = None
        if isinstance(body, dict):
            return Answer(status=status, body=body)
        elsewhere = f" and points to {location}" if location else ""
        raise Unreachable(f"what answers on {self.url} is no relay: it says HTTP {status}{elsewhere}")


def connect(url: str | None) -> Client:
    """A client of the relay at `url`, or else of this machine's own. Raises SettingsInvalid and SecretsUnavailable."""
    from relay.local_secrets import with_kept_secrets
    from relay.settings import load_settings

    settings = with_kept_secrets(load_settings())
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
