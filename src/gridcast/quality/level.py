"""Values that cannot be, and stretches at another level: a unit that changed, another zone's load."""

from __future__ import annotations

import math

import numpy as np

from gridcast.contracts import Floats
from gridcast.quality.grid import Flags, Grid
from gridcast.quality.usual import MAD, Usual, median, own, rolling, standing_out
from gridcast.quality.verdicts import Fault, Verdict, runs

WIDE = (math.log(2.5), math.log(3.3))
"""Beyond this ratio to the usual (the second where the zone is restless), a value is absurd."""
NOISE = 8.0
"""Standard deviations of the zone's own ups and downs that a restless zone may go."""
FACTORS = (1000.0, 1e6, 100.0, 10.0, 12.0, 4.0)
"""kW or GW for MW, tens for a digit, energy of 5 or 15 minutes for power."""
UNIT_HOURS = 6
"""A changed unit lasts at least so long."""
STEP = math.log(1.9)
"""A week's level over the week before: more is no weather."""
BLOCK = 0.25
"""A day this far from its usual level that also begins or ends with a jump is not this zone's."""

SHARP = 0.75
"""Share of the deviation that the jump must make up."""

MATCH = 0.3
"""How far from a factor's logarithm a level may be: weather and season go on."""

_MONTH = 29
_WEEK = 7


def impossible(grid: Grid) -> list[Fault]:
    """Values that are not finite or not positive."""
    faults = []
    for flags, words in (
        (grid.present & ~np.isfinite(grid.value), "not a finite number"),
        (grid.present & (grid.value == 0), "zero"),
        (grid.present & np.isfinite(grid.value) & (grid.value < 0), "negative"),
    ):
        for each in runs(flags):
            faults.append(Fault(Verdict.IMPLAUSIBLE, np.arange(each.start, each.stop), f"implausible: {words}"))
    return faults


def off_level(logs: Floats, *, grid: Grid) -> list[Fault]:
    """Stretches of log load [T] that are absurdly far from the zone's level, or at another unit's."""
    table = grid.table(logs)
    shape = median((table - median(table)[:, None]).T)
    relative = logs - np.where(np.isfinite(shape), shape, 0.0)[grid.slot]
    base, offset = _levels(median(grid.table(relative)), per_hour=grid.per_hour)
    away = relative - base[grid.day]
    inner = away - offset[grid.day]
    noise = MAD * float(median(np.abs(inner)))
    wide = min(max(WIDE[0], NOISE * noise), WIDE[1])
    whole = np.abs(offset[grid.day])
    wild = np.where(whole > 0, np.abs(away) > whole / 2, np.abs(away) > wide)
    known = np.flatnonzero(np.isfinite(away))
    faults = []
    for sign in (1, -1):
        for each in runs(wild[known] & (np.sign(away[known]) == sign)):
            at = known[each]
            faults.append(_named(float(median(away[at])), at=at, grid=grid))
    return faults


def _named(away: float, *, at: np.ndarray[tuple[int], np.dtype[np.intp]], grid: Grid) -> Fault:
    ratio = math.exp(away)
    words = f"{ratio:,.0f} times" if ratio > 9.5 else f"{ratio:.2g} times"
    if grid.hours(len(at)) >= UNIT_HOURS and _unit(away, grid.per_hour):
        return Fault(Verdict.UNIT_CHANGE, at, f"unit change: about {words} the usual load")
    return Fault(Verdict.IMPLAUSIBLE, at, f"implausible: {words} the usual load")


def _unit(away: float, per_hour: int) -> float:
    """The logarithm of the unit's factor that a distance in log load resembles; 0 where there is none."""
    factors = np.log([*FACTORS, 2.0] if per_hour == 2 else FACTORS)
    nearest = float(factors[np.argmin(np.abs(factors - abs(away)))])
    return math.copysign(nearest, away) if abs(nearest - abs(away)) <= MATCH else 0.0


def _levels(daily: Floats, *, per_hour: int) -> tuple[Floats, Floats]:
    """Slow level of each day [D], and what a change of unit adds to it [D] (0 at the level of most days)."""
    known = np.flatnonzero(np.isfinite(daily))
    if not len(known):
        return np.zeros(len(daily)), np.zeros(len(daily))
    level = daily[known]
    offset = _offsets(level, per_hour)
    slow = rolling(level - offset, width=_MONTH)
    place = np.clip(np.searchsorted(known, np.arange(len(daily)), side="right") - 1, 0, len(known) - 1)
    return slow[place], offset[place]


def _offsets(level: Floats, per_hour: int) -> Floats:
    """Changes of unit that stay for days, as steps [N] relative to the unit that most days have.

    A step of another size is the zone's own: the slow level follows it.
    """
    padded = np.concatenate([np.full(_WEEK, np.nan), level, np.full(_WEEK, np.nan)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WEEK)
    number = np.arange(len(level))
    step = median(windows[number + _WEEK]) - median(windows[number])
    single = np.diff(level, prepend=level[:1])
    offset = np.zeros(len(level))
    for sign in (1, -1):
        for each in runs(sign * step > STEP):
            offset[each.start + int(np.argmax(sign * single[each])) :] += _unit(
                sign * float(np.max(sign * step[each])), per_hour
            )
    units, counts = np.unique(np.round(offset, 6), return_counts=True)
    return np.asarray(np.round(offset - units[np.argmax(counts)], 6), np.float64)


def foreign(logs: Floats, *, grid: Grid, kinds: tuple[Usual, ...]) -> list[Fault]:
    """Days of log load [T] well off their usual level that begin or end with a jump: as another zone's would."""
    table = grid.table(logs)
    away = np.stack([median(table - kind.profile - kind.level[:, None]) for kind in kinds])
    jump = np.stack([_jumps(logs - grid.at(kind.profile), grid=grid) for kind in kinds])
    typical = MAD * float(median(np.abs(own(away, grid.kind)), least=_WEEK))
    limit = max(BLOCK, NOISE * typical / 2) if math.isfinite(typical) else math.inf
    faults = []
    for sign in (1, -1):
        far = standing_out(sign * away, grid.kind)
        begins = standing_out(sign * jump, grid.kind)
        ends = standing_out(-sign * np.roll(jump, -1, axis=1), grid.kind)
        edges = np.maximum(begins, ends)
        for each in runs(far > limit):
            if edges[each].max() < SHARP * far[each].max():
                continue
            at = np.flatnonzero((grid.day >= each.start) & (grid.day < each.stop) & np.isfinite(logs))
            percent = 100 * math.expm1(sign * float(median(far[each])))
            side = "above" if percent > 0 else "below"
            words = f"implausible: {abs(percent):.0f} % {side} its usual level, with a jump at midnight"
            faults.append(Fault(Verdict.IMPLAUSIBLE, at, words))
    return faults


def _jumps(excess: Floats, *, grid: Grid) -> Floats:
    """How much [D] the first hour of each day lies above the last of the day before."""
    table = grid.table(excess)
    width = grid.per_hour
    first, last = median(table[:, :width]), median(table[:, -width:])
    return np.append(0.0, first[1:] - last[:-1])


def cleaned(logs: Floats, *, faults: list[Fault]) -> Floats:
    """Log load [T] without what is faulty."""
    flags: Flags = np.zeros(len(logs), np.bool_)
    for fault in faults:
        flags[fault.at] = True
    return np.where(flags, np.nan, logs)
