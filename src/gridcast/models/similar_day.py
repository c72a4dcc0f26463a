"""`similar_day`: what the load was at this clock on the latest days of the same kind, brought to today's level.

What a dispatcher does with a calendar and a pencil: nothing is learned but the bands. Days are Mondays, Tuesdays to
Thursdays, Fridays, Saturdays and Sundays; a public holiday of most people counts as a Sunday, a bridge day of theirs
as a Saturday.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gridcast.contracts import Design, Floats
from gridcast.market.days import Times
from gridcast.market.daytypes import day_types
from gridcast.market.zones import BiddingZone
from gridcast.models import artifact, calibration, expected, known
from gridcast.models.calibration import Calibration

_SATURDAY, _SUNDAY = 3, 4
_CLASS_OF_WEEKDAY = np.array([0, 1, 1, 1, 2, _SATURDAY, _SUNDAY])
_CLIP = 0.2
"""A logarithm further than this from the median of its like is cut there, so a spike in the data moves little."""


@dataclass(frozen=True)
class SimilarDay:
    """The recipe.

    A similar day's weight halves every ``half_life_days`` of age. The level is what the load of the last
    ``level_hours`` was of its own similar days; ``follow`` is the share of that ratio that lasts until the forecast
    interval.
    """

    name: ClassVar[str] = "similar_day"
    half_life_days: float = 8.0
    level_hours: int = 24
    follow: float = 0.7

    def fit(self, design: Design, *, seed: int = 0) -> FittedSimilarDay:
        """Learn the bands from its own errors; ``seed`` is unused, nothing here is random.

        Raises:
            TooLittleHistory: too few errors to calibrate on.
        """
        point = self.point(design)
        return FittedSimilarDay(self, calibration.fit(design, expected.log_target(design) - point, follow=0.0), point)

    def load(self, folder: Path) -> FittedSimilarDay:
        """Read a fitted model back.

        Raises:
            ArtifactMismatch: a file is absent or damaged.
        """
        meta, arrays = artifact.load(folder)
        return FittedSimilarDay(SimilarDay(**meta["recipe"]), Calibration(**artifact.under("calibration", arrays)))

    def point(self, design: Design) -> Floats:
        """Log of the median forecast of every row [N]; NaN where no load of four weeks is known at its clock."""
        like = self._like(design)
        newest = self.level_hours * int(np.timedelta64(1, "h") / design.resolution)
        load, row = _newest_known(design, newest)
        ratio = np.log(np.where(row >= 0, load, np.nan)) - like[np.maximum(row, 0)]
        level = np.nan_to_num(known.mean(np.clip(ratio, -_CLIP, _CLIP)))
        return like + self.follow * level[design.origin]

    def _like(self, design: Design) -> Floats:
        """Log of the mean load at the row's clock on its similar days [N], of all days where none is similar."""
        days = np.arange(1, design.lag_load.shape[1] + 1)
        day = design.local_day.astype("datetime64[D]")
        kind = _day_classes(design.zone, day[:, None] - np.append(0, days))
        load = np.log(np.where(design.lag_load > 0, design.lag_load, np.nan))
        similar = np.where(kind[:, 1:] == kind[:, :1], load, np.nan)
        similar = np.where(np.isfinite(similar).any(axis=1, keepdims=True), similar, load)
        centre = known.median(similar)[:, None]
        return known.mean(np.clip(similar, centre - _CLIP, centre + _CLIP), 0.5 ** (days / self.half_life_days))


@dataclass(frozen=True)
class FittedSimilarDay:
    """What `SimilarDay` fits: the calibration of its bands. ``held_out`` [N] is not saved."""

    recipe: SimilarDay
    calibration: Calibration
    held_out: Floats = field(default_factory=lambda: np.empty(0))

    def point(self, design: Design) -> Floats:
        """Log of the median forecast of every row [N]; NaN where no load of four weeks is known at its clock."""
        return self.recipe.point(design)

    def predict(self, design: Design) -> Floats:
        """Quantiles in MW of the wanted rows, [M, Q]."""
        return self.calibration.fan(self.point(design), design=design)

    def save(self, folder: Path) -> None:
        """Write data-only files."""
        artifact.save(
            folder, meta={"recipe": asdict(self.recipe)}, arrays=artifact.flatten("calibration", self.calibration)
        )


def _day_classes(zone: BiddingZone, days: Times) -> NDArray[np.intp]:
    """The class of each local day, any shape: 0 Monday, 1 Tuesday to Thursday, 2 Friday, 3 Saturday, 4 Sunday."""
    span = np.arange(days.min(), days.max() + 1)
    kinds = day_types(zone, span)
    by_weekday = _CLASS_OF_WEEKDAY[kinds["weekday"].to_numpy()]
    holiday, bridge = kinds["holiday_share"] > 0.5, kinds["bridge_share"] > 0.5
    classes = np.where(holiday, _SUNDAY, np.where(bridge, _SATURDAY, by_weekday))
    return np.asarray(classes[(days - span[0]).astype(np.intp)], np.intp)


def _newest_known(design: Design, count: int) -> tuple[Floats, NDArray[np.intp]]:
    """The ``count`` newest known loads of each origin and the rows that forecast them, [O, count]."""
    row = np.where(design.recent_load > 0, design.recent_row, -1)
    newest = np.argsort(row < 0, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(design.recent_load, newest, axis=1), np.take_along_axis(row, newest, axis=1)
