"""How the load, and the operator's forecast of it, have lately deviated: what a model knows of the days before.

Deviations are logarithmic and from what was expected of those very intervals, see `expected`. Beyond five robust
standard deviations they are cut, so a spike in the data moves nothing; where the past is unknown they are 0. What is
off by a factor is a fault, and as unknown: cut, a week of it would teach that a high level means nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridcast.contracts import Block, Design, Floats
from gridcast.market.days import HOUR, weekday
from gridcast.models import known
from gridcast.models.expected import Expected, past_error

_CLIP = 5.0
_TSO_CLIP = 0.1
_NEWEST_HOURS = 26
_MEANS_HOURS = (6, 12, 24, 48, 168, 672)
_BANDS_HOURS = ((3, 6), (6, 10), (10, 16), (16, 24), (24, 48), (48, 96))
_FADING_HOURS = (5.0, 15.0)
_LAGS = (1, 2, 3, 4, 5, 6, 7, 14)
_LAG_MEANS = ((2, 8), (2, 28))
_LIKE_DAYS = (7, 14, 28)
_WEEKS = (7, 14, 21, 28)
_WEEKDAYS = {"Monday": 0, "Saturday": 5, "Sunday": 6}


def load(design: Design, *, base: Expected, mu: Floats) -> tuple[Block, Block]:
    """The load's deviations: ``load``, means and lags [N, K], and ``hours``, each of the newest hours [N, H].

    An hour that is not public yet is as the newest that is.

    Args:
        design: the rows.
        base: the fitted expectation.
        mu: its prediction for every row [N].
    """
    limit = _CLIP * base.sigma[design.slot]
    lag = _cut(past_error(design.lag_load, design.lag_row, forecast=mu), limit[:, None])
    recent = _cut(
        past_error(design.recent_load, design.recent_row, forecast=mu), limit[np.maximum(design.recent_row, 0)]
    )
    hours, origin = _hourly(recent, design), design.origin
    means = {count: known.mean(hours[:, :count])[origin] for count in _MEANS_HOURS}
    lead = design.lead / HOUR
    of_day = _weekday(design)
    columns = {f"last {count} h": values for count, values in means.items()}
    columns |= {f"last {means_of} h, fading in {h:g} h": means[means_of] * np.exp(-lead / h)
                for means_of in (6,) for h in _FADING_HOURS}  # fmt: skip
    columns |= {f"{first} to {last} h ago": known.mean(hours[:, first:last])[origin] for first, last in _BANDS_HOURS}
    columns |= _lags(design, lag)
    columns |= {
        f"last {count} h on {name}": means[count] * (of_day == number)
        for name, number in _WEEKDAYS.items()
        for count in (6, 24)
    }
    newest = known.held(hours[:, _NEWEST_HOURS - 1 :: -1])[:, ::-1][origin]
    return _block("load", columns), Block(
        "hours", tuple(f"{hour} h before issue" for hour in range(_NEWEST_HOURS)), np.nan_to_num(newest)
    )


def tso(design: Design, mu: Floats, *, forecast: Floats) -> Block:
    """What the operator's log ``forecast`` [N] adds to ``mu`` [N], and how it erred lately, [N, K]; NaN where none is.

    The first column is its deviation from ``mu``, the next three how that compares with the interval before and after
    and with the window's mean. Errors are cut at a tenth.
    """
    lag = _cut(-past_error(design.lag_load, design.lag_row, forecast=forecast), _TSO_CLIP)
    hours = _hourly(_cut(-past_error(design.recent_load, design.recent_row, forecast=forecast), _TSO_CLIP), design)
    origin, added = design.origin, forecast - mu
    first = np.flatnonzero(np.diff(origin, prepend=-1))
    windows = np.split(added, first[1:])
    before = np.concatenate([np.append(each[:1], each[:-1]) for each in windows])
    after = np.concatenate([np.append(each[1:], each[-1:]) for each in windows])
    mean = np.array([known.mean(each) for each in windows])[origin - origin[0]]
    shape = {"before": before - added, "after": after - added, "of the window": mean}
    errors = {f"error, {name}": values for name, values in _lags(design, lag).items()}
    errors |= {f"error, last {count} h": known.mean(hours[:, :count])[origin] for count in (*_MEANS_HOURS[:-1], 8 * 24)}
    errors |= {f"error, {hour} h before issue": hours[:, hour][origin] for hour in range(_NEWEST_HOURS)}
    past = _block("tso", shape | errors)
    return Block("tso", ("above expectation", *past.columns), np.concatenate([added[:, None], past.values], axis=1))


def _lags(design: Design, lag: Floats) -> dict[str, Floats]:
    """Values of the same clock on earlier days [N, 28]: single days, means, and means of days like the row's own."""
    rest = _weekday(design) >= 5
    like = np.where(rest[np.maximum(design.lag_row, 0)] == rest[:, None], lag, np.nan)
    columns = {f"{day} days before": lag[:, day - 1] for day in _LAGS}
    columns |= {f"{first} to {last} days before": known.mean(lag[:, first - 1 : last]) for first, last in _LAG_MEANS}
    columns |= {"same weekday": known.mean(lag[:, [day - 1 for day in _WEEKS]])}
    return columns | {f"days like it of the last {days}": known.mean(like[:, :days]) for days in _LIKE_DAYS}


def _cut(deviation: Floats, limit: Floats | float) -> Floats:
    return np.clip(deviation, -limit, limit)


def _hourly(recent: Floats, design: Design) -> Floats:
    """Means of whole hours before each issue, newest first, [O, 672]."""
    per_hour = int(HOUR / design.resolution)
    return recent if per_hour == 1 else known.mean(recent.reshape(len(recent), -1, per_hour))


def _weekday(design: Design) -> NDArray[np.int64]:
    """Monday is 0; a public holiday counts as a Sunday."""
    return np.where(design.day_kind == 1, 6, weekday(design.local_day))


def _block(name: str, columns: dict[str, Floats]) -> Block:
    return Block(name, tuple(columns), np.nan_to_num(np.stack(list(columns.values()), axis=1)))
