"""A registry, and models that differ in the width of their bands."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pytest

from gridcast.contracts import QUANTILES
from gridcast.models.calibration import Calibration
from gridcast.models.naive import FittedNaive, Naive
from gridcast.registry import Details, Registry


@pytest.fixture
def details():
    return Details(
        inputs=("load", "calendar"),
        resolution=np.timedelta64(15, "m"),
        first_day=date(2023, 1, 1),
        last_day=date(2026, 1, 1),
        data_sha256="ab" * 32,
        weather_basis="",
        tso_basis="",
        seed=0,
        metrics={"mae_mw": 71.5, "skill_vs_tso": None},
    )


@pytest.fixture
def naive():
    def of_width(width):
        offsets = width * np.linspace(-1, 1, len(QUANTILES))
        return FittedNaive(Naive(), Calibration(np.ones(24), np.ones(12), np.ones(3), offsets))

    return of_width


@pytest.fixture
def root(tmp_path):
    return tmp_path / "home" / "models"


@pytest.fixture
def registry(root):
    return Registry(root)


@pytest.fixture
def register(registry, naive, details):
    """Registers a model, or the naive one with bands of a width, for DK_1's delivery day unless told otherwise."""

    def add(model=1.0, **changed):
        usual = {"zone": "DK_1", "task": "day_ahead", "trained_at": datetime(2026, 1, 2, 12, tzinfo=UTC)}
        fitted = naive(model) if isinstance(model, float) else model
        return registry.register(fitted, **(usual | {"details": details} | changed))

    return add
