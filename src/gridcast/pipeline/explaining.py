"""Why the champion forecasts what it forecasts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from gridcast.contracts import MEDIAN, QUANTILES
from gridcast.features.design import design
from gridcast.market.days import Origins, Task
from gridcast.market.zones import BiddingZone
from gridcast.models import explaining
from gridcast.pipeline.forecasting import Trained, issue
from gridcast.pipeline.operations import Asked, champion_asked, draft
from gridcast.registry import Registry
from gridcast.store import snapshot

if TYPE_CHECKING:
    from gridcast.store.database import Store
COHERENCE = "coherence"
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Explained:
    """A Forecast table, and why its median is what it is.

    ``terms`` has a row an interval: ``valid_time`` (UTC), ``forecast`` (MW, the median) and a column for each of
    `models.explaining.TERMS` that it has (MW), which sum to it. One more, `COHERENCE`, stands there where the forecast
    was issued with others and moved, so that members add up to their portfolio.
    """

    forecast: pl.DataFrame
    terms: pl.DataFrame

    @property
    def names(self) -> tuple[str, ...]:
        """The terms it has, in their order."""
        return tuple(self.terms.columns[2:])


def explain(
    store: Store,
    registry: Registry,
    *,
    zone: BiddingZone,
    now: datetime,
    task: str = Task.DAY_AHEAD,
    delivery_day: date | None = None,
) -> Explained:
    """The champion's forecast in megawatt terms. Nothing is stored.

    A forecast that was issued is explained from what was known when it was; another one from what is known now.

    Raises:
        ModelNotFound: the zone has no champion.
        NotForecastable: the day is too far ahead.
        OutsideData: the store has no load of the zone.
        ConfigError: an unknown task, or a champion that cannot be explained.
    """
    asked = champion_asked(registry, zone=zone, now=now, task=task, delivery_day=delivery_day)
    return explain_asked(store, asked)


def explain_asked(store: Store, asked: Asked) -> Explained:
    """What `explain` says of one origin and model."""
    made = draft(store, asked)
    observations = made.observations
    if made.is_stored:
        made_at = store.made_at(asked.origin.zone.code, issue_time=asked.at, model_version=asked.version)
        observations = store.observations(asked.zones, start=asked.needed_from, made_at=made_at)
    found = explained(observations, trained=asked.trained, origin=asked.origin, model_version=asked.version)
    return _moved(found, to=made.forecast)


def _moved(found: Explained, *, to: pl.DataFrame) -> Explained:
    """The same, of a forecast that differs from the model's own by `COHERENCE`."""
    median = found.terms.select("valid_time", own="forecast").join(_median(to), on="valid_time", maintain_order="left")
    gap = pl.col("forecast") - pl.col("own")
    moved = median.filter(gap.abs() > _ROUNDING * pl.col("own")).height > 0
    terms = found.terms.with_columns(median["forecast"])
    return Explained(to, terms.with_columns(median.select(gap.alias(COHERENCE))) if moved else terms)


def _median(forecast: pl.DataFrame) -> pl.DataFrame:
    return forecast.filter(pl.col("quantile") == QUANTILES[MEDIAN]).select("valid_time", forecast="value")


def explained(observations: pl.DataFrame, *, trained: Trained, origin: Origins, model_version: str) -> Explained:
    """What `issue` gives of one origin, and its terms.

    Where the forecast is finer than the model, every term has the same shape within the model's interval as the
    forecast has.

    Raises:
        OutsideData: there is no load of the zone in the four weeks before the issue time.
        DataError: the model gave no forecast for some interval.
        ConfigError: the model cannot be explained.
    """
    forecast = issue(observations, trained=trained, origin=origin, model_version=model_version)
    known = snapshot(observations, zone=trained.zone, issue_times=origin.issue_time, resolution=trained.resolution)
    rows = design(known, origin, inputs=trained.inputs)
    terms = explaining.terms(trained.fitted, rows)
    median = _median(forecast)
    starts, times = rows.valid_time[rows.wanted_rows], median["valid_time"].dt.replace_time_zone(None).to_numpy()
    within = np.searchsorted(starts, times, side="right") - 1
    total = np.sum(list(terms.values()), axis=0)[within]
    shape = 1.0 if len(times) == len(starts) else median["forecast"].to_numpy() / total
    return Explained(
        forecast, median.with_columns(pl.Series(name, values[within] * shape) for name, values in terms.items())
    )
