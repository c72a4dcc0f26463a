"""The tables' versions: what a database must look like to be ours, and how an older one becomes a new one."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gridcast.errors import StoreError
from gridcast.store.connection import Database
from gridcast.store.tables import ISSUED, JOURNAL_BEGINS, JOURNAL_HEAD, METADATA, OBSERVATION, SCHEMA

SCHEMA_VERSION = 3

JOURNAL_SINCE = 3
"""The version that brought the journal."""

SCHEMA_LOCK = 86_400
"""PostgreSQL's number of the lock under which the tables are made or upgraded, once."""

ADDED: Mapping[int, Mapping[str, tuple[str, ...]]] = {
    2: {OBSERVATION.name: ("write", "assumed_at"), ISSUED.name: ("made_at",)},
    3: {},  # the journal
}
"""Columns that a version added to tables of the one before; new tables are simply made."""


def prepare(database: Database) -> None:
    """Makes the tables where there are none and upgrades older ones, all in one transaction.

    Raises:
        StoreError: there are tables of somebody else or of a later time, which are left as they are; or the database
            cannot be reached.
    """
    with database.reading(consistent=True, what="cannot be opened") as connection:
        if _version(connection, database) == SCHEMA_VERSION:
            return
    with database.opening() as connection:
        if database.is_sqlite:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(SCHEMA_LOCK)))
        version = _version(connection, database)  # perhaps another process was quicker
        for newer in range((version or SCHEMA_VERSION) + 1, SCHEMA_VERSION + 1):
            for table, names in ADDED[newer].items():
                for name in names:
                    column = sa.schema.CreateColumn(METADATA.tables[table].c[name])
                    definition = column.compile(dialect=connection.dialect)
                    connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {definition}")
        METADATA.create_all(connection)
        if version is None or version < JOURNAL_SINCE:
            connection.execute(sa.insert(JOURNAL_HEAD).values(id=1, count=0, hash=JOURNAL_BEGINS))
        if version is None:
            connection.execute(sa.insert(SCHEMA).values(id=1, version=SCHEMA_VERSION, writes=0))
        else:
            connection.execute(sa.update(SCHEMA).values(version=SCHEMA_VERSION))


def _version(connection: Connection, database: Database) -> int | None:
    """The version of the tables, None where there are none at all; refuses what is not ours."""
    there = sa.inspect(connection)
    names = [table.name for table in METADATA.sorted_tables if there.has_table(table.name)]
    if not names:
        return None
    version = SCHEMA_VERSION
    if SCHEMA.name in names:
        _check_columns(there, SCHEMA.name, version=version, database=database)
        version = connection.scalar(sa.select(SCHEMA.c.version)) or 0
        if version not in range(1, SCHEMA_VERSION + 1):
            raise _foreign(database, f"has schema version {version}, this gridcast knows {SCHEMA_VERSION}")
    for name in names:
        _check_columns(there, name, version=version, database=database)
    if SCHEMA.name not in names:
        raise _foreign(database, f"has a table {names[0]} but no {SCHEMA.name}")
    return version


def _check_columns(there: sa.Inspector, table: str, *, version: int, database: Database) -> None:
    later = {name for newer, tables in ADDED.items() if newer > version for name in tables.get(table, ())}
    found = {column["name"] for column in there.get_columns(table)}
    if found != set(METADATA.tables[table].columns.keys()) - later:
        raise _foreign(database, f"has a table {table} with other columns")


def _foreign(database: Database, what: str) -> StoreError:
    return StoreError(f"the database {database} {what}", remedy="upgrade gridcast, or name another database")
