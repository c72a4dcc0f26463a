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
from numpy.typing import NDArray

from gridcast import models
from gridcast.contracts import Design, Floats
from gridcast.errors import ArtifactMismatch
from gridcast.market.days import HOUR
from gridcast.models import artifact, calibration, expected, explaining
from gridcast.models.calibration import Calibration
from gridcast.models.linear import FittedLinear, Linear, Seen
from gridcast.models.ridge import Columns

if TYPE_CHECKING:
    import lightgbm

_TREES = "trees.txt"
_FOLDS = 2
_FOLD_DAYS, _SHORTER_DAYS = 91, (7, 1)
_LEAST_ROWS = 200
_CLIP = 5.0
_SHARE_WITH_WEATHER, _SHARE_WITHOUT = 1.0, 0.5
"""How much of their correction counts: without weather most of what trees find in the past does not come again."""
_SEASON = ("constant", "season", "week_profile", "vacation")
_SLOW = ("last 168 h", "last 672 h", "2 to 28 days before", "days like it of the last 28")
"""Calendar and deviations that tell a tree which months it is among, whose errors it has seen: it would learn those."""
_NOT_EXPECTED = (explaining.TYPICAL, explaining.LIMIT, explaining.RECENT_LEVEL, explaining.TSO)
"""Terms that what calendar and weather make us expect has not; what `linear` forecasts lacks the first two."""


