"""`conv1d_classic`: the classic window network as it was published, 96 hours of 12 features in, 24 hours out.

Linear but for its pooling, hourly, without weather: a bar from the past, kept exact so that others can be measured by
it. Its scalers are saved inside, and it looks at a window that was public. Needs the extra ``deep``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gridcast.contracts import Design, Floats
from gridcast.errors import TooLittleHistory
from gridcast.market.days import HOUR, Task, Times, local_wall
from gridcast.market.daytypes import day_types
from gridcast.market.zones import BiddingZone
from gridcast.models import artifact, calibration, deep, expected, known
from gridcast.models.calibration import Calibration
from gridcast.models.deep import Weights
from gridcast.models.windows import windows

if TYPE_CHECKING:
    from torch import nn

HOURS_IN, HOURS_OUT = 96, 24
_CYCLES = ("hour", "day", "weekday", "week", "month")
FEATURES = ("load", *(f"{turn}_{cycle}" for cycle in _CYCLES for turn in ("sin", "cos")), "holiday")
"""The 12 features of an hour, in order. Cycles: hour/24, day of the month/31, weekday/7, ISO week/53, month/12."""

_WEEK = 168
_CHECKED = 0.15
"""Share of the origins, the latest ones, that the training is checked on."""
_LEAST_DAYS = 30
_LEAST_ERRORS = 60
"""Days of held-out errors below which those of the training count too."""
_LEAST_LOAD = 0.1
"""No forecast is below this share of the mean load."""


@dataclass(frozen=True)
class Scaler:
    """What brings features ``[12]`` and load ``[1]`` to mean 0 and variance 1."""

    centre: Floats
    spread: Floats
    load_centre: Floats
    load_spread: Floats

    def features(self, raw: Floats) -> Floats:
        """Features [B, T, 12] as the network sees them."""
        return (raw - self.centre) / self.spread

    def target(self, load: Floats) -> Floats:
        """Load in MW as the network gives it."""
        return (load - self.load_centre) / self.load_spread

    def load(self, target: Floats) -> Floats:
        """And back."""
        return target * self.load_spread + self.load_centre


@dataclass(frozen=True)
class Network:
    """The trained network between its scalers: what MW it says of windows, and nothing of how sure that is."""

    weights: Weights
    scaler: Scaler

    @property
    def least(self) -> Floats:
        """MW that no forecast is below [1]."""
        return np.asarray(_LEAST_LOAD * self.scaler.load_centre)

    def megawatts(self, raw: Floats) -> Floats:
        """The 24 hours that follow raw windows of `FEATURES` [B, 96, 12], load in MW: [B, 24] in MW.

        Raises:
            MissingExtra: torch is not installed.
        """
        with deep.needed_by(Conv1dClassic.name):
            from gridcast.models import networks
        load = self.scaler.load(networks.run(build, self.weights, inputs=[self.scaler.features(raw)]))
        return np.maximum(load, self.least)


@dataclass(frozen=True)
class Conv1dClassic:
    """The recipe: at most ``epochs``, ``patience`` of them without gain; ``batch`` origins a step at ``rate``."""

    name: ClassVar[str] = "conv1d_classic"
    epochs: int = 20
    rate: float = 1e-3
    batch: int = 32
    patience: int = 5

    def fit(self, design: Design, *, seed: int = 0) -> FittedConv1dClassic:
        """Fit on the origins of which every hour's load is known.

        Raises:
            TooLittleHistory: fewer than `expected.MIN_DAYS` days, or hardly a complete one.
            MissingExtra: torch or Lightning is not installed.
        """
        expected.require_history(design)
        skip = _usual_delay(design)
        hourly = _hourly_target(design)
        raw = raw_windows(design, origins=np.ones(len(design.origins), np.bool_), skip=skip)
        usable = np.flatnonzero(np.isfinite(raw).all(axis=(1, 2)) & np.isfinite(hourly).all(axis=1))
        if len(usable) < _LEAST_DAYS:
            raise TooLittleHistory(
                f"{design.zone.code} has {len(usable)} complete windows to train on and {_LEAST_DAYS} are needed",
                remedy="bring a longer history",
                needed=_LEAST_DAYS,
                have=len(usable),
            )
        checked = latest(len(usable))
        network = self.learn(raw[usable], hourly[usable], checked=checked, seed=seed)

        held = np.isin(design.origin, usable[checked])
        shape = _within_hours(design, hourly, rows=np.isin(design.origin, usable[~checked]))
        fitted = FittedConv1dClassic(self, network.weights, network.scaler, shape, skip, _NO_BANDS)
        forecast = np.full(hourly.shape, np.nan)
        forecast[usable] = fitted.megawatts(raw[usable])
        point = np.log(forecast[design.origin, _hour(design)] * shape[design.slot])
        held_out = np.where(held, point, np.nan)
        enough = np.isfinite(held_out).sum() >= _LEAST_ERRORS * design.slots
        bands = calibration.fit(design, expected.log_target(design) - (held_out if enough else point), follow=0.0)
        return replace(fitted, calibration=bands, held_out=held_out)

    def learn(self, raw: Floats, load: Floats, *, checked: NDArray[np.bool_], seed: int) -> Network:
        """The network that learns the hours after raw windows.

        Args:
            raw: windows of `FEATURES` [B, 96, 12].
            load: of the hours to forecast [B, 24] in MW.
            checked: [B] windows that it is checked on and does not learn.
            seed: of everything random.

        Raises:
            MissingExtra: torch or Lightning is not installed.
        """
        with deep.needed_by(self.name):
            import torch

            from gridcast.models import training

        def optimizers(network: nn.Module) -> dict[str, Any]:
            optimizer = torch.optim.AdamW(network.parameters(), lr=self.rate)
            slower = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=5)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": slower, "monitor": "validation"}}

        scaler = _scaler(raw[~checked], load[~checked])
        weights = training.train(
            build,
            (scaler.features(raw), scaler.target(load)),
            loss=torch.nn.functional.mse_loss,
            optimizers=optimizers,
            batch=self.batch,
            epochs=self.epochs,
            seed=seed,
            validation=checked,
            patience=self.patience,
        )
        return Network(weights, scaler)

    def load(self, folder: Path) -> FittedConv1dClassic:
        """Read a fitted model back.

        Raises:
            ArtifactMismatch: a file is absent or damaged.
        """
        meta, arrays = artifact.load(folder)
        return FittedConv1dClassic(
            Conv1dClassic(**meta["recipe"]),
            deep.from_arrays("network", arrays),
            Scaler(**artifact.under("scaler", arrays)),
            arrays["shape"],
            meta["skip"],
            Calibration(**artifact.under("calibration", arrays)),
        )


@dataclass(frozen=True)
class FittedConv1dClassic:
    """What `Conv1dClassic` fits.

    ``shape`` [S] is the load of each interval of the day over that of its hour; ``skip`` is how many of the newest
    hours are usually not public, so the windows end before them. ``held_out`` [N], known for the latest origins, is
    not saved.
    """

    recipe: Conv1dClassic
    weights: Weights
    scaler: Scaler
    shape: Floats
    skip: int
    calibration: Calibration
    held_out: Floats = field(default_factory=lambda: np.empty(0))

    def megawatts(self, raw: Floats) -> Floats:
        """As `Network.megawatts`."""
        return Network(self.weights, self.scaler).megawatts(raw)

    def point(self, design: Design) -> Floats:
        """Log of the forecast of every row [N]; NaN where no load at all was public in the window."""
        hourly = self.megawatts(raw_windows(design, origins=np.ones(len(design.origins), np.bool_), skip=self.skip))
        return np.log(hourly[design.origin, _hour(design)] * self.shape[design.slot])

    def predict(self, design: Design) -> Floats:
        """Quantiles in MW of the wanted rows, [M, Q]; NaN where no load at all was public in the window."""
        return self.calibration.fan(self.point(design), design=design)

    def save(self, folder: Path) -> None:
        """Write data-only files."""
        artifact.save(
            folder,
            meta={"recipe": asdict(self.recipe), "skip": self.skip},
            arrays=deep.to_arrays("network", self.weights)
            | artifact.flatten("scaler", self.scaler)
            | artifact.flatten("calibration", self.calibration)
            | {"shape": self.shape},
        )


def raw_windows(design: Design, *, origins: NDArray[np.bool_], skip: int) -> Floats:
    """The features of the 96 hours before each chosen origin, [O, 96, 12], unscaled.

    An hour whose load is missing has that of a week before, else the last one known, else the first one. Inputs only: a
    target is never filled.

    Args:
        design: the rows.
        origins: [O] whose windows.
        skip: how many of the newest hours to leave out.
    """
    view = windows(design, origins=origins, hours=HOURS_IN + _WEEK, skip=skip)
    load = np.where(np.isfinite(view.load[:, _WEEK:]), view.load[:, _WEEK:], view.load[:, :HOURS_IN])
    load = known.held(known.held(load)[:, ::-1])[:, ::-1]
    return np.concatenate([load[:, :, None], clock_features(view.time[:, _WEEK:], design.zone)], axis=2)


def hourly_windows(
    load: Floats, *, start: np.datetime64, zone: BiddingZone, stride: int = 1
) -> tuple[Floats, Floats, Times]:
    """Every window of an hourly load, what followed it, and when: [B, 96, 12], [B, 24] in MW, and UTC [B].

    Args:
        load: MW [T], without a gap.
        start: of its first hour, UTC.
        zone: whose clocks and holidays count.
        stride: hours from one window to the next.
    """
    time = start + np.arange(len(load)) * HOUR
    every = np.column_stack([load, clock_features(time, zone)])
    first = np.arange(0, len(load) - HOURS_IN - HOURS_OUT + 1, stride)
    past, future = np.arange(HOURS_IN), np.arange(HOURS_IN, HOURS_IN + HOURS_OUT)
    return every[first[:, None] + past], load[first[:, None] + future], time[first + HOURS_IN]


def latest(count: int) -> NDArray[np.bool_]:
    """Which of ``count`` windows in order of time a training is checked on [B]: the latest of them."""
    return np.arange(count) >= round(count * (1 - _CHECKED))


def clock_features(time: Times, zone: BiddingZone) -> Floats:
    """All `FEATURES` but the load, for hours that start at ``time`` (UTC, any shape): one more axis, of 11.

    Clock and calendar are local. ``holiday`` is 1 on public holidays and on Sundays.
    """
    unique, back = np.unique(time, return_inverse=True)
    wall = local_wall(unique, zone.local_tz)
    day = wall.astype("datetime64[D]")
    month = wall.astype("datetime64[M]")
    kinds = day_types(zone, day)
    shares = [
        (wall - day) / HOUR / 24,
        ((day - month).astype(np.float64) + 1) / 31,
        kinds["weekday"].to_numpy() / 7,
        kinds["day"].dt.week().to_numpy() / 53,
        (month.astype(np.float64) % 12 + 1) / 12,
    ]
    holiday = (kinds["holiday"].is_not_null() | (kinds["weekday"] == 6)).to_numpy().astype(np.float64)
    turns = [turn(2 * np.pi * share) for share in shares for turn in (np.sin, np.cos)]
    return np.stack([*turns, holiday], axis=1)[back.reshape(time.shape)]


def build() -> nn.Module:
    """The network with first weights; imports torch."""
    from gridcast.models.networks import Classic

    return Classic(features=len(FEATURES), hours=HOURS_IN, out=HOURS_OUT)


_NONE = np.empty(0)
_NO_BANDS = Calibration(_NONE, _NONE, _NONE, _NONE, row=np.empty(0, np.int64), forecast=_NONE, follow=_NONE)


def _scaler(raw: Floats, load: Floats) -> Scaler:
    def spread(values: Floats) -> Floats:
        found = values.std(axis=0)
        return np.where(found > 0, found, 1.0)

    every, loads = raw.reshape(-1, raw.shape[2]), load.reshape(-1, 1)
    return Scaler(every.mean(axis=0), spread(every), loads.mean(axis=0), spread(loads))


def _usual_delay(design: Design) -> int:
    """How many of the newest hours are not public when a forecast is issued, as a rule."""
    load = windows(design, origins=np.ones(len(design.origins), np.bool_), hours=_WEEK).load
    public = np.isfinite(load[:, ::-1])
    delays = public.argmax(axis=1)[public.any(axis=1)]
    return int(np.median(delays)) if len(delays) else 0


def _hour(design: Design) -> NDArray[np.intp]:
    """Which of the 24 hours each row belongs to [N]: of the local clock, or of those that follow the issue."""
    if design.origins.task is Task.DAY_AHEAD:
        return design.slot * HOURS_OUT // design.slots
    return ((design.valid_time - design.origins.start[design.origin]) // HOUR).astype(np.intp)


def _hourly_target(design: Design) -> Floats:
    """The mean load of each origin's hours [O, 24]; NaN where a part of it is unknown, or the clock skips the hour."""
    total, count = np.zeros((2, len(design.origins), HOURS_OUT))
    place = (design.origin, _hour(design))
    np.add.at(total, place, np.where(design.target > 0, design.target, np.nan))
    np.add.at(count, place, 1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _within_hours(design: Design, hourly: Floats, *, rows: NDArray[np.bool_]) -> Floats:
    """The load of each interval of the day over that of its hour [S], mean of the chosen rows: 1 for hourly data."""
    if design.slots == HOURS_OUT:
        return np.ones(design.slots)
    ratio = design.target / hourly[design.origin, _hour(design)]
    usable = rows & np.isfinite(ratio)
    count = np.bincount(design.slot[usable], minlength=design.slots)
    total = np.bincount(design.slot[usable], weights=ratio[usable], minlength=design.slots)
    return np.where(count > 0, total / np.maximum(count, 1), 1.0)
