"""Which fetched rows are news, and when they became public: the append-only rule of the store, without its database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gridcast.contracts import LOAD, OBSERVATION_KEY, OBSERVATIONS, OBSERVED, TSO_FORECAST, UTC_TIME

CHAIN = ("zone", "variable", "valid_time", "source")
"""What the vintages of one value have in common."""

SUPPLY = ("zone", "variable", "source")
"""What a look asks for."""

WATCHED = timedelta(hours=2)
"""How long after a look its source still counts as watched."""

LOOKS = pl.Schema(
    {
        "zone": pl.String(),
        "variable": pl.String(),
        "source": pl.String(),
        "at": UTC_TIME,
        "start": UTC_TIME,
        "end": UTC_TIME,
        "answered_at": UTC_TIME,
    }
)
"""Looks as stored: with the instant of the last answer, null where there was none."""

VINTAGES = pl.Schema({**OBSERVATIONS, "assumed_at": UTC_TIME})
"""Observations as stored: ``assumed_at`` is the publication they came with where that was replaced, else null."""

ONE_PUBLICATION = pl.col("variable").is_in([LOAD, TSO_FORECAST]) | pl.col("variable").str.ends_with(OBSERVED)
"""Variables whose intervals are published once and then revised; weather forecasts come in runs instead."""

Micros = NDArray[np.int64]

NEVER = np.iinfo(np.int64).min
"""Before every look."""

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

    ``end`` is exclusive; ``source`` is written as on the rows it would have brought. All instants are UTC. A look that
    failed, not ``answered``, brought nothing because of us or the way, and does not say that there was nothing.
    """

    zone: str
    variable: str
    source: str
    start: datetime
    end: datetime
    at: datetime
    answered: bool = True


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
    """The rows in the order they were fetched, so that no two fetches of a value or of a part of it are in one turn."""
    if frame["fetched_at"].n_unique() == 1:
        yield frame
        return
    stretched = frame.with_columns(stretch=stretches(frame))
    turns = stretched.select(pl.col("fetched_at").rank("dense").over("stretch")).to_series()
    for turn in turns.unique().sort():
        yield frame.filter(turns == turn)


def stretches(frame: pl.DataFrame) -> pl.Series:
    """A number for each row: the same for intervals of one `SUPPLY` that overlap, directly or by others between."""
    ends = frame.select(*SUPPLY, "valid_time", end=pl.col("valid_time") + pl.col("resolution")).with_row_index("row")
    ordered = ends.sort(*SUPPLY, "valid_time")
    reached = pl.col("end").cum_max().shift().over(SUPPLY)
    number = (pl.col("valid_time") >= reached).fill_null(value=True).cum_sum()
    return ordered.with_columns(stretch=number).sort("row")["stretch"]


def conflicts(rows: pl.DataFrame, *, known: pl.DataFrame) -> pl.DataFrame:
    """The rows whose key ``known`` has with another value or resolution, which stand beside them as ``stored``."""
    stored = known.select(*_KEY, stored="value", stored_resolution="resolution", stored_fetched="fetched_at")
    both = rows.join(stored, on=_KEY)
    return both.filter(
        pl.col("stored").ne_missing(pl.col("value")) | (pl.col("stored_resolution") != pl.col("resolution"))
    )


def contradictions(fetch: pl.DataFrame, *, known: pl.DataFrame) -> pl.DataFrame:
    """The `conflicts` of rows that were not dated by rule with what was fetched at the same instant."""
    own_word = fetch.filter(pl.col("published_at_basis") != "assumed")
    return conflicts(own_word, known=known).filter(pl.col("fetched_at") == pl.col("stored_fetched"))


def answered(looks: pl.DataFrame, *, rows: pl.DataFrame) -> pl.DataFrame:
    """Looks (columns of `Look`) put with some rows, in schema `LOOKS`: the last before a row was fetched brought it."""
    at = last_look(rows, looks=looks.filter("answered"), by="at", before=micros(rows["fetched_at"]) + 1)
    brought = rows.select(*SUPPLY, "fetched_at", at=pl.Series(at).cast(UTC_TIME))
    brought = brought.group_by(*SUPPLY, "at").agg(answered_at=pl.col("fetched_at").max())
    known = looks.join(brought, on=[*SUPPLY, "at"], how="left")
    answer = pl.when("answered").then(pl.coalesce("answered_at", "at"))
    return known.with_columns(answered_at=answer).select(list(LOOKS))


