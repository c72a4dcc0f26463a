"""A backtest's forecast of a day is the one that would have been issued that day, to the bit.

The other road is production's: only the rows that were public then, a snapshot of its own, a model fitted at the same
instant.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest

from gridcast import backtesting
from gridcast.backtesting import Backtest, Plan
from gridcast.contracts import OBSERVED, Floats
from gridcast.features.design import design, with_target
from gridcast.market.days import Origins, Task, local_day, origins
from gridcast.market.zones import BiddingZone, zone
from gridcast.models import Fitted, recipe
from gridcast.store import snapshot
from strategies import FORECAST_WEATHER, OBSERVED_WEATHER, history, minutes

BEGIN, FIRST, LAST = date(2024, 7, 20), date(2024, 10, 25), date(2024, 11, 4)
NAMES = ("naive", "similar_day", "ensemble")  # which holds the other two


@dataclass(frozen=True)
class Case:
    where: BiddingZone
    step: int
    task: Task
    weather: str
    names: tuple[str, ...] = NAMES

    @property
    def tested(self) -> Origins:
        return origins(self.where, first=FIRST, last=LAST, task=self.task)

    @property
    def learned_from(self) -> Origins:
        """Every origin of the data, up to the last one tested."""
        return origins(self.where, first=BEGIN + timedelta(days=1), last=LAST, task=self.task)


@cache
def frame_of(case: Case) -> pl.DataFrame:
    return history(case.where, first=BEGIN, last=LAST + timedelta(days=2), step=case.step, weather=(case.weather,))


CASES = {
    "hours": Case(zone("DE_LU"), 60, Task.DAY_AHEAD, FORECAST_WEATHER),
    "quarters": Case(zone("DE_LU"), 15, Task.DAY_AHEAD, FORECAST_WEATHER, ("naive",)),
    "quarters, linear": Case(zone("DE_LU"), 15, Task.DAY_AHEAD, FORECAST_WEATHER, ("linear",)),
    "a portfolio": Case(zone("DK"), 60, Task.DAY_AHEAD, OBSERVED_WEATHER, ("naive", "linear")),
    "next 24 h": Case(zone("DK_1"), 60, Task.NEXT_24H, FORECAST_WEATHER, ("naive", "linear")),
}

LONG = {"quarters, linear": pytest.mark.long}


def public_then(frame: pl.DataFrame, at: np.datetime64) -> pl.DataFrame:
    was_public = pl.col("published_at").dt.replace_time_zone(None) <= at.item()
    return frame.filter(was_public | pl.col("variable").str.ends_with(OBSERVED))


def refit(case: Case, *, at: np.datetime64, seed: int) -> dict[str, Fitted]:
    """Models trained at ``at`` on nothing but what was public then."""
    own = case.learned_from.take(case.learned_from.issue_time < at)
    if case.task is Task.NEXT_24H:  # a window over the edge of the tested period is no part of a backtest
        own = own.take((own.end <= case.tested.start[0] - np.timedelta64(1, "h")) | (own.start >= case.tested.start[0]))
    issue_times = np.append(own.issue_time, at)
    known = snapshot(
        public_then(frame_of(case), at), zone=case.where, issue_times=issue_times, resolution=minutes(case.step)
    )
    train = with_target(design(known, own), known, at=at)
    return {name: recipe(name).fit(train, seed=seed) for name in case.names}


def issued(case: Case, one: Origins, *, models: dict[str, Fitted]) -> dict[str, Floats]:
    at = one.issue_time[0]
    known = snapshot(
        public_then(frame_of(case), at), zone=case.where, issue_times=one.issue_time, resolution=minutes(case.step)
    )
    return {name: model.predict(design(known, one)) for name, model in models.items()}


def check_replay(case: Case, replayed: Backtest) -> int:
    """How many values were compared: of every day, or of every fifth issue of a task that has four a day."""
    every = np.unique(replayed.origin)
    months = local_day(replayed.origins.start[every], case.where.market_tz).astype("datetime64[M]")
    firsts = {month: every[months == month][0] for month in np.unique(months)}
    assert len(firsts) == 2
    models = {
        month: refit(case, at=replayed.origins.issue_time[first], seed=replayed.plan.seed)
        for month, first in firsts.items()
    }
    checked = 0
    for number, month in list(zip(every, months, strict=True))[:: 1 if case.task is Task.DAY_AHEAD else 5]:
        forecasts = issued(case, replayed.origins.take(slice(int(number), int(number) + 1)), models=models[month])
        rows = replayed.origin == number
        for name in case.names:
            assert np.isfinite(forecasts[name]).all()
            np.testing.assert_array_equal(replayed.replays[name].fan[rows], forecasts[name], err_msg=name)
            checked += forecasts[name].size
    return checked


@pytest.mark.parametrize("name", [pytest.param(name, marks=LONG.get(name, ())) for name in CASES])
def test_a_backtests_forecast_is_the_one_that_would_have_been_issued(name: str) -> None:
    case = CASES[name]
    plan = Plan(case.where, FIRST, LAST, task=case.task, seed=11)
    replayed = backtesting.run(plan, frame_of(case), recipes={each: recipe(each) for each in case.names})
    assert check_replay(case, replayed) > 3000
