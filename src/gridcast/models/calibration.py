"""What a model's own errors say: where it is off of late, and how wide its bands must be to hold what they promise.

The median follows a share of the errors at the row's own clock in the days before, and a load that has changed for good
altogether. The bands are conformal quantiles
of held-out errors, scaled by interval of the day, month and kind of day, and by how large the errors of the last four
weeks were, of every interval and of the row's own clock. Nothing but what was public at the issue time is used, and a
backtest does what a single forecast does.

Sources: Lei, G'Sell, Rinaldo, Tibshirani and Wasserman 2018, "Distribution-free predictive inference for regression"
(normalised conformity scores, held-out errors); Gibbs and Candès 2021, "Adaptive conformal inference under distribution
shift" (bands that follow the errors); Clark et al. 2004, "The Schaake shuffle" (scenarios with the rank order of past
days).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from gridcast.contracts import MEDIAN, QUANTILES, Design, Floats
from gridcast.errors import TooLittleHistory
from gridcast.market.days import DAY, HOUR, Origins, Task, Times, local_wall
from gridcast.models import expected, known

PERIOD_DAYS = 730
"""How far back held-out errors count."""
_MIN_ERRORS = 240
_LEAST = 1e-6
_STEADY = 300
"""Errors of a month or kind of day at which its own scale counts as much as the common one."""
_MEMORY = 40 * DAY
"""How much of the held-out forecasts a model keeps: the four weeks before any issue, and what is not public yet."""
_MINUTE = np.timedelta64(1, "m")
_LONGEST_LEAD = 10_000
_HALF_LIFE_DAYS = 7.0
_PRIOR_DAYS = 3.0
_OWN_DAYS = 8.0
_FAULT = 8.0
"""Errors are cut at this many times their scale, so a fault in the data does not widen the bands for weeks."""


FOLLOW = 0.3
"""The share of the mean error at a row's own clock, of the days before, that is expected to come again."""
_FOLLOW_HALF_LIFE_DAYS = 4.0
_SHIFT_DAYS = 6
_UNUSUAL, _SURE = 2.0, 3.0
"""Mean errors of as many days, over their usual size, from which a shift is followed, and followed altogether."""
PATHS = 365
"""How many past windows a model keeps the errors of, to draw futures from."""
MIN_PATHS = 30
_LEVELS = np.array([NormalDist().inv_cdf(level) for level in QUANTILES])
"""The quantiles' levels as normal scores, in which what lies between and beyond them is read off straight lines."""


