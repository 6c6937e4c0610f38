"""What stands in deploy/: that it names what there is, and that its commands are those of the relay."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
import requests
import yaml

from relay.app import metrics
from relay.cli.main import cli
from relay.settings.settings import load_settings
from tests.paper_server import PaperServer
from tests.ports import free_port
from tests.relay_process import ROOT
from tests.relay_server import ADMIN_TOKEN, RelayServer

DEPLOY = ROOT / "deploy"


def _is_command(words: list[str]) -> bool:
    """Of the relay's own, as the real parser takes it."""
    if words[0] == "gunicorn":
        return words[-1] == "relay.web:create_app()" and "python:relay.web.gunicorn" in words
    assert Path(words[0]).name == "python" and words[1:3] == ["-m", "relay"]
    name, command, rest = cli.resolve_command(click.Context(cli), words[3:])
    assert command is not None
    command.make_context(name, rest)
    return True


def test_the_image_copies_what_there_is_runs_without_root_and_asks_only_whether_it_lives() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    copied = [each.split()[1:-1] for each in lines if each.startswith("COPY") and "--from" not in each]
    assert all((ROOT / name).exists() for names in copied for name in names)
    assert {"pyproject.toml", "requirements.txt", "relay"} <= {name for names in copied for name in names}
    assert any(each == "USER relay" for each in lines) and "VOLUME /data" in lines
    (command,) = [json.loads(each.removeprefix("CMD ")) for each in lines if each.startswith("CMD ")]
    assert _is_command(command)
    assert "/healthz" in next(each for each in lines if each.startswith("HEALTHCHECK"))
    assert not any("/readyz" in each for each in lines if not each.startswith("#"))


def _compose(*names: str) -> dict[str, Any]:
    services: dict[str, Any] = {}
    for name in names:
        for service, given in yaml.safe_load((DEPLOY / name).read_text())["services"].items():
            services[service] = {**services.get(service, {}), **given}
    return services


def test_the_compose_files_run_the_relays_own_commands_without_rights() -> None:
    services = _compose("compose.yaml", "compose.postgres.yaml")
    assert set(services) == {"relay", "caddy", "postgres", "migrate", "worker"}
    for name in ("relay", "migrate", "worker"):
        given = services[name]
        assert (DEPLOY / given["build"]["context"] / given["build"]["dockerfile"]).is_file()
        assert given["read_only"] and given["cap_drop"] == ["ALL"]
        assert "command" not in given or _is_command(shlex.split(given["command"]))
    assert services["worker"]["command"].endswith("worker")
    assert all(services[name]["healthcheck"] == {"disable": True} for name in ("migrate", "worker")), "no web server"


def test_what_the_compose_files_want_in_env_is_no_misspelt_setting_to_the_relay() -> None:
    texts = [(DEPLOY / name).read_text() for name in ("compose.yaml", "compose.postgres.yaml")]
    wanted = {name for text in texts for name in re.findall(r"\$\{([A-Z_]+)", text)}
    assert wanted and load_settings(dict.fromkeys(wanted, "any") | {"BYBIT_ENV": "paper"}, dotenv=None).warnings == ()


def test_the_unit_runs_serve_hardened_and_leaves_it_the_time_to_stop() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(DEPLOY / "systemd" / "relay.service")
    service = unit["Service"]
    assert _is_command(shlex.split(service["ExecStart"])) and service["ExecStart"].endswith("serve")
    assert int(service["TimeoutStopSec"]) >= 30 and service["User"] == "relay"
    assert service["ProtectSystem"] == "strict" and service["StateDirectory"] == "relay"
    assert service["WorkingDirectory"] == "/var/lib/relay" and "EnvironmentFile" not in service, "commands read .env"


def test_each_query_of_the_dashboard_is_of_metrics_that_there_are(own: RelayServer) -> None:
    for number in ("first", "second"):
        alert = {"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.01", "id": number}
        done = own.done(alert)
        assert done["status"] == "done", done
    text = own.request("GET", "/metrics", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}).text
    queries = _queries()
    named = {name for query in queries for name in re.findall(r"\brelay_\w+", query)}
    families = {name.removesuffix("_total").removesuffix("_bucket") for name in named}
    there = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
    assert {each for each in families if each not in there and f"{each}_total" not in there} == set()
    assert len(queries) > 15
    assert re.search(r'^relay_position\{account="default",symbol="BTCUSDT"\} 0\.02$', text, re.MULTILINE)
    assert re.search(r'^relay_build_info\{environment="paper",version="[\d.]+"\} 1\.0$', text, re.MULTILINE)


@pytest.mark.skipif(
    shutil.which("prometheus") is None and os.environ.get("RELAY_PROMETHEUS") != "required",
    reason="apt-get install prometheus",
)
@pytest.mark.slow
def test_each_query_of_the_dashboard_answers_in_a_real_prometheus(
    own: RelayServer, paper: PaperServer, tmp_path: Path
) -> None:
    metrics.mails.labels("accepted").inc()
    with _prometheus(tmp_path, own.url) as address:
        buy = {"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.01", "signal_price": "50000"}
        assert own.done(buy)["status"] == own.done({"action": "close", "ticker": "BTCUSDT.P"})["status"] == "done"
        paper.control.fault("/v5/order/create", "code", retCode=110007, retMsg="ab not enough for new order")
        assert own.done(buy | {"comment": "refused"})["status"] == "failed"
        resting = buy | {"ticker": "ETHUSDT.P", "type": "limit", "price": "100", "qty": "1"}
        assert own.done(resting)["status"] == own.done(buy | {"comment": "open"})["status"] == "done"
        unanswered = set(_queries())
        until = time.monotonic() + 90
        while unanswered:
            assert time.monotonic() < until, f"Prometheus has no answer to {unanswered}"
            # What happened before its first look has no rate; half a second is half of its pace.
            own.done({"action": "close", "ticker": "BTCUSDT.P"})
            unanswered = {each for each in unanswered if not _answer_of(address, each)}
            time.sleep(0.5)
        assert all(each["health"] == "up" for each in _asked(address, "targets", {})["activeTargets"])


def _queries() -> list[str]:
    dashboard = json.loads((DEPLOY / "grafana" / "relay.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


@contextmanager
def _prometheus(folder: Path, relay_url: str) -> Iterator[str]:
    """It scrapes every second, with the token, as deploy/README.md says."""
    port = free_port()
    (folder / "token").write_text(ADMIN_TOKEN)
    scraping = {
        "job_name": "relay",
        "scrape_interval": "1s",
        "authorization": {"credentials_file": str(folder / "token")},
        "static_configs": [{"targets": [relay_url.removeprefix("http://")]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump({"scrape_configs": [scraping]}))
    command = ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def _answer_of(address: str, query: str) -> list[Any]:
    found: list[Any] = _asked(address, "query", {"query": query}).get("result", [])
    return [each for each in found if each["value"][1] != "NaN"]


def _asked(address: str, what: str, query: dict[str, str]) -> dict[str, Any]:
    """Empty while it starts. What it takes for no query is no answer that will come."""
    try:
        answer = requests.get(f"{address}/api/v1/{what}", params=query, timeout=20)
    except requests.ConnectionError:
        return {}
    assert answer.status_code in (200, 503), f"{query}: {answer.text}"
    found: dict[str, Any] = answer.json()["data"] if answer.status_code == 200 else {}
    return found
