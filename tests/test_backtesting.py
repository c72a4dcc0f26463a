"""The rolling origin: what it refuses, leaves out, scores, and when it learns what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcast import backtesting, contracts, metrics
from gridcast.backtesting import Backtest, Plan, plausible
from gridcast.contracts import FORECAST, LOAD, MEDIAN, QUANTILES, TSO_FORECAST, Design, Floats
from gridcast.errors import ConfigError, OutsideData, TooLittleHistory
from gridcast.market.days import HOUR, Task, origins
from gridcast.market.zones import zone
from gridcast.models import Fitted, recipe
from gridcast.sources import demo
from strategies import OBSERVED_WEATHER, history, minutes

DE, DK_1 = zone("DE_LU"), zone("DK_1")
BEGIN, FIRST, LAST, END = date(2024, 7, 10), date(2024, 10, 14), date(2024, 11, 8), date(2024, 11, 10)
SCORES = {
    "mae_mw",
    "rmse_mw",
    "mape_pct",
    "bias_mw",
    "crps_mw",
    "coverage_50_pct",
    "coverage_80_pct",
    "coverage_90_pct",
    "coverage_95_pct",
    "mape_ordinary_pct",
    "mape_holiday_pct",
    "mape_bridge_pct",
    "skill_vs_naive",
    "skill_vs_tso",
    "n",
    "origins",
    "fit_seconds",
    "predict_seconds",
}
"""What the design promises."""


def without_revisions(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.sort("published_at").unique(["zone", "variable", "valid_time"], keep="first", maintain_order=True)


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return without_revisions(history(DE, first=BEGIN, last=END, weather=(OBSERVED_WEATHER,)))


@pytest.fixture(scope="module")
def made(frame: pl.DataFrame) -> Backtest:
    recipes = {name: recipe(name) for name in ("naive", "linear")}
    return backtesting.run(Plan(DE, FIRST, LAST), frame, recipes=recipes)


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (BEGIN, FIRST),
        (BEGIN - timedelta(days=400), BEGIN - timedelta(days=300)),
        (FIRST, END + timedelta(days=1)),
        (END + timedelta(days=5), END + timedelta(days=9)),
    ],
)
def test_a_period_outside_the_data_is_refused_and_told_what_they_cover(
    first: date, last: date, frame: pl.DataFrame
) -> None:
    with pytest.raises(OutsideData, match="the load of DE_LU reaches from 2024-07-10 to 2024-11-09") as caught:
        backtesting.run(Plan(DE, first, last), frame, recipes={})
    assert (caught.value.first, caught.value.last) == (BEGIN, END - timedelta(days=1))


def test_the_last_day_of_the_data_is_inside(frame: pl.DataFrame) -> None:
    last = backtesting.run(Plan(DE, END - timedelta(days=1), END), frame, recipes={"naive": recipe("naive")})
    assert last.scores()["naive"]["n"] == 24


def test_data_without_any_load_of_the_zone_are_refused(frame: pl.DataFrame) -> None:
    for nothing in (frame.filter(pl.col("variable") != LOAD), frame.with_columns(zone=pl.lit("FR"))):
        with pytest.raises(OutsideData, match="there is no load of DE_LU") as caught:
            backtesting.run(Plan(DE, FIRST, LAST), nothing, recipes={})
        assert caught.value.first is None


@pytest.mark.parametrize("last", [FIRST, FIRST - timedelta(days=3)])
def test_a_period_without_a_delivery_day_is_refused(last: date, frame: pl.DataFrame) -> None:
    with pytest.raises(ConfigError, match="has no delivery day"):
        backtesting.run(Plan(DE, FIRST, last), frame, recipes={})


def test_a_period_too_short_for_a_window_of_24_hours_is_refused(frame: pl.DataFrame) -> None:
    plan = Plan(DE, FIRST, FIRST + timedelta(days=1), task=Task.NEXT_24H)
    with pytest.raises(ConfigError, match="no window of next_24h"):
        backtesting.run(plan, frame, recipes={"naive": recipe("naive")})


@pytest.mark.parametrize(("name", "days"), [("naive", 1), ("naive", 2), ("naive", 9), ("linear", 1), ("linear", 50)])
def test_too_little_history_is_said_so(name: str, days: int, frame: pl.DataFrame) -> None:
    first = BEGIN + timedelta(days=days)
    with pytest.raises(TooLittleHistory, match="DE_LU") as caught:
        backtesting.run(Plan(DE, first, first + timedelta(days=3)), frame, recipes={name: recipe(name)})
    assert caught.value.have < caught.value.needed  # type: ignore[operator]


# --- what is left out ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda value: value * 1.6, id="a spike up"),
        pytest.param(lambda value: value * 0.6, id="a spike down"),
        pytest.param(lambda value: value * 0, id="zero"),
        pytest.param(lambda value: -value, id="negative"),
        pytest.param(lambda value: value * 10, id="ten times"),
    ],
)
@pytest.mark.parametrize("hours", [1, 3, 6])
def test_a_planted_fault_is_left_out_for_every_model_alike(
    damage: Callable[[pl.Expr], pl.Expr], hours: int, frame: pl.DataFrame, made: Backtest
) -> None:
    begin = datetime(2024, 11, 3, 5, tzinfo=UTC)  # a week later is outside the period
    hit = (pl.col("variable") == LOAD) & pl.col("valid_time").is_between(begin, begin + timedelta(hours=hours - 1))
    spoiled = frame.with_columns(value=pl.when(hit).then(damage(pl.col("value"))).otherwise("value"))
    found = backtesting.run(Plan(DE, FIRST, LAST), spoiled, recipes={"naive": recipe("naive")})
    assert (made.n_excluded, found.n_excluded) == (0, hours)
    out = found.valid_time[np.isnan(found.actual)]
    start = np.datetime64(begin.replace(tzinfo=None), "us")
    np.testing.assert_array_equal(out, start + np.arange(hours) * HOUR)
    assert found.scores()["naive"]["n"] <= len(found.actual) - hours


def test_a_gap_is_left_out_and_not_filled(frame: pl.DataFrame) -> None:
    begin = datetime(2024, 11, 3, 5, tzinfo=UTC)  # a week later is outside the period
    hit = (pl.col("variable") == LOAD) & pl.col("valid_time").is_between(begin, begin + timedelta(hours=8))
    found = backtesting.run(Plan(DE, FIRST, LAST), frame.filter(~hit), recipes={"naive": recipe("naive")})
    assert found.n_excluded == 9
    table = found.forecasts()
    assert table.filter(pl.col("actual").is_null())["valid_time"].n_unique() == 9


def test_where_one_model_has_no_forecast_no_model_is_scored(frame: pl.DataFrame) -> None:
    gap = datetime(2024, 10, 18, 5, tzinfo=UTC)
    holed = frame.filter((pl.col("variable") != LOAD) | (pl.col("valid_time") != gap))
    plan = Plan(DE, FIRST, LAST)
    both = backtesting.run(plan, holed, recipes={name: recipe(name) for name in ("naive", "linear")})
    alone = backtesting.run(plan, holed, recipes={"linear": recipe("linear")})
    assert (both.n_excluded, alone.n_excluded) == (2, 1)
    assert both.scores()["linear"]["n"] == both.scores()["naive"]["n"] == len(both.actual) - 2
    missing = np.isnan(both.replays["naive"].fan).any(axis=1)
    assert both.valid_time[missing].tolist() == [(gap + timedelta(days=7)).replace(tzinfo=None)]


def year_of_hours() -> tuple[np.ndarray, Floats]:
    wall = np.datetime64("2015-11-01", "us") + np.arange(90 * 24) * HOUR
    hour = np.arange(len(wall)) % 24
    weekend = (wall.astype("datetime64[D]").astype(int) + 3) % 7 >= 5
    load = 4000 * (1 + 0.25 * np.sin((hour - 9) * np.pi / 12)) * np.where(weekend, 0.85, 1.0)
    return wall, load * np.exp(np.random.default_rng(0).normal(0, 0.01, len(wall)))


def test_the_peak_of_christmas_eve_is_no_fault() -> None:
    """Denmark's real one: at 17:00 6 % over 16:00, and 16 % down an hour later."""
    wall, load = year_of_hours()
    eve = int(np.flatnonzero(wall == np.datetime64("2015-12-24T17:00"))[0])
    load[eve] = 1.06 * load[eve - 1]
    load[eve + 1 : eve + 4] = 0.84 * load[eve]
    assert plausible(load, wall, resolution=minutes(60)).all()
    load[eve] = 1.5 * load[eve - 1]
    assert np.flatnonzero(~plausible(load, wall, resolution=minutes(60))).tolist() == [eve]


