"""The shape within a coarse interval: how a quarter-hour compares with its hour, by time of day."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl

from gridcast.contracts import Floats, load_rows, public_rows
from gridcast.market.days import DAY, Times, instant, local_wall
from gridcast.market.zones import BiddingZone

PERIOD = timedelta(days=56)
"""How far back the shape is learned."""


def within_hour(
    observations: pl.DataFrame, *, zone: BiddingZone, at: datetime, coarse: np.timedelta64, fine: np.timedelta64
) -> Floats:
    """Ratio of each fine interval of the local day to the mean of its coarse one, [intervals of a day].

    Learned from the coarse intervals of the eight weeks before ``at`` whose fine load was all public by then, of every
    member where the zone has no load of its own; 1 where there is none. The ratios within a coarse interval average to
    1, so its mean stays what was forecast.
    """
    rows = load_rows(observations, zone)
    load = rows.filter(
        public_rows(rows, instant(at)),
        pl.col("valid_time") > at - PERIOD,
        pl.col("resolution") == _duration(fine),
    )
    own = load.filter(pl.col("zone") == zone.code)
    slots, parts = int(DAY / fine), int(coarse / fine)
    latest = (load if own.is_empty() else own).sort("published_at").group_by("zone", "valid_time").agg(pl.last("value"))
    needed = parts * (len(zone.members) if own.is_empty() else 1)
    interval = pl.col("valid_time").dt.truncate(_duration(coarse))
    whole = latest.filter((pl.len().over(interval) == needed) & (pl.col("value").min().over(interval) > 0))
    total = whole.group_by("valid_time").agg(pl.col("value").sum())
    wall = local_wall(total["valid_time"].dt.replace_time_zone(None).to_numpy(), zone.local_tz)
    slot = ((wall - wall.astype("datetime64[D]")) // fine).astype(np.intp)
    table = np.bincount(slot, weights=total["value"].to_numpy(), minlength=slots).reshape(-1, parts)
    known = table.sum(axis=1, keepdims=True) > 0
    return np.where(known, table / np.where(known, table.mean(axis=1, keepdims=True), 1.0), 1.0).reshape(-1)


def _duration(step: np.timedelta64) -> timedelta:
    return timedelta(microseconds=int(step / np.timedelta64(1, "us")))


def refined(valid_time: Times, fan: Floats, *, shape: Floats, zone: BiddingZone) -> tuple[Times, Floats]:
    """Fine interval starts [N * parts] and quantiles [N * parts, Q] from coarse ones."""
    step = np.timedelta64(int(86_400_000_000 / len(shape)), "us")
    coarse = np.diff(valid_time).min() if len(valid_time) > 1 else step
    parts = int(coarse / step)
    times = (valid_time[:, None] + np.arange(parts) * step).reshape(-1)
    wall = local_wall(times, zone.local_tz)
    slot = ((wall - wall.astype("datetime64[D]")) // step).astype(np.intp)
    return times, np.repeat(fan, parts, axis=0) * shape[slot][:, None]
