"""`linear`: one spline-ridge model per interval of the day.

First what the calendar and the weather make us expect; then the same columns once more beside the recent deviations
from that expectation. Where the operator's own forecast was public, a second model says how the load will deviate from
it, and the two are weighed. A few CPU-seconds a fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from gridcast import models
from gridcast.contracts import Block, Design, Floats
from gridcast.models import artifact, calibration, expected, explaining, recent, ridge
from gridcast.models.calibration import Calibration
from gridcast.models.expected import Expected
from gridcast.models.ridge import Columns, SlotRidge

_PENALTY = {"load": 0.1, "hours": 0.3, "tso": 0.1}
"""Ridge penalties of the kinds of column that `expected` has not."""
_ENOUGH_DAYS = 1000
"""Days of history that these penalties are for; with fewer they grow."""
_NEAR_OPERATOR = {"load": 3.0, "hours": 3.0, "weather": 3.0, "tso": 0.5}
_CALENDAR = 20.0
"""How much stronger the penalties are of what the operator knows too."""
_CLIP = 10.0
_ODD = 0.5
"""An operator's forecast this much of a logarithm from what is expected is in another unit, or none at all."""


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
        seen = Seen.of(design, base)
        own, held_out = self._fit(design, seen.columns, target=target, weather=bool(base.weather))
        near, share = None, 0.0
        operator = seen.operator
        if np.isfinite(operator[np.isfinite(target)]).mean() >= expected.ENOUGH_WEATHER:
            near, off = self._fit(
                design, seen.near_columns, target=target - operator, weather=bool(base.weather), factor=_NEAR_OPERATOR
            )
            near_held = operator + off
            limit = _CLIP * base.sigma[design.slot]
            share = _share(near_held - held_out, np.clip(target - held_out, -limit, limit))
            held_out = _mixed(held_out, near_held, share=share)
        return FittedLinear(self, base, own, near, share, calibration.fit(design, target - held_out), held_out)

    def _fit(
        self,
        design: Design,
        columns: list[Columns],
        *,
        target: Floats,
        weather: bool,
        factor: Mapping[str, float] | None = None,
    ) -> tuple[SlotRidge, Floats]:
        days = len(np.unique(design.local_day[np.isfinite(target)]))
        few = max(1.0, _ENOUGH_DAYS / days)
        penalty = expected.penalty(design) | {kind: few * value for kind, value in _PENALTY.items()}
        if factor is not None:
            penalty = {kind: factor.get(kind, _CALENDAR) * value for kind, value in penalty.items()}
        return ridge.fit(
            columns,
            target,
            slot=design.slot,
            slots=design.slots,
            weight=expected.recency(design, half_life_days=self.half_life_days),
            fold=expected.folds(design),
            penalty={kind: self.strength * value for kind, value in penalty.items()},
            optional=[frozenset({"weather"})] if weather else [],
        )

    def load(self, folder: Path) -> FittedLinear:
        """Read a fitted model back.

        Raises:
            ArtifactMismatch: a file is absent or damaged.
        """
        meta, arrays = artifact.load(folder)
        base = Expected(SlotRidge(**artifact.under("base.ridge", arrays)), meta["weather"], arrays["base.sigma"])
        near = artifact.under("near", arrays)
        return FittedLinear(
            Linear(**meta["recipe"]),
            base,
            SlotRidge(**artifact.under("own", arrays)),
            SlotRidge(**near) if near else None,
            meta["share"],
            Calibration(**artifact.under("calibration", arrays)),
        )


