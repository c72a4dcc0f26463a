"""What a forecast means for its whole day, as a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridcast.contracts import MEDIAN, QUANTILES
from gridcast.pipeline.documents import clock

if TYPE_CHECKING:
    from gridcast.models.daily import Days

_LOW, _HIGH = QUANTILES.index(0.1), QUANTILES.index(0.9)
_GWH = 1000.0


def line(day: Days) -> str:
    """Peak and energy with their 80 % bands."""
    peak, energy, likely = day.peak[0], day.energy[0] / _GWH, int(day.likely_hour[0])
    return (
        f"peak {peak[MEDIAN]:,.0f} MW (80 %: {peak[_LOW]:,.0f} to {peak[_HIGH]:,.0f}), most likely at {clock(likely)} "
        f"({day.hour[0, likely]:.0%}); energy {energy[MEDIAN]:,.1f} GWh "
        f"(80 %: {energy[_LOW]:,.1f} to {energy[_HIGH]:,.1f})"
    ).replace("%)", " %)")
