"""The only deletion: intervals that are older than somebody wants to keep."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gridcast.store.tables import ISSUED, LOOKED, OBSERVATION, SET_ASIDE


@dataclass(frozen=True)
class Retained:
    """How many rows were removed, or would be."""

    observations: int
    forecasts: int
    quarantined: int
    looks: int


def retain(connection: Connection, *, since: int, dry_run: bool) -> Retained:
    """Removes, or only counts, what ends at ``since`` (microseconds since 1970, UTC) or before."""

    def remove(table: sa.Table, end: sa.ColumnElement[int]) -> int:
        count = connection.execute(sa.select(sa.func.count()).select_from(table).where(end <= since)).scalar_one()
        if count and not dry_run:
            connection.execute(sa.delete(table).where(end <= since))
        return count

    def end_of(table: sa.Table) -> sa.ColumnElement[int]:
        return table.c.valid_time + sa.cast(table.c.resolution, sa.BigInteger) * 1_000_000

    observations, forecasts, quarantined = (remove(table, end_of(table)) for table in (OBSERVATION, ISSUED, SET_ASIDE))
    return Retained(observations, forecasts, quarantined, looks=remove(LOOKED, LOOKED.c.end))
