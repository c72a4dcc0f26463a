"""`conv1d`: dilated convolutions read a week of deviations and write the deviations of the day to come.

The network sees what `expected` leaves unexplained, with the calendar and the weather of every hour beside it, past and future.
Several of them, each trained without some four-week blocks, are averaged; the blocks left out calibrate the bands. Needs the
extra ``deep``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gridcast.contracts import Design, Floats
from gridcast.models import artifact, calibration, deep, expected
from gridcast.models.calibration import Calibration
from gridcast.models.deep import Weights
from gridcast.models.expected import Expected
from gridcast.models.ridge import SlotRidge
from gridcast.models.windows import windows

if TYPE_CHECKING:
    from torch import nn

import os
_LEVEL = int(os.environ.get('LEVEL', 28))
_LARGEST = 5.0
"""Columns and deviations beyond this many standard deviations are cut there, so a spike in the data moves little."""
_CALENDAR = ("weekday", "season", "holiday", "around_holiday", "christmas", "christmas_day")
"""Blocks of the calendar that the network sees itself; the expectation knows them all."""


@dataclass(frozen=True)
class Conv1d:
    """The recipe.

    ``members`` networks of ``channels`` channels see ``hours`` of the past; each is trained for ``epochs`` at a learning rate
    that rises to ``rate`` and falls again, ``batch`` origins a step, with ``dropout`` and ``decay`` of its weights.
    """

    name: ClassVar[str] = "conv1d"
    half_life_days: float = 1500.0
    members: int = 3
    hours: int = 168
    channels: int = 32
    epochs: int = 15
    rate: float = 3e-3
    batch: int = 32
    dropout: float = 0.1
    decay: float = 0.01

    def fit(self, design: Design, *, seed: int = 0) -> FittedConv1d:
        """Fit on the rows whose target is known.

        Raises:
            TooLittleHistory: fewer than `expected.MIN_DAYS` days.
            MissingExtra: torch or Lightning is not installed.
        """
        base = expected.fit(design, half_life_days=self.half_life_days)
        mu = base.predict(design)
        level = _level(design, mu)
        deviation = expected.log_target(design) - mu - level
        rows = np.isfinite(deviation)
        with_tso = bool(np.isfinite(design.tso[rows]).mean() >= expected.ENOUGH_WEATHER)
        view = _view(design, base, mu=mu, with_tso=with_tso, rows=rows)

        asked = np.bincount(design.origin[rows], minlength=len(design.origins)) > 0
        past, future, row = view.windows(design, base, mu=mu, origins=asked, hours=self.hours)
        wanted = np.where(row >= 0, np.clip(deviation / view.unit, -_LARGEST, _LARGEST)[row], np.nan)
        fold = (expected.folds(design) % max(self.members, 2))[row[:, 0]]
        weights, held_out = [], np.full(len(mu), np.nan)
        for member in range(self.members):
            out = fold == member
            weights.append(self._train([past[~out], future[~out], wanted[~out]], seed=seed + member))
            steps = (row >= 0) & out[:, None]
            answer = _answer(self, weights[-1:], past=past[out], future=future[out])
            held_out[row[steps]] = (mu + level)[row[steps]] + view.unit * answer[row[out] >= 0]
        held_out[~rows] = np.nan
        bands = calibration.fit(design, expected.log_target(design) - held_out)
        return FittedConv1d(self, base, view, tuple(weights), bands, held_out)

    def _train(self, arrays: list[Floats], *, seed: int) -> Weights:
        with deep.needed_by(self.name):
            import torch

            from gridcast.models import training

        steps = self.epochs * -(-len(arrays[0]) // self.batch)

        def optimizers(network: nn.Module) -> dict[str, Any]:
            optimizer = torch.optim.AdamW(network.parameters(), lr=self.rate, weight_decay=self.decay)
            cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=self.rate, total_steps=steps)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}

        return training.train(
            lambda: _network(self, past=arrays[0].shape[2], future=arrays[1].shape[2]),
            arrays,
            loss=torch.nn.functional.l1_loss,
            optimizers=optimizers,
            batch=self.batch,
            epochs=self.epochs,
            seed=seed,
            clip=1.0,
        )

    def load(self, folder: Path) -> FittedConv1d:
        """Read a fitted model back.

        Raises:
            ArtifactMismatch: a file is absent or damaged.
        """
        meta, arrays = artifact.load(folder)
        recipe = Conv1d(**meta["recipe"])
        return FittedConv1d(
            recipe,
            Expected(SlotRidge(**artifact.under("base.ridge", arrays)), tuple(meta["weather"]), arrays["base.sigma"]),
            View(**artifact.under("view", arrays), with_tso=meta["with_tso"]),
            tuple(deep.from_arrays(f"network {member}", arrays) for member in range(recipe.members)),
            Calibration(**artifact.under("calibration", arrays)),
        )


@dataclass(frozen=True)
class View:
    """How the design's columns become what the network sees.

    ``past_centre``, ``past_spread`` [F] and ``future_centre``, ``future_spread`` [G] standardise; ``unit`` [1] is a standard
    deviation of the log load from its expectation.
    """

    past_centre: Floats
    past_spread: Floats
    future_centre: Floats
    future_spread: Floats
    unit: Floats
    with_tso: bool

    def windows(
        self, design: Design, base: Expected, *, mu: Floats, origins: NDArray[np.bool_], hours: int
    ) -> tuple[Floats, Floats, NDArray[np.intp]]:
        """Past [O, T, 2 + F], future [O, H, G] and the future's rows [O, H] of the chosen origins.

        The past's first channels are the deviation and whether it is known; what is not known is 0.
        """
        past = _scaled(_past_columns(design, base), self.past_centre, self.past_spread)
        future = _future_columns(design, base, mu=mu, with_tso=self.with_tso)
        level = _level_of_origins(design, mu)[origins]
        view = windows(
            design,
            hours=hours,
            past=np.concatenate([mu[:, None], past], axis=1),
            future=_scaled(future, self.future_centre, self.future_spread),
            origins=origins,
        )
        known = view.known & (view.load > 0)
        deviation = (np.log(np.where(known, view.load, 1.0)) - view.past[:, :, 0] - level[:, None]) / self.unit
        deviation = np.where(known, np.clip(deviation, -_LARGEST, _LARGEST), 0.0)
        return np.concatenate([np.stack([deviation, known], axis=2), view.past[:, :, 1:]], axis=2), view.future, view.row


@dataclass(frozen=True)
class FittedConv1d:
    """What `Conv1d` fits. ``held_out`` [N] are the training rows' log forecasts made without them; it is not saved."""

    recipe: Conv1d
    base: Expected
    view: View
    weights: tuple[Weights, ...]
    calibration: Calibration
    held_out: Floats = field(default_factory=lambda: np.empty(0))

    def predict(self, design: Design) -> Floats:
        """Quantiles in MW of the wanted rows, [M, Q].

        Raises:
            MissingExtra: torch is not installed.
        """
        rows = design.wanted_rows
        mu = self.base.predict(design)
        past, future, row = self.view.windows(design, self.base, mu=mu, origins=design.wanted, hours=self.recipe.hours)
        answer = _answer(self.recipe, self.weights, past=past, future=future)
        return self.calibration.fan((mu + _level(design, mu))[rows] + self.view.unit * answer[row >= 0], design, rows)

    def save(self, folder: Path) -> None:
        networks = {
            name: values
            for member, weights in enumerate(self.weights)
            for name, values in deep.to_arrays(f"network {member}", weights).items()
        }
        artifact.save(
            folder,
            meta={"recipe": asdict(self.recipe), "weather": self.base.weather, "with_tso": self.view.with_tso},
            arrays=networks
            | artifact.flatten("base", self.base)
            | artifact.flatten("view", self.view)
            | artifact.flatten("calibration", self.calibration),
        )


