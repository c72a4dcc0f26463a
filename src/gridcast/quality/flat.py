"""The same value for hours where the zone never stands still, and days that repeat an earlier one."""

from __future__ import annotations

import math

import numpy as np

from gridcast.contracts import Floats
from gridcast.quality.grid import Grid
from gridcast.quality.usual import median
from gridcast.quality.verdicts import Fault, Verdict, runs

SHORTEST, LONGEST = 3, 6
"""Hours of one value that may be a fault in a zone whose values never repeat, and that are one in any zone."""
ALWAYS = 20
"""Hours of one value that are a fault whatever the profile."""
QUANTA = 4
"""A usual change of so many rounding steps is not hidden by rounding."""
_CHANCE = 1e-3
_SAME = 0.9
_RARE = 0.25


def flat(grid: Grid) -> list[Fault]:
    """Stretches of one value, longer than chance and rounding explain."""
    value = np.where(grid.fine, grid.value, np.nan)
    change = np.abs(np.diff(value))
    same = change == 0
    steps = change[change > 0]
    if not len(steps):
        return [_fault(grid, first=each.start, last=each.stop + 1) for each in runs(same) if _long(grid, each, ALWAYS)]
    quantum = float(np.quantile(steps, 0.01))
    least = _least(same, grid=grid)
    shape = _shape(grid)
    found = []
    for each in runs(same):
        if each.stop - each.start + 1 < least:
            continue
        usual = shape[grid.slot[each.start : each.stop + 1]]
        moves = float(np.nanmax(usual) - np.nanmin(usual)) * abs(float(value[each.start]))
        if moves > QUANTA * quantum or _long(grid, each, ALWAYS):
            found.append(_fault(grid, first=each.start, last=each.stop + 1))
    return found


def repeated(grid: Grid) -> list[Fault]:
    """Days that repeat one of the seven before, value for value."""
    table = grid.table(np.where(grid.fine, grid.value, np.nan))
    varied = np.array([len(np.unique(day[np.isfinite(day)])) > grid.slots // 4 for day in table])
    source = np.zeros(len(table), np.intp)
    for lag in range(1, min(8, len(table))):
        both = np.isfinite(table[lag:]) & np.isfinite(table[:-lag])
        equal = (table[lag:] == table[:-lag]).sum(axis=1) / np.maximum(both.sum(axis=1), 1)
        copy = (equal >= _SAME) & (both.sum(axis=1) >= 0.75 * grid.slots) & varied[lag:]
        source[lag:] = np.where(copy & (source[lag:] == 0), lag, source[lag:])
    copies = np.flatnonzero(source)
    if len(copies) > max(1, _RARE * len(table)):  # such is the series
        return []
    return [
        Fault(
            Verdict.IMPLAUSIBLE,
            np.flatnonzero((grid.day == number) & grid.present),
            f"implausible: the same values as on {grid.days[number - source[number]]}",
        )
        for number in copies
    ]


def _shape(grid: Grid) -> Floats:
    """The zone's profile over the day [S], relative to its level."""
    table = grid.table(np.where(grid.present & (grid.value > 0), grid.value, np.nan))
    relative = table / median(table)[:, None]
    return median(relative.T)


def _least(same: np.ndarray[tuple[int], np.dtype[np.bool_]], *, grid: Grid) -> int:
    """How many equal values in a row are no chance, given how often two are equal outside long stretches."""
    longest = LONGEST * grid.per_hour
    short = same.copy()
    for each in runs(same):
        if each.stop - each.start + 1 >= longest:
            short[each] = False
    share = min(max(float(short.mean()), 1e-6), 1 - 1e-6)
    by_chance = 1 + math.ceil(math.log(_CHANCE / len(same)) / math.log(share))
    return int(np.clip(by_chance, max(3, SHORTEST * grid.per_hour), longest))


def _long(grid: Grid, stretch: slice, hours: int) -> bool:
    return bool(grid.hours(stretch.stop - stretch.start + 1) >= hours)


def _fault(grid: Grid, *, first: int, last: int) -> Fault:
    hours = grid.hours(last - first)
    return Fault(
        Verdict.FLAT, np.arange(first, last), f"flat: the same {grid.value[first]:,.0f} for {hours:g} hours in a row"
    )
