"""Rolling-origin backtest: the forecasts that would have been issued, by the code that issues them.

Models are refitted at the start of every month of delivery days, on what was public at the issue time of the month's
first origin; every forecast sees only what was public at its own.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from gridcast import metrics
from gridcast.contracts import (
    FORECAST,
    INPUTS,
    LOAD,
    MEDIAN,
    QUANTILES,
    TSO_FORECAST,
    Design,
    Floats,
    Snapshot,
    load_rows,
)
from gridcast.errors import ConfigError, OutsideData, TooLittleHistory
from gridcast.features.calendar import day_kind
from gridcast.features.design import RUN_UP_DAYS, design, with_target
from gridcast.market.days import DAY, Origins, Task, Times, lagged, local_day, local_wall, origins
from gridcast.market.zones import BiddingZone
from gridcast.models import Fitted, Recipe, expected
from gridcast.models.daily import Days
from gridcast.store import snapshot

WORKERS = 2
"""Refits that run side by side; each keeps to one thread."""
SCORES = (
    "mae_mw",
    "rmse_mw",
    "mape_pct",
    "bias_mw",
    "crps_mw",
    "coverage_50_pct",
    "coverage_80_pct",
    "coverage_90_pct",
    "coverage_95_pct",
    "mape_ordinary_pct",
    "mape_holiday_pct",
    "mape_bridge_pct",
    "skill_vs_naive",
    "skill_vs_tso",
)
"""What a model is scored by, None where there is nothing to score."""
DAY_SCORES = (
    "peak_mae_mw",
    "peak_hour_hit_pct",
    "peak_coverage_80_pct",
    "energy_mape_pct",
    "energy_coverage_80_pct",
)
"""What its forecasts of whole days are scored by."""
_BANDS = {50: (0.25, 0.75), 80: (0.1, 0.9), 90: (0.05, 0.95), 95: (0.025, 0.975)}
_KINDS = ("ordinary", "holiday", "bridge")
_HIT_HOURS = 1
_JUMP = 0.2
_FAULT_HOURS = 6
_AROUND_DAYS = 21
_ABSURD = 1.2


@dataclass(frozen=True)
class Plan:
    """What to replay: delivery days ``first`` to ``last`` (exclusive, market-local), with which inputs."""

    zone: BiddingZone
    first: date
    last: date
    task: Task = Task.DAY_AHEAD
    inputs: tuple[str, ...] = INPUTS
    seed: int = 0


@dataclass(frozen=True)
class Replay:
    """What a model would have issued, and its cost: ``fan`` [N, Q] in MW for the rows of `Backtest`, CPU seconds.

    ``days`` are the peaks and energies of the tested origins' windows; None where nobody asked for them.
    """

    fan: Floats
    fit_seconds: float
    predict_seconds: float
    days: Days | None = None


@dataclass(frozen=True)
class Backtest:
    """Forecasts and actuals of every (origin, interval) row [N].

    ``actual`` is NaN where the row is excluded; ``naive`` and ``tso`` are reference points, NaN where there is none.
    """

    plan: Plan
    origins: Origins
    resolution: np.timedelta64
    origin: NDArray[np.intp]
    valid_time: Times
    day_kind: NDArray[np.intp]
    slot: NDArray[np.intp]
    actual: Floats
    naive: Floats
    tso: Floats
    weather_basis: str
    tso_basis: str
    replays: Mapping[str, Replay]

    @property
    def n_excluded(self) -> int:
        """Rows left out for every model alike: no actual that is plausible, or no forecast from one of the models."""
        return int(np.isnan(self.actual).sum())

    def scores(self) -> dict[str, dict[str, float | int | None]]:
        """Every model's scores, by model name."""
        return {name: self._scores(replay) for name, replay in self.replays.items()}

    def _scores(self, replay: Replay) -> dict[str, float | int | None]:
        fan = replay.fan
        rows = np.isfinite(self.actual) & np.isfinite(fan).all(axis=1)
        actual, point = self.actual[rows], fan[rows, MEDIAN]

        def against(reference: Floats) -> float | None:
            both = rows & np.isfinite(reference)
            if not both.any():
                return None
            truth = self.actual[both]
            return metrics.skill(metrics.mae(truth, fan[both, MEDIAN]), metrics.mae(truth, reference[both]))

        counts = {
            "n": int(rows.sum()),
            "origins": len(np.unique(self.origin[rows])),
            "fit_seconds": round(replay.fit_seconds, 3),
            "predict_seconds": round(replay.predict_seconds, 3),
        }
        if not rows.any():
            return dict.fromkeys(SCORES) | counts
        shown = fan[rows]
        return {
            "mae_mw": metrics.mae(actual, point),
            "rmse_mw": metrics.rmse(actual, point),
            "mape_pct": metrics.mape(actual, point),
            "bias_mw": metrics.bias(actual, point),
            "crps_mw": metrics.crps(actual, shown, quantiles=QUANTILES),
            **{f"coverage_{share}_pct": _coverage(actual, shown, share=share) for share in _BANDS},
            **{
                f"mape_{kind}_pct": metrics.mape(actual[these], point[these]) if these.any() else None
                for kind, these in ((kind, self.day_kind[rows] == number) for number, kind in enumerate(_KINDS))
            },
            "skill_vs_naive": against(self.naive),
            "skill_vs_tso": against(self.tso),
        } | counts

    def days(self) -> dict[str, dict[str, float | int | None]]:
        """Scores of every model's daily peaks and energies, by model name; none but of the day-ahead task.

        ``n`` days count: those of which every interval has a plausible actual, and a model that is too young to say
        has none. The hour of a peak is right within one hour.
        """
        if self.plan.task is not Task.DAY_AHEAD:
            return {}
        tested = self.origins.take(np.unique(self.origin))
        actual = Days.of(self.actual[None, :], origins=tested, resolution=self.resolution)
        return {
            name: _day_scores(actual, replay.days) for name, replay in self.replays.items() if replay.days is not None
        }

    def forecasts(self) -> pl.DataFrame:
        """Every replayed forecast as a Forecast table with the ``actual`` beside it, by ``backtest:<model>``."""
        issue = self.origins.issue_time[self.origin]
        tables = [
            pl.DataFrame(
                {
                    "zone": self.plan.zone.code,
                    "issue_time": np.repeat(issue, len(QUANTILES)),
                    "valid_time": np.repeat(self.valid_time, len(QUANTILES)),
                    "resolution": np.full(len(issue) * len(QUANTILES), self.resolution, "timedelta64[us]"),
                    "quantile": np.tile(QUANTILES, len(issue)),
                    "value": replay.fan.reshape(-1),
                    "model_version": f"backtest:{name}",
                    "degraded": "",
                    "actual": np.repeat(self.actual, len(QUANTILES)),
                }
            )
            for name, replay in self.replays.items()
        ]
        times = [pl.col(name).dt.replace_time_zone("UTC") for name in ("issue_time", "valid_time")]
        stamped = pl.concat(tables).with_columns(*times, pl.col("resolution").cast(FORECAST["resolution"]))
        return stamped.with_columns(pl.col("actual").fill_nan(None))