@dataclass(frozen=True)
class Calibration:
    """Offsets of the quantiles from the median, in units of a scale that varies.

    ``slot`` [S], ``month`` [12] and ``kind`` [3] multiply to the usual scale of a row; ``offsets`` [Q] are in the unit
    of that times the pace of the `Past`. ``row`` [K] and ``forecast`` [K] are the last training rows' log forecasts
    made without them, which the errors before the first forecasts are counted from. ``follow`` [1] is the share of
    recent errors at the same clock that the median makes up for.

    ``paths`` [P, S] says where the load of the last windows fell in its bands: normal scores of an origin's errors by
    interval (see `_place`), each ranked among its like. ``origin_of_path`` [P] is its issue time, µs since 1970.
    """

    slot: Floats
    month: Floats
    kind: Floats
    offsets: Floats
    row: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    forecast: Floats = field(default_factory=lambda: np.empty(0))
    follow: Floats = field(default_factory=lambda: np.zeros(1))
    paths: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    origin_of_path: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def scale(self, design: Design) -> Floats:
        """The usual scale of every row [N], in the unit of the errors it was learned from."""
        return self.slot[design.slot] * self.month[_month(design)] * self.kind[design.day_kind]

    def fan(self, point: Floats, *, design: Design, width: Floats | float = 1.0) -> Floats:
        """Quantiles in MW of the wanted rows, [M, Q]: they never cross.

        Args:
            point: log point forecasts of every row [N], run-up rows included.
            design: the rows.
            width: what the model itself says of each row's uncertainty [N], as it said when `fit` was told.
        """
        forecast = point
        if len(self.row):
            number = _number(design)
            place = np.minimum(np.searchsorted(self.row, number), len(self.row) - 1)
            forecast = np.where(self.row[place] == number, self.forecast[place], point)
        scale, rows = self.scale(design) * width, design.wanted_rows
        past = Past.of(design, forecast=forecast, scale=scale)
        median = (point + past.followed(self.follow))[rows]
        unit = (scale * past.pace())[rows]
        return np.exp(median[:, None] + unit[:, None] * self.offsets)

    def scenarios(self, fan: Floats, *, origins: Origins, resolution: np.timedelta64) -> Floats:
        """Equally likely futures in MW whose quantiles are the fan's, [P, M].

        A future is where one past window fell in its bands, put into the fan's: how the errors of a day hang together
        is the past's, how large they are is the fan's. So these may be bands that were refined to finer intervals, or
        moved.

        Args:
            fan: quantiles in MW of every interval of the origins' windows [M, Q], in the order of `Origins.rows`.
            origins: what was forecast.
            resolution: of the fan's intervals.

        Raises:
            TooLittleHistory: fewer than thirty past windows were complete.
        """
        if len(self.paths) < MIN_PATHS:
            raise TooLittleHistory(
                f"{origins.zone.code} has {len(self.paths)} whole windows to draw scenarios from and {MIN_PATHS} are "
                "needed",
                remedy="train it on a longer history, with fewer gaps",
                needed=MIN_PATHS,
                have=len(self.paths),
            )
        number, valid_time = origins.rows(resolution)
        place = _place(origins, number, valid_time, places=self.paths.shape[1])
        below = np.clip(np.searchsorted(_LEVELS, self.paths) - 1, 0, len(_LEVELS) - 2)
        share = ((self.paths - _LEVELS[below]) / np.diff(_LEVELS)[below])[:, place]
        log, row, below = np.log(fan), np.arange(len(fan)), below[:, place]
        low = log[row, below]
        return np.asarray(np.exp(low + share * (log[row, below + 1] - low)), np.float64)

    def of_issues(self, issued: NDArray[np.int64]) -> Calibration:
        """The same with the paths of these issue times only (µs since 1970): those that another zone has too."""
        kept = np.isin(self.origin_of_path, issued)
        return replace(self, paths=_normal_scores(self.paths[kept]), origin_of_path=self.origin_of_path[kept])


