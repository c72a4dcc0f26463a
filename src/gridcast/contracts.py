"""The four shapes that rooms hand to one another: Observations, Snapshot, Design, Forecast.

Tables are Polars frames with the schemas below. Instants are UTC, intervals are named by their START, power is MW as
the interval's mean, temperature °C, wind m/s, radiation W/m².
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gridcast.errors import DataError, DuplicateTime, ImplausibleValue, LookaheadError, MissingColumns, NotForecastable
from gridcast.market.days import HOUR, Origins, Times
from gridcast.market.zones import BiddingZone

Floats = NDArray[np.float64]

UTC_TIME = pl.Datetime("us", "UTC")

LOAD = "load"
TSO_FORECAST = "load_forecast_tso"
OBSERVED = "_observed"
"""Suffix of weather that was measured or reanalysed: usable as if known at the issue time, and labelled so."""

OBSERVATIONS = pl.Schema(
    {
        "zone": pl.String(),
        "variable": pl.String(),
        "valid_time": UTC_TIME,
        "resolution": pl.Duration("us"),
        "value": pl.Float64(),
        "published_at": UTC_TIME,
        "published_at_basis": pl.String(),
        "fetched_at": UTC_TIME,
        "source": pl.String(),
    }
)
"""One row a value and vintage. Key: zone, variable, valid_time, published_at, source. Missing values have no row."""

OBSERVATION_KEY = ("zone", "variable", "valid_time", "published_at", "source")

DOUBTFUL = pl.Schema({**OBSERVATIONS, "reason": pl.String()})
"""Observations that may not be used, each with why: what a file would be refused for, a live source sets aside."""

PUBLISHED_AT_BASES = ("reported", "observed", "assumed")
LAST_VERSION = "last-version"
"""What a TSO forecast is called that may be younger than its assumed publication: fetched once its delivery began."""

FORECAST = pl.Schema(
    {
        "zone": pl.String(),
        "issue_time": UTC_TIME,
        "valid_time": UTC_TIME,
        "resolution": pl.Duration("us"),
        "quantile": pl.Float64(),
        "value": pl.Float64(),
        "model_version": pl.String(),
        "degraded": pl.String(),
    }
)
"""One row a quantile. ``degraded`` says why the forecast is worse than usual, or is empty."""

QUANTILES: tuple[float, ...] = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
"""Quantiles every forecast carries; the point forecast is the median."""
MEDIAN = QUANTILES.index(0.5)

INPUTS: tuple[str, ...] = ("load", "calendar", "weather", "tso")
"""Kinds of information that a model may use."""


def _same_schema(frame: pl.DataFrame, schema: pl.Schema, *, where: str) -> pl.DataFrame:
    missing = [name for name in schema if name not in frame.columns]
    if missing:
        raise MissingColumns(
            f"{where} lacks {', '.join(missing)}",
            remedy=f"its columns are {', '.join(schema)}",
            where=where,
            missing=missing,
        )
    wrong = {name: frame.schema[name] for name, kind in schema.items() if frame.schema[name] != kind}
    if wrong:
        raise DataError(
            f"{where} has columns of another type: " + ", ".join(f"{name} is {kind}" for name, kind in wrong.items()),
            remedy="cast them to " + ", ".join(f"{name} {schema[name]}" for name in wrong),
            where=where,
        )
    return frame.select(list(schema))


def observations(frame: pl.DataFrame, *, where: str = "observations") -> pl.DataFrame:
    """The frame as a valid Observations table, sorted by its key.

    Raises:
        MissingColumns: a column of `OBSERVATIONS` is absent.
        DataError: a column has another type, a null, or a basis that is not one of `PUBLISHED_AT_BASES`.
        ImplausibleValue: a value is infinite or not a number.
        DuplicateTime: a key stands twice.
    """
    frame = _same_schema(frame, OBSERVATIONS, where=where)
    nulls = [name for name in frame.columns if frame[name].null_count()]
    if nulls:
        raise DataError(
            f"{where} has nulls in {', '.join(nulls)}", remedy="leave a missing value's row out", where=where
        )
    wild = frame.filter(~pl.col("value").is_finite())
    if wild.height:
        raise ImplausibleValue(
            f"{where} has {wild.height} values that are not finite, first at {wild['valid_time'][0]}",
            remedy="leave a missing value's row out",
            where=where,
            rows=wild.head(5).rows(),
        )
    strange = set(frame["published_at_basis"].unique()) - set(PUBLISHED_AT_BASES)
    if strange:
        raise DataError(
            f"{where} has published_at_basis {', '.join(sorted(strange))}",
            remedy=f"it is one of {', '.join(PUBLISHED_AT_BASES)}",
            where=where,
        )
    twice = frame.filter(pl.struct(OBSERVATION_KEY).is_duplicated())
    if twice.height:
        raise DuplicateTime(
            f"{where} has {twice.height} rows with the same key, first at {twice['valid_time'][0]}",
            remedy="keep one row a zone, variable, interval, publication and source",
            where=where,
            rows=twice.head(5).rows(),
        )
    return frame.sort(OBSERVATION_KEY)


def public(published_at: Times, issue_time: Times | np.datetime64) -> NDArray[np.bool_]:
    """Whether a vintage was public at the issue time: the one as-of rule of the house.

    A vintage published at the very instant of the issue was public; NaT (no vintage) never was.
    """
    return published_at <= issue_time


def load_rows(frame: pl.DataFrame, zone: BiddingZone) -> pl.DataFrame:
    """The load of a zone and its members in an Observations frame, all vintages."""
    return frame.filter((pl.col("variable") == LOAD) & pl.col("zone").is_in([zone.code, *zone.members]))


def public_rows(frame: pl.DataFrame, issue_time: np.datetime64) -> pl.Series:
    """`public` for every row of an Observations frame: a mask to filter it by."""
    published_at = frame["published_at"].dt.replace_time_zone(None).to_numpy()
    return pl.Series(public(published_at, issue_time), dtype=pl.Boolean)


@dataclass(frozen=True)
class Series:
    """Every vintage of one variable on a regular grid.

    ``values`` [K, T] holds the k-th vintage of interval ``start + t * resolution``, oldest first, NaN where there is
    none; ``published_at`` [K, T] says when each became public (NaT where there is none).
    """

    start: np.datetime64
    resolution: np.timedelta64
    values: Floats
    published_at: Times
    basis: str
    source: str

    @property
    def times(self) -> Times:
        """The interval starts [T]."""
        return self.start + np.arange(self.values.shape[1]) * self.resolution

    def known(self, valid_time: Times, issue_time: Times | np.datetime64, *, observed: bool = False) -> Floats:
        """The latest value of the interval that holds each ``valid_time`` [N], as public at ``issue_time`` [N] or [].

        NaN where nothing was public. ``observed`` skips the as-of rule.
        """
        place = (valid_time - self.start) // self.resolution
        inside = (place >= 0) & (place < self.values.shape[1])
        place = np.where(inside, place, 0)
        result = np.full(place.shape, np.nan)
        for values, published_at in zip(self.values, self.published_at, strict=True):
            vintage = published_at[place]
            usable = inside & (~np.isnat(vintage) if observed else public(vintage, issue_time))
            result = np.where(usable, values[place], result)
        return result


@dataclass(frozen=True)
class Snapshot:
    """What was public at one issue time, or at each of many. Only the store makes one; features see nothing else.

    ``issue_times`` [O], sorted, are the instants it was made for. It holds nothing published after the last of them,
    and filters each answer by the row's own issue time.
    """

    zone: BiddingZone
    issue_times: Times
    resolution: np.timedelta64
    series: Mapping[str, Series]

    def __contains__(self, variable: str) -> bool:
        return variable in self.series

    def known(self, variable: str, valid_time: Times, *, issue_time: Times | np.datetime64) -> Floats:
        """The value of ``variable`` [N] for the interval at each ``valid_time``, as public at ``issue_time``.

        NaN where nothing was public. Variables ending in ``_observed`` are exempt from the as-of rule.

        Raises:
            LookaheadError: an issue time is later than this snapshot's last.
        """
        if len(valid_time) and np.max(issue_time) > self.issue_times[-1]:
            raise LookaheadError(
                f"a snapshot of {self.zone.code} as of {self.issue_times[-1]}Z was asked about {np.max(issue_time)}Z",
                remedy="ask the store for a snapshot at that issue time",
            )
        if variable not in self.series:
            return np.full(valid_time.shape, np.nan)
        return self.series[variable].known(valid_time, issue_time, observed=variable.endswith(OBSERVED))

    @property
    def tso_basis(self) -> str:
        """What a TSO forecast is worth: its basis, ``last-version``, or ``none`` without one.

        ``last-version`` where a part of it is known to be the last version: its source says so, or its publication is
        assumed and it was fetched when its delivery had begun (`Series.basis` names those rows so).
        """
        if TSO_FORECAST not in self.series:
            return "none"
        series = self.series[TSO_FORECAST]
        return LAST_VERSION if LAST_VERSION in f"{series.source}+{series.basis}" else series.basis

    @property
    def weather(self) -> tuple[str, ...]:
        """The weather variables it holds, sorted."""
        return tuple(sorted(name for name in self.series if name not in (LOAD, TSO_FORECAST)))


@dataclass(frozen=True)
class Block:
    """Columns of a design that belong together: ``values`` [N, K], one name a column."""

    name: str
    columns: tuple[str, ...]
    values: Floats


@dataclass(frozen=True)
class Design:
    """The model's view of one snapshot or of thousands of them: a row for every (origin, interval) pair.

    Origins that are not ``wanted`` are the run-up: earlier issues that give the wanted ones a memory, forecast by
    nobody. Every value of a row was public at the issue time of the row's origin (observed weather excepted).

    Row arrays: ``origin`` [N] numbers into ``origins``, ``valid_time`` [N] UTC, ``slot`` [N] the interval of the
    local day (0 .. slots-1), ``local_day`` [N]. ``calendar``, ``weather`` and ``tso`` are blocks of columns [N, K];
    ``day_kind`` [N] counts 0 ordinary, 1 holiday, 2 bridge day (all 0 without the calendar). ``lag_load`` [N, L] is
    the load at the same local clock 1..L days before. Origin arrays: ``recent_load`` [O, H] is the load of the H
    intervals before each issue, newest first. ``lag_row`` and ``recent_row`` name the row that forecast each of these
    past intervals, -1 where there is none. ``target`` [N] is the load to be forecast, NaN where it is unknown or none
    of the model's business.
    """

    zone: BiddingZone
    origins: Origins
    wanted: NDArray[np.bool_]
    resolution: np.timedelta64
    origin: NDArray[np.intp]
    valid_time: Times
    slot: NDArray[np.intp]
    local_day: Times
    day_kind: NDArray[np.intp]
    calendar: tuple[Block, ...]
    weather: tuple[Block, ...]
    tso: Floats
    lag_load: Floats
    lag_row: NDArray[np.intp]
    recent_load: Floats
    recent_row: NDArray[np.intp]
    target: Floats
    weather_basis: str
    tso_basis: str

    @property
    def slots(self) -> int:
        """Intervals of a 24-hour day."""
        return int(np.timedelta64(24, "h") / self.resolution)

    @property
    def wanted_rows(self) -> NDArray[np.bool_]:
        """Which rows belong to a wanted origin [N]."""
        return self.wanted[self.origin]

    @property
    def lead(self) -> NDArray[np.timedelta64]:
        """From the issue of each row's origin to its interval [N]."""
        return self.valid_time - self.origins.issue_time[self.origin]

    @property
    def looked_at(self) -> NDArray[np.bool_]:
        """Rows [N] that belong to a wanted origin, or that forecast the past which such a row looks back at."""
        rows = self.wanted_rows
        for past in (self.lag_row[rows], self.recent_row[self.wanted]):
            rows[past[past >= 0]] = True
        return rows

    def take(self, wanted: NDArray[np.bool_], *, run_up: np.timedelta64) -> Design:
        """The part of the design that the ``wanted`` origins [O] and ``run_up`` of days before them make up."""
        asked = np.flatnonzero(wanted)
        begin = int(np.searchsorted(self.origins.start, self.origins.start[asked[0]] - run_up))
        keep = slice(begin, int(asked[-1]) + 1)
        first, last = (int(np.searchsorted(self.origin, edge)) for edge in (keep.start, keep.stop))
        rows = slice(first, last)

        def moved(row: NDArray[np.intp]) -> NDArray[np.intp]:
            return np.where(row >= first, row - first, -1)

        return replace(
            self,
            origins=self.origins.take(keep),
            wanted=wanted[keep],
            origin=self.origin[rows] - begin,
            calendar=tuple(replace(block, values=block.values[rows]) for block in self.calendar),
            weather=tuple(replace(block, values=block.values[rows]) for block in self.weather),
            lag_row=moved(self.lag_row[rows]),
            recent_load=self.recent_load[keep],
            recent_row=moved(self.recent_row[keep]),
            **{
                name: getattr(self, name)[rows]
                for name in ("valid_time", "slot", "local_day", "day_kind", "tso", "lag_load", "target")
            },
        )

    def with_target(self, target: Floats) -> Design:
        """The same design with a target [N]."""
        return replace(self, target=target)