def _day_scores(actual: Days, forecast: Days) -> dict[str, float | int | None]:
    rows = np.isfinite(actual.energy).all(axis=1) & np.isfinite(forecast.energy).all(axis=1)
    if not rows.any():
        return dict.fromkeys(DAY_SCORES) | {"n": 0}
    peak, energy = actual.peak[rows, MEDIAN], actual.energy[rows, MEDIAN]
    peaks, energies = forecast.peak[rows], forecast.energy[rows]
    off = np.abs(forecast.likely_hour - actual.likely_hour)[rows]
    return {
        "peak_mae_mw": metrics.mae(peak, peaks[:, MEDIAN]),
        "peak_hour_hit_pct": float(100 * np.mean(off <= _HIT_HOURS)),
        "peak_coverage_80_pct": _coverage(peak, peaks, share=80),
        "energy_mape_pct": metrics.mape(energy, energies[:, MEDIAN]),
        "energy_coverage_80_pct": _coverage(energy, energies, share=80),
        "n": int(rows.sum()),
    }


def _coverage(actual: Floats, fan: Floats, *, share: int) -> float:
    low, high = (fan[:, QUANTILES.index(level)] for level in _BANDS[share])
    return metrics.coverage(actual, low=low, high=high)


def run(
    plan: Plan,
    observations: pl.DataFrame,
    *,
    recipes: Mapping[str, Recipe],
    progress: Callable[[int, int], None] | None = None,
) -> Backtest:
    """Replay the plan.

    Args:
        plan: what to replay.
        observations: an Observations table of the zone (or its members), all vintages.
        recipes: the models, by the name their scores get.
        progress: called with the number of refits done and of refits to do.

    Raises:
        ConfigError: the plan has no delivery day, or no window of its task.
        OutsideData: the observations do not reach over the plan's delivery days; facts ``first``, ``last``.
        TooLittleHistory: a model has too few days before the first origin.
    """
    zone = plan.zone
    load = load_rows(observations, zone)
    begin = _covered(plan, load)
    tested = origins(zone, first=plan.first, last=plan.last, task=plan.task)
    if not len(tested):
        raise ConfigError(
            f"the period from {plan.first} to {plan.last} of {zone.code} has no window of {plan.task}",
            remedy="name a longer period",
        )
    earlier = origins(zone, first=begin, last=plan.first, task=plan.task)
    earlier = earlier.take(earlier.issue_time < tested.issue_time[0])
    if not len(earlier):
        raise TooLittleHistory(
            f"the load of {zone.code} has no whole day before {plan.first} to learn from",
            remedy="begin later, or bring a longer history",
            needed=1,
            have=0,
        )
    asked = Origins(
        zone,
        plan.task,
        *(np.concatenate([getattr(earlier, each), getattr(tested, each)]) for each in ("issue_time", "start", "end")),
    )
    resolution = snapshot(load, zone=zone, issue_times=tested.issue_time[:1]).resolution
    known = snapshot(observations, zone=zone, issue_times=asked.issue_time, resolution=resolution)
    whole = design(known, asked, inputs=plan.inputs)
    is_tested = whole.wanted & (whole.origins.issue_time >= tested.issue_time[0])

    blocks = list(_months(whole, is_tested))
    total = len(blocks) * len(recipes)
    rows = is_tested[whole.origin]
    fans = {name: np.full((len(whole.origin), len(QUANTILES)), np.nan) for name in recipes}
    costs = {name: [0.0, 0.0] for name in recipes}
    days: dict[str, list[Days]] = {name: [] for name in recipes}
    with threadpool_limits(1), ThreadPoolExecutor(WORKERS) as pool:
        jobs = [
            (name, block, pool.submit(_refit, recipe, whole, known, block=block, seed=plan.seed))
            for block in blocks
            for name, recipe in recipes.items()
        ]
        try:
            for done, (name, block, job) in enumerate(jobs, start=1):
                fan, found, spent = job.result()
                fans[name][block[whole.origin]] = fan
                days[name].append(found)
                costs[name] = [before + more for before, more in zip(costs[name], spent, strict=True)]
                if progress is not None:
                    progress(done, total)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise

    last = observations["published_at"].dt.replace_time_zone(None).to_numpy().max()
    settled = snapshot(observations, zone=zone, issue_times=np.array([last]), resolution=resolution)
    valid_time = whole.valid_time[rows]
    forecast = np.logical_and.reduce([np.isfinite(fan[rows]).all(axis=1) for fan in fans.values()])
    scored = forecast & _plausible(settled)(valid_time)
    return Backtest(
        plan=plan,
        origins=whole.origins,
        resolution=resolution,
        origin=whole.origin[rows],
        valid_time=valid_time,
        day_kind=day_kind(zone, whole.local_day[rows]),
        slot=whole.slot[rows],
        actual=np.where(scored, settled.known(LOAD, valid_time, issue_time=last), np.nan),
        naive=settled.known(LOAD, lagged(valid_time, 7, tz=zone.local_tz), issue_time=last),
        tso=settled.known(TSO_FORECAST, valid_time, issue_time=last),
        weather_basis=expected.weather_basis(_training(whole, known, at=whole.origins.issue_time[is_tested][-1])),
        tso_basis=settled.tso_basis,
        replays={
            name: Replay(fans[name][rows], fitting, predicting, _joined(days[name]))
            for name, (fitting, predicting) in costs.items()
        },
    )


