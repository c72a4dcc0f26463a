"""What a zone usually draws: profile and level of each kind of day, from the days around, robust against faults."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gridcast.contracts import Floats
from gridcast.quality.grid import SATURDAY, SPECIAL, SUNDAY, WORKING, Grid, Places

MAD = 1.4826
"""Standard deviation of normal noise, in median absolute deviations."""

REACH = 60
"""Days further away than this say nothing about a day."""

BORNE_OUT = 0.6
"""Share of a deviation from its own kind of day that the other kinds must show too."""

_NEIGHBOURS = {WORKING: 10, SATURDAY: 6, SUNDAY: 6}


def median(values: Floats, *, least: int = 1) -> Floats:
    """Median along the last axis without the NaN; NaN where fewer than ``least`` are left.

    >>> median(np.array([[1.0, np.nan, 4.0, 2.0], [np.nan, np.nan, np.nan, 3.0]]), least=2).tolist()
    [2.0, nan]
    """
    if not values.shape[-1]:
        return np.full(values.shape[:-1], np.nan)
    ordered = np.sort(values, axis=-1)
    count = np.count_nonzero(~np.isnan(ordered), axis=-1)[..., None]
    low = np.take_along_axis(ordered, np.maximum((count - 1) // 2, 0), -1)[..., 0]
    high = np.take_along_axis(ordered, np.minimum(count // 2, values.shape[-1] - 1), -1)[..., 0]
    return np.where(count[..., 0] >= least, (low + high) / 2, np.nan)


def rolling(values: Floats, *, width: int) -> Floats:
    """Median of the ``width`` values [N] around each, of the nearest ones at the ends; NaN is left out."""
    if len(values) <= width:
        return np.full(len(values), median(values))
    windows = median(sliding_window_view(values, width))
    return np.asarray(windows[np.clip(np.arange(len(values)) - width // 2, 0, len(windows) - 1)], np.float64)


@dataclass(frozen=True)
class Usual:
    """Usual day of one kind near each day: ``profile`` [D, S] relative to the day's level, and ``level`` [D].

    Both in logarithms, NaN where too few such days are near. The day itself is left out.
    """

    profile: Floats
    level: Floats


def usual(table: Floats, grid: Grid) -> tuple[Usual, ...]:
    """The usual working day, Saturday and Sunday around each day, from a table [D, S] of log load."""
    level = median(table, least=max(1, grid.slots // 4))
    shape = table - level[:, None]
    number = np.arange(len(table))
    found = []
    for kind, width in _NEIGHBOURS.items():
        members = np.flatnonzero((grid.kind == kind) & np.isfinite(level))
        size = min(width + 1, len(members))
        start = np.clip(np.searchsorted(members, number) - width // 2, 0, len(members) - size)
        near = members[start[:, None] + np.arange(size)] if size else np.zeros((len(table), 0), np.intp)
        far = (near == number[:, None]) | (np.abs(near - number[:, None]) > REACH)
        shapes, levels = shape[near], level[near]
        shapes[far], levels[far] = np.nan, np.nan
        found.append(Usual(median(np.swapaxes(shapes, 1, 2), least=2), median(levels, least=2)))
    return tuple(found)


def own(choices: Floats, kind: Places) -> Floats:
    """Of values by kind [3, N] each one's own [N]; special days count as working days."""
    mine = np.where(kind <= SUNDAY, kind, WORKING)
    return np.asarray(np.take_along_axis(choices, mine[None], 0)[0], np.float64)


def standing_out(choices: Floats, kind: Places) -> Floats:
    """How far [N] something is above its own kind of day, but no further than the other kinds bear out.

    A holiday that no calendar knows differs from its own kind and from no other, so it differs little here. Values by
    kind [3, N] may be NaN; a special day counts as the kind that it resembles most. 0 where it is not above them all.
    """
    least = np.where(np.isnan(choices), np.inf, choices).min(axis=0)
    mine = np.where(kind == SPECIAL, least, own(choices, kind))
    mine = np.where(np.isnan(mine), least, mine)
    return np.maximum(np.where(np.isfinite(least), np.minimum(mine, least / BORNE_OUT), 0.0), 0.0)
