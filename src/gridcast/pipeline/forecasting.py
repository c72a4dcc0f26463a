"""Train a model and issue a forecast, from Observations in hand. Nothing here computes a feature or a score.

Every function is handed its data, its models and its clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from gridcast import contracts
from gridcast.contracts import FORECAST, INPUTS, LOAD, MEDIAN, QUANTILES, Design, Floats, Snapshot
from gridcast.errors import ConfigError, NotForecastable, OutsideData, TooLittleHistory
from gridcast.features.design import LAG_DAYS, design, with_target
from gridcast.features.shape import refined, within_hour
from gridcast.market.days import (
    DAY,
    Origins,
    Task,
    Times,
    delivery_window,
    instant,
    issue_time,
    next_24h_window,
    origins,
)
from gridcast.market.zones import BiddingZone
from gridcast.models import Fitted, Recipe, expected
from gridcast.models.daily import Days
from gridcast.store import snapshot

STALE = np.timedelta64(24, "h")
"""Age of the newest load at which a forecast is called degraded."""


@dataclass(frozen=True)
class Trained:
    """A fitted model and what it was fitted on: ``first_day`` to ``last_day`` (inclusive, market-local) of ``zone``.

    ``left_out`` names the weather that too few of those days have.
    """

    fitted: Fitted
    zone: BiddingZone
    task: Task
    inputs: tuple[str, ...]
    resolution: np.timedelta64
    trained_at: datetime
    first_day: date
    last_day: date
    weather_basis: str
    tso_basis: str
    left_out: tuple[str, ...] = ()


def train(
    observations: pl.DataFrame,
    *,
    zone: BiddingZone,
    recipe: Recipe,
    at: datetime,
    task: Task = Task.DAY_AHEAD,
    inputs: Sequence[str] = INPUTS,
    seed: int = 0,
) -> Trained:
    """Fit ``recipe`` on everything that was public at ``at`` (UTC).

    Raises:
        ConfigError: an unknown input.
        OutsideData: there is no load of the zone before ``at``.
        TooLittleHistory: there is too little of it.
    """
    inputs = known_inputs(inputs)
    first, last = _reach(observations, zone=zone, at=at)
    asked = origins(zone, first=first + timedelta(days=1), last=last + timedelta(days=1), task=task)
    asked = asked.take(asked.issue_time < instant(at))
    if not len(asked):
        raise OutsideData(f"{zone.code} has one day of load", remedy="bring a longer history", first=first, last=last)
    resolution = _snapshot_at(observations, zone=zone, at=at).resolution
    known = snapshot(
        observations, zone=zone, issue_times=np.append(asked.issue_time, instant(at)), resolution=resolution
    )
    rows = with_target(design(known, asked, inputs=inputs), known, at=instant(at))
    return Trained(
        fitted=recipe.fit(rows, seed=seed),
        zone=zone,
        task=task,
        inputs=inputs,
        resolution=resolution,
        trained_at=at,
        first_day=first,
        last_day=last,
        weather_basis=expected.weather_basis(rows),
        tso_basis=rows.tso_basis,
        left_out=tuple(sorted({block.name for block in rows.weather} - expected.usable_weather(rows).keys())),
    )


def known_inputs(names: Sequence[str]) -> tuple[str, ...]:
    """The inputs of these names.

    Raises:
        ConfigError: one is unknown, or there is none.
    """
    strange = [name for name in names if name not in INPUTS]
    if strange or not names:
        raise ConfigError(
            f"there is no input {', '.join(strange) or 'named'}", remedy=f"choose some of {', '.join(INPUTS)}"
        )
    return tuple(names)


def window_to_issue(
    zone: BiddingZone,
    *,
    now: datetime,
    task: Task = Task.DAY_AHEAD,
    delivery_day: date | None = None,
    trained_at: datetime | None = None,
) -> Origins:
    """The one origin to forecast ``delivery_day`` (tomorrow by default) at ``now``.

    A delivery day is forecast as at the zone's usual issue time, or at ``now`` where that is still to come; from the
    start of the day before. A model that was trained after the usual issue time knows more than was public then: its
    forecast is issued at ``now``, as long as the day has not begun.

    Raises:
        NotForecastable: the day is too far ahead.
    """
    if task is Task.NEXT_24H:
        issued, window = now, next_24h_window(now)
    else:
        today = now.astimezone(zone.market_zone).date()
        day = delivery_day or today + timedelta(days=1)
        if day > today + timedelta(days=1):
            raise NotForecastable(
                f"{day} of {zone.code} cannot be forecast yet",
                remedy=f"the latest is {today + timedelta(days=1)}; each opens at 00:00 {zone.market_tz} a day before",
                delivery_day=day,
            )
        issued, window = min(now, issue_time(zone, day)), delivery_window(zone, day)
        if trained_at is not None and issued < trained_at <= now < window[0]:
            issued = now
    start, end = window
    return Origins(zone, task, *(np.array([instant(at)]) for at in (issued, start, end)))


def issue(
    observations: pl.DataFrame,
    *,
    trained: Trained,
    origin: Origins,
    model_version: str,
    made_at: datetime | None = None,
) -> pl.DataFrame:
    """The Forecast table of one origin, from what was public at its issue time.

    Where the newest load is finer than the model, the forecast is refined by the within-hour shape, and says so.

    Args:
        observations: an Observations table of the zone (or its members).
        trained: the model.
        origin: one origin, see `window_to_issue`.
        model_version: written on every row.
        made_at: for a replay, leave out what was fetched later.

    Raises:
        OutsideData: there is no load of the zone in the four weeks before the issue time.
        DataError: the model gave no forecast for some interval.
    """
    zone, at = trained.zone, origin.issue_time[0].astype(object).replace(tzinfo=UTC)
    load = _public_load(observations, zone=zone, at=at)
    known = snapshot(
        observations, zone=zone, issue_times=origin.issue_time, resolution=trained.resolution, made_at=made_at
    )
    rows = design(known, origin, inputs=trained.inputs)
    fan = trained.fitted.predict(rows)
    valid_time, resolution = rows.valid_time[rows.wanted_rows], trained.resolution
    why = _degraded(trained, known, rows)
    finest = _finest(load)
    if finest < resolution:
        shape = within_hour(observations, zone=zone, at=at, coarse=resolution, fine=finest)
        valid_time, fan = refined(valid_time, fan, shape=shape, zone=zone)
        why.append(f"finer than the model: its {_minutes(resolution)}-minute forecast times the usual shape within")
        resolution = finest
    return contracts.forecast(
        forecast_table(
            origin,
            valid_time=valid_time,
            fan=fan,
            resolution=resolution,
            model_version=model_version,
            degraded="; ".join(why),
        ),
        origins=origin,
    )


def forecast_table(
    origin: Origins,
    *,
    valid_time: Times,
    fan: Floats,
    resolution: np.timedelta64,
    model_version: str,
    degraded: str = "",
) -> pl.DataFrame:
    """Quantiles [N, Q] in MW of one origin as a Forecast table."""
    count = len(valid_time) * len(QUANTILES)
    return pl.DataFrame(
        {
            "zone": [origin.zone.code] * count,
            "issue_time": np.repeat(origin.issue_time, count),
            "valid_time": np.repeat(valid_time, len(QUANTILES)),
            "resolution": np.full(count, resolution, "timedelta64[us]"),
            "quantile": np.tile(QUANTILES, len(valid_time)),
            "value": fan.reshape(-1),
            "model_version": [model_version] * count,
            "degraded": [degraded] * count,
        }
    ).with_columns(
        pl.col("issue_time", "valid_time").dt.replace_time_zone("UTC"),
        pl.col("resolution").cast(FORECAST["resolution"]),
    )


def fan_of(forecast: pl.DataFrame) -> Floats:
    """Quantiles in MW of every interval of a Forecast table of one origin, [M, Q]."""
    return forecast.sort("valid_time", "quantile")["value"].to_numpy().reshape(-1, len(QUANTILES))


def outlook(forecast: pl.DataFrame, *, trained: Trained, origin: Origins) -> Days | None:
    """Peak and energy of a forecast's whole window; None where its model saw too few whole windows to say."""
    fan, resolution = fan_of(forecast), forecast["resolution"].to_numpy()[0]
    try:
        scenarios = trained.fitted.calibration.scenarios(fan, origins=origin, resolution=resolution)
    except TooLittleHistory:
        return None
    return Days.of(scenarios, origins=origin, resolution=resolution, fan=fan)


