"""What an ingest does when a source fails, brings something doubtful, or has not what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from gridcast import pipeline, quality, settings, simulate
from gridcast.contracts import DOUBTFUL, LOAD, OBSERVATIONS, TSO_FORECAST
from gridcast.errors import ConfigError, Refused
from gridcast.market.zones import zone
from gridcast.pipeline.ingesting import Brought, account
from gridcast.sources.fetched import DUE, Fetched
from gridcast.store.database import Store

DK_1 = zone("DK_1")
NOW = datetime(2024, 5, 2, 8, tzinfo=UTC)
START, END = datetime(2024, 4, 24, 22, tzinfo=UTC), datetime(2024, 5, 3, 22, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


class Desk:
    """A home, its store, and a clock that the simulators share."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.clock = simulate.VirtualClock(NOW)
        self.store = Store(f"sqlite:///{home / 'gridcast.db'}")

    def settings(self, url: str) -> settings.Settings:
        return settings.load().model_copy(update={"home": self.home, "simulator": url})

    def ingest(
        self,
        *names: str,
        faults: simulate.Faults | None = None,
        variables: Sequence[str] | None = (LOAD,),
        world: simulate.World | None = None,
    ) -> pipeline.Account:
        with (
            simulate.running(world or simulate.World(), clock=self.clock, faults=faults) as url,
            pipeline.providers(names, settings=self.settings(url), clock=self.clock) as sources,
        ):
            return pipeline.ingest_live(
                self.store, sources, zone=DK_1, start=START, end=END, clock=self.clock, variables=variables
            )

    def load(self) -> pl.DataFrame:
        return self.store.observations(["DK_1"], variables=[LOAD]).sort("valid_time", "published_at")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_what_is_set_aside_of_one_source_is_asked_of_the_next(desk: Desk) -> None:
    account = desk.ingest("entsoe", "energidata", faults=simulate.Faults(script={1: "negative-value"}))
    assert account.source == "entsoe, energidata"
    assert account.quarantined == 1
    spoilt = desk.store.quarantined("DK_1")["valid_time"].item()
    rows = desk.load()
    assert rows.filter(pl.col("valid_time") == spoilt)["source"].to_list() == ["energidata"]
    assert account.received + len(account.missing) == account.requested


def test_a_source_without_a_gap_is_the_only_one_asked(desk: Desk) -> None:
    assert desk.ingest("entsoe", "energidata").source == "entsoe"


def test_of_the_kept_answers_the_youngest_counts_even_where_an_older_one_was_doubtful(desk: Desk) -> None:
    assert desk.ingest("entsoe", faults=simulate.Faults(script={1: "negative-value"})).quarantined == 1
    desk.clock.set(NOW + timedelta(hours=1))
    again = desk.ingest("entsoe")
    expected = desk.load().unique(["valid_time"], keep="last").sort("valid_time")
    with (
        Store("sqlite://") as empty,
        simulate.running(simulate.World(), clock=desk.clock) as url,
        pipeline.providers(["entsoe"], settings=desk.settings(url), clock=desk.clock) as sources,
    ):
        account = pipeline.read_again(empty, sources, settings=desk.settings(url), zone=DK_1, at=desk.clock.now())
        found = empty.observations(["DK_1"], variables=[LOAD]).sort("valid_time")
    assert account.quarantined == 0
    assert (account.new, account.received) == (again.received, again.received)
    assert found.select("valid_time", "value").equals(expected.select("valid_time", "value"))


def test_each_source_is_asked_for_what_it_has(desk: Desk) -> None:
    polls: list[pipeline.Poll] = []
    with (
        simulate.running(simulate.World(gaps=0.2), clock=desk.clock) as url,
        pipeline.providers(["entsoe", "energidata"], settings=desk.settings(url), clock=desk.clock) as sources,
    ):
        pipeline.watch(
            desk.store,
            sources,
            zone=DK_1,
            clock=desk.clock,
            variables=[LOAD, TSO_FORECAST],
            polls=2,
            report=polls.append,
        )
    accounts = [poll.account for poll in polls]
    assert [account and account.source for account in accounts] == ["entsoe, energidata"] * 2
    assert [account and dict(account.failed) for account in accounts] == [{}, {}]


