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
BESIDE = 0.85
"""A day next to one that is off is off alike where the same shift leaves less than this share of its misfit."""
MISFIT, LEFT = 2.0, 1.5
"""Misfit that calls for an explanation, and misfit that a right one may leave, in units of a usual day's."""

OVERLAP, ALONE_FOR = timedelta(hours=12), timedelta(hours=60)
"""An answer can be called moved where so much of it was known before, or where it is so long itself."""
REMAINING, CONTRADICTION = 0.3, 0.01
"""Share of a contradiction that a move may leave, and the least mean contradiction, relative to the load."""
UNLIKE, UNLIKE_WEEK = 0.7, 0.78
"""Share of the distance to the weeks before that a move may leave: of some days, and of a week or more.

Sound answers of 3 to 14 days of eight zones' real load kept 0.73 of it and more, of a week or more 0.81.
"""
WEEKS = 8


def moved(rows: pl.DataFrame, known: pl.DataFrame, *, tz: str) -> int:
    """By how many hours all of an answer is late; 0 where it is not.

    An answer that is off as a whole agrees with itself. But it contradicts nearly every value of its intervals that was
    fetched before, and an hour earlier or later it contradicts none. Where none was fetched before, it is unlike the
    same clock hours of the weeks before, and an hour earlier or later it is much less so.

    Args:
        rows: Observations of one variable and source.
        known: earlier Observations of the variable, those of the weeks before among them; of several vintages the
            later one counts.
        tz: the clock that people live by.
    """
    before = known.sort("published_at").unique(["valid_time", "resolution", "source"], keep="last")
    off = {hours: _contradiction(rows, before, hours=hours) for hours in (0, *SHIFTS)}
    share = REMAINING
    if off[0] is None:
        off = {hours: _unlike(rows, before, tz=tz, hours=hours) for hours in (0, *SHIFTS)}
        share = UNLIKE_WEEK if _span(rows) >= timedelta(days=7) else UNLIKE
    there = {hours: size for hours, size in off.items() if size is not None}
    if there.get(0, 0.0) < CONTRADICTION:
        return 0
    best = min(there, key=there.__getitem__)
    return best if there[best] < share * there[0] else 0


def _contradiction(rows: pl.DataFrame, before: pl.DataFrame, *, hours: int) -> float | None:
    """Mean relative difference to what was known of the same intervals, the rows moved back by ``hours``."""
    back = rows.with_columns(valid_time=pl.col("valid_time") - timedelta(hours=hours))
    pairs = back.join(before, on=["valid_time", "resolution", "source"], suffix="_known")
    if _span(pairs) < OVERLAP:
        return None
    known = pl.col("value_known")
    return float(pairs.select((pl.col("value") - known).abs().mean() / known.abs().mean()).item())


def _unlike(rows: pl.DataFrame, before: pl.DataFrame, *, tz: str, hours: int) -> float | None:
    """Mean distance to the median of the weeks before by the clock on the wall, in logarithms, levels of days aside."""
    wall = pl.col("valid_time").dt.convert_time_zone(tz).dt.replace_time_zone(None)
    size = pl.when(pl.col("value") > 0).then(pl.col("value").log())
    mine = rows.select("resolution", day=wall.dt.date(), wall=wall - timedelta(hours=hours), size=size)
    theirs = before.filter(pl.col("valid_time") < rows["valid_time"].min()).select("resolution", wall=wall, usual=size)
    weeks = [theirs.with_columns(pl.col("wall") + timedelta(weeks=number)) for number in range(1, WEEKS + 1)]
    pairs = mine.join(
        pl.concat(weeks).group_by("wall", "resolution").agg(pl.col("usual").median()), on=["wall", "resolution"]
    )
    if _span(pairs) < ALONE_FOR:
        return None
    rest = pl.col("size") - pl.col("usual")
    found = pairs.select((rest - rest.median().over("day")).abs().mean()).item()
    return None if found is None else float(found)


def _span(rows: pl.DataFrame) -> timedelta:
    return sum(rows["resolution"], timedelta())


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
    best = np.argmin(np.where(off, moved, np.inf), axis=0)
    late = np.where(off.any(axis=0), np.array(SHIFTS)[best], 0)
    alike = moved < BESIDE * plain
    for days in (range(1, len(late)), range(len(late) - 2, -1, -1)):
        for day in days:
            beside = int(late[day - days.step])
            if not late[day] and beside and alike[SHIFTS.index(beside), day]:
                late[day] = beside
    return [
        Fault(
            Verdict.SHIFTED_CLOCK,
            np.flatnonzero((grid.day == number) & grid.present),
            f"shifted clock: fits the days around when moved by {-late[number]:+d} h",
        )
        for number in np.flatnonzero(late)
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
