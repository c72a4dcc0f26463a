"""Where the errors of a backtest lie: by hour of the day, by type of day, by quantile.

Each model is judged on the rows that `Backtest.scores` judges it on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridcast import metrics
from gridcast.backtesting import Backtest
from gridcast.contracts import MEDIAN, Floats
from gridcast.market.days import local_day

DAY_KINDS = ("ordinary day", "holiday", "bridge day")
"""Names of `Design.day_kind`."""


def scored(result: Backtest, model: str) -> NDArray[np.bool_]:
    """The rows [N] that count for a model: actual and forecast are known."""
    return np.asarray(np.isfinite(result.actual) & np.isfinite(result.replays[model].fan).all(axis=1), np.bool_)


def hours(result: Backtest) -> NDArray[np.intp]:
    """The hour of the local clock [N] that each interval starts in."""
    return result.slot // int(np.timedelta64(1, "h") / result.resolution)


def mae_by_hour(result: Backtest, model: str) -> Floats:
    """Mean absolute error of the median at each hour of the local clock [24], MW; NaN at an hour without rows."""
    return _mae_by(result, model, group=hours(result), groups=24)


def mae_by_day_kind(result: Backtest, model: str) -> Floats:
    """Mean absolute error of the median on each of `DAY_KINDS` [3], MW; NaN where there are no such days."""
    return _mae_by(result, model, group=result.day_kind, groups=len(DAY_KINDS))


def days_by_kind(result: Backtest) -> tuple[int, ...]:
    """How many local days of each of `DAY_KINDS` have a known actual."""
    days = local_day(result.valid_time, result.plan.zone.local_tz)
    known = np.isfinite(result.actual)
    return tuple(len(np.unique(days[known & (result.day_kind == kind)])) for kind in range(len(DAY_KINDS)))


def reliability(result: Backtest, model: str) -> Floats:
    """Share of actuals at or below each quantile [Q], 0..1: the quantile itself if calibrated; NaN without rows."""
    rows = scored(result, model)
    fan = result.replays[model].fan
    if not rows.any():
        return np.full(fan.shape[1], np.nan)
    return np.asarray(np.mean(result.actual[rows, None] <= fan[rows], axis=0), np.float64)


def _mae_by(result: Backtest, model: str, *, group: NDArray[np.intp], groups: int) -> Floats:
    rows = scored(result, model)
    point = result.replays[model].fan[:, MEDIAN]
    members = [rows & (group == number) for number in range(groups)]
    return np.array([metrics.mae(result.actual[each], point[each]) if each.any() else np.nan for each in members])
