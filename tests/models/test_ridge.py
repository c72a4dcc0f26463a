"""The ridge against its closed form, its fallbacks, its held-out predictions, and spikes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from gridcast.contracts import Floats
from gridcast.models import ridge
from gridcast.models.ridge import Columns, SlotRidge

SLOTS = 3
PENALTY = {"constant": 0.0, "calendar": 0.5, "weather": 2.0, "load": 0.1, "tso": 0.3}
EFFECTS = {"calendar": [0.3, -0.2, 0.1], "weather": [0.02, -0.01], "load": [0.8], "tso": [0.5]}


@dataclass(frozen=True)
class Data:
    columns: list[Columns]
    target: Floats
    slot: NDArray[np.intp]
    weight: Floats
    fold: NDArray[np.intp]

    def fit(self, *, optional: tuple[frozenset[str], ...] = (), folds: bool = False) -> tuple[SlotRidge, Floats]:
        return ridge.fit(
            self.columns,
            self.target,
            slot=self.slot,
            slots=SLOTS,
            weight=self.weight,
            penalty=PENALTY,
            fold=self.fold if folds else None,
            optional=optional,
        )

    @property
    def values(self) -> Floats:
        return np.concatenate([each.values for each in self.columns], axis=1)

    @property
    def prior(self) -> Floats:
        return np.concatenate([np.full(each.values.shape[1], PENALTY[each.kind]) for each in self.columns])


def data(*, count: int = 240, noise: float = 0.02, seed: int = 0) -> Data:
    """A target that is linear in its columns, with other coefficients in each slot."""
    random = np.random.default_rng(seed)
    slot = np.arange(count) % SLOTS
    blocks = {
        "calendar": (random.random((count, 3)) < 0.4).astype(float),
        "weather": random.normal([10.0, 300.0], [8.0, 100.0], (count, 2)),
        "load": random.normal(0, 0.1, (count, 1)),
        "tso": random.normal(0, 0.1, (count, 1)),
    }
    target = 7 + 0.1 * slot + random.normal(0, noise, count)
    for name, values in blocks.items():
        centred = (values - [10.0, 300.0]) / [1.0, 10.0] if name == "weather" else values
        target = target + (1 + 0.2 * slot) * (centred @ np.array(EFFECTS[name]))
    columns = [Columns("constant", np.ones((count, 1)))]
    columns += [Columns(name, values, unit=0.0 if name == "weather" else None) for name, values in blocks.items()]
    fold = (np.arange(count) // 40) % 4
    return Data(columns, target, slot, random.uniform(0.5, 1.0, count), fold)


def closed_form(x: Floats, y: Floats, *, weight: Floats, prior: Floats) -> Floats:
    """Minimiser of the weighted squared error plus the penalty: the mean of those with half and with five times it."""
    root, both = np.sqrt(weight)[:, None], []
    for strength in (0.5, 5.0):
        stacked = np.concatenate([root * x, np.diag(np.sqrt(strength * (prior + 1e-9)))])
        known = np.concatenate([root[:, 0] * y, np.zeros(len(prior))])
        both.append(np.linalg.lstsq(stacked, known, rcond=None)[0])
    return np.asarray(np.mean(both, axis=0), np.float64)


def huber(x: Floats, y: Floats, *, weight: Floats, prior: Floats) -> Floats:
    """The weights of the second fit."""
    error = np.abs(y - x @ closed_form(x, y, weight=weight, prior=prior))
    sigma = 1.4826 * np.median(error)
    return np.where(error > max(12 * sigma, 0.3), 0.0, weight * np.minimum(1, 4 * sigma / error))


def standardised(given: Data) -> Floats:
    parts = []
    for each in given.columns:
        scale = each.values.std(axis=0) if each.unit == 0 else each.unit
        parts.append(each.values if each.unit is None else (each.values - each.values.mean(axis=0)) / scale)
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("spike", [0.0, 0.15, 0.5, 5.0])
def test_each_interval_of_the_day_has_the_closed_forms_coefficients(spike: float) -> None:
    """Rows that are off by a little have a smaller say, those off by more than a third none."""
    given = data()
    given = replace(given, target=given.target + spike * (np.arange(len(given.target)) % 50 == 7))
    fitted, held_out = given.fit()
    x = standardised(given)
    for slot in range(SLOTS):
        rows = given.slot == slot
        weight = huber(x[rows], given.target[rows], weight=given.weight[rows], prior=given.prior)
        expected = closed_form(x[rows], given.target[rows], weight=weight, prior=given.prior)
        np.testing.assert_allclose(fitted.coefficients[0, slot], expected, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(fitted.predict(given.columns, given.slot)[rows], x[rows] @ expected, rtol=1e-9)
    assert np.isnan(held_out).all()


def test_without_noise_or_much_penalty_the_effects_are_found() -> None:
    given = data(noise=1e-4, count=6000)
    fitted, _ = given.fit()
    np.testing.assert_allclose(fitted.predict(given.columns, given.slot), given.target, atol=0.02)
    np.testing.assert_allclose(fitted.coefficients[0, 1, 1:4], 1.2 * np.array(EFFECTS["calendar"]), atol=0.01)


def test_a_unit_is_what_the_columns_are_divided_by() -> None:
    given = data()
    unit = replace(
        given, columns=[replace(each, unit=10.0 if each.kind == "weather" else None) for each in given.columns]
    )
    fitted, _ = unit.fit()
    assert fitted.scale[4:6].tolist() == [10.0, 10.0]
    assert fitted.scale[:4].tolist() == [1.0] * 4
    np.testing.assert_allclose(fitted.centre[4:6], unit.columns[2].values.mean(axis=0))


VARIANTS = (frozenset({"tso"}), frozenset({"weather"}), frozenset({"tso", "weather"}))


def test_a_row_is_predicted_by_the_first_variant_whose_columns_it_has() -> None:
    given = data()
    fitted, _ = given.fit(optional=VARIANTS)
    without_tso, without_weather, without_both, without_load = (
        [
            replace(each, values=np.full_like(each.values, np.nan)) if each.kind in kinds else each
            for each in given.columns
        ]
        for kinds in ({"tso"}, {"weather"}, {"tso", "weather"}, {"load"})
    )
    for number, columns in enumerate([given.columns, without_tso, without_weather, without_both]):
        kept = fitted.kept[number]
        x = (np.concatenate([each.values for each in columns], axis=1) - fitted.centre) / fitted.scale
        expected = np.einsum("nk,nk->n", x[:, kept], fitted.coefficients[number][given.slot][:, kept])
        np.testing.assert_allclose(fitted.predict(columns, given.slot), expected, rtol=1e-12)
        assert (fitted.coefficients[number][:, ~kept] == 0).all()
    assert np.isnan(fitted.predict(without_load, given.slot)).all()
    kinds = np.repeat([each.kind for each in given.columns], [each.values.shape[1] for each in given.columns])
    for kept, without in zip(fitted.kept, (frozenset[str](), *VARIANTS), strict=True):
        assert set(kinds[~kept]) == without


def test_rows_of_one_design_may_fall_back_on_different_variants() -> None:
    given = data()
    fitted, _ = given.fit(optional=VARIANTS)
    holes = given.columns[4].values.copy()
    holes[::2] = np.nan
    mixed = fitted.predict([*given.columns[:4], replace(given.columns[4], values=holes)], given.slot)
    whole = fitted.predict(given.columns, given.slot)
    np.testing.assert_array_equal(mixed[1::2], whole[1::2])
    assert (mixed[::2] != whole[::2]).all()


def test_a_variant_is_the_fit_without_its_columns_under_the_same_weights() -> None:
    given = data()
    fitted, _ = given.fit(optional=VARIANTS)
    x = standardised(given)
    for number, kept in enumerate(fitted.kept):
        for slot in range(SLOTS):
            rows = given.slot == slot
            weight = huber(x[rows], given.target[rows], weight=given.weight[rows], prior=given.prior)
            expected = closed_form(x[rows][:, kept], given.target[rows], weight=weight, prior=given.prior[kept])
            np.testing.assert_allclose(fitted.coefficients[number, slot, kept], expected, rtol=1e-6, atol=1e-9)


def test_a_held_out_prediction_is_that_of_a_fit_without_its_fold() -> None:
    given = data()
    _, held_out = given.fit(folds=True)
    x = standardised(given)
    for slot in range(SLOTS):
        rows = given.slot == slot
        weight = huber(x[rows], given.target[rows], weight=given.weight[rows], prior=given.prior)
        for fold in range(4):
            kept, out = given.fold[rows] != fold, given.fold[rows] == fold
            assert out.any()
            without = closed_form(x[rows][kept], given.target[rows][kept], weight=weight[kept], prior=given.prior)
            np.testing.assert_allclose(held_out[rows][out], x[rows][out] @ without, rtol=1e-7)


def test_held_out_errors_are_honest_about_noise_columns() -> None:
    random = np.random.default_rng(5)
    count = 200
    columns = [Columns("constant", np.ones((count, 1))), Columns("load", random.normal(0, 1, (count, 30)))]
    target, slot = random.normal(7, 0.1, count), np.zeros(count, np.intp)
    fitted, held_out = ridge.fit(
        columns,
        target,
        slot=slot,
        slots=1,
        weight=np.ones(count),
        penalty=PENALTY,
        fold=np.arange(count) % 5,
    )
    inside, outside = (float(np.std(target - each)) for each in (fitted.predict(columns, slot), held_out))
    assert inside < 0.1 < outside


def test_one_spike_in_a_hundred_hardly_moves_the_fit() -> None:
    clean = data(count=1200)
    spikes = np.random.default_rng(2).random(len(clean.target)) < 0.01
    assert spikes.sum() > 5
    spiked = replace(clean, target=np.where(spikes, clean.target + 2.0, clean.target))
    before, after = (each.fit()[0].predict(clean.columns, clean.slot) for each in (clean, spiked))
    x = standardised(clean)
    plain = np.full(len(before), np.nan)
    for slot in range(SLOTS):
        rows = clean.slot == slot
        plain[rows] = x[rows] @ closed_form(x[rows], spiked.target[rows], weight=clean.weight[rows], prior=clean.prior)
    moved, unguarded = np.abs(after - before).mean(), np.abs(plain - before).mean()
    assert moved < 0.003
    assert moved < unguarded / 5


def test_rows_without_a_target_or_a_column_teach_nothing() -> None:
    given = data()
    hole = np.arange(len(given.target)) % 7 == 0
    target = np.where(hole, np.nan, given.target)
    weather = given.columns[2].values.copy()
    weather[1::7] = np.nan
    holed = replace(
        given,
        target=target,
        columns=[*given.columns[:2], replace(given.columns[2], values=weather), *given.columns[3:]],
    )
    keep = np.isfinite(target) & np.isfinite(weather).all(axis=1)
    part = Data(
        [replace(each, values=each.values[keep]) for each in holed.columns],
        target[keep],
        given.slot[keep],
        given.weight[keep],
        given.fold[keep],
    )
    (left, out), (right, _) = holed.fit(folds=True), part.fit()
    np.testing.assert_allclose(left.coefficients, right.coefficients, rtol=1e-9)
    np.testing.assert_array_equal(np.isfinite(out), keep)


def test_a_column_that_is_always_nothing_has_no_say_and_a_slot_without_rows_no_prediction() -> None:
    given = data()
    silent = [*given.columns, Columns("calendar", np.zeros((len(given.target), 1)))]
    fitted, _ = ridge.fit(silent, given.target, slot=given.slot, slots=SLOTS + 1, weight=given.weight, penalty=PENALTY)
    assert not fitted.kept[0, -1]
    assert np.isnan(fitted.predict(silent, np.full_like(given.slot, SLOTS))).all()
    loud = [*given.columns, Columns("calendar", np.full((len(given.target), 1), 9.0))]
    np.testing.assert_array_equal(fitted.predict(loud, given.slot), fitted.predict(silent, given.slot))


def test_no_prediction_leaves_what_was_seen_by_much() -> None:
    given = data()
    fitted, _ = given.fit()
    wild = [replace(each, values=each.values + (1e6 if each.kind == "weather" else 0)) for each in given.columns]
    predicted = fitted.predict(wild, given.slot)
    assert predicted.max() <= given.target.max() + 0.25
    assert predicted.min() >= given.target.min() - 0.25


@pytest.mark.parametrize("factor", [1.0, 100.0])
def test_more_penalty_shrinks_the_effects(factor: float) -> None:
    given = data()
    loose, _ = given.fit()
    tight, _ = ridge.fit(
        given.columns,
        given.target,
        slot=given.slot,
        slots=SLOTS,
        weight=given.weight,
        penalty={kind: factor * value for kind, value in PENALTY.items()},
    )
    ratio = np.abs(tight.coefficients[0, :, 1:]).sum() / np.abs(loose.coefficients[0, :, 1:]).sum()
    assert ratio == pytest.approx(1) if factor == 1 else ratio < 0.5
