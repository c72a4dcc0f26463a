"""`conv1d`: dilated convolutions read days of deviations and write the quantiles of the deviations of the day to come.

The network sees what `expected` leaves unexplained, with the calendar and the weather of every hour beside it, past and
future. In training it sees, of every four-week block, the deviations from an expectation that was fitted without the
block: those it will forecast are of that kind too. Several networks, each trained without some of the blocks, are
averaged; the blocks left out calibrate the bands, which are as wide in relation to each other as the networks say.
Needs the extra ``deep``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gridcast.contracts import MEDIAN, QUANTILES, Design, Floats
from gridcast.errors import TooLittleHistory
from gridcast.market.days import DAY, HOUR
from gridcast.models import artifact, calibration, deep, expected, known
from gridcast.models.calibration import Calibration
from gridcast.models.deep import Weights
from gridcast.models.expected import Expected
from gridcast.models.ridge import SlotRidge
from gridcast.models.windows import windows

if TYPE_CHECKING:
    from torch import nn

    from gridcast.models.networks import Deviation

_MAD_TO_SIGMA = 1.4826
_LEAST_UNIT = 1e-4
_LARGEST = 5.0
"""Columns and deviations beyond this many standard deviations are cut there, so a spike in the data moves little."""
_LAGS = (1, 2, 3, 4, 5, 6, 7, 14, 21, 28)
_RECENT_HOURS = (6, 12, 24, 48, 168, 672)
_FADING_HOURS = (5.0, 15.0)
_WIDTHS = (0.1, 10.0)
"""How narrow and how wide the networks may make a band, in the view's unit."""