@dataclass(frozen=True)
class Peak:
    """The highest median of a forecast: MW, and the interval's start (UTC)."""

    value: float
    valid_time: datetime


def peak(forecast: pl.DataFrame) -> Peak:
    """When the median of a Forecast table is highest."""
    median = forecast.filter(pl.col("quantile") == QUANTILES[MEDIAN])
    top = median.sort("value", descending=True).row(0, named=True)
    return Peak(top["value"], top["valid_time"])


def recent_load(observations: pl.DataFrame, *, zone: BiddingZone, until: datetime, days: int = 7) -> pl.DataFrame:
    """The latest known load in the ``days`` before ``until``: ``valid_time`` (UTC), ``value`` (MW)."""
    known = _snapshot_at(observations, zone=zone, at=until)
    series = known.series[LOAD]
    times = series.times[series.times >= instant(until) - days * DAY]
    values = known.known(LOAD, times, issue_time=instant(until))
    return (
        pl.DataFrame({"valid_time": times, "value": values})
        .with_columns(pl.col("valid_time").dt.replace_time_zone("UTC"), pl.col("value").fill_nan(None))
        .drop_nulls()
    )


def _snapshot_at(observations: pl.DataFrame, *, zone: BiddingZone, at: datetime) -> Snapshot:
    return snapshot(observations, zone=zone, issue_times=np.array([instant(at)]))


