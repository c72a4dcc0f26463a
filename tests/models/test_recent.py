"""How the load and the operator's forecast lately deviated: every column is what a plain loop finds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from gridcast.contracts import LOAD, Block, Design, Floats
from gridcast.features.calendar import day_kind
from gridcast.market.days import HOUR, local_day
from gridcast.market.zones import zone
from gridcast.models import expected, recent
from gridcast.models.expected import Expected
from strategies import OBSERVED_WEATHER, history, to_forecast, training

DK_1, DE = zone("DK_1"), zone("DE_LU")
FIRST, TESTED = date(2022, 12, 20), date(2024, 5, 20)
ASCENSION = date(2024, 5, 9)


def of_operator(made: Design, mu: Floats) -> Block:
    return recent.tso(made, mu, forecast=np.log(np.where(made.tso > 0, made.tso, np.nan)))


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """Seventeen months whose public holidays have 30 % less load."""
    made = history(DK_1, first=FIRST, last=TESTED + timedelta(days=20), weather=(OBSERVED_WEATHER,))
    times = made["valid_time"].dt.replace_time_zone(None).to_numpy()
    off = day_kind(DK_1, local_day(times, DK_1.local_tz)) == 1
    less = pl.Series(np.where(off, 0.7, 1.0))
    return made.with_columns(value=pl.when(pl.col("variable") == LOAD).then(pl.col("value") * less).otherwise("value"))


@pytest.fixture(scope="module")
def base(frame: pl.DataFrame) -> Expected:
    return expected.fit(training(DK_1, frame, first=FIRST + timedelta(days=30), last=TESTED), half_life_days=1500)


@pytest.fixture(scope="module")
def quarters() -> tuple[Design, Expected]:
    """Two days of quarter-hours, and an expectation of four months before them."""
    day = date(2024, 5, 20)
    world = history(DE, first=date(2024, 1, 8), last=day + timedelta(days=3), step=15, weather=())
    return to_forecast(DE, world, first=day, days=2), expected.fit(
        training(DE, world, first=date(2024, 1, 10), last=day), half_life_days=1500
    )


def named(block: Block) -> dict[str, Floats]:
    assert block.values.shape[1] == len(block.columns) == len(set(block.columns))
    return dict(zip(block.columns, block.values.T, strict=True))


def of_load(made: Design, base: Expected) -> dict[str, Floats]:
    """Both blocks' columns by name."""
    means, hours = recent.load(made, base=base, mu=base.predict(made))
    assert (means.name, hours.name) == ("load", "hours")
    return named(means) | named(hours)


# --- the oracle: one row, one value at a time ------------------------------------------------------------------------


def mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return sum(known) / len(known) if known else float("nan")


def weekday_of(made: Design, row: int) -> str:
    """A holiday is a Sunday."""
    day: date = made.local_day[row].astype("datetime64[D]").astype(object)
    return "Sunday" if made.day_kind[row] == 1 else day.strftime("%A")


@dataclass(frozen=True)
class Past:
    """What was before one row: ``lag[d]`` the value d days before, ``hour[h]`` of the h-th newest hour; NaN unknown."""

    lag: list[float]
    hour: list[float]
    like: list[bool]

    @classmethod
    def of(cls, made: Design, row: int, values: Floats, *, limit: Floats, sign: int) -> Past:
        """``sign`` times (log load - ``values``), cut at the ``limit``: both are arrays [N]."""

        def one(load: float, there: int) -> float:
            if there < 0 or not load > 0 or np.isnan(values[there]):
                return float("nan")
            return float(np.clip(sign * (np.log(load) - values[there]), -limit[there], limit[there]))

        origin, steps = made.origin[row], int(HOUR / made.resolution)
        newest = [one(*each) for each in zip(made.recent_load[origin], made.recent_row[origin], strict=True)]
        hour = [mean(newest[n * steps : (n + 1) * steps]) for n in range(672)]
        rest = [weekday_of(made, n) in ("Saturday", "Sunday") for n in range(len(made.origin))]
        lag = [float("nan")] + [one(*each) for each in zip(made.lag_load[row], made.lag_row[row], strict=True)]
        return cls(lag, hour, [False] + [rest[there] == rest[row] for there in made.lag_row[row]])

    @property
    def by_lag(self) -> dict[str, float]:
        lag = self.lag
        return {
            **{f"{days} days before": lag[days] for days in (1, 2, 3, 4, 5, 6, 7, 14)},
            "2 to 8 days before": mean(lag[2:9]),
            "2 to 28 days before": mean(lag[2:29]),
            "same weekday": mean([lag[days] for days in (7, 14, 21, 28)]),
            **{
                f"days like it of the last {days}": mean([lag[n] for n in range(1, days + 1) if self.like[n]])
                for days in (7, 14, 28)
            },
        }


