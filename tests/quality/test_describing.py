"""The statistics of a data set are those of a plain loop, and of the reference figures of Denmark."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from gridcast.contracts import LOAD
from gridcast.errors import TooLittleHistory
from gridcast.market.zones import zone
from gridcast.quality import statistics
from gridcast.sources import demo, tabular

DK_1 = zone("DK_1")
DAY = timedelta(days=1)
FETCHED = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """Eight weeks around the end of summer time, three hours missing, two values revised by another 100 MW."""
    load = demo.observations(DK_1, start=date(2018, 10, 1), end=date(2018, 11, 26), fetched_at=FETCHED)
    load = load.filter(pl.col("variable") == LOAD).with_row_index("row")
    revised = load.filter(pl.col("row").is_in([50, 70])).with_columns(
        value=pl.col("value") + 100,
        published_at=pl.col("published_at") + 2 * DAY,
        published_at_basis=pl.lit("observed"),
    )
    kept = load.filter(~pl.col("row").is_in([200, 201, 400]))
    return pl.concat([kept, revised]).drop("row")


def test_size_gaps_level_and_years_are_those_of_the_latest_vintages(frame):
    known = statistics(frame, zone=DK_1)
    latest: dict[datetime, float] = {}
    for when, value in frame.sort("published_at").select("valid_time", "value").iter_rows():
        latest[when] = value
    values = np.array(list(latest.values()))
    assert (known.count, known.missing, known.resolutions) == (56 * 24 + 1 - 3, 3, {60: 56 * 24 + 1 - 3})
    assert (known.first, known.last) == (min(latest), max(latest))
    assert known.gaps["intervals"].to_list() == [2, 1]
    assert known.gaps["start"][0] == known.first + timedelta(hours=200)
    assert known.gaps["end"][0] == known.first + timedelta(hours=202)
    assert (known.mean, known.std) == (pytest.approx(values.mean()), pytest.approx(values.std()))
    assert (known.min, known.max) == (values.min(), values.max())
    assert known.quantiles[0.05] == pytest.approx(np.quantile(values, 0.05))
    assert known.by_year.select("year", "count").row(0) == (2018, known.count)


def test_revisions_lags_and_sources_are_counted(frame):
    known = statistics(frame, zone=DK_1)
    assert known.revisions.height == 2
    assert (known.revisions["after"] - known.revisions["before"]).to_list() == pytest.approx([100, 100])
    assert known.revisions["hours"].to_list() == [48, 48]
    lags = known.lags.row(0, named=True)
    assert (lags["basis"], lags["count"], lags["median"], lags["q95"]) == ("assumed", known.count, 2, 2)
    assert known.sources.row(0)[1:] == (known.count, 1.0)


def test_autocorrelation_follows_the_local_clock_across_the_end_of_summer_time(frame):
    known = statistics(frame, zone=DK_1)
    latest = frame.sort("published_at").unique("valid_time", keep="last").sort("valid_time")
    wall = latest["valid_time"].dt.convert_time_zone(DK_1.local_tz).dt.replace_time_zone(None)
    value = dict(zip(wall, latest["value"], strict=True))
    for lag in (24, 168):
        pairs = [(each, value[then]) for when, each in value.items() if (then := when - timedelta(hours=lag)) in value]
        assert known.autocorrelation[lag] == pytest.approx(np.corrcoef(np.array(pairs).T)[0, 1], abs=2e-3)
    assert known.autocorrelation[168] > known.autocorrelation[24] > 0.5


def test_what_cannot_be_known_of_one_day_is_not_a_number_and_of_none_an_error(frame):
    day = frame.filter(pl.col("valid_time").dt.convert_time_zone(DK_1.local_tz).dt.date() == date(2018, 10, 20))
    known = statistics(day, zone=DK_1)
    assert np.isnan(known.autocorrelation[168])
    assert known.weekdays[5] == 1
    assert np.isnan(known.weekdays[:5]).all()
    with pytest.raises(TooLittleHistory, match="no load of DK_2"):
        statistics(frame, zone=zone("DK_2"))


def test_quarter_hours_are_correlated_by_the_hour(frame):
    hourly = frame.unique("valid_time", keep="first").sort("valid_time")
    step = timedelta(minutes=15)
    parts = pl.concat(
        [hourly.with_columns(valid_time=pl.col("valid_time") + n * step, resolution=step) for n in range(4)]
    )
    fine, coarse = statistics(parts, zone=DK_1), statistics(hourly, zone=DK_1)
    assert fine.resolutions == {15: 4 * coarse.count}
    assert fine.missing == 4 * coarse.missing
    assert fine.autocorrelation == pytest.approx(coarse.autocorrelation)
    assert fine.weekdays == pytest.approx(coarse.weekdays)


def test_denmark_has_the_reference_statistics(shared_data):
    place = zone("DK")
    frame = tabular.read(shared_data / "DK_load_2015_2018.csv.gz", zone=place, fetched_at=FETCHED)
    known = statistics(frame, zone=place)
    assert known.mean == pytest.approx(3740, rel=0.002)
    assert known.std == pytest.approx(750, rel=0.01)
    assert [known.quantiles[level] for level in (0.05, 0.5, 0.95)] == pytest.approx([2608, 3707, 4995], rel=0.002)
    assert known.weekdays == pytest.approx((1.043, 1.057, 1.059, 1.060, 1.024, 0.900, 0.889), abs=0.012)
    assert [known.autocorrelation[lag] for lag in (1, 24, 168)] == pytest.approx([0.956, 0.881, 0.943], abs=0.006)
    assert known.by_year["mean"].to_list()[:4] == pytest.approx([3746, 3676, 3705, 3833], rel=0.002)