def forecast(frame: pl.DataFrame, *, origins: Origins) -> pl.DataFrame:
    """The frame as a valid Forecast table of these origins.

    Raises:
        MissingColumns, DataError: a column is absent, has another type, a null or a value that is not finite; an
            interval does not start after the issue time; quantiles cross; a key stands twice.
        NotForecastable: an interval of a window, or one of its `QUANTILES`, is missing, or there is one too many.
    """
    frame = _same_schema(frame, FORECAST, where="forecast").sort("issue_time", "valid_time", "quantile")
    if any(frame[name].null_count() for name in frame.columns) or not frame["value"].is_finite().all():
        raise DataError(
            "the forecast has missing values", remedy="this is a fault of the model: report it", where="forecast"
        )
    early = frame.filter(pl.col("valid_time") <= pl.col("issue_time"))
    if early.height:
        raise DataError(
            f"the forecast issued at {early['issue_time'][0]} forecasts {early['valid_time'][0]}, which is not later",
            remedy="forecast intervals that start after the issue time",
            where="forecast",
        )
    step = frame.group_by("issue_time", "valid_time", maintain_order=True).agg(
        pl.col("value").diff().min().alias("rise"), pl.len(), pl.col("quantile").n_unique().alias("levels")
    )
    if (step["len"] != step["levels"]).any():
        raise DuplicateTime("the forecast has a quantile twice", remedy="give every quantile once", where="forecast")
    if (step["rise"] < 0).any():
        raise DataError("the forecast's quantiles cross", remedy="sort them", where="forecast")
    resolutions = frame["resolution"].to_numpy()
    origin, times = origins.rows(resolutions.max() if len(resolutions) else HOUR)
    due = pl.DataFrame({"issue_time": origins.issue_time[origin], "valid_time": times})
    found = step.filter(pl.col("len") == len(QUANTILES)).select(pl.col(due.columns).dt.replace_time_zone(None))
    if not found.equals(due):
        complete = found.join(due, on=due.columns).height
        raise NotForecastable(
            f"the forecast of {origins.zone.code} has {complete} complete intervals of {due.height}",
            remedy="forecast every interval of every window, and no other, with every quantile",
        )
    return frame
