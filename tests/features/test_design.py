"""The design: its rows, its lags and their rows, and switches that truly take information away."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from gridcast.contracts import INPUTS, LOAD, OBSERVED, TSO_FORECAST, Design
from gridcast.features.design import LAG_DAYS, RUN_UP_DAYS, design, with_target
from gridcast.market.days import DAY, HOUR, Origins, Task, lagged, local_wall, origins
from gridcast.market.zones import BiddingZone, zone
from gridcast.models import recipe
from gridcast.store import snapshot
from strategies import FORECAST_WEATHER, arrays_of, assert_same, history, minutes

DE = zone("DE_LU")
SPRING, AUTUMN = date(2024, 3, 31), date(2024, 10, 27)


def frame_about(day: date, *, where: BiddingZone = DE, step: int = 60) -> pl.DataFrame:
    first, last = day - timedelta(days=RUN_UP_DAYS + 8), day + timedelta(days=4)
    return history(where, first=first, last=last, step=step)


def one_day(day: date, *, where: BiddingZone = DE, task: Task = Task.DAY_AHEAD) -> Origins:
    return origins(where, first=day, last=day + timedelta(days=1), task=task)


def made(
    frame: pl.DataFrame, asked: Origins, *, inputs: tuple[str, ...] = INPUTS, resolution: np.timedelta64 | None = None
) -> Design:
    known = snapshot(frame, zone=asked.zone, issue_times=asked.issue_time, resolution=resolution)
    return design(known, asked, inputs=inputs)


@pytest.mark.parametrize(("day", "hours"), [(SPRING, 23), (AUTUMN, 25), (date(2024, 6, 12), 24)])
@pytest.mark.parametrize("step", [15, 30, 60])
def test_a_delivery_day_has_a_row_for_each_of_its_intervals(day: date, hours: int, step: int) -> None:
    asked = one_day(day)
    rows = made(frame_about(day, step=step), asked)
    own = rows.wanted_rows
    np.testing.assert_array_equal(rows.valid_time[own], np.arange(asked.start[0], asked.end[0], minutes(step)))
    assert own.sum() == hours * 60 // step
    assert rows.slots == 24 * 60 // step
    wall = local_wall(rows.valid_time[own], DE.local_tz)
    np.testing.assert_array_equal(rows.local_day[own], wall.astype("datetime64[D]"))
    np.testing.assert_array_equal(rows.slot[own], (wall - wall.astype("datetime64[D]")) // minutes(step))
    assert np.isnan(rows.target).all()


def test_the_run_up_is_every_day_before_that_the_lags_of_a_lag_need() -> None:
    rows = made(frame_about(AUTUMN), one_day(AUTUMN))
    days = np.diff(rows.origins.start) / DAY
    assert rows.wanted.tolist() == [False] * (len(rows.origins) - 1) + [True]
    assert len(rows.origins) >= RUN_UP_DAYS
    assert set(np.round(days)) == {1}
    oldest = rows.lag_row[rows.wanted_rows][:, LAG_DAYS - 1]
    assert (oldest >= 0).all()
    assert all(np.isfinite(block.values[oldest]).all() for block in rows.weather)
    its_own = rows.lag_row[oldest][:, LAG_DAYS - 1]  # the oldest forecast that an error is counted from saw as much
    assert (its_own >= 0).all()
    assert all(np.isfinite(block.values[its_own]).all() for block in rows.weather)
    newest = rows.recent_row[rows.origin[oldest]]
    assert (newest[:, -1] >= 0).all()


@pytest.mark.parametrize("task", list(Task))
def test_the_row_of_a_lag_forecast_that_very_interval_and_was_issued_before(task: Task) -> None:
    rows = made(frame_about(AUTUMN), one_day(AUTUMN, task=task))
    issue = rows.origins.issue_time
    for days in (1, 2, 7, 28):
        row, load = rows.lag_row[:, days - 1], rows.lag_load[:, days - 1]
        there = row >= 0
        lag = lagged(rows.valid_time, days, tz=DE.local_tz)
        np.testing.assert_array_equal(rows.valid_time[row[there]], lag[there])
        assert (issue[rows.origin[row[there]]] < issue[rows.origin[there]]).all()
        assert np.isfinite(load[there]).all()
        assert (rows.lag_row[rows.wanted_rows][:, days - 1] >= 0).any()
    origin, place = np.nonzero(rows.recent_row >= 0)
    row = rows.recent_row[origin, place]
    np.testing.assert_array_equal(rows.valid_time[row], issue[origin] - (place + 1) * HOUR)
    assert (issue[rows.origin[row]] < issue[origin]).all()


def test_an_issue_within_an_interval_sees_no_interval_that_is_not_over() -> None:
    issue = np.array(["2024-10-26T09:20"], "datetime64[us]")
    start = np.array(["2024-10-26T10:00"], "datetime64[us]")
    asked = Origins(DE, Task.NEXT_24H, issue, start, start + DAY)
    frame = frame_about(AUTUMN).with_columns(published_at=pl.col("valid_time") + timedelta(hours=1))
    rows = made(frame, asked)
    recent = rows.recent_load[rows.wanted][0]
    own = frame.filter(
        (pl.col("variable") == LOAD)
        & (pl.col("valid_time").dt.replace_time_zone(None) == start[0].item() - timedelta(hours=2))
    )
    assert recent[0] in own["value"].to_list()


# --- inputs ----------------------------------------------------------------------------------------------------------


def scrambled(frame: pl.DataFrame, kind: str) -> pl.DataFrame:
    """The frame with other values of one kind of information."""
    is_load, is_tso = pl.col("variable") == LOAD, pl.col("variable") == TSO_FORECAST
    which = {"load": is_load, "tso": is_tso, "weather": ~is_load & ~is_tso}[kind]
    return frame.with_columns(value=pl.when(which).then(5 + pl.col("value") * 1.5).otherwise("value"))


@pytest.mark.parametrize("kind", ["load", "weather", "tso"])
def test_an_input_that_is_off_has_no_way_in(kind: str) -> None:
    frame, asked = frame_about(SPRING), one_day(SPRING)
    without = tuple(each for each in INPUTS if each != kind)
    rows = made(frame, asked, inputs=without)
    assert_same(arrays_of(rows), arrays_of(made(scrambled(frame, kind), asked, inputs=without)))
    name = "load" if kind == "load" else kind
    dropped = frame.filter(~pl.col("variable").str.starts_with("temperature")) if kind == "weather" else frame
    if kind == "tso":
        dropped = frame.filter(pl.col("variable") != TSO_FORECAST)
    assert_same(arrays_of(rows), arrays_of(made(dropped, asked, inputs=without)))
    full, other = made(frame, asked), made(scrambled(frame, kind), asked)
    changed = [
        each
        for each, values in arrays_of(full).items()
        if not np.array_equal(values, arrays_of(other).get(each), equal_nan=True)
    ]
    expected = {"load": ["lag_load", "recent_load"], "tso": ["tso"]}
    assert changed == expected[name] if name in expected else changed[0].startswith("weather.")


def test_without_the_calendar_only_the_constant_is_left() -> None:
    frame, asked = frame_about(SPRING), one_day(SPRING)
    rows = made(frame, asked, inputs=("load", "weather", "tso"))
    assert [block.columns for block in rows.calendar] == [("constant",)]
    assert (rows.calendar[0].values == 1).all()
    other = replace(DE, country="FR")  # other holidays
    french = replace(asked, zone=other)
    left = design(snapshot(frame, zone=other, issue_times=asked.issue_time), french, inputs=("load", "weather", "tso"))
    assert_same(arrays_of(rows), arrays_of(left))
    assert (rows.day_kind == 0).all()
    assert set(made(frame, asked).day_kind) == {0, 1}


def test_without_any_input_there_is_nothing_but_the_clock() -> None:
    rows = made(frame_about(SPRING), one_day(SPRING), inputs=())
    assert np.isnan(rows.lag_load).all()
    assert np.isnan(rows.recent_load).all()
    assert np.isnan(rows.tso).all()
    assert (rows.lag_row == -1).all()
    assert (rows.recent_row == -1).all()
    assert rows.weather == ()
    assert (rows.weather_basis, rows.tso_basis) == ("none", "none")


def test_a_model_forecasts_the_same_whatever_an_input_that_is_off_says() -> None:
    frame = frame_about(AUTUMN, where=DE)
    train, asked = origins(DE, first=date(2024, 8, 5), last=date(2024, 10, 20)), one_day(AUTUMN)
    long = history(DE, first=date(2024, 8, 1), last=AUTUMN + timedelta(days=2))
    fans = []
    for each in (long, scrambled(long, "weather"), scrambled(long, "tso")):
        known = snapshot(each, zone=DE, issue_times=train.issue_time)
        learned = with_target(design(known, train, inputs=("load", "calendar")), known, at=train.issue_time[-1])
        model = recipe("linear").fit(learned)
        fans.append(model.predict(made(frame, asked, inputs=("load", "calendar"))))
    np.testing.assert_array_equal(fans[0], fans[1])
    np.testing.assert_array_equal(fans[0], fans[2])


# --- the operator's forecast -----------------------------------------------------------------------------------------


def test_an_operators_forecast_that_is_no_honest_input_is_not_used() -> None:
    where = zone("DK_1")
    assert not where.tso_input
    rows = made(frame_about(SPRING, where=where), one_day(SPRING, where=where))
    assert np.isnan(rows.tso).all()
    assert rows.tso_basis == "none"


def test_the_basis_of_the_operators_forecast_is_the_rows_own_and_a_file_holds_the_last_version() -> None:
    frame, asked = frame_about(SPRING), one_day(SPRING)
    assert made(frame, asked).tso_basis == "reported"
    is_tso = pl.col("variable") == TSO_FORECAST
    assumed = frame.with_columns(
        published_at_basis=pl.when(is_tso).then(pl.lit("assumed")).otherwise("published_at_basis")
    )
    assert made(assumed, asked).tso_basis == "assumed"
    file = assumed.with_columns(source=pl.when(is_tso).then(pl.lit("file:x:last-version")).otherwise("source"))
    assert made(file, asked).tso_basis == "last-version"
    assert made(frame.filter(~is_tso), asked).tso_basis == "none"


# --- the target ------------------------------------------------------------------------------------------------------


def test_the_target_is_the_load_that_was_public_at_the_time_of_the_fit() -> None:
    frame = frame_about(AUTUMN)
    asked = origins(DE, first=AUTUMN - timedelta(days=3), last=AUTUMN + timedelta(days=1))
    known = snapshot(frame, zone=DE, issue_times=asked.issue_time)
    at = asked.issue_time[-1]
    rows = with_target(design(known, asked), known, at=at)
    out = rows.valid_time + 3 * HOUR <= at
    assert np.isfinite(rows.target[out]).mean() > 0.99
    assert np.isnan(rows.target[~out]).all()
    assert out[rows.wanted_rows].any()
    assert not out[rows.wanted_rows].all()


def test_the_names_of_observed_and_forecast_weather_differ_by_their_ending() -> None:
    names = {block.name for block in made(frame_about(SPRING), one_day(SPRING)).weather}
    assert names == {FORECAST_WEATHER}
    assert not any(name.endswith(OBSERVED) for name in names)
