"""`linear`: one spline-ridge model per interval of the day.

First what the calendar and the weather make us expect; then the same columns once more beside the recent deviations
from that expectation and, where it was public, what the operator's own forecast adds. About a CPU-second a fit.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from gridcast import models
from gridcast.contracts import Design, Floats
from gridcast.models import artifact, calibration, expected, ridge
from gridcast.models.calibration import Calibration
from gridcast.models.expected import Expected
from gridcast.models.ridge import Columns, SlotRidge


@dataclass(frozen=True)
class Linear:
    """The recipe. ``half_life_days`` of memory; ``strength`` multiplies the ridge penalties."""

    name: ClassVar[str] = "linear"
    half_life_days: float = 1500.0
    strength: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a parameter that makes no sense.

        Raises:
            ConfigError: one is not positive.
        """
        models.require_positive(self.name, half_life_days=self.half_life_days, strength=self.strength)

    def fit(self, design: Design, *, seed: int = 0) -> FittedLinear:
        """Fit on the rows whose target is known; ``seed`` is unused, nothing here is random.

        Raises:
            TooLittleHistory: fewer than `expected.MIN_DAYS` days.
        """
        base = expected.fit(design, half_life_days=self.half_life_days)
        target = expected.log_target(design)
        with_tso = bool(np.isfinite(design.tso[np.isfinite(target)]).mean() >= expected.ENOUGH_WEATHER)
        kinds = [kind for kind, used in (("tso", with_tso), ("weather", bool(base.weather))) if used]
        fitted, held_out = ridge.fit(
            _columns(design, base, with_tso=with_tso),
            target,
            slot=design.slot,
            slots=design.slots,
            weight=expected.recency(design, half_life_days=self.half_life_days),
            fold=expected.folds(design),
            penalty={kind: self.strength * value for kind, value in expected.penalty(design).items()},
            optional=[frozenset({kind}) for kind in kinds] + ([frozenset(kinds)] if len(kinds) > 1 else []),
        )
        return FittedLinear(self, base, fitted, with_tso, calibration.fit(design, target - held_out), held_out)

    def load(self, folder: Path) -> FittedLinear:
        """Read a fitted model back.

        Raises:
            ArtifactMismatch: a file is absent or damaged.
        """
        meta, arrays = artifact.load(folder)
        base = Expected(SlotRidge(**artifact.under("base.ridge", arrays)), meta["weather"], arrays["base.sigma"])
        return FittedLinear(
            Linear(**meta["recipe"]),
            base,
            SlotRidge(**artifact.under("ridge", arrays)),
            meta["with_tso"],
            Calibration(**artifact.under("calibration", arrays)),
        )


@dataclass(frozen=True)
class FittedLinear:
    """What `Linear` fits. ``held_out`` [N] are the training rows' log forecasts made without them; it is not saved."""

    recipe: Linear
    base: Expected
    ridge: SlotRidge
    with_tso: bool
    calibration: Calibration
    held_out: Floats = field(default_factory=lambda: np.empty(0))

    def point(self, design: Design) -> Floats:
        """Log of the median forecast of every row [N], run-up rows included."""
        return self.ridge.predict(_columns(design, self.base, with_tso=self.with_tso), design.slot)

    def predict(self, design: Design) -> Floats:
        """Quantiles in MW of the wanted rows, [M, Q]."""
        rows = design.wanted_rows
        return self.calibration.fan(self.point(design)[rows], design=design, rows=rows)

    def save(self, folder: Path) -> None:
        """Write the model into a folder."""
        artifact.save(
            folder,
            meta={"recipe": asdict(self.recipe), "weather": self.base.weather, "with_tso": self.with_tso},
            arrays=artifact.flatten("base", self.base)
            | artifact.flatten("ridge", self.ridge)
            | artifact.flatten("calibration", self.calibration),
        )


def _columns(design: Design, base: Expected, *, with_tso: bool) -> list[Columns]:
    mu = base.predict(design)
    columns = expected.static_columns(design, base.weather)
    columns.append(Columns("load", expected.deviations(design, expected=base, mu=mu)))
    if with_tso:
        columns.append(Columns("tso", expected.tso_columns(design, mu)))
    return columns
