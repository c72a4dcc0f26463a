"""The similar-day forecast: days of the same kind, holidays among the Sundays, at today's level."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from gridcast.contracts import LOAD, MEDIAN, Design
from gridcast.errors import TooLittleHistory
from gridcast.features.design import design, with_target
from gridcast.market.days import instant, origins
from gridcast.market.zones import Region, zone
from gridcast.models.similar_day import SimilarDay
from gridcast.sources import demo, tabular
from gridcast.store import snapshot

DK_1 = zone("DK_1")
FETCHED = datetime(2026, 1, 1, tzinfo=UTC)
LEVELS = {"monday": 1000.0, "midweek": 2000.0, "friday": 3000.0, "saturday": 4000.0, "sunday": 5000.0}
BY_WEEKDAY = ("monday", "midweek", "midweek", "midweek", "friday", "saturday", "sunday")
HOLIDAYS = [
    date(2018, 4, 27),
    date(2018, 5, 10),
    date(2018, 5, 21),
    date(2018, 3, 29),
    date(2018, 3, 30),
    date(2018, 4, 1),
    date(2018, 4, 2),
]
BRIDGE = date(2018, 5, 11)


def kind(day: date) -> str:
    if day in HOLIDAYS:
        return "sunday"
    return "saturday" if day == BRIDGE else BY_WEEKDAY[day.weekday()]


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    """Load that depends on nothing but the kind of day."""
    frame = demo.observations(DK_1, start=date(2018, 3, 1), end=date(2018, 5, 24), fetched_at=FETCHED)
    day = frame["valid_time"].dt.convert_time_zone(DK_1.local_tz).dt.date()
    level = pl.Series([LEVELS[kind(each)] for each in day])
    return frame.filter(pl.col("variable") == LOAD).with_columns(value=level.filter(frame["variable"] == LOAD))


def design_of(rows: pl.DataFrame, first: date, last: date) -> Design:
    asked = origins(DK_1, first=first, last=last)
    return design(snapshot(rows, zone=DK_1, issue_times=asked.issue_time), asked)


def forecast(rows: pl.DataFrame, first: date, *, days: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The days forecast, and the megawatts."""
    made = design_of(rows, first, first + timedelta(days=days))
    return made.local_day[made.wanted_rows].astype("datetime64[D]"), np.exp(SimilarDay().point(made)[made.wanted_rows])


def test_each_kind_of_day_is_forecast_from_its_like_with_holidays_as_sundays_and_bridge_days_as_saturdays(rows):
    days, megawatts = forecast(rows, date(2018, 4, 9), days=44)

    kinds = np.array([kind(day) for day in days.astype(object)])
    assert set(kinds) == set(LEVELS)
    assert {date(2018, 5, 10), BRIDGE, date(2018, 5, 21)} <= set(days.astype(object))
    np.testing.assert_allclose(megawatts, [LEVELS[each] for each in kinds], rtol=1e-9)


@pytest.mark.parametrize(("danes", "like"), [(0.6, "sunday"), (0.4, "friday")])
def test_a_holiday_is_like_a_sunday_where_most_people_have_it(rows, danes, like):
    prayer_day = design_of(rows, date(2018, 4, 27), date(2018, 4, 28))
    mixed = replace(DK_1, regions=(Region("DK", None, danes), Region("SE", None, 1 - danes)))
    megawatts = np.exp(SimilarDay().point(replace(prayer_day, zone=mixed))[prayer_day.wanted_rows])
    np.testing.assert_allclose(megawatts, LEVELS[like], rtol=0.02)