def last_look(rows: pl.DataFrame, *, looks: pl.DataFrame, by: str, before: Micros) -> Micros:
    """When the last look at each row's interval was made, of the looks whose instant ``by`` is before an instant.

    Args:
        rows: with `CHAIN`.
        looks: with the columns of `LOOKS` that are used.
        by: ``at``, ``answered_at`` or another column of instants.
        before: one instant a row.

    Returns:
        Microseconds since 1970, `NEVER` where there is no such look.
    """
    found = np.full(rows.height, NEVER)
    asked = looks.sort(by).partition_by(SUPPLY, as_dict=True)
    limited = rows.select(*SUPPLY, "valid_time", before=pl.Series(before)).with_row_index("row")
    for name, part in limited.sort("before").partition_by(SUPPLY, as_dict=True).items():
        if name not in asked:
            continue
        at, start, end, instants = (micros(asked[name][column]) for column in ("at", "start", "end", by))
        places, place = np.unique(micros(part["valid_time"]), return_inverse=True)
        begin, stop = np.searchsorted(places, start), np.searchsorted(places, end)
        # Rows in the order of their limits, looks in that of their instants: each look is passed once.
        unmoved = np.searchsorted(part["before"].to_numpy(), instants, side="right")
        last, answers, done = np.full(len(places), NEVER), np.empty(len(place), np.int64), 0
        for look, until in enumerate(unmoved):
            answers[done:until] = last[place[done:until]]
            done = until
            covered = last[begin[look] : stop[look]]
            np.maximum(covered, at[look], out=covered)
        answers[done:] = last[place[done:]]
        found[part["row"].to_numpy()] = answers
    return found


def micros(instants: pl.Series) -> Micros:
    """Microseconds since 1970, UTC."""
    return instants.cast(UTC_TIME).to_physical().to_numpy()


def news(fetch: pl.DataFrame, *, known: pl.DataFrame, looks: pl.DataFrame) -> pl.DataFrame:
    """The rows of one fetch to add to ``known``, and whether each replaces an earlier value (column ``revises``).

    ``reported`` and ``observed`` rows say when they became public, so they are taken at their word; where the same word
    is stored with a value fetched earlier, the row is a second look at that. An ``assumed`` row was dated by rule, and
    the rule knows nothing of late values and of revisions:

    - where the source's value is already there, or one of a longer or shorter interval that overlaps it, the row is a
      second look at it. A second look that finds the newest vintage's value, or that was fetched no later than it, is
      no news; one that finds another value is a new vintage, ``observed`` and published when it was fetched (in any
      case after the vintage it replaces). Of several publications in one fetch only the newest is compared.
    - a value that was there before it should have been is ``observed``, published when it was fetched.
    - a value that was not there when an earlier look asked for it, at or after its assumed publication, and was
      answered, is late: ``observed``, published when it was fetched.
    - so is one whose source was watched: some look, answered or not, was made at most `WATCHED` before the assumed
      publication.

    Where a publication was replaced, ``assumed_at`` keeps it. Weather forecasts come in runs, which are known again by
    it: a run not seen before is taken as it is, and a look for another run proves nothing.

    Args:
        fetch: one turn of `fetches`, without `contradictions`.
        known: every stored vintage of the same values and of intervals that overlap theirs (schema `VINTAGES`).
        looks: the looks at them (schema `LOOKS`); only those before a row was fetched count.

    Returns:
        A table with the columns of `VINTAGES` and ``revises``.
    """
    assumed = pl.col("published_at_basis") == "assumed"
    known = known.sort("published_at", "fetched_at")
    run = pl.coalesce("assumed_at", "published_at")
    runs = known.sort("fetched_at", maintain_order=True).with_columns(published_at=run)
    runs = runs.unique(_KEY, keep="last", maintain_order=True)
    runs = runs.select(*_KEY, run_value="value", run_resolution="resolution")
    said = known.select(*_KEY, said=True)
    rows = _beside_newest(fetch, known=known).join(runs, on=_KEY, how="left").join(said, on=_KEY, how="left")
    there = (
        pl.when(~assumed)
        .then(pl.col("said").is_not_null())
        .when(ONE_PUBLICATION)
        .then(pl.col("newest_published").is_not_null())
        .otherwise(pl.col("run_value").is_not_null())
    )

    changed, changed_run = (
        pl.col("value").ne_missing(pl.col(f"{kind}_value"))
        | pl.col("resolution").ne_missing(pl.col(f"{kind}_resolution"))
        for kind in ("newest", "run")
    )
    revised = (
        rows.filter(there)
        .sort("published_at")
        .unique(CHAIN, keep="last", maintain_order=True)
        .filter(
            changed & ((assumed & ONE_PUBLICATION) | changed_run) & (pl.col("fetched_at") > pl.col("newest_fetched"))
        )
        .with_columns(
            assumed_at="published_at",
            published_at=pl.max_horizontal("fetched_at", pl.col("newest_published") + _TICK),
            revises=pl.lit(value=True),
        )
        .with_columns(published_at_basis=_SEEN)
    )
    first = _dated(rows.filter(~there).select(fetch.columns), known=known, looks=looks)
    earlier = known.unique(CHAIN, keep="first", maintain_order=True).select(*CHAIN, earliest="published_at")
    first = first.join(earlier, on=CHAIN, how="left").with_columns(
        revises=ONE_PUBLICATION
        & (pl.col("published_at") > pl.min_horizontal("earliest", pl.col("published_at").min().over(CHAIN)))
    )
    columns = [*VINTAGES, "revises"]
    return pl.concat([revised.select(columns), first.select(columns)]).unique(_KEY, keep="last", maintain_order=True)


