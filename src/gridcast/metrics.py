"""How good forecasts were: pure functions of arrays, in MW.

``actual`` has shape [N], ``point`` [N], ``fan`` [N, Q] with the ``quantiles`` of its columns. No value may be NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

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
