"""Which fetched rows are news, and when they became public: the append-only rule of the store, without its database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from gridcast.contracts import LOAD, OBSERVATION_KEY, OBSERVATIONS, OBSERVED, TSO_FORECAST, UTC_TIME

CHAIN = ("zone", "variable", "valid_time", "source")
"""What the vintages of one value have in common."""

LOOKS = pl.Schema(
    {
        "zone": pl.String(),
        "variable": pl.String(),
        "source": pl.String(),
        "at": UTC_TIME,
        "start": UTC_TIME,
        "end": UTC_TIME,
    }
)
"""The columns of `Look`, as a table."""

VINTAGES = pl.Schema({**OBSERVATIONS, "assumed_at": UTC_TIME})
"""Observations as stored: with the assumed publication where it was replaced, else null."""

ONE_PUBLICATION = pl.col("variable").is_in([LOAD, TSO_FORECAST]) | pl.col("variable").str.ends_with(OBSERVED)
"""Variables whose intervals are published once and then revised; weather forecasts come in runs instead."""

_KEY = list(OBSERVATION_KEY)
_TICK = timedelta(microseconds=1)

SLACK = timedelta(milliseconds=1)
"""By how much vintages that became public in one fetch are told apart, at most."""

_SEEN = (
    pl.when(pl.col("published_at") <= pl.col("fetched_at") + SLACK)
    .then(pl.lit("observed"))
    .otherwise(pl.lit("assumed"))
)
"""The basis of a publication by what we saw; only assumed where it had to follow an older vintage's, itself assumed."""


@dataclass(frozen=True)
class Look:
    """A question to a source: it was asked at ``at`` for a variable's intervals that start from ``start`` to ``end``.

    ``end`` is exclusive; ``source`` is written as on the rows it would have brought. All instants are UTC.
    """

    zone: str
    variable: str
    source: str
    start: datetime
    end: datetime
    at: datetime


@dataclass(frozen=True)
class Added:
    """Rows that were added: ``new`` ones are the first of their value or run, ``revised`` ones replace an earlier."""

    new: int
    revised: int

    @property
    def rows(self) -> int:
        """All of them."""
        return self.new + self.revised


