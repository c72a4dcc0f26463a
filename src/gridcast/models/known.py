"""Statistics along the last axis of what is known: NaN is unknown, and so is the statistic of nothing. No warnings."""

from __future__ import annotations

import numpy as np

from gridcast.contracts import Floats


def mean(values: Floats, weight: Floats | float = 1.0) -> Floats:
    """Weighted mean of the known values [..., K] to [...].

    >>> mean(np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]]))
    array([ 2., nan])
    """
    weight = np.isfinite(values) * weight
    total = weight.sum(axis=-1)
    return np.where(total > 0, (np.nan_to_num(values) * weight).sum(axis=-1) / np.where(total > 0, total, 1.0), np.nan)


def median(values: Floats) -> Floats:
    """Median of the known values [..., K] to [...].

    >>> median(np.array([[1.0, np.nan, 3.0, 9.0], [np.nan, np.nan, 4.0, 6.0]]))
    array([3., 5.])
    """
    ordered = np.sort(values, axis=-1)  # NaN last
    count = np.isfinite(values).sum(axis=-1)[..., None]
    lower, upper = (np.take_along_axis(ordered, np.maximum(place, 0) // 2, axis=-1) for place in (count - 1, count))
    return np.asarray((lower + upper)[..., 0] / 2, np.float64)


def held(values: Floats) -> Floats:
    """Each unknown value [..., K] replaced by the last one known before it.

    >>> held(np.array([np.nan, 1.0, np.nan, 3.0]))
    array([nan,  1.,  1.,  3.])
    """
    steps = np.arange(values.shape[-1])
    last = np.maximum.accumulate(np.where(np.isfinite(values), steps, 0), axis=-1)
    return np.take_along_axis(values, last, axis=-1)
