"""From the providers' revisions to the forecasts: what came later changes later forecasts, and no earlier one.

Each story is told by the real road (settings, adapters, permits, verdicts, store, registry) against the grid simulator,
whose network fails every third time.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from gridcast import models, pipeline, settings, simulate
from gridcast.contracts import LOAD, public_rows
from gridcast.market.days import instant
from gridcast.market.zones import zone
from gridcast.registry import Registry
from gridcast.store.database import Store

DK_1 = zone("DK_1")
NOW = datetime(2024, 9, 10, 8, 20, tzinfo=UTC)
DAY = timedelta(days=1)
SINCE, BEFORE, LATELY = date(2024, 7, 5), date(2024, 9, 4), date(2024, 9, 8)
WORLD = simulate.World(revised=0.3, late=0.15, gaps=0.01, decimals=1)
SHAKY = simulate.Faults(
    [
        *("status-503", "status-502", "status-408", "status-429", "limited-with-retry-after"),
        *("unavailable-with-retry-after", "reset-before-headers", "reset-at-byte", "closed-before-headers"),
        *("body-shorter", "cut-chunking", "truncated-gzip"),
    ],
    rate=0.33,
    seed=5,
)
WRONG = {"entsoe": "negative-value", "energidata": "negative-load"}
FAN = ["issue_time", "valid_time", "resolution", "quantile", "value"]


@dataclass
class Desk:
    """A user's home and the world around it."""

    home: Path
    clock: simulate.VirtualClock

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.store = Store(f"sqlite:///{self.home / 'gridcast.db'}")
        self.registry = Registry(self.home / "models")

    def ingest(self, source: str, *, start: date, faults: simulate.Faults = SHAKY) -> pipeline.Account:
        with simulate.running(WORLD, clock=self.clock, faults=faults) as url:
            found = settings.load().model_copy(update={"home": self.home, "simulator": url})
            with pipeline.providers([source], settings=found, clock=self.clock) as sources:
                now = self.clock.now()
                first, last = pipeline.window(self.store, zone=DK_1, now=now, start=start, end=None)
                wanted = ["temperature_2m" if source == "openmeteo" else LOAD]
                return pipeline.ingest_live(
                    self.store, sources, zone=DK_1, start=first, end=last, clock=self.clock, variables=wanted
                )

    def train(self) -> datetime:
        at, experiment = self.clock.now(), settings.compose(["zone=DK_1", "model=linear"])
        pipeline.train_and_register(self.store, self.registry, zone=DK_1, experiment=experiment, at=at, promote=True)
        return at

    def issue(self) -> pl.DataFrame:
        return pipeline.issue_and_store(self.store, self.registry, zone=DK_1, now=self.clock.now()).forecast

    def made_at(self, forecast: pl.DataFrame) -> datetime:
        first = forecast.row(0, named=True)
        found = self.store.made_at("DK_1", issue_time=first["issue_time"], model_version=first["model_version"])
        assert found is not None
        return found

    def known(self, *, made_at: datetime | None = None) -> pl.DataFrame:
        return self.store.observations(["DK_1"], made_at=made_at)


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that has the weather forecasts of the summer."""
    desk = Desk(tmp_path_factory.mktemp("weather"), simulate.VirtualClock(NOW - 3 * DAY))
    assert desk.ingest("openmeteo", start=SINCE, faults=simulate.Faults()).missing == ()
    desk.store.close()
    return desk.home


def sorted_fan(forecast: pl.DataFrame) -> pl.DataFrame:
    return forecast.select(FAN).sort(FAN)


def trained_on(rows: pl.DataFrame, *, at: datetime) -> pipeline.Trained:
    return pipeline.train(rows, zone=DK_1, recipe=models.recipe("linear"), at=at)


def made_again(rows: pl.DataFrame, *, trained: pipeline.Trained, like: pl.DataFrame) -> pl.DataFrame:
    """The forecast of the origin of ``like`` from those rows."""
    day = like["valid_time"].min().astimezone(DK_1.market_zone).date()  # type: ignore[union-attr]
    origin = pipeline.window_to_issue(DK_1, now=like["issue_time"][0], delivery_day=day)
    return sorted_fan(pipeline.issue(rows, trained=trained, origin=origin, model_version="again"))


@dataclass(frozen=True)
class Issued:
    """A forecast by the registered champion, what was known when it was made, and the same model made of just that."""

    desk: Desk
    forecast: pl.DataFrame
    known: pl.DataFrame
    trained: pipeline.Trained

    @classmethod
    def now(cls, desk: Desk) -> Issued:
        trained_at = desk.train()
        forecast = desk.issue()
        known = desk.known(made_at=desk.made_at(forecast))
        return cls(desk, forecast, known, trained_on(known, at=trained_at))

    @property
    def issue_time(self) -> datetime:
        return self.forecast["issue_time"][0]

    def load_public_then(self, rows: pl.DataFrame) -> pl.DataFrame:
        load = rows.filter(variable=LOAD)
        return load.filter(public_rows(load, instant(self.issue_time)))

    def check_replay(self) -> None:
        """The rows known then come back, and of them the forecast: every value to the bit."""
        then = self.desk.known(made_at=self.desk.made_at(self.forecast))
        assert then.equals(self.known)
        assert made_again(then, trained=self.trained, like=self.forecast).equals(sorted_fan(self.forecast))


@pytest.fixture
def desk(weather: Path, tmp_path: Path) -> Iterator[Desk]:
    shutil.copytree(weather, tmp_path / "home")
    desk = Desk(tmp_path / "home", simulate.VirtualClock(NOW - 3 * DAY))
    yield desk
    desk.store.close()


@pytest.mark.parametrize("source", ["entsoe", "entsoe-files", "energidata"])
def test_what_comes_later_changes_later_forecasts_and_no_earlier_one(source: str, desk: Desk) -> None:
    desk.ingest(source, start=SINCE)
    desk.clock.set(NOW)
    assert desk.ingest(source, start=BEFORE).revised > 0
    desk.ingest("openmeteo", start=LATELY)
    early = Issued.now(desk)
    early.check_replay()
    public = early.load_public_then(desk.known())

    # Two days later some of it is revised, and some of what had not come then has come.
    desk.clock.set(NOW + 2 * DAY)
    assert desk.ingest(source, start=BEFORE).revised > 0
    late = desk.known().filter(variable=LOAD).join(public, on="valid_time", how="anti")
    assert late.filter(pl.col("valid_time") < early.issue_time - timedelta(hours=3)).height
    early.check_replay()
    assert early.load_public_then(desk.known()).equals(public)

    # The forecast of another day is made of the revised values: without them it would be another.
    desk.ingest("openmeteo", start=LATELY)
    later = Issued.now(desk)
    later.check_replay()
    rows, of_value = later.known, ["variable", "valid_time", "source"]
    revised = rows.join(early.known, on=rows.columns, how="anti").join(early.known, on=of_value, how="semi")
    without = rows.join(revised.filter(variable=LOAD), on=rows.columns, how="anti")
    assert without.height < rows.height
    model = trained_on(without, at=later.trained.trained_at)
    unrevised = made_again(without, trained=model, like=later.forecast)
    assert unrevised.drop("value").equals(sorted_fan(later.forecast).drop("value"))
    assert not unrevised.equals(sorted_fan(later.forecast))
    early.check_replay()


@pytest.mark.parametrize("source", WRONG)
def test_neither_quarantine_nor_release_changes_a_forecast_that_was_issued(source: str, desk: Desk) -> None:
    desk.ingest(source, start=SINCE)
    desk.clock.set(NOW)
    wrong = simulate.Faults([WRONG[source]])
    assert desk.ingest(source, start=LATELY, faults=wrong).quarantined > 0
    desk.ingest("openmeteo", start=LATELY)
    early = Issued.now(desk)
    public = early.load_public_then(desk.known())
    (aside,) = desk.store.quarantined("DK_1", variable=LOAD)["valid_time"]
    assert aside not in set(public["valid_time"])

    # What was set aside comes sound, which nobody knew then; and of what is new, more is set aside.
    desk.clock.set(NOW + DAY)
    desk.ingest(source, start=LATELY)
    assert aside in set(desk.known().filter(variable=LOAD)["valid_time"])
    early.check_replay()
    desk.clock.set(NOW + 3 * DAY)
    assert desk.ingest(source, start=LATELY, faults=wrong).quarantined > 0
    early.check_replay()
    assert early.load_public_then(desk.known()).equals(public)

    # Released, it was public when the forecast was issued; and still not known to it.
    desk.store.release("DK_1", at=desk.clock.now(), start=aside, end=aside + timedelta(hours=1), variable=LOAD)
    assert aside in set(early.load_public_then(desk.known())["valid_time"])
    early.check_replay()
    issued = pipeline.issue_and_store(desk.store, desk.registry, zone=DK_1, now=early.issue_time).forecast
    assert sorted_fan(issued).equals(sorted_fan(early.forecast))
