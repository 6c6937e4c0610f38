"""README, CONTRIBUTING and docs/: their links, commands, examples and lists, held against the program itself."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import click
import pytest

from relay.alerts.fields import KNOWN
from relay.alerts.formats import FORMATS
from relay.bybit.checklist import NAMES as CHECK_POINTS
from relay.cli.main import cli
from relay.domain.notice import NoticeKind
from relay.domain.order import OrderStatus, SignalStatus
from relay.domain.signal import NATIVE_ACTIONS, NATIVE_UNITS
from relay.paper.state import TABLE
from relay.settings.environment import Environment
from relay.settings.settings import Settings, load_settings
from relay.settings.toml import Table
from tests.bench import __main__ as bench
from tests.bench.figures import Figure
from tests.flow.cli_support import environment, run
from tests.flow.docs_pages import LINK, ROOT, SPAN, Block, blocks_of, first_column, pages
from tests.paper_server import PaperServer
from tests.relay_server import ADMIN_TOKEN, WEBHOOK_SECRET, RelayServer

README_BYTES_MAX: Final = 12_000
DEADLINE_S: Final = 60
_CODE: Final = re.compile(r'''"([A-Z]+(?:_[A-Z]+)+)"|\bcode="([A-Z]+)"|\b(?:refusal|Problem)\("([A-Z]+)"''')
_PROGRAM: Final = re.compile(r"(\.venv/bin/)?python3? -m (?P<module>[\w.]+)(?P<rest>.*)", re.DOTALL)

NOT_RUN: Final = {
    "python3 -m venv .venv": "the tests already run in such an environment",
    ".venv/bin/pip install -q -r requirements.txt": "it needs the network; the tests run with what it installs",
    ".venv/bin/pip install -q -r tests/requirements.txt": "likewise",
    ".venv/bin/ruff check .": ".ci/run runs it",
    ".venv/bin/ruff format --check .": ".ci/run runs it",
    ".venv/bin/mypy": ".ci/run runs it",
    ".ci/run": "it runs this suite",
    ".venv/bin/python -m tests.faults": "it takes a quarter of an hour, and tests/faults/ is run at a smaller scale",
    "python -m tests.faults": "likewise",
    "python -m tests.faults one": "likewise",
    "python -m tests.faults many": "likewise",
    "python -m tests.faults one-away": "likewise",
    "python -m tests.faults machine": "likewise",
    "python -m tests.faults protection": "likewise",
    "openssl genrsa -out relay.pem 2048": "another program's; tests/ signs with such a key",
    "openssl rsa -in relay.pem -pubout": "another program's",
    "heroku create --region eu": "it needs an account there",
    "heroku addons:create heroku-postgresql:essential-0": "likewise",
    "heroku ps:scale web=1 worker=1": "likewise",
    "git push heroku main": "likewise",
    "sudo useradd --system --create-home --home-dir /var/lib/relay --shell /usr/sbin/nologin relay": "it needs root",
    "cd /opt/relay": "a machine's own folder; test_installed runs relay outside of its project's",
    "sudo python3 -m venv .venv": "likewise",
    "sudo .venv/bin/pip install -q .": "likewise",
    "sudo install -m 600 -o relay -g relay /dev/null /var/lib/relay/.env": "it needs root",
    "sudo nano /var/lib/relay/.env": "it asks a person",
    "sudo cp deploy/systemd/relay.service /etc/systemd/system/": "it needs root; test_deploy reads the unit",
    "sudo systemctl daemon-reload": "it needs systemd",
    "sudo systemctl enable --now relay": "likewise",
}
"""Commands that no test can run, each with the reason. Any other has to be run."""
SUITE: Final = "pytest"
"""Run by whoever reads this: the commands that run this suite, or a part of it."""
PARSED_ONLY: Final = {
    "serve": "it never ends; test_main_job runs it",
    "worker": "it never ends, and needs Postgres; test_postgres_processes runs it",
    "notify-test": "it tells people; test_notices has some",
    "seen": "it wants a signal in attention; test_seen has some",
    "close": "it wants an open position; test_position_controls has some",
    "breakeven": "likewise",
    "cancel": "it wants an order that rests; test_position_controls has some",
    "rename-account": "it wants that no relay runs; test_names_of_accounts runs it",
    "restore": "it wants that no relay runs; test_restore and test_upkeep run it",
    "connect": "it asks a person; test_connect answers",
    "backup": "it needs the journal of a relay; test_keep runs it beside one",
    "export": "likewise",
}
NOT_CODES: Final = frozenset(
    {
        *("CONTENT_LENGTH", "CONTENT_TYPE", "PATH_INFO", "QUERY_STRING", "RAW_URI", "REMOTE_ADDR", "REQUEST_METHOD"),
        *("SCRIPT_NAME", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL"),
        *("HTTP_COOKIE", "HTTP_X_REQUEST_ID", "HTTP_X_WEBHOOK_SECRET"),
        *("HTTP_WEBHOOK_ID", "HTTP_WEBHOOK_SIGNATURE", "HTTP_WEBHOOK_TIMESTAMP"),
        *("FEE_REFUND", "ISOLATED_MARGIN", "PORTFOLIO_MARGIN", "REGULAR_MARGIN"),
        *("ALERT_FORMATS", "CLOCK_BOOTTIME", "SC_CLK_TCK", "HTTP_WEBHOOK_ID", "HTTP_WEBHOOK_TIMESTAMP"),
        *("RELAY_KILL_AT", "RELAY_KILL_BY", "RELAY_ABSENT_SOONER", "REQUESTS_CA_BUNDLE", "PROMETHEUS_MULTIPROC_DIR"),
    }
)
"""WSGI's words, Bybit's words, and variables that are no settings: what looks like a reason code and is none."""


# Links


@pytest.mark.parametrize("name", pages())
def test_every_link_leads_somewhere(name: str) -> None:
    dead = []
    for found in LINK.finditer(re.sub(r"`[^`\n]+`", "", pages()[name].prose)):
        target, _, anchor = found["target"].partition("#")
        if re.match("[a-z]+:", target):
            continue
        path = (ROOT / name).parent / target if target else ROOT / name
        if not path.exists():
            dead.append(f"{found['target']}: there is no such file")
        elif anchor:
            other = pages()[str(path.resolve().relative_to(ROOT))]
            if anchor not in other.anchors:
                dead.append(f"{found['target']}: there is no such heading")
    assert dead == []


def test_the_readme_is_short_and_has_the_test_command_between_its_marks() -> None:
    readme = pages()["README.md"].text
    assert len(readme.encode()) <= README_BYTES_MAX
    between = readme.partition("<!-- test command -->\n")[2].partition("<!-- end of test command -->")[0]
    fence, command, end, rest = between.split("\n")
    assert (fence, end, rest) == ("```sh", "```", "")
    assert {"tests/requirements.txt", "pytest"} <= set(shlex.split(command))


def test_each_package_has_its_reason() -> None:
    listed = re.findall(r"\*\*([\w-]+)\*\*", pages()["CONTRIBUTING.md"].section("Dependencies"))
    for name in ("requirements.txt", "tests/requirements.txt"):
        own = (ROOT / name).read_text().partition("\n# ")[0]
        packages = re.findall(r"^([\w-]+)", own, re.MULTILINE)
        assert set(packages) - {"-c", "-r"} <= set(listed)


def test_each_test_that_a_promise_names_is_there() -> None:
    sources = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")}
    whole = "\n".join(sources.values())
    named = [span for span in SPAN.findall(pages()["docs/promises.md"].text) if span.startswith("test_")]
    missing = [name for name in named if name not in sources and not re.search(rf"def {re.escape(name)}\b", whole)]
    assert missing == [] and len(named) > 30


# Commands


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One simple command of an `sh` block. `line`: the whole line it stands in, as a shell takes it."""

    where: str
    words: tuple[str, ...]
    line: str

    @property
    def text(self) -> str:
        return shlex.join(self.words)


