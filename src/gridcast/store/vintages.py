"""Which fetched rows are news, and when they became public: the append-only rule of the store, without its database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import polars as pl

from gridcast.contracts import LOAD, OBSERVATION_KEY, OBSERVED, TSO_FORECAST
from gridcast.errors import StoreError

CHAIN = ("zone", "variable", "valid_time", "source")
"""What the vintages of one value have in common."""

_KEY = list(OBSERVATION_KEY)


def looks(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The rows in the order they were fetched, so that no value stands in two fetches of one part."""
    turns = frame.select(pl.col("fetched_at").rank("dense").over(CHAIN)).to_series()
    for turn in turns.unique().sort():
        yield frame.filter(turns == turn)


def news(look: pl.DataFrame, *, known: pl.DataFrame) -> pl.DataFrame:
    """The rows of ``look`` to add to ``known``, which holds every stored vintage of the same values.

    ``reported`` and ``observed`` rows say when they became public, so they are taken at their word. An ``assumed`` row
    was dated by rule, and the rule knows nothing of revisions: where the source's value is already there, the row is a
    second look at it. A second look that finds the newest vintage's value, or that was fetched no later than it, is no
    news; one that finds another value is a new vintage, ``observed`` and published when it was fetched (in any case
    after the vintage it replaces). Of several assumed publications in one look only the newest is compared. Weather
    forecasts come in runs, each with its own assumed publication, so a run not seen before is always taken as it is.

    Raises:
        StoreError: a row has the key of a stored one but another value, and was not dated by rule.
    """
    newest = known.sort("published_at").unique(CHAIN, keep="last", maintain_order=True)
    newest = newest.select(*CHAIN, newest_value="value", newest_published="published_at", newest_fetched="fetched_at")
    rows = look.join(newest, on=CHAIN, how="left").join(known.select(*_KEY, stored="value"), on=_KEY, how="left")

    assumed = pl.col("published_at_basis") == "assumed"
    stored = pl.col("stored").is_not_null()
    conflict = rows.filter(~assumed & stored & (pl.col("stored") != pl.col("value")))
    if conflict.height:
        first = conflict.row(0, named=True)
        raise StoreError(
            f"{first['zone']} {first['variable']} at {first['valid_time']} from {first['source']}, published "
            f"{first['published_at']}, is stored as {first['stored']} and came again as {first['value']}",
            remedy="give a changed value its own publication time; what is stored is never overwritten",
            rows=conflict.head(5).rows(),
        )
    one_publication = pl.col("variable").is_in([LOAD, TSO_FORECAST]) | pl.col("variable").str.ends_with(OBSERVED)
    second_look = assumed & pl.col("newest_value").is_not_null() & (one_publication | stored)
    as_it_is = rows.filter(~second_look & ~stored)
    revised = (
        rows.filter(second_look)
        .sort("published_at")
        .unique(CHAIN, keep="last", maintain_order=True)
        .filter(
            (pl.col("value") != pl.col("newest_value"))
            & (one_publication | (pl.col("value") != pl.col("stored")))
            & (pl.col("fetched_at") > pl.col("newest_fetched"))
        )
        .with_columns(
            published_at=pl.max_horizontal("fetched_at", pl.col("newest_published") + timedelta(microseconds=1)),
            published_at_basis=pl.lit("observed"),
        )
    )
    return pl.concat([as_it_is, revised]).select(look.columns)