@dataclass(frozen=True)
class Past:
    """What was off of late: errors of past forecasts, in units of their usual scale, as each issue time knew them.

    ``recent`` [O, H] are those of the intervals before each issue, newest first, ``lag`` [N, L] those of each row's own
    clock 1..L days before. They are cut at eight times their scale, NaN where unknown. ``scale`` [N] is the rows' own.
    """

    design: Design
    scale: Floats
    recent: Floats
    lag: Floats

    @classmethod
    def of(cls, design: Design, *, forecast: Floats, scale: Floats) -> Past:
        """By the log forecasts of every row [N], NaN where there is none, and their usual scale [N]."""

        def scores(load: Floats, row: NDArray[np.intp]) -> Floats:
            error = expected.past_error(load, row, forecast=forecast)
            return np.clip(error / scale[np.maximum(row, 0)], -_FAULT, _FAULT)

        recent = scores(design.recent_load, design.recent_row)
        return cls(design, scale, recent, scores(design.lag_load, design.lag_row))

    def followed(self, share: Floats | float) -> Floats:
        """What the log forecasts are moved by [N]: a share of `drift`, and all of a sure shift; 0 if ``share`` is."""
        shift, usual = self.shift(), share * self.drift()
        sure = np.clip((np.abs(shift) - _UNUSUAL) / (_SURE - _UNUSUAL), 0.0, 1.0) * (share > 0)
        return usual + sure * (shift * self.scale - usual)

    def drift(self) -> Floats:
        """The mean error at each row's own clock in the days before, newer days first, [N], logarithmic."""
        weight = 0.5 ** (np.arange(1, self.lag.shape[1] + 1) / _FOLLOW_HALF_LIFE_DAYS)
        error = self.lag * self.scale[np.maximum(self.design.lag_row, 0)]
        total, count = _weighed(error, weight)
        return np.where(count > 0, total / np.where(count > 0, count, 1.0), 0.0)

    def shift(self) -> Floats:
        """The mean error of the ordinary days before each row's issue [N]; 0 with less than a day of them.

        It stays small while errors come and go; a load that has changed for good moves it far beyond.
        """
        per_day = int(DAY / self.design.resolution)
        newest = slice(_SHIFT_DAYS * per_day)
        ordinary = self.design.day_kind[np.maximum(self.design.recent_row[:, newest], 0)] == 0
        errors = np.where(ordinary, self.recent[:, newest], np.nan)
        enough = np.isfinite(errors).sum(axis=1) > per_day
        return np.where(enough, known.mean(errors), 0.0)[self.design.origin]

    def pace(self) -> Floats:
        """How the errors known at each row's issue time compare with their usual scale [N]: 1 is as usual."""
        resolution = self.design.resolution
        hours_ago = np.arange(self.recent.shape[1]) * (resolution / HOUR)
        weight = 0.5 ** (hours_ago / 24 / _HALF_LIFE_DAYS) / int(DAY / resolution)
        total, count = _weighed(np.abs(self.recent), weight)
        common = ((total + _PRIOR_DAYS) / (count + _PRIOR_DAYS))[self.design.origin]
        total, count = _weighed(np.abs(self.lag), 0.5 ** (np.arange(self.lag.shape[1]) / _HALF_LIFE_DAYS))
        return np.asarray((total + _OWN_DAYS * common) / (count + _OWN_DAYS), np.float64)


