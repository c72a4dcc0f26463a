"""Delivery days, gate closure, issue times and local clocks: pure calendar, no data.

Instants are UTC: ``datetime`` objects carry ``timezone.utc``; NumPy arrays are ``datetime64[us]`` and mean UTC.
An interval is named by its START.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gridcast.market.zones import BiddingZone

Times = NDArray[np.datetime64]

HOUR = np.timedelta64(3_600_000_000, "us")
DAY = 24 * HOUR
_QUARTER = HOUR // 4


class Task(StrEnum):
    """What is forecast: the next delivery day, or the 24 hours after any issue time."""

    DAY_AHEAD = "day_ahead"
    NEXT_24H = "next_24h"


def instant(when: datetime) -> np.datetime64:
    """The UTC instant of an aware ``datetime`` as ``datetime64[us]``."""
    return np.datetime64(when.astimezone(UTC).replace(tzinfo=None), "us")


def at_wall_clock(day: date, clock: time, *, tz: str) -> datetime:
    """The UTC instant at which the clocks of ``tz`` show ``clock`` on ``day`` (the first one where it comes twice).

    >>> at_wall_clock(date(2026, 7, 1), time(11), tz="Europe/Copenhagen").isoformat()
    '2026-07-01T09:00:00+00:00'
    """
    return datetime.combine(day, clock, ZoneInfo(tz)).astimezone(UTC)


def delivery_window(zone: BiddingZone, day: date) -> tuple[datetime, datetime]:
    """Start and end (exclusive) of delivery day ``day`` in UTC: 23, 24 or 25 hours apart.

    Source: NEMO Committee, SDAC products methodology: 00:00-24:00 CET/CEST for every coupled zone.
    """
    return at_wall_clock(day, time(0), tz=zone.market_tz), at_wall_clock(
        day + timedelta(days=1), time(0), tz=zone.market_tz
    )


def gate_closure(zone: BiddingZone, day: date) -> datetime | None:
    """When bids for delivery day ``day`` close (UTC), or None where the zone has no gate."""
    if zone.gate_closure is None:
        return None
    return at_wall_clock(day - timedelta(days=1), zone.gate_closure, tz=zone.market_tz)


def issue_time(zone: BiddingZone, day: date) -> datetime:
    """When the forecast of delivery day ``day`` is issued by default (UTC)."""
    return at_wall_clock(day - timedelta(days=1), zone.issue_time, tz=zone.market_tz)


@dataclass(frozen=True)
class Origins:
    """Issue times and the windows to forecast at each of them.

    ``issue_time``, ``start`` and ``end`` (exclusive) are ``datetime64[us]`` UTC of shape [O], sorted.
    """

    zone: BiddingZone
    task: Task
    issue_time: Times
    start: Times
    end: Times

    def __len__(self) -> int:
        return len(self.issue_time)

    def rows(self, resolution: np.timedelta64) -> tuple[NDArray[np.intp], Times]:
        """Every (origin, interval) pair: the origin's number [N] and the interval's start [N]."""
        counts = ((self.end - self.start) // resolution).astype(np.intp)
        origin = np.repeat(np.arange(len(self)), counts)
        step = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return origin, self.start[origin] + step * resolution

    def take(self, keep: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Origins:
        """Some of the origins, by mask, number or slice."""
        return Origins(self.zone, self.task, self.issue_time[keep], self.start[keep], self.end[keep])


def origins(zone: BiddingZone, *, first: date, last: date, task: Task = Task.DAY_AHEAD) -> Origins:
    """The origins that forecast the delivery days from ``first`` to ``last`` (exclusive).

    ``day_ahead`` has one a day, at the zone's issue time. ``next_24h`` has four a day, at 00, 06, 12 and 18 local time;
    its window is the 24 hours that start after the issue time, and only windows inside the period count.
    """
    days = [first + timedelta(days=n) for n in range((last - first).days)]
    if task is Task.DAY_AHEAD:
        issues = [issue_time(zone, day) for day in days]
        windows = [delivery_window(zone, day) for day in days]
    else:
        # An issue of the day before may open the period.
        opening, closing = delivery_window(zone, first)[0], delivery_window(zone, last)[0]
        issue_days = [first - timedelta(days=1), *days]
        clocks = [at_wall_clock(day, time(hour), tz=zone.local_tz) for day in issue_days for hour in (0, 6, 12, 18)]
        pairs = [(at, next_24h_window(at)) for at in clocks]
        pairs = [(at, (start, end)) for at, (start, end) in pairs if opening <= start and end <= closing]
        issues, windows = [at for at, _ in pairs], [window for _, window in pairs]
    return Origins(
        zone,
        task,
        np.array([instant(at) for at in issues], "datetime64[us]"),
        np.array([instant(start) for start, _ in windows], "datetime64[us]"),
        np.array([instant(end) for _, end in windows], "datetime64[us]"),
    )


def next_24h_window(issued: datetime) -> tuple[datetime, datetime]:
    """The 24 whole hours that start after ``issued``.

    >>> next_24h_window(datetime(2026, 1, 1, 6, 30, tzinfo=UTC))[0].hour
    7
    """
    start = issued.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    return start, start + timedelta(hours=24)


def local_wall(times: Times, tz: str) -> Times:
    """What the clocks of ``tz`` show at ``times`` (UTC): naive local ``datetime64[us]``, any shape."""
    flat = pl.Series(times.reshape(-1), dtype=pl.Datetime("us")).dt.replace_time_zone("UTC")
    return flat.dt.convert_time_zone(tz).dt.replace_time_zone(None).to_numpy().reshape(times.shape)


def from_local_wall(wall: Times, tz: str) -> Times:
    """The UTC instants at which the clocks of ``tz`` show ``wall``.

    A clock time that comes twice means its first coming; one that is skipped in spring means the instant one hour later
    on the clock.
    """
    series = pl.Series(wall.reshape(-1), dtype=pl.Datetime("us"))
    known = series.dt.replace_time_zone(tz, ambiguous="earliest", non_existent="null")
    if known.null_count() > series.null_count():
        later = (series + timedelta(hours=1)).dt.replace_time_zone(tz, ambiguous="earliest", non_existent="null")
        known = known.fill_null(later)
    return known.dt.convert_time_zone("UTC").dt.replace_time_zone(None).to_numpy().reshape(wall.shape)


def local_day(times: Times, tz: str) -> Times:
    """The local calendar day of each instant, ``datetime64[D]``."""
    return local_wall(times, tz).astype("datetime64[D]")


def weekday(days: Times) -> NDArray[np.int64]:
    """The weekday of each calendar day or instant, Monday is 0, any shape.

    >>> weekday(np.array(["2026-03-30", "2026-04-05"], "datetime64[D]"))
    array([0, 6])
    """
    return np.asarray((days.astype("datetime64[D]").astype(np.int64) + 3) % 7, np.int64)  # 1970-01-01 was a Thursday


def lagged(times: Times, days: int | NDArray[np.int64], *, tz: str) -> Times:
    """The same LOCAL clock time ``days`` days before ``times`` (UTC), as UTC instants; shapes broadcast.

    >>> monday = np.array(["2026-03-30T10:00"], "datetime64[us]")   # 12:00 CEST, the day after the clocks went forward
    >>> str(lagged(monday, 2, tz="Europe/Copenhagen")[0])              # 12:00 CET
    '2026-03-28T11:00:00.000000'
    """
    wall = local_wall(times, tz) - days * DAY
    if not wall.size:
        return wall
    # Many lags of many intervals are the same few clock times, and clocks are changed at whole quarters.
    first = wall.min().astype("datetime64[D]")
    number, rest = np.divmod(wall - first, _QUARTER)
    quarters = first + np.arange(number.max() + 1) * _QUARTER
    return np.asarray(from_local_wall(quarters, tz)[number] + rest)


def chain(asked: Origins, *, days: int) -> tuple[Origins, NDArray[np.bool_]]:
    """``asked`` with the regular origins between and in the ``days`` before: origins [O], and which were asked [O]."""
    zone = asked.zone
    first, last = local_day(asked.start[[0, -1]], zone.market_tz).astype(object)
    regular = origins(zone, first=first - timedelta(days=days), last=last + timedelta(days=2), task=asked.task)
    regular = regular.take((regular.issue_time < asked.issue_time[-1]) & ~np.isin(regular.start, asked.start))
    merged = [np.concatenate([getattr(regular, name), getattr(asked, name)]) for name in ("issue_time", "start", "end")]
    order = np.argsort(merged[0], kind="stable")
    return Origins(zone, asked.task, *(values[order] for values in merged)), order >= len(regular)
