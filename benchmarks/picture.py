"""Draw the README's picture: tomorrow's fan for Western Denmark on the demo's data, as issued on 14 January 2026.

Takes the path to write, `docs/fan.png` unless given.
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from gridcast import pipeline
from gridcast.market.zones import zone
from gridcast.report import fan_chart
from gridcast.sources import demo


def main() -> None:
    """Write the picture."""
    where, now = zone("DK_1"), datetime(2026, 1, 14, 10, tzinfo=UTC)
    everything = demo.observations(where, start=date(2022, 10, 1), end=date(2026, 1, 18), fetched_at=now)
    observations = everything.filter(pl.col("published_at") <= now)
    recipe = pipeline.recipes(["champion"])["champion"]
    trained = pipeline.train(observations, zone=where, recipe=recipe, at=now)
    origin = pipeline.window_to_issue(where, now=now)
    forecast = pipeline.issue(observations, trained=trained, origin=origin, model_version="picture")
    history = pipeline.recent_load(observations, zone=where, until=now, days=3)
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/fan.png")
    fan_chart(forecast, history=history, zone=where, labels=["synthetic data"], path=path)
    print(path)


if __name__ == "__main__":
    main()