@given(place=st.integers(24, 89 * 24), length=st.integers(1, 6), size=st.floats(0.45, 1.0), up=st.booleans())
def test_any_run_of_up_to_six_hours_with_jumps_at_both_ends_is_a_fault(
    place: int, length: int, size: float, up: bool
) -> None:
    wall, load = year_of_hours()
    load[place : place + length] *= np.exp(size if up else -size)
    good = plausible(load, wall, resolution=minutes(60))
    assert np.flatnonzero(~good).tolist() == list(range(place, place + length))


@given(place=st.integers(24, 88 * 24), length=st.integers(7, 30), size=st.floats(-0.15, 0.15))
def test_what_is_long_or_small_may_be_true(place: int, length: int, size: float) -> None:
    wall, load = year_of_hours()
    long, small = load.copy(), load.copy()
    long[place : place + length] *= 1.5
    small[place : place + 3] *= np.exp(size)
    assert plausible(long, wall, resolution=minutes(60)).all()
    assert plausible(small, wall, resolution=minutes(60)).all()


def test_a_fault_of_quarter_hours_may_be_as_long_as_one_of_hours() -> None:
    wall, hours = year_of_hours()
    quarters, load = wall[0] + np.arange(4 * len(wall)) * minutes(15), np.repeat(hours, 4)
    load[5000:5024] *= 1.5
    load[6000:6025] *= 1.5
    assert np.flatnonzero(~plausible(load, quarters, resolution=minutes(15))).tolist() == list(range(5000, 5024))


