"""What a forecast means for its whole day, as JSON and as a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gridcast.contracts import MEDIAN, QUANTILES, Floats

if TYPE_CHECKING:
    from gridcast.models.daily import Days

_LOW, _HIGH = QUANTILES.index(0.1), QUANTILES.index(0.9)
_GWH = 1000.0


def document(day: Days | None) -> dict[str, Any] | None:
    """Quantiles of peak (MW) and energy (MWh), and the local clock hour of the peak; None where nothing can be said.

    ``by_hour`` leaves out the hours that no future has its peak in.
    """
    if day is None:
        return None
    likely, chances = int(day.likely_hour[0]), day.hour[0]
    return {
        "peak_mw": _by_quantile(day.peak[0]),
        "peak_hour": {
            "local": _clock(likely),
            "probability": round(float(chances[likely]), 4),
            "by_hour": {_clock(hour): round(float(chance), 4) for hour, chance in enumerate(chances) if chance > 0},
        },
        "energy_mwh": _by_quantile(day.energy[0]),
    }


def line(day: Days) -> str:
    """Peak and energy with their 80 % bands."""
    peak, energy, likely = day.peak[0], day.energy[0] / _GWH, int(day.likely_hour[0])
    return (
        f"peak {peak[MEDIAN]:,.0f} MW (80 %: {peak[_LOW]:,.0f} to {peak[_HIGH]:,.0f}), most likely at {_clock(likely)} "
        f"({day.hour[0, likely]:.0%}); energy {energy[MEDIAN]:,.1f} GWh "
        f"(80 %: {energy[_LOW]:,.1f} to {energy[_HIGH]:,.1f})"
    ).replace("%)", " %)")


def _by_quantile(values: Floats) -> dict[str, float]:
    return {f"{quantile:g}": round(float(value), 3) for quantile, value in zip(QUANTILES, values, strict=True)}


def _clock(hour: int) -> str:
    return f"{hour:02}:00"