def _refit(
    recipe: Recipe, whole: Design, known: Snapshot, *, block: NDArray[np.bool_], seed: int
) -> tuple[Floats, Days, tuple[float, float]]:
    """Fit on what was public at the block's first issue time, and predict the block."""
    at = whole.origins.issue_time[np.flatnonzero(block)[0]]
    train = _training(whole, known, at=at)
    start = time.thread_time()
    fitted = recipe.fit(train, seed=seed)
    middle = time.thread_time()
    fan = fitted.predict(whole.take(block, run_up=RUN_UP_DAYS * DAY))
    spent = (middle - start, time.thread_time() - middle)
    return fan, _days(fitted, fan, origins=whole.origins.take(block), resolution=whole.resolution), spent


def _days(fitted: Fitted, fan: Floats, *, origins: Origins, resolution: np.timedelta64) -> Days:
    """What the forecast means for whole windows; all NaN where the model is too young to say."""
    try:
        scenarios = fitted.calibration.scenarios(fan, origins=origins, resolution=resolution)
    except TooLittleHistory:
        scenarios = np.full((1, len(fan)), np.nan)
    return Days.of(scenarios, origins=origins, resolution=resolution, fan=fan)


def _joined(blocks: list[Days]) -> Days:
    """The days of one block after another."""
    return Days(*(np.concatenate([getattr(days, name) for days in blocks]) for name in ("peak", "energy", "hour")))


