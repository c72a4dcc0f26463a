"""How observations, looks and seals get into the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from gridcast.contracts import UTC_TIME
from gridcast.errors import DataError, StoreError
from gridcast.store.connection import write_number
from gridcast.store.tables import (
    LOOKED,
    OBSERVATION,
    aware,
    insert_rows,
    microseconds,
    select_around,
    select_rows,
)
from gridcast.store.vintages import LOOKS, VINTAGES, WATCHED, Added, Look, answered, contradictions, fetches, news

LONGEST = timedelta(days=1)
"""How far before a fetch we look for intervals that reach into it."""


def add(connection: Connection, rows: pl.DataFrame, *, looks: pl.DataFrame) -> Added:
    """Adds what is news in valid Observations, and the looks (columns of `Look`) that brought them.

    Raises:
        StoreError: a row contradicts a stored one that was fetched at the same instant.
    """
    new = revised = 0
    own = answered(looks, rows=rows)
    for fetch in fetches(rows):
        known = select_around(connection, widened(fetch), table=OBSERVATION, schema=VINTAGES)
        refuse(contradictions(fetch, known=known))
        fresh = news(fetch, known=known, looks=pl.concat([looks_around(connection, fetch), own]))
        insert_observations(connection, fresh.drop("revises"))
        replaced = int(fresh["revises"].sum())
        new, revised = new + fresh.height - replaced, revised + replaced
    _answer(connection, own)
    asked = own.with_columns(write=pl.lit(write_number(connection)))
    insert_rows(connection, asked, into=LOOKED, unless_there=True)
    return Added(new, revised)


def _answer(connection: Connection, looks: pl.DataFrame) -> None:
    """Marks stored looks that had failed, and were answered when they were made again at their instant."""
    plain = looks.drop_nulls("answered_at").with_columns(pl.col(UTC_TIME).to_physical())
    if plain.is_empty():
        return
    given: dict[str, sa.BindParameter[int | str]] = {name: sa.bindparam(f"{name}_") for name in LOOKS}
    same = [LOOKED.c[name] == value for name, value in given.items() if name != "answered_at"]
    failed = sa.update(LOOKED).where(LOOKED.c.answered_at.is_(None), *same).values(answered_at=given["answered_at"])
    connection.execute(failed, [{f"{name}_": value for name, value in row.items()} for row in plain.to_dicts()])


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


def looks_table(looks: Sequence[Look]) -> pl.DataFrame:
    """The looks as a table (columns of `Look`), each once: answered, where it is said to be both.

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
    names = [name for name in LOOKS if name != "answered_at"]
    schema = {name: LOOKS[name] for name in names} | {"answered": pl.Boolean()}
    return pl.DataFrame([asdict(look) for look in looks], schema=schema).sort("answered").unique(names, keep="last")


def looks_around(connection: Connection, fetch: pl.DataFrame, *wanted: sa.ColumnElement[bool]) -> pl.DataFrame:
    """Stored looks that may say something about the publication of some row of ``fetch``."""
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
            *wanted,
            column.zone == span["zone"],
            column.variable == span["variable"],
            column.source == span["source"],
            column.at >= microseconds(span["published"] - WATCHED),
            column.at < microseconds(span["fetched"]),
            column.start <= microseconds(span["last"]),
            column.end > microseconds(span["first"]),
            table=LOOKED,
            schema=LOOKS,
        )
        for span in spans.iter_rows(named=True)
    ]
    return pl.concat([LOOKS.to_frame(), *parts])


def widened(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows whose first and last interval lie around everything that may overlap those of ``rows``."""
    longer = [pl.col("valid_time") - LONGEST, pl.col("valid_time") + pl.col("resolution")]
    return pl.concat([rows.with_columns(valid_time=valid_time) for valid_time in longer])