@dataclass(frozen=True)
class Boosted:
    """The recipe: trees of ``leaves`` leaves, ``rounds`` of them, at learning rate ``rate``."""

    name: ClassVar[str] = "boosted"
    rounds: int = 150
    leaves: int = 15
    rate: float = 0.05

    def __post_init__(self) -> None:
        """Refuse a parameter that makes no sense.

        Raises:
            ConfigError: one is not positive, or a tree would have a single leaf.
        """
        models.require_positive(self.name, rounds=self.rounds, leaves=self.leaves - 1, rate=self.rate)

    def fit(self, design: Design, *, seed: int = 0, linear: FittedLinear | None = None) -> FittedBoosted:
        """Fit on the rows whose target is known.

        The correction is the mean of two, each trained without every other quarter of a year, or four weeks where there
        is less than a year; what is left out calibrates the bands.

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
        error = target - linear.held_out
        rows = np.abs(error) < expected.ABSURD
        error = np.clip(error, -limit, limit)
        columns = _stacked(_columns(Seen.of(design, linear.base), linear, base=linear.held_out))
        weight = expected.recency(design, half_life_days=linear.recipe.half_life_days)
        fold = _folds(design, rows)
        correction = np.full(len(target), np.nan)
        trees = []
        for each in range(_FOLDS):
            kept, out = rows & (fold != each), rows & (fold == each)
            trees.append(self._grow(columns[kept], error[kept], weight[kept], seed=seed + each))
            if out.any():
                correction[out] = trees[-1].predict(columns[out], num_threads=1)
        share = _SHARE_WITH_WEATHER if linear.base.weather else _SHARE_WITHOUT
        held_out = linear.held_out + share * correction
        return FittedBoosted(self, linear, tuple(trees), share, calibration.fit(design, target - held_out), held_out)

    def _grow(self, columns: Floats, error: Floats, weight: Floats, *, seed: int) -> lightgbm.Booster:
        import lightgbm

        parameters = {
            "objective": "regression",
            "num_leaves": self.leaves,
            "learning_rate": self.rate,
            "min_data_in_leaf": 100,
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
        linear = Linear().load(folder / Linear.name)
        return FittedBoosted(Boosted(**meta["recipe"]), linear, trees, meta["share"], calibrated)


@dataclass(frozen=True)
class FittedBoosted:
    """What `Boosted` fits: trees, and the ``share`` of their correction that is used.

    ``held_out`` [N] are the training rows' log forecasts made without them; it is not saved.
    """

    recipe: Boosted
    linear: FittedLinear
    trees: tuple[lightgbm.Booster, ...]
    share: float
    calibration: Calibration
    held_out: Floats = field(default_factory=lambda: np.empty(0))

    def point(self, design: Design) -> Floats:
        """Log of the median forecast of every row [N], run-up rows included."""
        seen = Seen.of(design, self.linear.base)
        base = self.linear.point_of(seen)
        return base + self.correction(seen, base=base)

    def correction(self, seen: Seen, *, base: Floats) -> Floats:
        """What the trees add to ``base``, the log point forecasts of `linear` [N]; 0 where nobody looks."""
        columns = _columns(seen, self.linear, base=base)
        rows = seen.design.looked_at & self._serves(columns)
        correction, values = np.zeros(len(base)), _stacked(columns)[rows]
        if len(values):
            correction[rows] = np.mean([tree.predict(values, num_threads=1) for tree in self.trees], axis=0)
        return self.share * correction

    def _serves(self, columns: list[Columns]) -> NDArray[np.bool_]:
        """Rows [N] on which the trees have a say: they never saw missing weather, and would take it for 0 °C."""
        weather = [each.values for each in columns if each.kind in self.linear.base.weather]
        known = [np.isfinite(values).all(axis=1) for values in weather]
        return np.asarray(np.all([np.ones(len(columns[0].values), np.bool_), *known], axis=0), np.bool_)

    def parts(self, design: Design) -> dict[str, Floats]:
        """What each term adds to the log point forecasts of the wanted rows, [M] each, see `explaining.TERMS`.

        The terms of `linear`, and the exact Shapley values of the trees' columns (Lundberg et al. 2020, "From local
        explanations to global understanding with explainable AI for trees"). Those of a column that is itself a
        forecast are shared out by the size of the terms it is made of; the trees' mean correction goes to the calendar.
        """
        found, rows = self.linear.parts(design), design.wanted_rows
        seen = Seen.of(design, self.linear.base)
        columns = _columns(seen, self.linear, base=self.linear.point_of(seen))
        values = _stacked(columns)[rows]
        shapley = np.mean([tree.predict(values, num_threads=1, pred_contrib=True) for tree in self.trees], axis=0)
        shapley = np.where(self._serves(columns)[rows, None], self.share * shapley, 0.0)
        forecasts = {
            kind: {name: found[name] for name in found if name not in without}
            for kind, without in {"expected": _NOT_EXPECTED, "linear": _NOT_EXPECTED[:2]}.items()
        }
        first = np.cumsum([0, *(each.values.shape[1] for each in columns)])
        of_columns = np.add.reduceat(shapley, first, axis=1).T
        for kind, added in zip([*(each.kind for each in columns), "constant"], of_columns, strict=True):
            own = explaining.term(kind)
            among = explaining.shared_out(added, forecasts[kind]) if kind in forecasts else {own: added}
            found |= {name: found.get(name, 0.0) + each for name, each in among.items()}
        return found

    def predict(self, design: Design) -> Floats:
        """Quantiles in MW of the wanted rows, [M, Q]."""
        return self.calibration.fan(self.point(design), design=design)

    def save(self, folder: Path) -> None:
        """Write the model into a folder."""
        artifact.save(
            folder,
            meta={"recipe": asdict(self.recipe), "share": self.share},
            arrays=artifact.flatten("calibration", self.calibration),
        )
        (folder / _TREES).write_text(json.dumps([tree.model_to_string() for tree in self.trees]), encoding="utf-8")
        self.linear.save(folder / Linear.name)


def _folds(design: Design, rows: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Fold of each row [N], in the longest blocks of days that leave every fold some of the ``rows`` to learn from."""
    day = design.valid_time.astype("datetime64[D]").astype(np.int64)
    longest = _FOLD_DAYS if np.ptp(day) >= expected.WHOLE_YEAR_DAYS else expected.FOLD_DAYS
    fold = day % _FOLDS
    for days in (longest, *_SHORTER_DAYS):
        fold = (day // days) % _FOLDS
        if np.bincount(fold[rows], minlength=_FOLDS).min() >= _LEAST_ROWS:
            break
    return fold


def _columns(seen: Seen, linear: FittedLinear, *, base: Floats) -> list[Columns]:
    """Columns of every row [N, ...]: clock, what was expected, calendar, weather, recent deviations, any TSO forecast.

    ``base`` is what ``linear`` forecasts, or has forecast, of them [N].
    """
    design, (past, _) = seen.design, seen.load
    return [
        Columns("clock", np.stack([design.slot / design.slots, design.lead / HOUR], axis=1)),
        Columns("expected", seen.mu[:, None]),
        Columns("linear", base[:, None]),
        *(Columns(block.name, block.values) for block in design.calendar if block.name not in _SEASON),
        *_weather(design, linear),
        Columns("load", past.values[:, [name not in _SLOW for name in past.columns]]),
        *([Columns("tso", seen.tso.values)] if linear.with_tso else []),
    ]


def _stacked(columns: list[Columns]) -> Floats:
    return np.concatenate([each.values for each in columns], axis=1)


def _weather(design: Design, linear: FittedLinear) -> list[Columns]:
    """The weather that `linear` uses [N, K], without the bends, which trees make for themselves."""
    return [
        Columns(block.name, block.values[:, [n for n, name in enumerate(block.columns) if " over " not in name]])
        for block in expected.with_weather(design, linear.base.weather).weather
    ]
