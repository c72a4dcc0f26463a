"""A canary: a small made-up case that a model is asked when it was trained, and again wherever it is loaded.

The same model and the same libraries give the same answer. Where the answer differs, something between the training and
here is not what it was, though every file may be whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from gridcast.contracts import LOAD, MEDIAN, OBSERVATIONS, OBSERVED, TSO_FORECAST, Floats
from gridcast.errors import GridcastError
from gridcast.market.days import DAY, HOUR, Origins, Times, issue_time
from gridcast.pipeline.forecasting import Trained, fan_of, issue, window_to_issue

KEY = "canary"
"""Where a manifest's metrics keep what was found when the model was trained."""

_DAYS = 62
_TOLERANCE = 1e-6
"""Relative: libraries of another release may add in another order."""


def found(trained: Trained, *, level: float) -> dict[str, Any]:
    """What a manifest keeps: the usual load (``level``, MW), and the canary's medians and widths (MW) at that level."""
    fan = _fan(trained, level=level)
    return {
        "level_mw": float(level),
        "median_mw": [round(float(value), 6) for value in fan[:, MEDIAN]],
        "width_mw": [round(float(value), 6) for value in fan[:, -1] - fan[:, 0]],
    }


def fault(trained: Trained, recorded: Mapping[str, Any] | None) -> str:
    """Why a loaded model's canary is not what was recorded at its training; empty where it is."""
    if recorded is None:
        return "no canary was recorded when it was trained: train it again"
    try:
        again = found(trained, level=float(recorded["level_mw"]))
        expected = [np.asarray(recorded[name], np.float64) for name in ("median_mw", "width_mw")]
    except GridcastError as error:
        return f"the canary failed: {error.what}"
    except (LookupError, TypeError, ValueError):
        return "the recorded canary cannot be read: train it again"
    for now, then in zip((again["median_mw"], again["width_mw"]), expected, strict=True):
        if then.shape != (len(now),) or not np.allclose(now, then, rtol=_TOLERANCE, atol=1e-3):
            return "the canary's forecast is not the one that was recorded when it was trained"
    return ""


def _fan(trained: Trained, *, level: float) -> Floats:
    zone, day = trained.zone, trained.last_day + timedelta(days=2)
    origin = window_to_issue(zone, now=issue_time(zone, day), task=trained.task, delivery_day=day)
    rows = _history(trained, level=level, origin=origin)
    return fan_of(issue(rows, trained=trained, origin=origin, model_version=KEY))


def _history(trained: Trained, *, level: float, origin: Origins) -> pl.DataFrame:
    """Made-up Observations: waves by the hour and the day, the load until the issue, the rest to the window's end."""
    step, at, end = trained.resolution, origin.issue_time[0], origin.end[0]
    times = np.arange(end - _DAYS * DAY, end, step)
    hour = (times - times[0]) / HOUR
    load = level * (1 + 0.2 * np.sin(2 * np.pi * hour / 24) + 0.05 * np.sin(2 * np.pi * hour / 168))
    public = times + step + 2 * HOUR
    known = public <= at
    parts = [_rows(LOAD, times[known], load[known], published_at=public[known])]
    ahead = np.minimum(times - 2 * DAY, at)
    if trained.tso_basis != "none":
        parts.append(_rows(TSO_FORECAST, times, load * 1.01, published_at=ahead))
    if trained.weather_basis != "none":
        name = "temperature_2m" + OBSERVED * (trained.weather_basis == "observed")
        parts.append(_rows(name, times, 8 + 6 * np.sin(2 * np.pi * hour / 24 + 1), published_at=ahead))
    return (
        pl.concat(parts)
        .with_columns(
            zone=pl.lit(trained.zone.code),
            resolution=pl.lit(int(step / np.timedelta64(1, "us"))).cast(OBSERVATIONS["resolution"]),
            published_at_basis=pl.lit("assumed"),
            fetched_at=pl.lit(at).dt.replace_time_zone("UTC"),
            source=pl.lit(KEY),
        )
        .cast(OBSERVATIONS)
        .select(list(OBSERVATIONS))
    )


def _rows(variable: str, times: Times, values: Floats, *, published_at: Times) -> pl.DataFrame:
    return pl.DataFrame({"valid_time": times, "value": values, "published_at": published_at}).with_columns(
        pl.col("valid_time", "published_at").dt.replace_time_zone("UTC"), variable=pl.lit(variable)
    )
