"""How long after an interval its value came: what was seen or reported, not what is assumed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from sqlalchemy.engine import Connection

from gridcast.contracts import OBSERVATION_KEY
from gridcast.store.replays import Narrowed, usable
from gridcast.store.tables import LOOKED, OBSERVATION, select_rows
from gridcast.store.vintages import LOOKS, VINTAGES, WATCHED, last_look, micros, stretches


def lags(connection: Connection, zone: str, *, variable: str, source: str) -> pl.DataFrame:
    """The lags of `Store.lags`."""
    narrowed, key = Narrowed([zone], [variable]), list(OBSERVATION_KEY)
    column = OBSERVATION.c
    rows = select_rows(
        connection, *narrowed.of(OBSERVATION), column.source == source, table=OBSERVATION, schema=VINTAGES
    )
    rows = rows.join(usable(connection, narrowed), on=key, how="semi").sort("valid_time", "published_at")
    # Of intervals that overlap the first: those that came later only divide it in another way.
    first = rows.with_columns(stretch=stretches(rows)).sort("published_at", maintain_order=True)
    first = first.unique("stretch", keep="first").filter(pl.col("published_at_basis") != "assumed").sort("valid_time")
    wanted = (LOOKED.c.zone == zone, LOOKED.c.variable == variable, LOOKED.c.source == source)
    first = first.filter(_theirs(first, looks=select_rows(connection, *wanted, table=LOOKED, schema=LOOKS)))
    end = pl.col("valid_time") + pl.col("resolution")
    return first.select("valid_time", end=end, published_at="published_at", lag=pl.col("published_at") - end)


def _theirs(first: pl.DataFrame, *, looks: pl.DataFrame) -> pl.Series:
    """Whether it was the source that each first value waited for, not us: reported, or seen between two looks.

    The look before the one that brought it was answered, and made after the assumed publication or no longer than
    `WATCHED` before the value came; one seen before it was assumed public needs no look before.
    """
    seen = micros(first.select(pl.min_horizontal("published_at", "fetched_at")).to_series())
    over = looks.with_columns(over=pl.coalesce("answered_at", "at"))
    last = last_look(first, looks=over, by="over", before=seen)
    last_answered = last_look(first, looks=looks.drop_nulls("answered_at"), by="answered_at", before=seen)
    # Where nothing was assumed there is nothing to be late by: such a value counts as seen early.
    assumed = np.where(
        first["assumed_at"].is_null(), seen + 1, micros(first["assumed_at"].fill_null(datetime(1970, 1, 1, tzinfo=UTC)))
    )
    between = last_answered >= np.minimum(assumed, seen - WATCHED // timedelta(microseconds=1))
    reported = (first["published_at_basis"] == "reported").to_numpy()
    return pl.Series(reported | ((last == last_answered) & (between | (seen < assumed))))
