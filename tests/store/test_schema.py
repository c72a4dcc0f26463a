"""What a database must look like to be ours, and how an older one is upgraded.

On PostgreSQL too where GRIDCAST_TEST_POSTGRES_URL says where.
"""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from gridcast.contracts import LOAD
from gridcast.errors import StoreError
from gridcast.market.days import instant
from gridcast.store.database import Store
from gridcast.store.journal import Entry, Journal
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

# The same of version 2, with a row of each; SERIAL stands for the type by which a database numbers rows.
VERSION_2 = (
    "CREATE TABLE forecast (zone VARCHAR NOT NULL, issue_time BIGINT NOT NULL, valid_time BIGINT NOT NULL, "
    "quantile DOUBLE PRECISION NOT NULL, model_version VARCHAR NOT NULL, resolution INTEGER NOT NULL, "
    "value DOUBLE PRECISION NOT NULL, degraded VARCHAR NOT NULL, made_at BIGINT, "
    "PRIMARY KEY (zone, issue_time, valid_time, quantile, model_version))",
    "CREATE TABLE gridcast_schema (id INTEGER NOT NULL, version INTEGER NOT NULL, writes BIGINT NOT NULL, "
    "PRIMARY KEY (id))",
    "CREATE TABLE observation (zone VARCHAR NOT NULL, variable VARCHAR NOT NULL, valid_time BIGINT NOT NULL, "
    "published_at BIGINT NOT NULL, source VARCHAR NOT NULL, resolution INTEGER NOT NULL, "
    "value DOUBLE PRECISION NOT NULL, published_at_basis VARCHAR NOT NULL, fetched_at BIGINT NOT NULL, "
    "write BIGINT DEFAULT '0' NOT NULL, assumed_at BIGINT, "
    "PRIMARY KEY (zone, variable, valid_time, published_at, source))",
    "CREATE TABLE look (zone VARCHAR NOT NULL, variable VARCHAR NOT NULL, source VARCHAR NOT NULL, "
    'at BIGINT NOT NULL, start BIGINT NOT NULL, "end" BIGINT NOT NULL, write BIGINT NOT NULL, answered_at BIGINT, '
    'PRIMARY KEY (zone, variable, source, at, start, "end"))',
    "CREATE TABLE quarantine (id SERIAL NOT NULL, zone VARCHAR NOT NULL, variable VARCHAR NOT NULL, "
    "valid_time BIGINT NOT NULL, published_at BIGINT NOT NULL, source VARCHAR NOT NULL, resolution INTEGER NOT NULL, "
    "value DOUBLE PRECISION, published_at_basis VARCHAR NOT NULL, fetched_at BIGINT NOT NULL, reason VARCHAR NOT NULL, "
    "write BIGINT NOT NULL, released_at BIGINT, released_write BIGINT, released_by VARCHAR, PRIMARY KEY (id))",
    "CREATE INDEX quarantine_place ON quarantine (zone, variable, valid_time)",
    "CREATE TABLE seal (made_at BIGINT NOT NULL, write BIGINT NOT NULL, PRIMARY KEY (made_at))",
    "INSERT INTO gridcast_schema VALUES (1, 2, 3)",
    "INSERT INTO observation VALUES ('X', 'load', 1774735200000000, 1774746000000000, 'a', 3600, 1.5, 'assumed', "
    "1774821600000000, 1, NULL)",
    "INSERT INTO look VALUES ('X', 'load', 'a', 1774821600000000, 1774735200000000, 1774742400000000, 1, NULL)",
    "INSERT INTO quarantine VALUES (1, 'X', 'load', 1774735200000000, 1774746000000000, 'a', 3600, 1e9, 'assumed', "
    "1774821600000000, 'spike', 2, NULL, NULL, NULL)",
    "INSERT INTO forecast VALUES ('X', 1774735200000000, 1774782000000000, 0.1, 'v1', 3600, 7.0, '', 1774821600000000)",
    "INSERT INTO seal VALUES (1774821600000000, 2)",
)


def written(url: str, statements: tuple[str, ...]) -> str:
    """The address of a database that an earlier version wrote."""
    engine, sqlite = sa.create_engine(url), url.startswith("sqlite")
    with engine.begin() as connection:
        for statement in statements:
            without_rowid = sqlite and "PRIMARY KEY (zone" in statement
            number = "INTEGER" if sqlite else "BIGSERIAL"
            connection.exec_driver_sql(statement.replace("SERIAL", number) + " WITHOUT ROWID" * without_rowid)
    engine.dispose()
    return url


@pytest.fixture
def old(shared_url: str) -> str:
    """The address of a database that version 1 wrote."""
    return written(shared_url, VERSION_1)


@pytest.fixture
def second(shared_url: str) -> str:
    """The address of a database that version 2 wrote."""
    return written(shared_url, VERSION_2)


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


def test_a_store_of_version_2_gets_a_journal_and_nothing_in_it_is_lost(second: str) -> None:
    entry = Entry("issued", START, "X", "v2", b"{}", b"{}")
    made = START + 24 * HOUR
    for count in range(2):
        with Store(second) as store:
            assert store.observations(["X"]).equals(load(1.5))
            assert store.observations(["X"], made_at=made).equals(load(1.5))
            assert store.quarantined("X").equals(doubtful(1e9))
            assert store.forecasts("X").equals(issued(7.0))
            assert store.made_at("X", issue_time=START, model_version="v1") == made
            journal = Journal(store)
            assert (journal.head().count, journal.verify(), store.check()) == (count, [], [])
            assert journal.append(entry).number == count + 1
    with Store(second) as store:
        new = issued(1.0, model_version="v2")
        assert store.put_forecast(new, made_at=made, noted=lambda at: replace(entry, at=at)) == 1
        assert [each.at for each in Journal(store).entries()] == [START, START, made]


@pytest.mark.parametrize("statements", [VERSION_1, VERSION_2])
def test_an_upgraded_store_is_built_like_a_new_one(
    shared_url: str, tmp_path: Path, statements: tuple[str, ...]
) -> None:
    new = f"sqlite:///{tmp_path / 'new.db'}"
    shapes = []
    for url in (written(shared_url, statements), new):
        with Store(url) as store:
            there = sa.inspect(store.database.engine)
            shapes.append(
                {table: {column["name"] for column in there.get_columns(table)} for table in there.get_table_names()}
            )
    assert shapes[0] == shapes[1]
    assert len(shapes[0]) == 8


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
