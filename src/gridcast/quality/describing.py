"""What a data set is like: size, level, rhythm, memory, revisions, delay."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from gridcast.contracts import LOAD, OBSERVATIONS, UTC_TIME, Floats
from gridcast.errors import TooLittleHistory
from gridcast.market.days import HOUR, weekday
from gridcast.market.zones import BiddingZone
from gridcast.quality.grid import Grid, grid

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
LAGS = (1, 24, 168)
"""Hours."""

GAPS = pl.Schema({"start": UTC_TIME, "end": UTC_TIME, "intervals": pl.Int64()})
REVISIONS = pl.Schema(
    {
        "valid_time": UTC_TIME,
        "source": pl.String(),
        "before": pl.Float64(),
        "after": pl.Float64(),
        "hours": pl.Float64(),
    }
)
LEVELS = pl.Schema(
    {
        "year": pl.Int32(),
        "count": pl.UInt32(),
        "mean": pl.Float64(),
        "std": pl.Float64(),
        "min": pl.Float64(),
        "max": pl.Float64(),
    }
)


@dataclass(frozen=True)
class Statistics:
    """Statistics of one variable of a zone, the latest vintage of each interval counting; values in its own unit.

    ``resolutions``: intervals by resolution in minutes. ``missing``: intervals absent between the first and the last,
    one row a gap in ``gaps`` (schema `GAPS`). ``by_year`` (schema `LEVELS`): local years. ``weekdays``: mean of each
    weekday, Monday first, over the mean of all days (NaN where there is none). ``autocorrelation``: by lag in hours of
    `LAGS`, a day and a week by the local clock, NaN where there are too few pairs. ``revisions`` (schema `REVISIONS`):
    each change of a value by a later vintage of the same source, ``hours`` after the one before. ``lags``: hours from
    an interval's end to its first publication, by ``source`` and ``basis``: ``count``, ``median``, ``q05``, ``q95``.
    ``sources``: ``source``, ``rows``, ``share``.
    """

    zone: str
    variable: str
    count: int
    first: datetime
    last: datetime
    resolutions: dict[int, int]
    missing: int
    gaps: pl.DataFrame
    mean: float
    std: float
    min: float
    max: float
    quantiles: dict[float, float]
    by_year: pl.DataFrame
    weekdays: tuple[float, ...]
    autocorrelation: dict[int, float]
    revisions: pl.DataFrame
    lags: pl.DataFrame
    sources: pl.DataFrame


def statistics(observations: pl.DataFrame, *, zone: BiddingZone, variable: str = LOAD) -> Statistics:
    """The statistics of an Observations table's rows of this zone and variable.

    Raises:
        TooLittleHistory: there are none.
    """
    rows = observations.filter((pl.col("zone") == zone.code) & (pl.col("variable") == variable))
    rows = rows.select(list(OBSERVATIONS)).sort("valid_time", "published_at", "fetched_at", "source")
    if rows.is_empty():
        raise TooLittleHistory(
            f"there is no {variable} of {zone.code} to describe", remedy="ingest some first", needed=1, have=0
        )
    latest = rows.unique("valid_time", keep="last", maintain_order=True)
    local = latest.with_columns(wall=pl.col("valid_time").dt.convert_time_zone(zone.local_tz))
    value = latest["value"].to_numpy()
    gaps = _gaps(latest)
    hourly = _hourly(latest, zone=zone, days=local["wall"].dt.date())
    return Statistics(
        zone=zone.code,
        variable=variable,
        count=latest.height,
        first=latest["valid_time"][0],
        last=latest["valid_time"][-1],
        resolutions={
            int(step.total_seconds() // 60): count
            for step, count in latest["resolution"].value_counts(sort=True).iter_rows()
        },
        missing=int(gaps["intervals"].sum()),
        gaps=gaps,
        mean=float(value.mean()),
        std=float(value.std()),
        min=float(value.min()),
        max=float(value.max()),
        quantiles=dict(zip(QUANTILES, np.quantile(value, QUANTILES).tolist(), strict=True)),
        by_year=_by_year(local),
        weekdays=_weekdays(hourly),
        autocorrelation=_autocorrelation(hourly),
        revisions=_revisions(rows),
        lags=_lags(rows),
        sources=latest.group_by("source")
        .agg(rows=pl.len())
        .with_columns(share=pl.col("rows") / latest.height)
        .sort("rows", "source", descending=[True, False]),
    )


def _hourly(latest: pl.DataFrame, *, zone: BiddingZone, days: pl.Series) -> Grid:
    first, last = days[0], days[-1]
    return grid(
        latest.select("valid_time", "resolution", "value"),
        zone=zone,
        step=HOUR,
        first=first,
        last=last + timedelta(days=1),
    )


def _gaps(latest: pl.DataFrame) -> pl.DataFrame:
    end = pl.col("valid_time") + pl.col("resolution")
    following = pl.col("valid_time").shift(-1)
    return (
        latest.select(start=end, end=following, resolution="resolution")
        .filter(pl.col("end") > pl.col("start"))
        .select(
            pl.col("start", "end").cast(UTC_TIME),
            intervals=((pl.col("end") - pl.col("start")) / pl.col("resolution")).round().cast(pl.Int64),
        )
        .cast(GAPS)
    )


def _by_year(local: pl.DataFrame) -> pl.DataFrame:
    value = pl.col("value")
    return (
        local.group_by(pl.col("wall").dt.year().alias("year"))
        .agg(count=pl.len(), mean=value.mean(), std=value.std(ddof=0), min=value.min(), max=value.max())
        .sort("year")
        .cast(LEVELS)
    )


def _weekdays(hourly: Grid) -> tuple[float, ...]:
    """Whole days only, so that a gap at night does not lift a weekday."""
    table = hourly.table(hourly.value)
    mean = table.mean(axis=1)
    whole = np.isfinite(mean)
    of_day = weekday(hourly.days)
    if not whole.any():
        return (float("nan"),) * 7
    level = mean[whole].mean()
    return tuple(
        float(mean[whole & (of_day == day)].mean() / level) if (whole & (of_day == day)).any() else float("nan")
        for day in range(7)
    )


def _autocorrelation(hourly: Grid) -> dict[int, float]:
    table = hourly.table(hourly.value)
    pairs = {
        1: (hourly.value[1:], hourly.value[:-1]),
        24: (table[1:].ravel(), table[:-1].ravel()),
        168: (table[7:].ravel(), table[:-7].ravel()),
    }
    return {lag: _correlation(*pairs[lag]) for lag in LAGS}


def _correlation(now: Floats, then: Floats) -> float:
    both = np.isfinite(now) & np.isfinite(then)
    if np.count_nonzero(both) < 3 or now[both].std() == 0 or then[both].std() == 0:
        return float("nan")
    return float(np.corrcoef(now[both], then[both])[0, 1])


def _revisions(rows: pl.DataFrame) -> pl.DataFrame:
    key = ["valid_time", "resolution", "source"]
    before = pl.col("value").shift().over(key)
    hours = (pl.col("published_at") - pl.col("published_at").shift().over(key)).dt.total_seconds() / 3600
    return (
        rows.select("valid_time", "source", before=before, after="value", hours=hours)
        .filter(pl.col("before") != pl.col("after"))
        .cast(REVISIONS)
    )


def _lags(rows: pl.DataFrame) -> pl.DataFrame:
    lag = (pl.col("published_at") - pl.col("valid_time") - pl.col("resolution")).dt.total_seconds() / 3600
    return (
        rows.unique(["valid_time", "resolution", "source"], keep="first", maintain_order=True)
        .group_by("source", basis="published_at_basis")
        .agg(
            count=pl.len(),
            median=lag.median(),
            q05=lag.quantile(0.05, "linear"),
            q95=lag.quantile(0.95, "linear"),
        )
        .sort("source", "basis")
    )
