"""Rows that may not be used: kept apart with a reason, and released when they prove right. Nothing is ever lost.

What is stored of the same value is withdrawn as long as it is in quarantine; `gridcast.store.replays` leaves it out.
"""

from __future__ import annotations

from datetime import datetime

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gridcast.contracts import DOUBTFUL, OBSERVATION_KEY, OBSERVATIONS, PUBLISHED_AT_BASES, observations
from gridcast.errors import DataError, StoreError
from gridcast.store.adding import insert_observations, looks_around, refuse, widened
from gridcast.store.connection import write_number
from gridcast.store.replays import WITHDRAWN, Conditions
from gridcast.store.tables import (
    LOOKED,
    OBSERVATION,
    SET_ASIDE,
    insert_rows,
    microseconds,
    select_around,
    select_rows,
)
from gridcast.store.vintages import CHAIN, VINTAGES, Added, conflicts, contradictions, fetches, news

HELD = SET_ASIDE.c.released_write.is_(None)
"""What is in quarantine still."""

PERSON, SOURCE = "person", "source"
"""Who released a row."""

_SAME = [*CHAIN, "published_at", "published_at_basis", "resolution", "value", "verdict"]
"""What makes two rows the same, whenever they were fetched."""

_VERDICT = pl.col("reason").str.split(":").list.first()
"""What is said of a row, without the figures: they change with the days around it."""


def rows(connection: Connection, wanted: Conditions) -> pl.DataFrame:
    """The rows in quarantine that fulfil the conditions, in the columns of `contracts.DOUBTFUL`."""
    return _read(select_rows(connection, HELD, *wanted, table=SET_ASIDE, schema=DOUBTFUL))


def add(connection: Connection, frame: pl.DataFrame) -> int:
    """Adds the rows that are neither there yet nor were released by a person, and says how many they were.

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
    judged = pl.Schema({**DOUBTFUL, "released_by": pl.String()})
    there = _read(select_around(connection, frame, table=SET_ASIDE, schema=judged))
    there = there.filter(pl.col("released_by").ne_missing(SOURCE))
    fresh = frame.sort(list(DOUBTFUL)).sort("fetched_at", maintain_order=True).with_columns(verdict=_VERDICT)
    fresh = fresh.unique(_SAME, keep="first", maintain_order=True)
    fresh = fresh.join(there.with_columns(verdict=_VERDICT), on=_SAME, how="anti").drop("verdict")
    now = pl.lit(write_number(connection))
    insert_rows(connection, fresh.with_columns(pl.col("value").fill_nan(None), write=now), into=SET_ASIDE)
    return fresh.height


def acquitted(connection: Connection, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows that a person released once, whenever they were fetched: `add` passes over them."""
    free = select_around(connection, frame, SET_ASIDE.c.released_by == PERSON, table=SET_ASIDE, schema=DOUBTFUL)
    free = _read(free).with_columns(verdict=_VERDICT)
    return frame.with_columns(verdict=_VERDICT).join(free, on=_SAME, how="semi").drop("verdict")


def release(connection: Connection, wanted: Conditions, *, at: datetime) -> Added:
    """Lets rows be used as if they had come unsuspected: public when they would have been, fetched ``at``.

    Raises:
        ImplausibleValue: a value is not finite.
        StoreError: another value has the place, or two of the rows contradict each other.
    """
    seen = pl.Schema({**DOUBTFUL, "write": pl.Int64()})
    found = _read(select_rows(connection, HELD, *wanted, table=SET_ASIDE, schema=seen))
    found = found.group_by(list(OBSERVATIONS)).agg(pl.col("write").min())
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
    return _move(connection, found, wanted, at=at)


def _move(connection: Connection, found: pl.DataFrame, wanted: Conditions, *, at: datetime) -> Added:
    """Dates rows (with their ``write``) by what was known when they came, and adds those that are not stored."""
    stored = select_around(
        connection, widened(found), table=OBSERVATION, schema=pl.Schema({**VINTAGES, "write": pl.Int64()})
    )
    known = stored.drop("write")
    moved = VINTAGES.to_frame()
    for (number,), part in found.sort("write").partition_by("write", as_dict=True, include_key=True).items():
        for fetch in fetches(observations(part.select(list(OBSERVATIONS)), where="rows to release")):
            then = pl.concat([stored.filter(pl.col("write") < number).select(list(VINTAGES)), moved])
            refuse(contradictions(fetch, known=then))
            looks = looks_around(connection, fetch, LOOKED.c.write < number)
            moved = pl.concat([moved, news(fetch, known=then, looks=looks).drop("revises")])
    refuse(conflicts(moved, known=known))
    every = pl.concat([known, moved])
    lost = found.join(every, on=list(WITHDRAWN), how="anti").sort(CHAIN)
    if lost.height:
        first = lost.row(0, named=True)
        raise StoreError(
            f"{first['zone']} {first['variable']} at {first['valid_time']} from {first['source']} is {first['value']} "
            "in quarantine, and another value that was fetched no earlier has its place",
            remedy="leave it in quarantine; choose other intervals with start and end",
            rows=lost.head(5).rows(),
        )
    fresh = moved.join(known, on=list(OBSERVATION_KEY), how="anti")
    insert_observations(connection, fresh.with_columns(fetched_at=pl.lit(at, dtype=OBSERVATIONS["fetched_at"])))
    marks = {"released_at": microseconds(at), "released_write": write_number(connection), "released_by": PERSON}
    connection.execute(sa.update(SET_ASIDE).where(HELD, *wanted).values(marks))
    earliest = every.group_by(CHAIN).agg(earliest=pl.col("published_at").min())
    new = fresh.join(earliest, on=CHAIN).filter(pl.col("published_at") == pl.col("earliest")).height
    return Added(new, fresh.height - new)


def come_again(connection: Connection, sound: pl.DataFrame) -> None:
    """Releases what is in quarantine and came again later, this time among rows that nothing is said against."""
    held = pl.Schema({"id": pl.Int64(), **WITHDRAWN, "fetched_at": OBSERVATIONS["fetched_at"]})
    aside = select_around(connection, sound, HELD, table=SET_ASIDE, schema=held)
    again = aside.join(sound.select(*WITHDRAWN, again="fetched_at"), on=list(WITHDRAWN))
    again = again.filter(pl.col("again") > pl.col("fetched_at")).group_by("id").agg(pl.col("again").min())
    now = write_number(connection)
    for row, at in again.iter_rows():
        marks = {"released_at": microseconds(at), "released_write": now, "released_by": SOURCE}
        connection.execute(sa.update(SET_ASIDE).where(SET_ASIDE.c.id == row).values(marks))


def _read(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("value").fill_null(float("nan")))