def _network(recipe: Conv1d, *, past: int, future: int) -> nn.Module:
    from gridcast.models.networks import Deviation

    return Deviation(past=past, future=future, channels=recipe.channels, dropout=recipe.dropout)


def _answer(recipe: Conv1d, weights: Sequence[Weights], *, past: Floats, future: Floats) -> Floats:
    """The mean of the networks' answers [O, H], in the view's unit."""
    with deep.needed_by(recipe.name):
        from gridcast.models import networks
    network = _network(recipe, past=past.shape[2], future=future.shape[2])
    return np.mean([networks.run(network, each, [past, future]) for each in weights], axis=0)


def _view(design: Design, base: Expected, *, mu: Floats, with_tso: bool, rows: NDArray[np.bool_]) -> View:
    """The view whose columns have mean 0 and variance 1 on the given rows."""
    past, future = _past_columns(design, base), _future_columns(design, base, mu=mu, with_tso=with_tso)
    deviation = (expected.log_target(design) - mu - _level(design, mu))[rows]
    unit = np.maximum(1.4826 * np.median(np.abs(deviation)), 1e-4)
    return View(*_moments(past[rows]), *_moments(future[rows]), np.array([unit]), with_tso)


def _moments(values: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each column's known values; 0 and 1 where there are none or all are equal."""
    known = np.isfinite(values)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, values, 0.0).sum(axis=0) / count
    spread = np.sqrt((np.where(known, values - mean, 0.0) ** 2).sum(axis=0) / count)
    return mean, np.where(spread > 1e-9, spread, 1.0)


