"""`linear`: fallbacks for missing inputs, memory of the last days, honest held-out errors."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gridcast.contracts import LOAD, MEDIAN, Design
from gridcast.market.zones import zone
from gridcast.models import expected
from gridcast.models.linear import FittedLinear, Linear
from strategies import FORECAST_WEATHER, history, to_forecast, training

DE = zone("DE_LU")
FIRST, TESTED = date(2023, 11, 1), date(2024, 6, 3)


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return history(DE, first=FIRST, last=TESTED + timedelta(days=20), weather=(FORECAST_WEATHER,))


@pytest.fixture(scope="module")
def learned(frame: pl.DataFrame) -> tuple[Design, FittedLinear]:
    train = training(DE, frame, first=FIRST + timedelta(days=2), last=TESTED)
    return train, Linear().fit(train)


@pytest.fixture(scope="module")
def made(frame: pl.DataFrame) -> Design:
    return to_forecast(DE, frame, first=TESTED + timedelta(days=2), days=10)


def truth(frame: pl.DataFrame, made: Design) -> np.ndarray:
    load = frame.filter(pl.col("variable") == LOAD).sort("published_at").unique("valid_time", keep="last")
    by_time = dict(zip(load["valid_time"].dt.replace_time_zone(None), load["value"], strict=True))
    return np.array([by_time[time] for time in made.valid_time[made.wanted_rows].astype(object)])


def error(frame: pl.DataFrame, made: Design, model: FittedLinear) -> float:
    return float(np.abs(np.log(model.predict(made)[:, MEDIAN] / truth(frame, made))).mean())


def without(made: Design, *kinds: str) -> Design:
    if "tso" in kinds:
        made = replace(made, tso=np.full_like(made.tso, np.nan))
    if "weather" in kinds:
        made = replace(made, weather=())
    return made


def test_each_missing_input_costs_something_and_nothing_is_lost_altogether(
    frame: pl.DataFrame, learned: tuple[Design, FittedLinear], made: Design
) -> None:
    model = learned[1]
    assert model.with_tso
    assert len(model.ridge.coefficients) == 4
    full, blind = error(frame, made, model), error(frame, without(made, "tso", "weather"), model)
    no_tso, no_weather = error(frame, without(made, "tso"), model), error(frame, without(made, "weather"), model)
    assert full < 0.9 * min(no_tso, no_weather)
    assert max(no_tso, no_weather) < blind < 0.1


def test_the_fallback_for_a_missing_input_is_the_variant_without_it(
    learned: tuple[Design, FittedLinear], made: Design
) -> None:
    model = learned[1]
    full = model.predict(made)
    lacking = made.tso.copy()
    rows = np.flatnonzero(made.wanted_rows)
    lacking[rows[::2]] = np.nan
    fan = model.predict(replace(made, tso=lacking))
    assert (fan[::2] != full[::2]).all()
    assert np.isfinite(fan).all()
    alone = model.predict(without(made, "tso"))
    np.testing.assert_allclose(fan[::2][:12], alone[::2][:12], rtol=0.01)


def test_weather_that_is_absent_is_as_weather_that_is_unknown(
    learned: tuple[Design, FittedLinear], made: Design, tmp_path: Path
) -> None:
    model = learned[1]
    unknown = tuple(replace(block, values=np.full_like(block.values, np.nan)) for block in made.weather)
    expected_fan = model.predict(replace(made, weather=unknown))
    assert np.isfinite(expected_fan).all()
    model.save(tmp_path)
    for each in (model, Linear().load(tmp_path)):
        np.testing.assert_array_equal(each.predict(without(made, "weather")), expected_fan)
        strange = (replace(made.weather[0], name="another"),)
        np.testing.assert_array_equal(each.predict(replace(made, weather=strange)), expected_fan)


def test_a_rise_of_the_last_days_is_followed(frame: pl.DataFrame, learned: tuple[Design, FittedLinear]) -> None:
    """Without the operator's help: the whole load is 8 % higher than it ever was, for a week."""
    model = learned[1]
    day = TESTED + timedelta(days=10)
    raised = frame.with_columns(
        value=pl.when((pl.col("variable") == LOAD) & (pl.col("valid_time").dt.date() >= day - timedelta(days=8)))
        .then(1.08 * pl.col("value"))
        .otherwise("value")
    )
    before, after = (without(to_forecast(DE, each, first=day), "tso") for each in (frame, raised))
    ratio = model.predict(after)[:, MEDIAN] / model.predict(before)[:, MEDIAN]
    assert 1.01 < ratio.mean() < 1.09


def test_held_out_errors_are_those_of_rows_not_seen(learned: tuple[Design, FittedLinear]) -> None:
    train, model = learned
    target = expected.log_target(train)
    rows = np.isfinite(model.held_out) & np.isfinite(target)
    assert rows.mean() > 0.8
    inside, outside = (float(np.abs(target - each)[rows].mean()) for each in (model.point(train), model.held_out))
    assert inside < outside < 2 * inside


def test_the_bands_are_those_of_the_held_out_errors(learned: tuple[Design, FittedLinear]) -> None:
    train, model = learned
    target = expected.log_target(train)
    rows = np.isfinite(model.held_out) & np.isfinite(target)
    fan = np.log(model.calibration.fan(model.held_out[rows], design=train, rows=rows))
    assert 100 * ((target[rows] >= fan[:, 2]) & (target[rows] <= fan[:, -3])).mean() == pytest.approx(80, abs=1)


def test_an_operators_forecast_that_most_rows_lack_is_not_learned(learned: tuple[Design, FittedLinear]) -> None:
    train, _ = learned
    rare = np.where(np.arange(len(train.tso)) % 4 == 0, np.nan, train.tso)
    model = Linear().fit(replace(train, tso=rare))
    assert not model.with_tso
    assert len(model.ridge.coefficients) == 2
    none = Linear().fit(replace(train, tso=rare, weather=()))
    assert len(none.ridge.coefficients) == 1


def test_its_parameters_change_the_fit_and_its_seed_does_not(
    learned: tuple[Design, FittedLinear], made: Design
) -> None:
    train, model = learned
    fan = model.predict(made)
    np.testing.assert_array_equal(Linear().fit(train, seed=9).predict(made), fan)
    for other in (Linear(half_life_days=60), Linear(strength=20)):
        assert not np.allclose(other.fit(train).predict(made), fan, rtol=1e-4)
