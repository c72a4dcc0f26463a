"""Rows that speak of the same time: settled where they agree, an error where they do not."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from gridcast.sources.entsoe.markup import bad

COARSE = (timedelta(minutes=60), timedelta(minutes=30))
TOLERANCE_MW = 1.0
"""How far a coarse value may lie from the mean of the finer ones: both may be rounded to whole MW."""


def settled(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """``rows`` (``valid_time``, ``resolution``, ``value`` [MW], and more) sorted and free of overlaps, and notes.

    Of equal rows the first stays; of an hour and its quarters, which agree, the quarters.

    Raises:
        BadAnswer: rows of the same interval differ, or intervals of two resolutions overlap and do not agree.
    """
    rows = rows.sort("valid_time", "resolution", maintain_order=True)
    end = pl.col("valid_time") + pl.col("resolution")
    if rows.filter(end > pl.col("valid_time").shift(-1)).is_empty():
        return rows, []
    notes = []
    key = ["valid_time", "resolution"]
    differ = rows.filter(pl.col("value").n_unique().over(key) > 1)
    if differ.height:
        _conflict(differ, f"{differ['value'][0]:g} and {differ['value'][1]:g} MW for the same interval")
    once = rows.unique(key, keep="first", maintain_order=True)
    if once.height < rows.height:
        notes.append(f"{rows.height - once.height} intervals came again with the same value.")
    for coarse in COARSE:
        is_coarse = pl.col("resolution") == coarse
        fine = once.filter(pl.col("resolution") < coarse).group_by(valid_time=pl.col("valid_time").dt.truncate(coarse))
        weight = pl.col("resolution").dt.total_minutes()
        means = fine.agg(mean=(pl.col("value") * weight).sum() / weight.sum(), covered=pl.col("resolution").sum())
        both = once.filter(is_coarse).join(means, on="valid_time").sort("valid_time")
        apart = both.filter((pl.col("covered") != coarse) | ((pl.col("mean") - pl.col("value")).abs() > TOLERANCE_MW))
        if apart.height:
            first = apart.row(0, named=True)
            finer = f"average {first['mean']:g} MW" if first["covered"] == coarse else "are a part of them"
            minutes = coarse // timedelta(minutes=1)
            _conflict(apart, f"{first['value']:g} MW for {minutes} minutes, and finer intervals that {finer}")
        if both.height:
            once = once.join(both.filter(is_coarse).select(key), on=key, how="anti", maintain_order="left")
            notes.append(f"{both.height} intervals came in a finer resolution too, which is kept.")
    return once, notes


def _conflict(rows: pl.DataFrame, detail: str) -> None:
    at = rows["valid_time"][0].strftime("%Y-%m-%dT%H:%MZ")
    raise bad("overlap", f"{detail}, in {rows.height} rows", place=f"at {at}", valid_time=rows["valid_time"][0])
