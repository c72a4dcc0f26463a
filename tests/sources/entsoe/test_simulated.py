"""Both roads to ENTSO-E against the grid simulator: the same world, and the same values by either road."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from pydantic import SecretStr

from gridcast import simulate
from gridcast.contracts import LOAD, TSO_FORECAST
from gridcast.market.zones import zone
from gridcast.sources.endpoints import Endpoints
from gridcast.sources.entsoe.api import Entsoe
from gridcast.sources.entsoe.library import EntsoeFiles
from gridcast.sources.wire import Bucket, Wire

START = datetime(2025, 3, 28, 23, tzinfo=UTC)
END = START + timedelta(days=4)
SWITCH = datetime(2025, 3, 30, 1, tzinfo=UTC)
DK = zone("DK_1")


@pytest.fixture
def clock():
    return simulate.VirtualClock(datetime(2025, 4, 3, 12, tzinfo=UTC))


@pytest.fixture
def wires(tmp_path, clock):
    bucket = Bucket(tmp_path / "bucket.sqlite", clock=clock)
    with Wire("entsoe", clock=clock, bucket=bucket) as api, Wire("entsoe-files", clock=clock, bucket=bucket) as files:
        yield api, files


@pytest.mark.parametrize(("curve", "whole"), [("A01", False), ("A03", True)])
def test_the_web_service_and_the_file_library_tell_the_same_over_a_switch_of_resolution(wires, clock, curve, whole):
    world = simulate.World(
        curve=curve, whole_documents=whole, decimals=1, gaps=0.05, late=0.0, switches=((SWITCH, timedelta(minutes=15)),)
    )
    with simulate.running(world, clock=clock) as url:
        endpoints = Endpoints.simulated(url)
        token = SecretStr("0b1f9a1e-6f1d-4c55-9d57-5a1d2c3b4e5f")
        api = Entsoe(wires[0], endpoints=endpoints, clock=clock, token=token)
        files = EntsoeFiles(wires[1], endpoints=endpoints, clock=clock, user="me", password=SecretStr("secret"))
        by_api = api.fetch(DK, start=START, end=END)
        by_files = files.fetch(DK, start=START, end=END)

    facts = ["variable", "valid_time", "resolution", "value"]
    assert by_api.observations.select(facts).equals(by_files.observations.select(facts))
    assert by_api.due.equals(by_files.due)
    assert by_api.doubtful.is_empty()
    assert by_files.doubtful.is_empty()
    steps = by_api.observations.group_by("variable", pl.col("valid_time") < SWITCH).agg(pl.col("resolution").unique())
    assert {tuple(row[2]) for row in steps.rows()} == {(timedelta(hours=1),), (timedelta(minutes=15),)}

    loads, forecasts = (by_api.due.filter(variable=name) for name in (LOAD, TSO_FORECAST))
    absent = loads.join(by_api.observations, on=["variable", "valid_time", "resolution"], how="anti")
    assert forecasts.height == by_api.observations.filter(variable=TSO_FORECAST).height
    assert 0 < absent.height < 0.2 * loads.height