def assert_columns(found: dict[str, Floats], row: int, by_hand: dict[str, float]) -> None:
    assert set(found) == set(by_hand)
    for name, value in by_hand.items():
        assert found[name][row] == pytest.approx(0.0 if np.isnan(value) else value, abs=1e-12), name


def expected_load(made: Design, base: Expected, row: int) -> dict[str, float]:
    past = Past.of(made, row, base.predict(made), limit=5 * base.sigma[made.slot], sign=1)
    hour, origin = past.hour, made.origin[row]
    lead = float((made.valid_time[row] - made.origins.issue_time[origin]) / HOUR)
    newest = list(hour[:26])
    for n in reversed(range(25)):
        newest[n] = newest[n + 1] if np.isnan(newest[n]) else newest[n]
    last = {hours: mean(hour[:hours]) for hours in (6, 12, 24, 48, 168, 672)}
    return {
        **{f"last {hours} h": value for hours, value in last.items()},
        **{f"last 6 h, fading in {fade} h": last[6] * np.exp(-lead / fade) for fade in (5, 15)},
        **{
            f"{first} to {end} h ago": mean(hour[first:end])
            for first, end in ((3, 6), (6, 10), (10, 16), (16, 24), (24, 48), (48, 96))
        },
        **past.by_lag,
        **{
            f"last {hours} h on {day}": last[hours] * (weekday_of(made, row) == day)
            for day in ("Monday", "Saturday", "Sunday")
            for hours in (6, 24)
        },
        **{f"{n} h before issue": newest[n] for n in range(26)},
    }


def expected_tso(made: Design, mu: Floats, row: int) -> dict[str, float]:
    forecast = np.log(made.tso)
    past = Past.of(made, row, forecast, limit=np.full(len(mu), 0.1), sign=-1)
    added = forecast - mu
    window = np.flatnonzero(made.origin == made.origin[row])
    before, after = max(row - 1, window[0]), min(row + 1, window[-1])
    return {
        "above expectation": added[row],
        "before": added[before] - added[row],
        "after": added[after] - added[row],
        "of the window": mean(added[window].tolist()),
        **{f"error, {name}": value for name, value in past.by_lag.items()},
        **{f"error, last {hours} h": mean(past.hour[:hours]) for hours in (6, 12, 24, 48, 168, 192)},
        **{f"error, {n} h before issue": past.hour[n] for n in range(26)},
    }


# --- the load --------------------------------------------------------------------------------------------------------


# A Saturday; a Monday; a holiday, which counts as a Sunday; the Sunday of 25 hours.
@pytest.mark.parametrize("day", [date(2024, 6, 1), date(2024, 5, 27), ASCENSION, date(2023, 10, 29)])
def test_deviations_are_what_plain_loops_find(day: date, frame: pl.DataFrame, base: Expected) -> None:
    made = to_forecast(DK_1, frame, first=day)
    found = of_load(made, base)
    rows = np.flatnonzero(made.wanted_rows)
    for row in rows[::3]:
        assert_columns(found, row, expected_load(made, base, row))
    assert np.isnan(made.recent_load[made.wanted][0, :2]).all()
    assert (found["last 6 h"][rows] != 0).all()


def test_deviations_of_quarter_hours_are_means_of_hours(quarters: tuple[Design, Expected]) -> None:
    made, base = quarters
    found = of_load(made, base)
    for row in np.flatnonzero(made.wanted_rows)[::17]:
        assert_columns(found, row, expected_load(made, base, row))


