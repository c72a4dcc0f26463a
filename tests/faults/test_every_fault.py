"""Every fault of the catalogue against every adapter, through the whole ingest: no value is silently wrong.

A fault may end in a typed error, in values set aside, in intervals named as missing, or in nothing at all. It may not
end in a value of ours that differs from what the provider has.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from pydantic import SecretStr

from gridcast import pipeline, simulate
from gridcast.errors import ConfigError, SourceError
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
PLACE = zone("DK_1")
WORLD = simulate.World(gaps=0.002)
PROVIDERS = {"entsoe": "entsoe", "entsoe-files": "entsoe", "energidata": "energidata", "openmeteo": "openmeteo"}
ALL = os.environ.get("HYPOTHESIS_PROFILE") == "long"

CASES = [
    (name, source, lasting)
    for name, fault in simulate.FAULTS.items()
    for source, provider in PROVIDERS.items()
    if provider in fault.providers
    for lasting in (True, False)
]
SAMPLE = CASES if ALL else CASES[::7]


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
    return newest.select("variable", "valid_time", "source", "resolution", "value")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """For each source a store with ten weeks of sound history, and what a sound ingest adds to it."""
    made = {}
    for source in PROVIDERS:
        home = tmp_path_factory.mktemp(source)
        if source != "openmeteo":
            ingest(source, database=home / "before.db", home=home, start=BEFORE, end=START)
        else:
            Store(f"sqlite:///{home / 'before.db'}").close()
        shutil.copy(home / "before.db", home / "sound.db")
        account = ingest(source, database=home / "sound.db", home=home)
        made[source] = (home / "before.db", latest(home / "sound.db"), account)
    return made


OUTCOMES: Counter[str] = Counter()


@pytest.mark.parametrize(("fault", "source", "lasting"), SAMPLE)
def test_no_fault_ends_in_a_value_that_is_silently_wrong(fault, source, lasting, worlds, tmp_path):
    before, sound, account = worlds[source]
    database = tmp_path / "store.db"
    shutil.copy(before, database)
    plan = simulate.Faults([fault]) if lasting else simulate.Faults(script={1: fault})
    try:
        made = ingest(source, database=database, home=tmp_path, faults=plan)
    except (SourceError, ConfigError) as error:
        OUTCOMES[type(error).__name__] += 1
        assert latest(database).is_empty()
        assert error.remedy
        assert "\n" not in str(error)
        assert "feed" not in str(error)
        return
    found = latest(database)
    wrong = found.join(sound, on=found.columns, how="anti")
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
    OUTCOMES["named as missing or set aside" if absent.height else "sound"] += 1
