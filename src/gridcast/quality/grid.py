"""A series on a regular grid of whole local days, and the days laid under one another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gridcast.contracts import Floats
from gridcast.market.days import Times, local_wall
from gridcast.market.daytypes import Days, day_types
from gridcast.market.zones import BiddingZone

Places = NDArray[np.intp]
Flags = NDArray[np.bool_]

WORKING, SATURDAY, SUNDAY, SPECIAL = range(4)
"""Kinds of day: holidays count as Sundays; bridge and half holidays are special and resemble no other."""

DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Grid:
    """Every interval of some local days.

    ``time`` [T] are interval starts (UTC), ``value`` [T] the values, ``present`` [T] whether there is one (a value may
    be NaN and present), ``fine`` [T] whether it came at the grid's own resolution. ``day`` [T] numbers into ``days``
    [D]; ``slot`` [T] is the interval of the local day on the clock, so that the hour that comes twice in autumn has
    one slot. ``kind`` [D] is one of `WORKING`, `SATURDAY`, `SUNDAY`, `SPECIAL`.
    """

    zone: BiddingZone
    step: np.timedelta64
    time: Times
    value: Floats
    present: Flags
    fine: Flags
    day: Places
    slot: Places
    days: Days
    kind: Places

    @property
    def slots(self) -> int:
        """Intervals of a 24-hour day."""
        return int(DAY / self.step)

    @property
    def per_hour(self) -> int:
        """Intervals of an hour."""
        return max(1, int(np.timedelta64(1, "h") / self.step))

    def table(self, values: Floats) -> Floats:
        """Values [T] laid out by day and slot [D, S]; NaN where the clocks skip an hour."""
        found = np.full((len(self.days), self.slots), np.nan)
        found[self.day, self.slot] = values
        return found

    def at(self, table: Floats) -> Floats:
        """A table [D, S] read at every interval [T]."""
        return np.asarray(table[self.day, self.slot], np.float64)

    def hours(self, count: int) -> float:
        """How long ``count`` intervals are."""
        return count / self.per_hour


def grid(rows: pl.DataFrame, *, zone: BiddingZone, step: np.timedelta64, first: date, last: date) -> Grid:
    """The local days from ``first`` to ``last`` (exclusive) at resolution ``step``.

    Finer rows are averaged where all of an interval is there; coarser rows stand for each of their parts.

    Args:
        rows: ``valid_time``, ``resolution``, ``value``, one row an interval.
        zone: whose clock.
        step: resolution of the grid.
        first: first local day.
        last: the day after the last.
    """
    begin, end = np.datetime64(first, "us") - DAY, np.datetime64(last, "us") + DAY
    phase = begin.astype(np.int64) % int(step.astype("timedelta64[us]").astype(np.int64))
    time = np.arange(begin - np.timedelta64(int(phase), "us"), end, step.astype("timedelta64[us]"))
    wall = local_wall(time, zone.local_tz)
    day = wall.astype("datetime64[D]")
    inside = (day >= np.datetime64(first)) & (day < np.datetime64(last))
    time, wall, day = time[inside], wall[inside], day[inside]
    days = np.arange(np.datetime64(first), np.datetime64(last))
    value, present, fine = _filled(rows, time=time, step=step.astype("timedelta64[us]"))
    return Grid(
        zone=zone,
        step=step,
        time=time,
        value=value,
        present=present,
        fine=fine,
        day=(day - days[0]).astype(np.intp),
        slot=((wall - day) // step).astype(np.intp),
        days=days,
        kind=_kinds(zone, days),
    )


def _filled(rows: pl.DataFrame, *, time: Times, step: np.timedelta64) -> tuple[Floats, Flags, Flags]:
    value, share = np.zeros(len(time)), np.zeros(len(time))
    fine = np.zeros(len(time), np.bool_)
    exact = np.full(len(time), np.nan)
    for (resolution,), part in rows.group_by("resolution"):
        width = np.timedelta64(resolution)
        start = part["valid_time"].dt.replace_time_zone(None).to_numpy()
        values = part["value"].to_numpy()
        place = ((start - time[0]) // step).astype(np.intp)
        if width == step:
            inside = (place >= 0) & (place < len(time))
            fine[place[inside]] = True
            exact[place[inside]] = values[inside]
            continue
        parts = max(1, int(width / step))
        for offset in range(parts):
            inside = (place + offset >= 0) & (place + offset < len(time))
            np.add.at(value, place[inside] + offset, values[inside] * min(1.0, width / step))
            np.add.at(share, place[inside] + offset, min(1.0, width / step))
    other = (share > 1 - 1e-9) & (share < 1 + 1e-9)
    return np.where(fine, exact, np.where(other, value, np.nan)), fine | other, fine


def _kinds(zone: BiddingZone, days: Days) -> Places:
    types = day_types(zone, days)
    weekday = types["weekday"].to_numpy()
    kind = np.where(weekday == 6, SUNDAY, np.where(weekday == 5, SATURDAY, WORKING))
    kind = np.where(types["holiday"].is_not_null().to_numpy(), SUNDAY, kind)
    special = (types["bridge"] | types["special"].is_not_null()).to_numpy()
    return np.where(special & (kind == WORKING), SPECIAL, kind).astype(np.intp)
