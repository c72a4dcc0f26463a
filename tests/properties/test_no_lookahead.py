"""Nothing published after the issue time has a say: poison, boundaries, vintages, and mutants of the rule.

The checks are plain functions (``check_*``): tests run them on the rule as it is, and on mutants of it, where they must
fail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridcast.contracts import LOAD, OBSERVED, TSO_FORECAST, Design, Floats, Series
from gridcast.errors import LookaheadError
from gridcast.features.design import RUN_UP_DAYS, design, with_target
from gridcast.market.days import DAY, HOUR, Origins, Task, Times, lagged, local_day, origins
from gridcast.market.zones import BiddingZone, zone, zones
from gridcast.models import Fitted, recipe
from gridcast.store import snapshot
from strategies import (
    FORECAST_WEATHER,
    OBSERVED_WEATHER,
    arrays_of,
    assert_same,
    clock_changes,
    delivery_days,
    history,
    minutes,
    zone_codes,
)

YEAR = 2024
WEATHER = {0: (FORECAST_WEATHER, OBSERVED_WEATHER), 1: (OBSERVED_WEATHER,), 2: (FORECAST_WEATHER, "wind_speed_10m")}
STEPS = {"GB": 30, "VIC": 30, "DE_LU": 15}

# --- poison ----------------------------------------------------------------------------------------------------------


def late(frame: pl.DataFrame, after: np.datetime64) -> pl.Series:
    """Which rows were published after that instant and are not observed weather."""
    is_late = pl.col("published_at").dt.replace_time_zone(None) > after.item()
    return frame.select(is_late & ~pl.col("variable").str.ends_with(OBSERVED)).to_series()


def with_nonsense(frame: pl.DataFrame, after: np.datetime64) -> pl.DataFrame:
    """Late values are nonsense, and every value that was public is revised to nonsense afterwards."""
    is_late = late(frame, after)
    nonsense = frame.with_columns(value=pl.when(is_late).then(1e6).otherwise("value"))
    public = frame.filter(~is_late & ~frame["variable"].str.ends_with(OBSERVED))
    publications = pl.lit(after.item()).dt.replace_time_zone("UTC") + pl.col("delay")
    delays = pl.DataFrame({"delay": [timedelta(microseconds=1), timedelta(minutes=59), timedelta(days=40)]})
    revised = (
        public.unique(["zone", "variable", "valid_time"], maintain_order=True)
        .join(delays, how="cross")
        .with_columns(value=pl.lit(2e6), published_at=publications)
    )
    return pl.concat([nonsense, revised.select(frame.columns)])


def without_late(frame: pl.DataFrame, after: np.datetime64) -> pl.DataFrame:
    return frame.filter(~late(frame, after))


POISONS = (with_nonsense, without_late)


@dataclass(frozen=True)
class Case:
    """A zone's observations, three origins before, on and after a day, and what is made of them."""

    where: BiddingZone
    frame: pl.DataFrame
    asked: Origins
    models: tuple[Fitted, ...]

    def design(self, frame: pl.DataFrame, asked: Origins) -> Design:
        made = snapshot(
            frame, zone=self.where, issue_times=asked.issue_time, resolution=minutes(STEPS.get(self.where.code, 60))
        )
        return design(made, asked)

    def forecasts(self, made: Design) -> list[Floats]:
        return [model.predict(made) for model in self.models]


def case(code: str, day: date, *, names: tuple[str, ...] = ("naive", "linear"), seed: int = 0) -> Case:
    where = zone(code)
    first, last = day - timedelta(days=RUN_UP_DAYS + 8), day + timedelta(days=3)
    frame = history(where, first=first, last=last, step=STEPS.get(code, 60), weather=weather_of(code), seed=seed)
    delivery = [
        origins(where, first=each, last=each + timedelta(days=1))
        for each in (day + timedelta(days=n) for n in (-3, 0, 1))
    ]
    asked = Origins(
        where,
        Task.DAY_AHEAD,
        *(np.concatenate([getattr(each, name) for each in delivery]) for name in ("issue_time", "start", "end")),
    )
    return Case(where, frame, asked, tuple(trained(code, name) for name in names))


