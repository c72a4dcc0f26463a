"""What a database must look like to be ours, and how an older one is upgraded.

On PostgreSQL too where GRIDCAST_TEST_POSTGRES_URL says where.
"""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from gridcast.contracts import LOAD
from gridcast.errors import StoreError
from gridcast.market.days import instant
from gridcast.store.database import Store
from gridcast.store.schema import SCHEMA_VERSION
from gridcast.store.vintages import Added
from stores import HOUR, START, ZONE, doubtful, issued, load

# The tables as version 1 made them, and one row of each as it wrote them. Never change a word of it.
VERSION_1 = (
    "CREATE TABLE forecast (zone VARCHAR NOT NULL, issue_time BIGINT NOT NULL, valid_time BIGINT NOT NULL, "
    "quantile DOUBLE PRECISION NOT NULL, model_version VARCHAR NOT NULL, resolution INTEGER NOT NULL, "
    "value DOUBLE PRECISION NOT NULL, degraded VARCHAR NOT NULL, "
    "PRIMARY KEY (zone, issue_time, valid_time, quantile, model_version))",
    "CREATE TABLE gridcast_schema (id INTEGER NOT NULL, version INTEGER NOT NULL, writes BIGINT NOT NULL, "
    "PRIMARY KEY (id))",
    "CREATE TABLE observation (zone VARCHAR NOT NULL, variable VARCHAR NOT NULL, valid_time BIGINT NOT NULL, "
    "published_at BIGINT NOT NULL, source VARCHAR NOT NULL, resolution INTEGER NOT NULL, "
    "value DOUBLE PRECISION NOT NULL, published_at_basis VARCHAR NOT NULL, fetched_at BIGINT NOT NULL, "
    "PRIMARY KEY (zone, variable, valid_time, published_at, source))",
    "INSERT INTO gridcast_schema VALUES (1, 1, 2)",
    "INSERT INTO observation VALUES ('X', 'load', 1774735200000000, 1774746000000000, 'a', 3600, 1.5, 'assumed', "
    "1774821600000000)",
    "INSERT INTO forecast VALUES ('X', 1774735200000000, 1774782000000000, 0.1, 'v1', 3600, 7.0, '')",
)


@pytest.fixture
def old(shared_url: str) -> str:
    """The address of a database that version 1 wrote."""
    engine = sa.create_engine(shared_url)
    with engine.begin() as connection:
        for statement in VERSION_1:
            without_rowid = shared_url.startswith("sqlite") and "PRIMARY KEY (zone" in statement
            connection.exec_driver_sql(statement + " WITHOUT ROWID" * without_rowid)
    engine.dispose()
    return shared_url


def test_a_store_of_version_1_is_upgraded_and_nothing_in_it_is_lost(old: str) -> None:
    for _ in range(2):
        with Store(old) as store:
            assert store.observations(["X"]).equals(load(1.5))
            assert store.forecasts("X").equals(issued(7.0))
            assert store.made_at("X", issue_time=START, model_version="v1") is None
            assert store.check() == []
    with Store(old) as store:
        assert store.put(load(1.5, 2.0)) == Added(1, 0)
        assert store.put(load(9.0, fetched_at=START + 48 * HOUR)) == Added(0, 1)
        assert store.put_forecast(issued(1.0, model_version="v2"), made_at=START + HOUR) == 1
        assert store.quarantine(doubtful(1e9)) == 1
        assert store.made_at("X", issue_time=START, model_version="v2") == START + HOUR
        made = store.as_of(ZONE, START + 40 * HOUR, made_at=START + 40 * HOUR)
        assert made.known(LOAD, np.array([instant(START)]), issue_time=made.issue_times[0])[0] == 1.5


def test_an_upgraded_store_is_built_like_a_new_one(old: str, tmp_path: Path) -> None:
    new = f"sqlite:///{tmp_path / 'new.db'}"
    shapes = []
    for url in (old, new):
        with Store(url) as store:
            there = sa.inspect(store.database.engine)
            shapes.append(
                {table: {column["name"] for column in there.get_columns(table)} for table in there.get_table_names()}
            )
    assert shapes[0] == shapes[1]
    assert len(shapes[0]) == 6


def test_many_may_open_an_old_store_at_once(old: str) -> None:
    def rows(_: int) -> int:
        with Store(old) as store:
            return store.observations(["X"]).height

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(rows, range(8))) == [1] * 8


def test_an_upgrade_that_fails_changes_nothing(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # As if two versions lay between: the second step fails after the first has been done.
    monkeypatch.setattr("gridcast.store.schema.SCHEMA_VERSION", 3)
    monkeypatch.setattr(
        "gridcast.store.schema.ADDED", {2: {"observation": ("write", "assumed_at"), "forecast": ("made_at",)}}
    )
    with pytest.raises(KeyError):
        Store(old)
    engine = sa.create_engine(old)
    with engine.connect() as connection:
        columns = {column["name"] for column in sa.inspect(connection).get_columns("observation")}
        assert connection.scalar(sa.text("SELECT version FROM gridcast_schema")) == 1
    engine.dispose()
    assert "write" not in columns


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    Store(f"sqlite:///{path}").close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE gridcast_schema SET version = ?", (SCHEMA_VERSION + 1,))
    connection.close()
    with pytest.raises(StoreError, match=f"schema version {SCHEMA_VERSION + 1}, this gridcast knows {SCHEMA_VERSION}"):
        Store(f"sqlite:///{path}")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE observation (a INTEGER)",
        "CREATE TABLE gridcast_schema (a INTEGER)",
        "CREATE TABLE observation (zone, variable, valid_time, published_at, source, resolution, value, "
        "published_at_basis, fetched_at)",
    ],
)
def test_somebody_elses_tables_are_refused_and_left_alone(statement: str, tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(StoreError, match="has a table"):
        Store(f"sqlite:///{path}")
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone() == (1,)
    connection.close()


def test_many_may_make_the_same_new_file_at_once(tmp_path: Path) -> None:
    def make(number: int) -> list[str]:
        with Store(f"sqlite:///{tmp_path / f'{number // 6}.db'}") as store:
            return store.check()

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(make, range(60))) == [[]] * 60
