"""`boosted`: gradient-boosted trees on what `linear` leaves unexplained.

Trees find the interactions that `linear` has no columns for. They learn its errors on rows it had not seen, so they
need not rediscover the shape of a year. Direct: one model for all intervals, the lead time is a column.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from gridcast import models
from gridcast.contracts import Design, Floats
from gridcast.errors import ArtifactMismatch
from gridcast.models import artifact, calibration, expected
from gridcast.models.calibration import Calibration
from gridcast.models.linear import FittedLinear, Linear

if TYPE_CHECKING:
    import lightgbm

_TREES = "trees.txt"
_FOLDS = 2
_CLIP = 5.0
_SMOOTH = ("constant", "season", "week_profile", "vacation")
"""Calendar blocks that trees make for themselves from the day of the year."""


@dataclass(frozen=True)
class Boosted:
    """The recipe: trees of ``leaves`` leaves, ``rounds`` of them, at learning rate ``rate``."""

    name: ClassVar[str] = "boosted"
    rounds: int = 150
    leaves: int = 31
    rate: float = 0.06

    def __post_init__(self) -> None:
        """Refuse a parameter that makes no sense.

        Raises:
            ConfigError: one is not positive, or a tree would have a single leaf.
        """
        models.require_positive(self.name, rounds=self.rounds, leaves=self.leaves - 1, rate=self.rate)

    def fit(self, design: Design, *, seed: int = 0, linear: FittedLinear | None = None) -> FittedBoosted:
        """Fit on the rows whose target is known.

        The model is the mean of two, each trained without every other four-week block: the blocks left out calibrate
        the bands.

        Args:
            design: the training rows.
            seed: of the trees' sampling.
            linear: a `Linear` fitted on the same design, if there is one already.

        Raises:
            TooLittleHistory: fewer than `expected.MIN_DAYS` days.
        """
        linear = linear or Linear().fit(design, seed=seed)
        target = expected.log_target(design)
        limit = _CLIP * linear.base.sigma[design.slot]
        error = np.clip(target - linear.held_out, -limit, limit)
        rows = np.isfinite(error)
        columns = _columns(design, linear, linear.held_out)
        weight = expected.recency(design, half_life_days=linear.recipe.half_life_days)
        fold = expected.folds(design) % _FOLDS
        held_out = np.full(len(target), np.nan)
        trees = []
        for each in range(_FOLDS):
            kept, out = rows & (fold != each), rows & (fold == each)
            trees.append(self._grow(columns[kept], error[kept], weight[kept], seed=seed + each))
            if out.any():
                held_out[out] = linear.held_out[out] + trees[-1].predict(columns[out], num_threads=1)
        return FittedBoosted(self, linear, tuple(trees), calibration.fit(design, target - held_out), held_out)

    def _grow(self, columns: Floats, error: Floats, weight: Floats, *, seed: int) -> lightgbm.Booster:
        import lightgbm

        parameters = {
            "objective": "regression",
            "num_leaves": self.leaves,
            "learning_rate": self.rate,
            "min_data_in_leaf": 30,
            "feature_fraction": 0.5,
            "bagging_fraction": 0.7,
            "bagging_freq": 1,
            "lambda_l2": 5.0,
            "max_bin": 127,
            "num_threads": 1,  # two oversubscribed threads are slower than one here, and one is deterministic
            "deterministic": True,
            "seed": seed,
            "verbose": -1,
        }
        return lightgbm.train(
            parameters, lightgbm.Dataset(columns, error, weight=weight, params={"verbose": -1}), self.rounds
        )

    def load(self, folder: Path) -> FittedBoosted:
        """Read a fitted model back.

        Raises:
            ArtifactMismatch: a file is absent or damaged.
        """
        import lightgbm

        meta, arrays = artifact.load(folder)
        try:
            texts = json.loads((folder / _TREES).read_text(encoding="utf-8"))
            trees = tuple(lightgbm.Booster(model_str=text) for text in texts)
        except (OSError, ValueError, lightgbm.basic.LightGBMError) as error:
            raise ArtifactMismatch(
                f"{folder / _TREES} holds no readable trees ({error})",
                remedy="train the model again",
                path=str(folder / _TREES),
            ) from error
        calibrated = Calibration(**artifact.under("calibration", arrays))
        return FittedBoosted(Boosted(**meta["recipe"]), Linear().load(folder / Linear.name), trees, calibrated)


@dataclass(frozen=True)
class FittedBoosted:
    """What `Boosted` fits. ``held_out`` [N] are the training rows' log forecasts made without them; it is not saved."""

    recipe: Boosted
    linear: FittedLinear
    trees: tuple[lightgbm.Booster, ...]
    calibration: Calibration
    held_out: Floats = field(default_factory=lambda: np.empty(0))

    def predict(self, design: Design) -> Floats:
        """Quantiles in MW of the wanted rows, [M, Q]."""
        rows = design.wanted_rows
        base = self.linear.point(design)
        columns = _columns(design, self.linear, base)[rows]
        correction = np.mean([tree.predict(columns, num_threads=1) for tree in self.trees], axis=0)
        # Trees that never saw a missing value would take it for 0 °C: without the weather they have no say.
        known = [np.isfinite(values[rows]).all(axis=1) for values in _weather(design, self.linear)]
        point = base[rows] + np.where(np.all(known, axis=0), correction, 0.0)
        return self.calibration.fan(point, design=design, rows=rows)

    def save(self, folder: Path) -> None:
        """Write the model into a folder."""
        artifact.save(
            folder, meta={"recipe": asdict(self.recipe)}, arrays=artifact.flatten("calibration", self.calibration)
        )
        (folder / _TREES).write_text(json.dumps([tree.model_to_string() for tree in self.trees]), encoding="utf-8")
        self.linear.save(folder / Linear.name)


def _columns(design: Design, linear: FittedLinear, base: Floats) -> Floats:
    """Columns of every row [N, K]: clock, calendar, weather, recent deviations, the operator's forecast if any."""
    yearday = (design.local_day - design.local_day.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.float64)
    lead = (design.valid_time - design.origins.issue_time[design.origin]) / np.timedelta64(1, "h")
    calendar = [block.values for block in design.calendar if block.name not in _SMOOTH]
    mu = linear.base.predict(design)
    return np.concatenate(
        [
            np.stack([design.slot / design.slots, yearday, lead, mu, base], axis=1),
            *calendar,
            *_weather(design, linear),
            expected.deviations(design, expected=linear.base, mu=mu),
            expected.tso_columns(design, mu),
        ],
        axis=1,
    )


def _weather(design: Design, linear: FittedLinear) -> list[Floats]:
    """The weather that `linear` uses [N, K], without the bends, which trees make for themselves."""
    return [
        block.values[:, [n for n, name in enumerate(block.columns) if " over " not in name]]
        for block in expected.with_weather(design, linear.base.weather).weather
    ]
