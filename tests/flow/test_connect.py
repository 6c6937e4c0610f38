"""`connect` asks, looks, and writes the key down only if it works."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from Crypto.PublicKey import RSA
from dotenv import dotenv_values

from tests.flow.cli_support import run_process
from tests.paper_server import KEY, SECRET, PaperServer

pytestmark = pytest.mark.slow

BEFORE = "# my relay\nPORT=8123\nBYBIT_API_KEY=old\nBYBIT_API_SECRET='of\nseveral lines'\nLOG_LEVEL=warning\n"


@pytest.fixture(scope="module")
def private_pem() -> str:
    return RSA.generate(2048).export_key().decode()


@pytest.fixture(autouse=True)
def fresh(paper: PaperServer) -> None:
    paper.control.reset()


def connected(folder: Path, paper: PaperServer, *answers: str, **environ: str) -> tuple[int, str, str]:
    """The exit code, and what it says. `answers`: as they are typed, line by line."""
    said = "".join(f"{answer}\n" for answer in answers).encode()
    return run_process({"BYBIT_URL": paper.url, **environ}, folder, "connect", given=said)


def test_a_key_that_works_is_written_beside_what_was_there(paper: PaperServer, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(BEFORE)
    file.chmod(0o644)
    code, out, err = connected(tmp_path, paper, "demo", KEY, SECRET)
    assert code == 0, out + err
    assert out.splitlines()[-1].startswith("connected: ")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().startswith("# my relay\nPORT=8123\nLOG_LEVEL=warning\n")
    assert dotenv_values(file) == {
        "PORT": "8123",
        "LOG_LEVEL": "warning",
        "BYBIT_ENV": "demo",
        "BYBIT_API_KEY": KEY,
        "BYBIT_API_SECRET": SECRET,
    }
    assert SECRET not in out + err
    assert os.listdir(tmp_path) == [".env"]


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        (("demo", "no-such-key-1234", SECRET), "key: the exchange does not know the key …1234"),
        (("testnet", KEY, "a-secret-of-another-key"), "signature: the secret does not belong"),
    ],
)
def test_nothing_is_written_for_a_key_that_does_not_work(
    answers: tuple[str, ...], why: str, paper: PaperServer, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(BEFORE)
    code, out, err = connected(tmp_path, paper, *answers)
    assert code == 1
    assert f"not connected, and nothing was written: {why}" in err
    assert (tmp_path / ".env").read_text() == BEFORE
    assert answers[2] not in out + err


def test_a_key_that_may_withdraw_real_money_is_not_written(paper: PaperServer, tmp_path: Path) -> None:
    paper.control.account(key={"permissions": {"ContractTrade": ["Order", "Position"], "Wallet": ["Withdraw"]}})
    code, _, err = connected(tmp_path, paper, "mainnet", KEY, SECRET)
    assert (code, os.listdir(tmp_path)) == (1, [])
    assert "withdraw_permission: the key may withdraw" in err


def test_a_key_that_may_spend_real_money_by_other_ways_is_not_written(paper: PaperServer, tmp_path: Path) -> None:
    paper.control.account(key={"permissions": {"ContractTrade": ["Order", "Position"], "FiatP2P": ["FiatP2POrder"]}})
    code, _, err = connected(tmp_path, paper, "mainnet", KEY, SECRET)
    assert (code, os.listdir(tmp_path)) == (1, [])
    assert "other_permissions: the key may do more than trade (FiatP2P: FiatP2POrder)" in err


def test_what_else_hinders_is_said_and_the_key_is_kept(paper: PaperServer, tmp_path: Path) -> None:
    paper.control.account(positionMode={"BTCUSDT": 3})
    code, _, err = connected(tmp_path, paper, "mainnet", KEY, SECRET)
    assert code == 1
    assert "not connected yet: position_mode: BTCUSDT: hedge mode" in err
    assert "needs MAX_POSITION_NOTIONAL" in err
    assert dotenv_values(tmp_path / ".env")["BYBIT_ENV"] == "mainnet"


@pytest.mark.parametrize("from_file", [False, True])
def test_a_private_key_is_pasted_in_all_its_lines_or_named_by_its_file(
    from_file: bool, private_pem: str, paper: PaperServer, tmp_path: Path
) -> None:
    public = RSA.import_key(private_pem).public_key().export_key().decode()
    paper.control.account(publicKey=public)
    if from_file:
        (tmp_path / "key.pem").write_text(private_pem)
    code, out, err = connected(tmp_path, paper, "testnet", KEY, "key.pem" if from_file else private_pem)
    assert code == 0, out + err
    assert private_pem.splitlines()[1] not in out + err
    environ = {"BYBIT_URL": paper.url}
    code, out, err = run_process(environ, tmp_path, "check")
    assert code == 0, out + err
    assert private_pem.splitlines()[1] not in out + err


def test_an_input_that_ends_too_soon_or_names_no_environment_writes_nothing(paper: PaperServer, tmp_path: Path) -> None:
    for answers in (("demo",), ("demo", KEY), ("nowhere", KEY, SECRET), ("demo", "", "")):
        code, _, err = connected(tmp_path, paper, *answers)
        assert code == 1 and "nothing was written" in err
    assert os.listdir(tmp_path) == []


CONFIG = """
[accounts.main]
environment = "demo"
url = "{url}"
api_key_env = "MAIN_KEY"
api_secret_env = "MAIN_SECRET"

[accounts.second]
environment = "testnet"
url = "{other}"
api_key_env = "SECOND_KEY"
api_secret_env = "SECOND_SECRET"

[strategies.default]
accounts = ["main", "second"]
"""


def test_of_several_accounts_each_is_connected_by_its_name_in_its_own_variables(
    paper: PaperServer, tmp_path: Path
) -> None:
    other_key, other_secret = "second-key", "the-secret-of-the-second-one"
    given_to_other = {"BYBIT_API_KEY": other_key, "BYBIT_API_SECRET": other_secret}
    other = PaperServer(tmp_path, environment=given_to_other)
    try:
        _connect_each(paper, other, tmp_path, {"main": (KEY, SECRET), "second": (other_key, other_secret)})
    finally:
        other.close()


def _connect_each(paper: PaperServer, other: PaperServer, tmp_path: Path, keys: dict[str, tuple[str, str]]) -> None:
    (tmp_path / "relay.toml").write_text(CONFIG.format(url=paper.url, other=other.url))
    where = {"RELAY_CONFIG": "relay.toml"}
    code, _, err = connected(tmp_path, paper, KEY, SECRET, **where)
    assert code == 2 and "it should be one of main, second" in err
    for name, (key, secret) in keys.items():
        given = f"{key}\n{secret}\n".encode()
        code, out, err = run_process(where, tmp_path, "connect", "--account", name, given=given)
        assert code == 0, out + err
        assert out.splitlines()[-1].startswith("connected: ")
    second_key, second_secret = keys["second"]
    wanted = {"MAIN_KEY": KEY, "MAIN_SECRET": SECRET, "SECOND_KEY": second_key, "SECOND_SECRET": second_secret}
    assert dotenv_values(tmp_path / ".env") == wanted
    code, out, err = run_process(where, tmp_path, "check", "--json")
    said = json.loads(out)
    assert code == 0, out + err
    assert [account["account"] for account in said["accounts"]] == ["main", "second"]
