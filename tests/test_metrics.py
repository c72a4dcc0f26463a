"""Metrics against plain loops, closed forms and what must hold whatever the numbers."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gridcast import metrics
from gridcast.contracts import MEDIAN, QUANTILES, Floats
from strategies import loads

NUMBERS = st.integers(1, 12)


@st.composite
def fans(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """Actuals [N] and any values, crossing or not, for the quantiles [N, Q]."""
    count = draw(NUMBERS)
    return draw(loads(count)), draw(loads(count * len(QUANTILES))).reshape(count, len(QUANTILES))


@given(case=fans())
def test_scores_are_what_plain_loops_find(case: tuple[Floats, Floats]) -> None:
    actual, fan = case
    point, low, high = fan[:, MEDIAN], fan[:, 2], fan[:, -3]
    count = len(actual)
    errors = [p - a for a, p in zip(actual, point, strict=True)]
    assert metrics.mae(actual, point) == pytest.approx(sum(abs(e) for e in errors) / count)
    assert metrics.rmse(actual, point) == pytest.approx((sum(e * e for e in errors) / count) ** 0.5)
    assert metrics.bias(actual, point) == pytest.approx(sum(errors) / count)
    relative = [abs(e) / a for e, a in zip(errors, actual, strict=True)]
    assert metrics.mape(actual, point) == pytest.approx(100 * sum(relative) / count)
    inside = [lo <= a <= hi for a, lo, hi in zip(actual, low, high, strict=True)]
    assert metrics.coverage(actual, low=low, high=high) == pytest.approx(100 * sum(inside) / count)
    losses = [
        sum((level - (a < q)) * (a - q) for a, q in zip(actual, fan[:, n], strict=True)) / count
        for n, level in enumerate(QUANTILES)
    ]
    np.testing.assert_allclose(metrics.pinball_loss(actual, fan, quantiles=QUANTILES), losses, atol=1e-9)
    assert metrics.crps(actual, fan, quantiles=QUANTILES) == pytest.approx(2 * sum(losses) / len(losses))


@given(case=fans())
def test_pinball_loss_is_never_negative_and_twice_that_of_the_median_is_the_absolute_error(
    case: tuple[Floats, Floats],
) -> None:
    actual, fan = case
    loss = metrics.pinball_loss(actual, fan, quantiles=QUANTILES)
    assert (loss >= 0).all()
    assert 2 * loss[MEDIAN] == pytest.approx(metrics.mae(actual, fan[:, MEDIAN]))


@given(case=fans())
def test_sorting_quantiles_that_cross_never_raises_the_pinball_loss(case: tuple[Floats, Floats]) -> None:
    actual, fan = case
    crossed, ordered = (metrics.crps(actual, each, quantiles=QUANTILES) for each in (fan, np.sort(fan, axis=1)))
    assert ordered <= crossed * (1 + 1e-12)


@given(actual=loads(6), factor=st.floats(0.01, 100), shift=st.floats(-1e4, 1e4))
def test_errors_scale_with_the_unit_and_do_not_mind_a_shift(actual: Floats, factor: float, shift: float) -> None:
    point = actual[::-1]
    for score in (metrics.mae, metrics.rmse, metrics.bias):
        assert score(factor * actual, factor * point) == pytest.approx(factor * score(actual, point), abs=1e-6)
        assert score(actual + shift, point + shift) == pytest.approx(score(actual, point), abs=1e-6)
    assert metrics.mape(factor * actual, factor * point) == pytest.approx(metrics.mape(actual, point))


@given(actual=loads(8), point=loads(8))
def test_the_errors_keep_their_order(actual: Floats, point: Floats) -> None:
    mae, rmse = metrics.mae(actual, point), metrics.rmse(actual, point)
    assert abs(metrics.bias(actual, point)) <= mae * (1 + 1e-12)
    assert mae <= rmse * (1 + 1e-12)


@given(error=st.floats(1e-3, 1e5))
def test_a_forecast_has_no_skill_against_itself_and_full_skill_without_error(error: float) -> None:
    assert metrics.skill(error, error) == 0
    assert metrics.skill(0.0, error) == 1
    assert metrics.skill(2 * error, error) == -1
    assert metrics.skill(error, 0.0) is None


@given(actual=loads(5))
def test_a_perfect_forecast_has_no_error_and_covers_everything(actual: Floats) -> None:
    fan = np.repeat(actual[:, None], len(QUANTILES), axis=1)
    assert metrics.mae(actual, actual) == metrics.rmse(actual, actual) == metrics.mape(actual, actual) == 0
    assert metrics.crps(actual, fan, quantiles=QUANTILES) == 0
    assert metrics.coverage(actual, low=actual, high=actual) == 100


def gaussian_crps(z: Floats) -> Floats:
    """Of a standard normal forecast. Source: Gneiting and Raftery 2007, equation 21."""
    normal = NormalDist()
    density = np.array([normal.pdf(each) for each in z])
    below = np.array([normal.cdf(each) for each in z])
    return np.asarray(z * (2 * below - 1) + 2 * density - 1 / np.sqrt(np.pi))


@pytest.mark.parametrize("sigma", [1.0, 50.0])
def test_the_crps_of_many_gaussian_quantiles_is_the_closed_form(sigma: float) -> None:
    levels = (np.arange(999) + 0.5) / 999
    z = np.array([-2.0, -0.5, 0.0, 0.3, 1.7])
    quantiles = sigma * np.array([NormalDist().inv_cdf(level) for level in levels])
    for each, closed in zip(z, gaussian_crps(z), strict=True):
        found = metrics.crps(np.array([1000 + sigma * each]), 1000 + quantiles[None, :], quantiles=levels.tolist())
        assert found == pytest.approx(sigma * closed, rel=2e-3)


def test_the_crps_of_our_nine_quantiles_is_two_thirds_of_the_closed_form_and_as_proper() -> None:
    """Six of the nine stand in the tails, where losses are small. It is a score of our own fans alone."""
    random = np.random.default_rng(1)
    z = random.standard_normal(20_000)
    fan = np.tile([NormalDist().inv_cdf(level) for level in QUANTILES], (len(z), 1))
    found = metrics.crps(z, fan, quantiles=QUANTILES)
    assert found / gaussian_crps(z).mean() == pytest.approx(0.67, abs=0.01)
    right = [metrics.crps(z, spread * fan, quantiles=QUANTILES) for spread in (0.5, 0.8, 1.0, 1.25, 2.0)]
    assert min(right) == right[2]
    assert metrics.coverage(z, low=fan[:, 2], high=fan[:, -3]) == pytest.approx(80, abs=1)


def by_hand(loss: list[float], reference: list[float], *, lags: int) -> float:
    """The Diebold-Mariano p-value in plain loops."""
    difference = [a - b for a, b in zip(loss, reference, strict=True)]
    count = len(difference)
    mean = sum(difference) / count
    variance = sum((d - mean) ** 2 for d in difference)
    for lag in range(1, lags + 1):
        memory = sum((difference[t] - mean) * (difference[t - lag] - mean) for t in range(lag, count))
        variance += 2 * (1 - lag / (lags + 1)) * memory
    statistic = mean / (variance / (count - 1) / count) ** 0.5
    return float(2 * stats.t.sf(abs(statistic), count - 1))


@given(seed=st.integers(0, 10_000), count=st.integers(10, 40), lags=st.integers(0, 9))
def test_the_diebold_mariano_p_value_is_what_plain_loops_find_and_without_lags_the_paired_t_test(
    seed: int, count: int, lags: int
) -> None:
    random = np.random.default_rng(seed)
    loss, reference = random.gamma(2.0, size=count), random.gamma(2.0, size=count)
    found = metrics.diebold_mariano(loss, reference, lags=lags)
    assert found == pytest.approx(by_hand(loss.tolist(), reference.tolist(), lags=lags))
    assert found == pytest.approx(metrics.diebold_mariano(reference, loss, lags=lags))
    assert metrics.diebold_mariano(loss, reference, lags=0) == pytest.approx(stats.ttest_rel(loss, reference).pvalue)


def test_a_forecast_is_not_better_than_itself_and_one_that_always_wins_by_as_much_surely_is() -> None:
    loss = np.random.default_rng(0).gamma(2.0, size=30)
    assert metrics.diebold_mariano(loss, loss) == 1.0
    assert metrics.diebold_mariano(loss + 1, loss) == 0.0


def test_with_memory_in_the_differences_equal_forecasts_are_rarely_told_apart_and_a_t_test_would_err() -> None:
    random = np.random.default_rng(2)
    shocks = random.standard_normal((400, 365 + 6))
    difference = sum(shocks[:, lag : lag + 365] for lag in range(7))
    found = np.array([metrics.diebold_mariano(each, np.zeros(365), lags=14) for each in difference])
    plain = np.array([metrics.diebold_mariano(each, np.zeros(365), lags=0) for each in difference])
    assert np.mean(found < 0.05) < 0.12
    assert np.mean(plain < 0.05) > 0.3


def ratio(mean: Floats) -> Floats:
    return mean[:, 0] / mean[:, 1]


@given(seed=st.integers(0, 1_000), factor=st.floats(0.1, 10))
def test_the_bootstrap_interval_of_a_ratio_scales_and_is_the_same_for_the_same_seed(seed: int, factor: float) -> None:
    table = np.random.default_rng(seed).gamma(2.0, size=(60, 2))
    low, high = metrics.block_bootstrap(table, ratio, draws=200)
    assert low < table[:, 0].mean() / table[:, 1].mean() < high
    assert (low, high) == metrics.block_bootstrap(table, ratio, draws=200)
    scaled = metrics.block_bootstrap(table * [factor, 1], ratio, draws=200)
    assert scaled == pytest.approx((factor * low, factor * high))


def test_the_bootstrap_interval_of_a_mean_is_the_gaussian_one_and_holds_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)
    series = random.standard_normal((150, 200, 1))
    found = np.array([metrics.block_bootstrap(each, lambda mean: mean[:, 0], draws=300) for each in series])
    assert (found[:, 1] - found[:, 0]).mean() == pytest.approx(2 * 1.96 / 200**0.5, rel=0.1)
    assert np.mean((found[:, 0] < 0) & (found[:, 1] > 0)) == pytest.approx(0.95, abs=0.06)


def test_blocks_keep_the_memory_of_a_series_that_single_rows_would_forget() -> None:
    shocks = np.random.default_rng(4).standard_normal(400 + 9)
    slow = sum(shocks[lag : lag + 400] for lag in range(10))[:, None]
    width = {n: np.subtract(*metrics.block_bootstrap(slow, lambda mean: mean[:, 0], block=n)[::-1]) for n in (1, 30)}
    assert width[30] > 2 * width[1]


def test_draws_in_which_nothing_can_be_said_are_left_out() -> None:
    rare = np.zeros((30, 2))
    rare[3], rare[:, 1] = 4.0, 2.0

    def seldom(mean: Floats) -> Floats:
        with np.errstate(invalid="ignore"):
            return np.where(mean[:, 0] > 0, mean[:, 1], np.nan)

    low, high = metrics.block_bootstrap(rare, seldom, draws=100)
    assert low <= high == pytest.approx(2.0)
