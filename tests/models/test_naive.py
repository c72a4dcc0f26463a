"""`naive`: the same local hour seven days before, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from gridcast.contracts import LOAD, MEDIAN
from gridcast.errors import TooLittleHistory
from gridcast.market.zones import zone
from gridcast.models.naive import Naive
from strategies import history, minutes, to_forecast, training

DK_1 = zone("DK_1")
AUTUMN = date(2024, 10, 27)


@pytest.mark.parametrize(("step", "day"), [(60, AUTUMN), (60, date(2024, 3, 31)), (15, date(2024, 11, 1))])
def test_the_median_is_the_load_at_the_same_clock_seven_days_before(step: int, day: date) -> None:
    first = day - timedelta(days=100)
    frame = history(DK_1, first=first, last=day + timedelta(days=2), step=step, weather=())
    once = frame.filter(pl.col("variable") == LOAD, pl.col("published_at_basis") == "assumed")
    by_time = dict(zip(once["valid_time"], once["value"], strict=True))
    model = Naive().fit(training(DK_1, once, first=first + timedelta(days=8), last=day))
    made = to_forecast(DK_1, once, first=day)
    local = ZoneInfo("Europe/Copenhagen")
    times = [time.replace(tzinfo=UTC).astimezone(local) for time in made.valid_time[made.wanted_rows].astype(object)]
    week_before = [(time.replace(tzinfo=None, fold=0) - timedelta(days=7)).replace(tzinfo=local) for time in times]
    assert made.resolution == minutes(step)
    fan = model.predict(made)
    np.testing.assert_allclose(fan[:, MEDIAN], [by_time[time.astimezone(UTC)] for time in week_before], rtol=1e-12)
    assert (np.diff(fan, axis=1) > 0).all()
    assert len(times) * step == {AUTUMN: 25, date(2024, 3, 31): 23}.get(day, 24) * 60


def test_nothing_else_in_a_design_matters_to_its_median() -> None:
    frame = history(DK_1, first=date(2024, 5, 1), last=date(2024, 8, 3))
    train = training(DK_1, frame, first=date(2024, 5, 9), last=date(2024, 8, 1))
    model = Naive().fit(train)
    made = to_forecast(DK_1, frame, first=date(2024, 8, 1))
    other = made.lag_load * 1.2
    other[:, 6] = made.lag_load[:, 6]
    known = replace(made, weather=(), tso=made.tso + 1, calendar=made.calendar[:1])
    changed = replace(known, lag_load=other, recent_load=made.recent_load * 1.2)
    fan, wider = model.predict(made), model.predict(changed)
    np.testing.assert_array_equal(fan[:, MEDIAN], wider[:, MEDIAN])
    np.testing.assert_allclose(fan[:, MEDIAN], made.lag_load[made.wanted_rows, 6], rtol=1e-12)
    assert (wider[:, -1] - wider[:, 0] > fan[:, -1] - fan[:, 0]).all()  # the load was 20 % off of late
    np.testing.assert_array_equal(model.predict(known), fan)
    assert model.held_out.shape == train.target.shape


def test_where_the_load_a_week_before_is_unknown_or_dead_there_is_no_forecast() -> None:
    frame = history(DK_1, first=date(2024, 5, 1), last=date(2024, 8, 3), weather=())
    model = Naive().fit(training(DK_1, frame, first=date(2024, 5, 9), last=date(2024, 8, 1)))
    made = to_forecast(DK_1, frame, first=date(2024, 8, 1))
    load = made.lag_load.copy()
    rows = np.flatnonzero(made.wanted_rows)
    load[rows[3], 6], load[rows[4], 6] = np.nan, 0.0
    fan = model.predict(replace(made, lag_load=load))
    assert np.flatnonzero(np.isnan(fan).any(axis=1)).tolist() == [3, 4]


def test_it_needs_ten_days_of_errors() -> None:
    frame = history(DK_1, first=date(2024, 5, 1), last=date(2024, 5, 16), weather=())
    with pytest.raises(TooLittleHistory, match="to calibrate on"):
        Naive().fit(training(DK_1, frame, first=date(2024, 5, 9), last=date(2024, 5, 16)))
