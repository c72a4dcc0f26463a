"""Weather columns against plain loops: what is smoothed, held, bent, and left unknown."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcast.contracts import LOAD, Block, Design, Floats
from gridcast.features import weather
from gridcast.features.design import design
from gridcast.market.days import DAY, HOUR, Times, origins
from gridcast.market.zones import zone
from gridcast.store import snapshot
from strategies import FORECAST_WEATHER, OBSERVED_WEATHER, history, minutes, rows

MEMORY_HOURS = 14 * 24
DE = zone("DE_LU")
UNKNOWN = float("nan")


def block_of(path: Floats, *, width: int, per_hour: int = 1, variable: str = "temperature_2m") -> Block:
    """The block of every interval of windows that are all ``width`` long."""
    count = path.shape[1] - width
    origin, step = (index.reshape(-1) for index in np.indices((len(path), width)))
    return weather.block(variable, path, window=(origin, count + step), steps_per_hour=per_hour)


def column(block: Block, name: str) -> Floats:
    return block.values[:, block.columns.index(name)]


def slow_held(path: list[float], limit: int) -> list[float]:
    held, last, age = [], UNKNOWN, 0
    for value in path:
        last, age = (last, age + 1) if np.isnan(value) else (value, 0)
        held.append(last if age <= limit else UNKNOWN)
    return held


def slow_smoothed(held: list[float], keep: float) -> list[float]:
    smoothed: list[float] = []
    state = UNKNOWN
    for value in held:
        state = value if np.isnan(state) else keep * state + (1 - keep) * value
        smoothed.append(state)
    return smoothed


@given(data=st.data(), per_hour=st.sampled_from([1, 2, 4]))
def test_columns_are_what_plain_loops_find(data: st.DataObject, per_hour: int) -> None:
    width, memory = 6 * per_hour, 50 * per_hour
    random = np.random.default_rng(data.draw(st.integers(0, 2**31)))
    path = random.normal(12, 8, (2, memory + width))
    path[random.random(path.shape) < data.draw(st.sampled_from([0.0, 0.2, 0.6]))] = np.nan
    if data.draw(st.booleans()):
        path[0, : 10 * per_hour] = np.nan
    block = block_of(path, width=width, per_hour=per_hour)
    for origin, course in enumerate(path.tolist()):
        short, long = slow_held(course, 3 * per_hour), slow_held(course, len(course))
        smoothed = {
            f"smoothed {keep}": slow_smoothed(long, keep ** (1 / per_hour)) for keep in (0.8, 0.95, 0.98, 0.995)
        }
        window = [value for value in short[memory:] if not np.isnan(value)]
        for step in range(width):
            place, row = memory + step, origin * width + step
            expected = {
                "now": long[place],
                "24 h before": long[place - 24 * per_hour],
                "48 h before": long[place - 48 * per_hour],
                "1 h before": long[place - per_hour],
                "highest": max(window, default=UNKNOWN),
                "lowest": min(window, default=UNKNOWN),
                "mean": sum(window) / max(len(window), 1),
            } | {name: values[place] for name, values in smoothed.items()}
            expected |= {f"{name} over 10": max(value - 10, 0) for name, value in expected.items() if " h " not in name}
            expected |= {
                f"{name} over 25": max(value - 25, 0) for name, value in expected.items() if " over " not in name
            }
            whole = np.isfinite([short[place], *(long[place - h * per_hour] for h in (1, 2, 3, 6, 24, 48))]).all()
            assert np.isfinite(block.values[row]).all() == whole
            if whole:
                found = [column(block, name)[row] for name in expected]
                np.testing.assert_allclose(found, list(expected.values()), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("per_hour", [1, 4])
def test_a_value_stands_in_for_three_hours_and_no_longer(per_hour: int) -> None:
    path = np.full((1, (MEMORY_HOURS + 24) * per_hour), 5.0)
    begin = MEMORY_HOURS * per_hour
    path[0, begin + 6 * per_hour : begin + 12 * per_hour] = np.nan
    known = np.isfinite(column(block_of(path, width=24 * per_hour, per_hour=per_hour), "now"))
    assert known[: 9 * per_hour].all()
    assert not known[9 * per_hour : 12 * per_hour].any()
    assert known[12 * per_hour :].all()


def test_only_temperatures_bend() -> None:
    path = np.full((1, MEMORY_HOURS + 24), 17.0)
    warm, sunny = block_of(path, width=24), block_of(path, width=24, variable="direct_radiation")
    assert (column(warm, "now over 15") == 2).all()
    assert (column(warm, "smoothed 0.98 over 18") == 0).all()
    assert not any(" over " in name for name in sunny.columns)
    assert set(sunny.columns) < set(warm.columns)
    assert len(set(warm.columns)) == len(warm.columns) == warm.values.shape[1]


def test_a_constant_temperature_is_constant_however_smoothed() -> None:
    block = block_of(np.full((1, MEMORY_HOURS + 24), 17.0), width=24)
    plain = [name for name in block.columns if " over " not in name]
    np.testing.assert_allclose([column(block, name) for name in plain], 17.0)


def test_nothing_is_known_where_no_value_ever_was() -> None:
    assert np.isnan(block_of(np.full((2, MEMORY_HOURS + 24), np.nan), width=24).values).all()


# --- in a design -----------------------------------------------------------------------------------------------------

FIRST, DAY_ASKED, LAST = date(2024, 3, 10), date(2024, 5, 10), date(2024, 5, 13)


def made(frame: pl.DataFrame, inputs: tuple[str, ...] = ("load", "calendar", "weather", "tso")) -> Design:
    asked = origins(DE, first=DAY_ASKED, last=DAY_ASKED + timedelta(days=2))
    return design(snapshot(frame, zone=DE, issue_times=asked.issue_time), asked, inputs=inputs)


def frame_with(*weather: str) -> pl.DataFrame:
    return history(DE, first=FIRST, last=LAST, weather=weather)


def test_forecast_and_observed_weather_are_never_mixed() -> None:
    both, observed, forecast = (
        made(frame_with(*names))
        for names in ((FORECAST_WEATHER, OBSERVED_WEATHER), (OBSERVED_WEATHER,), (FORECAST_WEATHER,))
    )
    assert [block.name for block in both.weather] == [FORECAST_WEATHER]
    assert [block.name for block in observed.weather] == [OBSERVED_WEATHER]
    assert (both.weather_basis, observed.weather_basis, forecast.weather_basis) == ("forecast", "observed", "forecast")
    absurd = frame_with(FORECAST_WEATHER, OBSERVED_WEATHER).with_columns(
        value=pl.when(pl.col("variable") == OBSERVED_WEATHER).then(999.0).otherwise("value")
    )
    np.testing.assert_array_equal(both.weather[0].values, made(absurd).weather[0].values)
    none = made(frame_with())
    assert (none.weather, none.weather_basis) == ((), "none")


def test_observed_weather_is_there_though_it_is_published_days_later() -> None:
    block = made(frame_with(OBSERVED_WEATHER)).weather[0]
    assert np.isfinite(block.values[-48:]).all()


def test_the_past_of_a_path_is_what_earlier_origins_knew_of_it() -> None:
    """A run that came out after an interval's own issue time does not improve the memory of it."""
    frame = frame_with(FORECAST_WEATHER)
    issue = origins(DE, first=DAY_ASKED, last=DAY_ASKED + timedelta(days=1)).issue_time[0]
    before = pl.lit((issue - 3 * DAY).item()).dt.replace_time_zone("UTC")
    too_late = (
        (pl.col("variable") == FORECAST_WEATHER)
        & (pl.col("valid_time") < before)
        & (pl.col("published_at") > pl.col("valid_time"))
    )
    assert frame.filter(too_late).height > 10 * 24
    other = frame.with_columns(value=pl.when(too_late).then(50.0).otherwise("value"))
    np.testing.assert_array_equal(made(frame).weather[0].values, made(other).weather[0].values)


