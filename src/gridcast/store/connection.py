"""A database and how it is reached: reading, writing in turns, and errors that show no secret."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.pool import StaticPool

from gridcast.errors import MissingExtra, StoreError
from gridcast.store.tables import SCHEMA

BUSY_TIMEOUT_MS = 30_000
"""How long a writer waits for another one."""

MOST_TURNS = 50
"""How often somebody else may be quicker to make the same new file ready."""


class Database:
    """SQLite in a file or in memory, or PostgreSQL.

    Args:
        url: ``sqlite:///path``, ``sqlite://`` or ``postgresql+psycopg://user:password@host/database``.

    Raises:
        StoreError: the address is none.
        MissingExtra: the database's driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self._url = _parsed(url)
        self.engine = _engine(self._url)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is SQLite."""
        return self._url.get_backend_name() == "sqlite"

    def __str__(self) -> str:
        """The URL without user, password and options."""
        url = self._url
        return URL.create(url.drivername, host=url.host, port=url.port, database=url.database).render_as_string()

    @contextmanager
    def guard(self, what: str) -> Iterator[None]:
        """Turns a database error into ours, without the URL's secrets and without the chain that may show them."""
        try:
            yield
        except (sa.exc.SQLAlchemyError, self.engine.dialect.loaded_dbapi.Error) as error:
            reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
            raise StoreError(
                f"the database {self} {what} ({_without_secrets(reason, self._url)})",
                remedy="check that it is there, undamaged and yours to write, and its address in GRIDCAST_DATABASE_URL",
            ) from None

    @contextmanager
    def opening(self) -> Iterator[Connection]:
        """A transaction that may find no table of ours, and in which nobody else changes tables."""
        with self.guard("cannot be opened"), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self, *, consistent: bool = False, what: str = "cannot be read") -> Iterator[Connection]:
        """A connection to read by; ``consistent`` shows every question the same state of the whole database.

        ``what`` is what an error says of the database.
        """
        with self.guard(what), self.engine.connect() as connection:
            if consistent and self.is_sqlite:
                connection.exec_driver_sql("BEGIN")
            elif consistent:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")  # noqa: PLW2901
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that begins by taking its turn: the counter's lock makes reading before writing safe."""
        with self.guard("cannot be written"), self.engine.begin() as connection:
            connection.execute(sa.update(SCHEMA).values(writes=SCHEMA.c.writes + 1))
            yield connection


def write_number(connection: Connection) -> int:
    """The number of the write that is going on, or of the last one: later writes have higher ones."""
    number: int = connection.execute(sa.select(SCHEMA.c.writes)).scalar_one()
    return number


def _parsed(url: str) -> URL:
    try:
        return sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise StoreError(
            "the database address is not a URL",
            remedy="write sqlite:///path or postgresql+psycopg://user@host/database",
        ) from None


def _engine(url: URL) -> Engine:
    sqlite = url.get_backend_name() == "sqlite"
    memory = sqlite and url.database in (None, "", ":memory:")
    try:
        if memory:
            made = sa.create_engine(
                url, poolclass=StaticPool, connect_args={"check_same_thread": False}, hide_parameters=True
            )
        else:
            made = sa.create_engine(url, hide_parameters=True, pool_pre_ping=not sqlite)
    except sa.exc.ArgumentError:
        raise StoreError(
            f"no database of the kind {url.drivername} is known", remedy="use sqlite or postgresql+psycopg"
        ) from None
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"the driver {error.name} of {url.drivername} is not installed",
            remedy="pip install 'gridcast[postgres]' and write postgresql+psycopg://",
            extra="postgres",
        ) from None
    if sqlite:

        @sa.event.listens_for(made, "connect")
        def settle(connection: sqlite3.Connection, _record: object) -> None:
            cursor = connection.cursor()
            for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "synchronous=FULL", "foreign_keys=ON"):
                cursor.execute(f"PRAGMA {pragma}")
            tables = {name for (name,) in cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables or SCHEMA.name in tables:  # the journal of somebody else's database is not ours to change
                _write_ahead(cursor)
            cursor.close()

    return made


def _write_ahead(cursor: sqlite3.Cursor) -> None:
    """Turns to the write-ahead log, for which SQLite does not wait while another process does the same."""
    for _ in range(MOST_TURNS):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            cursor.execute("BEGIN IMMEDIATE")  # for this it waits
            cursor.execute("ROLLBACK")
        else:
            return
    cursor.execute("PRAGMA journal_mode=WAL")


def _without_secrets(text: str, url: URL) -> str:
    options = [value for values in url.query.values() for value in ([values] if isinstance(values, str) else values)]
    for secret in filter(None, (url.password, *options)):
        text = text.replace(str(secret), "***")
    return text
