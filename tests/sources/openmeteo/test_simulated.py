"""Open-Meteo's adapter before the grid simulator: every service, and every fault it can have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gridcast import simulate
from gridcast.errors import SourceError
from gridcast.market.days import issue_time
from gridcast.market.zones import zone
from gridcast.sources.endpoints import Endpoints
from gridcast.sources.fetched import Fetched
from gridcast.sources.openmeteo import OpenMeteo
from gridcast.sources.wire import Bucket, Wire
from scripted import VirtualClock

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
DAY = timedelta(days=1)
DK_1 = zone("DK_1")
SERVICES = {
    "forecast": {"start": NOW + DAY / 2, "end": NOW + 1.5 * DAY},
    "single-runs": {"start": NOW - 3 * DAY, "end": NOW - 2 * DAY},
    "previous-runs": {"start": datetime(2024, 2, 5, tzinfo=UTC), "end": datetime(2024, 2, 6, tzinfo=UTC)},
    "archive": {"start": NOW - 20 * DAY, "end": NOW - 19 * DAY, "variables": ["temperature_2m_observed"]},
}
KEY = ["variable", "valid_time", "published_at", "source", "value"]


def fetched(folder, *, service: str, fault: str | None = None, name: str = "ecmwf_ifs") -> Fetched:
    """A day from one of the services, every answer with the fault."""
    clock = VirtualClock(NOW)
    faults = None if fault is None else simulate.Faults([fault])
    with simulate.running(simulate.World(), clock=clock, faults=faults) as url:
        wire = Wire("openmeteo", clock=clock, bucket=Bucket(folder / "bucket", clock=clock))
        adapter = OpenMeteo(wire, endpoints=Endpoints.simulated(url), clock=clock, model=name)
        return adapter.fetch(DK_1, **SERVICES[service])


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """What the simulator says without a fault, by service."""
    return {name: fetched(tmp_path_factory.mktemp("truth"), service=name) for name in SERVICES}


@pytest.mark.parametrize("service", SERVICES)
def test_the_simulator_serves_every_service_whole(truth, service):
    found = truth[service]
    missing = found.due.join(found.observations, on=["variable", "valid_time"], how="anti")
    assert missing.is_empty()
    assert found.due.height == (24 if service == "archive" else 120)
    assert found.doubtful.is_empty()
    assert {text.split(":")[1] for text in found.observations["source"]} == {service}


def test_past_forecasts_were_known_when_their_day_was_issued(truth):
    for service in ("single-runs", "previous-runs"):
        for row in truth[service].observations.iter_rows(named=True):
            day = row["valid_time"].astimezone(DK_1.market_zone).date()
            assert row["published_at"] <= issue_time(DK_1, day)
    assert truth["forecast"].observations["published_at_basis"].unique().to_list() == ["reported"]


CONTENT = [
    name for name, fault in simulate.FAULTS.items() if fault.layer == "content" and "openmeteo" in fault.providers
]


@pytest.mark.parametrize("fault", CONTENT)
def test_no_fault_of_the_simulator_is_silently_wrong(fault, truth, tmp_path):
    try:
        found = fetched(tmp_path, service="single-runs", fault=fault)
    except SourceError:
        return
    assert found.observations.join(truth["single-runs"].observations, on=KEY, how="anti").is_empty()
    missing = found.due.join(found.observations, on=["variable", "valid_time"], how="anti")
    assert missing.height


def test_the_catalogue_of_the_simulator_is_long_enough():
    assert len(CONTENT) >= 20