# --- references and scores -------------------------------------------------------------------------------------------


def test_naive_is_the_same_local_hour_seven_days_before_through_a_change_of_the_clocks(
    frame: pl.DataFrame, made: Backtest
) -> None:
    load = frame.filter(pl.col("variable") == LOAD)
    by_time = dict(zip(load["valid_time"], load["value"], strict=True))
    local, errors = ZoneInfo(DE.local_tz), []
    day = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=local)
    time, end = day.astimezone(UTC), datetime(LAST.year, LAST.month, LAST.day, tzinfo=local).astimezone(UTC)
    naive = []
    while time < end:
        clock = time.astimezone(local).replace(tzinfo=None) - timedelta(days=7)
        naive.append(by_time[clock.replace(tzinfo=local).astimezone(UTC)])
        errors.append(abs(naive[-1] - by_time[time]))
        time += timedelta(hours=1)
    assert len(errors) == 25 * 24 + 1  # with the day of 25 hours
    np.testing.assert_array_equal(made.naive, naive)
    scores = made.scores()["naive"]
    assert scores["mae_mw"] == pytest.approx(sum(errors) / len(errors), rel=1e-12)
    assert scores["n"] == len(errors)
    assert scores["origins"] == 25
    assert scores["skill_vs_naive"] == pytest.approx(0, abs=1e-12)


def test_scores_are_what_the_design_promises_and_what_the_metrics_say(made: Backtest, frame: pl.DataFrame) -> None:
    scores = made.scores()
    assert set(scores) == {"naive", "linear"}
    for name, found in scores.items():
        assert set(found) == SCORES
        fan, actual = made.replays[name].fan, made.actual
        assert found["mae_mw"] == metrics.mae(actual, fan[:, MEDIAN])
        assert found["rmse_mw"] == metrics.rmse(actual, fan[:, MEDIAN])
        assert found["mape_pct"] == metrics.mape(actual, fan[:, MEDIAN])
        assert found["bias_mw"] == metrics.bias(actual, fan[:, MEDIAN])
        assert found["crps_mw"] == metrics.crps(actual, fan, quantiles=QUANTILES)
        for share, (low, high) in {50: (3, 5), 80: (2, 6), 90: (1, 7), 95: (0, 8)}.items():
            inside = (fan[:, low] <= actual) & (actual <= fan[:, high])
            assert found[f"coverage_{share}_pct"] == 100 * inside.mean()
        for number, kind in enumerate(("ordinary", "holiday", "bridge")):
            off = np.abs(fan[:, MEDIAN] / actual - 1)[made.day_kind == number]
            by_hand = pytest.approx(100 * off.mean()) if len(off) else None
            assert found[f"mape_{kind}_pct"] == by_hand
        assert found["fit_seconds"] > 0  # type: ignore[operator]
        assert found["predict_seconds"] > 0  # type: ignore[operator]
    mae = {name: metrics.mae(made.actual, each.fan[:, MEDIAN]) for name, each in made.replays.items()}
    assert scores["linear"]["skill_vs_naive"] == pytest.approx(1 - mae["linear"] / mae["naive"])
    tso = frame.filter(pl.col("variable") == TSO_FORECAST)
    by_time = dict(zip(tso["valid_time"].dt.replace_time_zone(None), tso["value"], strict=True))
    np.testing.assert_array_equal(made.tso, [by_time[time] for time in made.valid_time.astype(object)])
    assert scores["linear"]["skill_vs_tso"] == pytest.approx(1 - mae["linear"] / metrics.mae(made.actual, made.tso))
    assert made.weather_basis == "observed"


