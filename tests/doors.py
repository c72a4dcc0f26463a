"""A load file small enough to be replayed in a second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl


def world(*, days: int = 100, weather: bool = False, minutes: int = 60) -> pl.DataFrame:
    """Load that knows the hour and the weekday, from 2018-01-01T00:00Z on, as a tabular file has it."""
    count = days * 24 * 60 // minutes
    hour = np.arange(count) * minutes / 60
    noise = np.random.default_rng(3).normal(0, 25, count)
    load = 2000 + 400 * np.sin(2 * np.pi * (hour % 24 - 6) / 24) - 200 * (hour // 24 % 7 > 4) + noise
    start = datetime(2018, 1, 1, tzinfo=UTC)
    frame = pl.DataFrame(
        {
            "ts_utc": [f"{start + timedelta(hours=float(h)):%Y-%m-%dT%H:%M:%SZ}" for h in hour],
            "load_mw": np.round(load, 3),
        }
    )
    if weather:
        frame = frame.with_columns(temperature_c=pl.Series(np.round(5 + 4 * np.sin(hour / 50), 2)))
    return frame
