"""What a peer is handed: the load file and the origins of a task as plain files, by gridcast's own rules."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from arena import tasks
from arena.tasks import BenchTask
from gridcast.contracts import LOAD, OBSERVED, QUANTILES, TSO_FORECAST
from gridcast.market.days import Task, local_day, origins
from gridcast.sources import tabular

OUTPUT = "forecast.parquet"


def observations(task: BenchTask, *, data: Path) -> pl.DataFrame:
    """The Observations of the task's file."""
    path = tasks.load_file(task, data=data)
    return tabular.read(path, zone=task.bidding_zone, fetched_at=datetime(2100, 1, 1, tzinfo=UTC))


def history(rows: pl.DataFrame, *, inputs: tuple[str, ...]) -> pl.DataFrame:
    """Observations as a regular table: ``valid_time`` (UTC), ``load``, and the weather and forecast allowed."""
    allowed = pl.col("variable") == LOAD
    if "weather" in inputs:
        allowed |= pl.col("variable").str.ends_with(OBSERVED)
    if "tso" in inputs:
        allowed |= pl.col("variable") == TSO_FORECAST
    step = rows["resolution"].unique().item()
    wide = rows.filter(allowed).pivot(on="variable", index="valid_time", values="value")
    grid = pl.datetime_range(wide["valid_time"].min(), wide["valid_time"].max(), step, eager=True).alias("valid_time")
    names = {name: name.removesuffix(OBSERVED) for name in wide.columns}
    return grid.to_frame().join(wide, on="valid_time", how="left").sort("valid_time").rename(names)


def origin_table(task: BenchTask, rows: pl.DataFrame) -> pl.DataFrame:
    """The task's origins: times, the newest load that was public, and whether a refit is due. All UTC."""
    zone = task.bidding_zone
    asked = origins(zone, first=task.first, last=task.last, task=Task(task.task))
    load = rows.filter(pl.col("variable") == LOAD).sort("published_at")
    newest = load["valid_time"].dt.replace_time_zone(None).cum_max().to_numpy()
    published = load["published_at"].dt.replace_time_zone(None).to_numpy()
    month = local_day(asked.start, zone.market_tz).astype("datetime64[M]")
    table = pl.DataFrame(
        {
            "issue_time": asked.issue_time,
            "start": asked.start,
            "end": asked.end,
            "known_until": newest[np.searchsorted(published, asked.issue_time, side="right") - 1],
        }
    ).with_columns(pl.all().dt.replace_time_zone("UTC"))
    return table.with_columns(refit=pl.Series(np.r_[True, month[1:] != month[:-1]]))


def write(task: BenchTask, folder: Path, *, data: Path, inputs: tuple[str, ...]) -> None:
    """Leave a case in the folder, as ``peers/case.py`` reads it."""
    rows, zone = observations(task, data=data), task.bidding_zone
    places = zone.weather_points
    total = sum(place.weight for place in places)
    stated = {
        "zone": zone.code,
        "country": zone.country,
        "subdivision": zone.subdivision,
        "local_tz": zone.local_tz,
        "latitude": sum(place.latitude * place.weight for place in places) / total,
        "longitude": sum(place.longitude * place.weight for place in places) / total,
        "resolution_minutes": rows["resolution"].unique().item().total_seconds() / 60,
        "quantiles": QUANTILES,
    }
    (folder / "case.json").write_text(json.dumps(stated), encoding="utf-8")
    history(rows, inputs=inputs).write_parquet(folder / "history.parquet")
    origin_table(task, rows).write_parquet(folder / "origins.parquet")


def operator_forecast(task: BenchTask, *, data: Path) -> pl.DataFrame:
    """The operator's forecast as a contestant's: ``issue_time``, ``valid_time``, ``quantile``, ``value``."""
    rows = observations(task, data=data)
    known = rows.filter(pl.col("variable") == TSO_FORECAST).select("valid_time", "value")
    asked = origin_table(task, rows)
    step = rows["resolution"].unique().item()
    windows = asked.select(
        "issue_time", valid_time=pl.datetime_ranges("start", pl.col("end") - pl.duration(seconds=1), interval=step)
    ).explode("valid_time")
    return windows.join(known, on="valid_time").select("issue_time", "valid_time", quantile=pl.lit(0.5), value="value")