def commands_in(block: Block) -> Iterator[Command]:
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        if not line.strip():
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if not set(word) <= set("&|;"):
                words.append(word)
            elif words:
                yield Command(where=f"{block.page}:{number}", words=tuple(words), line=line)
                words = []


def shown() -> list[Command]:
    every = [command for block in blocks_of("sh") for command in commands_in(block)]
    return [each for each in every if not re.match(r"\w+=", each.words[0])]


def program_of(command: Command) -> tuple[str, tuple[str, ...]]:
    """The relay's or a test program's module and its arguments; else the first word."""
    if re.fullmatch(r"(\.venv/bin/)?python", command.words[0]) and command.words[1] == "-m":
        return command.words[2], command.words[3:]
    return command.words[0], command.words[1:]


def shown_of(program: str) -> list[Any]:
    """Those of one program that are run, without repetitions, for `parametrize`."""
    found = {each.text: each for each in reversed(shown()) if program_of(each)[0] == program}
    return [pytest.param(each, id=each.text[:60]) for each in reversed(found.values()) if each.text not in NOT_RUN]


def test_every_command_is_run_or_is_listed_with_the_reason_why_not() -> None:
    run_by_a_test = {"relay", "relay.paper", "tests.bench", "curl", "heroku", SUITE}
    texts = {each.text: each.where for each in shown()}
    unlisted = [
        f"{each.where}: {each.text}"
        for each in shown()
        if program_of(each)[0] not in run_by_a_test and each.text not in NOT_RUN
    ]
    assert unlisted == []
    assert sorted(NOT_RUN.keys() - texts.keys()) == [], "these are shown no more"


