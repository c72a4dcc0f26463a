"""Weather columns: the value, its recent past smoothed over hours to a week, and bends that make them nonlinear.

Buildings remember: smoothed temperatures cut the error by a fifth (Wang, Liu and Hong 2016, "recency effect").
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridcast.contracts import Block, Floats
from gridcast.market.days import Times

MEMORY = np.timedelta64(14, "D")
HOLD = np.timedelta64(3, "h")
"""For how long the last known value stands in for missing ones."""

_KNOTS = (-10.0, -5.0, 0.0, 5.0, 10.0, 15.0, 18.0, 21.0, 25.0, 30.0)
_SMOOTHING = (0.80, 0.95, 0.98, 0.995)
"""Share of an hour's smoothed value that the next hour keeps: half-lives of 3, 14, 34 and 138 hours."""
_LAGS_HOURS = (1, 2, 3, 6, 24, 48)


def block(
    variable: str, path: Floats, *, window: tuple[NDArray[np.intp], NDArray[np.intp]], steps_per_hour: int
) -> Block:
    """Columns of one variable for every row.

    Args:
        variable: its name; a temperature (°C) gets bends, others (W/m², m/s, ...) stay linear.
        path: [O, P] its course at each origin, from `MEMORY` before the window to its end, NaN where unknown.
        window: the origin [N] and the place within the path [N] of each row, the rows of an origin together.
        steps_per_hour: intervals an hour.
    """
    held = _held(path, limit=int(HOLD / np.timedelta64(1, "h")) * steps_per_hour)
    path = _held(path, limit=path.shape[1])
    origin, place = window
    now = held[origin, place]
    usable = np.isfinite(now)
    first = np.flatnonzero(np.diff(origin, prepend=-1))
    # Over each window's own intervals: a path is as wide as the widest window, which differs between designs.
    span = {
        "highest": np.fmax.reduceat(now, first),
        "lowest": np.fmin.reduceat(now, first),
        "mean": np.add.reduceat(np.where(usable, now, 0.0), first)
        / np.maximum(np.add.reduceat(usable, first, dtype=np.intp), 1),
    }
    series: dict[str, Floats] = {"now": path[origin, place]}
    series |= {f"smoothed {keep}": _smoothed(path, keep ** (1 / steps_per_hour))[origin, place] for keep in _SMOOTHING}
    series |= {name: values[origin] for name, values in span.items()}
    lags = {f"{h} h before": path[origin, place - h * steps_per_hour] for h in _LAGS_HOURS}
    columns = series | lags
    if variable.startswith("temperature"):
        columns |= {
            f"{name} over {knot:g}": np.maximum(values - knot, 0) for name, values in series.items() for knot in _KNOTS
        }
        columns |= {
            f"{name} over {knot:g}": np.maximum(values - knot, 0)
            for name, values in lags.items()
            for knot in (15.0, 25.0)
        }
    values = np.stack(list(columns.values()), axis=1)
    values[~usable] = np.nan
    values[~np.isfinite(values).all(axis=1)] = np.nan
    return Block(variable, tuple(columns), values)


def _held(path: Floats, *, limit: int) -> Floats:
    """Missing values replaced by the last known one, for at most ``limit`` intervals."""
    steps = np.arange(path.shape[1])
    last = np.maximum.accumulate(np.where(np.isfinite(path), steps, -1), axis=1)
    held = np.take_along_axis(path, np.maximum(last, 0), axis=1)
    return np.where((last >= 0) & (steps - last <= limit), held, np.nan)


def _smoothed(path: Floats, keep: float) -> Floats:
    """Exponentially smoothed along the path, started at its first known value."""
    result = np.empty_like(path)
    state = path[:, 0]
    for step in range(path.shape[1]):
        value = path[:, step]
        state = np.where(np.isnan(state), value, keep * state + (1 - keep) * value)
        result[:, step] = state
    return result


def path_times(start: Times, *, resolution: np.timedelta64, width: int) -> Times:
    """Times [O, P] from `MEMORY` before each window's start to ``width`` intervals after it."""
    steps = np.arange(-int(MEMORY / resolution), width)
    return start[:, None] + steps * resolution
