"""The verbs on a store and a registry: what the command line, the demo and the service do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from gridcast import models
from gridcast.backtesting import Plan
from gridcast.contracts import INPUTS
from gridcast.errors import ConfigError, ModelNotFound
from gridcast.market.days import Origins, Task, Times
from gridcast.market.zones import BiddingZone
from gridcast.models import CHAMPION, Recipe
from gridcast.models.daily import Days
from gridcast.pipeline import canary, journaling
from gridcast.pipeline.forecasting import (
    Trained,
    issue,
    known_inputs,
    outlook,
    recent_load,
    train,
    window_to_issue,
)
from gridcast.pipeline.journaling import Companion
from gridcast.pipeline.reading import read_store
from gridcast.registry import Details, Manifest, Registry, Version
from gridcast.store import digest

if TYPE_CHECKING:
    from gridcast.settings import Experiment
    from gridcast.store.database import Store

DEMO = "demo"
NEEDED = timedelta(days=76)
"""Days of observations before an issue time that a forecast looks at: run-up, weather memory, within-hour shape."""


@dataclass(frozen=True)
class Registered:
    """A model version that was trained, whether it is the champion now, and what it was trained on."""

    version: Version
    model: str
    is_champion: bool
    trained: Trained


@dataclass(frozen=True)
class Issued:
    """A Forecast table, the Observations it was made from, and what it means for the whole window.

    ``day`` is None where the model saw too few whole windows to say.
    """

    forecast: pl.DataFrame
    observations: pl.DataFrame
    day: Days | None = None


def plan(
    zone: BiddingZone,
    *,
    first: date,
    last: date,
    task: str = Task.DAY_AHEAD,
    inputs: Sequence[str] = INPUTS,
    seed: int = 0,
) -> Plan:
    """A backtest's plan from plain words.

    Raises:
        ConfigError: an unknown task or input.
    """
    return Plan(zone, first, last, task=_task(task), inputs=known_inputs(inputs), seed=seed)


def _task(text: str) -> Task:
    if text not in list(Task):
        raise ConfigError(f"there is no task {text!r}", remedy=f"choose one of {', '.join(Task)}")
    return Task(text)


def recipes(names: Sequence[str], *, champion: Recipe | None = None) -> dict[str, Recipe]:
    """Recipes by the name asked for; ``champion`` is the zone's promoted recipe, else the shipped default.

    Raises:
        UnknownModel: no such model.
        ConfigError: no name at all.
    """
    if not names:
        raise ConfigError("no model is named", remedy=f"choose some of champion,{','.join(models.names())}")
    return {
        name: (champion or models.recipe(CHAMPION)) if name == "champion" else models.recipe(name) for name in names
    }


def champion_recipe(registry: Registry, *, zone: BiddingZone, task: Task) -> Recipe | None:
    """The recipe of the zone's promoted model, or None where none is promoted."""
    version = registry.champion(zone.code, task)
    if version is None:
        return None
    manifest = registry.manifest(version)
    return models.recipe(manifest.model, manifest.parameters)


def train_and_register(
    store: Store,
    registry: Registry,
    *,
    zone: BiddingZone,
    experiment: Experiment,
    at: datetime,
    promote: bool = False,
) -> Registered:
    """Fit the experiment's recipe on the store's data public at ``at`` and register it, as `train_on` does.

    Raises:
        OutsideData, TooLittleHistory: the store has not enough of the zone.
    """
    observations, sha256 = read_store(store, zone=zone)
    return train_on(observations, registry, sha256=sha256, zone=zone, experiment=experiment, at=at, promote=promote)


def train_on(
    observations: pl.DataFrame,
    registry: Registry,
    *,
    sha256: str,
    zone: BiddingZone,
    experiment: Experiment,
    at: datetime,
    promote: bool = False,
) -> Registered:
    """Fit the experiment's recipe on Observations public at ``at``, whose hash is ``sha256``, and register it.

    The first model of a zone and task becomes its champion; a later one only with ``promote``.

    Raises:
        OutsideData, TooLittleHistory: there are not enough of the zone.
    """
    trained = train(
        observations,
        zone=zone,
        recipe=models.recipe(experiment.model, experiment.parameters),
        at=at,
        task=Task(experiment.task),
        inputs=experiment.inputs,
        seed=experiment.seed,
    )
    details = Details(
        inputs=trained.inputs,
        resolution=trained.resolution,
        first_day=trained.first_day,
        last_day=trained.last_day,
        data_sha256=sha256,
        weather_basis=trained.weather_basis,
        tso_basis=trained.tso_basis,
        seed=experiment.seed,
        metrics={canary.KEY: canary.found(trained, level=_usual_load(observations, trained=trained))},
    )
    version = registry.register(trained.fitted, zone=zone.code, task=trained.task, trained_at=at, details=details)
    if promote or registry.champion(zone.code, trained.task) is None:
        registry.promote(version, at=at)
    return Registered(version, experiment.model, registry.champion(zone.code, trained.task) == version, trained)


def _usual_load(observations: pl.DataFrame, *, trained: Trained) -> float:
    """The median load of the last year that the model was trained on, MW."""
    days = (trained.trained_at.date() - trained.last_day).days + 366
    load = recent_load(observations, zone=trained.zone, until=trained.trained_at, days=days)
    return float(load["value"].median())  # type: ignore[arg-type]


