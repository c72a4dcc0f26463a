"""How good the peaks and the energies of whole days were."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from gridcast import backtesting
from gridcast.backtesting import DAY_SCORES, Backtest, Plan
from gridcast.contracts import MEDIAN
from gridcast.market.days import HOUR, Task, local_wall
from gridcast.market.zones import zone
from gridcast.models import recipe
from gridcast.pipeline import plan, read_file, replay
from strategies import OBSERVED_WEATHER, history

DE = zone("DE_LU")
BEGIN, FIRST, LAST, END = date(2024, 7, 10), date(2024, 10, 21), date(2024, 11, 8), date(2024, 11, 10)


@pytest.fixture(scope="module")
def frame():
    frame = history(DE, first=BEGIN, last=END, weather=(OBSERVED_WEATHER,))
    return frame.sort("published_at").unique(["zone", "variable", "valid_time"], keep="first", maintain_order=True)


@pytest.fixture(scope="module")
def made(frame) -> Backtest:
    return backtesting.run(Plan(DE, FIRST, LAST), frame, recipes={name: recipe(name) for name in ("naive", "linear")})


def days_of(made, values):
    """The values of each delivery day, and the local clock of each of its hours."""
    clock = (
        local_wall(made.valid_time, DE.local_tz) - local_wall(made.valid_time, DE.local_tz).astype("M8[D]")
    ) // HOUR
    for number in np.unique(made.origin):
        rows = made.origin == number
        yield values[rows], clock[rows].astype(int)


def test_they_are_what_a_loop_over_the_days_finds(made):
    assert list(made.days()) == ["naive", "linear"]
    for name, scores in made.days().items():
        days = made.replays[name].days
        actual = list(days_of(made, made.actual))
        peak = np.array([load.max() for load, _ in actual])
        hour = np.array([clock[load.argmax()] for load, clock in actual])
        energy = np.array([load.sum() for load, _ in actual])
        assert {23, 24, 25} >= {len(load) for load, _ in actual} == {24, 25}
        found = days.energy[:, MEDIAN]
        assert scores == {
            "peak_mae_mw": pytest.approx(np.abs(days.peak[:, MEDIAN] - peak).mean()),
            "peak_hour_hit_pct": pytest.approx(100 * (np.abs(days.hour.argmax(axis=1) - hour) <= 1).mean()),
            "peak_coverage_80_pct": pytest.approx(100 * ((days.peak[:, 2] <= peak) & (peak <= days.peak[:, 6])).mean()),
            "energy_mape_pct": pytest.approx(100 * (np.abs(found - energy) / energy).mean()),
            "energy_coverage_80_pct": pytest.approx(
                100 * ((days.energy[:, 2] <= energy) & (energy <= days.energy[:, 6])).mean()
            ),
            "n": 18,
        }
        assert set(scores) == {*DAY_SCORES, "n"}


def test_the_days_are_those_of_the_forecasts(made):
    replayed = made.replays["linear"]
    for number, (medians, _) in enumerate(days_of(made, replayed.fan[:, MEDIAN])):
        assert replayed.days.energy[number, MEDIAN] == pytest.approx(medians.sum(), rel=0.01)
        assert replayed.days.peak[number, MEDIAN] >= medians.max()


def test_a_day_with_an_hour_that_cannot_be_scored_does_not_count(made):
    actual = made.actual.copy()
    actual[made.origin == made.origin[30]] = np.where(np.arange(24) == 7, np.nan, actual[24:48])
    assert replace(made, actual=actual).days()["linear"]["n"] == 17
    nothing = replace(made, actual=np.full_like(actual, np.nan)).days()["linear"]
    assert nothing == dict.fromkeys(DAY_SCORES) | {"n": 0}


def test_a_model_that_is_too_young_to_draw_futures_has_no_score(frame):
    first = BEGIN + timedelta(days=25)
    young = backtesting.run(Plan(DE, first, first + timedelta(days=3)), frame, recipes={"naive": recipe("naive")})
    assert young.scores()["naive"]["n"] == 72
    assert young.days()["naive"] == dict.fromkeys(DAY_SCORES) | {"n": 0}


def test_windows_that_are_no_days_have_no_such_scores(frame):
    task = backtesting.run(Plan(DE, LAST, END, task=Task.NEXT_24H), frame, recipes={"naive": recipe("naive")})
    assert task.days() == {}
    assert task.scores()["naive"]["n"] > 0


def test_on_denmark_in_2018_the_bands_of_peak_and_energy_hold(shared_data):
    denmark = zone("DK")
    file = shared_data / "DK_load_2015_2018.csv.gz"
    rows, _ = read_file(file, zone=denmark, fetched_at=datetime(2026, 1, 1, tzinfo=UTC))
    period = plan(denmark, first=date(2018, 1, 1), last=date(2018, 5, 1))
    found = replay(period, rows, recipes={name: recipe(name) for name in ("linear", "naive")}).days()
    assert found["linear"]["n"] >= 115
    for name in ("peak_coverage_80_pct", "energy_coverage_80_pct"):
        assert found["linear"][name] == pytest.approx(80, abs=12)
    assert found["linear"]["energy_mape_pct"] < 0.7 * found["naive"]["energy_mape_pct"]
    assert found["linear"]["peak_mae_mw"] < 0.7 * found["naive"]["peak_mae_mw"]
    assert found["linear"]["peak_hour_hit_pct"] > 75