@dataclass(frozen=True)
class FittedLinear:
    """What `Linear` fits: ``own`` forecasts the load, ``near`` its deviation from the operator's forecast.

    ``share`` is the weight of the second. ``held_out`` [N] are the training rows' log forecasts made without them; it
    is not saved.
    """

    recipe: Linear
    base: Expected
    own: SlotRidge
    near: SlotRidge | None
    share: float
    calibration: Calibration
    held_out: Floats = field(default_factory=lambda: np.empty(0))

    @property
    def with_tso(self) -> bool:
        """Whether it uses the operator's forecast."""
        return self.near is not None

    def point(self, design: Design) -> Floats:
        """Log of the median forecast of every row [N], run-up rows included."""
        return self.point_of(Seen.of(design, self.base))

    def point_of(self, seen: Seen) -> Floats:
        """The same of a design already seen."""
        design = seen.design
        own = self.own.predict(seen.columns, design.slot)
        if self.near is None:
            return own
        near = seen.operator + self.near.predict(seen.near_columns, design.slot)
        return _mixed(own, near, share=self.share)

    def parts(self, design: Design) -> dict[str, Floats]:
        """What each term adds to the log point forecasts of the wanted rows, [M] each, see `explaining.TERMS`.

        The operator's forecast is the sum of what calendar and weather make us expect, which belongs to their terms,
        and of what it adds to that.
        """
        seen = Seen.of(design, self.base)
        found = seen.terms(self.own, seen.columns)
        if self.near is not None:
            static = seen.terms(self.base.ridge, expected.static_columns(design, self.base.weather))
            near = seen.terms(self.near, seen.near_columns)
            near = {name: values + static.get(name, 0.0) for name, values in near.items()}
            near[explaining.TSO] += seen.operator - seen.mu
            share = np.where(np.isfinite(sum(near.values())), self.share, 0.0)
            found = {
                name: (1 - share) * found.get(name, 0.0) + share * np.where(share > 0, values, 0.0)
                for name, values in near.items()
            }
        typical = self._typical(design)
        found[explaining.CALENDAR] = found[explaining.CALENDAR] - typical
        rows = design.wanted_rows
        return {explaining.TYPICAL: np.full(rows.sum(), typical)} | {name: x[rows] for name, x in found.items()}

    def _typical(self, design: Design) -> float:
        """Log load of the mean interval of an ordinary week, by what ``own`` knows of intervals and weekdays."""
        weight = np.concatenate(
            [np.full(b.values.shape[1], {"constant": 1.0, "weekday": 1 / 7}.get(b.name, 0.0)) for b in design.calendar]
        )
        return float(np.nanmean(self.own.coefficients[0][:, : len(weight)] @ weight))

    def predict(self, design: Design) -> Floats:
        """Quantiles in MW of the wanted rows, [M, Q]."""
        return self.calibration.fan(self.point(design), design=design)

    def save(self, folder: Path) -> None:
        """Write the model into a folder."""
        artifact.save(
            folder,
            meta={"recipe": asdict(self.recipe), "weather": self.base.weather, "share": self.share},
            arrays=artifact.flatten("base", self.base)
            | artifact.flatten("own", self.own)
            | (artifact.flatten("near", self.near) if self.near is not None else {})
            | artifact.flatten("calibration", self.calibration),
        )


@dataclass(frozen=True)
class Seen:
    """A design's rows as the regressions see them; ``mu`` [N] is what calendar and weather make us expect."""

    design: Design
    base: Expected
    mu: Floats

    @classmethod
    def of(cls, design: Design, base: Expected) -> Seen:
        """The columns of every row."""
        return cls(design, base, base.predict(design))

    @cached_property
    def load(self) -> tuple[Block, Block]:
        """How the load has lately deviated, see `recent.load`."""
        return recent.load(self.design, base=self.base, mu=self.mu)

    @cached_property
    def tso(self) -> Block:
        """What the operator's forecast adds, see `recent.tso`."""
        return recent.tso(self.design, self.mu, forecast=self.operator)

    @cached_property
    def operator(self) -> Floats:
        """Log of the operator's forecast [N]; NaN where there is none, or it is too far from ``mu`` to be one."""
        log = np.log(np.where(self.design.tso > 0, self.design.tso, np.nan))
        limit = np.maximum(_ODD, _CLIP * self.base.sigma[self.design.slot])
        return np.where(np.abs(log - self.mu) < limit, log, np.nan)

    @property
    def columns(self) -> list[Columns]:
        """Calendar, weather and recent deviations."""
        return expected.static_columns(self.design, self.base.weather) + [
            Columns(block.name, block.values) for block in self.load
        ]

    @property
    def near_columns(self) -> list[Columns]:
        """The same, and what the operator's forecast adds to the expectation."""
        return [*self.columns, Columns("tso", self.tso.values)]

    def terms(self, fitted: SlotRidge, columns: list[Columns]) -> dict[str, Floats]:
        """What each term adds to what ``fitted`` predicts of every row [N] from the first of `near_columns`."""
        calendar = [Columns(block.name, block.values) for block in explaining.ordinary(self.design)]
        added, limit = fitted.parts(columns, self.design.slot)
        plain, _ = fitted.parts([*calendar, *columns[len(calendar) :]], self.design.slot)
        names = [*(each.kind for each in calendar), *self.base.weather, "load", "hours", "tso"]
        found = {explaining.LIMIT: limit}
        for name, values in zip(map(explaining.term, names), plain.T, strict=False):
            found[name] = found.get(name, 0.0) + values
        if len(calendar) > 1:
            found[explaining.HOLIDAY] += (added - plain).sum(axis=1)
        return found


def _share(correction: Floats, error: Floats) -> float:
    """The share of a correction [N] that would have served best against the errors [N] it was made for, 0 to 1."""
    rows = np.isfinite(correction) & np.isfinite(error)
    size = float(np.sum(correction[rows] ** 2))
    return float(np.clip(np.sum(correction[rows] * error[rows]) / size, 0.0, 1.0)) if size > 0 else 0.0


def _mixed(own: Floats, near: Floats, *, share: float) -> Floats:
    return np.where(np.isfinite(near), own + share * (near - own), own)