def weather_of(code: str) -> tuple[str, ...]:
    """Forecasts beside observations, observations alone, or two forecasts: the zones take turns."""
    return WEATHER[sorted(zones()).index(code) % len(WEATHER)]


@cache
def trained(code: str, name: str) -> Fitted:
    """A model of the zone, fitted on ten weeks of another year."""
    where, step = zone(code), STEPS.get(code, 60)
    train = origins(where, first=date(YEAR - 1, 2, 1), last=date(YEAR - 1, 4, 10))
    frame = history(where, first=date(YEAR - 1, 1, 30), last=date(YEAR - 1, 4, 10), step=step, weather=weather_of(code))
    known = snapshot(frame, zone=where, issue_times=train.issue_time, resolution=minutes(step))
    return recipe(name).fit(with_target(design(known, train), known, at=train.issue_time[-1]))


def check_poison(which: Case) -> None:
    """No value published after an issue time changes a feature or a forecast made at it, in bulk or alone."""
    clean = which.design(which.frame, which.asked)
    forecasts = which.forecasts(clean)
    check_something_is_there(which, clean, forecasts)
    for number, issue in enumerate(which.asked.issue_time):
        poison = POISONS[number % 2]
        poisoned = poison(which.frame, issue)
        assert not poisoned.equals(which.frame)
        dirty = which.design(poisoned, which.asked)
        until = clean.origins.issue_time <= issue
        assert_same(arrays_of(clean, origins=until), arrays_of(dirty, origins=until))
        rows = until[clean.origin[clean.wanted_rows]]
        part = dirty.take(
            until & dirty.wanted, run_up=RUN_UP_DAYS * DAY
        )  # what came later is poisoned, and of no interest
        for before, after in zip(forecasts, which.forecasts(part), strict=True):
            np.testing.assert_array_equal(before[rows], after)
    one = which.asked.take(slice(1, 2))
    alone = which.design(which.frame, one)
    dirty = which.design(with_nonsense(which.frame, one.issue_time[0]), one)
    assert_same(arrays_of(alone), arrays_of(dirty))
    assert (alone.tso_basis, alone.weather_basis) == (dirty.tso_basis, dirty.weather_basis)
    for before, after in zip(which.forecasts(alone), which.forecasts(dirty), strict=True):
        np.testing.assert_array_equal(before, after)


def check_something_is_there(which: Case, clean: Design, forecasts: list[Floats]) -> None:
    """The poison has something to hit, and the design something to show."""
    for issue in which.asked.issue_time:
        hit = which.frame.filter(late(which.frame, issue))
        wanted = {LOAD, TSO_FORECAST} | {name for name in weather_of(which.where.code) if not name.endswith(OBSERVED)}
        assert set(hit["variable"].unique()) == wanted
        inside = hit.filter(pl.col("valid_time").dt.replace_time_zone(None) < issue.item())
        assert LOAD in inside["variable"].unique()  # intervals that had begun, whose load was not out
    rows = clean.wanted_rows
    assert int(clean.wanted.sum()) == len(which.asked) == 3
    assert np.isfinite(clean.lag_load[rows][:, 1:]).all()
    assert np.isnan(clean.lag_load[rows][:, 0]).any()
    assert np.isfinite(clean.recent_load[clean.wanted]).mean() > 0.95
    assert all(np.isfinite(block.values[rows]).all() for block in clean.weather)
    assert clean.weather
    public = which.where.tso_input and which.where.code != "GB"  # issued at 09:00, an hour before that forecast
    assert np.isfinite(clean.tso[rows]).all() == public
    assert all(np.isfinite(fan).all() for fan in forecasts)


@pytest.mark.parametrize("code", sorted(zones()))
def test_no_value_published_after_the_issue_time_changes_a_feature_or_a_forecast(code: str) -> None:
    spring, autumn = clock_changes(zone(code), YEAR)
    for day in (spring, autumn):
        check_poison(case(code, day))


