"""Journals that each landed version left behind (`tests.landed` made them) are opened, and gone on with."""

from __future__ import annotations

import lzma
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, inspect

from relay.domain.order import OrderStatus, SignalStatus
from relay.journal.journal import Journal
from relay.journal.maintenance import ExportKind, export
from relay.journal.opening import HEAD, migrate, open_journal
from relay.journal.postgres import PostgresStore
from relay.journal.tables import metadata
from tests import postgres
from tests.landed.__main__ import ON_POSTGRES, VERSIONS
from tests.unit.journal_builders import accepted, new_signal, sent_order

pytestmark = pytest.mark.slow

KEPT = Path(__file__).parents[1] / "landed" / "journals"
FIRST_WITH_LADDERS = VERSIONS.index("1c2d444")
FIRST_WITH_COINS = VERSIONS.index("5d11c61")


def _named(kind: str) -> list[Path]:
    return sorted(KEPT.glob(f"*.{kind}.xz"))


def _version(kept: Path) -> str:
    return kept.name.split("-")[1].partition(".")[0]


def test_there_is_a_journal_of_each_landed_version() -> None:
    assert [_version(each) for each in _named("db")] == list(VERSIONS)
    assert [_version(each) for each in _named("sql")] == list(ON_POSTGRES)


@pytest.mark.parametrize("kept", _named("db"), ids=_version)
def test_a_journal_of_a_landed_version_is_brought_to_the_schema_of_today_and_gone_on_with(
    kept: Path, tmp_path: Path
) -> None:
    (tmp_path / "relay.db").write_bytes(lzma.decompress(kept.read_bytes()))
    url = f"sqlite:///{tmp_path}/relay.db"
    journal = open_journal(url)
    with journal.store.read() as connection:
        _check_schema(connection.engine)
    _go_on(journal, url, kept)


@pytest.mark.parametrize("kept", _named("sql"), ids=_version)
def test_a_postgres_of_a_landed_version_is_migrated_and_gone_on_with(kept: Path) -> None:
    url = postgres.server().empty()
    with psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://"), autocommit=True) as connection:
        connection.execute(lzma.decompress(kept.read_bytes()))
    migrate(url)
    journal = open_journal(url)
    assert isinstance(journal.store, PostgresStore)
    _check_schema(journal.store.engine)
    _go_on(journal, url, kept)


def _check_schema(engine: Engine) -> None:
    """Each table, column and index of today is there; what else there is does no harm."""
    there = inspect(engine)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == HEAD
    for table in metadata.sorted_tables:
        columns = {each["name"]: each["nullable"] for each in there.get_columns(table.name)}
        assert set(table.columns.keys()) <= set(columns), table.name
        assert not [name for name, nullable in columns.items() if name not in table.columns and not nullable]
        assert {each.name for each in table.indexes} <= {each["name"] for each in there.get_indexes(table.name)}


def _go_on(journal: Journal, url: str, kept: Path) -> None:
    came_to = {(each["alert"].get("comment"), each["status"]) for each in journal.signals(limit=50).signals}
    assert came_to >= {("the ladder", SignalStatus.DONE), ("rejected", SignalStatus.REJECTED)}
    (unknown,) = journal.unfinished()
    assert unknown.signal.alert["comment"] == "unknown"
    assert [each.state.status for each in unknown.orders] == [OrderStatus.SUBMITTED]
    version = VERSIONS.index(_version(kept))
    has_ladders, has_coins = version >= FIRST_WITH_LADDERS, version >= FIRST_WITH_COINS
    assert len(journal.live_brackets("default")) == has_ladders + has_coins
    assert len([each for each in journal.open_orders("default") if each.state.rests]) == 2 * has_ladders + has_coins
    held = {symbol: each.size for symbol, each in journal.holdings("default").items()}
    assert held == ({"ETHUSDT": Decimal("0.01998")} if has_coins else {})
    for kind in ExportKind:
        assert all(export(journal.store, kind, 0, 2**60))
    new = accepted(journal, new_signal(accounts=("default",)))
    sent_order(journal, account="default", signal=new_signal(accounts=("default",)))
    journal.close()
    again = open_journal(url)
    assert again.signal(new) is not None and len(again.unfinished()) == 3
    again.close()
