"""`ensemble`: the weighted mean of several models' medians, with bands of its own. The shipped champion."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy.optimize import nnls

from gridcast import models
from gridcast.contracts import MEDIAN, Design, Floats
from gridcast.models import artifact, calibration, expected
from gridcast.models.boosted import Boosted
from gridcast.models.calibration import Calibration
from gridcast.models.linear import FittedLinear

_TO_EQUAL = 0.5
"""How far the learned weights are drawn to equal ones: combinations that are not lose to the plain mean."""


@dataclass(frozen=True)
class Ensemble:
    """The recipe: names of the members, each with its own default parameters."""

    name: ClassVar[str] = "ensemble"
    members: tuple[str, ...] = ("linear", "boosted")

    def __post_init__(self) -> None:
        """Refuse an ensemble of nobody.

        Raises:
            ConfigError: there is no member.
        """
        models.require_positive(self.name, members=len(self.members))

    def fit(self, design: Design, *, seed: int = 0) -> FittedEnsemble:
        """Fit every member, then weigh them by what they forecast of rows they had not seen.

        Raises:
            TooLittleHistory: a member has too few days.
        """
        fitted: dict[str, models.Fitted] = {}
        for name in self.members:
            recipe, linear = models.recipe(name), fitted.get("linear")
            if isinstance(recipe, Boosted) and isinstance(linear, FittedLinear):
                fitted[name] = recipe.fit(design, seed=seed, linear=linear)
            else:
                fitted[name] = recipe.fit(design, seed=seed)
        members = tuple(fitted.values())
        target = expected.log_target(design)
        seen = np.stack([member.held_out for member in members], axis=1)
        rows = np.isfinite(seen).all(axis=1) & np.isfinite(target)
        centre = seen[rows].mean(axis=1)
        learned, _ = nnls(seen[rows] - centre[:, None] + 1.0, target[rows] - centre + 1.0)
        weights = (1 - _TO_EQUAL) * learned / learned.sum() + _TO_EQUAL / len(members)
        held_out = np.where(rows, seen @ weights, np.nan)
        return FittedEnsemble(self, members, weights, calibration.fit(design, target - held_out), held_out)

    def load(self, folder: Path) -> FittedEnsemble:
        """Read a fitted model back.

        Raises:
            ArtifactMismatch: a file is absent or damaged.
        """
        meta, arrays = artifact.load(folder)
        recipe = Ensemble(tuple(meta["recipe"]["members"]))
        members = tuple(models.recipe(name).load(folder / name) for name in recipe.members)
        return FittedEnsemble(recipe, members, arrays["weights"], Calibration(**artifact.under("calibration", arrays)))


@dataclass(frozen=True)
class FittedEnsemble:
    """What `Ensemble` fits: its members, their ``weights`` (they sum to 1) and the calibration of the mean."""

    recipe: Ensemble
    members: tuple[models.Fitted, ...]
    weights: Floats
    calibration: Calibration
    held_out: Floats = field(default_factory=lambda: np.empty(0))

    def predict(self, design: Design) -> Floats:
        """Quantiles in MW of the wanted rows, [M, Q]."""
        rows = design.wanted_rows
        medians = np.log(np.stack([member.predict(design)[:, MEDIAN] for member in self.members], axis=1))
        return self.calibration.fan(medians @ self.weights, design=design, rows=rows)

    def save(self, folder: Path) -> None:
        """Write the model into a folder."""
        meta: dict[str, Any] = {"recipe": asdict(self.recipe)}
        artifact.save(
            folder, meta=meta, arrays={"weights": self.weights} | artifact.flatten("calibration", self.calibration)
        )
        for member in self.members:
            member.save(folder / member.recipe.name)