@settings(max_examples=4)
@given(data=st.data(), seed=st.integers(0, 10_000))
def test_poison_changes_nothing_on_any_day(data: st.DataObject, seed: int) -> None:
    code = data.draw(zone_codes())
    check_poison(case(code, data.draw(delivery_days(code)), seed=seed))


@pytest.mark.long
@settings(max_examples=200)
@given(data=st.data(), seed=st.integers(0, 10_000))
def test_poison_changes_nothing_on_many_days(data: st.DataObject, seed: int) -> None:
    code = data.draw(zone_codes())
    check_poison(case(code, data.draw(delivery_days(code)), seed=seed))


def test_poison_after_the_fit_changes_no_fitted_model_and_no_trees() -> None:
    """Every shipped model that needs no extra, and the training itself."""
    which = case("NO_1", date(2024, 10, 27), names=())
    frame = history(which.where, first=date(2024, 8, 10), last=date(2024, 10, 30), weather=weather_of("NO_1"))
    train = origins(which.where, first=date(2024, 8, 19), last=date(2024, 10, 24))
    at, last = train.issue_time[-1], which.asked.issue_time[-1:]
    names = ("naive", "similar_day", "linear", "boosted", "ensemble")
    forecasts = []
    for each in (frame, with_nonsense(frame, at), without_late(frame, at)):
        issue_times = np.concatenate([train.issue_time, last])  # the snapshot holds younger rows than the fit may see
        known = snapshot(each, zone=which.where, issue_times=issue_times)
        learned = with_target(design(known, train), known, at=at)
        clean = which.design(which.frame, which.asked)
        forecasts.append([recipe(name).fit(learned, seed=3).predict(clean) for name in names])
    for poisoned in forecasts[1:]:
        for name, before, after in zip(names, forecasts[0], poisoned, strict=True):
            np.testing.assert_array_equal(before, after, err_msg=name)


def test_next_24h_is_not_poisoned_either() -> None:
    where = zone("DE_LU")
    day = date(2024, 10, 27)
    frame = history(where, first=day - timedelta(days=RUN_UP_DAYS + 5), last=day + timedelta(days=4))
    asked = origins(where, first=day - timedelta(days=1), last=day + timedelta(days=2), task=Task.NEXT_24H)
    clean = design(snapshot(frame, zone=where, issue_times=asked.issue_time), asked)
    for issue in asked.issue_time[::2]:
        dirty = design(snapshot(with_nonsense(frame, issue), zone=where, issue_times=asked.issue_time), asked)
        until = clean.origins.issue_time <= issue
        assert_same(arrays_of(clean, origins=until), arrays_of(dirty, origins=until))
        assert not np.array_equal(clean.recent_load[~until], dirty.recent_load[~until], equal_nan=True)


# --- what was public is there, and it is the latest -------------------------------------------------------------------


@dataclass(frozen=True)
class Vintages:
    """Every vintage of one variable by interval, for plain loops."""

    of: dict[np.datetime64, list[tuple[np.datetime64, float]]]

    @classmethod
    def read(cls, frame: pl.DataFrame, variable: str) -> Vintages:
        rows = frame.filter(pl.col("variable") == variable).with_columns(
            pl.col("valid_time", "published_at").dt.replace_time_zone(None)
        )
        of: dict[np.datetime64, list[tuple[np.datetime64, float]]] = {}
        for valid, published, value in zip(
            rows["valid_time"].to_numpy(), rows["published_at"].to_numpy(), rows["value"], strict=True
        ):
            of.setdefault(valid, []).append((published, value))
        return cls(of)

    def latest(self, valid: np.datetime64, issue: np.datetime64) -> float:
        public = [(published, value) for published, value in self.of.get(valid, []) if not published > issue]
        return max(public)[1] if public else float("nan")


