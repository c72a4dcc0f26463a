"""One robust ridge regression per interval of the day, with fallbacks for missing kinds of input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridcast.contracts import Floats

_STRENGTHS = (0.5, 5.0)
"""Each solution is the mean of those with the penalties times these: seldom worse than the better one, often better."""
_HUBER = 4.0
"""Rows further off than this many robust standard deviations have a smaller say."""
_ABSURD, _FAULT = 12.0, 0.3
"""Rows further off than this many of them, and this much of a logarithm, are faults of the data and have none."""
_MAD_TO_SIGMA = 1.4826
_NOTHING = 1e-9
_BEYOND = 0.25
"""How far beyond what was seen a prediction may go; the target is a logarithm, so about a quarter."""
_AT_ONCE = 256
"""Rows predicted at once: their columns stay in the processor's cache."""


@dataclass(frozen=True)
class Columns:
    """Columns of one kind: ``values`` [N, K], left as they are unless they have a ``unit``.

    With one they are centred and divided by it, or, where it is 0, by their own standard deviation. Columns that are
    seldom anything but 0 want a unit: their own deviation would make their rare values huge, and the fit wild.
    """

    kind: str
    values: Floats
    unit: float | None = None


@dataclass(frozen=True)
class SlotRidge:
    """Fitted coefficients.

    ``coefficients`` [V, S, K] for V variants (the first uses all columns, each later one leaves kinds out), S
    intervals of the day and K columns; ``kept`` [V, K] says which columns a variant uses; ``centre`` and ``scale``
    [K] standardise; ``span`` [2] bounds every prediction, so that weather nobody has seen cannot send it anywhere.
    """

    coefficients: Floats
    kept: NDArray[np.bool_]
    centre: Floats
    scale: Floats
    span: Floats

    def predict(self, columns: Sequence[Columns], slot: NDArray[np.intp]) -> Floats:
        """The value for each row [N], by the first variant whose columns are all known; NaN where none is."""
        found = np.empty(len(slot))
        for start in range(0, len(slot), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            values, coefficients = self._standardised(columns, slot, rows=rows)
            found[rows] = np.einsum("nk,nk->n", values, coefficients)
        return np.clip(found, *self.span)

    def parts(self, columns: Sequence[Columns], slot: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """What each of the C columns adds to the prediction of each row [N, C], and the bounds to their sum [N]."""
        values, coefficients = self._standardised(columns, slot, rows=slice(None))
        first = np.cumsum([0, *(each.values.shape[1] for each in columns[:-1])])
        added = np.add.reduceat(values * coefficients, first, axis=1)
        total = added.sum(axis=1)
        return added, np.clip(total, *self.span) - total

    def _standardised(
        self, columns: Sequence[Columns], slot: NDArray[np.intp], *, rows: slice
    ) -> tuple[Floats, Floats]:
        """Standardised values, 0 where unknown, and each row's coefficients, NaN where no variant serves; [N, K]."""
        values = np.concatenate([each.values[rows] for each in columns], axis=1)
        values -= self.centre
        values /= self.scale
        known = np.isfinite(values)
        ready = np.stack([known[:, kept].all(axis=1) for kept in self.kept])
        variants, slots, width = self.coefficients.shape
        place = ready.argmax(axis=0) * slots + slot[rows]
        coefficients = self.coefficients.reshape(variants * slots, width).take(place, axis=0)
        coefficients[~ready.any(axis=0)] = np.nan
        values[~known] = 0.0
        return values, coefficients


def fit(
    columns: Sequence[Columns],
    target: Floats,
    *,
    slot: NDArray[np.intp],
    slots: int,
    weight: Floats,
    penalty: Mapping[str, float],
    fold: NDArray[np.intp] | None = None,
    optional: Sequence[frozenset[str]] = (),
) -> tuple[SlotRidge, Floats]:
    """Fit on the rows whose target is known.

    Args:
        columns: the regressors; their order is the contract with `SlotRidge.predict`. target: [N], NaN where unknown.
            slot: [N] interval of the day, 0 .. ``slots`` - 1. weight: [N] how much each row counts. penalty: of each
            kind of column, added to the diagonal of the normal equations: a prior, so more rows outweigh it.
        fold: [N] 0 .. F-1; each fold is predicted by a fit without it. None: no held-out predictions.
        optional: for each variant beyond the first, the kinds of column it does without.

    Returns:
        The fit, and the held-out prediction of each row [N] (NaN where a row was not usable).
    """
    values = np.concatenate([each.values for each in columns], axis=1)
    kinds = np.concatenate([np.full(each.values.shape[1], each.kind) for each in columns])
    prior = np.array([penalty[kind] for kind in kinds]) + _NOTHING
    unit = np.concatenate(
        [np.full(each.values.shape[1], np.nan if each.unit is None else each.unit) for each in columns]
    )
    complete = np.isfinite(values).all(axis=1) & np.isfinite(target)
    centre = np.where(np.isnan(unit), 0.0, values[complete].mean(axis=0))
    spread = np.where(unit == 0, values[complete].std(axis=0), np.nan_to_num(unit, nan=1.0))
    scale = np.where(spread > _NOTHING, spread, 1.0)
    values = (values - centre) / scale
    seen = np.abs(values[complete]).max(axis=0) > _NOTHING

    own = prior[seen]
    kept = np.array([seen & ~np.isin(kinds, list(without)) for without in (frozenset[str](), *optional)])
    coefficients = np.full((len(kept), slots, values.shape[1]), np.nan)
    held_out = np.full(len(target), np.nan)
    for each in range(slots):
        rows = np.flatnonzero(complete & (slot == each))
        if not len(rows):
            continue
        x, y = values[np.ix_(rows, seen)], target[rows]
        says = _weights(x, y, weight[rows], own)
        weighted = x * says[:, None]
        gram, moment = weighted.T @ x, weighted.T @ y
        for variant, use in enumerate(kept[:, seen]):
            coefficients[variant, each] = 0.0
            coefficients[variant, each, kept[variant]] = _solved(gram[np.ix_(use, use)], moment[use], prior=own[use])
        parts = np.zeros(0) if fold is None else fold[rows]
        for number in np.unique(parts):
            out = parts == number
            left, right = gram - weighted[out].T @ x[out], moment - weighted[out].T @ y[out]
            without = _solved(left, right, prior=own)
            held_out[rows[out]] = x[out] @ without
    span = np.quantile(target[complete], (0.001, 0.999)) + np.array([-_BEYOND, _BEYOND])
    return SlotRidge(coefficients, kept, centre, scale, span), np.clip(held_out, *span)


def _weights(x: Floats, y: Floats, weight: Floats, prior: Floats) -> Floats:
    """The rows' weights [N] once Huber has had a say, after a first fit."""
    weighted = x * weight[:, None]
    first = _solved(weighted.T @ x, weighted.T @ y, prior=prior)
    error = np.abs(y - x @ first)
    sigma = _MAD_TO_SIGMA * np.median(error)
    says = weight * np.minimum(1.0, _HUBER * sigma / np.maximum(error, _NOTHING))
    return np.where(error > np.maximum(_ABSURD * sigma, _FAULT), 0.0, says)


def _solved(gram: Floats, moment: Floats, *, prior: Floats) -> Floats:
    """Coefficients [K] of the normal equations with the ``prior`` [K] on their diagonal, at each strength, and mean."""
    from scipy.linalg import cho_factor, cho_solve

    factors = (cho_factor(gram + np.diag(strength * prior), check_finite=False) for strength in _STRENGTHS)
    solutions = [cho_solve(factor, moment, check_finite=False) for factor in factors]
    return np.asarray(np.mean(solutions, axis=0), np.float64)
