"""`conv1d`: dilated convolutions read a week of deviations and write the deviations of the day to come.

The network sees what `expected` leaves unexplained, with the calendar and the weather of every hour beside it, past and
future. Several of them, each trained without some four-week blocks, are averaged; the blocks left out calibrate the
bands. Needs the extra ``deep``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gridcast.contracts import Design, Floats
from gridcast.market.days import HOUR
from gridcast.models import artifact, calibration, deep, expected, known
from gridcast.models.calibration import Calibration
from gridcast.models.deep import Weights
from gridcast.models.expected import Expected
from gridcast.models.ridge import SlotRidge
from gridcast.models.windows import windows

if TYPE_CHECKING:
    from torch import nn

_MAD_TO_SIGMA = 1.4826
_LEAST_UNIT = 1e-4
_LARGEST = 5.0
"""Columns and deviations beyond this many standard deviations are cut there, so a spike in the data moves little."""
_CALENDAR = ("weekday", "holiday", "around_holiday", "christmas", "christmas_day")
"""Blocks of the calendar that the network sees itself; the expectation knows them all."""


@dataclass(frozen=True)
class Conv1d:
    """The recipe.

    The level of the load is its median deviation from the expectation over ``level_days``; the networks see and
    forecast how the load deviates from both. ``members`` networks of ``channels`` channels see ``hours`` of the past;
    each is trained for ``epochs`` at a learning rate that rises to ``rate`` and falls again, ``batch`` origins a step,
    with ``dropout`` and ``decay`` of its weights.
    """

    name: ClassVar[str] = "conv1d"
    half_life_days: float = 1500.0
    members: int = 3
    hours: int = 168
    level_days: int = 7
    channels: int = 32
    epochs: int = 10
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
        seen = _Seen.of(design, base, level_days=self.level_days)
        deviation = expected.log_target(design) - seen.point
        rows = np.isfinite(deviation)
        with_tso = bool(np.isfinite(design.tso[rows]).mean() >= expected.ENOUGH_WEATHER)
        unit = np.maximum(_MAD_TO_SIGMA * np.median(np.abs(deviation[rows])), _LEAST_UNIT)
        past_columns, future_columns = seen.past_columns(), seen.future_columns(with_tso=with_tso)
        view = View(*_moments(past_columns[rows]), *_moments(future_columns[rows]), np.array([unit]), with_tso)

        asked = np.bincount(design.origin[rows], minlength=len(design.origins)) > 0
        past, future, row = view.windows(seen, origins=asked, hours=self.hours)
        wanted = np.where(row >= 0, np.clip(deviation / unit, -_LARGEST, _LARGEST)[row], np.nan)
        fold = (expected.folds(design) % max(self.members, 2))[row[:, 0]]
        weights, held_out = [], np.full(len(rows), np.nan)
        for member in range(self.members):
            out = fold == member
            weights.append(self._train([past[~out], future[~out], wanted[~out]], seed=seed + member))
            answer = _answer(self, weights[-1:], past=past[out], future=future[out])
            steps = row[out][row[out] >= 0]
            held_out[steps] = seen.point[steps] + unit * answer[row[out] >= 0]
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
            partial(_network, self, past=arrays[0].shape[2], future=arrays[1].shape[2]),
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
            Expected(SlotRidge(**artifact.under("base.ridge", arrays)), meta["weather"], arrays["base.sigma"]),
            View(**artifact.under("view", arrays), with_tso=meta["with_tso"]),
            tuple(deep.from_arrays(f"network {member}", arrays) for member in range(recipe.members)),
            Calibration(**artifact.under("calibration", arrays)),
        )


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
        seen = _Seen.of(design, self.base, level_days=self.recipe.level_days)
        past, future, row = self.view.windows(seen, origins=design.wanted, hours=self.recipe.hours)
        answer = _answer(self.recipe, self.weights, past=past, future=future)[row >= 0]
        return self.calibration.fan(seen.point[rows] + self.view.unit * answer, design=design, rows=rows)

    def save(self, folder: Path) -> None:
        """Write data-only files."""
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


@dataclass(frozen=True)
class View:
    """How the design's columns become what the network sees.

    ``past_centre``, ``past_spread`` [F] and ``future_centre``, ``future_spread`` [G] standardise; ``unit`` [1] is a
    standard deviation of the log load from expectation and level.
    """

    past_centre: Floats
    past_spread: Floats
    future_centre: Floats
    future_spread: Floats
    unit: Floats
    with_tso: bool

    def windows(
        self, seen: _Seen, *, origins: NDArray[np.bool_], hours: int
    ) -> tuple[Floats, Floats, NDArray[np.intp]]:
        """Past [O, T, 2 + F], future [O, H, G] and the future's rows [O, H] of the chosen origins.

        The past's first channels are the deviation and whether it is known; what is not known is 0.
        """
        past = _scaled(seen.past_columns(), self.past_centre, self.past_spread)
        future = _scaled(seen.future_columns(with_tso=self.with_tso), self.future_centre, self.future_spread)
        view = windows(
            seen.design,
            hours=hours,
            past=np.concatenate([seen.mu[:, None], past], axis=1),
            future=future,
            origins=origins,
        )
        load = np.log(np.where(view.known & (view.load > 0), view.load, np.nan))
        deviation = _scaled(load - view.past[:, :, 0], seen.level[origins][:, None], self.unit)
        past = np.concatenate([np.stack([deviation, view.known], axis=2), view.past[:, :, 1:]], axis=2)
        return past, view.future, view.row


@dataclass(frozen=True)
class _Seen:
    """A design and what is expected of it: ``mu`` [N] by calendar and weather, ``level`` [O] by the days before.

    Without the level a network learns to follow deviations as small as those it was trained among, and loses a load
    that has drifted since.
    """

    design: Design
    base: Expected
    mu: Floats
    level: Floats

    @classmethod
    def of(cls, design: Design, base: Expected, *, level_days: int) -> _Seen:
        mu = base.predict(design)
        newest = slice(level_days * design.slots)
        recent = _deviation(design.recent_load[:, newest], design.recent_row[:, newest], mu)
        return cls(design, base, mu, np.nan_to_num(known.median(recent)))

    @property
    def point(self) -> Floats:
        """Log load that is expected of every row [N], its level included."""
        return self.mu + self.level[self.design.origin]

    def past_columns(self) -> Floats:
        """What the network sees of a past row beside its deviation [N, F]: clock, kind of day, weather now."""
        weekday = (self.design.local_day.astype("datetime64[D]").astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
        rest = (weekday >= 5) | (self.design.day_kind == 1)
        weather_now = [values[:, :1] for values in self._weather()]
        return np.concatenate([_clock(self.design, harmonics=1), rest[:, None], *weather_now], axis=1)

    def future_columns(self, *, with_tso: bool) -> Floats:
        """What it sees of a row to forecast [N, G]: clock, lead, size, calendar, weather, deviations at its lags."""
        design = self.design
        lead = (design.valid_time - design.origins.issue_time[design.origin]) / HOUR
        columns = [
            _clock(design, harmonics=3),
            np.stack([lead, self.mu], axis=1),
            *(block.values for block in design.calendar if block.name in _CALENDAR),
            *self._weather(),
            self._lags(),
            *([expected.tso_columns(design, self.mu)] if with_tso else []),
        ]
        return np.concatenate(columns, axis=1)

    def _lags(self) -> Floats:
        """Deviations at the same clock on earlier days [N, L]; 0, as if at the level, where they are unknown."""
        design, limit = self.design, _LARGEST * self.base.sigma[self.design.slot][:, None]
        past = _deviation(design.lag_load, design.lag_row, self.mu) - self.level[design.origin][:, None]
        past = np.clip(past, -limit, limit)
        means = [known.mean(past[:, days]) for days in (slice(1, 8), [6, 13, 20, 27])]
        return np.nan_to_num(np.stack([*(past[:, day - 1] for day in (1, 2, 7, 14)), *means], axis=1))

    def _weather(self) -> list[Floats]:
        """The weather that the expectation uses, without the bends."""
        return [
            block.values[:, [n for n, name in enumerate(block.columns) if " over " not in name]]
            for block in expected.with_weather(self.design, self.base.weather).weather
        ]


def _network(recipe: Conv1d, *, past: int, future: int) -> nn.Module:
    from gridcast.models.networks import Deviation

    return Deviation(past=past, future=future, channels=recipe.channels, dropout=recipe.dropout)


def _answer(recipe: Conv1d, weights: Sequence[Weights], *, past: Floats, future: Floats) -> Floats:
    """The mean of the networks' answers [O, H], in the view's unit."""
    with deep.needed_by(recipe.name):
        from gridcast.models import networks
    build = partial(_network, recipe, past=past.shape[2], future=future.shape[2])
    answers = [networks.run(build, each, inputs=[past, future]) for each in weights]
    return np.asarray(np.mean(answers, axis=0), np.float64)


def _deviation(load: Floats, row: NDArray[np.intp], mu: Floats) -> Floats:
    """Of past loads from what was expected of them, logarithmic; NaN where one of the two is unknown."""
    return np.log(np.where((row >= 0) & (load > 0), load, np.nan)) - mu[np.maximum(row, 0)]


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
