"""Every fault of the catalogue against every adapter, through the whole ingest: no value is silently wrong.

A fault may end in a typed error, in values set aside, in intervals named as missing, or in nothing at all. It may not
end in a value of ours that differs from what the provider has.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from pydantic import SecretStr

from gridcast import pipeline, simulate
from gridcast.errors import ConfigError, GridcastError, SourceError
from gridcast.market.zones import zone
from gridcast.sources.endpoints import Endpoints
from gridcast.sources.energidata import Energidata
from gridcast.sources.entsoe.api import Entsoe
from gridcast.sources.entsoe.library import EntsoeFiles
from gridcast.sources.openmeteo import OpenMeteo
from gridcast.sources.wire import Bucket, Kept, Wire
from gridcast.store.database import Store

NOW = datetime(2024, 5, 2, 8, tzinfo=UTC)
BEFORE = datetime(2024, 2, 15, 23, tzinfo=UTC)
START, END = datetime(2024, 4, 28, 22, tzinfo=UTC), datetime(2024, 5, 1, 22, tzinfo=UTC)
KNOWN = datetime(2024, 4, 30, 22, tzinfo=UTC)
"""As every ingest but the first, this one asks again for some of what is stored."""
PLACE = zone("DK_1")
WORLD = simulate.World(gaps=0.002)
PROVIDERS = {"entsoe": "entsoe", "entsoe-files": "entsoe", "energidata": "energidata", "openmeteo": "openmeteo"}
ELSEWHERE = {"entsoe": ("tables",), "entsoe-files": ("documents", "markup")}
"""Chapters of faults of the provider's other service."""

ALL = os.environ.get("HYPOTHESIS_PROFILE") == "long"

CASES = [
    (name, source, lasting)
    for name, fault in simulate.FAULTS.items()
    for source, provider in PROVIDERS.items()
    if provider in fault.providers and not fault.spoil.__module__.endswith(ELSEWHERE.get(source, ()))
    for lasting in (True, False)
]
SAMPLE = CASES if ALL else sorted(CASES, key=lambda case: (case[1], simulate.FAULTS[case[0]].layer))[::17]
"""Of every adapter and every layer of faults a share; the step is odd, so lasting and passing ones take turns."""


@dataclass(frozen=True)
class Plan(simulate.Faults):
    """Befalls every answer that it can befall, or only the first of them; and notes them."""

    lasting: bool = True
    struck: list[int] = field(default_factory=list)

    def strike(self, number, ask, *, reply):
        if self.struck and not self.lasting:
            return "", reply
        name, spoilt = super().strike(number, ask, reply=reply)
        if name:
            self.struck.append(number)
        return name, spoilt


@contextmanager
def adapter(name: str, *, url: str, home: Path, clock, budget: float):
    where = Endpoints.simulated(url)
    bucket = Bucket(home / "permits.db", clock=clock)
    with Wire(
        name,
        clock=clock,
        bucket=bucket,
        kept=Kept(home / "raw"),
        budget=budget,
        max_bytes=(8 if budget < 10 else 64) << 20,
    ) as wire:
        secret = SecretStr("00000000-0000-4000-8000-00000000feed")
        yield {
            "entsoe": lambda: Entsoe(wire, endpoints=where, clock=clock, token=secret),
            "entsoe-files": lambda: EntsoeFiles(wire, endpoints=where, clock=clock, user="me", password=secret),
            "energidata": lambda: Energidata(wire, endpoints=where, clock=clock),
            "openmeteo": lambda: OpenMeteo(wire, endpoints=where, clock=clock, api_key=None),
        }[name]()


def ingest(source: str, *, database: Path, home: Path, faults=None, start=START, end=END):
    clock = simulate.VirtualClock(NOW)
    with (
        simulate.running(WORLD, clock=clock, faults=faults, limits=False) as url,
        adapter(source, url=url, home=home, clock=clock, budget=3.0 if faults else 120.0) as live,
        Store(f"sqlite:///{database}") as store,
    ):
        return pipeline.ingest_live(store, [live], zone=PLACE, start=start, end=end, clock=clock)


def latest(database: Path) -> pl.DataFrame:
    with Store(f"sqlite:///{database}") as store:
        rows = store.observations(["DK_1"], start=START, end=END)
    newest = rows.sort("published_at").unique(["variable", "valid_time", "source"], keep="last")
    newest = newest.sort("variable", "valid_time", "source")
    return newest.select("variable", "valid_time", "source", "resolution", "value")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """For each source a store with ten weeks of sound history, and the rows that a sound ingest adds to it."""
    made = {}
    for source in PROVIDERS:
        home = tmp_path_factory.mktemp(source)
        if source != "openmeteo":
            ingest(source, database=home / "before.db", home=home, start=BEFORE, end=KNOWN)
        else:
            Store(f"sqlite:///{home / 'before.db'}").close()
        shutil.copy(home / "before.db", home / "sound.db")
        ingest(source, database=home / "sound.db", home=home)
        made[source] = (home / "before.db", latest(home / "sound.db"))
    return made


@pytest.mark.parametrize(("fault", "source", "lasting"), SAMPLE)
def test_no_fault_ends_in_a_value_that_is_silently_wrong(fault, source, lasting, *, worlds, tmp_path, record_property):
    before, sound = worlds[source]
    database = tmp_path / "store.db"
    shutil.copy(before, database)
    plan = Plan([fault], lasting=lasting)
    made: pipeline.Account | GridcastError
    try:
        made = ingest(source, database=database, home=tmp_path, faults=plan)
    except (SourceError, ConfigError) as error:
        made = error
    record_property("faults", int(bool(plan.struck)))
    if isinstance(made, GridcastError):
        record_property("outcome", type(made).__name__)
        record_property("silently_wrong", latest(database).join(sound, on=sound.columns, how="anti").height)
        assert latest(database).equals(latest(before))
        assert made.remedy
        assert "\n" not in str(made)
        assert "feed" not in str(made)
        return
    found = latest(database)
    wrong = found.join(sound, on=found.columns, how="anti")
    record_property("silently_wrong", wrong.height)
    assert wrong.is_empty(), f"{fault} at {source}: {wrong.height} values silently wrong, first {wrong.row(0)}"
    absent = sound.join(found, on=["variable", "valid_time"], how="anti").select("variable", "valid_time").unique()
    named = pl.DataFrame(
        [(each.variable, each.start) for each in made.missing],
        schema={"variable": pl.String, "valid_time": pl.Datetime("us", "UTC")},
        orient="row",
    )
    with Store(f"sqlite:///{database}") as store:
        aside = store.quarantined("DK_1").select("variable", "valid_time")
    silent = absent.join(pl.concat([named, aside]), on=["variable", "valid_time"], how="anti")
    assert silent.is_empty(), f"{fault} at {source}: {silent.height} values silently absent, first {silent.row(0)}"
    record_property("outcome", "named as missing or set aside" if absent.height else "sound")
