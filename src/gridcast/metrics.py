"""How good forecasts were: pure functions of arrays, in MW.

``actual`` has shape [N], ``point`` [N], ``fan`` [N, Q] with the ``quantiles`` of its columns. No value may be NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gridcast.contracts import Floats


def mae(actual: Floats, point: Floats) -> float:
    """Mean absolute error, MW.

    >>> mae(np.array([100.0, 100.0]), np.array([90.0, 130.0]))
    20.0
    """
    return float(np.mean(np.abs(point - actual)))


def rmse(actual: Floats, point: Floats) -> float:
    """Root of the mean squared error, MW.

    >>> rmse(np.array([100.0, 100.0]), np.array([97.0, 101.0])) == 5**0.5
    True
    """
    return float(np.sqrt(np.mean((point - actual) ** 2)))


def mape(actual: Floats, point: Floats) -> float:
    """Mean absolute percentage error; no actual may be zero.

    >>> mape(np.array([100.0, 200.0]), np.array([90.0, 220.0]))
    10.0
    """
    return float(100 * np.mean(np.abs(point - actual) / np.abs(actual)))


def bias(actual: Floats, point: Floats) -> float:
    """Mean of forecast minus actual, MW: positive is too high.

    >>> bias(np.array([100.0]), np.array([90.0]))
    -10.0
    """
    return float(np.mean(point - actual))


def pinball_loss(actual: Floats, fan: Floats, *, quantiles: Sequence[float]) -> Floats:
    """Mean pinball loss of each quantile, [Q], MW.

    Source: Koenker and Bassett 1978, "Regression quantiles".

    >>> pinball_loss(np.array([100.0]), np.array([[90.0, 110.0]]), quantiles=[0.1, 0.9])
    array([1., 1.])
    """
    error = actual[:, None] - fan
    level = np.asarray(quantiles)
    return np.asarray(np.mean(np.maximum(level * error, (level - 1) * error), axis=0), np.float64)


def crps(actual: Floats, fan: Floats, *, quantiles: Sequence[float]) -> float:
    """Continuous ranked probability score from quantiles: twice the mean pinball loss, MW.

    Source: Laio and Tamea 2007, "Verification tools for probabilistic forecasts of continuous hydrological variables".

    >>> round(crps(np.array([100.0]), np.array([[90.0, 110.0]]), quantiles=[0.1, 0.9]), 9)
    2.0
    """
    return float(2 * np.mean(pinball_loss(actual, fan, quantiles=quantiles)))


def coverage(actual: Floats, *, low: Floats, high: Floats) -> float:
    """Percentage of actuals within [low, high].

    >>> coverage(np.array([1.0, 5.0]), low=np.zeros(2), high=np.full(2, 2.0))
    50.0
    """
    return float(100 * np.mean((actual >= low) & (actual <= high)))


def skill(error: float, reference: float) -> float | None:
    """1 - error / reference error: 0 is no better than the reference, 1 perfect. None where the reference is perfect.

    >>> skill(75.0, 100.0)
    0.25
    """
    return 1 - error / reference if reference > 0 else None


def diebold_mariano(loss: Floats, reference: Floats, *, lags: int = 7) -> float:
    """How likely two forecasts as far apart as these would be if neither were better: a two-sided p-value.

    The variance of the mean difference counts its autocorrelation up to ``lags``, with Bartlett's weights, which keep
    it from turning negative; the statistic is held against Student's distribution.

    Sources: Diebold and Mariano 1995, "Comparing predictive accuracy"; Newey and West 1987, "A simple, positive
    semi-definite, heteroskedasticity and autocorrelation consistent covariance matrix".

    Args:
        loss: of one forecast, in order of time, [T]: daily means, say.
        reference: of the other, at the same times, [T].
        lags: over how many steps a difference is remembered. Less than T.

    Without lags it is the paired t-test: differences 1, 2, 3 have mean 2 and standard error 1 / sqrt(3), so t is
    2 sqrt(3) = 3.46 with two degrees of freedom.

    >>> round(diebold_mariano(np.array([2.0, 3.0, 4.0]), np.ones(3), lags=0), 4)
    0.0742
    """
    from scipy.special import stdtr

    difference = loss - reference
    count = len(difference)
    off = difference - difference.mean()
    if not np.any(np.abs(off) > 1e-12 * np.abs(difference).max()):
        return 1.0 if not difference.any() else 0.0
    weight = 1 - np.arange(1, lags + 1) / (lags + 1)
    memory = [off[lag:] @ off[:-lag] for lag in range(1, lags + 1)]
    variance = (off @ off + 2 * float(weight @ np.array(memory, np.float64))) / (count - 1)
    return float(2 * stdtr(count - 1, -abs(difference.mean()) / np.sqrt(variance / count)))


def block_bootstrap(
    table: Floats,
    statistic: Callable[[Floats], Floats],
    *,
    block: int = 7,
    level: float = 0.95,
    draws: int = 2_000,
    seed: int = 0,
) -> tuple[float, float]:
    """The interval of a statistic of column means, from series redrawn in blocks of neighbouring rows.

    Blocks start anywhere and run on from the end to the beginning, so that every row is as likely as any other.

    Sources: Künsch 1989, "The jackknife and the bootstrap for general stationary observations"; Politis and Romano
    1992, "A circular block-resampling procedure for stationary data".

    Args:
        table: [T, K], a row a day, say, in order of time.
        statistic: from means [draws, K] to one number a draw [draws]; a draw without one (NaN) is left out.
        block: rows that stay together.
        level: of the interval.
        draws: how often the series is redrawn.
        seed: of the draws.

    >>> losses = np.array([[3.0, 1.0], [6.0, 2.0], [9.0, 3.0]])         # one is three times the other every day
    >>> block_bootstrap(losses, lambda mean: mean[:, 0] / mean[:, 1])
    (3.0, 3.0)
    """
    count, blocks = len(table), -(-len(table) // block)
    start = np.random.default_rng(seed).integers(count, size=(draws, blocks))
    rows = ((start[:, :, None] + np.arange(block)) % count).reshape(draws, -1)[:, :count]
    drawn = statistic(np.stack([column[rows].mean(axis=1) for column in table.T], axis=1))
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
