"""A store of each kind: a file, in memory, and on PostgreSQL where there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from gridcast.store.database import Store
from stores import POSTGRES

needs_postgres = pytest.mark.skipif(not POSTGRES, reason="GRIDCAST_TEST_POSTGRES_URL is not set")


def empty_postgres() -> str:
    """The address of an empty database, one for each process of the tests."""
    server = sa.make_url(POSTGRES)
    name = f"{server.database}_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    engine.dispose()
    return server.set(database=name).render_as_string(hide_password=False)


@pytest.fixture(params=["file", "memory", pytest.param("postgres", marks=needs_postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database of every kind."""
    if request.param == "postgres":
        return empty_postgres()
    return "sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture(params=["file", pytest.param("postgres", marks=needs_postgres)])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database that several processes may open."""
    return empty_postgres() if request.param == "postgres" else f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store(url) as opened:
        yield opened