def test_coarser_weather_holds_for_every_interval_inside_it() -> None:
    frame = history(DE, first=FIRST, last=LAST, step=15, weather=(OBSERVED_WEATHER,))
    now = column(made(frame).weather[0], "now")[-192:].reshape(-1, 4)
    assert (now == now[:, :1]).all()
    assert len(np.unique(now)) > 1


def times_from(start: str, *, count: int, step: int) -> Times:
    return np.datetime64(start, "us") + np.arange(count) * minutes(step)


def test_a_path_reaches_from_a_fortnight_before_the_window_to_its_end() -> None:
    start = times_from("2024-05-01", count=2, step=24 * 60)
    path = weather.path_times(start, resolution=HOUR, width=25)
    assert path.shape == (2, MEMORY_HOURS + 25)
    assert path[1, 0] == start[1] - 14 * DAY
    assert path[1, MEMORY_HOURS] == start[1]
    assert path[1, -1] == start[1] + 24 * HOUR


def test_the_span_of_a_day_is_of_its_own_hours_be_they_23_24_or_25() -> None:
    times = times_from("2024-08-01", count=24 * 100, step=60)
    values = np.random.default_rng(3).normal(10, 5, len(times))
    load = rows("DE_LU", LOAD, times, value=1000.0, published_at=times + 3 * HOUR)
    seen = rows("DE_LU", OBSERVED_WEATHER, times, value=values, published_at=times)
    asked = origins(DE, first=date(2024, 10, 26), last=date(2024, 10, 29))
    block = design(snapshot(pl.concat([load, seen]), zone=DE, issue_times=asked.issue_time), asked)
    for number, hours in zip(np.flatnonzero(block.wanted), (24, 25, 24), strict=True):
        start = block.origins.start[number]
        own = values[(times >= start) & (times < block.origins.end[number])]
        assert len(own) == hours
        for name, value in {"highest": own.max(), "lowest": own.min(), "mean": own.mean()}.items():
            np.testing.assert_allclose(column(block.weather[0], name)[block.origin == number], value)
