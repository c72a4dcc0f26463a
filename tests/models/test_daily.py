"""Futures of a window, and the peaks and energies read off them: they fit the hours, and hold what they promise."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridcast.contracts import MEDIAN, QUANTILES, Design, Floats
from gridcast.errors import TooLittleHistory
from gridcast.features.design import design
from gridcast.market.days import HOUR, Origins, Task, origins
from gridcast.market.zones import zone
from gridcast.models import calibration, recipe
from gridcast.models.calibration import Calibration
from gridcast.models.daily import Days
from gridcast.store import snapshot
from strategies import history, to_forecast, training

DK_1 = zone("DK_1")
FIRST, DAYS = date(2023, 1, 2), 450
LEVEL = 7.0


@pytest.fixture(scope="module")
def made() -> Design:
    frame = history(DK_1, first=FIRST - timedelta(days=1), last=FIRST + timedelta(days=DAYS), weather=())
    day = to_forecast(DK_1, frame, first=FIRST, days=DAYS)
    # Without a memory of past errors the pace is 1: what is tested here is how the errors of one day hang together.
    return replace(
        day,
        target=np.full(len(day.origin), np.exp(LEVEL)),
        lag_row=np.full_like(day.lag_row, -1),
        recent_row=np.full_like(day.recent_row, -1),
    )


def errors(day: Design, *, together: float, seed: int = 0) -> Floats:
    """Errors of which the share ``together`` of the variance is one number a day."""
    random = np.random.default_rng(seed)
    common = random.standard_normal(len(day.origins))[day.origin]
    own = random.standard_normal(len(day.origin))
    size = 0.02 * (1 + 0.5 * np.sin(day.slot * np.pi / 12))
    return size * (np.sqrt(together) * common + np.sqrt(1 - together) * own)


def flat_fan(learned: Calibration, day: Design) -> Floats:
    return learned.fan(np.full(len(day.origin), LEVEL), design=day)


def futures(learned: Calibration, day: Design) -> tuple[Floats, Floats, Origins]:
    """Scenarios, the fan they are drawn from, and its origins."""
    asked, fan = day.origins.take(day.wanted), flat_fan(learned, day)
    return learned.scenarios(fan, origins=asked, resolution=day.resolution), fan, asked


def quantiles(values: Floats) -> Floats:
    return np.quantile(values, QUANTILES, axis=0, method="hazen").T


# --- futures ---------------------------------------------------------------------------------------------------------


def test_the_quantiles_of_the_futures_of_an_interval_are_those_of_its_fan(made: Design) -> None:
    learned = calibration.fit(made, errors(made, together=0.5), follow=0.0)
    drawn, fan, _ = futures(learned, made)
    assert drawn.shape == (calibration.PATHS, len(fan))
    width = fan[:, -1] - fan[:, 0]
    off = np.abs(quantiles(drawn) - fan) / width[:, None]
    assert off.max() < 0.02
    assert off[:, [0, 2, MEDIAN, 6, 8]].mean() < 0.005


@pytest.mark.parametrize(("together", "share"), [(1.0, 1.0), (0.0, 1 / np.sqrt(24))])
def test_energy_is_as_sure_as_the_errors_of_a_day_hang_together(made: Design, together: float, share: float) -> None:
    learned = calibration.fit(made, errors(made, together=together), follow=0.0)
    drawn, fan, asked = futures(learned, made)
    days = Days.of(drawn, origins=asked, resolution=HOUR, fan=fan)
    summed = np.add.reduceat(fan, np.flatnonzero(np.diff(asked.rows(HOUR)[0], prepend=-1)))
    ratio = (days.energy[:, 6] - days.energy[:, 2]) / (summed[:, 6] - summed[:, 2])
    assert ratio.mean() == pytest.approx(share, rel=0.15)


def test_bands_of_peak_and_energy_hold_on_days_that_nobody_has_seen(made: Design) -> None:
    learned = calibration.fit(made, errors(made, together=0.6), follow=0.0)
    drawn, fan, asked = futures(learned, made)
    days = Days.of(drawn, origins=asked, resolution=HOUR, fan=fan)
    true = np.exp(LEVEL + errors(made, together=0.6, seed=1))[made.wanted_rows]
    actual = Days.of(true[None, :], origins=asked, resolution=HOUR)
    for name in ("peak", "energy"):
        found, band = getattr(actual, name)[:, 0], getattr(days, name)
        assert 100 * ((band[:, 2] <= found) & (found <= band[:, 6])).mean() == pytest.approx(80, abs=6), name
        assert 100 * (found <= band[:, MEDIAN]).mean() == pytest.approx(50, abs=8), name


def test_an_hour_that_comes_twice_has_the_same_score_twice_and_no_day_is_short(made: Design) -> None:
    learned = calibration.fit(made, errors(made, together=0.0), follow=0.0)
    drawn, fan, asked = futures(learned, made)
    number, valid_time = asked.rows(HOUR)
    length = np.bincount(number)
    assert set(length) == {23, 24, 25}
    autumn = np.flatnonzero(number == length.argmax())
    twice = autumn[[2, 3]]  # 02:00 CEST and 02:00 CET
    rank = drawn[:, twice].argsort(axis=0).argsort(axis=0)
    np.testing.assert_array_equal(rank[:, 0], rank[:, 1])
    next_hour = drawn[:, autumn[4]].argsort().argsort()
    assert abs(np.corrcoef(rank[:, 0], next_hour)[0, 1]) < 0.3
    assert np.isfinite(drawn).all()
    assert len(fan) == len(valid_time)


def test_windows_of_the_next_hours_are_drawn_by_lead_time() -> None:
    frame = history(DK_1, first=date(2024, 1, 1), last=date(2024, 3, 15), weather=())
    asked = origins(DK_1, first=date(2024, 1, 3), last=date(2024, 3, 14), task=Task.NEXT_24H)
    day = design(snapshot(frame, zone=DK_1, issue_times=asked.issue_time), asked)
    day = replace(
        day,
        target=np.full(len(day.origin), 1000.0),
        lag_row=np.full_like(day.lag_row, -1),
        recent_row=np.full_like(day.recent_row, -1),
    )
    lead = (day.valid_time - day.origins.start[day.origin]) // HOUR
    # The first hour of every window errs like the last of it, whatever the clock; all else is noise.
    error = 0.02 * np.random.default_rng(0).standard_normal(len(day.origin))
    error[lead == 23] = error[lead == 0]
    learned = calibration.fit(day, error, follow=0.0)
    one = asked.take(slice(17, 18))
    fan = np.exp(LEVEL + 0.02 * learned.offsets) * np.ones((24, 1))
    drawn = learned.scenarios(fan, origins=one, resolution=HOUR)
    together = np.corrcoef(drawn.T)
    assert together[0, 23] > 0.95
    assert np.abs(together[0, 1:23]).max() < 0.3


def test_finer_bands_are_drawn_like_the_hours_they_are_in(made: Design) -> None:
    learned = calibration.fit(made, errors(made, together=0.5), follow=0.0)
    week, quarter = (
        made.origins.take(made.wanted).take(slice(80, 87)),
        np.timedelta64(15 * 60_000_000, "us"),
    )  # the clocks go forward
    fan = np.exp(LEVEL + 0.02 * learned.offsets) * np.linspace(0.9, 1.1, len(week.rows(HOUR)[0]))[:, None]
    drawn = learned.scenarios(fan, origins=week, resolution=HOUR)
    assert len(fan) == 7 * 24 - 1
    shape = np.tile([0.98, 1.0, 1.01, 1.01], len(fan))
    finer = learned.scenarios(np.repeat(fan, 4, axis=0) * shape[:, None], origins=week, resolution=quarter)
    np.testing.assert_allclose(finer, np.repeat(drawn, 4, axis=1) * shape, rtol=1e-12)
    energy = Days.of(finer, origins=week, resolution=quarter).energy
    np.testing.assert_allclose(energy, Days.of(drawn, origins=week, resolution=HOUR).energy, rtol=1e-9)


def test_only_windows_without_a_gap_are_drawn_from(made: Design) -> None:
    error = errors(made, together=0.5)
    error[made.origin == len(made.origins) - 3] = np.where(
        made.slot[made.origin == len(made.origins) - 3] == 5, np.nan, 0
    )
    learned = calibration.fit(made, error, follow=0.0)
    issued = made.origins.issue_time.astype(np.int64)
    assert issued[-3] not in learned.origin_of_path
    assert (issued[-1], issued[-2]) == (learned.origin_of_path[-1], learned.origin_of_path[-2])
    assert (np.diff(learned.origin_of_path) > 0).all()


def test_a_model_that_saw_too_few_whole_windows_says_so(made: Design) -> None:
    error = np.where(made.origin < 29, errors(made, together=0.5), np.nan)
    learned = calibration.fit(made, error, follow=0.0)
    with pytest.raises(
        TooLittleHistory, match="DK_1 has 29 whole windows to draw scenarios from and 30 are needed"
    ) as e:
        futures(learned, made)
    assert (e.value.have, e.value.needed) == (29, 30)


def test_a_part_of_the_paths_keeps_the_fan_and_the_dates(made: Design) -> None:
    learned = calibration.fit(made, errors(made, together=0.5), follow=0.0)
    kept = learned.origin_of_path[np.arange(calibration.PATHS) % 3 > 0]
    part = learned.of_issues(np.append(kept, [7, 8]))
    np.testing.assert_array_equal(part.origin_of_path, kept)
    drawn, fan, _ = futures(part, made)
    assert (np.abs(quantiles(drawn) - fan) / (fan[:, -1] - fan[:, 0])[:, None]).max() < 0.03
    # The days keep their order within each hour.
    np.testing.assert_array_equal(
        part.paths.argsort(axis=0), learned.paths[np.isin(learned.origin_of_path, kept)].argsort(axis=0)
    )


@pytest.mark.parametrize("name", ["naive", "similar_day", "linear"])
def test_a_saved_model_draws_the_same_futures(name: str, tmp_path: Path) -> None:
    frame = history(DK_1, first=date(2024, 1, 1), last=date(2024, 6, 3), weather=())
    fitted = recipe(name).fit(training(DK_1, frame, first=date(2024, 1, 3), last=date(2024, 6, 1)))
    fitted.save(tmp_path)
    again = recipe(name).load(tmp_path)
    day = to_forecast(DK_1, frame, first=date(2024, 6, 1))
    asked, fan = day.origins.take(day.wanted), fitted.predict(day)
    drawn = fitted.calibration.scenarios(fan, origins=asked, resolution=HOUR)
    np.testing.assert_array_equal(again.calibration.scenarios(fan, origins=asked, resolution=HOUR), drawn)
    assert len(drawn) > 100


# --- days ------------------------------------------------------------------------------------------------------------


def loads(count: int) -> st.SearchStrategy[NDArray[np.float64]]:
    return st.builds(
        lambda seed, spread: 1000 * np.exp(spread * np.random.default_rng(seed).standard_normal((count, 48))),
        st.integers(0, 10_000),
        st.floats(0, 0.5),
    )


@given(scenarios=loads(40))
def test_peak_energy_and_hour_fit_the_futures_they_come_from(scenarios: Floats) -> None:
    asked = origins(DK_1, first=date(2026, 1, 5), last=date(2026, 1, 7))
    fan = quantiles(scenarios)
    days = Days.of(scenarios, origins=asked, resolution=HOUR, fan=fan)
    np.testing.assert_allclose(days.hour.sum(axis=1), 1.0)
    for day, rows in enumerate((slice(0, 24), slice(24, 48))):
        assert (days.peak[day] >= fan[rows].max(axis=0)).all()
        assert days.energy[day, 0] >= scenarios[:, rows].sum(axis=1).min() * (1 - 1e-12)
        top = scenarios[:, rows].argmax(axis=1)
        assert days.hour[day, days.likely_hour[day]] == pytest.approx(np.bincount(top).max() / 40)
    assert (np.diff(days.peak, axis=1) >= 0).all()
    assert (np.diff(days.energy, axis=1) >= 0).all()


def test_no_peak_is_below_the_band_of_an_hour_however_few_the_futures() -> None:
    asked = origins(DK_1, first=date(2026, 1, 5), last=date(2026, 1, 6))
    futures = np.full((3, 24), 100.0) + np.array([[-1.0], [0.0], [1.0]])
    fan = np.full((24, len(QUANTILES)), 99.0) + np.linspace(0, 4, len(QUANTILES))
    days = Days.of(futures, origins=asked, resolution=HOUR, fan=fan)
    np.testing.assert_array_equal(days.peak[0], fan[0])
    assert (Days.of(futures, origins=asked, resolution=HOUR).peak[0] <= 101).all()


def test_a_peak_in_a_quarter_hour_belongs_to_its_hour_of_the_local_clock() -> None:
    asked = origins(DK_1, first=date(2026, 7, 1), last=date(2026, 7, 2))  # two hours ahead of UTC
    load = np.full((1, 96), 100.0)
    load[0, 4 * 18 + 3] = 140.0
    days = Days.of(load, origins=asked, resolution=np.timedelta64(15 * 60_000_000, "us"))
    assert days.likely_hour[0] == 18
    assert days.energy[0, MEDIAN] == pytest.approx(2400 + 10)


def test_a_day_with_an_unknown_hour_has_no_peak_and_no_energy_and_leaves_its_neighbours_alone() -> None:
    asked = origins(DK_1, first=date(2026, 1, 5), last=date(2026, 1, 7))
    load = np.full((1, 48), 100.0)
    load[0, 30] = np.nan
    days = Days.of(load, origins=asked, resolution=HOUR)
    assert np.isfinite(days.peak[0]).all()
    assert np.isnan(days.peak[1]).all()
    assert np.isnan(days.energy[1]).all()
    assert np.isnan(days.hour[1]).all()
    assert days.likely_hour[1] == 0
