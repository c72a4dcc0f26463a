"""Explained forecasts: terms sum to the median, and each takes what is its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcast.contracts import INPUTS, LOAD, MEDIAN, TSO_FORECAST, Design
from gridcast.errors import ConfigError
from gridcast.features import calendar
from gridcast.market.daytypes import day_types
from gridcast.market.zones import zone, zones
from gridcast.models import explaining
from gridcast.models.boosted import Boosted, FittedBoosted
from gridcast.models.ensemble import Ensemble, FittedEnsemble
from gridcast.models.linear import FittedLinear
from gridcast.models.naive import Naive
from strategies import FORECAST_WEATHER, history, to_forecast, training

DE = zone("DE_LU")
FIRST, TESTED, LAST = date(2023, 4, 1), date(2024, 4, 24), date(2024, 5, 4)
WIND = "wind_speed_10m"
HOLIDAY = np.datetime64("2024-05-01")  # a Wednesday
INPUT_SETS = {
    "all": INPUTS,
    "no weather": ("load", "calendar", "tso"),
    "no TSO": ("load", "calendar", "weather"),
    "load and calendar": ("load", "calendar"),
    "load": ("load",),
}


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """A world in which holidays take a fifth of the load, as the operator knows too."""
    made = history(DE, first=FIRST, last=LAST, weather=(FORECAST_WEATHER, WIND))
    days = day_types(DE, np.arange(np.datetime64(FIRST), np.datetime64(LAST)))
    holidays = days.filter(pl.col("holiday").is_not_null())["day"].implode()
    off = pl.col("valid_time").dt.convert_time_zone(DE.local_tz).dt.date().is_in(holidays)
    of_load = pl.col("variable").is_in([LOAD, TSO_FORECAST])
    return made.with_columns(value=pl.when(off & of_load).then(0.8 * pl.col("value")).otherwise("value"))


def learn(frame: pl.DataFrame, *, inputs: tuple[str, ...] = INPUTS, first: date = FIRST) -> FittedEnsemble:
    train = training(DE, frame, first=first + timedelta(days=2), last=TESTED, inputs=inputs)
    return Ensemble().fit(train)


@pytest.fixture(scope="module")
def learned(frame: pl.DataFrame) -> FittedEnsemble:
    return learn(frame)


@pytest.fixture(scope="module")
def made(frame: pl.DataFrame) -> Design:
    return to_forecast(DE, frame, first=TESTED, days=8)


def members(fitted: FittedEnsemble) -> tuple[FittedLinear, FittedBoosted]:
    linear, boosted = fitted.members
    assert isinstance(linear, FittedLinear)
    assert isinstance(boosted, FittedBoosted)
    return linear, boosted


def assert_exact(fitted: explaining.Fitted, design: Design) -> dict[str, np.ndarray]:
    """The terms, once they are known to sum to the median."""
    found = explaining.terms(fitted, design)
    median = fitted.predict(design)[:, MEDIAN]
    np.testing.assert_allclose(np.sum(list(found.values()), axis=0), median, rtol=1e-9)
    assert np.ptp(found["typical"]) == 0
    assert list(found) == [name for name in explaining.TERMS if name in found]
    return found


@pytest.mark.parametrize("inputs", INPUT_SETS)
def test_the_terms_of_every_row_sum_to_the_median_and_are_those_that_the_model_knows_of(
    frame: pl.DataFrame, inputs: str
) -> None:
    names = INPUT_SETS[inputs]
    fitted = learn(frame, inputs=names, first=date(2024, 2, 1))
    made = to_forecast(DE, frame, first=TESTED + timedelta(days=6), days=3)
    made = replace(
        made,
        calendar=made.calendar[: None if "calendar" in names else 1],
        weather=made.weather if "weather" in names else (),
        tso=made.tso if "tso" in names else np.full_like(made.tso, np.nan),
    )
    expected = {"typical", "calendar", "recent_level"}
    expected |= {"holiday"} if "calendar" in names else set()
    expected |= {"temperature", "weather"} if "weather" in names else set()
    expected |= {"tso"} if "tso" in names else set()
    for each in (*members(fitted), fitted):
        assert set(assert_exact(each, made)) == expected


def test_rows_without_weather_or_the_operators_forecast_are_explained_too(
    learned: FittedEnsemble, made: Design
) -> None:
    lacking = np.where(np.arange(len(made.tso)) % 2, np.nan, made.tso)
    gaps = tuple(replace(each, values=np.where(np.arange(len(each.values))[:, None] % 3, each.values, np.nan))
                 for each in made.weather)  # fmt: skip
    linear, boosted = members(learned)
    for each in (linear, boosted):
        assert_exact(each, replace(made, tso=lacking))
        assert_exact(each, replace(made, weather=()))
        found = assert_exact(each, replace(made, weather=gaps, tso=np.full_like(made.tso, np.nan)))
        assert np.abs(found["tso"]).max() < (1e-12 if each is linear else 0.01) * found["typical"][0]


def test_the_parts_of_a_model_sum_to_its_point_forecast(learned: FittedEnsemble, made: Design) -> None:
    for each in (*members(learned), learned):
        total = np.sum(list(each.parts(made).values()), axis=0)
        np.testing.assert_allclose(total, each.point(made)[made.wanted_rows], rtol=0, atol=1e-11)


def test_a_holiday_costs_what_it_costs_and_the_calendar_is_that_of_an_ordinary_day(
    learned: FittedEnsemble, made: Design
) -> None:
    day = made.local_day[made.wanted_rows].astype("datetime64[D]")
    for each in (*members(learned), learned):
        found = explaining.terms(each, made)
        median = each.predict(made)[:, MEDIAN]
        share = found["holiday"] / median
        assert (share[day == HOLIDAY] < -0.1).all()
        assert share[day == HOLIDAY].mean() == pytest.approx(-0.25, abs=0.07)  # of what is left, a fifth is a quarter
        assert np.abs(share[day < np.datetime64("2024-04-29")]).max() < 0.03
        week_before = day == HOLIDAY - 7
        rest = (found["calendar"][day == HOLIDAY] - found["calendar"][week_before]) / median[week_before]
        assert np.abs(rest).max() < 0.06


def test_colder_days_have_a_larger_temperature_term(learned: FittedEnsemble, made: Design) -> None:
    rows = made.wanted_rows
    now = next(block for block in made.weather if block.name == FORECAST_WEATHER).values[rows, 0]
    for each in (*members(learned), learned):
        assert np.corrcoef(explaining.terms(each, made)["temperature"], now)[0, 1] < -0.8


def test_a_lower_level_of_the_last_days_is_in_the_recent_level(frame: pl.DataFrame, learned: FittedEnsemble) -> None:
    begin = pl.col("valid_time") >= pl.lit(TESTED - timedelta(days=8)).cast(pl.Datetime("us", "UTC"))
    lower = frame.with_columns(
        value=pl.when(begin & (pl.col("variable") == LOAD)).then(0.9 * pl.col("value")).otherwise("value")
    )
    usual, fallen = (to_forecast(DE, each, first=TESTED) for each in (frame, lower))
    blind = np.full_like(usual.tso, np.nan)
    for each in (*members(learned), learned):
        before, after = (explaining.terms(each, replace(design, tso=blind)) for design in (usual, fallen))
        moved = {name: float((after[name] - before[name]).mean()) for name in before}
        total = sum(moved.values())
        assert total < -0.02 * before["typical"][0]
        assert moved["recent_level"] == pytest.approx(total, rel=0.15)


def test_a_higher_forecast_of_the_operator_is_in_its_own_term_alone(learned: FittedEnsemble, made: Design) -> None:
    linear, _ = members(learned)
    there = np.where(made.wanted_rows, 1.05, 1.0) * made.tso
    before, after = linear.parts(made), linear.parts(replace(made, tso=there))
    assert (after["tso"] > before["tso"]).all()
    for name in set(before) - {"tso", "limit"}:
        np.testing.assert_allclose(after[name], before[name], rtol=0, atol=1e-12)


def test_what_a_bound_holds_back_has_a_term_of_its_own(learned: FittedEnsemble, made: Design) -> None:
    mad = tuple(replace(block, values=block.values - 400) for block in made.weather)
    linear, boosted = members(learned)
    found = assert_exact(linear, replace(made, weather=mad))
    assert np.corrcoef(found["temperature"], found["limit"])[0, 1] < -0.5
    assert found["limit"].min() < -0.5 * found["typical"][0]
    assert_exact(boosted, replace(made, weather=mad))


@pytest.mark.parametrize("code", sorted(zones()))
def test_every_column_of_a_calendar_belongs_to_the_calendar_or_to_holidays(code: str) -> None:
    blocks = calendar.blocks(zone(code), np.arange(np.datetime64("2024-03-04"), np.datetime64("2024-03-07")))
    assert {explaining.term(block.name) for block in blocks} == {"calendar", "holiday"}


def test_a_day_that_is_near_no_holiday_is_ordinary_as_it_is(made: Design) -> None:
    holidays = [block for block in made.calendar if explaining.term(block.name) == "holiday"]
    plain = ~np.any([block.values.any(axis=1) for block in holidays], axis=0)
    assert 0.5 < plain.mean() < 1
    for true, other in zip(made.calendar, explaining.ordinary(made), strict=True):
        assert (true.name, true.columns) == (other.name, other.columns)
        np.testing.assert_array_equal(true.values[plain], other.values[plain])
    day = made.local_day.astype("datetime64[D]")
    rows, like = (np.flatnonzero(day == each)[0] for each in (HOLIDAY, HOLIDAY - 7))
    ordinary = {block.name: block.values for block in explaining.ordinary(made)}
    np.testing.assert_array_equal(ordinary["weekday"][rows], ordinary["weekday"][like])
    profile = next(block for block in made.calendar if block.name == "week_profile")
    of_rest = ["rest days" in name for name in profile.columns]
    assert profile.values[rows, of_rest].all()
    assert not ordinary["week_profile"][rows, of_rest].any()


def test_a_model_that_knows_no_parts_is_refused_alone_and_in_an_ensemble(frame: pl.DataFrame, made: Design) -> None:
    train = training(DE, frame, first=date(2024, 2, 3), last=TESTED)
    for recipe in (Naive(), Ensemble(("naive", "linear"), (0.5, 0.5))):
        with pytest.raises(ConfigError, match=r"model 'naive' cannot be explained.*linear, boosted"):
            explaining.terms(recipe.fit(train), made)


def test_trees_that_change_nothing_leave_the_terms_of_linear(learned: FittedEnsemble, made: Design) -> None:
    linear, boosted = members(learned)
    silent = FittedBoosted(Boosted(), linear, boosted.trees, 0.0, boosted.calibration)
    found = silent.parts(made)
    for name, values in linear.parts(made).items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-15)


PARTS = st.lists(st.floats(-1, 1), min_size=1, max_size=6)


@given(typical=st.floats(1, 12), parts=PARTS)
def test_megawatts_sum_to_the_load_and_have_the_signs_of_their_parts(typical: float, parts: list[float]) -> None:
    logs = {f"part {n}": np.array([value]) for n, value in enumerate(parts)}
    found = explaining.in_megawatts({"typical": np.array([typical]), **logs})
    assert sum(found.values())[0] == pytest.approx(np.exp(typical + sum(parts)), rel=1e-9)
    assert found["typical"][0] == np.exp(typical)
    assert all(np.sign(found[name][0]) == np.sign(values[0]) for name, values in logs.items())


@given(value=st.floats(-1, 1), parts=PARTS)
def test_a_value_that_is_shared_out_is_all_there(value: float, parts: list[float]) -> None:
    among = {f"part {n}": np.array([each]) for n, each in enumerate(parts)}
    found = explaining.shared_out(np.array([value]), among)
    assert sum(found.values())[0] == pytest.approx(value, rel=1e-12, abs=1e-300)
    assert list(found) == list(among)
    assert all(abs(each[0]) <= abs(value) * (1 + 1e-12) for each in found.values())