@dataclass(frozen=True)
class Conv1d:
    """The recipe.

    The level of the load is its median deviation from the expectation over ``level_days``; the networks see and
    forecast how the load deviates from both. ``members`` networks of ``channels`` channels see ``hours`` of the past,
    the ``newest`` of them directly; each is trained for ``epochs`` at a learning rate that rises to ``rate`` and falls
    again, ``batch`` origins a step, with ``dropout`` of columns and channels and ``decay`` of its weights.
    """

    name: ClassVar[str] = "conv1d"
    half_life_days: float = 1500.0
    members: int = 6
    hours: int = 72
    newest: int = 48
    level_days: int = 7
    channels: int = 16
    epochs: int = 12
    rate: float = 3e-3
    batch: int = 64
    dropout: float = 0.1
    decay: float = 0.01

    def fit(self, design: Design, *, seed: int = 0) -> FittedConv1d:
        """Fit on the rows whose target is known.

        Raises:
            TooLittleHistory: fewer than `expected.MIN_DAYS` days.
            MissingExtra: torch or Lightning is not installed.
        """
        base = expected.fit(design, half_life_days=self.half_life_days)
        target = expected.log_target(design)
        rows = np.isfinite(target)
        with_tso = bool(np.isfinite(design.tso[rows]).mean() >= expected.ENOUGH_WEATHER)
        fold = expected.folds(design)[np.searchsorted(design.origin, np.arange(len(design.origins)))]
        parts = {int(n): self._without(design, base, out=n) for n in np.unique(fold)}
        point = np.choose(np.searchsorted(list(parts), fold)[design.origin], [part.point for part in parts.values()])
        deviation = target - point
        view = View.of(parts[int(fold[-1])], deviation, with_tso=with_tso)

        asked = np.bincount(design.origin[rows], minlength=len(design.origins)) > 0
        seen = [view.windows(part, origins=asked & (fold == n), hours=self.hours) for n, part in parts.items()]
        past, future, row = (np.concatenate(each) for each in zip(*seen, strict=True))
        wanted = np.where(row >= 0, np.clip(deviation / view.unit, -_LARGEST, _LARGEST)[row], np.nan)
        weights, told = self._members([past, future, wanted], fold=np.sort(fold[asked]), seed=seed)

        there = row[row >= 0]
        held_out, width = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
        held_out[there] = point[there] + view.unit * told[row >= 0][:, MEDIAN]
        width[there] = _width(told[row >= 0])
        held_out[~rows] = np.nan
        bands = calibration.fit(design, target - held_out, width=width)
        return FittedConv1d(self, base, view, weights, bands, held_out)

    def _without(self, design: Design, base: Expected, *, out: int) -> _Seen:
        """The design as an expectation sees it that knows nothing of a fold, if the rest is history enough for one."""
        rest = design.with_target(np.where(expected.folds(design) == out, np.nan, design.target))
        try:
            mu = expected.fit(rest, half_life_days=self.half_life_days).predict(design)
        except TooLittleHistory:
            mu = base.predict(design)
        return _Seen.of(design, base, mu=mu, level_days=self.level_days)

    def _members(
        self, arrays: list[Floats], *, fold: NDArray[np.intp], seed: int
    ) -> tuple[tuple[Weights, ...], Floats]:
        """The networks, and the quantiles [B, H, Q] of those that have not seen a row of the arrays."""
        turns = min(max(self.members, 2), expected.FOLDS)
        weights, told, count = [], np.zeros((*arrays[-1].shape, len(QUANTILES))), np.zeros(len(fold))
        for member in range(self.members):
            out = (fold - member) % turns < max(1, turns // 3)
            weights.append(self._train([each[~out] for each in arrays], seed=seed + member))
            told[out] += _answer(self, weights[-1:], past=arrays[0][out], future=arrays[1][out])
            count[out] += 1
        return tuple(weights), told / np.where(count > 0, count, np.nan)[:, None, None]

    def _train(self, arrays: list[Floats], *, seed: int) -> Weights:
        with deep.needed_by(self.name):
            import torch

            from gridcast.models import networks, training

        build = _network(self, past=arrays[0], future=arrays[1])
        steps = self.epochs * -(-len(arrays[0]) // self.batch)

        def optimizers(network: nn.Module) -> dict[str, Any]:
            optimizer = torch.optim.AdamW(network.parameters(), lr=self.rate, weight_decay=self.decay)
            cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=self.rate, total_steps=steps)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}

        return training.train(
            lambda: build().begun(arrays[1], arrays[2]),
            arrays,
            loss=partial(networks.pinball, levels=QUANTILES),
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

    def point(self, design: Design) -> Floats:
        """Log of the median forecast of every row [N], run-up rows included.

        Raises:
            MissingExtra: torch is not installed.
        """
        return self._forecast(design)[0]

    def predict(self, design: Design) -> Floats:
        """Quantiles in MW of the wanted rows, [M, Q].

        Raises:
            MissingExtra: torch is not installed.
        """
        point, width = self._forecast(design)
        return self.calibration.fan(point, design=design, width=width)

    def _forecast(self, design: Design) -> tuple[Floats, Floats]:
        """Log median of every row and how wide the networks see its band, [N] each."""
        seen = _Seen.of(design, self.base, mu=self.base.predict(design), level_days=self.recipe.level_days)
        every = np.ones(len(design.origins), np.bool_)
        past, future, row = self.view.windows(seen, origins=every, hours=self.recipe.hours)
        answer = _answer(self.recipe, self.weights, past=past, future=future)[row >= 0]  # in the order of the rows
        return seen.point + self.view.unit * answer[:, MEDIAN], _width(answer)

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

    @classmethod
    def of(cls, seen: _Seen, deviation: Floats, *, with_tso: bool) -> View:
        """By the rows whose ``deviation`` [N] is known."""
        rows = np.isfinite(deviation)
        unit = np.maximum(_MAD_TO_SIGMA * np.median(np.abs(deviation[rows])), _LEAST_UNIT)
        past, future = seen.past_columns(), seen.future_columns(with_tso=with_tso)
        return cls(*_moments(past[rows]), *_moments(future[rows]), np.array([unit]), with_tso)

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
    def of(cls, design: Design, base: Expected, *, mu: Floats, level_days: int) -> _Seen:
        newest = slice(level_days * design.slots)
        recent = expected.past_error(design.recent_load[:, newest], design.recent_row[:, newest], forecast=mu)
        return cls(design, base, mu, np.nan_to_num(known.median(recent)))

    @property
    def point(self) -> Floats:
        """Log load that is expected of every row [N], its level included."""
        return self.mu + self.level[self.design.origin]

    def past_columns(self) -> Floats:
        """What the network sees of a past row beside its deviation [N, F]: clock, day of rest, weather now."""
        weekday = self._calendar("weekday")
        rest = 1 - weekday[:, :5].sum(axis=1, keepdims=True)
        weather_now = [values[:, :1] for values in self._weather()]
        return np.concatenate([_turns(self.design.slot / self.design.slots, harmonics=1), rest, *weather_now], axis=1)

    def future_columns(self, *, with_tso: bool) -> Floats:
        """What it sees of a row to forecast [N, G]: clocks, lead, size, calendar, weather, deviations before.

        Holidays are the expectation's business: there are too few for a network, which learns them by heart.
        """
        design = self.design
        lead = design.lead / HOUR
        daylight = (design.valid_time - design.valid_time.astype("datetime64[D]")) / DAY  # the sun keeps no summer time
        columns = [
            _turns(design.slot / design.slots, harmonics=3),
            _turns(daylight, harmonics=1),
            np.stack([lead, self.mu], axis=1),
            self._calendar("weekday"),
            self._calendar("season")[:, :4],
            *self._weather(),
            self._lags(),
            self._recent(lead),
            *([expected.tso_columns(design, self.point)] if with_tso else []),
        ]
        return np.concatenate(columns, axis=1)

    def _calendar(self, name: str) -> Floats:
        """A block of the calendar; no columns where the design has none."""
        found = [block.values for block in self.design.calendar if block.name == name]
        return found[0] if found else np.empty((len(self.mu), 0))

    def _lags(self) -> Floats:
        """Deviations at the same clock on earlier days [N, L]; 0, as if at the level, where they are unknown."""
        design, limit = self.design, _LARGEST * self.base.sigma[self.design.slot][:, None]
        past = (
            expected.past_error(design.lag_load, design.lag_row, forecast=self.mu) - self.level[design.origin][:, None]
        )
        past = np.clip(past, -limit, limit)
        means = [known.mean(past[:, days]) for days in (slice(1, 8), [6, 13, 20, 27], slice(None))]
        return np.nan_to_num(np.stack([*(past[:, day - 1] for day in _LAGS), *means], axis=1))

    def _recent(self, lead: Floats) -> Floats:
        """Mean deviations of the newest hours [N, R], and the newest of all as they fade with the lead."""
        design, per_hour = self.design, int(HOUR / self.design.resolution)
        limit = _LARGEST * np.median(self.base.sigma)
        recent = expected.past_error(design.recent_load, design.recent_row, forecast=self.mu) - self.level[:, None]
        recent = np.clip(recent, -limit, limit)
        means = [known.mean(recent[:, : hours * per_hour])[design.origin] for hours in _RECENT_HOURS]
        fading = [means[0] * np.exp(-lead / hours) for hours in _FADING_HOURS]
        return np.nan_to_num(np.stack([*means, *fading], axis=1))

    def _weather(self) -> list[Floats]:
        """The weather that the expectation uses, without the bends."""
        return [
            block.values[:, [n for n, name in enumerate(block.columns) if " over " not in name]]
            for block in expected.with_weather(self.design, self.base.weather).weather
        ]


def _network(recipe: Conv1d, *, past: Floats, future: Floats) -> Callable[[], Deviation]:
    """What builds the network that takes such arrays."""
    from gridcast.models import networks

    return partial(
        networks.Deviation,
        past=past.shape[2],
        future=future.shape[2],
        steps=future.shape[1],
        newest=min(recipe.newest, recipe.hours),
        channels=recipe.channels,
        dropout=recipe.dropout,
        levels=len(QUANTILES),
    )


def _answer(recipe: Conv1d, weights: Sequence[Weights], *, past: Floats, future: Floats) -> Floats:
    """The mean of the networks' quantiles [O, H, Q], in the view's unit."""
    with deep.needed_by(recipe.name):
        from gridcast.models import networks
    build = _network(recipe, past=past, future=future)
    answers = [networks.run(build, each, inputs=[past, future]) for each in weights]
    return np.asarray(np.mean(answers, axis=0), np.float64)


def _width(answer: Floats) -> Floats:
    """How uncertain the networks' quantiles [M, Q] are [M]: half believed, so the root of their band of 80 %."""
    return np.sqrt(np.clip(answer[:, QUANTILES.index(0.9)] - answer[:, QUANTILES.index(0.1)], *_WIDTHS))


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


def _turns(share: Floats, *, harmonics: int) -> Floats:
    """A share [N] of a cycle as sines and cosines [N, 2 * harmonics]."""
    angle = 2 * np.pi * share
    return np.stack([turn(n * angle) for n in range(1, harmonics + 1) for turn in (np.sin, np.cos)], axis=1)
