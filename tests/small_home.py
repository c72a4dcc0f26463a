"""A home that is made in seconds: DK_1 with a champion and forecasts around a change of clocks, DK_2 without."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from gridcast import pipeline, settings
from gridcast.contracts import LOAD
from gridcast.market.days import issue_time
from gridcast.market.zones import zone
from gridcast.pipeline.serving import Service
from gridcast.registry import Registry, Version
from gridcast.store.database import Store

NOW = datetime(2026, 3, 31, 10, 20, tzinfo=UTC)
"""Two days after a day of 23 hours."""
ISSUED_DAYS = 6
TODAY = NOW.date()
TOMORROW = TODAY + timedelta(days=1)


@dataclass
class Clock:
    """A clock that is set by hand."""

    at: datetime = NOW
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)


@cache
def home() -> Path:
    """The home that the tests of one process share: some of them leave entries in its log."""
    return copy(Path(mkdtemp(prefix="gridcast-shared-home-")) / "home")


def copy(to: Path) -> Path:
    """A home of the test's own, as it was made."""
    return Path(shutil.copytree(_made(), to))


@cache
def _made() -> Path:
    folder = Path(mkdtemp(prefix="gridcast-small-home-"))
    where = zone("DK_1")
    with Store(f"sqlite:///{folder / 'gridcast.db'}") as store:
        for code, days in {"DK_1": 130, "DK_2": 20}.items():
            rows = pipeline.fetch(
                zone(code),
                source=pipeline.DEMO,
                start=TODAY - timedelta(days=days),
                end=TODAY + timedelta(days=2),
                fetched_at=NOW,
            )
            pipeline.ingest(store, rows, zone=zone(code))
        train(store, Registry(folder / "models"), at=NOW - timedelta(days=ISSUED_DAYS), promote=True)
        for day in range(1 - ISSUED_DAYS, 2):
            at = issue_time(where, TODAY + timedelta(days=day))
            registry = Registry(folder / "models")
            pipeline.issue_and_store(store, registry, zone=where, now=at, delivery_day=TODAY + timedelta(days=day))
    return folder


def train(store: Store, registry: Registry, *, at: datetime, promote: bool, strength: float = 1.0) -> Version:
    """A small champion of DK_1."""
    experiment = settings.compose(["zone=DK_1", "model=linear", f"model.strength={strength}"])
    return pipeline.train_and_register(
        store, registry, zone=zone("DK_1"), experiment=experiment, at=at, promote=promote
    ).version


def service(folder: Path, *, clock: Clock | None = None) -> Service:
    """The service of a home."""
    return Service(
        store=Store(f"sqlite:///{folder / 'gridcast.db'}"), registry=Registry(folder / "models"), clock=clock or Clock()
    )


def history(of: Service, *, days: int = 40, until: datetime = NOW - timedelta(hours=2)) -> list[tuple[str, float]]:
    """The load of DK_1 as somebody would post it: whole hours that ended by ``until``."""
    rows = of.store.observations(["DK_1"], variables=[LOAD], start=until - timedelta(days=days), end=until)
    rows = rows.filter(rows["valid_time"] + rows["resolution"] <= until)
    return [(f"{time:%Y-%m-%dT%H:%M:%SZ}", value) for time, value in rows.select("valid_time", "value").iter_rows()]


def temperature(of: Service, *, days: int = 40) -> list[tuple[str, float]]:
    """The forecast temperature of DK_1, to the end of tomorrow."""
    rows = of.store.observations(["DK_1"], variables=["temperature_2m"], start=NOW - timedelta(days=days))
    return [(f"{time:%Y-%m-%dT%H:%M:%SZ}", value) for time, value in rows.select("valid_time", "value").iter_rows()]