def one_case() -> tuple[pl.DataFrame, BiddingZone, Origins]:
    """Germany about the autumn change: its load of 08:00 is published at 11:00, the very time of the issue."""
    where = zone("DE_LU")
    day = date(2024, 10, 27)
    # Every ninth interval since the first is revised: from this one, 01:00 of the day before is, at the issue time.
    frame = history(where, first=day - timedelta(days=RUN_UP_DAYS + 7), last=day + timedelta(days=3))
    return frame, where, origins(where, first=day - timedelta(days=1), last=day + timedelta(days=2))


def check_latest_public_value() -> None:
    """Lags, recent load, operator's forecast and weather are what plain loops over the rows find."""
    frame, where, asked = one_case()
    bulk = design(snapshot(frame, zone=where, issue_times=asked.issue_time), asked)
    singles = [asked.take(slice(n, n + 1)) for n in range(len(asked))]
    alone = [design(snapshot(frame, zone=where, issue_times=one.issue_time), one) for one in singles]
    load, operator, weather = (Vintages.read(frame, name) for name in (LOAD, TSO_FORECAST, FORECAST_WEATHER))
    for made in (bulk, *alone):
        rows = np.flatnonzero(made.wanted_rows)
        issue = made.origins.issue_time[made.origin]
        days = range(1, made.lag_load.shape[1] + 1)
        clocks = np.stack([lagged(made.valid_time[rows], each, tz=where.local_tz) for each in days], axis=1)
        of_load = [[load.latest(at, issue[row]) for at in lags] for row, lags in zip(rows, clocks, strict=True)]
        np.testing.assert_array_equal(made.lag_load[rows], of_load)
        for number in np.flatnonzero(made.wanted):
            at = made.origins.issue_time[number]
            recent = [load.latest(at - n * HOUR, at) for n in range(1, made.recent_load.shape[1] + 1)]
            np.testing.assert_array_equal(made.recent_load[number], recent)
        np.testing.assert_array_equal(
            made.tso[rows], [operator.latest(made.valid_time[row], issue[row]) for row in rows]
        )
        now = made.weather[0].values[rows, made.weather[0].columns.index("now")]
        np.testing.assert_array_equal(now, [weather.latest(made.valid_time[row], issue[row]) for row in rows])


def check_boundary() -> None:
    """A value published exactly at the issue time is used, one published a microsecond later is not."""
    frame, where, asked = one_case()
    issue = asked.issue_time[1]
    tick = np.timedelta64(1, "us")
    at_the_issue = (pl.col("variable") == LOAD) & (pl.col("published_at").dt.replace_time_zone(None) == issue.item())
    assert set(frame.filter(at_the_issue)["valid_time"].dt.hour()) == {6, 1}  # and a revision of an earlier hour
    later = frame.with_columns(
        published_at=pl.when(at_the_issue).then(pl.col("published_at") + tick.item()).otherwise("published_at")
    )
    one = asked.take(slice(1, 2))
    for together in (one.issue_time, asked.issue_time):
        seen, unseen = (design(snapshot(each, zone=where, issue_times=together), one) for each in (frame, later))
        newest, newest_later = (each.recent_load[each.wanted][0] for each in (seen, unseen))
        np.testing.assert_array_equal(np.isfinite(newest[:4]), [False, False, True, True])
        np.testing.assert_array_equal(np.isfinite(newest_later[:4]), [False, False, False, True])
        revised = np.flatnonzero(newest[3:] != newest_later[3:]) + 3
        assert revised.tolist() == [7]
        assert newest[7] == pytest.approx(1.02 * newest_later[7])


def check_poison_in_norway() -> None:
    check_poison(case("NO_1", clock_changes(zone("NO_1"), YEAR)[1], names=("naive",)))


def test_every_past_value_of_a_design_is_the_latest_public_one() -> None:
    check_latest_public_value()


def test_a_value_published_exactly_at_the_issue_time_is_used() -> None:
    check_boundary()


@pytest.mark.parametrize("code", ["DK_1", "DE_LU", "GB", "VIC"])
def test_the_design_asked_later_than_its_snapshot_is_refused(code: str) -> None:
    where = zone(code)
    frame = history(where, first=date(2024, 5, 1), last=date(2024, 5, 10))
    asked = origins(where, first=date(2024, 5, 8), last=date(2024, 5, 10))
    with pytest.raises(LookaheadError, match=f"a snapshot of {code} as of 2024-05-07"):
        design(snapshot(frame, zone=where, issue_times=asked.issue_time[:1]), asked)


