"""What calendar and weather make us expect."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from gridcast.contracts import LOAD, Block, Design
from gridcast.errors import TooLittleHistory
from gridcast.market.days import HOUR, local_day
from gridcast.market.zones import zone
from gridcast.models import expected, ridge
from gridcast.models.expected import Expected
from strategies import FORECAST_WEATHER, OBSERVED_WEATHER, history, to_forecast, training

DK_1 = zone("DK_1")
FIRST, TESTED = date(2022, 12, 20), date(2024, 5, 20)


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """Seventeen months whose public holidays have 30 % less load."""
    made = history(DK_1, first=FIRST, last=TESTED + timedelta(days=20), weather=(OBSERVED_WEATHER,))
    times = made["valid_time"].dt.replace_time_zone(None).to_numpy()
    from gridcast.features.calendar import day_kind

    off = day_kind(DK_1, local_day(times, DK_1.local_tz)) == 1
    less = pl.Series(np.where(off, 0.7, 1.0))
    return made.with_columns(value=pl.when(pl.col("variable") == LOAD).then(pl.col("value") * less).otherwise("value"))


@pytest.fixture(scope="module")
def learned(frame: pl.DataFrame) -> tuple[Design, Expected]:
    train = training(DK_1, frame, first=FIRST + timedelta(days=30), last=TESTED)
    return train, expected.fit(train, half_life_days=1500)


def test_the_expectation_knows_the_hour_the_weekday_the_holiday_and_the_weather(
    learned: tuple[Design, Expected],
) -> None:
    train, base = learned
    error = expected.log_target(train) - base.predict(train)
    known = np.isfinite(error)
    assert known.mean() > 0.9
    assert np.abs(error[known]).mean() < 0.025  # the synthetic noise alone is 2 % by the day and 1 % by the hour
    assert np.abs(error[known & (train.day_kind == 1)]).mean() < 0.04
    assert list(base.weather) == [OBSERVED_WEATHER]
    assert base.sigma.shape == (24,)
    assert (base.sigma > 0.01).all()
    assert (base.sigma < 0.04).all()


def test_too_few_days_are_refused_with_what_is_needed() -> None:
    last = date(2024, 3, 10)
    train = training(DK_1, history(DK_1, first=date(2024, 1, 10), last=last), first=date(2024, 1, 11), last=last)
    with pytest.raises(TooLittleHistory, match="DK_1 has 59 days") as caught:
        expected.fit(train, half_life_days=1500)
    assert (caught.value.needed, caught.value.have) == (60, 59)
    enough = training(DK_1, history(DK_1, first=date(2024, 1, 9), last=last), first=date(2024, 1, 11), last=last)
    assert expected.fit(enough, half_life_days=1500).sigma.shape == (24,)


def test_weather_that_most_rows_lack_is_not_used(learned: tuple[Design, Expected]) -> None:
    train, _ = learned
    rare = train.weather[0].values.copy()
    rare[: int(0.3 * len(rare))] = np.nan
    assert expected.usable_weather(replace(train, weather=(Block("x", ("a",), rare),))) == {}
    assert expected.usable_weather(train) == {OBSERVED_WEATHER: train.weather[0].columns}
    assert expected.usable_weather(replace(train, weather=())) == {}


def test_less_than_a_year_leaves_the_seasons_alone(learned: tuple[Design, Expected]) -> None:
    train, _ = learned
    assert expected.penalty(train)["season"] < 1
    young = replace(train, target=np.where(np.arange(len(train.target)) < 300 * 24, train.target, np.nan))
    tight = expected.penalty(young)
    assert [kind for kind in tight if tight[kind] > 1000] == ["season", "week_profile", "vacation", "school"]


def test_age_halves_the_weight_and_folds_are_blocks_of_four_weeks(learned: tuple[Design, Expected]) -> None:
    train, _ = learned
    weight, fold = expected.recency(train, half_life_days=100), expected.folds(train)
    assert weight[-1] == 1
    place = int(np.flatnonzero(train.valid_time == train.valid_time[-1] - 100 * 24 * HOUR)[0])
    assert weight[place] == pytest.approx(0.5)
    changes = train.valid_time[1:][np.diff(fold) != 0]
    assert set(fold) == set(range(6))
    assert (np.diff(changes) == 28 * 24 * HOUR).all()


def test_the_operators_columns_are_its_difference_and_its_late_errors() -> None:
    where = zone("DE_LU")
    world = history(where, first=date(2024, 1, 1), last=date(2024, 5, 1), weather=(FORECAST_WEATHER,))
    made = to_forecast(where, world, first=date(2024, 4, 20))
    mu = np.log(np.where(made.tso > 0, made.tso, 1000.0)) - 0.03
    columns = expected.tso_columns(made, mu)
    rows = np.flatnonzero(made.wanted_rows)
    np.testing.assert_allclose(columns[rows, 0], 0.03)
    for row in rows:
        lagged = made.lag_row[row]
        by_hand = [
            np.log(made.tso[lagged[n]] / made.lag_load[row, n]) if np.isfinite(made.lag_load[row, n]) else 0
            for n in range(8)
        ]
        np.testing.assert_allclose(columns[row, 1:4], [by_hand[0], by_hand[1], by_hand[6]], atol=1e-12)
        np.testing.assert_allclose(columns[row, 4], np.mean(by_hand[1:]), atol=1e-12)
    blind = replace(made, tso=np.full_like(made.tso, np.nan))
    assert np.isnan(expected.tso_columns(blind, mu)[:, 0]).all()
    assert (expected.tso_columns(blind, mu)[:, 1:] == 0).all()


def test_weather_that_a_snapshot_lacks_altogether_is_as_weather_that_is_unknown(
    frame: pl.DataFrame, learned: tuple[Design, Expected]
) -> None:
    base = learned[1]
    without = to_forecast(DK_1, frame.filter(pl.col("variable") == LOAD), first=TESTED)
    assert without.weather == ()
    whole = to_forecast(DK_1, frame, first=TESTED)
    unknown = tuple(replace(block, values=np.full_like(block.values, np.nan)) for block in whole.weather)
    np.testing.assert_array_equal(base.predict(without), base.predict(replace(whole, weather=unknown)))
    assert np.isfinite(base.predict(without)).all()


def test_columns_of_weather_have_a_unit_and_those_of_the_calendar_have_none(learned: tuple[Design, Expected]) -> None:
    train, base = learned
    columns = expected.static_columns(train, base.weather)
    assert {each.kind for each in columns if each.unit is not None} == {"weather"}
    assert isinstance(base.ridge, ridge.SlotRidge)
