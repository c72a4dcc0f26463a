"""Metrics against plain loops, closed forms and what must hold whatever the numbers."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
