"""`pip install .`: the wheel holds all that the relay needs, and `relay …` works from anywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import requests

from tests.relay_process import ROOT, RelayProcess

pytestmark = pytest.mark.slow


def _pip(*arguments: str | Path, cwd: Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: building leaves folders beside what it builds."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "requirements.txt", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "relay", source / "relay", ignore=shutil.ignore_patterns("__pycache__"))
    _pip("wheel", "--no-deps", "--wheel-dir", out, ".", cwd=source)
    (built,) = out.glob("relay-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a fresh environment with the relay alone in it: what it needs of others is the tests' own."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False, symlinks=True)
    _pip("--python", folder / "bin" / "python", "install", "--no-deps", "--no-compile", wheel, cwd=folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text("\n".join(each for each in sys.path if each.endswith("site-packages")))
    return folder / "bin"


def test_every_file_of_the_relay_is_in_the_wheel(wheel: Path) -> None:
    files = {
        each.relative_to(ROOT).as_posix()
        for each in (ROOT / "relay").rglob("*")
        if each.is_file() and "__pycache__" not in each.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    assert files - packed == set()
    assert {name for name in packed if not name.startswith("relay")} == set(), "nothing else, such as the tests"


def test_the_wheel_needs_just_what_requirements_txt_names(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith(".dist-info/METADATA")]
        needed = Parser().parsestr(archive.read(name).decode()).get_all("Requires-Dist") or []
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert sorted(needed) == sorted(line for line in lines if line and not line.startswith("#"))
    assert len(needed) > 10


@pytest.mark.parametrize(
    ("words", "named"), [(["relay"], "relay"), (["python", "-m", "relay"], "python -m relay")], ids=["script", "module"]
)
def test_the_relay_command_runs_from_an_empty_folder(
    installed: Path, tmp_path: Path, words: list[str], named: str
) -> None:
    command = [str(installed / words[0]), *words[1:], "--help"]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Usage: {named} [OPTIONS]") and "serve" in done.stdout and "flatten" in done.stdout


def test_the_installed_relay_serves_its_pages_and_takes_a_paper_order(installed: Path, tmp_path: Path) -> None:
    serve = RelayProcess(
        tmp_path,
        None,
        environment={"PYTHONPATH": ""},
        command=(str(installed / "relay"), "serve"),
    )
    serve.start()
    try:
        page = requests.get(f"{serve.url}/login", timeout=60)
        assert page.status_code == 200 and "password" in page.text
        style = requests.get(f"{serve.url}/static/relay.css", timeout=60)
        assert style.status_code == 200 and style.content == (ROOT / "relay/web/static/relay.css").read_bytes()
        alert = {"secret": serve.environment["WEBHOOK_SECRET"], "ticker": "BTCUSDT.P", "action": "buy", "qty": "0.01"}
        answer = requests.post(f"{serve.url}/webhook", json=alert, headers={"Prefer": "wait=10"}, timeout=60)
        assert (answer.status_code, answer.json()["status"]) == (200, "done"), answer.text
    finally:
        serve.stop()
