"""`ensemble`: the weighted mean of its members' forecasts, and bands of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from gridcast.contracts import Design
from gridcast.errors import ConfigError, UnknownModel
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


def test_its_forecast_is_the_weighted_mean_of_the_members(learned: FittedEnsemble, made: Design) -> None:
    assert learned.recipe == Ensemble(("linear", "boosted"), (0.3, 0.7))
    assert [member.recipe.name for member in learned.members] == ["linear", "boosted"]
    linear, boosted = (member.point(made) for member in learned.members)
    point = learned.point(made)
    np.testing.assert_allclose(point, 0.3 * linear + 0.7 * boosted, rtol=1e-12)
    assert (np.abs(linear - boosted) > 1e-6).any()
    np.testing.assert_array_equal(learned.predict(made), learned.calibration.fan(point, design=made))


def test_weights_need_not_sum_to_one(train: Design, made: Design) -> None:
    one, two = (Ensemble(("naive", "linear"), weights).fit(train).predict(made) for weights in ((0.2, 0.6), (1.0, 3.0)))
    np.testing.assert_allclose(one, two, rtol=1e-12)


def test_the_boosted_member_builds_on_the_linear_one_instead_of_fitting_it_again(learned: FittedEnsemble) -> None:
    linear, boosted = learned.members
    assert isinstance(boosted, FittedBoosted)
    assert boosted.linear is linear


def test_its_bands_are_learned_from_the_held_out_mean(train: Design, learned: FittedEnsemble) -> None:
    linear, boosted = (member.held_out for member in learned.members)
    np.testing.assert_allclose(learned.held_out, 0.3 * linear + 0.7 * boosted, rtol=1e-12)
    target = expected.log_target(train)
    rows = np.isfinite(learned.held_out) & np.isfinite(target)
    assert rows.mean() > 0.6
    every = replace(train, wanted=np.ones_like(train.wanted))
    fan = np.log(learned.calibration.fan(learned.held_out, design=every))[rows]
    assert 100 * ((target[rows] >= fan[:, 2]) & (target[rows] <= fan[:, -3])).mean() == pytest.approx(80, abs=1)


def test_a_row_that_a_member_cannot_forecast_is_not_forecast(train: Design, made: Design) -> None:
    fitted = Ensemble(("naive", "linear"), (0.5, 0.5)).fit(train)
    lacking = made.lag_load.copy()
    lacking[np.flatnonzero(made.wanted_rows)[5], 6] = np.nan
    fan = fitted.predict(replace(made, lag_load=lacking))
    assert np.flatnonzero(np.isnan(fan).any(axis=1)).tolist() == [5]


def test_one_member_is_itself(train: Design, made: Design) -> None:
    fitted = Ensemble(("linear",), (0.4,)).fit(train)
    np.testing.assert_allclose(fitted.predict(made), fitted.members[0].predict(made), rtol=1e-12)


def test_saved_and_loaded_it_has_its_members_and_weights(train: Design, made: Design, tmp_path: Path) -> None:
    fitted = Ensemble(("naive", "linear"), (0.25, 0.75)).fit(train)
    fitted.save(tmp_path)
    again = Ensemble().load(tmp_path)
    assert again.recipe == fitted.recipe
    np.testing.assert_array_equal(again.predict(made), fitted.predict(made))


def test_a_member_of_an_unknown_name_is_refused(train: Design) -> None:
    with pytest.raises(UnknownModel, match="there is no model 'linar'"):
        Ensemble(("linar",), (1.0,)).fit(train)


@pytest.mark.parametrize(
    ("members", "weights"),
    [
        ((), ()),
        (("linear",), ()),
        (("linear", "boosted"), (1.0,)),
        (("linear",), (0.5, 0.5)),
        (("linear", "boosted"), (1.0, 0.0)),
        (("linear", "boosted"), (1.5, -0.5)),
        (("linear", "boosted"), (1.0, float("nan"))),
        (("linear", "linear"), (0.5, 0.5)),
    ],
)
def test_members_and_weights_that_make_no_ensemble_are_refused(
    members: tuple[str, ...], weights: tuple[float, ...]
) -> None:
    with pytest.raises(ConfigError, match="the model 'ensemble'"):
        Ensemble(members, weights)
