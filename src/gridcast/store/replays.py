"""What a forecast may use, and how its replay finds the same again: by its seal, else by the clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gridcast.contracts import OBSERVATIONS
from gridcast.store.connection import write_number
from gridcast.store.tables import OBSERVATION, SEAL, SET_ASIDE, insert_rows, microseconds, select_rows, within
from gridcast.store.vintages import CHAIN

Conditions = list[sa.ColumnElement[bool]]

WITHDRAWN = pl.Schema({name: OBSERVATIONS[name] for name in (*CHAIN, "value")})
"""What rows in quarantine and the observations that they withdraw have in common."""

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Narrowed:
    """Which rows are asked for: of these zones, and only those variables and intervals (``end`` is exclusive)."""

    zones: Sequence[str]
    variables: Sequence[str] | None = None
    start: datetime | None = None
    end: datetime | None = None

    def of(self, table: sa.Table) -> Conditions:
        """The conditions for the rows of a table."""
        wanted = [table.c.zone.in_(self.zones), *within(table.c.valid_time, start=self.start, end=self.end)]
        return wanted if self.variables is None else [*wanted, table.c.variable.in_(self.variables)]


def usable(
    connection: Connection, narrowed: Narrowed, *, made_at: datetime | None = None, last_write: int | None = None
) -> pl.DataFrame:
    """Observations that were known, without those whose value was in quarantine.

    Args:
        connection: to the store.
        narrowed: which ones.
        made_at: what was known when a forecast was made: by its seal where it has one, which knows the order in which
            everything was stored; else by the clock.
        last_write: what was known after that write.
    """
    seen, aside = OBSERVATION.c, SET_ASIDE.c
    known, withdrawn = narrowed.of(OBSERVATION), narrowed.of(SET_ASIDE)
    since: Conditions = [aside.released_write.is_(None)]
    if made_at is not None:
        then = microseconds(made_at)
        known.append(seen.fetched_at <= then)
        sealed = connection.scalar(sa.select(SEAL.c.write).where(SEAL.c.made_at == then))
        if sealed is None:
            withdrawn.append(aside.fetched_at <= then)
            since.append(aside.released_at > then)
        else:
            last_write = sealed if last_write is None else min(sealed, last_write)
    if last_write is not None:
        known.append(seen.write <= last_write)
        withdrawn.append(aside.write <= last_write)
        since.append(aside.released_write > last_write)
    rows = select_rows(connection, *known, table=OBSERVATION, schema=OBSERVATIONS)
    gone = select_rows(connection, *withdrawn, sa.or_(*since), table=SET_ASIDE, schema=WITHDRAWN)
    return rows if gone.is_empty() else rows.join(gone, on=list(WITHDRAWN), how="anti", maintain_order="left")


def seal(connection: Connection, made_at: datetime, *, last_write: int | None = None) -> datetime:
    """Notes the last write that a forecast made at ``made_at`` could know of.

    Returns:
        The instant that stands for it in replays: ``made_at``, or the next microsecond whose seal knows the same data.
    """
    known = write_number(connection) if last_write is None else last_write
    while True:
        at = microseconds(made_at)
        there = connection.scalar(sa.select(SEAL.c.write).where(SEAL.c.made_at == at))
        if there is None:
            insert_rows(connection, pl.DataFrame({"made_at": [at], "write": [known]}), into=SEAL)
        if there is None or not _changed(connection, *sorted((there, known))):
            return made_at
        made_at += _TICK


def _changed(connection: Connection, earlier: int, later: int) -> bool:
    """Whether anything that a forecast may use, or may not, was written after one write and until a later one."""
    columns = (OBSERVATION.c.write, SET_ASIDE.c.write, SET_ASIDE.c.released_write)
    return any(connection.scalar(sa.select(sa.exists().where(column > earlier, column <= later))) for column in columns)
