"""Days whose clock is off by an hour or two, as where a source writes local time as UTC."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gridcast.contracts import Floats
from gridcast.quality.grid import SPECIAL, Flags, Grid
from gridcast.quality.usual import Usual, median
from gridcast.quality.verdicts import Fault, Verdict

SHIFTS = (-2, -1, 1, 2)
"""Hours."""
ALONE, ALONE_SPECIAL = 0.45, 0.3
"""A single day is off where a shift leaves less than this share of its misfit; special days fit no kind anyway."""
TOGETHER, SPAN = 0.6, 4
"""Days in a row are off where a shift leaves less than this share of the misfit of so many of them."""
MISFIT, LEFT = 2.0, 1.5
"""Misfit that calls for an explanation, and misfit that a right one may leave, in units of a usual day's."""


def shifted(table: Floats, *, grid: Grid, kinds: tuple[Usual, ...]) -> list[Fault]:
    """Days of log load [D, S] that fit the days around clearly better with another clock."""
    plain = _misfit(table, kinds=kinds, grid=grid, shift=0)
    if np.count_nonzero(np.isfinite(plain)) < 2 * SPAN:
        return []
    moved = np.stack([_misfit(table, kinds=kinds, grid=grid, shift=shift) for shift in SHIFTS])
    typical = max(float(median(plain)), 1e-4)
    limit = np.where(grid.kind == SPECIAL, ALONE_SPECIAL, ALONE)
    off = _better(plain, moved, share=limit, typical=typical)
    if len(plain) >= SPAN:
        windows = _better(
            _pooled(plain), np.stack([_pooled(each) for each in moved]), share=TOGETHER, typical=0.75 * typical
        )
        single = _better(plain, moved, share=0.8, typical=0.5 * typical)
        for first in range(SPAN):
            off[:, first : first + windows.shape[1]] |= windows
        off &= single | (_better(plain, moved, share=limit, typical=typical))
    hours = np.array(SHIFTS)[np.argmin(np.where(np.isnan(moved), np.inf, moved), axis=0)]
    return [
        Fault(
            Verdict.SHIFTED_CLOCK,
            np.flatnonzero((grid.day == number) & grid.present),
            f"shifted clock: fits the days around when moved by {-hours[number]:+d} h",
        )
        for number in np.flatnonzero(off.any(axis=0))
    ]


def _better(plain: Floats, moved: Floats, *, share: float | Floats, typical: float) -> Flags:
    """Where a shift explains a misfit [4, D]."""
    return (moved < share * plain) & (plain > MISFIT * typical) & (moved < LEFT * typical)


def _pooled(misfit: Floats) -> Floats:
    """Root mean square over `SPAN` days from each day on."""
    return np.asarray(np.sqrt(np.mean(sliding_window_view(misfit, SPAN) ** 2, axis=1)), np.float64)


def _misfit(table: Floats, *, kinds: tuple[Usual, ...], grid: Grid, shift: int) -> Floats:
    """Least root mean square difference [D] to the usual day of any kind, its clock ``shift`` hours late."""
    edge = max(abs(each) for each in SHIFTS) * grid.per_hour
    late, end = shift * grid.per_hour, grid.slots - edge
    inner = table[:, edge:end]
    best = np.full(len(table), np.inf)
    for kind in kinds:
        rest = inner - kind.profile[:, edge - late : end - late]
        rest = rest - median(rest)[:, None]
        known = np.isfinite(rest)
        square = np.where(known, rest, 0.0) ** 2
        enough = known.sum(axis=1) >= 0.6 * inner.shape[1]
        size = np.sqrt(square.sum(axis=1) / np.maximum(known.sum(axis=1), 1))
        best = np.where(enough, np.minimum(best, size), best)
    return np.where(np.isfinite(best), best, np.nan)