def test_a_skill_is_over_the_rows_that_the_reference_has(made: Backtest) -> None:
    half = np.where(np.arange(len(made.tso)) % 2 == 0, made.tso, np.nan)
    found = replace(made, tso=half).scores()["linear"]
    rows = np.isfinite(half)
    point = made.replays["linear"].fan[:, MEDIAN]
    expected = 1 - metrics.mae(made.actual[rows], point[rows]) / metrics.mae(made.actual[rows], half[rows])
    assert found["skill_vs_tso"] == pytest.approx(expected)
    assert found["n"] == len(rows)
    none = replace(made, tso=np.full_like(half, np.nan)).scores()["linear"]
    assert none["skill_vs_tso"] is None


def test_where_nothing_can_be_scored_every_score_is_none(made: Backtest) -> None:
    found = replace(made, actual=np.full_like(made.actual, np.nan)).scores()["linear"]
    assert set(found) == SCORES
    assert {name for name, value in found.items() if value is None} == SCORES - {
        "n",
        "origins",
        "fit_seconds",
        "predict_seconds",
    }
    assert (found["n"], found["origins"]) == (0, 0)


def test_the_table_of_forecasts_is_a_valid_one_of_each_model_with_the_actuals_beside_it(made: Backtest) -> None:
    table = made.forecasts()
    assert table.columns == [*FORECAST, "actual"]
    assert table["actual"].null_count() == 0
    for name in made.replays:
        own = table.filter(pl.col("model_version") == f"backtest:{name}").drop("actual")
        assert contracts.forecast(own, origins=origins(DE, first=FIRST, last=LAST)).height == own.height
        np.testing.assert_array_equal(own["value"].to_numpy().reshape(-1, 9), made.replays[name].fan)
    assert table.height == 2 * 9 * len(made.actual)
    assert table.drop("actual").schema == FORECAST


# --- when it learns what ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Watching:
    """A recipe that notes the designs it was fitted on and asked about."""

    name: str = "watching"
    trained: list[Design] = field(default_factory=list)
    asked: list[Design] = field(default_factory=list)

    def fit(self, design: Design, *, seed: int = 0) -> Fitted:
        self.trained.append(design)
        fitted = recipe("naive").fit(design, seed=seed)

        @dataclass(frozen=True)
        class Watched:
            recipe: Watching
            calibration = fitted.calibration

            def predict(self, design: Design) -> Floats:
                self.recipe.asked.append(design)
                return fitted.predict(design)

        return Watched(self)  # type: ignore[return-value]


@pytest.fixture
def watched(frame: pl.DataFrame) -> tuple[Watching, list[tuple[int, int]]]:
    watching, calls = Watching(), []
    backtesting.run(
        Plan(DE, FIRST, LAST),
        frame,
        recipes={"watching": watching},
        progress=lambda done, of: calls.append((done, of)),
    )
    return watching, calls


def test_a_model_is_refitted_every_month_on_what_was_public_at_its_first_issue(
    watched: tuple[Watching, list[tuple[int, int]]],
) -> None:
    watching, calls = watched
    assert calls == [(1, 2), (2, 2)]
    trained = sorted(watching.trained, key=lambda each: len(each.origins))
    asked = sorted(watching.asked, key=lambda each: each.origins.issue_time[-1])
    days = [each.origins.take(each.wanted).start for each in asked]
    assert [len(each) for each in days] == [18, 7]  # of October, of November
    for train, block in zip(trained, asked, strict=True):
        at = block.origins.issue_time[block.wanted][0]
        assert (train.origins.issue_time < at).all()
        out = train.valid_time + 3 * HOUR <= at  # the end of the hour and two more
        before = train.valid_time < train.origins.start[train.wanted][0]
        assert np.isnan(train.target[~out]).all()
        assert np.isfinite(train.target[out & ~before]).all()
        assert train.valid_time[np.isfinite(train.target)].max() + 3 * HOUR == at
        assert np.isnan(block.target).all()