def test_a_variable_that_nobody_has_is_refused_before_anybody_is_asked(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="none of entsoe, energidata has wind") as refused:
        desk.ingest("entsoe", "energidata", variables=[LOAD, "wind"])
    assert "energidata has load, load_realtime, load_settlement" in refused.value.remedy


def test_what_came_out_during_an_outage_counts_as_known_from_its_end(desk: Desk) -> None:
    desk.ingest("entsoe")
    known = set(desk.load()["valid_time"])
    for _ in range(24):
        desk.clock.set(desk.clock.now() + QUARTER)
        with pytest.raises(Refused):
            desk.ingest("entsoe", faults=simulate.Faults(["status-404"], rate=1.0))
    desk.clock.set(desk.clock.now() + QUARTER)
    desk.ingest("entsoe")
    late = desk.load().filter(~pl.col("valid_time").is_in(list(known)))
    assert late.height >= 5
    assert late["published_at_basis"].unique().to_list() == ["observed"]
    assert late["published_at"].to_list() == late["fetched_at"].to_list()
    assert desk.store.lags("DK_1", variable=LOAD, source="entsoe").is_empty()


def test_weather_that_is_asked_for_again_in_the_same_run_is_the_same_to_the_bit(desk: Desk) -> None:
    names = ["temperature_2m", "relative_humidity_2m", "shortwave_radiation"]
    desk.ingest("openmeteo", variables=names)
    desk.clock.set(NOW + timedelta(minutes=70))
    again = desk.ingest("openmeteo", variables=names)
    assert again.received > 0
    assert again.revised == 0


def test_what_is_simulated_and_what_is_real_do_not_meet_in_one_home(desk: Desk) -> None:
    desk.ingest("energidata")
    real = settings.load().model_copy(update={"home": desk.home, "simulator": None})
    with (
        pytest.raises(ConfigError, match="holds simulated data") as refused,
        pipeline.providers(["energidata"], settings=real, clock=desk.clock),
    ):
        pass
    assert "GRIDCAST_HOME" in refused.value.remedy
    (desk.home / "simulated").rename(desk.home / "apart")
    (desk.home / "apart" / "raw").rename(desk.home / "raw")
    with pytest.raises(ConfigError, match="holds real data"):
        desk.ingest("energidata")


def test_an_end_before_what_is_new_asks_for_a_start(desk: Desk) -> None:
    desk.ingest("entsoe")
    with pytest.raises(ConfigError, match="what is new begins"):
        pipeline.window(desk.store, zone=DK_1, now=NOW, start=None, end=date(2024, 4, 1))


def test_an_hour_of_the_second_source_stands_for_the_quarters_that_the_first_did_not_bring() -> None:
    def brought(source: str, due: list[datetime], *, step: timedelta, came: list[datetime]) -> Brought:
        plain = {"zone": "DK_1", "variable": LOAD, "resolution": step, "value": 1000.0, "published_at": END}
        plain |= {"published_at_basis": "assumed", "fetched_at": END, "source": source}
        rows = pl.DataFrame([plain | {"valid_time": start} for start in came], schema=OBSERVATIONS)
        wanted = pl.DataFrame({"variable": LOAD, "valid_time": due, "resolution": step}, schema=DUE)
        fetched = Fetched(rows, wanted, DOUBTFUL.to_frame())
        return Brought(source, fetched, rows.height, 0, rows, fetched.doubtful, quality.DAYS.to_frame())

    hours = [START + n * timedelta(hours=1) for n in range(24)]
    quarters = [hour + n * QUARTER for hour in hours for n in range(4)]
    first = brought("entsoe", quarters, step=QUARTER, came=hours[:20])  # the first quarter of some hours
    second = brought("energidata", hours, step=timedelta(hours=1), came=hours[:22])
    for order in ([first, second], [second, first]):
        found = account(order, zone=DK_1)
        assert (found.requested, found.received) == (30, 22)
        assert [each.start for each in found.missing] == [hour + n * QUARTER for hour in hours[22:] for n in range(4)]
