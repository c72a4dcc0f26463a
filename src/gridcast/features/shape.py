"""The shape within a coarse interval: how a quarter-hour compares with its hour, by time of day."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl

from gridcast.contracts import LOAD, Floats
from gridcast.market.days import Times, local_wall
from gridcast.market.zones import BiddingZone

PERIOD = timedelta(days=56)
"""How far back the shape is learned."""


def within_hour(
    observations: pl.DataFrame, *, zone: BiddingZone, at: datetime, coarse: np.timedelta64, fine: np.timedelta64
) -> Floats:
    """Ratio of each fine interval of the local day to the mean of its coarse one, [intervals of a day].

    Learned from the fine load public at ``at`` in the eight weeks before; 1 for intervals without any. The ratios
    within a coarse interval average to 1, so its mean stays what was forecast.
    """
    zones = [zone.code, *zone.members]
    load = observations.filter(
        (pl.col("variable") == LOAD)
        & pl.col("zone").is_in(zones)
        & (pl.col("published_at") <= at)
        & (pl.col("valid_time") > at - PERIOD)
        & (pl.col("resolution") == timedelta(microseconds=int(fine / np.timedelta64(1, "us"))))
    )
    latest = load.sort("published_at").group_by("zone", "valid_time").agg(pl.col("value").last())
    total = latest.group_by("valid_time").agg(pl.col("value").sum())
    wall = local_wall(total["valid_time"].dt.replace_time_zone(None).to_numpy(), zone.local_tz)
    slots, parts = int(np.timedelta64(24, "h") / fine), int(coarse / fine)
    slot = ((wall - wall.astype("datetime64[D]")) // fine).astype(np.intp)
    weight = np.bincount(slot, minlength=slots)
    mean = np.bincount(slot, weights=total["value"].to_numpy(), minlength=slots) / np.maximum(weight, 1)
    table = mean.reshape(-1, parts)
    complete = (weight.reshape(-1, parts) > 0).all(axis=1, keepdims=True) & (table > 0).all(axis=1, keepdims=True)
    return np.where(complete, table / table.mean(axis=1, keepdims=True), 1.0).reshape(-1)


def refined(valid_time: Times, fan: Floats, *, shape: Floats, zone: BiddingZone) -> tuple[Times, Floats]:
    """Fine interval starts [N * parts] and quantiles [N * parts, Q] from coarse ones."""
    step = np.timedelta64(int(86_400_000_000 / len(shape)), "us")
    coarse = np.diff(valid_time).min() if len(valid_time) > 1 else step
    parts = int(coarse / step)
    times = (valid_time[:, None] + np.arange(parts) * step).reshape(-1)
    wall = local_wall(times, zone.local_tz)
    slot = ((wall - wall.astype("datetime64[D]")) // step).astype(np.intp)
    return times, np.repeat(fan, parts, axis=0) * shape[slot][:, None]