def _public_load(observations: pl.DataFrame, *, zone: BiddingZone, at: datetime) -> pl.DataFrame:
    """Load rows of the zone and its members that were public at ``at``.

    Raises:
        OutsideData: there are none.
    """
    rows = contracts.load_rows(observations, zone)
    load = rows.filter(contracts.public_rows(rows, instant(at)))
    if load.is_empty():
        raise OutsideData(
            f"no load of {zone.code} was public at {at:%Y-%m-%d %H:%M}Z",
            remedy=f"ingest some: gridcast ingest --zone {zone.code} ...",
            first=None,
            last=None,
        )
    return load


def _reach(observations: pl.DataFrame, *, zone: BiddingZone, at: datetime) -> tuple[date, date]:
    """First and last market-local day with load that was public at ``at``."""
    load = _public_load(observations, zone=zone, at=at)
    first, last = load.select(pl.col("valid_time").min().alias("first"), pl.col("valid_time").max().alias("last")).row(
        0
    )
    return first.astimezone(zone.market_zone).date(), last.astimezone(zone.market_zone).date()


def _finest(load: pl.DataFrame) -> np.timedelta64:
    """The resolution of the newest load: the coarsest of the members'."""
    newest = load.sort("valid_time").group_by("zone").agg(pl.col("resolution").last())
    finest: np.timedelta64 = newest["resolution"].to_numpy().max()
    return finest


def _degraded(trained: Trained, known: Snapshot, rows: Design) -> list[str]:
    """Why a forecast is worse than usual: what the model was trained with and does not have now."""
    wanted = rows.wanted_rows
    age = known.issue_times[-1] - _newest_load(known)
    reasons = []
    if instant(trained.trained_at) > known.issue_times[-1]:
        reasons.append(f"a replay: its model was trained later, at {trained.trained_at:%Y-%m-%d %H:%M}Z")
    if "load" in trained.inputs and age > STALE:
        reasons.append(f"the newest load is {int(age / np.timedelta64(1, 'h'))} h old")
    weather = [np.isfinite(block.values[wanted]).all() for block in rows.weather]
    if trained.weather_basis != "none" and not (weather and all(weather)):
        reasons.append("weather is missing")
    if trained.tso_basis != "none" and not np.isfinite(rows.tso[wanted]).all():
        reasons.append("the operator's forecast is missing")
    return reasons


def _newest_load(known: Snapshot) -> np.datetime64:
    """The start of the newest interval whose load was public at the last issue time, of every member of a portfolio.

    Raises:
        OutsideData: it is too old for any lag to reach it.
    """
    at, series = known.issue_times[-1], known.series.get(LOAD)
    times = (
        np.array([], "datetime64[us]") if series is None else series.times[np.isfinite(series.known(series.times, at))]
    )
    if not len(times) or at - times[-1] > LAG_DAYS * DAY:
        code, members = known.zone.code, known.zone.members
        raise OutsideData(
            f"no recent load of {code}{' from all of ' * bool(members)}{', '.join(members)} was public at {at}Z",
            remedy="ingest some: gridcast ingest --zone " + (members or (code,))[0] + " ...",
            first=None,
            last=None,
        )
    newest: np.datetime64 = times[-1]
    return newest


def _minutes(resolution: np.timedelta64) -> int:
    return int(resolution / np.timedelta64(1, "m"))