def fetches(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The rows in the order they were fetched, so that no value stands in two fetches of one part."""
    turns = frame.select(pl.col("fetched_at").rank("dense").over(CHAIN)).to_series()
    for turn in turns.unique().sort():
        yield frame.filter(turns == turn)


def conflicts(rows: pl.DataFrame, *, known: pl.DataFrame) -> pl.DataFrame:
    """The rows whose key ``known`` has with another value or resolution, which stand beside them as ``stored``."""
    stored = known.select(*_KEY, stored="value", stored_resolution="resolution")
    both = rows.join(stored, on=_KEY)
    return both.filter(
        pl.col("stored").ne_missing(pl.col("value")) | (pl.col("stored_resolution") != pl.col("resolution"))
    )


def news(fetch: pl.DataFrame, *, known: pl.DataFrame, looks: pl.DataFrame) -> pl.DataFrame:
    """The rows of one fetch to add to ``known``, and whether each replaces an earlier value (column ``revises``).

    ``reported`` and ``observed`` rows say when they became public, so they are taken at their word. An ``assumed`` row
    was dated by rule, and the rule knows nothing of late values and of revisions:

    - where the source's value is already there, the row is a second look at it. A second look that finds the newest
      vintage's value, or that was fetched no later than it, is no news; one that finds another value is a new vintage,
      ``observed`` and published when it was fetched (in any case after the vintage it replaces). Of several assumed
      publications in one fetch only the newest is compared.
    - a value that was there before it should have been is ``observed``, published when it was fetched.
    - a value that was not there when an earlier look asked for it, at or after its assumed publication, is late:
      ``observed``, published when it was fetched.

    Where an assumed publication was replaced, ``assumed_at`` keeps it. Weather forecasts come in runs, which are known
    again by it: a run not seen before is taken as it is, and an earlier look for another run proves nothing.

    Args:
        fetch: one turn of `fetches`; no ``reported`` or ``observed`` row of it is among its own `conflicts`.
        known: every stored vintage of the same values (schema `VINTAGES`).
        looks: the earlier looks at them (schema `LOOKS`).

    Returns:
        A table with the columns of `VINTAGES` and ``revises``.
    """
    assumed = pl.col("published_at_basis") == "assumed"
    known = known.sort("published_at")
    newest = known.unique(CHAIN, keep="last", maintain_order=True).select(
        *CHAIN,
        newest_value="value",
        newest_resolution="resolution",
        newest_published="published_at",
        newest_fetched="fetched_at",
    )
    run = pl.coalesce("assumed_at", "published_at")
    runs = known.with_columns(published_at=run).unique(_KEY, keep="last", maintain_order=True)
    runs = runs.select(*_KEY, run_value="value", run_resolution="resolution")
    rows = fetch.join(newest, on=CHAIN, how="left").join(runs, on=_KEY, how="left")
    there = assumed & pl.when(ONE_PUBLICATION).then(pl.col("newest_value").is_not_null()).otherwise(
        pl.col("run_value").is_not_null()
    )

    changed = (pl.col("value") != pl.col("newest_value")) | (pl.col("resolution") != pl.col("newest_resolution"))
    changed_run = (pl.col("value") != pl.col("run_value")) | (pl.col("resolution") != pl.col("run_resolution"))
    revised = (
        rows.filter(there)
        .sort("published_at")
        .unique(CHAIN, keep="last", maintain_order=True)
        .filter(changed & (ONE_PUBLICATION | changed_run) & (pl.col("fetched_at") > pl.col("newest_fetched")))
        .with_columns(
            assumed_at="published_at",
            published_at=pl.max_horizontal("fetched_at", pl.col("newest_published") + _TICK),
            revises=pl.lit(True),
        )
        .with_columns(published_at_basis=_SEEN)
    )
    own_word = rows.filter(~assumed).join(known, on=_KEY, how="anti")
    first = _dated(pl.concat([rows.filter(assumed & ~there), own_word]).select(fetch.columns), known=known, looks=looks)
    earlier = known.unique(CHAIN, keep="first", maintain_order=True).select(*CHAIN, earliest="published_at")
    first = first.join(earlier, on=CHAIN, how="left").with_columns(
        revises=ONE_PUBLICATION
        & (pl.col("published_at") > pl.min_horizontal("earliest", pl.col("published_at").min().over(CHAIN)))
    )
    columns = [*VINTAGES, "revises"]
    return pl.concat([revised.select(columns), first.select(columns)]).unique(_KEY, keep="last", maintain_order=True)


def _dated(rows: pl.DataFrame, *, known: pl.DataFrame, looks: pl.DataFrame) -> pl.DataFrame:
    """Values and runs not seen before, with assumed publications that we saw to be wrong replaced by what we saw."""
    never = pl.lit(None, dtype=VINTAGES["assumed_at"])
    late = _was_absent(rows, looks=looks)
    if not (known.height or late.any() or (rows["fetched_at"] < rows["published_at"]).any()):
        return rows.with_columns(assumed_at=never)
    before = known.select(*CHAIN, "published_at", before="published_at")
    rows = rows.with_columns(late=late).sort("published_at")
    rows = rows.join_asof(before, on="published_at", by=CHAIN, strategy="backward", check_sortedness=False)
    assumed = pl.col("published_at_basis") == "assumed"
    wrong = assumed & (pl.col("late") | (pl.col("fetched_at") < pl.col("published_at")))
    # Runs that became public in one fetch keep their order, a tick apart; and no two vintages share an instant.
    turn = pl.int_range(pl.len()).over(CHAIN) * _TICK
    seen = pl.max_horizontal("fetched_at", pl.col("before") + _TICK) + turn
    taken = assumed & (pl.col("before") == pl.col("published_at"))
    return rows.with_columns(
        assumed_at=pl.when(wrong | taken).then("published_at").otherwise(never),
        published_at=pl.when(wrong).then(seen).when(taken).then(pl.col("before") + _TICK).otherwise("published_at"),
        wrong=wrong,
    ).with_columns(published_at_basis=pl.when("wrong").then(_SEEN).otherwise("published_at_basis"))


def _was_absent(rows: pl.DataFrame, *, looks: pl.DataFrame) -> pl.Series:
    """Whether a look before the fetch, at or after the assumed publication, covered each row: it found nothing."""
    found = np.zeros(rows.height, np.bool_)
    wanted = rows.select((pl.col("published_at_basis") == "assumed") & ONE_PUBLICATION).to_series()
    if looks.is_empty() or not wanted.any():
        return pl.Series("late", found)
    group = ["zone", "variable", "source"]
    numbered = rows.with_row_index("number").filter(wanted)
    asked = looks.sort("at").partition_by(group, as_dict=True)
    for name, part in numbered.partition_by(group, as_dict=True).items():
        if name not in asked:
            continue
        at, start, end = (asked[name][column].to_physical().to_numpy() for column in ("at", "start", "end"))
        places, place = np.unique(part["valid_time"].to_physical().to_numpy(), return_inverse=True)
        begin, stop = np.searchsorted(places, start), np.searchsorted(places, end)
        fetched, assumed = (part[column].to_physical().to_numpy() for column in ("fetched_at", "published_at"))
        last_look = np.full(len(places), np.iinfo(np.int64).min)
        done = 0
        for instant in np.unique(fetched):
            until = int(np.searchsorted(at, instant))
            for look in range(done, until):
                last_look[begin[look] : stop[look]] = at[look]
            done = until
            now = fetched == instant
            found[part["number"].to_numpy()[now]] = (last_look[place] >= assumed)[now]
    return pl.Series("late", found)