def fit(design: Design, error: Floats, *, width: Floats | float = 1.0, follow: float = FOLLOW) -> Calibration:
    """Learn from held-out errors of the log load [N] (actual minus forecast, NaN where unknown).

    Args:
        design: the rows.
        error: of each row [N].
        width: what the model itself says of each row's uncertainty [N]: the rest is learned beside it.
        follow: the share of recent errors at the same clock that the median shall make up for.

    Raises:
        TooLittleHistory: fewer than ten days of hourly errors.
    """
    recent = design.valid_time >= design.valid_time.max() - PERIOD_DAYS * DAY
    rows = recent & (np.abs(error) < expected.ABSURD)
    if rows.sum() < _MIN_ERRORS:
        raise TooLittleHistory(
            f"{design.zone.code} has {rows.sum()} intervals to calibrate on and {_MIN_ERRORS} are needed",
            remedy="bring a longer history",
            needed=_MIN_ERRORS,
            have=int(rows.sum()),
        )
    width = np.broadcast_to(width, error.shape)
    size = np.maximum(np.abs(error / width)[rows], _LEAST)
    size = np.minimum(size, _FAULT * size.mean())
    slot, month, kind = design.slot[rows], _month(design)[rows], design.day_kind[rows]
    common = float(np.mean(size))
    by_slot = np.array([size[slot == s].mean() if (slot == s).any() else common for s in range(design.slots)])
    around = max(1, design.slots // 24)
    by_slot = np.mean([np.roll(by_slot, step) for step in range(-around, around + 1)], axis=0)
    by_month = _ratio(size / by_slot[slot], month, 12)
    by_month = (np.roll(by_month, 1) + 2 * by_month + np.roll(by_month, -1)) / 4
    by_kind = _ratio(size / (by_slot[slot] * by_month[month]), kind, 3)
    scale = by_slot[design.slot] * by_month[_month(design)] * by_kind[design.day_kind] * width
    forecast = np.log(np.where(design.target > 0, design.target, np.nan)) - error
    past = Past.of(design, forecast=forecast, scale=scale)
    standard = (error - past.followed(follow)) / (scale * past.pace())
    score = np.sort(standard[rows])
    offsets = np.array([_conformal(score, level) for level in QUANTILES])
    offsets[MEDIAN] = 0.0
    offsets[:MEDIAN] = np.minimum(offsets[:MEDIAN], 0.0)
    offsets[MEDIAN:] = np.maximum(offsets[MEDIAN:], 0.0)
    kept = np.flatnonzero(rows & (design.valid_time >= design.valid_time.max() - _MEMORY))
    number = _number(design)[kept]
    order = np.argsort(number)
    memory = (number[order], forecast[kept][order])
    paths, origin_of_path = _paths(design, np.where(rows, standard, np.nan))
    return Calibration(by_slot, by_month, by_kind, offsets, *memory, np.array([follow]), paths, origin_of_path)


def _paths(design: Design, score: Floats) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The scores [N] of the last windows that have one at every place, as `Calibration` keeps them."""
    origins = design.origins
    table = np.full((len(origins), design.slots), np.nan)
    table[design.origin, _place(origins, design.origin, design.valid_time, places=design.slots)] = score
    whole = np.flatnonzero(np.isfinite(table).all(axis=1))[-PATHS:]
    return _normal_scores(table[whole]), origins.issue_time[whole].astype("datetime64[us]").astype(np.int64)


def _place(origins: Origins, number: NDArray[np.intp], valid_time: Times, *, places: int) -> NDArray[np.intp]:
    """Which of a path's ``places`` belongs to each interval [N] of the windows: by the clock, or by the lead time.

    By the clock where a window is a day, so that of an hour that comes twice both have one place.
    """
    if origins.task is Task.DAY_AHEAD:
        wall = local_wall(valid_time, origins.zone.local_tz)
        since = wall - wall.astype("datetime64[D]")
    else:
        since = valid_time - origins.start[number]
    return np.asarray(since // (DAY // places), np.intp)


def _normal_scores(table: NDArray[np.floating]) -> NDArray[np.float32]:
    """Each column's ranks, as the values of a normal distribution that stand at them [P, S]."""
    count = len(table)
    normal = np.array([NormalDist().inv_cdf((rank + 0.5) / count) for rank in range(count)], np.float32)
    return normal[table.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")]


def _conformal(score: Floats, level: float) -> float:
    """The finite-sample quantile of sorted scores: the n + 1 rule, outward on both sides."""
    n = len(score)
    rank = np.ceil((n + 1) * level) if level > 0.5 else np.floor((n + 1) * level)
    return float(score[int(np.clip(rank, 1, n)) - 1])


def _weighed(size: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Weighted sum of the known sizes [R, K] and the sum of their weights, [R] each, the same for however many rows."""
    there = np.isfinite(size)
    return (np.where(there, size, 0.0) * weight).sum(axis=1), (there * weight).sum(axis=1)


def _number(design: Design) -> NDArray[np.int64]:
    """A number for each row [N] that is its own in every design: issue time and lead."""
    issue, lead = design.origins.issue_time[design.origin], design.lead // _MINUTE
    return np.asarray(issue.astype("datetime64[m]").astype(np.int64) * _LONGEST_LEAD + lead.astype(np.int64), np.int64)


def _ratio(size: Floats, group: NDArray[np.intp], groups: int) -> Floats:
    """Mean size of each group over the mean of all, drawn to 1 where the group is small."""
    count = np.bincount(group, minlength=groups)
    total = np.bincount(group, weights=size, minlength=groups)
    return np.asarray((total / size.mean() + _STEADY) / (count + _STEADY), np.float64)


def _month(design: Design) -> NDArray[np.intp]:
    return (design.local_day.astype("datetime64[M]").astype(np.int64) % 12).astype(np.intp)