def _training(whole: Design, known: Snapshot, *, at: np.datetime64) -> Design:
    """What a model may be trained on at ``at``."""
    return with_target(
        whole.take(whole.wanted & (whole.origins.issue_time < at), run_up=RUN_UP_DAYS * DAY), known, at=at
    )


def _months(whole: Design, is_tested: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
    """The tested origins [O] of each month of delivery days."""
    month = local_day(whole.origins.start, whole.zone.market_tz).astype("datetime64[M]")
    for each in np.unique(month[is_tested]):
        yield is_tested & (month == each)


def _covered(plan: Plan, load: pl.DataFrame) -> date:
    """The first delivery day that the load reaches back over.

    Raises:
        OutsideData: the load does not reach over the plan's days.
    """
    code = plan.zone.code
    if plan.last <= plan.first:
        raise ConfigError(
            f"the period from {plan.first} to {plan.last} of {code} has no delivery day",
            remedy="--to is exclusive and comes after --from",
        )
    if load.is_empty():
        raise OutsideData(
            f"there is no load of {code}", remedy="ingest some, or name another zone", first=None, last=None
        )
    edges = load.select(pl.col("valid_time").min().alias("first"), pl.col("valid_time").max().alias("last")).row(0)
    first, last = (edge.astimezone(plan.zone.market_zone).date() for edge in edges)
    if plan.first <= first or plan.last > last + timedelta(days=1):
        raise OutsideData(
            f"the load of {code} reaches from {first} to {last}, the period asked for from {plan.first} to {plan.last}",
            remedy="choose delivery days inside it, after some history to learn from",
            first=first,
            last=last,
        )
    begin: date = first + timedelta(days=1)
    return begin


def plausible(load: Floats, wall: Times, *, resolution: np.timedelta64) -> NDArray[np.bool_]:
    """Which values of a load series [T] can be true, by a rule that no model knows.

    A value is implausible when it is missing, not positive, more than 3.3 times or less than 0.3 of what its hour had
    in the six weeks around, or inside a run of at most six hours that begins and ends with opposite jumps of over 20
    % beyond the usual change of the hour. The one-hour peak at 17:00 on 24 December is real in Denmark, and passes.

    Args:
        load: MW, on a regular grid.
        wall: the local wall-clock start of each interval.
        resolution: of the grid.
    """
    positive = load > 0
    log = np.log(np.where(positive, load, np.nan))
    day = wall.astype("datetime64[D]")
    slot, number = ((wall - day) // resolution).astype(np.intp), (day - day[0]).astype(np.intp)
    table = np.full((number.max() + 1 + 2 * _AROUND_DAYS, slot.max() + 1), np.nan)
    table[number + _AROUND_DAYS, slot] = log
    around = np.lib.stride_tricks.sliding_window_view(table, 2 * _AROUND_DAYS + 1, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an hour without any value in six weeks: its median is NaN
        usual = np.nanmedian(around, axis=2)[number, slot]
    excess = log - usual
    result = positive & ~(np.abs(excess) > _ABSURD)
    jump = np.diff(excess)
    for length in range(1, int(np.timedelta64(_FAULT_HOURS, "h") / resolution) + 1):
        into, out = jump[:-length], jump[length:]
        run = (np.abs(into) > _JUMP) & (np.abs(out) > _JUMP) & (into * out < 0)
        for start in np.flatnonzero(run) + 1:
            result[start : start + length] = False
    return np.asarray(result, np.bool_)


def _plausible(settled: Snapshot) -> Callable[[Times], NDArray[np.bool_]]:
    """Whether the settled load at each of some times [N] is plausible."""
    series = settled.series[LOAD]
    last = settled.issue_times[-1]
    good = plausible(
        series.known(series.times, last), local_wall(series.times, settled.zone.local_tz), resolution=series.resolution
    )

    def look_up(times: Times) -> NDArray[np.bool_]:
        place = ((times - series.start) // series.resolution).astype(np.intp)
        inside = (place >= 0) & (place < len(good))
        return np.asarray(inside & good[np.where(inside, place, 0)], np.bool_)

    return look_up
