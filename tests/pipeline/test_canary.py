"""A canary sings the same wherever its model is whole, and differently where it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import small_home
from gridcast.market.days import Task
from gridcast.market.zones import zone
from gridcast.pipeline import canary
from gridcast.pipeline.champions import Champion


@pytest.fixture(scope="module")
def champion():
    registry = small_home.service(small_home.home()).registry
    return Champion.load(registry, registry.champion("DK_1", Task.DAY_AHEAD), zone=zone("DK_1"))


def test_the_canary_of_a_loaded_model_is_the_one_of_its_training(champion):
    assert champion.fault == ""
    assert champion.level == pytest.approx(2400, rel=0.3)


def test_a_model_whose_weights_moved_by_a_thousandth_does_not_pass(champion):
    fitted = champion.trained.fitted
    offsets = fitted.calibration.offsets * 1.001
    moved = replace(fitted, calibration=replace(fitted.calibration, offsets=offsets))

    recorded = champion.manifest.details.metrics[canary.KEY]
    assert "not the one" in canary.fault(replace(champion.trained, fitted=moved), recorded)


@pytest.mark.parametrize(
    ("recorded", "why"),
    [
        (None, "no canary was recorded"),
        ({}, "cannot be read"),
        ({"level_mw": 2000.0, "median_mw": "many", "width_mw": []}, "cannot be read"),
        ({"level_mw": 2000.0, "median_mw": [1.0], "width_mw": [1.0]}, "not the one"),
    ],
)
def test_a_model_without_a_readable_canary_is_not_sound(champion, recorded, why):
    assert why in canary.fault(champion.trained, recorded)


def test_the_canary_is_at_the_level_that_it_is_given(champion):
    low, usual, high = (
        np.mean(canary.found(champion.trained, level=champion.level * share)["median_mw"]) for share in (0.95, 1, 1.05)
    )
    assert low < usual < high
    assert usual == pytest.approx(champion.level, rel=0.1)


def test_a_card_says_what_the_manifest_says(champion):
    card = champion.card(manifest_sha256="0" * 64)
    details = champion.manifest.details

    assert (card["version"], card["model"], card["data_sha256"]) == (
        champion.version.id,
        "linear",
        details.data_sha256,
    )
    assert (card["first_day"], card["last_day"]) == (details.first_day.isoformat(), details.last_day.isoformat())
    assert card["canary"] == "matches"
