"""`ensemble`: weights drawn to equal ones, the weighted mean of medians, bands of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from gridcast.contracts import MEDIAN, Design
from gridcast.errors import UnknownModel
from gridcast.market.zones import zone
from gridcast.models import expected
from gridcast.models.boosted import FittedBoosted
from gridcast.models.ensemble import Ensemble, FittedEnsemble
from strategies import OBSERVED_WEATHER, history, to_forecast, training

DK_1 = zone("DK_1")
FIRST, TESTED = date(2024, 1, 1), date(2024, 6, 3)


@pytest.fixture(scope="module")
def train() -> Design:
    frame = history(DK_1, first=FIRST, last=TESTED, weather=(OBSERVED_WEATHER,))
    return training(DK_1, frame, first=FIRST + timedelta(days=2), last=TESTED)


@pytest.fixture(scope="module")
def learned(train: Design) -> FittedEnsemble:
    return Ensemble().fit(train)


@pytest.fixture(scope="module")
def made() -> Design:
    frame = history(DK_1, first=FIRST, last=TESTED + timedelta(days=8), weather=(OBSERVED_WEATHER,))
    return to_forecast(DK_1, frame, first=TESTED, days=7)


def test_the_weights_sum_to_one_and_none_is_below_half_an_equal_share(learned: FittedEnsemble) -> None:
    assert learned.weights.sum() == pytest.approx(1)
    assert (learned.weights >= 0.25 - 1e-12).all()
    assert [member.recipe.name for member in learned.members] == ["linear", "boosted"]


def test_the_median_is_the_weighted_mean_of_the_members_medians(learned: FittedEnsemble, made: Design) -> None:
    medians = [np.log(member.predict(made)[:, MEDIAN]) for member in learned.members]
    by_hand = sum(weight * median for weight, median in zip(learned.weights, medians, strict=True))
    np.testing.assert_allclose(learned.predict(made)[:, MEDIAN], np.exp(by_hand), rtol=1e-12)


def test_the_boosted_member_builds_on_the_linear_one_instead_of_fitting_it_again(learned: FittedEnsemble) -> None:
    linear, boosted = learned.members
    assert isinstance(boosted, FittedBoosted)
    assert boosted.linear is linear


def test_its_bands_are_learned_from_the_held_out_mean(train: Design, learned: FittedEnsemble) -> None:
    target = expected.log_target(train)
    held_out = np.stack([member.held_out for member in learned.members], axis=1) @ learned.weights
    np.testing.assert_array_equal(learned.held_out, np.where(np.isfinite(target), held_out, np.nan))
    rows = np.isfinite(learned.held_out)
    fan = np.log(learned.calibration.fan(learned.held_out[rows], design=train, rows=rows))
    assert 100 * ((target[rows] >= fan[:, 2]) & (target[rows] <= fan[:, -3])).mean() == pytest.approx(80, abs=1)


def test_a_better_member_weighs_more(train: Design) -> None:
    fitted = Ensemble(("naive", "linear")).fit(train)
    assert fitted.weights[1] > 0.7
    assert fitted.weights.sum() == pytest.approx(1)


def test_a_row_that_a_member_cannot_forecast_is_not_forecast(train: Design, made: Design) -> None:
    fitted = Ensemble(("naive", "linear")).fit(train)
    lacking = made.lag_load.copy()
    lacking[np.flatnonzero(made.wanted_rows)[5], 6] = np.nan
    fan = fitted.predict(replace(made, lag_load=lacking))
    assert np.flatnonzero(np.isnan(fan).any(axis=1)).tolist() == [5]


def test_one_member_is_itself(train: Design, made: Design) -> None:
    fitted = Ensemble(("linear",)).fit(train)
    assert fitted.weights.tolist() == [1.0]
    np.testing.assert_allclose(fitted.predict(made), fitted.members[0].predict(made), rtol=1e-12)


def test_a_member_of_an_unknown_name_is_refused(train: Design) -> None:
    with pytest.raises(UnknownModel, match="there is no model 'linar'"):
        Ensemble(("linar",)).fit(train)