def test_a_row_of_the_run_up_sees_what_it_would_have_seen_had_it_been_asked_for(
    frame: pl.DataFrame, base: Expected
) -> None:
    """The oldest forecast that a bulk of four weeks compares with what became of it is as good as the newest."""
    day = date(2024, 6, 1)
    made, alone = (
        to_forecast(DK_1, frame, first=first, days=(day - first).days + 1) for first in (day - timedelta(days=27), day)
    )
    last = made.origin == len(made.origins) - 1
    for name, values in of_load(alone, base).items():
        np.testing.assert_allclose(of_load(made, base)[name][last], values[alone.wanted_rows], atol=1e-12)
    earlier = to_forecast(DK_1, frame, first=day - timedelta(days=27))
    issue = earlier.origins.issue_time[-1]
    same = alone.origins.issue_time[alone.origin] == issue
    assert same.sum() == 24
    for name, values in of_load(earlier, base).items():
        np.testing.assert_allclose(of_load(alone, base)[name][same], values[earlier.wanted_rows], atol=1e-12)


def test_an_hour_that_is_not_public_yet_is_as_the_newest_that_is(frame: pl.DataFrame, base: Expected) -> None:
    made = to_forecast(DK_1, frame, first=TESTED)
    late = made.recent_load.copy()
    late[:, :9] = np.nan
    late[:, 13] = np.nan
    found = of_load(replace(made, recent_load=late), base)
    for hour in range(9):
        np.testing.assert_array_equal(found[f"{hour} h before issue"], found["9 h before issue"])
    np.testing.assert_array_equal(found["13 h before issue"], found["14 h before issue"])
    assert (found["9 h before issue"] != found["14 h before issue"]).any()


def test_a_lag_that_fell_on_a_holiday_deviates_no_more_than_any_other(frame: pl.DataFrame, base: Expected) -> None:
    """The load of Ascension Day was 30 % low, as was to be expected of it."""
    made = to_forecast(DK_1, frame, first=ASCENSION + timedelta(days=7))
    rows = made.wanted_rows
    mu, row, load = base.predict(made), made.lag_row[rows][:, 6], made.lag_load[rows][:, 6]
    assert (made.day_kind[row] == 1).all()
    assert (np.log(load) - mu[rows] < -0.2).all()
    found = of_load(made, base)["7 days before"][rows]
    assert np.abs(found).mean() < 0.06
    assert (np.abs(found) < 5 * base.sigma).all()


def test_a_holiday_is_like_a_sunday_and_a_working_day_is_not(frame: pl.DataFrame, base: Expected) -> None:
    """Only the Sundays and holidays of the last four weeks deviate, by 4 %; nothing else does."""
    made = to_forecast(DK_1, frame, first=ASCENSION, days=4)
    weekday = [day.astype(object).weekday() for day in made.local_day.astype("datetime64[D]")]
    rest = (np.array(weekday) >= 5) | (made.day_kind == 1)
    mu, row = base.predict(made), np.maximum(made.lag_row, 0)
    there = made.lag_row >= 0
    made = replace(made, lag_load=np.where(there, np.exp(mu[row] + 0.04 * rest[row]), np.nan))
    days, found = made.local_day.astype("datetime64[D]"), of_load(made, base)["days like it of the last 14"]
    for day, like in zip(range(9, 13), (0.04, 0.0, 0.04, 0.04), strict=True):  # a holiday, then Friday to Sunday
        np.testing.assert_allclose(
            found[made.wanted_rows & (days == np.datetime64(date(2024, 5, day)))], like, atol=1e-12
        )


def blind(made: Design) -> Design:
    return replace(
        made,
        lag_load=np.full_like(made.lag_load, np.nan),
        recent_load=np.full_like(made.recent_load, np.nan),
        lag_row=np.full_like(made.lag_row, -1),
        recent_row=np.full_like(made.recent_row, -1),
    )


def test_an_unknown_past_is_no_deviation(frame: pl.DataFrame, base: Expected) -> None:
    made = to_forecast(DK_1, frame, first=TESTED)
    assert not any(values.any() for values in of_load(blind(made), base).values())
    for dead in (0.0, -5.0):
        flat = replace(
            made, lag_load=np.full_like(made.lag_load, dead), recent_load=np.full_like(made.recent_load, dead)
        )
        assert not any(values.any() for values in of_load(flat, base).values())


@pytest.mark.parametrize("factor", [2.0, 0.5])
def test_a_spike_in_the_past_is_cut_at_five_standard_deviations(
    factor: float, frame: pl.DataFrame, base: Expected
) -> None:
    made = to_forecast(DK_1, frame, first=TESTED)
    spiked = replace(made, lag_load=made.lag_load * factor, recent_load=made.recent_load * factor)
    found, sign = of_load(spiked, base), np.sign(np.log(factor))
    np.testing.assert_allclose(found["2 days before"][made.wanted_rows], sign * 5 * base.sigma)
    assert all(np.abs(values).max() <= 5 * base.sigma.max() * (1 + 1e-12) for values in found.values())
    assert max(np.abs(values).max() for values in found.values()) == pytest.approx(5 * base.sigma.max())