def test_where_no_day_is_similar_every_known_day_counts(rows):
    sunday = design_of(rows, date(2018, 5, 6), date(2018, 5, 7))
    only_saturday = np.where(np.arange(1, 29) == 1, sunday.lag_load, np.nan)
    made = replace(sunday, lag_load=only_saturday, recent_row=np.full_like(sunday.recent_row, -1))

    point = np.exp(SimilarDay().point(made)[made.wanted_rows])
    known = np.isfinite(only_saturday[made.wanted_rows, 0])
    assert 0 < known.sum() < 24
    np.testing.assert_allclose(point[known], LEVELS["saturday"])
    assert np.isnan(point[~known]).all()


def test_a_newer_similar_day_counts_more(rows):
    grown = rows.with_columns(
        value=pl.col("value")
        * pl.when(pl.col("valid_time") >= datetime(2018, 4, 15, tzinfo=UTC)).then(1.1).otherwise(1)
    )
    made = design_of(grown, date(2018, 4, 22), date(2018, 4, 23))
    made = replace(made, recent_row=np.full_like(made.recent_row, -1))

    ratio = np.exp(SimilarDay().point(made)[made.wanted_rows]) / LEVELS["sunday"]
    # Sundays (and Easter Monday, Good Friday and Maundy Thursday) 7 days before at 1.1, 14 .. 25 days before at 1.
    weight = 0.5 ** (np.array([7, 14, 20, 21, 23, 24, 28]) / 8)
    expected = 1.1 ** (weight[0] / weight.sum())
    np.testing.assert_allclose(ratio[3:], expected, rtol=1e-9)


def test_the_level_of_the_last_day_is_followed_in_part(rows):
    higher = rows.with_columns(
        value=pl.col("value")
        * pl.when(pl.col("valid_time") >= datetime(2018, 4, 17, 12, tzinfo=UTC)).then(1.1).otherwise(1)
    )
    _, megawatts = forecast(higher, date(2018, 4, 22))  # a Sunday: no Sunday has the new level yet

    recipe = SimilarDay()
    assert LEVELS["sunday"] < megawatts.min()
    assert megawatts.max() <= LEVELS["sunday"] * 1.1**recipe.follow * (1 + 1e-9)


def test_eight_days_are_too_little_history(rows):
    first = date(2018, 5, 2)
    short = rows.filter(pl.col("valid_time") >= instant(datetime(2018, 5, 1, tzinfo=UTC)).item().replace(tzinfo=UTC))
    made = design_of(short, first, first + timedelta(days=8))
    target = np.where(made.wanted_rows, 2000.0, np.nan)

    with pytest.raises(TooLittleHistory):
        SimilarDay().fit(made.with_target(target))


@pytest.mark.parametrize(
    ("code", "file"), [("DK", "DK_load_2015_2018.csv.gz"), ("FR", "FR_load_tso_weather_2015_2018.csv.gz")]
)
def test_on_real_load_it_beats_last_week_and_most_of_all_on_holidays(code, file, shared_data):
    there = zone(code)
    frame = tabular.read(shared_data / file, zone=there, fetched_at=FETCHED)
    asked = origins(there, first=date(2017, 10, 1), last=date(2018, 12, 30))
    seen = snapshot(frame, zone=there, issue_times=asked.issue_time)
    made = design(seen, asked, inputs=("load", "calendar"))
    made = with_target(made, seen, at=asked.issue_time[-1])
    actual = made.target
    forecasts = {
        "similar": SimilarDay().fit(made).predict(made)[:, MEDIAN],
        "naive": made.lag_load[made.wanted_rows, 6],
    }
    usable = np.isfinite(actual[made.wanted_rows]) & np.isfinite(forecasts["naive"])

    def error(name: str, rows: np.ndarray) -> float:
        return float(np.abs(forecasts[name] - actual[made.wanted_rows])[usable & rows].mean())

    holiday = made.day_kind[made.wanted_rows] == 1
    print(code, {name: (round(error(name, ~holiday), 1), round(error(name, holiday), 1)) for name in forecasts})
    assert error("similar", ~holiday) < 0.85 * error("naive", ~holiday)
    assert error("similar", holiday) < 0.6 * error("naive", holiday)
