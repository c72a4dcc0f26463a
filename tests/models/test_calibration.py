"""Bands: the n + 1 rule, their coverage on noise that varies, and that they never cross."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcast.contracts import MEDIAN, QUANTILES, Design, Floats
from gridcast.errors import TooLittleHistory
from gridcast.market.zones import zone
from gridcast.models import calibration
from gridcast.models.calibration import Calibration
from strategies import history, to_forecast

DK_1 = zone("DK_1")
DAYS = 500


@pytest.fixture(scope="module")
def made() -> Design:
    first = date(2023, 1, 1)
    frame = history(DK_1, first=first, last=first + timedelta(days=DAYS + 1), weather=())
    return to_forecast(DK_1, frame, first=first + timedelta(days=1), days=DAYS)


def noise(made: Design, *, seed: int = 0) -> tuple[Floats, Floats]:
    """Errors of the log load and their true scale: by hour, by season, larger on holidays, with heavy tails."""
    random = np.random.default_rng(seed)
    month = made.local_day.astype("datetime64[M]").astype(int) % 12
    scale = 0.02 * (1 + 0.6 * np.sin(made.slot * np.pi / 12)) * (1 + 0.4 * np.cos(month * np.pi / 6))
    scale = scale * np.where(made.day_kind == 1, 2.0, 1.0)
    return scale * random.standard_t(4, len(scale)), scale


def levels_of(error: Floats, fan: Floats) -> Floats:
    return np.asarray((error[:, None] <= np.log(fan)).mean(axis=0))


def test_bands_learned_on_one_half_of_noise_hold_what_they_promise_on_the_other(made: Design) -> None:
    error, _ = noise(made)
    half = np.arange(len(error)) // 24 % 2 == 0
    learned = calibration.fit(made, np.where(half, error, np.nan))
    fan = learned.fan(np.zeros(int((~half).sum())), design=made, rows=~half)
    np.testing.assert_allclose(levels_of(error[~half], fan), QUANTILES, atol=0.02)


def test_bands_hold_by_hour_by_season_and_on_holidays(made: Design) -> None:
    error, scale = noise(made)
    learned = calibration.fit(made, error)
    other, _ = noise(made, seed=1)
    every = np.ones(len(error), np.bool_)
    fan = np.log(learned.fan(np.zeros(len(error)), design=made, rows=every))
    inside = (other >= fan[:, 2]) & (other <= fan[:, -3])
    winter = np.isin(made.local_day.astype("datetime64[M]").astype(int) % 12, [11, 0, 1])
    groups = {
        "all": every,
        "night": made.slot < 6,
        "noon": abs(made.slot - 12) < 3,
        "winter": winter,
        "summer": ~winter,
    }
    for name, rows in groups.items():
        assert 100 * inside[rows].mean() == pytest.approx(80, abs=4), name
    holidays = made.day_kind == 1
    assert 60 < 100 * inside[holidays].mean() < 90
    width, truth = fan[:, -3] - fan[:, 2], scale
    assert np.corrcoef(width, truth)[0, 1] > 0.9
    assert learned.kind[1] > 1.2 > learned.kind[0] > 0.9


@given(data=st.data(), bias=st.floats(-0.2, 0.2), spread=st.floats(1e-3, 0.5))
def test_quantiles_never_cross_whatever_the_errors(data: st.DataObject, bias: float, spread: float) -> None:
    frame = history(DK_1, first=date(2024, 1, 1), last=date(2024, 1, 25), weather=())
    few = to_forecast(DK_1, frame, first=date(2024, 1, 5), days=19)
    random = np.random.default_rng(data.draw(st.integers(0, 1000)))
    error = bias + spread * random.standard_normal(len(few.valid_time))
    error[random.random(len(error)) < 0.3] = np.nan
    learned = calibration.fit(few, error)
    rows = few.wanted_rows
    fan = learned.fan(np.full(int(rows.sum()), 7.0), design=few, rows=rows)
    assert (np.diff(fan, axis=1) >= 0).all()
    np.testing.assert_array_equal(fan[:, MEDIAN], np.exp(np.full(len(fan), 7.0)))
    assert (fan > 0).all()


def exact(level: float) -> Fraction:
    return Fraction(level).limit_denominator(1000)


@pytest.mark.parametrize("count", [240, 299, 399, 1234])
def test_offsets_are_the_order_statistics_of_the_n_plus_1_rule(made: Design, count: int) -> None:
    """With equal sizes of the errors every scale is 1 unit, so the scores are the errors themselves."""
    random = np.random.default_rng(count)
    error = np.full(len(made.valid_time), np.nan)
    error[:count] = 0.01 * random.choice([-1.0, 1.0], count) + 1e-9 * random.standard_normal(count)
    learned = calibration.fit(made, error)
    np.testing.assert_allclose(learned.scale(made, np.arange(len(error)) < count), 0.01, rtol=1e-5)
    score = sorted(error[:count] / learned.scale(made, np.arange(len(error)) < count))
    for number, level in enumerate(QUANTILES):
        if level == 0.5:
            assert learned.offsets[number] == 0
            continue
        rank = (count + 1) * exact(level)
        whole = math.ceil(rank) if level > 0.5 else math.floor(rank)
        outward = whole + (1 if level > 0.5 else -1) if rank.denominator == 1 else whole  # what rounding may add
        allowed = [score[min(max(each, 1), count) - 1] for each in (whole, outward)]
        assert any(learned.offsets[number] == pytest.approx(value, rel=1e-12) for value in allowed)


def test_the_rule_is_outward_so_that_few_errors_give_wide_bands() -> None:
    """Of 39 scores the 40 gaps each hold a fortieth: 0.025 is below the lowest, 0.975 the highest."""
    score = np.arange(39.0)
    found = [calibration._conformal(score, level) for level in (0.025, 0.1, 0.9, 0.975)]
    assert found == [0, 3, 35, 38]
    assert calibration._conformal(np.arange(5.0), 0.025) == 0
    assert calibration._conformal(np.arange(5.0), 0.975) == 4


def test_bands_never_lean_to_one_side_of_the_point(made: Design) -> None:
    error = np.abs(noise(made)[0])
    learned = calibration.fit(made, error)
    assert (learned.offsets[:MEDIAN] == 0).all()
    assert (np.diff(learned.offsets[MEDIAN:]) > 0).all()


def test_only_the_last_two_years_count(made: Design) -> None:
    old, scale = noise(made)
    age = (made.valid_time.max() - made.valid_time) / np.timedelta64(1, "D")
    assert age.max() < calibration.PERIOD_DAYS
    shift = np.where(age > 250, np.timedelta64(600, "D"), np.timedelta64(0, "D"))
    aged = replace(made, valid_time=made.valid_time - shift)
    wild = np.where(age > 250, 50 * old, old)
    assert calibration.fit(aged, wild).slot.mean() == pytest.approx(
        calibration.fit(made, np.where(age > 250, np.nan, old)).slot.mean()
    )
    assert scale.min() > 0


def test_too_few_errors_are_refused(made: Design) -> None:
    error = np.full(len(made.valid_time), np.nan)
    error[:239] = 0.01
    with pytest.raises(TooLittleHistory, match="239 intervals to calibrate on and 240 are needed") as caught:
        calibration.fit(made, error)
    assert (caught.value.needed, caught.value.have) == (240, 239)


def test_a_forecast_without_error_has_bands_without_width_and_no_warning(made: Design) -> None:
    learned = calibration.fit(made, np.zeros(len(made.valid_time)))
    assert isinstance(learned, Calibration)
    fan = learned.fan(np.full(len(made.valid_time), 7.0), design=made, rows=np.ones(len(made.valid_time), np.bool_))
    np.testing.assert_allclose(fan, np.exp(7.0), rtol=1e-3)


def test_an_hour_that_was_never_seen_has_the_common_scale(made: Design) -> None:
    error = np.where(abs(made.slot - 12) <= 2, np.nan, noise(made)[0])
    learned = calibration.fit(made, error)
    assert learned.slot[12] == pytest.approx(np.abs(error[np.isfinite(error)]).mean())