def restored(registry: Registry, version: Version, *, zone: BiddingZone) -> tuple[Trained, Manifest]:
    """A registered model as it was when it had been trained, and what stands beside it."""
    fitted, manifest = registry.load(version)
    details = manifest.details
    trained = Trained(
        fitted=fitted,
        zone=zone,
        task=Task(manifest.task),
        inputs=details.inputs,
        resolution=details.resolution,
        trained_at=manifest.trained_at,
        first_day=details.first_day,
        last_day=details.last_day,
        weather_basis=details.weather_basis,
        tso_basis=details.tso_basis,
    )
    return trained, manifest


@dataclass(frozen=True)
class Asked:
    """A forecast to make: the model ``version`` that is the zone's champion, and the one origin."""

    version: str
    trained: Trained
    origin: Origins

    @property
    def at(self) -> datetime:
        """The issue time, UTC."""
        return _utc(self.origin.issue_time)

    @property
    def start(self) -> datetime:
        """The start of the window, UTC."""
        return _utc(self.origin.start)

    @property
    def end(self) -> datetime:
        """The end of the window, UTC."""
        return _utc(self.origin.end)

    @property
    def zones(self) -> list[str]:
        """The codes of the zones whose observations it looks at."""
        return [self.origin.zone.code, *self.origin.zone.members]

    @property
    def needed_from(self) -> datetime:
        """The first instant whose observations it looks at, UTC."""
        return self.at - NEEDED


def _utc(edge: Times) -> datetime:
    return edge[0].astype(object).replace(tzinfo=UTC)  # type: ignore[no-any-return]


def champion_asked(
    registry: Registry,
    *,
    zone: BiddingZone,
    now: datetime,
    task: str = Task.DAY_AHEAD,
    delivery_day: date | None = None,
) -> Asked:
    """What `issue_and_store` would forecast at ``now``, and with which model.

    Raises:
        ModelNotFound: the zone has no champion.
        NotForecastable: the day is too far ahead.
        ConfigError: an unknown task.
    """
    wanted = _task(task)
    version = registry.champion(zone.code, wanted)
    if version is None:
        raise ModelNotFound(
            f"{zone.code} has no trained model for {task}", remedy=f"gridcast train --zone {zone.code}", version=None
        )
    trained, _ = restored(registry, version, zone=zone)
    origin = window_to_issue(zone, now=now, task=wanted, delivery_day=delivery_day, trained_at=trained.trained_at)
    return Asked(version.id, trained, origin)


def issue_and_store(
    store: Store,
    registry: Registry,
    *,
    zone: BiddingZone,
    now: datetime,
    task: str = Task.DAY_AHEAD,
    delivery_day: date | None = None,
) -> Issued:
    """Forecast with the champion from what was public at the issue time; store and note it before it is shown.

    What was issued stays issued: asked again for the same issue time and model, it comes back as it is, whatever
    late data have arrived since. It is made at ``now`` (or, where that is a pretended past, when the newest of its data
    was fetched), and what the store is asked ``made_at`` that instant it answers the same for ever: so the forecast can
    be replayed.

    Raises:
        ModelNotFound: the zone has no champion.
        NotForecastable: the day is too far ahead.
        OutsideData: the store has no load of the zone.
        ConfigError: an unknown task.
    """
    asked = champion_asked(registry, zone=zone, now=now, task=task, delivery_day=delivery_day)
    made = draft(store, asked)
    made.keep(store, now=now)
    day = outlook(made.forecast, trained=asked.trained, origin=asked.origin)
    return Issued(made.forecast, made.observations, day)


@dataclass(frozen=True)
class Draft:
    """A forecast that can be stored, or ``is_stored`` already, made from what was there after ``last_write``."""

    asked: Asked
    forecast: pl.DataFrame
    observations: pl.DataFrame
    last_write: int
    is_stored: bool

    def keep(self, store: Store, *, now: datetime, together: Sequence[Draft] = ()) -> None:
        """Store it and note it in the journal, both or neither, unless it is stored.

        ``together`` are the drafts, itself among them, that were made to add up; all from what one write left.
        """
        if self.is_stored:
            return
        newest = [each.observations["fetched_at"].max() for each in together or (self,)]
        request = journaling.Request(
            task=self.asked.origin.task,
            issue_time=self.asked.at,
            start=self.asked.start,
            end=self.asked.end,
            made_at=max(now, *newest),  # type: ignore[type-var, arg-type]
            needed_from=self.asked.needed_from,
            rows=self.observations.height,
            sha256=digest(self.observations),
            together=tuple(Companion(each.asked.zones[0], each.asked.version, each.is_stored) for each in together),
        )
        store.put_forecast(
            self.forecast,
            made_at=request.made_at,
            last_write=self.last_write,
            noted=lambda made: journaling.issued_entry(self.forecast, replace(request, made_at=made)),
        )


def issued_before(store: Store, asked: Asked) -> pl.DataFrame:
    """The Forecast table that is stored of this issue time, window and model; empty where there is none."""
    return store.forecasts(
        asked.origin.zone.code,
        start=asked.start,
        end=asked.end,
        issued_from=asked.at,
        issued_until=asked.at + timedelta(microseconds=1),
        model_version=asked.version,
    )


def draft(store: Store, asked: Asked, *, last_write: int | None = None) -> Draft:
    """The forecast that was issued for this, or a new one from what is there, or was after ``last_write``.

    Raises:
        OutsideData: the store has no load of the zone.
    """
    forecast = issued_before(store, asked)
    if last_write is None:
        last_write = store.last_write()
    observations = store.observations(asked.zones, start=asked.needed_from, last_write=last_write)
    is_stored = not forecast.is_empty()
    if not is_stored:
        forecast = issue(observations, trained=asked.trained, origin=asked.origin, model_version=asked.version)
    return Draft(asked, forecast, observations, last_write, is_stored)
