"""What people act on: how high a day's load rises, in which hour, and how much energy it takes.

All are read off the same futures of a window (`Calibration.scenarios`), so they fit one another and the hours; the
quantiles of a peak or a sum cannot be had from those of the hours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridcast.contracts import QUANTILES, Floats
from gridcast.market.days import HOUR, Origins, local_wall

CLOCK_HOURS = 24


@dataclass(frozen=True)
class Days:
    """Of the D windows of some origins: ``peak`` [D, Q] in MW, ``energy`` [D, Q] in MWh, by `contracts.QUANTILES`.

    ``hour`` [D, 24] is the probability that the highest interval begins in each hour of the local clock. All are NaN
    where an interval of the window is unknown.
    """

    peak: Floats
    energy: Floats
    hour: Floats

    @property
    def likely_hour(self) -> NDArray[np.intp]:
        """The hour of the local clock that most likely holds the peak [D]; 0 where it is unknown."""
        return np.asarray(np.nan_to_num(self.hour).argmax(axis=1), np.intp)

    @classmethod
    def of(cls, scenarios: Floats, *, origins: Origins, resolution: np.timedelta64, fan: Floats | None = None) -> Days:
        """From futures in MW [P, M] of every interval of the origins' windows; one future is what really came.

        Where the ``fan`` [M, Q] of the intervals is given, no quantile of a peak is below that of one of its intervals:
        futures are too few for that to hold to the last digit.

        >>> from datetime import date
        >>> from gridcast.market.days import origins
        >>> from gridcast.market.zones import zone
        >>> day = origins(zone("DK_1"), first=date(2026, 1, 1), last=date(2026, 1, 2))
        >>> load = np.full((1, 24), 100.0)
        >>> load[0, 17] = 150.0
        >>> found = Days.of(load, origins=day, resolution=HOUR)
        >>> float(found.peak[0, 0]), float(found.energy[0, 0]), int(found.likely_hour[0])
        (150.0, 2450.0, 17)
        """
        number, valid_time = origins.rows(resolution)
        wall = local_wall(valid_time, origins.zone.local_tz)
        clock = ((wall - wall.astype("datetime64[D]")) // HOUR).astype(np.intp)
        begin = np.flatnonzero(np.diff(number, prepend=-1))
        peak = _quantiles(np.maximum.reduceat(scenarios, begin, axis=1))
        energy = _quantiles(np.add.reduceat(scenarios, begin, axis=1)) * (resolution / HOUR)
        if fan is not None:
            peak = np.maximum(peak, np.maximum.reduceat(fan, begin, axis=0))
        hour = np.full((len(begin), CLOCK_HOURS), np.nan)
        for day, (first, last) in enumerate(zip(begin, [*begin[1:], len(number)], strict=True)):
            if np.isfinite(energy[day]).all():
                top = clock[first + scenarios[:, first:last].argmax(axis=1)]
                hour[day] = np.bincount(top, minlength=CLOCK_HOURS) / len(scenarios)
        return cls(peak, energy, hour)


def _quantiles(values: Floats) -> Floats:
    """Of futures [P, D], each in the middle of its share: [D, Q]."""
    return np.asarray(np.quantile(values, QUANTILES, axis=0, method="hazen").T, np.float64)
