"""Spikes: some intervals far off their neighbours and off the same clock of the days around.

What stands out of the usual day of *every* kind on *both* sides within three hours is a spike. The real peak at 17:00
on 24 December is none: it is high against no kind of day, only what follows it is low, and stays so.
"""

from __future__ import annotations

import numpy as np

from gridcast.contracts import Floats
from gridcast.quality.grid import Grid
from gridcast.quality.usual import MAD, Usual, median, own, standing_out
from gridcast.quality.verdicts import Fault, Verdict, runs

LONGEST = 3
"""Hours up to which a bump is a spike; a longer one is weather, a strike or a holiday."""
THRESHOLD, FLANK = 8.0, 4.0
"""Height of a spike, and of what adjoins one, in standard deviations of the zone's own changes at that clock."""
BROAD = 0.875
"""Share of the threshold for a spike broader than an hour: its two edges together are as rare."""
SMALLEST = 0.06
"""Nothing smaller is a spike, relative to the load."""
_LEAST = 5


def spikes(logs: Floats, *, grid: Grid, kinds: tuple[Usual, ...]) -> list[Fault]:
    """The spikes in log load [T]."""
    excess = np.stack([logs - grid.at(kind.profile) for kind in kinds])
    score, height = np.zeros(len(logs)), np.zeros(len(logs))
    kind = grid.kind[grid.day]
    ordinary = own(excess, kind)
    for width in sorted({1, *(hours * grid.per_hour for hours in range(1, LONGEST + 1))}):
        scale = _scale(ordinary, grid=grid, width=width)
        if not np.isfinite(scale).any():
            return []
        for sign in (1, -1):
            above = standing_out(np.stack([_above(sign * each, width=width) for each in excess]), kind)
            found = above / (scale * (1.0 if width <= grid.per_hour else BROAD))
            higher = (found > np.abs(score)) & (above > 0)
            score, height = np.where(higher, sign * found, score), np.where(higher, sign * above, height)
    certain = (np.abs(score) >= THRESHOLD) & (np.abs(height) >= SMALLEST)
    likely = (np.abs(score) >= FLANK) & (np.abs(height) >= SMALLEST)
    return [
        Fault(Verdict.SPIKE, at, _reason(grid, at=at, height=height[at]))
        for sign in (1, -1)
        for stretch in runs(likely & (np.sign(score) == sign))
        if certain[stretch].any()
        for at in [np.arange(stretch.start, stretch.stop)]
    ]


def _above(excess: Floats, *, width: int) -> Floats:
    """How far each value is above what lies on both sides within ``width`` intervals; gaps are looked across.

    NaN where nothing is known. A value at the very end has one side only and is not judged.
    """
    from scipy.ndimage import grey_opening

    known = np.isfinite(excess)
    opened = grey_opening(np.where(known, excess, np.inf), size=width + 1, mode="reflect")
    above = excess - opened
    return np.where(known, np.where(np.isfinite(opened), above, 0.0), np.nan)


def _scale(excess: Floats, *, grid: Grid, width: int) -> Floats:
    """Usual change over ``width`` intervals at each interval's clock [T], as a standard deviation."""
    change = np.full((2, len(excess)), np.nan)
    change[0, width:] = np.abs(excess[width:] - excess[:-width])
    change[1, :-width] = change[0, width:]
    by_slot = np.concatenate([grid.table(each) for each in change]).T
    everywhere = median(change[0], least=_LEAST * grid.slots)
    typical = MAD * np.fmax(median(by_slot, least=2 * _LEAST), everywhere)
    return np.asarray(np.maximum(typical, 1e-4)[grid.slot], np.float64)


def _reason(grid: Grid, *, at: np.ndarray[tuple[int], np.dtype[np.intp]], height: Floats) -> str:
    worst = int(np.argmax(np.abs(height)))
    percent = 100 * np.expm1(height[worst])
    side = "above" if percent > 0 else "below"
    return (
        f"spike: {grid.value[at[worst]]:,.0f}, about {abs(percent):.0f} % {side} its neighbours "
        "and the same clock of other days"
    )
