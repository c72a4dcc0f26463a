"""The window view: bulk equals one by one, hours are whole, and no window has a wrong shape."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from gridcast.contracts import LOAD, UTC_TIME, Design
from gridcast.features.design import design
from gridcast.market.days import HOUR, Task, instant, local_wall, origins
from gridcast.market.zones import zone
from gridcast.models.windows import Windows, windows
from gridcast.sources import demo
from gridcast.store import snapshot

DK_1 = zone("DK_1")
FETCHED = datetime(2026, 1, 1, tzinfo=UTC)
BEGIN, END = date(2018, 1, 1), date(2018, 11, 5)
FORWARD, BACK = date(2018, 3, 25), date(2018, 10, 28)


def quarter_hours(hourly: pl.DataFrame) -> pl.DataFrame:
    """Load at a quarter-hour's resolution: 10, 20, 30 and 40 MW beyond the hour's."""
    quarters = [
        hourly.with_columns(
            pl.col("valid_time") + timedelta(minutes=15 * n),
            pl.col("published_at") - timedelta(minutes=15 * (3 - n)),
            value=pl.col("value") + 10.0 * (n + 1),
            resolution=pl.lit(timedelta(minutes=15)).cast(pl.Duration("us")),
        )
        for n in range(4)
    ]
    return pl.concat(quarters).with_columns(pl.col("valid_time", "published_at").cast(UTC_TIME))


@pytest.fixture(scope="module")
def hourly() -> pl.DataFrame:
    frame = demo.observations(DK_1, start=BEGIN, end=END, fetched_at=FETCHED)
    return frame.filter(pl.col("variable") == LOAD)


def design_of(rows: pl.DataFrame, first: date, last: date, task: Task = Task.DAY_AHEAD) -> Design:
    asked = origins(DK_1, first=first, last=last, task=task)
    return design(snapshot(rows, zone=DK_1, issue_times=asked.issue_time), asked)


def columns(made: Design) -> np.ndarray:
    """Something that tells rows apart and was public: the load of a week before, and the slot."""
    return np.stack([np.nan_to_num(made.lag_load[:, 6]), made.slot.astype(np.float64)], axis=1)


def view(made: Design, **wanted: object) -> Windows:
    return windows(made, hours=48, past=columns(made), future=columns(made), **wanted)


def same(one: Windows, other: Windows) -> None:
    for name in ("time", "load", "past", "known", "future"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    np.testing.assert_array_equal(one.present, other.present)


@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize("around", [FORWARD, BACK, date(2018, 6, 12)])
@pytest.mark.parametrize("fine", [False, True])
def test_many_origins_at_once_are_viewed_as_one_at_a_time(hourly, task, around, fine):
    rows = quarter_hours(hourly) if fine else hourly
    many = design_of(rows, around - timedelta(days=2), around + timedelta(days=3), task)
    bulk = view(many, skip=2)

    numbers = np.flatnonzero(many.wanted)
    assert len(bulk.load) == len(numbers) >= 5
    for place, number in enumerate(numbers):
        asked = many.origins.take(slice(number, number + 1))
        alone = design(snapshot(rows, zone=DK_1, issue_times=asked.issue_time), asked)
        part = {
            name: getattr(bulk, name)[place : place + 1] for name in ("time", "load", "past", "known", "future", "row")
        }
        same(view(alone, skip=2), Windows(**part))


def test_the_past_ends_with_the_last_whole_hour_before_the_issue(hourly):
    made = design_of(hourly, date(2018, 6, 12), date(2018, 6, 13))
    issue = instant(datetime(2018, 6, 11, 9, tzinfo=UTC))
    assert made.origins.issue_time[made.wanted] == issue

    seen = view(made)
    assert seen.time[0, -1] == issue - HOUR
    assert (np.diff(seen.time[0]) == HOUR).all()
    truth = {row["valid_time"].replace(tzinfo=None): row["value"] for row in hourly.iter_rows(named=True)}
    assert np.isnan(seen.load[0, -2:]).all()  # published two hours after their end
    assert seen.load[0, :-2].tolist() == [truth[time] for time in seen.time[0, :-2].astype(object)]
    assert not seen.known[0, -2:].any()
    assert seen.known[0, :-2].all()
    assert (seen.past[0, -2:] == 0).all()


def test_skipped_hours_move_the_window_back(hourly):
    made = design_of(hourly, date(2018, 6, 12), date(2018, 6, 13))

    moved, longer = view(made, skip=2), windows(made, hours=50)
    np.testing.assert_array_equal(moved.load, longer.load[:, :48])
    np.testing.assert_array_equal(moved.time, longer.time[:, :48])
    assert np.isfinite(moved.load).all()


def test_the_past_shows_what_the_columns_were_of_the_rows_that_forecast_it(hourly):
    made = design_of(hourly, date(2018, 6, 12), date(2018, 6, 13))
    seen = view(made)

    clock = local_wall(seen.time, DK_1.local_tz).astype("datetime64[h]").astype(np.int64) % 24
    np.testing.assert_array_equal(seen.past[seen.known][:, 1], clock[seen.known])


def test_quarter_hours_are_averaged_to_whole_hours(hourly):
    coarse = view(design_of(hourly, date(2018, 6, 12), date(2018, 6, 13)), skip=2)
    fine = view(design_of(quarter_hours(hourly), date(2018, 6, 12), date(2018, 6, 13)), skip=2)

    np.testing.assert_array_equal(fine.time, coarse.time)
    np.testing.assert_allclose(fine.load, coarse.load + 25.0)
    assert fine.future.shape == (1, 100, 2)
    assert fine.present.sum() == 96


@pytest.mark.parametrize(("day", "hours"), [(FORWARD, 23), (BACK, 25), (date(2018, 6, 12), 24)])
def test_every_day_has_the_shape_of_a_25_hour_day_and_a_mask(hourly, day, hours):
    made = design_of(hourly, day, day + timedelta(days=1))
    seen = view(made)

    assert seen.future.shape == (1, 25, 2)
    assert seen.present.tolist() == [[True] * hours + [False] * (25 - hours)]
    assert (seen.future[~seen.present] == 0).all()
    np.testing.assert_array_equal(seen.row[seen.present], np.flatnonzero(made.wanted_rows))
    np.testing.assert_array_equal(seen.future[seen.present], columns(made)[made.wanted_rows])


def test_beyond_the_reach_of_the_design_nothing_is_known(hourly):
    made = design_of(hourly, date(2018, 6, 12), date(2018, 6, 13))
    seen = windows(made, hours=700)

    assert np.isnan(seen.load[0, : 700 - 672]).all()
    assert np.isfinite(seen.load[0, 700 - 672 : -2]).all()
