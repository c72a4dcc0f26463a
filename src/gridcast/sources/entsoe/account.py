"""From what an answer says to what a source hands on: Observations, rows set aside, and what should have come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from gridcast.contracts import LOAD, OBSERVATIONS, TSO_FORECAST, UTC_TIME, observations
from gridcast.errors import ConfigError
from gridcast.market.zones import BiddingZone
from gridcast.sources.fetched import DOUBTFUL, DUE, Fetched
from gridcast.sources.publication import LOAD_LAG, load_public, tso_forecast_public

PROCESSES = {LOAD: "A16", TSO_FORECAST: "A01"}
"""Process type of each variable that ENTSO-E has."""

HOURLY = timedelta(hours=1)


@dataclass(frozen=True)
class Part:
    """What one answer says of one variable.

    ``rows`` (``valid_time``, ``resolution``, ``value``) and ``doubtful`` (with a ``reason``) may carry a
    ``published_at`` that the provider reported; where it is null or absent, publication is assumed by rule.
    """

    variable: str
    rows: pl.DataFrame
    doubtful: pl.DataFrame
    fetched_at: datetime
    sha256: str
    notes: tuple[str, ...] = ()


def asked_for(
    zone: BiddingZone, *, source: str, start: datetime, end: datetime, variables: Sequence[str] | None
) -> tuple[str, ...]:
    """The variables of a request that ENTSO-E can serve.

    Raises:
        ConfigError: it cannot: no EIC, files only, an unknown variable or none, or no period.
    """
    serves(zone, source=source)
    wanted = tuple(PROCESSES) if variables is None else tuple(dict.fromkeys(variables))
    strange = [name for name in wanted if name not in PROCESSES]
    if strange or not wanted:
        raise ConfigError(
            f"{source} has no {', '.join(strange) or 'variable without a name'}",
            remedy=f"ask for {' or '.join(PROCESSES)}",
            variables=strange,
        )
    if start.tzinfo is None or end.tzinfo is None or start >= end:
        raise ConfigError(
            f"{source} was asked for the period {start} to {end}", remedy="give a start before the end, both in UTC"
        )
    return wanted


def serves(zone: BiddingZone, *, source: str) -> str:
    """The zone's EIC.

    Raises:
        ConfigError: ENTSO-E does not serve the zone.
    """
    if zone.eic is None or zone.files_only:
        why = "it has no EIC" if zone.eic is None else "its load comes from files only"
        remedy = f"ask for its members {', '.join(zone.members)}" if zone.members else "ingest a file: --source tabular"
        raise ConfigError(f"{source} does not serve {zone.code}: {why}", remedy=remedy, zone=zone.code)
    return zone.eic


def handed_on(
    parts: Sequence[Part],
    *,
    zone: BiddingZone,
    source: str,
    variables: Sequence[str],
    start: datetime,
    end: datetime,
    now: datetime,
    lag: timedelta = LOAD_LAG,
) -> Fetched:
    """What the parts of one fetch say of the intervals that start from ``start`` to ``end``, as of ``now``."""
    asked = pl.col("valid_time").is_between(start, end, closed="left")
    good: list[pl.DataFrame] = []
    aside: list[pl.DataFrame] = []
    for part in parts:
        good.append(_full(part.rows.filter(asked), part, zone=zone, source=source, lag=lag))
        aside.append(_full(part.doubtful.filter(asked), part, zone=zone, source=source, lag=lag))
    sound = pl.concat([pl.DataFrame(schema=OBSERVATIONS), *good], how="diagonal").select(list(OBSERVATIONS))
    doubtful = pl.concat([pl.DataFrame(schema=DOUBTFUL), *aside], how="diagonal").select(list(DOUBTFUL))
    came = pl.concat([sound.select(list(DUE)), doubtful.select(list(DUE))])
    expected = [
        due(came.filter(pl.col("variable") == name), zone=zone, variable=name, start=start, end=end, now=now, lag=lag)
        for name in variables
    ]
    return Fetched(
        observations=observations(sound, where=f"the answers of {source}"),
        due=pl.concat([pl.DataFrame(schema=DUE), *expected]),
        doubtful=doubtful,
        answers=tuple(dict.fromkeys(part.sha256 for part in parts)),
        notes=tuple(note for part in parts for note in part.notes),
    )


def due(
    came: pl.DataFrame,
    *,
    zone: BiddingZone,
    variable: str,
    start: datetime,
    end: datetime,
    now: datetime,
    lag: timedelta = LOAD_LAG,
) -> pl.DataFrame:
    """The intervals (schema `DUE`) from ``start`` to ``end`` that should be public by ``now``.

    What ``came`` (``valid_time``, ``resolution``) stands for itself. Between, the finest resolution of the UTC day is
    taken; a day of which nothing came takes that of the last before it which had some, else of the first after it,
    else hours.
    """
    came = came.select("valid_time", "resolution").sort("valid_time")
    first, last = (when.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) for when in (start, end))
    days = pl.datetime_range(first, last, "1d", time_unit="us", time_zone="UTC", eager=True).alias("day")
    by_day = came.group_by(day=pl.col("valid_time").dt.truncate("1d")).agg(pl.col("resolution").min())
    resolution = pl.col("resolution").forward_fill().backward_fill().fill_null(HOURLY)
    calendar = days.to_frame().join(by_day, on="day", how="left", maintain_order="left").with_columns(resolution)
    grids = [
        pl.datetime_range(first, end, step, closed="left", time_unit="us", time_zone="UTC", eager=True)
        .alias("valid_time")
        .to_frame()
        .with_columns(day=pl.col("valid_time").dt.truncate("1d"))
        .join(calendar.filter(pl.col("resolution") == step), on="day", maintain_order="left")
        .select("valid_time", "resolution")
        for step in calendar["resolution"].unique().sort()
    ]
    covered = came.with_columns(until=pl.col("valid_time") + pl.col("resolution")).select("valid_time", "until")
    absent = (
        pl.concat(grids)
        .sort("valid_time")
        .join_asof(covered, on="valid_time", strategy="backward")
        .filter((pl.col("until") <= pl.col("valid_time")).fill_null(True))
    )
    whole = pl.concat([came, absent.select("valid_time", "resolution")]).sort("valid_time")
    inside = pl.col("valid_time").is_between(start, end, closed="left")
    return (
        whole.filter(inside & (_public(variable, zone=zone, lag=lag) <= now))
        .with_columns(variable=pl.lit(variable))
        .select(list(DUE))
        .cast(DUE)
    )


def _public(variable: str, *, zone: BiddingZone, lag: timedelta) -> pl.Expr:
    start = pl.col("valid_time")
    if variable == TSO_FORECAST:
        return tso_forecast_public(start, zone=zone)
    return load_public(start, resolution=pl.col("resolution"), lag=lag)


def _full(rows: pl.DataFrame, part: Part, *, zone: BiddingZone, source: str, lag: timedelta) -> pl.DataFrame:
    """The rows with every column of an Observation."""
    assumed = _public(part.variable, zone=zone, lag=lag)
    if "published_at" in rows.columns:
        told = pl.col("published_at")
        published = pl.coalesce(told, assumed)
        basis = pl.when(told.is_null()).then(pl.lit("assumed")).otherwise(pl.lit("reported"))
    else:
        published, basis = assumed, pl.lit("assumed")
    return rows.with_columns(
        zone=pl.lit(zone.code),
        variable=pl.lit(part.variable),
        published_at=published.cast(UTC_TIME),
        published_at_basis=basis,
        fetched_at=pl.lit(part.fetched_at.astimezone(UTC)).cast(UTC_TIME),
        source=pl.lit(source),
    )
