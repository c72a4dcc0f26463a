"""Days, and whole answers, whose clock is off by an hour or two, as where a source writes local time as UTC."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
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

OVERLAP = timedelta(hours=12)
"""So much must be known of an answer before it can be called moved."""
REMAINING, CONTRADICTION = 0.3, 0.01
"""Share of a contradiction that a move may leave, and the least mean contradiction, relative to the load."""


def moved(rows: pl.DataFrame, known: pl.DataFrame) -> int:
    """By how many hours all of an answer is late against what was known of its intervals; 0 where it is not.

    An answer that is off as a whole looks like any other week. But it contradicts nearly every value that was fetched
    before, and an hour earlier or later it contradicts none.

    Args:
        rows: Observations of one variable.
        known: earlier Observations of it, of several vintages the later one counts.
    """
    at, value = pl.col("valid_time"), pl.col("value")
    before = known.sort("published_at").unique(["valid_time", "resolution"], keep="last")
    before = before.select("valid_time", "resolution", known="value")
    off = {}
    for hours in (0, *SHIFTS):
        pairs = rows.with_columns(valid_time=at - timedelta(hours=hours)).join(before, on=["valid_time", "resolution"])
        if pairs.select((pl.col("resolution").sum() >= OVERLAP).fill_null(False)).item():
            off[hours] = pairs.select((value - pl.col("known")).abs().mean() / pl.col("known").abs().mean()).item()
    if off.get(0, 0.0) < CONTRADICTION:
        return 0
    best = min(off, key=lambda hours: off[hours])
    return best if off[best] < REMAINING * off[0] else 0


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
