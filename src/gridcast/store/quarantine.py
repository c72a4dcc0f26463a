"""Rows that may not be used: kept apart with a reason, and released when they prove right. Nothing is ever lost."""

from __future__ import annotations

from datetime import datetime

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gridcast.contracts import DOUBTFUL, OBSERVATION_KEY, OBSERVATIONS, PUBLISHED_AT_BASES, observations
from gridcast.errors import DataError, StoreError
from gridcast.store.adding import insert_observations, refuse
from gridcast.store.tables import OBSERVATION, SET_ASIDE, insert_rows, select_around, select_rows, within
from gridcast.store.vintages import CHAIN, LOOKS, VINTAGES, Added, conflicts, fetches, news

_SAME = [*CHAIN, "published_at", "published_at_basis", "resolution", "value", "reason"]
"""What makes two rows the same, whenever they were fetched."""

Conditions = list[sa.ColumnElement[bool]]


def chosen(zone: str, *, variable: str | None, start: datetime | None, end: datetime | None) -> Conditions:
    """The conditions for a zone's rows, narrowed where an argument is given."""
    wanted = [SET_ASIDE.c.zone == zone, *within(SET_ASIDE.c.valid_time, start=start, end=end)]
    return wanted if variable is None else [*wanted, SET_ASIDE.c.variable == variable]


def rows(connection: Connection, wanted: Conditions) -> pl.DataFrame:
    """The rows that fulfil the conditions, in the columns of `contracts.DOUBTFUL`."""
    return _read(select_rows(connection, *wanted, table=SET_ASIDE, schema=DOUBTFUL))


def add(connection: Connection, frame: pl.DataFrame) -> int:
    """Adds the rows that are not there yet, and says how many they were.

    Raises:
        DataError: a basis is not one of `PUBLISHED_AT_BASES`.
    """
    strange = set(frame["published_at_basis"].unique()) - set(PUBLISHED_AT_BASES)
    if strange:
        raise DataError(
            f"rows to set aside have published_at_basis {', '.join(sorted(strange))}",
            remedy=f"it is one of {', '.join(PUBLISHED_AT_BASES)}",
            where="rows to set aside",
        )
    there = _read(select_around(connection, frame, table=SET_ASIDE, schema=DOUBTFUL))
    fresh = frame.sort(list(DOUBTFUL)).sort("fetched_at", maintain_order=True)
    fresh = fresh.unique(_SAME, keep="first", maintain_order=True).join(there, on=_SAME, how="anti")
    insert_rows(connection, fresh.with_columns(pl.col("value").fill_nan(None)), into=SET_ASIDE)
    return fresh.height


def release(connection: Connection, wanted: Conditions, *, at: datetime) -> Added:
    """Moves rows into the observations: public when they would have been, fetched ``at``.

    Raises:
        ImplausibleValue: a value is not finite.
        StoreError: another value has the place, or two of the rows contradict each other.
    """
    found = rows(connection, wanted).drop("reason").unique()
    if found.is_empty():
        return Added(0, 0)
    later = found.filter(pl.col("fetched_at") > at)
    if later.height:
        raise StoreError(
            f"the release at {at} has rows that were fetched at {later['fetched_at'][0]}",
            remedy="release them at the present instant",
        )
    key = [*OBSERVATION_KEY, "fetched_at"]
    twice = found.filter(pl.struct(key).is_duplicated()).sort(key)
    if twice.height:
        first = twice.row(0, named=True)
        raise StoreError(
            f"{first['zone']} {first['variable']} at {first['valid_time']} from {first['source']} came with two values "
            f"at once, {twice['value'][0]} and {twice['value'][1]}",
            remedy="leave them in quarantine: nothing says which is right; choose other intervals with start and end",
            rows=twice.head(5).rows(),
        )
    moved = VINTAGES.to_frame()
    for fetch in fetches(found):
        part = observations(fetch, where="rows to release")
        refuse(conflicts(part.filter(pl.col("published_at_basis") != "assumed"), known=moved))
        moved = pl.concat([moved, news(part, known=moved, looks=LOOKS.to_frame()).drop("revises")])
    known = select_around(connection, moved, table=OBSERVATION, schema=VINTAGES)
    refuse(conflicts(moved, known=known))
    fresh = moved.join(known, on=list(OBSERVATION_KEY), how="anti")
    insert_observations(connection, fresh.with_columns(fetched_at=pl.lit(at, dtype=OBSERVATIONS["fetched_at"])))
    connection.execute(sa.delete(SET_ASIDE).where(*wanted))
    every = pl.concat([known, moved]).group_by(CHAIN).agg(earliest=pl.col("published_at").min())
    new = fresh.join(every, on=CHAIN).filter(pl.col("published_at") == pl.col("earliest")).height
    return Added(new, fresh.height - new)


def _read(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("value").fill_null(float("nan")))
