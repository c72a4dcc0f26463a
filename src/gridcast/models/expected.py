"""What the calendar and the weather make us expect.

Models work in the logarithm of the load, where effects multiply. They see past loads as deviations from the
expectation of those very intervals, so a lag that falls on a holiday or a heat wave says as much as any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gridcast.contracts import Block, Design, Floats
from gridcast.errors import TooLittleHistory
from gridcast.market.days import DAY
from gridcast.models import known, ridge
from gridcast.models.ridge import Columns, SlotRidge

MIN_DAYS = 60
"""Days of history below which no model is trained."""
ENOUGH_WEATHER = 0.8
"""Share of training rows that must have a weather variable for it to be used."""
FOLDS = 6
FOLD_DAYS = 28
ABSURD = 1.0
"""Loads that are this much of a logarithm off are faults of the data, another unit or no load at all: as unknown."""

WHOLE_YEAR_DAYS = 365
"""Days of history below which a season cannot be told from a trend, and is left to the recent deviations."""

_PENALTY = {
    "constant": 0.0,
    "weekday": 0.05,
    "season": 0.5,
    "week_profile": 1.5,
    "holiday": 0.1,
    "around_holiday": 0.15,
    "christmas": 0.2,
    "christmas_day": 0.5,
    "vacation": 6.0,
    "holiday_name": 0.5,
    "special_day": 0.3,
    "school": 0.5,
    "weather": 0.3,
}
_SEASONAL = ("season", "week_profile", "vacation", "school")
_UNSEEN = 1e5
_DEGREES = 10.0
"""Unit of temperature columns, °C."""
_TSO_CLIP = 0.2


def log_target(design: Design) -> Floats:
    """The logarithm of the target [N]; NaN where it is unknown or not positive."""
    return np.log(np.where(design.target > 0, design.target, np.nan))


def recency(design: Design, *, half_life_days: float) -> Floats:
    """Weight of each row [N]: halved every ``half_life_days`` of age."""
    age = (design.valid_time.max() - design.valid_time) / DAY
    return np.asarray(0.5 ** (age / half_life_days), np.float64)


def folds(design: Design) -> NDArray[np.intp]:
    """Cross-validation fold of each row [N]: four-week blocks, dealt out in turn."""
    day = design.valid_time.astype("datetime64[D]").astype(np.int64)
    return ((day // FOLD_DAYS) % FOLDS).astype(np.intp)


def past_error(load: Floats, row: NDArray[np.intp], *, forecast: Floats) -> Floats:
    """How past loads compare with what rows forecast of them, logarithmic: NaN where unknown, or off by `ABSURD`.

    Args:
        load: in MW, any shape.
        row: the row that forecast each, -1 where there is none; the same shape.
        forecast: log load by row [N].
    """
    error = np.log(np.where((row >= 0) & (load > 0), load, np.nan)) - forecast[np.maximum(row, 0)]
    return np.where(np.abs(error) < ABSURD, error, np.nan)


def require_history(design: Design) -> None:
    """Raise unless at least `MIN_DAYS` local days have a known target, a positive one.

    Raises:
        TooLittleHistory: facts ``needed`` and ``have``, in days.
    """
    have = len(np.unique(design.local_day[design.target > 0]))
    if have < MIN_DAYS:
        raise TooLittleHistory(
            f"{design.zone.code} has {have} days of load to train on and {MIN_DAYS} are needed",
            remedy="begin later, or bring a longer history",
            needed=MIN_DAYS,
            have=have,
        )


def usable_weather(design: Design) -> dict[str, tuple[str, ...]]:
    """Weather variables that enough of the trainable rows have, with their columns."""
    rows = design.target > 0
    return {
        block.name: block.columns
        for block in design.weather
        if np.isfinite(block.values[rows]).all(axis=1).mean() >= ENOUGH_WEATHER
    }


def with_weather(design: Design, weather: Mapping[str, Sequence[str]]) -> Design:
    """The design with exactly these weather blocks: others are left out, absent ones are NaN throughout."""
    there = {block.name: block for block in design.weather}
    blocks = (
        there.get(name) or Block(name, tuple(columns), np.full((len(design.origin), len(columns)), np.nan))
        for name, columns in weather.items()
    )
    return replace(design, weather=tuple(blocks))


def weather_basis(design: Design) -> str:
    """What weather a model trained on the design uses: ``observed``, ``forecast`` or ``none``."""
    return design.weather_basis if usable_weather(design) else "none"


def penalty(design: Design) -> dict[str, float]:
    """Ridge penalty of each kind of column, for what the design has to learn from."""
    days = len(np.unique(design.local_day[design.target > 0]))
    return _PENALTY | (dict.fromkeys(_SEASONAL, _UNSEEN) if days < WHOLE_YEAR_DAYS else {})


def static_columns(design: Design, weather: Mapping[str, Sequence[str]]) -> list[Columns]:
    """Calendar and weather, the part of a row that is no past load."""
    calendar = [Columns(block.name, block.values) for block in design.calendar]
    return calendar + [
        Columns("weather", block.values, unit=_DEGREES if block.name.startswith("temperature") else 0.0)
        for block in with_weather(design, weather).weather
    ]


@dataclass(frozen=True)
class Expected:
    """The fitted expectation; ``sigma`` [S] is the robust standard deviation around it, by interval of the day.

    ``weather`` names the variables it uses and their columns.
    """

    ridge: SlotRidge
    weather: Mapping[str, Sequence[str]]
    sigma: Floats

    def predict(self, design: Design) -> Floats:
        """Expected log load of every row [N]."""
        return self.ridge.predict(static_columns(design, self.weather), design.slot)


def fit(design: Design, *, half_life_days: float) -> Expected:
    """Learn the expectation from the rows whose target is known.

    Raises:
        TooLittleHistory: fewer than `MIN_DAYS` days.
    """
    require_history(design)
    weather, target = usable_weather(design), log_target(design)
    fitted, _ = ridge.fit(
        static_columns(design, weather),
        target,
        slot=design.slot,
        slots=design.slots,
        weight=recency(design, half_life_days=half_life_days),
        penalty=penalty(design),
        optional=(frozenset({"weather"}),) if weather else (),
    )
    error = target - fitted.predict(static_columns(design, weather), design.slot)
    sigma = np.array([1.4826 * np.nanmedian(np.abs(error[design.slot == s])) for s in range(design.slots)])
    return Expected(fitted, weather, np.maximum(sigma, 1e-4))


def tso_columns(design: Design, mu: Floats) -> Floats:
    """What the operator's forecast adds to ``mu`` [N], and how it erred lately, [N, 5]: NaN where there is no forecast.

    The errors are those of the same local clock 1, 2 and 7 days before, their mean over 2-8 days, and the last 24
    hours'.
    """
    forecast = np.log(np.where(design.tso > 0, design.tso, np.nan))

    lag = -past_error(design.lag_load[:, :8], design.lag_row[:, :8], forecast=forecast)
    per_hour = int(np.timedelta64(1, "h") / design.resolution)
    recent = -past_error(
        design.recent_load[:, : 24 * per_hour], design.recent_row[:, : 24 * per_hour], forecast=forecast
    )
    lately = known.mean(recent)[design.origin]
    past = np.stack([lag[:, 0], lag[:, 1], lag[:, 6], known.mean(lag[:, 1:]), lately], axis=1)
    return np.concatenate([(forecast - mu)[:, None], np.clip(np.nan_to_num(past), -_TSO_CLIP, _TSO_CLIP)], axis=1)