def parsed(arguments: Sequence[str]) -> click.Command:
    """By the real parser; raises what a user would see."""
    name, command, rest = cli.resolve_command(click.Context(cli), list(arguments))
    assert command is not None
    command.make_context(name, rest)
    return command


ALERT: Final = {"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.001"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the files that the commands name."""
    monkeypatch.chdir(tmp_path)
    for name in ("alert.json", "FILE"):
        Path(name).write_text(json.dumps({"secret": WEBHOOK_SECRET, **ALERT}))
    shutil.copy(TABLE, "instruments.json")
    return tmp_path


@pytest.fixture
def halted_id(relay: RelayServer) -> Iterator[str]:
    """A signal that was denied and may be opened again. What the test has halted is allowed again."""
    relay.api("halt", "POST")
    denied = relay.done({**ALERT, "id": os.urandom(8).hex()})
    assert denied["reason"]["code"] == "HALTED"
    relay.api("resume", "POST")
    yield denied["signal_id"]
    relay.api("resume", "POST")


@pytest.mark.parametrize("command", shown_of("relay"))
def test_each_command_of_the_relay_does_what_it_says(
    command: Command, relay: RelayServer, paper: PaperServer, folder: Path, halted_id: str
) -> None:
    arguments = [halted_id if word == "ID" else word for word in program_of(command)[1]]
    if arguments[0] in PARSED_ONLY:
        parsed(arguments)
        return
    if "traderspost" in arguments:
        Path("alert.json").write_text('{"ticker": "BTCUSDT.P", "action": "buy", "quantity": 0.001}')
    if "compare" in arguments:
        Path("alerts.csv").write_text(
            "Alert ID,Ticker,Name,Description,Time\n1,BYBIT:BTCUSDT.P,x,y,2026-01-01T00:00:00Z\n"
        )
        Path("trades.csv").write_text(
            "Trade #,Type,Date and time,Signal,Price USDT,Size (qty),Net P&L\n1,Entry long,2020-01-01 00:00,L,9,1,\n"
        )
    done = run({**environment(folder, relay.url), "BYBIT_URL": paper.url}, *arguments)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("command", shown_of(SUITE))
def test_each_way_to_run_the_suite_names_tests_and_marks_that_there_are(command: Command) -> None:
    words = program_of(command)[1]
    assert all((ROOT / word).exists() for word in words if word.startswith("tests/"))
    marked = [word.removeprefix("not ") for before, word in pairwise(words) if before == "-m"]
    registered = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"].get(
        "markers", []
    )
    assert set(marked) <= {mark.partition(":")[0] for mark in registered}


def test_every_command_stands_in_the_operations() -> None:
    block = pages()["docs/operations.md"].section("Commands")
    listed = {match["rest"].split()[0] for line in block.splitlines() if (match := _PROGRAM.match(line))}
    assert listed == set(cli.commands)


@pytest.mark.parametrize("name", pages())
def test_a_command_in_a_sentence_is_one_that_the_parser_takes(name: str, folder: Path) -> None:
    for span in SPAN.findall(pages()[name].prose):
        match = _PROGRAM.fullmatch(span)
        if match is None or match["module"] != "relay":
            continue
        arguments = [word for word in shlex.split(match["rest"]) if "…" not in word]
        assert parsed(arguments or ["serve"]).help, span


@pytest.mark.parametrize("command", shown_of("relay.paper"))
def test_each_paper_exchange_starts(command: Command, folder: Path) -> None:
    arguments = ["0" if word == "9100" else word for word in program_of(command)[1]]
    server = PaperServer(folder, arguments=tuple(arguments))
    server.close()
    assert server.lines[0].startswith("paper exchange on http://127.0.0.1:")


def _left_out(measured: list[str], part: str, folder: Path, requested: object) -> list[Figure]:
    measured.append(part)
    return []


@pytest.mark.parametrize("command", shown_of("tests.bench"))
def test_each_measurement_is_one_that_there_is(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The real parser decides which parts are run; the parts themselves take minutes and are left out."""
    measured: list[str] = []
    for part in bench.PARTS:
        monkeypatch.setitem(bench.PARTS, part, partial(_left_out, measured, part))
    monkeypatch.setattr("tests.bench.plot.draw", lambda figures, path: None)
    arguments = program_of(command)[1]
    monkeypatch.setattr(sys, "argv", ["tests.bench", *arguments])
    bench.main()
    assert measured and set(measured) >= {word for word in arguments if word in bench.PARTS}


@pytest.mark.parametrize("command", shown_of("curl"))
def test_each_request_is_answered_well(command: Command, relay: RelayServer, halted_id: str) -> None:
    line = command.line.strip().replace("http://127.0.0.1:8000", relay.url).replace("…", WEBHOOK_SECRET)
    done = subprocess.run(
        ["bash", "-c", line],
        env={**os.environ, "ADMIN_TOKEN": ADMIN_TOKEN},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr
    assert "error" not in json.loads(done.stdout), done.stdout


# Settings


class RecordingEnvironment(dict[str, str]):
    """An environment that remembers which variables were read."""

    def __init__(self, *given: dict[str, str]) -> None:
        super().__init__({name: value for each in given for name, value in each.items()})
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)


LIVE: Final = {
    "BYBIT_ENV": "mainnet",
    "BYBIT_API_KEY": "a-key-of-an-account",
    "BYBIT_API_SECRET": "a-secret-of-an-account",
    "MAX_POSITION_NOTIONAL": "none",
}
TABLES: Final = """
[accounts.main]
[strategies.trend.limits]
hours = {}
"""


@cache
def variables() -> frozenset[str]:
    """All that the settings read, on paper and with real money."""
    found: set[str] = set()
    for given in ({}, LIVE, {"RELAY_CONFIG": TABLES}):
        environ = RecordingEnvironment(given)
        load_settings(environ, dotenv=None)
        found |= environ.names
    return frozenset(found)


def test_every_variable_stands_in_the_configuration_and_no_other() -> None:
    section = pages()["docs/configuration.md"].section("Variables")
    spans = set(SPAN.findall(section))
    assert sorted(variables() - spans) == []
    listed = set(first_column(section)) - {"PROMETHEUS_MULTIPROC_DIR"}
    assert sorted(listed - variables()) == []


def test_every_key_of_the_file_stands_in_the_configuration_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    read: dict[str, set[str]] = {}
    for name in ("has", "value"):
        whole = getattr(Table, name)

        def recorded(table: Table, key: str, whole: Any = whole) -> Any:
            read.setdefault(table.path, set()).add(key)
            return whole(table, key)

        monkeypatch.setattr(Table, name, recorded)
    load_settings({"RELAY_CONFIG": TABLES}, dotenv=None)
    page = pages()["docs/configuration.md"]
    headings = {
        "accounts.main": "[accounts.NAME]",
        "strategies.trend": "[strategies.NAME]",
        "strategies.trend.limits": "[limits]",
        "strategies.trend.limits.hours": "A period of hours",
    }
    for path, title in headings.items():
        section = page.section(title)
        assert sorted(read[path] - set(SPAN.findall(section))) == [], path
        assert sorted(set(first_column(section)) - read[path]) == [], path
    assert all(f"[{key}" in page.section("Keys of RELAY_CONFIG") for key in read[""])


def configured(text: str) -> Settings:
    """With a value in each variable that the text refers to."""
    named = re.findall(r'_env = "(\w+)"', text)
    return load_settings({**{name: f"what-{name}-holds" for name in named}, "RELAY_CONFIG": text}, dotenv=None)


@pytest.mark.parametrize("block", [pytest.param(each, id=str(each.line)) for each in blocks_of("toml")])
def test_each_configuration_is_taken(block: Block) -> None:
    settings = configured(block.text)
    named = tomllib.loads(block.text)["accounts"]
    assert [each.name for each in settings.accounts] == list(named) and not settings.warnings


def assigned(words: Sequence[str]) -> dict[str, str]:
    """`NAME=value` words. An ellipsis stands for a secret of the reader's own."""
    pairs = [word.partition("=")[::2] for word in words if "=" in word]
    return {name: value.replace("…", f"what-{name}-holds") for name, value in pairs}


def test_the_variables_of_going_live_start_mainnet_with_their_limits() -> None:
    (block,) = [each for each in blocks_of("sh", "README.md") if each.text.startswith("BYBIT_ENV=")]
    settings = load_settings(assigned(shlex.split(block.text, comments=True)), dotenv=None, needs_webhook_secret=True)
    assert settings.environment is Environment.MAINNET and not settings.warnings
    assert settings.rules.max_position_notional == 200
    assert settings.rules.allowed_symbols == frozenset({"BTCUSDT", "ETHUSDT"})


@pytest.mark.parametrize("command", shown_of("heroku"))
def test_the_variables_of_heroku_are_taken_by_the_settings(command: Command) -> None:
    assert command.words[1] == "config:set"
    environ = {name: "x" * 48 if "$(" in value else value for name, value in assigned(command.words[2:]).items()}
    environ["ADMIN_TOKEN"] = "y" * 48
    settings = load_settings({**environ, "DATABASE_URL": "postgres://user@host/name", "DYNO": "web.1"}, dotenv=None)
    assert settings.environment is Environment.DEMO and not settings.warnings


# Lists


@pytest.mark.parametrize(
    ("words", "name", "title"),
    [
        (KNOWN, "docs/alerts.md", "Fields"),
        (NATIVE_ACTIONS, "docs/alerts.md", "Actions"),
        (NATIVE_UNITS, "docs/alerts.md", "Sizes"),
        (set(FORMATS) - {"native"}, "docs/alerts.md", "Alerts written for other services"),
        (SignalStatus, "README.md", "What a status means"),
        (OrderStatus, "docs/api.md", "Signals, orders, positions"),
        (CHECK_POINTS, "docs/operations.md", "The checklist"),
        (NoticeKind, "docs/operations.md", "Notifications"),
    ],
    ids=lambda given: given if isinstance(given, str) and " " in given else "",
)
def test_the_docs_list_all_there_are(words: Any, name: str, title: str) -> None:
    spans = set(SPAN.findall(pages()[name].section(title)))
    assert sorted({str(word) for word in words} - spans) == []


def test_every_endpoint_stands_in_the_api_and_no_other(relay: RelayServer) -> None:
    spans = SPAN.findall(pages()["docs/api.md"].text)
    families = [span.removesuffix("…") for span in spans if span.endswith("/…")]
    there = {
        f"{method} {re.sub(r'<path:', '<', rule.rule)}"
        for rule in relay.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    missing = [each for each in there - set(spans) if not _is_of(families, each)]
    assert sorted(missing) == []
    listed = {span for span in spans if re.fullmatch(r"(GET|POST) /\S*[^…]|(GET|POST) /", span)}
    assert sorted(listed - there) == []


def _is_of(families: list[str], endpoint: str) -> bool:
    return any(endpoint.startswith(each) or endpoint.partition(" ")[2].startswith(each) for each in families)


@cache
def codes() -> frozenset[str]:
    """Reason and error codes, wherever the code of the relay (settings and paper exchange aside) has them."""
    found: set[str] = set()
    for path in (ROOT / "relay").rglob("*.py"):
        if "paper" not in path.parts and not str(path.relative_to(ROOT / "relay")).startswith("settings"):
            text = path.read_text(encoding="utf-8")
            found |= {next(filter(None, each)) for each in _CODE.findall(text)}
    return frozenset(found - NOT_CODES - variables())


def test_every_code_is_explained_and_no_other() -> None:
    reasons = first_column(pages()["docs/alerts.md"].section("Reason codes"))
    errors = first_column(pages()["docs/api.md"].section("Errors"))
    listed = {*reasons, *errors, *(each for each in SPAN.findall(pages()["docs/api.md"].text) if each in codes())}
    assert sorted(codes() - listed) == []
    assert sorted({*reasons, *errors} - codes()) == []


def test_every_metric_stands_in_the_operations(relay: RelayServer) -> None:
    answer = relay.request("GET", "/metrics", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
    there = set(re.findall(r"^# TYPE (relay_\w+) (?:counter|histogram|gauge)$", answer.text, re.MULTILINE))
    named = {each for each in there if not each.endswith("_created")}
    section = pages()["docs/operations.md"].section("Metrics, errors and logs")
    listed = {re.sub(r"\{.*\}", "", span) for span in first_column(section)}
    assert sorted(named - listed) == []
    assert all(each.startswith("relay_") for each in listed)
