"""`naive`: the same local hour seven days before, and nothing else. The bar every model has to clear."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from gridcast.contracts import Design, Floats
from gridcast.models import artifact, calibration, expected
from gridcast.models.calibration import Calibration


@dataclass(frozen=True)
class Naive:
    """The recipe: it has no parameters."""

    name: ClassVar[str] = "naive"

    def fit(self, design: Design, *, seed: int = 0) -> FittedNaive:
        """Learn the bands from its own errors.

        Raises:
            TooLittleHistory: too few errors to calibrate on.
        """
        point = _point(design)
        return FittedNaive(self, calibration.fit(design, expected.log_target(design) - point, follow=0.0), point)

    def load(self, folder: Path) -> FittedNaive:
        """Read a fitted model back.

        Raises:
            ArtifactMismatch: a file is absent or damaged.
        """
        _, arrays = artifact.load(folder)
        return FittedNaive(self, Calibration(**artifact.under("calibration", arrays)))


@dataclass(frozen=True)
class FittedNaive:
    """What `Naive` fits: the calibration of its bands."""

    recipe: Naive
    calibration: Calibration
    held_out: Floats = field(default_factory=lambda: np.empty(0))

    def point(self, design: Design) -> Floats:
        """Log of the median forecast of every row [N]; NaN where the load seven days before is unknown."""
        return _point(design)

    def predict(self, design: Design) -> Floats:
        """Quantiles in MW of the wanted rows, [M, Q]; NaN where the load seven days before is unknown."""
        return self.calibration.fan(self.point(design), design=design)

    def save(self, folder: Path) -> None:
        """Write the model into a folder."""
        artifact.save(folder, meta={"recipe": {}}, arrays=artifact.flatten("calibration", self.calibration))


def _point(design: Design) -> Floats:
    week_ago = design.lag_load[:, 6]
    return np.log(np.where(week_ago > 0, week_ago, np.nan))