def _scaled(values: Floats, centre: Floats, spread: Floats) -> Floats:
    """Standardised and cut; a missing value is an average one."""
    return np.nan_to_num(np.clip((values - centre) / spread, -_LARGEST, _LARGEST))


def _clock(design: Design, *, harmonics: int) -> Floats:
    angle = 2 * np.pi * design.slot / design.slots
    return np.stack([turn(n * angle) for n in range(1, harmonics + 1) for turn in (np.sin, np.cos)], axis=1)


def _weather(design: Design, base: Expected) -> list[Floats]:
    """The weather that the expectation uses, without the bends."""
    return [
        block.values[:, [n for n, name in enumerate(block.columns) if " over " not in name]]
        for block in design.weather
        if block.name in base.weather
    ]


def _past_columns(design: Design, base: Expected) -> Floats:
    """What the network sees of a past row beside its deviation [N, F]: clock, kind of day, weather now."""
    weekday = (design.local_day.astype("datetime64[D]").astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    rest = (weekday >= 5) | (design.day_kind == 1)
    return np.concatenate(
        [_clock(design, harmonics=1), rest[:, None], *(values[:, :1] for values in _weather(design, base))], axis=1
    )


def _future_columns(design: Design, base: Expected, *, mu: Floats, with_tso: bool) -> Floats:
    """What the network sees of a row to forecast [N, G]: clock, lead time, calendar, weather, deviations at its lags."""
    lead = (design.valid_time - design.origins.issue_time[design.origin]) / np.timedelta64(1, "h")
    return np.concatenate(
        [
            _clock(design, harmonics=3),
            np.stack([lead, mu], axis=1),
            *(block.values for block in design.calendar if block.name in _CALENDAR),
            *_weather(design, base),
            _lags(design, base, mu=mu),
            *([expected.tso_columns(design, mu)] if with_tso else []),
        ],
        axis=1,
    )


def _level_of_origins(design: Design, mu: Floats) -> Floats:
    """The median deviation of the four weeks before each issue [O]: how far the load has drifted from its expectation."""
    return np.nan_to_num(_nanmedian(_deviations(design.recent_load[:, :_LEVEL*design.slots], design.recent_row[:, :_LEVEL*design.slots], mu)))


def _level(design: Design, mu: Floats) -> Floats:
    return _level_of_origins(design, mu)[design.origin]


def _deviations(load: Floats, row: NDArray[np.intp], mu: Floats) -> Floats:
    known = (row >= 0) & (load > 0)
    return np.where(known, np.log(np.where(known, load, 1.0)) - mu[np.maximum(row, 0)], np.nan)


def _nanmedian(v):
    import warnings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.nanmedian(v, axis=1)


def _nanmean(v):
    import warnings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.nanmean(v, axis=1)


def _lags(design, base, *, mu):
    lag = _deviations(design.lag_load, design.lag_row, mu) - _level(design, mu)[:, None]
    limit = 5 * base.sigma[design.slot][:, None]
    lag = np.clip(lag, -limit, limit)
    return np.nan_to_num(np.stack([*(lag[:, d - 1] for d in (1, 2, 7, 14)), _nanmean(lag[:, 1:8]), _nanmean(lag[:, [6, 13, 20, 27]])], axis=1))
