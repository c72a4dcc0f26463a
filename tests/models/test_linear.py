"""`linear`: what it does with and without the operator, when an input is missing, and with faults in its history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gridcast.contracts import LOAD, MEDIAN, TSO_FORECAST, Design, Floats
from gridcast.errors import TooLittleHistory
from gridcast.features.design import LAG_DAYS, RUN_UP_DAYS
from gridcast.market.days import DAY, HOUR, Times
from gridcast.market.zones import BiddingZone, zone
from gridcast.models import Fitted, expected, recipe
from gridcast.models.linear import FittedLinear, Linear
from gridcast.sources import demo, tabular
from strategies import FORECAST_WEATHER, history, to_forecast, training

DE, DK_1 = zone("DE_LU"), zone("DK_1")
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


def truth(frame: pl.DataFrame, made: Design) -> Floats:
    load = frame.filter(pl.col("variable") == LOAD).sort("published_at").unique("valid_time", keep="last")
    by_time = dict(zip(load["valid_time"].dt.replace_time_zone(None), load["value"], strict=True))
    return np.array([by_time[time] for time in made.valid_time[made.wanted_rows].astype(object)])


def error(frame: pl.DataFrame, made: Design, model: Fitted) -> float:
    return float(np.abs(np.log(model.predict(made)[:, MEDIAN] / truth(frame, made))).mean())


def without(made: Design, *kinds: str) -> Design:
    if "tso" in kinds:
        made = replace(made, tso=np.full_like(made.tso, np.nan))
    if "weather" in kinds:
        made = replace(made, weather=())
    return made


# --- inputs that may be missing --------------------------------------------------------------------------------------


def test_each_missing_input_costs_something_and_nothing_is_lost_altogether(
    frame: pl.DataFrame, learned: tuple[Design, FittedLinear], made: Design
) -> None:
    model = learned[1]
    assert model.with_tso
    full, blind = error(frame, made, model), error(frame, without(made, "tso", "weather"), model)
    no_tso, no_weather = error(frame, without(made, "tso"), model), error(frame, without(made, "weather"), model)
    assert full < 0.9 * min(no_tso, no_weather)
    assert max(no_tso, no_weather) < blind < 0.1


def test_where_the_operators_forecast_is_missing_the_load_is_forecast_without_it(
    learned: tuple[Design, FittedLinear], made: Design
) -> None:
    model = learned[1]
    lacking = made.tso.copy()
    rows = np.flatnonzero(made.wanted_rows)
    lacking[rows[::2]] = np.nan
    full, part, alone = (model.point(each)[rows] for each in (made, replace(made, tso=lacking), without(made, "tso")))
    own = replace(model, near=None).point(made)[rows]
    np.testing.assert_array_equal(alone, own)
    np.testing.assert_array_equal(part[::2], own[::2])
    assert (np.abs(part[::2] - full[::2]) > 1e-6).all()
    assert (
        np.abs(part[1::2] - full[1::2]).mean() < 0.2 * np.abs(part[::2] - full[::2]).mean()
    )  # its neighbours are gone
    assert np.isfinite(model.predict(replace(made, tso=lacking))).all()


def test_the_forecast_is_between_its_own_and_the_one_near_the_operators(
    learned: tuple[Design, FittedLinear], made: Design
) -> None:
    model = learned[1]
    assert 0 < model.share < 1
    own, mixed, near = (replace(model, share=share).point(made) for share in (0.0, model.share, 1.0))
    known = np.isfinite(made.tso)
    np.testing.assert_array_equal(mixed[~known], own[~known])
    np.testing.assert_allclose(mixed[known], (own + model.share * (near - own))[known], rtol=1e-12)


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


# --- the operator's forecast -----------------------------------------------------------------------------------------


def of_operator(frame: pl.DataFrame, change: Callable[[Floats], Floats]) -> pl.DataFrame:
    """The frame with another operator, who forecasts a function of the true load."""
    load = frame.filter(pl.col("variable") == LOAD).sort("published_at").unique("valid_time", keep="last")
    made = frame.join(load.select("valid_time", true="value"), on="valid_time", how="left", maintain_order="left")
    value = pl.Series(change(made["true"].to_numpy()))
    return made.with_columns(
        value=pl.when(pl.col("variable") == TSO_FORECAST).then(value).otherwise("value"), true=None
    ).drop("true")


@pytest.mark.parametrize("factor", [1.0, 1.3])
def test_an_operator_who_is_always_right_or_always_wrong_by_as_much_is_followed(
    factor: float, frame: pl.DataFrame
) -> None:
    world = of_operator(frame, lambda load: factor * load)
    model = Linear().fit(training(DE, world, first=FIRST + timedelta(days=2), last=TESTED))
    made = to_forecast(DE, world, first=TESTED + timedelta(days=2), days=10)
    assert model.share > 0.99
    assert error(world, made, model) < 1e-4


def test_an_operator_who_knows_nothing_is_hardly_listened_to(frame: pl.DataFrame) -> None:
    random = np.random.default_rng(0)
    world = of_operator(frame, lambda load: 1000 * np.exp(random.normal(0, 0.3, len(load))))
    train = training(DE, world, first=FIRST + timedelta(days=2), last=TESTED)
    model, alone = Linear().fit(train), Linear().fit(without(train, "tso"))
    made = to_forecast(DE, world, first=TESTED + timedelta(days=2), days=10)
    assert 0 <= model.share < 0.3
    assert error(world, made, model) < 1.08 * error(world, made, alone)


def test_an_operators_forecast_that_most_rows_lack_is_not_learned(
    learned: tuple[Design, FittedLinear], made: Design
) -> None:
    train, _ = learned
    rare = np.where(np.arange(len(train.tso)) % 4 == 0, np.nan, train.tso)
    model = Linear().fit(replace(train, tso=rare))
    assert not model.with_tso
    assert model.share == 0
    np.testing.assert_array_equal(model.point(made), model.point(without(made, "tso")))


# --- what it says of the rows it learned from ------------------------------------------------------------------------


def test_held_out_errors_are_those_of_rows_not_seen(learned: tuple[Design, FittedLinear]) -> None:
    train, model = learned
    target = expected.log_target(train)
    rows = np.isfinite(model.held_out) & np.isfinite(target)
    assert rows.mean() > 0.7
    inside, outside = (float(np.abs(target - each)[rows].mean()) for each in (model.point(train), model.held_out))
    assert inside < outside < 2.5 * inside


def test_what_is_held_out_of_a_block_of_four_weeks_does_not_depend_on_its_load(
    learned: tuple[Design, FittedLinear],
) -> None:
    """But for which rows count less as outliers, and for the expectation that all rows share."""
    train, model = learned
    block = expected.folds(train) == 3
    moved = Linear().fit(train.with_target(np.where(block, 1.03 * train.target, train.target)))
    inside, outside = (np.nanmean(np.abs(moved.held_out - model.held_out)[rows]) for rows in (block, ~block))
    in_sample = np.nanmean((moved.point(train) - model.point(train))[block & np.isfinite(train.target)])
    assert inside < 0.25 * in_sample
    assert 0.01 < in_sample < 0.03
    assert outside < 0.03


def test_the_bands_are_those_of_the_held_out_errors(learned: tuple[Design, FittedLinear]) -> None:
    train, model = learned
    every = replace(train, wanted=np.ones_like(train.wanted))
    target = expected.log_target(train)
    rows = np.isfinite(model.held_out) & np.isfinite(target)
    fan = np.log(model.calibration.fan(model.held_out, design=every))[rows]
    assert 100 * ((target[rows] >= fan[:, 2]) & (target[rows] <= fan[:, -3])).mean() == pytest.approx(80, abs=1)


def test_its_parameters_change_the_fit_and_its_seed_does_not(
    learned: tuple[Design, FittedLinear], made: Design
) -> None:
    train, model = learned
    fan = model.predict(made)
    np.testing.assert_array_equal(Linear().fit(train, seed=9).predict(made), fan)
    for other in (Linear(half_life_days=60), Linear(strength=20)):
        assert not np.allclose(other.fit(train).predict(made), fan, rtol=1e-4)


# --- a backtest does what a single forecast does ---------------------------------------------------------------------


@pytest.mark.parametrize("day", [0, 26, 75])
def test_one_origin_has_the_fan_it_has_in_a_longer_backtest(
    day: int, frame: pl.DataFrame, learned: tuple[Design, FittedLinear]
) -> None:
    """Right after the training, while held-out forecasts are in the memory, and long after; a load of 24 months on."""
    model = learned[1]
    last = TESTED + timedelta(days=78)
    longer = history(DE, first=FIRST, last=last + timedelta(days=1), weather=(FORECAST_WEATHER,))
    whole = to_forecast(DE, longer, first=TESTED, days=77)
    issue = whole.origins.issue_time[whole.wanted][day]
    wanted = whole.origins.issue_time == issue
    among = model.predict(whole)[(whole.origins.issue_time[whole.origin] == issue)[whole.wanted_rows]]
    alone = to_forecast(DE, longer, first=TESTED + timedelta(days=day))
    for each in (alone, whole.take(wanted, run_up=RUN_UP_DAYS * DAY)):
        np.testing.assert_allclose(model.predict(each), among, rtol=1e-12)
    short = whole.take(wanted, run_up=LAG_DAYS * DAY)
    assert not np.allclose(model.predict(short), among, rtol=1e-5)  # a shorter run-up would not do


# --- faults in the history, and a load that changes for good ---------------------------------------------------------

BEGIN, LEARNED, END = date(2016, 6, 1), date(2018, 2, 5), date(2018, 9, 1)


@cache
def denmark() -> pl.DataFrame:
    return demo.observations(DK_1, start=BEGIN, end=END, fetched_at=datetime(2026, 1, 1, tzinfo=UTC))


def of_load(frame: pl.DataFrame, change: Callable[[Times, Floats], Floats]) -> pl.DataFrame:
    """The frame with a function of the times and the values in place of its load."""
    times, value = frame["valid_time"].dt.replace_time_zone(None).to_numpy(), frame["value"].to_numpy()
    changed = pl.Series(change(times, value))
    return frame.with_columns(value=pl.when(pl.col("variable") == LOAD).then(changed).otherwise("value"))


def learn(frame: pl.DataFrame, name: str = "linear", *, where: BiddingZone = DK_1) -> tuple[Design, Fitted]:
    train = training(where, frame, first=BEGIN + timedelta(days=2), last=LEARNED)
    return train, recipe(name).fit(train)


@cache
def undisturbed(name: str) -> tuple[Design, Fitted]:
    return learn(denmark(), name)


def spikes(times: Times, load: Floats) -> Floats:
    """Every hundredth hour is three times what it was, or a fifth."""
    random = np.random.default_rng(1)
    fault = np.where(random.random(len(times)) < 0.5, 3.0, 0.2)
    hit = (random.random(len(times)) < 0.01) & (times < np.datetime64(LEARNED))
    return np.where(hit, fault * load, load)


def during(first: str, days: int, value: Callable[[Floats], Floats]) -> Callable[[Times, Floats], Floats]:
    begin = np.datetime64(first, "us") + 7 * HOUR
    return lambda times, load: np.where((times >= begin) & (times < begin + days * DAY), value(load), load)


FAULTS = {
    "spikes": spikes,
    "a week of kilowatts": during("2017-11-07", 7, lambda load: 1000 * load),
    "kilowatts until just before": during("2018-01-26", 7, lambda load: 1000 * load),
    "two days without any load": during("2017-11-07", 2, lambda load: 0 * load),
    "two days of next to nothing": during("2017-11-07", 2, lambda load: 0 * load + 5),
}
COST = {"kilowatts until just before": 1.04}
"""The newest ten days lack a week: the only one that takes something away."""


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        pytest.param(name, fault, marks=[] if (name, fault) in {("linear", "spikes"), ("linear", "a week of kilowatts")}
                     else [pytest.mark.long])
        for name in ("linear", "boosted", "ensemble") for fault in FAULTS
    ],
)  # fmt: skip
def test_a_fault_in_the_history_worsens_the_forecasts_by_two_percent_at_most(name: str, fault: str) -> None:
    """In what it learned to forecast, and in the past that it saw meanwhile."""
    made = to_forecast(DK_1, denmark(), first=LEARNED + timedelta(days=2), days=21)
    train, model = undisturbed(name)
    faulty = training(DK_1, of_load(denmark(), FAULTS[fault]), first=BEGIN + timedelta(days=2), last=LEARNED)
    usual, limit = error(denmark(), made, model), COST.get(fault, 1.02)
    found = {
        what: error(denmark(), made, recipe(name).fit(each)) / usual
        for what, each in {"target": train.with_target(faulty.target), "all": faulty}.items()
    }
    print(name, fault, found)
    assert max(found.values()) < limit


def regime_change(frame: pl.DataFrame, model: Fitted, *, where: BiddingZone, first: date, every: int = 24) -> Floats:
    """Errors by day after the load falls by 10 %, over the usual error: the mean of eight times that it does."""
    days, errors = 14, []
    for number in range(8):
        day = first + timedelta(days=number * every)
        fallen = of_load(
            frame, lambda times, load, day=day: np.where(times >= np.datetime64(day, "us"), 0.9 * load, load)
        )
        usual, after = (to_forecast(where, each, first=day, days=days) for each in (frame, fallen))
        local = usual.local_day[usual.wanted_rows].astype("datetime64[D]")
        actual = truth(frame, usual)
        size = [
            np.abs(np.log(model.predict(each)[:, MEDIAN] / actual / factor))
            for each, factor in ((usual, 1.0), (after, 0.9))
        ]
        errors.append([[each[local == one].mean() for one in np.unique(local)] for each in size])
    before, since = np.mean(errors, axis=0)
    return np.asarray(since / before.mean())


@pytest.mark.parametrize("name", ["linear", pytest.param("ensemble", marks=pytest.mark.long)])
def test_a_load_that_falls_by_a_tenth_for_good_is_followed_within_a_week(name: str) -> None:
    model = undisturbed(name)[1]
    ratio = regime_change(denmark(), model, where=DK_1, first=LEARNED + timedelta(days=3))
    print(name, np.round(ratio, 2))
    assert ratio[0] > 2
    assert ratio[7:].mean() < {"linear": 1.5, "ensemble": 1.4}[name]


@pytest.mark.long
def test_a_real_load_that_falls_by_a_tenth_for_good_is_followed_within_a_week(shared_data: Path) -> None:
    where = zone("DK")
    frame = tabular.read(
        shared_data / "DK_load_2015_2018.csv.gz", zone=where, fetched_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    ratio = regime_change(frame, learn(frame, where=where)[1], where=where, first=LEARNED + timedelta(days=3))
    print(np.round(ratio, 2))
    assert ratio[7:].mean() < 1.3


@pytest.mark.parametrize("factor", [10.0, 1000.0, 0.001])
def test_an_operator_s_forecast_in_another_unit_is_as_none(
    made: Design, learned: tuple[Design, FittedLinear], factor: float
) -> None:
    model, hour = learned[1], np.flatnonzero(made.wanted_rows)[40]
    strange = made.tso.copy()
    strange[hour] *= factor
    fan, none = (model.predict(replace(made, tso=each)) for each in (strange, np.full_like(made.tso, np.nan)))
    usual = model.predict(made)
    np.testing.assert_allclose(fan[40, MEDIAN], none[40, MEDIAN], rtol=0.02)
    np.testing.assert_allclose(fan[[38, 42], MEDIAN], usual[[38, 42], MEDIAN], rtol=0.02)
    every = model.predict(replace(made, tso=factor * made.tso))
    np.testing.assert_allclose(every[:, MEDIAN], none[:, MEDIAN], rtol=0.02)


def test_a_meter_that_is_dead_from_the_start_is_too_little_history(learned: tuple[Design, FittedLinear]) -> None:
    train = learned[0]
    with pytest.raises(TooLittleHistory, match="0 days of load"):
        Linear().fit(train.with_target(np.zeros_like(train.target)))


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
