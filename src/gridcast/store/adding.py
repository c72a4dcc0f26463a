"""How observations, looks and seals get into the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

import polars as pl
from sqlalchemy.engine import Connection

from gridcast.errors import DataError, StoreError
from gridcast.store.connection import write_number
from gridcast.store.tables import (
    LOOKED,
    OBSERVATION,
    SEAL,
    aware,
    insert_rows,
    microseconds,
    select_around,
    select_rows,
)
from gridcast.store.vintages import LOOKS, VINTAGES, Added, Look, conflicts, fetches, news


def add(connection: Connection, rows: pl.DataFrame, *, looks: pl.DataFrame) -> Added:
    """Adds what is news in valid Observations, then the looks (schema `LOOKS`) that brought them.

    Raises:
        StoreError: a stored row would have to be overwritten.
    """
    new = revised = 0
    for fetch in fetches(rows):
        known = select_around(connection, fetch, table=OBSERVATION, schema=VINTAGES)
        refuse(conflicts(fetch.filter(pl.col("published_at_basis") != "assumed"), known=known))
        fresh = news(fetch, known=known, looks=_looks_around(connection, fetch))
        insert_observations(connection, fresh.drop("revises"))
        replaced = int(fresh["revises"].sum())
        new, revised = new + fresh.height - replaced, revised + replaced
    insert_rows(connection, looks, into=LOOKED, unless_there=True)
    return Added(new, revised)


def insert_observations(connection: Connection, rows: pl.DataFrame) -> None:
    """Adds vintages (schema `VINTAGES`) as rows of the write that is going on."""
    insert_rows(connection, rows.with_columns(write=pl.lit(write_number(connection))), into=OBSERVATION)


def refuse(wrong: pl.DataFrame) -> None:
    """Raises a StoreError where there are `conflicts`."""
    if wrong.height:
        first = wrong.row(0, named=True)
        raise StoreError(
            f"{first['zone']} {first['variable']} at {first['valid_time']} from {first['source']}, published "
            f"{first['published_at']}, is stored as {first['stored']} and came again as {first['value']}",
            remedy="give a changed value its own publication time; what is stored is never overwritten",
            rows=wrong.head(5).rows(),
        )


def seal(connection: Connection, made_at: datetime, *, last_write: int | None = None) -> None:
    """Notes the last write that a forecast made at ``made_at`` could know of, unless that was noted before."""
    known = write_number(connection) if last_write is None else last_write
    row = pl.DataFrame({"made_at": [microseconds(made_at)], "write": [known]})
    insert_rows(connection, row, into=SEAL, unless_there=True)


def looks_table(looks: Sequence[Look]) -> pl.DataFrame:
    """The looks as a table (schema `LOOKS`).

    Raises:
        BadTime: an instant has no time zone.
        DataError: a look ends before it starts.
    """
    for look in looks:
        if aware(look.end) <= aware(look.start):
            raise DataError(
                f"a look at {look.zone} {look.variable} starts at {look.start} and ends at {look.end}",
                remedy="ask from an instant to a later one",
                where="looks to store",
            )
        aware(look.at)
    return pl.DataFrame([asdict(look) for look in looks], schema=LOOKS).unique()


def _looks_around(connection: Connection, fetch: pl.DataFrame) -> pl.DataFrame:
    """Earlier looks that may have covered some row of ``fetch`` after its assumed publication."""
    column = LOOKED.c
    spans = (
        fetch.filter(pl.col("published_at_basis") == "assumed")
        .group_by("zone", "variable", "source")
        .agg(
            first=pl.col("valid_time").min(),
            last=pl.col("valid_time").max(),
            published=pl.col("published_at").min(),
            fetched=pl.col("fetched_at").max(),
        )
    )
    parts = [
        select_rows(
            connection,
            column.zone == span["zone"],
            column.variable == span["variable"],
            column.source == span["source"],
            column.at >= microseconds(span["published"]),
            column.at < microseconds(span["fetched"]),
            column.start <= microseconds(span["last"]),
            column.end > microseconds(span["first"]),
            table=LOOKED,
            schema=LOOKS,
        )
        for span in spans.iter_rows(named=True)
    ]
    return pl.concat([LOOKS.to_frame(), *parts])