def test_the_first_month_learns_from_every_day_that_the_load_reaches_back_over(
    watched: tuple[Watching, list[tuple[int, int]]],
) -> None:
    first = min(watched[0].trained, key=lambda each: len(each.origins))
    wanted = first.origins.take(first.wanted)
    expected = origins(DE, first=BEGIN + timedelta(days=1), last=FIRST)
    np.testing.assert_array_equal(wanted.issue_time, expected.issue_time)


def test_progress_counts_every_refit_of_every_model(frame: pl.DataFrame) -> None:
    calls: list[tuple[int, int]] = []
    recipes = {name: recipe("naive") for name in "abc"}
    backtesting.run(Plan(DE, FIRST, LAST), frame, recipes=recipes, progress=lambda *call: calls.append(call))
    assert calls == [(done, 6) for done in range(1, 7)]


def test_two_runs_give_the_same_forecasts_to_the_bit(frame: pl.DataFrame) -> None:
    plan = Plan(DE, LAST - timedelta(days=2), LAST, seed=5)
    recipes = {name: recipe(name) for name in ("linear", "boosted", "ensemble")}
    one, two = (backtesting.run(plan, frame, recipes=recipes) for _ in range(2))
    for name in recipes:
        np.testing.assert_array_equal(one.replays[name].fan, two.replays[name].fan)
    other = backtesting.run(replace(plan, seed=6), frame, recipes={"boosted": recipe("boosted")})
    assert not np.array_equal(one.replays["boosted"].fan, other.replays["boosted"].fan)


def test_an_error_of_a_model_ends_the_run(frame: pl.DataFrame) -> None:
    @dataclass(frozen=True)
    class Broken:
        name: str = "broken"

        def fit(self, design: Design, *, seed: int = 0) -> Fitted:
            raise RuntimeError("broken")

        def load(self, folder: object) -> Fitted:
            raise NotImplementedError

    with pytest.raises(RuntimeError, match="broken"):
        backtesting.run(Plan(DE, FIRST, LAST), frame, recipes={"broken": Broken()})


def test_next_24h_is_issued_four_times_a_day_and_only_inside_the_period(frame: pl.DataFrame) -> None:
    last = FIRST + timedelta(days=4)
    plan = Plan(DE, FIRST, last, task=Task.NEXT_24H)
    found = backtesting.run(plan, frame, recipes={"naive": recipe("naive"), "linear": recipe("linear")})
    starts, scores = found.valid_time[np.diff(found.origin, prepend=-1) != 0], found.scores()
    assert len(starts) == scores["naive"]["origins"] == 12
    window = origins(DE, first=FIRST, last=last)
    assert starts.min() == window.start[0] + HOUR
    assert found.valid_time.max() < window.end[-1]
    assert scores["linear"]["mae_mw"] < scores["naive"]["mae_mw"]  # type: ignore[operator]


# --- a floor under the accuracy --------------------------------------------------------------------------------------


def test_on_the_demo_the_ensemble_beats_naive_by_what_it_did_when_this_was_written() -> None:
    """Three years of synthetic western Denmark, the last eight weeks, with a change of the clocks and Easter.

    Measured: 0.534 of naive, 75.7 % and 94.0 % covered; ``pytest -s`` shows it.
    """
    last = date(2018, 4, 2)
    observations = demo.observations(
        DK_1, start=date(2015, 4, 1), end=last + timedelta(days=1), fetched_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    recipes = {name: recipe(name) for name in ("naive", "ensemble")}
    found = backtesting.run(Plan(DK_1, last - timedelta(weeks=8), last), observations, recipes=recipes)
    naive, ensemble = (found.scores()[name] for name in recipes)
    ratio, covered = ensemble["mae_mw"] / naive["mae_mw"], ensemble["coverage_80_pct"]  # type: ignore[operator]
    print(f"ensemble / naive {ratio:.3f}, 80 % band covers {covered:.1f} %, 95 % {ensemble['coverage_95_pct']:.1f} %")
    assert found.weather_basis == "forecast"
    assert ratio < 0.56
    assert 74 <= covered <= 86  # type: ignore[operator]
    assert 90 <= ensemble["coverage_95_pct"] <= 99  # type: ignore[operator]
