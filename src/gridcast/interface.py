"""The Python interface: a frame in, a frame out, Polars or pandas, no store and no files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import polars as pl

from gridcast import pipeline
from gridcast.contracts import INPUTS, LOAD
from gridcast.errors import DataError, MissingExtra
from gridcast.market.days import Origins, issue_time
from gridcast.market.zones import zone as find_zone
from gridcast.sources import tabular

Frame = TypeVar("Frame")


@dataclass(frozen=True)
class Scored:
    """A backtest's result: ``scores`` by model (see the command line's JSON), and every forecast as a frame.

    ``weather_basis`` and ``tso_basis`` say what the forecasts knew; ``n_excluded`` intervals had no plausible actual.
    """

    scores: dict[str, dict[str, float | int | None]]
    forecasts: Any
    weather_basis: str
    tso_basis: str
    n_excluded: int


def forecast(
    frame: Frame,
    *,
    zone: str,
    delivery_day: date | None = None,
    model: str = "champion",
    inputs: Sequence[str] = INPUTS,
    seed: int = 0,
    zones_file: Path | None = None,
) -> Frame:
    """Forecast a delivery day from a load history.

    The model is trained on what was public at the zone's usual issue time on the day before, and sees nothing later.

    Args:
        frame: Polars or pandas, columns ``ts_utc`` (interval start, with time zone), ``load_mw``, and optionally
            ``tso_forecast_mw``, ``temperature_c`` and other weather (it counts as observed).
        zone: bidding zone, e.g. ``DK_1``.
        delivery_day: market-local; unless given, the day after the last day with load.
        model: ``champion`` is the shipped default.
        inputs: which kinds of information to use.
        seed: of everything random.
        zones_file: TOML with your own zones and portfolios.

    Returns:
        A frame of the kind given: ``zone, issue_time, valid_time, resolution, quantile, value`` (MW),
        ``model_version, degraded``.

    Raises:
        DataError: the frame breaks a contract, or holds too little history.
        UnknownZone, UnknownModel, ConfigError: a name is wrong.
    """
    asked = _asked(
        frame, zone=zone, delivery_day=delivery_day, model=model, inputs=inputs, seed=seed, zones_file=zones_file
    )
    return _like(frame, pipeline.issue(**asked))


def explain(
    frame: Frame,
    *,
    zone: str,
    delivery_day: date | None = None,
    model: str = "champion",
    inputs: Sequence[str] = INPUTS,
    seed: int = 0,
    zones_file: Path | None = None,
) -> Frame:
    """Say why `forecast` forecasts what it does, in megawatt terms that sum to the median.

    Args:
        frame: as for `forecast`, and so is what follows.
        zone: bidding zone.
        delivery_day: market-local.
        model: ``linear``, ``boosted``, ``ensemble``; ``champion`` is the shipped default.
        inputs: which kinds of information to use.
        seed: of everything random.
        zones_file: TOML with your own zones and portfolios.

    Returns:
        A frame of the kind given, a row an interval: ``valid_time``, ``forecast`` (MW, the median), and a column a term
        (MW): ``typical``, ``calendar``, ``holiday``, ``temperature``, ``weather``, ``recent_level``, ``tso``,
        ``limit``, as far as the model knows of them; see `gridcast.models.explaining.TERMS`.

    Raises:
        DataError: the frame breaks a contract, or holds too little history.
        UnknownZone, UnknownModel, ConfigError: a name is wrong, or the model cannot be explained.
    """
    asked = _asked(
        frame, zone=zone, delivery_day=delivery_day, model=model, inputs=inputs, seed=seed, zones_file=zones_file
    )
    return _like(frame, pipeline.explained(**asked).terms)


class _Asked(TypedDict):
    observations: pl.DataFrame
    trained: pipeline.Trained
    origin: Origins
    model_version: str


def _asked(
    frame: object,
    *,
    zone: str,
    delivery_day: date | None,
    model: str,
    inputs: Sequence[str],
    seed: int,
    zones_file: Path | None,
) -> _Asked:
    """What one forecast is made from: the model is trained on what was public at its issue time."""
    where, recipes = find_zone(zone, user_file=zones_file), pipeline.recipes([model])
    observations = _observations(frame, zone=zone, zones_file=zones_file)
    if delivery_day is None:
        last: datetime = observations.filter(pl.col("variable") == LOAD)["valid_time"].max()  # type: ignore[assignment]
        delivery_day = last.astimezone(where.market_zone).date() + timedelta(days=1)
    at = issue_time(where, delivery_day)
    return {
        "observations": observations,
        "trained": pipeline.train(observations, zone=where, recipe=recipes[model], at=at, inputs=inputs, seed=seed),
        "origin": pipeline.window_to_issue(where, now=at, delivery_day=delivery_day),
        "model_version": f"fitted:{model}",
    }


def backtest(
    frame: Frame,
    *,
    zone: str,
    first: date,
    last: date,
    models: Sequence[str] = ("champion", "naive"),
    task: str = "day_ahead",
    inputs: Sequence[str] = INPUTS,
    seed: int = 0,
    zones_file: Path | None = None,
) -> Scored:
    """Replay the forecasts of the delivery days ``first`` to ``last`` (exclusive), as they would have been issued.

    Args:
        frame: as for `forecast`.
        zone: bidding zone.
        first: first delivery day, market-local.
        last: the day after the last one.
        models: names, ``champion`` is the shipped default.
        task: ``day_ahead`` or ``next_24h``.
        inputs: which kinds of information to use.
        seed: of everything random.
        zones_file: TOML with your own zones and portfolios.

    Raises:
        DataError: the frame breaks a contract, does not cover the period, or holds too little history before it.
        UnknownZone, UnknownModel, ConfigError: a name is wrong.
    """
    where = find_zone(zone, user_file=zones_file)
    plan = pipeline.plan(where, first=first, last=last, task=task, inputs=inputs, seed=seed)
    result = pipeline.replay(
        plan, _observations(frame, zone=zone, zones_file=zones_file), recipes=pipeline.recipes(models)
    )
    return Scored(
        result.scores(), _like(frame, result.forecasts()), result.weather_basis, result.tso_basis, result.n_excluded
    )


def _observations(frame: object, *, zone: str, zones_file: Path | None) -> pl.DataFrame:
    # What was fetched when plays no part here: every row counts as fetched at the epoch.
    return tabular.from_frame(
        _polars(frame),
        zone=find_zone(zone, user_file=zones_file),
        fetched_at=datetime.fromtimestamp(0, UTC),
        where="the frame",
    )


def _polars(frame: object) -> pl.DataFrame:
    if isinstance(frame, pl.DataFrame):
        return frame
    if not (hasattr(frame, "iloc") and hasattr(frame, "columns")):
        raise DataError(
            f"what was given is a {type(frame).__name__}, not a frame",
            remedy="give a polars.DataFrame or a pandas.DataFrame",
            where="the frame",
        )
    try:
        return pl.DataFrame(pl.from_pandas(frame))
    except ImportError as error:
        raise _no_pandas(error) from error


def _like(given: Frame, table: pl.DataFrame) -> Frame:
    """The table as a frame of the kind given."""
    if isinstance(given, pl.DataFrame):
        return table  # type: ignore[return-value]  # Frame is pl.DataFrame here
    try:
        return table.to_pandas()  # type: ignore[no-any-return]
    except ImportError as error:
        raise _no_pandas(error) from error


def _no_pandas(error: ImportError) -> MissingExtra:
    return MissingExtra(f"a pandas frame needs {error.name}", remedy='pip install "gridcast[pandas]"', extra="pandas")