def _beside_newest(fetch: pl.DataFrame, *, known: pl.DataFrame) -> pl.DataFrame:
    """The rows with the newest vintage (``newest_...``) of their value, ``known`` being sorted by publication.

    Where there is none, but one of an interval that overlaps theirs: without value, with its publication and fetch.
    """
    newest = known.unique(CHAIN, keep="last", maintain_order=True).select(
        *CHAIN,
        newest_value="value",
        newest_resolution="resolution",
        newest_published="published_at",
        newest_fetched="fetched_at",
    )
    rows = fetch.join(newest, on=CHAIN, how="left", maintain_order="left")
    every = pl.concat([fetch.select(*CHAIN, "resolution"), known.select(*CHAIN, "resolution")])
    if every["resolution"].n_unique() <= 1:
        return rows
    stretch = stretches(every)
    over = known.select(over_published="published_at", over_fetched="fetched_at", stretch=stretch.tail(known.height))
    over = over.unique("stretch", keep="last", maintain_order=True)
    rows = rows.with_columns(stretch=stretch.head(rows.height)).join(over, on="stretch", how="left")
    return rows.with_columns(
        pl.when(ONE_PUBLICATION)
        .then(pl.coalesce(f"newest_{name}", f"over_{name}"))
        .otherwise(f"newest_{name}")
        .alias(f"newest_{name}")
        for name in ("published", "fetched")
    )


def _dated(rows: pl.DataFrame, *, known: pl.DataFrame, looks: pl.DataFrame) -> pl.DataFrame:
    """Values and runs not seen before, with assumed publications that we saw to be wrong replaced by what we saw."""
    never = pl.lit(None, dtype=VINTAGES["assumed_at"])
    late = _late(rows, looks=looks)
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


def _late(rows: pl.DataFrame, *, looks: pl.DataFrame) -> pl.Series:
    """Which rows became public when they were fetched, not at the assumed publication before, by what looks saw."""
    wanted = (pl.col("published_at_basis") == "assumed") & (pl.col("fetched_at") >= pl.col("published_at"))
    late = rows.select(wanted & ONE_PUBLICATION).to_series().to_numpy(writable=True)
    if looks.height and late.any():
        suspect = rows.filter(late)
        assumed, fetched = micros(suspect["published_at"]), micros(suspect["fetched_at"])
        without = looks.drop_nulls("answered_at")
        absent = last_look(suspect, looks=without, by="answered_at", before=fetched) >= assumed
        asked = last_look(suspect, looks=looks, by="at", before=np.minimum(assumed + 1, fetched))
        late[late] = absent | (asked > assumed - WATCHED // _TICK)
        return pl.Series("late", late)
    return pl.Series("late", np.zeros(rows.height, np.bool_))
