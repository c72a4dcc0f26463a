"""When values are assumed public, against the calendar of Python."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from gridcast.market.zones import zone, zones
from gridcast.sources.publication import load_public, tso_forecast_public

QUARTER = timedelta(minutes=15)


@pytest.mark.parametrize("resolution", [QUARTER, timedelta(minutes=30), timedelta(hours=1)])
def test_a_load_is_public_a_lag_after_the_end_of_its_interval(resolution):
    start = datetime(2026, 3, 29, 0, 45, tzinfo=UTC)
    rows = pl.DataFrame({"start": [start], "step": [resolution]})

    public = rows.select(load_public(pl.col("start"), resolution=pl.col("step"), lag=timedelta(hours=3))).item()

    assert public == start + resolution + timedelta(hours=3)


@pytest.mark.parametrize("code", sorted({place.market_tz: code for code, place in zones().items()}.values()))
@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 3, 30), date(2026, 10, 25), date(2026, 10, 26)])
def test_a_forecast_is_public_at_ten_market_time_the_day_before_every_interval_of_its_delivery_day(code, day):
    place = zone(code)
    clock = ZoneInfo(place.market_tz)
    begin, end = (datetime.combine(day + timedelta(n), time(0), clock).astimezone(UTC) for n in (0, 1))
    starts = [begin + n * QUARTER for n in range((end - begin) // QUARTER)]

    public = pl.DataFrame({"start": starts}).select(tso_forecast_public(pl.col("start"), zone=place)).to_series()

    assert len(starts) in (92, 96, 100)
    assert set(public) == {datetime.combine(day - timedelta(1), time(10), clock).astimezone(UTC)}
