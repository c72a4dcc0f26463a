"""Thousands of issue times at once, or one by one: the same design and the same forecasts, value for value."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridcast.contracts import Design
from gridcast.features.design import RUN_UP_DAYS, design, with_target
from gridcast.market.days import DAY, Origins, Task, instant, next_24h_window, origins
from gridcast.market.zones import BiddingZone, zone
from gridcast.models import Fitted, recipe
from gridcast.store import snapshot
from strategies import (
    FORECAST_WEATHER,
    OBSERVED_WEATHER,
    arrays_of,
    assert_same,
    delivery_days,
    history,
    utc,
    zone_codes,
)

SPRING, AUTUMN = date(2024, 3, 31), date(2024, 10, 27)


def bulk_and_singles(frame: pl.DataFrame, asked: Origins, *, each: int = 1) -> tuple[Design, list[Design]]:
    """One design of all origins, and one of every ``each``-th from a snapshot of its own."""
    where = asked.zone
    whole = snapshot(frame, zone=where, issue_times=asked.issue_time)
    alone = []
    for number in range(0, len(asked), each):
        one = asked.take(slice(number, number + 1))
        own = snapshot(frame, zone=where, issue_times=one.issue_time, resolution=whole.resolution)
        alone.append(design(own, one))
    return design(whole, asked), alone


def check_same(bulk: Design, alone: list[Design]) -> None:
    for each in alone:
        issue = each.origins.issue_time[each.wanted]
        assert len(issue) == 1
        assert np.isfinite(each.lag_load[each.wanted_rows]).any()
        assert_same(
            arrays_of(bulk, origins=bulk.wanted & (bulk.origins.issue_time == issue)),
            arrays_of(each, origins=each.wanted),
        )


def around(where: BiddingZone, day: date, *, task: Task = Task.DAY_AHEAD, days: int = 2) -> Origins:
    return origins(where, first=day - timedelta(days=days), last=day + timedelta(days=days), task=task)


def frame_around(where: BiddingZone, day: date, **options: object) -> pl.DataFrame:
    first, last = day - timedelta(days=RUN_UP_DAYS + 12), day + timedelta(days=4)
    return history(where, first=first, last=last, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("day", [SPRING, AUTUMN])
@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize(("code", "step"), [("DE_LU", 60), ("DE_LU", 15), ("GB", 30), ("FI", 60), ("DK", 60)])
def test_a_bulk_design_is_the_designs_of_its_origins(code: str, step: int, task: Task, day: date) -> None:
    asked = around(zone(code), day, task=task)
    bulk, alone = bulk_and_singles(
        frame_around(zone(code), day, step=step), asked, each=1 if task is Task.DAY_AHEAD else 3
    )
    assert bulk.resolution == np.timedelta64(step, "m")
    check_same(bulk, alone)


@st.composite
def some_days(draw: st.DrawFn) -> tuple[pl.DataFrame, Origins]:
    """A few days of any zone, whose data may have many holes, with any or no weather."""
    code, seed = draw(zone_codes()), draw(st.integers(0, 1000))
    day = draw(delivery_days(code))
    weather = draw(
        st.sampled_from([(), (FORECAST_WEATHER,), (OBSERVED_WEATHER,), ("wind_speed_10m", FORECAST_WEATHER)])
    )
    frame = frame_around(zone(code), day, weather=weather, seed=seed)
    holes = np.random.default_rng(seed).random(frame.height) < draw(st.sampled_from([0.0, 0.1, 0.5]))
    return frame.filter(~holes), around(zone(code), day, task=draw(st.sampled_from(Task)), days=1)


@settings(max_examples=6)
@given(some=some_days())
def test_a_bulk_design_is_the_designs_of_its_origins_on_any_day(some: tuple[pl.DataFrame, Origins]) -> None:
    check_same(*bulk_and_singles(*some, each=3))


@pytest.mark.long
@settings(max_examples=300)
@given(some=some_days())
def test_a_bulk_design_is_the_designs_of_its_origins_on_many_days(some: tuple[pl.DataFrame, Origins]) -> None:
    check_same(*bulk_and_singles(*some, each=3))


def test_two_days_a_season_apart_in_one_design_are_what_each_is_alone() -> None:
    """A design that holds a day of 25 hours has wider windows than one that holds none."""
    where = zone("DE_LU")
    frame = history(where, first=date(2024, 8, 1), last=date(2024, 12, 20))
    first, last = date(2024, 10, 10), date(2024, 12, 19)
    bulk, alone = bulk_and_singles(frame, origins(where, first=first, last=last), each=10)
    widths = {int((each.origins.end - each.origins.start).max() / np.timedelta64(1, "h")) for each in alone}
    assert widths == {24, 25}
    check_same(bulk, alone)


@pytest.mark.parametrize("task", list(Task))
def test_a_slice_of_a_design_is_the_design_of_the_slice(task: Task) -> None:
    where = zone("DE_LU")
    frame = frame_around(where, AUTUMN)
    asked = around(where, AUTUMN, task=task, days=3)
    bulk = design(snapshot(frame, zone=where, issue_times=asked.issue_time), asked)
    wanted = np.flatnonzero(bulk.wanted)[[2, 3]]
    mask = np.isin(np.arange(len(bulk.origins)), wanted)
    part = bulk.take(mask, run_up=RUN_UP_DAYS * DAY)
    assert len(part.origins) < len(bulk.origins)
    assert_same(arrays_of(bulk, origins=mask), arrays_of(part, origins=part.wanted))
    assert (part.lag_row[part.wanted_rows] >= 0).any()


def test_an_issue_at_an_odd_time_is_the_same_alone_and_among_others() -> None:
    where = zone("DK_1")
    frame = frame_around(where, AUTUMN)
    odd = [next_24h_window_at(hour) for hour in (1, 5, 9, 23)]
    asked = Origins(where, Task.NEXT_24H, *(np.array(column, "datetime64[us]") for column in zip(*odd, strict=True)))
    bulk, alone = bulk_and_singles(frame, asked)
    for each in alone:
        issue = each.origins.issue_time[each.wanted]
        left = arrays_of(bulk, origins=bulk.origins.issue_time == issue)
        right = arrays_of(each, origins=each.wanted)
        # Their memories differ: among others, an odd issue is one more origin that forecast the past.
        own = {name for name in left if not name.startswith(("lag_row", "recent_row", "weather."))}
        assert_same({name: left[name] for name in own}, {name: right[name] for name in own})


def next_24h_window_at(hour: int) -> tuple[np.datetime64, np.datetime64, np.datetime64]:
    """Issue time, start and end of the window issued at twenty past that hour (UTC) of the autumn change."""
    at = utc(2024, 10, 27, hour, 20)
    start, end = next_24h_window(at)
    return instant(at), instant(start), instant(end)


@pytest.fixture(scope="module")
def trained() -> tuple[pl.DataFrame, BiddingZone, dict[str, Fitted]]:
    where = zone("DE_LU")
    frame = history(where, first=date(2024, 8, 1), last=date(2024, 11, 3))
    asked = origins(where, first=date(2024, 8, 10), last=date(2024, 10, 20))
    known = snapshot(frame, zone=where, issue_times=asked.issue_time)
    train = with_target(design(known, asked), known, at=asked.issue_time[-1])
    return frame, where, {name: recipe(name).fit(train) for name in ("naive", "linear", "boosted", "ensemble")}


@pytest.mark.parametrize("name", ["naive", "linear", "boosted", "ensemble"])
def test_a_bulk_forecast_is_the_forecasts_of_its_origins(
    name: str, trained: tuple[pl.DataFrame, BiddingZone, dict[str, Fitted]]
) -> None:
    frame, where, models = trained
    bulk, alone = bulk_and_singles(frame, origins(where, first=date(2024, 10, 25), last=date(2024, 10, 30)))
    fan = models[name].predict(bulk)
    assert np.isfinite(fan).all()
    np.testing.assert_allclose(fan, np.concatenate([models[name].predict(each) for each in alone]), rtol=1e-12)
