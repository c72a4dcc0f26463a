"""Bands: the n + 1 rule, their coverage on noise that varies, and what the errors of the last weeks make of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridcast.contracts import LOAD, MEDIAN, QUANTILES, Design, Floats
from gridcast.errors import TooLittleHistory
from gridcast.market.days import DAY, HOUR, Times
from gridcast.market.zones import zone
from gridcast.models import artifact, calibration, expected
from gridcast.models.calibration import Calibration, Past
from strategies import history, to_forecast, training
from strategies import rows as observed

DK_1 = zone("DK_1")
DAYS = 500


def blind(made: Design) -> Design:
    """The design without any past load: the pace is 1 and there is no drift, what is left is split conformal."""
    return replace(
        made,
        lag_load=np.full_like(made.lag_load, np.nan),
        recent_load=np.full_like(made.recent_load, np.nan),
        lag_row=np.full_like(made.lag_row, -1),
        recent_row=np.full_like(made.recent_row, -1),
    )


@pytest.fixture(scope="module")
def made() -> Design:
    first = date(2023, 1, 1)
    frame = history(DK_1, first=first, last=first + timedelta(days=DAYS + 1), weather=())
    found = to_forecast(DK_1, frame, first=first + timedelta(days=1), days=DAYS)
    return blind(replace(found, wanted=np.ones_like(found.wanted)))


def noise(made: Design, *, seed: int = 0) -> tuple[Floats, Floats]:
    """Errors of the log load and their true scale: by hour, by season, larger on holidays, with heavy tails."""
    random = np.random.default_rng(seed)
    month = made.local_day.astype("datetime64[M]").astype(int) % 12
    scale = 0.02 * (1 + 0.6 * np.sin(made.slot * np.pi / 12)) * (1 + 0.4 * np.cos(month * np.pi / 6))
    scale = scale * np.where(made.day_kind == 1, 2.0, 1.0)
    return scale * random.standard_t(4, len(scale)), scale


@cache
def three_weeks() -> Design:
    frame = history(DK_1, first=date(2024, 1, 1), last=date(2024, 1, 25), weather=())
    return to_forecast(DK_1, frame, first=date(2024, 1, 5), days=19)


def random_walk(made: Design, *, seed: int) -> Floats:
    return np.cumsum(np.random.default_rng(seed).normal(0, 0.01, len(made.origin)))


def levels_of(error: Floats, fan: Floats) -> Floats:
    return np.asarray((error[:, None] <= np.log(fan)).mean(axis=0))


def test_bands_learned_on_one_half_of_noise_hold_what_they_promise_on_the_other(made: Design) -> None:
    error, _ = noise(made)
    half = np.arange(len(error)) // 24 % 2 == 0
    learned = calibration.fit(made, np.where(half, error, np.nan))
    fan = learned.fan(np.zeros(len(error)), design=made)
    np.testing.assert_allclose(levels_of(error[~half], fan[~half]), QUANTILES, atol=0.02)


def test_bands_hold_by_hour_by_season_and_on_holidays(made: Design) -> None:
    error, scale = noise(made)
    learned = calibration.fit(made, error)
    other, _ = noise(made, seed=1)
    every = np.ones(len(error), np.bool_)
    fan = np.log(learned.fan(np.zeros(len(error)), design=made))
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
    few = three_weeks() if data.draw(st.booleans()) else blind(three_weeks())
    few = few.with_target(np.exp(7.0 + random_walk(few, seed=data.draw(st.integers(0, 9)))))
    random = np.random.default_rng(data.draw(st.integers(0, 1000)))
    error = bias + spread * random.standard_normal(len(few.valid_time))
    error[random.random(len(error)) < 0.3] = np.nan
    learned = calibration.fit(few, error)
    fan = learned.fan(np.full(len(few.origin), 7.0), design=few)
    assert fan.shape == (few.wanted_rows.sum(), len(QUANTILES))
    assert (np.diff(fan, axis=1) >= 0).all()
    assert (fan > 0).all()
    still = calibration.fit(few, error, follow=0.0).fan(np.full(len(few.origin), 7.0), design=few)
    np.testing.assert_array_equal(still[:, MEDIAN], np.exp(np.full(len(fan), 7.0)))


def exact(level: float) -> Fraction:
    return Fraction(level).limit_denominator(1000)


@pytest.mark.parametrize("count", [240, 299, 399, 1234])
def test_offsets_are_the_order_statistics_of_the_n_plus_1_rule(made: Design, count: int) -> None:
    """With equal sizes of the errors every scale is 1 unit, so the scores are the errors themselves."""
    random = np.random.default_rng(count)
    error = np.full(len(made.valid_time), np.nan)
    error[:count] = 0.01 * random.choice([-1.0, 1.0], count) + 1e-9 * random.standard_normal(count)
    learned = calibration.fit(made, error)
    np.testing.assert_allclose(learned.scale(made), 0.01, rtol=1e-5)
    score = sorted((error / learned.scale(made))[:count])
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
    fan = learned.fan(np.full(len(made.valid_time), 7.0), design=made)
    np.testing.assert_allclose(fan, np.exp(7.0), rtol=1e-3)


def test_an_hour_that_was_never_seen_has_the_common_scale(made: Design) -> None:
    error = np.where(abs(made.slot - 12) <= 2, np.nan, noise(made)[0])
    learned = calibration.fit(made, error)
    size = np.abs(error[np.isfinite(error)])
    assert learned.slot[12] == pytest.approx(np.minimum(size, 8 * size.mean()).mean())


def test_an_error_in_another_unit_is_none_at_all(made: Design) -> None:
    error, _ = noise(made)
    hit = np.arange(len(error)) % 97 == 0
    wild, unknown = (calibration.fit(made, np.where(hit, value, error)) for value in (7.0, np.nan))
    for name, values in artifact.flatten("", unknown).items():
        np.testing.assert_array_equal(artifact.flatten("", wild)[name], values)


def test_what_the_model_says_of_its_own_uncertainty_is_believed(made: Design) -> None:
    width = np.where(np.random.default_rng(2).random(len(made.origin)) < 0.3, 3.0, 1.0)
    error, other = (width * noise(made, seed=seed)[0] for seed in (0, 1))
    learned = calibration.fit(made, error, width=width)
    fan = np.log(learned.fan(np.zeros(len(error)), design=made, width=width))
    for rows in (width == 1, width == 3):
        inside = (other[rows] >= fan[rows, 2]) & (other[rows] <= fan[rows, -3])
        assert 100 * inside.mean() == pytest.approx(80, abs=3)


# --- what the last weeks make of them --------------------------------------------------------------------------------

TIMES = np.datetime64("2023-01-01", "us") + np.arange(420 * 24) * HOUR
TRAINED = date(2023, 11, 1)
LEVEL = float(np.log(1000.0))


def world(error: Floats) -> pl.DataFrame:
    """A load that is 1000 MW but for the error, public two hours after its interval."""
    return observed("DK_1", LOAD, TIMES, value=np.exp(LEVEL + error), published_at=TIMES + 3 * HOUR)


def forecast(made: Design) -> Floats:
    return np.full(len(made.origin), LEVEL)


def training_of(frame: pl.DataFrame) -> Design:
    return training(DK_1, frame, first=date(2023, 1, 3), last=TRAINED)


def learn(frame: pl.DataFrame, **options: float) -> Calibration:
    train = training_of(frame)
    return calibration.fit(train, expected.log_target(train) - LEVEL, **options)


@pytest.fixture(scope="module")
def usual() -> Floats:
    return 0.02 * np.random.default_rng(5).standard_normal(len(TIMES))


@pytest.fixture(scope="module")
def learned(usual: Floats) -> Calibration:
    return learn(world(usual))


def between(first: date, days: int) -> np.ndarray:
    start = np.datetime64(first, "us")
    return (start <= TIMES) & (start + days * DAY > TIMES)


def width_of(fan: Floats) -> Floats:
    return np.asarray(np.log(fan[:, -3] / fan[:, 2]))


def test_errors_twice_as_large_for_three_weeks_widen_the_bands_and_calm_weeks_narrow_them_again(
    usual: Floats, learned: Calibration
) -> None:
    wild = np.where(between(TRAINED, 21), 2.0, 1.0) * usual
    ratio = {}
    for days in (0, 21, 49):
        calm, restless = (
            to_forecast(DK_1, world(each), first=TRAINED + timedelta(days=days)) for each in (usual, wild)
        )
        ratio[days] = width_of(learned.fan(forecast(restless), design=restless)) / width_of(
            learned.fan(forecast(calm), design=calm)
        )
    np.testing.assert_array_equal(ratio[0], 1)
    assert 1.7 < ratio[21].mean() < 2.0
    assert ratio[21].min() > 1.5
    np.testing.assert_allclose(ratio[49].mean(), 1, atol=0.1)


def test_bands_keep_their_promise_when_the_errors_double_for_good(usual: Floats, learned: Calibration) -> None:
    error = np.where(between(date(2023, 1, 1), 304), 1.0, 2.0) * usual
    made = to_forecast(DK_1, world(error), first=TRAINED + timedelta(days=21), days=90)
    actual = LEVEL + dict_of(error)(made.valid_time[made.wanted_rows])

    def covered(made: Design) -> float:
        fan = np.log(learned.fan(forecast(made), design=made))
        return float(100 * ((actual >= fan[:, 2]) & (actual <= fan[:, -3])).mean())

    assert 75 < covered(made) < 82
    assert covered(blind(made)) < 55


def dict_of(error: Floats) -> Callable[[Times], Floats]:
    return lambda times: error[((times - TIMES[0]) // HOUR).astype(np.intp)]


def test_only_what_was_public_at_its_own_issue_time_moves_a_fan(usual: Floats, learned: Calibration) -> None:
    """What comes in from noon of 10 November on is absurd."""
    frame = world(usual)
    noon = datetime(2023, 11, 10, 12, tzinfo=UTC)
    later = frame.with_columns(
        value=pl.when(pl.col("published_at") >= noon).then(1.15 * pl.col("value")).otherwise("value")
    )
    made, changed = (to_forecast(DK_1, each, first=TRAINED, days=20) for each in (frame, later))
    before = (made.origins.issue_time[made.origin] < np.datetime64(noon.replace(tzinfo=None)))[made.wanted_rows]
    fans = [learned.fan(forecast(each), design=each) for each in (made, changed)]
    assert before.sum() == 11 * 24
    np.testing.assert_array_equal(fans[0][before], fans[1][before])
    assert (fans[0][~before] != fans[1][~before]).all(axis=1).mean() > 0.9
    assert (width_of(fans[1][~before]) > width_of(fans[0][~before])).mean() > 0.9


def test_the_median_makes_up_for_a_share_of_an_error_that_comes_again(usual: Floats, learned: Calibration) -> None:
    day = TRAINED + timedelta(days=10)
    off = to_forecast(DK_1, world(usual + 0.03 * between(TRAINED, 10)), first=day)
    calm = to_forecast(DK_1, world(usual), first=day)
    moved = np.log(learned.fan(forecast(off), design=off) / learned.fan(forecast(calm), design=calm))[:, MEDIAN]
    share = calibration.FOLLOW * 0.03  # the last ten days have three quarters of the weight
    assert 0.7 * share < moved.mean() < share
    assert (moved > 0.4 * share).all()
    long = to_forecast(DK_1, world(0.03 * between(day - timedelta(days=30), 30)), first=day)
    np.testing.assert_allclose(np.log(learned.fan(forecast(long), design=long))[:, MEDIAN], LEVEL + share)
    still = learn(world(usual), follow=0.0)
    np.testing.assert_array_equal(still.fan(forecast(off), design=off)[:, MEDIAN], np.exp(LEVEL))


def test_bands_are_those_of_the_errors_that_are_left_once_the_median_has_moved(usual: Floats) -> None:
    """Each week is off by another 5 %: a median that follows all of the last days' errors leaves half of that."""
    week = np.random.default_rng(7).normal(0, 0.05, len(TIMES) // 168 + 1)
    train = training_of(world(0.3 * usual + np.repeat(week, 168)[: len(TIMES)]))
    every = replace(train, wanted=np.ones_like(train.wanted))
    error = expected.log_target(train) - LEVEL
    rows, width = np.isfinite(error), []
    for follow in (0.0, 1.0):
        fan = np.log(calibration.fit(train, error, follow=follow).fan(forecast(every), design=every)) - LEVEL
        inside = (error[rows] >= fan[rows, 2]) & (error[rows] <= fan[rows, -3])
        assert 100 * inside.mean() == pytest.approx(80, abs=0.5)
        width.append((fan[rows, -3] - fan[rows, 2]).mean())
    assert width[0] != pytest.approx(width[1], rel=0.02)


def test_drift_and_pace_are_what_plain_loops_find(usual: Floats) -> None:
    holed = world(usual).sample(fraction=0.8, seed=1)
    made = to_forecast(DK_1, holed, first=TRAINED, days=2)
    random = np.random.default_rng(3)
    point = LEVEL + random.normal(0, 0.02, len(made.origin))
    point[random.random(len(point)) < 0.1] = np.nan
    scale = random.uniform(0.002, 0.03, len(point))  # some so small that errors are cut
    past = Past.of(made, forecast=point, scale=scale)
    drift, pace = past.drift(), past.pace()

    def score(load: float, row: int) -> float:
        if row < 0 or np.isnan(load) or np.isnan(point[row]):
            return float("nan")
        return float(np.clip((np.log(load) - point[row]) / scale[row], -8, 8))

    for row in np.flatnonzero(made.wanted_rows)[::5]:
        total = weights = 0.0
        own, own_weights = 0.0, 8.0
        for days in range(1, 29):
            there = made.lag_row[row, days - 1]
            found = score(made.lag_load[row, days - 1], there)
            if not np.isnan(found):
                total, weights = total + 0.5 ** (days / 4) * found * scale[there], weights + 0.5 ** (days / 4)
                own, own_weights = own + 0.5 ** ((days - 1) / 7) * abs(found), own_weights + 0.5 ** ((days - 1) / 7)
        common, every = 3.0, 3.0
        for hour in range(672):
            found = score(made.recent_load[made.origin[row], hour], made.recent_row[made.origin[row], hour])
            if not np.isnan(found):
                common, every = common + 0.5 ** (hour / 168) * abs(found) / 24, every + 0.5 ** (hour / 168) / 24
        assert drift[row] == pytest.approx(total / weights, rel=1e-12)
        assert pace[row] == pytest.approx((own + 8 * common / every) / own_weights, rel=1e-12)


def test_where_no_past_is_known_the_pace_is_one_and_there_is_no_drift(usual: Floats) -> None:
    made = to_forecast(DK_1, world(usual + 0.3), first=TRAINED)
    scale = np.full(len(made.origin), 0.02)
    dead = np.zeros_like(made.lag_load), np.zeros_like(made.recent_load)
    for none in (blind(made), replace(made, lag_load=dead[0], recent_load=dead[1])):
        past = Past.of(none, forecast=forecast(none), scale=scale)
        assert (past.pace() == 1).all()
        assert (past.followed(0.3) == 0).all()
    unknown = Past.of(made, forecast=np.full(len(made.origin), np.nan), scale=scale)
    assert (unknown.pace() == 1).all()
    assert (unknown.followed(0.3) == 0).all()


def test_a_load_that_has_changed_for_good_is_followed_altogether_and_a_day_that_is_off_is_not() -> None:
    calm = to_forecast(DK_1, world(np.zeros(len(TIMES))), first=TRAINED)
    scale = np.full(len(calm.origin), 0.02)

    def past(days: int, size: float, **other: np.ndarray) -> Past:
        """The load has been off by so many scales for so many days."""
        changed = world(0.02 * size * between(TRAINED - timedelta(days=days), days))
        made = replace(to_forecast(DK_1, changed, first=TRAINED), **other)
        return Past.of(made, forecast=forecast(made), scale=scale)

    rows = calm.wanted_rows
    assert past(30, 4.0).followed(0.3)[rows] == pytest.approx(0.08)
    assert past(30, 2.5).followed(0.3)[rows] == pytest.approx((0.3 * 0.05 + 0.05) / 2)
    assert past(30, 1.9).followed(0.3)[rows] == pytest.approx(0.3 * 0.038)
    assert np.abs(past(2, 4.0).followed(0.3)[rows]).max() < 0.3 * 0.08
    assert (past(30, 4.0).followed(0.0) == 0).all()
    feast = past(30, 4.0, day_kind=np.ones_like(calm.day_kind))
    assert feast.followed(0.3)[rows] == pytest.approx(0.3 * 0.08)


@pytest.mark.parametrize("day", [0, 9, 27])
def test_one_origin_alone_has_the_fan_it_has_among_a_month(day: int, usual: Floats, learned: Calibration) -> None:
    """The forecasts differ by interval and by when they were issued, and those of the first days were held out."""
    frame = world(usual * np.where(between(TRAINED, 12), 2.5, 1.0))

    def points(made: Design) -> Floats:
        lead = made.valid_time - made.origins.issue_time[made.origin]
        return np.asarray(LEVEL + 0.01 * np.sin(made.valid_time.astype(np.int64) / 1e10 + lead.astype(np.int64) / 7e9))

    month = to_forecast(DK_1, frame, first=TRAINED, days=28)
    alone = to_forecast(DK_1, frame, first=TRAINED + timedelta(days=day))
    same = (month.origins.issue_time[month.origin] == alone.origins.issue_time[-1])[month.wanted_rows]
    assert same.sum() == 24
    among = learned.fan(points(month), design=month)[same]
    np.testing.assert_allclose(learned.fan(points(alone), design=alone), among, rtol=1e-12)


def test_errors_of_training_rows_are_those_held_out_not_those_of_a_model_that_knew_them(
    usual: Floats, learned: Calibration
) -> None:
    """The model has learned the past by heart; its first forecast after that is no surer for it."""
    made, train = to_forecast(DK_1, world(usual), first=TRAINED), training_of(world(usual))
    seen = made.valid_time <= train.valid_time[np.isfinite(train.target)].max()
    by_heart = np.where(seen, LEVEL + dict_of(usual)(made.valid_time), LEVEL)
    fan = learned.fan(by_heart, design=made)
    np.testing.assert_array_equal(fan, learned.fan(forecast(made), design=made))
    forgetful = replace(learned, row=learned.row[:0], forecast=learned.forecast[:0])
    assert (width_of(forgetful.fan(by_heart, design=made)) < 0.5 * width_of(fan)).all()
    later = to_forecast(DK_1, world(usual), first=TRAINED + timedelta(days=60))
    np.testing.assert_array_equal(
        learned.fan(forecast(later), design=later), forgetful.fan(forecast(later), design=later)
    )


def test_of_the_training_rows_it_keeps_forty_days(learned: Calibration) -> None:
    assert 38 * 24 < len(learned.row) == len(learned.forecast) <= 40 * 24


def test_saved_and_loaded_it_says_the_same(usual: Floats, learned: Calibration, tmp_path: Path) -> None:
    artifact.save(tmp_path, meta={}, arrays=artifact.flatten("bands", learned))
    again = Calibration(**artifact.under("bands", artifact.load(tmp_path)[1]))
    made = to_forecast(DK_1, world(2 * usual), first=TRAINED, days=3)
    np.testing.assert_array_equal(again.fan(forecast(made), design=made), learned.fan(forecast(made), design=made))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_spike_in_the_recent_load_counts_no_more_than_its_cut(sign: int, usual: Floats, learned: Calibration) -> None:
    day = TRAINED + timedelta(days=40)
    hour = np.datetime64(day, "us") - 30 * HOUR == TIMES
    calm, high, higher = (to_forecast(DK_1, world(usual + sign * size * hour), first=day) for size in (0.0, 0.4, 0.8))
    fans = [learned.fan(forecast(each), design=each) for each in (calm, high, higher)]
    np.testing.assert_array_equal(fans[1], fans[2])
    ratio = width_of(fans[1]) / width_of(fans[0])
    assert ratio.mean() < 1.06
    assert ratio.max() < 1.6  # at its own clock
    assert np.abs(np.log(fans[1][:, MEDIAN] / fans[0][:, MEDIAN])).max() < 0.3 * 8 * 0.02 * 0.3


@pytest.mark.parametrize("factor", [1000.0, 3.5, 0.3, 0.001])
def test_a_recent_load_in_another_unit_is_an_unknown_one(factor: float, usual: Floats, learned: Calibration) -> None:
    """A week of it, until a week before."""
    day = TRAINED + timedelta(days=40)
    week = between(day - timedelta(days=14), 7)
    wild = to_forecast(DK_1, world(usual + np.log(factor) * week), first=day)
    known = ~np.isin(world(usual)["valid_time"].dt.replace_time_zone(None).to_numpy(), TIMES[week])
    holed = to_forecast(DK_1, world(usual).filter(pl.Series(known)), first=day)
    np.testing.assert_array_equal(learned.fan(forecast(wild), design=wild), learned.fan(forecast(holed), design=holed))
