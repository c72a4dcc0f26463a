"""Bands that hold what they promise: conformal quantiles of held-out errors, scaled to hour, season and kind of day.

Source: Lei, G'Sell, Rinaldo, Tibshirani and Wasserman 2018, "Distribution-free predictive inference for regression"
(normalised conformity scores, held-out errors).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridcast.contracts import MEDIAN, QUANTILES, Design, Floats
from gridcast.errors import TooLittleHistory

PERIOD_DAYS = 730
"""How far back held-out errors count."""
_MIN_ERRORS = 240
_LEAST = 1e-6
_STEADY = 300
"""Errors of a month or kind of day at which its own scale counts as much as the common one."""


@dataclass(frozen=True)
class Calibration:
    """Offsets of the quantiles from the point forecast, in units of a scale that varies.

    ``slot`` [S], ``month`` [12] and ``kind`` [3] multiply to the scale of a row; ``offsets`` [Q] are in that unit.
    """

    slot: Floats
    month: Floats
    kind: Floats
    offsets: Floats

    def scale(self, design: Design, rows: NDArray[np.bool_]) -> Floats:
        """The scale [M] of the given rows, in the unit of the errors it was learned from."""
        return self.slot[design.slot[rows]] * self.month[_month(design)[rows]] * self.kind[design.day_kind[rows]]

    def fan(self, point: Floats, *, design: Design, rows: NDArray[np.bool_]) -> Floats:
        """Quantiles in MW [M, Q] around the log point forecasts [M] of the given rows: they never cross."""
        return np.exp(point[:, None] + self.scale(design, rows)[:, None] * self.offsets)


def fit(design: Design, error: Floats) -> Calibration:
    """Learn from held-out errors of the log load [N] (actual minus forecast, NaN where unknown).

    Raises:
        TooLittleHistory: fewer than ten days of hourly errors.
    """
    recent = design.valid_time >= design.valid_time.max() - np.timedelta64(PERIOD_DAYS, "D")
    rows = np.isfinite(error) & recent
    if rows.sum() < _MIN_ERRORS:
        raise TooLittleHistory(
            f"{design.zone.code} has {rows.sum()} intervals to calibrate on and {_MIN_ERRORS} are needed",
            remedy="bring a longer history",
            needed=_MIN_ERRORS,
            have=int(rows.sum()),
        )
    size = np.maximum(np.abs(error[rows]), _LEAST)
    slot, month, kind = design.slot[rows], _month(design)[rows], design.day_kind[rows]
    common = float(np.mean(size))
    by_slot = np.array([size[slot == s].mean() if (slot == s).any() else common for s in range(design.slots)])
    around = max(1, design.slots // 24)
    by_slot = np.mean([np.roll(by_slot, step) for step in range(-around, around + 1)], axis=0)
    by_month = _ratio(size / by_slot[slot], month, 12)
    by_month = (np.roll(by_month, 1) + 2 * by_month + np.roll(by_month, -1)) / 4
    by_kind = _ratio(size / (by_slot[slot] * by_month[month]), kind, 3)
    score = np.sort(error[rows] / (by_slot[slot] * by_month[month] * by_kind[kind]))
    offsets = np.array([_conformal(score, level) for level in QUANTILES])
    offsets[MEDIAN] = 0.0
    offsets[:MEDIAN] = np.minimum(offsets[:MEDIAN], 0.0)
    offsets[MEDIAN:] = np.maximum(offsets[MEDIAN:], 0.0)
    return Calibration(by_slot, by_month, by_kind, offsets)


def _conformal(score: Floats, level: float) -> float:
    """The finite-sample quantile of sorted scores: the n + 1 rule, outward on both sides."""
    n = len(score)
    rank = np.ceil((n + 1) * level) if level > 0.5 else np.floor((n + 1) * level)
    return float(score[int(np.clip(rank, 1, n)) - 1])


def _ratio(size: Floats, group: NDArray[np.intp], groups: int) -> Floats:
    """Mean size of each group over the mean of all, drawn to 1 where the group is small."""
    count = np.bincount(group, minlength=groups)
    total = np.bincount(group, weights=size, minlength=groups)
    return np.asarray((total / size.mean() + _STEADY) / (count + _STEADY), np.float64)


def _month(design: Design) -> NDArray[np.intp]:
    return (design.local_day.astype("datetime64[M]").astype(np.int64) % 12).astype(np.intp)
