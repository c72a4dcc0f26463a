"""A small made-up load file and the task on it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
from arena import tasks

MISSING = 300


def task_on(folder, *, code="fr_2018_tso", days=37, missing=MISSING):
    """A task of five days at the end of ``days`` days of hourly load, with weather and an operator's forecast."""
    random = np.random.default_rng(5)
    hours = 24 * days
    times = np.datetime64("2018-02-28T00:00", "us") + np.arange(hours) * np.timedelta64(1, "h")
    load = 50_000 + 5_000 * np.sin(np.arange(hours) * 2 * np.pi / 24) + random.normal(0, 300, hours)
    frame = pl.DataFrame(
        {
            "ts_utc": pl.Series(times).dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "load_mw": [None if n == missing else round(value, 1) for n, value in enumerate(load)],
            "tso_forecast_mw": load.round(-2),
            "temperature_c": random.normal(8, 4, hours).round(1),
        }
    )
    path = folder / "load.csv"
    frame.write_csv(path)
    first = date(2018, 2, 28).toordinal() + days - 7
    facts = {
        "file": path.name,
        "sha256": tasks.sha256(path),
        "first": date.fromordinal(first),
        "last": date.fromordinal(first + 5),
    }
    return replace(tasks.everything()[code], **facts)