# --- mutants ----------------------------------------------------------------------------------------------------------


def strictly_before(published_at: Times, issue_time: Times) -> NDArray[np.bool_]:
    return published_at < issue_time


def no_filter(published_at: Times, issue_time: Times) -> NDArray[np.bool_]:
    return ~np.isnat(published_at) & ~np.isnat(issue_time)


def one_hour_late(published_at: Times, issue_time: Times) -> NDArray[np.bool_]:
    return published_at <= issue_time + HOUR


def known_by(
    usable: Callable[[Series, int, Times, Times], NDArray[np.bool_]], *, newest_wins: bool = True
) -> Callable[..., Floats]:
    """`Series.known` with another rule of what counts as public, or another order of the vintages."""

    def known(self: Series, valid_time: Times, issue_time: Times, *, observed: bool = False) -> Floats:
        place = (valid_time - self.start) // self.resolution
        inside = (place >= 0) & (place < self.values.shape[1])
        place = np.where(inside, place, 0)
        result = np.full(place.shape, np.nan)
        layers = range(len(self.values))
        for layer in layers if newest_wins else reversed(layers):
            there = ~np.isnat(self.published_at[layer][place])
            use = inside & there & (there if observed else usable(self, layer, place, issue_time))
            result = np.where(use, self.values[layer][place], result)
        return result

    return known


def published(series: Series, layer: int, place: Times, issue_time: Times) -> NDArray[np.bool_]:
    return series.published_at[layer][place] <= issue_time


def happened(series: Series, layer: int, place: Times, issue_time: Times) -> NDArray[np.bool_]:
    return series.times[place] <= issue_time


RULE = "gridcast.contracts.public"
KNOWN = "gridcast.contracts.Series.known"
MUTANTS: dict[str, tuple[str, Callable[..., object], tuple[Callable[[], None], ...]]] = {
    "< for <=": (RULE, strictly_before, (check_boundary, check_latest_public_value)),
    "no filter": (RULE, no_filter, (check_poison_in_norway, check_boundary, check_latest_public_value)),
    "one hour late": (RULE, one_hour_late, (check_poison_in_norway, check_boundary, check_latest_public_value)),
    "valid_time for published_at": (
        KNOWN,
        known_by(happened),
        (check_poison_in_norway, check_boundary, check_latest_public_value),
    ),
    "first vintage instead of latest": (KNOWN, known_by(published, newest_wins=False), (check_latest_public_value,)),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_of_the_as_of_rule_is_found(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target, wrong, checks = MUTANTS[mutant]
    monkeypatch.setattr(target, wrong)
    for check in checks:
        with pytest.raises(AssertionError):
            check()


def test_the_frame_in_which_mutants_are_made_is_itself_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KNOWN, known_by(published))
    for check in (check_poison_in_norway, check_boundary, check_latest_public_value):
        check()


def test_a_design_that_forgets_the_rows_own_issue_time_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bulk design whose rows all see what the last origin saw."""
    right = Series.known

    def late_for_all(self: Series, valid_time: Times, issue_time: Times, *, observed: bool = False) -> Floats:
        return right(self, valid_time, np.max(issue_time), observed=observed)

    monkeypatch.setattr(KNOWN, late_for_all)
    with pytest.raises(AssertionError):
        check_poison_in_norway()


def test_the_days_of_the_poison_are_those_on_which_the_clocks_change() -> None:
    for code in zones():
        where = zone(code)
        for day, hours in zip(clock_changes(where, YEAR), (25, 23) if code == "VIC" else (23, 25), strict=True):
            window = origins(where, first=day, last=day + timedelta(days=1))
            assert (window.end - window.start)[0] / HOUR == hours
            assert local_day(window.start, where.market_tz)[0].item() == day