@pytest.mark.parametrize("factor", [1000.0, 3.5, 0.3, 0.001])
def test_a_past_in_another_unit_is_an_unknown_one(factor: float, frame: pl.DataFrame, base: Expected) -> None:
    """A week of it, in the midst of what is known."""
    made = to_forecast(DK_1, frame, first=TESTED)
    lag, newest = made.lag_load.copy(), made.recent_load.copy()
    lag[:, 3:10] *= factor
    newest[:, 72:240] *= factor
    found = of_load(replace(made, lag_load=lag, recent_load=newest), base)
    lag[:, 3:10], newest[:, 72:240] = np.nan, np.nan
    for name, values in of_load(replace(made, lag_load=lag, recent_load=newest), base).items():
        np.testing.assert_array_equal(found[name], values)


# --- the operator's forecast -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [60, 15])
def test_the_operators_columns_are_what_plain_loops_find(step: int) -> None:
    world = history(DE, first=date(2024, 1, 1), last=date(2024, 5, 1), step=step, weather=())
    made = to_forecast(DE, world, first=date(2024, 4, 20), days=2)
    rows = np.flatnonzero(made.wanted_rows)
    assert np.isfinite(made.tso[rows]).all()
    mu = np.log(np.where(made.tso > 0, made.tso, 1000.0)) - 0.03 + 0.01 * np.sin(np.arange(len(made.tso)))
    found = of_operator(made, mu)
    assert found.name == "tso"
    for row in (rows[0], *rows[7 :: max(1, len(rows) // 12)], rows[-1]):
        assert_columns(named(found), row, expected_tso(made, mu, row))


def test_an_error_of_the_operator_is_cut_at_a_tenth(quarters: tuple[Design, Expected]) -> None:
    made = quarters[0]
    wild = replace(made, lag_load=made.lag_load * 2, recent_load=made.recent_load / 2)
    found = named(of_operator(wild, np.log(made.tso)))
    rows = made.wanted_rows
    np.testing.assert_allclose(found["error, 2 days before"][rows], -0.1)
    np.testing.assert_allclose(found["error, last 24 h"][rows], 0.1)
    absurd = replace(made, lag_load=made.lag_load * 1000, recent_load=made.recent_load / 1000)
    found = named(of_operator(absurd, np.log(made.tso)))
    assert not any(values.any() for name, values in found.items() if name.startswith("error"))


def test_where_there_is_no_forecast_of_the_operator_only_what_it_adds_is_unknown(
    quarters: tuple[Design, Expected],
) -> None:
    made = quarters[0]
    mu = np.full(len(made.tso), 7.0)
    none = named(of_operator(replace(made, tso=np.full_like(made.tso, np.nan)), mu))
    assert np.isnan(none.pop("above expectation")).all()
    assert not any(values.any() for values in none.values())
    rows = np.flatnonzero(made.wanted_rows)
    for unknown in (np.nan, 0.0, -3.0):
        lacking = made.tso.copy()
        lacking[rows[5]] = unknown
        found, whole = (named(of_operator(replace(made, tso=each), mu)) for each in (lacking, made.tso))
        assert np.flatnonzero(np.isnan(found["above expectation"][rows])).tolist() == [5]
        assert all(np.isfinite(values[rows]).all() for name, values in found.items() if name != "above expectation")
        assert found["before"][rows[6]] == found["after"][rows[4]] == 0
        for name in ("error, last 24 h", "error, 2 days before"):  # of the second day it is the past
            np.testing.assert_array_equal(found[name][rows[:96]], whole[name][rows[:96]])


def test_a_window_is_not_compared_with_the_one_before_it(quarters: tuple[Design, Expected]) -> None:
    """The operator is 50 % higher on every other day: within a window nothing has a slope."""
    made = quarters[0]
    mu = np.log(made.tso) - 0.4 * (made.origin % 2)
    found = named(of_operator(made, mu))
    for name in ("before", "after"):
        np.testing.assert_allclose(found[name], 0, atol=1e-12)
    np.testing.assert_allclose(found["of the window"][made.wanted_rows], 0.4 * (made.origin[made.wanted_rows] % 2))
