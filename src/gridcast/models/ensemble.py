"""`ensemble`: the weighted mean of several models' medians, with bands of its own. The shipped champion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from gridcast import models
from gridcast.contracts import Design, Floats
from gridcast.errors import ConfigError
from gridcast.models import artifact, calibration, expected, explaining
from gridcast.models.boosted import Boosted, FittedBoosted
from gridcast.models.calibration import Calibration
from gridcast.models.linear import FittedLinear, Seen


@dataclass(frozen=True)
class Ensemble:
    """The recipe: names of the members, each with its own default parameters, and their ``weights``.

    The weights are given, not learned: those that fit the past best lose to fixed ones.
    """

    name: ClassVar[str] = "ensemble"
    members: tuple[str, ...] = ("linear", "boosted")
    weights: tuple[float, ...] = (0.3, 0.7)

    def __post_init__(self) -> None:
        """Refuse an ensemble of nobody.

        Raises:
            ConfigError: there is no member or one twice, a weight is not positive, or there are more of one than of
                the other.
        """
        models.require_positive(self.name, members=len(self.members), weights=float(np.min(self.weights or (0.0,))))
        if len(set(self.members)) != len(self.members) or len(self.members) != len(self.weights):
            raise ConfigError(
                f"the model {self.name!r} has the members {', '.join(self.members)} and {len(self.weights)} weights",
                remedy="name every member once and give it one weight",
            )

    def fit(self, design: Design, *, seed: int = 0) -> FittedEnsemble:
        """Fit every member.

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
        held_out = self.mean([member.held_out for member in members])
        bands = calibration.fit(design, expected.log_target(design) - held_out)
        return FittedEnsemble(self, members, bands, held_out)

    def mean(self, points: Sequence[Floats]) -> Floats:
        """The weighted mean of the members' log forecasts, [N] each."""
        return np.asarray(np.average(points, axis=0, weights=self.weights), np.float64)

    def load(self, folder: Path) -> FittedEnsemble:
        """Read a fitted model back.

        Raises:
            ArtifactMismatch: a file is absent or damaged.
        """
        meta, arrays = artifact.load(folder)
        recipe = Ensemble(**{name: tuple(values) for name, values in meta["recipe"].items()})
        loaded = {name: models.recipe(name).load(folder / name) for name in recipe.members}
        linear, boosted = loaded.get("linear"), loaded.get("boosted")
        if isinstance(linear, FittedLinear) and isinstance(boosted, FittedBoosted):
            loaded["boosted"] = replace(boosted, linear=linear)
        members = tuple(loaded.values())
        return FittedEnsemble(recipe, members, Calibration(**artifact.under("calibration", arrays)))


@dataclass(frozen=True)
class FittedEnsemble:
    """What `Ensemble` fits: its members and the calibration of their mean."""

    recipe: Ensemble
    members: tuple[models.Fitted, ...]
    calibration: Calibration
    held_out: Floats = field(default_factory=lambda: np.empty(0))

    def point(self, design: Design) -> Floats:
        """Log of the median forecast of every row [N], run-up rows included."""
        seen: dict[int, tuple[Seen, Floats]] = {}

        def of(member: models.Fitted) -> Floats:
            """Its log forecasts; what two members share is computed once."""
            if not isinstance(member, FittedLinear | FittedBoosted):
                return member.point(design)
            linear = member.linear if isinstance(member, FittedBoosted) else member
            if id(linear) not in seen:
                looked = Seen.of(design, linear.base)
                seen[id(linear)] = looked, linear.point_of(looked)
            looked, base = seen[id(linear)]
            return base + member.correction(looked, base=base) if isinstance(member, FittedBoosted) else base

        return self.recipe.mean([of(member) for member in self.members])

    def parts(self, design: Design) -> dict[str, Floats]:
        """What each term adds to the log point forecasts of the wanted rows, [M] each: the mean of the members'.

        Raises:
            ConfigError: a member is of a kind that cannot say so.
        """
        found = [explaining.parts(member, design) for member in self.members]
        zero = np.zeros(design.wanted_rows.sum())
        names = {name: None for each in found for name in each}
        return {name: self.recipe.mean([each.get(name, zero) for each in found]) for name in names}

    def predict(self, design: Design) -> Floats:
        """Quantiles in MW of the wanted rows, [M, Q]."""
        return self.calibration.fan(self.point(design), design=design)

    def save(self, folder: Path) -> None:
        """Write the model into a folder."""
        meta: dict[str, Any] = {"recipe": asdict(self.recipe)}
        artifact.save(folder, meta=meta, arrays=artifact.flatten("calibration", self.calibration))
        for member in self.members:
            member.save(folder / member.recipe.name)
